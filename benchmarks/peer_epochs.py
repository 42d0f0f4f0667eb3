"""Whole training epochs of one GRU: this package's engine against the training loop of qlib's ``pytorch_gru_ts``.

    python -m benchmarks.peer_epochs                                    # 600 stocks, 60 dates of 20 × 16 bars
    python -m benchmarks.peer_epochs --stocks 300 --dates 20 --rounds 1 # a look

The peer is re-measured here, not imported: a ``TSDataSampler``-like data set that gathers one sample at a time from the expanded
windows, torch's ``DataLoader`` (shuffled, batch 2,000 as in qlib, in the process itself as its ``n_jobs = 0``), ``nn.GRU``
(batch first) + ``Linear``, mean squared error, gradient values clipped at 3, Adam; see qlib/contrib/model/pytorch_gru_ts.py, 0.9.7.
It sees the same standardized windows, which it has to hold expanded because every window has its own divisor and its own
cross-section. Ours trains GRU-15m (batch norm and −IC besides) from lazily built windows. Each side runs in a process of its own,
in turn; memory is the peak above the process after its imports, its data included. An epoch here is the pass over the training
samples without validation, on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from alpha_pipeline.features.tensors import INTRADAY_15M
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.models.gru_intraday import GruIntraday
from alpha_pipeline.training.batches import SampleSet
from alpha_pipeline.training.fit import TrainingSpec, train_model

SPEC = INTRADAY_15M
HIDDEN = 30


def random_walks(n_dates: int, n_stocks: int) -> np.ndarray:
    """(D, 16, 6, S) float32 bars of independent random walks; the numbers do not matter to a clock."""
    rng = np.random.default_rng(0)
    values = np.empty((n_dates, SPEC.steps_per_day, SPEC.n_fields, n_stocks), dtype=np.float32)
    level = np.zeros(n_stocks)
    for day in values:
        moves = rng.normal(0, 0.005, (SPEC.steps_per_day, n_stocks)).cumsum(axis=0) + level
        level = moves[-1]
        day[:, :5] = 10 * np.exp(moves[:, None] + rng.normal(0, 0.002, (SPEC.steps_per_day, 5, n_stocks)))
        day[:, 5] = rng.integers(1, 1_000_000, (SPEC.steps_per_day, n_stocks))
    return values


def make_windows(n_dates: int, n_stocks: int) -> tuple[Windows, list[int]]:
    """Windows over the bars, and the dates that train."""
    n_days = n_dates + SPEC.n_days - 1
    windows = Windows(SPEC, random_walks(n_days, n_stocks), np.zeros((n_days, n_stocks), dtype=bool))
    return windows, list(range(SPEC.n_days - 1, n_days))


def labels(n_days: int, n_stocks: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n_days, n_stocks)).astype(np.float32)


class ExpandedWindows(Dataset[tuple[Tensor, Tensor]]):
    """Every sample's window (T, F) and label, expanded."""

    def __init__(self, windows: Windows, dates: list[int], label_DS: np.ndarray) -> None:
        columns = np.arange(windows.n_stocks)
        self.x = torch.empty(len(dates), windows.n_stocks, SPEC.n_steps, SPEC.n_fields)
        for at, date in enumerate(dates):
            self.x[at] = windows.window(date, columns).permute(2, 0, 1)
        self.x = self.x.flatten(0, 1)
        self.y = torch.from_numpy(label_DS[dates]).flatten()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        return self.x[at], self.y[at]


class PeerGRU(nn.Module):
    """The network of qlib's ``pytorch_gru_ts``."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(SPEC.n_fields, HIDDEN, batch_first=True)
        self.fc_out = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.rnn(x)
        return self.fc_out(out[:, -1, :]).squeeze(-1)


def peer_epochs(n_dates: int, n_stocks: int, epochs: int) -> list[float]:
    """Seconds of each epoch of the peer's loop."""
    windows, dates = make_windows(n_dates, n_stocks)
    data = ExpandedWindows(windows, dates, labels(windows.n_dates, n_stocks))
    loader = DataLoader(data, batch_size=2000, shuffle=True, drop_last=True)
    torch.manual_seed(0)
    network = PeerGRU()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    seconds = []
    for _ in range(epochs):
        began = time.perf_counter()
        network.train()
        for x, y in loader:
            loss = (network(x) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(network.parameters(), 3.0)
            optimizer.step()
        seconds.append(time.perf_counter() - began)
    return seconds


def our_epochs(n_dates: int, n_stocks: int, epochs: int) -> list[float]:
    """Seconds of each epoch of this package's loop, as it logs them."""
    windows, dates = make_windows(n_dates, n_stocks)
    universe, label_DS = np.ones((windows.n_dates, n_stocks), dtype=bool), labels(windows.n_dates, n_stocks)
    named = {SPEC.name: windows}
    train, valid = SampleSet(named, universe, label_DS, dates), SampleSet(named, universe, label_DS, dates[-1:])
    spec = TrainingSpec(max_epochs=epochs, patience=epochs)
    with tempfile.TemporaryDirectory() as folder:
        (member,) = train_model(GruIntraday(n_hidden=HIDDEN), train, valid, spec, [0], Path(folder), torch.device("cpu"))
    return [row.seconds for row in member.history]


def measure(side: str, n_dates: int, n_stocks: int, epochs: int) -> dict[str, float]:
    """Median seconds of an epoch after the first (which compiles and touches memory), and the peak above the imports in MiB."""
    run = {"ours": our_epochs, "peer": peer_epochs}[side]
    run(2, 32, 1)  # libraries, compiled code
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = run(n_dates, n_stocks, epochs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": statistics.median(seconds[1:] or seconds), "memory": (peak - before) / 1024}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=600)
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only:
        print(json.dumps(measure(options.only, options.dates, options.stocks, options.epochs)))
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    sizes = ["--stocks", str(options.stocks), "--dates", str(options.dates), "--epochs", str(options.epochs), "--threads", str(options.threads)]
    for _ in range(options.rounds):
        for side, results in found.items():
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peer_epochs", "--only", side, *sizes]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
    n_samples = options.stocks * options.dates
    print(f"{n_samples:,} samples of {SPEC.n_steps} × {SPEC.n_fields}, GRU {SPEC.n_fields} -> {HIDDEN}, {options.threads} threads, "
          f"{options.rounds} rounds of {options.epochs} epochs, load {os.getloadavg()[0]:.2f}")
    middle = {side: {name: statistics.median(row[name] for row in rows) for name in ("seconds", "memory")} for side, rows in found.items()}
    for side, title in (("ours", "this package"), ("peer", "qlib's loop")):
        row = middle[side]
        print(f"{title:14s} {row['seconds']:8.2f} s/epoch   {n_samples / row['seconds']:10,.0f} samples/s   {row['memory']:8.0f} MiB")
    speed = statistics.median(p["seconds"] / o["seconds"] for o, p in zip(found["ours"], found["peer"], strict=True))
    print(f"epoch ratio {speed:.2f} x   memory share {middle['ours']['memory'] / middle['peer']['memory']:.3f}")


if __name__ == "__main__":
    main()
