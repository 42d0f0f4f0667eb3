"""What goes with a stored backtest to say how much of it to believe, and the trials that are counted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.backtest.robustness import bootstrap_interval, deflated_sharpe_ratio
from alpha_pipeline.pipeline import backtests, robustness
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import study_blocks
from alpha_pipeline.reporting.robustness import Robustness, robustness_section
from alpha_pipeline_tests.conftest import TINY, TINY_RISK, Run

PLAIN = TINY.portfolios[0]


@pytest.fixture
def frames(ci_run: Run) -> dict[str, pd.DataFrame]:
    return ci_run.work.store.read_bundle(backtests.backtest_name(PLAIN.name))


@pytest.fixture
def copy(ci_run: Run, tmp_path: Path) -> Workspace:
    shutil.copytree(ci_run.work.root, tmp_path / "market")
    return Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)


class TestExamples:
    def test_intervals_are_those_of_the_library(self, frames):
        excess = frames["daily"]["excess_return"].to_numpy()
        found = bootstrap_interval(excess, robustness.information_ratio, mean_block=20.0, n_samples=1000, seed=0)
        row = frames["intervals"].set_index("metric").loc["information_ratio"]
        assert (row["estimate"], row["low"], row["high"]) == (found.estimate, found.low, found.high)
        summary = frames["summary"].iloc[0]
        assert row["estimate"] == pytest.approx(summary["information_ratio"])
        assert row["low"] <= row["estimate"] <= row["high"]

    def test_own_cost_gives_the_own_return(self, frames):
        """0.2 % a side is what this portfolio pays."""
        at = frames["cost_sensitivity"].set_index("rate")["annualized_excess_return"]
        assert at[0.002] == pytest.approx(frames["summary"]["annualized_excess_return"].iloc[0], abs=2e-3)
        assert at.is_monotonic_decreasing

    def test_capacity_falls_and_leaves_out_the_first_rebalance(self, frames):
        curve = frames["capacity"]
        assert list(curve["assets"]) == list(robustness.ASSETS)
        assert curve["net_excess_return"].is_monotonic_decreasing
        daily = frames["daily"]
        later = daily[daily["is_rebalance"]]
        assert len(later) == len(frames["rebalances"]) - 1, "the last target may be pending"
        a_year = later["turnover_two_sided"].mean() * len(later) / len(daily) * 252
        assert curve["linear_cost"].iloc[0] == pytest.approx(a_year * 0.002, rel=0.01), "costs are shares of the close before, trades of the NAV then"

    def test_deflated_by_hand(self, ci_run):
        """Two portfolios against CSI 500 are stored: two trials."""
        found = robustness.deflated_sharpe(ci_run.work, [PLAIN.name])[PLAIN.name]
        assert found.trials == (PLAIN.name, TINY_RISK.name)
        excess = [ci_run.work.store.read_bundle(backtests.backtest_name(p.name))["daily"]["excess_return"] for p in TINY.portfolios]
        ratios = [float(e.mean() / e.std()) for e in excess]
        assert found.probability == pytest.approx(deflated_sharpe_ratio(excess[0], 2, float(np.var(ratios, ddof=1))))
        assert 0.0 < found.probability < 1.0


class TestProperties:
    def test_another_benchmark_is_another_set_of_trials(self, copy):
        name = backtests.backtest_name("elsewhere")
        frames = copy.store.read_bundle(backtests.backtest_name(PLAIN.name))
        copy.store.write_bundle(name, frames, meta={"benchmark": "000300.SH"})
        assert robustness.deflated_sharpe(copy, [PLAIN.name])[PLAIN.name].n_trials == 2
        copy.store.write_bundle(name, frames, meta={"benchmark": PLAIN.benchmark})
        assert robustness.deflated_sharpe(copy, [PLAIN.name])[PLAIN.name].n_trials == 3

    def test_the_backtest_does_not_depend_on_other_backtests(self, copy, ci_run):
        shutil.rmtree(Path(copy.root) / "results" / "portfolios" / TINY_RISK.name)
        again = backtests.run_portfolio_backtest(copy, PLAIN, ci_run.plan.start, ci_run.plan.end)
        assert again.content == ci_run.work.store.bundle(backtests.backtest_name(PLAIN.name)).content
        assert robustness.deflated_sharpe(copy, [PLAIN.name])[PLAIN.name].n_trials == 1

    def test_nothing_traded_after_the_first_day(self, copy, ci_run):
        backtests.run_portfolio_backtest(copy, replace(PLAIN), ci_run.plan.start, "2023-07-13")
        assert copy.store.read_bundle(backtests.backtest_name(PLAIN.name))["capacity"].empty

    def test_section(self, ci_run, frames):
        section = robustness_section({PLAIN.name: Robustness(frames, 0.6, 2)}, (PLAIN.name,))
        assert [e.is_empty for e in section.exhibits] == [False] * 6
        assert len(study_blocks(section)) == 5, "four tables and one row of pictures"
        drawdowns = section.exhibits[3].frame
        assert set(drawdowns["portfolio"]) == {f"{PLAIN.name}, excess", f"{PLAIN.name}, NAV"}
        page = ci_run.work.store.read_bundle_file("reports/tiny", "report.html").decode()
        assert "How much of it to believe" in page
        assert "Break-even cost" in page
