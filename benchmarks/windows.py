"""What a lazily built window costs: a training step that builds its window against one that finds it in memory.

    python benchmarks/windows.py [--stocks 5000] [--dates 60] [--repeats 41]

Prints medians of interleaved repeats, the load of the machine, and the memory of the panel, of what :class:`Windows` keeps
beside it, and of the expanded windows that are not stored. The step is forward, loss, backward and Adam of the lightest
network that the tensor is meant for: GRU 6 → 30 with −IC (15-minute, daily, weekly), the GRU factor unit (rawbar, mschars), AlphaNet-v2
(alphanet), RNN with an orthogonal layer (chars_30m). Tensors of the daily panel are read out of a panel with all its fields, as the pipeline's is.
"""

from __future__ import annotations

import argparse
import os
import statistics as stats
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alpha_pipeline.features import rows
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS
from alpha_pipeline.features.tensors import ALPHANET, CHARS_30M, DAILY, INTRADAY_15M, MSCHARS, RAWBAR, WEEKLY, TensorSpec
from alpha_pipeline.features.windows import Windows, WindowStatistics
from alpha_pipeline.models.alphanet_v2 import AlphaNetV2
from alpha_pipeline.models.attention_rnn import AttentionRnn
from alpha_pipeline.models.contract import NetworkConfig
from alpha_pipeline.models.factor_gru import FactorGru
from alpha_pipeline.models.gru_daily import GruDaily
from alpha_pipeline.models.gru_intraday import GruIntraday
from alpha_pipeline.training.losses import factor_ic, negative_ic

NETWORKS: dict[str, NetworkConfig] = {
    "intraday_15m": GruIntraday(), "daily": GruDaily(), "weekly": GruDaily(tensor="weekly"),
    "rawbar": FactorGru(), "alphanet": AlphaNetV2(), "mschars": FactorGru(tensor="mschars"), "chars_30m": AttentionRnn(),
}
PANELS = {**rows.PANELS, **CHARACTERISTIC_PANELS}
"""A network that reads the tensor: the lightest of those it is meant for."""


def simulated_panel(spec: TensorSpec, n_dates: int, n_stocks: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    n_fields = len(PANELS[spec.panel].fields)
    values = rng.lognormal(2, 0.03, (n_dates, spec.steps_per_day, n_fields, n_stocks)).astype(np.float32)
    values[:, :, 5] = rng.integers(1, 1_000_000, (n_dates, spec.steps_per_day, n_stocks))
    return values


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(spec: TensorSpec, n_dates: int, n_stocks: int, repeats: int) -> None:
    n_dates = max(n_dates, spec.n_rows + 4)
    values = simulated_panel(spec, n_dates, n_stocks)
    opening = time.perf_counter()
    windows = Windows(spec, values, np.zeros((n_dates, n_stocks), dtype=bool), PANELS[spec.panel].fields)
    opening = time.perf_counter() - opening
    columns = np.arange(n_stocks)
    dates = list(range(spec.n_rows - 1, n_dates))[-5:]
    kept: dict[int, WindowStatistics] = {d: windows.statistics(d, columns) for d in dates}
    stored = windows.window(dates[0], columns, kept[dates[0]])
    memory = torch.empty_like(stored).flatten()  # as the training loop does: one batch overwrites the last
    config = NETWORKS[spec.name]
    network = config.build(torch.Generator().manual_seed(0)).train()
    optimizer = torch.optim.Adam(network.trainable(network.stage), lr=1e-3)
    label = torch.randn(n_stocks)

    def step(x_TFN: Tensor) -> None:
        output = network({spec.name: x_TFN})
        loss = factor_ic(output, label) if config.n_factors else negative_ic(output, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step(stored)
    times: dict[str, list[float]] = {"precomputed": [], "lazy": [], "window": [], "statistics": []}
    for repeat in range(repeats):
        date = dates[repeat % len(dates)]
        times["precomputed"].append(seconds(lambda: step(stored)))
        times["lazy"].append(seconds(lambda d=date: step(windows.window(d, columns, kept[d], memory=memory))))  # type: ignore[misc]
        times["window"].append(seconds(lambda d=date: windows.window(d, columns, kept[d], memory=memory)))  # type: ignore[misc]
        times["statistics"].append(seconds(lambda d=date: windows.statistics(d, columns)))  # type: ignore[misc]
    median = {name: stats.median(values_) for name, values_ in times.items()}
    kept_per_date = kept[dates[0]].n_bytes
    n_trained = n_dates / 5  # every fifth date is a sample
    total = windows.panel_bytes + windows.eligibility_bytes + n_trained * kept_per_date
    threads, load = torch.get_num_threads(), os.getloadavg()[0]
    per_window = stored.numel() * 4 / 2**20
    print(f"\n{spec.name}: {n_dates} dates x {n_stocks} stocks, {spec.n_steps} steps, load {load:.1f}, {threads} threads")
    print(f"  step, window precomputed     {1e3 * median['precomputed']:8.1f} ms")
    ratio, share = median["lazy"] / median["precomputed"], median["window"] / median["precomputed"]
    print(f"  step, window built lazily    {1e3 * median['lazy']:8.1f} ms   ratio {ratio:.3f} (bar 1.10)")
    print(f"  window alone                 {1e3 * median['window']:8.1f} ms   {share:.1%} of the step")
    print(f"  statistics, once per date    {1e3 * median['statistics']:8.1f} ms")
    print(f"  eligibility, once per panel  {1e3 * opening:8.1f} ms")
    print(f"  panel {windows.panel_bytes / 2**20:.0f} MiB; with eligibility and statistics {total / 2**20:.0f} MiB")
    print(f"  memory ratio {total / windows.panel_bytes:.3f} (bar 1.3)")
    print(f"  windows stored instead: {n_trained * per_window:.0f} MiB (every fifth date), {n_dates * per_window:.0f} MiB (all)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=5000)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=41)
    arguments = parser.parse_args()
    for spec in (INTRADAY_15M, DAILY, WEEKLY, RAWBAR, ALPHANET, MSCHARS, CHARS_30M):
        measure(spec, arguments.dates, arguments.stocks, arguments.repeats)


if __name__ == "__main__":
    main()
