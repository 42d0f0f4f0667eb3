"""Which sessions an experiment needs on a market, and which rebalance weeks and periods they fall into."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from alpha_pipeline.errors import NotEnoughData, sentence
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.training.periods import Period, period_of


@dataclass(frozen=True)
class RunPlan:
    """What a run of an experiment covers: data from the market's first session, scores from ``start`` to ``end``."""

    history: tuple[str, ...]
    scored: tuple[str, ...]
    periods: tuple[Period, ...]
    weeks: tuple[str, ...]

    @property
    def start(self) -> str:
        return self.scored[0]

    @property
    def end(self) -> str:
        return self.scored[-1]


def plan_run(spec: ExperimentSpec, calendar: TradingCalendar, start: str | None = None, end: str | None = None) -> RunPlan:
    """Sessions, half-years and weeks of a run; the experiment's dates are clipped to the market's. Half-years start where its models' do.

    ``weeks`` are Mondays of weeks whose last session lies inside the run. Raises :class:`NotEnoughData` when nothing is left.
    """
    first = max(as_date(start) if start else spec.start, calendar.first)
    last = min(as_date(end) if end else spec.end, calendar.last)
    scored = calendar.between(first, last)
    if first > last or len(scored) == 0:
        raise NotEnoughData(sentence(
            "no trade date in common", where=f"experiment '{spec.name}'", got=f"experiment {start or spec.start} … {end or spec.end}",
            expected=f"dates within the market's {calendar.first} … {calendar.last}", next_step="Choose another --market or other --start and --end.",
        ))
    periods: dict[str, Period] = {}
    for day in scored:
        period = period_of(as_date(day), spec.anchors)
        periods.setdefault(period.name, period)
    return RunPlan(
        tuple(str(d) for d in calendar.between(calendar.first, as_date(scored[-1]))), tuple(str(d) for d in scored), tuple(periods.values()),
        tuple(monday(as_date(d)).isoformat() for d in calendar.week_ends(as_date(scored[0]), as_date(scored[-1]))),
    )


def monday(day: dt.date) -> dt.date:
    """The Monday of a date's week: the key of its rebalance partition."""
    return day - dt.timedelta(days=day.weekday())


def rebalance_session(week: str, calendar: TradingCalendar, every_n_sessions: int = 0) -> dt.date | None:
    """The signal date of a rebalance week; None for a week without one.

    Its last session; with ``every_n_sessions`` = n ≥ 5 the one session of the week whose number, counted from 0 at the calendar's first, is a
    multiple of n.
    """
    start = as_date(week)
    days = calendar.between(start, start + dt.timedelta(days=6))
    if every_n_sessions and len(days):
        first = calendar.index(as_date(days[0]))
        days = days[[(first + at) % every_n_sessions == 0 for at in range(len(days))]]
    return as_date(days[-1]) if len(days) else None
