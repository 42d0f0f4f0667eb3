"""The protocol of a market source and what it says about itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import pandas as pd

from alpha_pipeline.market.calendar import TradingCalendar


@dataclass(frozen=True)
class SourceDescription:
    """What a source offers, in words that reach every report.

    ``missing`` maps a table or ``table.column`` to the reason it is absent; ``proxies`` maps ``table.column`` to how it is
    approximated. ``is_simulated`` must be true for anything that is not a record of real trading.
    """

    name: str
    is_simulated: bool
    summary: str
    tables: tuple[str, ...]
    intraday_minutes: int | None = None
    industry_scheme: str = ""
    missing: dict[str, str] = field(default_factory=dict)
    proxies: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@runtime_checkable
class MarketSource(Protocol):
    """Raw tables per trade date in the layout of :mod:`alpha_pipeline.market.schema`.

    ``read_day`` returns only tables in ``describe().tables``; asking for another raises :class:`MissingData` naming the reason.
    What is returned for date *t* must not depend on anything after *t*. Two calls return equal frames.
    """

    def describe(self) -> SourceDescription: ...

    @property
    def calendar(self) -> TradingCalendar: ...

    def read_day(self, trade_date: dt.date, tables: Sequence[str]) -> dict[str, pd.DataFrame]: ...

    def iter_days(self, start: dt.date, end: dt.date, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]: ...
