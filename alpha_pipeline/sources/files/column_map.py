"""The column map: a TOML file that says where each table's columns lie in someone else's files.

:func:`read_column_map` turns it into a :class:`FilesMarketSpec`; everything that can be wrong without opening a data file is
refused there, with the place in the TOML file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alpha_pipeline.errors import InvalidSpec, MissingData, sentence, unknown_name
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.files.registry import build_recipe
from alpha_pipeline.sources.files.spec import (
    ROW_FILTERS,
    SYMBOL_STYLES,
    ColumnSpec,
    Event,
    FilesMarketSpec,
    FileSpec,
    IndexSpec,
    TableSpec,
)
from alpha_pipeline.sources.files.toml_values import record, refuse_unknown, require_kind
from alpha_pipeline.sources.files.weights import WEIGHT_RECIPES


def read_column_map(path: str | Path, *, root: str | None = None) -> FilesMarketSpec:
    """The spec that a TOML file describes. ``root`` replaces the file's own; a relative one counts from the TOML file's folder.

    Raises
    ------
    MissingData
        There is no such TOML file.
    InvalidSpec, UnknownName
        A key, recipe, column or file name is wrong; the message names the place.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingData(sentence(f"there is no column map {file}", next_step="Give the path of a market.toml."))
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpec(sentence(f"not valid TOML: {error}", where=str(file))) from error
    where = file.name
    if "where" in raw:
        raise unknown_name(f"key in {where}:", "where", ["name", "root"])
    if root is not None:
        location = root if "://" in root else str(Path(root).resolve())
    else:
        location = raw.get("root", "")
        require_kind(location, str, f"{where} root")
        location = location if "://" in location or not location else str((file.parent / location).resolve())
    spec: FilesMarketSpec = record(
        FilesMarketSpec,
        {
            **raw,
            **({"root": location} if location else {}),
            "files": {name: _file(name, value, f"{where} files.{name}") for name, value in raw.get("files", {}).items()},
            "tables": {name: _table(name, value, f"{where} tables.{name}") for name, value in raw.get("tables", {}).items()},
            "no_limit_days": _events(raw, "no_limit_days", where),
            "factor_corrections": _events(raw, "factor_corrections", where),
            "where": where,
        },
        where,
    )
    return spec.validate()


def _events(raw: Mapping[str, Any], key: str, where: str) -> tuple[Event, ...]:
    return tuple(record(Event, value, f"{where} {key}[{i}]") for i, value in enumerate(raw.get(key, ())))


def _file(name: str, raw: Mapping[str, Any], where: str) -> FileSpec:
    columns = {}
    for ours, value in raw.get("columns", {}).items():
        if isinstance(value, str):
            columns[ours] = ColumnSpec(value)
        else:
            refuse_unknown(value, ("from", "factor", "decimals"), f"{where}.columns.{ours}")
            given = {"source" if key == "from" else key: v for key, v in value.items()}
            columns[ours] = record(ColumnSpec, {"source": ours, **given}, f"{where}.columns.{ours}")
    spec: FileSpec = record(FileSpec, {**raw, "name": name, "columns": columns}, where)
    if spec.symbol_style not in SYMBOL_STYLES:
        raise unknown_name(f"symbol_style in {where}:", spec.symbol_style, SYMBOL_STYLES)
    return spec


def _table(name: str, raw: Mapping[str, Any], where: str) -> TableSpec:
    if name not in TABLES:
        raise unknown_name("table", name, list(TABLES))
    derive = {}
    for column, value in raw.get("derive", {}).items():
        if column not in [c.name for c in TABLES[name].columns]:
            raise unknown_name(f"column of {name}", column, [c.name for c in TABLES[name].columns])
        derive[column] = build_recipe(column, {"recipe": value} if isinstance(value, str) else value, f"{where}.derive.{column}")
    indices = tuple(record(IndexSpec, value, f"{where}.indices[{i}]") for i, value in enumerate(raw.get("indices", ())))
    for index in indices:
        if index.recipe not in WEIGHT_RECIPES:
            raise unknown_name("weight recipe", index.recipe, list(WEIGHT_RECIPES))
        if (index.recipe == "published_drifted") != bool(index.file):
            raise InvalidSpec(
                sentence(
                    f"{index.code}: recipe '{index.recipe}' " + ("needs a file" if not index.file else "takes no file"),
                    where=where,
                )
            )
    drop = tuple(raw.get("drop", ()))
    for rule in drop:
        if rule not in ROW_FILTERS:
            raise unknown_name("row filter", rule, ROW_FILTERS)
    spec: TableSpec = record(TableSpec, {**raw, "name": name, "derive": derive, "indices": indices, "drop": drop}, where)
    return spec
