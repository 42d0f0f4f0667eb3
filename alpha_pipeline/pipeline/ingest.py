"""Step ``market``: a date's raw tables are read, conformed to their schema, checked, and stored or set aside.

A table that fails a blocking check is not stored: it goes to the quarantine with its reasons, and the earlier good version, if there is one,
stays where it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import BadInput
from alpha_pipeline.market.checks import CheckContext, CheckResult, blocking, check_conformed
from alpha_pipeline.market.frames import conform
from alpha_pipeline.pipeline.workspace import CODE_VERSION, Workspace, contiguous
from alpha_pipeline.progress import step

ORDER = ("security_status", "daily_bars", "intraday_bars", "index_weights", "index_bars", "fundamentals")
# The tables of the same date that a table's checks compare it with.
COMPARED_WITH = {"daily_bars": ("security_status",), "intraday_bars": ("daily_bars",), "index_weights": ("security_status",)}


@dataclass
class TableReport:
    """What happened to one table over the requested dates. ``findings`` are failed checks, blocking or not, by date."""

    table: str
    written: dict[str, int] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    findings: dict[str, list[CheckResult]] = field(default_factory=dict)
    n_checked: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.written.values())

    def failures(self, check: str) -> dict[str, CheckResult]:
        """Failed results of one check by date."""
        return {key: result for key, results in self.findings.items() for result in results if result.name == check}


def ingest(work: Workspace, keys: Sequence[str], tables: Sequence[str], *, refresh: bool = False) -> dict[str, TableReport]:
    """Bring raw ``tables`` of the dates ``keys`` into the store.

    Dates that are already stored from the same configuration are kept unless ``refresh``; a refreshed date whose content is equal keeps its
    data version. ``keys`` must be sessions. Returns one report per table; nothing is raised for bad data, the report says what was rejected.
    """
    for key in keys:
        work.check_session(key)
    source_hash = combine([CODE_VERSION, work.market.digest()])
    reports = {table: TableReport(table) for table in tables}
    missing: list[str] = []
    for key in keys:
        current = [t for t in tables if not refresh and work.store.is_current(t, key, source_hash)]
        for table in current:
            reports[table].reused.append(key)
        if len(current) < len(tables):
            missing.append(key)
    read = _with_context_tables(tables, work)
    done = 0
    step("ingest", 0, len(missing))
    for first, last in contiguous(missing, work.calendar):
        previous = _stored_before(work, first, read)
        for date, frames in _days(work, first, last, read):
            key = date.isoformat()
            companions, unusable = _companions(frames, key)
            context = CheckContext(
                trade_date=date, calendar=work.calendar, status=companions.get("security_status"), daily_bars=companions.get("daily_bars"),
                previous=previous, overrides=work.market.checks, intraday_minutes=work.source.describe().intraday_minutes,
            )
            accepted = dict(previous)
            for table in read:
                if table in reports and key not in reports[table].reused:
                    # stored without the checks that needed a broken companion: not current, so the next ingest checks it in full
                    is_partly_checked = any(companion in unusable for companion in COMPARED_WITH.get(table, ()))
                    source = combine([source_hash, "partly checked"]) if is_partly_checked else source_hash
                    is_good = _store_one(work, reports[table], key, frames[table], context, source)
                else:
                    is_good = table not in unusable
                if is_good:
                    accepted[table] = companions.get(table, frames[table])
            previous = accepted
            done += 1
            step("ingest", done, len(missing), note=key)
    return reports


def _with_context_tables(tables: Sequence[str], work: Workspace) -> list[str]:
    """The tables asked for, plus those that their checks look at, in reading order."""
    needed = {*tables, *(companion for table in tables for companion in COMPARED_WITH.get(table, ()))}
    available = work.source.describe().tables
    return [t for t in ORDER if t in needed and t in available]


def _days(work: Workspace, first: str, last: str, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]:
    start, end = work.check_session(first), work.check_session(last)
    if start == end:
        yield start, work.source.read_day(start, tables)
    else:
        yield from work.source.iter_days(start, end, tables)


def _stored_before(work: Workspace, key: str, tables: Sequence[str]) -> Mapping[str, pd.DataFrame]:
    """The previous session's stored tables, for coverage and the adjustment factor; tables that are not stored are left out."""
    before = work.calendar.offset(key, -1)
    if before is None:
        return {}
    return {t: work.store.read(t, before.isoformat()) for t in tables if work.store.manifest(t, before.isoformat()) is not None}


def _companions(frames: Mapping[str, pd.DataFrame], key: str) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The companions among ``frames``, conformed; and the names of those that do not conform."""
    usable: dict[str, pd.DataFrame] = {}
    unusable: list[str] = []
    for table in sorted({companion for companions in COMPARED_WITH.values() for companion in companions}):
        if table in frames:
            try:
                usable[table] = conform(table, frames[table], where=f"{table} {key}")
            except BadInput:
                unusable.append(table)  # its own check reports why
    return usable, unusable


def _store_one(work: Workspace, report: TableReport, key: str, frame: pd.DataFrame, context: CheckContext, source_hash: str) -> bool:
    """Check and store one table of one date; False when it was rejected."""
    conformed: pd.DataFrame | None = None
    try:
        conformed = conform(report.table, frame, where=f"{report.table} {key}")
        results = check_conformed(report.table, conformed, context)
    except BadInput as error:
        results = [CheckResult("schema", report.table, "error", False, len(frame), len(frame), [], str(error))]
    for result in results:
        report.n_checked[result.name] = report.n_checked.get(result.name, 0) + 1
    failed = [result for result in results if not result.passed]
    if failed:
        report.findings[key] = failed
    if conformed is None or blocking(results):
        report.rejected.append(key)
        work.store.quarantine(report.table, key, frame, [_reason(result) for result in failed])
        return False
    work.store.write(report.table, key, conformed, source=source_hash,
                     meta={"warnings": [result.message for result in failed], "market": work.market.name})
    work.store.release(report.table, key)
    report.written[key] = len(conformed)
    return True


def _reason(result: CheckResult) -> dict[str, Any]:
    return {"check": result.name, "severity": result.severity, "n_failed": result.n_failed, "message": result.message,
            "examples": [{str(k): str(v) for k, v in example.items()} for example in result.examples]}
