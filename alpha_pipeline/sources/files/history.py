"""What a day's rows cannot say by themselves: yesterday's close, the first bar, splits since a date.

Dense panels (dates x symbols) of close and adj_factor, built once from the daily file. Row *d* uses rows up to *d* alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from alpha_pipeline.errors import BadInput, MissingData, sentence
from alpha_pipeline.sources.files.reading import numbers


@dataclass(frozen=True, eq=False)
class DailyHistory:
    """Daily closes and factors of every name in the file.

    Parameters
    ----------
    dates : (D,) ``datetime64[D]``, sorted.
    symbols : (S,) sorted index of symbols.
    close, factor : (D, S) float64, last known value, NaN before a name's first bar.
    share_scale : (D, S) cumulative ratio of the events that count as new shares; shares on one day = shares on
        another × ratio of scales.
    first_row : (S,) row of a name's first bar.
    """

    dates: np.ndarray
    symbols: pd.Index
    close: np.ndarray
    factor: np.ndarray
    share_scale: np.ndarray
    first_row: np.ndarray

    def row(self, trade_date: dt.date) -> int:
        """Row of a date that the file holds; raises :class:`MissingData` for another."""
        day = np.datetime64(trade_date, "D")
        at = int(np.searchsorted(self.dates, day))
        if at == len(self.dates) or self.dates[at] != day:
            raise MissingData(
                sentence(f"the daily file has no rows for {day}", expected=f"a date between {self.dates[0]} and {self.dates[-1]}")
            )
        return at

    def last_row(self, day: np.datetime64) -> int:
        """Row of the last date <= ``day``, -1 when there is none."""
        return int(np.searchsorted(self.dates, day, "right")) - 1

    def columns(self, symbols: pd.Index) -> np.ndarray:
        """Column of each symbol, -1 for names without a bar."""
        return self.symbols.get_indexer(symbols)

    @cached_property
    def price_index(self) -> np.ndarray:
        """(D, S) close × share_scale: market value up to a constant, since a price index keeps dividends out and
        splits neutral.
        """
        return self.close * self.share_scale

    @classmethod
    def build(
        cls,
        days: Iterable[tuple[np.datetime64, pd.DataFrame]],
        *,
        share_ratio: float,
        corrections: Iterable[tuple[str, dt.date]] = (),
    ) -> DailyHistory:
        """Panels from frames with symbol, close and adj_factor, in date order.

        ``corrections``: (symbol, date) whose factor jump on that date is taken out from then on.

        Raises
        ------
        BadInput
            A (date, symbol) repeats, or a correction names a stock or a date that the file does not have.
        """
        dates, stamps, names, closes, factors = [], [], [], [], []
        for day, frame in days:
            dates.append(day)
            stamps.append(np.full(len(frame), len(dates) - 1))
            names.append(frame["symbol"])
            closes.append(numbers(frame, "close", f"daily file {day}"))
            factors.append(numbers(frame, "adj_factor", f"daily file {day}"))
        if not dates:
            raise MissingData(sentence("the daily file has no rows"))
        columns, symbols = pd.factorize(pd.concat(names, ignore_index=True), sort=True)
        rows = np.concatenate(stamps)
        shape = (len(dates), len(symbols))
        if len(np.unique(rows * shape[1] + columns)) < len(rows):
            raise BadInput(
                sentence("the daily file repeats a symbol on a date", got=f"{len(rows)} rows", expected="unique (date, symbol)")
            )
        close, factor = np.full(shape, np.nan), np.full(shape, np.nan)
        close[rows, columns], factor[rows, columns] = np.concatenate(closes), np.concatenate(factors)
        close, factor = _forward_fill(close), _forward_fill(factor)
        index = pd.Index(symbols)
        for symbol, date in corrections:
            column, row = int(index.get_indexer([symbol])[0]), int(np.searchsorted(np.array(dates), np.datetime64(date, "D")))
            if (
                column < 0
                or not 0 < row < len(dates)
                or dates[row] != np.datetime64(date, "D")
                or np.isnan(factor[row - 1, column])
            ):
                raise BadInput(sentence(f"no factor to correct for {symbol} on {date}", where="factor_corrections"))
            factor[row:, column] *= factor[row - 1, column] / factor[row, column]
        ratio = np.ones(shape)
        ratio[1:] = factor[1:] / factor[:-1]
        ratio[~(ratio >= share_ratio)] = 1.0  # also where it is NaN, before the first bar
        scale = np.cumprod(ratio, axis=0)
        return cls(np.array(dates, dtype="datetime64[D]"), index, close, factor, scale, np.argmax(~np.isnan(close), axis=0))


def _forward_fill(values: np.ndarray) -> np.ndarray:
    """The last value that is not NaN at or above each row, per column."""
    rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    np.maximum.accumulate(rows, axis=0, out=rows)
    return np.take_along_axis(values, rows, axis=0)
