"""Checks on the raw tables of one trade date: pure functions that report failing rows with key and value.

:func:`check_table` runs all checks of a table. A failed check of severity ``error`` should keep the partition from
being published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pandas as pd

from alpha_pipeline.errors import BadInput
from alpha_pipeline.market.checks import bars, common, reference
from alpha_pipeline.market.checks.result import CheckContext, CheckResult, Severity, Tolerances, validate_overrides
from alpha_pipeline.market.frames import conform, table_schema

__all__ = ["CHECKS", "CheckContext", "CheckResult", "Severity", "Tolerances", "blocking", "check_conformed", "check_table", "validate_overrides"]

_COMMON = ("schema", "unique_key", "not_empty", "partition_date", "session", "coverage")
CHECKS: dict[str, tuple[str, ...]] = {
    "daily_bars": (
        *_COMMON,
        "positive_prices",
        "ohlc_order",
        "vwap_in_range",
        "volume_and_amount",
        "trade_status",
        "within_limits",
        "adj_factor_falls",
    ),
    "intraday_bars": (
        *_COMMON,
        "positive_prices",
        "ohlc_order",
        "vwap_in_range",
        "volume_and_amount",
        "bar_times",
        "traded_names_have_bars",
        "bars_per_name",
        "bars_volume",
        "bars_high",
        "bars_low",
    ),
    "security_status": (*_COMMON, "board_names"),
    "index_weights": (*_COMMON, "weights_sum", "weights_not_negative", "members_known"),
    "index_bars": (*_COMMON, "positive_prices", "ohlc_order"),
    # most sessions publish no report, so neither emptiness nor coverage says anything
    "fundamentals": ("schema", "unique_key", "partition_date", "session", "announced_after_period", "announced_by_date"),
}


def check_table(table: str, frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    """Results of all checks of ``table``, in the order of :data:`CHECKS`.

    A frame that does not conform to the schema gives the one failed result ``schema``; the others have nothing to
    stand on. A table that a check compares with (``status``, ``daily_bars``, the previous session) may be absent: the
    result then says ``not_run``.

    Raises
    ------
    UnknownName
        The table is unknown, or an override names no check.
    InvalidSpec
        An override is neither 'error' nor 'warn'.
    """
    table_schema(table)
    try:
        conformed = conform(table, frame, where=f"{table} {context.trade_date}")
    except BadInput as error:
        validate_overrides(context.overrides, CHECKS)
        return [CheckResult("schema", table, "error", False, len(frame), len(frame), [], str(error))]
    return check_conformed(table, conformed, context)


def check_conformed(table: str, frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    """:func:`check_table` for a frame that :func:`~alpha_pipeline.market.frames.conform` returned."""
    validate_overrides(context.overrides, CHECKS)
    results = [
        CheckResult("schema", table, "error", True, len(frame), 0, [], f"columns and dtypes: hold for {len(frame)} rows"),
        *_common(table, frame, context), *_SPECIFIC[table](frame, context),
    ]
    assert tuple(r.name for r in results) == CHECKS[table]
    return [replace(result, severity=_severity(result, context)) for result in results]


def blocking(results: Sequence[CheckResult]) -> list[CheckResult]:
    """The failed results of severity ``error``."""
    return [result for result in results if not result.passed and result.severity == "error"]


def _severity(result: CheckResult, context: CheckContext) -> Severity:
    override = context.overrides.get(f"{result.table}.{result.name}", context.overrides.get(result.name, result.severity))
    return cast(Severity, override)


def _common(table: str, frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    shared = [common.unique_key(table, frame)]
    if table != "fundamentals":
        shared.append(common.not_empty(table, frame))
    shared += [common.partition_date(table, frame, context), common.session(table, frame, context)]
    if table != "fundamentals":
        shared.append(common.coverage(table, frame, context))
    return shared


def _prices(table: str, frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [bars.positive_prices(table, frame), bars.ohlc_order(table, frame), bars.vwap_in_range(table, frame, context),
            bars.volume_and_amount(table, frame)]


def _daily_bars(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [
        *_prices("daily_bars", frame, context),
        bars.trade_status("daily_bars", frame),
        bars.within_limits("daily_bars", frame, context),
        bars.adj_factor_falls("daily_bars", frame, context),
    ]


def _intraday_bars(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [*_prices("intraday_bars", frame, context), bars.bar_times(frame, context), *bars.bars_against_daily(frame, context)]


def _security_status(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [reference.board_names(frame)]


def _index_weights(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [reference.weights_sum(frame, context), reference.weights_not_negative(frame), reference.members_known(frame, context)]


def _index_bars(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [bars.positive_prices("index_bars", frame), bars.ohlc_order("index_bars", frame)]


def _fundamentals(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    return [reference.announced_after_period(frame), reference.announced_by_date(frame)]


_SPECIFIC = {
    "daily_bars": _daily_bars,
    "intraday_bars": _intraday_bars,
    "security_status": _security_status,
    "index_weights": _index_weights,
    "index_bars": _index_bars,
    "fundamentals": _fundamentals,
}
