"""A model on the tensors made of the daily panel goes through training set, training and scoring like any other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import dagster as dg
import pandas as pd
import pytest
import torch
from torch import Tensor

from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.experiments.multifreq import signal_of
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.models import NETWORKS, Network, NetworkConfig
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline_tests.conftest import CI_MARKET, TINY, TINY_MODEL, Run

PERIOD = "2023H2"
NAMES = ("weekly", "rawbar", "alphanet")
WEEKS = replace(TENSORS["weekly"], n_days=20)  # the small market has no 200 sessions before its half-year
MODEL = replace(TINY_MODEL, name="derived", network="last_steps", tensors=NAMES, settings=())


class LastSteps(Network):
    """Linear in the step before the last of each tensor."""

    def __init__(self, config: LastStepsConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.head = ScoreHead(sum(TENSORS[name].n_fields for name in NAMES), learn_shift=False, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        return self.head(torch.cat([inputs[name][-2] for name in NAMES]).T)


@dataclass(frozen=True)
class LastStepsConfig(NetworkConfig):
    inputs: ClassVar[tuple[str, ...]] = NAMES

    def create(self, generator: torch.Generator) -> Network:
        return LastSteps(self, generator)


@pytest.fixture(scope="module")
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "last_steps", LastStepsConfig)
        patch.setitem(TENSORS, "weekly", WEEKS)
        yield


@pytest.fixture(scope="module")
def trained(ci_run: Run, registered: None, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("derived") / "market"
    shutil.copytree(ci_run.work.root, root)
    work = Workspace(ci_run.work.market, str(root), ci_run.work.source)
    training.make_training_set(work, MODEL, PERIOD)
    assert training.train(work, MODEL, PERIOD, "cpu")[1]
    return work


def scores(work: Workspace, days: tuple[str, ...]) -> list[pd.DataFrame]:
    return [work.store.read(training.scores_table(MODEL.name), day) for day in days]


def test_history_is_that_of_the_longest_window(registered: None) -> None:
    assert training.min_history(replace(MODEL, tensors=("weekly",))) == 20
    assert training.min_history(MODEL) == 31  # thirty days and the close before them
    assert MODEL.panels() == ("daily",)


def test_the_graph_takes_tensors_of_one_panel(registered: None) -> None:
    graph = build_definitions(CI_MARKET, [replace(TINY, models=(MODEL,), signals=(signal_of(MODEL, "daily"),), portfolios=())])
    parents = graph.resolve_asset_graph().get(dg.AssetKey(["models", "derived", "training_set"])).parent_keys
    assert {key.to_user_string() for key in parents} == {"universe", "daily_panel", "labels/r10"}


def test_days_scored_alone_equal_the_range(trained: Workspace, ci_run: Run, tmp_path: Path) -> None:
    days = ci_run.plan.scored[:6]
    shutil.copytree(trained.root, tmp_path / "market")
    alone = Workspace(trained.market, str(tmp_path / "market"), trained.source)
    report = training.score(trained, MODEL, days, "cpu")
    assert report.computed == list(days) and report.rows > 100
    for day in days:
        training.score(alone, MODEL, [day], "cpu")
    for first, second in zip(scores(trained, days), scores(alone, days), strict=True):
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert training.score(alone, MODEL, days, "cpu").reused == list(days)


def test_scores_depend_on_the_close_before_the_window(trained: Workspace, ci_run: Run) -> None:
    day = ci_run.plan.scored[0]
    panels = trained.panels
    source = training._score_source(trained, panels, MODEL, day, "checkpoint")
    at = panels.daily.index(day)
    for back, matters in ((30, True), (31, False)):
        changed = trained.panels
        changed.daily.rows[at - back] = replace(changed.daily.rows[at - back], checksum="other")
        assert (training._score_source(trained, changed, MODEL, day, "checkpoint") != source) == matters


def test_shuffled_batches(trained: Workspace) -> None:
    spec = replace(MODEL, name="shuffled", training=replace(MODEL.training, batch_mode="shuffled", max_epochs=1), seeds=(0,))
    training.make_training_set(trained, spec, PERIOD)
    checkpoint, is_new = training.train(trained, spec, PERIOD, "cpu")
    assert is_new and len(checkpoint.weights) == 1
