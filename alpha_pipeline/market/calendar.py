"""Trading calendar: the sessions of an exchange as one sorted array.

Dates are ``numpy.datetime64[D]`` inside arrays and ``datetime.date`` for single values; keys of partitions and files
are ISO strings (``2024-01-05``).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from alpha_pipeline.errors import MissingData, sentence


def as_date(value: str | dt.date | np.datetime64) -> dt.date:
    """A ``datetime.date`` from an ISO string, a date, a datetime or a numpy date."""
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    return dt.date.fromisoformat(str(value.astype("datetime64[D]") if isinstance(value, np.datetime64) else value))


@dataclass(frozen=True, eq=False)
class TradingCalendar:
    """Sessions of one exchange between two dates, both inclusive.

    ``sessions`` is a sorted, unique ``datetime64[D]`` array. Indices into it are the common date axis of all panels.
    """

    exchange: str
    sessions: np.ndarray

    def __post_init__(self) -> None:
        assert self.sessions.ndim == 1 and len(self.sessions) > 0
        assert bool((np.diff(self.sessions) > np.timedelta64(0, "D")).all()), "sessions must be sorted and unique"

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def first(self) -> dt.date:
        return as_date(self.sessions[0])

    @property
    def last(self) -> dt.date:
        return as_date(self.sessions[-1])

    def keys(self) -> list[str]:
        """ISO strings of all sessions."""
        return [str(day) for day in self.sessions]

    def is_session(self, day: str | dt.date) -> bool:
        at = int(np.searchsorted(self.sessions, np.datetime64(as_date(day), "D")))
        return at < len(self.sessions) and self.sessions[at] == np.datetime64(as_date(day), "D")

    def index(self, day: str | dt.date) -> int:
        """Position of a session; raises :class:`MissingData` for a day that is none."""
        date = as_date(day)
        at = int(np.searchsorted(self.sessions, np.datetime64(date, "D")))
        if at == len(self.sessions) or self.sessions[at] != np.datetime64(date, "D"):
            raise MissingData(sentence(
                f"{date} is not a session of {self.exchange}",
                expected=f"a trade date between {self.first} and {self.last}",
                next_step=f"The nearest sessions are {self.nearest(date)}.",
            ))
        return at

    def nearest(self, day: str | dt.date) -> str:
        """The sessions on either side of ``day``, for messages."""
        at = int(np.searchsorted(self.sessions, np.datetime64(as_date(day), "D")))
        near = self.sessions[max(at - 1, 0): at + 1]
        return " and ".join(str(d) for d in near)

    def between(self, start: str | dt.date, end: str | dt.date) -> np.ndarray:
        """Sessions in [start, end], as ``datetime64[D]``."""
        low = np.searchsorted(self.sessions, np.datetime64(as_date(start), "D"), "left")
        high = np.searchsorted(self.sessions, np.datetime64(as_date(end), "D"), "right")
        return self.sessions[low:high]

    def last_before(self, day: str | dt.date) -> dt.date:
        """The last session strictly before ``day``."""
        at = int(np.searchsorted(self.sessions, np.datetime64(as_date(day), "D"), "left"))
        if at == 0:
            raise MissingData(sentence(f"no session before {as_date(day)}", where=self.exchange, expected=f"a date after {self.first}"))
        return as_date(self.sessions[at - 1])

    def offset(self, day: str | dt.date, n_sessions: int) -> dt.date | None:
        """The session ``n_sessions`` after ``day`` (before, when negative); None beyond the calendar."""
        at = self.index(day) + n_sessions
        return as_date(self.sessions[at]) if 0 <= at < len(self.sessions) else None

    def week_ends(self, start: str | dt.date, end: str | dt.date) -> np.ndarray:
        """The last session of each ISO week (Monday to Sunday) that has one, within [start, end].

        The week of ``end`` counts only if its last session lies inside the range or the calendar knows no later one in that week.
        """
        monday = self.sessions - ((self.sessions.astype("int64") + 3) % 7).astype("timedelta64[D]")
        is_last = np.append(monday[1:] != monday[:-1], True)
        ends = self.sessions[is_last]
        return ends[(ends >= np.datetime64(as_date(start), "D")) & (ends <= np.datetime64(as_date(end), "D"))]


def last_known_session(exchange: str) -> dt.date:
    """The last session of an exchange that the installed ``exchange_calendars`` knows."""
    import exchange_calendars

    return as_date(exchange_calendars.get_calendar(exchange, start="1991-01-02").sessions.values[-1])


@lru_cache(maxsize=32)
def exchange_sessions(exchange: str, start: dt.date, end: dt.date) -> TradingCalendar:
    """Sessions of an exchange known to ``exchange_calendars`` (``XSHG`` for Shanghai and Shenzhen).

    Raises :class:`MissingData` when the range reaches beyond what the installed library knows (XSHG: 2026-12-31 in 4.13.2).
    """
    import exchange_calendars

    full = exchange_calendars.get_calendar(exchange, start="1991-01-02")
    days = full.sessions.values.astype("datetime64[D]")
    if np.datetime64(end, "D") > days[-1] and end.year > as_date(days[-1]).year:
        raise MissingData(sentence(
            f"the calendar {exchange} ends on {days[-1]}", got=f"a range to {end}",
            next_step="Install a newer exchange_calendars, or end the market's range earlier.",
        ))
    inside = days[(days >= np.datetime64(start, "D")) & (days <= np.datetime64(end, "D"))]
    if len(inside) == 0:
        raise MissingData(sentence(f"no session of {exchange} between {start} and {end}"))
    return TradingCalendar(exchange, inside)
