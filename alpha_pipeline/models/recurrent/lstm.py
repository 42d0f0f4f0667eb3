"""One layer of long short-term memory over (steps, fields, stocks), in torch's own operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTM(nn.Module):
    """LSTM from zero states; equations, parameter names and shapes are those of ``nn.LSTM`` with one layer.

    Parameters
    ----------
    n_fields, n_hidden
        F and H.
    generator
        Source of the initial weights: uniform in ±1/√H, in the order in which ``nn.LSTM`` draws them.
    """

    def __init__(self, n_fields: int, n_hidden: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.n_fields, self.n_hidden = n_fields, n_hidden
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * n_hidden, n_fields))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * n_hidden, n_hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * n_hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * n_hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(n_hidden**-0.5), n_hidden**-0.5, generator=generator)

    def forward(self, x_TFN: Tensor, all_steps: bool = False) -> Tensor:
        """Last state (N, H), or with ``all_steps`` every state (T, H, N), stocks last."""
        h_HN = x_TFN.new_zeros(self.n_hidden, x_TFN.shape[2])
        c_HN = h_HN
        states = []
        for x_FN in x_TFN.unbind(0):
            gates = torch.addmm((self.bias_ih_l0 + self.bias_hh_l0)[:, None], self.weight_ih_l0, x_FN) + self.weight_hh_l0 @ h_HN
            i, f, g, o = gates.chunk(4)
            c_HN = torch.sigmoid(f) * c_HN + torch.sigmoid(i) * torch.tanh(g)
            h_HN = torch.sigmoid(o) * torch.tanh(c_HN)
            if all_steps:
                states.append(h_HN)
        return torch.stack(states) if all_steps else h_HN.t()
