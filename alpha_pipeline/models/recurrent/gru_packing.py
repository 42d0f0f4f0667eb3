"""The weights of a GRU between torch's layout and the one the kernels read, and the sizes of their buffers.

torch stacks three gates, ``[r | z | n]``, with one bias for the input and one for the state. The kernels use four,
``[hn | r | z | xn]``, because the reset gate multiplies only the state's part of n, and each gate has ``n_rows`` rows: hidden
units rounded up to whole blocks, the added rows being zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from alpha_pipeline.models.recurrent.gru_kernel import CHUNK, Sizes, Weights, Workspace
from alpha_pipeline.models.recurrent.lanes import LANES, MANY_REGISTERS, TILE
from alpha_pipeline.models.recurrent.tiles import Array, Template

# Accumulators of a block plus what they are multiplied with must fit into 32 (or 16) vector registers.
BLOCK_ROWS = (12, 10, 8) if MANY_REGISTERS else (6, 5, 4)
GRADIENT_BLOCK = (4, 6) if MANY_REGISTERS else (3, 3)
SLACK = max(GRADIENT_BLOCK) * TILE  # what the last gradient block may read past the end of a buffer


class Plan(NamedTuple):
    """Block shapes and sizes for one call."""

    block_rows: Template
    gradient_rows: Template
    gradient_columns: Template
    sizes: Sizes

    @property
    def n_tiles(self) -> int:
        return _round_up(self.sizes.n_stocks, TILE) // TILE


def plan(n_steps: int, n_fields: int, n_hidden: int, n_stocks: int) -> Plan:
    """The block height that wastes the fewest rows, and everything that follows from it."""
    height = min(BLOCK_ROWS, key=lambda n: _round_up(n_hidden, n))
    sizes = Sizes(n_steps, n_fields, n_hidden, n_stocks, _round_up(n_hidden, height), _round_up(n_fields, height))
    return Plan((0.0,) * height, (0.0,) * GRADIENT_BLOCK[0], (0.0,) * GRADIENT_BLOCK[1], sizes)


def workspace(p: Plan, n_slots: int) -> Workspace:
    """Zeroed buffers for ``n_slots`` steps at a time: 1 in the forward, CHUNK in the backward."""
    s, (height, width) = p.sizes, GRADIENT_BLOCK
    gates = n_slots * 4 * s.n_rows * TILE + SLACK
    backward = n_slots == CHUNK
    sums_rows = _round_up(3 * s.n_rows, height) * LANES
    return Workspace(
        hx=_zeros((n_slots + 1) * (s.n_hidden + s.n_fields) * TILE + SLACK),
        gates=_zeros(gates),
        d_gates=_zeros(gates if backward else 0),
        d_h=_zeros(s.n_rows * TILE),
        rows=_zeros(max(s.n_rows, len(p.block_rows)) * TILE),
        sums_h=_zeros(sums_rows * _round_up(s.n_hidden, width) if backward else 0),
        sums_x=_zeros(sums_rows * _round_up(s.n_fields, width) if backward else 0),
        sums_b=_zeros(4 * s.n_rows * LANES if backward else 0),
    )


def pack(p: Plan, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Weights:
    """torch's (3H, F), (3H, H), (3H,), (3H,) -> the kernels' weights."""
    s, height = p.sizes, len(p.block_rows)
    wx, wh = w_ih.reshape(3, s.n_hidden, s.n_fields), w_hh.reshape(3, s.n_hidden, s.n_hidden)
    bx, bh = b_ih.reshape(3, s.n_hidden), b_hh.reshape(3, s.n_hidden)
    both = np.zeros((4, s.n_rows, s.n_hidden + s.n_fields), np.float32)
    both[:3, : s.n_hidden, : s.n_hidden] = wh[[2, 0, 1]]
    both[1:, : s.n_hidden, s.n_hidden :] = wx
    bias = np.zeros((4, s.n_rows), np.float32)
    bias[:, : s.n_hidden] = np.stack([bh[2], bx[0] + bh[0], bx[1] + bh[1], bx[2]])
    hidden = both[:3, :, : s.n_hidden].reshape(3 * s.n_rows, s.n_hidden)
    fields = both[1:, :, s.n_hidden :].reshape(3 * s.n_rows, s.n_fields)
    return Weights(
        gates=_in_blocks(both.reshape(4 * s.n_rows, -1), height),
        bias=bias.reshape(-1),
        hidden_transposed=_in_blocks(_pad_rows(hidden.T, s.n_rows), height),
        input_transposed=_in_blocks(_pad_rows(fields.T, s.n_field_rows), height),
    )


def unpack_gradients(p: Plan, grad_h: Array, grad_x: Array, grad_b: Array) -> tuple[Array, Array, Array, Array]:
    """The kernels' weight gradients -> those of w_ih, w_hh, b_ih, b_hh."""
    s = p.sizes
    h = grad_h.reshape(3, s.n_rows, s.n_hidden)[:, : s.n_hidden]
    x = grad_x.reshape(3, s.n_rows, s.n_fields)[:, : s.n_hidden]
    b = grad_b.reshape(4, s.n_rows)[:, : s.n_hidden]
    return (np.ascontiguousarray(x).reshape(-1, s.n_fields), h[[1, 2, 0]].reshape(-1, s.n_hidden),
            b[[1, 2, 3]].reshape(-1), b[[1, 2, 0]].reshape(-1))


def _zeros(n: int) -> Array:
    return np.zeros(n, np.float32)


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _pad_rows(matrix: Array, n_rows: int) -> Array:
    return np.pad(matrix, ((0, n_rows - len(matrix)), (0, 0)))


def _in_blocks(matrix: Array, height: int) -> Array:
    """Rows in groups of ``height``; inside a group, column by column."""
    n_rows, n_columns = matrix.shape
    return np.ascontiguousarray(matrix.reshape(n_rows // height, height, n_columns).swapaxes(1, 2)).reshape(-1)
