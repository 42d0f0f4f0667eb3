"""Checkpoints: the weights of an ensemble with a manifest that says what they are, refused where they do not belong.

Layout of a folder::

    manifest.json                    the commit point: what was trained on what, and the hash of every file
    member_<seed>.<hash>.safetensors weights of one member
    history.<hash>.json              training curves

Files carry the hash of their content in their names and ``manifest.json`` is replaced last, in one rename: whenever a writer is
killed, a reader finds the old checkpoint or the new one, whole.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from alpha_pipeline import __version__
from alpha_pipeline.digest import canonical, combine, content_hash
from alpha_pipeline.errors import CorruptPartition, ManifestMismatch, MissingData, sentence, unknown_name
from alpha_pipeline.training.resume import EpochRow, MemberResult
from alpha_pipeline.training.tensor_file import read_tensors, write_atomically, write_tensors


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is. All values are JSON-able.

    ``spec_digest``: hash of the settings training depends on. ``data_version``: hash of the data it saw. ``train_range`` and
    ``valid_range``: first and last sample date, ISO. ``n_samples``: by part. ``best_epochs`` and ``metrics``: by seed, then by
    stage.
    """

    spec_digest: str
    data_version: str
    period: str
    train_range: tuple[str, str]
    valid_range: tuple[str, str]
    n_samples: dict[str, int]
    seeds: tuple[int, ...]
    best_epochs: dict[str, dict[str, int]]
    metrics: dict[str, dict[str, float]]
    code_version: str
    library_versions: dict[str, str]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A verified checkpoint: weights and curve by member, in the order of ``manifest.seeds``."""

    manifest: Manifest
    weights: list[dict[str, Tensor]]
    histories: list[tuple[EpochRow, ...]]
    checkpoint_hash: str


def make_manifest(
    members: Sequence[MemberResult],
    *,
    spec_digest: str,
    data_version: str,
    period: str,
    train_range: tuple[str, str],
    valid_range: tuple[str, str],
    n_samples: Mapping[str, int],
) -> Manifest:
    """The manifest of these members, with the versions of this code and of the libraries that it runs on."""
    return Manifest(
        spec_digest=spec_digest,
        data_version=data_version,
        period=period,
        train_range=train_range,
        valid_range=valid_range,
        n_samples=dict(n_samples),
        seeds=tuple(member.seed for member in members),
        best_epochs={str(member.seed): member.best_epochs for member in members},
        metrics={str(member.seed): member.best_metrics for member in members},
        code_version=__version__,
        library_versions={
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "safetensors": safetensors.__version__,
        },
    )


def weights_hash(weights: Sequence[Mapping[str, Tensor]]) -> str:
    """Hash of names, shapes, dtypes and bits of all members' weights, in order; equal for two equal trainings."""
    return combine(
        f"{name} {tensor.dtype} {tuple(tensor.shape)} {content_hash(tensor.detach().cpu().contiguous().numpy().tobytes())}"
        for member in weights
        for name, tensor in sorted(member.items())
    )


def save_checkpoint(folder: Path, members: Sequence[MemberResult], manifest: Manifest) -> str:
    """Replace the checkpoint in ``folder`` and return its ``checkpoint_hash``. ``manifest`` lists the seeds of ``members``."""
    assert manifest.seeds == tuple(member.seed for member in members), "the manifest belongs to other members"
    files: dict[str, str] = {}
    for member in members:
        weights_name = f"member_{member.seed}.{weights_hash([member.weights])[:12]}.safetensors"
        write_tensors(folder / weights_name, member.weights, {"seed": member.seed})
        files[weights_name] = content_hash((folder / weights_name).read_bytes())
    histories = json.dumps([[asdict(row) for row in member.history] for member in members], indent=1).encode()
    history_name = f"history.{content_hash(histories)[:12]}.json"
    write_atomically(folder / history_name, histories)
    files[history_name] = content_hash(histories)
    found_hash = weights_hash([member.weights for member in members])
    facts = {"manifest": asdict(manifest), "files": files, "checkpoint_hash": found_hash}
    write_atomically(folder / "manifest.json", json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False).encode())
    for old in folder.iterdir():
        if old.name not in files and (old.name.startswith("member_") or old.name.startswith("history.")):
            old.unlink()
    return found_hash


def load_checkpoint(folder: Path, expected: Mapping[str, Any] | None = None) -> Checkpoint:
    """The checkpoint in ``folder``, every file verified against the manifest.

    ``expected`` : manifest fields that must have these values, e.g. ``{"spec_digest": …, "period": "2017H1"}``.

    Raises
    ------
    MissingData : there is no checkpoint. ManifestMismatch : a field differs, named with both values. CorruptPartition : a file is
    missing, unreadable or changed. UnknownName : ``expected`` names a field that manifests do not have.
    """
    facts = _read_facts(folder)
    manifest = _manifest(facts["manifest"])
    for name, value in (expected or {}).items():
        known = tuple(field.name for field in fields(Manifest))
        if name not in known:
            raise unknown_name("manifest field", name, known)
        if canonical(getattr(manifest, name)) != canonical(value):
            raise ManifestMismatch(
                sentence(
                    f"the checkpoint's {name} differs",
                    where=str(folder),
                    got=getattr(manifest, name),
                    expected=value,
                    next_step="Train this period again, or load the checkpoint that belongs to it.",
                )
            )
    for name, value in facts["files"].items():
        got = content_hash((folder / name).read_bytes()) if (folder / name).exists() else "no file"
        if got != value:
            raise _corrupt(folder / name, "file does not match the manifest", got, value)
    names = [next(name for name in facts["files"] if name.startswith(f"member_{seed}.")) for seed in manifest.seeds]
    weights = [read_tensors(folder / name)[0] for name in names]
    found_hash = weights_hash(weights)
    if found_hash != facts["checkpoint_hash"]:
        raise _corrupt(folder, "weights do not match the manifest", found_hash, facts["checkpoint_hash"])
    (history_name,) = (name for name in facts["files"] if name.startswith("history."))
    histories = [tuple(EpochRow(**row) for row in rows) for rows in json.loads((folder / history_name).read_text())]
    return Checkpoint(manifest, weights, histories, found_hash)


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.exists():
        raise MissingData(
            sentence(
                "no checkpoint", where=str(folder), expected="manifest.json", next_step="Train the model for this period first."
            )
        )
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise _corrupt(path, f"unreadable manifest: {error}", None, None) from error
    missing = {"manifest", "files", "checkpoint_hash"} - facts.keys()
    if missing:
        raise _corrupt(path, f"the manifest lacks {', '.join(sorted(missing))}", None, None)
    return facts


def _manifest(raw: Mapping[str, Any]) -> Manifest:
    lists = {name: tuple(raw[name]) for name in ("train_range", "valid_range", "seeds")}
    return Manifest(**{**raw, **lists})


def _corrupt(path: Path, what: str, got: object, expected: object) -> CorruptPartition:
    return CorruptPartition(
        sentence(what, where=str(path), got=got, expected=expected, next_step="Delete the folder and train this period again.")
    )
