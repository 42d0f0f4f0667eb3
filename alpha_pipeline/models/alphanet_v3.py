"""AlphaNet-v3: the operators on two window lengths side by side, a GRU on each.

    x (30, 15, N) -> six operators on windows of 10 days (3, 270, N) -> BN -> GRU₁(270 -> 30), last state ┐
                  -> six operators on windows of  5 days (6, 270, N) -> BN -> GRU₂(270 -> 30), last state ┴ concat (N, 60)
        -> BN -> Linear(60 -> 1) -> score (N,)

Source: 华泰人工智能, 再探 AlphaNet: 结构和特征优化 (2020-08-24), cited by ALPHANET; that report is not at hand, structure after public
re-implementations.
Deviations: the two batch norms after the GRUs are one over the concatenation: each feature is normalized by itself either way.
Degenerate windows give 0, see ``operators.py``.
Status: operators equal to pandas; shapes, gradients and parameter count tested; no published result in the reports at hand.

Letters: T days, W windows, F fields, C features, N stocks, H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.models.contract import Network, NetworkConfig, read_inputs
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.models.operators import FeatureExtraction
from alpha_pipeline.models.recurrent import GRU


@dataclass(frozen=True)
class AlphaNetV3(NetworkConfig):
    """Settings.

    Attributes
    ----------
    n_fields
        Rows of the data picture.
    long_window, short_window
        Windows of the operators in the two branches, and the distance between windows, in days.
    n_hidden
        Units of each GRU.
    std_ddof, cov_ddof
        Degrees of freedom of standard deviation and covariance.
    learn_shift
        Whether the level of the scores is trained, as MSE needs; see :mod:`alpha_pipeline.models.contract`.
    """

    n_fields: int = 15
    long_window: int = 10
    short_window: int = 5
    n_hidden: int = 30
    std_ddof: int = 0
    cov_ddof: int = 1
    learn_shift: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("alphanet",)

    def create(self, generator: torch.Generator) -> Network:
        return AlphaNetV3Network(self, generator)


class Branch(nn.Module):
    """Operators on one window -> BN -> GRU -> last state (N, H)."""

    def __init__(self, config: AlphaNetV3, window: int, generator: torch.Generator) -> None:
        super().__init__()
        self.extract = FeatureExtraction(config.n_fields, window, window, generator=generator, std_ddof=config.std_ddof,
                                         cov_ddof=config.cov_ddof)
        self.norm = nn.BatchNorm1d(self.extract.n_features)
        self.gru = GRU(self.extract.n_features, config.n_hidden, generator=generator)

    def forward(self, x_TFN: Tensor) -> Tensor:
        """Last state (N, H)."""
        features_WCN = self.norm(self.extract(x_TFN))
        h_NH: Tensor = self.gru(features_WCN)
        return h_NH


class AlphaNetV3Network(Network):
    """Two branches side by side -> BN -> Linear."""

    def __init__(self, config: AlphaNetV3, generator: torch.Generator) -> None:
        super().__init__(config)
        self.n_fields = config.n_fields
        self.long = Branch(config, config.long_window, generator)
        self.short = Branch(config, config.short_window, generator)
        self.head = ScoreHead(2 * config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {"alphanet": self.n_fields}, "alphanet_v3")
        both_N2H = torch.cat([self.long(x_TFN), self.short(x_TFN)], dim=1)
        return self.head(both_N2H)
