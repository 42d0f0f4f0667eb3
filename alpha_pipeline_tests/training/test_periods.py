"""Half-years, walk-forward plans, and the purge."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alpha_pipeline.errors import InvalidSpec, MissingData, NotEnoughData, UnknownName
from alpha_pipeline.market.calendar import TradingCalendar
from alpha_pipeline.training.periods import Period, WalkForward, period_named, period_of, periods_between

JANUARY_31 = ((1, 31), (7, 31))


def weekdays(start: str, end: str) -> TradingCalendar:
    days = np.arange(np.datetime64(start), np.datetime64(end) + 1)
    return TradingCalendar("TEST", days[(days.astype("int64") + 3) % 7 < 5])


CALENDAR = weekdays("2013-01-01", "2018-12-31")


class TestExamples:
    def test_names_and_borders(self) -> None:
        assert period_named("2017H1") == Period(dt.date(2017, 1, 1), dt.date(2017, 6, 30), "2017H1")
        assert period_named("2017H2", JANUARY_31) == Period(dt.date(2017, 7, 31), dt.date(2018, 1, 30), "2017H2")
        assert period_of("2017-06-30").name == "2017H1"
        assert period_of(dt.date(2017, 7, 1)).name == "2017H2"
        assert period_of("2011-01-30", JANUARY_31).name == "2010H2"
        assert period_of("2011-01-31", JANUARY_31).name == "2011H1"
        assert "2017-06-30" in period_named("2017H1")
        assert "2017-07-01" not in period_named("2017H1")

    def test_half_years_of_a_model_start_on_its_own_days(self) -> None:
        """A session of January belongs to the half-year before, whose model knows nothing after 30 July."""
        walk = WalkForward(anchors=JANUARY_31)
        assert walk.period_of("2017-01-30").name == "2016H2" and walk.period_of("2017-01-31").name == "2017H1"
        assert walk.plan(walk.period_of("2017-01-30"), CALENDAR).last_known == dt.date(2016, 7, 29)
        assert walk.plan(walk.period_named("2017H1"), CALENDAR).last_known == dt.date(2017, 1, 30)

    def test_periods_between(self) -> None:
        assert [p.name for p in periods_between("2017-01-04", "2018-07-01")] == ["2017H1", "2017H2", "2018H1", "2018H2"]
        assert [p.name for p in periods_between("2011-01-31", "2011-07-31", JANUARY_31)] == ["2011H1", "2011H2"]
        assert periods_between("2018-01-02", "2018-01-01") == []

    def test_a_plan_by_hand(self) -> None:
        """20 sessions 0 … 19 before the period, every 2nd, label of 3 sessions.

        Samples 0, 2, …, 18; labels known by session 19: 0 … 16, nine of them, of which int(9 · 0.7) = 6 train: 0 … 10.
        Validation begins with session 12, so the labels of 10 (ends at 13) and of 9 … reach into it: 10 goes, 8 (ends at 11)
        stays.
        """
        calendar = weekdays("2016-12-05", "2017-01-31")
        plan = WalkForward(
            dt.date(2016, 12, 5), sample_every=2, train_share=0.7, horizon=2, lag=1, min_train_dates=1, min_valid_dates=1
        ).plan(period_named("2017H1"), calendar)
        assert plan.last_known == dt.date(2016, 12, 30) == dt.date.fromisoformat(str(calendar.sessions[19]))
        assert plan.train_indices.tolist() == [0, 2, 4, 6, 8]
        assert plan.valid_indices.tolist() == [12, 14, 16]
        assert (plan.n_sampled, plan.n_purged) == (10, 2)
        assert plan.train_range == ("2016-12-05", str(calendar.sessions[8]))
        assert plan.valid_range == (str(calendar.sessions[12]), str(calendar.sessions[16]))

    def test_blocks_by_hand(self) -> None:
        """Samples 0 … 9 (daily, label of 1 session), two blocks of five, of which one validates: 4, 9; 3, 4, 8 end outside."""
        calendar = weekdays("2016-12-16", "2017-01-31")  # 11 sessions in 2016
        spec = WalkForward(
            dt.date(2016, 12, 16),
            sample_every=1,
            horizon=1,
            validation="blocks",
            n_blocks=2,
            min_train_dates=1,
            min_valid_dates=1,
        )
        plan = spec.plan(period_named("2017H1"), calendar)
        assert plan.train_indices.tolist() == [0, 1, 2, 5, 6, 7]
        assert plan.valid_indices.tolist() == [
            9
        ]  # 4 validates, but its label ends at 5, which trains; 9 ends at 10, the last known

    def test_window_history_and_rolling_window_keep_the_phase(self) -> None:
        spec = WalkForward(dt.date(2013, 1, 1), sample_every=5)
        plan = spec.plan(period_named("2017H1"), CALENDAR, min_history=40)
        assert plan.train_indices[0] == 40  # session 39 is the first with 40 days; 40 is the first multiple of five from there
        rolling = dataclasses.replace(spec, n_days=303).plan(period_named("2017H1"), CALENDAR)
        last = CALENDAR.index(rolling.last_known)
        assert last - 303 < rolling.train_indices[0] <= last - 303 + 5
        assert rolling.train_indices[0] % 5 == 0


class TestProperties:
    @given(
        sample_every=st.integers(1, 7),
        share=st.floats(0.3, 0.9),
        horizon=st.integers(1, 15),
        lag=st.integers(0, 2),
        n_days=st.one_of(st.none(), st.integers(200, 700)),
        history=st.integers(1, 60),
        name=st.sampled_from(["2015H1", "2016H2", "2018H1"]),
        validation=st.sampled_from(["last", "blocks"]),
    )
    @settings(max_examples=150, deadline=None, derandomize=True)
    def test_no_label_leaves_its_part(
        self,
        sample_every: int,
        share: float,
        horizon: int,
        lag: int,
        n_days: int | None,
        history: int,
        name: str,
        validation: str,
    ) -> None:
        spec = WalkForward(dt.date(2013, 3, 5), n_days, sample_every, share, horizon, lag, validation, 3, 1, 1)  # type: ignore[arg-type]
        plan = spec.plan(period_named(name), CALENDAR, history)
        last = CALENDAR.index(plan.last_known)
        assert plan.last_known < plan.period.start <= dt.date.fromisoformat(str(CALENDAR.sessions[last + 1]))
        train, valid = set(plan.train_indices.tolist()), set(plan.valid_indices.tolist())
        origin = CALENDAR.index("2013-03-05")
        for sample in train | valid:
            assert sample >= max(origin, history - 1)
            assert (sample - origin) % sample_every == 0
            assert n_days is None or sample > last - n_days
            label = set(range(sample, sample + horizon + lag + 1))
            assert max(label) <= last
            assert not label & (valid if sample in train else train)
        if validation == "last":
            assert max(train) + horizon + lag < min(valid)
        assert CALENDAR.sessions[plan.train_indices].tolist() == plan.train_dates.tolist()
        assert plan.n_sampled - plan.n_purged == len(train) + len(valid)

    def test_purges_no_more_than_needed(self) -> None:
        plan = WalkForward(sample_every=1, horizon=10, lag=1).plan(period_named("2017H1"), CALENDAR)
        assert plan.train_indices[-1] + 11 == plan.valid_indices[0] - 1
        assert plan.valid_indices[-1] + 11 == CALENDAR.index(plan.last_known)

    def test_sessions_inside_the_period_do_not_matter(self) -> None:
        before = WalkForward().plan(period_named("2017H1"), weekdays("2013-01-01", "2016-12-31"))
        after = WalkForward().plan(period_named("2017H1"), CALENDAR)
        assert before.train_dates.tolist() == after.train_dates.tolist()
        assert before.valid_dates.tolist() == after.valid_dates.tolist()

    @pytest.mark.parametrize("n_days", [None, 500])
    def test_sampled_dates_are_stable_across_periods(self, n_days: int | None) -> None:
        spec = WalkForward(n_days=n_days)
        earlier, later = (spec.plan(period_named(name), CALENDAR) for name in ("2016H1", "2017H1"))
        used_earlier, used_later = ({*p.train_dates.tolist(), *p.valid_dates.tolist()} for p in (earlier, later))
        both = [
            d for d in used_earlier | used_later if max(min(used_earlier), min(used_later)) <= d <= earlier.train_dates[-1].item()
        ]
        assert len(both) > 20
        assert all(d in used_earlier and d in used_later for d in both)

    def test_periods_tile_the_years(self) -> None:
        for anchors in (((1, 1), (7, 1)), JANUARY_31, ((4, 30), (10, 31))):
            periods = periods_between("2000-01-01", "2030-12-31", anchors)
            for this, following in zip(periods, periods[1:], strict=False):
                assert following.start == this.end + dt.timedelta(days=1)
            for period in periods:
                assert (
                    period
                    == period_of(period.start, anchors)
                    == period_of(period.end, anchors)
                    == period_named(period.name, anchors)
                )


class TestErrors:
    def test_too_few_dates_says_how_many(self) -> None:
        with pytest.raises(
            NotEnoughData, match=r"period 2013H2: too few .*got \d+ training and \d+ validation.*at least 30 and 2"
        ):
            WalkForward(min_train_dates=30).plan(period_named("2013H2"), CALENDAR, min_history=40)

    def test_nothing_before_the_period(self) -> None:
        with pytest.raises(MissingData, match="no session before"):
            WalkForward().plan(period_named("2012H2"), CALENDAR)
        with pytest.raises(NotEnoughData, match="0 training .* after the last known session"):
            WalkForward(train_start=dt.date(2017, 5, 1)).plan(period_named("2017H1"), CALENDAR)
        with pytest.raises(NotEnoughData, match="0 training"):
            WalkForward().plan(period_named("2013H2"), CALENDAR, min_history=5000)

    @pytest.mark.parametrize("name", ["2017", "2017H3", "17H1", "2017h1"])
    def test_period_names(self, name: str) -> None:
        with pytest.raises(UnknownName, match=f"unknown period '{name}'"):
            period_named(name)

    def test_anchors(self) -> None:
        with pytest.raises(InvalidSpec, match="anchors of the half-years must rise"):
            period_named("2017H1", ((7, 1), (1, 1)))
        with pytest.raises(InvalidSpec, match="no day of every year"):
            period_named("2017H1", ((2, 29), (8, 31)))

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("sample_every", 0),
            ("horizon", 0),
            ("lag", -1),
            ("train_share", 1.0),
            ("n_days", 0),
            ("min_train_dates", 0),
            ("validation", "first"),
        ],
    )
    def test_settings(self, setting: str, value: Any) -> None:
        with pytest.raises(InvalidSpec, match=setting if setting != "validation" else "unknown kind of validation"):
            dataclasses.replace(WalkForward(), **{setting: value})
