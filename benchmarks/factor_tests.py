"""Neutralisation and RankIC against the pandas groupby that one would write first; layers and tests for scale.

    OPENBLAS_NUM_THREADS=1 python benchmarks/factor_tests.py [n_stocks] [n_dates] [n_repeats]

Prints milliseconds per date by the clock (medians of interleaved repeats), the ratio and the largest difference of the two
results. Ours uses all cores, pandas one, so the machine should be quiet; the load is printed.
The pandas side runs on fewer dates, because it is slow; time per date does not depend on their number.
Bars: neutralisation at least 50 times, RankIC at least 15 times as fast as pandas, same numbers.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import statsmodels.api as sm

from alpha_pipeline.factors.ic import rank_ic
from alpha_pipeline.factors.neutralize import neutralize

N_INDUSTRIES = 31
BARS = {"neutralize": 50.0, "rank_ic": 15.0}


def main(n_stocks: int = 5000, n_dates: int = 250, n_repeats: int = 5) -> None:
    rng = np.random.default_rng(0)
    n_pandas = min(n_dates, 10)
    factor = rng.standard_t(4, size=(n_dates, n_stocks))
    factor[rng.random(factor.shape) < 0.03] = np.nan
    returns = 0.02 * rng.normal(size=factor.shape) + 0.001 * np.nan_to_num(factor)
    returns[rng.random(factor.shape) < 0.01] = np.nan
    industry = np.broadcast_to(rng.integers(0, N_INDUSTRIES, n_stocks), factor.shape).copy()
    log_cap = 22 + rng.normal(size=factor.shape)
    days = np.repeat(np.arange(n_pandas), n_stocks)
    frame = pd.DataFrame({
        "date": days, "factor": factor[:n_pandas].ravel(), "returns": returns[:n_pandas].ravel(),
        "industry": industry[:n_pandas].ravel(), "log_cap": log_cap[:n_pandas].ravel(),
    })
    ours: dict[str, Callable[[], np.ndarray]] = {
        "neutralize": lambda: neutralize(factor, industry, log_cap).values,
        "rank_ic": lambda: rank_ic(factor, returns),
    }
    columns = list(frame.columns)

    def by_date(solve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        groups = frame.groupby("date", group_keys=False)[columns]
        return groups.apply(lambda g: _neutralize_one(g, solve)).sort_index().to_numpy().reshape(n_pandas, n_stocks)

    def ranked_first() -> np.ndarray:
        complete = frame.dropna(subset=["factor", "returns"])
        ranks = complete.groupby("date")[["factor", "returns"]].rank()
        return ranks.groupby(complete["date"]).apply(lambda g: g["factor"].corr(g["returns"])).to_numpy()

    pandas_ways: dict[tuple[str, str], Callable[[], np.ndarray]] = {
        ("neutralize", "lstsq"): lambda: by_date(lambda x, y: y - x @ np.linalg.lstsq(x, y, rcond=None)[0]),
        ("neutralize", "statsmodels"): lambda: by_date(lambda x, y: sm.OLS(y, x).fit().resid),
        ("rank_ic", "corr(spearman)"): lambda: frame.groupby("date")[["factor", "returns"]].apply(
            lambda g: g["factor"].corr(g["returns"], method="spearman")).to_numpy(),
        ("rank_ic", "rank, then corr"): ranked_first,
    }
    print(f"{n_stocks} stocks, {n_dates} dates ({n_pandas} for pandas), {N_INDUSTRIES} industries, {n_repeats} repeats, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for (name, way), theirs_way in pandas_ways.items():
        times: dict[str, list[float]] = {"ours": [], "pandas": []}
        for _ in range(n_repeats):
            got, seconds = _timed(ours[name])
            times["ours"].append(1e3 * seconds / n_dates)
            expected, seconds = _timed(theirs_way)
            times["pandas"].append(1e3 * seconds / n_pandas)
        mine, theirs = statistics.median(times["ours"]), statistics.median(times["pandas"])
        difference = np.nanmax(np.abs(got[:n_pandas] - expected))
        verdict = "meets" if theirs / mine >= BARS[name] else "MISSES"
        print(f"{name:10s} ours {mine:6.3f} ms/date   pandas groupby, {way:15s} {theirs:6.2f} ms/date   "
              f"ratio {theirs / mine:6.1f} ({verdict} {BARS[name]:.0f})   largest difference {difference:.1e}")


def _neutralize_one(group: pd.DataFrame, solve: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> pd.Series:
    """One date the usual way: clip at 3 robust deviations, dummies and ln cap into least squares, standardise the residual."""
    used = group.dropna(subset=["factor", "log_cap"])
    center = used["factor"].median()
    width = 3 * 1.4826 * (used["factor"] - center).abs().median()
    clipped = used["factor"].clip(center - width, center + width)
    design = pd.get_dummies(used["industry"], dtype=float).assign(log_cap=used["log_cap"]).to_numpy()
    residual = pd.Series(solve(design, clipped.to_numpy()), index=used.index)
    return ((residual - residual.mean()) / residual.std(ddof=0)).reindex(group.index)


def _timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
