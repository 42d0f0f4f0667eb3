"""Weights of a date from the past that is known at its close: ICs or premia of formation dates whose labels have ended.

The formation dates are counted back from the date itself, so its weights are the same in a daily run and in a backfill.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from alpha_pipeline.combination.ic_weights import equal, ic_weighted, information_coefficients, max_icir
from alpha_pipeline.combination.premium import mean_premia, premia
from alpha_pipeline.cross_section import winsorize_mad
from alpha_pipeline.digest import combine
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.pipeline.combinations.inputs import Columns, InputReader, LabelReader
from alpha_pipeline.pipeline.combinations.plan import Combination, past_dates
from alpha_pipeline.pipeline.workspace import Workspace


class TrailingWeights:
    """Weights by date and run; each formation date's statistics are computed once for a whole step."""

    def __init__(self, work: Workspace, panels: MarketPanels, combination: Combination) -> None:
        self._work, self._panels, self._combination = work, panels, combination
        self._labels = LabelReader(panels, combination.spec.label, combination.spec.universe)
        self._past: dict[str, list[str]] = {}
        self._source: dict[str, str] = {}
        self._found: dict[tuple[str, int | None], dict[str, float]] = {}

    @cached_property
    def _reader(self) -> InputReader:
        return InputReader(self._work, self._panels, self._combination)

    def past(self, key: str) -> list[str]:
        """Formation dates behind the weights of ``key``, oldest first."""
        if not self._combination.spec.looks_back:
            return []
        if key not in self._past:
            self._past[key] = past_dates(self._combination, as_date(key), self._work.calendar)[::-1]
        return self._past[key]

    def sources(self, key: str) -> list[str]:
        """One hash per formation date."""
        for day in self.past(key):
            if day not in self._source:
                self._source[day] = combine([*self._reader.sources(day), *self._labels.sources(day)])
        return [self._source[day] for day in self.past(key)]

    def of(self, key: str, run: int | None, names: tuple[str, ...]) -> np.ndarray:
        """(K,) weights of the factors ``names``; ``run`` None: of the ensembles' scores."""
        spec = self._combination.spec
        if spec.method == "equal":
            return equal(len(names))
        past = np.array([[found.get(name, np.nan) for name in names] for found in (self._statistics(day, run) for day in self.past(key))])
        if spec.method == "premium":
            return mean_premia(past)
        return ic_weighted(past) if spec.method == "ic_weighted" else max_icir(past, spec.shrinkage)

    def _statistics(self, day: str, run: int | None) -> dict[str, float]:
        """IC or premium of each factor of a formation date, known ``label.label_end_offset`` sessions later."""
        if (day, run) not in self._found:
            self._prepare(run)
        return self._found[day, run]

    def _prepare(self, run: int | None) -> None:
        """All formation dates asked for so far, by rising date: company reports are taken in in that order."""
        reader = InputReader(self._work, self._panels, self._combination)
        for day in sorted({day for past in self._past.values() for day in past}):
            columns = reader.scores(day) if run is None else reader.factors(day, run)
            self._found[day, run] = self._of_date(columns, day)

    def _of_date(self, columns: Columns, day: str) -> dict[str, float]:
        if self._combination.spec.method == "premium":
            raw = self._labels.raw(day)
            known = np.flatnonzero(np.isfinite(raw))
            values = premia(columns.values[known], winsorize_mad(raw[known]))
        else:
            label = self._labels.standardized(day)
            known = np.flatnonzero(np.isfinite(label))
            values = information_coefficients(columns.values[known], label[known])
        return dict(zip(columns.names, values.tolist(), strict=True))
