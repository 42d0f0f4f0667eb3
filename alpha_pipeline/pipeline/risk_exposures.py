"""Step ``risk/exposures``: the market's style factors and industry of every listed name, by trade date, known at its close."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, NotEnoughData, sentence
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.universe import UniverseSpec, has_flag
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.progress import track
from alpha_pipeline.risk.descriptors import HISTORY_SESSIONS, PriceHistory, market_return, price_descriptors
from alpha_pipeline.risk.reports import HISTORY_DAYS, ReportBook, report_descriptors
from alpha_pipeline.risk.style_factors import style_factors
from alpha_pipeline.store import Manifest

EXPOSURES = "risk/exposures"
UNIVERSE = UniverseSpec()  # the estimation universe: all A-shares that trade, without ST and names under 60 sessions old
NOT_STYLES = ("trade_date", "symbol", "industry", "total_cap", "in_universe")
_CHUNK = 64  # dates whose windows are held in memory together


def make_exposures(work: Workspace, keys: Sequence[str]) -> StepReport:
    """For each date: trade_date, symbol, industry, total_cap (CNY), in_universe, and one column per style, standardized.

    Six price-volume styles where the source has no ``fundamentals``, ten where it has; the partition's ``note`` says so. A date with
    too few stocks has an empty table and says why. A stock without a market value is left out and counted.
    """
    report = StepReport()
    panels = work.panels
    reports = Reports(work, panels, ReportBook(len(panels.axis))) if "fundamentals" in work.source.describe().tables else None
    stale: list[tuple[int, str, str]] = []
    for key in sorted(keys):
        at = panels.daily.index(key)
        source = _source(panels, at, reports)
        if work.store.is_current(EXPOSURES, key, source):
            report.reused.append(key)
        else:
            stale.append((at, key, source))
    windows = _windows(panels, [at for at, _, _ in stale])
    for (at, key, source), window in zip(track(stale, "risk exposures"), windows, strict=True):
        frame, meta = _exposures(panels, at, window, reports, report)
        work.store.write(EXPOSURES, key, frame, source=source, meta=meta)
        report.computed.append(key)
        report.rows += len(frame)
        report.facts["styles"] = meta["note"]
    return report


def _source(panels: MarketPanels, at: int, reports: Reports[ReportBook] | None) -> str:
    rows = slice(max(0, at - HISTORY_SESSIONS), at + 1)
    parts = [row.checksum for panel in (panels.daily, panels.status) for row in panel.rows[rows]]
    return combine([CODE_VERSION, *parts, *(reports.contents(panels.daily.dates[at]) if reports else ["no reports"])])


@dataclass(frozen=True)
class _Window:
    """The chunk's arrays; ``column`` is the date's in the histories, whose axis is (names, sessions)."""

    prices: PriceHistory
    column: int


def _windows(panels: MarketPanels, rows: Sequence[int]) -> Iterator[_Window]:
    """The window of each of the rising ``rows`` of the panels; a chunk of neighbours shares its arrays."""
    start = 0
    while start < len(rows):
        stop = start + 1
        while stop < len(rows) and rows[stop] - rows[start] < _CHUNK:
            stop += 1
        first = max(0, rows[start] + 1 - HISTORY_SESSIONS)
        prices = _history(panels, first, rows[stop - 1] + 1)
        for row in rows[start:stop]:
            yield _Window(prices, row - first)
        start = stop


def _history(panels: MarketPanels, first: int, stop: int) -> PriceHistory:
    """Sessions [first, stop). The return of the first needs the session before, as the market's weights do."""
    before = max(0, first - 1)
    close = panels.daily.field("close", before, stop).astype(np.float64)
    returns = np.full(close.shape, np.nan)
    returns[1:] = close[1:] / close[:-1] - 1.0
    cap = _cap(panels, before, stop)
    universe = panels.universe(UNIVERSE, before, stop)
    market = np.full(len(close), np.nan)
    for row in range(1, len(close)):
        market[row] = market_return(returns[row], cap[row - 1], universe[row - 1])
    turnover = panels.daily.field("turn", before, stop).astype(np.float64)
    at = slice(first - before, None)
    return PriceHistory.of(np.ascontiguousarray(returns[at].T), np.ascontiguousarray(turnover[at].T), market[at])


def _cap(panels: MarketPanels, start: int, stop: int) -> np.ndarray:
    cap = panels.daily.field("total_cap", start, stop).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(cap > 0, cap, np.nan)


def _exposures(
    panels: MarketPanels, at: int, window: _Window, reports: Reports[ReportBook] | None, report: StepReport
) -> tuple[pd.DataFrame, dict[str, object]]:
    key = panels.daily.dates[at]
    cap_all = _cap(panels, at, at + 1)[0]
    listed = has_flag(panels.status.field("flags", at, at + 1)[0], "listed")
    # from here on only the names of the date: what lists later cannot even change how numbers are summed
    names = np.flatnonzero(listed & ~np.isnan(cap_all))
    report.exclude({"no market value": int(listed.sum()) - len(names)})
    cap, industry = cap_all[names], panels.industry(at, at + 1)[0, names]
    universe = panels.universe(UNIVERSE, at, at + 1)[0, names]
    descriptors = {name: values[names] for name, values in price_descriptors(window.prices.ending(window.column)).items()}
    if reports is not None:
        descriptors |= report_descriptors(reports.at(key).at(key, names), cap)
    labels = np.array([*panels.axis.industries, None], dtype=object)
    try:
        found = style_factors(descriptors, cap, industry, universe)
    except NotEnoughData as error:
        report.exclude({"too few stocks on the date": len(names)})
        return _frame(key, [], np.zeros(0, dtype=object), cap[:0], universe[:0], {}), {"styles": [], "note": str(error), "n_filled": {}, "absent": []}
    styles = {name: found.values[:, k] for k, name in enumerate(found.names)}
    frame = _frame(key, [panels.axis.symbols[i] for i in names], labels[industry], cap, universe, styles)
    n_filled = {name: int(n) for name, n in zip(found.names, found.n_filled, strict=True)}
    return frame, {"styles": list(found.names), "note": found.note, "n_filled": n_filled, "absent": list(found.absent)}


def _frame(key: str, symbols: list[str], industry: np.ndarray, cap: np.ndarray, universe: np.ndarray,
           styles: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame({
        "trade_date": pd.Series(np.full(len(symbols), np.datetime64(key, "s"))), "symbol": pd.array(symbols, dtype="str"),
        "industry": pd.array(list(industry), dtype="str"), "total_cap": cap, "in_universe": universe, **styles,
    })


def exposures_manifest(work: Workspace, day: str) -> Manifest:
    """Manifest of a date's exposures; raises :class:`MissingData` for a date that the risk model lacks."""
    manifest = work.store.manifest(EXPOSURES, day)
    if manifest is None:
        raise MissingData(sentence(f"the risk model has no exposures on {day}", where=EXPOSURES,
                                   next_step=f"Materialize '{EXPOSURES}' for {day} first."))
    return manifest


def styles_of(work: Workspace, panels: MarketPanels, days: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """(n_days, n_symbols, n_names) standardized exposures of the stored risk model; NaN where a name or a style is unknown.

    Raises :class:`MissingData` for a date that the risk model lacks.
    """
    values = np.full((len(days), len(panels.axis), len(names)), np.nan)
    for at, day in enumerate(days):
        known = [name for name in names if name in exposures_manifest(work, day).columns]
        frame = work.store.read(EXPOSURES, day, ["symbol", *known])
        columns = panels.axis.known_columns(frame["symbol"].tolist())
        for name in known:
            values[at, columns, list(names).index(name)] = frame[name].to_numpy(dtype=np.float64)
    return values


class Book(Protocol):
    """What takes in company reports in order of publication."""

    def publish(self, columns: np.ndarray, reports: pd.DataFrame) -> None: ...


AnyBook = TypeVar("AnyBook", bound=Book)


class Reports(Generic[AnyBook]):
    """The ``fundamentals`` of a market put into a book in order of publication, each partition read once; dates must be asked for in rising order.

    A date depends on what was published within ``HISTORY_DAYS`` before it, so a single date reads that much and a range reads one pass.
    """

    def __init__(self, work: Workspace, panels: MarketPanels, book: AnyBook) -> None:
        self._work, self._panels, self._book = work, panels, book
        self._sessions = work.session_keys()
        self._ordered = np.array(self._sessions)
        self._content: dict[str, tuple[str, int]] = {}
        self._next = -1  # place in the sessions of the first partition not yet taken in

    def contents(self, key: str) -> list[str]:
        """Hashes of the partitions that a date depends on."""
        return [self._manifest(session)[0] for session in self._sessions[self._first(key): self._place(key) + 1]]

    def at(self, key: str) -> AnyBook:
        """The book with everything published up to ``key``."""
        if self._next < 0:
            self._next = self._first(key)
        stop = self._place(key) + 1
        for session in self._sessions[self._next: stop]:
            if self._manifest(session)[1]:
                frame = self._work.store.read("fundamentals", session)
                self._book.publish(self._panels.axis.known_columns(frame["symbol"].tolist()), frame)
        self._next = max(self._next, stop)
        return self._book

    def _first(self, key: str) -> int:
        earliest = str(np.datetime64(key, "D") - HISTORY_DAYS)
        return int(np.searchsorted(self._ordered, earliest))

    def _place(self, key: str) -> int:
        return int(np.searchsorted(self._ordered, key))

    def _manifest(self, session: str) -> tuple[str, int]:
        """Content hash and number of rows."""
        if session not in self._content:
            manifest = self._work.store.manifest("fundamentals", session)
            if manifest is None:
                raise MissingData(sentence(f"raw table 'fundamentals' has no partition {session}", where=EXPOSURES,
                                           next_step=f"Materialize 'fundamentals' for {session} first."))
            self._content[session] = manifest.content, manifest.rows
        return self._content[session]
