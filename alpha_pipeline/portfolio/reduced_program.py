"""Cone programs of the whole market, and how far their limits must give way at least: solved on a few hundred names, proven for all.

An interior-point solver takes seconds on 5,000 names and most of them end at a weight of 0. So: constituents, held names, what
the linear program without risk would buy and the names it comes nearest to buying; then the duals say which of the others would
improve the answer, these join, and it is solved again until the proven gap of the whole program is below :data:`GAP`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from alpha_pipeline.portfolio.certificate import certify
from alpha_pipeline.portfolio.cone_program import solve_cone
from alpha_pipeline.portfolio.constraints import TrackingErrorLimit
from alpha_pipeline.portfolio.elastic_cone import NOISE, ConeSlack, least_cone_slack
from alpha_pipeline.portfolio.linear_program import solve_highs
from alpha_pipeline.portfolio.program import LinearProgram, Solution
from alpha_pipeline.portfolio.refinement import refined

SMALL = 1200
"""Programs of at most so many names are solved whole."""
GAP = 1e-7
"""What the names left out may add to the objective at most, relative to the largest |alpha|."""
_FAR = 1e-6
"""A gap, relative like :data:`GAP`, that is no rounding: a solver that ends there has failed."""
N_CANDIDATES = 50
MAX_ROUNDS = 12
_FEW = 0.5
"""A part of more names than this share takes longer, round by round, than the whole."""


def solve_reduced(program: LinearProgram, solver: str, also: npt.NDArray[np.bool_] | None = None) -> Solution:
    """The optimum of the whole program; the solver's own answer on all names if they are few or if reducing them does not help.

    ``also`` (n,): the names of a portfolio that meets all limits; they take part from the beginning, and a solver that then finds none has failed.
    """
    if len(program.alpha) <= SMALL:
        return _solve(program, solver)
    # Without risk HiGHS solves all names at once. Infeasible there is infeasible here.
    linear = solve_highs(replace(program, risk=None))
    if linear.weights is None:
        return linear
    movable = program.upper > program.lower
    kept = _indispensable(program) | (linear.weights != 0.0)
    if also is not None:
        kept |= also
    slope = program.alpha - program.matrix.T @ (linear.row_duals / program.scale)
    for order in (-slope, -program.alpha):
        nearest = np.argsort(np.where(movable & ~kept, order, np.inf), kind="stable")[:N_CANDIDATES]
        kept[nearest[movable[nearest]]] = True
    for _ in range(MAX_ROUNDS):
        names = np.flatnonzero(kept)
        part = _solve(program.of(names), solver)
        if part.weights is None and also is not None:
            return part
        if part.weights is None:
            # Proving that all names together cannot do it either takes an interior-point solver minutes; the least risk, a second.
            least = least_reduced_slack(program, TrackingErrorLimit.name, (), {}, kept) if program.has_risk_limit else None
            if least is not None and (not least.feasible or least.risk_slack > 0.0):
                return replace(part, status="infeasible")
            needed = np.zeros(len(kept), dtype=bool) if least is None else ~kept & least.moved(program)
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
    return _solve(program, solver)


def least_reduced_slack(
    program: LinearProgram, kind: str, elastic: tuple[str, ...], caps: Mapping[str, float], also: npt.NDArray[np.bool_] | None = None
) -> ConeSlack:
    """:func:`~alpha_pipeline.portfolio.elastic_cone.least_cone_slack` of the whole program, to within its noise.

    Solved on constituents, held names and ``also`` (n,); names whose purchase would lower the total join until all of them together
    could lower it by no more than the noise. On all names where the few have no portfolio at all or are no longer few.
    """
    n = len(program.alpha)
    kept = _indispensable(program) | (np.zeros(n, dtype=bool) if also is None else also)
    for _ in range(MAX_ROUNDS if n > SMALL else 0):
        names = np.flatnonzero(kept)
        if len(names) > _FEW * n:
            break
        found = least_cone_slack(program.of(names), kind, elastic, caps)
        if not found.feasible:
            break
        lowers = np.where(kept, 0.0, np.maximum(-found.cost_of_buying(program), 0.0) * np.maximum(program.upper - program.reference, 0.0))
        if float(lowers.sum()) <= NOISE:
            weights = program.reference.copy()
            weights[names] = found.weights
            return replace(found, weights=weights)
        kept[np.argsort(-lowers, kind="stable")[: max(N_CANDIDATES, int((lowers > NOISE).sum()))]] = True
    return least_cone_slack(program, kind, elastic, caps)


def _indispensable(program: LinearProgram) -> npt.NDArray[np.bool_]:
    """Names that are held, must or may not be held, or are in the benchmark: all that are not at 0, and those that cannot stay there."""
    kept = (program.reference != 0.0) | (program.lower > 0.0) | (program.upper < 0.0)
    return kept if program.risk is None else kept | (program.risk.center != 0.0)


def _solve(program: LinearProgram, solver: str) -> Solution:
    """The solver's refined answer; one of ECOS that proves to be far from the optimum is Clarabel's instead, and says so."""
    solution = refined(program, solve_cone(program, solver), GAP)
    if solver != "ecos" or solution.weights is None or solution.note:
        return solution
    gap = certify(program, solution.weights, solution).gap / program.scale
    if gap <= _FAR:
        return solution
    helped = _solve(program, "clarabel")
    return solution if helped.weights is None else replace(helped, note=f"ecos stopped (a gap of {gap:.1e}): solved by clarabel")
