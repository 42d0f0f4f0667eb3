"""Dense memory-mapped panels derived from the per-date tables: one row per session, appended, never rewritten in place.

A panel is a file of shape (n_dates, n_steps, n_fields, capacity) beside a small JSON index. The symbol axis is shared by all panels of a
market and grows in order of first appearance, so a stock keeps its column for ever and nothing about the past depends on later listings.
Capacity is padded; when it runs out the file is copied once into a wider one.

The index is the commit point: it lists the rows that count, each with the hash of what it was computed from and a checksum of its bytes.
Rows beyond the index (a writer was killed) do not exist and are overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from alpha_pipeline.atomic import write_atomically
from alpha_pipeline.digest import content_hash
from alpha_pipeline.errors import CorruptPartition, MissingData, sentence

_COMMIT_EVERY = 64  # rows between two commits of the index in a bulk append
_CAPACITY_STEP = 64  # stocks; columns are padded to a multiple of this plus a tenth


@dataclass(frozen=True)
class PanelSpec:
    """Name, fields, steps per date and dtype (``float32``, NaN for missing, or ``int16``, 0 for missing)."""

    name: str
    fields: tuple[str, ...]
    steps: int = 1
    dtype: str = "float32"

    def field(self, name: str) -> int:
        if name not in self.fields:
            raise MissingData(sentence(f"panel '{self.name}' has no field '{name}'", expected=", ".join(self.fields)))
        return self.fields.index(name)


@dataclass(frozen=True)
class PanelRow:
    """Index entry of one date: hash of its inputs, checksum of its bytes, number of columns the checksum covers."""

    date: str
    source: str
    checksum: str
    n_symbols: int


class SymbolAxis:
    """The stocks and industries of a market in order of first appearance; codes never change."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "axes.json"
        raw = json.loads(self._path.read_text()) if self._path.exists() else {"symbols": [], "industries": []}
        self.symbols: list[str] = raw["symbols"]
        self.industries: list[str] = raw["industries"]
        self._symbol_at = {s: i for i, s in enumerate(self.symbols)}
        self._industry_at = {s: i for i, s in enumerate(self.industries)}

    def __len__(self) -> int:
        return len(self.symbols)

    def columns(self, symbols: Sequence[str]) -> np.ndarray:
        """Column of each symbol, adding unknown ones in sorted order."""
        self._grow(symbols, self.symbols, self._symbol_at)
        return np.fromiter((self._symbol_at[s] for s in symbols), dtype=np.int64, count=len(symbols))

    def known_columns(self, symbols: Sequence[str]) -> np.ndarray:
        """Column of each symbol, −1 for unknown ones; the axis does not grow."""
        return np.fromiter((self._symbol_at.get(s, -1) for s in symbols), dtype=np.int64, count=len(symbols))

    def industry_codes(self, names: Sequence[str | None]) -> np.ndarray:
        """Code of each industry name, −1 where missing, adding unknown ones in sorted order."""
        present = [n for n in names if isinstance(n, str) and n]
        self._grow(present, self.industries, self._industry_at)
        return np.fromiter((self._industry_at[n] if isinstance(n, str) and n else -1 for n in names), dtype=np.int64, count=len(names))

    def _grow(self, names: Sequence[str], known: list[str], position: dict[str, int]) -> None:
        new = sorted(set(names) - position.keys())
        if not new:
            return
        for name in new:
            position[name] = len(known)
            known.append(name)
        _replace(self._path, json.dumps({"symbols": self.symbols, "industries": self.industries}, ensure_ascii=False))


class Panel:
    """One panel of a market; ``values`` is a read-only memory map."""

    def __init__(self, folder: Path, spec: PanelSpec, axis: SymbolAxis) -> None:
        self.spec = spec
        self.axis = axis
        self._folder = folder
        self._index = folder / f"{spec.name}.json"
        self.rows: list[PanelRow] = []
        self._owed: list[str] = []
        self._capacity = 0
        if self._index.exists():
            raw = json.loads(self._index.read_text())
            if tuple(raw["fields"]) != spec.fields or raw["steps"] != spec.steps or raw["dtype"] != spec.dtype:
                # another layout: derived data, so it is rebuilt from the tables
                self._commit()
            else:
                self._capacity = raw["capacity"]
                self.rows = [PanelRow(*row) for row in raw["rows"]]
                self._owed = raw.get("owed", [])
        self._check_size()

    # ---------------------------------------------------------------- reading

    @property
    def dates(self) -> list[str]:
        return [row.date for row in self.rows]

    @property
    def owed(self) -> list[str]:
        """Dates that :meth:`rebuild_from` dropped and nobody has appended again: a rebuild was interrupted, or is under way."""
        return [date for date in self._owed if date not in self._position]

    def row(self, date: str) -> PanelRow | None:
        """Index entry of a date, or None."""
        at = self._position.get(date)
        return None if at is None else self.rows[at]

    def index(self, date: str) -> int:
        """Row number of a date; raises :class:`MissingData` when it is not in the panel."""
        at = self._position.get(date)
        if at is None:
            span = f"{self.rows[0].date} … {self.rows[-1].date}" if self.rows else "no dates"
            raise MissingData(sentence(f"date {date} is not in panel '{self.spec.name}'", got=span,
                                       next_step=f"Materialize the panel for {date} first."))
        return at

    @property
    def values(self) -> np.ndarray:
        """(n_dates, n_steps, n_fields, n_symbols), read-only, memory-mapped."""
        n_symbols = len(self.axis)
        if not self.rows:
            return np.empty((0, self.spec.steps, len(self.spec.fields), n_symbols), dtype=self.spec.dtype)
        if self._capacity < n_symbols:
            self._widen(n_symbols)
        shape = (len(self.rows), self.spec.steps, len(self.spec.fields), self._capacity)
        return np.memmap(self._data, dtype=self.spec.dtype, mode="r", shape=shape)[..., :n_symbols]

    def field(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """One field of a one-step panel as an array (n_dates, n_symbols), copied into memory."""
        assert self.spec.steps == 1, "field() is for daily panels"
        return np.array(self.values[start:stop, 0, self.spec.field(name)])

    def verify(self) -> list[str]:
        """Dates whose bytes no longer match their checksum."""
        return [row.date for at, row in enumerate(self.rows) if self._checksum(at, row.n_symbols) != row.checksum]

    # ---------------------------------------------------------------- writing

    @contextmanager
    def appending(self) -> Iterator[_Appender]:
        """Append rows in date order; the index is committed every few dozen rows and at the end, also after an error."""
        appender = _Appender(self)
        try:
            yield appender
        finally:
            self._commit()

    def truncate(self, date: str) -> list[str]:
        """Drop ``date`` and everything after it; returns the dropped dates."""
        at = self._position.get(date, len(self.rows))
        dropped = self.dates[at:]
        self.rows = self.rows[:at]
        self._commit()
        return dropped

    def rebuild_from(self, date: str) -> None:
        """Drop ``date`` and everything after it, because a source has re-published it, and note the dropped dates as :attr:`owed`.

        Both happen in one commit, so that a rebuild which is killed is completed by the next run, whatever dates that run asks for.
        """
        self._owed = sorted({*self.owed, *self.dates[self._position.get(date, len(self.rows)):]})
        self.truncate(date)

    def _append(self, date: str, values: np.ndarray, source: str) -> None:
        if self.rows and date <= self.rows[-1].date:
            raise CorruptPartition(sentence(f"dates of panel '{self.spec.name}' must rise", got=date, expected=f"after {self.rows[-1].date}"))
        n_symbols = len(self.axis)
        assert values.shape == (self.spec.steps, len(self.spec.fields), n_symbols), (values.shape, n_symbols)
        if self._capacity < n_symbols:
            self._widen(n_symbols)
        padded = np.full((self.spec.steps, len(self.spec.fields), self._capacity), self._missing, dtype=self.spec.dtype)
        padded[..., :n_symbols] = values
        with open(self._data, "r+b" if self._data.exists() else "w+b") as file:
            file.seek(len(self.rows) * padded.nbytes)
            file.write(padded.tobytes())
        n_used = self._n_used(padded)
        checksum = content_hash(np.ascontiguousarray(padded[..., :n_used]).tobytes())
        self._position[date] = len(self.rows)
        self.rows.append(PanelRow(date, source, checksum, n_used))

    def _widen(self, n_symbols: int) -> None:
        """Copy the rows into a file with room for more stocks."""
        capacity = -(-int(n_symbols * 1.1 + 1) // _CAPACITY_STEP) * _CAPACITY_STEP
        old_data, old_capacity, n_rows = self._data, self._capacity, len(self.rows)
        shape = (self.spec.steps, len(self.spec.fields))
        self._capacity = capacity
        with open(self._data, "wb") as file:
            for at in range(n_rows):
                row = np.full((*shape, capacity), self._missing, dtype=self.spec.dtype)
                offset = at * int(np.prod(shape)) * old_capacity * row.itemsize
                row[..., :old_capacity] = np.memmap(old_data, dtype=self.spec.dtype, mode="r", offset=offset, shape=(*shape, old_capacity))
                file.write(row.tobytes())
        self._commit()
        if old_capacity and old_data.exists():
            old_data.unlink()

    def _commit(self) -> None:
        payload = {"fields": list(self.spec.fields), "steps": self.spec.steps, "dtype": self.spec.dtype, "capacity": self._capacity,
                   "rows": [list(asdict(row).values()) for row in self._rows], "owed": self.owed}
        _replace(self._index, json.dumps(payload))

    # --------------------------------------------------------------- plumbing

    @property
    def rows(self) -> list[PanelRow]:
        """Index entries in date order."""
        return self._rows

    @rows.setter
    def rows(self, rows: list[PanelRow]) -> None:
        self._rows = rows
        self._position = {row.date: at for at, row in enumerate(rows)}

    @property
    def _data(self) -> Path:
        return self._folder / f"{self.spec.name}.{self._capacity}.bin"

    @property
    def _missing(self) -> float | int:
        return np.nan if self.spec.dtype == "float32" else 0

    def _n_used(self, row: np.ndarray) -> int:
        """Columns up to the last one with a value: stocks that list later must not change the checksum of today's row."""
        present = (~np.isnan(row) if self.spec.dtype == "float32" else row != 0).any(axis=(0, 1))
        return int(np.flatnonzero(present)[-1]) + 1 if present.any() else 0

    def _checksum(self, at: int, n_symbols: int) -> str:
        return content_hash(np.ascontiguousarray(self.values[at][..., :n_symbols]).tobytes())

    def _check_size(self) -> None:
        """A data file shorter than its index promises is never read: the panel starts over from what is whole."""
        row_bytes = self.spec.steps * len(self.spec.fields) * self._capacity * np.dtype(self.spec.dtype).itemsize
        size = self._data.stat().st_size if self._data.exists() else 0
        whole = size // row_bytes if row_bytes else 0
        if whole < len(self.rows):
            self.rows = self.rows[:whole]
            self._commit()


class _Appender:
    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._since_commit = 0

    def add(self, date: str, values: np.ndarray, source: str) -> None:
        """Append one date: values (n_steps, n_fields, n_symbols) and the hash of what they were computed from."""
        self._panel._append(date, values, source)
        self._since_commit += 1
        if self._since_commit >= _COMMIT_EVERY:
            self._panel._commit()
            self._since_commit = 0


def _replace(path: Path, text: str) -> None:
    write_atomically(path, text.encode())
