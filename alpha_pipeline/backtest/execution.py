"""One session's fills: which part of a target can be traded, and where the unfilled part goes.

Source: MULTIFREQ and RISKCONTROL trade at the next day's vwap; RISKCONTROL, table of backtest settings: suspended names neither
bought nor sold, one-price limit-up not bought, one-price limit-down not sold, the remaining stocks share the unfilled weight.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from alpha_pipeline.errors import BadInput, Misaligned, MissingData, sentence, unknown_name

Unfilled = Literal["redistribute", "cash"]
UNFILLED: tuple[str, ...] = ("redistribute", "cash")


@dataclass(frozen=True, eq=False)
class DayPrices:
    """Prices of one session, (S,), adjusted on one basis, CNY. ``previous_close`` is the last known close before the session."""

    trade_date: dt.date
    previous_close: np.ndarray
    trade_price: np.ndarray
    close: np.ndarray
    traded: np.ndarray
    one_price_up: np.ndarray
    one_price_down: np.ndarray
    listed: np.ndarray


@dataclass(frozen=True, eq=False)
class Fills:
    """Values in the currency of the NAV: (S,) signed ``trades``, and what could not be done on each side."""

    trades: np.ndarray
    cost: float
    unfilled_buy: np.ndarray
    unfilled_sell: np.ndarray


@dataclass(frozen=True, eq=False)
class MarketPrices:
    """The market on D sessions and S names, as the backtest sees it.

    Attributes
    ----------
    dates
        (D,) ``datetime64[D]``, sorted.
    symbols
        (S,) codes.
    adj_close, adj_trade
        (D, S) close and the price at which targets are traded (vwap, or open, or close), raw × cumulative factor, CNY.
        NaN where there is none; a close that is missing while a name is suspended is taken from before.
    traded
        (D, S) False while suspended.
    one_price_up, one_price_down
        (D, S) high = low = limit all session: no buy, no sell.
    known_close
        (D, S) set here: the last close at or before each session.
    listed
        (D, S) False from the first session after a delisting. None: listed where there is a close, which is right for tables
        in which suspended names keep a flat row.

    Raises
    ------
    Misaligned
        Shapes differ.
    BadInput
        A traded name without a positive price.
    """

    dates: np.ndarray
    symbols: tuple[str, ...]
    adj_close: np.ndarray
    adj_trade: np.ndarray
    traded: np.ndarray
    one_price_up: np.ndarray
    one_price_down: np.ndarray
    listed: np.ndarray | None = None
    known_close: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.dates), len(self.symbols))
        for name in ("adj_close", "adj_trade", "traded", "one_price_up", "one_price_down", "listed"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise Misaligned(sentence(f"{name} has another shape than dates × symbols", got=array.shape, expected=shape))
        for name in ("adj_close", "adj_trade"):
            wrong = self.traded & ~(getattr(self, name) > 0.0)
            if bool(wrong.any()):
                d, s = np.argwhere(wrong)[0]
                raise BadInput(
                    sentence(
                        f"{name} is not positive where traded is True, {int(wrong.sum())} times",
                        where=f"{self.dates[d]} {self.symbols[s]}",
                        got=getattr(self, name)[d, s],
                        next_step="Mark the name as not traded, or correct the price.",
                    )
                )
        # Last known close at or before each session: never looks ahead, and stays fixed when later sessions are appended.
        known = np.where(np.isfinite(self.adj_close), np.arange(shape[0])[:, None], -1)
        row = np.maximum.accumulate(known, axis=0)
        filled = np.where(row >= 0, np.take_along_axis(self.adj_close, np.maximum(row, 0), axis=0), np.nan)
        object.__setattr__(self, "known_close", filled.astype(float))
        if self.listed is None:
            object.__setattr__(self, "listed", np.isfinite(self.adj_close))

    def day(self, index: int) -> DayPrices:
        """Prices of session ``index``, at least 1: a session needs the one before."""
        assert index >= 1
        assert self.listed is not None
        return DayPrices(
            self.date(index),
            self.known_close[index - 1],
            np.asarray(self.adj_trade[index], dtype=float),
            self.known_close[index],
            self.traded[index],
            self.one_price_up[index],
            self.one_price_down[index],
            self.listed[index],
        )

    def date(self, index: int) -> dt.date:
        return dt.date.fromisoformat(str(self.dates[index].astype("datetime64[D]")))


def fill(
    values: np.ndarray, cash: float, target: np.ndarray, day: DayPrices, rates: tuple[float, float], unfilled: Unfilled
) -> Fills:
    """Trades that move ``values`` (S,) and ``cash`` towards ``target`` (S,), decimals of their sum.

    Sales are done as wished where allowed. Purchases are then scaled by one factor so that cash pays for them and for all
    costs and ends at what the target leaves uninvested: with ``redistribute`` the factor may exceed 1 (weight of names that
    could not be bought goes pro rata to those that could), with ``cash`` it may not. A sale that is not possible makes it
    smaller in both. Names that cannot be traded keep their value to the last bit; cash never becomes negative (but for rounding).
    """
    nav = float(values.sum()) + cash
    wish = target * nav - values
    can_buy = day.traded & ~day.one_price_up & day.listed
    can_sell = day.traded & ~day.one_price_down & day.listed
    buys, sells = np.where(can_buy, np.maximum(wish, 0.0), 0.0), np.where(can_sell, np.maximum(-wish, 0.0), 0.0)
    # A full exit sells exactly what is held, so that no dust of rounding stays behind.
    sells = np.minimum(sells, values)
    buy_rate, sell_rate = rates
    proceeds = float(sells.sum()) * (1.0 - sell_rate)
    kept = max(1.0 - float(target.sum()), 0.0) * nav
    wanted = float(buys.sum()) * (1.0 + buy_rate)
    if wanted > 0.0:
        factor = max(cash + proceeds - kept, 0.0) / wanted
        buys = buys * (factor if unfilled == "redistribute" else min(factor, 1.0))
    cost = float(buys.sum()) * buy_rate + float(sells.sum()) * sell_rate
    return Fills(
        buys - sells,
        cost,
        np.where(can_buy, 0.0, np.maximum(wish, 0.0)),
        np.where(can_sell, 0.0, np.maximum(-wish, 0.0)),
    )


def check_target(target: np.ndarray, n_stocks: int, where: str) -> None:
    """Raise :class:`Misaligned` or :class:`BadInput` unless ``target`` is (S,), finite, at least 0, and sums to at most 1."""
    if target.shape != (n_stocks,):
        raise Misaligned(
            sentence("target weights do not match the market's symbols", where=where, got=target.shape, expected=(n_stocks,))
        )
    if not bool(np.isfinite(target).all()):
        raise BadInput(sentence("target weights are missing", where=where, got=f"{int((~np.isfinite(target)).sum())} not finite"))
    if float(target.min(initial=0.0)) < 0.0:
        raise BadInput(sentence("target weight is negative", where=where, got=float(target.min()), expected="at least 0"))
    if float(target.sum()) > 1.0 + 1e-8:
        raise BadInput(
            sentence("target weights exceed the portfolio", where=where, got=float(target.sum()), expected="a sum of at most 1")
        )


def check_unfilled(unfilled: str) -> None:
    """Raise :class:`UnknownName` for a rule that does not exist."""
    if unfilled not in UNFILLED:
        raise unknown_name("rule for unfilled weight", unfilled, UNFILLED)


def require_known(values: np.ndarray, prices: np.ndarray, symbols: tuple[str, ...], where: str) -> None:
    """Raise :class:`MissingData` when a held name has no price to be valued with."""
    missing = (values > 0.0) & ~np.isfinite(prices)
    if bool(missing.any()):
        named = ", ".join(symbols[i] if symbols else str(i) for i in np.flatnonzero(missing)[:3])
        raise MissingData(
            sentence(
                f"no close is known for held {named}",
                where=where,
                next_step="Start the price arrays before the first holding's last trade.",
            )
        )
