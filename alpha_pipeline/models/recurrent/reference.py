"""The same GRU in torch's own operations: on any device and in any precision, and what the fused kernels are held against.

Time-major with stocks last, one step at a time. ``unbind`` matters: indexing ``x[t]`` inside the loop makes the backward write
a gradient of the full size at every step.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reference_gru(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, all_steps: bool) -> Tensor:
    """Last state (H, N), or all states (T, H, N), of a GRU that starts from zero; differentiable in every argument."""
    h_HN = x_TFN.new_zeros(w_hh.shape[1], x_TFN.shape[2])
    states = []
    for x_FN in x_TFN.unbind(0):
        x_r, x_z, x_n = torch.addmm(b_ih[:, None], w_ih, x_FN).chunk(3)
        h_r, h_z, h_n = torch.addmm(b_hh[:, None], w_hh, h_HN).chunk(3)
        reset, update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        proposed = torch.tanh(x_n + reset * h_n)
        h_HN = proposed + update * (h_HN - proposed)
        if all_steps:
            states.append(h_HN)
    return torch.stack(states) if all_steps else h_HN


def library_gru(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, all_steps: bool) -> Tensor:
    """The same through ``torch.gru``, which is cuDNN on a CUDA device."""
    h_1NH = x_TFN.new_zeros(1, x_TFN.shape[2], w_hh.shape[1])
    x_TNF = x_TFN.transpose(1, 2).contiguous()
    states_TNH, last_1NH = torch.gru(x_TNF, h_1NH, (w_ih, w_hh, b_ih, b_hh), True, 1, 0.0, False, False, False)
    return states_TNH.transpose(1, 2) if all_steps else last_1NH[0].t()
