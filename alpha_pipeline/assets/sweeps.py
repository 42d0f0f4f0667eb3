"""Sweeps as runs of the graph: of a model's setting, each variant's training set, checkpoint and scores; of a portfolio's limits, each variant's
weights and backtest. Like those of any other model or portfolio, so a variant that is stored and current is not computed again."""

from collections.abc import Sequence

from alpha_pipeline.assets.partitions import half_year_key
from alpha_pipeline.assets.runner import Step, experiment_steps, portfolio_steps, risk_steps, study_step, trained_risk_steps
from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.pipeline.session import RunPlan, plan_run
from alpha_pipeline.pipeline.studies import study_kind
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.training.periods import period_named, period_of


def sweep_steps(spec: ExperimentSpec, work: Workspace, periods: Sequence[str] = ()) -> tuple[list[Step], list[str]]:
    """Steps of a sweep experiment (its models are the variants), and the half-years that it covers; by default all of the experiment's.

    Panels are filled to the end of the last half-year, or of the market. Raises :class:`InvalidSpec` for a half-year without a session.
    """
    wanted = [period_named(name, spec.anchors) for name in periods] or list(plan_run(spec, work.calendar).periods)
    start = min(period.start for period in wanted).isoformat() if periods else None
    end = max(period.end for period in wanted).isoformat() if periods else None
    plan = plan_run(spec, work.calendar, start, end)
    history = next(step for step in experiment_steps(spec, plan, work) if step.first == plan.history[0])
    steps = [history, *trained_risk_steps(spec.models, {model.name: as_date(plan.start) for model in spec.models}, plan, work)]
    for period in wanted:
        days = [day for day in plan.scored if period_of(day, spec.anchors).name == period.name]
        if not days:
            raise InvalidSpec(sentence(f"no session in {period.name}", where="sweep", expected=f"half-years of {plan.start} … {plan.end}"))
        key = half_year_key(period.name)
        for model in spec.models:
            assets = (f"models/{model.name}/training_set", f"models/{model.name}/checkpoint")
            steps.append(Step(f"Train {model.name} {period.name}", assets, key, key))
        steps.append(Step(f"Scores {period.name}", tuple(f"models/{model.name}/scores" for model in spec.models), days[0], days[-1]))
    return steps, [period.name for period in wanted]


def constraint_steps(spec: ExperimentSpec, plan: RunPlan, work: Workspace) -> tuple[list[Step], StudySpec]:
    """Steps that bring an experiment's constraint sweep up to date, given its signals, and the study that holds the table.

    Raises :class:`InvalidSpec` for an experiment without such a study.
    """
    study = next((study for study in spec.studies if study.kind == "constraint_sweep"), None)
    if study is None:
        raise InvalidSpec(sentence("no study of kind constraint_sweep", where=f"experiment '{spec.name}'",
                                   got=", ".join(s.name for s in spec.studies) or "no study", next_step="Choose riskcontrol or riskcontrol_small."))
    swept = [name.split("/")[1] for name in study_kind(study.kind).needs(spec, study) if name.startswith("portfolios/")]
    portfolios = [p for p in spec.all_portfolios() if p.name in swept]
    return [*risk_steps(spec, plan), *portfolio_steps(portfolios, plan, work, is_variant=True), study_step(spec, study, plan)], study
