"""A step of the networks with self-attention over the steps of a sequence: our kernel against torch's fused attention.

    python benchmarks/attention.py                        # 1,000 stocks, 320 × 6 and 160 × 20, two threads
    python benchmarks/attention.py --stocks 128 --threads 1 --processor-time

A step is forward and backward of the whole network. Sides are timed in turn within every repeat, ratios are medians over the repeats. On a
busy machine ``--threads 1 --processor-time`` is the steadier measure. Gradients agree with float64 equally well on both sides (1e-5 to 1e-3
of the largest entry over 320 steps, because the orthogonal layer after the attention divides by small singular values).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from alpha_pipeline.models.attention import SelfAttention
from alpha_pipeline.models.attention_residual import AttentionResidual
from alpha_pipeline.models.attention_self import AttentionSelf

SHAPES = ((320, 6), (160, 20))  # 15-minute bars of 20 days; the report's characteristics of 30 minutes


class TorchAttention(SelfAttention):
    """The same layer on torch's operations."""

    def _is_fused(self, z_THN: Tensor) -> bool:
        return False


def step(config: AttentionSelf | AttentionResidual, x_TFN: Tensor, layer: type[nn.Module],
         clock: Callable[[], float]) -> Callable[[], float]:
    """A function that makes one step and returns its seconds."""
    network = config.build(torch.Generator().manual_seed(0)).train()
    network.attention.__class__ = layer
    target = torch.randn(x_TFN.shape[2], generator=torch.Generator().manual_seed(1))

    def run() -> float:
        began = clock()
        network.zero_grad()
        (network({config.tensor: x_TFN}) * target).sum().backward()
        return clock() - began

    return run


def measure(n_stocks: int, repeats: int, shapes: tuple[tuple[int, int], ...] = SHAPES,
            clock: Callable[[], float] = time.perf_counter) -> None:
    """Both networks at every length."""
    for n_steps, n_fields in shapes:
        x = torch.randn(n_steps, n_fields, n_stocks, generator=torch.Generator().manual_seed(2))
        for config in (AttentionSelf(n_fields=n_fields), AttentionResidual(n_fields=n_fields)):
            ours, theirs = (step(config, x, layer, clock) for layer in (SelfAttention, TorchAttention))
            ours(), theirs()  # the first round warms up
            rounds = [(ours(), theirs()) for _ in range(repeats)]
            own, other = (statistics.median(r[i] for r in rounds) for i in (0, 1))
            ratio = statistics.median(b / a for a, b in rounds)
            print(f"{type(config).__name__}, {n_steps} steps of {n_fields}, {n_stocks} stocks, {torch.get_num_threads()} threads, "
                  f"load {os.getloadavg()[0]:.2f}")
            print(f"  ours   {n_stocks / own:8,.0f} samples/s   1.00 x")
            print(f"  torch  {n_stocks / other:8,.0f} samples/s   {ratio:.2f} x", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stocks", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true", help="seconds of processor time instead of wall time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measure(options.stocks, options.repeats, clock=time.process_time if options.processor_time else time.perf_counter)


if __name__ == "__main__":
    main()
