"""Which implementation of the recurrence runs, and a line in the log that says so.

=============  ===============================================================================================
``fused``      numba kernels; float32 on the CPU, where the optional extra ``fast`` (numba) is installed
``cudnn``      ``torch.gru`` on a CUDA device
``reference``  torch operations step by step: everything else (numba absent, float64, other devices)
=============  ===============================================================================================

All three give the same numbers to rounding. The first two of the table are deterministic; ``reference`` is too on the CPU.
"""

from __future__ import annotations

import logging

import torch

logger = logging.getLogger("alpha_pipeline.models.recurrent")

_announced: set[str] = set()


def active_backend(device: torch.device | str, dtype: torch.dtype = torch.float32) -> str:
    """``"fused"``, ``"cudnn"`` or ``"reference"``: what a network on ``device`` uses."""
    return _choose(torch.device(device), dtype)[0]


def announce(device: torch.device, dtype: torch.dtype) -> str:
    """As :func:`active_backend`, and log each distinct answer once per process (a missing numba as a warning)."""
    backend, reason, level = _choose(device, dtype)
    if reason not in _announced:
        _announced.add(reason)
        logger.log(level, "recurrent layers use the %s path: %s", backend, reason)
    return backend


def _choose(device: torch.device, dtype: torch.dtype) -> tuple[str, str, int]:
    if device.type == "cuda":
        return "cudnn", "torch.gru on a CUDA device", logging.INFO
    if device.type != "cpu" or dtype != torch.float32:
        return "reference", f"the fused kernels take float32 on the CPU, this is {dtype} on {device.type}", logging.INFO
    try:
        import numba  # noqa: F401
    except ImportError as error:
        advice = "install the extra 'fast' (pip install 'alpha_pipeline[fast]') for training several times as fast"
        return "reference", f"numba cannot be imported ({error}); {advice}", logging.WARNING
    return "fused", "numba kernels (compiled once per machine, a few seconds)", logging.INFO
