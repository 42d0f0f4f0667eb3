"""GRU over daily bars: the daily branch of the MULTIFREQ networks on its own, for markets without intraday data.

    x (40, 6, N) -> GRU(6 -> 30), last state (N, 30) -> BN -> Linear(30 -> 1) -> score (N,)

Source: MULTIFREQ, figures 11 and 13 (rows GRU₁, BN, FC₁): open, high, low, close, vwap and volume of the last 40 trade dates.
Deviations: the report never trains this branch alone as a model; it is stage 1 of its incremental network.
Status: shapes, gradients and parameter count tested; no published result to compare with.

Letters: T steps, F fields, N stocks, H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.contract import Network, NetworkConfig, fields_of, read_inputs
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.models.recurrent import GRU


@dataclass(frozen=True)
class GruDaily(NetworkConfig):
    """Settings; the defaults are the report's.

    Attributes
    ----------
    tensor
        Name of the input; ``weekly`` makes it the week-GRU of RISKCONTROL, ``mschars`` and ``l2chars`` put characteristics in place of bars.
    n_fields
        Fields per step; None: as many as that tensor has.
    n_hidden
        Units of the GRU.
    learn_shift
        Whether the level of the scores is trained; see :mod:`alpha_pipeline.models.contract`.
    """

    tensor: str = "daily"
    n_fields: int | None = None
    n_hidden: int = 30
    learn_shift: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.tensor,)

    def create(self, generator: torch.Generator) -> Network:
        return GruDailyNetwork(self, generator)


class GruDailyNetwork(Network):
    """GRU -> last state -> BN -> Linear."""

    def __init__(self, config: GruDaily, generator: torch.Generator) -> None:
        super().__init__(config)
        self.tensor = config.tensor
        self.gru = GRU(fields_of(config.tensor, config.n_fields), config.n_hidden, generator=generator)
        self.head = ScoreHead(config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {self.tensor: self.gru.n_fields}, "gru_daily")
        h_NH = self.gru(x_TFN)
        return self.head(h_NH)
