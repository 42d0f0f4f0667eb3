"""What a recipe may look at when it derives a column for one date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from alpha_pipeline.sources.files.history import DailyHistory
from alpha_pipeline.sources.files.reading import FileReader, numbers

T = TypeVar("T")


class Market(Protocol):
    """The part of the market that recipes use: raw files, the daily history, the exchange's sessions since 1991."""

    @property
    def files(self) -> FileReader: ...

    @property
    def history(self) -> DailyHistory: ...

    @property
    def sessions(self) -> np.ndarray: ...

    def intraday(self, trade_date: dt.date) -> pd.DataFrame | None:
        """The date's intraday bars, None where the table does not cover it."""

    def has_no_limit(self, trade_date: dt.date, symbols: pd.Index) -> np.ndarray:
        """Names without price limits on the date for a reason that the rules do not know."""

    def once(self, key: tuple[Any, ...], build: Callable[[], T]) -> T:
        """What ``build`` returns, built on the first call and kept."""


@dataclass(frozen=True)
class Day:
    """One table of one date while it is put together: ``columns`` holds what is mapped or derived so far, row by row."""

    trade_date: dt.date
    frame: pd.DataFrame
    market: Market

    @property
    def symbols(self) -> pd.Index:
        return pd.Index(self.frame["symbol"])

    def number(self, column: str) -> np.ndarray:
        """A column as float64, NaN where missing."""
        return numbers(self.frame, column, str(self.trade_date))

    def lookup(self, file: str, column: str) -> pd.Series:
        """A column of another file on the same date for each row's symbol, missing where that file has no row."""
        rows = self.market.files.day(file, self.trade_date)
        if rows is None:
            return pd.Series(np.full(len(self.frame), np.nan))
        at = pd.Index(rows["symbol"]).get_indexer(self.symbols)
        return rows[column].reset_index(drop=True).reindex(at).reset_index(drop=True)
