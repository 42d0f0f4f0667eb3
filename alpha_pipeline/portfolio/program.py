"""The program of one rebalance, assembled once from problem and constraints and read by every solver.

    maximize    αᵀw − buy_cost · Σ(w − r)⁺ − sell_cost · Σ(r − w)⁺ − aversion · TE(w)²
    subject to  lower ≤ w ≤ upper,   row_lower ≤ A w ≤ row_upper,   Σ|w − r| ≤ turnover,   TE(w) ≤ limit

It is linear when there is no risk term; TE(w)² = (w − b)ᵀ(X F Xᵀ + D)(w − b) is the squared tracking error. With
reference ``r`` = drifted weights, or the benchmark for a first portfolio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from alpha_pipeline.errors import Infeasible, sentence
from alpha_pipeline.portfolio.constraint_base import Constraint, Rows
from alpha_pipeline.portfolio.constraints import AnyConstraint, FullyInvested, MaxDeviation, TrackingErrorLimit, TurnoverLimit
from alpha_pipeline.portfolio.exposure_constraints import risk_of
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.result import Relaxation

TIE_BREAK = 1e-8
"""Cost per unit traded, relative to the largest |alpha|: trades that gain nothing are not made. Moves the objective by at most
2e-8 of that alpha."""


@dataclass(frozen=True, eq=False)
class RiskTerm:
    """TE(w)² = ‖Gᵀ Xᵀ (w − b)‖² + ‖d · (w − b)‖² with F = G Gᵀ, d = √D; its ``limit`` (inf = none) and its price ``aversion``.

    ``exposures`` (n, K), ``root`` (K, K), ``specific`` (n,), ``center`` (n,) the benchmark. ``aversion`` is divided by the
    program's scale.
    """

    exposures: np.ndarray
    root: np.ndarray
    specific: np.ndarray
    center: np.ndarray
    limit: float
    aversion: float

    def tracking_error(self, weights: np.ndarray) -> float:
        """TE of weights (n,), decimals a year."""
        active = weights - self.center
        return float(np.sqrt(((active @ self.exposures @ self.root) ** 2).sum() + ((self.specific * active) ** 2).sum()))

    def slope(self, weights: np.ndarray) -> np.ndarray:
        """(n,) derivative of TE²/2: Σ (w − b)."""
        active = weights - self.center
        return np.asarray(self.exposures @ (self.root @ (active @ self.exposures @ self.root)) + self.specific**2 * active)


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """Arrays of one program: (n,) per name, (m,) per row. ``alpha`` and costs are divided by ``scale`` = max |alpha|.

    With ``risk`` it is a cone program, which HiGHS does not solve.
    """

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
    risk: RiskTerm | None = None

    def widened(
        self, row_slack_lower: np.ndarray, row_slack_upper: np.ndarray, turnover_slack: float, risk_slack: float = 0.0
    ) -> LinearProgram:
        """The same program with looser rows, turnover and tracking error."""
        return replace(
            self,
            row_lower=self.row_lower - row_slack_lower,
            row_upper=self.row_upper + row_slack_upper,
            turnover=self.turnover + turnover_slack,
            risk=None if self.risk is None else replace(self.risk, limit=self.risk.limit + risk_slack),
        )

    @property
    def has_risk_limit(self) -> bool:
        return self.risk is not None and bool(np.isfinite(self.risk.limit))

    def objective(self, weights: np.ndarray) -> float:
        """The objective of weights (n,), divided by ``scale``, tie-breaking costs included."""
        trades = weights - self.reference
        gain = self.alpha @ weights - self.buy_cost * np.maximum(trades, 0.0).sum() - self.sell_cost * np.maximum(-trades, 0.0).sum()
        return float(gain - (self.risk.aversion * self.risk.tracking_error(weights) ** 2 if self.risk is not None else 0.0))

    def of(self, names: np.ndarray) -> LinearProgram:
        """The program of some names (k,) indices, the others fixed at their reference."""
        rest = np.ones(len(self.alpha), dtype=bool)
        rest[names] = False
        fixed = self.matrix @ np.where(rest, self.reference, 0.0)
        risk = self.risk
        if risk is not None:
            assert not bool((risk.center[rest] != self.reference[rest]).any()), "names left out must be at the benchmark's weight"
            risk = replace(risk, exposures=risk.exposures[names], specific=risk.specific[names], center=risk.center[names])
        return replace(
            self, alpha=self.alpha[names], reference=self.reference[names], lower=self.lower[names], upper=self.upper[names],
            matrix=sparse.csr_array(self.matrix[:, names]), row_lower=self.row_lower - fixed, row_upper=self.row_upper - fixed, risk=risk,
        )

    def fixed_at(self, names: np.ndarray, weights: np.ndarray) -> LinearProgram:
        """The same program with ``names`` (n,) bool at ``weights`` (n,); only names whose bounds contain that weight."""
        fix = names & (weights >= self.lower) & (weights <= self.upper)
        return replace(self, lower=np.where(fix, weights, self.lower), upper=np.where(fix, weights, self.upper))


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver returns: weights, or None with the solver's own word in ``status``; ``note`` when another solver had to help."""

    weights: np.ndarray | None
    status: str
    row_duals: np.ndarray
    turnover_dual: float
    risk_dual: float = 0.0
    note: str = ""


def assemble(
    problem: PortfolioProblem,
    constraints: tuple[AnyConstraint, ...],
    buy_cost: float,
    sell_cost: float,
    *,
    risk_aversion: float = 0.0,
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
        risk=_risk_term(problem, constraints, risk_aversion / scale),
    )
    if restricted:
        program, raised = _fit_position(problem, program)
        widened += raised
    return program, widened


def _risk_term(problem: PortfolioProblem, constraints: tuple[AnyConstraint, ...], aversion: float) -> RiskTerm | None:
    limit = min((c.limit for c in constraints if isinstance(c, TrackingErrorLimit)), default=np.inf)
    if not np.isfinite(limit) and aversion == 0.0:
        return None
    model = risk_of(problem)
    # Names of unknown risk are neither held nor bought: any finite number stands for theirs.
    exposures = np.where(model.known[:, None], model.exposures, 0.0)
    specific = np.sqrt(np.where(model.known, model.specific_variance, 0.0))
    return RiskTerm(exposures, model.root(), specific, problem.benchmark_weights, float(limit), aversion)


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
