"""The ``files`` source: a market read from somebody's parquet or CSV files through a column map."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from alpha_pipeline.errors import BadInput, MissingData, sentence
from alpha_pipeline.market.calendar import TradingCalendar, as_date, exchange_sessions
from alpha_pipeline.market.frames import conform, empty_frame, table_schema
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.base import SourceDescription
from alpha_pipeline.sources.files.column_map import read_column_map
from alpha_pipeline.sources.files.day import Day
from alpha_pipeline.sources.files.history import DailyHistory
from alpha_pipeline.sources.files.reading import FileReader
from alpha_pipeline.sources.files.spec import FilesMarketSpec, TableSpec
from alpha_pipeline.sources.files.weights import WEIGHT_RECIPES, DatedMembers, DayWeights, drifted_weights, market_value_weights

T = TypeVar("T")
_EXCHANGE_OPENED = dt.date(1991, 1, 2)


class FilesMarket:
    """A :class:`MarketSource` over files. Nothing is read before it is asked for; two calls return equal frames.

    Long files are kept in memory once read; use one instance per process and date range.
    """

    def __init__(self, config: FilesMarketSpec) -> None:
        self.config = config.validate()
        self.files = FileReader(config.root, config.files)
        self._built: dict[tuple[Any, ...], Any] = {}
        self._dropped: dict[tuple[dt.date, str], int] = {}
        self._day = lru_cache(maxsize=8)(self._read)

    @classmethod
    def from_toml(cls, path: str | Path, *, root: str | None = None) -> FilesMarket:
        """The market of a column map; see :func:`read_column_map`."""
        return cls(read_column_map(path, root=root))

    def describe(self) -> SourceDescription:
        """What the map offers, approximates and lacks, in words."""
        config = self.config
        proxies = {
            f"{table.name}.{column}": recipe.proxy()
            for table in config.tables.values()
            for column, recipe in table.derive.items()
            if recipe.proxy()
        }
        notes = list(config.notes)
        for table in config.tables.values():
            for index in table.indices:
                proxies[f"{table.name}.weight[{index.code}]"] = WEIGHT_RECIPES[index.recipe]
            if table.hold_last_members:
                notes.append(f"{table.name}: the members of the last recorded day are held after the record ends")
            if table.start or table.end:
                notes.append(f"{table.name} covers {table.start or config.start} to {table.end or config.end} only")
            notes.extend(f"{table.name}: rows are dropped and counted where {rule.replace('_', ' ')}" for rule in table.drop)
        notes.extend(f"{e.symbol} trades without limits on {e.date}: {e.reason}" for e in config.no_limit_days)
        notes.extend(
            f"adj_factor of {e.symbol} is divided by its jump on {e.date} from then on: {e.reason}"
            for e in config.factor_corrections
        )
        return SourceDescription(
            config.name,
            config.is_simulated,
            config.summary,
            tuple(t for t in TABLES if t in config.tables),
            config.intraday_minutes,
            config.industry_scheme,
            {**_unmapped(config), **config.missing},
            proxies,
            tuple(notes),
        )

    @cached_property
    def calendar(self) -> TradingCalendar:
        return exchange_sessions(self.config.exchange, self.config.start, self.config.end)

    def coverage(self, table: str) -> tuple[dt.date, dt.date]:
        """First and last session on which a table can be read."""
        spec = self._spec(table)
        days = self.calendar.between(spec.start or self.config.start, spec.end or self.config.end)
        return as_date(days[0]), as_date(days[-1])

    def read_day(self, trade_date: dt.date, tables: Sequence[str]) -> dict[str, pd.DataFrame]:
        """Tables of one session, in the schema's dtypes.

        Raises
        ------
        MissingData
            The date is no session or outside a table's coverage, the source lacks a table, a file is not there or has
            no rows of the date.
        BadInput
            A column of a file is not what the map says.
        """
        self.calendar.index(trade_date)
        return {table: self._day(table, trade_date).copy() for table in tables}

    def iter_days(self, start: dt.date, end: dt.date, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]:
        """``read_day`` of every session in [start, end]."""
        for day in self.calendar.between(start, end):
            yield as_date(day), self.read_day(as_date(day), tables)

    def dropped_rows(self, trade_date: dt.date | None = None) -> dict[str, int]:
        """Rows left out so far, by reason: of one date, or of all dates that have been read."""
        total: dict[str, int] = {}
        for (day, reason), count in sorted(self._dropped.items()):
            if trade_date in (None, day):
                total[reason] = total.get(reason, 0) + count
        return total

    # What recipes see of the market (see day.Market).

    @cached_property
    def history(self) -> DailyHistory:
        """Closes and factors of the daily file, from its first date, which may lie before the market's start."""
        file = self._spec("daily_bars").file
        dates = self.files.dates(file, self.sessions)
        odd = dates[~np.isin(dates, self.sessions) & (dates <= self.sessions[-1])]
        if len(odd):  # such rows would stand for the previous close of a real session
            raise BadInput(
                sentence(
                    f"the daily file has rows on {len(odd)} days that are no sessions of {self.config.exchange}",
                    where=f"files.{file}",
                    got=str(odd[0]),
                    next_step="Take them out of the file, or correct its dates.",
                )
            )
        frames = ((day, self.files.day(file, as_date(day))) for day in dates)
        return DailyHistory.build(
            ((day, frame) for day, frame in frames if frame is not None), share_ratio=self.config.share_ratio,
            corrections=[(e.symbol, e.date) for e in self.config.factor_corrections],
        )

    @cached_property
    def sessions(self) -> np.ndarray:
        return exchange_sessions(self.config.exchange, _EXCHANGE_OPENED, self.config.end).sessions

    def intraday(self, trade_date: dt.date) -> pd.DataFrame | None:
        if "intraday_bars" not in self.config.tables:
            return None
        first, last = self.coverage("intraday_bars")
        return self._day("intraday_bars", trade_date) if first <= trade_date <= last else None

    def has_no_limit(self, trade_date: dt.date, symbols: pd.Index) -> np.ndarray:
        listed = [e.symbol for e in self.config.no_limit_days if e.date == trade_date]
        exempt = symbols.isin(listed)
        recipe = self._spec("daily_bars").derive.get("pre_close")
        if recipe is not None and recipe.name == "from_adj_factor":  # a first bar has no reference price to apply the rules to
            history = self.history
            exempt |= history.first_row[history.columns(symbols)] >= history.row(trade_date)
        return np.asarray(exempt)

    def once(self, key: tuple[Any, ...], build: Callable[[], T]) -> T:
        if key not in self._built:
            self._built[key] = build()
        return cast(T, self._built[key])

    # One table of one date.

    def _spec(self, table: str) -> TableSpec:
        table_schema(table)
        if table not in self.config.tables:
            raise MissingData(sentence(f"the source {self.config.name} has no {table}: {self.config.missing[table]}",
                                       expected=f"one of {', '.join(self.config.tables)}"))
        return self.config.tables[table]

    def _read(self, table: str, trade_date: dt.date) -> pd.DataFrame:
        spec = self._spec(table)
        first, last = self.coverage(table)
        if not first <= trade_date <= last:
            raise MissingData(
                sentence(
                    f"{table} of {self.config.name} does not cover {trade_date}", expected=f"a session between {first} and {last}"
                )
            )
        if spec.indices:
            frame = self._index_weights(spec, trade_date)
        elif table == "fundamentals":
            frame = self._fundamentals(spec, trade_date)
        else:
            frame = self._rows(spec, trade_date)
            for column, recipe in spec.derive.items():
                frame[column] = recipe.compute(Day(trade_date, frame, self), column)
        for absent in table_schema(table).columns:
            if f"{table}.{absent.name}" in self.config.missing and absent.name not in frame and not absent.optional:
                empty = np.full(len(frame), np.nan)
                frame[absent.name] = empty if absent.dtype == "float64" else pd.Series([None] * len(frame), dtype="str")
        return conform(table, frame, where=f"{self.config.name} {table} {trade_date}")

    def _rows(self, spec: TableSpec, trade_date: dt.date) -> pd.DataFrame:
        """The file's rows of the date after the row filters; for ``security_status`` without a file, a row per daily bar."""
        if not spec.file:
            return self._day("daily_bars", trade_date).copy()
        frame = self.files.day(spec.file, trade_date)
        if frame is None:
            raise MissingData(
                sentence(
                    f"no rows of {trade_date}",
                    where=f"{self.config.name} {spec.name}",
                    got=f"file '{spec.file}'",
                    next_step="Fetch that date, or narrow the table with start and end in the column map.",
                )
            )
        if spec.name == "security_status":
            daily = self._day("daily_bars", trade_date)
            frame = frame.merge(daily[["symbol", *[c for c in daily.columns if c not in frame.columns]]], on="symbol", how="left")
        if spec.name == "daily_bars" and self.config.factor_corrections:
            history = self.history
            frame["adj_factor"] = history.factor[history.row(trade_date), history.columns(pd.Index(frame["symbol"]))]
        if "close_not_positive" in spec.drop:
            keep = (frame["close"] > 0).to_numpy()
            self._dropped[trade_date, f"{spec.name}: close not positive"] = int((~keep).sum())
            frame = frame[keep].reset_index(drop=True)
        return frame

    def _fundamentals(self, spec: TableSpec, trade_date: dt.date) -> pd.DataFrame:
        """Reports whose first session after the announcement is the date; on the market's first session all that were
        announced before.
        """
        table = self.once(("fundamentals",), lambda: self._all_fundamentals(spec, trade_date))
        today = table["trade_date"].to_numpy() == np.datetime64(trade_date, "s")
        return table[today].reset_index(drop=True) if today.any() else empty_frame("fundamentals")

    def _all_fundamentals(self, spec: TableSpec, trade_date: dt.date) -> pd.DataFrame:
        frame = self.files.whole(spec.file).frame(slice(None))
        for column, recipe in spec.derive.items():
            frame[column] = recipe.compute(Day(trade_date, frame, self), column)
        announced = frame["announce_date"].to_numpy().astype("datetime64[D]")
        sessions = self.calendar.sessions
        at = np.searchsorted(sessions, announced, "right")  # strictly after: reports come out after the close
        later = at == len(sessions)
        frame = frame[~later].reset_index(drop=True)
        frame["trade_date"] = sessions[at[~later]].astype("datetime64[s]")
        for absent in table_schema("fundamentals").columns:
            if absent.name not in frame:
                frame[absent.name] = np.nan
        return frame

    def _index_weights(self, spec: TableSpec, trade_date: dt.date) -> pd.DataFrame:
        members = self.once(
            ("members",), lambda: DatedMembers.from_rows(self.files.whole(spec.members), hold_last=spec.hold_last_members)
        )
        history = self.history
        status, daily = self._day("security_status", trade_date), self._day("daily_bars", trade_date)
        market_value = np.full(len(history.symbols), np.nan)
        market_value[history.columns(pd.Index(daily["symbol"]))] = (status["total_shares"] * daily["close"]).to_numpy()
        parts = []
        for index in spec.indices:
            if index.recipe == "published_drifted":
                day = drifted_weights(index.code, trade_date, self.files.whole(index.file), members, history, market_value)
            else:
                day = market_value_weights(index.code, trade_date, members, history, market_value)
            self._dropped[trade_date, f"index_weights {index.code}: members without a price or market value"] = (
                day.n_without_price
            )
            parts.append(_weight_frame(index.code, trade_date, day))
        return pd.concat(parts, ignore_index=True)


def _unmapped(config: FilesMarketSpec) -> dict[str, str]:
    """Optional columns of the offered tables that the map neither names nor derives."""
    absent: dict[str, str] = {}
    for name, table in config.tables.items():
        known = {*table.derive, *(config.files[table.file].columns if table.file else ())}
        absent |= {f"{name}.{c.name}": "not mapped" for c in TABLES[name].columns if c.optional and c.name not in known}
    return absent


def _weight_frame(index_code: str, trade_date: dt.date, day: DayWeights) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trade_date": np.datetime64(trade_date, "s"),
            "index_code": pd.Series([index_code] * len(day.symbols), dtype="str"),
            "symbol": pd.Series(day.symbols, dtype="str"),
            "weight": day.weights,
        }
    )
