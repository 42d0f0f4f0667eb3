"""Pages over several runs: the index of a market's experiments and the comparison of any two runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alpha_pipeline import __version__
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.pipeline.reports import load_report_inputs, report_name
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.comparison import ComparedRun, render_comparison
from alpha_pipeline.reporting.index import IndexedRun, render_index
from alpha_pipeline.store import Manifest

INDEX = "reports/index"
_PAGE = "report.html"


def write_index(work: Workspace, experiments: Sequence[ExperimentSpec]) -> Manifest:
    """Store the page over all experiments with a report as the bundle ``reports/index``; it links the stored reports."""
    found, without = _with_report(work, experiments)
    manifests = {spec.name: work.store.bundle(report_name(spec.name)) for spec in found}
    runs = [IndexedRun(load_report_inputs(work, spec, is_brief=True), f"../../{spec.name}/{m.file}/{_PAGE}")
            for spec in found if (m := manifests[spec.name]) is not None]
    page = render_index(work.market.name, runs, without)
    source = combine([__version__, *(m.content for m in manifests.values() if m is not None)])
    return work.store.write_bundle(INDEX, {}, source=source, meta={"experiments": [spec.name for spec in found]}, files={"index.html": page.encode()})


def export_index(work: Workspace, experiments: Sequence[ExperimentSpec], folder: Path) -> list[Path]:
    """Write the index and every report into ``folder``, linked with one another: a site of static files."""
    found, without = _with_report(work, experiments)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for spec in found:
        path = folder / f"{spec.name}.html"
        path.write_bytes(work.store.read_bundle_file(report_name(spec.name), _PAGE))
        written.append(path)
    runs = [IndexedRun(load_report_inputs(work, spec, is_brief=True), f"{spec.name}.html") for spec in found]
    index = folder / "index.html"
    index.write_text(render_index(work.market.name, runs, without), encoding="utf-8")
    return [index, *written]


def comparison_page(first: tuple[Workspace, ExperimentSpec], second: tuple[Workspace, ExperimentSpec]) -> str:
    """The page that compares two runs: experiments on one market, or one experiment on two.

    Raises :class:`MissingData` for a run without a report.
    """
    markets = {work.market.name for work, _ in (first, second)}
    runs = []
    for work, spec in (first, second):
        if work.store.bundle(report_name(spec.name)) is None:
            raise MissingData(sentence(f"'{spec.name}' has no report", where=f"market '{work.market.name}'",
                                       next_step=f"Run it first: alpha-pipeline run {spec.name} --market {work.market.name}"))
        name = spec.name if len(markets) == 1 else f"{spec.name} on {work.market.name}"
        runs.append(ComparedRun(name, load_report_inputs(work, spec, is_brief=True), dict(spec.describe())))
    return render_comparison(runs[0], runs[1])


def _with_report(work: Workspace, experiments: Sequence[ExperimentSpec]) -> tuple[list[ExperimentSpec], list[str]]:
    found = [spec for spec in experiments if work.store.bundle(report_name(spec.name)) is not None]
    if not found:
        raise MissingData(sentence("no experiment has a report", where=f"market '{work.market.name}'",
                                   next_step="Run one: alpha-pipeline run EXPERIMENT"))
    return found, [spec.name for spec in experiments if spec not in found]
