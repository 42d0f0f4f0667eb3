"""Results of a backtest as tables: one row per day, per holding and per trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from alpha_pipeline.backtest.engine import DayResult, PortfolioState

DAILY_COLUMNS = (
    "trade_date", "portfolio_return", "benchmark_return", "excess_return", "nav", "excess_nav", "turnover_two_sided", "cost",
    "cash", "is_rebalance", "return_held", "return_traded", "unfilled_buy", "unfilled_sell",
)  # fmt: skip
HOLDING_COLUMNS = ("trade_date", "symbol", "weight_open", "weight_traded", "weight")
TRADE_COLUMNS = ("trade_date", "symbol", "trade", "unfilled", "reason")


@dataclass(frozen=True, eq=False)
class BacktestResult:
    """Tables of one run; all numbers are decimals.

    Attributes
    ----------
    daily
        :data:`DAILY_COLUMNS`. ``is_rebalance``: a target was traded by a portfolio that held something before. ``nav``
        and ``excess_nav`` start from 1 before the first row (``nav`` from the initial state's);
        excess_nav = Π(1 + excess_return). ``turnover_two_sided``, ``unfilled_*``: of the NAV at the trade; ``cost``: of the
        previous close's NAV; ``cash``: of the NAV at close.
    holdings
        :data:`HOLDING_COLUMNS`, rows in which one of the weights is above 0: ``weight_open`` of the previous close's NAV,
        ``weight_traded`` after the trade and its costs (NaN on days without a trade), ``weight`` at the close.
        Attribution: return = Σ weight_open · (previous close → trade)
        + Σ weight_traded · (trade → close) · NAV after the trade / NAV at the previous close − cost.
    trades
        :data:`TRADE_COLUMNS`: signed decimals of the NAV at the trade; ``unfilled`` is what restrictions prevented;
        ``reason`` is ``target`` or ``delisted``.
    final
        State at the last close: where the next run continues.
    pending
        Sessions whose target has not been traded when the run ends.
    """

    daily: pd.DataFrame
    holdings: pd.DataFrame
    trades: pd.DataFrame
    final: PortfolioState
    pending: tuple[int, ...]


def frames(
    symbols: tuple[str, ...],
    states: Sequence[PortfolioState],
    days: Sequence[DayResult],
    benchmark_returns: np.ndarray,
    final: PortfolioState,
    pending: tuple[int, ...],
) -> BacktestResult:
    """Tables from the states at each close and the results of each day; ``benchmark_returns`` (len(days),)."""
    dates = np.array([day.trade_date for day in days], dtype="datetime64[D]").astype("datetime64[s]")
    excess = np.array([day.portfolio_return for day in days]) - benchmark_returns
    daily = pd.DataFrame(
        {
            "trade_date": dates,
            "portfolio_return": [day.portfolio_return for day in days],
            "benchmark_return": benchmark_returns,
            "excess_return": excess,
            "nav": [state.nav for state in states],
            "excess_nav": np.cumprod(1.0 + excess),
            "turnover_two_sided": [day.turnover_two_sided for day in days],
            "cost": [day.cost for day in days],
            "cash": [state.cash for state in states],
            "is_rebalance": [day.trades is not None and bool((day.weight_open > 0.0).any()) for day in days],
            "return_held": [day.return_held for day in days],
            "return_traded": [day.return_traded for day in days],
            "unfilled_buy": [0.0 if day.unfilled_buy is None else float(day.unfilled_buy.sum()) for day in days],
            "unfilled_sell": [0.0 if day.unfilled_sell is None else float(day.unfilled_sell.sum()) for day in days],
        },
        columns=list(DAILY_COLUMNS),
    )
    names = np.array(symbols, dtype=object)
    return BacktestResult(daily, _holdings(names, dates, states, days), _trades(names, dates, days), final, pending)


def _holdings(names: np.ndarray, dates: np.ndarray, states: Sequence[PortfolioState], days: Sequence[DayResult]) -> pd.DataFrame:
    which, opened, traded, closed = [], [], [], []
    for state, day in zip(states, days, strict=True):
        held = (day.weight_open > 0.0) | (state.weights > 0.0)
        if day.weight_traded is not None:
            held |= day.weight_traded > 0.0
        rows = np.flatnonzero(held)
        which.append(rows)
        opened.append(day.weight_open[rows])
        traded.append(np.full(len(rows), np.nan) if day.weight_traded is None else day.weight_traded[rows])
        closed.append(state.weights[rows])
    at = _joined(which, int)
    data = [
        np.repeat(dates, [len(rows) for rows in which]),
        names[at],
        *(_joined(part, float) for part in (opened, traded, closed)),
    ]
    return pd.DataFrame(dict(zip(HOLDING_COLUMNS, data, strict=True)))


def _trades(names: np.ndarray, dates: np.ndarray, days: Sequence[DayResult]) -> pd.DataFrame:
    which, done, missed, reasons = [], [], [], []
    for day in days:
        gone = np.flatnonzero(day.exited)
        trade, unfilled = -day.weight_open[gone], np.zeros(len(gone))
        rows, reason = gone, ["delisted"] * len(gone)
        if day.trades is not None and day.unfilled_buy is not None and day.unfilled_sell is not None:
            gap = day.unfilled_buy - day.unfilled_sell
            wished = np.flatnonzero((day.trades != 0.0) | (gap != 0.0))
            rows, reason = np.concatenate([gone, wished]), reason + ["target"] * len(wished)
            trade, unfilled = np.concatenate([trade, day.trades[wished]]), np.concatenate([unfilled, gap[wished]])
        which.append(rows)
        done.append(trade)
        missed.append(unfilled)
        reasons.extend(reason)
    data = [
        np.repeat(dates, [len(rows) for rows in which]),
        names[_joined(which, int)],
        _joined(done, float),
        _joined(missed, float),
        reasons,
    ]
    return pd.DataFrame(dict(zip(TRADE_COLUMNS, data, strict=True)))


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype=dtype)
