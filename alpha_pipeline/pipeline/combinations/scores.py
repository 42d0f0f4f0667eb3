"""Step ``combinations/<name>/scores``: one score of each stock and date, known at the close, and one of each independent run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from alpha_pipeline.combination.ic_weights import filled
from alpha_pipeline.combination.lightgbm_weighting import predict_trees, stored_trees
from alpha_pipeline.combination.zscore_mean import mean_zscore
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import ManifestMismatch, sentence
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.combinations.fit import fit_name, load_fit, tree_features
from alpha_pipeline.pipeline.combinations.inputs import Columns, InputReader
from alpha_pipeline.pipeline.combinations.plan import Combination, scores_table
from alpha_pipeline.pipeline.combinations.trailing import TrailingWeights
from alpha_pipeline.pipeline.workspace import StepReport, Workspace
from alpha_pipeline.progress import track
from alpha_pipeline.store import Manifest
from alpha_pipeline.training.periods import period_of

if TYPE_CHECKING:
    import lightgbm


@dataclass(frozen=True, eq=False)
class Scored:
    """``score`` (S,) NaN = none; ``members`` by run; ``excluded``: universe stocks without a score, by reason; ``meta``: weights and the like."""

    score: np.ndarray
    members: dict[int, np.ndarray] = field(default_factory=dict)
    excluded: dict[str, int] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


class Method(Protocol):
    """How a combination scores one date. ``sources``: hashes of what it reads beyond the inputs of the date itself."""

    def sources(self, key: str) -> list[str]: ...

    def score(self, key: str) -> Scored: ...


def score(work: Workspace, combination: Combination, keys: Sequence[str]) -> StepReport:
    """Scores of the dates ``keys``: trade_date, symbol, score, and ``member_<run>`` where the inputs have runs.

    A date depends on its own inputs, on the fit of its half-year or on trailing labels that have ended by its close, and on nothing else.
    """
    report = StepReport()
    panels = work.panels
    inputs = InputReader(work, panels, combination, whole_dates=True)
    method = method_of(work, panels, combination, inputs)
    stale: list[tuple[str, str]] = []
    for key in sorted(keys):
        source = combine([combination.digest(), *inputs.sources(key), *method.sources(key)])
        if work.store.is_current(scores_table(combination.name), key, source):
            report.reused.append(key)
        else:
            stale.append((key, source))
    for key, source in track(stale, f"scores {combination.name}", len(stale)):
        found = method.score(key)
        keep = np.flatnonzero(np.isfinite(found.score))
        columns: dict[str, Any] = {"trade_date": pd.Series(np.full(len(keep), np.datetime64(key, "s"))),
                                   "symbol": pd.array([panels.axis.symbols[i] for i in keep], dtype="str"), "score": found.score[keep]}
        columns |= {f"member_{run}": member[keep] for run, member in found.members.items()}
        work.store.write(scores_table(combination.name), key, pd.DataFrame(columns), source=source, meta=found.meta)
        report.computed.append(key)
        report.rows += len(keep)
        report.exclude(found.excluded)
    report.facts["inputs"] = ", ".join(name for name in combination.spec.inputs if name not in inputs.absent)
    if inputs.absent:
        report.facts["absent"] = "; ".join(f"{name}: {why}" for name, why in inputs.absent.items())
    return report


def method_of(work: Workspace, panels: MarketPanels, combination: Combination, inputs: InputReader) -> Method:
    """The spec's method on this market."""
    if combination.spec.method == "zscore_mean":
        return MeanOfScores(combination, inputs)
    if combination.spec.method == "lightgbm":
        return Trees(work, combination, inputs)
    return Linear(work, panels, combination, inputs)


class MeanOfScores:
    """Mean of the z-scores of the inputs' ensembles; each run's likewise where all inputs have it."""

    def __init__(self, combination: Combination, inputs: InputReader) -> None:
        self.combination, self.inputs = combination, inputs

    def sources(self, key: str) -> list[str]:
        return []

    def score(self, key: str) -> Scored:
        universe = self.inputs.universe(key)
        members = {run: self.inputs.members(key, run) for run in self.combination.runs}
        found = self.inputs.scores(key)
        return Scored(self._mean(found, universe), {run: self._mean(c, universe) for run, c in members.items() if c is not None},
                      _missing(found, universe))

    @staticmethod
    def _mean(columns: Columns, universe: np.ndarray) -> np.ndarray:
        return mean_zscore(np.where(universe[:, None], columns.values, np.nan).T)


class Trees:
    """Prediction of the half-year's trees, run by run, and the mean of the runs' z-scores."""

    def __init__(self, work: Workspace, combination: Combination, inputs: InputReader) -> None:
        self.work, self.combination, self.inputs = work, combination, inputs
        self._fits: dict[str, Manifest] = {}
        self._read: dict[tuple[str, int], lightgbm.Booster] = {}

    def sources(self, key: str) -> list[str]:
        return [self._fit(key).content]

    def score(self, key: str) -> Scored:
        manifest, universe = self._fit(key), self.inputs.universe(key)
        members: dict[int, np.ndarray] = {}
        for run in self.combination.runs:
            found = self.inputs.factors(key, run)
            if list(found.names) != manifest.meta["columns"]:
                raise ManifestMismatch(sentence("the inputs have other factors than those that were fitted", got=", ".join(found.names),
                                                where=f"combination '{self.combination.name}' {key}", expected=", ".join(manifest.meta["columns"]),
                                                next_step=f"Materialize combinations/{self.combination.name}/fit for {period_of(key).name} again."))
            x, kept = tree_features(found, universe)
            members[run] = np.full(len(universe), np.nan)
            members[run][kept] = predict_trees(self._trees(key, run), x)
        score = mean_zscore(np.stack(list(members.values())))
        return Scored(score, members, {"no factor": int((universe & ~np.isfinite(score)).sum())}, {"fit": manifest.content})

    def _fit(self, key: str) -> Manifest:
        period = period_of(key).name
        if period not in self._fits:
            self._fits[period] = load_fit(self.work, self.combination, period)
        return self._fits[period]

    def _trees(self, key: str, run: int) -> lightgbm.Booster:
        period = period_of(key).name
        if (period, run) not in self._read:
            text = self.work.store.read_bundle_file(fit_name(self.combination.name, period), f"model_{run}.txt").decode()
            self._read[period, run] = stored_trees(text)
        return self._read[period, run]


class Linear:
    """Weighted sum of z-scored factors, missing ones counting 0. Weights are equal, or of the trailing past (``trailing``)."""

    def __init__(self, work: Workspace, panels: MarketPanels, combination: Combination, inputs: InputReader) -> None:
        self.combination, self.inputs = combination, inputs
        self.weights = TrailingWeights(work, panels, combination)

    def sources(self, key: str) -> list[str]:
        return self.weights.sources(key)

    def score(self, key: str) -> Scored:
        universe = self.inputs.universe(key)
        if self.combination.spec.method == "premium":
            found = self.inputs.scores(key)
            weights = self.weights.of(key, None, found.names)
            score = self._weighted(found, weights, universe)
            return Scored(score, {}, {"no deep factor": int((universe & ~np.isfinite(score)).sum())},
                          {"weights": dict(zip(found.names, weights.tolist(), strict=True)), "absent": self.inputs.absent})
        members: dict[int, np.ndarray] = {}
        total: dict[str, float] = {}
        for run in self.combination.runs:
            found = self.inputs.factors(key, run)
            weights = self.weights.of(key, run, found.names)
            members[run] = self._weighted(found, weights, universe)
            for name, weight in zip(found.names, weights.tolist(), strict=True):
                total[name] = total.get(name, 0.0) + weight / len(self.combination.runs)
        score = mean_zscore(np.stack(list(members.values())))
        return Scored(score, members, {"no factor": int((universe & ~np.isfinite(score)).sum())}, {"weights": total, "absent": self.inputs.absent})

    def _weighted(self, columns: Columns, weights: np.ndarray, universe: np.ndarray) -> np.ndarray:
        """Over the universe's stocks that have a score from every input that is one; where there is none, over those with any factor."""
        values = columns.values
        scored = [k for k, name in enumerate(columns.names) if name not in self.combination.factors]
        known = np.isfinite(values[:, scored]).all(axis=1) if scored else np.isfinite(values).any(axis=1)
        kept = np.flatnonzero(universe & known)
        result = np.full(len(universe), np.nan)
        result[kept] = np.einsum("sk,k->s", filled(values[kept]), weights)
        return result


def _missing(columns: Columns, universe: np.ndarray) -> dict[str, int]:
    """Universe stocks without a score, under the first input that lacks it."""
    left, counts = universe.copy(), {}
    for k, name in enumerate(columns.names):
        lacks = left & ~np.isfinite(columns.values[:, k])
        counts[f"no score of {name}"] = int(lacks.sum())
        left &= ~lacks
    return {reason: n for reason, n in counts.items() if n}


def weights_over_time(work: Workspace, name: str, start: str = "", end: str = "") -> pd.DataFrame:
    """Weights of a linear combination by date (index trade_date, one column per factor), from the stored scores; of a ``premium`` the mean premia."""
    rows = {}
    for key in work.store.keys(scores_table(name)):
        if (not start or key >= start) and (not end or key <= end):
            manifest = work.store.manifest(scores_table(name), key)
            if manifest is not None and "weights" in manifest.meta:
                rows[pd.Timestamp(key)] = manifest.meta["weights"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("trade_date")
