"""What the GRU and the LSTM layer share: parameters as torch has them, and the choice of the path."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from alpha_pipeline.models.recurrent import reference
from alpha_pipeline.models.recurrent.backend import announce


class RecurrentLayer(nn.Module):
    """One layer over (steps, fields, stocks) that starts from a zero state.

    Parameters
    ----------
    n_fields, n_hidden
        F and H.
    generator
        Source of the initial weights: uniform in ±1/√H, drawn in the order in which torch's own layer draws them, so that
        ``torch.manual_seed(s); nn.GRU(F, H)`` and ``GRU(F, H, generator=torch.Generator().manual_seed(s))`` are equal.

    The path taken (fused kernels, Triton, cuDNN, plain torch) follows from device, dtype and ``lengths_N``, see
    :func:`~alpha_pipeline.models.recurrent.backend.active_backend`. On the CPU in float32 the result is bitwise the same for any
    number of threads. Every path but cuDNN works under ``torch.func.vmap`` over stacked parameters (members of an ensemble).
    """

    cell: ClassVar[str]  # "gru" or "lstm"
    n_gates: ClassVar[int]

    def __init__(self, n_fields: int, n_hidden: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.n_fields, self.n_hidden = n_fields, n_hidden
        n_rows = self.n_gates * n_hidden
        self.weight_ih_l0 = nn.Parameter(torch.empty(n_rows, n_fields))
        self.weight_hh_l0 = nn.Parameter(torch.empty(n_rows, n_hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(n_rows))
        self.bias_hh_l0 = nn.Parameter(torch.empty(n_rows))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(n_hidden**-0.5), n_hidden**-0.5, generator=generator)

    def forward(self, x_TFN: Tensor, all_steps: bool = False, lengths_N: Tensor | None = None) -> Tensor:
        """Last state (N, H), or with ``all_steps`` every state (T, H, N), stocks last.

        ``x_TFN``: steps oldest first; contiguous is fastest. A NaN makes the states of its stock NaN from that step on.
        ``lengths_N``: int64, 0 to T, how many of the *last* steps of each stock count (windows of different length, aligned at
        the right); all if None. A stock with length L starts from zero at step T − L, as if run alone on its shorter window:
        whatever x holds before, NaN included, reaches neither states nor gradients, and its states there are zero.
        """
        assert x_TFN.ndim == 3 and x_TFN.shape[0] > 0 and x_TFN.shape[1] == self.n_fields, tuple(x_TFN.shape)
        assert lengths_N is None or (lengths_N.dtype == torch.int64 and lengths_N.shape == x_TFN.shape[2:]), lengths_N
        weights = (self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0)
        run = _function(announce(x_TFN.device, x_TFN.dtype, ragged=lengths_N is not None), self.cell)
        states = run(x_TFN, *weights, lengths_N, all_steps)
        return states if all_steps else states.t()

    def extra_repr(self) -> str:
        return f"{self.n_fields}, {self.n_hidden}"


def _function(backend: str, cell: str) -> Callable[..., Tensor]:
    """What computes ``cell`` on a path; numba and triton are imported where their paths are taken, not before."""
    if backend == "fused":
        from alpha_pipeline.models.recurrent import fused

        return fused.fused_gru if cell == "gru" else fused.fused_lstm
    if backend == "triton":
        from alpha_pipeline.models.recurrent import triton_recurrent

        return triton_recurrent.triton_gru if cell == "gru" else triton_recurrent.triton_lstm
    if backend == "cudnn":
        return reference.library_gru if cell == "gru" else reference.library_lstm
    return reference.reference_gru if cell == "gru" else reference.reference_lstm
