"""Exposures from panels: the same bits however a range is cut, nothing from the future, and a model that uses them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from alpha_pipeline import models
from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.models.contract import Network, NetworkConfig
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.exposures import HISTORY_DAYS, exposures_of, style_inputs
from alpha_pipeline.pipeline.samples import network_config
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.styles import STYLES, StyleInputs, style_exposures
from alpha_pipeline_tests.conftest import TINY_MODEL

EVERYTHING = (*STYLES, "industry")
PERIOD = "2023H2"


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


class TestNumbers:
    def test_are_those_of_the_risk_model(self, ci_run):
        panels = ci_run.work.panels
        found = exposures_of(panels, EVERYTHING, 0, 162, [150, 161])
        inputs, industry = style_inputs(panels, 0, 162), panels.industry(0, 162)
        expected = style_exposures(inputs, industry).values
        for row, date in enumerate((150, 161)):
            np.testing.assert_allclose(found.values[row, :, : len(STYLES)], expected[date], atol=1e-6)
            known = industry[date] >= 0
            np.testing.assert_array_equal(found.values[row, known][:, len(STYLES):].sum(axis=1), 1.0)
            assert np.isnan(found.values[row, ~known, len(STYLES):]).all()
        assert found.names[: len(STYLES)] == tuple(STYLES)

    @pytest.mark.parametrize("cut", [(150 - HISTORY_DAYS + 1, 151), (3, 151), (0, 160), (150 - HISTORY_DAYS + 1, 161)])
    def test_same_bits_however_the_range_is_cut(self, ci_run, cut):
        panels = ci_run.work.panels
        everybody = np.arange(len(panels.axis))
        whole = exposures_of(panels, EVERYTHING, 0, 162, list(range(145, 162))).of(150, everybody)
        start, stop = cut
        found = exposures_of(panels, EVERYTHING, start, stop, [150 - start]).of(150 - start, everybody)
        assert bits(found) == bits(whole[:, : found.shape[1]])

    def test_a_history_that_is_too_short_is_a_bug(self, ci_run):
        with pytest.raises(AssertionError, match="where the range starts"):
            exposures_of(ci_run.work.panels, EVERYTHING, 10, 150, [139])

    @pytest.mark.parametrize("name", STYLES)
    def test_stocks_that_list_later_change_no_bit(self, ci_run, name):
        inputs = style_inputs(ci_run.work.panels, 0, 150)
        wider = StyleInputs(*(np.concatenate([part, np.full((150, 37), fill)], axis=1) for part, fill in (
            (inputs.returns, np.nan), (inputs.total_cap, np.nan), (inputs.turnover_rate, np.nan), (inputs.universe, False))))
        assert bits(STYLES[name](wider)[:, :-37]) == bits(STYLES[name](inputs))


class Exposed(Network):
    """Close of the first step, plus a score of the exposures' sum."""

    def __init__(self, config: ExposedConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.head = ScoreHead(2, learn_shift=False, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        return self.head(torch.stack([inputs["daily"][0, 3], inputs["exposures"].sum(dim=1)], dim=1))


@dataclass(frozen=True)
class ExposedConfig(NetworkConfig):
    inputs: ClassVar[tuple[str, ...]] = ("daily",)
    needs_exposures: ClassVar[bool] = True

    def create(self, generator: torch.Generator) -> Network:
        return Exposed(self, generator)


MODEL = replace(TINY_MODEL, name="exposed", network="exposed", tensors=("daily",), exposures=("size", "liquidity", "industry"),
                training=replace(TINY_MODEL.training, neutralize=True, max_epochs=1))


class TestModel:
    @pytest.fixture
    def work(self, ci_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
        monkeypatch.setitem(models.NETWORKS, "exposed", ExposedConfig)
        shutil.copytree(ci_run.work.root, tmp_path / "market")
        return Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)

    def test_the_daily_run_gives_the_same_scores_as_a_backfill(self, work, ci_run):
        manifest = training.make_training_set(work, MODEL, PERIOD)
        training.train(work, MODEL, PERIOD, "cpu")
        keys = list(ci_run.plan.scored[-8:])
        report = training.score(work, MODEL, keys, "cpu")
        assert report.computed == keys
        assert "no exposures" in report.excluded
        table = training.scores_table(MODEL.name)
        contents = {key: work.store.manifest(table, key).content for key in keys}
        shutil.rmtree(Path(work.root) / "lake" / "models" / "exposed" / "scores")
        fresh = Workspace(work.market, work.root, work.source)
        for key in reversed(keys):
            training.score(fresh, MODEL, [key], "cpu")
        assert {key: fresh.store.manifest(table, key).content for key in keys} == contents
        # history of styles: everything from the market's first session on was hashed, though the windows need less
        assert manifest.meta["first"] == work.calendar.keys()[0]
        assert training.training_data_unchanged(work, MODEL, PERIOD)[0]

    def test_names_and_combinations_are_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(models.NETWORKS, "exposed", ExposedConfig)
        MODEL.validate()
        with pytest.raises(UnknownName, match="unknown exposure 'seize'.*Did you mean 'size'"):
            replace(MODEL, exposures=("seize",)).validate()
        with pytest.raises(InvalidSpec, match="an exposure is named twice"):
            replace(MODEL, exposures=("size", "size")).validate()
        with pytest.raises(InvalidSpec, match="the loss is to be neutralized"):
            replace(MODEL, exposures=()).validate()
        plain: Any = replace(MODEL, exposures=(), training=replace(MODEL.training, neutralize=False))
        with pytest.raises(InvalidSpec, match="this network reads exposures"):
            network_config(plain)
