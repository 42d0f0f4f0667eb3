"""The backtest in shares: lots, minimum commission, dated stamp duty, cash, dividends and splits, participation and impact.

Same sessions, same prices and same order of events as the weights engine, so that both agree up to what shares cost in fractions:
delisted names leave, corporate actions are booked, the target of the day before is traded once at the trade price (sales first),
everything is marked at the close. T+1 holds because a name trades once a session and only what was held at its start is sold.

ΔNAV = Σ holdings' profit − costs is asserted on every day, relative to NAV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from alpha_pipeline.backtest.engine import DayResult, PortfolioState
from alpha_pipeline.backtest.execution import check_target, check_unfilled, require_known
from alpha_pipeline.backtest.record import BacktestResult, frames
from alpha_pipeline.backtest.share_market import ShareDay, ShareMarket
from alpha_pipeline.backtest.share_orders import Orders, ShareRules, place_orders
from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, sentence


@dataclass(frozen=True, eq=False)
class ShareState:
    """Holdings at a close: ``shares`` (S,) whole numbers, ``cash`` and ``nav`` in CNY."""

    shares: np.ndarray
    cash: float
    nav: float

    @classmethod
    def of_cash(cls, n_stocks: int, cash: float) -> ShareState:
        """Nothing but cash."""
        if not cash > 0.0:
            raise InvalidSpec(sentence("a share backtest starts with money", got=cash, expected="CNY above 0"))
        return cls(np.zeros(n_stocks), cash, cash)


@dataclass(frozen=True, eq=False)
class ShareBacktestResult:
    """``tables`` as of the weights engine, with ``nav`` in CNY; ``final`` holdings; CNY paid by kind in ``costs``; CNY of ``dividends``."""

    tables: BacktestResult
    final: ShareState
    costs: dict[str, float]
    dividends: float


def step_share_day(
    state: ShareState, day: ShareDay, target: np.ndarray | None, rules: ShareRules, symbols: tuple[str, ...] = ()
) -> tuple[ShareState, DayResult, Orders | None, float]:
    """The state at this session's close, the day in fractions of NAV, the orders, and the cash dividends in CNY.

    ``target`` (S,): decimals of the NAV at the trade, decided before this session; None = no trade. Raises :class:`MissingData` when a
    held name cannot be valued.
    """
    prices = day.prices
    where = str(prices.trade_date)
    require_known(state.shares, prices.previous_close, symbols, where)
    require_known(state.shares, prices.close, symbols, where)
    before = _value(state.shares, prices.previous_close)
    exited = (state.shares > 0.0) & ~prices.listed
    cash = state.cash + float(before[exited].sum())
    shares = np.where(exited, 0.0, state.shares)

    exact = shares * day.split_ratio
    after_split = np.floor(exact + 1e-9)
    # What the adjustment gives beyond new shares is cash: previous close − ratio · reference price, per old share.
    reference = day.reference_price
    dividends = _value(shares, prices.previous_close) - _value(exact, reference) + _value(exact - after_split, reference)
    paid = float(dividends.sum())
    cash += paid

    orders = None
    at_trade, price_now = after_split, np.where(prices.traded, prices.trade_price, reference)
    if target is None:
        price_now = prices.close
    else:
        check_target(target, len(shares), where)
        orders = place_orders(after_split, cash, target, day, rules, price_now)
        at_trade = after_split + orders.shares
        cash += orders.cash_flow
    held_profit = float((_value(after_split, price_now) + dividends - np.where(exited, 0.0, before)).sum())
    traded_profit = float((_value(at_trade, prices.close) - _value(at_trade, price_now)).sum())
    cost = orders.cost if orders is not None else 0.0
    close = _value(at_trade, prices.close)
    nav = float(close.sum()) + cash
    assert abs((nav - state.nav) - (held_profit + traded_profit - cost)) <= 1e-10 * state.nav, f"{where}: NAV does not add up"
    assert cash >= -1e-6, f"{where}: cash of {cash:.2f}"
    nav_at_trade = nav - traded_profit + cost
    values = None if orders is None else orders.shares * np.where(orders.shares != 0.0, price_now, 0.0)
    result = DayResult(
        trade_date=prices.trade_date,
        portfolio_return=nav / state.nav - 1.0,
        return_held=held_profit / state.nav,
        return_traded=traded_profit / state.nav,
        cost=cost / state.nav,
        turnover_two_sided=0.0 if values is None else float(np.abs(values).sum()) / nav_at_trade,
        weight_open=before / state.nav,
        weight_traded=None if values is None else _value(at_trade, price_now) / (nav_at_trade - cost),
        trades=None if values is None else values / nav_at_trade,
        unfilled_buy=None if orders is None else orders.unfilled_buy / nav_at_trade,
        unfilled_sell=None if orders is None else orders.unfilled_sell / nav_at_trade,
        exited=exited,
    )
    return ShareState(at_trade, cash, nav), result, orders, paid


def run_share_backtest(
    targets: Mapping[int, np.ndarray],
    market: ShareMarket,
    start: int,
    end: int,
    rules: ShareRules,
    benchmark_returns: np.ndarray,
    initial: ShareState,
) -> ShareBacktestResult:
    """Daily results of the sessions after ``start`` up to ``end``; arguments as of
    :func:`~alpha_pipeline.backtest.engine.run_backtest`, with a state in shares and CNY.

    ``benchmark_returns`` (D,): of a price index or of a total-return index; the choice belongs with whoever quotes the excess.
    """
    check_unfilled(rules.unfilled)
    n_dates, n_stocks = len(market.prices.dates), len(market.prices.symbols)
    outside = sorted(index for index in targets if not start <= index <= end)
    if outside or not 0 <= start <= end < n_dates:
        raise InvalidSpec(sentence("session outside the backtest", got=outside[0] if outside else f"{start} to {end}",
                                   expected=f"0 <= {start} … {end} < {n_dates}"))
    if benchmark_returns.shape != (n_dates,) or initial.shares.shape != (n_stocks,):
        raise Misaligned(sentence("benchmark or initial state does not match the market", got=(benchmark_returns.shape, initial.shares.shape),
                                  expected=((n_dates,), (n_stocks,))))
    if not bool(np.isfinite(benchmark_returns[start + 1 : end + 1]).all()):
        raise MissingData(sentence("benchmark return is missing", where=f"{market.prices.date(start)} … {market.prices.date(end)}"))
    state = initial
    states: list[PortfolioState] = []
    days: list[DayResult] = []
    costs = dict.fromkeys(("commission", "stamp_duty", "slippage", "impact"), 0.0)
    dividends = 0.0
    for index in range(start + 1, end + 1):
        day = market.day(index)
        state, result, orders, paid = step_share_day(state, day, targets.get(index - 1), rules, market.prices.symbols)
        dividends += paid
        for kind, amount in (orders.costs if orders is not None else {}).items():
            costs[kind] += amount
        states.append(PortfolioState(_value(state.shares, day.prices.close) / state.nav, state.cash / state.nav, state.nav))
        days.append(result)
    final = states[-1] if states else PortfolioState(np.zeros(n_stocks), 1.0, state.nav)
    pending = (end,) if end in targets else ()
    tables = frames(market.prices.symbols, states, days, benchmark_returns[start + 1 : end + 1], final, pending)
    return ShareBacktestResult(tables, state, costs, dividends)


def _value(shares: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Shares times price, 0 where nothing is held whether or not there is a price."""
    held = shares != 0.0
    return np.where(held, shares * np.where(held, price, 0.0), 0.0)
