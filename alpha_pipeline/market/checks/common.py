"""Checks that every table shares: key, dates, number of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alpha_pipeline.market.checks.result import MAX_EXAMPLES, CheckContext, CheckResult, Severity, finish, judge, not_run
from alpha_pipeline.market.schema import TABLES


def unique_key(table: str, frame: pd.DataFrame) -> CheckResult:
    """No two rows have the same key. All rows of a repeated key count as failed."""
    combined = np.zeros(len(frame), dtype="int64")
    for name in TABLES[table].key:
        codes, values = pd.factorize(frame[name])
        combined = combined * (len(values) + 1) + codes  # mixed radix: equal exactly where all parts are equal
    n_distinct = len(pd.unique(combined))
    failed = (
        pd.Series(combined).duplicated(keep=False).to_numpy() if n_distinct < len(frame) else np.zeros(len(frame), dtype=bool)
    )
    return judge("unique_key", table, frame, failed, f"key {', '.join(TABLES[table].key)} is unique")


def not_empty(table: str, frame: pd.DataFrame) -> CheckResult:
    """The table has at least one row on a session."""
    return finish("not_empty", table, "error", len(frame), int(len(frame) == 0), [], "the partition has rows")


def partition_date(table: str, frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """Every row belongs to the trade date of its partition: rows of a later date would be look-ahead."""
    day = np.datetime64(context.trade_date, "s")
    failed = frame["trade_date"].to_numpy() != day
    return judge("partition_date", table, frame, failed, f"trade_date is {context.trade_date}")


def session(table: str, frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """The partition is a session of the exchange, not a holiday or a weekend."""
    if context.calendar is None:
        return not_run("session", table, "no calendar was given")
    day, calendar = context.trade_date, context.calendar
    is_session = calendar.is_session(day)
    example: dict[str, object] = {"trade_date": day.isoformat(), "nearest sessions": calendar.nearest(day)}
    return finish("session", table, "error", 1, int(not is_session), [] if is_session else [example],
                  f"{day} is a session of {calendar.exchange}", unit="dates")


def coverage(table: str, frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """The table keeps its names from the previous session: losing more than 2 % warns, more than 20 % blocks.

    Counted over names, so that a missing bar is not counted twice; names that are new do not make up for names that are gone. In
    ``index_weights`` the number of members of each index is compared instead, since a reconstitution replaces up to a
    fifth of the names.
    """
    if table not in context.previous:
        return not_run("coverage", table, "no previous session was given")
    before = context.previous[table]
    examples: list[dict[str, object]]
    if table == "index_weights":
        old, new = before["index_code"].value_counts(), frame["index_code"].value_counts()
        lost = (old - new.reindex(old.index, fill_value=0)).clip(lower=0)
        share = float((lost / old).max()) if len(old) else 0.0
        n_old, n_gone = int(old.sum()), int(lost.sum())
        examples = [
            {"index_code": code, "members": int(old[code] - lost[code]), "before": int(old[code])}
            for code in lost.index[lost > 0]
        ]
    else:
        name = next(c for c in TABLES[table].key if c != "trade_date")
        known = pd.Index(before[name].unique())
        gone = known.difference(pd.Index(frame[name].unique()))
        n_old, n_gone = len(known), len(gone)
        share = n_gone / n_old if n_old else 0.0
        examples = [{name: key} for key in gone[:MAX_EXAMPLES]]
    tolerances = context.tolerances
    rule = f"at most {tolerances.coverage_warn:.0%} of the names of the previous session are gone ({share:.1%})"
    failed = share > tolerances.coverage_warn
    severity: Severity = "error" if share > tolerances.coverage_block else "warn"
    return finish(
        "coverage", table, severity, n_old, n_gone if failed else 0, examples[:MAX_EXAMPLES] if failed else [], rule, unit="names"
    )
