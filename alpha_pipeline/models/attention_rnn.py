"""RNN + NN: the network that ATTENTION starts from, without attention.

    x (T, F, N) -> GRU or LSTM (F -> 32), last state (N, 32) -> MLP -> orthogonal layer -> BN -> Linear -> score (N,)

Source: ATTENTION, section 2 (“原始模型”), and its predecessors, which are not at hand.
Deviations: sizes are ours, see ``intraday.py``.
Status: shapes, gradients, parameter count and the orthogonal layer tested; the published IC (0.079 at 30 minutes) not reproduced.

Letters: T steps, F fields, N stocks, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.contract import Network
from alpha_pipeline.models.intraday import IntradayConfig, IntradayNetwork


@dataclass(frozen=True)
class AttentionRnn(IntradayConfig):
    """Settings, see :class:`~alpha_pipeline.models.intraday.IntradayConfig`."""

    def create(self, generator: torch.Generator) -> Network:
        return AttentionRnnNetwork(self, generator)


class AttentionRnnNetwork(IntradayNetwork):
    """The last state goes on."""

    def summarize(self, x_TFN: Tensor) -> Tensor:
        """Last state (N, H)."""
        h_NH: Tensor = self.rnn(x_TFN)
        return h_NH
