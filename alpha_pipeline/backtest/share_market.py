"""Raw prices, corporate actions and lots for the backtest in shares, derived from adjusted prices and their factor."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from alpha_pipeline.backtest.execution import DayPrices, MarketPrices
from alpha_pipeline.errors import BadInput, Misaligned, sentence
from alpha_pipeline.market.rules import board_of, lot_size


@dataclass(frozen=True, eq=False)
class ShareDay:
    """One session; ``prices`` are raw CNY a share, ``previous_close`` on the basis before the session's corporate actions.

    ``reference_price`` (S,): the previous close on the basis after them. ``split_ratio`` (S,): shares after for one before. ``volume``
    (S,): shares traded in the session; ``volatility`` (S,): of daily returns, decimals, known before it. ``smallest``, ``step`` (S,): lots.
    """

    prices: DayPrices
    reference_price: np.ndarray
    split_ratio: np.ndarray
    volume: np.ndarray
    volatility: np.ndarray
    smallest: np.ndarray
    step: np.ndarray


@dataclass(frozen=True, eq=False)
class ShareMarket:
    """A market for whole shares.

    Attributes
    ----------
    prices
        Adjusted prices, as for the weights engine.
    factor
        (D, S) cumulative backward factor, adjusted = raw · factor, at least one value before a name is held; gaps are filled forward.
    split_ratio
        (D, S) shares after for one before, on the ex-date (1.5 for five bonus shares on ten); None = no splits are known, and the whole
        adjustment is paid in cash. What the factor's move leaves beyond the split is the cash dividend, before tax.
    volume
        (D, S) shares traded; needed for a participation cap or impact.
    volatility
        (D, S) standard deviation of daily returns known before the session, decimals; needed for impact.
    """

    prices: MarketPrices
    factor: np.ndarray
    split_ratio: np.ndarray | None = None
    volume: np.ndarray | None = None
    volatility: np.ndarray | None = None
    smallest: np.ndarray = field(init=False, repr=False)
    step: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = self.prices.adj_close.shape
        for name in ("factor", "split_ratio", "volume", "volatility"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise Misaligned(sentence(f"{name} has another shape than dates × symbols", got=array.shape, expected=shape))
        for name in ("factor", "split_ratio"):
            array = getattr(self, name)
            if array is not None and bool((array <= 0.0).any()):
                raise BadInput(sentence(f"{name} is not positive", got=float(np.nanmin(array))))
        known = np.where(np.isfinite(self.factor), np.arange(shape[0])[:, None], -1)
        row = np.maximum.accumulate(known, axis=0)
        filled = np.where(row >= 0, np.take_along_axis(self.factor, np.maximum(row, 0), axis=0), np.nan)
        object.__setattr__(self, "factor", filled)
        lots = np.array([lot_size(board_of(symbol)) for symbol in self.prices.symbols], dtype=float).reshape(-1, 2)
        object.__setattr__(self, "smallest", lots[:, 0])
        object.__setattr__(self, "step", lots[:, 1])

    def day(self, index: int) -> ShareDay:
        """Session ``index``, at least 1, in raw prices."""
        adjusted = self.prices.day(index)
        before, now = self.factor[index - 1], self.factor[index]
        raw = replace(adjusted, previous_close=adjusted.previous_close / before, trade_price=adjusted.trade_price / now, close=adjusted.close / now)
        unknown = np.full(len(now), np.nan)
        return ShareDay(
            raw,
            adjusted.previous_close / now,
            np.ones(len(now)) if self.split_ratio is None else np.nan_to_num(self.split_ratio[index], nan=1.0),
            unknown if self.volume is None else self.volume[index],
            unknown if self.volatility is None else self.volatility[index],
            self.smallest,
            self.step,
        )
