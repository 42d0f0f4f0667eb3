"""A portfolio year by year in the layout of MULTIMODEL's tables: return, volatility and drawdown, absolute and against the benchmark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline import returns as series

METRICS = ("return", "volatility", "max_drawdown")


def yearly_performance(daily: pd.DataFrame) -> pd.DataFrame:
    """``basis`` (absolute, hedged), ``metric``, ``annual`` and one column per calendar year, such as ``2021``; six rows, decimals.

    ``daily`` : trade_date, portfolio_return, benchmark_return. Hedged is the daily difference, compounded. ``annual`` is the whole range,
    annualized; the return of a year is not annualized and a first or last year may be partial; volatility is annualized everywhere; drawdowns
    are positive, each from the peak since the beginning of its own stretch.

    Source: MULTIMODEL, figures 16 to 21.
    """
    days = pd.DatetimeIndex(daily["trade_date"])
    absolute = daily["portfolio_return"].to_numpy(dtype=np.float64)
    streams = {"absolute": absolute, "hedged": absolute - daily["benchmark_return"].to_numpy(dtype=np.float64)}
    rows = []
    for basis, stream in streams.items():
        stretches = {"annual": stream} | {str(year): stream[np.asarray(days.year == year)] for year in sorted(set(days.year))}
        found = {name: _three(values, is_year=name != "annual") for name, values in stretches.items()}
        rows += [{"basis": basis, "metric": metric} | {name: values[metric] for name, values in found.items()} for metric in METRICS]
    return pd.DataFrame(rows)


def mean_turnover_one_sided(rebalances: pd.DataFrame) -> float:
    """Half of the mean two-sided turnover of the rebalances without the first purchase; NaN when there is no other."""
    later = rebalances[~rebalances["is_first"].astype(bool)]
    return float(later["turnover_two_sided"].mean()) / 2.0 if len(later) else float("nan")


def _three(returns: npt.NDArray[np.float64], *, is_year: bool) -> dict[str, float]:
    nav = series.net_asset_value(returns)
    return {
        "return": float(nav[-1] - 1.0) if is_year else series.annualized_return(returns),
        "volatility": series.annualized_volatility(returns), "max_drawdown": series.max_drawdown(nav),
    }
