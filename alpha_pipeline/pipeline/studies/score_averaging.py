"""What averaging brings: correlations of single trainings and of their averages, the identity between them, and the IC that averaging promises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.horizons import rank_ic_series
from alpha_pipeline.diagnostics.run_averaging import averaging_identity, correlation_by_date, predicted_ic_row
from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.experiment import ExperimentSpec, SignalSpec, StudySpec
from alpha_pipeline.experiments.published_multimodel import AVERAGED_CORRELATION, SINGLE_RUN_CORRELATION
from alpha_pipeline.factors.ic import ic
from alpha_pipeline.factors.periods import select_test_dates
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.factors import load_range, read_scores
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

HORIZON = (10, 0)
_IDENTITY_FORMATS = (dict.fromkeys(("single", "predicted", "by_date", "realized"), "percent1")
                     | dict.fromkeys(("difference", "low", "high"), "percent"))
_IC_FORMATS = {"n_scores": "integer", "mean_ic": "percent", "correlation": "percent1", "predicted": "percent", "realized": "percent",
               "gain_predicted": "number3", "gain_realized": "number3"}


def _names(study: StudySpec, key: str) -> list[str]:
    return [name for name in str(dict(study.settings).get(key, "")).split(",") if name]


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Settings: ``models``, signals of several runs each, parted by commas; every other setting names a signal that is the mean of some of them."""
    panels = work.panels
    known = {signal.name: signal for signal in experiment.signals}
    names = _names(study, "models")
    mixes = {str(name): _names(study, name) for name, _ in study.settings if name != "models"}
    for name in [*names, *mixes, *(part for parts in mixes.values() for part in parts)]:
        if name not in known:
            raise unknown_name("signal", name, list(known))
    data = load_range(panels, start, end)
    rows = select_test_dates(data.dates, "week")
    days = [str(data.dates[row]) for row in rows]
    mask = panels.universe(UniverseSpec(experiment.test_universes[0]), data.start, data.stop)
    close = np.asarray(data.close)

    def read(signal: str, column: str) -> np.ndarray:
        values = read_scores(work, panels, known[signal].scores_table, days, column)
        return np.where(mask[rows], values, np.nan)

    def mean_ic(scores: np.ndarray) -> float:
        whole = np.full(close.shape, np.nan)
        whole[rows] = scores
        return float(np.nanmean(rank_ic_series(whole, close, rows, horizons=[HORIZON]).iloc[:, 0]))

    runs = {name: [read(name, column) for column in _members(work, known[name], days[0])] for name in names}
    averaged = {name: read(name, "score") for name in {*names, *mixes}}
    single = correlation_by_date(runs)
    realized = {(a, b): ic(averaged[a], averaged[b]) for a, b in single if a != b}
    n_runs = min(len(members) for members in runs.values())
    identity = averaging_identity(single, realized, n_runs)
    rho = {pair: float(np.nanmean(values)) for pair, values in single.items()}
    ics = {name: mean_ic(values) for name, values in averaged.items()}
    table = [predicted_ic_row(name, [mean_ic(run) for run in runs[name]], rho[name, name], ics[name]) for name in names]
    means = {pair: float(np.nanmean(values)) for pair, values in realized.items()}
    for name, parts in mixes.items():
        between = [means[pair] for pair in means if pair[0] in parts and pair[1] in parts]
        table.append(predicted_ic_row(name, [ics[part] for part in parts], float(np.mean(between)), ics[name]))
    return {"single": _square(rho, names), "averaged": _square(means | {(n, n): 1.0 for n in names}, names), "identity": identity,
            "ic": pd.DataFrame(table), "facts": pd.DataFrame([{"n_runs": n_runs, "n_dates": len(days)}])}


def _members(work: Workspace, signal: SignalSpec, day: str) -> list[str]:
    """Columns of a score table that hold single runs."""
    manifest = work.store.manifest(signal.scores_table, day)
    columns = [] if manifest is None else [column for column in manifest.columns if column.startswith("member_")]
    if len(columns) < 2:
        raise InvalidSpec(sentence("a signal without single runs", where=f"signal '{signal.name}' {day}", got=f"{len(columns)} member columns",
                                   expected="two or more", next_step="Name signals of models or weighted combinations with two runs or more."))
    return columns


def _square(values: dict[tuple[str, str], float], names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame([{"score": a} | {b: values.get((a, b), values.get((b, a), np.nan)) for b in names} for a in names])


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    n_runs, n_dates = (int(frames["facts"][c].iloc[0]) for c in ("n_runs", "n_dates"))
    is_multimodel = published is not None and published.system == "MULTIMODEL"
    exhibits: list[Exhibit] = []
    tables = (("single", "of single trainings", SINGLE_RUN_CORRELATION, 10), ("averaged", "of averaged scores", AVERAGED_CORRELATION, 11))
    for key, title, said, figure in tables:
        ours = frames[key]
        has_published = is_multimodel and ours.shape == (5, 6)
        rows = said.rename_axis("score").reset_index().set_axis(list(ours.columns), axis=1) if has_published else None
        exhibits.append(TableExhibit(
            f"correlation-{key}", f"Correlation {title}", ours, dict.fromkeys(ours.columns[1:], "percent1"),
            f"Cross-sectional correlation, mean over {n_dates} weekly dates; "
            + ("on the diagonal, of two trainings of one model." if key == "single" else f"every model the mean of {n_runs} trainings."),
            published=rows, figure=f"MULTIMODEL figure {figure}"))
    identity = frames["identity"]
    pairs = identity.assign(pair=[f"{a} and {b}" for a, b in zip(identity["first"], identity["second"], strict=True)])
    exhibits.append(TableExhibit(
        "identity", f"Correlation after averaging {n_runs} trainings, predicted from single ones", pairs[["pair", *_IDENTITY_FORMATS]],
        _IDENTITY_FORMATS, "ρ_ij / √[(1/N + (1 − 1/N) ρ_ii)(1/N + (1 − 1/N) ρ_jj)]; predicted: from the mean correlations, as from figure 10; "
        "by_date: mean of the predictions of each date; difference: by_date − realized; low, high: 95 % interval, block bootstrap over dates."))
    exhibits.append(PictureExhibit("identity-scatter", "Predicted and realized correlation", "A point per pair of models.", "scatter",
                                   pairs.rename(columns={"predicted": "x", "realized": "y", "pair": "label"})[["x", "y", "label"]],
                                   x_label="predicted", y_label="realized"))
    exhibits.append(TableExhibit(
        "averaged-ic", "IC of an average: predicted and realized", frames["ic"], _IC_FORMATS,
        "10-day RankIC without gap, weekly. Predicted: mean IC of the parts / √((1 − ρ)/N + ρ) with ρ their mean correlation. Of a model, the "
        "parts are its single trainings; of a combination, its models' averaged scores. Gains are ratios to the parts' mean."))
    return exhibits


STUDY = Study(
    "Correlation of scores and what averaging brings", _run, _exhibits,
    needs=lambda experiment, study: [
        s.scores_table for s in experiment.signals if s.name in {*_names(study, "models"), *(name for name, _ in study.settings)}],
)
