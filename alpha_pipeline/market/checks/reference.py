"""Checks on what is not a bar of a stock: security status, index weights, fundamentals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alpha_pipeline.market.checks.result import MAX_EXAMPLES, CheckContext, CheckResult, finish, judge, not_run
from alpha_pipeline.market.schema import BOARDS


def board_names(frame: pd.DataFrame) -> CheckResult:
    """board is one of main, chinext, star, bse: an unknown board would have no price-limit rule."""
    failed = ~frame["board"].isin(BOARDS).to_numpy()
    return judge("board_names", "security_status", frame, failed, f"board is one of {', '.join(BOARDS)}", shown=("board",))


def weights_sum(frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """The weights of each index sum to 1 within 1e-6 (percent or month-end weights rounded to four digits do not)."""
    codes, names = pd.factorize(frame["index_code"])
    sums = np.bincount(codes, weights=frame["weight"].to_numpy(), minlength=len(names))
    failed = np.flatnonzero(np.abs(sums - 1) > context.tolerances.weights)
    examples: list[dict[str, object]] = [
        {"trade_date": context.trade_date.isoformat(), "index_code": str(names[i]), "sum": float(sums[i])}
        for i in failed[:MAX_EXAMPLES]
    ]
    return finish(
        "weights_sum", "index_weights", "error", len(names), len(failed), examples, "weights sum to 1 per index", unit="indices"
    )


def weights_not_negative(frame: pd.DataFrame) -> CheckResult:
    """No weight is below zero."""
    failed = frame["weight"].to_numpy() < 0
    return judge("weights_not_negative", "index_weights", frame, failed, "weights are not negative", shown=("weight",))


def members_known(frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """Every constituent is in ``security_status`` of the date."""
    if context.status is None:
        return not_run("members_known", "index_weights", "security_status of the date was not given")
    failed = ~frame["symbol"].isin(context.status["symbol"]).to_numpy()
    return judge("members_known", "index_weights", frame, failed, "constituents are in security_status", shown=("weight",))


def announced_after_period(frame: pd.DataFrame) -> CheckResult:
    """announce_date >= report_period: figures cannot be published before the period has ended."""
    failed = frame["announce_date"].to_numpy() < frame["report_period"].to_numpy()
    return judge("announced_after_period", "fundamentals", frame, failed, "announce_date is not before report_period",
                 shown=("announce_date",))


def announced_by_date(frame: pd.DataFrame) -> CheckResult:
    """announce_date <= trade_date: figures published later would be look-ahead."""
    failed = frame["announce_date"].to_numpy() > frame["trade_date"].to_numpy()
    return judge(
        "announced_by_date", "fundamentals", frame, failed, "announce_date is not after trade_date", shown=("announce_date",)
    )
