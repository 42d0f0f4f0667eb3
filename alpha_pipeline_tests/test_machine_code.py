"""Kernels are made where numba is installed, and also where nothing can be kept on disk."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from alpha_pipeline.machine_code import compiled, has_numba


def _sum_of_squares(n: int) -> int:
    total = 0
    for k in range(n):
        total += k * k
    return total


class TestMachineCode:
    def test_without_numba(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "numba", None)
        assert not has_numba()

    @pytest.mark.skipif(not has_numba(), reason="numba, the optional extra 'fast', is not installed")
    def test_same_result_with_and_without_a_folder_for_kept_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import numba

        def no_folder(*arguments: Any, cache: bool = False, **options: Any) -> Any:
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return original(*arguments, **options)

        original = numba.njit
        kept = compiled("contract")(_sum_of_squares)
        monkeypatch.setattr(numba, "njit", no_folder)
        assert kept(10) == compiled()(_sum_of_squares)(10) == _sum_of_squares(10) == 285
