"""A window in one pass: gathered, divided and standardized while the numbers are in registers. Importing this module needs numba.

The same operations in the same order as :class:`~alpha_pipeline.features.scaling.Ratio` and what follows it, rounded where torch rounds (its
``addcmul`` multiplies and adds in one rounding where the processor can, and so does this): the numbers are the same to the bit. Steps, or
fields, are shared out among as many threads as torch uses; every number is made by one of them alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from threading import Thread

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alpha_pipeline.features.panel_view import PanelView
from alpha_pipeline.features.tensors import LEVEL_UNITS, POSITIVE_FIELDS, PRICE_FIELDS, RETURN, TensorSpec
from alpha_pipeline.machine_code import compiled

Array = npt.NDArray[np.float32]
Places = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_PER_THREAD = 1 << 20  # numbers below which another thread costs more than it saves
_LONG_RUN = 8  # columns side by side that are copied faster than picked one by one


@compiled("contract")
def _pick(row: Array, columns: Places, runs: Places, out: Array) -> None:
    """The columns of a row. ``runs``: where in ``columns`` each run of neighbors begins, and the end; empty where they are short.

    Places are unsigned: a signed one may count from the end, and such a loop is not made of vector instructions."""
    if len(runs) == 0:
        for n in range(len(columns)):
            out[n] = row[columns[n]]
    for r in range(1, len(runs)):
        ahead = columns[runs[r - 1]] - runs[r - 1]
        for n in range(runs[r - 1], runs[r]):
            out[n] = row[n + ahead]


@compiled("contract")
def _standardize(raw: Array, ahead: int, first: int, end: int, columns: Places, runs: Places, places: npt.NDArray[np.int64],
                 close: int, volume: int, before: int, anchor: Array, inverse: Array, rest: Array, scale: Array, shift: Array, x: Array) -> None:
    """Steps [first, end) of x (T, F, N). ``places``: row of each field in ``raw`` (T + ahead, P, S), or −1 for the return from the row before."""
    n_fields, n_stocks = x.shape[1], x.shape[2]
    now, earlier, traded = np.empty(n_stocks, np.float32), np.empty(n_stocks, np.float32), np.empty(n_stocks, np.float32)
    for t in range(first, end):
        for f in range(n_fields):
            a, b = scale[t, f], shift[t, f]
            out = x[t, f]
            if places[f] >= 0:
                _pick(raw[t + ahead, places[f]], columns, runs, now)
            else:
                _pick(raw[t + ahead, close], columns, runs, now)
                _pick(raw[t, before], columns, runs, earlier)
                _pick(raw[t + ahead, volume], columns, runs, traded)
                for n in range(n_stocks):
                    u = (now[n] - earlier[n]) / earlier[n]
                    now[n] = np.float32(0.0) if traded[n] == 0 else u
            for n in range(n_stocks):
                now[n] = ((now[n] - anchor[f, n]) * inverse[f, n] + rest[f, n]) * a
            for n in range(n_stocks):  # on its own, so that it is not contracted with the multiplication, which torch rounds
                out[n] = now[n] + b


@compiled("contract")
def _standardize_scores(raw: Array, first: int, end: int, columns: Places, runs: Places, places: npt.NDArray[np.int64], inverse: Array,
                        scale: Array, shift: Array, clip: float, x: Array) -> None:
    """Fields [first, end) of x (T, F, N): what is known of a series less its mean, times ``inverse``; then the cross-section, ``clip``, and 0
    for what is unknown. The sums of a mean run in float64, four steps at once."""
    limit, zero, one = np.float32(clip), np.float32(0.0), np.float32(1.0)
    n_steps, n_stocks = x.shape[0], x.shape[2]
    total, count, mean = np.empty(n_stocks, np.float64), np.empty(n_stocks, np.float32), np.empty(n_stocks, np.float32)
    bars = np.full((n_steps + 3, n_stocks), np.nan, np.float32)  # three steps more, of which nothing is known
    for f in range(first, end):
        total[:] = 0.0
        count[:] = zero
        for t in range(n_steps):
            _pick(raw[t, places[f]], columns, runs, bars[t])
        for t in range(0, n_steps, 4):
            p, q, r, s = bars[t], bars[t + 1], bars[t + 2], bars[t + 3]
            for n in range(n_stocks):
                total[n] += ((np.float64(p[n] if p[n] == p[n] else zero) + np.float64(q[n] if q[n] == q[n] else zero))
                             + (np.float64(r[n] if r[n] == r[n] else zero) + np.float64(s[n] if s[n] == s[n] else zero)))
            for n in range(n_stocks):
                count[n] += (((one if p[n] == p[n] else zero) + (one if q[n] == q[n] else zero))
                             + ((one if r[n] == r[n] else zero) + (one if s[n] == s[n] else zero)))
        for n in range(n_stocks):
            mean[n] = total[n] / count[n]
        for t in range(n_steps):
            a, b = scale[t, f], shift[t, f]
            u, out = bars[t], x[t, f]
            for n in range(n_stocks):
                u[n] = (u[n] - mean[n]) * inverse[f, n] * a
            for n in range(n_stocks):  # on its own, so that it is not contracted with the multiplication, which torch rounds
                z = min(max(u[n] + b, -limit), limit)
                out[n] = z if u[n] == u[n] else zero


@compiled("contract")
def _levels(raw: Array, ahead: int, first: int, end: int, columns: Places, runs: Places, places: npt.NDArray[np.int64], is_price: Flags,
            parts: npt.NDArray[np.int64], may_be_zero: Flags, lagged: int, close: int, volume: int, before: int, units: Array, factor: Array,
            x: Array) -> None:
    """Steps [first, end) of x (T, F, N) as :func:`~alpha_pipeline.features.scaling.levels_` makes them.

    ``places``: row of each field in ``raw`` (T + ahead, P, S), −1 for what is made of others: the return at ``lagged`` (−1: none), and the
    ratios, whose upper and lower part ``parts`` (F, 2) names."""
    n_fields, n_stocks = x.shape[1], x.shape[2]
    now, earlier, traded = np.empty(n_stocks, np.float32), np.empty(n_stocks, np.float32), np.empty(n_stocks, np.float32)
    zero = np.float32(0.0)
    for t in range(first, end):
        for f in range(n_fields):
            out = x[t, f]
            if places[f] >= 0:
                _pick(raw[t + ahead, places[f]], columns, runs, out)
                if is_price[f]:
                    for n in range(n_stocks):
                        out[n] = out[n] / factor[n]
        if lagged >= 0:
            out = x[t, lagged]
            _pick(raw[t + ahead, close], columns, runs, now)
            _pick(raw[t, before], columns, runs, earlier)
            _pick(raw[t + ahead, volume], columns, runs, traded)
            for n in range(n_stocks):
                u = (now[n] - earlier[n]) / earlier[n]
                out[n] = zero if traded[n] == 0 else u
        for f in range(n_fields):
            if parts[f, 0] >= 0:
                upper, lower, out = x[t, parts[f, 0]], x[t, parts[f, 1]], x[t, f]
                for n in range(n_stocks):
                    u = upper[n] / lower[n]
                    out[n] = zero if may_be_zero[f] and lower[n] == 0 else u
        for f in range(n_fields):
            if units[f] != 1:
                out = x[t, f]
                for n in range(n_stocks):
                    out[n] = out[n] * units[f]


def standardized_window(raw_TPS: Tensor, ahead: int, columns: npt.NDArray[np.int64], places: Sequence[int], close: int, volume: int,
                        before: int, anchor_FN: Tensor, inverse_FN: Tensor, rest_FN: Tensor, scale_TF: Tensor, shift_TF: Tensor,
                        x_TFN: Tensor) -> None:
    """Fill x (T, F, N), all float32 on the CPU; arguments as in :func:`_standardize`."""
    arrays = [t.numpy() for t in (anchor_FN, inverse_FN, rest_FN, scale_TF, shift_TF)]
    raw, x, at = raw_TPS.numpy(), x_TFN.numpy(), np.array(places, dtype=np.int64)
    own, runs = _places(columns)

    def work(first: int, end: int) -> None:
        _standardize(raw, ahead, first, end, own, runs, at, close, volume, before, *arrays, x)

    _share_out(x_TFN.shape[0], x_TFN.numel(), work)


def standardized_scores(raw_TPS: Tensor, columns: npt.NDArray[np.int64], view: PanelView, inverse_FN: Tensor, scale_TF: Tensor,
                        shift_TF: Tensor, clip: float, x_TFN: Tensor) -> Tensor:
    """x (T, F, N), filled, all float32 on the CPU; arguments as in :func:`_standardize_scores`."""
    raw, inverse, scale, shift, x = (t.numpy() for t in (raw_TPS, inverse_FN, scale_TF, shift_TF, x_TFN))
    at, (own, runs) = np.array(view.places, dtype=np.int64), _places(columns)

    def work(first: int, end: int) -> None:
        _standardize_scores(raw, first, end, own, runs, at, inverse, scale, shift, clip, x)

    _share_out(x_TFN.shape[1], x_TFN.numel(), work)
    return x_TFN


def level_window(raw_TPS: Tensor, columns: npt.NDArray[np.int64], spec: TensorSpec, view: PanelView, factor_N: Tensor, x_TFN: Tensor) -> Tensor:
    """x (T, F, N), filled with levels, all float32 on the CPU; arguments as in :func:`_levels`."""
    fields, before = spec.fields, None if view.lagged is None else view.lagged[1]
    at = np.array([-1 if place is None else place for place in view.places], dtype=np.int64)
    parts, may_be_zero = np.full((len(fields), 2), -1, dtype=np.int64), np.zeros(len(fields), dtype=bool)
    for name in spec.ratios:
        upper, lower = name.split("/", 1)
        parts[fields.index(name)] = fields.index(upper), fields.index(lower)
        may_be_zero[fields.index(name)] = lower not in POSITIVE_FIELDS
    is_price, units = np.array([name in PRICE_FIELDS for name in fields]), np.array([LEVEL_UNITS[name] for name in fields], dtype=np.float32)
    lagged = -1 if before is None else fields.index(RETURN)
    close, volume = (int(at[fields.index(name)]) if name in fields else -1 for name in ("close", "volume"))
    raw, factor, x = raw_TPS.numpy(), factor_N.contiguous().numpy(), x_TFN.numpy()
    own, runs = _places(columns)

    def work(first: int, end: int) -> None:
        _levels(raw, int(before is not None), first, end, own, runs, at, is_price, parts, may_be_zero, lagged, close, volume,
                -1 if before is None else before, units, factor, x)

    _share_out(x_TFN.shape[0], x_TFN.numel(), work)
    return x_TFN


def _places(columns: npt.NDArray[np.int64]) -> tuple[Places, Places]:
    """``columns`` and ``runs`` of :func:`_pick`."""
    bounds = np.flatnonzero(np.diff(columns, prepend=-2, append=-2) != 1)
    is_long = len(columns) >= _LONG_RUN * (len(bounds) - 1)
    return columns.astype(np.uint64), (bounds if is_long else bounds[:0]).astype(np.uint64)


def _share_out(n_parts: int, n_numbers: int, work: Callable[[int, int], None]) -> None:
    """``work(first, end)`` for equal ranges of the parts, on as many threads as torch uses and ``n_numbers`` are worth."""
    n_threads = min(torch.get_num_threads(), n_parts, max(1, n_numbers // _PER_THREAD))
    if n_threads <= 1:
        work(0, n_parts)
        return
    bounds = [i * n_parts // n_threads for i in range(n_threads + 1)]
    others = [Thread(target=work, args=pair) for pair in itertools.pairwise(bounds[1:])]
    for other in others:
        other.start()
    work(0, bounds[1])
    for other in others:
        other.join()
