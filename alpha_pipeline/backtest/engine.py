"""The backtest in weights: one session at a time, vectorised over stocks, the same code for one week or ten years.

A signal of session *t* is traded on *t+1*. Each day is split at the trade: old holdings earn previous close → trade price,
new ones trade price → close. ΔNAV = Σ holdings' profit − costs is asserted on every day.

Cash earns nothing. Corporate actions are in the adjusted prices. A delisted name leaves at its last price, without cost.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alpha_pipeline.backtest.costs import Costs
from alpha_pipeline.backtest.execution import DayPrices, MarketPrices, Unfilled, check_target, check_unfilled, fill, require_known
from alpha_pipeline.backtest.record import BacktestResult, frames
from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, sentence


@dataclass(frozen=True, eq=False)
class PortfolioState:
    """Holdings at a close: ``weights`` (S,) and ``cash`` as decimals of ``nav``; they sum to 1."""

    weights: np.ndarray
    cash: float
    nav: float

    @classmethod
    def empty(cls, n_stocks: int, nav: float = 1.0) -> PortfolioState:
        """All in cash."""
        return cls(np.zeros(n_stocks), 1.0, nav)


@dataclass(frozen=True, eq=False)
class DayResult:
    """One session.

    Attributes
    ----------
    portfolio_return
        NAV at close over NAV at the previous close − 1 = ``return_held`` + ``return_traded`` − ``cost``.
    return_held
        Earned by the holdings of the previous close, up to the trade (up to the close when nothing is traded).
    return_traded
        Earned by the holdings after the trade, from trade price to close; 0 when nothing is traded.
    cost
        Decimals of the previous close's NAV, like the two returns.
    turnover_two_sided
        Σ|w_new − w_drifted|, decimals of the NAV at the trade.
    weight_open
        (S,) decimals of NAV at the previous close.
    weight_traded
        (S,) after the trade and its costs, decimals of the NAV then; None when there was no target.
    trades
        (S,) signed, decimals of the NAV at the trade; None when there was no target.
    unfilled_buy, unfilled_sell
        (S,) wished but not possible, decimals of the NAV at the trade; None when there was no target.
    exited
        (S,) bool: delisted while held, turned into cash before the session.
    """

    trade_date: dt.date
    portfolio_return: float
    return_held: float
    return_traded: float
    cost: float
    turnover_two_sided: float
    weight_open: np.ndarray
    weight_traded: np.ndarray | None
    trades: np.ndarray | None
    unfilled_buy: np.ndarray | None
    unfilled_sell: np.ndarray | None
    exited: np.ndarray


def step_day(
    state: PortfolioState,
    day: DayPrices,
    target: np.ndarray | None,
    costs: Costs,
    unfilled: Unfilled = "redistribute",
    symbols: tuple[str, ...] = (),
) -> tuple[PortfolioState, DayResult]:
    """The state at this session's close, and what happened in between.

    ``target`` (S,): decimals of the NAV at the trade, decided before this session; None = no trade. ``unfilled``: see
    :func:`~alpha_pipeline.backtest.execution.fill`. Raises :class:`MissingData` when a held name cannot be valued.
    """
    where = str(day.trade_date)
    before = state.weights * state.nav
    cash = state.cash * state.nav
    exited = (before > 0.0) & ~day.listed
    if bool(exited.any()):
        cash += float(before[exited].sum())
        before = np.where(exited, 0.0, before)
    require_known(before, day.previous_close, symbols, where)
    moves = day.traded & (before > 0.0)
    drifts = (before > 0.0) & ~day.traded
    require_known(before, day.close, symbols, where)

    if target is None:
        held = before.copy()
        alive = moves | drifts
        held[alive] = before[alive] * (day.close[alive] / day.previous_close[alive])
        profit_held, profit_traded, cost = float((held - before).sum()), 0.0, 0.0
        turnover, weight_traded, trades, short_buy, short_sell = 0.0, None, None, None, None
        close = held
    else:
        check_target(target, len(before), where)
        at_trade = before.copy()
        at_trade[moves] = before[moves] * (day.trade_price[moves] / day.previous_close[moves])
        nav_at_trade = float(at_trade.sum()) + cash
        fills = fill(at_trade, cash, target, day, costs.rates(day.trade_date), unfilled)
        after = at_trade + fills.trades
        cash -= float(fills.trades.sum()) + fills.cost
        cost = fills.cost
        alive = day.traded & (after > 0.0)
        close = after.copy()
        close[alive] = after[alive] * (day.close[alive] / day.trade_price[alive])
        # A suspended name with a close of its own (an ex-right event, say) moves with it, like on days without a trade.
        close[drifts] = after[drifts] * (day.close[drifts] / day.previous_close[drifts])
        profit_held, profit_traded = float((at_trade - before).sum()), float((close - after).sum())
        nav_after = float(after.sum()) + cash
        turnover = float(np.abs(fills.trades).sum()) / nav_at_trade
        weight_traded, trades = after / nav_after, fills.trades / nav_at_trade
        short_buy, short_sell = fills.unfilled_buy / nav_at_trade, fills.unfilled_sell / nav_at_trade
    nav = float(close.sum()) + cash
    assert abs((nav - state.nav) - (profit_held + profit_traded - cost)) <= 1e-10 * max(1.0, state.nav), (
        f"{where}: NAV does not add up"
    )
    result = DayResult(
        trade_date=day.trade_date,
        portfolio_return=nav / state.nav - 1.0,
        return_held=profit_held / state.nav,
        return_traded=profit_traded / state.nav,
        cost=cost / state.nav,
        turnover_two_sided=turnover,
        weight_open=state.weights,
        weight_traded=weight_traded,
        trades=trades,
        unfilled_buy=short_buy,
        unfilled_sell=short_sell,
        exited=exited,
    )
    return PortfolioState(close / nav, cash / nav, nav), result


def advance(
    state: PortfolioState,
    market: MarketPrices,
    from_index: int,
    to_index: int,
    target: np.ndarray | None,
    costs: Costs,
    unfilled: Unfilled = "redistribute",
) -> tuple[PortfolioState, list[tuple[PortfolioState, DayResult]]]:
    """From the close of session ``from_index`` to that of ``to_index``; ``target``, known at the former, is traded on the next.

    Returns the final state, whose ``weights`` are the drifted weights for the next optimization, and (state, result) of each
    session. :func:`run_backtest` goes through this function only, so a chain of weekly calls gives the same bits as one run.
    """
    check_unfilled(unfilled)
    if not 0 <= from_index <= to_index < len(market.dates):
        raise InvalidSpec(
            sentence(
                "sessions out of range", got=f"{from_index} to {to_index}", expected=f"0 <= from <= to < {len(market.dates)}"
            )
        )
    if target is not None and from_index == to_index:
        raise InvalidSpec(
            sentence(
                "a target needs a later session to be traded on", where=str(market.date(from_index)), got="from_index = to_index"
            )
        )
    if state.weights.shape != (len(market.symbols),):
        raise Misaligned(
            sentence("state does not match the market's symbols", got=state.weights.shape, expected=(len(market.symbols),))
        )
    days = []
    for index in range(from_index + 1, to_index + 1):
        due = target if index == from_index + 1 else None
        state, result = step_day(state, market.day(index), due, costs, unfilled, market.symbols)
        days.append((state, result))
    return state, days


def run_backtest(
    targets: Mapping[int, np.ndarray],
    market: MarketPrices,
    start: int,
    end: int,
    costs: Costs,
    benchmark_returns: np.ndarray,
    unfilled: Unfilled = "redistribute",
    initial: PortfolioState | None = None,
) -> BacktestResult:
    """Daily results and holdings of the sessions after ``start`` up to ``end`` (indices into ``market.dates``).

    Parameters
    ----------
    targets
        Signal session → (S,) target decimals, known at its close and traded on the next. One at ``end`` is not traded any
        more and is listed in ``pending``.
    benchmark_returns
        (D,) close-to-close decimals of the benchmark on ``market.dates``; entries after ``start`` must be there.
    initial
        State at the close of ``start``; all cash with a NAV of 1 by default.

    Raises
    ------
    InvalidSpec
        A target outside ``start`` … ``end``.
    MissingData
        A benchmark return or the price of a held name is missing.
    """
    outside = sorted(index for index in targets if not start <= index <= end)
    if outside:
        raise InvalidSpec(
            sentence("target outside the backtest", got=f"session {outside[0]}", expected=f"a session from {start} to {end}")
        )
    if benchmark_returns.shape != (len(market.dates),):
        raise Misaligned(
            sentence("benchmark_returns do not match the dates", got=benchmark_returns.shape, expected=(len(market.dates),))
        )
    missing = np.flatnonzero(~np.isfinite(benchmark_returns[start + 1 : end + 1]))
    if len(missing):
        raise MissingData(
            sentence(
                "benchmark return is missing", where=str(market.date(start + 1 + int(missing[0]))), got=f"{len(missing)} in all"
            )
        )
    state = initial or PortfolioState.empty(len(market.symbols))
    days: list[tuple[PortfolioState, DayResult]] = []
    marks = sorted({start, end, *targets})
    for from_index, to_index in zip(marks, marks[1:], strict=False):
        state, part = advance(state, market, from_index, to_index, targets.get(from_index), costs, unfilled)
        days += part
    pending = (end,) if end in targets else ()
    return frames(
        market.symbols, [s for s, _ in days], [r for _, r in days], benchmark_returns[start + 1 : end + 1], state, pending
    )
