"""What a kernel is given: the kind of cell, the extents of the call, the weights and the buffers of one thread.

All cells have four gates inside the kernels. ``n_products`` of them multiply h (the first ones) and as many multiply x (the last
ones): three of a GRU, which then lie as ``[hn | r | z | xn]`` because the reset gate acts on the state's part of n alone, and all
four of an LSTM, ``[i | f | g | o]``.

Rows of a step's state lie as ``[h | x | c]``, so that a gate that sees h and x is one product; c, the cell state, has no rows in
a GRU.
"""

from __future__ import annotations

from typing import NamedTuple

from alpha_pipeline.models.recurrent.tiles import Array, Template

CHUNK = 10  # steps between two checkpoints

GRU_CELL: Template = (0.0,) * 3  # as long as torch's stack of gates; the length is part of the type and picks the code
LSTM_CELL: Template = (0.0,) * 4


class Sizes(NamedTuple):
    """Extents of a call. ``n_rows`` and ``n_field_rows`` are hidden units and fields rounded up to whole blocks."""

    n_steps: int
    n_fields: int
    n_hidden: int
    n_memory: int  # rows of c: n_hidden or 0
    n_stocks: int
    n_rows: int
    n_field_rows: int


class Weights(NamedTuple):
    """Weights in the order in which the kernels read them; see ``packing``."""

    gates: Array
    bias: Array
    hidden_transposed: Array
    input_transposed: Array


class Workspace(NamedTuple):
    """Buffers of one thread. ``state``, ``gates``, ``d_gates``: one slot per step of a chunk (and one more for ``state``).

    They must be zero when made, and serve one (cell, F, H) only: the rows of ``d_gates`` between n_hidden and n_rows are read,
    never written, and have to stay zero.
    """

    state: Array
    gates: Array
    d_gates: Array
    d_h: Array
    d_c: Array
    rows: Array
    starts: Array
    sums_h: Array
    sums_x: Array
    sums_b: Array
