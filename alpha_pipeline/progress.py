"""Progress of long loops, reported to whoever listens: a terminal bar, Dagster's event log, or nobody.

Pure code calls :func:`track` or :func:`step`; the command line or an asset decides with :func:`listening` where that goes.
The module knows neither rich nor Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Listener(Protocol):
    """What a listener must understand. ``total`` is None while it is unknown."""

    def update(self, label: str, done: int, total: int | None, note: str) -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("progress_listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send all progress inside the block to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def current() -> Listener | None:
    """The listener in force, or None."""
    return _listener.get()


def step(label: str, done: int, total: int | None = None, note: str = "") -> None:
    """Say that ``done`` of ``total`` units of ``label`` are finished."""
    listener = _listener.get()
    if listener is not None:
        listener.update(label, done, total, note)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` and report each one when it is finished."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    step(label, 0, total)
    for done, item in enumerate(items, start=1):
        yield item
        step(label, done, total)
