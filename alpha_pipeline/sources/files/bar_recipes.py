"""Recipes for daily and intraday bars: vwap, amount, the reference price, the trading status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from alpha_pipeline.sources.files.day import Day
from alpha_pipeline.sources.files.recipes import Recipe


@dataclass(frozen=True)
class AmountOverVolume(Recipe):
    """vwap = amount / volume, close where nothing was traded.

    ``amounts``: files with (symbol, amount) of the date, tried in order when the table has no amount of its own.
    ``bars``: next, sums of the date's intraday bars. ``otherwise``: what stands in for names without any of these,
    ``typical_price`` or ``missing``.
    """

    name = "amount_over_volume"
    for_columns = ("vwap",)
    needs = ("close", "high", "low", "volume")
    amounts: tuple[str, ...] = ()
    bars: bool = False
    otherwise: Literal["typical_price", "missing"] = "missing"

    def compute(self, day: Day, column: str) -> np.ndarray:
        volume, close = day.number("volume"), day.number("close")
        amount = day.number("amount") if "amount" in day.frame else np.full(len(close), np.nan)
        for file in self.amounts:
            amount = np.where(np.isnan(amount), day.lookup(file, "amount").to_numpy(dtype="float64"), amount)
        vwap = np.divide(amount, volume, out=np.full(len(close), np.nan), where=(volume > 0) & (amount > 0))
        bars = day.market.intraday(day.trade_date) if self.bars else None
        if bars is not None:
            # both sums come from the bars: the daily volume may hold trades (the closing auction) that the bars miss
            sums = bars.groupby("symbol", sort=False)[["amount", "volume"]].sum().reindex(day.symbols)
            traded = (sums["volume"] > 0).to_numpy()
            from_bars = np.divide(
                sums["amount"].to_numpy(), sums["volume"].to_numpy(), out=np.full(len(close), np.nan), where=traded
            )
            vwap = np.where(np.isnan(vwap), from_bars, vwap)
        if self.otherwise == "typical_price":
            vwap = np.where(np.isnan(vwap), _typical_price(day), vwap)
        return np.where(volume > 0, vwap, close)

    def files(self) -> tuple[str, ...]:
        return self.amounts

    def proxy(self) -> str:
        if self.otherwise == "missing":
            return ""
        known = [f"'{name}'" for name in self.amounts] + (["the intraday bars"] if self.bars else [])
        where = ", ".join(known) or "rows with an amount"
        return f"amount / volume for the names and dates of {where}; elsewhere the typical price (high + low + close) / 3"


@dataclass(frozen=True)
class TypicalPrice(Recipe):
    """vwap = (high + low + close) / 3."""

    name = "typical_price"
    for_columns = ("vwap",)
    needs = ("high", "low", "close")

    def compute(self, day: Day, column: str) -> np.ndarray:
        return _typical_price(day)

    def proxy(self) -> str:
        return "typical price (high + low + close) / 3"


@dataclass(frozen=True)
class VwapTimesVolume(Recipe):
    """amount = vwap × volume, as good as the vwap is."""

    name = "vwap_times_volume"
    for_columns = ("amount",)
    needs = ("vwap", "volume")

    def compute(self, day: Day, column: str) -> np.ndarray:
        return day.number("vwap") * day.number("volume")

    def proxy(self) -> str:
        return "vwap × volume"


@dataclass(frozen=True)
class FromAdjFactor(Recipe):
    """pre_close = previous close × previous factor / today's factor, rounded to 0.01.

    The previous close is the last one in the file, however long ago. A name's first bar has none: its open stands in.
    """

    name = "from_adj_factor"
    for_columns = ("pre_close",)
    needs = ("open", "close", "adj_factor")

    def compute(self, day: Day, column: str) -> np.ndarray:
        history = day.market.history
        row, columns = history.row(day.trade_date), history.columns(day.symbols)
        first = history.first_row[columns] >= row
        reference = history.close[row - 1, columns] * history.factor[row - 1, columns] / history.factor[row, columns]
        # a tie such as 10.125 may sit a hair below it after the division by a float32 factor
        rounded = np.floor(reference * 100 + 0.5 + 1e-6) / 100
        return np.where(first, day.number("open"), rounded)

    def proxy(self) -> str:
        return "previous close × previous adj_factor / adj_factor, rounded to 0.01; the open on a name's first bar"


@dataclass(frozen=True)
class StatusFromVolume(Recipe):
    """trade_status: 'suspended' where volume is 0, else 'trading'."""

    name = "from_volume"
    for_columns = ("trade_status",)
    needs = ("volume",)

    def compute(self, day: Day, column: str) -> np.ndarray:
        return np.where(day.number("volume") > 0, "trading", "suspended").astype(object)


def _typical_price(day: Day) -> np.ndarray:
    return (day.number("high") + day.number("low") + day.number("close")) / 3
