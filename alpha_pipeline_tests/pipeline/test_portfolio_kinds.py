"""Portfolios of other kinds than the reports' plain index enhancement, on the small market: TOP-N, and limits on the shape of size."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.experiments.multifreq import CSI500
from alpha_pipeline.pipeline import backtests, portfolios
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio import (
    EQUAL_WEIGHT,
    EnhancedIndexSpec,
    FullyInvested,
    LongOnly,
    MaxDeviation,
    StyleBound,
    StyleMoment,
    TopNSpec,
    TrackingErrorLimit,
    TurnoverLimit,
)
from alpha_pipeline_tests.conftest import TINY, Run

TOP = PortfolioSpec("top_10", "linear_blend", TopNSpec(10, 0.2), FlatCosts(0.001, 0.002))


@pytest.fixture(scope="module")
def work(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("kinds") / "market"
    shutil.copytree(ci_run.work.root, root)
    return Workspace(ci_run.work.market, str(root))


def weeks(work: Workspace) -> list[str]:
    return work.store.keys(portfolios.weights_table(TINY.portfolios[0].name))


class TestTopN:
    def test_weeks_backtest_and_attribution(self, work):
        portfolios.rebalance(work, TOP, weeks(work))
        states = [portfolios.read_week(work, TOP.name, week) for week in weeks(work)]
        before: set[str] = set()
        for state in states:
            names = {s for s, w in zip(state.symbols, state.target, strict=True) if w > 0}
            assert len(names) == 10
            assert state.target.sum() == pytest.approx(1.0, abs=1e-12)
            assert not before or len(names - before) <= 2
            before = names
        manifest = backtests.run_portfolio_backtest(work, TOP)
        assert manifest.meta["conventions"]["benchmark"] == "equal-weight universe, rebalanced daily"
        daily = work.store.read_bundle(manifest.table)["daily"]
        assert daily["benchmark_return"].std() > 0
        parts = work.store.read_bundle(backtests.run_attribution(work, TOP).table)["daily"]
        assert (parts["active_return"] - daily["excess_return"].to_numpy()).abs().max() < 1e-10

    def test_equal_weight_benchmark_by_hand(self, work):
        panels = work.panels
        dates = list(panels.daily.dates[100:103])
        found = backtests.benchmark_returns(work, EQUAL_WEIGHT, dates)
        close = panels.daily.field("close", 100, 103).astype(float)
        inside = portfolios.equal_weights(panels, 101) > 0
        assert np.isnan(found[0])
        assert found[2] == pytest.approx(np.nan_to_num(close[2, inside] / close[1, inside] - 1).mean(), abs=1e-14)

    def test_spec_knows_its_benchmarks(self):
        replace(TINY, portfolios=(TOP,)).validate()
        with pytest.raises(UnknownName, match="unknown benchmark 'equal_weight'"):
            PortfolioSpec("x", "linear_blend", EnhancedIndexSpec(EQUAL_WEIGHT, (FullyInvested(), LongOnly()))).validate(("linear_blend",))
        risky = EnhancedIndexSpec(CSI500, (FullyInvested(), LongOnly(), TrackingErrorLimit(0.05)))
        with pytest.raises(InvalidSpec, match="solver highs solves linear programs"):
            PortfolioSpec("x", "linear_blend", risky).validate(("linear_blend",))
        assert TOP.digest() != replace(TOP, optimizer=TopNSpec(10, 0.3)).digest()
        described = dict(replace(TINY, portfolios=(TOP,)).describe())
        assert described["portfolios[top_10].optimizer.n_names"] == "10"


class TestSizeShape:
    def test_moments_and_nonlinear_size_are_bounded(self, work):
        limits = (StyleBound("size", 0.3), StyleBound("nlsize", 0.4), StyleMoment("size", 2, 0.4), StyleMoment("size", 3, 1.0))
        rules = (FullyInvested(), LongOnly(), MaxDeviation(0.05), *limits, TurnoverLimit(0.4, "one"))
        spec = PortfolioSpec("shaped", "linear_blend", EnhancedIndexSpec(CSI500, rules))
        portfolios.rebalance(work, spec, weeks(work)[:4])
        metas = [work.store.manifest(portfolios.weights_table("shaped"), week).meta for week in weeks(work)[:4]]
        assert all(meta["max_violation"] <= 1e-8 for meta in metas)
        named = {b["constraint"] for meta in metas for b in meta["binding"]} | {r["constraint"] for meta in metas for r in meta["relaxations"]}
        assert named & {"style_bound[nlsize]", "style_moment[size^2]", "style_moment[size^3]", "style_bound[size]"}
