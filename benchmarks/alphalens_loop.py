"""RankIC and layer returns of one factor against alphalens' own loops, written out again with pandas and scipy.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.alphalens_loop [n_stocks] [n_dates] [n_repeats]

alphalens-reloaded is not imported. Its ``factor_information_coefficient`` calls scipy's Spearman once for each date, its ``quantize_factor``
pandas' qcut, its ``mean_return_by_quantile`` groups by date and quantile; the same calls are made here on the same long table, without its
cleaning of the input and without its pictures. Layers are equal-weight means of the next return; the numbers must agree: the factor has no
ties and the number of stocks is a multiple of the number of layers, where quantiles by rank and by bounds coincide.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import numpy as np
import pandas as pd
import scipy.stats

from alpha_pipeline.factors.ic import rank_ic
from alpha_pipeline.factors.layers import layer_labels

N_LAYERS = 10
BAR = 10.0


def ours(factor: np.ndarray, returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RankIC (D,) and mean return by layer (D, layers), the highest factor first."""
    means = np.empty((len(factor), N_LAYERS))
    for date, (row, earned) in enumerate(zip(factor, returns, strict=True)):
        labels = layer_labels(row, N_LAYERS)
        means[date] = np.bincount(labels, weights=earned)[1:] / np.bincount(labels)[1:]
    return rank_ic(factor, returns), means


def alphalens_way(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The same by alphalens' calls; ``frame``: index (date, asset), columns factor and 1D."""
    dates = frame.index.get_level_values("date")
    quantile = frame.groupby(dates)["factor"].transform(lambda x: pd.qcut(x, N_LAYERS, labels=False) + 1).astype(int)
    spearman = frame.groupby(dates)[["factor", "1D"]].apply(lambda g: scipy.stats.spearmanr(g["1D"], g["factor"])[0])
    stats = frame.assign(factor_quantile=quantile).groupby([dates, "factor_quantile"])["1D"].agg(["mean", "std", "count"])
    return spearman.to_numpy(), stats["mean"].unstack().to_numpy()[:, ::-1]


def main(n_stocks: int = 500, n_dates: int = 250, n_repeats: int = 5) -> None:
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((n_dates, n_stocks))
    returns = 0.02 * rng.standard_normal(factor.shape) + 0.001 * factor
    index = pd.MultiIndex.from_product([pd.bdate_range("2020-01-01", periods=n_dates), range(n_stocks)], names=["date", "asset"])
    frame = pd.DataFrame({"factor": factor.ravel(), "1D": returns.ravel()}, index=index)
    ours(factor, returns)
    rounds = []
    for _ in range(n_repeats):
        began = time.perf_counter()
        mine = ours(factor, returns)
        between = time.perf_counter()
        theirs = alphalens_way(frame)
        rounds.append((between - began, time.perf_counter() - between))
    own, other = (1e3 * statistics.median(r[side] for r in rounds) for side in (0, 1))
    ratio = statistics.median(b / a for a, b in rounds)
    gap = max(float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True))
    print(f"{n_stocks} stocks, {n_dates} dates, {N_LAYERS} layers, {n_repeats} repeats, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"IC and layers  ours {own:8.1f} ms   alphalens' loops {other:8.1f} ms   ratio {ratio:6.1f} "
          f"({'meets' if ratio >= BAR else 'MISSES'} {BAR:.0f})   largest difference {gap:.1e}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
