"""What every constraint is made of: linear rows, bounds of single weights, and the checks of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy import sparse

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.portfolio.problem import PortfolioProblem


@dataclass(frozen=True, eq=False)
class Rows:
    """``lower <= matrix @ w <= upper``; ``labels`` name the rows, ``limits`` are the user's numbers behind them."""

    labels: tuple[str, ...]
    matrix: sparse.csr_array
    lower: np.ndarray
    upper: np.ndarray
    limits: np.ndarray


class Constraint(Protocol):
    """What the optimizer asks of a constraint."""

    name: ClassVar[str]

    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray] | None: ...
    def rows(self, problem: PortfolioProblem) -> Rows | None: ...
    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]: ...


class NoBox:
    """A constraint without bounds of single weights."""

    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray] | None:
        return None


class NoRows:
    """A constraint without linear rows."""

    def rows(self, problem: PortfolioProblem) -> Rows | None:
        return None


def at_least_zero(constraint: str, field: str, value: float) -> None:
    """Raise :class:`InvalidSpec` for a negative or missing limit."""
    if not value >= 0.0:
        raise InvalidSpec(sentence(f"{field} of {constraint} out of range", got=value, expected="a number of at least 0"))


def share_of_one(constraint: str, field: str, value: float) -> None:
    """Raise :class:`InvalidSpec` unless ``value`` is in (0, 1]."""
    if not 0.0 < value <= 1.0:
        raise InvalidSpec(sentence(f"{field} of {constraint} out of range", got=value, expected="a decimal in (0, 1]"))


def exceeded(by_label: dict[str, float]) -> dict[str, float]:
    """Only the limits that are exceeded."""
    return {label: value for label, value in by_label.items() if value > 0.0}


def named(name: str, problem: PortfolioProblem, excess: np.ndarray) -> dict[str, float]:
    """The same per name: label ``name[symbol]``."""
    return {f"{name}[{problem.symbols[i]}]": float(excess[i]) for i in np.flatnonzero(excess > 0.0)}
