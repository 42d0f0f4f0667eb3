"""What any recurrent kernel does with a tile: copy rows in and out, multiply by weights, add up weight gradients.

Large arrays have one row of N stocks per (step, unit); a tile is a slice of ``width`` stocks of such rows. The last tile of a
cross-section may be narrower than ``TILE``: its empty lanes are zero on the way in and are not written on the way out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alpha_pipeline.models.recurrent.lanes import (
    LANES,
    TILE,
    add_outer_product,
    add_weighted_row,
    inlined,
    load,
    load_block,
    store,
    store_block,
    sum_of_lanes,
    zero_before,
)

Array = NDArray[np.float32]
Integers = NDArray[np.int64]
Template = tuple[float, ...]
PAIR = (0.0, 0.0)  # the two lane vectors that make up a row of a tile


@inlined
def read_rows(source: Array, s: int, n_stocks: int, n_rows: int, width: int, target: Array, t: int) -> None:
    """Copy ``n_rows`` rows from a large array (first number at ``s``) to a tile buffer (at ``t``)."""
    for k in range(n_rows):
        if width == TILE:
            store(target, t + k * TILE, load(source, s + k * n_stocks))
            store(target, t + k * TILE + LANES, load(source, s + k * n_stocks + LANES))
        else:
            for q in range(TILE):
                target[t + k * TILE + q] = source[s + k * n_stocks + q] if q < width else np.float32(0.0)


@inlined
def write_rows(source: Array, s: int, n_rows: int, width: int, target: Array, t: int, n_stocks: int) -> None:
    """The reverse of :func:`read_rows`."""
    for k in range(n_rows):
        if width == TILE:
            store(target, t + k * n_stocks, load(source, s + k * TILE))
            store(target, t + k * n_stocks + LANES, load(source, s + k * TILE + LANES))
        else:
            for q in range(width):
                target[t + k * n_stocks + q] = source[s + k * TILE + q]


@inlined
def read_starts(starts: Integers, first: int, width: int, target: Array) -> int:
    """Copy a tile's first steps that count, and return the latest of them; 0 for all stocks where ``starts`` is empty."""
    latest = 0
    for q in range(TILE):
        start = starts[first + q] if q < width and starts.size > 0 else 0
        target[q] = start
        latest = max(latest, start)
    return latest


@inlined
def clear_before_start(data: Array, d: int, n_rows: int, starts: Array, t: int) -> None:
    """Zero the rows of a tile for stocks that start after step ``t``."""
    for k in range(n_rows):
        for q in range(0, TILE, LANES):
            at = d + k * TILE + q
            store(data, at, zero_before(load(data, at), load(starts, q), t))


@inlined
def add_product(block: Any, rows: Template, weights: Array, w: int, data: Array, d: int, n_inner: int) -> Any:
    """``block += weights @ data`` over ``n_inner`` rows of the tile; the weights lie as ``len(rows)`` numbers per inner index."""
    for k in range(n_inner):
        block = add_weighted_row(block, rows, PAIR, weights, w + k * len(rows), data, d + k * TILE)
    return block


@inlined
def add_gradient(rows: Template, columns: Template, a: Array, a0: int, a_step: int, n_a: int,
                 b: Array, b0: int, b_step: int, n_b: int, n_steps: int, sums: Array) -> None:
    """``sums[j, k] += Σ over steps of a[step, j] · b[step, k]``, kept apart per lane; blocks lie one after another in ``sums``.

    Rows beyond ``n_a`` and ``n_b`` that complete a block are read and added too; :func:`collect_gradient` leaves them out.
    """
    s = 0
    for j in range(0, n_a, len(rows)):
        for k in range(0, n_b, len(columns)):
            block = load_block(rows, columns, sums, s)
            for i in range(n_steps):
                left, right = a0 + i * a_step + j * TILE, b0 + i * b_step + k * TILE
                block = add_outer_product(block, rows, columns, a, left, b, right)
                block = add_outer_product(block, rows, columns, a, left + LANES, b, right + LANES)
            store_block(block, sums, s)
            s += len(rows) * len(columns) * LANES


@inlined
def collect_gradient(rows: Template, columns: Template, sums: Array, n_a: int, n_b: int, gradient: Array) -> None:
    """Add the lanes of :func:`add_gradient` and write the matrix (n_a, n_b) row by row."""
    s = 0
    for j in range(0, n_a, len(rows)):
        for k in range(0, n_b, len(columns)):
            for a in range(j, j + len(rows)):
                for b in range(k, k + len(columns)):
                    if a < n_a and b < n_b:
                        gradient[a * n_b + b] = sum_of_lanes(load(sums, s))
                    s += LANES


@inlined
def add_rows(a: Array, a0: int, a_step: int, n_a: int, n_steps: int, sums: Array) -> None:
    """``sums[j] += Σ over steps of a[step, j]``, kept apart per lane: the gradient of a bias."""
    for j in range(n_a):
        total = load(sums, j * LANES)
        for i in range(n_steps):
            p = a0 + i * a_step + j * TILE
            total = total + (load(a, p) + load(a, p + LANES))
        store(sums, j * LANES, total)
