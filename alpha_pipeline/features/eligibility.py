"""Which stocks have a complete window on which date, and why the others have none.

Shape letters: D dates, S stocks, F fields. Everything in row *d* comes from rows ≤ d.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.features.tensors import POSITIVE_FIELDS, RETURN, TensorSpec

BoolArray = npt.NDArray[np.bool_]

REASONS = ("short history", "missing bar", "suspended too long", "zero divisor")
"""Why a stock of the universe has no window, in the order in which they are looked at: each stock counts once.

* short history: its first bar lies after the first day that the window reads, or the panel begins there.
* missing bar: a bar of the window is NaN; with ``return`` also: the close before the window is NaN or 0.
* suspended too long: on more than ``max_suspended_share`` of the days.
* zero divisor: a price (or factor) of 0 in the window, or nothing but 0 in what another field is divided by: in the window for
  ``mean``, on its last step for ``last``. Levels divide by no window.

Of a ``zscore`` tensor, whose missing values end as 0, a *missing bar* is: no value at all, for whatever reason, on more than
``max_suspended_share`` of the days; *short history* is the same where the first day is one of them, without a suspension. There is no
zero divisor. What lies before the window decides nothing.
"""


def reason_codes(
    spec: TensorSpec, values: npt.NDArray[np.float32], at: Sequence[int], suspended: BoolArray, where: str
) -> npt.NDArray[np.uint8]:
    """(D, S): 0 where the stock has a window ending on that date, else 1 + position in ``REASONS``.

    ``values`` (D, steps, panel fields, S) are days, not blocks of days; ``at`` is where each of ``spec.panel_fields`` stands in it.
    Row d uses rows ≤ d. Counts over a window are differences of cumulative counts, so no window is looked at twice.
    """
    if spec.scale == "zscore":
        return _codes_of_characteristics(spec, values, at, suspended, where)
    n_dates, n_stocks = suspended.shape
    names = spec.panel_fields
    positive = [i for i, name in enumerate(names) if name in POSITIVE_FIELDS]
    divided = [] if spec.scale == "level" else [i for i, name in enumerate(names) if name not in POSITIVE_FIELDS]
    fields = slice(at[0], at[-1] + 1) if list(at) == list(range(at[0], at[0] + len(at))) else list(at)
    has_bar, missing, bad_price, no_close = (np.zeros((n_dates, n_stocks), dtype=bool) for _ in range(4))
    all_zero = np.zeros(
        (len(divided), n_dates, n_stocks), dtype=bool
    )  # by field other than a price: its divisor gets nothing from this day
    for d in range(n_dates):
        day = values[d][:, fields]
        low_F, high_F = np.fmin.reduce(day, axis=0), np.fmax.reduce(day, axis=0)  # (F, S), NaN only where every step is
        if (low_F < 0).any() or np.isinf(high_F).any():
            i, column = np.argwhere((low_F < 0) | np.isinf(high_F))[0]
            raise BadInput(
                sentence(
                    f"negative or infinite {names[i]}",
                    where=f"{where}, date index {d}, column {column}",
                    got=float(low_F[i, column]),
                    expected="finite and >= 0",
                    next_step="Correct the panel's source.",
                )
            )
        has_bar[d] = ~np.isnan(high_F).all(axis=0)
        missing[d] = np.isnan(day).any(axis=(0, 1))
        bad_price[d] = (low_F[positive] <= 0).any(axis=0)
        if RETURN in spec.fields:
            no_close[d] = ~(day[-1, names.index("close")] > 0)
        all_zero[:, d] = ~((high_F if spec.scale == "mean" else day[-1])[divided] > 0)
    codes = np.full((n_dates, n_stocks), REASONS.index("short history") + 1, dtype=np.uint8)
    n, n_rows = spec.n_days, spec.n_rows
    if n_dates < n_rows:
        return codes
    n_windows, before = n_dates - n_rows + 1, n_rows - n  # before: days that are read ahead of the window
    starts_late = _first_true(has_bar)[None, :] > np.arange(n_windows)[:, None]
    zero = np.zeros(starts_late.shape, dtype=bool)
    n_divisor = n if spec.scale == "mean" else spec.days_per_step  # days that the divisor comes from
    for field_zero in all_zero:
        zero |= _count(field_zero, n_divisor)[n_rows - n_divisor :] == n_divisor
    codes[n_rows - 1 :] = np.select(
        [
            starts_late,
            (_count(missing, n)[before:] > 0) | no_close[:n_windows],
            _count(suspended, n)[before:] > spec.max_suspended_share * n + 1e-9,
            zero | (_count(bad_price, n)[before:] > 0),
        ],
        [1, 2, 3, 4],
        default=0,
    )
    return codes


def _codes_of_characteristics(
    spec: TensorSpec, values: npt.NDArray[np.float32], at: Sequence[int], suspended: BoolArray, where: str
) -> npt.NDArray[np.uint8]:
    n_dates, n_stocks = suspended.shape
    has_value = np.zeros((n_dates, n_stocks), dtype=bool)
    for d in range(n_dates):
        day = values[d][:, list(at)]
        if np.isinf(day).any():
            _, i, column = np.argwhere(np.isinf(day))[0]
            raise BadInput(sentence(f"infinite {spec.panel_fields[i]}", where=f"{where}, date index {d}, column {column}", expected="finite or NaN",
                                    next_step="Correct the panel's source."))
        has_value[d] = ~np.isnan(day).all(axis=(0, 1))
    codes = np.full((n_dates, n_stocks), REASONS.index("short history") + 1, dtype=np.uint8)
    n = spec.n_days
    if n_dates < n:
        return codes
    most = spec.max_suspended_share * n + 1e-9
    too_long, too_few = _count(suspended & ~has_value, n) > most, _count(~has_value, n) > most
    starts_late = too_few & ~(has_value | suspended)[: n_dates - n + 1]
    codes[n - 1 :] = np.select([starts_late, too_long, too_few], [1, 3, 2], default=0)
    return codes


def _count(flags: BoolArray, n: int) -> npt.NDArray[np.int32]:
    """(D − n + 1, S): how many of the n rows ending at each row n − 1, n, … are True."""
    total = np.zeros((len(flags) + 1, flags.shape[1]), dtype=np.int32)
    np.cumsum(flags, axis=0, out=total[1:])
    return total[n:] - total[:-n]


def _first_true(flags: BoolArray) -> npt.NDArray[np.int64]:
    """(S,) row of the first True, the number of rows if there is none."""
    return np.where(flags.any(axis=0), flags.argmax(axis=0), len(flags))
