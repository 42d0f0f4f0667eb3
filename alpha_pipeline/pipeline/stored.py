"""Re-running the raw checks on stored partitions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alpha_pipeline.errors import CorruptPartition
from alpha_pipeline.market.calendar import as_date, last_known_session
from alpha_pipeline.market.checks import CheckContext, check_table
from alpha_pipeline.pipeline.ingest import COMPARED_WITH
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.progress import track


@dataclass(frozen=True)
class StoredCheck:
    """Failures by date, the worst severity among them (``ERROR`` or ``WARN``, empty if none), and a sentence."""

    n_dates: int
    failures: dict[str, str]
    severity: str
    sentence: str


@dataclass(frozen=True)
class CalendarReach:
    """Days from the newest stored session to the last one that the exchange calendar knows, and a sentence with the remedy."""

    days: int
    sentence: str


def calendar_reach(work: Workspace) -> CalendarReach:
    """How far the installed exchange calendar reaches beyond the data; a market's own end date is its owner's choice and no concern here."""
    last = last_known_session(work.calendar.exchange)
    newest = max(work.store.keys("daily_bars"), default=str(work.calendar.first))
    days = (last - as_date(newest)).days
    return CalendarReach(days, f"exchange_calendars knows {work.calendar.exchange} to {last}, {days} days beyond {newest}: "
                               "install a newer exchange_calendars before it ends.")


def check_table_range(work: Workspace, table: str, start: str = "", end: str = "") -> StoredCheck:
    """All checks of a table on its stored partitions in [start, end]; both empty: the newest one.

    A partition whose bytes do not match its manifest fails like any other check, and so does one that is compared with it.
    """
    stored = work.store.keys(table)
    keys = [k for k in stored if (not start or k >= start) and (not end or k <= end)] if start or end else stored[-1:]
    failures: dict[str, str] = {}
    severity = ""
    before: tuple[str, pd.DataFrame] | None = None  # the partition checked last, which is often the next one's previous session
    for key in track(keys, f"check {table}"):
        try:
            frame = work.store.read(table, key)
            results = check_table(table, frame, _context(work, table, key, before))
        except CorruptPartition as error:
            failures[key], severity = str(error), "ERROR"
            continue
        before = key, frame
        for result in results:
            if not result.passed:
                failures.setdefault(key, result.message)
                severity = "ERROR" if result.severity == "error" or severity == "ERROR" else "WARN"
    if failures:
        first, message = next(iter(failures.items()))
        text = f"{len(failures)} of {len(keys)} dates fail; first {first}: {message}"
    else:
        text = f"holds on {len(keys)} stored dates"
    return StoredCheck(len(keys), failures, severity, text)


def _context(work: Workspace, table: str, key: str, before: tuple[str, pd.DataFrame] | None) -> CheckContext:
    def read(name: str, date: str) -> pd.DataFrame | None:
        return work.store.read(name, date) if work.store.manifest(name, date) is not None else None

    date = work.check_session(key)
    session = work.calendar.offset(date, -1)
    previous = None
    if session is not None:
        previous = before[1] if before is not None and before[0] == session.isoformat() else read(table, session.isoformat())
    companions = {name: read(name, key) for name in COMPARED_WITH.get(table, ())}
    return CheckContext(
        trade_date=date, calendar=work.calendar, status=companions.get("security_status"), daily_bars=companions.get("daily_bars"),
        previous={} if previous is None else {table: previous}, overrides=work.market.checks,
        intraday_minutes=work.source.describe().intraday_minutes,
    )
