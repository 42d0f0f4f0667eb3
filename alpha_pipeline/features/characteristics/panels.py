"""The panels of characteristics: which fields, how many steps a day, which markets can have them, and one date's row.

==============  ===========  =======================================================================
``mschars``     1 a day      price and volume
``l2chars``     1 a day      order flow; needs trade_count, buy_amount and sell_amount
``chars_30m``   8 a day      price and volume inside each 30 minutes
``chars_10m``   24 a day     price and volume inside each 10 minutes
==============  ===========  =======================================================================

Fields are fixed: a market either has a panel or lacks it by name. A characteristic that needs more bars than a step has at the market's bar
length stays in the panel and is NaN for every stock (:func:`absent_fields` names it); a tensor then holds 0 there.

All values are known at the close of their date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.features.characteristics.bars import FLOW_COLUMNS, SESSION_MINUTES, Bars
from alpha_pipeline.features.characteristics.registry import CHARACTERISTICS, absent, compute
from alpha_pipeline.features.panel import PanelSpec, SymbolAxis

_STEP_ONLY = ("volume_share",)
MSCHARS = PanelSpec("mschars", tuple(c.name for c in CHARACTERISTICS.values() if c.family == "price_volume" and c.name not in _STEP_ONLY))
L2CHARS = PanelSpec("l2chars", tuple(c.name for c in CHARACTERISTICS.values() if c.family == "order_flow"))
CHARS_10M = PanelSpec("chars_10m", (
    "intraday_return", "realized_variance", "upside_variance_share", "max_drawdown", "vwap_deviation", "volume_share", "volume_concentration",
    "amihud", "peak_volume_return", "trend_strength", "high_low_range", "close_position",
), steps=24)
CHARS_30M = PanelSpec("chars_30m", (
    *CHARS_10M.fields, "realized_skewness", "price_volume_correlation", "top_volume_return", "return_autocorrelation",
), steps=8)
CHARACTERISTIC_PANELS: dict[str, PanelSpec] = {spec.name: spec for spec in (MSCHARS, L2CHARS, CHARS_10M, CHARS_30M)}

MIN_BARS_PER_STEP = 2
_MAX_DAILY_MINUTES = 30
_PRICES = ("open", "high", "low", "close")
_COLUMNS = (*_PRICES, "volume", "amount")


def lacks(panel: PanelSpec, tables: Sequence[str], minutes: int | None, missing: Mapping[str, str]) -> list[str]:
    """What a market lacks for a panel, in words; empty if it can have it.

    ``tables`` that it offers, ``minutes`` of its bars, ``missing``: absent ``table.column`` by name. Steps need at least two bars; panels of
    whole days bars that divide 30 minutes, without which half of the fields would be absent.
    """
    if "intraday_bars" not in tables or minutes is None:
        return ["intraday_bars"]
    length = SESSION_MINUTES // panel.steps
    needed = [f"intraday_bars.{name}" for name in FLOW_COLUMNS if panel is L2CHARS]
    lacking = [name for name in needed if name in missing]
    if panel.steps == 1:
        if _MAX_DAILY_MINUTES % minutes:
            lacking.append(f"bars that divide {_MAX_DAILY_MINUTES} minutes")
    elif length % minutes or length // minutes < MIN_BARS_PER_STEP:
        lacking.append(f"bars of at most {length // MIN_BARS_PER_STEP} minutes that divide {length}")
    return lacking


def why_absent(panel: str, fields: Sequence[str], tables: Sequence[str], minutes: int | None, missing: Mapping[str, str]) -> str:
    """Why a market cannot have these fields of a panel, in words; empty if it can, and for a panel that holds no characteristics."""
    if panel not in CHARACTERISTIC_PANELS:
        return ""
    lacking = lacks(CHARACTERISTIC_PANELS[panel], tables, minutes, missing)
    if lacking:
        return f"the source lacks {', '.join(lacking)}"
    return "the bars are too long for it" if set(fields) & set(absent_fields(CHARACTERISTIC_PANELS[panel], minutes or 0)) else ""


def absent_fields(panel: PanelSpec, minutes: int) -> list[str]:
    """Fields of a panel that are NaN for every stock at this bar length."""
    return absent(panel.fields, minutes, SESSION_MINUTES // panel.steps // minutes)


def day_bars(frame: pd.DataFrame, minute: npt.NDArray[np.int64], minutes: int) -> tuple[list[str], Bars, int]:
    """(symbols, their bars, names left out): the complete names of one date's ``intraday_bars``, sorted by symbol.

    ``minute``: minutes of trading up to each row's bar end. A name that lacks a bar, or a number in one, is left out and counted.
    Raises :class:`BadInput` when a bar does not end on the grid of ``minutes``.
    """
    if (minute % minutes).any():
        raise BadInput(sentence("bars off the grid", where="intraday_bars", got=f"an end after {int(minute[(minute % minutes) > 0][0])} minutes",
                                expected=f"multiples of {minutes} minutes"))
    codes, symbols = pd.factorize(frame["symbol"], sort=True)
    n_bars = SESSION_MINUTES // minutes
    place = codes * n_bars + minute // minutes - 1
    whole = np.ones(len(symbols), dtype=bool)
    grids: dict[str, npt.NDArray[np.float64]] = {}
    for name in (*_COLUMNS, *(c for c in FLOW_COLUMNS if c in frame)):
        grid = np.full(len(symbols) * n_bars, np.nan)
        grid[place] = frame[name].to_numpy(dtype=np.float64)
        grids[name] = grid.reshape(len(symbols), n_bars)
        whole &= ~np.isnan(grids[name]).any(axis=1)
    if not whole.all():
        grids = {name: grid[whole] for name, grid in grids.items()}
    return [str(s) for s in symbols[whole]], Bars.of_day(minutes, **grids), int((~whole).sum())  # type: ignore[arg-type]


def characteristics_row(
    panel: PanelSpec, bars: Bars, at: npt.NDArray[np.int64], n_symbols: int
) -> npt.NDArray[np.float32]:
    """Row (steps, fields, n_symbols) float32 of a panel; ``at``: the column of each of the bars' stocks, NaN in all others."""
    row = np.full((panel.steps, len(panel.fields), n_symbols), np.nan, dtype=np.float32)
    if len(at):
        values = compute(panel.fields, bars if panel.steps == 1 else bars.steps(panel.steps))
        row[:, :, at] = values.reshape(len(panel.fields), len(at), panel.steps).transpose(2, 0, 1)
    return row


def build_row(
    panel: PanelSpec, intraday: pd.DataFrame, daily: pd.DataFrame, status: pd.DataFrame, minute: npt.NDArray[np.int64], minutes: int,
    axis: SymbolAxis,
) -> tuple[npt.NDArray[np.float32], dict[str, int]]:
    """One date's row of a panel from its raw tables, and counts of names by what happened to them.

    A suspended name has no bars and NaN everywhere; so has a name of which a bar is missing.
    """
    symbols, bars, n_incomplete = day_bars(intraday, minute, minutes)
    bars = with_day(bars, symbols, daily, status)
    at = axis.known_columns(symbols)
    known = at >= 0
    if not known.all():
        bars = bars.take(np.flatnonzero(known))
    row = characteristics_row(panel, bars, at[known], len(axis))
    n_suspended = int(status["is_suspended"].sum())
    return row, {"suspended": n_suspended, "traded, incomplete bars": n_incomplete, "complete": int(known.sum())}


def with_day(bars: Bars, symbols: Sequence[str], daily: pd.DataFrame, status: pd.DataFrame) -> Bars:
    """The bars with the day's reference prices and float shares; NaN for a name without."""
    previous = daily.set_index("symbol")["pre_close"].reindex(symbols).to_numpy(dtype=np.float64)
    shares = status.set_index("symbol")["float_shares"].reindex(symbols).to_numpy(dtype=np.float64)
    return replace(bars, previous_close=previous, float_shares=shares)
