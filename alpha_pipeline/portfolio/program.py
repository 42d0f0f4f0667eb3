"""The linear program of one rebalance, assembled once from problem and constraints and read by every solver.

    maximize    αᵀw − buy_cost · Σ(w − r)⁺ − sell_cost · Σ(r − w)⁺
    subject to  lower ≤ w ≤ upper,   row_lower ≤ A w ≤ row_upper,   Σ|w − r| ≤ turnover

with reference ``r`` = drifted weights, or the benchmark for a first portfolio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from alpha_pipeline.errors import Infeasible, sentence
from alpha_pipeline.portfolio.constraints import AnyConstraint, Constraint, FullyInvested, MaxDeviation, Rows, TurnoverLimit
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.result import Relaxation

TIE_BREAK = 1e-8
"""Cost per unit traded, relative to the largest |alpha|: trades that gain nothing are not made. Moves the objective by at most
2e-8 of that alpha."""


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """Arrays of one program: (n,) per name, (m,) per row. ``alpha`` and costs are divided by ``scale`` = max |alpha|."""

    alpha: np.ndarray
    buy_cost: float
    sell_cost: float
    reference: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    matrix: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    row_limits: np.ndarray
    turnover: float
    scale: float

    def widened(self, row_slack_lower: np.ndarray, row_slack_upper: np.ndarray, turnover_slack: float) -> LinearProgram:
        """The same program with looser rows."""
        return replace(
            self,
            row_lower=self.row_lower - row_slack_lower,
            row_upper=self.row_upper + row_slack_upper,
            turnover=self.turnover + turnover_slack,
        )

    def fixed_at_reference(self, names: np.ndarray) -> LinearProgram:
        """The same program in which ``names`` (n,) bool do not trade; only names whose reference is inside their bounds."""
        fix = names & (self.reference >= self.lower) & (self.reference <= self.upper)
        return replace(self, lower=np.where(fix, self.reference, self.lower), upper=np.where(fix, self.reference, self.upper))


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver returns: weights, or None with the solver's own word in ``status``."""

    weights: np.ndarray | None
    status: str
    row_duals: np.ndarray
    turnover_dual: float


def assemble(
    problem: PortfolioProblem,
    constraints: tuple[AnyConstraint, ...],
    buy_cost: float,
    sell_cost: float,
    *,
    restricted: bool = True,
) -> tuple[LinearProgram, list[Relaxation]]:
    """The program, and the weight bounds widened for names that cannot be traded back inside.

    With ``restricted=False`` trading restrictions and turnover are left out: the user's limits alone, to see whether they
    contradict each other.
    """
    n = problem.n_stocks
    lower, upper = np.zeros(n), np.full(n, np.inf)
    rows: list[tuple[str, Rows]] = []
    turnover = np.inf
    position = 1.0
    for constraint in constraints:
        part: Constraint = constraint
        box = part.box(problem)
        if box is not None:
            lower, upper = np.maximum(lower, box[0]), np.minimum(upper, box[1])
        block = part.rows(problem)
        if block is not None:
            rows.append((constraint.name, block))
        if isinstance(constraint, TurnoverLimit) and restricted and not problem.is_first:
            turnover = min(turnover, constraint.two_sided)
        if isinstance(constraint, FullyInvested):
            position = constraint.position
    upper = np.minimum(upper, position)
    widened: list[Relaxation] = []
    if restricted:
        limit = next((c.limit for c in constraints if isinstance(c, MaxDeviation)), np.inf)
        lower, upper, widened = _restrict(problem, lower, upper, limit)

    alpha = problem.expected_return()
    if problem.is_first:
        # Everything is bought from cash: the cost is linear in w itself; the tie-break measures the distance to the benchmark.
        alpha, buy_cost, sell_cost = alpha - buy_cost, 0.0, 0.0
    scale = float(np.abs(alpha).max()) or 1.0
    program = LinearProgram(
        alpha=alpha / scale,
        buy_cost=buy_cost / scale + TIE_BREAK,
        sell_cost=sell_cost / scale + TIE_BREAK,
        reference=problem.benchmark_weights * position if problem.is_first else problem.held,
        lower=lower,
        upper=upper,
        labels=tuple(label for _, block in rows for label in block.labels),
        kinds=tuple(name for name, block in rows for _ in block.labels),
        matrix=sparse.csr_array(sparse.vstack([block.matrix for _, block in rows], format="csr")),
        row_lower=np.concatenate([block.lower for _, block in rows]),
        row_upper=np.concatenate([block.upper for _, block in rows]),
        row_limits=np.concatenate([block.limits for _, block in rows]),
        turnover=turnover,
        scale=scale,
    )
    if restricted:
        program, raised = _fit_position(problem, program)
        widened += raised
    return program, widened


def _restrict(
    problem: PortfolioProblem,
    lower: np.ndarray,
    upper: np.ndarray,
    limit: float,
) -> tuple[np.ndarray, np.ndarray, list[Relaxation]]:
    """Bounds with trading restrictions; where a name cannot trade back inside its bound, the bound moves to its weight."""
    held = problem.held
    least = np.where(problem.sellable(), -np.inf, held)
    most = np.where(problem.buyable(), np.inf, held)
    widened = [
        Relaxation(f"{MaxDeviation.name}[{problem.symbols[i]}]", float(gap[i]), limit, f"frozen {side} bound")
        for side, gap in (("above", least - upper), ("below", lower - most))
        for i in np.flatnonzero(gap > 0.0)
    ]
    lower, upper = np.minimum(lower, most), np.maximum(upper, least)
    return np.maximum(lower, least), np.minimum(upper, most), widened


def _fit_position(problem: PortfolioProblem, program: LinearProgram) -> tuple[LinearProgram, list[Relaxation]]:
    """Raise Σ w = position to what cannot be sold; names that cannot be bought are a reason to stop instead."""
    row = program.kinds.index(FullyInvested.name)
    position = float(program.row_upper[row])
    least, most = float(program.lower.sum()), float(program.upper.sum())
    if most < position - 1e-9:
        raise Infeasible(
            sentence(
                "the names that may be held cannot fill the portfolio",
                where=problem.where,
                got=f"a capacity of {most:.6f}",
                expected=f"at least {position:.6f}",
                next_step="Raise the deviation limit, or check the scores and the buyable names of this date.",
            )
        )
    if least > position + 1e-9:
        frozen = float(problem.held[~problem.sellable()].sum())
        if frozen <= position:
            raise Infeasible(
                sentence(
                    "names that cannot be sold and the deviation limit leave no room",
                    where=problem.where,
                    got=f"lower bounds that sum to {least:.6f}",
                    expected=f"at most {position:.6f}",
                    next_step="Raise the deviation limit.",
                )
            )
        row_lower, row_upper = program.row_lower.copy(), program.row_upper.copy()
        row_lower[row] = row_upper[row] = least
        raised = Relaxation(FullyInvested.name, least - position, position, "frozen above bound")
        return replace(program, row_lower=row_lower, row_upper=row_upper), [raised]
    return program, []
