"""One layer of gated recurrent units over (steps, fields, stocks)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alpha_pipeline.models.recurrent.backend import announce
from alpha_pipeline.models.recurrent.reference import library_gru, reference_gru


class GRU(nn.Module):
    """GRU from a zero state; equations, parameter names and shapes are those of ``nn.GRU`` with one layer.

    Parameters
    ----------
    n_fields, n_hidden
        F and H.
    generator
        Source of the initial weights: uniform in ±1/√H, drawn in the order in which ``nn.GRU`` draws them, so that
        ``torch.manual_seed(s); nn.GRU(F, H)`` and ``GRU(F, H, generator=torch.Generator().manual_seed(s))`` are equal.

    The path taken (fused kernels, cuDNN, plain torch) follows from device and dtype of the input, see
    :func:`~alpha_pipeline.models.recurrent.backend.active_backend`. On the CPU in float32 the result is bitwise the same for any
    number of threads.
    """

    def __init__(self, n_fields: int, n_hidden: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.n_fields, self.n_hidden = n_fields, n_hidden
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * n_hidden, n_fields))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * n_hidden, n_hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(3 * n_hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(3 * n_hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(n_hidden**-0.5), n_hidden**-0.5, generator=generator)

    def forward(self, x_TFN: Tensor, all_steps: bool = False) -> Tensor:
        """Last state (N, H), or with ``all_steps`` every state (T, H, N), stocks last.

        ``x_TFN``: steps oldest first; contiguous is fastest. A NaN makes the states of its stock NaN from that step on.
        """
        assert x_TFN.ndim == 3 and x_TFN.shape[0] > 0 and x_TFN.shape[1] == self.n_fields, tuple(x_TFN.shape)
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        backend = announce(x_TFN.device, x_TFN.dtype)
        if backend == "fused":
            from alpha_pipeline.models.recurrent.fused import fused_gru as run
        else:
            run = library_gru if backend == "cudnn" else reference_gru
        states = run(x_TFN, *weights, all_steps)
        return states if all_steps else states.t()

    def extra_repr(self) -> str:
        return f"{self.n_fields}, {self.n_hidden}"
