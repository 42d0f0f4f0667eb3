"""Values from TOML tables into dataclasses: unknown, absent and mistyped keys are refused by name and place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name

_WORDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", dt.date: "a date such as 2024-01-05"}


def refuse_unknown(raw: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    """Raise :class:`UnknownName` for the first key that is not allowed."""
    for key in raw:
        if key not in allowed:
            raise unknown_name(f"key in {where}:", key, allowed or ("no key",))


def require_kind(value: object, hint: Any, where: str) -> None:
    """Raise :class:`InvalidSpec` unless ``value`` is of the hinted type; hints beyond plain types, lists of them and
    choices pass.

    >>> require_kind(3, float, "factor")
    >>> require_kind("x", float, "factor")
    Traceback (most recent call last):
    ...
    alpha_pipeline.errors.InvalidSpec: factor: wrong kind of value (got 'x', expected a number).
    """
    if isinstance(hint, UnionType):
        inner = [arg for arg in get_args(hint) if arg is not NoneType]
        if len(inner) == 1:
            require_kind(value, inner[0], where)
        return
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            choices = " or ".join(repr(choice) for choice in get_args(hint))
            raise InvalidSpec(sentence("none of its values", where=where, got=repr(value), expected=choices))
        return
    if get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise InvalidSpec(sentence("wrong kind of value", where=where, got=repr(value), expected="a list"))
        for item in value:
            require_kind(item, get_args(hint)[0], where)
        return
    if hint not in _WORDS:
        return
    kinds = (int, float) if hint is float else (hint,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise InvalidSpec(sentence("wrong kind of value", where=where, got=repr(value), expected=_WORDS[hint]))


def record(kind: type, raw: Mapping[str, Any], where: str) -> Any:
    """An instance of a flat dataclass from a TOML table; lists become tuples.

    Raises
    ------
    UnknownName
        A key is none of the fields.
    InvalidSpec
        A field without a default is absent, or a value is of the wrong kind.
    """
    refuse_unknown(raw, tuple(f.name for f in fields(kind)), where)
    hints = get_type_hints(kind)
    for f in fields(kind):
        if f.name in raw:
            require_kind(raw[f.name], hints[f.name], f"{where}.{f.name}")
        elif f.default is MISSING and f.default_factory is MISSING:
            raise InvalidSpec(sentence(f"{f.name} is not set", where=where, expected=f"{f.name} = …"))
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})
