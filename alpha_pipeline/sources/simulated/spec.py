"""What a simulated market is made of: the settings, their checks, and the random streams."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from alpha_pipeline.errors import InvalidSpec, sentence

NATIVE_MINUTES = (1, 5, 15, 30)
MAX_STOCKS = 8000  # beyond this the symbol ranges of the boards run out
CRASH_SESSIONS = 17


@dataclass(frozen=True)
class SimulatedMarketSpec:
    """Settings of one market; equal settings give equal bytes.

    ``n_stocks`` is the number of names listed on the first session; IPOs add about 4.5 % of it a year and delistings take about
    1 %. ``start`` and ``end`` are calendar days, both inclusive. ``bar_minutes`` is the native intraday frequency; open, close
    and volume of a day are the same for every frequency, high, low and vwap are made of the bars and differ a little.
    ``alpha_scale`` multiplies the planted alpha (0 switches it off). From the first session on or after ``regime_switch`` on the
    alpha is ``alpha_after_switch`` of its former strength, and small caps crash over the next 17 sessions. The default date lies
    85 % into the range, so two markets with different ``end`` agree on earlier dates only if both name the date.

    Raises :class:`InvalidSpec` for a setting out of range.
    """

    n_stocks: int = 300
    start: dt.date = dt.date(2021, 1, 4)
    end: dt.date = dt.date(2023, 12, 29)
    seed: int = 7
    bar_minutes: int = 15
    regime_switch: dt.date | None = None
    has_regime_switch: bool = True
    alpha_scale: float = 1.0
    alpha_after_switch: float = 0.4

    def __post_init__(self) -> None:
        where = "SimulatedMarketSpec"
        if not 20 <= self.n_stocks <= MAX_STOCKS:
            raise InvalidSpec(sentence("n_stocks out of range", where=where, got=self.n_stocks, expected=f"20 to {MAX_STOCKS}"))
        if self.bar_minutes not in NATIVE_MINUTES:
            raise InvalidSpec(sentence("bar_minutes is not a native frequency", where=where, got=self.bar_minutes,
                                       expected=f"one of {NATIVE_MINUTES}", next_step="Aggregate coarser bars from a finer one."))
        if self.start > self.end:
            raise InvalidSpec(sentence("start is after end", where=where, got=self.start, expected=f"a day up to {self.end}"))
        if self.start < dt.date(2010, 1, 4):
            raise InvalidSpec(sentence("start is too early", where=where, got=self.start, expected="2010-01-04 or later",
                                       next_step="The simulated boards follow the rules from 2010 on."))
        if self.seed < 0:
            raise InvalidSpec(sentence("seed is negative", where=where, got=self.seed, expected="0 or more"))
        if self.alpha_scale < 0 or not 0 <= self.alpha_after_switch <= 1:
            raise InvalidSpec(sentence("alpha strength out of range", where=where,
                                       got=(self.alpha_scale, self.alpha_after_switch),
                                       expected="alpha_scale >= 0 and alpha_after_switch between 0 and 1"))
        if self.regime_switch is not None and not self.has_regime_switch:
            raise InvalidSpec(sentence("regime_switch is given although has_regime_switch is False", where=where,
                                       got=self.regime_switch, next_step="Drop one of the two."))
        if self.regime_switch is not None and self.regime_switch < self.start:
            raise InvalidSpec(sentence("regime_switch lies before start", where=where, got=self.regime_switch,
                                       expected=f"a day from {self.start} on"))


class Stream(IntEnum):
    """Purpose of a random stream; a stream is (seed, purpose, key) and never depends on how much another one has drawn."""

    SEASONED = 1
    LISTINGS = 2
    EVENTS = 3
    DAY = 4
    FACTORS = 5
    BARS = 6
    QUARTER = 7


def stream(seed: int, purpose: Stream, key: int = 0) -> np.random.Generator:
    """The generator of one purpose and key (a session's ordinal, a year, a quarter)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, int(purpose), key))))


def first_session_after_second_friday(year: int, month: int, sessions: np.ndarray) -> int:
    """Position of the first session after the second Friday of a month; ``len(sessions)`` when the calendar ends before."""
    first = dt.date(year, month, 1)
    second_friday = first + dt.timedelta(days=(4 - first.weekday()) % 7 + 7)
    return int(np.searchsorted(sessions, np.datetime64(second_friday, "D"), "right"))
