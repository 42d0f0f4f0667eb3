"""The inputs of a combination on one date, on the panels' axis, and the hashes of what they were read from.

Everything of date *t* is read from tables and panel rows dated *t* or before, and is the same whatever range a step was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.combination.earnings import EarningsBook
from alpha_pipeline.combination.other_factors import OTHER_FACTORS, OtherFactor
from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.features.characteristics.panels import why_absent
from alpha_pipeline.features.labels import ForwardReturn, standardize_labels
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.universe import UniverseSpec, tradable_next_day
from alpha_pipeline.pipeline.combinations.plan import Combination
from alpha_pipeline.pipeline.risk_exposures import Reports
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.reports import ReportBook
from alpha_pipeline.sources.base import SourceDescription
from alpha_pipeline.store import Manifest


@dataclass(frozen=True, eq=False)
class Columns:
    """``values`` (S, K) float64, NaN = missing; ``names`` (K): the input, and ``input:k`` for factor k of a unit."""

    names: tuple[str, ...]
    values: np.ndarray


def input_of(column: str) -> str:
    """The input that a column belongs to.

    >>> input_of("gru_rawbar:17"), input_of("size")
    ('gru_rawbar', 'size')
    """
    return column.split(":", 1)[0]


class InputReader:
    """Reads a combination's inputs date by date; one for a whole step, so that company reports are taken in once.

    ``whole_dates``: a date's tables are read once with all their columns and kept until another date is asked for, which pays where all runs of a
    date are wanted.
    """

    def __init__(self, work: Workspace, panels: MarketPanels, combination: Combination, *, whole_dates: bool = False) -> None:
        self.work, self.panels, self.combination = work, panels, combination
        source = work.source.describe()
        self.absent = {name: why for name in combination.factors if (why := _absence(OTHER_FACTORS[name], source))}
        self.present = tuple(name for name in combination.factors if name not in self.absent)
        uses_reports = any(OTHER_FACTORS[name].panel == "fundamentals" for name in self.present)
        self._reports = Reports(work, panels, ReportBook(len(panels.axis))) if uses_reports else None
        self._earnings = Reports(work, panels, EarningsBook(len(panels.axis))) if "sue" in self.present else None
        self._manifests: dict[tuple[str, str], Manifest] = {}
        self._whole_dates = whole_dates
        self._kept_date = ""
        self._kept: dict[str, pd.DataFrame] = {}
        self._kept_factors: dict[str, Columns] = {}

    def sources(self, key: str) -> list[str]:
        """Hashes of everything that the inputs of a date depend on. Raises :class:`MissingData` naming the input that has no score."""
        parts = [self._manifest(name, key).content for name in self.combination.scores]
        parts += [self._manifest(name, key).meta.get("factors", "") for name in self.combination.scores]
        for name in self.present:
            factor = OTHER_FACTORS[name]
            panel = self.panels.by_name("daily" if factor.panel == "fundamentals" else factor.panel)
            at = panel.index(key)
            parts += [row.checksum for row in panel.rows[max(0, at + 1 - factor.n_rows): at + 1]]
        if self._reports is not None:
            parts += self._reports.contents(key)
        status = self.panels.status
        return [*parts, status.rows[status.index(key)].checksum, *sorted(self.absent)]

    def universe(self, key: str) -> np.ndarray:
        """(S,) mask of the combination's universe."""
        at = self.panels.status.index(key)
        return np.asarray(self.panels.universe(self.combination.spec.universe, at, at + 1)[0])

    def scores(self, key: str) -> Columns:
        """The inputs' scores and the other factors."""
        tables = self.combination.scores
        return self._joined(key, {name: self._read(name, key, {"score": name}) for name in tables})

    def members(self, key: str, run: int) -> Columns | None:
        """The inputs' member scores of one run; None unless every input has that run."""
        tables = self.combination.scores
        if self.present or any(f"member_{run}" not in self._manifest(name, key).columns for name in tables):
            return None
        return self._joined(key, {name: self._read(name, key, {f"member_{run}": name}) for name in tables})

    def factors(self, key: str, run: int) -> Columns:
        """All factors of one run: of a factor unit its K factors, of other inputs the member's score, and the other factors."""
        found: dict[str, Columns] = {}
        for name, table in self.combination.scores.items():
            manifest = self._manifest(name, key)
            if "factors" in manifest.meta:
                found[name] = self._unit(name, table.removesuffix("/scores") + "/factors", key, run, manifest)
            else:
                column = f"member_{run}"
                if column not in manifest.columns:
                    raise MissingData(sentence(f"'{table}' has no run {run}", where=f"combination '{self.combination.name}' {key}",
                                               got=", ".join(manifest.columns), next_step="Name its runs in the combination's 'runs'."))
                found[name] = self._read(name, key, {column: name})
        return self._joined(key, found)

    def _unit(self, name: str, table: str, key: str, run: int, scores: Manifest) -> Columns:
        manifest = self.work.store.manifest(table, key)
        if manifest is None or manifest.content != scores.meta["factors"]:
            raise MissingData(sentence(f"the factors of '{name}' do not belong to its scores of {key}",
                                       where=f"combination '{self.combination.name}'",
                                       next_step=f"Materialize {scores.table} for {key} again."))
        prefix = f"f{run}_"
        columns = [c for c in manifest.columns if c.startswith(prefix)]
        if not columns:
            raise MissingData(sentence(f"'{table}' has no run {run}", where=f"combination '{self.combination.name}' {key}"))
        return self._on_axis(table, key, {c: f"{name}:{c.removeprefix(prefix)}" for c in columns})

    def _read(self, name: str, key: str, columns: dict[str, str]) -> Columns:
        return self._on_axis(self.combination.scores[name], key, columns)

    def _on_axis(self, table: str, key: str, columns: dict[str, str]) -> Columns:
        frame = self._frame(table, key, ["symbol", *columns])
        values = np.full((len(self.panels.axis), len(columns)), np.nan)
        at = self.panels.axis.known_columns(frame["symbol"].tolist())
        values[at[at >= 0]] = frame[list(columns)].to_numpy(dtype=np.float64)[at >= 0]
        return Columns(tuple(columns.values()), values)

    def _frame(self, table: str, key: str, columns: list[str]) -> pd.DataFrame:
        if not self._whole_dates:
            return self.work.store.read(table, key, columns)
        self._at_date(key)
        if table not in self._kept:
            self._kept[table] = self.work.store.read(table, key)
        return self._kept[table][columns]

    def _at_date(self, key: str) -> None:
        """Forget what was kept of another date."""
        if key != self._kept_date:
            self._kept_date, self._kept, self._kept_factors = key, {}, {}

    def _joined(self, key: str, of_scores: dict[str, Columns]) -> Columns:
        """In the order of the spec's inputs."""
        of_factors = self._other(key)
        parts = [of_scores[name] if name in of_scores else of_factors[name] for name in self.combination.spec.inputs if name not in self.absent]
        if not parts:
            raise MissingData(sentence("no input is left", where=f"combination '{self.combination.name}' {key}",
                                       got="; ".join(f"{name}: {why}" for name, why in self.absent.items())))
        return Columns(tuple(n for part in parts for n in part.names), np.concatenate([part.values for part in parts], axis=1))

    def _other(self, key: str) -> dict[str, Columns]:
        """The other factors over the universe of the date; NaN elsewhere and where the window is not yet full."""
        self._at_date(key)
        if self._kept_factors or not self.present:
            return self._kept_factors
        keep = np.flatnonzero(self.universe(key))
        found: dict[str, Columns] = {}
        for name in self.present:
            factor = OTHER_FACTORS[name]
            column = np.full((len(self.panels.axis), 1), np.nan)
            if name == "sue":
                assert self._earnings is not None
                column[keep, 0] = self._earnings.at(key).surprise(key, keep)
            else:
                column[keep, 0] = self._reported(factor, key, keep) if factor.panel == "fundamentals" else self._of_panel(factor, key, keep)
            found[name] = Columns((name,), column)
        self._kept_factors = found
        return found

    def _of_panel(self, factor: OtherFactor, key: str, keep: np.ndarray) -> np.ndarray:
        panel = self.panels.by_name(factor.panel)
        stop = panel.index(key) + 1
        if stop < factor.n_rows:
            return np.full(len(keep), np.nan)
        window = [panel.field(name, stop - factor.n_rows, stop).astype(np.float64)[:, keep] for name in factor.fields]
        return factor.formula(*window)

    def _reported(self, factor: OtherFactor, key: str, keep: np.ndarray) -> np.ndarray:
        assert self._reports is not None
        figures = self._reports.at(key).at(key, keep).figures
        at = self.panels.daily.index(key)
        cap = self.panels.daily.field("total_cap", at, at + 1).astype(np.float64)[0, keep]
        return factor.formula(figures["book_equity"], figures["net_profit_ttm"], np.where(cap > 0, cap, np.nan))

    def _manifest(self, name: str, key: str) -> Manifest:
        table = self.combination.scores[name]
        if (table, key) not in self._manifests:
            manifest = self.work.store.manifest(table, key)
            if manifest is None:
                raise MissingData(sentence(f"input '{name}' has no score for {key}", where=f"combination '{self.combination.name}'",
                                           next_step=f"Materialize {table} for {key} first."))
            self._manifests[table, key] = manifest
        return self._manifests[table, key]


def _absence(factor: OtherFactor, source: SourceDescription) -> str:
    """Why a market lacks a factor; empty if it has it. The source's description decides, not what happens to be stored."""
    if factor.panel == "none":
        return factor.doc
    if factor.panel == "fundamentals":
        return "" if "fundamentals" in source.tables else "the source has no fundamentals"
    return why_absent(factor.panel, factor.fields, source.tables, source.intraday_minutes, source.missing)


class LabelReader:
    """Labels of formation dates, read from the session at which they became known."""

    def __init__(self, panels: MarketPanels, label: ForwardReturn, universe: UniverseSpec) -> None:
        self.panels, self.label, self.universe = panels, label, universe

    def known_at(self, key: str) -> int:
        """Row of the session on which the label of formation date ``key`` became known."""
        return self.panels.status.index(key) + self.label.label_end_offset

    def sources(self, key: str) -> list[str]:
        """Hashes of what a label depends on: realized return, universe, and whether the name traded on the session after."""
        at = self.panels.status.index(key)
        panel = self.panels.label(self.label.name)
        known = panel.rows[self.known_at(key)] if self.known_at(key) < len(panel.rows) else None
        if known is None:
            raise MissingData(sentence(f"label '{self.label.name}' of {key} is not in its panel", next_step=f"Materialize labels/{self.label.name}."))
        return [known.checksum, *(row.checksum for row in self.panels.status.rows[at: at + 2])]

    def raw(self, key: str) -> np.ndarray:
        """(S,) forward return of the universe's names that could be traded on the session after; NaN elsewhere."""
        at, end = self.panels.status.index(key), self.known_at(key)
        mask = self.panels.universe(self.universe, at, at + 1)[0] & tradable_next_day(self.panels.status.field("flags", at, at + 2))[0]
        value = self.panels.label(self.label.name).field("return", end, end + 1)[0].astype(np.float64)
        return np.where(mask, value, np.nan)

    def standardized(self, key: str) -> np.ndarray:
        """(S,) the same, winsorized and z-scored over those names."""
        raw = self.raw(key)
        known = np.flatnonzero(np.isfinite(raw))
        result = np.full(raw.shape, np.nan)
        result[known] = standardize_labels(raw[known][None], np.ones((1, len(known)), dtype=bool))[0]
        return result
