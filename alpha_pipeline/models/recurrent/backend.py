"""Which implementation of the recurrence runs, and a line in the log that says so.

=============  ===============================================================================================
``fused``      numba kernels; float32 on the CPU, where the optional extra ``fast`` (numba) is installed
``triton``     Triton kernels; float32 on a CUDA device, where the optional extra ``cuda`` (triton) is installed.
               Held against float64 in Triton's interpreter; their speed was never measured on a GPU
``cudnn``      ``torch.gru`` and ``torch.lstm`` on a CUDA device otherwise; knows neither lengths nor vmap
``reference``  torch operations step by step: everything else (float64, other devices, no numba, lengths on cuDNN)
=============  ===============================================================================================

All give the same numbers to rounding. All but ``cudnn`` are deterministic, ``reference`` on the CPU.

``$ALPHA_PIPELINE_RECURRENT`` set to one of these names forces it where it can run at all, for comparisons.
"""

from __future__ import annotations

import importlib.util
import logging
import os

import torch

from alpha_pipeline.errors import InvalidSpec, sentence

logger = logging.getLogger("alpha_pipeline.models.recurrent")

SWITCH = "ALPHA_PIPELINE_RECURRENT"
BACKENDS = ("fused", "triton", "cudnn", "reference")

_announced: set[str] = set()


def active_backend(device: torch.device | str, dtype: torch.dtype = torch.float32, ragged: bool = False) -> str:
    """One of the names above: what a network on ``device`` uses, with lengths if ``ragged``.

    Raises :class:`~alpha_pipeline.errors.InvalidSpec` if ``$ALPHA_PIPELINE_RECURRENT`` asks for what cannot run there.
    """
    return _choose(torch.device(device), dtype, ragged)[0]


def announce(device: torch.device, dtype: torch.dtype, ragged: bool = False) -> str:
    """As :func:`active_backend`, and log each distinct answer once per process (a missing numba as a warning)."""
    backend, reason, level = _choose(device, dtype, ragged)
    if reason not in _announced:
        _announced.add(reason)
        logger.log(level, "recurrent layers use the %s path: %s", backend, reason)
    return backend


def _choose(device: torch.device, dtype: torch.dtype, ragged: bool) -> tuple[str, str, int]:
    forced = os.environ.get(SWITCH)
    if forced:
        return _forced(forced, device, dtype, ragged), f"${SWITCH} asks for it", logging.INFO
    if device.type == "cuda":
        return _choose_on_cuda(dtype, ragged)
    if device.type != "cpu" or dtype != torch.float32:
        return "reference", f"the fused kernels take float32 on the CPU, this is {dtype} on {device.type}", logging.INFO
    try:
        import numba  # noqa: F401
    except ImportError as error:
        advice = "install the extra 'fast' (pip install 'alpha_pipeline[fast]') for training several times as fast"
        return "reference", f"numba cannot be imported ({error}); {advice}", logging.WARNING
    return "fused", "numba kernels (compiled once per machine, a few seconds)", logging.INFO


def _choose_on_cuda(dtype: torch.dtype, ragged: bool) -> tuple[str, str, int]:
    if dtype == torch.float32 and _is_installed("triton"):
        return "triton", "Triton kernels on a CUDA device (their speed was never measured on a GPU)", logging.INFO
    if ragged:
        return "reference", "torch.gru and torch.lstm know no lengths; step by step is slower, the extra 'cuda' helps", logging.WARNING
    return "cudnn", "torch.gru and torch.lstm on a CUDA device", logging.INFO


def _forced(name: str, device: torch.device, dtype: torch.dtype, ragged: bool) -> str:
    can_run = {
        "fused": device.type == "cpu" and dtype == torch.float32 and _is_installed("numba"),
        "triton": (device.type == "cuda" or _is_interpreted()) and dtype == torch.float32 and _is_installed("triton"),
        "cudnn": device.type in ("cpu", "cuda") and not ragged,
        "reference": True,
    }
    if not can_run.get(name, False):
        runs = [backend for backend in BACKENDS if can_run[backend]]
        where = f"{dtype} on {device.type}" + (" with lengths" if ragged else "")
        raise InvalidSpec(sentence(f"${SWITCH} asks for a path that cannot run here", where=where, got=name,
                                   expected=" or ".join(runs), next_step="Unset the variable to let the layer choose."))
    return name


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _is_interpreted() -> bool:
    """Whether Triton runs its kernels in Python, as the tests do, and so takes tensors on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"
