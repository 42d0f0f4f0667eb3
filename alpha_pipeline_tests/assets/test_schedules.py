"""The three schedules, asked on chosen evenings and mornings in Shanghai."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.experiments.demo import DEMO, DEMO_MODEL
from alpha_pipeline.experiments.multifreq import signal_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAILY, WEEKLY, RETRAIN = "daily_after_close", "weekly_rebalance_after_close", "half_yearly_retrain_before_open"
SECOND = replace(DEMO_MODEL, name="second", seeds=(7,))
TWO_MODELS = replace(DEMO, name="two", models=(DEMO_MODEL, SECOND), signals=(*DEMO.signals, signal_of(SECOND)))
LATE = replace(DEMO_MODEL, name="late", walk=replace(DEMO_MODEL.walk, anchors=((1, 31), (7, 31))))

Tick = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    """The demo market (2022-07-01 to 2024-06-28) with two models."""
    return build_definitions("demo", [TWO_MODELS]).get_repository_def()


@pytest.fixture(scope="module")
def tick(repository: dg.RepositoryDefinition) -> Tick:
    hours = {DAILY: 17, WEEKLY: 19, RETRAIN: 2}

    def evaluate(schedule: str, day: str) -> Any:
        at = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hours[schedule]), SHANGHAI)
        context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
        return repository.get_schedule_def(schedule).evaluate_tick(context)

    return evaluate


def requested(data: Any) -> list[str | None]:
    assert data.skip_message is None
    return [request.partition_key for request in data.run_requests]


def skipped(data: Any) -> str:
    assert not data.run_requests
    assert data.skip_message
    return data.skip_message


class TestOtherRhythm:
    def test_signal_dates_within_the_week(self):
        """Every fifth session from 2022-07-01: Friday 2022-07-08, 2022-07-15; after a holiday the days shift."""
        every = replace(DEMO, name="every", portfolios=(replace(DEMO.portfolios[0], name="every_five", every_n_sessions=5),))
        repository = build_definitions("demo", [every]).get_repository_def()

        def ask(day: dt.date) -> Any:
            at = dt.datetime.combine(day, dt.time(19), SHANGHAI)
            context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
            return repository.get_schedule_def(WEEKLY).evaluate_tick(context)

        days = [dt.date(2023, 6, 5) + dt.timedelta(days=n) for n in range(5)]
        answers = [ask(day) for day in days]
        fired = [a for a in answers if a.run_requests]
        assert requested(fired[-1]) == ["2023-06-05"], "the last session asks for all portfolios"
        narrow = [a.run_requests[0] for a in fired if a.run_requests[0].asset_selection]
        assert len(narrow) <= 1
        for request in narrow:
            assert {key.to_user_string() for key in request.asset_selection} == {"portfolios/every_five/weights", "portfolios/every_five/changes"}
        assert len(fired) == 1 + len(narrow)


class TestDaily:
    @pytest.mark.parametrize(
        "day",
        ["2023-06-21", "2022-07-01", "2024-06-28", "2023-09-28", "2023-10-09"],
        ids=["a Wednesday", "first session", "last session", "before Golden Week", "after Golden Week"],
    )
    def test_a_session_asks_for_its_own_partition(self, tick, day):
        data = tick(DAILY, day)
        assert requested(data) == [day]
        assert data.run_requests[0].run_key == f"daily-{day}"

    @pytest.mark.parametrize(
        "day",
        ["2023-06-24", "2023-10-02", "2023-10-07", "2023-01-24", "2023-06-22", "2022-06-30", "2024-07-01"],
        ids=["Saturday", "Golden Week", "a working Saturday", "Spring Festival", "Dragon Boat", "before the market", "after it"],
    )
    def test_any_other_day_is_skipped_with_a_reason(self, tick, day):
        assert skipped(tick(DAILY, day)).startswith(f"{day} is not a session of XSHG.")

    def test_the_machines_time_zone_does_not_matter(self, repository):
        """17:00 in Shanghai is still the same date when it is asked in UTC."""
        at = dt.datetime(2023, 6, 21, 9, 0, tzinfo=dt.UTC)
        context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
        assert requested(repository.get_schedule_def(DAILY).evaluate_tick(context)) == ["2023-06-21"]


class TestWeekly:
    @pytest.mark.parametrize(
        ("day", "week"),
        [
            ("2023-06-16", "2023-06-12"),
            ("2023-06-21", "2023-06-19"),
            ("2023-09-28", "2023-09-25"),
            ("2024-02-08", "2024-02-05"),
            ("2024-06-28", "2024-06-24"),
        ],
        ids=["a Friday", "a Wednesday before Dragon Boat", "before Golden Week", "before Spring Festival", "the market's last week"],
    )
    def test_the_last_session_asks_for_the_weeks_partition(self, tick, day, week):
        assert requested(tick(WEEKLY, day)) == [week]

    @pytest.mark.parametrize(
        ("day", "last"),
        [
            ("2023-06-15", "2023-06-16"),
            ("2023-06-20", "2023-06-21"),
            ("2023-06-23", "2023-06-21"),
            ("2023-10-13", None),
            ("2023-06-17", "2023-06-16"),
        ],
        ids=["a Thursday", "a Tuesday before Dragon Boat", "a Friday that is a holiday", "a full week's Friday", "a Saturday"],
    )
    def test_other_days_of_the_week(self, tick, day, last):
        if last is None:
            assert requested(tick(WEEKLY, day)) == ["2023-10-09"]
        else:
            assert skipped(tick(WEEKLY, day)).startswith(f"{day} is not the last session of its week ({last}).")

    @pytest.mark.parametrize("day", ["2023-10-02", "2023-10-06", "2023-01-27", "2024-02-16"])
    def test_a_closed_week_rebalances_nothing(self, tick, day):
        assert skipped(tick(WEEKLY, day)).startswith(f"{day} is not the last session of its week (no session).")

    def test_every_week_with_a_session_is_asked_for_once(self, tick):
        """Half a year of evenings, Spring Festival included."""
        days = [dt.date(2023, 1, 1) + dt.timedelta(days=i) for i in range(181)]
        asked = [key for day in days for key in (request.partition_key for request in tick(WEEKLY, day.isoformat()).run_requests)]
        assert len(asked) == len(set(asked)) == 25
        assert "2023-01-23" not in asked


@pytest.fixture(scope="module")
def asked() -> Callable[[str], list[str | None]]:
    """Half-years from 31 January and 31 July: what the retraining schedule asks for on a day."""
    spec = replace(DEMO, name="late", models=(LATE,), signals=(signal_of(LATE),), portfolios=())
    repository = build_definitions("demo", [spec]).get_repository_def()
    definition = repository.get_schedule_def(RETRAIN)
    assert definition.cron_schedule == "0 2 * 1,2,7,8 *"

    def on(day: str) -> list[str | None]:
        at = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(2), SHANGHAI)
        context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
        return [request.partition_key for request in definition.evaluate_tick(context).run_requests]

    return on


class TestHalfYearsFromAnotherDay:
    @pytest.mark.parametrize(("day", "key"), [("2023-01-31", "2023-01"), ("2023-07-31", "2023-07"), ("2024-01-31", "2024-01")])
    def test_the_first_session_from_that_day(self, asked, day, key):
        assert asked(day) == [key]

    @pytest.mark.parametrize("day", ["2023-01-03", "2023-02-01", "2023-07-03", "2023-08-01"])
    def test_no_other_day(self, asked, day):
        assert asked(day) == []


class TestHalfYearly:
    @pytest.mark.parametrize(
        ("day", "key"),
        [("2023-01-03", "2023-01"), ("2023-07-03", "2023-07"), ("2024-01-02", "2024-01")],
        ids=["2 January is a holiday", "1 July is a Saturday", "1 January is a Monday"],
    )
    def test_the_first_session_asks_for_one_run_per_model(self, tick, day, key):
        data = tick(RETRAIN, day)
        assert requested(data) == [key, key]
        assert [request.run_key for request in data.run_requests] == [f"retrain-demo_incremental-{key}", f"retrain-second-{key}"]
        assert [path.to_user_string() for path in data.run_requests[1].asset_selection] == ["models/second/training_set", "models/second/checkpoint"]

    @pytest.mark.parametrize(
        ("day", "first"),
        [
            ("2023-01-01", "2023-01-03"),
            ("2023-01-02", "2023-01-03"),
            ("2023-01-04", "2023-01-03"),
            ("2023-07-01", "2023-07-03"),
            ("2023-07-31", "2023-07-03"),
        ],
    )
    def test_other_days_are_skipped(self, tick, day, first):
        half = "2023H1" if day < "2023-07" else "2023H2"
        assert skipped(tick(RETRAIN, day)) == f"{day} is not the first session of {half} ({first})."

    def test_beyond_the_calendar(self, tick):
        assert skipped(tick(RETRAIN, "2024-07-01")).startswith("2024-07-01 is not the first session of 2024H2 (unknown). The market's calendar ends")

    def test_it_wakes_in_january_and_july_only(self, repository):
        schedule = repository.get_schedule_def(RETRAIN)
        assert schedule.cron_schedule == "0 2 * 1,7 *"
        assert schedule.execution_timezone == "Asia/Shanghai"


class TestCalendarEnd:
    """The market's calendar ends on 2024-06-28."""

    NOTE = "The market's calendar ends on 2024-06-28: extend its end date (and exchange_calendars) within {} days."

    def test_a_skipped_day_says_so_in_its_reason(self, tick):
        assert skipped(tick(DAILY, "2024-06-10")) == "2024-06-10 is not a session of XSHG. " + self.NOTE.format(18)

    def test_a_session_logs_a_warning(self, tick, capsys):
        assert requested(tick(DAILY, "2024-05-29")) == ["2024-05-29"]
        assert f"WARNING - {self.NOTE.format(30)}" in capsys.readouterr().err

    def test_there_is_none_a_day_earlier(self, tick, capsys):
        assert requested(tick(DAILY, "2024-05-28")) == ["2024-05-28"]
        assert "calendar ends" not in capsys.readouterr().err
        assert "calendar ends" not in skipped(tick(DAILY, "2024-05-01"))

    @pytest.mark.parametrize("schedule", [DAILY, WEEKLY, RETRAIN])
    def test_after_the_end_it_stays(self, tick, schedule):
        assert skipped(tick(schedule, "2024-07-13")).endswith(self.NOTE.format(0))


class TestSwitchedOff:
    def test_nothing_runs_until_somebody_turns_it_on(self, repository):
        assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.STOPPED}
