"""Studies: run over the experiment's range, stored, shown as a section of the report."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.experiment import StudySpec
from alpha_pipeline.pipeline import studies
from alpha_pipeline.pipeline.reports import load_report_inputs
from alpha_pipeline.pipeline.studies import study_kind
from alpha_pipeline.pipeline.studies.study import Study, run_study, study_section
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import TableExhibit
from alpha_pipeline.reporting.html import render_report
from alpha_pipeline_tests.conftest import TINY

COUNTED = Study(
    "Dates counted",
    run=lambda work, experiment, study, start, end: {
        "range": pd.DataFrame({"start": [start], "end": [end], "n": [len(work.session_keys(start, end))]}),
    },
    exhibits=lambda frames, published: [TableExhibit("range", "Range", frames["range"], {"end": "text", "n": "integer"}, "sessions")],
    needs=lambda experiment, study: [f"signals/{experiment.signals[0].name}/factor_test"],
)
SPEC = StudySpec("counted", "counted", after="layers")


@pytest.fixture
def work(ci_run, tmp_path: Path) -> Workspace:
    root = tmp_path / "store"
    shutil.copytree(ci_run.work.root, root)
    return Workspace(ci_run.work.market, str(root))


class TestExamples:
    def test_bounds_are_the_experiments_own_clipped_to_the_market(self, work):
        manifest = run_study(work, COUNTED, TINY, SPEC, "", "")
        frame = work.store.read_bundle("studies/tiny/counted")["range"]
        assert frame.iloc[0].to_list() == ["2023-07-03", "2023-08-31", 44]
        assert manifest.meta["kind"] == "counted"

    def test_section_of_the_report(self, work, monkeypatch):
        monkeypatch.setitem(studies.STUDIES, "counted", COUNTED)
        experiment = replace(TINY, studies=(SPEC,))
        (section,) = (s for s in load_report_inputs(work, experiment).studies if s.key == "study-counted")
        assert "Materialize 'studies/tiny/counted'" in section.why_missing
        run_study(work, COUNTED, experiment, SPEC, "2023-08-01", "")
        page = render_report(load_report_inputs(work, experiment))
        assert page.index('id="layers"') < page.index('id="study-counted"') < page.index('id="correlation"')
        assert "Dates counted" in page and "2023-08-01" in page

    def test_section_without_results_is_empty(self, work):
        assert study_section(work, COUNTED, TINY, SPEC, None).exhibits == ()


class TestErrors:
    def test_unknown(self):
        with pytest.raises(UnknownName, match="unknown kind of study 'countd'"):
            study_kind("countd")
        with pytest.raises(UnknownName, match="unknown section 'portfolio'"):
            replace(TINY, studies=(replace(SPEC, after="portfolio"),)).validate()
        with pytest.raises(InvalidSpec, match="study 'counted' is named twice"):
            replace(TINY, studies=(SPEC, SPEC)).validate()
