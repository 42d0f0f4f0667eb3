"""What a combination needs of the past: which half-years of its inputs, from which date on, and which dates fit it.

Every date's inputs come from the model of that date's *own* half-year, so they are out of sample wherever they are used: a weighting that is
fitted on the twelve months before a half-year reads the scores that the models of those earlier half-years gave, never those that a later model
would give in hindsight to dates it was trained on. The price is that a combination needs its inputs' models of the year before as well. Where they
cannot be trained, because the market starts too late, the window begins with the first half-year that can; a window shorter than the spec's
``min_months`` is an error. All of this follows from calendar and specs alone, not from what happens to be stored.
"""

from __future__ import annotations

import calendar as months
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alpha_pipeline.combination.other_factors import OTHER_FACTORS
from alpha_pipeline.combination.spec import CombinationSpec
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, NotEnoughData, sentence
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec
from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.pipeline.samples import min_history
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.training.periods import Period, TrainingPlan, WalkForward, period_of, periods_between

_HOLIDAYS = 11  # days without a session at the beginning of a window do not make it too short


@dataclass(frozen=True)
class Combination:
    """A combination with what its inputs are: models, earlier combinations, other factors."""

    spec: CombinationSpec
    models: tuple[ModelSpec, ...] = ()
    combinations: tuple[Combination, ...] = ()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def factors(self) -> tuple[str, ...]:
        """Inputs that are no scores."""
        return tuple(name for name in self.spec.inputs if name in OTHER_FACTORS)

    @property
    def scores(self) -> dict[str, str]:
        """Table of the scores of each input that has some, in the order of the inputs."""
        tables = {m.name: f"models/{m.name}/scores" for m in self.models} | {c.name: scores_table(c.name) for c in self.combinations}
        return {name: tables[name] for name in self.spec.inputs if name in tables}

    @property
    def runs(self) -> tuple[int, ...]:
        """Independent runs: those of the spec, else all that every input with runs has; a combination of other factors alone is one run."""
        if self.spec.runs:
            return self.spec.runs
        found = [m.seeds for m in self.models] + [c.runs for c in self.combinations]
        shared = tuple(run for run in found[0] if all(run in other for other in found)) if found else (0,)
        return shared or (0,)

    def digest(self) -> str:
        """Hash of the spec and of what its inputs are."""
        return combine([CODE_VERSION, self.spec.digest(), *(m.training_digest() for m in self.models), *(c.digest() for c in self.combinations)])


def scores_table(name: str) -> str:
    """Table of a combination's scores: trade_date, symbol, score, and ``member_<run>`` for each independent run."""
    return f"combinations/{name}/scores"


def resolved(specs: Sequence[CombinationSpec], models: Sequence[ModelSpec]) -> dict[str, Combination]:
    """Combinations by name, each with its inputs; ``specs`` have inputs before those that use them."""
    by_model: Mapping[str, ModelSpec] = {m.name: m for m in models}
    found: dict[str, Combination] = {}
    for spec in specs:
        earlier = tuple(found[name] for name in spec.inputs if name in found)
        found[spec.name] = Combination(spec, tuple(by_model[name] for name in spec.inputs if name in by_model), earlier)
    return found


def months_before(day: dt.date, n_months: int) -> dt.date:
    """The same day of the month ``n_months`` earlier, or the last one that month has.

    >>> months_before(dt.date(2024, 3, 31), 1).isoformat()
    '2024-02-29'
    """
    year, month = divmod(day.year * 12 + day.month - 1 - n_months, 12)
    return dt.date(year, month + 1, min(day.day, months.monthrange(year, month + 1)[1]))


def inputs_from(combination: Combination, calendar: TradingCalendar) -> dt.date:
    """First session on which every input can have a value; :class:`NotEnoughData` when one never has."""
    starts = [_model_from(m, calendar) for m in combination.models] + [scores_from(c, calendar) for c in combination.combinations]
    rows = max((OTHER_FACTORS[name].n_rows for name in combination.factors), default=1)
    if rows > len(calendar.sessions):
        raise NotEnoughData(sentence("the market is shorter than the factors' windows", where=f"combination '{combination.name}'",
                                     got=f"{len(calendar.sessions)} sessions", expected=f"at least {rows}"))
    return max([*starts, as_date(calendar.sessions[rows - 1])])


def scores_from(combination: Combination, calendar: TradingCalendar) -> dt.date:
    """First session on which the combination itself can have a score."""
    first = inputs_from(combination, calendar)
    if not combination.spec.looks_back:
        return first
    for day in calendar.between(first, calendar.last):
        try:
            _window(combination, as_date(day), first, calendar)
        except NotEnoughData:
            continue
        return as_date(day)
    raise NotEnoughData(sentence("the market ends before the combination has a window", where=f"combination '{combination.name}'",
                                 got=f"inputs from {first}, sessions to {calendar.last}", expected=f"{combination.spec.min_months} months"))


def _model_from(model: ModelSpec, calendar: TradingCalendar) -> dt.date:
    for period in periods_between(calendar.first, calendar.last, model.walk.anchors):
        try:
            model.walk.plan(period, calendar, min_history=min_history(model))
        except (NotEnoughData, MissingData):
            continue
        return as_date(calendar.between(period.start, calendar.last)[0])
    raise NotEnoughData(sentence("the market is too short to train the model at all", where=f"model '{model.name}'",
                                 got=f"{calendar.first} … {calendar.last}"))


def window_start(combination: Combination, day: dt.date, calendar: TradingCalendar) -> dt.date:
    """First date whose inputs the weights used on ``day`` may rest on: of a fitted method those of the whole half-year.

    Raises :class:`NotEnoughData` when less than ``min_months`` of past can have inputs.
    """
    return _window(combination, day, inputs_from(combination, calendar), calendar)


def _window(combination: Combination, day: dt.date, available: dt.date, calendar: TradingCalendar) -> dt.date:
    spec = combination.spec
    anchor = period_of(day).start if spec.is_fitted else day
    least = months_before(anchor, spec.min_months)
    if (available - least).days > _HOLIDAYS or available >= anchor:
        raise NotEnoughData(sentence(
            "too little past to weight the inputs by", where=f"combination '{spec.name}' on {day}", got=f"inputs from {available} on",
            expected=f"at least {spec.min_months} months before {anchor}",
            next_step="Start the experiment later, or lower 'min_months'."))
    return max(months_before(anchor, spec.window_months), available)


def fit_plan(combination: Combination, period: Period, calendar: TradingCalendar) -> TrainingPlan:
    """The dates that train and validate the fit of a half-year, purged by the label's reach."""
    spec = combination.spec
    walk = WalkForward(train_start=window_start(combination, period.start, calendar), sample_every=spec.sample_every, train_share=spec.train_share,
                       horizon=spec.label.horizon, lag=spec.label.lag, min_train_dates=4, min_valid_dates=1)
    return walk.plan(period, calendar)


def past_dates(combination: Combination, day: dt.date, calendar: TradingCalendar) -> list[str]:
    """Formation dates whose labels have ended by the close of ``day`` and lie in its window, newest first, every ``sample_every`` sessions back."""
    spec = combination.spec
    first = calendar.index(as_date(calendar.between(window_start(combination, day, calendar), day)[0]))
    newest = calendar.index(day) - spec.label.label_end_offset
    return [str(calendar.sessions[at]) for at in range(newest, first - 1, -spec.sample_every)]


@dataclass
class Starts:
    """First date from which each model and combination of an experiment must have scores."""

    models: dict[str, dt.date] = field(default_factory=dict)
    combinations: dict[str, dt.date] = field(default_factory=dict)


def needed_from(spec: ExperimentSpec, start: dt.date, calendar: TradingCalendar) -> Starts:
    """For an experiment whose signals begin on ``start``: its own models from there, inputs of combinations from as early as their windows ask."""
    found = Starts({m.name: start for m in spec.models})
    combinations = resolved(spec.combinations, spec.models)

    def need(combination: Combination, day: dt.date) -> None:
        found.combinations[combination.name] = min(day, found.combinations.get(combination.name, day))
        earlier = min(day, window_start(combination, day, calendar)) if combination.spec.looks_back else day
        for model in combination.models:
            found.models[model.name] = min(earlier, found.models.get(model.name, earlier))
        for inner in combination.combinations:
            need(inner, earlier)

    for combination in combinations.values():
        need(combination, start)
    return found
