"""What the published company reports say at a date: the latest figures, five years of annual history, and the descriptors from them.

A :class:`ReportBook` is filled in order of publication and never sees a report before its session. Figures stay with a name until
a report on a later period replaces them, at most ``MAX_AGE_DAYS`` after the end of their period; a correction of the same period
replaces it from its own publication on. What a book says depends on reports of periods of the last ``HISTORY_DAYS`` days alone, so
a book that starts there says the same as one that starts at the beginning of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIGURES = ("total_assets", "total_liabilities", "long_term_debt", "preferred_equity", "book_equity", "net_profit_ttm",
           "operating_cash_flow_ttm")
ANNUAL = ("eps", "sales_per_share")
MAX_AGE_DAYS = 550  # a year, the four months within which the annual report is due, and a margin
GROWTH_YEARS, MIN_GROWTH_YEARS = 5, 3
HISTORY_DAYS = 366 * (GROWTH_YEARS - 1) + MAX_AGE_DAYS
_SLOTS = 8  # fiscal years kept per name, by year modulo 8
_NEVER = -(10**6)


class ReportBook:
    """Latest figures and annual history of ``n_names`` names, by column; see the module."""

    def __init__(self, n_names: int) -> None:
        self._period = np.full(n_names, _NEVER, dtype=np.int64)  # days since 1970 of the period end
        self._figures = np.full((n_names, len(FIGURES)), np.nan)
        self._year = np.full((n_names, _SLOTS), _NEVER, dtype=np.int64)
        self._annual = np.full((n_names, _SLOTS, len(ANNUAL)), np.nan)

    def publish(self, columns: IntArray, reports: pd.DataFrame) -> None:
        """Take in the ``fundamentals`` rows of one session; ``columns`` their names' columns, −1 = not followed."""
        days = reports["report_period"].to_numpy().astype("datetime64[D]")
        period, year = days.astype(np.int64), days.astype("datetime64[Y]").astype(np.int64) + 1970
        is_annual = (days.astype("datetime64[M]").astype(np.int64) % 12 == 11) & (columns >= 0)
        figures, annual = reports[list(FIGURES)].to_numpy(dtype=np.float64), reports[list(ANNUAL)].to_numpy(dtype=np.float64)
        for end in np.unique(period):  # names are unique within a period
            rows = np.flatnonzero((period == end) & (columns >= 0))
            newer = rows[end >= self._period[columns[rows]]]
            self._period[columns[newer]] = end
            self._figures[columns[newer]] = figures[newer]
            rows = rows[is_annual[rows]]
            if len(rows):
                slot = int(year[rows[0]]) % _SLOTS
                newer = rows[year[rows[0]] >= self._year[columns[rows], slot]]
                self._year[columns[newer], slot] = year[rows[0]]
                self._annual[columns[newer], slot] = annual[newer]

    def at(self, date: str, columns: IntArray) -> Known:
        """What is known of ``columns`` on ``date`` from the reports taken in so far."""
        today = int(np.array(date, dtype="datetime64[D]").astype(np.int64))
        is_fresh = today - self._period[columns] <= MAX_AGE_DAYS
        figures = np.where(is_fresh[:, None], self._figures[columns], np.nan)
        year_ends = (self._year[columns] + 1 - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) - 1
        # the years counted back from the latest annual report, which itself must not be stale
        year = np.where(today - year_ends <= HISTORY_DAYS, self._year[columns], _NEVER)
        latest = year.max(axis=1)
        latest_end = (latest + 1 - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64) - 1
        latest = np.where(today - latest_end <= MAX_AGE_DAYS, latest, -_NEVER)
        n = len(columns)
        history = np.full((n, GROWTH_YEARS, len(ANNUAL)), np.nan)
        for back in range(GROWTH_YEARS):
            wanted = latest - back
            slot = wanted % _SLOTS
            hit = year[np.arange(n), slot] == wanted
            history[hit, GROWTH_YEARS - 1 - back] = self._annual[columns[hit], slot[hit]]
        return Known({name: figures[:, k] for k, name in enumerate(FIGURES)}, history[:, :, 0], history[:, :, 1])


@dataclass(frozen=True)
class Known:
    """Of S names: ``figures`` (S,) CNY by name, and (S, 5) annual ``eps`` and ``sales`` per share, latest year last; NaN = not known."""

    figures: dict[str, FloatArray]
    eps: FloatArray
    sales: FloatArray


def report_descriptors(known: Known, cap: FloatArray) -> dict[str, FloatArray]:
    """(S,) BTOP, ETOP, CETOP, MLEV, DTOA, BLEV, EGRO, SGRO. ``cap`` : (S,) total market value in CNY at the close.

    BTOP book / cap, ETOP net profit / cap, CETOP operating cash flow / cap (both of the trailing twelve months, no forecasts);
    MLEV (cap + preferred + long debt) / cap, DTOA liabilities / assets, BLEV (book + preferred + long debt) / book (NaN for a
    book of 0 or less). Preferred equity that is not reported counts as none, other figures as missing.
    """
    f = known.figures
    preferred = np.nan_to_num(f["preferred_equity"])
    book = np.where(f["book_equity"] > 0, f["book_equity"], np.nan)
    assets = np.where(f["total_assets"] > 0, f["total_assets"], np.nan)
    return {
        "BTOP": f["book_equity"] / cap, "ETOP": f["net_profit_ttm"] / cap, "CETOP": f["operating_cash_flow_ttm"] / cap,
        "MLEV": (cap + preferred + f["long_term_debt"]) / cap, "DTOA": f["total_liabilities"] / assets,
        "BLEV": (book + preferred + f["long_term_debt"]) / book, "EGRO": growth(known.eps), "SGRO": growth(known.sales),
    }


def growth(per_share: FloatArray) -> FloatArray:
    """(S,) slope of a line through the annual figures (S, 5) over the mean of their absolute values: growth a year, decimal.

    NaN with fewer than three years. Barra divides by the mean; absolute values keep the sign of the slope when earnings are negative.
    Figures per share are taken as published, not adjusted for splits.

    >>> growth(np.array([[np.nan, 1.0, 1.5, 2.0, 2.5], [np.nan, np.nan, np.nan, 1.0, 2.0]])).round(4).tolist()
    [0.2857, nan]
    """
    has = ~np.isnan(per_share)
    n = has.sum(axis=1)
    enough = n >= MIN_GROWTH_YEARS
    y, years = np.where(has, per_share, 0.0), np.arange(per_share.shape[1], dtype=np.float64)
    count = np.where(enough, n, 1)
    x = np.where(has, years - ((has * years).sum(axis=1) / count)[:, None], 0.0)
    slope = (x * y).sum(axis=1) / np.where(enough, (x * x).sum(axis=1), 1.0)
    level = np.abs(y).sum(axis=1) / count
    return np.where(enough & (level > 0), slope / np.where(level > 0, level, 1.0), np.nan)
