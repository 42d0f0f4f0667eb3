"""The check that guards every portfolio: each formula on finished weights, apart from what the solver was given."""

from __future__ import annotations

import numpy as np

from alpha_pipeline.portfolio.constraints import AnyConstraint, restriction_excess
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.result import Relaxation

TOLERANCE = 1e-8
"""Every limit is met to this after solving."""


def violations(
    problem: PortfolioProblem,
    constraints: tuple[AnyConstraint, ...],
    relaxations: tuple[Relaxation, ...],
    weights: np.ndarray,
) -> dict[str, float]:
    """Limits that ``weights`` exceed, after what was relaxed: label to excess. Evaluates the formulas, not the solver's rows."""
    allowed = {r.constraint: r.amount for r in relaxations}
    found: dict[str, float] = restriction_excess(problem, weights)
    for constraint in constraints:
        found |= constraint.excess(problem, weights)
    return {label: value - allowed.get(label, 0.0) for label, value in found.items() if value > allowed.get(label, 0.0)}
