"""Steps ``universe``, ``daily_panel``, ``intraday_15m_panel``, panels of characteristics and ``labels``: a date's raw tables become panel rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from alpha_pipeline.digest import combine, content_hash
from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS, absent_fields, build_row
from alpha_pipeline.features.labels import ForwardReturn, realized_labels
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.features.panel import Panel
from alpha_pipeline.features.rows import DAILY, daily_row, intraday_row, session_minute, status_row
from alpha_pipeline.market.universe import UniverseSpec, exclusion_counts
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.progress import track

RowBuilder = Callable[[str], tuple[np.ndarray, dict[str, int]]]


def _extend(work: Workspace, panel: Panel, keys: Sequence[str], source_of: Callable[[str], str], build: RowBuilder, label: str) -> StepReport:
    """Bring ``panel`` up to date for ``keys``: append new dates, rebuild from the first date whose inputs changed, keep the rest.

    A panel has no holes: the first row is the market's first session and every session up to the last row is present.
    """
    report = StepReport()
    stale = [key for key in keys if (row := panel.row(key)) is not None and row.source != source_of(key)]
    if stale:
        panel.rebuild_from(stale[0])
        report.facts["rebuilt from"] = stale[0]
    wanted = sorted(set(panel.owed) | {key for key in keys if panel.row(key) is None})
    report.reused = [key for key in keys if panel.row(key) is not None]
    if not wanted:
        return report
    done = panel.dates
    expected = work.session_keys(work.calendar.first if not done else work.calendar.offset(done[-1], 1), wanted[-1])
    missing = [key for key in expected if key not in set(wanted)]
    if missing:
        raise MissingData(sentence(
            f"panel '{panel.spec.name}' cannot skip sessions", where=wanted[0], got=f"{len(missing)} missing before, first {missing[0]}",
            next_step=f"Materialize the panel for {missing[0]} … {missing[-1]} first (a range run does it in one go).",
        ))
    with panel.appending() as rows:
        for key in track(wanted, label):
            values, counts = build(key)
            rows.add(key, values, source_of(key))
            report.computed.append(key)
            report.rows += int(np.isfinite(values[0, 0]).sum()) if values.dtype == np.float32 else int((values[0, 0] != 0).sum())
            report.exclude(counts)
    return report


def _content(work: Workspace, table: str, key: str) -> str:
    manifest = work.store.manifest(table, key)
    if manifest is None:
        raise MissingData(sentence(f"raw table '{table}' has no partition {key}", where=f"market '{work.market.name}'",
                                   next_step=f"Materialize '{table}' for {key} first."))
    return manifest.content


def _optional_content(work: Workspace, table: str, key: str) -> str:
    return _content(work, table, key) if table in work.source.describe().tables else "absent"


def extend_status(work: Workspace, keys: Sequence[str]) -> StepReport:
    """Step ``universe``: status flags, industry, age and index membership of every stock, known at the close of each date."""
    panels = work.panels
    has_weights = "index_weights" in work.source.describe().tables

    def source_of(key: str) -> str:
        parts = [_content(work, "security_status", key), _content(work, "daily_bars", key), _optional_content(work, "index_weights", key)]
        return combine([CODE_VERSION, *parts])

    def build(key: str) -> tuple[np.ndarray, dict[str, int]]:
        weights = work.store.read("index_weights", key) if has_weights else None
        row = status_row(work.store.read("daily_bars", key), work.store.read("security_status", key), weights, panels.axis)
        return row, exclusion_counts(row[0, 0], row[0, 2], UniverseSpec())

    return _extend(work, panels.status, keys, source_of, build, "universe")


def extend_daily(work: Workspace, keys: Sequence[str]) -> StepReport:
    """Step ``daily_panel``: adjusted daily prices and quantities."""
    panels = work.panels
    panel = panels.daily

    def source_of(key: str) -> str:
        return combine([CODE_VERSION, _content(work, "daily_bars", key), _content(work, "security_status", key)])

    def build(key: str) -> tuple[np.ndarray, dict[str, int]]:
        previous = np.asarray(panel.values[-1]) if panel.rows else None
        row = daily_row(work.store.read("daily_bars", key), work.store.read("security_status", key), panels.axis, previous)
        return row, {"no close": int(np.isnan(row[0, DAILY.field("close")]).sum())}

    return _extend(work, panel, keys, source_of, build, "daily panel")


def extend_intraday(work: Workspace, keys: Sequence[str]) -> StepReport:
    """Step ``intraday_15m_panel``: 16 adjusted bars a day."""
    panels = work.panels

    def source_of(key: str) -> str:
        return combine([CODE_VERSION, _content(work, "intraday_bars", key), _row_source(panels.daily, key), _row_source(panels.status, key)])

    def build(key: str) -> tuple[np.ndarray, dict[str, int]]:
        daily = np.asarray(panels.daily.values[panels.daily.index(key)])
        flags = np.asarray(panels.status.values[panels.status.index(key), 0, 0])
        return intraday_row(work.store.read("intraday_bars", key), daily, flags, panels.axis)

    return _extend(work, panels.intraday_15m, keys, source_of, build, "15-minute panel")


def extend_characteristics(work: Workspace, keys: Sequence[str], name: str) -> StepReport:
    """Steps ``mschars_panel``, ``l2chars_panel``, ``chars_10m_panel``, ``chars_30m_panel``: intraday characteristics at the source's bar length.

    ``universe`` must reach the dates: it gives every stock its column.
    """
    panels = work.panels
    spec = CHARACTERISTIC_PANELS[name]
    minutes = work.source.describe().intraday_minutes
    assert minutes is not None, "no such step without intraday bars"

    def source_of(key: str) -> str:
        panels.status.index(key)  # raises where the universe is missing
        return combine([CODE_VERSION, str(minutes), *(_content(work, table, key) for table in ("intraday_bars", "daily_bars", "security_status"))])

    def build(key: str) -> tuple[np.ndarray, dict[str, int]]:
        intraday, daily, status = (work.store.read(table, key) for table in ("intraday_bars", "daily_bars", "security_status"))
        return build_row(spec, intraday, daily, status, session_minute(intraday["bar_end"]), minutes, panels.axis)

    report = _extend(work, panels.characteristics(name), keys, source_of, build, f"{name} panel")
    if too_few := absent_fields(spec, minutes):
        report.facts[f"absent at {minutes}-minute bars"] = ", ".join(too_few)
    return report


def extend_labels(work: Workspace, keys: Sequence[str], spec: ForwardReturn) -> StepReport:
    """Step ``labels``: row *t* holds the return of samples formed ``horizon + lag`` sessions before *t*, so it is known at *t*."""
    panels = work.panels
    daily = panels.daily
    span = spec.label_end_offset

    def source_of(key: str) -> str:
        at = daily.index(key)
        rows = daily.rows[max(at - span, 0): at + 1]
        return combine([CODE_VERSION, repr(spec), *(row.checksum for row in rows)])

    def build(key: str) -> tuple[np.ndarray, dict[str, int]]:
        at = daily.index(key)
        window = np.asarray(daily.values[max(at - span, 0): at + 1, 0]).astype(np.float64)
        row = np.full(window.shape[-1], np.nan)
        if len(window) == span + 1:
            entry = None if spec.entry == "close" else window[:, DAILY.field(spec.entry_field)]
            row = realized_labels(window[:, DAILY.field("close")], spec, entry_DS=entry)[-1]
        return row[None, None].astype(np.float32), {"no return": int(np.isnan(row).sum())}

    return _extend(work, panels.label(spec.name), keys, source_of, build, f"label {spec.name}")


def _row_source(panel: Panel, key: str) -> str:
    return panel.rows[panel.index(key)].checksum


def panel_data_version(panels: MarketPanels, names: Sequence[str], first: str, last: str) -> str:
    """One hash of all rows of the named panels dated in [first, last]."""
    parts: list[str] = []
    for name in names:
        rows = panels.by_name(name).rows
        parts += [f"{name}:{row.date}:{row.checksum}" for row in rows if first <= row.date <= last]
    return content_hash("\n".join(parts).encode())
