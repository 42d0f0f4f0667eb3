"""Bounds on exposures beyond a single style: moments of a style, classes of factors, and the tracking error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from alpha_pipeline.errors import BadInput, InvalidSpec, sentence, unknown_name
from alpha_pipeline.portfolio.constraint_base import NoBox, NoRows, Rows, at_least_zero, exceeded
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.risk import FactorRisk


@dataclass(frozen=True)
class StyleMoment(NoBox):
    """|Σ w_i (s_i − s_b)^m − Σ w_b,i (s_i − s_b)^m| ≤ limit with s_b = Σ w_b,i s_i, the benchmark's own exposure.

    Linear in w. With m = 2 it stops a barbell of very large and very small names whose mean size equals the benchmark's; with
    m = 3 a lopsided one. Units: standard deviations to the m-th power.

    Source: RISKCONTROL, second and third moment of size, ±0.1 … ±0.4.
    """

    style: str
    moment: int
    limit: float
    name: ClassVar[str] = "style_moment"

    def __post_init__(self) -> None:
        at_least_zero(self.name, "limit", self.limit)
        if self.moment not in (2, 3):
            raise InvalidSpec(sentence(f"moment of {self.name} out of range", got=self.moment, expected="2 or 3",
                                       next_step="The first moment is a style_bound."))

    @property
    def label(self) -> str:
        return f"{self.name}[{self.style}^{self.moment}]"

    def rows(self, problem: PortfolioProblem) -> Rows:
        exposure = style_of(problem, self.style)
        powers = (exposure - exposure @ problem.benchmark_weights) ** self.moment
        center = np.array([powers @ problem.benchmark_weights])
        return Rows((self.label,), sparse.csr_array(powers[None, :]), center - self.limit, center + self.limit, np.array([self.limit]))

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        exposure, base = style_of(problem, self.style), problem.benchmark_weights
        mean = float(np.average(exposure, weights=base))
        moments = [float(np.dot(w, np.power(exposure - mean, self.moment))) for w in (weights, base)]
        return exceeded({self.label: abs(moments[0] - moments[1]) - self.limit})


@dataclass(frozen=True)
class FactorClassBound(NoBox):
    """|x_kᵀ (w − w_b)| ≤ limit for each factor k of a class, in standard deviations; no ``factors`` = every style of the problem.

    Factors whose name has a dot (``mschars.close_volume_share``: a panel's field, not a style) belong to a class only if it names them.

    Source: ATTENTION bounds ordinary factors by 0.5 and high-frequency factors by 2.0; MULTIMODEL all styles by 0.5.
    """

    factor_class: str
    limit: float
    factors: tuple[str, ...] = ()
    name: ClassVar[str] = "factor_class_bound"

    def __post_init__(self) -> None:
        at_least_zero(self.name, "limit", self.limit)
        if len(set(self.factors)) != len(self.factors):
            raise InvalidSpec(sentence(f"a factor is named twice in {self.name} '{self.factor_class}'", got=", ".join(self.factors)))

    def rows(self, problem: PortfolioProblem) -> Rows:
        names = self._names(problem)
        exposures = np.array([style_of(problem, name) for name in names])
        center = exposures @ problem.benchmark_weights
        limits = np.full(len(names), self.limit)
        return Rows(tuple(self._label(name) for name in names), sparse.csr_array(exposures), center - limits, center + limits, limits)

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        active = weights - problem.benchmark_weights
        return exceeded({
            self._label(name): abs(float(np.dot(style_of(problem, name), active))) - self.limit for name in self._names(problem)
        })

    def _label(self, factor: str) -> str:
        return f"{self.name}[{self.factor_class}:{factor}]"

    def _names(self, problem: PortfolioProblem) -> tuple[str, ...]:
        names = self.factors or tuple(name for name in problem.styles if "." not in name)
        if not names:
            raise BadInput(sentence(f"no factor of class '{self.factor_class}'", where=problem.where, got="a problem without styles",
                                    next_step="Pass styles={name: exposure}."))
        return names


@dataclass(frozen=True)
class TrackingErrorLimit(NoBox, NoRows):
    """√((w − w_b)ᵀ (X F Xᵀ + D) (w − w_b)) ≤ limit, a year, decimals; a second-order cone. Needs a problem with ``risk``.

    Source: MULTIMODEL, 4 % against CSI 300 and 5 % against CSI 500.
    """

    limit: float
    name: ClassVar[str] = "tracking_error"

    def __post_init__(self) -> None:
        if not self.limit > 0.0:
            raise InvalidSpec(sentence(f"limit of {self.name} out of range", got=self.limit, expected="a decimal above 0",
                                       next_step="5 % is 0.05."))

    def excess(self, problem: PortfolioProblem, weights: np.ndarray) -> dict[str, float]:
        """The formula on the full covariance of the names that differ from the benchmark."""
        active = weights - problem.benchmark_weights
        return exceeded({self.name: risk_of(problem).tracking_error(active) - self.limit})


def risk_of(problem: PortfolioProblem) -> FactorRisk:
    """The problem's factor model; raises :class:`BadInput` when it has none, or not for a held name or constituent."""
    if problem.risk is None:
        raise BadInput(sentence("no risk model", where=problem.where, got="a problem without risk",
                                next_step="Pass risk=FactorRisk(exposures, factor_covariance, specific_variance)."))
    unknown = ~problem.risk.known & ((problem.held > 0.0) | problem.constituents)
    if bool(unknown.any()):
        named = ", ".join(problem.symbols[i] for i in np.flatnonzero(unknown)[:3])
        raise BadInput(sentence(f"no risk for {int(unknown.sum())} held names or constituents", where=f"{problem.where} {named}".strip(),
                                next_step="Fill missing exposures and specific variances before optimizing."))
    return problem.risk


def style_of(problem: PortfolioProblem, style: str) -> np.ndarray:
    """(n,) exposure to a style; raises when the problem does not have it, naming those it has."""
    if style not in problem.styles:
        if not problem.styles:
            raise BadInput(sentence(f"no exposure to style '{style}'", where=problem.where, got="a problem without styles",
                                    next_step=f"Pass styles={{'{style}': exposure}}."))
        raise unknown_name("style", style, sorted(problem.styles))
    return problem.style(style)
