"""Factor unit RESTCN: residual convolutions for the neighborhood of a day, then a temporal convolutional network.

    x (30, 8, N) -> (N, 8, 30) -> 3 residual blocks of 64 channels, kernel 3, centered (N, 64, 30)
        -> TCN: causal residual blocks of 64 channels, kernel 3, dilations 1, 2, 4, 8 (N, 64, 30)
        last day (N, 64) -> Linear(64 -> K) -> BN -> factors (N, K)

    residual block   ReLU(shortcut(x) + BN(conv(ReLU(BN(conv(x))))))
    TCN block        ReLU(shortcut(x) + ReLU(wconv(ReLU(wconv(x))))),   wconv: dilated, causal, weight-normalized
    shortcut         x itself, or a 1 × 1 convolution where the number of channels changes

Source: MULTIMODEL, section 2, figures 2 and 3; TCN: Bai et al. (2018); residual block: He et al. (2015).
Deviations: four dilations, not the three of figure 2: the field of view is then 1 + 2·2·(1+2+4+8) = 61 days, with three it is 29 and the input has
30. Bai's dropout is left out. The channels of the TCN, K = 32 and the end are ours. The residual blocks look one day ahead of the day they
compute, always inside the input, whose last day is known.
Status: shapes, gradients and parameter count tested; the published RankIC (15.7 %, 10 days, all units weighted) not reproduced.

Letters: T days, F fields, N stocks, C channels, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.models.contract import Network, NetworkConfig, fields_of, read_inputs
from alpha_pipeline.models.convolution import ResidualBlock, TemporalBlock
from alpha_pipeline.models.head import FactorHead


@dataclass(frozen=True)
class FactorRestcn(NetworkConfig):
    """Settings; all sizes but the number of days are ours.

    Attributes
    ----------
    tensor
        Name of the input: each data set of the report gets a factor unit of its own.
    n_fields
        Fields per day; None: as many as that tensor has.
    n_factors
        K.
    n_channels
        Of all convolutions.
    n_residual_blocks
        In front of the TCN.
    kernel
        Days of a convolution, odd.
    n_dilations
        Blocks of the TCN, with dilations 1, 2, 4, …
    """

    tensor: str = "rawbar"
    n_fields: int | None = None
    n_factors: int = 32
    n_channels: int = 64
    n_residual_blocks: int = 3
    kernel: int = 3
    n_dilations: int = 4

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0 or self.n_dilations < 1:
            raise InvalidSpec(sentence("no such convolutions", where="factor_restcn",
                                       got=f"kernel {self.kernel}, {self.n_dilations} dilations",
                                       expected="an odd kernel and at least one dilation"))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.tensor,)

    def create(self, generator: torch.Generator) -> Network:
        return FactorRestcnNetwork(self, generator)


class FactorRestcnNetwork(Network):
    """Residual blocks -> TCN -> last day -> Linear -> BN."""

    def __init__(self, config: FactorRestcn, generator: torch.Generator) -> None:
        super().__init__(config)
        self.tensor, self.n_fields = config.tensor, fields_of(config.tensor, config.n_fields)
        n = config.n_channels
        self.residual = nn.Sequential(*(ResidualBlock(n if i else self.n_fields, n, config.kernel, generator=generator)
                                        for i in range(config.n_residual_blocks)))
        n_in = n if config.n_residual_blocks else self.n_fields
        self.tcn = nn.Sequential(*(TemporalBlock(n if i else n_in, n, config.kernel, 2**i, generator=generator)
                                   for i in range(config.n_dilations)))
        self.head = FactorHead(n, config.n_factors, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Factors (N, K)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {self.tensor: self.n_fields}, "factor_restcn")
        x_NFT = x_TFN.permute(2, 1, 0)
        z_NCT = self.tcn(self.residual(x_NFT))
        factors_NK: Tensor = self.head(z_NCT[:, :, -1])
        return factors_NK
