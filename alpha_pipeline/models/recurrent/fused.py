"""The fused kernels as a torch function: on tensors, with gradients. Importing this module needs numba.

Only float32 tensors on the CPU; :mod:`alpha_pipeline.models.recurrent.layer` sends everything else elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alpha_pipeline.models.recurrent import packing
from alpha_pipeline.models.recurrent.buffers import CHUNK, Workspace
from alpha_pipeline.models.recurrent.kernel import recurrence_backward, recurrence_forward
from alpha_pipeline.models.recurrent.packing import Cell, Plan
from alpha_pipeline.models.recurrent.threads import groups_of_tiles, own, run_groups
from alpha_pipeline.models.recurrent.tiles import Array, Integers

_NOTHING = np.zeros(0, np.float32)
_ALL_FROM_THE_FIRST = np.zeros(0, np.int64)


def fused_gru(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
              all_steps: bool) -> Tensor:
    """Last state (H, N), or all states (T, H, N), of a GRU; arguments as in :func:`.reference.reference_gru`."""
    return _run(packing.GRU, x_TFN, w_ih, w_hh, b_ih, b_hh, lengths_N, all_steps)


def fused_lstm(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
               all_steps: bool) -> Tensor:
    """Last h (H, N), or every h (T, H, N), of an LSTM; arguments as in :func:`.reference.reference_lstm`."""
    return _run(packing.LSTM, x_TFN, w_ih, w_hh, b_ih, b_hh, lengths_N, all_steps)


def _run(cell: Cell, x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
         all_steps: bool) -> Tensor:
    """The memory kept for a backward is one state in ten; under ``no_grad`` nothing is kept."""
    states: Tensor = _Fused.apply(x_TFN, w_ih, w_hh, b_ih, b_hh, lengths_N, cell, all_steps, torch.is_grad_enabled())[0]
    return states


class _Fused(torch.autograd.Function):
    """-> (states as asked, checkpoints: empty if not kept)."""

    @staticmethod
    def forward(x_TFN: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths_N: Tensor | None,
                cell: Cell, all_steps: bool, keep: bool) -> tuple[Tensor, Tensor]:
        p = _plan(cell, x_TFN, w_hh)
        weights = packing.pack(p, *(t.detach().numpy() for t in (w_ih, w_hh, b_ih, b_hh)))
        n_steps, n_hidden, n_stocks = p.sizes.n_steps, p.sizes.n_hidden, p.sizes.n_stocks
        last_HN = torch.empty(n_hidden, n_stocks)
        states_THN = torch.empty(n_steps if all_steps else 0, n_hidden, n_stocks)
        checkpoints = torch.empty(-(-n_steps // CHUNK) if keep else 0, n_hidden + p.sizes.n_memory, n_stocks)
        x, last, states, kept = _flat(x_TFN), _flat(last_HN), _flat(states_THN), _flat(checkpoints)
        starts, groups = _starts(n_steps, lengths_N), groups_of_tiles(p.n_tiles)

        def task(group: int) -> None:
            recurrence_forward(cell.template, p.block_rows, p.sizes, weights, x, starts, *groups[group], _own_workspace(p),
                               last, all_steps, states, keep, kept)

        run_groups(task, len(groups))
        return states_THN if all_steps else last_HN, checkpoints

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, lengths_N, ctx.cell, ctx.all_steps, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, lengths_N, output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, _: None) -> tuple[Tensor | None, ...]:
        x_TFN, w_ih, w_hh, b_ih, b_hh, lengths_N, checkpoints = ctx.saved_tensors
        p = _plan(ctx.cell, x_TFN, w_hh)
        s, n = p.sizes, p.cell.n_gates
        weights = packing.pack(p, *(t.detach().numpy() for t in (w_ih, w_hh, b_ih, b_hh)))
        starts, groups = _starts(s.n_steps, lengths_N), groups_of_tiles(p.n_tiles)
        extents = n * s.n_rows * s.n_hidden, n * s.n_rows * s.n_fields, 4 * s.n_rows
        grad_h, grad_x, grad_b = (np.zeros((len(groups), extent), np.float32) for extent in extents)
        d_x = torch.empty(x_TFN.shape) if ctx.needs_input_grad[0] else None
        x, kept, d, d_input = _flat(x_TFN), _flat(checkpoints), _flat(d_states), _NOTHING if d_x is None else _flat(d_x)

        def task(group: int) -> None:
            recurrence_backward(p.cell.template, p.block_rows, p.gradient_rows, p.gradient_columns, s, weights, x, starts,
                                *groups[group], _own_workspace(p), kept, ctx.all_steps, d, d_x is not None, d_input,
                                grad_h[group], grad_x[group], grad_b[group])

        run_groups(task, len(groups))
        gradients = packing.unpack_gradients(p, grad_h.sum(0), grad_x.sum(0), grad_b.sum(0))
        return (d_x, *(torch.from_numpy(g) for g in gradients), None, None, None, None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """The members of an ensemble one after another: the kernels fill the cores with one."""

        def of_member(m: int) -> list[Any]:
            return [value if dim is None else value.select(dim, m) for value, dim in zip(inputs, in_dims, strict=True)]

        states, checkpoints = zip(*(_Fused.apply(*of_member(m)) for m in range(info.batch_size)), strict=True)
        return (torch.stack(states), torch.stack(checkpoints)), (0, 0)


def _plan(cell: Cell, x_TFN: Tensor, w_hh: Tensor) -> Plan:
    n_steps, n_fields, n_stocks = x_TFN.shape
    return packing.plan(cell, n_steps, n_fields, w_hh.shape[1], n_stocks)


def _own_workspace(p: Plan) -> Workspace:
    return own((p.cell, p.sizes.n_fields, p.sizes.n_hidden), lambda: packing.workspace(p))


def _starts(n_steps: int, lengths_N: Tensor | None) -> Integers:
    """First step that counts of every stock; empty if that is step 0 for all."""
    if lengths_N is None:
        return _ALL_FROM_THE_FIRST
    starts: Integers = n_steps - lengths_N.contiguous().numpy()
    assert starts.size == 0 or (starts.min() >= 0 and starts.max() <= n_steps), f"lengths outside 0 .. {n_steps}"
    return starts


def _flat(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().view(-1).numpy()
