"""A factor in the columns of ATTENTION's tables: weekly IC, long and short excess, autocorrelation, turnover of its best names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.diagnostics.factor_exposure import extremes
from alpha_pipeline.errors import Misaligned, sentence
from alpha_pipeline.factors.ic import ic
from alpha_pipeline.factors.turnover import factor_autocorrelation

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TOP_SHARE = 0.10
WEEKS_PER_YEAR = 52


def weekly_series(
    factor: npt.ArrayLike, returns: npt.ArrayLike, dates: npt.ArrayLike, pool: BoolArray, share: float = TOP_SHARE
) -> pd.DataFrame:
    """One row per test date: trade_date, ic (Pearson), long_excess, short_excess, long_short, turnover_one_sided.

    ``factor`` : (T, S) at the test dates' closes. ``returns`` : (T, S) of the week that follows each, decimals, NaN where unknown.
    ``pool`` : (T, S) names tested (universe and **test-only** filter, tradable on the next session). Long and short are the equal-weight
    mean returns of the top and bottom ``share`` minus that of the pool; long_short their difference. turnover_one_sided is the share of the
    top names that were not among the top names of the test date before; NaN on the first. A date without returns has NaN throughout,
    turnover apart.

    Source: ATTENTION, tables 1 to 6. The report does not say whether its IC is ranked; it is taken as Pearson *(ours)*.
    """
    values, moves = np.asarray(factor, dtype=np.float64), np.asarray(returns, dtype=np.float64)
    days = np.asarray(dates).astype("datetime64[D]").astype("datetime64[s]")
    if values.shape != moves.shape or values.shape != np.shape(pool) or len(days) != len(values):
        raise Misaligned(sentence("returns, pool and dates must fit the factor", where="weekly_series",
                                  got=(moves.shape, np.shape(pool), days.shape), expected=values.shape))
    top, bottom = extremes(values, share, mask=pool)
    base = _mean(moves, pool & ~np.isnan(values))
    long, short = _mean(moves, top) - base, _mean(moves, bottom) - base
    n_top = top[1:].sum(axis=1)
    entered = np.divide((top[1:] & ~top[:-1]).sum(axis=1), n_top, out=np.full(len(n_top), np.nan), where=n_top > 0)
    return pd.DataFrame({
        "trade_date": days, "ic": ic(values, moves, mask=pool), "long_excess": long, "short_excess": short, "long_short": long - short,
        "turnover_one_sided": np.concatenate([[np.nan], entered]) if len(days) else np.zeros(0),
    })


def weekly_row(weeks: pd.DataFrame, autocorrelation: npt.ArrayLike, periods_per_year: float = WEEKS_PER_YEAR) -> dict[str, float]:
    """The columns of the published table from :func:`weekly_series` and the (T − 1,) autocorrelations.

    ic_mean, icir_annualized = mean / std · √periods_per_year (divisor n − 1), ic_win_rate, long_excess, short_excess, long_short,
    autocorrelation, top_turnover_one_sided; each a mean over the test dates that have the number.

    >>> weeks = pd.DataFrame({"ic": [0.1, 0.2], "long_excess": [0.0, 0.01], "short_excess": 0.0, "long_short": 0.0,
    ...                       "turnover_one_sided": [np.nan, 0.5]})
    >>> row = weekly_row(weeks, [0.3])
    >>> round(row["ic_mean"], 4), round(row["icir_annualized"], 4), row["long_excess"], row["top_turnover_one_sided"]
    (0.15, 15.2971, 0.005, 0.5)
    """
    known, memory = weeks["ic"].dropna().to_numpy(), np.asarray(autocorrelation, dtype=np.float64)
    std = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    mean = float(known.mean()) if len(known) else float("nan")
    return {
        "ic_mean": mean, "icir_annualized": mean / std * float(np.sqrt(periods_per_year)) if std > 0 else float("nan"),
        "ic_win_rate": float((known > 0).mean()) if len(known) else float("nan"),
        **{name: float(weeks[name].mean()) for name in ("long_excess", "short_excess", "long_short")},
        "autocorrelation": float(memory[~np.isnan(memory)].mean()) if np.isfinite(memory).any() else float("nan"),
        "top_turnover_one_sided": float(weeks["turnover_one_sided"].mean()),
    }


def yearly_long_excess(weeks: pd.DataFrame) -> pd.DataFrame:
    """year, long_excess: Σ of the weekly long excess of the year's test dates *(ours: sum, not compounded; the report does not say)*."""
    known = weeks.dropna(subset=["long_excess"])
    total = known["long_excess"].groupby(pd.DatetimeIndex(known["trade_date"]).year).sum()
    return pd.DataFrame({"year": total.index.astype(int), "long_excess": total.to_numpy()})


def factor_memory(factor: npt.ArrayLike, pool: BoolArray) -> FloatArray:
    """(T − 1,) rank correlation of each test date's factor with that of the test date before."""
    return factor_autocorrelation(factor, mask=pool)


def _mean(values: FloatArray, mask: BoolArray) -> FloatArray:
    counts = mask & ~np.isnan(values)
    n = counts.sum(axis=1)
    total = np.where(counts, values, 0.0).sum(axis=1)
    return np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)
