"""The attention kernels as a torch function: summaries of (T, H, N) states, with gradients. Importing this module needs numba.

Only float32 tensors on the CPU. Nothing is kept for the backward but the states: the weights of a stock are computed again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alpha_pipeline.models.recurrent.attention_kernel import HEIGHT, Maps, Sizes, Workspace, attention_backward, attention_forward
from alpha_pipeline.models.recurrent.lanes import LANES, TILE
from alpha_pipeline.models.recurrent.threads import groups_of_tiles, own, run_groups
from alpha_pipeline.models.recurrent.tiles import Array


def fused_summary(z_THN: Tensor, query: Tensor, key: Tensor, value: Tensor, residual: bool) -> Tensor:
    """Summary (H, N); ``query``, ``key``, ``value``: maps (H, H), one head. See :mod:`.attention_kernel`."""
    summary: Tensor = _FusedAttention.apply(z_THN, query, key, value, residual)
    return summary


class _FusedAttention(torch.autograd.Function):
    @staticmethod
    def forward(z_THN: Tensor, query: Tensor, key: Tensor, value: Tensor, residual: bool) -> Tensor:
        s, maps = _sizes(z_THN), _maps(z_THN, query, key, value)
        summary_HN = torch.empty(s.n_hidden, s.n_stocks)
        z, out, groups = _flat(z_THN), summary_HN.view(-1).numpy(), groups_of_tiles(-(-s.n_stocks // LANES))

        def task(group: int) -> None:
            attention_forward(s, maps, z, *groups[group], _own_workspace(s), residual, out)

        run_groups(task, len(groups))
        return summary_HN

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.residual = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_summary_HN: Tensor) -> tuple[Tensor | None, ...]:
        z_THN, query, key, value = ctx.saved_tensors
        s, maps, residual = _sizes(z_THN), _maps(z_THN, query, key, value), ctx.residual
        padded = -(-s.n_hidden // TILE) * TILE
        groups = groups_of_tiles(-(-s.n_stocks // LANES))
        sums = np.zeros((len(groups), 3 * s.n_rows * padded), np.float32)
        d_z_THN = torch.empty(z_THN.shape)
        z, d_summary, d_z = _flat(z_THN), _flat(d_summary_HN), d_z_THN.view(-1).numpy()

        def task(group: int) -> None:
            attention_backward(s, maps, z, *groups[group], _own_workspace(s), residual, d_summary, d_z, sums[group])

        run_groups(task, len(groups))
        blocks = sums.sum(0).reshape(3, s.n_rows // HEIGHT, padded // TILE, HEIGHT, TILE)  # block by block, see add_map_gradient
        gradients = blocks.transpose(0, 1, 3, 2, 4).reshape(3, s.n_rows, padded)[:, : s.n_hidden, : s.n_hidden]
        d_query, d_key, d_value = (torch.from_numpy(np.ascontiguousarray(g)) for g in gradients)
        return d_z_THN, d_query * s.n_hidden**-0.5, d_key, d_value if residual else None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        """The members of an ensemble one after another, as the recurrent layers do it."""

        def of_member(m: int) -> list[Any]:
            return [value if dim is None else value.select(dim, m) for value, dim in zip(inputs, in_dims, strict=True)]

        return torch.stack([_FusedAttention.apply(*of_member(m)) for m in range(info.batch_size)]), 0


def _sizes(z_THN: Tensor) -> Sizes:
    n_steps, n_hidden, n_stocks = z_THN.shape
    return Sizes(n_steps, n_hidden, n_stocks, -(-n_hidden // HEIGHT) * HEIGHT, -(-n_steps // TILE))


def _maps(z_THN: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Maps:
    n_hidden, n_rows = z_THN.shape[1], _sizes(z_THN).n_rows
    maps = np.zeros((3, n_rows, n_rows), np.float32)
    for i, weight in enumerate((query, key, value)):
        maps[i, :n_hidden, :n_hidden] = weight.detach().numpy()
    maps[0] *= np.float32(n_hidden**-0.5)
    return Maps(*(m.reshape(-1) for m in maps), *(np.ascontiguousarray(m.T).reshape(-1) for m in maps))


def _own_workspace(s: Sizes) -> Workspace:
    return own(("attention", s.n_hidden, s.n_tiles), lambda: _workspace(s))


def _workspace(s: Sizes) -> Workspace:
    n_steps, padded = s.n_tiles * TILE, -(-s.n_hidden // TILE) * TILE
    columns, rows, per_step = s.n_rows * n_steps, n_steps * s.n_rows, n_steps * TILE
    extents = {"stocks": LANES * columns, "z_rows": n_steps * padded, "panel": per_step, "d_panel": per_step, "o": s.n_rows * TILE,
               "largest": n_steps, "inverse": n_steps, "shift": n_steps, "per_key": n_steps * LANES, "per_unit": s.n_rows * LANES,
               "zeros": max(TILE, HEIGHT)}
    extents |= {name: columns for name in ("q", "k", "v", "d_q", "d_k", "d_v", "d_u")}
    extents |= {name: rows for name in ("q_rows", "k_rows", "v_rows", "d_rows")}
    return Workspace(**{name: np.zeros(extents[name], np.float32) for name in Workspace._fields})


def _flat(tensor: Tensor) -> Array:
    return tensor.detach().contiguous().view(-1).numpy()
