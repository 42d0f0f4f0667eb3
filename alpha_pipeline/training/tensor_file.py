"""One file of named tensors with a JSON text inside, written so that a killed writer leaves the old file or the new one.

The format is safetensors; its header has room for text, so tensors and text can never belong to two different moments. Nothing
that is read is executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from alpha_pipeline.atomic import temporary_path
from alpha_pipeline.errors import CorruptPartition, sentence

_KEY = "alpha_pipeline"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Replace ``path`` by these tensors and this JSON-able mapping. Equal arguments give equal bytes."""
    # contiguous copies on the CPU: safetensors refuses tensors that share memory
    plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    write_atomically(path, safetensors.torch.save(plain, {_KEY: text}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and the mapping of a file. Raises :class:`CorruptPartition` for a file cut short or not ours."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, facts
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CorruptPartition(
            sentence(
                f"unreadable tensor file: {error}",
                where=str(path),
                next_step="Delete the file; training then starts over from the last whole one.",
            )
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside ``path`` and rename; the bytes have reached the disk before the name does."""
    temporary = temporary_path(path)
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
