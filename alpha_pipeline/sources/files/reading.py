"""Raw files by date: parquet or CSV, one long file or one file per period, local or behind any fsspec URL.

A long file is read once, sorted by date and kept as flat arrays with offsets per day, symbols as integer codes; a day
is then a slice. A period file is read when its day is asked for and kept while neighbouring days are read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from alpha_pipeline.errors import BadInput, InvalidSpec, MissingData, sentence, unknown_name

if TYPE_CHECKING:
    from alpha_pipeline.sources.files.spec import FileSpec

MAX_LONG_ROWS = 40_000_000  # about 2 GB in memory; beyond that a file should be split by month
_KEPT_PERIODS = 3
_EXCHANGES = {"sh": "SH", "sz": "SZ", "bj": "BJ", "XSHG": "SH", "XSHE": "SZ", "XBEI": "BJ"}


@dataclass(frozen=True)
class Rows:
    """Rows of a file sorted by date: flat arrays under our column names; ``symbol_codes`` index ``symbols``.

    ``day_starts[i]:day_starts[i + 1]`` are the rows of ``days[i]``; files without a date have no days.
    """

    columns: Mapping[str, np.ndarray]
    symbol_codes: np.ndarray | None
    symbols: pd.Index | None
    days: np.ndarray
    day_starts: np.ndarray

    def __len__(self) -> int:
        return (
            len(next(iter(self.columns.values())))
            if self.columns
            else len(self.symbol_codes if self.symbol_codes is not None else ())
        )

    def frame(self, at: slice | np.ndarray) -> pd.DataFrame:
        """The rows at a slice or at positions, as a frame of our columns."""
        data: dict[str, object] = {}
        if self.symbol_codes is not None and self.symbols is not None:
            data["symbol"] = self.symbols.take(self.symbol_codes[at])
        return pd.DataFrame({**data, **{name: values[at] for name, values in self.columns.items()}})


class FileReader:
    """All files of one column map. Instances are cheap; data is read on first use."""

    def __init__(self, root: str, files: Mapping[str, FileSpec]) -> None:
        self._root = root.rstrip("/")
        self._files = files
        self._period = lru_cache(maxsize=_KEPT_PERIODS * max(1, len(files)))(self._load)
        self._long: dict[str, Rows] = {}

    def whole(self, name: str) -> Rows:
        """All rows of a long file. Raises :class:`InvalidSpec` for a folder of period files."""
        spec = self._files[name]
        if "{" in spec.path:
            raise InvalidSpec(sentence(f"file '{name}' is read as a whole and cannot be split into periods", got=spec.path,
                                       expected="a path without {date}, {month} or {year}"))
        if name not in self._long:
            self._long[name] = self._load(name, spec.path)
        return self._long[name]

    def day(self, name: str, trade_date: dt.date) -> pd.DataFrame | None:
        """The rows of one date, sorted by symbol as the file has them; None when the file holds none.

        In a ``{date}`` file all rows belong to the date; its own date column, where mapped as ``date``, is kept as
        ``trade_date`` so that a wrong date stays visible.
        """
        spec = self._files[name]
        path = spec.path.format(date=trade_date.isoformat(), month=f"{trade_date:%Y-%m}", year=f"{trade_date:%Y}")
        if path == spec.path:
            rows = self.whole(name)
        elif not self._exists(path):
            return None
        else:
            rows = self._period(name, path)
        if "{date}" in spec.path:
            frame = rows.frame(slice(None))
            dates = np.repeat(rows.days, np.diff(rows.day_starts)) if spec.date else np.datetime64(trade_date, "D")
            frame["trade_date"] = np.broadcast_to(dates, len(frame)).astype("datetime64[s]")
            return frame
        at = int(np.searchsorted(rows.days, np.datetime64(trade_date, "D")))
        if at == len(rows.days) or rows.days[at] != np.datetime64(trade_date, "D"):
            return None
        frame = rows.frame(slice(int(rows.day_starts[at]), int(rows.day_starts[at + 1])))
        frame["trade_date"] = np.datetime64(trade_date, "s")
        return frame

    def dates(self, name: str, candidates: np.ndarray) -> np.ndarray:
        """The ``datetime64[D]`` dates that a file covers: its own for a long file, for period files the
        ``candidates`` that have a row.
        """
        if "{" not in self._files[name].path:
            return self.whole(name).days
        return np.array([day for day in candidates if self.day(name, day.astype(dt.date)) is not None], dtype="datetime64[D]")

    def _exists(self, path: str) -> bool:
        fs, full = fsspec.core.url_to_fs(f"{self._root}/{path}")
        return bool(fs.exists(full))

    def _load(self, name: str, path: str) -> Rows:
        spec = self._files[name]
        table = _read_table(f"{self._root}/{path}", spec)
        if len(table) > MAX_LONG_ROWS:
            raise BadInput(
                sentence(
                    f"{path} is too large to keep in memory",
                    where=f"files.{name}",
                    got=f"{len(table):,} rows",
                    expected=f"at most {MAX_LONG_ROWS:,}",
                    next_step="Split it into one file per month: path = '…/{month}.parquet'.",
                )
            )
        return _sorted_rows(table, spec)


def numbers(frame: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """A column as float64, NaN where missing; raises :class:`BadInput` when it holds anything but numbers."""
    values = frame[column]
    if not pd.api.types.is_numeric_dtype(values.dtype):
        raise BadInput(sentence(f"column {column} holds no numbers", where=where, got=str(values.dtype), expected="numbers",
                                next_step="Correct the column map."))
    return values.to_numpy(dtype="float64", na_value=np.nan)


def _read_table(url: str, spec: FileSpec) -> pd.DataFrame:
    """The mapped columns of one file under their raw names."""
    wanted = list(dict.fromkeys([c.source for c in spec.columns.values()] + ([spec.date] if spec.date else [])))
    fs, path = fsspec.core.url_to_fs(url)
    if not fs.exists(path):
        raise MissingData(sentence(f"there is no file {url}", where=f"files.{spec.name}",
                                   next_step="Correct root or path in the column map, or fetch the data."))
    where = f"files.{spec.name} ({path.rsplit('/', 1)[-1]})"
    if path.endswith(".parquet"):
        with fs.open(path, "rb") as stream:
            source = pq.ParquetFile(stream)
            _require_columns(wanted, source.schema_arrow.names, where)
            return source.read(columns=wanted).to_pandas()
    if path.endswith((".csv", ".csv.gz")):
        text = [spec.columns[name].source for name in ("symbol", "index_code") if name in spec.columns] + (
            [spec.date] if spec.date_format else []
        )
        with fs.open(path, "rb", compression="infer") as stream:
            header = pd.read_csv(stream, nrows=0)
        _require_columns(wanted, list(header.columns), where)
        with fs.open(path, "rb", compression="infer") as stream:
            return pd.read_csv(stream, usecols=wanted, dtype=dict.fromkeys(text, "str"))
    raise InvalidSpec(
        sentence("the file is neither parquet nor CSV", where=where, got=path, expected=".parquet, .csv or .csv.gz")
    )


def _require_columns(wanted: list[str], present: list[str], where: str) -> None:
    for name in wanted:
        if name not in present:
            raise unknown_name(f"column in {where}:", name, present)


def _sorted_rows(table: pd.DataFrame, spec: FileSpec) -> Rows:
    where = f"files.{spec.name}"
    codes, symbols = None, None
    if "symbol" in spec.columns:
        raw = table[spec.columns["symbol"].source]
        if pd.api.types.is_numeric_dtype(raw.dtype):
            raise BadInput(
                sentence(
                    "symbols are numbers, so leading zeros are lost",
                    where=where,
                    got=str(raw.dtype),
                    expected="text such as 000001.SZ",
                )
            )
        codes, names = pd.factorize(raw, sort=True)
        symbols = pd.Index([_symbol(text, spec, where) for text in names], dtype="str")
        codes = codes.astype("int32")
    days = _days(table[spec.date], spec.date_format, where) if spec.date else np.zeros(len(table), dtype="datetime64[D]")
    order = np.argsort(days, kind="stable") if codes is None else np.lexsort((np.arange(len(table)), codes, days))
    columns = {}
    for ours, column in spec.columns.items():
        if ours != "symbol":
            columns[ours] = _values(table[column.source], column.factor, column.decimals, f"{where}.columns.{ours}")[order]
    days = days[order]
    unique, starts = np.unique(days, return_index=True)
    return Rows(columns, None if codes is None else codes[order], symbols, unique, np.append(starts, len(days)))


def _values(raw: pd.Series, factor: float, decimals: int | None, where: str) -> np.ndarray:
    if factor == 1.0 and decimals is None:
        return np.asarray(raw.to_numpy())
    if not pd.api.types.is_numeric_dtype(raw.dtype):
        raise BadInput(sentence("a factor or rounding needs numbers", where=where, got=f"{raw.dtype}", expected="numbers"))
    values = raw.to_numpy(dtype="float64", na_value=np.nan) * factor
    return values if decimals is None else np.round(values, decimals)


def _days(raw: pd.Series, date_format: str, where: str) -> np.ndarray:
    """``datetime64[D]`` from dates, timestamps or text; the time of day, where there is one, is cut off."""
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        raise BadInput(sentence("dates with a time zone", where=where, got=str(raw.dtype), expected="wall clock of the exchange"))
    if date_format:
        raw = pd.to_datetime(raw.astype("str"), format=date_format)
    elif not pd.api.types.is_datetime64_dtype(raw.dtype):
        if pd.api.types.is_numeric_dtype(raw.dtype):
            raise BadInput(
                sentence(
                    "dates are numbers",
                    where=where,
                    got=str(raw.dtype),
                    expected="dates",
                    next_step="Set date_format = '%Y%m%d'.",
                )
            )
        raw = pd.to_datetime(raw, format="ISO8601")
    if raw.isna().any():
        raise BadInput(sentence(f"{int(raw.isna().sum())} rows have no date", where=where))
    return raw.to_numpy().astype("datetime64[D]")


def _symbol(text: str, spec: FileSpec, where: str) -> str:
    """``600519.SH`` from the file's own spelling."""
    code, exchange = text, ""
    if spec.symbol_style == "suffix":
        code, _, exchange = text.partition(".")
        if code and exchange:
            return text
    elif spec.symbol_style == "prefix":
        code, exchange = text[2:].lstrip("."), _EXCHANGES.get(text[:2].lower(), "")
    elif spec.symbol_style == "joinquant":
        code, _, tail = text.partition(".")
        exchange = _EXCHANGES.get(tail, "")
    if not code or not exchange:
        raise BadInput(
            sentence(
                f"'{text}' is no symbol of style '{spec.symbol_style}'",
                where=where,
                expected="600519.SH (suffix), sh600519 (prefix) or 600519.XSHG (joinquant)",
                next_step="Set symbol_style.",
            )
        )
    return f"{code}.{exchange}"
