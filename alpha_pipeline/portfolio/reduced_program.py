"""Cone programs of the whole market: solved on a few hundred names, proven for all.

An interior-point solver takes seconds on 5,000 names and most of them end at a weight of 0. So: constituents, held names, what
the linear program without risk would buy and the names it comes nearest to buying; then the duals say which of the others would
improve the answer, these join, and it is solved again until the proven gap of the whole program is below :data:`GAP`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alpha_pipeline.portfolio.certificate import certify
from alpha_pipeline.portfolio.cone_program import solve_cone
from alpha_pipeline.portfolio.constraints import TrackingErrorLimit
from alpha_pipeline.portfolio.elastic_cone import NOISE, least_cone_slack
from alpha_pipeline.portfolio.linear_program import solve_highs
from alpha_pipeline.portfolio.program import LinearProgram, Solution

SMALL = 1200
"""Programs of at most so many names are solved whole."""
GAP = 1e-7
"""What the names left out may add to the objective at most, relative to the largest |alpha|."""
N_CANDIDATES = 50
MAX_ROUNDS = 12


def solve_reduced(program: LinearProgram, solver: str, also: npt.NDArray[np.bool_] | None = None) -> Solution:
    """The optimum of the whole program; the solver's own answer on all names if they are few or if reducing them does not help.

    ``also`` (n,): the names of a portfolio that meets all limits; they take part from the beginning, and a solver that then finds none has failed.
    """
    if len(program.alpha) <= SMALL:
        return solve_cone(program, solver)
    # Without risk HiGHS solves all names at once. Infeasible there is infeasible here.
    linear = solve_highs(replace(program, risk=None))
    if linear.weights is None:
        return linear
    movable = program.upper > program.lower
    kept = (program.reference != 0.0) | (program.lower > 0.0) | (program.upper < 0.0) | (linear.weights != 0.0)
    if program.risk is not None:
        kept |= program.risk.center != 0.0
    if also is not None:
        kept |= also
    slope = program.alpha - program.matrix.T @ (linear.row_duals / program.scale)
    for order in (-slope, -program.alpha):
        nearest = np.argsort(np.where(movable & ~kept, order, np.inf), kind="stable")[:N_CANDIDATES]
        kept[nearest[movable[nearest]]] = True
    for _ in range(MAX_ROUNDS):
        names = np.flatnonzero(kept)
        part = solve_cone(program.of(names), solver)
        if part.weights is None and also is not None:
            return part
        if part.weights is None:
            # Proving that all names together cannot do it either takes an interior-point solver minutes; the least risk, a second.
            least = least_cone_slack(program, TrackingErrorLimit.name, (), {}) if program.has_risk_limit else None
            if least is not None and (not least.feasible or least.risk_slack > 0.0):
                return replace(part, status="infeasible")
            needed = np.zeros(len(kept), dtype=bool) if least is None else ~kept & (np.abs(least.weights - program.reference) > NOISE)
            if not bool(needed.any()):
                break
            kept |= needed
            continue
        weights = program.reference.copy()
        weights[names] = part.weights
        missing = np.where(kept, 0.0, certify(program, weights, part).by_name) / program.scale
        if float(missing.sum()) <= GAP:
            return replace(part, weights=weights)
        kept[np.argsort(-missing, kind="stable")[: max(N_CANDIDATES, int((missing > GAP).sum()))]] = True
    return solve_cone(program, solver)
