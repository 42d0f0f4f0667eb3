"""Schedules, in Shanghai time: daily after the close, weekly after the week's last session, half-yearly before the first session.

Each asks the calendar whether the session exists and is closed; on a holiday it skips and says so.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import dagster as dg

from alpha_pipeline.assets.common import AssetJob
from alpha_pipeline.assets.jobs import fit_key, training_keys
from alpha_pipeline.assets.partitions import TIMEZONE, half_year_key
from alpha_pipeline.assets.stored_checks import CALENDAR_WARNING_DAYS
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.pipeline.session import monday, rebalance_session
from alpha_pipeline.training.periods import CALENDAR_HALVES, Anchors, Period, period_of


def schedules(calendar: TradingCalendar, daily: AssetJob, weekly: AssetJob | None,
              retrain: AssetJob, models: Mapping[str, Anchors], fitted: Sequence[str] = (),
              portfolios: Sequence[PortfolioSpec] = ()) -> list[dg.ScheduleDefinition]:
    """The three schedules of a market; stopped until somebody turns them on. ``models``: where each counts its half-years from; ``fitted``:
    combinations that learn, trained with them."""
    selections = {name: training_keys(name) for name in models} | {name: [fit_key(name)] for name in fitted}
    found = [_daily(calendar, daily), _retrain(calendar, retrain, selections, models)]
    return [*found, _weekly(calendar, weekly, portfolios)] if weekly is not None else found


def _today(context: dg.ScheduleEvaluationContext) -> dt.date:
    from zoneinfo import ZoneInfo

    return context.scheduled_execution_time.astimezone(ZoneInfo(TIMEZONE)).date()


def _calendar_note(calendar: TradingCalendar, today: dt.date) -> str:
    left = (calendar.last - today).days
    if left > CALENDAR_WARNING_DAYS:
        return ""
    return f" The market's calendar ends on {calendar.last}: extend its end date (and exchange_calendars) within {max(left, 0)} days."


def _daily(calendar: TradingCalendar, job: AssetJob) -> dg.ScheduleDefinition:
    @dg.schedule(name="daily_after_close", job=job, cron_schedule="0 17 * * *", execution_timezone=TIMEZONE,
                 description="17:00 on trade dates: ingest, check, score.")
    def daily_after_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = _today(context)
        note = _calendar_note(calendar, today)
        if note:
            context.log.warning(note.strip())
        if not calendar.is_session(today):
            return dg.SkipReason(f"{today} is not a session of {calendar.exchange}.{note}")
        return dg.RunRequest(run_key=f"daily-{today}", partition_key=today.isoformat())

    return daily_after_close


def _weekly(calendar: TradingCalendar, job: AssetJob, portfolios: Sequence[PortfolioSpec]) -> dg.ScheduleDefinition:
    @dg.schedule(name="weekly_rebalance_after_close", job=job, cron_schedule="0 19 * * *", execution_timezone=TIMEZONE,
                 description="19:00 on the last session of each week, and on signal dates of portfolios with a rhythm of their own: target weights.")
    def weekly_rebalance_after_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = _today(context)
        week = monday(today).isoformat()
        last = rebalance_session(week, calendar)
        due = [p.name for p in portfolios if p.every_n_sessions and rebalance_session(week, calendar, p.every_n_sessions) == today]
        if due and last != today:
            keys = [dg.AssetKey(["portfolios", portfolio, name]) for portfolio in due for name in ("weights", "changes")]
            return dg.RunRequest(run_key=f"week-{week}-{today}", partition_key=week, asset_selection=keys)
        if last != today:
            return dg.SkipReason(f"{today} is not the last session of its week ({last or 'no session'}).{_calendar_note(calendar, today)}")
        return dg.RunRequest(run_key=f"week-{week}", partition_key=week)

    return weekly_rebalance_after_close


def _retrain(calendar: TradingCalendar, job: AssetJob, selections: Mapping[str, list[dg.AssetKey]],
             anchors: Mapping[str, Anchors]) -> dg.ScheduleDefinition:
    months = ",".join(map(str, sorted({month for days in (CALENDAR_HALVES, *anchors.values()) for month in _months(days)})))

    @dg.schedule(name="half_yearly_retrain_before_open", job=job, cron_schedule=f"0 2 * {months} *", execution_timezone=TIMEZONE,
                 description="02:00 before the first session of a half-year: train every model on what was known at the previous close.")
    def half_yearly_retrain_before_open(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        today = _today(context)
        periods = {name: period_of(today, anchors.get(name, CALENDAR_HALVES)) for name in selections}
        due = {name: half_year_key(period.name) for name, period in periods.items() if _first_session(calendar, period) == today}
        if due:
            return [dg.RunRequest(run_key=f"retrain-{name}-{key}", partition_key=key, asset_selection=selections[name]) for name, key in due.items()]
        period = next(iter(periods.values()), period_of(today))
        first = _first_session(calendar, period) or "unknown"
        return dg.SkipReason(f"{today} is not the first session of {period.name} ({first}).{_calendar_note(calendar, today)}")

    return half_yearly_retrain_before_open


def _first_session(calendar: TradingCalendar, period: Period) -> dt.date | None:
    sessions = calendar.between(period.start, period.end)
    return as_date(sessions[0]) if len(sessions) else None


def _months(anchors: Anchors) -> list[int]:
    """Months in which the first session of a half-year may lie: a start late in a month may wait for the next, over holidays."""
    return [month + late if month + late <= 12 else 1 for month, day in anchors for late in ((0, 1) if day > 20 else (0,))]
