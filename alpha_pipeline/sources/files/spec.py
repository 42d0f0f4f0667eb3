"""What a column map says, as values: files, tables, recipes, dated exceptions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.market.checks import CHECKS, validate_overrides
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.files.recipes import Recipe

ROW_FILTERS = ("close_not_positive",)
SYMBOL_STYLES = ("suffix", "prefix", "joinquant")



@dataclass(frozen=True)
class ColumnSpec:
    """One column of a file under our name: ours = raw × factor, then rounded to ``decimals`` where given (float32 prices: 2)."""

    source: str
    factor: float = 1.0
    decimals: int | None = None


@dataclass(frozen=True)
class FileSpec:
    """A file or a folder of files.

    ``path`` is relative to the market's root; ``{date}`` (2024-01-05), ``{month}`` (2024-01) or ``{year}`` make it a
    folder of one file per period, without one it is a single long file. ``date``: the column that dates a row; empty
    for files without (members, industries) and for ``{date}`` files that hold one day each. ``date_format``: strptime
    form of text or integer dates. ``symbol_style``: ``suffix`` 600519.SH, ``prefix`` sh600519 or sh.600519,
    ``joinquant`` 600519.XSHG.
    """

    name: str
    path: str
    columns: Mapping[str, ColumnSpec]
    date: str = ""
    date_format: str = ""
    symbol_style: str = "suffix"


@dataclass(frozen=True)
class IndexSpec:
    """How one index gets its weights; see :mod:`alpha_pipeline.sources.files.weights`."""

    code: str
    recipe: str
    file: str = ""


@dataclass(frozen=True)
class TableSpec:
    """One table: its file, row filters (counted), derived columns in the order of derivation, dates covered.

    ``indices``, ``members`` and ``hold_last_members`` belong to ``index_weights`` alone.
    """

    name: str
    file: str = ""
    drop: tuple[str, ...] = ()
    derive: Mapping[str, Recipe] = field(default_factory=dict)
    start: dt.date | None = None
    end: dt.date | None = None
    indices: tuple[IndexSpec, ...] = ()
    members: str = ""
    hold_last_members: bool = False


@dataclass(frozen=True)
class Event:
    """A dated fact about one stock with its reason: a session without limits, or a factor jump that is no event."""

    symbol: str
    date: dt.date
    reason: str


@dataclass(frozen=True)
class FilesMarketSpec:
    """Everything :class:`FilesMarket` needs. ``root`` is a folder or fsspec URL; ``where`` names the TOML file in messages.

    ``no_limit_days``: sessions on which a stock trades without price limits although the rules know no reason (relisting).
    ``factor_corrections``: from that date on the stock's adj_factor is divided by its jump on that date, a recorded repair.
    ``share_ratio``: a day's factor ratio from which an event counts as new shares (a split) rather than as a cash dividend.
    """

    name: str
    summary: str
    root: str
    start: dt.date
    end: dt.date
    is_simulated: bool
    files: Mapping[str, FileSpec]
    tables: Mapping[str, TableSpec]
    exchange: str = "XSHG"
    intraday_minutes: int | None = None
    industry_scheme: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    no_limit_days: tuple[Event, ...] = ()
    factor_corrections: tuple[Event, ...] = ()
    share_ratio: float = 1.18
    where: str = "column map"

    def validate(self) -> FilesMarketSpec:
        """Itself; raises :class:`InvalidSpec` or :class:`UnknownName` for what contradicts the schema or itself."""
        if self.start > self.end:
            raise InvalidSpec(
                sentence("start is after end", where=self.where, got=f"{self.start} > {self.end}", expected="start <= end")
            )
        validate_overrides(self.checks, CHECKS)
        for key in self.missing:
            table, _, column = key.partition(".")
            if table not in TABLES:
                raise unknown_name("table", table, list(TABLES))
            if column and column not in [c.name for c in TABLES[table].columns]:
                raise unknown_name(f"column of {table}", column, [c.name for c in TABLES[table].columns])
        for table in TABLES:
            if table not in self.tables and table not in self.missing:
                raise InvalidSpec(sentence(f"table {table} is neither mapped nor declared missing", where=self.where,
                                           next_step=f'Add [tables.{table}], or {table} = "reason" under [missing].'))
        if "security_status" in self.tables and "daily_bars" not in self.tables:
            raise InvalidSpec(sentence("security_status needs daily_bars", where=self.where, next_step="Map daily_bars as well."))
        for spec in self.tables.values():
            self._validate_table(spec)
        return self

    def _validate_table(self, spec: TableSpec) -> None:
        where = f"{self.where} tables.{spec.name}"
        for name in (
            spec.file,
            spec.members,
            *(i.file for i in spec.indices),
            *(f for r in spec.derive.values() for f in r.files()),
        ):
            if name and name not in self.files:
                raise unknown_name(f"file in {where}:", name, list(self.files))
        if spec.indices:
            if not spec.members:
                raise InvalidSpec(
                    sentence("indices without a file of members", where=where, next_step='Set members = "name of a file".')
                )
            return
        known = {"trade_date"} | (set(self.files[spec.file].columns) if spec.file else set())
        if spec.name == "security_status":
            known |= {c.name for c in TABLES["daily_bars"].columns}
        elif not spec.file:
            raise InvalidSpec(sentence("no file is named", where=where, expected=f'file = one of {", ".join(self.files)}'))
        for column, recipe in spec.derive.items():
            lacking = [name for name in recipe.needs if name not in known]
            if lacking:
                raise InvalidSpec(sentence(
                    f"recipe '{recipe.name}' needs {', '.join(lacking)}", where=f"{where}.derive.{column}",
                    got=f"columns {', '.join(sorted(known))}", next_step="Map that column in the file or derive it further up.",
                ))
            known.add(column)
        for col in TABLES[spec.name].columns:
            declared = f"{spec.name}.{col.name}" in self.missing
            if col.name in known or col.optional or (declared and col.nullable):
                continue
            raise InvalidSpec(
                sentence(
                    f"column {col.name} is declared missing but must be complete"
                    if declared
                    else f"column {col.name} is neither mapped, derived nor declared missing",
                    where=where,
                    next_step="Derive it with a recipe."
                    if declared
                    else f'Map it, derive it, or give "{spec.name}.{col.name}" a reason under [missing].',
                )
            )
