"""What a kind of study is, and the step ``studies/<experiment>/<study>`` that runs and stores one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.pipeline.session import plan_run
from alpha_pipeline.pipeline.workspace import CODE_VERSION, Workspace
from alpha_pipeline.progress import step
from alpha_pipeline.reporting.exhibits import Exhibit, StudySection
from alpha_pipeline.reporting.published import PublishedReport
from alpha_pipeline.store import Manifest

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Study:
    """A kind of study.

    ``title`` : heading of its section. ``run`` : (workspace, experiment, study, start, end) → frames, from what is stored; dates are ISO
    trade dates, the bounds of the out-of-sample range; frames have plain columns, their index is not kept. ``exhibits`` : frames → tables
    and pictures, pure. ``needs`` : keys of the assets it reads.
    """

    title: str
    run: Callable[[Workspace, ExperimentSpec, StudySpec, str, str], Frames]
    exhibits: Callable[[Frames, PublishedReport | None], Sequence[Exhibit]]
    needs: Callable[[ExperimentSpec, StudySpec], list[str]]


def study_name(experiment: str, study: str) -> str:
    """Name of the bundle a study is stored as, and of its asset."""
    return f"studies/{experiment}/{study}"


def run_study(work: Workspace, kind: Study, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Manifest:
    """Run a study and store its frames as one bundle; empty bounds are the experiment's own, clipped to the market."""
    name = study_name(experiment.name, study.name)
    plan = plan_run(experiment, work.calendar, start or None, end or None)
    step(name, 0, 1)
    frames = kind.run(work, experiment, study, plan.start, plan.end)
    step(name, 1, 1)
    source = combine([CODE_VERSION, repr(study), experiment.digest(), plan.start, plan.end])
    return work.store.write_bundle(name, frames, source=source, meta={"start": plan.start, "end": plan.end, "kind": study.kind})


def study_section(work: Workspace, kind: Study, experiment: ExperimentSpec, study: StudySpec, published: PublishedReport | None) -> StudySection:
    """A stored study as a section of the report; one that has not run says so."""
    name = study_name(experiment.name, study.name)
    key = f"study-{study.name}"
    try:
        frames = work.store.read_bundle(name)
    except MissingData as error:
        return StudySection(key, kind.title, study.after, why_missing=sentence(str(error), next_step=f"Materialize '{name}'."))
    return StudySection(key, kind.title, study.after, tuple(kind.exhibits(frames, published)))
