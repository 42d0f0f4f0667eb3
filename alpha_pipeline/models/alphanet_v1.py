"""AlphaNet-v1: time-series operators on a data picture, pooling, one fully connected layer.

    x (30, 15, N) -> six operators on windows of 10 days, stride 10 (3, 270, N) -> BN -> features
    features -> mean, max, min over 3 steps (1, 3 · 270, N) -> BN -> pooled
    [features ; pooled] flattened (N, 1620) -> Linear(1620 -> 30), ReLU -> BN -> Linear(30 -> 1) -> score (N,)

Source: 华泰人工智能, AlphaNet: 因子挖掘神经网络 (2020-06-14), cited by ALPHANET; that report is not at hand, sizes after public
re-implementations (features and their pooled values side by side, 30 units).
Deviations: 15 fields and the six operators of the later versions (the first had 9 fields and ts_mean too); no dropout; the batch norm before
the last linear unit is ours, as in all our networks.
Status: operators equal to pandas; shapes, gradients and parameter count tested; no published result in the reports at hand.

Letters: T days, W windows, F fields, C features, P pooled steps, N stocks, H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.models.contract import Network, NetworkConfig, read_inputs
from alpha_pipeline.models.head import ScoreHead, linear_layer
from alpha_pipeline.models.operators import FeatureExtraction, n_windows, ts_max, ts_mean, ts_min


@dataclass(frozen=True)
class AlphaNetV1(NetworkConfig):
    """Settings.

    Attributes
    ----------
    n_fields, n_steps
        Rows and days of the data picture.
    window, stride
        Of the operators, in days.
    pooling
        Steps per pool, and the distance between pools.
    n_hidden
        Units of the fully connected layer.
    std_ddof, cov_ddof
        Degrees of freedom of standard deviation and covariance.
    learn_shift
        Whether the level of the scores is trained, as MSE needs; see :mod:`alpha_pipeline.models.contract`.
    """

    n_fields: int = 15
    n_steps: int = 30
    window: int = 10
    stride: int = 10
    pooling: int = 3
    n_hidden: int = 30
    std_ddof: int = 0
    cov_ddof: int = 1
    learn_shift: bool = True

    def __post_init__(self) -> None:
        if not 2 <= self.pooling <= n_windows(self.n_steps, self.window, self.stride):
            raise InvalidSpec(sentence("the pooling does not fit the windows", where="alphanet_v1", got=f"pooling {self.pooling}",
                                       expected=f"2 to {n_windows(self.n_steps, self.window, self.stride)} windows",
                                       next_step="Change pooling, window or stride."))

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("alphanet",)

    def create(self, generator: torch.Generator) -> Network:
        return AlphaNetV1Network(self, generator)


class AlphaNetV1Network(Network):
    """Operators -> BN -> pooling -> BN -> fully connected layer -> BN -> Linear."""

    def __init__(self, config: AlphaNetV1, generator: torch.Generator) -> None:
        super().__init__(config)
        self.n_fields, self.n_steps, self.pooling = config.n_fields, config.n_steps, config.pooling
        self.extract = FeatureExtraction(config.n_fields, config.window, config.stride, generator=generator,
                                         std_ddof=config.std_ddof, cov_ddof=config.cov_ddof)
        n_features, steps = self.extract.n_features, n_windows(config.n_steps, config.window, config.stride)
        self.norm = nn.BatchNorm1d(n_features)
        self.pooled_norm = nn.BatchNorm1d(3 * n_features)
        n_flat = n_features * (steps + 3 * n_windows(steps, config.pooling, config.pooling))
        self.dense = linear_layer(n_flat, config.n_hidden, generator)
        self.head = ScoreHead(config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score (N,)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {"alphanet": self.n_fields}, "alphanet_v1", n_steps=self.n_steps)
        features_WCN = self.norm(self.extract(x_TFN))
        pooled = [pool(features_WCN, self.pooling, self.pooling) for pool in (ts_mean, ts_max, ts_min)]
        pooled_PCN = self.pooled_norm(torch.cat(pooled, dim=1))
        flat_NC = torch.cat([features_WCN.flatten(0, 1), pooled_PCN.flatten(0, 1)]).t()
        return self.head(torch.relu(self.dense(flat_NC)))
