"""Variants of a model, and the table that compares them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline import cli
from alpha_pipeline.assets.sweeps import sweep_steps
from alpha_pipeline.errors import BadInput, InvalidSpec, UnknownName
from alpha_pipeline.experiment import RISK_STYLES
from alpha_pipeline.experiments import EXPERIMENTS
from alpha_pipeline.markets import DATA_ROOT_VARIABLE
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES
from alpha_pipeline.pipeline.samples import training_plan
from alpha_pipeline.pipeline.sweep import out_of_sample_rank_ic, parse_value, sweep_table, sweep_variants
from alpha_pipeline.store import Store
from alpha_pipeline_tests.conftest import TINY, TINY_MODEL


class TestVariants:
    def test_names_and_values(self):
        spec, variants = sweep_variants(TINY, "tiny", "training.lr", ["1e-3", "3e-4"])
        assert [model.training.lr for model in spec.models] == [1e-3, 3e-4]
        assert [model.name for model in spec.models] == ["tiny_lr_1em3", "tiny_lr_3em4"]
        assert not (spec.signals or spec.portfolios or spec.comparisons)
        assert list(variants) == ["1e-3", "3e-4"]

    def test_settings_of_the_network(self):
        _, variants = sweep_variants(TINY, "tiny", "settings.n_hidden", ["8", "16"])
        assert [dict(model.settings)["n_hidden"] for model in variants.values()] == [8, 16]

    def test_texts_become_values(self):
        assert parse_value(False, "true", "x") is True
        assert parse_value(None, "1500", "x") == 1500
        assert parse_value("ic", "rank_ic", "x") == "rank_ic"
        assert parse_value((), "size+industry", "x") == ("size", "industry")

    @pytest.mark.parametrize(
        ("model", "dotted", "values", "error", "message"),
        [
            ("tiney", "training.lr", ["1"], UnknownName, "unknown model 'tiney'.*Did you mean 'tiny'"),
            ("tiny", "training.lrr", ["1"], UnknownName, "unknown training field 'lrr'"),
            ("tiny", "training", ["1"], InvalidSpec, "is a group of settings"),
            ("tiny", "training.max_epochs", ["many"], BadInput, "'many' is no value of training.max_epochs"),
            ("tiny", "training.neutralize", ["yes"], BadInput, "expected true or false"),
            ("tiny", "settings.hidden", ["8"], UnknownName, "unknown setting of network 'gru_incremental' 'hidden'"),
            ("tiny", "training.loss", ["mse"], InvalidSpec, "loss 'mse' sees the level"),
            ("tiny", "training.lr", ["0.1", "0.10", "0.1"], InvalidSpec, "two values look alike"),
        ],
    )
    def test_mistakes(self, model, dotted, values, error, message):
        with pytest.raises(error, match=message):
            sweep_variants(TINY, model, dotted, values)


class TestTable:
    def test_a_stored_model_by_hand(self, ci_run):
        """The tiny model stands for a variant of itself."""
        (row,) = sweep_table(ci_run.work, {"x": TINY_MODEL}, ["2023H2"]).itertuples(index=False)
        checkpoint = training.load(ci_run.work, TINY_MODEL, "2023H2")
        stages = [max((r for r in history if r.stage == "increment"), key=lambda r: r.valid_ic) for history in checkpoint.histories]
        assert row.valid_ic == pytest.approx(np.mean([r.valid_ic for r in stages]))
        assert row.epochs == 8
        assert row.parameters == 2 * 3511
        panels = ci_run.work.panels
        label = panels.label(TINY_MODEL.label.name)
        found = []
        for key in ci_run.plan.scored[: -TINY_MODEL.label.label_end_offset]:
            scores = ci_run.work.store.read("models/tiny/scores", key).set_index("symbol")["score"]
            known_at = label.index(key) + TINY_MODEL.label.label_end_offset
            returns = pd.Series(label.field("return")[known_at], index=panels.axis.symbols).reindex(scores.index)
            found.append(scores.corr(returns, method="spearman"))
        assert row.test_rank_ic == pytest.approx(np.mean(found))
        assert row.test_dates == len(found) == np.isfinite(out_of_sample_rank_ic(ci_run.work, TINY_MODEL, "2023H2")).sum()


class TestSteps:
    def test_exposures_of_the_risk_model_come_before_the_training_that_reads_them(self, ci_run):
        model = replace(TINY_MODEL, label_neutral=("industry", RISK_STYLES))
        spec, _ = sweep_variants(replace(TINY, models=(model,)), "tiny", "training.lr", ["1e-3", "3e-4"])
        steps, periods = sweep_steps(spec, ci_run.work, ["2023H2"])
        sampled = training_plan(ci_run.work, model, "2023H2")
        days = [*sampled.train_dates, *sampled.valid_dates]
        assert periods == ["2023H2"]
        (exposures,) = (step for step in steps if step.assets == (EXPOSURES,))
        assert (exposures.first, exposures.last) == (str(min(days)), str(max(days)))
        assert steps.index(exposures) < min(k for k, step in enumerate(steps) if step.title.startswith("Train"))
        plain, _ = sweep_steps(sweep_variants(TINY, "tiny", "training.lr", ["1e-3"])[0], ci_run.work, ["2023H2"])
        assert EXPOSURES not in {asset for step in plain for asset in step.assets}


class TestCommand:
    def test_sweep(self, ci_run, tmp_path: Path, monkeypatch, capsys):
        monkeypatch.setitem(EXPERIMENTS, "tiny", TINY)
        monkeypatch.setenv(DATA_ROOT_VARIABLE, str(tmp_path / "data"))
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
        shutil.copytree(ci_run.work.root, tmp_path / "data" / "ci")
        arguments = ["sweep", "tiny", "--market", "ci", "--model", "tiny", "--field", "training.max_epochs", "--values", "1,2"]
        assert cli.main(arguments) == 0
        out = capsys.readouterr().out
        assert "tiny_max_epochs_1" in out
        store = Store(tmp_path / "data" / "ci")
        table = store.read_bundle("sweeps/tiny/training.max_epochs")["table"]
        assert table["epochs"].tolist() == [4, 8]
        assert table["value"].tolist() == ["1", "2"]
        assert table["test_rank_ic"].notna().all()
        assert store.read_bundle_file("sweeps/tiny/training.max_epochs", "table.md").decode().count("\n") == 4
        # again: nothing is trained a second time
        assert cli.main([*arguments, "--periods", "2023H2"]) == 0
        assert store.read_bundle("sweeps/tiny/training.max_epochs")["table"]["seconds"].tolist() == table["seconds"].tolist()
