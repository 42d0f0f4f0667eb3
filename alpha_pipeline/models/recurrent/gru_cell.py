"""What is particular to a GRU: from the products of one step to its state, and back.

For one stock, with z the update gate and r the reset gate (torch's convention: the reset acts after the product)::

    r  = sigmoid(W_r x + U_r h + b_r)      z  = sigmoid(W_z x + U_z h + b_z)
    hn = U_n h + b_hn                      xn = W_n x + b_xn
    n  = tanh(xn + r · hn)                 h' = z · h + (1 − z) · n

Gates lie as ``[hn | r | z | xn]``; n takes the place of xn.
"""

from __future__ import annotations

from alpha_pipeline.models.recurrent.activations import sigmoid, tanh
from alpha_pipeline.models.recurrent.buffers import Sizes, Workspace
from alpha_pipeline.models.recurrent.lanes import LANES, TILE, inlined, load, store
from alpha_pipeline.models.recurrent.tiles import Array


@inlined
def gru_state(s: Sizes, state: Array, now: int, after: int, gates: Array, g: int) -> None:
    """``[hn | r | z | xn]`` before activation at ``g`` and the state at ``now`` -> ``[hn | r | z | n]`` and h' at ``after``."""
    gate = s.n_rows * TILE
    for q in range(0, s.n_hidden * TILE, LANES):
        r = sigmoid(load(gates, g + gate + q))
        z = sigmoid(load(gates, g + 2 * gate + q))
        n = tanh(load(gates, g + 3 * gate + q) + r * load(gates, g + q))
        store(gates, g + gate + q, r)
        store(gates, g + 2 * gate + q, z)
        store(gates, g + 3 * gate + q, n)
        store(state, after + q, z * load(state, now + q) + (1.0 - z) * n)


@inlined
def gru_gradient(s: Sizes, work: Workspace, now: int, g: int) -> None:
    """``d_h``, the gradient of h', -> ``d_gates`` before activation; ``d_h`` keeps the part that reaches h past the gates."""
    gates, d_gates, d_h, gate = work.gates, work.d_gates, work.d_h, s.n_rows * TILE
    for q in range(0, s.n_hidden * TILE, LANES):
        d, hn = load(d_h, q), load(gates, g + q)
        r, z, n = load(gates, g + gate + q), load(gates, g + 2 * gate + q), load(gates, g + 3 * gate + q)
        d_n = d * (1.0 - z) * (1.0 - n * n)
        store(d_gates, g + q, d_n * r)
        store(d_gates, g + gate + q, d_n * hn * (r * (1.0 - r)))
        store(d_gates, g + 2 * gate + q, d * (load(work.state, now + q) - n) * (z * (1.0 - z)))
        store(d_gates, g + 3 * gate + q, d_n)
        store(d_h, q, d * z)
