"""A window in one pass: gathered, divided and standardized while the numbers are in registers. Importing this module needs numba.

The same operations in the same order as :class:`~alpha_pipeline.features.scaling.Ratio` and what follows it, rounded where torch rounds (its
``addcmul`` multiplies and adds in one rounding where the processor can, and so does this): the numbers are the same to the bit. Steps are
shared out among as many threads as torch uses; every number is made by one of them alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

Array = npt.NDArray[np.float32]

_PER_THREAD = 1 << 20  # numbers below which another thread costs more than it saves


def _standardize(raw: Array, ahead: int, first: int, end: int, columns: npt.NDArray[np.int64], places: npt.NDArray[np.int64],
                 close: int, volume: int, before: int, anchor: Array, inverse: Array, rest: Array, scale: Array, shift: Array, clip: float,
                 x: Array) -> None:
    """Steps [first, end) of x (T, F, N). ``places``: row of each field in ``raw`` (T + ahead, P, S), or −1 for the return from the row before.
    ``clip`` > 0: what lies beyond ± clip is cut, and what is unknown becomes 0."""
    limit = np.float32(clip)
    n_fields, n_stocks = x.shape[1], x.shape[2]
    for t in range(first, end):
        for f in range(n_fields):
            a, b = scale[t, f], shift[t, f]
            out = x[t, f]
            if places[f] >= 0:
                row = raw[t + ahead, places[f]]
                for n in range(n_stocks):
                    out[n] = ((row[columns[n]] - anchor[f, n]) * inverse[f, n] + rest[f, n]) * a
            else:
                now, earlier, traded = raw[t + ahead, close], raw[t, before], raw[t + ahead, volume]
                for n in range(n_stocks):
                    u = (now[columns[n]] - earlier[columns[n]]) / earlier[columns[n]]
                    if traded[columns[n]] == 0:
                        u = np.float32(0.0)
                    out[n] = ((u - anchor[f, n]) * inverse[f, n] + rest[f, n]) * a
            if limit > 0:
                for n in range(n_stocks):
                    z = min(max(out[n] + b, -limit), limit)
                    out[n] = z if out[n] == out[n] else np.float32(0.0)
            else:
                for n in range(n_stocks):  # on its own, so that it is not contracted with the multiplication, which torch rounds
                    out[n] += b


_kernel: Any
try:
    _kernel = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})(_standardize)
except RuntimeError:  # no folder to keep machine code in
    _kernel = njit(nogil=True, error_model="numpy", fastmath={"contract"})(_standardize)


def standardized_window(raw_TPS: Tensor, ahead: int, columns: npt.NDArray[np.int64], places: Sequence[int], close: int, volume: int,
                        before: int, anchor_FN: Tensor, inverse_FN: Tensor, rest_FN: Tensor, scale_TF: Tensor, shift_TF: Tensor,
                        clip: float, x_TFN: Tensor) -> None:
    """Fill x (T, F, N), all float32 on the CPU; arguments as in :func:`_standardize`."""
    arrays = [t.numpy() for t in (anchor_FN, inverse_FN, rest_FN, scale_TF, shift_TF)]
    raw, x, at = raw_TPS.numpy(), x_TFN.numpy(), np.array(places, dtype=np.int64)
    n_steps = x_TFN.shape[0]
    n_threads = min(torch.get_num_threads(), max(1, x_TFN.numel() // _PER_THREAD))

    def work(first: int, end: int) -> None:
        _kernel(raw, ahead, first, end, columns, at, close, volume, before, *arrays, clip, x)

    if n_threads == 1:
        work(0, n_steps)
        return
    bounds = [i * n_steps // n_threads for i in range(n_threads + 1)]
    others = [Thread(target=work, args=pair) for pair in itertools.pairwise(bounds[1:])]
    for other in others:
        other.start()
    work(0, bounds[1])
    for other in others:
        other.join()
