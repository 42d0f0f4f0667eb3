"""The same recurrences in torch's own operations: on any device and in any precision, and what the kernels are held against.

Time-major with stocks last, one step at a time. ``unbind`` matters: indexing ``x[t]`` inside the loop makes the backward write
a gradient of the full size at every step.

Letters: T steps, F fields, N stocks, H hidden units. Weights are (G·H, F), (G·H, H), (G·H,), (G·H,) with G = 3 gates ``[r | z | n]``
of a GRU and 4 ``[i | f | g | o]`` of an LSTM. ``lengths_N``: how many of the last steps of each stock count, all if None. A stock
with length L starts from zero at step T − L: its states before are zero, and what x holds there, NaN included, reaches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def reference_gru(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
                  all_steps: bool) -> Tensor:
    """Last state (H, N), or all states (T, H, N), of a GRU that starts from zero; differentiable in every argument."""
    h_HN = x_TFN.new_zeros(w_hh.shape[1], x_TFN.shape[2])
    states = []
    for x_FN, started_N in _steps(x_TFN, lengths_N):
        x_r, x_z, x_n = torch.addmm(b_ih[:, None], w_ih, x_FN).chunk(3)
        h_r, h_z, h_n = torch.addmm(b_hh[:, None], w_hh, h_HN).chunk(3)
        reset, update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        proposed = torch.tanh(x_n + reset * h_n)
        h_HN = _only(started_N, proposed + update * (h_HN - proposed))
        if all_steps:
            states.append(h_HN)
    return torch.stack(states) if all_steps else h_HN


def reference_lstm(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
                   all_steps: bool) -> Tensor:
    """Last h (H, N), or every h (T, H, N), of an LSTM whose h and c start from zero; differentiable in every argument."""
    h_HN = x_TFN.new_zeros(w_hh.shape[1], x_TFN.shape[2])
    c_HN, states = h_HN, []
    for x_FN, started_N in _steps(x_TFN, lengths_N):
        i, f, g, o = (torch.addmm(b_ih[:, None], w_ih, x_FN) + torch.addmm(b_hh[:, None], w_hh, h_HN)).chunk(4)
        c_HN = _only(started_N, torch.sigmoid(f) * c_HN + torch.sigmoid(i) * torch.tanh(g))
        h_HN = torch.sigmoid(o) * torch.tanh(c_HN)  # zero where c is
        if all_steps:
            states.append(h_HN)
    return torch.stack(states) if all_steps else h_HN


def library_gru(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
                 all_steps: bool) -> Tensor:
    """The same through ``torch.gru``, which is cuDNN on a CUDA device; it knows no lengths."""
    assert lengths_N is None
    h_1NH = x_TFN.new_zeros(1, x_TFN.shape[2], w_hh.shape[1])
    x_TNF = x_TFN.transpose(1, 2).contiguous()
    states_TNH, last_1NH = torch.gru(x_TNF, h_1NH, (w_ih, w_hh, b_ih, b_hh), True, 1, 0.0, False, False, False)
    return states_TNH.transpose(1, 2) if all_steps else last_1NH[0].t()


def library_lstm(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
                 all_steps: bool) -> Tensor:
    """The same through ``torch.lstm``, which is cuDNN on a CUDA device; it knows no lengths."""
    assert lengths_N is None
    zero_1NH = x_TFN.new_zeros(1, x_TFN.shape[2], w_hh.shape[1])
    x_TNF = x_TFN.transpose(1, 2).contiguous()
    weights = (w_ih, w_hh, b_ih, b_hh)
    states_TNH, last_1NH, _ = torch.lstm(x_TNF, (zero_1NH, zero_1NH), weights, True, 1, 0.0, False, False, False)
    return states_TNH.transpose(1, 2) if all_steps else last_1NH[0].t()


def _steps(x_TFN: Tensor, lengths_N: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Inputs of each step, zero where they do not count, and which stocks have started."""
    for t, x_FN in enumerate(x_TFN.unbind(0)):
        started_N = None if lengths_N is None else lengths_N >= x_TFN.shape[0] - t
        yield _only(started_N, x_FN), started_N


def _only(started_N: Tensor | None, value: Tensor) -> Tensor:
    return value if started_N is None else torch.where(started_N, value, 0.0)
