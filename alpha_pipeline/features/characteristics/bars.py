"""The bars that a characteristic is computed from: one row per stock and day, or per stock and step of the day.

Shape letters: N rows, B bars of a row. Everything is known at the end of a row's last bar.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SESSION_MINUTES = 240
HALF_HOUR = 30
FLOW_COLUMNS = ("trade_count", "buy_amount", "sell_amount")
_PER_ROW = ("previous_close", "float_shares", "row_volume")


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of N rows, complete: a stock that lacks a bar is left out before.

    Attributes
    ----------
    minutes : length of a bar.
    before : (N, B) CNY, the price that each bar's return starts from: the open of the day's first bar, afterwards the close of the bar before.
    high, low, close : (N, B) CNY, unadjusted.
    volume : (N, B) shares. amount : (N, B) CNY. Both 0 where nothing traded in the bar.
    previous_close : (N,) CNY, the exchange's reference price of the day (the close before it, adjusted for an ex-right event).
    float_shares : (N,) tradable shares.
    row_volume : (N,) shares traded in the whole day, for a step's share of it.
    trade_count : (N, B) number of trades; buy_amount, sell_amount : (N, B) CNY of buyer- and seller-initiated trades. None without order flow.
    """

    minutes: int
    before: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    amount: FloatArray
    previous_close: FloatArray
    float_shares: FloatArray
    row_volume: FloatArray
    trade_count: FloatArray | None = None
    buy_amount: FloatArray | None = None
    sell_amount: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.minutes < 1 or SESSION_MINUTES % self.minutes:
            raise BadInput(sentence("bars do not divide the session", got=f"{self.minutes} minutes", expected=f"a divisor of {SESSION_MINUTES}"))
        shape = self.close.shape
        for f in fields(self):
            values = getattr(self, f.name)
            expected = shape[:1] if f.name in _PER_ROW else shape
            if isinstance(values, np.ndarray) and values.shape != expected:
                raise Misaligned(sentence("bars of different shapes", where=f.name, got=values.shape, expected=expected))

    @classmethod
    def of_day(
        cls, minutes: int, open: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, amount: FloatArray, *,
        previous_close: FloatArray | None = None, float_shares: FloatArray | None = None, trade_count: FloatArray | None = None,
        buy_amount: FloatArray | None = None, sell_amount: FloatArray | None = None,
    ) -> Bars:
        """Bars of whole days (N stocks, 240 / minutes bars). ``open`` matters for the first bar only; what is not given of a row is NaN.

        >>> one = np.array([[10.0, 11.0]])
        >>> Bars.of_day(120, one, one, one, one, one, one).before.tolist()
        [[10.0, 10.0]]
        """
        unknown = np.full(len(close), np.nan)
        before = np.concatenate([open[:, :1], close[:, :-1]], axis=1)
        if close.shape[1] * minutes != SESSION_MINUTES:
            raise Misaligned(sentence("a day has another number of bars", got=f"{close.shape[1]} bars of {minutes} minutes",
                                      expected=SESSION_MINUTES // max(minutes, 1)))
        return cls(minutes, before, high, low, close, volume, amount, unknown if previous_close is None else previous_close,
                   unknown if float_shares is None else float_shares, volume.sum(axis=1), trade_count, buy_amount, sell_amount)

    @property
    def has_order_flow(self) -> bool:
        return all(getattr(self, name) is not None for name in FLOW_COLUMNS)

    @property
    def n_bars(self) -> int:
        """B."""
        return int(self.close.shape[1])

    @property
    def half_hour(self) -> int:
        """Bars in 30 minutes; 0 where bars do not divide them, or the row is no whole day."""
        is_day = self.n_bars * self.minutes == SESSION_MINUTES
        return HALF_HOUR // self.minutes if is_day and HALF_HOUR % self.minutes == 0 else 0

    def steps(self, n_steps: int) -> Bars:
        """The same bars cut into ``n_steps`` equal steps a day: rows (stock 0 step 0, stock 0 step 1, …). Bars must divide a step."""
        assert self.n_bars % n_steps == 0, f"{self.n_bars} bars cannot be cut into {n_steps} steps"
        cut: dict[str, FloatArray] = {}
        for f in fields(self):
            values = getattr(self, f.name)
            if isinstance(values, np.ndarray):
                cut[f.name] = np.repeat(values, n_steps) if f.name in _PER_ROW else values.reshape(-1, self.n_bars // n_steps)
        return replace(self, **cut)  # type: ignore[arg-type]

    def take(self, rows: npt.NDArray[np.int64]) -> Bars:
        """The bars of some of the rows."""
        taken = {f.name: v[rows] for f in fields(self) if isinstance(v := getattr(self, f.name), np.ndarray)}
        return replace(self, **taken)  # type: ignore[arg-type]

    # ------------------------------------------------ quantities that several characteristics share, each computed once

    @cached_property
    def returns(self) -> FloatArray:
        """(N, B) ln(close / before)."""
        return np.log(self.close / self.before)

    @cached_property
    def squares(self) -> FloatArray:
        """(N, B) squared returns."""
        return np.square(self.returns)

    @cached_property
    def sizes(self) -> FloatArray:
        """(N, B) absolute returns."""
        return np.abs(self.returns)

    @cached_property
    def variance(self) -> FloatArray:
        """(N,) Σ r²."""
        return self.squares.sum(axis=1)

    @cached_property
    def total_volume(self) -> FloatArray:
        """(N,) shares; NaN where nothing traded."""
        return positive(self.volume.sum(axis=1))

    @cached_property
    def total_amount(self) -> FloatArray:
        """(N,) CNY; NaN where nothing traded."""
        return positive(self.amount.sum(axis=1))

    @cached_property
    def net_buying(self) -> FloatArray:
        """(N, B) CNY bought minus sold actively."""
        assert self.buy_amount is not None and self.sell_amount is not None
        return self.buy_amount - self.sell_amount

    @cached_property
    def trade_size(self) -> FloatArray:
        """(N, B) CNY, mean amount of a trade; NaN in a bar without trades."""
        assert self.trade_count is not None
        return ratio(self.amount, self.trade_count)

    @cached_property
    def is_large(self) -> BoolArray:
        """(N, B) True where ln(mean amount of a trade) lies above its mean plus one standard deviation over the row's bars with trades.

        The reports cut by the amount of single orders; bars do not hold them, the mean trade of a bar stands in (ours).
        """
        log_size = np.log(positive(self.trade_size))
        known = ~np.isnan(log_size)
        count = np.maximum(known.sum(axis=1), 1)
        mean = np.where(known, log_size, 0.0).sum(axis=1) / count
        spread = np.sqrt(np.where(known, np.square(log_size - mean[:, None]), 0.0).sum(axis=1) / count)
        return np.asarray(known & (log_size > (mean + spread * (1 + 1e-12) + 1e-12)[:, None]))

    @cached_property
    def large_net_buying(self) -> FloatArray:
        """(N, B) net buying in the bars of large trades, 0 in the others."""
        return np.where(self.is_large, self.net_buying, 0.0)


def positive(values: FloatArray) -> FloatArray:
    """The values, NaN where they are not above 0."""
    return np.where(values > 0, values, np.nan)


def ratio(upper: FloatArray, lower: FloatArray) -> FloatArray:
    """upper / lower, NaN where ``lower`` is not above 0."""
    return np.divide(upper, lower, out=np.full(np.broadcast_shapes(upper.shape, lower.shape), np.nan), where=lower > 0)


def correlation(x: FloatArray, y: FloatArray) -> FloatArray:
    """(N,) Pearson correlation along the bars; NaN where either has no spread (below 1e-12 of its size)."""
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    xx, yy = np.einsum("nb,nb->n", dx, dx), np.einsum("nb,nb->n", dy, dy)
    has_spread = (xx > 1e-24 * np.einsum("nb,nb->n", x, x)) & (yy > 1e-24 * np.einsum("nb,nb->n", y, y))
    return np.where(has_spread, ratio(np.einsum("nb,nb->n", dx, dy), np.sqrt(xx * yy)), np.nan)


def mean_over_spread(values: FloatArray) -> FloatArray:
    """(N,) mean / standard deviation (divisor n) along the bars; NaN without spread (below 1e-12 of its size)."""
    mean, square = values.mean(axis=1), np.einsum("nb,nb->n", values, values) / values.shape[1]
    deviation = values - mean[:, None]
    variance = np.einsum("nb,nb->n", deviation, deviation) / values.shape[1]
    return np.where(variance > 1e-24 * square, ratio(mean, np.sqrt(variance)), np.nan)


def of_largest(key: FloatArray, values: FloatArray, count: int) -> FloatArray:
    """(N,) Σ values over the ``count`` bars with the largest key; of equal keys the earlier bar. NaN keys come last."""
    order = np.argsort(np.where(np.isnan(key), np.inf, -key), axis=1, kind="stable")[:, :count]
    return np.asarray(np.take_along_axis(values, order, axis=1).sum(axis=1))
