"""Which stocks have a complete window on which date, and why the others have none.

Shape letters: D dates, S stocks, F fields. Everything in row *d* comes from rows ≤ d.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.features.tensors import PRICE_FIELDS, TensorSpec

BoolArray = npt.NDArray[np.bool_]

REASONS = ("short history", "missing bar", "suspended too long", "zero divisor")
"""Why a stock of the universe has no window, in the order in which they are looked at: each stock counts once.

* short history: its first bar lies after the first day of the window, or the panel begins there.
* missing bar: a bar of the window is NaN.
* suspended too long: on more than ``max_suspended_share`` of the days.
* zero divisor: a price of 0 in the window, or nothing but 0 in what another field is divided by.
"""


def reason_codes(spec: TensorSpec, values: npt.NDArray[np.float32], suspended: BoolArray, where: str) -> npt.NDArray[np.uint8]:
    """(D, S): 0 where the stock has a window ending on that date, else 1 + position in ``REASONS``.

    Row d uses rows ≤ d. Counts over a window are differences of cumulative counts, so no window is looked at twice.
    """
    n_dates, _, _, n_stocks = values.shape
    price = [at for at, name in enumerate(spec.fields) if name in PRICE_FIELDS]
    other = [at for at, name in enumerate(spec.fields) if name not in PRICE_FIELDS]
    has_bar, missing, bad_price = (np.zeros((n_dates, n_stocks), dtype=bool) for _ in range(3))
    all_zero = np.zeros(
        (len(other), n_dates, n_stocks), dtype=bool
    )  # by field other than a price: its divisor gets nothing from this day
    for d in range(n_dates):
        day = values[d]
        low_F, high_F = np.fmin.reduce(day, axis=0), np.fmax.reduce(day, axis=0)  # (F, S), NaN only where every step is
        if (low_F < 0).any() or np.isinf(high_F).any():
            at = np.argwhere((low_F < 0) | np.isinf(high_F))[0]
            raise BadInput(
                sentence(
                    f"negative or infinite {spec.fields[at[0]]}",
                    where=f"{where}, date index {d}, column {at[1]}",
                    got=float(low_F[tuple(at)]),
                    expected="finite and >= 0",
                    next_step="Correct the panel's source.",
                )
            )
        has_bar[d] = ~np.isnan(high_F).all(axis=0)
        missing[d] = np.isnan(day).any(axis=(0, 1))
        bad_price[d] = (low_F[price] <= 0).any(axis=0)
        all_zero[:, d] = ~((high_F if spec.scale == "mean" else day[-1])[other] > 0)
    codes = np.full((n_dates, n_stocks), REASONS.index("short history") + 1, dtype=np.uint8)
    n = spec.n_days
    if n_dates < n:
        return codes
    starts_late = _first_true(has_bar)[None, :] > np.arange(n_dates - n + 1)[:, None]
    zero = np.zeros(starts_late.shape, dtype=bool)
    for field_zero in all_zero:
        zero |= _count(field_zero, n) == n if spec.scale == "mean" else field_zero[n - 1 :]
    codes[n - 1 :] = np.select(
        [
            starts_late,
            _count(missing, n) > 0,
            _count(suspended, n) > spec.max_suspended_share * n + 1e-9,
            zero | (_count(bad_price, n) > 0),
        ],
        [1, 2, 3, 4],
        default=0,
    )
    return codes


def _count(flags: BoolArray, n: int) -> npt.NDArray[np.int32]:
    """(D − n + 1, S): how many of the n rows ending at each row n − 1, n, … are True."""
    total = np.zeros((len(flags) + 1, flags.shape[1]), dtype=np.int32)
    np.cumsum(flags, axis=0, out=total[1:])
    return total[n:] - total[:-n]


def _first_true(flags: BoolArray) -> npt.NDArray[np.int64]:
    """(S,) row of the first True, the number of rows if there is none."""
    return np.where(flags.any(axis=0), flags.argmax(axis=0), len(flags))
