"""Dated trading rules of the mainland exchanges, as tables: price limits, lots, stamp duty, the commission minimum.

Every rule is a row ``(first day in force, value)``. A function takes the trade date and picks the row, so a backtest over fifteen
years meets each rule on its own days. Limit prices are worked out in integer cents: the exchange rounds halves up, binary floats
and Python's :func:`round` do not.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.market.calendar import as_date, exchange_sessions
from alpha_pipeline.market.schema import BOARDS

Dates = str | dt.date | np.datetime64 | npt.NDArray[np.datetime64]
FREE = 0  # a percentage that stands for "no price limit"


class LimitRow(NamedTuple):
    """From ``start`` on, ``board`` (ST names only, or all) may move ``percent`` of the reference price either way."""

    start: str
    board: str
    st_only: bool
    percent: int


# Later rows override earlier ones of the same board; an ST row overrides the board's row on the same day.
LIMIT_ROWS: tuple[LimitRow, ...] = (
    LimitRow("1996-12-16", "main", False, 10),
    LimitRow("1998-04-22", "main", True, 5),  # the first "special treatment" names
    # Announced change of the ST limit to the ordinary one. We could not check it against an exchange notice that is in force:
    # verify this row before relying on results after 2026-07-05.
    LimitRow("2026-07-06", "main", True, 10),
    LimitRow("2009-10-30", "chinext", False, 10),
    LimitRow("2020-08-24", "chinext", False, 20),  # from here on an ST name of the board keeps the board's limit
    LimitRow("2019-07-22", "star", False, 20),
    LimitRow("2021-11-15", "bse", False, 30),
)

# Listings under the registration system trade without a limit at first: board -> (first listing day, number of free sessions).
FREE_LISTINGS: dict[str, tuple[str, int]] = {
    "star": ("2019-07-22", 5),
    "chinext": ("2020-08-24", 5),
    "main": ("2023-04-10", 5),
    "bse": ("2021-11-15", 1),
}
# Approval-system listings (main, and ChiNext before its reform): +44 % / -36 % of the issue price on day one, since 2014.
# Before that the first day was free.
OLD_FIRST_DAY = ("2014-01-01", 44, 36)

STAMP_DUTY_ROWS: tuple[tuple[str, float], ...] = (
    ("2008-09-19", 0.001),  # since this day it is levied on sales only
    ("2023-08-28", 0.0005),
)
COMMISSION_MINIMUM_CNY = 5.0
LOTS: dict[str, tuple[int, int]] = {"main": (100, 100), "chinext": (100, 100), "star": (200, 1), "bse": (100, 1)}


def board_of(symbol: str) -> str:
    """Board of a symbol, from its suffix and code.

    >>> [board_of(s) for s in ("600519.SH", "000001.SZ", "300750.SZ", "688981.SH", "920002.BJ")]
    ['main', 'main', 'chinext', 'star', 'bse']
    """
    if symbol.endswith(".BJ"):
        return "bse"
    if symbol[:3] in ("688", "689"):
        return "star"
    if symbol[:3] in ("300", "301", "302"):
        return "chinext"
    return "main"


def lot_size(board: str) -> tuple[int, int]:
    """(smallest order, step above it) in shares. An odd lot can only be sold whole.

    >>> lot_size("star")
    (200, 1)
    """
    if board not in LOTS:
        raise unknown_name("board", board, BOARDS)
    return LOTS[board]


def stamp_duty(trade_date: str | dt.date) -> float:
    """Share of the value of a **sale** paid as stamp duty (decimal); purchases pay none.

    Raises :class:`InvalidSpec` before 2008-09-19, when both sides paid.

    >>> stamp_duty("2023-08-25"), stamp_duty("2023-08-28")
    (0.001, 0.0005)
    """
    day = as_date(trade_date)
    rates = [rate for start, rate in STAMP_DUTY_ROWS if as_date(start) <= day]
    if not rates:
        raise InvalidSpec(sentence("no stamp-duty rule", got=day, expected=f"a date from {STAMP_DUTY_ROWS[0][0]} on",
                                   next_step="Earlier duties were two-sided; use a flat cost model there."))
    return rates[-1]


def to_cents(price: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Prices on the 0.01 grid as integer cents; NaN is not allowed.

    >>> to_cents([10.05, 0.29]).tolist()
    [1005, 29]
    """
    return np.rint(np.asarray(price, dtype=np.float64) * 100.0).astype(np.int64)


def limit_percent(
    trade_date: Dates, board: npt.ArrayLike, is_st: npt.ArrayLike, listed_days: npt.ArrayLike,
    registration: npt.ArrayLike | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(percent up, percent down) of the reference price; 0 means that the session has no limit.

    All arguments broadcast. ``listed_days`` counts sessions, 1 on the first day. ``registration`` says which names were listed
    under the registration system; left out, it follows from the trade date and ``listed_days``. Known before the open.
    Raises :class:`UnknownName` for a board outside ``schema.BOARDS``.

    >>> up, down = limit_percent("2024-01-05", ["main", "main", "star"], [False, True, False], [900, 900, 3])
    >>> up.tolist(), down.tolist()
    ([10, 5, 0], [10, 5, 0])
    """
    dates, boards, st, days = np.broadcast_arrays(
        _as_days(trade_date), np.asarray(board, dtype=object), np.asarray(is_st, dtype=bool),
        np.asarray(listed_days, dtype=np.int64))
    is_board: dict[str, npt.NDArray[np.bool_]] = {name: np.asarray(boards == name) for name in BOARDS}
    is_known = np.logical_or.reduce(list(is_board.values()))
    if not is_known.all():
        raise unknown_name("board", str(boards[~is_known].flat[0]), BOARDS)
    assert bool((days >= 1).all()), "listed_days counts from 1"

    up = np.zeros(dates.shape, dtype=np.int64)
    for row in sorted(LIMIT_ROWS, key=lambda r: (r.st_only, r.start)):
        applies = is_board[row.board] & (dates >= np.datetime64(row.start))
        if row.st_only:
            applies &= st
        up[applies] = row.percent
    down = up.copy()

    registered = _listed_by_registration(dates, is_board, days) if registration is None else np.broadcast_to(
        np.asarray(registration, dtype=bool), dates.shape)
    for name, (_, n_free) in FREE_LISTINGS.items():
        is_free = is_board[name] & registered & (days <= n_free)
        up[is_free] = down[is_free] = FREE
    start, first_up, first_down = OLD_FIRST_DAY
    old_first = (is_board["main"] | is_board["chinext"]) & ~registered & (days == 1)
    is_capped = dates >= np.datetime64(start)
    up[old_first] = np.where(is_capped, first_up, FREE)[old_first]
    down[old_first] = np.where(is_capped, first_down, FREE)[old_first]
    return up, down


def price_limits(
    trade_date: Dates, pre_close: npt.ArrayLike, board: npt.ArrayLike, is_st: npt.ArrayLike, listed_days: npt.ArrayLike,
    registration: npt.ArrayLike | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(limit_up, limit_down) in CNY for each name; NaN where the session has no limit or ``pre_close`` is missing.

    ``pre_close`` is the exchange's ex-right reference (issue price on day one), CNY on the 0.01 grid. The product with 1 ± r is
    rounded half up to a cent; a limit that would equal the reference moves one tick, as the exchanges' rules say, and never falls
    below 0.01. Known before the open. Source: trading rules of SSE, SZSE and BSE.

    >>> price_limits("2024-01-05", [10.05, 0.05], "main", False, 900)
    (array([11.06,  0.06]), array([9.05, 0.04]))
    """
    up_percent, down_percent = limit_percent(trade_date, board, is_st, listed_days, registration)
    reference, up_percent, down_percent = np.broadcast_arrays(np.asarray(pre_close, dtype=np.float64), up_percent, down_percent)
    is_limited = np.isfinite(reference) & (up_percent != FREE)
    cents = to_cents(np.where(is_limited, reference, 1.0))
    up, down = limit_cents(cents, up_percent, down_percent)
    return np.where(is_limited, up / 100.0, np.nan), np.where(is_limited, down / 100.0, np.nan)


def limit_cents(
    reference: npt.NDArray[np.int64], up_percent: npt.NDArray[np.int64], down_percent: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Upper and lower limit in integer cents (half up, at least one tick away, not below one cent); the kernel of price_limits.

    >>> limit_cents(np.array([1005]), np.array([10]), np.array([10]))  # 1105.5 -> 1106, 904.5 -> 905
    (array([1106]), array([905]))
    """
    up = (reference * (100 + up_percent) + 50) // 100
    down = (reference * (100 - down_percent) + 50) // 100
    return np.maximum(up, reference + 1), np.maximum(np.minimum(down, reference - 1), 1)


def _as_days(trade_date: Dates) -> npt.NDArray[np.datetime64]:
    if isinstance(trade_date, np.ndarray):
        return trade_date.astype("datetime64[D]")
    return np.asarray(np.datetime64(as_date(trade_date), "D"))


def _listed_by_registration(
    dates: npt.NDArray[np.datetime64], is_board: dict[str, npt.NDArray[np.bool_]], days: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Which names were listed on or after their board's first registration day.

    Listed no more sessions ago than the reform. Exact while ``listed_days`` is small, which is where it matters.
    """
    registered = np.zeros(dates.shape, dtype=bool)
    for name, (start, _) in FREE_LISTINGS.items():
        begin = as_date(start)
        # Only the first sessions of a listing matter, so a count that stops some weeks after the reform is enough.
        sessions = exchange_sessions("XSHG", begin, begin + dt.timedelta(days=45)).sessions
        since = np.searchsorted(sessions, dates, side="right")
        registered |= is_board[name] & (days <= since)
    return registered
