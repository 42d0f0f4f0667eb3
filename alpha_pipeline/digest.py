"""Short stable hashes of settings and of bytes: the currency in which "has anything changed?" is answered."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def content_hash(data: bytes | memoryview) -> str:
    """128-bit BLAKE2b of bytes, in hex."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def combine(parts: Iterable[str]) -> str:
    """One hash of an ordered sequence of hashes or short strings."""
    return content_hash("\n".join(parts).encode())


def canonical(value: Any) -> Any:
    """JSON-able form of settings: dataclasses carry their class name, tuples become lists, dates ISO strings.

    A field with the metadata ``{"digest": "if changed"}`` is left out where it has its default: a setting that came later leaves the hashes of
    what was computed before it existed as they were.

    Raises ``TypeError`` for anything whose text form is not stable, so that no digest depends on a memory address.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)
            if f.metadata.get("digest") != "if changed" or getattr(value, f.name) != f.default
        }
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}")


def digest(value: Any) -> str:
    """Hash of settings: equal settings give equal digests, in every process and on every machine.

    >>> digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    True
    """
    return content_hash(json.dumps(canonical(value), sort_keys=True, ensure_ascii=False).encode())
