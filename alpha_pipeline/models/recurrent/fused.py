"""The fused GRU as a torch function: kernels on tensors, with gradients. Importing this module needs numba.

Only float32 tensors on the CPU; :mod:`alpha_pipeline.models.recurrent.gru` sends everything else elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alpha_pipeline.models.recurrent import gru_packing
from alpha_pipeline.models.recurrent.gru_kernel import CHUNK, Workspace, gru_backward, gru_forward
from alpha_pipeline.models.recurrent.gru_packing import Plan
from alpha_pipeline.models.recurrent.threads import groups_of_tiles, own, run_groups
from alpha_pipeline.models.recurrent.tiles import Array

_NOTHING = np.zeros(0, np.float32)


def fused_gru(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, all_steps: bool) -> Tensor:
    """Last state (H, N), or all states (T, H, N), of a GRU that starts from zero.

    The memory kept for a backward is one state in ten; where no gradient is wanted nothing is kept.
    """
    tensors = (x_TFN, w_ih, w_hh, b_ih, b_hh)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        result: Tensor = _FusedGRU.apply(*tensors, all_steps)
        return result
    return _forward(*tensors, all_steps, keep_checkpoints=False)[0]


class _FusedGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, all_steps: bool) -> Tensor:
        states, checkpoints = _forward(x_TFN, w_ih, w_hh, b_ih, b_hh, all_steps, keep_checkpoints=True)
        ctx.save_for_backward(x_TFN, w_ih, w_hh, b_ih, b_hh, checkpoints)
        ctx.all_steps = all_steps
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        x_TFN, w_ih, w_hh, b_ih, b_hh, checkpoints = ctx.saved_tensors
        p = _plan(x_TFN, w_hh)
        weights = gru_packing.pack(p, *(t.detach().numpy() for t in (w_ih, w_hh, b_ih, b_hh)))
        groups = groups_of_tiles(p.n_tiles)
        n_h, n_x, n_b = 3 * p.sizes.n_rows * p.sizes.n_hidden, 3 * p.sizes.n_rows * p.sizes.n_fields, 4 * p.sizes.n_rows
        grad_h, grad_x, grad_b = (np.zeros((len(groups), n), np.float32) for n in (n_h, n_x, n_b))
        d_x = torch.empty(x_TFN.shape) if ctx.needs_input_grad[0] else None
        x, kept, d, d_input = _flat(x_TFN), _flat(checkpoints), _flat(d_states), _NOTHING if d_x is None else _flat(d_x)

        def task(group: int) -> None:
            gru_backward(p.block_rows, p.gradient_rows, p.gradient_columns, p.sizes, weights, x, *groups[group],
                         _own_workspace(p, CHUNK), kept, ctx.all_steps, d, d_x is not None, d_input,
                         grad_h[group], grad_x[group], grad_b[group])

        run_groups(task, len(groups))
        gradients = gru_packing.unpack_gradients(p, grad_h.sum(0), grad_x.sum(0), grad_b.sum(0))
        return (d_x, *(torch.from_numpy(g) for g in gradients), None)


def _forward(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, all_steps: bool,
             keep_checkpoints: bool) -> tuple[Tensor, Tensor]:
    """States as asked, and the checkpoints (empty if not kept)."""
    p = _plan(x_TFN, w_hh)
    weights = gru_packing.pack(p, *(t.detach().numpy() for t in (w_ih, w_hh, b_ih, b_hh)))
    n_steps, n_hidden, n_stocks = p.sizes.n_steps, p.sizes.n_hidden, p.sizes.n_stocks
    last_HN = torch.empty(n_hidden, n_stocks)
    states_THN = torch.empty(n_steps if all_steps else 0, n_hidden, n_stocks)
    checkpoints = torch.empty(-(-n_steps // CHUNK) if keep_checkpoints else 0, n_hidden, n_stocks)
    x, last, states, kept = _flat(x_TFN), _flat(last_HN), _flat(states_THN), _flat(checkpoints)
    groups = groups_of_tiles(p.n_tiles)

    def task(group: int) -> None:
        gru_forward(p.block_rows, p.sizes, weights, x, *groups[group], _own_workspace(p, 1),
                    last, all_steps, states, keep_checkpoints, kept)

    run_groups(task, len(groups))
    return states_THN if all_steps else last_HN, checkpoints


def _plan(x_TFN: Tensor, w_hh: Tensor) -> Plan:
    n_steps, n_fields, n_stocks = x_TFN.shape
    return gru_packing.plan(n_steps, n_fields, w_hh.shape[1], n_stocks)


def _own_workspace(p: Plan, n_slots: int) -> Workspace:
    return own((n_slots, p.sizes.n_fields, p.sizes.n_hidden), lambda: gru_packing.workspace(p, n_slots))


def _flat(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().view(-1).numpy()
