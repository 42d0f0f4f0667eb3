"""The GRU over all steps for a range of tiles, forward and backward. One call per thread and group of tiles; no Python inside.

For one stock, with z the update gate and r the reset gate (torch's convention: the reset acts after the product)::

    r  = sigmoid(W_r x + U_r h + b_r)      z  = sigmoid(W_z x + U_z h + b_z)
    hn = U_n h + b_hn                      xn = W_n x + b_xn
    n  = tanh(xn + r · hn)                 h' = z · h + (1 − z) · n

Rows of a step's gates lie as ``[hn | r | z | xn]``, so that the first three blocks multiply h and the last three multiply x.
Rows of a step's input lie as ``[h | x]``, so that r and z are one product.

The forward keeps only the state at the start of every ``CHUNK`` steps. The backward recomputes the gates of one chunk from there
while they fit into the cache, and so needs no memory for gates.
"""

from __future__ import annotations

from typing import NamedTuple

from alpha_pipeline.models.recurrent.activations import sigmoid, tanh
from alpha_pipeline.models.recurrent.lanes import (
    LANES,
    TILE,
    compiled,
    inlined,
    load,
    load_block,
    spread_block,
    store,
    store_block,
    sum_of_lanes,
)
from alpha_pipeline.models.recurrent.tiles import (
    PAIR,
    Array,
    Template,
    add_gradient,
    add_product,
    add_rows,
    collect_gradient,
    read_rows,
    write_rows,
)

CHUNK = 10


class Sizes(NamedTuple):
    """Extents of a call. ``n_rows`` and ``n_field_rows`` are hidden units and fields rounded up to whole blocks."""

    n_steps: int
    n_fields: int
    n_hidden: int
    n_stocks: int
    n_rows: int
    n_field_rows: int


class Weights(NamedTuple):
    """Weights in the order in which the kernels read them; see ``gru_packing``."""

    gates: Array
    bias: Array
    hidden_transposed: Array
    input_transposed: Array


class Workspace(NamedTuple):
    """Buffers of one thread. ``hx``, ``gates``, ``d_gates``: one slot per step of a chunk (and one more for ``hx``).

    They must be zero when made, and serve one (F, H) only: the rows of ``d_gates`` between n_hidden and n_rows are read, never
    written, and have to stay zero.
    """

    hx: Array
    gates: Array
    d_gates: Array
    d_h: Array
    rows: Array
    sums_h: Array
    sums_x: Array
    sums_b: Array


@inlined
def step(block_rows: Template, weights: Weights, s: Sizes, hx: Array, now: int, after: int, gates: Array, g: int) -> None:
    """One step of one tile: ``[h, x]`` at ``now`` -> h' at ``after``; leaves ``[hn | r | z | n]`` at ``g``."""
    n_inner, gate = s.n_hidden + s.n_fields, s.n_rows * TILE
    for j in range(0, 4 * s.n_rows, len(block_rows)):
        first = s.n_hidden if j >= 3 * s.n_rows else 0  # xn sees only x
        end = s.n_hidden if j < s.n_rows else n_inner  # hn sees only h
        block = spread_block(block_rows, PAIR, weights.bias, j)
        w = j * n_inner + first * len(block_rows)
        block = add_product(block, block_rows, weights.gates, w, hx, now + first * TILE, end - first)
        store_block(block, gates, g + j * TILE)
    for q in range(0, s.n_hidden * TILE, LANES):
        r = sigmoid(load(gates, g + gate + q))
        z = sigmoid(load(gates, g + 2 * gate + q))
        n = tanh(load(gates, g + 3 * gate + q) + r * load(gates, g + q))
        store(gates, g + gate + q, r)
        store(gates, g + 2 * gate + q, z)
        store(gates, g + 3 * gate + q, n)
        store(hx, after + q, z * load(hx, now + q) + (1.0 - z) * n)


@compiled
def gru_forward(block_rows: Template, s: Sizes, weights: Weights, x: Array, first_tile: int, end_tile: int, work: Workspace,
                last: Array, keep_states: bool, states: Array, keep_checkpoints: bool, checkpoints: Array) -> None:
    """Write the last state (H, N) and, if asked, all states (T, H, N) and every CHUNK-th one (ceil(T / CHUNK), H, N)."""
    hx, slot = work.hx, (s.n_hidden + s.n_fields) * TILE
    for tile in range(first_tile, end_tile):
        start = tile * TILE
        width = min(TILE, s.n_stocks - start)
        hx[: s.n_hidden * TILE] = 0.0
        for t in range(s.n_steps):
            now, after = (t % 2) * slot, ((t + 1) % 2) * slot
            if keep_checkpoints and t % CHUNK == 0:
                where = (t // CHUNK) * s.n_hidden * s.n_stocks + start
                write_rows(hx, now, s.n_hidden, width, checkpoints, where, s.n_stocks)
            read_rows(x, t * s.n_fields * s.n_stocks + start, s.n_stocks, s.n_fields, width, hx, now + s.n_hidden * TILE)
            step(block_rows, weights, s, hx, now, after, work.gates, 0)
            if keep_states:
                write_rows(hx, after, s.n_hidden, width, states, t * s.n_hidden * s.n_stocks + start, s.n_stocks)
        write_rows(hx, (s.n_steps % 2) * slot, s.n_hidden, width, last, start, s.n_stocks)


@inlined
def step_backward(block_rows: Template, weights: Weights, s: Sizes, work: Workspace, h: int, g: int) -> None:
    """One step back: ``d_h`` becomes the gradient of the step's own h; leaves those of ``[hn | r | z | xn]`` in ``d_gates``."""
    gates, d_gates, d_h, gate = work.gates, work.d_gates, work.d_h, s.n_rows * TILE
    for q in range(0, s.n_hidden * TILE, LANES):
        d, hn = load(d_h, q), load(gates, g + q)
        r, z, n = load(gates, g + gate + q), load(gates, g + 2 * gate + q), load(gates, g + 3 * gate + q)
        d_n = d * (1.0 - z) * (1.0 - n * n)
        store(d_gates, g + q, d_n * r)
        store(d_gates, g + gate + q, d_n * hn * (r * (1.0 - r)))
        store(d_gates, g + 2 * gate + q, d * (load(work.hx, h + q) - n) * (z * (1.0 - z)))
        store(d_gates, g + 3 * gate + q, d_n)
        store(d_h, q, d * z)
    for k in range(0, s.n_rows, len(block_rows)):
        block = load_block(block_rows, PAIR, d_h, k * TILE)
        block = add_product(block, block_rows, weights.hidden_transposed, k * 3 * s.n_rows, d_gates, g, 3 * s.n_rows)
        store_block(block, d_h, k * TILE)


@inlined
def input_gradient(block_rows: Template, weights: Weights, s: Sizes, work: Workspace, g: int, width: int,
                   d_x: Array, at: int) -> None:
    """Write the gradient of one step's inputs from that step's ``d_gates``."""
    for k in range(0, s.n_field_rows, len(block_rows)):
        work.rows[: len(block_rows) * TILE] = 0.0
        block = load_block(block_rows, PAIR, work.rows, 0)
        block = add_product(block, block_rows, weights.input_transposed, k * 3 * s.n_rows,
                            work.d_gates, g + s.n_rows * TILE, 3 * s.n_rows)
        store_block(block, work.rows, 0)
        write_rows(work.rows, 0, min(len(block_rows), s.n_fields - k), width, d_x, at + k * s.n_stocks, s.n_stocks)


@compiled
def gru_backward(block_rows: Template, rows: Template, columns: Template, s: Sizes, weights: Weights, x: Array,
                 first_tile: int, end_tile: int, work: Workspace, checkpoints: Array, all_steps: bool, d_states: Array,
                 need_input: bool, d_x: Array, grad_h: Array, grad_x: Array, grad_b: Array) -> None:
    """Weight gradients of these tiles, and d_x (T, F, N) if asked.

    ``d_states`` is the gradient of all states (T, H, N) if ``all_steps``, else of the last one (H, N).
    ``grad_h``: rows [hn | r | z] × h; ``grad_x``: rows [r | z | xn] × x; ``grad_b``: rows [hn | r | z | xn].
    """
    hx, gates, d_gates, d_h = work.hx, work.gates, work.d_gates, work.d_h
    slot, gate_slot, gate = (s.n_hidden + s.n_fields) * TILE, 4 * s.n_rows * TILE, s.n_rows * TILE
    work.sums_h[:] = 0.0
    work.sums_x[:] = 0.0
    work.sums_b[:] = 0.0
    for tile in range(first_tile, end_tile):
        start = tile * TILE
        width = min(TILE, s.n_stocks - start)
        d_h[:] = 0.0
        if not all_steps:
            read_rows(d_states, start, s.n_stocks, s.n_hidden, width, d_h, 0)
        for chunk in range((s.n_steps - 1) // CHUNK, -1, -1):
            t0 = chunk * CHUNK
            length = min(CHUNK, s.n_steps - t0)
            read_rows(checkpoints, chunk * s.n_hidden * s.n_stocks + start, s.n_stocks, s.n_hidden, width, hx, 0)
            for i in range(length):
                at = (t0 + i) * s.n_fields * s.n_stocks + start
                read_rows(x, at, s.n_stocks, s.n_fields, width, hx, i * slot + s.n_hidden * TILE)
                step(block_rows, weights, s, hx, i * slot, (i + 1) * slot, gates, i * gate_slot)
            for i in range(length - 1, -1, -1):
                if all_steps:
                    read_rows(d_states, (t0 + i) * s.n_hidden * s.n_stocks + start, s.n_stocks, s.n_hidden, width, work.rows, 0)
                    for q in range(0, s.n_hidden * TILE, LANES):
                        store(d_h, q, load(d_h, q) + load(work.rows, q))
                step_backward(block_rows, weights, s, work, i * slot, i * gate_slot)
                if need_input:
                    at = (t0 + i) * s.n_fields * s.n_stocks + start
                    input_gradient(block_rows, weights, s, work, i * gate_slot, width, d_x, at)
            add_gradient(rows, columns, d_gates, 0, gate_slot, 3 * s.n_rows, hx, 0, slot, s.n_hidden, length, work.sums_h)
            add_gradient(rows, columns, d_gates, gate, gate_slot, 3 * s.n_rows,
                         hx, s.n_hidden * TILE, slot, s.n_fields, length, work.sums_x)
            add_rows(d_gates, 0, gate_slot, 4 * s.n_rows, length, work.sums_b)
    collect_gradient(rows, columns, work.sums_h, 3 * s.n_rows, s.n_hidden, grad_h)
    collect_gradient(rows, columns, work.sums_x, 3 * s.n_rows, s.n_fields, grad_x)
    for j in range(4 * s.n_rows):
        grad_b[j] = sum_of_lanes(load(work.sums_b, j * LANES))
