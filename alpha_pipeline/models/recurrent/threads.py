"""Independent groups of tiles on as many threads as torch uses.

Which tiles form a group depends on the number of tiles only, each group writes its own partial sums, and these are added in the
order of the groups: results are bitwise equal for any number of threads.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

MAX_GROUPS = 64  # more threads than this stay idle

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_own = threading.local()


def groups_of_tiles(n_tiles: int) -> list[tuple[int, int]]:
    """(first, end) of each group, as equal as whole tiles allow.

    >>> groups_of_tiles(3)
    [(0, 1), (1, 2), (2, 3)]
    """
    n = min(MAX_GROUPS, n_tiles)
    return [(g * n_tiles // n, (g + 1) * n_tiles // n) for g in range(n)]


def run_groups(task: Callable[[int], None], n_groups: int) -> None:
    """``task(group)`` once for every group, on ``torch.get_num_threads()`` threads, the caller's among them.

    Threads only overlap where the task releases the GIL, as the kernels do. The first exception of a task is raised here.
    """
    counter = itertools.count()  # next() is atomic under the GIL

    def work() -> None:
        while (group := next(counter)) < n_groups:
            task(group)

    n_helpers = min(torch.get_num_threads(), n_groups) - 1
    futures = []
    if n_helpers > 0:
        with _lock:
            pool = _pool_of(n_helpers)
            futures = [pool.submit(work) for _ in range(n_helpers)]
    work()
    for future in futures:
        future.result()


def own(key: Hashable, make: Callable[[], T]) -> T:
    """The calling thread's own copy of ``make()``; only the newest key is kept."""
    if getattr(_own, "key", None) != key:
        _own.key, _own.value = key, make()
    value: T = _own.value
    return value


def _pool_of(n: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    if _pool is None or _pool_size < n:
        if _pool is not None:
            _pool.shutdown(wait=False)  # what it already runs is finished
        _pool, _pool_size = ThreadPoolExecutor(n, thread_name_prefix="recurrent"), n
    return _pool


def _forget_pool() -> None:
    """A forked child inherits the pool's object but not its threads, and perhaps a lock that nobody will release."""
    global _pool, _pool_size, _lock
    _pool, _pool_size, _lock = None, 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
