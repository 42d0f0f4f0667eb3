"""Checks on bars: prices, volume and amount, price limits, the adjustment factor, intraday against daily."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alpha_pipeline.market.checks.result import MAX_EXAMPLES, CheckContext, CheckResult, finish, judge, not_run

_PRICES = ("open", "high", "low", "close")
_SESSION_MINUTES = 240
_OPENS = ((9 * 60 + 30, 11 * 60 + 30), (13 * 60, 15 * 60))  # minutes since midnight of the two half-sessions


def positive_prices(table: str, frame: pd.DataFrame) -> CheckResult:
    """All prices are above zero (a zero price is how some vendors mark a suspension); a missing vwap is left alone."""
    columns = [c for c in (*_PRICES, "pre_close", "vwap", "adj_factor") if c in frame.columns]
    failed = (frame[columns].to_numpy() <= 0).any(axis=1)
    return judge("positive_prices", table, frame, failed, f"{', '.join(columns)} are positive", shown=tuple(columns))


def ohlc_order(table: str, frame: pd.DataFrame) -> CheckResult:
    """low <= open, close <= high."""
    opened, high, low, close = (frame[c].to_numpy() for c in _PRICES)
    failed = (low > opened) | (low > close) | (high < opened) | (high < close) | (low > high)
    return judge("ohlc_order", table, frame, failed, "low <= open, close <= high", shown=_PRICES)


def vwap_in_range(table: str, frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """low <= vwap <= high, up to half a tick and the rounding of the amount; rows without a vwap are left out."""
    vwap, high, low = (frame[c].to_numpy() for c in ("vwap", "high", "low"))
    slack = context.tolerances.tick + context.tolerances.vwap * high
    failed = (vwap < low - slack) | (vwap > high + slack)  # False where vwap is NaN
    return judge(
        "vwap_in_range", table, frame, failed, "low <= vwap <= high", shown=("low", "vwap", "high"), looked_at=~np.isnan(vwap)
    )


def volume_and_amount(table: str, frame: pd.DataFrame) -> CheckResult:
    """volume and amount are not negative, and one is zero exactly where the other is; rows without an amount are left out."""
    volume, amount = frame["volume"].to_numpy(), frame["amount"].to_numpy()
    known = ~np.isnan(amount)
    failed = (volume < 0) | (known & ((amount < 0) | ((volume == 0) != (amount == 0))))
    return judge("volume_and_amount", table, frame, failed, "volume is zero exactly where amount is, neither is negative",
                 shown=("volume", "amount"), looked_at=known)


def trade_status(table: str, frame: pd.DataFrame) -> CheckResult:
    """trade_status is 'trading' or 'suspended', and a suspended name has no volume."""
    status = frame["trade_status"]
    suspended = (status == "suspended").to_numpy()
    failed = ~(suspended | (status == "trading").to_numpy()) | (suspended & (frame["volume"].to_numpy() != 0))
    return judge("trade_status", table, frame, failed, "trade_status is 'trading' or 'suspended', the latter with volume 0",
                 shown=("trade_status", "volume"))


def within_limits(table: str, frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """|close / pre_close - 1| and the day's high and low stay within the price limits of ``security_status``, plus a tolerance.

    Days without a limit (missing limit_up or limit_down) and suspended names are left out.
    """
    if context.status is None:
        return not_run("within_limits", table, "security_status of the date was not given")
    at = _positions(context.status["symbol"], frame["symbol"])
    limit_up, limit_down = (_take(context.status[c], at) for c in ("limit_up", "limit_down"))
    high, low, close, pre_close = (frame[c].to_numpy() for c in ("high", "low", "close", "pre_close"))
    slack = context.tolerances.limit_ticks + context.tolerances.limit * pre_close
    applies = (frame["volume"].to_numpy() > 0) & ~np.isnan(limit_up) & ~np.isnan(limit_down)
    failed = applies & ((high > limit_up + slack) | (low < limit_down - slack))
    returns = np.round(close / np.where(pre_close > 0, pre_close, np.nan) - 1, 4)
    return judge(
        "within_limits",
        table,
        frame,
        failed,
        "prices stay within the limits of the day",
        shown=("pre_close", "high", "low", "close"),
        extra={"return": returns, "limit_up": limit_up, "limit_down": limit_down},
        looked_at=applies,
    )


def adj_factor_falls(table: str, frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """adj_factor does not fall from the previous session: a backward factor falls only by a reverse split (warns)."""
    if table not in context.previous:
        return not_run("adj_factor_falls", table, "no previous session was given", "warn")
    before = context.previous[table]
    previous = _take(before["adj_factor"], _positions(before["symbol"], frame["symbol"]))
    failed = frame["adj_factor"].to_numpy() < previous * (1 - 1e-6)  # float32 sources
    return judge("adj_factor_falls", table, frame, failed, "adj_factor does not fall", severity="warn", shown=("adj_factor",),
                 extra={"previous": previous}, looked_at=~np.isnan(previous))


def bar_times(frame: pd.DataFrame, context: CheckContext) -> CheckResult:
    """Bars are stamped at their end within the session: 09:45 … 11:30, 13:15 … 15:00 for 15 minutes. A start stamp
    (09:30) fails.
    """
    if context.intraday_minutes is None:
        return not_run("bar_times", "intraday_bars", "the length of a bar was not given")
    step = context.intraday_minutes
    ends = [minute for start, end in _OPENS for minute in range(start + step, end + 1, step)]
    allowed = (np.datetime64(context.trade_date, "s") + np.array(ends) * np.timedelta64(60, "s")).astype("int64")
    stamps = frame["bar_end"].to_numpy().astype("int64")
    at = np.minimum(np.searchsorted(allowed, stamps), len(allowed) - 1)
    return judge(
        "bar_times", "intraday_bars", frame, allowed[at] != stamps, f"bar_end is the end of a {step}-minute bar of the date"
    )


def bars_against_daily(frame: pd.DataFrame, context: CheckContext) -> list[CheckResult]:
    """Intraday bars add up to the daily bar of each traded name.

    Five results: ``traded_names_have_bars``; ``bars_per_name``, exactly 240 / minutes bars each; ``bars_volume``, sum
    of volume; ``bars_high`` and ``bars_low``, extremes within half a tick. Names without bars count in the first
    only.
    """
    names = ("traded_names_have_bars", "bars_per_name", "bars_volume", "bars_high", "bars_low")
    if context.daily_bars is None or context.intraday_minutes is None:
        what = "daily_bars of the date was" if context.daily_bars is None else "the length of a bar was"
        return [not_run(name, "intraday_bars", f"{what} not given") for name in names]
    daily, tolerances = context.daily_bars, context.tolerances
    n_expected = _SESSION_MINUTES // context.intraday_minutes
    codes, symbols = pd.factorize(frame["symbol"])
    n_bars = np.bincount(codes, minlength=len(symbols))
    volume = np.bincount(codes, weights=frame["volume"].to_numpy(), minlength=len(symbols))
    high, low = np.full(len(symbols), -np.inf), np.full(len(symbols), np.inf)
    np.maximum.at(high, codes, frame["high"].to_numpy())
    np.minimum.at(low, codes, frame["low"].to_numpy())

    at = pd.Index(symbols).get_indexer(pd.Index(daily["symbol"]))
    traded = daily["volume"].to_numpy() > 0
    have = at >= 0
    count = np.where(have, n_bars[at], 0) if len(symbols) else np.zeros(len(daily), dtype="int64")
    sum_volume, top, bottom = (_take(pd.Series(x), at) for x in (volume, high, low))
    both = traded & have
    n_suspended_with_bars = int((have & ~traded).sum())

    def result(name: str, failed: np.ndarray, looked_at: np.ndarray, rule: str, values: dict[str, np.ndarray]) -> CheckResult:
        rows = np.flatnonzero(failed)
        examples = [{"trade_date": context.trade_date.isoformat(), "symbol": str(daily["symbol"].iloc[row]),
                     **{k: v[row].item() for k, v in values.items()}} for row in rows[:MAX_EXAMPLES]]
        return finish(name, "intraday_bars", "error", int(looked_at.sum()), len(rows), examples, rule, unit="names")

    daily_volume, daily_high, daily_low = (daily[c].to_numpy() for c in ("volume", "high", "low"))
    counted = traded & have | (have & ~traded)
    rule = f"a traded name has exactly {n_expected} bars" + (
        f", a suspended one none ({n_suspended_with_bars} have)" if n_suspended_with_bars else ""
    )
    expected = np.where(traded, n_expected, 0)
    return [
        result(names[0], traded & ~have, traded, "every traded name has intraday bars", {"volume": daily_volume}),
        result(names[1], counted & (count != expected), counted, rule, {"n_bars": count, "expected": expected}),
        result(names[2], both & (np.abs(sum_volume - daily_volume) > tolerances.bars_volume * daily_volume), both,
               "the bars' volume adds up to the daily volume", {"bars": sum_volume, "daily": daily_volume}),
        result(names[3], both & (np.abs(top - daily_high) > tolerances.tick), both,
               "the bars' highest price is the daily high", {"bars": top, "daily": daily_high}),
        result(names[4], both & (np.abs(bottom - daily_low) > tolerances.tick), both,
               "the bars' lowest price is the daily low", {"bars": bottom, "daily": daily_low}),
    ]


def _positions(known: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Row of each wanted symbol in ``known``, -1 where it has none; the first row wins where a symbol repeats."""
    index = pd.Index(known)
    if index.is_unique:
        return index.get_indexer(pd.Index(wanted))
    first = ~index.duplicated()
    return np.where((at := index[first].get_indexer(pd.Index(wanted))) >= 0, np.flatnonzero(first)[at], -1)


def _take(values: pd.Series, at: np.ndarray) -> np.ndarray:
    """Values at the positions, NaN where the position is -1."""
    if len(values) == 0:
        return np.full(len(at), np.nan)
    return np.where(at >= 0, values.to_numpy(dtype="float64")[at], np.nan)
