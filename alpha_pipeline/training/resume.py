"""What an ensemble leaves on disk: one file with the state of all its members after every epoch, and one result per member.

A state holds all that the next epoch depends on: current weights, Adam's moments, the best weights so far, the history, and the
position (stage, epoch). Random numbers need no state: each epoch draws from a generator seeded by (stage, epoch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from alpha_pipeline.errors import ManifestMismatch, sentence
from alpha_pipeline.training.tensor_file import read_tensors, write_tensors

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class EpochRow:
    """One line of a training curve.

    ``epoch`` counts from 1 within its stage. ``train_loss`` is the mean over the epoch's dates, in train mode, while the
    weights move; ``valid_*`` are means over the validation dates after the epoch (None where undefined, e.g. equal scores for
    all stocks). ``seconds`` is the member's share of the training pass, in which the members of an ensemble go together: over
    members and epochs it adds up to the time that passed. ``samples_per_second`` is the number of samples over that share.
    """

    stage: str
    epoch: int
    train_loss: float
    valid_loss: float
    valid_ic: float | None
    valid_rank_ic: float | None
    lr: float
    seconds: float
    samples_per_second: float


@dataclass(frozen=True, eq=False)
class MemberResult:
    """A trained member: CPU weights of the best epochs, its curve, and by stage the best epoch and its validation metric."""

    seed: int
    weights: Weights
    history: tuple[EpochRow, ...]
    best_epochs: dict[str, int]
    best_metrics: dict[str, float]


@dataclass
class TrainingState:
    """Where a member stands. ``stage`` counts from 0; ``epoch`` epochs of it are finished."""

    stage: int
    epoch: int
    weights: Weights
    optimizer: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    best_weights: Weights | None = None
    best_epoch: int = 0
    best_metric: float | None = None
    history: list[EpochRow] = field(default_factory=list)
    best_epochs: dict[str, int] = field(default_factory=dict)
    best_metrics: dict[str, float] = field(default_factory=dict)


_SCALARS = ("stage", "epoch", "best_epoch", "best_metric", "best_epochs", "best_metrics")


def save_states(path: Path, states: Mapping[int, TrainingState], fingerprint: Mapping[str, str]) -> None:
    """Replace the state file of the members, by seed, in one step."""
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for seed, state in states.items():
        tensors |= {f"{seed}/weights/{name}": tensor for name, tensor in state.weights.items()}
        tensors |= {f"{seed}/best/{name}": tensor for name, tensor in (state.best_weights or {}).items()}
        tensors |= {f"{seed}/adam/{at}/{name}": tensor for at, moments in state.optimizer.items() for name, tensor in moments.items()}
        facts[str(seed)] = {name: getattr(state, name) for name in _SCALARS} | {"history": [asdict(row) for row in state.history]}
    write_tensors(path, tensors, {"members": facts, "fingerprint": dict(fingerprint)})


def load_states(path: Path, fingerprint: Mapping[str, str]) -> dict[int, TrainingState]:
    """The states of an interrupted training by seed. Raises :class:`ManifestMismatch` when they are those of another one."""
    tensors, facts = read_tensors(path)
    _check(path, facts["fingerprint"], fingerprint)
    # JSON sorted the seeds as text
    return {seed: _state(_below(f"{seed}/", tensors), facts["members"][str(seed)]) for seed in sorted(map(int, facts["members"]))}


def _state(tensors: Weights, facts: Mapping[str, Any]) -> TrainingState:
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam/"):
            _, at, moment = name.split("/", 2)
            optimizer.setdefault(int(at), {})[moment] = tensor
    state = TrainingState(
        weights=_below("weights/", tensors),
        optimizer=optimizer,
        history=_history(facts),
        **{name: facts[name] for name in _SCALARS},
    )
    state.best_weights = _below("best/", tensors) or None
    return state


def save_result(path: Path, result: MemberResult, fingerprint: Mapping[str, str]) -> None:
    """Write a finished member."""
    write_tensors(
        path,
        result.weights,
        {
            "seed": result.seed,
            "history": [asdict(row) for row in result.history],
            "best_epochs": result.best_epochs,
            "best_metrics": result.best_metrics,
            "fingerprint": dict(fingerprint),
        },
    )


def load_result(path: Path, fingerprint: Mapping[str, str]) -> MemberResult:
    """A finished member. Raises :class:`ManifestMismatch` when it is that of another training."""
    weights, facts = read_tensors(path)
    _check(path, facts["fingerprint"], fingerprint)
    return MemberResult(facts["seed"], weights, tuple(_history(facts)), facts["best_epochs"], facts["best_metrics"])


def cpu_copy(weights: Mapping[str, Tensor]) -> Weights:
    """Weights that later training steps cannot change."""
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _history(facts: Mapping[str, Any]) -> list[EpochRow]:
    return [EpochRow(**row) for row in facts["history"]]


def _check(path: Path, got: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for name in expected:
        if got.get(name) != expected[name]:
            raise ManifestMismatch(
                sentence(
                    f"kept training differs in '{name}'",
                    where=str(path),
                    got=got.get(name, "nothing"),
                    expected=expected[name],
                    next_step=f"Use another working folder for this training, or delete {path.parent} to start over.",
                )
            )
