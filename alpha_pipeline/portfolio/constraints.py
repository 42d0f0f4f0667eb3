"""Constraints as small objects: a formula, its limits, and an independent check of a finished portfolio.

Each has ``box`` (bounds of single weights) or ``rows`` (linear rows of the program), and ``excess``, which evaluates the formula
directly on weights and never looks at what the solver was given. ``excess`` returns only limits that are exceeded.

Source: the optimizations of ALPHANET, MULTIFREQ (text before figure 36), MULTIMODEL, RISKCONTROL and ATTENTION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from scipy import sparse

from alpha_pipeline.errors import BadInput, InvalidSpec, sentence, unknown_name
from alpha_pipeline.portfolio.problem import UNKNOWN_INDUSTRY, PortfolioProblem


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


class _NoBox:
    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray] | None:
        return None


class _NoRows:
    def rows(self, problem: PortfolioProblem) -> Rows | None:
        return None


def _at_least_zero(constraint: str, field: str, value: float) -> None:
    if not value >= 0.0:
        raise InvalidSpec(sentence(f"{field} of {constraint} out of range", got=value, expected="a number of at least 0"))


def _share(constraint: str, field: str, value: float) -> None:
    if not 0.0 < value <= 1.0:
        raise InvalidSpec(sentence(f"{field} of {constraint} out of range", got=value, expected="a decimal in (0, 1]"))


@dataclass(frozen=True)
class FullyInvested(_NoBox):
    """Σ w = position. Never relaxed."""

    position: float = 1.0
    name: ClassVar[str] = "fully_invested"

    def __post_init__(self) -> None:
        _share(self.name, "position", self.position)

    def rows(self, problem: PortfolioProblem) -> Rows:
        limit = np.array([self.position])
        return Rows((self.name,), sparse.csr_array(np.ones((1, problem.n_stocks))), limit, limit, limit)

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return _exceeded({self.name: abs(float(weights.sum()) - self.position)})


@dataclass(frozen=True)
class LongOnly(_NoRows):
    """w ≥ 0. Never relaxed."""

    name: ClassVar[str] = "long_only"

    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(problem.n_stocks), np.full(problem.n_stocks, np.inf)

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return _named(self.name, problem, -weights)


@dataclass(frozen=True)
class MaxDeviation(_NoRows):
    """|w_i − w_b,i| ≤ limit (decimal). Never relaxed, except for a name that cannot be traded back inside."""

    limit: float
    name: ClassVar[str] = "max_deviation"

    def __post_init__(self) -> None:
        _at_least_zero(self.name, "limit", self.limit)

    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray]:
        return problem.benchmark_weights - self.limit, problem.benchmark_weights + self.limit

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return _named(self.name, problem, np.abs(weights - problem.benchmark_weights) - self.limit)


@dataclass(frozen=True)
class ConstituentFloor(_NoBox):
    """Σ_{i in benchmark} w_i ≥ share (decimal of the portfolio)."""

    share: float
    name: ClassVar[str] = "constituent_floor"

    def __post_init__(self) -> None:
        _share(self.name, "share", self.share)

    def rows(self, problem: PortfolioProblem) -> Rows:
        member = sparse.csr_array(problem.constituents[None, :].astype(float))
        return Rows((self.name,), member, np.array([self.share]), np.array([np.inf]), np.array([self.share]))

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return _exceeded({self.name: self.share - float(weights[problem.constituents].sum())})


@dataclass(frozen=True)
class IndustryBound(_NoBox):
    """|Σ_{i in k} (w_i − w_b,i)| ≤ limit (decimal) for every industry k; 0 = neutral. Code -1 counts as an industry."""

    limit: float
    name: ClassVar[str] = "industry_bound"

    def __post_init__(self) -> None:
        _at_least_zero(self.name, "limit", self.limit)

    def rows(self, problem: PortfolioProblem) -> Rows:
        codes, row_of = np.unique(problem.industry, return_inverse=True)
        n = problem.n_stocks
        matrix = sparse.csr_array((np.ones(n), (row_of, np.arange(n))), shape=(len(codes), n))
        center = np.bincount(row_of, weights=problem.benchmark_weights, minlength=len(codes))
        labels = tuple(f"{self.name}[{'unknown' if code == UNKNOWN_INDUSTRY else code}]" for code in codes)
        return Rows(labels, matrix, center - self.limit, center + self.limit, np.full(len(codes), self.limit))

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        active = weights - problem.benchmark_weights
        return _exceeded(
            {
                f"{self.name}[{'unknown' if code == UNKNOWN_INDUSTRY else code}]": abs(
                    float(active[problem.industry == code].sum())
                )
                - self.limit
                for code in np.unique(problem.industry)
            }
        )


@dataclass(frozen=True)
class StyleBound(_NoBox):
    """|x_kᵀ (w − w_b)| ≤ limit, in standard deviations of style k; 0 = neutral."""

    style: str
    limit: float
    name: ClassVar[str] = "style_bound"

    def __post_init__(self) -> None:
        _at_least_zero(self.name, "limit", self.limit)

    def rows(self, problem: PortfolioProblem) -> Rows:
        exposure = self._exposure(problem)
        center = np.array([exposure @ problem.benchmark_weights])
        return Rows(
            (f"{self.name}[{self.style}]",),
            sparse.csr_array(exposure[None, :]),
            center - self.limit,
            center + self.limit,
            np.array([self.limit]),
        )

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        active = float(self._exposure(problem) @ (weights - problem.benchmark_weights))
        return _exceeded({f"{self.name}[{self.style}]": abs(active) - self.limit})

    def _exposure(self, problem: PortfolioProblem) -> np.ndarray:
        if self.style not in problem.styles:
            if not problem.styles:
                raise BadInput(
                    sentence(
                        f"no exposure to style '{self.style}'",
                        where=problem.where,
                        got="a problem without styles",
                        next_step=f"Pass styles={{'{self.style}': exposure}}.",
                    )
                )
            raise unknown_name("style", self.style, sorted(problem.styles))
        return problem.style(self.style)


@dataclass(frozen=True)
class TurnoverLimit(_NoBox, _NoRows):
    """Σ |w_i − w_drifted,i| ≤ limit (``sided='two'``), or half of that sum ≤ limit (``sided='one'``).

    Decimals of the portfolio at the signal close. Does not apply to the first portfolio; the result says so.
    """

    limit: float
    sided: Literal["two", "one"] = "two"
    name: ClassVar[str] = "turnover"

    def __post_init__(self) -> None:
        _at_least_zero(self.name, "limit", self.limit)
        if self.sided not in ("two", "one"):
            raise unknown_name("side of turnover", self.sided, ("two", "one"))

    @property
    def two_sided(self) -> float:
        return self.limit if self.sided == "two" else 2.0 * self.limit

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        """In two-sided turnover, whichever side the limit is stated in."""
        if problem.is_first:
            return {}
        return _exceeded({self.name: float(np.abs(weights - problem.held).sum()) - self.two_sided})


AnyConstraint = FullyInvested | LongOnly | MaxDeviation | ConstituentFloor | IndustryBound | StyleBound | TurnoverLimit
CONSTRAINTS: dict[str, type[AnyConstraint]] = {
    c.name: c for c in (FullyInvested, LongOnly, MaxDeviation, ConstituentFloor, IndustryBound, StyleBound, TurnoverLimit)
}


def constraint_type(name: str) -> type[AnyConstraint]:
    """The class of a constraint by name; raises :class:`UnknownName` with the known ones.

    >>> constraint_type("max_deviation")(limit=0.008)
    MaxDeviation(limit=0.008)
    """
    if name not in CONSTRAINTS:
        raise unknown_name("constraint", name, list(CONSTRAINTS))
    return CONSTRAINTS[name]


def restriction_excess(problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
    """Trading restrictions of the data: bought although not buyable, sold although not sellable. Never relaxed."""
    change = weights - problem.held
    return _named("not_buyable", problem, np.where(problem.buyable(), -1.0, change)) | _named(
        "not_sellable", problem, np.where(problem.sellable(), -1.0, -change)
    )


def _exceeded(by_label: dict[str, float]) -> dict[str, float]:
    return {label: value for label, value in by_label.items() if value > 0.0}


def _named(name: str, problem: PortfolioProblem, excess: np.ndarray) -> dict[str, float]:
    return {f"{name}[{problem.symbols[i]}]": float(excess[i]) for i in np.flatnonzero(excess > 0.0)}
