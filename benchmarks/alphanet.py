"""AlphaNet: operators on all pairs at once against Python loops over pairs, and a training step of v2 against v2.1.

    python benchmarks/alphanet.py                       # 30 days, 15 fields, 2,000 stocks, two threads
    python benchmarks/alphanet.py --stocks 5000 --repeats 9

Peers of the operators: ``loops`` calls each operator once per pair or field, as the formulas are written and public re-implementations do;
``shared`` is a loop too, but takes centered products once for correlation and covariance. All make the same 270 features, forward and
backward with respect to the input; the largest difference is printed. A training step is forward, MSE, backward and Adam; v2.1 forms
pairs among 8 drawn fields. Sides are timed in turn within every repeat (of a training, twenty steps in a row, as an epoch
makes them), ratios are medians over the repeats. On a busy machine two threads wait for each other at every operation: then ``--threads 1
--processor-time`` is the steadier measure.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from alpha_pipeline.models.alphanet_v2 import AlphaNetV2
from alpha_pipeline.models.operators import FeatureExtraction

N_STEPS, N_FIELDS, WINDOW = 30, 15, 10
_STEPS = 20  # of a training, timed together


def looped_features(x_TFN: Tensor) -> Tensor:
    """The features (W, 270, N), each operator by itself for one pair or field at a time."""
    fields = x_TFN.unfold(0, WINDOW, WINDOW).unbind(1)  # (W, N, d) each
    pairs = list(itertools.combinations(fields, 2))
    return torch.stack([*(_corr(x, y) for x, y in pairs), *(_cov(x, y) for x, y in pairs), *_of_fields(fields)], dim=1)


def shared_features(x_TFN: Tensor) -> Tensor:
    """As :func:`looped_features`, with the products of a pair computed once for both operators."""
    fields = x_TFN.unfold(0, WINDOW, WINDOW).unbind(1)
    corr, cov = [], []
    for x, y in itertools.combinations(fields, 2):
        x_centered, y_centered = x - x.mean(-1, keepdim=True), y - y.mean(-1, keepdim=True)
        products = (x_centered * y_centered).sum(-1)
        cov.append(products / (WINDOW - 1))
        corr.append(products / (x_centered.square().sum(-1) * y_centered.square().sum(-1)).sqrt())
    return torch.stack([*corr, *cov, *_of_fields(fields)], dim=1)


def _corr(x: Tensor, y: Tensor) -> Tensor:
    covariance = ((x - x.mean(-1, keepdim=True)) * (y - y.mean(-1, keepdim=True))).mean(-1)
    return covariance / (x.std(-1, correction=0) * y.std(-1, correction=0))


def _cov(x: Tensor, y: Tensor) -> Tensor:
    return ((x - x.mean(-1, keepdim=True)) * (y - y.mean(-1, keepdim=True))).sum(-1) / (WINDOW - 1)


def _of_fields(fields: Sequence[Tensor]) -> list[Tensor]:
    weights = torch.arange(1.0, WINDOW + 1) / (WINDOW * (WINDOW + 1) / 2)
    return [
        *(x.std(-1, correction=0) for x in fields),
        *(x.mean(-1) / x.std(-1, correction=0) for x in fields),
        *(x[..., -1] / x[..., 0] - 1 for x in fields),
        *((x * weights).sum(-1) for x in fields),
    ]


def forward_backward(function: Callable[[Tensor], Tensor], x_TFN: Tensor, clock: Callable[[], float]) -> Callable[[], float]:
    """A function that extracts features, goes back to the input, and returns its seconds."""
    leaf = x_TFN.clone().requires_grad_()

    def step() -> float:
        began = clock()
        leaf.grad = None
        function(leaf).sum().backward()
        return clock() - began

    return step


def training_step(config: AlphaNetV2, x_TFN: Tensor, y_N: Tensor, clock: Callable[[], float]) -> Callable[[], float]:
    """A function that makes ``_STEPS`` steps in a row and returns the seconds of one."""
    net = config.build(torch.Generator().manual_seed(0)).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)

    def steps() -> float:
        began = clock()
        for _ in range(_STEPS):
            optimizer.zero_grad()
            (net({"alphanet": x_TFN}) - y_N).square().mean().backward()
            optimizer.step()
        return (clock() - began) / _STEPS

    return steps


def compare(title: str, ours: str, steps: dict[str, Callable[[], float]], repeats: int) -> None:
    """Print medians, and the ratio of each to ``ours``."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):
        for name, step in steps.items():
            taken = step()
            if repeat:  # the first round warms up
                seconds[name].append(taken)
    print(f"\n{title}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.2f}, {repeats} repeats")
    for name in steps:
        ratio = statistics.median(other / own for other, own in zip(seconds[name], seconds[ours], strict=True))
        print(f"  {name:8s} {1e3 * statistics.median(seconds[name]):8.1f} ms   {ratio:6.2f} x", flush=True)


def measure(n_stocks: int, repeats: int, clock: Callable[[], float] = time.perf_counter) -> None:
    """Both comparisons."""
    generator = torch.Generator().manual_seed(1)
    x_TFN = 10 + torch.randn(N_STEPS, N_FIELDS, n_stocks, generator=generator)
    y_N = torch.randn(n_stocks, generator=generator)
    extract = FeatureExtraction(N_FIELDS, WINDOW, WINDOW, generator=generator)
    compare(f"operators, 105 pairs, batch {n_stocks}", "batched",
            {name: forward_backward(f, x_TFN, clock)
             for name, f in {"batched": extract, "loops": looped_features, "shared": shared_features}.items()}, repeats)
    print(f"  largest difference {(extract(x_TFN) - looped_features(x_TFN)).abs().max():.1e}")
    compare(f"training step, batch {n_stocks}", "v2.1",
            {name: training_step(AlphaNetV2(n_sampled_fields=n), x_TFN, y_N, clock) for name, n in {"v2": 0, "v2.1": 8}.items()}, repeats)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stocks", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true", help="seconds of processor time instead of wall time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measure(options.stocks, options.repeats, time.process_time if options.processor_time else time.perf_counter)


if __name__ == "__main__":
    main()
