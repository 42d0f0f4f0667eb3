"""The weights of a cell between torch's layout and the one the kernels read, and the sizes of their buffers.

torch stacks the gates, three of a GRU ``[r | z | n]`` and four of an LSTM ``[i | f | g | o]``, with one bias for the input and one
for the state. The kernels always use four (see ``buffers``), and each gate has ``n_rows`` rows: hidden units rounded up to whole
blocks, the added rows being zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from alpha_pipeline.models.recurrent.buffers import CHUNK, GRU_CELL, LSTM_CELL, Sizes, Weights, Workspace
from alpha_pipeline.models.recurrent.lanes import LANES, MANY_REGISTERS, TILE
from alpha_pipeline.models.recurrent.tiles import Array, Template

# Accumulators of a block plus what they are multiplied with must fit into 32 (or 16) vector registers.
BLOCK_ROWS = (12, 10, 8) if MANY_REGISTERS else (6, 5, 4)
GRADIENT_BLOCK = (4, 6) if MANY_REGISTERS else (3, 3)
SLACK = max(GRADIENT_BLOCK) * TILE  # what the last gradient block may read past the end of a buffer


@dataclass(frozen=True)
class Cell:
    """A kind of cell. ``hidden_gates``: which of torch's gates are the kernel's first ones, ``input_gates``: its last ones."""

    template: Template
    hidden_gates: tuple[int, ...]
    input_gates: tuple[int, ...]
    has_memory: bool

    @property
    def n_gates(self) -> int:
        """How many gates torch stacks."""
        return len(self.template)


GRU = Cell(GRU_CELL, (2, 0, 1), (0, 1, 2), has_memory=False)  # hn r z, r z xn
LSTM = Cell(LSTM_CELL, (0, 1, 2, 3), (0, 1, 2, 3), has_memory=True)


class Plan(NamedTuple):
    """Cell, block shapes and sizes for one call."""

    cell: Cell
    block_rows: Template
    gradient_rows: Template
    gradient_columns: Template
    sizes: Sizes

    @property
    def n_tiles(self) -> int:
        return _round_up(self.sizes.n_stocks, TILE) // TILE


def plan(cell: Cell, n_steps: int, n_fields: int, n_hidden: int, n_stocks: int) -> Plan:
    """The block height that wastes the fewest rows, and everything that follows from it."""
    height = min(BLOCK_ROWS, key=lambda n: _round_up(n_hidden, n))
    sizes = Sizes(n_steps, n_fields, n_hidden, n_hidden if cell.has_memory else 0, n_stocks,
                  _round_up(n_hidden, height), _round_up(n_fields, height))
    return Plan(cell, (0.0,) * height, (0.0,) * GRADIENT_BLOCK[0], (0.0,) * GRADIENT_BLOCK[1], sizes)


def workspace(p: Plan) -> Workspace:
    """Zeroed buffers for one chunk of steps; the forward uses the first slots of the same."""
    s, (height, width) = p.sizes, GRADIENT_BLOCK
    gates = CHUNK * 4 * s.n_rows * TILE + SLACK
    sums_rows = _round_up(p.cell.n_gates * s.n_rows, height) * LANES
    return Workspace(
        state=_zeros((CHUNK + 1) * (s.n_hidden + s.n_fields + s.n_memory) * TILE + SLACK),
        gates=_zeros(gates),
        d_gates=_zeros(gates),
        d_h=_zeros(s.n_rows * TILE),
        d_c=_zeros(s.n_memory * TILE),
        rows=_zeros(max(s.n_rows, len(p.block_rows)) * TILE),
        starts=_zeros(TILE),
        sums_h=_zeros(sums_rows * _round_up(s.n_hidden, width)),
        sums_x=_zeros(sums_rows * _round_up(s.n_fields, width)),
        sums_b=_zeros(4 * s.n_rows * LANES),
    )


def pack(p: Plan, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array) -> Weights:
    """torch's (G·H, F), (G·H, H), (G·H,), (G·H,), G gates -> the kernels' weights."""
    s, height, n = p.sizes, len(p.block_rows), p.cell.n_gates
    see_h, see_x = list(p.cell.hidden_gates), list(p.cell.input_gates)
    both = np.zeros((4, s.n_rows, s.n_hidden + s.n_fields), np.float32)
    both[:n, : s.n_hidden, : s.n_hidden] = w_hh.reshape(n, s.n_hidden, s.n_hidden)[see_h]
    both[4 - n :, : s.n_hidden, s.n_hidden :] = w_ih.reshape(n, s.n_hidden, s.n_fields)[see_x]
    bias = np.zeros((4, s.n_rows), np.float32)
    bias[:n, : s.n_hidden] = b_hh.reshape(n, s.n_hidden)[see_h]
    bias[4 - n :, : s.n_hidden] += b_ih.reshape(n, s.n_hidden)[see_x]
    hidden = both[:n, :, : s.n_hidden].reshape(n * s.n_rows, s.n_hidden)
    fields = both[4 - n :, :, s.n_hidden :].reshape(n * s.n_rows, s.n_fields)
    return Weights(
        gates=_in_blocks(both.reshape(4 * s.n_rows, -1), height),
        bias=bias.reshape(-1),
        hidden_transposed=_in_blocks(_pad_rows(hidden.T, s.n_rows), height),
        input_transposed=_in_blocks(_pad_rows(fields.T, s.n_field_rows), height),
    )


def unpack_gradients(p: Plan, grad_h: Array, grad_x: Array, grad_b: Array) -> tuple[Array, Array, Array, Array]:
    """The kernels' weight gradients -> those of w_ih, w_hh, b_ih, b_hh."""
    s, n = p.sizes, p.cell.n_gates
    to_h, to_x = np.argsort(p.cell.hidden_gates), np.argsort(p.cell.input_gates)  # where torch's gates lie
    h = grad_h.reshape(n, s.n_rows, s.n_hidden)[to_h, : s.n_hidden]
    x = grad_x.reshape(n, s.n_rows, s.n_fields)[to_x, : s.n_hidden]
    b = grad_b.reshape(4, s.n_rows)[:, : s.n_hidden]
    return x.reshape(-1, s.n_fields), h.reshape(-1, s.n_hidden), b[4 - n :][to_x].reshape(-1), b[:n][to_h].reshape(-1)


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
