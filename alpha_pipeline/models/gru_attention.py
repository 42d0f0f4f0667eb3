"""GRU-15m with attention over its states.

    x (320, 6, N) -> GRU(6 -> 30), all states z (320, 30, N)
        u_i = tanh(W z_i + b),  γ = softmax over steps of v·u_i,  o = Σ γ_i z_i
        [z_T ; o] (N, 60) -> BN -> Linear(60 -> 1) -> score (N,)

Source: MULTIFREQ, figures 8 and 9, which point to the ALSTM of qlib.
Deviations: the printed formula takes exp(u_i) of the vector u_i itself; like the cited ALSTM we first weigh u_i with a learned
context vector v, so that every step gets one number. The report does not give the size of u; 15 is half of the GRU's units, as in
the ALSTM.
Status: shapes, gradients and parameter count tested; the published RankIC (9.01 %, all A shares) not reproduced.

Letters: T steps, F fields, N stocks, H hidden units, A attention units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.attention import ContextAttention
from alpha_pipeline.models.contract import Network, NetworkConfig, read_inputs
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.models.recurrent import GRU


@dataclass(frozen=True)
class GruAttention(NetworkConfig):
    """Settings; the defaults are the report's, ``n_attention`` that of the cited ALSTM.

    Attributes
    ----------
    n_fields
        Fields per bar.
    n_hidden
        Units of the GRU.
    n_attention
        Units of u.
    learn_shift
        Whether the level of the scores is trained; see :mod:`alpha_pipeline.models.contract`.
    """

    n_fields: int = 6
    n_hidden: int = 30
    n_attention: int = 15
    learn_shift: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("intraday_15m",)

    def create(self, generator: torch.Generator) -> Network:
        return GruAttentionNetwork(self, generator)


class GruAttentionNetwork(Network):
    """GRU -> [last state ; attention over all states] -> BN -> Linear."""

    def __init__(self, config: GruAttention, generator: torch.Generator) -> None:
        super().__init__(config)
        self.gru = GRU(config.n_fields, config.n_hidden, generator=generator)
        self.attention = ContextAttention(config.n_hidden, config.n_attention, generator=generator)
        self.head = ScoreHead(2 * config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {"intraday_15m": self.gru.n_fields}, "gru_attention")
        z_THN = self.gru(x_TFN, all_steps=True)
        both_N2H = torch.cat([z_THN[-1].t(), self.attention(z_THN)], dim=1)
        return self.head(both_N2H)
