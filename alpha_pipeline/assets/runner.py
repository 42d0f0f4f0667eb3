"""Runs of an experiment, step by step, on a Dagster instance: what the command line calls and the UI shows.

Every step is an ordinary run of the graph's assets over a range of partitions. Steps that are complete are recognized by the assets
themselves (they compare hashes of their inputs), so a run that was killed is simply started again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from alpha_pipeline.assets.partitions import half_year_key
from alpha_pipeline.errors import AlphaPipelineError
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.pipeline.ingest import ORDER
from alpha_pipeline.pipeline.session import RunPlan
from alpha_pipeline.pipeline.workspace import Workspace

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class RunFailed(AlphaPipelineError):
    """A step of the graph failed; the text is the reason the step gave."""


@dataclass(frozen=True)
class Step:
    """One run: a title for people, the assets, and one key, a range of keys, or none."""

    title: str
    assets: tuple[str, ...]
    first: str = ""
    last: str = ""
    config: Mapping[str, Any] | None = None


def execute(defs: dg.Definitions, instance: dg.DagsterInstance, step: Step) -> dg.ExecuteInProcessResult:
    """Run one step in this process; raises :class:`RunFailed` with the first failure's sentence."""
    keys = [dg.AssetKey(name.split("/")) for name in step.assets]
    tags: dict[str, str] = {"alpha_pipeline/step": step.title[:60]}
    partition: str | None = None
    if step.first and step.first == step.last:
        partition = step.first
    elif step.first:
        tags |= {RANGE_START: step.first, RANGE_END: step.last}
    run_config: dict[str, Any] = dict(QUIET)
    if step.config:
        run_config["ops"] = {op: {"config": dict(settings)} for op, settings in step.config.items()}
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(instance=instance, asset_selection=keys, partition_key=partition, tags=tags, run_config=run_config,
                                    raise_on_error=False)
    if not result.success:
        raise RunFailed(_reason(result, step))
    return result


def _reason(result: dg.ExecuteInProcessResult, step: Step) -> str:
    checks = [
        f"{evaluation.asset_key.to_user_string()}: {evaluation.description}"
        for evaluation in result.get_asset_check_evaluations() if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR
    ]
    if checks:
        return f"{step.title}: {len(checks)} blocking check(s) failed. {checks[0]}"
    return f"{step.title}: {failure_text(result)}"


def failure_text(result: dg.ExecuteInProcessResult) -> str:
    """What the first step that failed said: the sentence of a user's mistake, else the message of the exception."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data is not None and data.user_failure_data.description:
                return data.user_failure_data.description
            if data.error is not None:
                return (data.error.cause or data.error).message.strip()
    return "the run failed; see its log in the UI."


def experiment_steps(spec: ExperimentSpec, plan: RunPlan, work: Workspace) -> list[Step]:
    """All steps of an experiment, in order."""
    tables = tuple(t for t in ORDER if t in work.source.describe().tables)
    panels = ["universe", "daily_panel", *(["intraday_15m_panel"] if "intraday_bars" in tables else [])]
    labels = sorted({f"labels/{model.label.name}" for model in spec.models})
    steps = [Step("Raw tables and panels", (*tables, *panels, *labels), plan.history[0], plan.end)]
    for model in spec.models:
        for period in plan.periods:
            key = half_year_key(period.name)
            assets = (f"models/{model.name}/training_set", f"models/{model.name}/checkpoint")
            steps.append(Step(f"Train {model.name} {period.name}", assets, key, key))
    signals = [f"signals/{signal.name}/factor" for signal in spec.all_signals()]
    scores = [f"models/{model.name}/scores" for model in spec.models]
    steps.append(Step("Scores and factors", (*scores, *signals), plan.start, plan.end))
    bounds = {"start": plan.start, "end": plan.end}
    tests = [f"signals/{signal.name}/factor_test" for signal in spec.all_signals()]
    steps.append(Step("Factor tests", tuple(tests), config={_op(name): bounds for name in tests}))
    for portfolio in spec.portfolios:
        if plan.weeks:
            steps.append(Step(f"Rebalance {portfolio.name}", (f"portfolios/{portfolio.name}/weights",), plan.weeks[0], plan.weeks[-1]))
            results = (f"portfolios/{portfolio.name}/backtest", f"portfolios/{portfolio.name}/attribution")
            steps.append(Step(f"Backtest {portfolio.name}", results, config={_op(results[0]): bounds}))
    steps.append(Step("Report", (f"reports/{spec.name}",), config={_op(f"reports/{spec.name}"): bounds}))
    return steps


def _op(asset: str) -> str:
    return asset.replace("/", "__")


def run_experiment(defs: dg.Definitions, instance: dg.DagsterInstance, steps: Sequence[Step], on_step: Callable[[int, Step], None]) -> None:
    """Execute the steps in order; ``on_step`` hears of each before it starts."""
    for number, step in enumerate(steps):
        on_step(number, step)
        execute(defs, instance, step)
