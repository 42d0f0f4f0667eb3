"""The end of every network: batch norm over the stocks and one linear unit for a score, a linear layer and batch norm for K factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import NotEnoughData, sentence


class ScoreHead(nn.Module):
    """Features z (N, H) -> score (N,): Linear(BatchNorm(z)).

    In ``train()`` mode the mean and variance are those of the batch, in ``eval()`` mode running averages (momentum 0.1).

    Parameters
    ----------
    n_features
        H.
    learn_shift
        Whether the two biases are trained. They move all scores alike, which an IC does not see; with MSE they matter.
    generator
        Source of the initial weights, uniform in ±1/√H as in ``nn.Linear``.

    Source: MULTIFREQ, figure 7 (BN and FC rows of the table of settings).
    """

    def __init__(self, n_features: int, *, learn_shift: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.learn_shift = learn_shift
        self.norm = nn.BatchNorm1d(n_features)
        self.linear = linear_layer(n_features, 1, generator)

    def forward(self, z_NH: Tensor) -> Tensor:
        """Score (N,). Raises NotEnoughData for fewer than two stocks in ``train()`` mode."""
        _check_batch(self, z_NH)
        return self.linear(self.norm(z_NH)).squeeze(-1)

    def fixed_parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that keep their initial values; empty if the shift is learned."""
        return () if self.learn_shift else (self.norm.bias, self.linear.bias)


class FactorHead(nn.Module):
    """Features z (N, H) -> K factors (N, K): BatchNorm(Linear(z)), both without shift and scale of their own.

    Every factor leaves with mean 0 and variance 1 over the stocks of a training batch, so that none can win by its size when factors
    are added up or handed to a weighting model. A bias, or the batch norm's own scale and shift, would only undo that: the former has
    no effect, the latter are no property of a factor whose loss is a correlation.

    Parameters
    ----------
    n_features, n_factors
        H and K.
    generator
        Source of the initial weights, uniform in ±1/√H.

    Source: ours; the report that defines the end of a factor unit is not public.
    """

    def __init__(self, n_features: int, n_factors: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = linear_layer(n_features, n_factors, generator, bias=False)
        self.norm = nn.BatchNorm1d(n_factors, affine=False)

    def forward(self, z_NH: Tensor) -> Tensor:
        """Factors (N, K). Raises NotEnoughData for fewer than two stocks in ``train()`` mode."""
        _check_batch(self, z_NH)
        return self.norm(self.linear(z_NH))


def _check_batch(head: nn.Module, z_NH: Tensor) -> None:
    if head.training and z_NH.shape[0] < 2:
        raise NotEnoughData(sentence("batch norm cannot be trained on this batch", where=type(head).__name__,
                                     got=f"{z_NH.shape[0]} stocks", expected="at least 2",
                                     next_step="Leave the date out of the training set, or call net.eval() to score."))


def linear_layer(n_in: int, n_out: int, generator: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """``nn.Linear`` with torch's own initial distribution, drawn from ``generator`` instead of the global state."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias)
    for parameter in layer.parameters():  # weight, then bias
        nn.init.uniform_(parameter, -(n_in**-0.5), n_in**-0.5, generator=generator)
    assert isinstance(layer, nn.Linear)
    return layer
