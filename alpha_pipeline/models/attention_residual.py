"""RNN with residual attention: what attention gathers is added to the states, then normalized.

    x (T, F, N) -> GRU or LSTM (F -> 32), all states z (N, T, 32)
        LayerNorm(z + softmax(Q Kᵀ / √32) V), its mean over the steps (N, 32) -> MLP -> orthogonal layer -> BN -> Linear -> score (N,)

Source: ATTENTION, section 4.
Deviations: one head, mean over the steps and sizes are ours.
Status: shapes, gradients and parameter count tested; the published results (tables 5 and 6) not reproduced.

Letters: T steps, F fields, N stocks, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.models.attention import SelfAttention
from alpha_pipeline.models.contract import Network
from alpha_pipeline.models.intraday import IntradayConfig, IntradayNetwork


@dataclass(frozen=True)
class AttentionResidual(IntradayConfig):
    """Settings, see :class:`~alpha_pipeline.models.intraday.IntradayConfig`."""

    def create(self, generator: torch.Generator) -> Network:
        return AttentionResidualNetwork(self, generator)


class AttentionResidualNetwork(IntradayNetwork):
    """States plus what they gather, normalized and averaged."""

    def __init__(self, config: AttentionResidual, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.attention = SelfAttention(config.n_hidden, 1, generator=generator)
        self.norm = nn.LayerNorm(config.n_hidden)

    def summarize(self, x_TFN: Tensor) -> Tensor:
        """Mean of the normalized sums (N, H)."""
        return self.attention.mean_of_normalized_sums(self.rnn(x_TFN, all_steps=True), self.norm)
