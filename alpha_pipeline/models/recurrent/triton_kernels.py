"""A GRU or LSTM over all steps in Triton: one program carries a tile of stocks of one member of an ensemble through the sequence.

Letters: M members, T steps, F fields, H hidden units, N stocks; ``FIELDS`` and ``UNITS`` are F and H rounded up to a power of two
of at least 16, the least that ``tl.dot`` multiplies. What is added is zero and stays zero.

Both cells have four gates here, and a gate is ``U h + W x + b``: ``[hn | r | z | xn]`` of a GRU, whose hn sees no x and whose xn no
h (see ``gru_cell`` for the formulas), ``[i | f | g | o]`` of an LSTM (``lstm_cell``). Weights are (M, 4, H, F), (M, 4, H, H) and
(M, 4, H). A tile lies as (units, stocks), neighbors in memory being stocks.

The forward keeps the state at the start of every ``CHUNK`` steps; the backward recomputes the states of one chunk into a workspace,
then goes back through it. Weight gradients stay in registers and are written once per program, so that there are no atomics and
results do not depend on the order of the programs.

Products are exact float32 (``"ieee"``). Run in Triton's interpreter, compiled for sm_90, never timed on a GPU.
"""

# mypy: disable-error-code="no-untyped-def"
# Triton gives annotations a meaning of its own, and tensors inside a kernel have no Python type.

from __future__ import annotations

import triton
import triton.language as tl

CHUNK = 16
TILE = 16
N_WARPS = 4


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    return 2.0 / (1.0 + tl.exp(-2.0 * x)) - 1.0  # within 1e-7; the interpreter has no libdevice.tanh


@triton.jit
def _product(a, b):
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def _matrix(pointer, gate: tl.constexpr, N_ROWS: tl.constexpr, N_COLUMNS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """One gate's matrix, zero beyond (N_ROWS, N_COLUMNS)."""
    row, column = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    inside = (row < N_ROWS) & (column < N_COLUMNS)
    return tl.load(pointer + (gate * N_ROWS + row) * N_COLUMNS + column, mask=inside, other=0.0)


@triton.jit
def _weights(w_ptr, u_ptr, b_ptr, member, F: tl.constexpr, H: tl.constexpr, FIELDS: tl.constexpr, UNITS: tl.constexpr):
    """Four W (UNITS, FIELDS), four U (UNITS, UNITS), four b (UNITS, 1) of one member."""
    w, u, b = w_ptr + member * 4 * H * F, u_ptr + member * 4 * H * H, b_ptr + member * 4 * H
    return (_matrix(w, 0, H, F, UNITS, FIELDS), _matrix(w, 1, H, F, UNITS, FIELDS),
            _matrix(w, 2, H, F, UNITS, FIELDS), _matrix(w, 3, H, F, UNITS, FIELDS),
            _matrix(u, 0, H, H, UNITS, UNITS), _matrix(u, 1, H, H, UNITS, UNITS),
            _matrix(u, 2, H, H, UNITS, UNITS), _matrix(u, 3, H, H, UNITS, UNITS),
            _matrix(b, 0, H, 1, UNITS, 1), _matrix(b, 1, H, 1, UNITS, 1), _matrix(b, 2, H, 1, UNITS, 1), _matrix(b, 3, H, 1, UNITS, 1))


@triton.jit
def _step(weights, x, h, c, LSTM: tl.constexpr):
    """Gates, activated (of a GRU ``[hn | r | z | n]``), and the next h and c."""
    w0, w1, w2, w3, u0, u1, u2, u3, b0, b1, b2, b3 = weights
    a0 = _product(u0, h) + b0
    a1 = _product(u1, h) + _product(w1, x) + b1
    a2 = _product(u2, h) + _product(w2, x) + b2
    a3 = _product(w3, x) + b3
    if LSTM:
        i, f, g = _sigmoid(a0 + _product(w0, x)), _sigmoid(a1), _tanh(a2)
        o = _sigmoid(a3 + _product(u3, h))
        c_next = f * c + i * g
        return i, f, g, o, o * _tanh(c_next), c_next
    else:
        r, z = _sigmoid(a1), _sigmoid(a2)
        n = _tanh(a3 + r * a0)
        return a0, r, z, n, z * h + (1.0 - z) * n, c


@triton.jit
def _gate_gradients(g0, g1, g2, g3, h, c, c_next, d_h, d_c, LSTM: tl.constexpr):
    """Gradients of the four gates before activation, and what reaches the step's own h and c past the gates."""
    if LSTM:
        y = _tanh(c_next)
        d_c = d_c + d_h * g3 * (1.0 - y * y)
        return (d_c * g2 * g0 * (1.0 - g0), d_c * c * g1 * (1.0 - g1), d_c * g0 * (1.0 - g2 * g2), d_h * y * g3 * (1.0 - g3),
                tl.zeros_like(d_h), d_c * g1)
    else:
        d_n = d_h * (1.0 - g2) * (1.0 - g3 * g3)
        return d_n * g1, d_n * g0 * g1 * (1.0 - g1), d_h * (h - g3) * g2 * (1.0 - g2), d_n, d_h * g2, d_c


@triton.jit
def recurrence_forward(x_ptr, starts_ptr, w_ptr, u_ptr, b_ptr, last_ptr, states_ptr, checkpoints_ptr,
                       n_steps, n_stocks, x_stride, starts_stride, F: tl.constexpr, H: tl.constexpr, LSTM: tl.constexpr,
                       HAS_STARTS: tl.constexpr, ALL_STEPS: tl.constexpr, KEEP: tl.constexpr, CHUNK: tl.constexpr,
                       FIELDS: tl.constexpr, UNITS: tl.constexpr, TILE: tl.constexpr):
    """Last h (M, H, N), or every h (M, T, H, N) if ``ALL_STEPS``; with ``KEEP`` every CHUNK-th [h | c] (M, ceil(T / CHUNK), S, N).

    ``x_stride`` and ``starts_stride``: numbers between members, 0 where members share. Grid: (tiles, members).
    """
    member = tl.program_id(1).to(tl.int64)
    stock = tl.program_id(0) * TILE + tl.arange(0, TILE)
    field, unit = tl.arange(0, FIELDS)[:, None], tl.arange(0, UNITS)[:, None]
    real = stock < n_stocks
    real_x, real_h = (field < F) & real[None, :], (unit < H) & real[None, :]
    at_x, at_h = field * n_stocks + stock[None, :], unit * n_stocks + stock[None, :]
    weights = _weights(w_ptr, u_ptr, b_ptr, member, F, H, FIELDS, UNITS)
    STATE: tl.constexpr = 2 * H if LSTM else H
    n_chunks = (n_steps + CHUNK - 1) // CHUNK
    x_of = x_ptr + member * x_stride
    start = tl.zeros((TILE,), tl.int32)
    if HAS_STARTS:
        start = tl.load(starts_ptr + member * starts_stride + stock, mask=real, other=0)
    h, c = tl.zeros((UNITS, TILE), tl.float32), tl.zeros((UNITS, TILE), tl.float32)
    for t in range(n_steps):
        step = tl.cast(t, tl.int64)
        if KEEP and t % CHUNK == 0:
            kept = checkpoints_ptr + (member * n_chunks + step // CHUNK) * STATE * n_stocks + at_h
            tl.store(kept, h, mask=real_h)
            if LSTM:
                tl.store(kept + H * n_stocks, c, mask=real_h)
        started = (start <= t)[None, :]
        x = tl.load(x_of + step * F * n_stocks + at_x, mask=real_x & started, other=0.0)
        _, _, _, _, h, c = _step(weights, x, h, c, LSTM)
        h, c = tl.where(started, h, 0.0), tl.where(started, c, 0.0)
        if ALL_STEPS:
            tl.store(states_ptr + (member * n_steps + step) * H * n_stocks + at_h, h, mask=real_h)
    if not ALL_STEPS:
        tl.store(last_ptr + member * H * n_stocks + at_h, h, mask=real_h)


@triton.jit
def recurrence_backward(x_ptr, starts_ptr, w_ptr, u_ptr, b_ptr, checkpoints_ptr, work_ptr, d_states_ptr, d_x_ptr,
                        d_w_ptr, d_u_ptr, d_b_ptr, n_steps, n_stocks, x_stride, starts_stride,
                        F: tl.constexpr, H: tl.constexpr, LSTM: tl.constexpr, HAS_STARTS: tl.constexpr,
                        ALL_STEPS: tl.constexpr, NEED_X: tl.constexpr, CHUNK: tl.constexpr,
                        FIELDS: tl.constexpr, UNITS: tl.constexpr, TILE: tl.constexpr):
    """Weight gradients of every program, (M, tiles, 4, UNITS, FIELDS or UNITS or nothing), and d_x (M, T, F, N) if ``NEED_X``.

    ``work_ptr``: (M, tiles, CHUNK, S, UNITS, TILE), S = 2 for [h | c] of an LSTM, else 1.
    """
    member = tl.program_id(1).to(tl.int64)
    program = member * tl.num_programs(0) + tl.program_id(0)
    lane = tl.arange(0, TILE)
    stock = tl.program_id(0) * TILE + lane
    field, unit = tl.arange(0, FIELDS)[:, None], tl.arange(0, UNITS)[:, None]
    real = stock < n_stocks
    real_x, real_h = (field < F) & real[None, :], (unit < H) & real[None, :]
    at_x, at_h = field * n_stocks + stock[None, :], unit * n_stocks + stock[None, :]
    weights = _weights(w_ptr, u_ptr, b_ptr, member, F, H, FIELDS, UNITS)
    w0, w1, w2, w3, u0, u1, u2, u3, b0, b1, b2, b3 = weights
    STATE: tl.constexpr = 2 * H if LSTM else H
    SLOT: tl.constexpr = 2 * UNITS * TILE if LSTM else UNITS * TILE
    n_chunks = (n_steps + CHUNK - 1) // CHUNK
    x_of, work = x_ptr + member * x_stride, work_ptr + program * CHUNK * SLOT + unit * TILE + lane[None, :]
    start = tl.zeros((TILE,), tl.int32)
    if HAS_STARTS:
        start = tl.load(starts_ptr + member * starts_stride + stock, mask=real, other=0)
    d_w0, d_w1, d_w2, d_w3 = tl.zeros_like(w0), tl.zeros_like(w1), tl.zeros_like(w2), tl.zeros_like(w3)
    d_u0, d_u1, d_u2, d_u3 = tl.zeros_like(u0), tl.zeros_like(u1), tl.zeros_like(u2), tl.zeros_like(u3)
    d_b0, d_b1, d_b2, d_b3 = tl.zeros((UNITS,), tl.float32), tl.zeros((UNITS,), tl.float32), \
        tl.zeros((UNITS,), tl.float32), tl.zeros((UNITS,), tl.float32)
    d_h, d_c = tl.zeros((UNITS, TILE), tl.float32), tl.zeros((UNITS, TILE), tl.float32)
    if not ALL_STEPS:
        d_h = tl.load(d_states_ptr + member * H * n_stocks + at_h, mask=real_h, other=0.0)
    for back in range(n_chunks):
        chunk = tl.cast(n_chunks - 1 - back, tl.int64)
        t0 = (n_chunks - 1 - back) * CHUNK
        length = tl.minimum(CHUNK, n_steps - t0)
        kept = checkpoints_ptr + (member * n_chunks + chunk) * STATE * n_stocks + at_h
        h, c = tl.load(kept, mask=real_h, other=0.0), tl.zeros((UNITS, TILE), tl.float32)
        if LSTM:
            c = tl.load(kept + H * n_stocks, mask=real_h, other=0.0)
        for i in range(length):
            tl.store(work + i * SLOT, h)
            if LSTM:
                tl.store(work + i * SLOT + UNITS * TILE, c)
            started = (start <= t0 + i)[None, :]
            x = tl.load(x_of + tl.cast(t0 + i, tl.int64) * F * n_stocks + at_x, mask=real_x & started, other=0.0)
            _, _, _, _, h, c = _step(weights, x, h, c, LSTM)
            h, c = tl.where(started, h, 0.0), tl.where(started, c, 0.0)
        tl.debug_barrier()  # a thread may read from the workspace what another one wrote
        for j in range(length):
            i = length - 1 - j
            step = tl.cast(t0 + i, tl.int64)
            started = (start <= t0 + i)[None, :]
            x = tl.load(x_of + step * F * n_stocks + at_x, mask=real_x & started, other=0.0)
            h = tl.load(work + i * SLOT)
            if LSTM:
                c = tl.load(work + i * SLOT + UNITS * TILE)
            g0, g1, g2, g3, _, c_next = _step(weights, x, h, c, LSTM)
            if ALL_STEPS:
                d_h += tl.load(d_states_ptr + (member * n_steps + step) * H * n_stocks + at_h, mask=real_h, other=0.0)
            d_h, d_c = tl.where(started, d_h, 0.0), tl.where(started, d_c, 0.0)
            d0, d1, d2, d3, d_h, d_c = _gate_gradients(g0, g1, g2, g3, h, c, c_next, d_h, d_c, LSTM)
            x_T, h_T = tl.trans(x), tl.trans(h)
            d_w1 += _product(d1, x_T)
            d_w2 += _product(d2, x_T)
            d_w3 += _product(d3, x_T)
            d_u0 += _product(d0, h_T)
            d_u1 += _product(d1, h_T)
            d_u2 += _product(d2, h_T)
            d_b0 += tl.sum(d0, 1)
            d_b1 += tl.sum(d1, 1)
            d_b2 += tl.sum(d2, 1)
            d_b3 += tl.sum(d3, 1)
            d_h += _product(tl.trans(u0), d0) + _product(tl.trans(u1), d1) + _product(tl.trans(u2), d2)
            if LSTM:
                d_w0 += _product(d0, x_T)
                d_u3 += _product(d3, h_T)
                d_h += _product(tl.trans(u3), d3)
            if NEED_X:
                d_x = _product(tl.trans(w1), d1) + _product(tl.trans(w2), d2) + _product(tl.trans(w3), d3)
                if LSTM:
                    d_x += _product(tl.trans(w0), d0)
                tl.store(d_x_ptr + (member * n_steps + step) * F * n_stocks + at_x, d_x, mask=real_x)
        tl.debug_barrier()  # the next chunk writes into the same workspace
    at_w = d_w_ptr + program * 4 * UNITS * FIELDS + unit * FIELDS + tl.arange(0, FIELDS)[None, :]
    at_u = d_u_ptr + program * 4 * UNITS * UNITS + unit * UNITS + tl.arange(0, UNITS)[None, :]
    at_b = d_b_ptr + program * 4 * UNITS + tl.arange(0, UNITS)
    tl.store(at_w, d_w0)
    tl.store(at_w + UNITS * FIELDS, d_w1)
    tl.store(at_w + 2 * UNITS * FIELDS, d_w2)
    tl.store(at_w + 3 * UNITS * FIELDS, d_w3)
    tl.store(at_u, d_u0)
    tl.store(at_u + UNITS * UNITS, d_u1)
    tl.store(at_u + 2 * UNITS * UNITS, d_u2)
    tl.store(at_u + 3 * UNITS * UNITS, d_u3)
    tl.store(at_b, d_b0)
    tl.store(at_b + UNITS, d_b1)
    tl.store(at_b + 2 * UNITS, d_b2)
    tl.store(at_b + 3 * UNITS, d_b3)
