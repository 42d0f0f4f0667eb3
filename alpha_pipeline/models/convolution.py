"""Convolutions over the steps of a sequence (N, C, T): residual blocks, centered or causal.

Letters: N stocks, C channels, T steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad


class Convolution(nn.Module):
    """x (N, C_in, T) -> (N, C_out, T), zeros beyond the ends.

    Parameters
    ----------
    n_in, n_out, kernel, dilation
        Channels, taps, and steps between taps.
    is_causal
        Whether an output sees its own and earlier steps only; otherwise it is in the middle of what it sees.
    is_weight_normed
        Whether direction and length of each output's weights are parameters of their own, w = g · v / ‖v‖ (Salimans and Kingma, 2016).
    bias
        Whether there is one; not in front of a batch norm.
    generator
        Source of the initial weights, uniform in ±1/√(C_in · kernel) as in ``nn.Conv1d``; g starts as ‖v‖.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int = 1, *, is_causal: bool = False, is_weight_normed: bool = False,
                 bias: bool = True, generator: torch.Generator) -> None:
        super().__init__()
        bound, reach = (n_in * kernel) ** -0.5, (kernel - 1) * dilation
        self.dilation = dilation
        self.padding = (reach, 0) if is_causal else (reach // 2, reach - reach // 2)
        self.direction = nn.Parameter(torch.empty(n_out, n_in, kernel).uniform_(-bound, bound, generator=generator))
        self.length = nn.Parameter(self.direction.detach().norm(dim=(1, 2), keepdim=True)) if is_weight_normed else None
        self.bias = nn.Parameter(torch.empty(n_out).uniform_(-bound, bound, generator=generator)) if bias else None

    def forward(self, x_NCT: Tensor) -> Tensor:
        """(N, C_out, T)."""
        weight = self.direction
        if self.length is not None:
            weight = self.length * weight / weight.norm(dim=(1, 2), keepdim=True)
        return conv1d(pad(x_NCT, self.padding), weight, self.bias, dilation=self.dilation)


def shortcut(n_in: int, n_out: int, generator: torch.Generator) -> nn.Module:
    """The identity, or a 1 × 1 convolution where the number of channels changes."""
    return nn.Identity() if n_in == n_out else Convolution(n_in, n_out, 1, generator=generator)


class ResidualBlock(nn.Module):
    """ReLU(shortcut(x) + BN(conv(ReLU(BN(conv(x)))))), each step in the middle of what it sees. Source: He et al. (2015)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Convolution(n_in, n_out, kernel, bias=False, generator=generator)
        self.first_norm = nn.BatchNorm1d(n_out)
        self.second = Convolution(n_out, n_out, kernel, bias=False, generator=generator)
        self.second_norm = nn.BatchNorm1d(n_out)
        self.shortcut = shortcut(n_in, n_out, generator)

    def forward(self, x_NCT: Tensor) -> Tensor:
        """(N, C_out, T)."""
        inner_NCT = self.second_norm(self.second(torch.relu(self.first_norm(self.first(x_NCT)))))
        return torch.relu(self.shortcut(x_NCT) + inner_NCT)


class TemporalBlock(nn.Module):
    """ReLU(shortcut(x) + ReLU(wconv(ReLU(wconv(x))))), causal and dilated. Source: Bai et al. (2018), figure 1b, without dropout."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Convolution(n_in, n_out, kernel, dilation, is_causal=True, is_weight_normed=True, generator=generator)
        self.second = Convolution(n_out, n_out, kernel, dilation, is_causal=True, is_weight_normed=True, generator=generator)
        self.shortcut = shortcut(n_in, n_out, generator)

    def forward(self, x_NCT: Tensor) -> Tensor:
        """(N, C_out, T)."""
        inner_NCT = torch.relu(self.second(torch.relu(self.first(x_NCT))))
        return torch.relu(self.shortcut(x_NCT) + inner_NCT)
