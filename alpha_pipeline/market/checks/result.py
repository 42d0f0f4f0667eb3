"""What a check returns, what it may look at, and how a failing row is reported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.market.calendar import TradingCalendar
from alpha_pipeline.market.frames import plain
from alpha_pipeline.market.schema import TABLES

Severity = Literal["error", "warn"]
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class CheckResult:
    """One check on one table of one trade date.

    ``examples`` holds the key and the offending values of at most five failing rows. ``n_rows`` counts the rows
    looked at. When what a check compares with is absent, ``not_run`` says what, and the result counts as passed with
    zero rows.
    """

    name: str
    table: str
    severity: Severity
    passed: bool
    n_rows: int
    n_failed: int
    examples: list[dict[str, object]]
    message: str
    not_run: str = ""


@dataclass(frozen=True)
class Tolerances:
    """How far values may be apart before a check fails.

    ``tick``: half of the 0.01 CNY price step, for prices rounded at the source. ``vwap``: relative, on top of
    ``tick``: amounts are published in whole CNY or in float32. ``limit_ticks``, ``limit``: one tick plus a share of
    pre_close, since a reference price derived from a cumulative factor can round to the next tick. ``bars_volume``:
    relative gap of the bars' sum to the daily volume. ``coverage_warn``, ``coverage_block``: share of the previous
    session's rows that may vanish.
    """

    tick: float = 0.005
    vwap: float = 1e-4
    limit_ticks: float = 0.01
    limit: float = 1e-3
    bars_volume: float = 0.01
    weights: float = 1e-6
    coverage_warn: float = 0.02
    coverage_block: float = 0.20


@dataclass(frozen=True)
class CheckContext:
    """What a table of one trade date is compared with; all of it known at that date's close.

    Parameters
    ----------
    trade_date : the date of the partition.
    calendar : sessions of the market's exchange.
    daily_bars, status : the same date's ``daily_bars`` and ``security_status``; None while they are not there.
    previous : the previous session's tables by name, for coverage and the adjustment factor.
    intraday_minutes : length of a bar of ``intraday_bars``; 240 / intraday_minutes bars make a session.
    overrides : severity by check name, ``ohlc_order``, or by ``table.check``, ``intraday_bars.bars_high``, which goes
        first. A check
        can be lowered to a warning but not switched off: a known defect stays visible.
    """

    trade_date: dt.date
    calendar: TradingCalendar | None = None
    daily_bars: pd.DataFrame | None = None
    status: pd.DataFrame | None = None
    previous: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    intraday_minutes: int | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    tolerances: Tolerances = Tolerances()


def judge(
    name: str, table: str, frame: pd.DataFrame, failed: np.ndarray, rule: str, *,
    severity: Severity = "error", shown: tuple[str, ...] = (), extra: Mapping[str, np.ndarray] | None = None,
    looked_at: np.ndarray | None = None,
) -> CheckResult:
    """The result of a row-wise check.

    ``failed``: bool per row of ``frame``. ``shown``: columns to quote besides the key, ``extra``: further values per
    row. ``looked_at``: rows to which the rule applies (default all).
    """
    n_rows = len(frame) if looked_at is None else int(looked_at.sum())
    rows = np.flatnonzero(failed)
    key = TABLES[table].key
    examples = []
    for row in rows[:MAX_EXAMPLES]:
        named = [c for c in (*key, *shown) if c in frame.columns]
        example = {c: plain(frame[c].iloc[row]) for c in dict.fromkeys(named)}
        example.update({c: plain(values[row]) for c, values in (extra or {}).items()})
        examples.append(example)
    return finish(name, table, severity, n_rows, len(rows), examples, rule)


def finish(
    name: str,
    table: str,
    severity: Severity,
    n_rows: int,
    n_failed: int,
    examples: list[dict[str, object]],
    rule: str,
    unit: str = "rows",
) -> CheckResult:
    """A result with its message: what failed, how often, and the first example."""
    if n_failed == 0:
        return CheckResult(name, table, severity, True, n_rows, 0, [], f"{rule}: holds for {n_rows} {unit}")
    first = f"; first: {' '.join(f'{k}={v}' for k, v in examples[0].items())}" if examples else ""
    return CheckResult(
        name, table, severity, False, n_rows, n_failed, examples, f"{rule}: fails for {n_failed} of {n_rows} {unit}{first}"
    )


def not_run(name: str, table: str, why: str, severity: Severity = "error") -> CheckResult:
    """The result of a check that has nothing to compare with."""
    return CheckResult(name, table, severity, True, 0, 0, [], f"not run: {why}", why)


def validate_overrides(overrides: Mapping[str, str], known: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse an override that names no check or is neither 'error' nor 'warn'.

    ``known``: check names by table. Raises :class:`UnknownName` or :class:`InvalidSpec`.
    """
    names = sorted({name for checks in known.values() for name in checks})
    qualified = [f"{table}.{name}" for table, checks in known.items() for name in checks]
    for key, severity in overrides.items():
        if key not in names and key not in qualified:
            raise unknown_name("check", key, [*qualified] if "." in key else names)
        if severity not in ("error", "warn"):
            raise InvalidSpec(
                sentence(
                    "a check can be lowered but not switched off",
                    where=f"checks.{key}",
                    got=repr(severity),
                    expected="'error' or 'warn'",
                    next_step="Use 'warn' and state the known defect in the market's notes.",
                )
            )
