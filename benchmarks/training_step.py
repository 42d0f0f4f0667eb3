"""One training step (GRU or LSTM, batch norm, linear unit, −IC, backward, Adam): our recurrent layer against its peers.

    python benchmarks/training_step.py                       # 6 -> 30, 320 and 40 steps, batch 5,000, two threads
    python benchmarks/training_step.py --steps 40 --hidden 64 --repeats 9
    python benchmarks/training_step.py --cell lstm           # the same for an LSTM
    python benchmarks/training_step.py --memory              # peak memory of each in a process of its own, instead of times

Peers are timed in turn within every repeat; the ratio is the median over repeats of (peer / ours), so that a change of the
machine's load during the run hits both sides. The load average is printed because a busy machine compresses the ratios.

Peers: ``nn.GRU`` or ``nn.LSTM`` as torch ships it; ``eager``, a hand-written torch loop with one input projection per step.
Idle OpenMP threads are passive for all of them, as everywhere in this package; ``OMP_WAIT_POLICY=active`` compares the other way.
The useful rate counts the multiply-adds of forward and backward (three times the forward's), recomputation not included, and is
compared with the machine's float32 matmul in the same run.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import alpha_pipeline  # noqa: F401  (before torch, which reads OMP_WAIT_POLICY when it is loaded)

# isort: split

import torch
from torch import Tensor, nn

from alpha_pipeline.models.recurrent import GRU, LSTM, active_backend
from alpha_pipeline.models.recurrent.reference import reference_gru, reference_lstm

LIBRARY = {"gru": "nn.GRU", "lstm": "nn.LSTM"}


class Contender(nn.Module):
    """x_TFN -> score, with the recurrence of one contender; all start from the same weights."""

    def __init__(self, name: str, n_fields: int, n_hidden: int, cell: str = "gru") -> None:
        super().__init__()
        self.name = name
        self.recurrent = (GRU if cell == "gru" else LSTM)(n_fields, n_hidden, generator=torch.Generator().manual_seed(0))
        self.library = (nn.GRU if cell == "gru" else nn.LSTM)(n_fields, n_hidden) if name in LIBRARY.values() else None
        if self.library is not None:
            self.library.load_state_dict(self.recurrent.state_dict())
        torch.manual_seed(0)
        self.head = nn.Sequential(nn.BatchNorm1d(n_hidden), nn.Linear(n_hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Score (N,); ``x`` is in the layout that the contender likes best."""
        if self.library is not None:
            last = self.library(x)[1]
            return self.head((last[0] if isinstance(last, tuple) else last)[0]).squeeze(1)
        if self.name == "eager":
            run = reference_gru if self.recurrent.cell == "gru" else reference_lstm
            return self.head(run(x, *self.recurrent.parameters(), None, all_steps=False).t()).squeeze(1)
        return self.head(self.recurrent(x)).squeeze(1)


def training_step(contender: Contender, x_TFN: Tensor, y: Tensor) -> Callable[[], float]:
    """A function that makes one step and returns its seconds."""
    x = x_TFN.transpose(1, 2).contiguous() if contender.library is not None else x_TFN
    optimizer = torch.optim.Adam(contender.parameters(), lr=1e-3)

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad()
        p, q = contender(x), y - y.mean()
        p = p - p.mean()
        (-(p * q).sum() / (p.norm() * q.norm())).backward()
        optimizer.step()
        return time.perf_counter() - began

    return step


def matmul_peak() -> float:
    """GFLOP/s of a float32 matrix product on the current threads."""
    a = torch.randn(2048, 2048)
    best = min(_seconds(lambda: a @ a) for _ in range(5))
    return 2 * 2048**3 / best / 1e9


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(cell: str, n_steps: int, n_fields: int, n_hidden: int, n_stocks: int, repeats: int) -> None:
    """Print medians, ratios and the useful rate for one size."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(n_steps, n_fields, n_stocks, generator=generator), torch.randn(n_stocks, generator=generator)
    steps = {name: training_step(Contender(name, n_fields, n_hidden, cell), x, y) for name in ("ours", LIBRARY[cell], "eager")}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            taken = step()
            if repeat:  # the first round warms up and compiles
                seconds[name].append(taken)
    n_gates = 3 if cell == "gru" else 4
    flop = 6 * n_gates * n_hidden * (n_hidden + n_fields) * n_steps * n_stocks
    median = {name: statistics.median(s) for name, s in seconds.items()}
    rate, peak = flop / median["ours"] / 1e9, matmul_peak()
    print(f"\n{cell.upper()} {n_fields} -> {n_hidden}, {n_steps} steps, batch {n_stocks}, {torch.get_num_threads()} threads, "
          f"idle ones {os.environ['OMP_WAIT_POLICY']}, path {active_backend('cpu')}, load {os.getloadavg()[0]:.2f}, {repeats} repeats")
    for name in steps:
        ratio = statistics.median(other / own for other, own in zip(seconds[name], seconds["ours"], strict=True))
        print(f"  {name:8s} {median[name]:8.4f} s   {ratio:6.2f} x")
    print(f"  useful rate {rate:.0f} GFLOP/s = {rate / peak:.0%} of this run's matmul ({peak:.0f})", flush=True)


def peak_memory(name: str, cell: str, n_steps: int, n_fields: int, n_hidden: int, n_stocks: int) -> None:
    """Print the peak resident memory that two steps add to the process with its inputs."""
    x, y = torch.randn(n_steps, n_fields, n_stocks), torch.randn(n_stocks)
    training_step(Contender(name, n_fields, n_hidden, cell), x[:2, :, :64].contiguous(), y[:64])()  # libraries, compiled code
    step = training_step(Contender(name, n_fields, n_hidden, cell), x, y)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    step()
    print(f"  {name:8s} {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:8.0f} MiB", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cell", choices=tuple(LIBRARY), default="gru")
    parser.add_argument("--steps", type=int, nargs="+", default=[320, 40])
    parser.add_argument("--fields", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=30)
    parser.add_argument("--stocks", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--only", choices=("ours", *LIBRARY.values(), "eager"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for n_steps in options.steps:
        if options.only:
            peak_memory(options.only, options.cell, n_steps, options.fields, options.hidden, options.stocks)
        elif options.memory:
            print(f"\npeak memory added by a step, {options.fields} -> {options.hidden}, {n_steps} steps, batch {options.stocks}",
                  flush=True)
            sizes = {"--cell": options.cell, "--steps": n_steps, "--fields": options.fields, "--hidden": options.hidden, "--stocks": options.stocks}
            for name in ("ours", LIBRARY[options.cell], "eager"):
                arguments = [str(part) for pair in sizes.items() for part in pair]
                subprocess.run([sys.executable, __file__, "--only", name, *arguments], check=True)
        else:
            compare(options.cell, n_steps, options.fields, options.hidden, options.stocks, options.repeats)


if __name__ == "__main__":
    main()
