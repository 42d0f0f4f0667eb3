"""Standardized unexpected earnings from published twelve-month profits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.risk.reports import MAX_AGE_DAYS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

QUARTERS, MIN_CHANGES = 8, 4
_SLOTS = 16  # quarters kept per name, by number modulo 16
_NEVER = -(10**6)


class EarningsBook:
    """Twelve-month net profits of ``n_names`` names by fiscal quarter, by column, filled in order of publication.

    A correction replaces its quarter from its own publication on. What the book says depends on reports on the last nine quarters before the
    latest, at most ``MAX_AGE_DAYS`` old.
    """

    def __init__(self, n_names: int) -> None:
        self._quarter = np.full((n_names, _SLOTS), _NEVER, dtype=np.int64)
        self._profit = np.full((n_names, _SLOTS), np.nan)

    def publish(self, columns: IntArray, reports: pd.DataFrame) -> None:
        """Take in the ``fundamentals`` rows of one session; ``columns`` their names' columns, −1 = not followed."""
        months = reports["report_period"].to_numpy().astype("datetime64[M]").astype(np.int64)
        quarters, profit = months // 3, reports["net_profit_ttm"].to_numpy(dtype=np.float64)
        for quarter in np.unique(quarters[columns >= 0]):  # names are unique within a period
            rows = np.flatnonzero((quarters == quarter) & (columns >= 0))
            newer = rows[quarter >= self._quarter[columns[rows], quarter % _SLOTS]]
            self._quarter[columns[newer], quarter % _SLOTS] = quarter
            self._profit[columns[newer], quarter % _SLOTS] = profit[newer]

    def surprise(self, date: str, columns: IntArray) -> FloatArray:
        """(S,) change of the twelve-month profit in the latest quarter over the standard deviation (divisor n − 1) of the last eight changes.

        The change of the twelve-month profit from one quarter to the next is the quarter's profit minus that of the same quarter a year before.
        NaN with fewer than four changes, without the latest one, with none that differ, or where the latest report is too old.
        """
        latest = self._quarter[columns].max(axis=1, initial=_NEVER)
        today = int(np.array(date, dtype="datetime64[D]").astype(np.int64))
        ends = ((latest + 1) * 3).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - 1
        profits = np.full((len(columns), QUARTERS + 1), np.nan)
        for back in range(QUARTERS + 1):
            wanted = latest - back
            slot = wanted % _SLOTS
            hit = (self._quarter[columns, slot] == wanted) & (today - ends <= MAX_AGE_DAYS)
            profits[hit, QUARTERS - back] = self._profit[columns[hit], slot[hit]]
        changes = np.diff(profits, axis=1)
        known = np.isfinite(changes)
        n = known.sum(axis=1)
        mean = np.where(known, changes, 0.0).sum(axis=1) / np.maximum(n, 1)
        squares = np.where(known, (changes - mean[:, None]) ** 2, 0.0).sum(axis=1)
        spread = np.sqrt(squares / np.maximum(n - 1, 1))
        usable = (n >= MIN_CHANGES) & known[:, -1] & (spread > 1e-12 * np.abs(np.nan_to_num(changes)).max(axis=1, initial=0.0))
        return np.where(usable, np.where(known[:, -1], changes[:, -1], 0.0) / np.where(usable, spread, 1.0), np.nan)
