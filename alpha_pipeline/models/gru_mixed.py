"""Multi-frequency mixed network: daily and 15-minute bars side by side, trained together.

    daily        x₁ (40, 6, N)  -> GRU₁(6 -> 30), last state -> BN ┐
    intraday_15m x₂ (320, 6, N) -> GRU₂(6 -> 30), last state -> BN ┴ concat (N, 60) -> Linear(60 -> 1) -> score (N,)

Source: MULTIFREQ, figures 10 and 11. Loss there: −IC.
Deviations: none known. The two batch norms are one over the concatenation: each feature is normalized by itself either way.
Status: shapes, gradients and parameter count tested; the published RankIC (8.58 %, all A shares) not reproduced.

Letters: T steps, F fields, N stocks, H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.models.contract import Network, NetworkConfig, read_inputs
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.models.recurrent import GRU


@dataclass(frozen=True)
class GruMixed(NetworkConfig):
    """Settings; the defaults are the report's.

    Attributes
    ----------
    n_daily_fields, n_intraday_fields
        Fields per bar of either input.
    n_hidden
        Units of each GRU.
    learn_shift
        Whether the level of the scores is trained; see :mod:`alpha_pipeline.models.contract`.
    """

    n_daily_fields: int = 6
    n_intraday_fields: int = 6
    n_hidden: int = 30
    learn_shift: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("daily", "intraday_15m")

    def create(self, generator: torch.Generator) -> Network:
        return GruMixedNetwork(self, generator)


class GruMixedNetwork(Network):
    """Two GRUs -> concatenated last states -> BN -> Linear."""

    def __init__(self, config: GruMixed, generator: torch.Generator) -> None:
        super().__init__(config)
        self.gru_daily = GRU(config.n_daily_fields, config.n_hidden, generator=generator)
        self.gru_intraday = GRU(config.n_intraday_fields, config.n_hidden, generator=generator)
        self.head = ScoreHead(2 * config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        n_fields = {"daily": self.gru_daily.n_fields, "intraday_15m": self.gru_intraday.n_fields}
        daily_TFN, intraday_TFN = read_inputs(inputs, n_fields, "gru_mixed")
        both_N2H = torch.cat([self.gru_daily(daily_TFN), self.gru_intraday(intraday_TFN)], dim=1)
        return self.head(both_N2H)
