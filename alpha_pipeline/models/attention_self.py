"""RNN with self-attention over its states, so that long sequences are not forgotten.

    x (T, F, N) -> GRU or LSTM (F -> 32), all states z (N, T, 32)
        softmax(Q Kᵀ / √32) V, its mean over the steps (N, 32) -> MLP -> orthogonal layer -> BN -> Linear -> score (N,)

Source: ATTENTION, sections 2 and 3, figure 6.
Deviations: one head, mean over the steps and sizes are ours (the drawing is lost in the text: all states are weighted and passed on
together).
Status: shapes, gradients and parameter count tested; the published IC (0.066 at 10 minutes) not reproduced.

Letters: T steps, F fields, N stocks, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.attention import SelfAttention
from alpha_pipeline.models.contract import Network
from alpha_pipeline.models.intraday import IntradayConfig, IntradayNetwork


@dataclass(frozen=True)
class AttentionSelf(IntradayConfig):
    """Settings, see :class:`~alpha_pipeline.models.intraday.IntradayConfig`."""

    def create(self, generator: torch.Generator) -> Network:
        return AttentionSelfNetwork(self, generator)


class AttentionSelfNetwork(IntradayNetwork):
    """What all steps gather from all steps goes on, averaged."""

    def __init__(self, config: AttentionSelf, generator: torch.Generator) -> None:
        super().__init__(config, generator)
        self.attention = SelfAttention(config.n_hidden, 1, generator=generator)

    def summarize(self, x_TFN: Tensor) -> Tensor:
        """Mean of the attention's outputs (N, H)."""
        return self.attention.mean_over_steps(self.rnn(x_TFN, all_steps=True))
