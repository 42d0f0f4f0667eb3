"""Training an ensemble: members one after another, together in one pass, and stacked under vmap.

    python -m benchmarks.ensemble                         # three members, 500 stocks, 40 daily steps, two threads
    python -m benchmarks.ensemble --stocks 4000 --members 5

``separate`` trains every member alone, so each builds its own windows; ``one_by_one`` builds the windows of a batch once and gives
each member its step (the same bits); ``stacked`` runs all members in one call. On the CPU stacking needs the plain torch path of the
recurrent layer, because the fused kernel has no rule for vmap: it is compared with ``one_by_one`` on that path as well. Contenders
take turns within every repeat; the ratio is the median over repeats. Nothing here was measured on a GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from unittest import mock

import numpy as np
import torch

from alpha_pipeline.features.tensors import TensorSpec
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.models.gru_daily import GruDaily
from alpha_pipeline.training.batches import SampleSet
from alpha_pipeline.training.fit import Members, TrainingSpec, train_model

FIELDS = ("open", "high", "low", "close", "vwap", "volume")
CONTENDERS: dict[str, tuple[Literal["separate", "together"], Members, bool]] = {
    "separate": ("separate", "one_by_one", True),
    "one_by_one": ("together", "one_by_one", True),
    "one_by_one, plain torch": ("together", "one_by_one", False),
    "stacked, plain torch": ("together", "stacked", False),
}


def samples(n_steps: int, n_stocks: int, n_train: int, n_valid: int) -> tuple[SampleSet, SampleSet]:
    """Training and validation dates of a random walk with random labels."""
    rng = np.random.default_rng(0)
    n_dates = n_steps + n_train + n_valid
    values = np.exp(rng.normal(0, 0.02, (n_dates, 1, 6, n_stocks)).cumsum(axis=0)).astype(np.float32)
    spec = TensorSpec("daily", "daily", n_days=n_steps, steps_per_day=1, fields=FIELDS, scale="last")
    windows = {"daily": Windows(spec, values, np.zeros((n_dates, n_stocks), dtype=bool), FIELDS)}
    universe, labels = np.ones((n_dates, n_stocks), dtype=bool), rng.normal(size=(n_dates, n_stocks))
    first, last = range(n_steps, n_steps + n_train), range(n_steps + n_train, n_dates)
    return SampleSet(windows, universe, labels, first), SampleSet(windows, universe, labels, last)


@contextmanager
def recurrent_path(fused: bool) -> Iterator[None]:
    """With the fused kernels, or as if numba were not installed."""
    if fused:
        yield
    else:
        with mock.patch.dict(sys.modules, {"numba": None}):
            yield


def seconds(parts: tuple[SampleSet, SampleSet], spec: TrainingSpec, n_members: int, how: str, members: Members, fused: bool) -> float:
    """Wall time of training the ensemble."""
    with tempfile.TemporaryDirectory() as folder, recurrent_path(fused):
        groups = [(seed,) for seed in range(n_members)] if how == "separate" else [tuple(range(n_members))]
        began = time.perf_counter()
        for seeds in groups:
            train_model(GruDaily(), *parts, spec, seeds, Path(folder), torch.device("cpu"), members=members)
        return time.perf_counter() - began


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--stocks", type=int, default=500)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--dates", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = samples(options.steps, options.stocks, options.dates, 3)
    spec = TrainingSpec(max_epochs=options.epochs, patience=options.epochs)
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for repeat in range(options.repeats + 1):
        for name, (how, members, fused) in CONTENDERS.items():
            taken = seconds(parts, spec, options.members, how, members, fused)
            if repeat:  # the first round warms up and compiles
                found[name].append(taken)
    print(f"{options.members} members, {options.stocks} stocks, {options.steps} steps, {options.dates} dates, {options.epochs} epochs, "
          f"{options.threads} threads, load {os.getloadavg()[0]:.2f}, {options.repeats} repeats")
    for name, taken in found.items():
        ratio = statistics.median(other / own for other, own in zip(found["separate"], taken, strict=True))
        print(f"  {name:26s} {statistics.median(taken):8.3f} s   separate / it {ratio:6.2f} x")
    plain = [a / b for a, b in zip(found["one_by_one, plain torch"], found["stacked, plain torch"], strict=True)]
    print(f"  stacking on plain torch: one_by_one / stacked {statistics.median(plain):.2f} x")


if __name__ == "__main__":
    main()
