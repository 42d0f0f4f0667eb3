"""Factor unit AGRU: K factors from a GRU with attention over its states.

    x (30, 8, N) -> GRU(8 -> 30), all states z (30, 30, N)
        o = Σ γ_i z_i, γ = softmax over days of v·tanh(W z_i + b)
        [z_T ; o] (N, 60) -> Linear(60 -> K) -> BN -> factors (N, K)

Source: MULTIMODEL, section 2 (因子单元); the attention as in ``gru_attention.py``.
Deviations: K = 32, the sizes (30 and 15, as in MULTIFREQ) and the end (linear layer, batch norm without shift) are ours.
Status: shapes, gradients and parameter count tested; the published RankIC (16.0 %, 10 days, all units weighted) not reproduced.

Letters: T days, F fields, N stocks, H hidden units, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.attention import ContextAttention
from alpha_pipeline.models.contract import Network, NetworkConfig, fields_of, read_inputs
from alpha_pipeline.models.head import FactorHead
from alpha_pipeline.models.recurrent import GRU


@dataclass(frozen=True)
class FactorAgru(NetworkConfig):
    """Settings; all sizes but the number of days are ours.

    Attributes
    ----------
    tensor
        Name of the input: each data set of the report gets a factor unit of its own.
    n_fields
        Fields per day; None: as many as that tensor has.
    n_factors
        K.
    n_hidden
        Units of the GRU.
    n_attention
        Units of the attention.
    """

    tensor: str = "rawbar"
    n_fields: int | None = None
    n_factors: int = 32
    n_hidden: int = 30
    n_attention: int = 15

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.tensor,)

    def create(self, generator: torch.Generator) -> Network:
        return FactorAgruNetwork(self, generator)


class FactorAgruNetwork(Network):
    """GRU -> [last state ; attention over all states] -> Linear -> BN."""

    def __init__(self, config: FactorAgru, generator: torch.Generator) -> None:
        super().__init__(config)
        self.tensor, self.n_fields = config.tensor, fields_of(config.tensor, config.n_fields)
        self.gru = GRU(self.n_fields, config.n_hidden, generator=generator)
        self.attention = ContextAttention(config.n_hidden, config.n_attention, generator=generator)
        self.head = FactorHead(2 * config.n_hidden, config.n_factors, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Factors (N, K)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {self.tensor: self.n_fields}, "factor_agru")
        z_THN = self.gru(x_TFN, all_steps=True)
        both_N2H = torch.cat([z_THN[-1].t(), self.attention(z_THN)], dim=1)
        factors_NK: Tensor = self.head(both_N2H)
        return factors_NK
