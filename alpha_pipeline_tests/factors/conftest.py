"""The two ways to compute what has a kernel."""

from __future__ import annotations

import sys

import pytest

from alpha_pipeline.machine_code import has_numba


@pytest.fixture(params=["kernel", "numpy"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test twice: with the kernels, and as where numba is not installed."""
    if request.param == "numpy":
        monkeypatch.setitem(sys.modules, "numba", None)
    elif not has_numba():
        pytest.skip("numba, the optional extra 'fast', is not installed")


needs_numba = pytest.mark.skipif(not has_numba(), reason="numba, the optional extra 'fast', is not installed")
