"""The bars of one session, built to fit what the session already decided.

The path of each name is a bridge through its open, its close of 10:00 and its uncut close, with more variance in the morning; the
limits cut the path, so a name that ends at its limit sits there for the last bars. High and low of a bar are drawn from the
exact law of a Brownian bridge's extremes. The bars of a day sum and span to the daily bar by construction, because the daily bar
is their aggregate: volumes are whole lots and amounts whole yuan, so the sums are exact in floating point too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from alpha_pipeline.sources.simulated.dynamics import Session
from alpha_pipeline.sources.simulated.spec import Stream, stream

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

# Quarter-hour profiles: share of the day's variance and volume. Measured once on Shanghai names, 2025; the last bar's volume is
# raised by the closing auction, which is missing on some days of that sample.
_VARIANCE_15 = np.array([12.2, 4.0, 2.6, 1.84, 1.58, 1.41, 1.25, 1.27, 2.3, 1.3, 1.26, 1.19, 1.21, 0.94, 0.94, 0.84])
_VOLUME_15 = np.array([17.3, 9.9, 7.8, 6.1, 5.3, 4.6, 4.3, 4.1, 5.5, 4.4, 4.4, 4.3, 4.5, 4.4, 5.6, 8.1])
MINUTES_PER_DAY = 240
_MEAN_TRADE_CNY = 22_000.0


@dataclass(frozen=True)
class Bars:
    """Bars of the names that traded; prices in cents, arrays (n_traded, n_bars); amount in whole yuan, volume in lots."""

    rows: I64
    open: I64
    high: I64
    low: I64
    close: I64
    lots: I64
    amount: I64
    trade_count: I64
    buy_amount: I64


@cache
def profiles(minutes: int) -> tuple[F, F]:
    """(variance, volume) shares of each bar of a day, summing to 1; the quarter-hour tables, split or joined evenly."""
    out = []
    for table in (_VARIANCE_15, _VOLUME_15):
        per_minute = np.repeat(table / table.sum() / 15.0, 15)
        out.append(per_minute.reshape(-1, minutes).sum(axis=1))
    return out[0], out[1]


@cache
def bar_ends(minutes: int) -> npt.NDArray[np.timedelta64]:
    """Ends of the bars as time since midnight, Asia/Shanghai.

    >>> bar_ends(30).astype("timedelta64[m]").astype(int).tolist()[:5]
    [600, 630, 660, 690, 810]
    """
    at = np.arange(minutes, MINUTES_PER_DAY + 1, minutes)
    return np.where(at <= 120, 9 * 60 + 30 + at, 13 * 60 + at - 120).astype("timedelta64[m]").astype("timedelta64[s]")


def build_bars(seed: int, session: Session, minutes: int) -> Bars:
    """Bars of one session from its own stream; depends on nothing but the session."""
    on = np.flatnonzero(~session.is_suspended)
    n_bars, n_first = MINUTES_PER_DAY // minutes, 30 // minutes
    rng = stream(seed, Stream.BARS, session.t)
    noise = rng.standard_normal((3, len(on), n_bars), dtype=np.float32)
    spread = rng.standard_exponential((2, len(on), n_bars), dtype=np.float32)
    tick = rng.integers(-1, 2, size=(len(on), n_bars), dtype=np.int8)
    variance, volume = profiles(minutes)
    vol = np.sqrt(variance).astype(np.float32) * session.sigma[on, None].astype(np.float32)

    bar_open, close, is_flat = _path(session, on, noise[0] * vol, variance, n_first, tick)
    high, low = _extremes(session, on, bar_open, close, vol, spread, is_flat)
    lots = _split_volume(session, on, volume, n_first, noise[1], np.abs(close - bar_open) / (vol * bar_open))

    lean = 0.5 + 0.22 * np.tanh(noise[2])
    price = low + (high - low) * (0.5 * lean + 0.25 * ((bar_open + close - 2 * low) / np.maximum(high - low, 1)))
    amount = np.rint(np.clip(price, low, high) * lots).astype(np.int64)
    size = _MEAN_TRADE_CNY * np.exp(0.25 * noise[2] + 0.15 * noise[1])
    move = (close - bar_open) / (vol * bar_open)
    buys = np.clip(0.5 + 0.16 * np.tanh(0.8 * move) + 0.06 * noise[2], 0.02, 0.98)
    return Bars(session.rows[on], bar_open, high, low, close, lots, amount,
                np.clip(np.rint(amount / size), 1, lots).astype(np.int64), np.rint(amount * buys).astype(np.int64))


def _path(session: Session, on: I64, steps: npt.NDArray[np.float32], variance: F, n_first: int,
          tick: npt.NDArray[np.int8]) -> tuple[I64, I64, npt.NDArray[np.bool_]]:
    """(open, close, is_flat) of each bar in cents."""
    first, ten, last = session.open[on], session.ten[on], session.close[on]
    ceiling = np.where(session.limit_up[on] > 0, session.limit_up[on], 10**9)[:, None]
    floor = np.maximum(session.limit_down[on], 1)[:, None]
    is_one_price = session.is_one_price[on][:, None]
    target = np.maximum(session.raw_close[on], 1.0)
    path = np.empty(steps.shape)
    for cut, begin, goal in ((slice(0, n_first), first, ten), (slice(n_first, None), ten, target)):
        share = np.cumsum(variance[cut]) / variance[cut].sum()
        walk = np.cumsum(steps[:, cut], axis=1, dtype=np.float64)
        walk += share * (np.log(goal / begin)[:, None] - walk[:, -1:])
        path[:, cut] = begin[:, None] * np.exp(walk)
    # The last trade of a bar is at the bid or the ask: half a tick off the path.
    close = np.clip(np.rint(path + 0.5 * tick).astype(np.int64), floor, ceiling)
    close[:, n_first - 1], close[:, -1] = ten, last
    close = np.where(is_one_price, last[:, None], close)
    bar_open = np.empty_like(close)
    bar_open[:, 0] = first
    # A locked limit stays locked: the next bar opens where it was, else the next trade may be a tick away.
    is_locked = (close[:, :-1] == ceiling) | (close[:, :-1] == floor)
    bar_open[:, 1:] = np.where(is_locked, close[:, :-1], np.clip(close[:, :-1] + tick[:, ::-1][:, 1:], floor, ceiling))
    is_flat = is_one_price | ((bar_open == close) & ((close == ceiling) | (close == floor)))
    return bar_open, close, is_flat


def _extremes(session: Session, on: I64, bar_open: I64, close: I64, vol: npt.NDArray[np.float32], spread: npt.NDArray[np.float32],
              is_flat: npt.NDArray[np.bool_]) -> tuple[I64, I64]:
    """(high, low) of each bar: maximum of a bridge from a to b with variance s^2 is (a + b + sqrt((a - b)^2 + 2 s^2 E)) / 2."""
    ceiling = np.where(session.limit_up[on] > 0, session.limit_up[on], 10**9)[:, None]
    floor = np.maximum(session.limit_down[on], 1)[:, None]
    middle, gap = bar_open + close, (bar_open - close).astype(np.float64) ** 2
    double = 2.0 * (vol * bar_open).astype(np.float64) ** 2
    high = np.rint(0.5 * (middle + np.sqrt(gap + double * spread[0]))).astype(np.int64)
    low = np.rint(0.5 * (middle - np.sqrt(gap + double * spread[1]))).astype(np.int64)
    high = np.minimum(np.maximum(high, np.maximum(bar_open, close)), ceiling)
    low = np.maximum(np.minimum(low, np.minimum(bar_open, close)), floor)
    return np.where(is_flat, close, high), np.where(is_flat, close, low)


def _split_volume(session: Session, on: I64, volume: F, n_first: int, noise: npt.NDArray[np.float32], move: F) -> I64:
    """Lots per bar: U-shaped, busier when the price moves, 14:30-15:00 exactly the session's share up to one lot."""
    weights = volume * np.exp(0.35 * noise + 0.20 * np.minimum(move, 3.0))
    share = session.closing_share[on][:, None]
    weights[:, :-n_first] *= (1.0 - share) / weights[:, :-n_first].sum(axis=1, keepdims=True)
    weights[:, -n_first:] *= share / weights[:, -n_first:].sum(axis=1, keepdims=True)
    n_bars = weights.shape[1]
    spare = session.lots[on][:, None] - n_bars  # every bar trades a lot at least
    edges = np.rint(np.cumsum(weights, axis=1) * spare).astype(np.int64)
    edges[:, -1] = spare[:, 0]
    return np.diff(edges, axis=1, prepend=0) + 1
