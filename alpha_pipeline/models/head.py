"""The end of every network: batch norm over the stocks, then one linear unit."""

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
        if self.training and z_NH.shape[0] < 2:
            raise NotEnoughData(sentence("batch norm cannot be trained on this batch", where="ScoreHead",
                                         got=f"{z_NH.shape[0]} stocks", expected="at least 2",
                                         next_step="Leave the date out of the training set, or call net.eval() to score."))
        return self.linear(self.norm(z_NH)).squeeze(-1)

    def fixed_parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that keep their initial values; empty if the shift is learned."""
        return () if self.learn_shift else (self.norm.bias, self.linear.bias)


def linear_layer(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """``nn.Linear`` with torch's own initial distribution, drawn from ``generator`` instead of the global state."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = n_in**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    assert isinstance(layer, nn.Linear)
    return layer
