"""A market opened for work: its store, panels, calendar and source."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.markets import MarketConfig, data_root, open_source
from alpha_pipeline.sources.base import MarketSource
from alpha_pipeline.store import Store

# Raised whenever numbers change for the same settings and data: it is part of every source hash.
CODE_VERSION = "2"


@dataclass
class Workspace:
    """One market's configuration with everything opened lazily."""

    market: MarketConfig
    root: str = ""
    source_override: MarketSource | None = None

    def __post_init__(self) -> None:
        self.root = self.root or data_root(self.market)

    @cached_property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def panels(self) -> MarketPanels:
        """Opened anew on each access: another process may have appended."""
        return MarketPanels(self.store.local_folder("panels"))

    @cached_property
    def source(self) -> MarketSource:
        return self.source_override or open_source(self.market)

    @cached_property
    def calendar(self) -> TradingCalendar:
        return self.source.calendar

    def session_keys(self, start: str | dt.date | None = None, end: str | dt.date | None = None) -> list[str]:
        """ISO keys of the market's sessions in [start, end]."""
        return [str(d) for d in self.calendar.between(start or self.calendar.first, end or self.calendar.last)]

    def check_session(self, key: str) -> dt.date:
        """The date of a partition key; a holiday or a date outside the market is refused with a sentence."""
        date = as_date(key)
        if not self.calendar.is_session(date):
            raise BadInput(sentence(
                f"{key} is not a trade date", where=f"market '{self.market.name}'",
                expected=f"a session between {self.calendar.first} and {self.calendar.last}",
                next_step=f"The nearest sessions are {self.calendar.nearest(date)}.",
            ))
        return date


@dataclass
class StepReport:
    """What a step did: dates computed and skipped, rows, exclusions by reason, anything worth showing."""

    computed: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    rows: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def exclude(self, counts: dict[str, int]) -> None:
        """Add exclusion counts."""
        for reason, count in counts.items():
            self.excluded[reason] = self.excluded.get(reason, 0) + int(count)


def contiguous(keys: Sequence[str], calendar: TradingCalendar) -> list[tuple[str, str]]:
    """Runs of neighbouring sessions among sorted keys, as (first, last)."""
    runs: list[tuple[str, str]] = []
    for key in keys:
        if runs and calendar.offset(runs[-1][1], 1) == as_date(key):
            runs[-1] = (runs[-1][0], key)
        else:
            runs.append((key, key))
    return runs
