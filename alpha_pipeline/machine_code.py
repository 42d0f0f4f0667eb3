"""Loops in machine code, made by numba: the optional extra ``fast``. Every kernel of the package has an equal way without it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any


def has_numba() -> bool:
    """Whether numba is installed. It is imported where kernels are made, not before."""
    return importlib.util.find_spec("numba") is not None


def compiled(*fastmath: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: machine code that releases the GIL, divides as numpy does, and is kept on disk where a folder is writable.

    ``fastmath``: what the compiler may change of the order of operations: ``contract`` multiplies and adds in one rounding, ``reassoc`` sums in
    several parts at a time. Kept code goes stale when the function's own file changes, so kernels call only functions of their file.
    """
    from numba import njit

    def compile_one(function: Callable[..., Any]) -> Callable[..., Any]:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}
        kernel: Callable[..., Any]
        try:
            kernel = njit(cache=True, **options)(function)
        except RuntimeError:  # neither __pycache__ nor the user's cache folder is writable: compile in every process
            kernel = njit(**options)(function)
        return kernel

    return compile_one
