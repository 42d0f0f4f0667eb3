"""GRU-15m: one GRU over the 15-minute bars of the last 20 trade dates.

    x (320, 6, N) -> GRU(6 -> 30), last state (N, 30) -> BN -> Linear(30 -> 1) -> score (N,)

Source: MULTIFREQ, figures 6 and 7: open, high, low, close, vwap and volume, 20 × 16 = 320 bars. Loss there: −IC.
Deviations: none known (figure 6, the drawing, is lost in the text; the network follows the table of figure 7).
Status: shapes, gradients and the 3,511 parameters tested; the published RankIC (9.30 %, all A shares) not reproduced.

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
class GruIntraday(NetworkConfig):
    """Settings; the defaults are the report's.

    Attributes
    ----------
    n_fields
        Fields per bar.
    n_hidden
        Units of the GRU.
    learn_shift
        Whether the level of the scores is trained; see :mod:`alpha_pipeline.models.contract`.
    """

    n_fields: int = 6
    n_hidden: int = 30
    learn_shift: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("intraday_15m",)

    def create(self, generator: torch.Generator) -> Network:
        return GruIntradayNetwork(self, generator)


class GruIntradayNetwork(Network):
    """GRU -> last state -> BN -> Linear."""

    def __init__(self, config: GruIntraday, generator: torch.Generator) -> None:
        super().__init__(config)
        self.gru = GRU(config.n_fields, config.n_hidden, generator=generator)
        self.head = ScoreHead(config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {"intraday_15m": self.gru.n_fields}, "gru_intraday")
        h_NH = self.gru(x_TFN)
        return self.head(h_NH)
