"""Factor unit LSTM: K factors from the last state of one LSTM.

    x (30, 8, N) -> LSTM(8 -> 30), last state (N, 30) -> Linear(30 -> K) -> BN -> factors (N, K)

Source: MULTIMODEL, section 2 (因子单元), which takes it from its predecessors, not at hand.
Deviations: K = 32, the hidden size (30, as in MULTIFREQ) and the end (linear layer, batch norm without shift) are ours.
Status: shapes, gradients and parameter count tested; the published RankIC (15.9 %, 10 days, all units weighted) not reproduced.

Letters: T days, F fields, N stocks, H hidden units, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.contract import Network, NetworkConfig, fields_of, read_inputs
from alpha_pipeline.models.head import FactorHead
from alpha_pipeline.models.recurrent import LSTM


@dataclass(frozen=True)
class FactorLstm(NetworkConfig):
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
        Units of the LSTM.
    """

    tensor: str = "rawbar"
    n_fields: int | None = None
    n_factors: int = 32
    n_hidden: int = 30

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.tensor,)

    def create(self, generator: torch.Generator) -> Network:
        return FactorLstmNetwork(self, generator)


class FactorLstmNetwork(Network):
    """LSTM -> last state -> Linear -> BN."""

    def __init__(self, config: FactorLstm, generator: torch.Generator) -> None:
        super().__init__(config)
        self.tensor, self.n_fields = config.tensor, fields_of(config.tensor, config.n_fields)
        self.lstm = LSTM(self.n_fields, config.n_hidden, generator=generator)
        self.head = FactorHead(config.n_hidden, config.n_factors, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Factors (N, K)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {self.tensor: self.n_fields}, "factor_lstm")
        factors_NK: Tensor = self.head(self.lstm(x_TFN))
        return factors_NK
