"""The GPU kernels where there is no GPU: their numbers in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alpha_pipeline.models.recurrent.backend import SWITCH

pytest.importorskip("triton", reason="triton, the optional extra 'cuda', is not installed")

CASES = Path(__file__).with_name("triton_cases.py")


class TestProperties:
    def test_all_cases_hold_in_the_interpreter(self) -> None:
        """``TRITON_INTERPRET`` is read when triton is imported, hence a process of its own."""
        environment = os.environ | {"TRITON_INTERPRET": "1", SWITCH: "triton"}
        command = [sys.executable, "-m", "pytest", str(CASES)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        summary = done.stdout.splitlines()[-1]
        assert " passed" in summary and "skipped" not in summary
