"""How many pairs of fields an ensemble with sampled fields sees: the report's simulation beside ours and the closed form."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

REPORT_MEMBERS = 10
_FORMATS = {"n_pairs": "integer", "simulated": "percent", "closed form": "percent", "closed form, our members": "percent", "members": "integer"}


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    from alpha_pipeline.models.pair_coverage import coverage_table, expected_coverage

    members = max((len(model.seeds) for model in experiment.models), default=REPORT_MEMBERS)
    return {"coverage": pd.DataFrame([
        {"n_drawn": line.n_drawn, "n_pairs": line.n_pairs, "simulated": line.simulated, "closed form": line.closed_form,
         "closed form, our members": expected_coverage(line.n_drawn, n_members=members), "members": members, "published": line.published}
        for line in coverage_table()
    ])}


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    table = frames["coverage"].assign(fields=[f"{n} of 15 fields" for n in frames["coverage"]["n_drawn"]])
    columns = ["fields", *_FORMATS]
    said = pd.DataFrame({"fields": table["fields"], "simulated": table["published"]}).reindex(columns=columns)
    return [TableExhibit(
        "pair-coverage", "Pairs of fields that ten members see", table[columns], _FORMATS,
        "Share of the 105 pairs of 15 fields that at least one member of the ensemble has both fields of. Simulated: mean of 1,000 ensembles of ten; "
        "closed form: 1 − (1 − C(n,2)/105)^10. 'Our members': with as many seeds as were trained here.",
        published=said, figure="ALPHANET figure 5",
    )]


STUDY = Study("Coverage of pairs by sampled fields", _run, _exhibits, needs=lambda experiment, study: [])
