"""Runs of an experiment, step by step, on a Dagster instance: what the command line calls and the UI shows.

Every step is an ordinary run of the graph's assets over a range of partitions. Steps that are complete are recognized by the assets
themselves (they compare hashes of their inputs), so a run that was killed is simply started again.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from alpha_pipeline.assets.partitions import half_year_key, period_name
from alpha_pipeline.errors import AlphaPipelineError, BadInput, sentence, unknown_name
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, PortfolioSpec, StudySpec
from alpha_pipeline.experiments.select import characteristic_panels
from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.pipeline import risk_exposures, risk_model
from alpha_pipeline.pipeline.combinations.plan import needed_from
from alpha_pipeline.pipeline.ingest import ORDER
from alpha_pipeline.pipeline.pages import INDEX
from alpha_pipeline.pipeline.samples import training_plan
from alpha_pipeline.pipeline.session import RunPlan, monday, rebalance_session
from alpha_pipeline.pipeline.studies import study_kind
from alpha_pipeline.pipeline.studies.study import study_name
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk import covariance
from alpha_pipeline.training.periods import period_named, periods_between

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


def backfill_step(defs: dg.Definitions, work: Workspace, assets: Sequence[str], start: str, end: str, *, refresh: bool = False) -> Step:
    """The step that materializes ``assets`` from ``start`` to ``end`` (empty: ``start`` alone).

    Keys are trade dates, Mondays (weights), or half-years such as ``2017H1``, whatever the assets are partitioned by; for results without
    partitions they bound the range and may be empty. Raises :class:`UnknownName` for an asset the graph lacks and :class:`BadInput` for a key
    that is not one of the assets'.
    """
    graph = defs.resolve_asset_graph()
    known = sorted(key.to_user_string() for key in graph.get_all_asset_keys())
    for name in assets:
        if name not in known:
            raise unknown_name("asset", name, known)
    axes = {name: graph.get(dg.AssetKey(name.split("/"))).partitions_def for name in assets}
    first_asset, axis = next(iter(axes.items()))
    for name, other in axes.items():
        if other != axis:
            raise BadInput(sentence("these assets have different partitions", got=f"{first_asset} and {name}",
                                    next_step="Backfill them one after the other."))
    if refresh and not set(assets).intersection(ORDER):
        raise BadInput(sentence("nothing to refresh: only raw tables are read from the source", got=", ".join(assets), expected=", ".join(ORDER)))
    title = f"Backfill {start} … {end or start}" if start else "Backfill"
    if axis is None:
        bounds = {key: day for key, day in (("start", start), ("end", end)) if day}
        for day in bounds.values():
            work.check_session(iso_date(day))
        return Step(title, tuple(assets), config={_op(name): bounds for name in assets} if bounds else None)
    first = _partition_key(axis, start, first_asset, work)
    last = _partition_key(axis, end, first_asset, work) if end else first
    if last < first:
        raise BadInput(sentence("the range ends before it starts", got=f"{start} … {end}"))
    return Step(title, tuple(assets), first, last, {"market_tables": {"refresh": True}} if refresh else None)


def _partition_key(axis: dg.PartitionsDefinition, text: str, asset: str, work: Workspace) -> str:
    """The key that a user's text names on an axis."""
    keys = axis.get_partition_keys()
    if not text:
        raise BadInput(sentence(f"'{asset}' has partitions", expected="--start, and --end for more than one", next_step=f"The newest is {keys[-1]}."))
    if len(keys[0]) == len("2017-01"):
        key = half_year_key(period_named(text).name)
        if key not in keys:
            raise BadInput(sentence(f"the market has no half-year {text}", expected=f"{period_name(keys[0])} … {period_name(keys[-1])}"))
        return key
    day = iso_date(text)
    if day not in keys:
        work.check_session(day)
        raise BadInput(sentence(f"{day} is no partition of '{asset}'", expected=f"a Monday between {keys[0]} and {keys[-1]}",
                                next_step=f"The Monday of its week is {monday(work.check_session(day))}."))
    return day


def iso_date(text: str) -> str:
    """``text`` if it is a calendar date such as 2024-01-05; :class:`BadInput` otherwise."""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise BadInput(sentence(f"'{text}' is not a date", expected="a date such as 2024-01-05")) from error


def experiment_steps(spec: ExperimentSpec, plan: RunPlan, work: Workspace) -> list[Step]:
    """All steps of an experiment, in order."""
    tables = tuple(t for t in ORDER if t in work.source.describe().tables)
    panels = ["universe", "daily_panel", *(["intraday_15m_panel"] if "intraday_bars" in tables else []),
              *(f"{name}_panel" for name in characteristic_panels((spec,), work.source.describe()))]
    looking_back = [c.label.name for c in spec.combinations if c.looks_back]
    labels = sorted({f"labels/{name}" for name in (*(model.label.name for model in spec.models), *looking_back)})
    steps = [Step("Raw tables and panels", (*tables, *panels, *labels), plan.history[0], plan.end)]
    starts = needed_from(spec, as_date(plan.start), work.calendar)
    steps += trained_risk_steps(spec.models, starts.models, plan, work)
    for model in spec.models:
        for period in periods_between(starts.models[model.name], plan.end, model.walk.anchors):
            key = half_year_key(period.name)
            trained = (f"models/{model.name}/training_set", f"models/{model.name}/checkpoint")
            steps.append(Step(f"Train {model.name} {period.name}", trained, key, key))
    signals = [f"signals/{signal.name}/factor" for signal in spec.all_signals()]
    scores = {model.name: f"models/{model.name}/scores" for model in spec.models}
    if spec.combinations:
        for first in sorted(set(starts.models.values())):
            assets = tuple(scores[name] for name, start in starts.models.items() if start == first)
            steps.append(Step(f"Scores from {first}", assets, _session_from(work, first), plan.end))
        for combination in spec.combinations:
            first = starts.combinations[combination.name]
            for period in periods_between(first, plan.end) if combination.is_fitted else ():
                key = half_year_key(period.name)
                steps.append(Step(f"Fit {combination.name} {period.name}", (f"combinations/{combination.name}/fit",), key, key))
            steps.append(Step(f"Scores {combination.name}", (f"combinations/{combination.name}/scores",), _session_from(work, first), plan.end))
        steps.append(Step("Factors", tuple(signals), plan.start, plan.end))
    else:
        steps.append(Step("Scores and factors", (*scores.values(), *signals), plan.start, plan.end))
    bounds = {"start": plan.start, "end": plan.end}
    tests = [f"signals/{signal.name}/factor_test" for signal in spec.all_signals()]
    steps.append(Step("Factor tests", tuple(tests), config={_op(name): bounds for name in tests}))
    steps += risk_steps(spec, plan)
    steps += portfolio_steps(spec.portfolios, plan, work) + portfolio_steps(spec.variants, plan, work, is_variant=True)
    steps += [study_step(spec, study, plan) for study in spec.studies]
    steps.append(Step("Report", (f"reports/{spec.name}",), config={_op(f"reports/{spec.name}"): bounds}))
    steps.append(Step("Index of experiments", (INDEX,)))
    return steps


def portfolio_steps(portfolios: Sequence[PortfolioSpec], plan: RunPlan, work: Workspace, *, is_variant: bool = False) -> list[Step]:
    """Rebalances and backtests of portfolios, none for a plan without a whole week; of a variant neither its changes nor its attribution."""
    steps = []
    bounds = {"start": plan.start, "end": plan.end}
    for portfolio in portfolios:
        weeks = _weeks(portfolio, plan, work)
        if not weeks:
            continue
        prefix = f"portfolios/{portfolio.name}"
        weekly: tuple[str, ...] = (f"{prefix}/weights",) if is_variant else (f"{prefix}/weights", f"{prefix}/changes")
        results: tuple[str, ...] = (f"{prefix}/backtest",) if is_variant else (f"{prefix}/backtest", f"{prefix}/attribution")
        steps.append(Step(f"Rebalance {portfolio.name}", weekly, weeks[0], weeks[-1]))
        steps.append(Step(f"Backtest {portfolio.name}", results, config={_op(results[0]): bounds}))
    return steps


def study_step(spec: ExperimentSpec, study: StudySpec, plan: RunPlan) -> Step:
    """The run of one study over the plan's out-of-sample dates."""
    name = study_name(spec.name, study.name)
    return Step(f"Study {study.name}", (name,), config={_op(name): {"start": plan.start, "end": plan.end}})


def _weeks(portfolio: PortfolioSpec, plan: RunPlan, work: Workspace) -> list[str]:
    """The run's weeks; without a first one whose signal date precedes the run's first."""
    first = plan.weeks[:1]
    early = [week for week in first if str(rebalance_session(week, work.calendar, portfolio.every_n_sessions) or plan.start) < plan.start]
    return [week for week in plan.weeks if week not in early]


def risk_steps(spec: ExperimentSpec, plan: RunPlan) -> list[Step]:
    """The market's risk model where a portfolio or study of the experiment needs it: forecasts from the first out-of-sample date on, exposures
    and returns over the history that the first forecast is made from; exposures of the out-of-sample dates alone where a study reads no more."""
    studied = {name for study in spec.studies for name in study_kind(study.kind).needs(spec, study) if name.startswith("risk/")}
    if not any(portfolio.needs_risk_model for portfolio in spec.all_portfolios()) and studied <= {risk_exposures.EXPOSURES}:
        return [Step("Risk exposures", (risk_exposures.EXPOSURES,), plan.start, plan.end)] if studied else []
    first = max(0, plan.history.index(plan.start) + 1 - covariance.WINDOW_SESSIONS)
    return [
        Step("Risk exposures", (risk_exposures.EXPOSURES,), plan.history[max(0, first - 1)], plan.end),  # returns need those of the session before
        Step("Risk returns", (risk_model.FACTOR_RETURNS, risk_model.SPECIFIC_RETURNS), plan.history[first], plan.end),
        Step("Risk forecasts", (risk_model.COVARIANCE, risk_model.SPECIFIC), plan.start, plan.end),
    ]


def trained_risk_steps(models: Sequence[ModelSpec], starts: Mapping[str, dt.date], plan: RunPlan, work: Workspace) -> list[Step]:
    """Exposures of the stored risk model on the sessions that models freed of its styles train on."""
    sampled: list[dt.date] = []
    for model in models:
        for period in periods_between(starts[model.name], plan.end, model.walk.anchors) if model.reads_risk_styles else ():
            training = training_plan(work, model, period.name)
            sampled += [*training.train_dates, *training.valid_dates]
    return [Step("Risk exposures for training", (risk_exposures.EXPOSURES,), str(min(sampled)), str(max(sampled)))] if sampled else []


def _session_from(work: Workspace, day: dt.date) -> str:
    """The first session on or after a day."""
    return str(work.calendar.between(day, work.calendar.last)[0])


def _op(asset: str) -> str:
    return asset.replace("/", "__")


@dataclass
class WorkDone:
    """What the partitioned assets of a run computed and what they found current: asset → number of partitions."""

    computed: dict[str, int] = field(default_factory=dict)
    reused: dict[str, int] = field(default_factory=dict)

    def add(self, result: dg.ExecuteInProcessResult) -> None:
        """Count the materializations of one step; every partition of a range carries the figures of the whole range."""
        counted: set[str] = set()
        for event in result.get_asset_materialization_events():
            metadata: dict[str, Any] = {name: value.value for name, value in event.materialization.metadata.items()}
            if "trained now" in metadata:
                metadata |= {"computed": int(bool(metadata["trained now"])), "reused": int(not metadata["trained now"])}
            name = event.materialization.asset_key.to_user_string()
            if "computed" in metadata and name not in counted:
                counted.add(name)
                self.computed[name] = self.computed.get(name, 0) + int(metadata["computed"])
                self.reused[name] = self.reused.get(name, 0) + int(metadata["reused"])

    def lines(self) -> list[str]:
        """In words: what was computed, asset by asset, and what was reused."""
        current = [name for name, count in self.computed.items() if count == 0]
        lines = [f"computed {name}: {count} partitions ({self.reused[name]} reused)" for name, count in self.computed.items() if count]
        return [*lines, f"reused as they were: {len(current)} assets, {sum(self.reused[name] for name in current)} partitions"]


def run_experiment(defs: dg.Definitions, instance: dg.DagsterInstance, steps: Sequence[Step], on_step: Callable[[int, Step], None]) -> WorkDone:
    """Execute the steps in order; ``on_step`` hears of each before it starts. Returns what was computed and what reused."""
    done = WorkDone()
    for number, step in enumerate(steps):
        on_step(number, step)
        done.add(execute(defs, instance, step))
    return done
