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
from alpha_pipeline.errors import InvalidSpec, MissingData, UnknownName
from alpha_pipeline.models.contract import Network, NetworkConfig
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.exposures import HISTORY_DAYS, exposures_of, model_exposures, style_inputs
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, make_exposures
from alpha_pipeline.pipeline.samples import network_config, training_plan
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


class TestRiskStyles:
    """Styles of the stored risk model, for losses and labels."""

    MODEL = replace(MODEL, exposures=("risk_styles",), label_neutral=("industry", "risk_styles"))

    @pytest.fixture
    def work(self, ci_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
        monkeypatch.setitem(models.NETWORKS, "exposed", ExposedConfig)
        shutil.copytree(ci_run.work.root, tmp_path / "market")
        return Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)

    def test_are_the_stored_numbers_and_absent_ones_explain_nothing(self, work):
        panels = work.panels
        keys = [panels.daily.dates[row] for row in (60, 150)]
        make_exposures(work, keys)
        found = model_exposures(work, panels, ("risk_styles", "liquidity_10d"), 0, 160, [60, 150])
        for at, key in zip((60, 150), keys, strict=True):
            frame, manifest = work.store.read(EXPOSURES, key), work.store.manifest(EXPOSURES, key)
            columns = panels.axis.known_columns(frame["symbol"].tolist())
            for k, name in enumerate(found.names[:-1]):
                got = found.of(at, columns)[:, k]
                if name in manifest.meta["absent"]:
                    assert (got == 0).all()
                else:
                    np.testing.assert_array_equal(got, frame[name].to_numpy(dtype=np.float32))
        assert work.store.manifest(EXPOSURES, keys[0]).meta["absent"]  # 60 sessions are too few for momentum
        assert found.names[-1] == "liquidity_10d"

    def test_training_needs_them_and_notices_when_they_change(self, work):
        sampled = training_plan(work, self.MODEL, PERIOD)
        days = sorted(map(str, (*sampled.train_dates, *sampled.valid_dates)))
        shutil.rmtree(Path(work.root) / "lake" / EXPOSURES)
        make_exposures(work, days[1:])
        with pytest.raises(MissingData, match=f"no exposures on {days[0]}.*Materialize 'risk/exposures'"):
            training.make_training_set(Workspace(work.market, work.root, work.source), self.MODEL, PERIOD)
        make_exposures(work, days)
        training.make_training_set(work, self.MODEL, PERIOD)
        training.train(work, self.MODEL, PERIOD, "cpu")
        assert training.training_data_unchanged(work, self.MODEL, PERIOD)[0]
        frame = work.store.read(EXPOSURES, days[-1])
        work.store.write(EXPOSURES, days[-1], frame.assign(size=frame["size"] + 1.0), source="another")
        assert not training.training_data_unchanged(work, self.MODEL, PERIOD)[0]

    def test_the_daily_run_gives_the_same_scores_as_a_backfill(self, work, ci_run):
        sampled = training_plan(work, self.MODEL, PERIOD)
        keys = list(ci_run.plan.scored[-3:])
        make_exposures(work, sorted({*map(str, (*sampled.train_dates, *sampled.valid_dates)), *keys}))
        training.make_training_set(work, self.MODEL, PERIOD)
        training.train(work, self.MODEL, PERIOD, "cpu")
        assert training.score(work, self.MODEL, keys, "cpu").computed == keys
        table = training.scores_table(self.MODEL.name)
        contents = {key: work.store.manifest(table, key).content for key in keys}
        assert training.score(work, self.MODEL, keys, "cpu").reused == keys
        shutil.rmtree(Path(work.root) / "lake" / "models" / "exposed" / "scores")
        for key in keys:
            training.score(Workspace(work.market, work.root, work.source), self.MODEL, [key], "cpu")
        assert {key: work.store.manifest(table, key).content for key in keys} == contents
