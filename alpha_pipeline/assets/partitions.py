"""The three axes of the graph, defined once: trade dates, half-year periods, rebalance weeks."""

import datetime as dt
from dataclasses import dataclass

import dagster as dg
import numpy as np

from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.markets import MarketConfig

TIMEZONE = "Asia/Shanghai"


@dataclass(frozen=True)
class Axes:
    """Partition definitions of one market.

    ``trade_dates`` has one key per session (holidays are rejected); ``half_years`` keys are ``2017-01`` and ``2017-07`` and are shown as
    2017H1, 2017H2; ``weeks`` keys are Mondays. A week without a session keeps its partition and rebalances nothing.
    """

    trade_dates: dg.TimeWindowPartitionsDefinition
    half_years: dg.TimeWindowPartitionsDefinition
    weeks: dg.TimeWindowPartitionsDefinition


def market_axes(market: MarketConfig, calendar: TradingCalendar) -> Axes:
    """Partitions from the market's first to its last session.

    The trade-date axis is a daily one with weekends and exchange holidays excluded: a weekday cron would give Friday a window that spans the
    weekend and map the last session of a half-year into two periods.
    """
    first, last = calendar.first, calendar.last
    weekdays = np.arange(np.datetime64(first, "D"), np.datetime64(last, "D") + 1)
    closed = np.setdiff1d(weekdays[np.is_busday(weekdays)], calendar.sessions)
    exclusions: list[str | dt.datetime] = ["0 0 * * 0,6", *(dt.datetime.combine(as_date(day), dt.time()) for day in closed)]
    trade_dates = dg.DailyPartitionsDefinition(
        start_date=first.isoformat(), end_date=(last + dt.timedelta(days=1)).isoformat(), timezone=TIMEZONE, end_offset=1, exclusions=exclusions,
    )
    half_year_start = dt.date(first.year, 1 if first.month <= 6 else 7, 1)
    next_half_year = dt.date(last.year, 7, 1) if last.month <= 6 else dt.date(last.year + 1, 1, 1)
    half_years = dg.TimeWindowPartitionsDefinition(
        cron_schedule="0 0 1 1,7 *", fmt="%Y-%m", start=f"{half_year_start:%Y-%m}", end=f"{next_half_year:%Y-%m}", timezone=TIMEZONE, end_offset=1,
    )
    monday = first - dt.timedelta(days=first.weekday())
    after = last + dt.timedelta(days=7 - last.weekday())
    weeks = dg.TimeWindowPartitionsDefinition(
        cron_schedule="0 0 * * 1", fmt="%Y-%m-%d", start=monday.isoformat(), end=after.isoformat(), timezone=TIMEZONE, end_offset=1,
    )
    return Axes(trade_dates, half_years, weeks)


def period_name(half_year_key: str) -> str:
    """``2017-01`` → ``2017H1``."""
    year, month = half_year_key.split("-")
    return f"{year}H{1 if month == '01' else 2}"


def half_year_key(period: str) -> str:
    """``2017H1`` → ``2017-01``."""
    year, half = period.split("H")
    return f"{year}-{'01' if half == '1' else '07'}"
