"""Recipes for the security status: board, price limits, industry history, listing date, share counts from market values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.market.rules import board_of, price_limits
from alpha_pipeline.sources.files.day import Day
from alpha_pipeline.sources.files.recipes import Recipe


@dataclass(frozen=True)
class SuspendedFromStatus(Recipe):
    """is_suspended: trade_status is 'suspended'."""

    name = "from_trade_status"
    for_columns = ("is_suspended",)
    needs = ("trade_status",)

    def compute(self, day: Day, column: str) -> np.ndarray:
        return (day.frame["trade_status"] == "suspended").to_numpy()


@dataclass(frozen=True)
class BoardOfSymbol(Recipe):
    """board: from the code's first digits and the exchange."""

    name = "board_of_symbol"
    for_columns = ("board",)
    needs = ("symbol",)

    def compute(self, day: Day, column: str) -> np.ndarray:
        known: dict[str, str] = day.market.once((self.name,), dict)
        for symbol in day.symbols:
            if symbol not in known:
                known[symbol] = board_of(symbol)
        return np.array([known[symbol] for symbol in day.symbols], dtype=object)


@dataclass(frozen=True)
class LimitsFromRules(Recipe):
    """limit_up, limit_down: pre_close under the dated price-limit rules; missing on days without a limit."""

    name = "from_rules"
    for_columns = ("limit_up", "limit_down")
    needs = ("pre_close", "board", "is_st", "listed_days")

    def compute(self, day: Day, column: str) -> np.ndarray:
        frame = day.frame
        up, down = price_limits(
            day.trade_date,
            day.number("pre_close"),
            frame["board"].to_numpy(),
            frame["is_st"].to_numpy(dtype=bool),
            frame["listed_days"].to_numpy(),
        )
        limit = up if column == "limit_up" else down
        return np.where(day.market.has_no_limit(day.trade_date, day.symbols), np.nan, limit)

    def proxy(self) -> str:
        return "dated price-limit rules applied to pre_close; as wrong as is_st, listed_days and pre_close are"


@dataclass(frozen=True)
class IndustryHistory(Recipe):
    """industry: name of the last row with in_date <= t; missing before the first one.

    ``file`` has symbol, in_date, code; ``names``, a file with code and name; ``further_names``: codes of an older
    scheme that the file lacks.
    """

    name = "industry_history"
    for_columns = ("industry",)
    needs = ("symbol",)
    file: str
    names: str
    further_names: Mapping[str, str] = field(default_factory=dict)

    def compute(self, day: Day, column: str) -> np.ndarray:
        index, keys, days, codes, names = day.market.once((self.name, self.file, self.names), lambda: self._load(day))
        at = as_of(keys, days, index.get_indexer(day.symbols), np.datetime64(day.trade_date, "D"))
        current = codes[at[at >= 0]]
        lacking = sorted(set(current) - set(names))
        if lacking:  # of this date only: codes of schemes that ended before the market's start do not matter
            raise BadInput(
                sentence(
                    "industry codes without a name",
                    where=f"files.{self.file} {day.trade_date}",
                    got=", ".join(lacking),
                    next_step="Add them to further_names of the recipe.",
                )
            )
        out = np.full(len(at), None, dtype=object)
        out[at >= 0] = [names[code] for code in current]
        return out

    def _load(self, day: Day) -> tuple[pd.Index, np.ndarray, np.ndarray, np.ndarray, dict[str, str]]:
        """Index of symbols; per row, sorted by (symbol, in_date): position in it, in_date, code; names by code."""
        table = day.market.files.whole(self.file).frame(slice(None)).sort_values(["symbol", "in_date"], kind="stable")
        named = day.market.files.whole(self.names)
        names = {**dict(zip(named.columns["code"], named.columns["name"], strict=True)), **self.further_names}
        keys, index = pd.factorize(table["symbol"])
        return (
            pd.Index(index),
            keys,
            table["in_date"].to_numpy().astype("datetime64[D]"),
            table["code"].to_numpy(dtype=object),
            names,
        )

    def files(self) -> tuple[str, ...]:
        return (self.file, self.names)


@dataclass(frozen=True)
class ListedDays(Recipe):
    """listed_days: sessions since the first bar, 1 on it.

    Names that are there on the file's very first date were listed before: ``since_file`` (symbol, in_date) gives an
    earlier date for them.
    """

    name = "first_seen"
    for_columns = ("listed_days",)
    needs = ("symbol",)
    since_file: str = ""

    def compute(self, day: Day, column: str) -> np.ndarray:
        listed = day.market.once((self.name, self.since_file), lambda: self._listed(day))
        sessions = day.market.sessions
        today = int(np.searchsorted(sessions, np.datetime64(day.trade_date, "D")))
        since = np.searchsorted(sessions, listed[day.market.history.columns(day.symbols)])
        return (today - since + 1).astype("int64")

    def _listed(self, day: Day) -> np.ndarray:
        history = day.market.history
        listed = history.dates[history.first_row]
        if self.since_file:
            rows = day.market.files.whole(self.since_file).frame(slice(None))
            first = rows.groupby("symbol")["in_date"].min().reindex(history.symbols).to_numpy().astype("datetime64[D]")
            # only for names cut off by the start of the file: elsewhere the first bar is the listing, and the other
            # date runs weeks ahead of it
            earlier = (history.first_row == 0) & (first < listed)
            listed = np.where(earlier, first, listed)
        return listed

    def files(self) -> tuple[str, ...]:
        return (self.since_file,) if self.since_file else ()

    def proxy(self) -> str:
        since = f", for names older than the file from the first date in '{self.since_file}'" if self.since_file else ""
        return f"sessions since the first bar in the file{since}: a lower bound"


@dataclass(frozen=True)
class SharesFromMarketValue(Recipe):
    """total_shares: last dated market value / close of its day, multiplied by the splits since.

    ``file`` has symbol, ``date_column`` and ``value`` (CNY). A value counts from the first session on or after its
    date. Its price is the close of the last session on or before that date; of the next session for dates listed in
    ``taken_next_session``; and of the first session in the file for dates before it.
    """

    name = "from_market_value"
    for_columns = ("total_shares",)
    needs = ("symbol",)
    file: str
    date_column: str
    value: str
    taken_next_session: tuple[dt.date, ...] = ()

    def compute(self, day: Day, column: str) -> np.ndarray:
        keys, known, shares, scale = day.market.once((self.name, self.file, self.value), lambda: self._load(day))
        history = day.market.history
        columns = history.columns(day.symbols)
        at = as_of(keys, known, columns, np.datetime64(day.trade_date, "D"))
        now = history.share_scale[history.row(day.trade_date), columns]
        return np.where(at >= 0, shares[at] * now / scale[at], np.nan) if len(keys) else np.full(len(columns), np.nan)

    def _load(self, day: Day) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Per value, sorted by (column, day known): column, day known, shares then, share scale then."""
        history = day.market.history
        table = day.market.files.whole(self.file).frame(slice(None))
        dates = table[self.date_column].to_numpy().astype("datetime64[D]")
        columns = history.columns(pd.Index(table["symbol"]))
        known_row = np.searchsorted(history.dates, dates, "left")
        before = np.maximum(np.searchsorted(history.dates, dates, "right") - 1, 0)
        next_session = np.isin(dates, np.array(self.taken_next_session, dtype="datetime64[D]"))
        price_row = np.where(next_session, known_row, before)
        value = table[self.value].to_numpy(dtype="float64")
        # names that were not listed when the value is dated carry a value made up by the vendor
        usable = (columns >= 0) & (known_row < len(history.dates)) & (value > 0)
        usable[usable] &= price_row[usable] >= history.first_row[columns[usable]]
        columns, known_row, price_row, value, dates = (x[usable] for x in (columns, known_row, price_row, value, dates))
        order = np.lexsort((dates, columns))
        columns, known_row, price_row, value = (x[order] for x in (columns, known_row, price_row, value))
        price, scale = history.close[price_row, columns], history.share_scale[price_row, columns]
        return columns, history.dates[known_row], value / price, scale

    def files(self) -> tuple[str, ...]:
        return (self.file,)

    def proxy(self) -> str:
        return f"last value of '{self.file}' / close of its day, times splits since; other share issues show at the next value"


def as_of(keys: np.ndarray, days: np.ndarray, wanted: np.ndarray, day: np.datetime64) -> np.ndarray:
    """Position of the last row with each wanted key and a day <= ``day``; -1 without one.

    ``keys`` (small integers) and ``days`` are sorted by (key, day); wanted keys of -1 find nothing.

    >>> days = np.array(["2020-01-01", "2021-01-01", "2020-06-01"], dtype="datetime64[D]")
    >>> as_of(np.array([0, 0, 1]), days, np.array([0, 1, 2]), np.datetime64("2020-12-31"))
    array([ 0,  2, -1])
    """
    span = 1 << 24  # days since 1970 fit in 24 bits
    composed = keys.astype("int64") * span + days.astype("datetime64[D]").astype("int64") + span // 2
    target = wanted.astype("int64") * span + day.astype("datetime64[D]").astype("int64") + span // 2
    at = np.searchsorted(composed, target, "right") - 1
    return (
        np.where((at >= 0) & (wanted >= 0) & (keys[np.maximum(at, 0)] == wanted), at, -1)
        if len(keys)
        else np.full(len(wanted), -1)
    )
