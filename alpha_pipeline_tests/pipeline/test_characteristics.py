"""Models on characteristics go through the graph: only the panels they read are built, day by day or in a range, with the same bits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.assets import runner
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.errors import MissingData
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.experiments.multifreq import signal_of
from alpha_pipeline.experiments.select import carried, characteristic_panels, missing_for
from alpha_pipeline.features.characteristics import CHARACTERISTICS, compute
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS, L2CHARS, MSCHARS, absent_fields, day_bars, with_day
from alpha_pipeline.features.rows import session_minute
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.pipeline import panels, training
from alpha_pipeline.pipeline.ingest import ORDER
from alpha_pipeline.pipeline.session import plan_run
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline_tests.altered import altered_after, copy_until, differing, panel_prints, up_to
from alpha_pipeline_tests.conftest import CI_MARKET, TINY, TINY_MODEL, Run

T = "2023-07-14"
NAMES = ("mschars", "l2chars", "chars_30m")  # the small market has 15-minute bars: no chars_10m
PLAIN = (("orthogonal", False),)
MODELS = (
    replace(TINY_MODEL, name="half_hours", network="attention_rnn", tensors=("chars_30m",), settings=PLAIN),
    replace(TINY_MODEL, name="days", network="gru_daily", tensors=("mschars",), settings=(("tensor", "mschars"),)),
    replace(TINY_MODEL, name="flows", network="gru_daily", tensors=("l2chars",), settings=(("tensor", "l2chars"),)),
)
SPEC = replace(TINY, name="chars", models=MODELS, signals=tuple(signal_of(m, "daily") for m in MODELS), portfolios=())


def ten_minutes(model: ModelSpec = MODELS[0]) -> ModelSpec:
    return replace(model, tensors=("chars_10m",), settings=(*PLAIN, ("tensor", "chars_10m")))


@pytest.fixture(scope="module")
def built(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the small market with the panels up to two weeks into its second half-year."""
    root = tmp_path_factory.mktemp("characteristics") / "market"
    shutil.copytree(ci_run.work.root, root)
    work = Workspace(ci_run.work.market, str(root), ci_run.work.source)
    keys = work.session_keys(work.calendar.first, T)
    for name in NAMES:
        assert panels.extend_characteristics(work, keys, name).computed == list(keys)
    return work


class TestExamples:
    def test_a_row_is_what_the_functions_give(self, built: Workspace) -> None:
        intraday, daily, status = (built.store.read(t, T) for t in ("intraday_bars", "daily_bars", "security_status"))
        symbols, bars, n_left_out = day_bars(intraday, session_minute(intraday["bar_end"]), 15)
        assert n_left_out == 0
        bars = with_day(bars, symbols, daily, status)
        at = built.panels.axis.known_columns(symbols)
        for name in NAMES:
            spec, panel = CHARACTERISTIC_PANELS[name], built.panels.by_name(name)
            row = np.asarray(panel.values[panel.index(T)])
            for step in (0, spec.steps - 1):
                values = compute(spec.fields, bars if spec.steps == 1 else bars.steps(spec.steps))[:, step :: spec.steps]
                np.testing.assert_array_equal(row[step][:, at], values.astype(np.float32))
            others = np.setdiff1d(np.arange(row.shape[-1]), at)
            assert len(others) and np.isnan(row[..., others]).all()

    def test_what_is_absent_is_named(self, built: Workspace) -> None:
        key = built.session_keys("2023-07-17", "2023-07-17")
        report = panels.extend_characteristics(built, key, "mschars")
        assert report.facts["absent at 15-minute bars"] == "closing_skewness"
        values = np.asarray(built.panels.by_name("mschars").values[-1, 0])
        assert np.isnan(values[MSCHARS.field("closing_skewness")]).all()
        assert not np.isnan(values).all(axis=1)[[i for i, name in enumerate(MSCHARS.fields) if name != "closing_skewness"]].any()
        built.panels.by_name("mschars").truncate(key[0])

    def test_the_graph_has_the_panels_that_models_read(self) -> None:
        graph = build_definitions(CI_MARKET, [SPEC]).resolve_asset_graph()
        keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
        assert {name for name in keys if name.endswith("_panel")} == {"daily_panel", "intraday_15m_panel", *(f"{name}_panel" for name in NAMES)}
        parents = graph.get(dg.AssetKey(["models", "flows", "training_set"])).parent_keys
        assert {key.to_user_string() for key in parents} == {"universe", "l2chars_panel", "labels/r10"}
        panel = graph.get(dg.AssetKey("l2chars_panel"))
        assert {key.to_user_string() for key in panel.parent_keys} == {"intraday_bars", "daily_bars", "security_status", "universe"}
        assert panel.backfill_policy == dg.BackfillPolicy.single_run()

    def test_the_first_step_of_a_run_builds_them(self, ci_run: Run) -> None:
        first = runner.experiment_steps(SPEC, plan_run(SPEC, ci_run.work.calendar), ci_run.work)[0]
        assert first.assets[len(ORDER):] == ("universe", "daily_panel", "intraday_15m_panel", *(f"{n}_panel" for n in NAMES), "labels/r10")
        assert not characteristic_panels((TINY,))

    def test_a_model_trains_and_scores(self, built: Workspace) -> None:
        spec = replace(MODELS[0], seeds=(0,), training=replace(MODELS[0].training, max_epochs=1))
        training.make_training_set(built, spec, "2023H2")
        assert training.train(built, spec, "2023H2", "cpu")[1]
        report = training.score(built, spec, [T], "cpu")
        assert report.rows > 20
        assert training.score(built, spec, [T], "cpu").reused == [T]
        assert np.isfinite(built.store.read(training.scores_table(spec.name), T)["score"]).all()


class TestProperties:
    @pytest.mark.parametrize("name", NAMES)
    def test_day_by_day_equals_a_range(self, built: Workspace, tmp_path: Path, name: str) -> None:
        keys = built.session_keys(built.calendar.first, "2023-01-20")
        copy_until(built, tmp_path / "alone", tuple(TABLES), keys[-1], with_panels=False)
        alone = Workspace(built.market, str(tmp_path / "alone"), built.source)
        for key in keys:
            panels.extend_status(alone, [key])
            panels.extend_characteristics(alone, [key], name)
        whole = up_to(panel_prints(built.panels.by_name(name)), keys[-1])
        assert len(whole) == len(keys)
        assert differing(whole, panel_prints(alone.panels.by_name(name))) == []

    @pytest.mark.parametrize("name", NAMES)
    def test_nothing_after_a_date_moves_it(self, built: Workspace, tmp_path: Path, name: str) -> None:
        known, last = "2023-01-13", "2023-01-18"
        other = altered_after(tmp_path / "altered", CI_MARKET, known)
        copy_until(built, tmp_path / "altered", tuple(TABLES), known, with_panels=False)
        keys = other.session_keys(other.calendar.first, last)
        for key in keys:
            if key > known:
                for table, frame in other.source.read_day(pd.Timestamp(key).date(), tuple(TABLES)).items():
                    other.store.write(table, key, frame, source="altered")
        panels.extend_status(other, keys)
        panels.extend_characteristics(other, keys, name)
        plain, altered = (panel_prints(w.panels.by_name(name)) for w in (built, other))
        assert differing(up_to(plain, known), up_to(altered, known)) == []
        later = [key for key in keys if key > known]
        assert set(later) <= set(differing(up_to(plain, last), altered))

    def test_a_table_that_changed_rebuilds_from_its_date(self, built: Workspace, tmp_path: Path) -> None:
        shutil.copytree(built.root, tmp_path / "market")
        work = Workspace(built.market, str(tmp_path / "market"), built.source)
        day = "2023-07-12"
        bars = work.store.read("intraday_bars", day)
        work.store.write("intraday_bars", day, bars.assign(volume=bars["volume"] * 2, amount=bars["amount"] * 2), source="corrected")
        report = panels.extend_characteristics(work, work.session_keys("2023-07-10", T), "mschars")
        assert (report.facts["rebuilt from"], report.computed) == (day, ["2023-07-12", "2023-07-13", "2023-07-14"])
        assert "rebuilt from" not in panels.extend_characteristics(work, work.session_keys("2023-07-10", T), "mschars").facts


class TestErrors:
    def test_a_market_lacks_a_panel_by_name(self, ci_run: Run) -> None:
        source = ci_run.work.source.describe()
        short = replace(SPEC, models=(ten_minutes(),), signals=(signal_of(ten_minutes(), "daily"),))
        assert missing_for(SPEC, source) == []
        assert missing_for(short, source) == ["bars of at most 5 minutes that divide 10"]
        assert missing_for(short, replace(source, intraday_minutes=5)) == []
        with pytest.raises(MissingData, match="lacks bars of at most 5 minutes that divide 10.*its bars have 15 minutes"):
            carried(short, source)
        no_flow = replace(source, missing={f"intraday_bars.{name}": "not in the sample" for name in ("trade_count", "buy_amount")})
        assert missing_for(SPEC, no_flow) == ["intraday_bars.trade_count", "intraday_bars.buy_amount"]
        with pytest.raises(MissingData, match="lacks intraday_bars.trade_count, intraday_bars.buy_amount.*not in the sample"):
            carried(SPEC, no_flow)
        daily_only = replace(source, tables=tuple(t for t in source.tables if t != "intraday_bars"), intraday_minutes=None)
        assert missing_for(SPEC, daily_only) == ["intraday_bars"]
        assert missing_for(replace(SPEC, models=MODELS[1:2]), replace(source, intraday_minutes=60)) == ["bars that divide 30 minutes"]

    def test_the_universe_comes_first(self, built: Workspace, tmp_path: Path) -> None:
        key = built.calendar.keys()[0]
        copy_until(built, tmp_path / "bare", tuple(TABLES), key, with_panels=False)
        bare = Workspace(built.market, str(tmp_path / "bare"), built.source)
        with pytest.raises(MissingData, match="is not in panel 'status'"):
            panels.extend_characteristics(bare, [key], "mschars")

    def test_sessions_cannot_be_skipped(self, built: Workspace) -> None:
        with pytest.raises(MissingData, match="panel 'mschars' cannot skip sessions.*Materialize the panel for 2023-07-17"):
            panels.extend_characteristics(built, ["2023-09-28"], "mschars")

    def test_order_flow_columns(self, built: Workspace) -> None:
        frame = built.store.read("intraday_bars", T).drop(columns=["buy_amount"])
        _, bars, _ = day_bars(frame, session_minute(frame["bar_end"]), 15)
        with pytest.raises(MissingData, match="characteristic 'net_buying' needs buy_amount"):
            compute(L2CHARS.fields, bars)

    def test_absent_fields_by_bar_length(self) -> None:
        assert absent_fields(MSCHARS, 1) == absent_fields(MSCHARS, 10) == []
        assert absent_fields(MSCHARS, 15) == ["closing_skewness"]
        assert all(field in CHARACTERISTICS for spec in CHARACTERISTIC_PANELS.values() for field in spec.fields)
