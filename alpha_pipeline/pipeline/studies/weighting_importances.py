"""What the trees of a weighting use: share of the gain by data set and by network, half-year by half-year."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.pipeline.combinations.fit import importances
from alpha_pipeline.pipeline.combinations.plan import resolved
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport
from alpha_pipeline.training.periods import periods_between


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Of every fitted combination and half-year: input, data set (tensors of the input's model), mean and spread of the gain over runs."""
    data_sets = {model.name: " + ".join(model.tensors) for model in experiment.models}
    found = []
    for name, combination in resolved(experiment.combinations, experiment.models).items():
        if not combination.spec.is_fitted:
            continue
        for period in periods_between(as_date(start), as_date(end)):
            gains = importances(work, combination, period.name).groupby("input", sort=False)["gain"].agg(["mean", "std"]).reset_index()
            found.append(gains.assign(combination=name, period=period.name, data_set=[data_sets.get(i, "other factors") for i in gains["input"]]))
    columns = ["combination", "period", "input", "data_set", "mean", "std"]
    return {"gains": pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)}


def by_data_set(gains: pd.DataFrame) -> pd.DataFrame:
    """``combination`` and one column per data set: share of the gain, mean over half-years; rows add up to 1."""
    sums = gains.groupby(["combination", "period", "data_set"], sort=False)["mean"].sum().reset_index()
    wide = sums.pivot_table(index="combination", columns="data_set", values="mean", aggfunc="mean", sort=False)
    return wide.rename_axis(None, axis=1).reset_index()


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    gains = frames["gains"]
    if gains.empty:
        return []
    table = by_data_set(gains)
    last = gains["period"].max()
    largest = gains[(gains["combination"] == gains.groupby("combination")["input"].nunique().idxmax()) & (gains["period"] == last)]
    bars = largest.set_index("input")[["mean"]].rename(columns={"mean": "share of the gain"}).sort_values("share of the gain", ascending=False)
    return [
        TableExhibit("data-sets", "Share of the trees' gain by data set", table, dict.fromkeys(table.columns[1:], "percent1"),
                     "Reduction of the squared error by the splits on the factors of a data set, over that of all splits; mean over runs and "
                     "half-years. No published counterpart."),
        PictureExhibit("units", f"Share of the gain by unit, {largest['combination'].iloc[0]}, {last}", "Mean over runs.", "bars", bars,
                       percent=True),
    ]


STUDY = Study(
    "What the weighting uses", _run, _exhibits,
    needs=lambda experiment, study: [f"combinations/{c.name}/fit" for c in experiment.combinations if c.is_fitted],
)
