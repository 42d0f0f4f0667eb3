"""AlphaNet-v2 and v2.1: time-series operators on a data picture, batch norm, LSTM.

    x (30, 15, N) -> six operators on windows of 10 days, stride 10 (3, 270, N) -> BN -> LSTM(270 -> 30), last state (N, 30)
        -> BN -> Linear(30 -> 1) -> score (N,)

v2.1 is the same with ``n_sampled_fields=8``: each member of the ensemble draws 8 of the 15 fields from its seed, once, and forms pairs
among these only: 28 instead of 105, 116 features instead of 270. The drawn fields are part of the saved weights.

Source: ALPHANET (华泰人工智能, AlphaNet 改进: 结构和损失函数, 2021), figures 3 to 6; loss MSE, Adam 1e-4.
Deviations: the degrees of freedom are ours, after public re-implementations (std and correlation 0, covariance 1); the batch norm cancels
them up to its epsilon. Degenerate windows give 0, see ``operators.py``. Figure 6, the drawing, is lost in the text.
Status: operators equal to pandas; features, 36,240 and 17,760 LSTM parameters tested; published RankIC (11.25 %, v2.1 11.45 %) not reproduced.

The batch norm of the features has one mean and variance per feature over stocks *and* the 3 steps; one over all 270 is the same as one per
operator, since every feature is normalized by itself. v2.2 and v2.3 are this network under other losses (``training/losses.py``).

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
from alpha_pipeline.models.recurrent import LSTM


@dataclass(frozen=True)
class AlphaNetV2(NetworkConfig):
    """Settings; the defaults are the report's.

    Attributes
    ----------
    n_fields
        Rows of the data picture.
    window, stride
        Of the operators, in days.
    n_sampled_fields
        Fields among which pairs are formed, drawn anew for each member; 0 = all (v2), 8 = v2.1.
    n_hidden
        Units of the LSTM.
    std_ddof, cov_ddof
        Degrees of freedom of standard deviation and covariance.
    learn_shift
        Whether the level of the scores is trained, as MSE needs; see :mod:`alpha_pipeline.models.contract`.
    """

    n_fields: int = 15
    window: int = 10
    stride: int = 10
    n_sampled_fields: int = 0
    n_hidden: int = 30
    std_ddof: int = 0
    cov_ddof: int = 1
    learn_shift: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("alphanet",)

    def create(self, generator: torch.Generator) -> Network:
        return AlphaNetV2Network(self, generator)


class AlphaNetV2Network(Network):
    """Operators -> BN -> LSTM -> last state -> BN -> Linear."""

    def __init__(self, config: AlphaNetV2, generator: torch.Generator) -> None:
        super().__init__(config)
        self.n_fields = config.n_fields
        self.extract = FeatureExtraction(config.n_fields, config.window, config.stride, generator=generator,
                                         n_sampled_fields=config.n_sampled_fields, std_ddof=config.std_ddof, cov_ddof=config.cov_ddof)
        self.norm = nn.BatchNorm1d(self.extract.n_features)
        self.lstm = LSTM(self.extract.n_features, config.n_hidden, generator=generator)
        self.head = ScoreHead(config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {"alphanet": self.n_fields}, "alphanet_v2")
        features_WCN = self.norm(self.extract(x_TFN))
        h_NH = self.lstm(features_WCN)
        return self.head(h_NH)
