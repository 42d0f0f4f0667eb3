"""Study ``deep_weight``: how much a return model relies on its deep factor, over time. ATTENTION, figure 23.

Setting: ``combinations``: names of ``premium`` combinations, whose first input is the deep factor. The weight of a factor on a date is the size
of its mean premium over the sum of the sizes of all mean premia; factors are z-scored, so premia are comparable *(ours; the report prints no
formula)*.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.errors import MissingData, sentence, unknown_name
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.pipeline.combinations.plan import scores_table
from alpha_pipeline.pipeline.combinations.scores import weights_over_time
from alpha_pipeline.pipeline.studies.stored_inputs import names_in, with_dates
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``weights`` (trade_date, one column per combination: its deep factor's weight) and ``premia`` (factor, one column per combination:
    mean premium over the range)."""
    known = {c.name: c for c in experiment.combinations}
    weights, means = {}, {}
    for name in names_in(study, "combinations"):
        if name not in known:
            raise unknown_name(f"combination of experiment '{experiment.name}'", name, list(known))
        premia = weights_over_time(work, name, start, end)
        if premia.empty:
            raise MissingData(sentence(f"combination '{name}' has no scores in the range", got=f"{start} … {end}",
                                       next_step=f"Materialize {scores_table(name)} first."))
        deep = known[name].inputs[0]
        weights[name] = relative_weights(premia)[deep]
        means[name] = premia.mean().rename({deep: "deep factor"})
    return {"weights": pd.DataFrame(weights).rename_axis("trade_date").reset_index(),
            "premia": pd.DataFrame(means).rename_axis("factor").reset_index()}


def relative_weights(premia: pd.DataFrame) -> pd.DataFrame:
    """|mean premium| of each factor over the sum of all, date by date; NaN on a date where all are 0.

    >>> relative_weights(pd.DataFrame({"deep": [0.03], "size": [-0.01]}))["deep"].round(6).tolist()
    [0.75]
    """
    size = premia.abs()
    total = size.sum(axis=1)
    return size.div(total.where(total > 0, np.nan), axis=0)


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """The weight over time, and the mean premia of all factors."""
    premia = frames["premia"]
    return [
        PictureExhibit("weight", "Weight of the deep factor in the return model", "|mean premium| over the sum of all factors' |mean premia|.",
                       "lines", with_dates(frames["weights"]), "figure 23", percent=True),
        TableExhibit("premia", "Mean premia", premia, dict.fromkeys(premia.columns[1:], "percent"),
                     "Mean over dates of the trailing twelve-month mean premium: return of five sessions per standard deviation of the factor. "
                     "A factor that the market lacks has no row.", figure="figure 23"),
    ]


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [scores_table(name) for name in names_in(study, "combinations")]


STUDY = Study("Weight of the deep factor", run, exhibits, needs)
