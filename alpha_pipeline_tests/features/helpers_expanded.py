"""A daily panel of plausible bars, and its windows computed stock by stock in pandas and float64: what lazy windows must equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd

from alpha_pipeline.features import rows
from alpha_pipeline.features.tensors import ALPHANET, BAR_FIELDS, RAWBAR, WEEKLY, TensorSpec

PANEL = rows.DAILY.fields
WEEKS = dataclasses.replace(WEEKLY, n_days=20)  # four weeks: what is tested does not need forty
RAW = dataclasses.replace(RAWBAR, n_days=6)
LEVELS = dataclasses.replace(ALPHANET, n_days=6)
SPECS = (WEEKS, RAW, LEVELS)


def at(name: str) -> int:
    return PANEL.index(name)


def make_panel(n_dates: int, n_stocks: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A daily panel of plausible bars with all its fields; the factor jumps for every stock at some date."""
    rng = np.random.default_rng(seed)
    close = np.exp(rng.normal(0, 0.02, (n_dates, n_stocks)).cumsum(axis=0)) * 10 ** rng.uniform(0.5, 2, n_stocks)
    values = np.full((n_dates, 1, len(PANEL), n_stocks), np.nan, dtype=np.float32)
    values[:, 0, at("close")] = close
    values[:, 0, at("open")] = close * np.exp(rng.normal(0, 0.01, close.shape))
    values[:, 0, at("vwap")] = close * np.exp(rng.normal(0, 0.005, close.shape))
    around = values[:, 0, [at("open"), at("close"), at("vwap")]]
    values[:, 0, at("high")] = around.max(axis=1) * np.exp(abs(rng.normal(0, 0.005, close.shape)))
    values[:, 0, at("low")] = around.min(axis=1) * np.exp(-abs(rng.normal(0, 0.005, close.shape)))
    volume = np.round(rng.lognormal(15, 1, close.shape))
    values[:, 0, at("volume")] = volume
    values[:, 0, at("turn")] = volume / 3e8
    values[:, 0, at("free_turn")] = volume / 1e8
    values[:, 0, at("adj_factor")] = np.where(np.arange(n_dates)[:, None] < rng.integers(0, n_dates, n_stocks), 1.0, rng.uniform(1, 3, n_stocks))
    values[:, 0, at("amount")] = -7.0  # of no tensor: must not be looked at
    return values, np.zeros((n_dates, n_stocks), dtype=bool)


def spoil(values: np.ndarray, suspended: np.ndarray, seed: int, n: int) -> None:
    """Suspended days, gaps, late listings and prices of 0 for some of the stocks."""
    rng = np.random.default_rng(seed)
    n_dates, n_stocks = suspended.shape
    for stock in range(n_stocks):
        if rng.random() < 0.4:
            first = int(rng.integers(1, n_dates))
            suspend(values, suspended, slice(first, first + int(rng.integers(1, n // 3 + 1))), stock)
        if rng.random() < 0.15:
            values[int(rng.integers(0, n_dates)), ..., stock] = np.nan
        if rng.random() < 0.15:
            values[: int(rng.integers(1, n_dates)), ..., stock] = np.nan
        if rng.random() < 0.05:
            values[int(rng.integers(0, n_dates)), 0, at("low"), stock] = 0


def suspend(values: np.ndarray, suspended: np.ndarray, days: slice, stock: int) -> None:
    suspended[days, stock] = True
    for name in BAR_FIELDS[:5]:
        values[days, 0, at(name), stock] = values[days.start - 1, 0, at("close"), stock]
    for name in ("volume", "turn", "free_turn"):
        values[days, 0, at(name), stock] = 0


def stock_frame(values: np.ndarray, date: int, n_days: int, stock: int) -> pd.DataFrame:
    """One stock's days of a window, float64, a column per panel field."""
    return pd.DataFrame(values[date - n_days + 1 : date + 1, 0, :, stock].astype(np.float64), columns=list(PANEL))


def expanded_weeks(values: np.ndarray, date: int, n_days: int, stock: int) -> np.ndarray:
    days = stock_frame(values, date, n_days, stock)
    weeks = []
    for first in range(0, n_days, 5):
        week = days.iloc[first : first + 5]
        traded = week["volume"].sum() > 0
        vwap = (week["vwap"] * week["volume"]).sum() / week["volume"].sum() if traded else week["close"].iloc[-1]
        weeks.append([week["open"].iloc[0], week["high"].max(), week["low"].min(), week["close"].iloc[-1], vwap, week["volume"].sum()])
    bars = np.array(weeks)
    return bars / bars[-1]


def returns(days: pd.DataFrame) -> pd.Series:
    """By day, the first without one."""
    return days["close"].pct_change(fill_method=None).where(days["volume"] > 0, 0.0)


def expanded_raw(values: np.ndarray, date: int, n_days: int, stock: int) -> np.ndarray:
    days = stock_frame(values, date, n_days + 1, stock)
    out = days[[*BAR_FIELDS, "turn"]] / days[[*BAR_FIELDS, "turn"]].iloc[-1]
    out.insert(6, "return", returns(days))
    return out.iloc[1:].to_numpy()


def expanded_levels(values: np.ndarray, date: int, n_days: int, stock: int) -> np.ndarray:
    days = stock_frame(values, date, n_days + 1, stock)
    prices = days[list(BAR_FIELDS[:5])] / days["adj_factor"].iloc[-1]
    f = prices.assign(returns=returns(days), **{name: days[name] for name in ("volume", "turn", "free_turn")}).iloc[1:]
    no_free, no_turn = f["free_turn"] == 0, f["turn"] == 0
    columns = {
        "return": f["returns"] * 10, "open": f["open"] / 10, "close": f["close"] / 10, "high": f["high"] / 10, "low": f["low"] / 10,
        "volume": f["volume"] / 1e7, "vwap": f["vwap"] / 10, "turn": f["turn"] * 100, "free_turn": f["free_turn"] * 100,
        "close/free_turn": (f["close"] / f["free_turn"].where(~no_free) / 1000).fillna(0),
        "open/turn": (f["open"] / f["turn"].where(~no_turn) / 1000).fillna(0),
        "volume/low": f["volume"] / f["low"] / 1e6,
        "vwap/high": f["vwap"] / f["high"], "low/high": f["low"] / f["high"], "vwap/close": f["vwap"] / f["close"],
    }
    return pd.DataFrame(columns).to_numpy()


BY_STOCK: dict[str, Callable[[np.ndarray, int, int, int], np.ndarray]] = {
    "weekly": expanded_weeks, "rawbar": expanded_raw, "alphanet": expanded_levels,
}


def expanded(spec: TensorSpec, values: np.ndarray, date: int, columns: np.ndarray) -> np.ndarray:
    """(T, F, N) of the whole cross-section."""
    x = np.stack([BY_STOCK[spec.name](values, date, spec.n_days, int(stock)) for stock in columns], axis=2)
    if spec.scale == "level":
        return x
    std = x.std(axis=2, keepdims=True)
    return np.where(std > 1e-9, (x - x.mean(axis=2, keepdims=True)) / np.where(std > 1e-9, std, 1), 0.0)


def should_have_window(spec: TensorSpec, values: np.ndarray, suspended: np.ndarray, date: int, stock: int) -> bool:
    """From the rules as they are written down."""
    needs_previous = "return" in spec.fields
    if date - spec.n_days + 1 - needs_previous < 0:
        return False
    days = stock_frame(values, date, spec.n_days + needs_previous, stock)
    if days["close"].isna().any():
        return False
    inside = days.iloc[int(needs_previous) :]
    if suspended[date - spec.n_days + 1 : date + 1, stock].sum() > 0.2 * spec.n_days + 1e-9:
        return False
    if (inside[list(BAR_FIELDS[:5])] <= 0).any(axis=None):
        return False
    return spec.scale == "level" or inside["volume"].iloc[-spec.days_per_step :].sum() > 0
