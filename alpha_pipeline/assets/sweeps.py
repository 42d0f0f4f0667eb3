"""A sweep as runs of the graph: each variant's training set, checkpoint and scores, like those of any other model."""

from collections.abc import Sequence

from alpha_pipeline.assets.partitions import half_year_key
from alpha_pipeline.assets.runner import Step, experiment_steps
from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.pipeline.session import plan_run
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
    steps = [history]
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
