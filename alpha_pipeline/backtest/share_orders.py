"""Orders in whole lots that move holdings towards a target, and what they cost."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from alpha_pipeline.backtest.execution import Unfilled
from alpha_pipeline.backtest.share_market import ShareDay
from alpha_pipeline.errors import InvalidSpec, MissingData, sentence
from alpha_pipeline.market.rules import COMMISSION_MINIMUM_CNY, stamp_duty


@dataclass(frozen=True)
class ShareRules:
    """How shares are traded.

    Attributes
    ----------
    commission, minimum_commission
        Rate per side, decimals, and CNY an order.
    has_stamp_duty
        Levied on sales at the rate in force on the day (0.1 % from 2008-09-19, 0.05 % from 2023-08-28).
    slippage
        Rate per side, decimals.
    unfilled
        ``redistribute``: what could not be bought goes pro rata to the other purchases; ``cash``: it stays.
    max_participation
        Largest share of the session's volume in one name, decimals; None = no cap. The day's volume is known only after it: a cap for
        studies of capacity, not a rule one could have traded by.
    impact
        Y of the square-root law, cost = Y · σ · √(order / volume) of the order's value, σ the daily volatility; 0 = none.
    """

    commission: float = 0.0002
    minimum_commission: float = COMMISSION_MINIMUM_CNY
    has_stamp_duty: bool = True
    slippage: float = 0.0
    unfilled: Unfilled = "redistribute"
    max_participation: float | None = None
    impact: float = 0.0

    def __post_init__(self) -> None:
        for name, rate, most in (("commission", self.commission, 0.1), ("slippage", self.slippage, 0.1),
                                 ("minimum_commission", self.minimum_commission, 1e4), ("impact", self.impact, 100.0)):
            if not 0.0 <= rate < most:
                raise InvalidSpec(sentence(f"{name} out of range", where="ShareRules", got=rate, expected=f"a number in [0, {most:g})"))
        if self.max_participation is not None and not 0.0 < self.max_participation <= 1.0:
            raise InvalidSpec(sentence("max_participation out of range", where="ShareRules", got=self.max_participation,
                                       expected="a decimal in (0, 1], or None"))

    def duty(self, trade_date: dt.date) -> float:
        """Stamp duty on sales of a date."""
        return stamp_duty(trade_date) if self.has_stamp_duty else 0.0


@dataclass(frozen=True, eq=False)
class Orders:
    """Signed ``shares`` (S,), what they do to cash (costs included), costs by kind in CNY, and values (S,) that could not be traded."""

    shares: np.ndarray
    cash_flow: float
    cost: float
    costs: dict[str, float]
    unfilled_buy: np.ndarray
    unfilled_sell: np.ndarray


def whole_lots(shares: np.ndarray, smallest: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The largest order of at most ``shares`` that the exchange takes.

    >>> whole_lots(np.array([250.0, 99.0, 250.0, 199.0, 101.0]), np.array([100, 100, 200, 200, 100]), np.array([100, 100, 1, 1, 1])).tolist()
    [200.0, 0.0, 250.0, 0.0, 101.0]
    """
    rounded = np.floor(shares / step + 1e-9) * step
    return np.where(rounded >= smallest, rounded, 0.0)


def place_orders(held: np.ndarray, cash: float, target: np.ndarray, day: ShareDay, rules: ShareRules, price: np.ndarray) -> Orders:
    """Sales first, then purchases that cash pays for; ``held`` (S,) shares at the start of the session, ``price`` (S,) of the trade.

    A full exit sells odd lots too; a partial sale and a purchase are whole lots, rounded down. What rounding leaves is used for one
    more lot of the names furthest below their wish, as long as cash lasts.
    """
    prices = day.prices
    can_buy = prices.traded & ~prices.one_price_up & prices.listed
    can_sell = prices.traded & ~prices.one_price_down & prices.listed
    known = np.where(np.isfinite(price), price, 1.0)
    nav = float((held * np.where(held > 0.0, known, 0.0)).sum()) + cash
    wish = target * nav - held * known
    cap = _cap(day, rules, (held > 0.0) | (target > 0.0))

    wanted = np.minimum(np.maximum(-wish, 0.0) / known, held)
    is_exit = (target <= 0.0) & (held > 0.0)
    # Less than the smallest order can only leave whole.
    partial = whole_lots(np.minimum(wanted, cap), day.smallest, day.step)
    sold = np.where(can_sell, np.where(is_exit & (held <= cap), held, np.minimum(partial, held)), 0.0)
    sell_costs = _costs(sold * known, day, sold, rules, rules.duty(prices.trade_date))
    money = cash + float((sold * known).sum()) - sum(sell_costs.values())

    wanted = np.where(can_buy, np.maximum(wish, 0.0) / known, 0.0)
    budget = money - max(1.0 - float(target.sum()), 0.0) * nav
    bought = np.zeros(len(held))
    if budget > 0.0 and bool(wanted.any()):
        bought = _purchases(wanted, cap, budget, known, day, rules)
    buy_costs = _costs(bought * known, day, bought, rules, 0.0)
    costs = {kind: sell_costs[kind] + buy_costs[kind] for kind in sell_costs}
    cost = sum(costs.values())
    flow = float((sold * known).sum()) - float((bought * known).sum()) - cost
    short_buy, short_sell = np.maximum(wish, 0.0) - bought * known, np.maximum(-wish, 0.0) - sold * known
    return Orders(bought - sold, flow, cost, costs, np.maximum(short_buy, 0.0), np.maximum(short_sell, 0.0))


def _purchases(wanted: np.ndarray, cap: np.ndarray, budget: float, price: np.ndarray, day: ShareDay, rules: ShareRules) -> np.ndarray:
    """Whole lots that ``budget`` pays for with all costs."""
    rate = 1.0 + rules.commission + rules.slippage
    factor = budget / (float((wanted * price).sum()) * rate)
    wish = wanted * (factor if rules.unfilled == "redistribute" else min(factor, 1.0))
    bought = whole_lots(np.minimum(wish, cap), day.smallest, day.step)

    def total(shares: np.ndarray) -> float:
        return float((shares * price).sum()) + sum(_costs(shares * price, day, shares, rules, 0.0).values())

    # Minimum commissions and impact come on top of the rate: shrink all orders until they are paid for.
    shrink = 1.0
    while bool(bought.any()) and total(bought) > budget:
        shrink *= min(budget / total(bought), 0.9999)
        bought = whole_lots(np.minimum(wish * shrink, cap), day.smallest, day.step)
    left = budget - total(bought)
    lot = np.where(bought > 0.0, day.step, day.smallest)
    for i in np.argsort(-(wish - bought) * price, kind="stable"):
        extra = float(lot[i]) if day.step[i] > 1.0 or bought[i] == 0.0 else max(float(np.floor(wish[i] - bought[i])), 0.0)
        # At most half a lot beyond the wish: rounding to the nearest lot, on average neither above nor below.
        if extra == 0.0 or wish[i] - bought[i] < extra / 2.0 or bought[i] + extra > cap[i]:
            continue
        price_of_more = _total_of(i, bought[i] + extra, price, day, rules) - _total_of(i, bought[i], price, day, rules)
        if price_of_more <= left:
            bought[i] += extra
            left -= price_of_more
    return bought


def _total_of(i: int, shares: float, price: np.ndarray, day: ShareDay, rules: ShareRules) -> float:
    """CNY that a purchase of one name takes, costs included."""
    value = shares * float(price[i])
    if value == 0.0:
        return 0.0
    impact = rules.impact * float(day.volatility[i]) * (shares / float(day.volume[i])) ** 0.5 * value if rules.impact > 0.0 else 0.0
    return value + max(rules.commission * value, rules.minimum_commission) + rules.slippage * value + impact


def _cap(day: ShareDay, rules: ShareRules, matters: np.ndarray) -> np.ndarray:
    """(S,) most shares that may be traded in the session."""
    needs = [name for name, on in (("volume", rules.max_participation is not None or rules.impact > 0.0), ("volatility", rules.impact > 0.0)) if on]
    for name in needs:
        missing = matters & day.prices.traded & ~np.isfinite(getattr(day, name))
        if bool(missing.any()):
            raise MissingData(sentence(f"{name} is missing for {int(missing.sum())} names to be traded", where=str(day.prices.trade_date),
                                       next_step=f"Pass {name} to ShareMarket, or switch the cap and the impact off."))
    if rules.max_participation is None:
        return np.full(len(day.volume), np.inf)
    return np.nan_to_num(day.volume) * rules.max_participation


def _costs(value: np.ndarray, day: ShareDay, shares: np.ndarray, rules: ShareRules, duty: float) -> dict[str, float]:
    """CNY by kind for orders of ``value`` (S,), at least 0; an order of 0 costs nothing."""
    traded = value > 0.0
    impact = 0.0
    if rules.impact > 0.0 and bool(traded.any()):
        share = shares[traded] / day.volume[traded]
        impact = float((rules.impact * day.volatility[traded] * np.sqrt(share) * value[traded]).sum())
    return {
        "commission": float(np.maximum(rules.commission * value[traded], rules.minimum_commission).sum()),
        "stamp_duty": duty * float(value.sum()),
        "slippage": rules.slippage * float(value.sum()),
        "impact": impact,
    }
