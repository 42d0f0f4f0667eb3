"""The Triton kernels as a torch function with gradients, and with all members of an ensemble in one launch.

Importing this module needs triton. float32 tensors on one CUDA device (or on the CPU in Triton's interpreter).

The kernels see four gates of either cell; torch's stacks are rearranged by ordinary torch operations in front of them, so that
autograd carries the gradients back. ``torch.func.vmap`` over stacked weights, with x shared or stacked, ends in one launch too.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from alpha_pipeline.models.recurrent.triton_kernels import CHUNK, N_WARPS, TILE, recurrence_backward, recurrence_forward


def triton_gru(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths: Tensor | None, all_steps: bool) -> Tensor:
    """Last state (H, N), or all states (T, H, N), of a GRU; arguments as in :func:`.reference.reference_gru`.

    With a leading axis of M members on all four weights the result has it too; x is then (T, F, N), shared by the members, or
    (M, T, F, N), and lengths (N,) or (M, N).
    """
    w_r, w_z, w_n = w_ih.chunk(3, -2)
    u_r, u_z, u_n = w_hh.chunk(3, -2)
    (x_r, x_z, x_n), (h_r, h_z, h_n) = b_ih.chunk(3, -1), b_hh.chunk(3, -1)
    w = torch.stack([torch.zeros_like(w_n), w_r, w_z, w_n], -3)
    u = torch.stack([u_n, u_r, u_z, torch.zeros_like(u_n)], -3)
    b = torch.stack([h_n, x_r + h_r, x_z + h_z, x_n], -2)
    return _run(x, w, u, b, lengths, False, all_steps)


def triton_lstm(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, lengths: Tensor | None, all_steps: bool) -> Tensor:
    """Last h (H, N), or every h (T, H, N), of an LSTM; with members as in :func:`triton_gru`."""
    w, u = torch.stack(w_ih.chunk(4, -2), -3), torch.stack(w_hh.chunk(4, -2), -3)
    b = torch.stack((b_ih + b_hh).chunk(4, -1), -2)
    return _run(x, w, u, b, lengths, True, all_steps)


def _run(x: Tensor, w: Tensor, u: Tensor, b: Tensor, lengths: Tensor | None, lstm: bool, all_steps: bool) -> Tensor:
    """Weights by gate (4, H, F), (4, H, H), (4, H), or with members in front."""
    is_alone = w.ndim == 3
    if is_alone:
        w, u, b = w[None], u[None], b[None]
    starts = None if lengths is None else (x.shape[-3] - lengths).to(torch.int32)
    states: Tensor = _Members.apply(x, w, u, b, starts, lstm, all_steps, torch.is_grad_enabled())[0]
    return states[0] if is_alone else states


class _Members(torch.autograd.Function):
    """x (T, F, N) or (M, T, F, N), w (M, 4, H, F), u (M, 4, H, H), b (M, 4, H), starts (N,) or (M, N) or None.

    -> states (M, H, N) or (M, T, H, N), and checkpoints, empty if not kept.
    """

    @staticmethod
    def forward(x: Tensor, w: Tensor, u: Tensor, b: Tensor, starts: Tensor | None, lstm: bool, all_steps: bool,
                keep: bool) -> tuple[Tensor, Tensor]:
        n_members, _, n_hidden, n_fields = w.shape
        n_steps, n_stocks = x.shape[-3], x.shape[-1]
        states = x.new_empty(n_members, *((n_steps,) if all_steps else ()), n_hidden, n_stocks)
        n_chunks = triton.cdiv(n_steps, CHUNK) if keep else 0
        checkpoints = x.new_empty(n_members, n_chunks, 2 * n_hidden if lstm else n_hidden, n_stocks)
        if states.numel():
            inputs, strides = _inputs(x, w, u, b, starts)
            with torch.cuda.device_of(x):
                recurrence_forward[_grid(n_stocks, n_members)](
                    *inputs, states, states, checkpoints, n_steps, n_stocks, *strides, F=n_fields, H=n_hidden, LSTM=lstm,
                    HAS_STARTS=starts is not None, ALL_STEPS=all_steps, KEEP=keep, CHUNK=CHUNK,
                    FIELDS=_padded(n_fields), UNITS=_padded(n_hidden), TILE=TILE, num_warps=N_WARPS)
        return states, checkpoints

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.lstm, ctx.all_steps, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, _: None) -> tuple[Tensor | None, ...]:
        x, w, u, b, starts, checkpoints = ctx.saved_tensors
        n_members, _, n_hidden, n_fields = w.shape
        n_steps, n_stocks = x.shape[-3], x.shape[-1]
        fields, units, n_tiles = _padded(n_fields), _padded(n_hidden), triton.cdiv(n_stocks, TILE)
        need_x, n_states = ctx.needs_input_grad[0], 2 if ctx.lstm else 1
        d_x = x.new_empty(n_members if need_x else 0, n_steps, n_fields, n_stocks)
        work = x.new_empty(n_members, n_tiles, CHUNK, n_states, units, TILE)
        d_w, d_u, d_b = (x.new_empty(n_members, n_tiles, 4, units, *last) for last in ((fields,), (units,), ()))
        if n_members * n_tiles:
            inputs, strides = _inputs(x, w, u, b, starts)
            with torch.cuda.device_of(x):
                recurrence_backward[_grid(n_stocks, n_members)](
                    *inputs, checkpoints, work, d_states.contiguous(), d_x, d_w, d_u, d_b, n_steps, n_stocks, *strides,
                    F=n_fields, H=n_hidden, LSTM=ctx.lstm, HAS_STARTS=starts is not None, ALL_STEPS=ctx.all_steps, NEED_X=need_x,
                    CHUNK=CHUNK, FIELDS=fields, UNITS=units, TILE=TILE, num_warps=N_WARPS)
        gradients = (d_w.sum(1)[:, :, :n_hidden, :n_fields], d_u.sum(1)[:, :, :n_hidden, :n_hidden], d_b.sum(1)[:, :, :n_hidden])
        d_input = None if not need_x else d_x if x.ndim == 4 else d_x.sum(0)
        return d_input, *gradients, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], x: Tensor, w: Tensor, u: Tensor, b: Tensor, starts: Tensor | None,
             *options: bool) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        """The mapped axis becomes part of the members: values that all members share stay shared."""
        size, (x_dim, *weight_dims, starts_dim) = info.batch_size, in_dims[:5]
        n_members = w.movedim(weight_dims[0], 0).shape[1] if weight_dims[0] is not None else w.shape[0]
        weights = [_as_members(value, dim, size, n_members, False) for value, dim in zip((w, u, b), weight_dims, strict=True)]
        if x_dim is not None or x.ndim == 4:
            x = _as_members(x, x_dim, size, n_members, is_shared=x.ndim - (x_dim is not None) == 3)
        if starts is not None and (starts_dim is not None or starts.ndim == 2):
            starts = _as_members(starts, starts_dim, size, n_members, is_shared=starts.ndim - (starts_dim is not None) == 1)
        states, checkpoints = _Members.apply(x, *weights, starts, *options)
        return (states.unflatten(0, (size, n_members)), checkpoints.unflatten(0, (size, n_members))), (0, 0)


def _as_members(value: Tensor, dim: int | None, size: int, n_members: int, is_shared: bool) -> Tensor:
    """A value inside vmap, with or without the mapped axis ``dim``, as one with (size · n_members) members in front.

    ``is_shared``: its own members are not an axis of it.
    """
    value = value.expand(size, *value.shape) if dim is None else value.movedim(dim, 0)
    if is_shared:
        value = value[:, None].expand(size, n_members, *value.shape[1:])
    return value.flatten(0, 1)


def _inputs(x: Tensor, w: Tensor, u: Tensor, b: Tensor, starts: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[int, int]]:
    """Contiguous tensors, and how far apart the members of x and of starts are."""
    x = x.contiguous()
    some_starts = x if starts is None else starts.contiguous()  # without starts the kernel does not look
    x_stride = x[0].numel() if x.ndim == 4 else 0
    starts_stride = some_starts.shape[-1] if starts is not None and starts.ndim == 2 else 0
    return (x, some_starts, w.contiguous(), u.contiguous(), b.contiguous()), (x_stride, starts_stride)


def _grid(n_stocks: int, n_members: int) -> tuple[int, int]:
    return triton.cdiv(n_stocks, TILE), n_members


def _padded(n: int) -> int:
    return max(16, int(triton.next_power_of_2(n)))
