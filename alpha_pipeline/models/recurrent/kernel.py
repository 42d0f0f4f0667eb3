"""A recurrence over all steps for a range of tiles, forward and backward. One call per thread and group of tiles; no Python inside.

The forward keeps only the state at the start of every ``CHUNK`` steps. The backward recomputes the gates of one chunk from there
while they fit into the cache, and so needs no memory for gates.

A stock may start late: ``starts`` (N,) is its first step that counts. Before it, its input is replaced by zero (so that a NaN
there cannot spread), its state is set to zero after each step, and so is the gradient of that state. An empty ``starts`` means
that all stocks start at step 0. Layouts are described in ``buffers``, the cells in ``gru_cell`` and ``lstm_cell``.
"""

from __future__ import annotations

from alpha_pipeline.models.recurrent.buffers import CHUNK, GRU_CELL, Sizes, Weights, Workspace
from alpha_pipeline.models.recurrent.gru_cell import gru_gradient, gru_state
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
from alpha_pipeline.models.recurrent.lstm_cell import lstm_gradient, lstm_state
from alpha_pipeline.models.recurrent.tiles import (
    PAIR,
    Array,
    Integers,
    Template,
    add_gradient,
    add_product,
    add_rows,
    clear_before_start,
    collect_gradient,
    read_rows,
    read_starts,
    write_rows,
)

GRU_GATES = len(GRU_CELL)


@inlined
def step(cell: Template, block_rows: Template, weights: Weights, s: Sizes, state: Array, now: int, after: int,
         gates: Array, g: int) -> None:
    """One step of one tile: ``[h | x | c]`` at ``now`` -> h' and c' at ``after``; leaves the gates, activated, at ``g``."""
    n_inner, n_products = s.n_hidden + s.n_fields, len(cell)
    for j in range(0, 4 * s.n_rows, len(block_rows)):
        first = s.n_hidden if j >= n_products * s.n_rows else 0  # the last gate of a GRU sees only x
        end = s.n_hidden if j < (4 - n_products) * s.n_rows else n_inner  # the first one only h
        block = spread_block(block_rows, PAIR, weights.bias, j)
        w = j * n_inner + first * len(block_rows)
        block = add_product(block, block_rows, weights.gates, w, state, now + first * TILE, end - first)
        store_block(block, gates, g + j * TILE)
    if len(cell) == GRU_GATES:
        gru_state(s, state, now, after, gates, g)
    else:
        lstm_state(s, state, now, after, gates, g)


@inlined
def clear_state(s: Sizes, starts: Array, t: int, state: Array, at: int) -> None:
    """Zero the state at ``at`` for stocks that start after step ``t``."""
    clear_before_start(state, at, s.n_hidden, starts, t)
    clear_before_start(state, at + (s.n_hidden + s.n_fields) * TILE, s.n_memory, starts, t)


@compiled
def recurrence_forward(cell: Template, block_rows: Template, s: Sizes, weights: Weights, x: Array, starts: Integers,
                       first_tile: int, end_tile: int, work: Workspace,
                       last: Array, keep_states: bool, states: Array, keep_checkpoints: bool, checkpoints: Array) -> None:
    """Write the last h (H, N) and, if asked, every h (T, H, N) and every CHUNK-th state [h | c] (ceil(T / CHUNK), H or 2H, N)."""
    state, memory = work.state, (s.n_hidden + s.n_fields) * TILE
    slot = memory + s.n_memory * TILE
    for tile in range(first_tile, end_tile):
        start = tile * TILE
        width = min(TILE, s.n_stocks - start)
        latest = read_starts(starts, start, width, work.starts)
        state[: s.n_hidden * TILE] = 0.0
        state[memory:slot] = 0.0
        for t in range(s.n_steps):
            now, after = (t % 2) * slot, ((t + 1) % 2) * slot
            if keep_checkpoints and t % CHUNK == 0:
                where = (t // CHUNK) * (s.n_hidden + s.n_memory) * s.n_stocks + start
                write_rows(state, now, s.n_hidden, width, checkpoints, where, s.n_stocks)
                write_rows(state, now + memory, s.n_memory, width, checkpoints, where + s.n_hidden * s.n_stocks, s.n_stocks)
            read_rows(x, t * s.n_fields * s.n_stocks + start, s.n_stocks, s.n_fields, width, state, now + s.n_hidden * TILE)
            if t < latest:
                clear_before_start(state, now + s.n_hidden * TILE, s.n_fields, work.starts, t)
            step(cell, block_rows, weights, s, state, now, after, work.gates, 0)
            if t < latest:
                clear_state(s, work.starts, t, state, after)
            if keep_states:
                write_rows(state, after, s.n_hidden, width, states, t * s.n_hidden * s.n_stocks + start, s.n_stocks)
        write_rows(state, (s.n_steps % 2) * slot, s.n_hidden, width, last, start, s.n_stocks)


@inlined
def step_backward(cell: Template, block_rows: Template, weights: Weights, s: Sizes, work: Workspace,
                  now: int, after: int, g: int) -> None:
    """One step back: ``d_h`` and ``d_c`` become the gradients of the step's own h and c; leaves those of the gates in ``d_gates``."""
    if len(cell) == GRU_GATES:
        gru_gradient(s, work, now, g)
    else:
        lstm_gradient(s, work, now, after, g)
    n_inner = len(cell) * s.n_rows
    for k in range(0, s.n_rows, len(block_rows)):
        block = load_block(block_rows, PAIR, work.d_h, k * TILE)
        block = add_product(block, block_rows, weights.hidden_transposed, k * n_inner, work.d_gates, g, n_inner)
        store_block(block, work.d_h, k * TILE)


@inlined
def input_gradient(cell: Template, block_rows: Template, weights: Weights, s: Sizes, work: Workspace, g: int, width: int,
                   d_x: Array, at: int) -> None:
    """Write the gradient of one step's inputs from that step's ``d_gates``."""
    n_inner = len(cell) * s.n_rows
    for k in range(0, s.n_field_rows, len(block_rows)):
        work.rows[: len(block_rows) * TILE] = 0.0
        block = load_block(block_rows, PAIR, work.rows, 0)
        block = add_product(block, block_rows, weights.input_transposed, k * n_inner,
                            work.d_gates, g + (4 - len(cell)) * s.n_rows * TILE, n_inner)
        store_block(block, work.rows, 0)
        write_rows(work.rows, 0, min(len(block_rows), s.n_fields - k), width, d_x, at + k * s.n_stocks, s.n_stocks)


@compiled
def recurrence_backward(cell: Template, block_rows: Template, rows: Template, columns: Template, s: Sizes, weights: Weights,
                        x: Array, starts: Integers, first_tile: int, end_tile: int, work: Workspace, checkpoints: Array,
                        all_steps: bool, d_states: Array, need_input: bool, d_x: Array,
                        grad_h: Array, grad_x: Array, grad_b: Array) -> None:
    """Weight gradients of these tiles, and d_x (T, F, N) if asked.

    ``d_states`` is the gradient of every h (T, H, N) if ``all_steps``, else of the last one (H, N).
    ``grad_h``: gates that see h × h; ``grad_x``: gates that see x × x; ``grad_b``: all gates.
    """
    state, gates, d_gates, d_h = work.state, work.gates, work.d_gates, work.d_h
    memory, gate, n_gate_rows = (s.n_hidden + s.n_fields) * TILE, s.n_rows * TILE, len(cell) * s.n_rows
    slot, gate_slot = memory + s.n_memory * TILE, 4 * gate
    work.sums_h[:] = 0.0
    work.sums_x[:] = 0.0
    work.sums_b[:] = 0.0
    for tile in range(first_tile, end_tile):
        start = tile * TILE
        width = min(TILE, s.n_stocks - start)
        latest = read_starts(starts, start, width, work.starts)
        d_h[:] = 0.0
        work.d_c[:] = 0.0
        if not all_steps:
            read_rows(d_states, start, s.n_stocks, s.n_hidden, width, d_h, 0)
        for chunk in range((s.n_steps - 1) // CHUNK, -1, -1):
            t0 = chunk * CHUNK
            length = min(CHUNK, s.n_steps - t0)
            where = chunk * (s.n_hidden + s.n_memory) * s.n_stocks + start
            read_rows(checkpoints, where, s.n_stocks, s.n_hidden, width, state, 0)
            read_rows(checkpoints, where + s.n_hidden * s.n_stocks, s.n_stocks, s.n_memory, width, state, memory)
            for i in range(length):
                at = (t0 + i) * s.n_fields * s.n_stocks + start
                read_rows(x, at, s.n_stocks, s.n_fields, width, state, i * slot + s.n_hidden * TILE)
                if t0 + i < latest:
                    clear_before_start(state, i * slot + s.n_hidden * TILE, s.n_fields, work.starts, t0 + i)
                step(cell, block_rows, weights, s, state, i * slot, (i + 1) * slot, gates, i * gate_slot)
                if t0 + i < latest:
                    clear_state(s, work.starts, t0 + i, state, (i + 1) * slot)
            for i in range(length - 1, -1, -1):
                if all_steps:
                    read_rows(d_states, (t0 + i) * s.n_hidden * s.n_stocks + start, s.n_stocks, s.n_hidden, width, work.rows, 0)
                    for q in range(0, s.n_hidden * TILE, LANES):
                        store(d_h, q, load(d_h, q) + load(work.rows, q))
                if t0 + i < latest:
                    clear_before_start(d_h, 0, s.n_hidden, work.starts, t0 + i)
                    clear_before_start(work.d_c, 0, s.n_memory, work.starts, t0 + i)
                step_backward(cell, block_rows, weights, s, work, i * slot, (i + 1) * slot, i * gate_slot)
                if need_input:
                    at = (t0 + i) * s.n_fields * s.n_stocks + start
                    input_gradient(cell, block_rows, weights, s, work, i * gate_slot, width, d_x, at)
            add_gradient(rows, columns, d_gates, 0, gate_slot, n_gate_rows, state, 0, slot, s.n_hidden, length, work.sums_h)
            add_gradient(rows, columns, d_gates, (4 - len(cell)) * gate, gate_slot, n_gate_rows,
                         state, s.n_hidden * TILE, slot, s.n_fields, length, work.sums_x)
            add_rows(d_gates, 0, gate_slot, 4 * s.n_rows, length, work.sums_b)
    collect_gradient(rows, columns, work.sums_h, n_gate_rows, s.n_hidden, grad_h)
    collect_gradient(rows, columns, work.sums_x, n_gate_rows, s.n_fields, grad_x)
    for j in range(4 * s.n_rows):
        grad_b[j] = sum_of_lanes(load(work.sums_b, j * LANES))
