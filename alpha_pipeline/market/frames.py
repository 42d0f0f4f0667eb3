"""Coercion of a frame to its table's schema: the columns, their order and their dtypes, without changing a value.

A source calls :func:`conform` last, a check calls it first. Nothing is parsed here: text that holds numbers or dates is refused,
because a source that guesses is how ``000001`` becomes ``1``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from alpha_pipeline.errors import BadInput, sentence, unknown_name
from alpha_pipeline.market.schema import TABLES, Column, TableSchema

_EXACT_INTEGERS = 2**53  # below it every integer is a float64
_DTYPES = {
    "float64": "float64",
    "int64": "int64",
    "bool": "bool",
    "string": "str",
    "timestamp": "datetime64[s]",
    "date": "datetime64[s]",
}


def table_schema(table: str) -> TableSchema:
    """The schema of a table by name; raises :class:`UnknownName` with the known ones."""
    if table not in TABLES:
        raise unknown_name("table", table, list(TABLES))
    return TABLES[table]


def empty_frame(table: str) -> pd.DataFrame:
    """A frame of the table without rows, all required columns in their dtypes.

    >>> empty_frame("index_weights").dtypes.astype(str).to_dict()
    {'trade_date': 'datetime64[s]', 'index_code': 'str', 'symbol': 'str', 'weight': 'float64'}
    """
    columns = [c for c in table_schema(table).columns if not c.optional]
    return pd.DataFrame({c.name: pd.Series([], dtype=_DTYPES[c.dtype]) for c in columns})


def conform(table: str, frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """A new frame with the schema's columns in the schema's order and dtypes; rows keep their order, the index is 0, 1, ….

    Columns beyond the schema are left out; optional columns are kept where present. Dates and times become ``datetime64[s]``,
    text the pandas ``str`` dtype. Values never change: float32 widens, 3.0 becomes the integer 3, 3.5 does not.

    Parameters
    ----------
    where : what the messages begin with, such as ``daily_bars 2024-01-05``.

    Raises
    ------
    BadInput
        A required column is missing; a column's dtype cannot become the schema's without loss; a value is infinite; a time has a
        zone or a date a time of day; a column that must be complete holds missing values (the count and the first key are given).
    UnknownName
        The table is none of the schema.
    """
    schema = table_schema(table)
    absent = [name for name in schema.required if name not in frame.columns]
    if absent:
        raise BadInput(
            sentence(
                f"column {', '.join(absent)} is missing",
                where=where,
                got=f"columns {', '.join(map(str, frame.columns))}",
                expected=f"columns {', '.join(schema.required)}",
                next_step="Map it in the source, or declare it missing there with the reason.",
            )
        )
    twice = [c.name for c in schema.columns if isinstance(frame.get(c.name), pd.DataFrame)]
    if twice:
        raise BadInput(sentence(f"column {', '.join(twice)} appears more than once", where=where, expected="unique column names"))
    out: dict[str, pd.Series] = {}
    for column in schema.columns:
        if column.name in frame.columns:
            out[column.name] = _CONVERT[column.dtype](frame[column.name].reset_index(drop=True), column, where)
    result = pd.DataFrame(out)
    for column in schema.columns:
        if column.name in out and not column.nullable:
            _refuse_missing(result, column, schema, where)
    return result


def key_text(frame: pd.DataFrame, key: tuple[str, ...], row: int) -> str:
    """The key of one row in words, for messages: ``trade_date=2024-01-05 symbol=600519.SH``."""
    return " ".join(f"{name}={plain(frame[name].iloc[row])}" for name in key if name in frame.columns)


def plain(value: object) -> object:
    """A value as it should appear in a message or in JSON: dates as ISO text, numpy scalars as Python's."""
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat() if value == value.normalize() else value.isoformat(sep=" ")
    if isinstance(value, np.generic):
        return value.item()
    return None if value is pd.NaT else value


def _wrong(column: Column, values: pd.Series, where: str, why: str = "") -> BadInput:
    sample = values.dropna()
    example = f", for example {plain(sample.iloc[0])!r}" if len(sample) else ""
    return BadInput(sentence(
        f"column {column.name} has the wrong type" + (f": {why}" if why else ""), where=where, got=f"{values.dtype}{example}",
        expected=f"{column.dtype}" + (f" in {column.unit}" if column.unit else ""),
        next_step="Convert it in the source; nothing is parsed or rounded here.",
    ))


def _numbers(values: pd.Series, column: Column, where: str) -> np.ndarray:
    """float64 values of a numeric column, NaN where missing; anything that is no number is refused."""
    dtype = values.dtype
    if pd.api.types.is_object_dtype(dtype):
        kind = pd.api.types.infer_dtype(values, skipna=True)
        if kind not in ("floating", "integer", "mixed-integer-float", "decimal", "empty"):
            raise _wrong(column, values, where)
    elif not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        raise _wrong(column, values, where)
    floats = values.to_numpy(dtype="float64", na_value=np.nan)
    if np.isinf(floats).any():
        row = int(np.flatnonzero(np.isinf(floats))[0])
        raise BadInput(sentence(f"column {column.name} is infinite in {int(np.isinf(floats).sum())} rows", where=where,
                                got=f"{floats[row]} in row {row}", expected="finite numbers or missing values"))
    return floats


def _to_float(values: pd.Series, column: Column, where: str) -> pd.Series:
    floats = _numbers(values, column, where)
    if pd.api.types.is_integer_dtype(values.dtype) and len(floats) and np.nanmax(np.abs(floats)) >= _EXACT_INTEGERS:
        raise _wrong(column, values, where, "integers beyond 2**53 lose digits as float64")
    return pd.Series(floats)


def _to_int(values: pd.Series, column: Column, where: str) -> pd.Series:
    floats = _numbers(values, column, where)
    if np.isnan(floats).any():
        return pd.Series(floats)  # int64 holds no missing values, so the completeness test of conform refuses it
    if (floats != np.trunc(floats)).any():
        raise _wrong(column, values, where, "not whole numbers")
    return (
        pd.Series(values.to_numpy(dtype="int64"))
        if pd.api.types.is_integer_dtype(values.dtype)
        else pd.Series(floats.astype("int64"))
    )


def _to_bool(values: pd.Series, column: Column, where: str) -> pd.Series:
    is_object = pd.api.types.is_object_dtype(values.dtype) and pd.api.types.infer_dtype(values, skipna=True) in (
        "boolean",
        "empty",
    )
    if not is_object and not pd.api.types.is_bool_dtype(values.dtype):
        raise _wrong(column, values, where)
    return pd.Series(values.to_numpy(dtype=object) if values.isna().any() else values.to_numpy(dtype=bool))


def _to_text(values: pd.Series, column: Column, where: str) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if isinstance(values.dtype, pd.StringDtype):
        return values if values.dtype == "str" else values.astype("str")
    if pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
        raise _wrong(column, values, where)
    return values.astype("str")


def _to_seconds(values: pd.Series, column: Column, where: str) -> pd.Series:
    dtype = values.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        raise _wrong(column, values, where, "times are Asia/Shanghai wall clock without a zone")
    is_object_date = pd.api.types.is_object_dtype(dtype) and pd.api.types.infer_dtype(values, skipna=True) in (
        "date",
        "datetime",
        "datetime64",
        "empty",
    )
    is_arrow_date = isinstance(dtype, pd.ArrowDtype) and str(dtype).startswith(("date", "timestamp"))
    if is_object_date or is_arrow_date:
        values = pd.Series(values.to_numpy(dtype="datetime64[us]", na_value=np.datetime64("NaT")))
    elif not pd.api.types.is_datetime64_dtype(dtype):
        raise _wrong(column, values, where)
    seconds = values.to_numpy(dtype="datetime64[s]")
    if not bool(((seconds == values.to_numpy()) | values.isna().to_numpy()).all()):
        raise _wrong(column, values, where, "fractions of a second")
    return pd.Series(seconds)


def _to_date(values: pd.Series, column: Column, where: str) -> pd.Series:
    seconds = _to_seconds(values, column, where)
    days = seconds.to_numpy().astype("datetime64[D]")
    if not bool(((days.astype("datetime64[s]") == seconds.to_numpy()) | seconds.isna().to_numpy()).all()):
        raise _wrong(column, values, where, "a date with a time of day")
    return seconds


_CONVERT: dict[str, Callable[[pd.Series, Column, str], pd.Series]] = {
    "float64": _to_float, "int64": _to_int, "bool": _to_bool, "string": _to_text, "timestamp": _to_seconds, "date": _to_date,
}


def _refuse_missing(frame: pd.DataFrame, column: Column, schema: TableSchema, where: str) -> None:
    missing = frame[column.name].isna().to_numpy()
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        key = tuple(name for name in schema.key if name != column.name)
        raise BadInput(sentence(
            f"column {column.name} is missing in {int(missing.sum())} of {len(frame)} rows", where=where,
            got=f"nothing at {key_text(frame, key, row)}", expected="a value in every row",
            next_step="Correct the rows at the source, or leave them out there and count them.",
        ))
