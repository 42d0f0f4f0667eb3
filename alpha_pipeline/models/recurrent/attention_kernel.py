"""Self-attention over the steps of each stock, and its mean over the steps, forward and backward, without keeping T × T weights.

One stock at a time: its states, queries and keys fit into the cache, and the weights of a tile of queries (T rows, one query per
lane) do too. What is summed over queries is computed with queries in the lanes, what is summed over keys once more with keys in the
lanes, so that no sum runs across lanes.

Two summaries of the states z of a stock, with weights A[t, s] = softmax over s of (q[t]·k[s]):

``residual=False``   Σ_s w[s] z[s], w the mean of A over t. The values V are a linear map of that and left to the caller.
``residual=True``    mean over t of n[t], n = (u − mean u) / √(var u + ε) over the units, u[t] = z[t] + Σ_s A[t, s] v[s].

Layouts of one stock: *columns*, ``[tile of steps][unit][step in tile]``, and *rows*, ``[step][unit]``. ``n_rows`` is the number of units
rounded up to whole blocks; the added units are zero. Steps beyond T in the last tile hold finite numbers that reach no result.

Letters: T steps, H units, N stocks; t a query's step, s a key's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from alpha_pipeline.models.recurrent.activations import exp
from alpha_pipeline.models.recurrent.lanes import (
    LANES,
    MANY_REGISTERS,
    TILE,
    add_weighted_row,
    compiled,
    inlined,
    larger,
    load,
    load_block,
    root,
    spread_block,
    store,
    store_block,
    sum_of_lanes,
)
from alpha_pipeline.models.recurrent.tiles import PAIR, Array, Template

HEIGHT = 8 if MANY_REGISTERS else 4  # rows of a block; divides TILE
ROWS: Template = (0.0,) * HEIGHT
VARIANCE_FLOOR = 1e-5  # ε of torch's LayerNorm


class Sizes(NamedTuple):
    """Extents of a call."""

    n_steps: int
    n_hidden: int
    n_stocks: int
    n_rows: int
    n_tiles: int  # of steps


class Maps(NamedTuple):
    """The three linear maps, ``map[unit out * n_rows + unit in]``, and transposed; that of the queries includes the 1/√H."""

    query: Array
    key: Array
    value: Array
    query_t: Array
    key_t: Array
    value_t: Array


class Workspace(NamedTuple):
    """Buffers of one thread; zero when made."""

    stocks: Array  # columns of LANES stocks: z on the way in, its gradient on the way out
    q: Array
    k: Array
    v: Array
    d_q: Array
    d_k: Array
    d_v: Array
    d_u: Array
    q_rows: Array
    k_rows: Array
    v_rows: Array
    d_rows: Array
    z_rows: Array
    panel: Array
    d_panel: Array
    o: Array
    largest: Array
    inverse: Array
    shift: Array
    per_key: Array
    per_unit: Array
    zeros: Array


@inlined
def product(weights: Array, w: int, w_step: int, data: Array, d: int, n_inner: int, zeros: Array) -> Any:
    """Block Σ over i of ``weights[w + i·w_step + row] · data[d + i·TILE]``."""
    block = spread_block(ROWS, PAIR, zeros, 0)
    for i in range(n_inner):
        block = add_weighted_row(block, ROWS, PAIR, weights, w + i * w_step, data, d + i * TILE)
    return block


@inlined
def map_columns(s: Sizes, transposed: Array, x: Array, at: int, y: Array, zeros: Array) -> None:
    """Columns of ``map @ x``, x the columns at ``at``."""
    for tile in range(s.n_tiles):
        for h in range(0, s.n_rows, HEIGHT):
            block = product(transposed, h, s.n_rows, x, at + tile * s.n_rows * TILE, s.n_hidden, zeros)
            store_block(block, y, (tile * s.n_rows + h) * TILE)


@inlined
def to_rows(s: Sizes, x: Array, at: int, rows: Array, width: int) -> None:
    """Columns -> rows ``width`` apart."""
    for tile in range(s.n_tiles):
        for h in range(s.n_hidden):
            source = at + (tile * s.n_rows + h) * TILE
            target = tile * TILE * width + h
            for i in range(TILE):
                rows[target + i * width] = x[source + i]


@inlined
def read_stocks(s: Sizes, z: Array, first: int, width: int, stocks: Array) -> None:
    """Columns of ``width`` stocks from (T, H, N)."""
    extent = s.n_tiles * s.n_rows * TILE
    for t in range(s.n_steps):
        for h in range(s.n_hidden):
            target = ((t // TILE) * s.n_rows + h) * TILE + t % TILE
            source = (t * s.n_hidden + h) * s.n_stocks + first
            for n in range(width):
                stocks[n * extent + target] = z[source + n]
    for n in range(width):
        for t in range(s.n_steps, s.n_tiles * TILE):
            for h in range(s.n_rows):
                stocks[n * extent + ((t // TILE) * s.n_rows + h) * TILE + t % TILE] = np.float32(0.0)


@inlined
def write_stocks(s: Sizes, stocks: Array, first: int, width: int, d_z: Array) -> None:
    """The reverse of :func:`read_stocks`."""
    extent = s.n_tiles * s.n_rows * TILE
    for t in range(s.n_steps):
        for h in range(s.n_hidden):
            source = ((t // TILE) * s.n_rows + h) * TILE + t % TILE
            target = (t * s.n_hidden + h) * s.n_stocks + first
            for n in range(width):
                d_z[target + n] = stocks[n * extent + source]


@inlined
def products_of_steps(s: Sizes, of_rows: Array, of_lanes: Array, tile: int, panel: Array, zeros: Array) -> None:
    """``panel[a, b]`` = of_rows[a] · of_lanes[b] for all steps a and the steps b of a tile."""
    for a in range(0, s.n_steps, HEIGHT):
        w = (a // TILE) * s.n_rows * TILE + a % TILE
        block = product(of_rows, w, TILE, of_lanes, tile * s.n_rows * TILE, s.n_hidden, zeros)
        store_block(block, panel, a * TILE)


@inlined
def weights_of_queries(s: Sizes, tile: int, work: Workspace) -> None:
    """``panel[s, t]`` = A[t, s] for the queries t of a tile; keeps the largest product and one over the sum of each."""
    products_of_steps(s, work.k, work.q, tile, work.panel, work.zeros)
    for half in range(0, TILE, LANES):
        most = load(work.panel, half)
        for i in range(1, s.n_steps):
            most = larger(most, load(work.panel, i * TILE + half))
        total = load(work.zeros, 0)
        for i in range(s.n_steps):
            weight = exp(load(work.panel, i * TILE + half) - most)
            store(work.panel, i * TILE + half, weight)
            total = total + weight
        inverse = 1.0 / total
        for i in range(s.n_steps):
            store(work.panel, i * TILE + half, load(work.panel, i * TILE + half) * inverse)
        store(work.largest, tile * TILE + half, most)
        store(work.inverse, tile * TILE + half, inverse)


@inlined
def weights_of_keys(s: Sizes, tile: int, work: Workspace) -> None:
    """``panel[t, s]`` = A[t, s] for the keys s of a tile, after :func:`weights_of_queries` of all tiles."""
    products_of_steps(s, work.q, work.k, tile, work.panel, work.zeros)
    for i in range(s.n_steps):
        most, inverse = work.largest[i], work.inverse[i]
        for half in range(0, TILE, LANES):
            at = i * TILE + half
            store(work.panel, at, exp(load(work.panel, at) - most) * inverse)


@inlined
def gather(s: Sizes, rows: Array, panel: Array, target: Array, at: int, zeros: Array) -> None:
    """``target[h, lane]`` = Σ over steps of rows[step, h] · panel[step, lane]."""
    for h in range(0, s.n_rows, HEIGHT):
        block = product(rows, h, s.n_rows, panel, 0, s.n_steps, zeros)
        store_block(block, target, at + h * TILE)


@inlined
def normalize(s: Sizes, z: Array, at: int, work: Workspace, half: int, d: int) -> Any:
    """Write n = (u − mean) / deviation of u = z + o over the units to ``d_u[d:]`` and return one over the deviation."""
    total = load(work.zeros, 0)
    for h in range(s.n_hidden):
        u = load(z, at + h * TILE + half) + load(work.o, h * TILE + half)
        store(work.d_u, d + h * TILE + half, u)
        total = total + u
    mean = total * (1.0 / s.n_hidden)
    squares = load(work.zeros, 0)
    for h in range(s.n_hidden):
        u = load(work.d_u, d + h * TILE + half) - mean
        squares = squares + u * u
    scale = 1.0 / root(squares * (1.0 / s.n_hidden) + VARIANCE_FLOOR)
    for h in range(s.n_hidden):
        store(work.d_u, d + h * TILE + half, (load(work.d_u, d + h * TILE + half) - mean) * scale)
    return scale


@inlined
def read_maps(s: Sizes, maps: Maps, at: int, residual: bool, work: Workspace) -> None:
    """Queries, keys and, for the residual summary, values of the stock at ``at``."""
    map_columns(s, maps.query_t, work.stocks, at, work.q, work.zeros)
    map_columns(s, maps.key_t, work.stocks, at, work.k, work.zeros)
    if residual:
        map_columns(s, maps.value_t, work.stocks, at, work.v, work.zeros)
        to_rows(s, work.v, 0, work.v_rows, s.n_rows)


@compiled
def attention_forward(s: Sizes, maps: Maps, z: Array, first_tile: int, end_tile: int, work: Workspace,
                      residual: bool, summary: Array) -> None:
    """Write the summary (H, N) of these groups of ``LANES`` stocks."""
    extent = s.n_tiles * s.n_rows * TILE
    for group in range(first_tile, end_tile):
        start = group * LANES
        width = min(LANES, s.n_stocks - start)
        read_stocks(s, z, start, width, work.stocks)
        for n in range(width):
            at = n * extent
            read_maps(s, maps, at, residual, work)
            work.per_key[:] = 0.0
            work.per_unit[:] = 0.0
            for tile in range(s.n_tiles):
                weights_of_queries(s, tile, work)
                for i in range(TILE):
                    work.shift[i] = np.float32(1.0 if tile * TILE + i < s.n_steps else 0.0)
                if residual:
                    gather(s, work.v_rows, work.panel, work.o, 0, work.zeros)
                    for half in range(0, TILE, LANES):
                        normalize(s, work.stocks, at + tile * s.n_rows * TILE, work, half, 0)
                        counts = load(work.shift, half)
                        for h in range(s.n_hidden):
                            total = load(work.per_unit, h * LANES) + load(work.d_u, h * TILE + half) * counts
                            store(work.per_unit, h * LANES, total)
                else:
                    for half in range(0, TILE, LANES):
                        counts = load(work.shift, half)
                        for i in range(s.n_steps):
                            total = load(work.per_key, i * LANES) + load(work.panel, i * TILE + half) * counts
                            store(work.per_key, i * LANES, total)
            if not residual:
                for i in range(s.n_steps):
                    work.panel[i] = sum_of_lanes(load(work.per_key, i * LANES))
                for i in range(s.n_steps, s.n_tiles * TILE):
                    work.panel[i] = np.float32(0.0)
                for h in range(s.n_hidden):
                    total = load(work.zeros, 0)
                    for i in range(0, s.n_tiles * TILE, LANES):
                        column = at + ((i // TILE) * s.n_rows + h) * TILE + i % TILE
                        total = total + load(work.panel, i) * load(work.stocks, column)
                    store(work.per_unit, h * LANES, total)
            for h in range(s.n_hidden):
                summary[h * s.n_stocks + start + n] = sum_of_lanes(load(work.per_unit, h * LANES)) / s.n_steps


@inlined
def backward_of_queries(s: Sizes, at: int, residual: bool, work: Workspace) -> None:
    """Gradient of the queries; keeps what :func:`backward_of_keys` needs: per query the shift, and the gradient of u."""
    for tile in range(s.n_tiles):
        weights_of_queries(s, tile, work)
        d = tile * s.n_rows * TILE
        if residual:
            gather(s, work.v_rows, work.panel, work.o, 0, work.zeros)
            for half in range(0, TILE, LANES):
                scale = normalize(s, work.stocks, at + d, work, half, d)
                mean, slope = load(work.zeros, 0), load(work.zeros, 0)
                for h in range(s.n_hidden):
                    mean = mean + work.per_unit[h]
                    slope = slope + load(work.d_u, d + h * TILE + half) * work.per_unit[h]
                mean, slope = mean * (1.0 / s.n_hidden), slope * (1.0 / s.n_hidden)
                shift = load(work.zeros, 0)
                for h in range(s.n_hidden):
                    p = d + h * TILE + half
                    d_u = ((work.per_unit[h] - mean) - load(work.d_u, p) * slope) * scale
                    store(work.d_u, p, d_u)
                    shift = shift + d_u * load(work.o, h * TILE + half)
                store(work.shift, tile * TILE + half, shift)
            products_of_steps(s, work.v, work.d_u, tile, work.d_panel, work.zeros)
        for half in range(0, TILE, LANES):
            if residual:
                shift = load(work.shift, tile * TILE + half)
                for i in range(s.n_steps):
                    p = i * TILE + half
                    store(work.panel, p, load(work.panel, p) * (load(work.d_panel, p) - shift))
            else:
                shift = load(work.zeros, 0)
                for i in range(s.n_steps):
                    shift = shift + load(work.panel, i * TILE + half) * work.per_key[i]
                store(work.shift, tile * TILE + half, shift)
                for i in range(s.n_steps):
                    p = i * TILE + half
                    store(work.panel, p, load(work.panel, p) * (work.per_key[i] - shift))
        gather(s, work.k_rows, work.panel, work.d_q, d, work.zeros)


@inlined
def backward_of_keys(s: Sizes, residual: bool, work: Workspace) -> None:
    """Gradient of the keys, and in ``d_v`` that of the values or, for the other summary, of z through its sum."""
    if residual:
        to_rows(s, work.d_u, 0, work.d_rows, s.n_rows)
    for tile in range(s.n_tiles):
        weights_of_keys(s, tile, work)
        d = tile * s.n_rows * TILE
        if residual:
            gather(s, work.d_rows, work.panel, work.d_v, d, work.zeros)
            products_of_steps(s, work.d_u, work.v, tile, work.d_panel, work.zeros)
        for half in range(0, TILE, LANES):
            if residual:
                for i in range(s.n_steps):
                    p = i * TILE + half
                    store(work.panel, p, load(work.panel, p) * (load(work.d_panel, p) - work.shift[i]))
            else:
                slope, total = load(work.per_key, tile * TILE + half), load(work.zeros, 0)
                for i in range(s.n_steps):
                    p = i * TILE + half
                    weight = load(work.panel, p)
                    total = total + weight
                    store(work.panel, p, weight * (slope - work.shift[i]))
                for h in range(s.n_hidden):
                    store(work.d_v, d + h * TILE + half, total * work.per_unit[h])
        gather(s, work.q_rows, work.panel, work.d_k, d, work.zeros)


@inlined
def add_map_gradient(s: Sizes, d_y: Array, at: int, work: Workspace, sums: Array) -> None:
    """``sums[out, in]`` += Σ over steps of d_y[step, out] · z[step, in], the latter being ``z_rows``; units in, rounded up to TILE."""
    padded = -(-s.n_hidden // TILE) * TILE
    to_rows(s, d_y, 0, work.d_rows, s.n_rows)
    for h in range(0, s.n_rows, HEIGHT):
        for column in range(0, padded, TILE):
            p = at + (h * padded + column * HEIGHT)
            block = load_block(ROWS, PAIR, sums, p)
            for t in range(s.n_steps):
                block = add_weighted_row(block, ROWS, PAIR, work.d_rows, t * s.n_rows + h, work.z_rows, t * padded + column)
            store_block(block, sums, p)


@compiled
def attention_backward(s: Sizes, maps: Maps, z: Array, first_tile: int, end_tile: int, work: Workspace,
                       residual: bool, d_summary: Array, d_z: Array, sums: Array) -> None:
    """Gradient of the states (T, H, N), and added to ``sums`` those of the maps (query, key, value), in blocks."""
    extent = s.n_tiles * s.n_rows * TILE
    padded = -(-s.n_hidden // TILE) * TILE
    for group in range(first_tile, end_tile):
        start = group * LANES
        width = min(LANES, s.n_stocks - start)
        read_stocks(s, z, start, width, work.stocks)
        for n in range(width):
            at = n * extent
            read_maps(s, maps, at, residual, work)
            to_rows(s, work.q, 0, work.q_rows, s.n_rows)
            to_rows(s, work.k, 0, work.k_rows, s.n_rows)
            to_rows(s, work.stocks, at, work.z_rows, padded)
            for h in range(s.n_hidden):
                work.per_unit[h] = d_summary[h * s.n_stocks + start + n] / s.n_steps
            if not residual:
                for i in range(0, s.n_tiles * TILE, LANES):
                    total = load(work.zeros, 0)
                    for h in range(s.n_hidden):
                        total = total + load(work.stocks, at + ((i // TILE) * s.n_rows + h) * TILE + i % TILE) * work.per_unit[h]
                    store(work.per_key, i, total)
            backward_of_queries(s, at, residual, work)
            backward_of_keys(s, residual, work)
            for tile in range(s.n_tiles):
                d = tile * s.n_rows * TILE
                for h in range(0, s.n_rows, HEIGHT):
                    if residual:
                        block = load_block(ROWS, PAIR, work.d_u, d + h * TILE)
                        for i in range(s.n_hidden):
                            block = add_weighted_row(block, ROWS, PAIR, maps.value, i * s.n_rows + h, work.d_v, d + i * TILE)
                    else:
                        block = load_block(ROWS, PAIR, work.d_v, d + h * TILE)
                    for i in range(s.n_hidden):
                        block = add_weighted_row(block, ROWS, PAIR, maps.query, i * s.n_rows + h, work.d_q, d + i * TILE)
                    for i in range(s.n_hidden):
                        block = add_weighted_row(block, ROWS, PAIR, maps.key, i * s.n_rows + h, work.d_k, d + i * TILE)
                    store_block(block, work.stocks, at + d + h * TILE)
            add_map_gradient(s, work.d_q, 0, work, sums)
            add_map_gradient(s, work.d_k, s.n_rows * padded, work, sums)
            if residual:
                add_map_gradient(s, work.d_v, 2 * s.n_rows * padded, work, sums)
        write_stocks(s, work.stocks, start, width, d_z)
