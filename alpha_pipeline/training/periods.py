"""Half-year periods, and which dates may train and validate the model of a period.

A period's model is trained on what is known at the close of the last session *before* the period and scores every session in it.

Purge, one rule for everything: a sample formed at session *i* has a label that ends at session *i* + horizon + lag, and it is
used only if that whole stretch lies inside its own part. Parts are the stretches of sessions that belong to training or to
validation; the last one ends with the last known session. So no label of a training sample overlaps a validation date, and none
reaches into the period.

Sessions are counted by their index in the calendar. Sampling starts with the first session on or after ``train_start``, so that
a date sampled for one period is sampled for every other whose window holds it (features and labels are then shared).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, NotEnoughData, UnknownName, sentence
from alpha_pipeline.market.calendar import TradingCalendar, as_date

Anchors = tuple[tuple[int, int], tuple[int, int]]
IntArray = npt.NDArray[np.int64]

CALENDAR_HALVES: Anchors = ((1, 1), (7, 1))
"""MULTIFREQ: periods start on 1 January and 1 July. ALPHANET counts from 31 January: ``((1, 31), (7, 31))``."""


@dataclass(frozen=True, order=True)
class Period:
    """A half-year: ``start`` and ``end`` are calendar days, both inclusive. ``2017H1`` starts on the first anchor of 2017."""

    start: dt.date
    end: dt.date
    name: str

    def __contains__(self, day: object) -> bool:
        return isinstance(day, str | dt.date | np.datetime64) and self.start <= as_date(day) <= self.end


def period_named(name: str, anchors: Anchors = CALENDAR_HALVES) -> Period:
    """The period of a name such as ``2017H2``.

    Raises :class:`UnknownName` for another form, :class:`InvalidSpec` for anchors that are not two rising days of a year.

    >>> period_named("2017H2").end.isoformat(), period_named("2017H2", ((1, 31), (7, 31))).end.isoformat()
    ('2017-12-31', '2018-01-30')
    """
    found = re.fullmatch(r"(\d{4})H([12])", name)
    if found is None or not 1900 <= int(found[1]) <= 9998:
        raise UnknownName(sentence(f"unknown period '{name}'", expected="a half-year such as 2017H1"))
    return _period(int(found[1]), int(found[2]), anchors)


def period_of(day: str | dt.date, anchors: Anchors = CALENDAR_HALVES) -> Period:
    """The period that holds a day.

    >>> period_of("2017-01-15").name, period_of("2017-01-15", ((1, 31), (7, 31))).name
    ('2017H1', '2016H2')
    """
    date = as_date(day)
    candidates = (_period(year, half, anchors) for year in (date.year, date.year - 1) for half in (2, 1))
    return next(period for period in candidates if period.start <= date)


def periods_between(start: str | dt.date, end: str | dt.date, anchors: Anchors = CALENDAR_HALVES) -> list[Period]:
    """All periods that share a day with [start, end], in order; none if ``end`` is before ``start``."""
    last, found = as_date(end), []
    period = period_of(start, anchors)
    while period.start <= last and as_date(start) <= last:
        found.append(period)
        period = period_of(period.end + dt.timedelta(days=1), anchors)
    return found


def _period(year: int, half: int, anchors: Anchors) -> Period:
    first, second = (_anchor_day(year, anchor) for anchor in anchors)
    if not first < second:
        raise InvalidSpec(
            sentence("the anchors of the half-years must rise", got=anchors, expected="((month, day), (later month, day))")
        )
    if half == 1:
        start, following = first, second
    else:
        start, following = second, _anchor_day(year + 1, anchors[0])
    return Period(start, following - dt.timedelta(days=1), f"{year}H{half}")


def _anchor_day(year: int, anchor: tuple[int, int]) -> dt.date:
    month, day = anchor
    try:
        dt.date(2001, month, day)  # not a leap year: an anchor has to exist in every year
    except ValueError as error:
        raise InvalidSpec(sentence("an anchor is no day of every year", got=anchor, expected="(month, day)")) from error
    return dt.date(year, month, day)


@dataclass(frozen=True)
class WalkForward:
    """How a period's training and validation dates are chosen.

    Attributes
    ----------
    train_start : no sample before it, and the session from which sampling is counted.
    n_days : only the last so many sessions before the period; None for all since ``train_start`` (expanding).
    sample_every : every so many sessions one sample date.
    train_share : share of the sample dates, before purging, that train; the others validate.
    horizon, lag : of the label, in sessions; their sum is the purge gap.
    validation : ``last``: the most recent dates validate. ``blocks``: in each of ``n_blocks`` stretches the most recent dates
        validate.
    n_blocks : number of stretches for ``blocks``.
    min_train_dates, min_valid_dates : fewer than this after purging is an error.
    anchors : (month, day) on which the half-years start.

    Source: MULTIFREQ, figure 7 (from 2013, every 5th date, 4:1); ALPHANET (``n_days=1500``, every 2nd date, half-years from
    31 January); ATTENTION (blocks).
    """

    train_start: dt.date = dt.date(2013, 1, 1)
    n_days: int | None = None
    sample_every: int = 5
    train_share: float = 0.8
    horizon: int = 10
    lag: int = 0
    validation: Literal["last", "blocks"] = "last"
    n_blocks: int = 5
    min_train_dates: int = 8
    min_valid_dates: int = 2
    anchors: Anchors = field(default=CALENDAR_HALVES, metadata={"digest": "if changed"})

    def __post_init__(self) -> None:
        at_least_one = ("sample_every", "horizon", "n_blocks", "min_train_dates", "min_valid_dates")
        for setting in (*at_least_one, *(("n_days",) if self.n_days is not None else ())):
            if getattr(self, setting) < 1:
                raise InvalidSpec(
                    sentence(f"{setting} must be positive", where="WalkForward", got=getattr(self, setting), expected=">= 1")
                )
        if self.lag < 0:
            raise InvalidSpec(sentence("lag must not be negative", where="WalkForward", got=self.lag, expected=">= 0"))
        if not 0 < self.train_share < 1:
            raise InvalidSpec(
                sentence(
                    "train_share leaves no dates to train or to validate",
                    where="WalkForward",
                    got=self.train_share,
                    expected="between 0 and 1, both excluded",
                )
            )
        if self.validation not in ("last", "blocks"):
            raise InvalidSpec(
                sentence("unknown kind of validation", where="WalkForward", got=self.validation, expected="'last' or 'blocks'")
            )
        period_named("2000H1", self.anchors)  # refuses days that are none

    def period_of(self, day: str | dt.date) -> Period:
        """The half-year whose model scores a day."""
        return period_of(day, self.anchors)

    def period_named(self, name: str) -> Period:
        """The half-year of a name such as ``2017H2``."""
        return period_named(name, self.anchors)

    @property
    def gap(self) -> int:
        """Sessions from a sample to the end of its label."""
        return self.horizon + self.lag

    def plan(self, period: Period, calendar: TradingCalendar, min_history: int = 1) -> TrainingPlan:
        """The dates that train and validate the model of ``period``.

        ``min_history`` : sessions of features a sample needs, its own included (the longest ``n_rows`` of the tensors); counted
        from the calendar's first session. Only sessions before ``period.start`` are looked at.

        Raises
        ------
        NotEnoughData : too few dates are left, with the numbers. MissingData : the calendar has no session before the period.
        """
        last = calendar.index(calendar.last_before(period.start))
        origin = int(np.searchsorted(calendar.sessions, np.datetime64(self.train_start, "D")))
        first = max(origin, min_history - 1, last - self.n_days + 1 if self.n_days is not None else 0)
        sampled = np.arange(origin + -(-(first - origin) // self.sample_every) * self.sample_every, last + 1, self.sample_every)
        # a sample whose label is not known yet belongs nowhere: it must not shift the 4:1 split either
        known = sampled[sampled + self.gap <= last]
        is_valid = self._is_valid(len(known))
        inside = _part_of(known, known, is_valid) == _part_of(known + self.gap, known, is_valid)
        plan = TrainingPlan(
            period=period,
            last_known=as_date(calendar.sessions[last]),
            train_dates=calendar.sessions[known[inside & ~is_valid]],
            valid_dates=calendar.sessions[known[inside & is_valid]],
            train_indices=known[inside & ~is_valid],
            valid_indices=known[inside & is_valid],
            n_sampled=len(sampled),
            n_purged=len(sampled) - int(inside.sum()),
        )
        if len(plan.train_dates) < self.min_train_dates or len(plan.valid_dates) < self.min_valid_dates:
            begins = as_date(calendar.sessions[first]) if first <= last else "after the last known session"
            raise NotEnoughData(
                sentence(
                    "too few dates to train and validate",
                    where=f"period {period.name}",
                    got=f"{len(plan.train_dates)} training and {len(plan.valid_dates)} validation dates from "
                    f"{plan.n_sampled} sampled, {plan.n_purged} purged; usable sessions {begins} to {plan.last_known}",
                    expected=f"at least {self.min_train_dates} and {self.min_valid_dates}",
                    next_step=f"Start with a later period, or provide earlier data (windows need {min_history} sessions, "
                    f"labels {self.gap}).",
                )
            )
        return plan

    def _is_valid(self, n_dates: int) -> npt.NDArray[np.bool_]:
        """(n_dates,) True for sample dates that validate."""
        n_blocks = 1 if self.validation == "last" else self.n_blocks
        is_valid = np.zeros(n_dates, dtype=bool)
        for block in np.array_split(np.arange(n_dates), n_blocks):
            # the tiny amount keeps 10 × 0.8 = 8.000000000000002 from losing a date
            is_valid[block[int(len(block) * self.train_share + 1e-9) :]] = True
        return is_valid


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """The exact sessions behind one model.

    ``train_dates`` and ``valid_dates`` are ``datetime64[D]``, rising; the ``_indices`` are the same as positions in the calendar.
    ``n_sampled`` counts the sampled sessions up to ``last_known``, ``n_purged`` those of them that no part may use.
    """

    period: Period
    last_known: dt.date
    train_dates: npt.NDArray[np.datetime64]
    valid_dates: npt.NDArray[np.datetime64]
    train_indices: IntArray
    valid_indices: IntArray
    n_sampled: int
    n_purged: int

    @property
    def train_range(self) -> tuple[str, str]:
        """First and last training date, ISO."""
        return str(self.train_dates[0]), str(self.train_dates[-1])

    @property
    def valid_range(self) -> tuple[str, str]:
        """First and last validation date, ISO."""
        return str(self.valid_dates[0]), str(self.valid_dates[-1])


def _part_of(sessions: IntArray, known: IntArray, is_valid: npt.NDArray[np.bool_]) -> IntArray:
    """Number of the part that each session belongs to.

    A new part begins with the session of a sample whose role differs from that of the sample before it.
    """
    begins = known[1:][is_valid[1:] != is_valid[:-1]]
    return np.searchsorted(begins, sessions, side="right")
