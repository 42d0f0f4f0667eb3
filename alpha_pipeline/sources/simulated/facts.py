"""Stylised facts: moments of a market's tables beside the ranges known for A-shares. Works on any source with bars and status."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.sources.base import MarketSource

F = npt.NDArray[np.float64]
_REAL = "1,117 CSI 300/500 members, daily bars 2021-2025"
_INTRADAY = "431 Shanghai names, 15-minute bars 2025"
_COMMON = "commonly reported"
_EVERY = 10  # every tenth session is enough for the intraday profile
_YOUNG = 60


class Range(NamedTuple):
    """Where a moment should lie; ``real`` is what was measured on ``origin`` (NaN when no sample was at hand)."""

    low: float
    high: float
    real: float
    origin: str


RANGES: dict[str, Range] = {
    "daily_volatility": Range(0.020, 0.031, 0.0255, _REAL),
    "excess_kurtosis": Range(1.5, 6.0, 3.83, _REAL),
    "skewness": Range(0.0, 0.9, 0.56, _REAL),
    "return_autocorrelation_1": Range(-0.06, 0.06, 0.027, _REAL),
    "abs_return_autocorrelation_1": Range(0.12, 0.30, 0.208, _REAL),
    "abs_return_autocorrelation_10": Range(0.04, 0.16, 0.091, _REAL),
    "cross_sectional_dispersion": Range(0.018, 0.028, 0.0230, _REAL),
    "market_volatility": Range(0.008, 0.016, 0.0123, _REAL),
    "average_correlation": Range(0.12, 0.40, 0.214, _REAL),
    "volume_volatility_correlation": Range(0.30, 0.60, 0.493, _REAL),
    "log_volume_autocorrelation_1": Range(0.65, 0.92, 0.824, _REAL),
    "overnight_volatility": Range(0.008, 0.014, 0.0106, _REAL),
    "limit_up_share": Range(0.002, 0.020, 0.0081, _REAL),
    "limit_down_share": Range(0.0005, 0.008, 0.0019, _REAL),
    "one_price_share": Range(0.0002, 0.004, 0.0007, _REAL),
    "suspended_share": Range(0.0005, 0.03, 0.0011, _REAL),
    "st_share": Range(0.005, 0.06, np.nan, _COMMON),
    "median_turnover": Range(0.006, 0.02, 0.0070, "300 large names, 2021-2025 (smaller names trade more)"),
    "opening_volume_share": Range(0.20, 0.34, 0.272, _INTRADAY),
    "closing_volume_share": Range(0.11, 0.19, 0.131, _INTRADAY + ", last auction partly missing"),
    "midday_volume_share": Range(0.06, 0.12, 0.083, _INTRADAY + ", 11:00-11:30"),
    "bar_return_autocorrelation_1": Range(-0.15, 0.02, -0.073, _INTRADAY),
}


def stylised_facts(source: MarketSource, start: dt.date, end: dt.date) -> pd.Series:
    """The moments of :data:`RANGES` over [start, end]; per-name moments are medians over names.

    Suspended days and the first 60 sessions of a listing are left out. The regime switch's crash is part of the sample if the
    range holds it. Shares of limit days count closes at the limit among traded names.
    """
    wide, counts = _daily(source, start, end)
    returns, log_turn = wide["return"], np.log(wide["turn"])
    absolute = returns.abs()
    pairs = returns.dropna(axis=1, thresh=int(0.9 * len(returns))).iloc[:, :150].corr().to_numpy()
    facts = {
        "daily_volatility": returns.std().median(), "excess_kurtosis": returns.kurt().median(),
        "skewness": returns.skew().median(),
        "return_autocorrelation_1": returns.corrwith(returns.shift(1)).median(),
        "abs_return_autocorrelation_1": absolute.corrwith(absolute.shift(1)).median(),
        "abs_return_autocorrelation_10": absolute.corrwith(absolute.shift(10)).median(),
        "cross_sectional_dispersion": returns.std(axis=1).mean(), "market_volatility": returns.mean(axis=1).std(),
        "average_correlation": pairs[np.triu_indices(len(pairs), 1)].mean(),
        "volume_volatility_correlation": absolute.corrwith(log_turn).median(),
        "log_volume_autocorrelation_1": log_turn.corrwith(log_turn.shift(1)).median(),
        "overnight_volatility": wide["overnight"].std().median(),
        **{name: counts[name] / counts["traded"] for name in ("limit_up_share", "limit_down_share", "one_price_share")},
        **{name: counts[name] / counts["listed"] for name in ("suspended_share", "st_share")},
        "median_turnover": float(np.nanmedian(wide["turn"].to_numpy())),
        **_intraday(source, start, end),
    }
    return pd.Series(facts).reindex(list(RANGES))


def compare(facts: pd.Series) -> pd.DataFrame:
    """Columns measured, low, high, real, origin, is_inside for each moment."""
    table = pd.DataFrame.from_dict(RANGES, orient="index", columns=list(Range._fields))
    table.insert(0, "measured", facts)
    table["is_inside"] = (table["measured"] >= table["low"]) & (table["measured"] <= table["high"])
    return table


def _daily(source: MarketSource, start: dt.date, end: dt.date) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    columns: dict[str, dict[dt.date, pd.Series]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for day, tables in source.iter_days(start, end, ("daily_bars", "security_status")):
        bars, status = (tables[name].set_index("symbol") for name in ("daily_bars", "security_status"))
        bars = bars.join(status.drop(columns="trade_date"))
        counts["listed"] += len(bars)
        counts["suspended_share"] += int(bars["is_suspended"].sum())
        counts["st_share"] += int(bars["is_st"].sum())
        bars = bars[~bars["is_suspended"] & (bars["listed_days"] > _YOUNG)]
        counts["traded"] += len(bars)
        counts["limit_up_share"] += int((bars["close"] == bars["limit_up"]).sum())
        counts["limit_down_share"] += int((bars["close"] == bars["limit_down"]).sum())
        counts["one_price_share"] += int((bars["high"] == bars["low"]).sum())
        columns["return"][day] = bars["close"] / bars["pre_close"] - 1.0
        columns["overnight"][day] = bars["open"] / bars["pre_close"] - 1.0
        columns["turn"][day] = bars["volume"] / bars["float_shares"]
    return {name: pd.DataFrame(days).T for name, days in columns.items()}, counts


def _intraday(source: MarketSource, start: dt.date, end: dt.date) -> dict[str, float]:
    shares, correlations = [], []
    for day in source.calendar.between(start, end)[::_EVERY]:
        bars = source.read_day(day.astype(dt.date), ("intraday_bars",))["intraday_bars"]
        n_bars = bars["bar_end"].nunique()
        volume, close, first = (bars[name].to_numpy().reshape(-1, n_bars) for name in ("volume", "close", "open"))
        quarter = max(n_bars // 16, 1)
        share = (volume / volume.sum(axis=1, keepdims=True)).mean(axis=0)
        shares.append([share[: 2 * quarter].sum(), share[-2 * quarter:].sum(), share[6 * quarter: 8 * quarter].sum()])
        moves = np.diff(np.log(np.column_stack([first[:, 0], close])), axis=1)[:, 2 * quarter:]
        moves = moves[moves.std(axis=1) > 0]
        scaled = moves / moves.std(axis=0)
        correlations.append(np.corrcoef(scaled[:, 1:].ravel(), scaled[:, :-1].ravel())[0, 1])
    opening, closing, midday = np.mean(shares, axis=0)
    return {"opening_volume_share": float(opening), "closing_volume_share": float(closing), "midday_volume_share": float(midday),
            "bar_return_autocorrelation_1": float(np.mean(correlations))}
