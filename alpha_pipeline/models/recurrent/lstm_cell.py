"""What is particular to an LSTM: from the products of one step to its state, and back.

For one stock::

    i = sigmoid(W_i x + U_i h + b_i)      f = sigmoid(W_f x + U_f h + b_f)
    g = tanh(W_g x + U_g h + b_g)         o = sigmoid(W_o x + U_o h + b_o)
    c' = f · c + i · g                    h' = o · tanh(c')

Gates lie as ``[i | f | g | o]``; c lies behind h and x.
"""

from __future__ import annotations

from alpha_pipeline.models.recurrent.activations import sigmoid, tanh
from alpha_pipeline.models.recurrent.buffers import Sizes, Workspace
from alpha_pipeline.models.recurrent.lanes import LANES, TILE, inlined, load, store
from alpha_pipeline.models.recurrent.tiles import Array


@inlined
def lstm_state(s: Sizes, state: Array, now: int, after: int, gates: Array, at: int) -> None:
    """``[i | f | g | o]`` before activation at ``at`` and c at ``now`` -> the gates activated, and h' and c' at ``after``."""
    gate, memory = s.n_rows * TILE, (s.n_hidden + s.n_fields) * TILE
    for q in range(0, s.n_hidden * TILE, LANES):
        i = sigmoid(load(gates, at + q))
        f = sigmoid(load(gates, at + gate + q))
        g = tanh(load(gates, at + 2 * gate + q))
        o = sigmoid(load(gates, at + 3 * gate + q))
        store(gates, at + q, i)
        store(gates, at + gate + q, f)
        store(gates, at + 2 * gate + q, g)
        store(gates, at + 3 * gate + q, o)
        c = f * load(state, now + memory + q) + i * g
        store(state, after + memory + q, c)
        store(state, after + q, o * tanh(c))


@inlined
def lstm_gradient(s: Sizes, work: Workspace, now: int, after: int, at: int) -> None:
    """``d_h`` and ``d_c``, gradients of h' and c', -> ``d_gates`` before activation, and ``d_c`` that of c; ``d_h`` becomes 0."""
    gates, d_gates, gate, memory = work.gates, work.d_gates, s.n_rows * TILE, (s.n_hidden + s.n_fields) * TILE
    for q in range(0, s.n_hidden * TILE, LANES):
        i, f = load(gates, at + q), load(gates, at + gate + q)
        g, o = load(gates, at + 2 * gate + q), load(gates, at + 3 * gate + q)
        d, y = load(work.d_h, q), tanh(load(work.state, after + memory + q))
        d_c = load(work.d_c, q) + d * o * (1.0 - y * y)
        store(d_gates, at + q, d_c * g * (i * (1.0 - i)))
        store(d_gates, at + gate + q, d_c * load(work.state, now + memory + q) * (f * (1.0 - f)))
        store(d_gates, at + 2 * gate + q, d_c * i * (1.0 - g * g))
        store(d_gates, at + 3 * gate + q, d * y * (o * (1.0 - o)))
        store(work.d_c, q, d_c * f)
    work.d_h[: s.n_hidden * TILE] = 0.0
