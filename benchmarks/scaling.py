"""How the cost of training grows with stocks and dates, and what the full MULTIFREQ job would take.

    python -m benchmarks.scaling                          # eight passes and the four networks at 5,000 stocks, some minutes
    python -m benchmarks.scaling --picture docs/images/scaling.png

A pass is one epoch of this package's engine over lazily built windows: window, forward, −IC, backward, Adam; medians of
``--repeats`` passes after one that warms up. An exponent of 1 in ``seconds ~ size^exponent`` is linear growth.

The full job is 5,000 stocks, training from 2013 on, half-years 2017H1 … 2023H1, four networks, three seeds. Its time is added up from
the measured samples per second of each network at 5,000 stocks and the exact number of training dates of each half-year;
``--epochs`` a stage is an assumption (the stages of the simulated market stopped after 20 to 50), validation costs a third of a
training sample, and every date of a half-year is scored once. What a GPU would take is *not* measured: it is the arithmetic of the job
at a stated share of a stated peak.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from alpha_pipeline.experiments.multifreq import MODELS, MULTIFREQ
from alpha_pipeline.features.rows import PANELS
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.market.calendar import exchange_sessions
from alpha_pipeline.models import Network, NetworkConfig
from alpha_pipeline.pipeline.training import min_history, network_config
from alpha_pipeline.training.batches import SampleSet
from alpha_pipeline.training.losses import negative_ic
from alpha_pipeline.training.periods import period_named
from benchmarks.windows import simulated_panel

STOCKS, DATES = (500, 1000, 2000, 4000), (5, 10, 20, 40)
PERIODS = [f"{year}H{half}" for year in range(2017, 2024) for half in (1, 2)][:13]
GPU_PEAK, GPU_SHARE = 67e12, 0.10  # float32 of an H100/H200, and the share assumed for small recurrences


@dataclass(frozen=True)
class Pass:
    """Seconds of one pass over ``n_samples``."""

    seconds: float
    n_samples: int

    @property
    def rate(self) -> float:
        return self.n_samples / self.seconds


def sample_set(names: tuple[str, ...], n_stocks: int, n_dates: int) -> SampleSet:
    """Random bars and labels; the numbers do not matter to a clock."""
    history = max(TENSORS[name].n_rows for name in names)
    n_days = history + n_dates - 1
    windows = {}
    for name in names:
        values = simulated_panel(TENSORS[name], n_days, n_stocks)
        windows[name] = Windows(TENSORS[name], values, np.zeros((n_days, n_stocks), dtype=bool), PANELS[TENSORS[name].panel].fields)
    label_DS = np.random.default_rng(1).normal(size=(n_days, n_stocks)).astype(np.float32)
    return SampleSet(windows, np.ones((n_days, n_stocks), dtype=bool), label_DS, range(history - 1, n_days))


def one_pass(network: Network, samples: SampleSet, optimizer: torch.optim.Optimizer) -> float:
    """Seconds of an epoch in the network's current stage."""
    frozen = None
    began = time.perf_counter()
    for batch in samples.cross_sections(network.stage.inputs, torch.device("cpu"), reuse_memory=True):
        if network.stage.inputs != network.stage.inputs_when_cached:
            frozen = torch.zeros(len(batch))  # kept from before in the engine, so its cost does not belong to the pass
        score = network(batch.inputs) if frozen is None else network(batch.inputs, frozen=frozen)
        loss = negative_ic(score, batch.label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


def measure(config: NetworkConfig, n_stocks: int, n_dates: int, repeats: int) -> list[Pass]:
    """One :class:`Pass` for each stage of the network."""
    network = config.build(torch.Generator().manual_seed(0))
    found = []
    for stage in network.stages():
        names = stage.inputs if stage.inputs == stage.inputs_when_cached else stage.inputs_when_cached
        samples = sample_set(stage.inputs, n_stocks, n_dates)
        network.enter(stage)
        network.train()
        optimizer = torch.optim.Adam(network.trainable(stage), lr=1e-3)
        assert set(names) <= set(samples.windows)
        one_pass(network, samples, optimizer)
        found.append(Pass(statistics.median(one_pass(network, samples, optimizer) for _ in range(repeats)), samples.n_samples))
    return found


def exponent(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """Slope of log seconds on log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def curve(config: NetworkConfig, repeats: int, stocks: tuple[int, ...] = STOCKS, dates: tuple[int, ...] = DATES) -> dict[str, list[float]]:
    """Seconds by number of stocks (10 dates) and by number of dates (1,000 stocks)."""
    by_stocks = [measure(config, n, 10, repeats)[0].seconds for n in stocks]
    by_dates = [measure(config, 1000, n, repeats)[0].seconds for n in dates]
    for title, sizes, seconds in (("stocks, 10 dates", stocks, by_stocks), ("dates, 1,000 stocks", dates, by_dates)):
        cells = "   ".join(f"{size:5d}: {s:7.3f} s" for size, s in zip(sizes, seconds, strict=True))
        print(f"  {title:20s} {cells}   exponent {exponent(sizes, seconds):.2f}", flush=True)
    return {"stocks": by_stocks, "dates": by_dates}


def full_job(n_stocks: int, epochs: int, repeats: int) -> None:
    """Print the estimate."""
    calendar = exchange_sessions("XSHG", dt.date(2013, 1, 4), dt.date(2023, 6, 30))
    total, flop = 0.0, 0.0
    print(f"\nFull MULTIFREQ job: {n_stocks:,} stocks, {len(PERIODS)} half-years, {len(MODELS)} networks, 3 seeds, {epochs} epochs a stage (assumed)")
    for model in MODELS:
        passes = measure(network_config(model), n_stocks, 3, repeats)
        plans = [model.walk.plan(period_named(name), calendar, min_history=min_history(model)) for name in PERIODS]
        n_train = sum(len(plan.train_dates) for plan in plans) * n_stocks
        n_valid = sum(len(plan.valid_dates) for plan in plans) * n_stocks
        n_scored = len(calendar.between(MULTIFREQ.start, MULTIFREQ.end)) * n_stocks
        per_seed = sum((epochs * (n_train + n_valid / 3)) / found.rate for found in passes) + n_scored / (3 * min(p.rate for p in passes))
        seconds = per_seed * len(model.seeds)
        total += seconds
        for tensor, stage in zip(model.tensors if len(passes) > 1 else [model.tensors], passes, strict=False):
            names = (tensor,) if isinstance(tensor, str) else tensor
            steps = sum(TENSORS[name].n_steps for name in names)
            flop += 18 * 30 * 36 * steps * epochs * (n_train + n_valid / 3) * len(model.seeds)
            print(f"  {model.name:18s} {' + '.join(names):22s} {stage.rate:9,.0f} samples/s", flush=True)
        print(f"  {model.name:18s} {n_train / 1e6:7.1f} M training samples an epoch over all half-years   {seconds / 3600:7.1f} h on two cores")
    panel = sum(4 * TENSORS[name].steps_per_day * 6 * n_stocks * len(calendar) for name in ("daily", "intraday_15m"))
    print(f"  all four: {total / 3600:.0f} h on two cores; {flop / 1e15:.0f} PFLOP, on one GPU at {GPU_SHARE:.0%} of {GPU_PEAK / 1e12:.0f} TFLOP/s "
          f"(assumed, not measured) {flop / GPU_PEAK / GPU_SHARE / 3600:.1f} h")
    print(f"  memory: panels {panel / 2**30:.1f} GiB, memory-mapped on a CPU (read as needed), resident on a GPU; a batch of {n_stocks:,} windows "
          f"{4 * 1920 * n_stocks / 2**20:.0f} MiB")


def picture(found: dict[str, list[float]], path: Path) -> None:
    """Both curves with the straight line through the largest size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    for axis, name, sizes in zip(axes, ("stocks", "dates"), (STOCKS, DATES), strict=True):
        axis.plot(sizes, [found[name][-1] / sizes[-1] * size for size in sizes], color="0.7", label="linear")
        axis.plot(sizes, found[name], "o", color="tab:blue", label="measured")
        axis.set_xlabel(f"{name} ({'10 dates' if name == 'stocks' else '1,000 stocks'})")
        axis.set_ylabel("seconds per epoch")
        axis.set_xlim(0), axis.set_ylim(0)
        axis.legend(frameon=False)
    figure.suptitle("GRU-15m, one epoch on two CPU cores", fontsize=10)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stocks", type=int, default=5000, help="of the full job")
    parser.add_argument("--epochs", type=int, default=40, help="of the full job, a stage")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"GRU-15m, one epoch, {options.threads} threads, {options.repeats} repeats, load {os.getloadavg()[0]:.2f}", flush=True)
    found = curve(network_config(MODELS[0]), options.repeats)
    if options.picture:
        picture(found, options.picture)
    full_job(options.stocks, options.epochs, options.repeats)


if __name__ == "__main__":
    main()
