"""Which sessions are test dates, and what each stock returned from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, sentence

FloatArray = npt.NDArray[np.float64]
Every = Literal["week"] | int


def select_test_dates(dates: npt.ArrayLike, every: Every) -> list[int]:
    """Rows of the test dates: the last session of each week, or every n-th session from the first.

    A week is finished when a session of a later week is in the data; an unfinished last week has no test date, because its
    last session is not known yet.

    Raises
    ------
    InvalidSpec : ``every`` is neither ``'week'`` nor a number ≥ 1.

    >>> select_test_dates(["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-12", "2024-01-15"], "week")
    [1, 3]
    >>> select_test_dates(["2024-01-04", "2024-01-05", "2024-01-08"], 2)
    [0, 2]
    """
    days = np.asarray(dates).astype("datetime64[D]")
    if every == "week":
        weeks = (days.astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday: weeks start on Monday
        return [int(row) for row in np.flatnonzero(weeks[1:] != weeks[:-1])]
    if not isinstance(every, int) or every < 1:
        raise InvalidSpec(sentence("test dates", where="select_test_dates", got=every, expected="'week' or a number >= 1"))
    return list(range(0, len(days), every))


def period_returns(
    close: npt.ArrayLike, vwap: npt.ArrayLike, tests: Sequence[int], entry: Literal["close", "next_vwap"]
) -> FloatArray:
    """(T, S) return of each stock from each test date to the next; the last row, and periods ending beyond the data, NaN.

    ``close``, ``vwap`` : (D, S) adjusted prices. ``entry`` : ``'close'``, from the close of the test date to the close of the
    next one; ``'next_vwap'``, from the vwap of the session after each to that of the session after the next.
    A missing end price takes the last close of the period, so a stock delisted on the way keeps its return. A missing start
    price gives NaN.

    >>> period_returns([[10.0], [11.0], [12.0]], [[10.0], [10.5], [12.0]], [0, 2], "close").round(4).tolist()
    [[0.2], [nan]]
    """
    closes, vwaps = np.asarray(close), np.asarray(vwap)
    lag, prices = (0, closes) if entry == "close" else (1, vwaps)
    result = np.full((len(tests), closes.shape[1]), np.nan)
    for k, (begin, end) in enumerate(zip(tests[:-1], tests[1:], strict=True)):
        if end + lag >= len(closes):
            continue
        last = prices[end + lag].astype(np.float64)
        for row in range(end + lag, begin + lag - 1, -1):
            missing = np.isnan(last)
            if not missing.any():
                break
            last[missing] = closes[row][missing]
        result[k] = last / prices[begin + lag] - 1.0
    return result
