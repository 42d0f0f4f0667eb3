"""Step ``combinations/<name>/fit``: the trees of a half-year, one model per independent run, in one bundle that is the old one or the new one.

The bundle's ``meta`` says what it is: digest of the combination, hash of all data seen, window, parts, purge. A fit of another combination, half-year
or input is refused by name when scores are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.combination.ic_weights import filled
from alpha_pipeline.combination.lightgbm_weighting import Rows, fit_trees
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import ManifestMismatch, MissingData, NotEnoughData, sentence
from alpha_pipeline.pipeline.combinations.inputs import Columns, InputReader, LabelReader, input_of
from alpha_pipeline.pipeline.combinations.plan import Combination, fit_plan, window_start
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.progress import track
from alpha_pipeline.store import Manifest
from alpha_pipeline.training.periods import period_named


def fit_name(name: str, period: str) -> str:
    """Bundle of a half-year's fit."""
    return f"combinations/{name}/fit/{period}"


def fit(work: Workspace, combination: Combination, period: str) -> tuple[Manifest, bool]:
    """The half-year's fit and whether it was made now (False: the stored one is current). Everything in it is known before the half-year starts.

    Each run's trees learn the standardized label from the z-scored factors of that run; frames ``importances`` (input, run, gain: share of the
    reduction in squared error) and ``curves`` (run, round, valid_ic), and the text of each model.
    """
    plan = fit_plan(combination, period_named(period), work.calendar)
    parts = {"train": [str(day) for day in plan.train_dates], "valid": [str(day) for day in plan.valid_dates]}
    panels = work.panels
    inputs, labels = InputReader(work, panels, combination), LabelReader(panels, combination.spec.label, combination.spec.universe)
    keys = [*parts["train"], *parts["valid"]]
    data = combine([hash_ for key in keys for hash_ in (*inputs.sources(key), *labels.sources(key))])
    source = combine([combination.digest(), period, data])
    stored = work.store.bundle(fit_name(combination.name, period))
    if stored is not None and stored.source == source:
        return stored, False
    standard = {key: labels.standardized(key) for key in keys}
    models: dict[str, bytes] = {}
    importances, curves = [], []
    n_rows: dict[str, int] = {}
    columns: tuple[str, ...] = ()
    for number, run in enumerate(track(combination.runs, f"fit {combination.name} {period}")):
        reader = InputReader(work, panels, combination)  # company reports are taken in by rising date, once for each run
        rows = {part: _rows(reader, days, run, standard) for part, days in parts.items()}
        columns = rows["train"].names
        n_rows = {part: len(found.rows.x) for part, found in rows.items()}
        trees = fit_trees(rows["train"].rows, rows["valid"].rows, columns, combination.spec.trees, run=number)
        models[f"model_{run}.txt"] = trees.text.encode()
        importances.append(_importances(columns, trees.gain, run))
        curves.append(pd.DataFrame({"run": run, "round": np.arange(1, len(trees.valid_ic) + 1), "valid_ic": trees.valid_ic,
                                    "is_best": np.arange(1, len(trees.valid_ic) + 1) == trees.best_round}))
    frames = {"importances": pd.concat(importances, ignore_index=True), "curves": pd.concat(curves, ignore_index=True)}
    meta = {"combination_digest": combination.digest(), "period": period, "data_version": data, "runs": list(combination.runs),
            "window": [str(window_start(combination, period_named(period).start, work.calendar)), str(plan.last_known)],
            "train_range": list(plan.train_range), "valid_range": list(plan.valid_range), "n_purged": plan.n_purged,
            "label_reach": combination.spec.label.label_end_offset, "n_rows": n_rows, "columns": list(columns), "absent": inputs.absent}
    return work.store.write_bundle(fit_name(combination.name, period), frames, source=source, meta=meta, files=models), True


@dataclass(frozen=True, eq=False)
class _Part:
    names: tuple[str, ...]
    rows: Rows


def _rows(reader: InputReader, keys: Sequence[str], run: int, labels: dict[str, np.ndarray]) -> _Part:
    """All stocks of the dates that have a label and at least one factor."""
    x, y, dates = [], [], []
    names: tuple[str, ...] | None = None
    for number, key in enumerate(keys):
        found = reader.factors(key, run)
        if names is not None and found.names != names:
            raise MissingData(sentence(f"the inputs of {key} have other factors than those of {keys[0]}",
                                       where=f"combination '{reader.combination.name}'", got=f"{len(found.names)}", expected=f"{len(names)}",
                                       next_step="Score the earlier half-years with the models as they are now."))
        names = found.names
        standard, kept = tree_features(found, reader.universe(key))
        has_label = np.isfinite(labels[key][kept])
        x.append(standard[has_label])
        y.append(labels[key][kept][has_label])
        dates.append(np.full(len(y[-1]), number, dtype=np.int64))
    assert names is not None
    if not sum(map(len, y)):
        raise NotEnoughData(sentence("no stock has both a factor and a label", where=f"combination '{reader.combination.name}' run {run}",
                                     got=f"{keys[0]} … {keys[-1]}"))
    return _Part(names, Rows(np.concatenate(x), np.concatenate(y), np.concatenate(dates)))


def tree_features(columns: Columns, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, K) float32 z-scores of the factors over the stocks of ``mask`` that have at least one, NaN where one is missing, and their columns.

    Standardized date by date, because each half-year's factors come from another network, whose scale means nothing to the next.
    """
    kept = np.flatnonzero(mask & np.isfinite(columns.values).any(axis=1))
    values = columns.values[kept]
    return np.where(np.isfinite(values), filled(values), np.nan).astype(np.float32), kept


def _importances(columns: Sequence[str], gain: np.ndarray, run: int) -> pd.DataFrame:
    """Share of the gain by input: of a factor unit, that is of a network on a data set, the sum over its factors."""
    total = float(gain.sum())
    frame = pd.DataFrame({"input": [input_of(c) for c in columns], "gain": gain / total if total > 0 else np.zeros(len(gain))})
    summed = frame.groupby("input", sort=False, as_index=False)["gain"].sum()
    return summed.assign(run=run)[["input", "run", "gain"]]


def load_fit(work: Workspace, combination: Combination, period: str) -> Manifest:
    """Manifest of the half-year's stored fit; refused when it is missing or another combination's."""
    where = f"combination '{combination.name}' {period}"
    stored = work.store.bundle(fit_name(combination.name, period))
    if stored is None:
        raise MissingData(sentence("no fit", where=where, next_step=f"Materialize combinations/{combination.name}/fit for {period} first."))
    for name, expected in (("combination_digest", combination.digest()), ("period", period), ("runs", list(combination.runs))):
        got = stored.meta[name]
        if got != expected:
            raise ManifestMismatch(sentence(f"the stored fit's {name} differs", where=where, got=str(got)[:12], expected=str(expected)[:12],
                                            next_step=f"Materialize combinations/{combination.name}/fit for {period} again."))
    return stored


def importances(work: Workspace, combination: Combination, period: str) -> pd.DataFrame:
    """Share of the gain by input and run of a stored fit: input, run, gain."""
    load_fit(work, combination, period)
    return work.store.read_bundle(fit_name(combination.name, period))["importances"]
