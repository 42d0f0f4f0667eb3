"""What the optimizer gets of the stored risk model: the same numbers as the risk module makes of the tables, and errors where a date lacks them."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alpha_pipeline.assets.runner import experiment_steps, risk_steps
from alpha_pipeline.errors import InvalidSpec, MissingData, UnknownName
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.experiments.multifreq import CSI500
from alpha_pipeline.experiments.select import missing_for
from alpha_pipeline.pipeline import portfolios, risk_inputs, risk_model
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES
from alpha_pipeline.pipeline.session import plan_run
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio import EnhancedIndexSpec, FullyInvested, LongOnly, MaxDeviation, StyleBound, TopNSpec
from alpha_pipeline.portfolio.constraints import FactorClassBound
from alpha_pipeline.risk.portfolio_risk import active_risk
from alpha_pipeline.risk.styles import standardize
from alpha_pipeline_tests.conftest import TINY, TINY_RISK, Run

WEEK, KEY = "2023-08-21", "2023-08-25"


def bounded(*limits, solver="highs") -> PortfolioSpec:
    return PortfolioSpec("bounded", "tiny", EnhancedIndexSpec(CSI500, (FullyInvested(), LongOnly(), MaxDeviation(0.05), *limits), solver=solver))


@pytest.fixture
def copy(ci_run: Run, tmp_path: Path) -> Workspace:
    shutil.copytree(ci_run.work.root, tmp_path / "market")
    return Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)


class TestExamples:
    def test_tracking_error_of_stored_weights_by_the_risk_module(self, ci_run):
        """The week's target, the tables of its signal date, and the formula of `risk.portfolio_risk`: a second implementation."""
        work, key = ci_run.work, KEY
        week = work.store.read(portfolios.weights_table(TINY_RISK.name), WEEK).set_index("symbol")
        exposures = work.store.read(EXPOSURES, key).set_index("symbol").loc[week.index]
        covariance = work.store.read(risk_model.COVARIANCE, key).set_index("factor")
        loadings = np.column_stack([
            np.ones(len(week)) if kind == "country" else exposures["industry"].eq(name) if kind == "industry" else exposures[name]
            for name, kind in covariance["kind"].items()]).astype(float)
        specific = work.store.read(risk_model.SPECIFIC, key).set_index("symbol").loc[week.index, "specific_volatility"].to_numpy()
        matrix = covariance[list(covariance.index)].to_numpy()
        found = active_risk(week["target"].to_numpy(), week["benchmark"].to_numpy(), loadings, matrix, specific)
        meta = work.store.manifest(portfolios.weights_table(TINY_RISK.name), WEEK).meta
        assert found.volatility == pytest.approx(meta["tracking_error"], abs=1e-9)
        assert found.volatility <= 0.06 + 1e-8
        assert "tracking_error" in {b["constraint"] for b in meta["binding"]}

    def test_all_styles_and_the_panel_factor_are_within_their_bounds(self, ci_run):
        work = ci_run.work
        frame = work.store.read(portfolios.weights_table(TINY_RISK.name), WEEK).set_index("symbol")
        active = (frame["target"] - frame["benchmark"]).to_numpy()
        exposures = work.store.read(EXPOSURES, KEY).set_index("symbol").loc[frame.index]
        styles = [name for name in exposures.columns if name not in risk_model.NOT_STYLES and exposures[name].notna().any()]
        assert len(styles) >= 8
        assert all(abs(active @ exposures[name].to_numpy()) <= 0.8 + 1e-8 for name in styles)

    def test_panel_factor_by_hand(self, ci_run):
        panels = ci_run.work.panels
        at = panels.daily.index(KEY)
        columns = np.arange(len(panels.axis))
        spec = bounded(FactorClassBound("other", 2.0, ("daily.turn@20",)))
        found = risk_inputs.load_risk_inputs(ci_run.work, panels, spec, KEY, columns, np.zeros(len(columns), dtype=bool))
        turn = panels.daily.field("turn", at - 19, at + 1).astype(float)
        cap = panels.daily.field("total_cap", at, at + 1).astype(float)
        known = (~np.isnan(turn)).mean(axis=0) >= 0.6
        mean = np.full(len(columns), np.nan)
        mean[known] = np.nanmean(turn[:, known], axis=0)
        expected = standardize(mean[None], cap, panels.universe(risk_inputs.UNIVERSE, at, at + 1))[0]
        assert found.styles["daily.turn@20"] == pytest.approx(expected, abs=1e-12, nan_ok=True)
        assert found.risk is None
        assert "size" not in found.styles, "this portfolio reads no risk model"


class TestProperties:
    def test_who_reads_the_risk_model(self):
        assert TINY_RISK.weights_need_risk
        assert bounded(FactorClassBound("style", 0.5)).weights_need_risk
        assert bounded(StyleBound("btop", 0.0)).weights_need_risk
        assert not bounded(StyleBound("size", 0.0), StyleBound("nlsize", 0.1)).weights_need_risk
        assert not bounded(FactorClassBound("other", 2.0, ("daily.turn",))).weights_need_risk
        assert not PortfolioSpec("top", "tiny", TopNSpec(10)).needs_risk_model
        assert all(replace(bounded(), attribution=name).needs_risk_model for name in ("full", "efficient"))
        assert risk_inputs.risk_tables(bounded(StyleBound("btop", 0.0))) == (EXPOSURES,)
        assert risk_inputs.risk_tables(TINY_RISK) == (EXPOSURES, risk_model.COVARIANCE, risk_model.SPECIFIC)

    def test_the_week_is_made_again_when_a_forecast_changes(self, copy):
        work = copy
        assert portfolios.rebalance(work, TINY_RISK, [WEEK]).reused == [WEEK]
        frame = work.store.read(risk_model.SPECIFIC, KEY)
        work.store.write(risk_model.SPECIFIC, KEY, frame.assign(specific_volatility=frame["specific_volatility"] * 1.5), source="other")
        before = work.store.read(portfolios.weights_table(TINY_RISK.name), WEEK)["target"].to_numpy()
        assert portfolios.rebalance(work, TINY_RISK, [WEEK]).computed == [WEEK]
        after = work.store.read(portfolios.weights_table(TINY_RISK.name), WEEK)
        assert len(after) != len(before) or np.abs(after["target"].to_numpy() - before).max() > 1e-4

    def test_held_names_without_risk_are_filled_and_counted(self, ci_run):
        work = ci_run.work
        panels = work.panels
        stored = work.store.read(EXPOSURES, KEY)["symbol"]
        outside = [i for i, s in enumerate(panels.axis.symbols) if s not in set(stored)][:1]
        columns = np.array([*panels.axis.known_columns(stored.tolist()[:20]), *outside], dtype=int)
        needed = np.zeros(len(columns), dtype=bool)
        needed[-1] = True
        found = risk_inputs.load_risk_inputs(work, panels, TINY_RISK, KEY, columns, needed)
        assert found.risk is not None
        if outside:
            assert found.styles["size"][-1] == 0.0
            assert any("median of the date" in note for note in found.notes)
        assert found.risk.known[-1]

    def test_steps_of_an_experiment(self, ci_run):
        plan, work = ci_run.plan, ci_run.work
        titles = [step.title for step in experiment_steps(TINY, plan, work)]
        assert titles.index("Risk forecasts") < titles.index("Rebalance tiny_risk")
        steps = risk_steps(TINY, plan)
        assert [step.first for step in steps] == [plan.history[0], plan.history[0], plan.start], "nine months are less than the window"
        plain = replace(TINY, portfolios=TINY.portfolios[:1])
        assert not any("Risk" in step.title for step in experiment_steps(plain, plan_run(plain, work.calendar), work))

    def test_returns_reach_back_over_the_window(self, ci_run):
        long = replace(ci_run.plan, history=tuple(f"d{n:04}" for n in range(2000)), scored=("d1500", "d1999"))
        assert [step.first for step in risk_steps(TINY, long)] == ["d0492", "d0493", "d1500"], "1,008 returns end on the first date"


class TestErrors:
    def test_a_date_without_forecast_is_refused(self, copy):
        for file in (Path(copy.root) / "lake" / risk_model.COVARIANCE).glob(f"{KEY}*"):
            file.unlink()
        with pytest.raises(MissingData, match=rf"tiny_risk: the risk model has no 'risk/covariance' on {KEY}\. Materialize"):
            portfolios.rebalance(copy, TINY_RISK, [WEEK])

    def test_too_short_a_history_says_so(self, ci_run):
        panels = ci_run.work.panels
        columns = np.arange(10)
        with pytest.raises(MissingData, match=r"has no style 'size' on 2023-01-0\d|no forecast on 2023-01-0\d"):
            risk_inputs.load_risk_inputs(ci_run.work, panels, TINY_RISK, ci_run.plan.history[1], columns, columns < 3)

    def test_a_style_without_history_cannot_be_bounded_by_name(self, ci_run):
        columns = np.arange(10)
        with pytest.raises(MissingData, match=rf"bounded: the risk model has no style 'momentum' on {KEY}"):
            risk_inputs.load_risk_inputs(ci_run.work, ci_run.work.panels, bounded(StyleBound("momentum", 0.1)), KEY, columns, columns < 3)

    @pytest.mark.parametrize(("factor", "error", "message"), [
        ("daily.trun", UnknownName, "unknown field of panel 'daily' 'trun'"), ("nowhere.turn", MissingData, "panel 'nowhere' has no row 2023-08-25"),
        ("intraday_15m.close", InvalidSpec, "has 16 values a day")])
    def test_panel_factors(self, ci_run, factor, error, message):
        with pytest.raises(error, match=message):
            risk_inputs.risk_contents(ci_run.work, ci_run.work.panels, bounded(FactorClassBound("other", 2.0, (factor,))), KEY)

    def test_spec(self):
        with pytest.raises(UnknownName, match="unknown style 'valeu'"):
            bounded(StyleBound("valeu", 0.1)).validate(("tiny",))
        with pytest.raises(InvalidSpec, match="names no field of a panel"):
            bounded(FactorClassBound("other", 1.0, ("daily.turn@0",))).validate(("tiny",))
        with pytest.raises(UnknownName, match="unknown attribution 'both'"):
            replace(bounded(), attribution="both").validate(("tiny",))

    def test_report_styles_need_reports(self, ci_run):
        described = ci_run.work.source.describe()
        spec = replace(TINY, portfolios=(bounded(StyleBound("btop", 0.0)),), end=dt.date(2023, 8, 31))
        assert missing_for(spec, described) == []
        without = replace(described, tables=tuple(t for t in described.tables if t != "fundamentals"))
        assert missing_for(spec, without) == ["fundamentals"]
