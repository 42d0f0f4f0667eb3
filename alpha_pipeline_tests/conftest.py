"""The small simulated market that the tests share: 60 stocks, nine months, run once per test session through Dagster."""

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

# one BLAS thread: the suite also runs where several processes share two cores, and sums then do not depend on the machine
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import dagster as dg

from alpha_pipeline.assets import runner
from alpha_pipeline.assets.risk import RISK_ASSETS
from alpha_pipeline.combination.lightgbm_weighting import TreeSettings
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.experiment import CombinationSpec, ExperimentSpec, PortfolioSpec, SignalSpec
from alpha_pipeline.experiments.demo import DEMO, DEMO_MODEL
from alpha_pipeline.experiments.multifreq import CSI500, LINEAR_BLEND, ORACLE, enhanced, signal_of
from alpha_pipeline.pipeline.session import RunPlan, plan_run
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio.constraints import (
    FactorClassBound,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    TrackingErrorLimit,
    TurnoverLimit,
)
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.training.periods import WalkForward

CI_MARKET = "ci"

TINY_MODEL = replace(
    DEMO_MODEL, name="tiny", seeds=(0, 1), walk=WalkForward(train_start=dt.date(2023, 1, 1), min_train_dates=4, min_valid_dates=1),
    training=replace(DEMO_MODEL.training, max_epochs=2, patience=2),
)
# other factors need no earlier half-year of a network, so trees on them can be fitted on the little history there is
TINY_TREES = CombinationSpec("tiny_trees", "lightgbm", ("size", "reversal", "volatility", "value", "analyst"), window_months=3, min_months=2,
                             trees=TreeSettings(max_rounds=5, min_leaf=20, n_leaves=4))
TINY_ICIR = CombinationSpec("tiny_icir", "max_icir", ("size", "reversal", "volatility"), window_months=3, min_months=2)
TINY_PREMIUM = replace(TINY_ICIR, name="tiny_premium", method="premium", inputs=("size", "mid_cap", "turnover", "profitability", "sue"))
TINY_COMBINED = CombinationSpec("tiny_combined", "zscore_mean", ("tiny", "tiny_trees"))
# a tracking-error limit, all styles and a panel's field: weights that read the stored risk model, and an attribution that does
TINY_RISK = PortfolioSpec("tiny_risk", "tiny", EnhancedIndexSpec(CSI500, (
    FullyInvested(), LongOnly(), MaxDeviation(0.05), IndustryBound(0.1), FactorClassBound("style", 0.8),
    FactorClassBound("other", 2.0, ("daily.turn@20",)), TrackingErrorLimit(0.06), TurnoverLimit(0.4, "one")), solver="clarabel"), attribution="full")
TINY = replace(
    DEMO, name="tiny", title="Tiny", start=dt.date(2023, 7, 3), end=dt.date(2023, 8, 31), models=(TINY_MODEL,),
    signals=(signal_of(TINY_MODEL, "incremental"), SignalSpec("tiny_combined", combination="tiny_combined")),
    combinations=(TINY_TREES, TINY_ICIR, TINY_PREMIUM, TINY_COMBINED), comparisons=(LINEAR_BLEND, ORACLE), test=replace(DEMO.test, n_layers=3),
    portfolios=(enhanced("tiny", CSI500, 0.6, 0.05, 0.05, 0.3, 0.6, name="tiny_csi500", published=False), TINY_RISK),
)


@dataclass(frozen=True)
class Run:
    """A market with an experiment run on it: workspace, graph, instance."""

    work: Workspace
    defs: dg.Definitions
    instance: dg.DagsterInstance
    spec: ExperimentSpec
    plan: RunPlan


def all_steps(spec: ExperimentSpec, plan: RunPlan, work: Workspace) -> list[runner.Step]:
    """The experiment's steps, and the market's risk model after its panels: every asset of the graph gets its values."""
    first, *others = [step for step in runner.experiment_steps(spec, plan, work) if not step.title.startswith("Risk")]
    return [first, runner.Step("Risk model", RISK_ASSETS, plan.history[0], plan.end), *others]


def run_on(root: Path, instance: dg.DagsterInstance, resource: MarketResource | None = None, spec: ExperimentSpec = TINY,
           end: str | None = None) -> Run:
    """Run an experiment on the small market below ``root`` through Dagster, step by step as the command line does."""
    used = resource or MarketResource(market=CI_MARKET, root=str(root))
    defs = build_definitions(CI_MARKET, [spec], used)
    work = used.workspace()
    plan = plan_run(spec, work.calendar, end=end)
    runner.run_experiment(defs, instance, all_steps(spec, plan, work), lambda number, step: None)
    return Run(work, defs, instance, spec, plan)


@pytest.fixture(scope="session")
def ci_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The tiny experiment, run once. Read only: a test that writes makes its own."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield run_on(tmp_path_factory.mktemp("ci") / "market", instance)
