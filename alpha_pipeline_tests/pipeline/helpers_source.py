"""A market source that hands out one broken table on one date, for the tests of bad input."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.sources.base import MarketSource, SourceDescription

Alter = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass
class AlteredMarket:
    """``inner`` with tables altered: ``alterations`` maps (table, ISO date) to a function of the frame. ``n_read`` counts dates handed out."""

    inner: MarketSource
    alterations: dict[tuple[str, str], Alter] = field(default_factory=dict)
    n_read: int = 0

    @property
    def calendar(self) -> TradingCalendar:
        return self.inner.calendar

    def describe(self) -> SourceDescription:
        return self.inner.describe()

    def read_day(self, trade_date: dt.date, tables: Sequence[str]) -> dict[str, pd.DataFrame]:
        self.n_read += 1
        frames = self.inner.read_day(trade_date, tables)
        same: Alter = pd.DataFrame.copy
        return {table: self.alterations.get((table, trade_date.isoformat()), same)(frame.copy()) for table, frame in frames.items()}

    def iter_days(self, start: dt.date, end: dt.date, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]:
        for day in self.calendar.between(start, end):
            yield as_date(day), self.read_day(as_date(day), tables)
