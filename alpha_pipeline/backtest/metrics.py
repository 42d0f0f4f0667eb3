"""Performance metrics as the published tables define them: 252 days a year, risk-free rate 0, decimals throughout.

Excess is the daily difference r_p − r_b, compounded; it is not the ratio of the two NAVs. The definitions are pinned down by an
identity (:func:`implied_excess_return`) that the rows of the published tables satisfy to 0.02 %.

Source: MULTIFREQ, figures 36, 40, 44 and 48 (columns), 37 and 41 (yearly tables).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline import returns as series
from alpha_pipeline.errors import MissingData, NotEnoughData, sentence

SUMMARY_COLUMNS = (
    "annualized_return", "annualized_volatility", "sharpe", "max_drawdown", "annualized_excess_return", "tracking_error",
    "excess_max_drawdown", "information_ratio", "calmar", "monthly_win_rate", "mean_turnover_two_sided",
    "benchmark_annualized_return", "benchmark_annualized_volatility", "n_days",
)  # fmt: skip

Floats = npt.NDArray[np.float64]


def annualized_return(returns: npt.ArrayLike) -> float:
    """(Π(1+r))^(252/n) − 1 of daily decimals.

    >>> round(annualized_return([0.001] * 252), 4)
    0.2864
    """
    return series.annualized_return(_daily(returns, 1))


def annualized_volatility(returns: npt.ArrayLike) -> float:
    """std(r, ddof=1)·√252 of daily decimals; of excess returns it is the tracking error."""
    return series.annualized_volatility(_daily(returns, 2))


def ratio(gain: float, risk: float) -> float:
    """gain / risk; NaN when there is no risk, because no ratio is then meaningful."""
    return gain / risk if risk > 0.0 else math.nan


def drawdowns(returns: npt.ArrayLike) -> Floats:
    """(n,) share of the running peak that is lost at each close, at least 0; the NAV of 1 before the first day counts as a peak.

    >>> drawdowns([0.10, -0.10, 0.05]).round(4).tolist()
    [0.0, 0.1, 0.055]
    """
    nav = series.net_asset_value(_daily(returns, 1))
    return np.asarray(1.0 - nav / np.maximum(np.maximum.accumulate(nav), 1.0))


def max_drawdown(returns: npt.ArrayLike) -> float:
    """Largest drawdown, a positive decimal."""
    return float(drawdowns(returns).max())


def monthly_win_rate(excess_returns: npt.ArrayLike, trade_dates: npt.ArrayLike) -> float:
    """Share of calendar months (partial ones count) with a compounded excess return above 0."""
    excess = _daily(excess_returns, 1)
    return series.monthly_win_rate(excess, np.zeros(len(excess)), np.asarray(trade_dates, dtype="datetime64[s]"))


def implied_excess_return(
    annual_return: float, volatility: float, benchmark_return: float, benchmark_volatility: float, tracking_error: float
) -> float:
    """The annualized excess return that a row of a published table implies by its other columns.

    With g(x) = ln(1+x): g(excess) ≈ g(R_p) − g(R_b) + (σ_p² − σ_b²)/2 − TE²/2, to second order in daily returns.

    >>> round(implied_excess_return(0.2711, 0.2450, 0.0400, 0.2600, 0.0652), 4)
    0.215
    """
    log = (
        math.log1p(annual_return)
        - math.log1p(benchmark_return)
        + (volatility**2 - benchmark_volatility**2) / 2
        - tracking_error**2 / 2
    )
    return math.expm1(log)


def performance_summary(daily: pd.DataFrame) -> dict[str, float]:
    """:data:`SUMMARY_COLUMNS` of a ``daily`` table (columns trade_date, portfolio_return, benchmark_return; optional
    turnover_two_sided and is_rebalance).

    Drawdowns are positive; Calmar = annualized excess return / excess maximum drawdown; a ratio without risk is NaN. Mean
    turnover is two-sided, over rebalances (the first purchase from cash is none), NaN when the table has no turnover.

    Raises
    ------
    MissingData
        A return is missing.
    NotEnoughData
        Fewer than two days.
    """
    portfolio, benchmark = _daily(daily["portfolio_return"], 2), _daily(daily["benchmark_return"], 2)
    excess = portfolio - benchmark
    gain, volatility = annualized_return(portfolio), annualized_volatility(portfolio)
    excess_gain, tracking_error, excess_fall = annualized_return(excess), annualized_volatility(excess), max_drawdown(excess)
    values = (
        gain, volatility, ratio(gain, volatility), max_drawdown(portfolio), excess_gain, tracking_error, excess_fall,
        ratio(excess_gain, tracking_error), ratio(excess_gain, excess_fall), monthly_win_rate(excess, daily["trade_date"]),
        _mean_turnover(daily), annualized_return(benchmark), annualized_volatility(benchmark), float(len(daily)),
    )  # fmt: skip
    return dict(zip(SUMMARY_COLUMNS, values, strict=True))


def yearly_table(daily: pd.DataFrame) -> pd.DataFrame:
    """One row per calendar year: compounded returns, drawdowns within the year, days, and ``is_partial``.

    A year that starts after 5 January or ends before 28 December is partial: a year of XSHG always reaches both.
    """
    dates = pd.DatetimeIndex(daily["trade_date"])
    portfolio, benchmark = _daily(daily["portfolio_return"], 1), _daily(daily["benchmark_return"], 1)
    rows = []
    for year in sorted(set(dates.year)):
        inside = np.asarray(dates.year == year)
        first, last = dates[inside].min(), dates[inside].max()
        excess = portfolio[inside] - benchmark[inside]
        rows.append(
            {
                "year": int(year),
                "portfolio_return": float(np.prod(1.0 + portfolio[inside]) - 1.0),
                "benchmark_return": float(np.prod(1.0 + benchmark[inside]) - 1.0),
                "excess_return": float(np.prod(1.0 + excess) - 1.0),
                "max_drawdown": max_drawdown(portfolio[inside]),
                "excess_max_drawdown": max_drawdown(excess),
                "n_days": int(inside.sum()),
                "is_partial": bool((first.month, first.day) > (1, 5) or (last.month, last.day) < (12, 28)),
            }
        )
    return pd.DataFrame(rows)


def drawdown_table(returns: npt.ArrayLike, trade_dates: npt.ArrayLike, n_largest: int = 5) -> pd.DataFrame:
    """The ``n_largest`` drawdowns: depth (positive decimal), dates of peak, trough and recovery, lengths in sessions.

    ``peak`` is NaT when the fall starts from the NAV of 1 before the first day; ``recovery`` is NaT when it has not ended.
    """
    depth = drawdowns(returns)
    dates = pd.DatetimeIndex(np.asarray(trade_dates, dtype="datetime64[s]"))
    under = np.concatenate([[False], depth > 1e-12, [False]])
    starts, ends = np.flatnonzero(~under[:-1] & under[1:]), np.flatnonzero(under[:-1] & ~under[1:])
    rows = []
    for start, end in zip(starts, ends, strict=True):
        trough = start + int(np.argmax(depth[start:end]))
        rows.append(
            {
                "depth": float(depth[trough]),
                "peak": dates[start - 1] if start > 0 else pd.NaT,
                "trough": dates[trough],
                "recovery": dates[end] if end < len(depth) else pd.NaT,
                "n_days_to_trough": trough - start + 1,
                "n_days": int(end - start) + (1 if end < len(depth) else 0),
            }
        )
    columns = ["depth", "peak", "trough", "recovery", "n_days_to_trough", "n_days"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("depth", ascending=False, kind="stable").head(n_largest).reset_index(drop=True)


def turnover_two_sided(new_weights: npt.ArrayLike, drifted_weights: npt.ArrayLike) -> float:
    """Σ|w_new − w_drifted|, decimals.

    >>> turnover_two_sided([0.5, 0.5, 0.0], [0.5, 0.25, 0.25])
    0.5
    """
    return float(np.abs(np.asarray(new_weights, dtype=float) - np.asarray(drifted_weights, dtype=float)).sum())


def turnover_one_sided(new_weights: npt.ArrayLike, drifted_weights: npt.ArrayLike) -> float:
    """Half of :func:`turnover_two_sided`."""
    return turnover_two_sided(new_weights, drifted_weights) / 2.0


def _daily(returns: npt.ArrayLike, least: int) -> Floats:
    values = np.asarray(returns, dtype=float)
    if len(values) < least:
        raise NotEnoughData(sentence("too few daily returns", got=len(values), expected=f"at least {least}"))
    if not bool(np.isfinite(values).all()):
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise MissingData(
            sentence("daily return is missing", where=f"row {first}", got=values[first], next_step="Metrics never skip a day.")
        )
    return values


def _mean_turnover(daily: pd.DataFrame) -> float:
    if not {"turnover_two_sided", "is_rebalance"} <= set(daily.columns):
        return math.nan
    is_rebalance = daily["is_rebalance"].to_numpy(dtype=bool)
    turnover = daily["turnover_two_sided"].to_numpy(dtype=float)[is_rebalance]
    return float(turnover.mean()) if len(turnover) else math.nan
