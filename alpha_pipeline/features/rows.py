"""One date's panel rows from its raw tables.

Three panels hold everything that the later steps read at array speed:

* ``daily``: adjusted prices and the day's quantities; a suspended stock without a bar carries its last adjusted close and volume 0;
* ``status``: flags, industry code + 1 (0 where unknown), days since listing, index membership (small integers, see
  :mod:`alpha_pipeline.market.universe`);
* ``intraday_15m``: 16 bars of adjusted open, high, low, close, vwap and raw volume; a suspended day is flat at the close with volume 0;
  a stock that traded but lacks a bar has NaN for the whole day.

All values are known at the close of their date.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.features.panel import PanelSpec, SymbolAxis
from alpha_pipeline.features.tensors import BAR_FIELDS, PRICE_FIELDS
from alpha_pipeline.market.universe import FLAGS, INDEX_BITS

DAILY = PanelSpec("daily", (*BAR_FIELDS, "amount", "turn", "free_turn", "total_cap", "float_cap", "adj_factor"))
STATUS = PanelSpec("status", ("flags", "industry", "listed_days", "membership"), dtype="int16")
INTRADAY_15M = PanelSpec("intraday_15m", BAR_FIELDS, steps=16)
PANELS = {spec.name: spec for spec in (DAILY, STATUS, INTRADAY_15M)}

_SESSION_MINUTES = 240


def daily_row(bars: pd.DataFrame, status: pd.DataFrame, axis: SymbolAxis, previous: np.ndarray | None) -> np.ndarray:
    """Row (1, n_fields, n_symbols) of the ``daily`` panel. ``previous`` is the row before, None on the first date."""
    at_status = axis.columns(status["symbol"].tolist())
    at = axis.columns(bars["symbol"].tolist())
    row = np.full((len(DAILY.fields), len(axis)), np.nan)
    factor = bars["adj_factor"].to_numpy()
    for position, name in enumerate(PRICE_FIELDS):
        row[position, at] = bars[name].to_numpy() * factor
    for name in ("volume", "amount", "adj_factor"):
        row[DAILY.field(name), at] = bars[name].to_numpy()
    close = np.full(len(axis), np.nan)
    close[at] = bars["close"].to_numpy()
    shares = {name: np.full(len(axis), np.nan) for name in ("total_shares", "float_shares", "free_float_shares")}
    for name, values in shares.items():
        values[at_status] = status[name].to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        row[DAILY.field("turn")] = row[DAILY.field("volume")] / shares["float_shares"]
        row[DAILY.field("free_turn")] = row[DAILY.field("volume")] / shares["free_float_shares"]
    row[DAILY.field("total_cap")] = close * shares["total_shares"]
    row[DAILY.field("float_cap")] = close * shares["float_shares"]
    _carry_suspended(row, status, at_status, previous)
    return row[None].astype(np.float32)


def _carry_suspended(row: np.ndarray, status: pd.DataFrame, at_status: np.ndarray, previous: np.ndarray | None) -> None:
    """Suspended names without a bar keep their last adjusted close at volume 0; caps and factor are carried too."""
    if previous is None:
        return
    suspended = np.zeros(row.shape[1], dtype=bool)
    suspended[at_status] = status["is_suspended"].to_numpy()
    known = np.full(row.shape, np.nan)
    known[:, : previous.shape[-1]] = previous[0]
    fill = suspended & np.isnan(row[DAILY.field("close")]) & ~np.isnan(known[DAILY.field("close")])
    for name in PRICE_FIELDS:
        row[DAILY.field(name), fill] = known[DAILY.field("close"), fill]
    for name in ("total_cap", "float_cap", "adj_factor"):
        row[DAILY.field(name), fill] = known[DAILY.field(name), fill]
    for name in ("volume", "amount", "turn", "free_turn"):
        row[DAILY.field(name), fill] = 0.0


def status_row(bars: pd.DataFrame, status: pd.DataFrame, weights: pd.DataFrame | None, axis: SymbolAxis) -> np.ndarray:
    """Row (1, n_fields, n_symbols) of the ``status`` panel."""
    at = axis.columns(status["symbol"].tolist())
    at_bars = axis.columns(bars["symbol"].tolist())
    industry = axis.industry_codes(status["industry"].tolist())
    row = np.zeros((len(STATUS.fields), len(axis)), dtype=np.int16)
    flags = row[STATUS.field("flags")]
    flags[at] |= FLAGS["listed"]
    flags[at_bars] |= FLAGS["has_bar"]
    for name, column in (("suspended", "is_suspended"), ("st", "is_st"), ("delisting", "is_delisting")):
        flags[at[status[column].to_numpy()]] |= FLAGS[name]
    row[STATUS.field("industry"), at] = industry + 1
    row[STATUS.field("listed_days"), at] = np.minimum(status["listed_days"].to_numpy(), np.iinfo(np.int16).max)
    _mark_limits(flags, bars, status, at_bars)
    if weights is not None:
        membership = row[STATUS.field("membership")]
        for code, bit in INDEX_BITS.items():
            members = axis.known_columns(weights.loc[weights["index_code"] == code, "symbol"].tolist())
            membership[members[members >= 0]] |= bit
    return row[None]


def _mark_limits(flags: np.ndarray, bars: pd.DataFrame, status: pd.DataFrame, at_bars: np.ndarray) -> None:
    limits = status.set_index("symbol")[["limit_up", "limit_down"]].reindex(bars["symbol"])
    cents = {name: np.rint(np.nan_to_num(bars[name].to_numpy() * 100.0, nan=-1.0)) for name in ("high", "low", "close")}
    traded = bars["volume"].to_numpy() > 0
    for side, name in (("up", "limit_up"), ("down", "limit_down")):
        limit = np.rint(np.nan_to_num(limits[name].to_numpy() * 100.0, nan=-2.0))
        flags[at_bars[traded & (cents["close"] == limit)]] |= FLAGS[f"limit_{side}"]
        flags[at_bars[traded & (cents["high"] == limit) & (cents["low"] == limit)]] |= FLAGS[f"one_price_{side}"]


def session_minute(bar_end: pd.Series) -> np.ndarray:
    """Minutes of trading from the open to each bar end: 09:45 → 15, 11:30 → 120, 13:15 → 135, 15:00 → 240."""
    minutes = (bar_end.dt.hour * 60 + bar_end.dt.minute).to_numpy()
    elapsed = np.where(minutes <= 11 * 60 + 30, minutes - (9 * 60 + 30), minutes - 13 * 60 + 120)
    in_break = (minutes > 11 * 60 + 30) & (minutes <= 13 * 60)
    bad = (elapsed <= 0) | (elapsed > _SESSION_MINUTES) | in_break
    if bad.any():
        raise BadInput(sentence("bar ends outside the session", got=str(bar_end[bad].iloc[0]), expected="09:30–11:30 and 13:00–15:00"))
    return elapsed


def aggregate_bars(bars: pd.DataFrame, minutes: int) -> dict[str, np.ndarray | list[str]]:
    """Bars of one date on a coarser grid, as arrays (n_symbols, 240 / minutes) by field, NaN where a native bar is missing.

    open: first, high: max, low: min, close: last, vwap: amount / volume (close when nothing traded), volume: sum. Also ``symbols``.
    The native frequency must divide ``minutes``.
    """
    minute = session_minute(bars["bar_end"])
    native = int(np.gcd.reduce(minute)) if len(minute) else minutes
    if minutes % native:
        raise BadInput(sentence("bars cannot be aggregated", got=f"{native}-minute bars", expected=f"a divisor of {minutes} minutes"))
    codes, symbols = pd.factorize(bars["symbol"], sort=True)
    n_native, per_bar = _SESSION_MINUTES // native, minutes // native
    slot = minute // native - 1
    grids: dict[str, np.ndarray] = {}
    for name in ("open", "high", "low", "close", "volume", "amount"):
        grid = np.full((len(symbols), n_native), np.nan)
        grid[codes, slot] = bars[name].to_numpy()
        grids[name] = grid.reshape(len(symbols), -1, per_bar)
    out: dict[str, np.ndarray | list[str]] = {
        "open": grids["open"][:, :, 0], "high": grids["high"].max(axis=2), "low": grids["low"].min(axis=2), "close": grids["close"][:, :, -1],
        "volume": grids["volume"].sum(axis=2),
    }
    missing = np.isnan(grids["close"]).any(axis=2)
    volume, amount = grids["volume"].sum(axis=2), grids["amount"].sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        out["vwap"] = np.where(volume > 0, amount / volume, out["close"])
    for name in BAR_FIELDS:
        values = out[name]
        assert isinstance(values, np.ndarray)
        values[missing] = np.nan
    out["symbols"] = [str(s) for s in symbols]
    return out


def intraday_row(bars: pd.DataFrame, daily: np.ndarray, status_flags: np.ndarray, axis: SymbolAxis) -> tuple[np.ndarray, dict[str, int]]:
    """Row (16, n_fields, n_symbols) of the ``intraday_15m`` panel and counts of names by what happened to them.

    ``daily`` is the date's row of the daily panel (1, n_fields, n_symbols): it gives the factor and the close that suspended days carry.
    """
    n_symbols = daily.shape[-1]
    row = np.full((INTRADAY_15M.steps, len(BAR_FIELDS), n_symbols), np.nan, dtype=np.float32)
    counts = {"suspended, carried": 0, "traded, incomplete bars": 0, "complete": 0}
    factor = daily[0, DAILY.field("adj_factor")].astype(np.float64)
    if len(bars):
        grid = aggregate_bars(bars, _SESSION_MINUTES // INTRADAY_15M.steps)
        at = axis.known_columns(grid["symbols"])  # type: ignore[arg-type]
        keep = at >= 0
        whole = np.ones(len(at), dtype=bool)
        for position, name in enumerate(BAR_FIELDS):
            values = np.asarray(grid[name], dtype=np.float64)
            whole &= ~np.isnan(values).any(axis=1)
            scale = factor[at[keep]][:, None] if name in PRICE_FIELDS else 1.0
            row[:, position, at[keep]] = (values[keep] * scale).T
        row[:, :, at[keep & ~whole]] = np.nan
        counts["complete"] = int((keep & whole).sum())
        counts["traded, incomplete bars"] = int((keep & ~whole).sum())
    suspended = (status_flags & FLAGS["suspended"]) != 0
    close = daily[0, DAILY.field("close")]
    carried = suspended & ~np.isnan(close)
    row[:, : len(PRICE_FIELDS), carried] = close[carried]
    row[:, len(PRICE_FIELDS), carried] = 0.0
    counts["suspended, carried"] = int(carried.sum())
    return row, counts
