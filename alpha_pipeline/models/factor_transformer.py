"""Factor unit Transformer: encoder blocks over days that carry their time with them.

    x (30, 8, N) -> (N, 30, 8), time2vec of the day appended (N, 30, 10) -> Linear(10 -> 32)
        -> 2 encoder blocks: z = LayerNorm(z + attention(z)), 4 heads;  z = LayerNorm(z + W₂ ReLU(W₁ z)), 64 units (N, 30, 32)
        [Linear over days of all outputs ; last output] (N, 64) -> Linear(64 -> K) -> BN -> factors (N, K)

    time2vec(τ) = [ω₀ τ + φ₀ ; sin(ω₁ τ + φ₁)], ω and φ learned, τ = 0 on the newest day and −1 on the oldest

Source: MULTIMODEL, section 2, figures 4 and 5; encoder: Vaswani et al. (2017); time2vec: Kazemi et al. (2019), k = 1.
Deviations: the report gives no sizes: width 32, 4 heads, 64 units, 2 blocks and the linear layer that brings 8 + 2 numbers to the width are
ours, as are K = 32 and the end. The linear layer over days has one output per channel. No dropout. The last LayerNorm and the layer over days have no
bias: it would only shift a factor, which the batch norm takes out.
Status: shapes, gradients and parameter count tested; the published RankIC (16.1 %, 10 days, all units weighted) not reproduced.

Letters: T days, F fields, N stocks, H hidden units, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.models.attention import SelfAttention
from alpha_pipeline.models.contract import Network, NetworkConfig, fields_of, read_inputs
from alpha_pipeline.models.head import FactorHead, linear_layer


@dataclass(frozen=True)
class FactorTransformer(NetworkConfig):
    """Settings; all sizes but the number of days are ours.

    Attributes
    ----------
    tensor
        Name of the input: each data set of the report gets a factor unit of its own.
    n_fields
        Fields per day; None: as many as that tensor has.
    n_factors
        K.
    n_steps
        Days of the input; the layer over days has a weight for each.
    n_width
        Numbers per day inside the encoder.
    n_heads
        Of the attention; a divisor of ``n_width``.
    n_blocks
        Encoder blocks.
    n_feed_forward
        Units of the feed-forward networks.
    """

    tensor: str = "rawbar"
    n_fields: int | None = None
    n_factors: int = 32
    n_steps: int = 30
    n_width: int = 32
    n_heads: int = 4
    n_blocks: int = 2
    n_feed_forward: int = 64

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.tensor,)

    def create(self, generator: torch.Generator) -> Network:
        return FactorTransformerNetwork(self, generator)


class Time2Vec(nn.Module):
    """Times τ (T,) -> (T, 2): a linear and a sine component."""

    def __init__(self, *, generator: torch.Generator) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.empty(2).uniform_(-1, 1, generator=generator))
        self.phase = nn.Parameter(torch.empty(2).uniform_(-1, 1, generator=generator))

    def forward(self, tau_T: Tensor) -> Tensor:
        """(T, 2)."""
        angle_T2 = tau_T[:, None] * self.frequency + self.phase
        return torch.stack([angle_T2[:, 0], torch.sin(angle_T2[:, 1])], dim=1)


class EncoderBlock(nn.Module):
    """z (N, T, H) -> (N, T, H): attention and a feed-forward network, each added to its input and normalized."""

    def __init__(self, n_width: int, n_heads: int, n_feed_forward: int, *, is_last: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.attention = SelfAttention(n_width, n_heads, generator=generator)
        self.attention_norm = nn.LayerNorm(n_width)
        self.feed_forward = nn.Sequential(linear_layer(n_width, n_feed_forward, generator), nn.ReLU(),
                                          linear_layer(n_feed_forward, n_width, generator))
        self.feed_forward_norm = nn.LayerNorm(n_width, bias=not is_last)

    def forward(self, z_NTH: Tensor) -> Tensor:
        """(N, T, H)."""
        z_NTH = self.attention_norm(z_NTH + self.attention(z_NTH))
        out_NTH: Tensor = self.feed_forward_norm(z_NTH + self.feed_forward(z_NTH))
        return out_NTH


class FactorTransformerNetwork(Network):
    """time2vec -> Linear -> encoder blocks -> [Linear over days ; last day] -> Linear -> BN."""

    def __init__(self, config: FactorTransformer, generator: torch.Generator) -> None:
        super().__init__(config)
        self.tensor, self.n_fields, self.n_steps = config.tensor, fields_of(config.tensor, config.n_fields), config.n_steps
        self.time = Time2Vec(generator=generator)
        self.embed = linear_layer(self.n_fields + 2, config.n_width, generator)
        self.encoder = nn.Sequential(*(
            EncoderBlock(config.n_width, config.n_heads, config.n_feed_forward, is_last=i == config.n_blocks - 1, generator=generator)
            for i in range(config.n_blocks)))
        self.over_days = linear_layer(config.n_steps, 1, generator, bias=False)
        self.head = FactorHead(2 * config.n_width, config.n_factors, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Factors (N, K)."""
        assert frozen is None, "this network has no frozen part"
        (x_TFN,) = read_inputs(inputs, {self.tensor: self.n_fields}, "factor_transformer", n_steps=self.n_steps)
        x_NTF = x_TFN.permute(2, 0, 1)
        time_T2 = self.time(torch.linspace(-1, 0, self.n_steps, dtype=x_TFN.dtype, device=x_TFN.device))
        z_NTH = self.encoder(self.embed(torch.cat([x_NTF, time_T2.expand(x_NTF.shape[0], -1, -1)], dim=2)))
        all_days_NH = self.over_days(z_NTH.transpose(1, 2)).squeeze(-1)
        factors_NK: Tensor = self.head(torch.cat([all_days_NH, z_NTH[:, -1]], dim=1))
        return factors_NK
