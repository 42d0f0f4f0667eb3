"""Neutralisation and RankIC against the pandas groupby that one would write first; layers and tests for scale.

    python benchmarks/factor_tests.py [n_stocks] [n_dates] [n_repeats]

Prints milliseconds per date (medians of interleaved repeats), the ratio and the largest difference of the two results.
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

from alpha_pipeline.factors.ic import rank_ic
from alpha_pipeline.factors.neutralize import neutralize

N_INDUSTRIES = 31
BARS = {"neutralize": 50.0, "rank_ic": 15.0}


def main(n_stocks: int = 5000, n_dates: int = 250, n_repeats: int = 3) -> None:
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
    pandas_way: dict[str, Callable[[], np.ndarray]] = {
        "neutralize": lambda: frame.groupby("date", group_keys=False)[frame.columns.tolist()].apply(_neutralize_one)
        .sort_index().to_numpy().reshape(n_pandas, n_stocks),
        "rank_ic": lambda: frame.groupby("date")[["factor", "returns"]].apply(
            lambda g: g["factor"].corr(g["returns"], method="spearman")).to_numpy(),
    }
    print(f"{n_stocks} stocks, {n_dates} dates ({n_pandas} for pandas), {N_INDUSTRIES} industries, {n_repeats} repeats, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in ours:
        times: dict[str, list[float]] = {"ours": [], "pandas": []}
        for _ in range(n_repeats):
            got, seconds = _timed(ours[name])
            times["ours"].append(1e3 * seconds / n_dates)
            expected, seconds = _timed(pandas_way[name])
            times["pandas"].append(1e3 * seconds / n_pandas)
        mine, theirs = statistics.median(times["ours"]), statistics.median(times["pandas"])
        difference = np.nanmax(np.abs(got[:n_pandas] - expected))
        verdict = "meets" if theirs / mine >= BARS[name] else "MISSES"
        print(f"{name:11s} ours {mine:7.3f} ms/date   pandas {theirs:7.2f} ms/date   ratio {theirs / mine:6.1f} "
              f"({verdict} {BARS[name]:.0f})   largest difference {difference:.1e}")


def _neutralize_one(group: pd.DataFrame) -> pd.Series:
    """One date the usual way: clip at 3 robust deviations, dummies and ln cap into least squares, standardise the residual."""
    used = group.dropna(subset=["factor", "log_cap"])
    center = used["factor"].median()
    width = 3 * 1.4826 * (used["factor"] - center).abs().median()
    clipped = used["factor"].clip(center - width, center + width)
    design = pd.get_dummies(used["industry"], dtype=float).assign(log_cap=used["log_cap"]).to_numpy()
    residual = clipped - design @ np.linalg.lstsq(design, clipped.to_numpy(), rcond=None)[0]
    return ((residual - residual.mean()) / residual.std(ddof=0)).reindex(group.index)


def _timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
