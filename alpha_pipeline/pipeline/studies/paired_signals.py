"""Signals against a baseline of theirs, on the same dates: RankIC, top layer, and seconds of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.paired import Difference, annual_difference, paired_difference
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, StudySpec
from alpha_pipeline.pipeline.factors import stored_tests
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.training import history_frame, load
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

RANK_IC, TOP = "RankIC", "top layer's return a year"
_FORMATS = {"measure": "text", "first": "percent", "baseline's": "percent", "difference": "percent", "low": "percent", "high": "percent",
            "n_dates": "integer"}
_TRAINING_FORMATS = {"seconds an epoch": "number", "epochs": "integer", "seconds": "integer", "against the baseline": "number"}


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    pairs = [(signal, str(baseline)) for signal, baseline in study.settings]
    universe = experiment.test_universes[0]
    rows, gaps = [], []
    for signal, baseline in pairs:
        first, second = (stored_tests(work, name)[universe] for name in (signal, baseline))
        ics = first["ic"].merge(second["ic"], on="trade_date", suffixes=("", "_baseline"))
        tops = first["layers_daily"].merge(second["layers_daily"], on="trade_date", suffixes=("", "_baseline"))
        rows.append(_row(signal, baseline, RANK_IC, paired_difference(ics["rank_ic"], ics["rank_ic_baseline"])))
        rows.append(_row(signal, baseline, TOP, annual_difference(tops["L1"], tops["L1_baseline"])))
        gap = pd.DataFrame({"trade_date": ics["trade_date"], "signal": signal, "difference": ics["rank_ic"] - ics["rank_ic_baseline"]})
        gaps.append(gap[gap["difference"].notna()])
    models = {model.name: model for model in experiment.models}
    of_signal = {signal.name: signal.model for signal in experiment.signals}
    named = [name for name in dict.fromkeys([b for _, b in pairs] + [s for s, _ in pairs]) if of_signal.get(name)]
    training = pd.DataFrame([_training(work, models[of_signal[name]], name) for name in named],
                            columns=["signal", "seconds an epoch", "epochs", "seconds"])
    baseline_of = dict(pairs)
    cost = dict(zip(training["signal"], training["seconds an epoch"], strict=True))
    training["against the baseline"] = [cost[s] / cost[baseline_of[s]] if baseline_of.get(s) in cost else np.nan for s in training["signal"]]
    return {"differences": pd.DataFrame(rows), "by_date": pd.concat(gaps, ignore_index=True), "training": training}


def _row(signal: str, baseline: str, measure: str, found: Difference) -> dict[str, object]:
    return {"signal": signal, "baseline": baseline, "measure": measure, "first": found.first, "baseline's": found.second,
            "difference": found.difference, "low": found.low, "high": found.high, "n_dates": found.n_dates, "lags": found.lags}


def _training(work: Workspace, model: ModelSpec, signal: str) -> dict[str, object]:
    """Of all stored checkpoints: seconds an epoch of one member (its share of a common pass), epochs and seconds of all."""
    curves = [history_frame(load(work, model, period)) for period in work.store.keys(f"models/{model.name}/training_set")]
    rows = pd.concat(curves, ignore_index=True)
    return {"signal": signal, "seconds an epoch": float(rows["seconds"].median()), "epochs": len(rows), "seconds": float(rows["seconds"].sum())}


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    found = frames["differences"]
    table = found.assign(pair=[f"{a} − {b}" for a, b in zip(found["signal"], found["baseline"], strict=True)])[["pair", *_FORMATS]]
    lines = frames["by_date"].pivot(index="trade_date", columns="signal", values="difference").cumsum()
    exhibits: list[Exhibit] = [
        TableExhibit("paired", "Differences on the same dates, 95 % intervals", table, _FORMATS,
                     f"{RANK_IC}: mean over common test dates. {TOP}: arithmetic, after the cost of the layer test. low, high: mean difference ± "
                     "1.96 Newey-West standard errors, lags ⌊4 (n/100)^(2/9)⌋. An interval around zero: these data cannot tell the two apart."),
        PictureExhibit("paired-cumulative", "Cumulative difference of RankIC", "Rising: better than its baseline.", "lines", lines),
    ]
    if len(frames["training"]):
        exhibits.append(TableExhibit("training-cost", "Seconds of training", frames["training"], _TRAINING_FORMATS,
                                     "Seconds an epoch: median over members, half-years and epochs (the first also compiles); members of one pass "
                                     "share its time. Machines differ: only the ratio to the baseline travels."))
    return exhibits


STUDY = Study(
    "Against the baseline", _run, _exhibits,
    needs=lambda experiment, study: [f"signals/{name}/factor_test" for name in dict.fromkeys(str(n) for pair in study.settings for n in pair)],
)
