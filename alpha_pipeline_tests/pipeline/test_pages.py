"""Index and comparison pages over stored runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from alpha_pipeline import cli
from alpha_pipeline.errors import MissingData
from alpha_pipeline.experiments import EXPERIMENTS
from alpha_pipeline.experiments.demo import DEMO
from alpha_pipeline.markets import DATA_ROOT_VARIABLE
from alpha_pipeline.pipeline.pages import comparison_page, export_index, write_index
from alpha_pipeline_tests.conftest import TINY


class TestExamples:
    def test_index_lists_what_has_a_report(self, ci_run):
        manifest = write_index(ci_run.work, (TINY, DEMO))
        page = ci_run.work.store.read_bundle_file("reports/index", "index.html").decode()
        assert manifest.meta["experiments"] == ["tiny"]
        assert "Not run yet: demo" in page and "SIMULATED" in page
        report = ci_run.work.store.bundle("reports/tiny")
        assert f'href="../../tiny/{report.file}/report.html"' in page

    def test_exported_site(self, ci_run, tmp_path: Path):
        written = export_index(ci_run.work, (TINY,), tmp_path / "site")
        assert [path.name for path in written] == ["index.html", "tiny.html"]
        assert 'href="tiny.html"' in written[0].read_text() and written[1].read_bytes().startswith(b"<!DOCTYPE html>")

    def test_two_runs_of_one_store(self, ci_run):
        page = comparison_page((ci_run.work, TINY), (ci_run.work, replace(TINY, description="another")))
        assert "Settings that differ" in page and "another" in page

    def test_commands(self, ci_run, tmp_path: Path, monkeypatch, capsys):
        monkeypatch.setitem(EXPERIMENTS, "tiny", TINY)
        monkeypatch.setenv(DATA_ROOT_VARIABLE, str(tmp_path))
        shutil.copytree(ci_run.work.root, tmp_path / "ci")
        target = tmp_path / "c.html"
        assert cli.main(["compare", "tiny", "tiny", "--market", "ci", "--output", str(target)]) == 0
        assert "tiny against tiny" in target.read_text()
        assert cli.main(["index", "--market", "ci", "--output", str(tmp_path / "site")]) == 0
        assert (tmp_path / "site" / "tiny.html").is_file()
        assert cli.main(["compare", "tiny", "demo", "--market", "ci", "--output", str(target)]) == 2
        assert "'demo' has no report" in capsys.readouterr().err


class TestErrors:
    def test_nothing_to_list(self, ci_run):
        with pytest.raises(MissingData, match="no experiment has a report.*alpha-pipeline run"):
            write_index(ci_run.work, (DEMO,))
