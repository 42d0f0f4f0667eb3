"""Constraints as small objects: a formula, its limits, and an independent check of a finished portfolio.

Each has ``box`` (bounds of single weights) or ``rows`` (linear rows of the program), and ``excess``, which evaluates the formula
directly on weights and never looks at what the solver was given. ``excess`` returns only limits that are exceeded.

Source: the optimizations of ALPHANET, MULTIFREQ (text before figure 36), MULTIMODEL, RISKCONTROL and ATTENTION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy import sparse

from alpha_pipeline.errors import unknown_name
from alpha_pipeline.portfolio.constraint_base import NoBox, NoRows, Rows, at_least_zero, exceeded, named, share_of_one
from alpha_pipeline.portfolio.exposure_constraints import FactorClassBound, StyleMoment, TrackingErrorLimit, style_of
from alpha_pipeline.portfolio.problem import UNKNOWN_INDUSTRY, PortfolioProblem


@dataclass(frozen=True)
class FullyInvested(NoBox):
    """Σ w = position. Never relaxed."""

    position: float = 1.0
    name: ClassVar[str] = "fully_invested"

    def __post_init__(self) -> None:
        share_of_one(self.name, "position", self.position)

    def rows(self, problem: PortfolioProblem) -> Rows:
        limit = np.array([self.position])
        return Rows((self.name,), sparse.csr_array(np.ones((1, problem.n_stocks))), limit, limit, limit)

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return exceeded({self.name: abs(float(weights.sum()) - self.position)})


@dataclass(frozen=True)
class LongOnly(NoRows):
    """w ≥ 0. Never relaxed."""

    name: ClassVar[str] = "long_only"

    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(problem.n_stocks), np.full(problem.n_stocks, np.inf)

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return named(self.name, problem, -weights)


@dataclass(frozen=True)
class MaxDeviation(NoRows):
    """|w_i − w_b,i| ≤ limit (decimal). Never relaxed, except for a name that cannot be traded back inside."""

    limit: float
    name: ClassVar[str] = "max_deviation"

    def __post_init__(self) -> None:
        at_least_zero(self.name, "limit", self.limit)

    def box(self, problem: PortfolioProblem) -> tuple[np.ndarray, np.ndarray]:
        return problem.benchmark_weights - self.limit, problem.benchmark_weights + self.limit

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return named(self.name, problem, np.abs(weights - problem.benchmark_weights) - self.limit)


@dataclass(frozen=True)
class ConstituentFloor(NoBox):
    """Σ_{i in benchmark} w_i ≥ share (decimal of the portfolio)."""

    share: float
    name: ClassVar[str] = "constituent_floor"

    def __post_init__(self) -> None:
        share_of_one(self.name, "share", self.share)

    def rows(self, problem: PortfolioProblem) -> Rows:
        member = sparse.csr_array(problem.constituents[None, :].astype(float))
        return Rows((self.name,), member, np.array([self.share]), np.array([np.inf]), np.array([self.share]))

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        return exceeded({self.name: self.share - float(weights[problem.constituents].sum())})


@dataclass(frozen=True)
class IndustryBound(NoBox):
    """|Σ_{i in k} (w_i − w_b,i)| ≤ limit (decimal) for every industry k; 0 = neutral. Code -1 counts as an industry."""

    limit: float
    name: ClassVar[str] = "industry_bound"

    def __post_init__(self) -> None:
        at_least_zero(self.name, "limit", self.limit)

    def rows(self, problem: PortfolioProblem) -> Rows:
        codes, row_of = np.unique(problem.industry, return_inverse=True)
        n = problem.n_stocks
        matrix = sparse.csr_array((np.ones(n), (row_of, np.arange(n))), shape=(len(codes), n))
        center = np.bincount(row_of, weights=problem.benchmark_weights, minlength=len(codes))
        labels = tuple(f"{self.name}[{'unknown' if code == UNKNOWN_INDUSTRY else code}]" for code in codes)
        return Rows(labels, matrix, center - self.limit, center + self.limit, np.full(len(codes), self.limit))

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        active = weights - problem.benchmark_weights
        return exceeded(
            {
                f"{self.name}[{'unknown' if code == UNKNOWN_INDUSTRY else code}]": abs(
                    float(active[problem.industry == code].sum())
                )
                - self.limit
                for code in np.unique(problem.industry)
            }
        )


@dataclass(frozen=True)
class StyleBound(NoBox):
    """|x_kᵀ (w − w_b)| ≤ limit, in standard deviations of style k; 0 = neutral."""

    style: str
    limit: float
    name: ClassVar[str] = "style_bound"

    def __post_init__(self) -> None:
        at_least_zero(self.name, "limit", self.limit)

    def rows(self, problem: PortfolioProblem) -> Rows:
        exposure = style_of(problem, self.style)
        center = np.array([exposure @ problem.benchmark_weights])
        return Rows(
            (f"{self.name}[{self.style}]",),
            sparse.csr_array(exposure[None, :]),
            center - self.limit,
            center + self.limit,
            np.array([self.limit]),
        )

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        active = float(style_of(problem, self.style) @ (weights - problem.benchmark_weights))
        return exceeded({f"{self.name}[{self.style}]": abs(active) - self.limit})


@dataclass(frozen=True)
class TurnoverLimit(NoBox, NoRows):
    """Σ |w_i − w_drifted,i| ≤ limit (``sided='two'``), or half of that sum ≤ limit (``sided='one'``).

    Decimals of the portfolio at the signal close. Does not apply to the first portfolio; the result says so.
    """

    limit: float
    sided: Literal["two", "one"] = "two"
    name: ClassVar[str] = "turnover"

    def __post_init__(self) -> None:
        at_least_zero(self.name, "limit", self.limit)
        if self.sided not in ("two", "one"):
            raise unknown_name("side of turnover", self.sided, ("two", "one"))

    @property
    def two_sided(self) -> float:
        return self.limit if self.sided == "two" else 2.0 * self.limit

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        """In two-sided turnover, whichever side the limit is stated in."""
        if problem.is_first:
            return {}
        return exceeded({self.name: float(np.abs(weights - problem.held).sum()) - self.two_sided})


AnyConstraint = (
    FullyInvested | LongOnly | MaxDeviation | ConstituentFloor | IndustryBound | StyleBound | StyleMoment | FactorClassBound | TrackingErrorLimit
    | TurnoverLimit
)
CONSTRAINTS: dict[str, type[AnyConstraint]] = {
    c.name: c
    for c in (
        FullyInvested, LongOnly, MaxDeviation, ConstituentFloor, IndustryBound, StyleBound, StyleMoment, FactorClassBound, TrackingErrorLimit,
        TurnoverLimit,
    )
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
    return named("not_buyable", problem, np.where(problem.buyable(), -1.0, change)) | named(
        "not_sellable", problem, np.where(problem.sellable(), -1.0, -change)
    )
