"""A portfolio in the columns of RISKCONTROL's tables: whole range, calendar years, and one stretch of it, such as the last quarter."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from alpha_pipeline import returns as series
from alpha_pipeline.errors import NotEnoughData, sentence


def last_quarter(dates: pd.Series) -> tuple[str, str]:
    """First and last calendar day of the quarter that holds the latest date.

    >>> last_quarter(pd.Series(pd.to_datetime(["2023-12-29", "2024-02-07"])))
    ('2024-01-01', '2024-03-31')
    """
    last = pd.DatetimeIndex(dates).max()
    quarter = last.to_period("Q")
    return str(quarter.start_time.date()), str(quarter.end_time.date())


def performance_row(daily: pd.DataFrame, stretch: tuple[str, str] | None = None) -> dict[str, float]:
    """annual_excess, information_ratio, excess_max_drawdown, calmar, ``excess_<year>`` each, last_quarter_excess, last_quarter_drawdown.

    ``daily`` : trade_date, portfolio_return, benchmark_return, decimals. The last two columns are about ``stretch`` (first and last calendar
    day, by default the quarter of the last date); the drawdown starts from the stretch's own peak, the NAV of 1 before it included.
    Excess is the compounded daily difference; years and stretch are not annualized and may be partial.

    Raises :class:`NotEnoughData` when the stretch holds no day. Source: RISKCONTROL, figures 11, 23, 30, 33, 35.
    """
    days = pd.DatetimeIndex(daily["trade_date"])
    portfolio, benchmark = daily["portfolio_return"].to_numpy(dtype=np.float64), daily["benchmark_return"].to_numpy(dtype=np.float64)
    first, last = stretch or last_quarter(daily["trade_date"])
    inside = np.asarray((days >= pd.Timestamp(first)) & (days <= pd.Timestamp(last)))
    if not inside.any():
        raise NotEnoughData(sentence("no day in the stretch", where="performance_row", got=f"{first} … {last}",
                                     expected=f"within {days.min().date()} … {days.max().date()}"))
    nav = series.excess_nav(portfolio[inside], benchmark[inside])
    years = series.yearly_excess_returns(portfolio, benchmark, days.to_numpy())
    return {
        "annual_excess": series.annualized_excess_return(portfolio, benchmark),
        "information_ratio": series.information_ratio(portfolio, benchmark),
        "excess_max_drawdown": series.max_drawdown(series.excess_nav(portfolio, benchmark)),
        "calmar": series.calmar_ratio(portfolio, benchmark),
        **{f"excess_{year}": value for year, value in years.items()},
        "last_quarter_excess": float(nav[-1] - 1.0), "last_quarter_drawdown": series.max_drawdown(nav),
    }


def parse_stretch(text: str) -> tuple[str, str] | None:
    """``2024-01-02/2024-03-29`` → its two days; an empty text → None.

    >>> parse_stretch("2024-01-02/2024-03-29")
    ('2024-01-02', '2024-03-29')
    """
    if not text:
        return None
    first, _, last = text.partition("/")
    return dt.date.fromisoformat(first).isoformat(), dt.date.fromisoformat(last).isoformat()
