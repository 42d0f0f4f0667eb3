"""A run with one changed setting computes again what depends on it, and nothing else; the summary says which."""

import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg

from alpha_pipeline.assets import runner
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.portfolio.constraints import TurnoverLimit
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline_tests.conftest import CI_MARKET, TINY, Run, all_steps

CHANGED = TINY.portfolios[0]


def with_turnover(limit: float):
    constraints = tuple(replace(c, limit=limit) if isinstance(c, TurnoverLimit) else c for c in CHANGED.optimizer.constraints)
    portfolio = replace(CHANGED, optimizer=replace(CHANGED.optimizer, constraints=constraints))
    return replace(TINY, portfolios=(portfolio, *TINY.portfolios[1:]))


def test_another_turnover_limit_touches_its_portfolio_alone(ci_run: Run, tmp_path: Path):
    shutil.copytree(ci_run.work.root, tmp_path / "market")
    resource = MarketResource(market=CI_MARKET, root=str(tmp_path / "market"))
    spec = with_turnover(0.5)
    defs, work = build_definitions(CI_MARKET, [spec], resource), resource.workspace()
    steps = [step for step in all_steps(spec, ci_run.plan, work) if step.title.split()[0] not in ("Study", "Report", "Index")]
    with dg.DagsterInstance.ephemeral() as instance:
        done = runner.run_experiment(defs, instance, steps, lambda number, step: None)
    touched = {name: count for name, count in done.computed.items() if count}
    weeks = len(ci_run.work.store.keys(f"portfolios/{CHANGED.name}/weights"))
    assert touched == {f"portfolios/{CHANGED.name}/{part}": weeks for part in ("weights", "changes")}
    lines = done.lines()
    assert f"computed portfolios/{CHANGED.name}/weights: {weeks} partitions (0 reused)" in lines
    assert lines[-1].startswith(f"reused as they were: {len(done.computed) - 2} assets")
    before, after = (w.store.bundle(f"portfolios/{CHANGED.name}/backtest") for w in (ci_run.work, work))
    assert before is not None and after is not None and before.content != after.content
    kept = TINY.portfolios[1].name
    assert ci_run.work.store.bundle(f"portfolios/{kept}/backtest") == work.store.bundle(f"portfolios/{kept}/backtest")
