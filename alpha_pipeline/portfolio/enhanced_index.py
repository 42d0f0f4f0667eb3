"""Index enhancement: the portfolio of highest expected return within limits around a benchmark.

    maximize αᵀw − cost(trades)   subject to the constraints of the spec and the trading restrictions of the data

Source: MULTIFREQ, ALPHANET and RISKCONTROL maximize expected return under linear limits (text before MULTIFREQ figure 36).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from alpha_pipeline.errors import AlphaPipelineError, Infeasible, InvalidSpec, sentence, unknown_name
from alpha_pipeline.portfolio.cone_program import CONE_SOLVERS, solve_cone
from alpha_pipeline.portfolio.constraints import (
    AnyConstraint,
    ConstituentFloor,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    TurnoverLimit,
    restriction_excess,
)
from alpha_pipeline.portfolio.linear_program import solve_highs
from alpha_pipeline.portfolio.problem import UNKNOWN_INDUSTRY, PortfolioProblem
from alpha_pipeline.portfolio.program import LinearProgram, Solution, assemble
from alpha_pipeline.portfolio.relaxation import relax
from alpha_pipeline.portfolio.result import Binding, OptimizationResult, Relaxation

SOLVERS = ("highs", *CONE_SOLVERS)
TOLERANCE = 1e-8
"""Every limit is met to this after solving."""


@dataclass(frozen=True)
class EnhancedIndexSpec:
    """How a benchmark is enhanced.

    Attributes
    ----------
    benchmark
        Index code, such as ``000905.SH``; the weights themselves come with the problem.
    constraints
        Exactly one :class:`FullyInvested` and one :class:`LongOnly`, at most one of each other kind (one per style).
    solver
        ``highs`` (simplex, the default), ``ecos`` or ``clarabel`` (interior point, through cvxpy). Same objective to 1e-6.
    buy_cost, sell_cost
        Linear cost per unit of weight traded, in units of alpha; 0 = not in the objective (the reports' choice).
    min_trade
        Trades below this weight are undone in a second solve; kept only if every limit still holds. 0 = off.
    on_infeasible
        ``relax`` limits in the stated order, or ``raise``.
    """

    benchmark: str
    constraints: tuple[AnyConstraint, ...]
    solver: str = "highs"
    buy_cost: float = 0.0
    sell_cost: float = 0.0
    min_trade: float = 0.0
    on_infeasible: str = "relax"

    def __post_init__(self) -> None:
        for name, value, known in (("solver", self.solver, SOLVERS), ("on_infeasible", self.on_infeasible, ("relax", "raise"))):
            if value not in known:
                raise unknown_name(name, value, known)
        for name, number in (("buy_cost", self.buy_cost), ("sell_cost", self.sell_cost), ("min_trade", self.min_trade)):
            if not number >= 0.0:
                raise InvalidSpec(
                    sentence(f"{name} out of range", where=self.benchmark, got=number, expected="a number of at least 0")
                )
        keys = [f"{c.name}[{c.style}]" if isinstance(c, StyleBound) else c.name for c in self.constraints]
        for needed in (FullyInvested.name, LongOnly.name):
            if needed not in keys:
                raise InvalidSpec(
                    sentence(f"constraint {needed} is missing", where=self.benchmark, got=", ".join(keys) or "none")
                )
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise InvalidSpec(
                sentence(
                    "constraint given twice", where=self.benchmark, got=", ".join(repeated), next_step="Keep the tighter one."
                )
            )

    @property
    def styles(self) -> tuple[str, ...]:
        """Styles that the problem must bring."""
        return tuple(c.style for c in self.constraints if isinstance(c, StyleBound))


def optimize(problem: PortfolioProblem, spec: EnhancedIndexSpec) -> OptimizationResult:
    """The portfolio for the next session's trade, known at the close of the signal date.

    Deterministic: the same problem and spec give the same bits. Among portfolios of equal objective the one with the least
    turnover is taken (:data:`~alpha_pipeline.portfolio.program.TIE_BREAK`); before the first, the one nearest to the benchmark.

    If no portfolio meets all limits, they give way in a fixed order by the smallest amounts
    (:func:`~alpha_pipeline.portfolio.relaxation.relax`); each relaxation is in the result.

    Raises
    ------
    Infeasible
        Limits that contradict each other, restrictions that leave no portfolio, or, with ``on_infeasible='raise'``, any
        infeasibility.
    """
    start = time.perf_counter()
    program, relaxations = assemble(problem, spec.constraints, spec.buy_cost, spec.sell_cost)
    solution = _solve(program, spec.solver)
    if solution.weights is None:
        relaxed, gave_way = relax(problem, program, spec.constraints)
        if gave_way and spec.on_infeasible == "raise":
            needs = ", ".join(f"{r.constraint} {r.limit_before:g} misses by {r.amount:.4f}" for r in gave_way)
            raise Infeasible(
                sentence(f"infeasible: {needs}", where=problem.where, next_step="Loosen it, or set on_infeasible='relax'.")
            )
        program, relaxations = relaxed, relaxations + gave_way
        solution = _solve(program, spec.solver)
        if solution.weights is None:
            raise _solver_failed(problem, spec, solution.status)
    notes = _notes(problem, spec)
    weights, excess = _verified(problem, spec, program, relaxations, solution)
    if spec.min_trade > 0.0:
        weights, excess, note = _without_tiny_trades(problem, spec, program, relaxations, weights, excess)
        notes.append(note)
    duals = _duals(program, solution)
    trades = weights - problem.held
    return OptimizationResult(
        weights=weights,
        status="relaxed" if relaxations else "optimal",
        objective=float(
            problem.expected_return() @ weights
            - spec.buy_cost * np.maximum(trades, 0.0).sum()
            - spec.sell_cost * np.maximum(-trades, 0.0).sum()
        ),
        relaxations=tuple(relaxations),
        binding=_binding(program, weights, duals),
        duals=duals,
        turnover_two_sided=float(np.abs(trades).sum()),
        max_violation=excess,
        solver=spec.solver,
        seconds=time.perf_counter() - start,
        is_first=problem.is_first,
        notes=tuple(notes),
    )


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


def _solve(program: LinearProgram, solver: str) -> Solution:
    return solve_highs(program) if solver == "highs" else solve_cone(program, solver)


def _solver_failed(problem: PortfolioProblem, spec: EnhancedIndexSpec, status: str) -> AlphaPipelineError:
    return AlphaPipelineError(
        sentence(
            f"solver {spec.solver} stopped although a portfolio exists",
            where=problem.where,
            got=status,
            next_step="Set solver='highs'." if spec.solver != "highs" else "Report this problem.",
        )
    )


def _verified(
    problem: PortfolioProblem,
    spec: EnhancedIndexSpec,
    program: LinearProgram,
    relaxations: list[Relaxation],
    solution: Solution,
) -> tuple[np.ndarray, float]:
    """Weights clipped to their bounds, and the largest excess; a violation stops here and is never handed on."""
    assert solution.weights is not None
    weights = np.clip(solution.weights, program.lower, program.upper) + 0.0
    found = violations(problem, spec.constraints, tuple(relaxations), weights)
    worst = max(found.values(), default=0.0)
    if worst > TOLERANCE and spec.solver != "highs":
        raise _solver_failed(problem, spec, f"{max(found, key=found.__getitem__)} violated by {worst:.1e}")
    assert worst <= TOLERANCE, f"{problem.where}: solution violates {found}"
    return weights, worst


def _without_tiny_trades(
    problem: PortfolioProblem,
    spec: EnhancedIndexSpec,
    program: LinearProgram,
    relaxations: list[Relaxation],
    weights: np.ndarray,
    excess: float,
) -> tuple[np.ndarray, float, str]:
    """Solve again with the tiny trades forbidden; the first solution stays if that is impossible."""
    trades = np.abs(weights - problem.held)
    tiny = (trades > 0.0) & (trades < spec.min_trade)
    # Before the first portfolio the program's reference is the benchmark; not trading then means a weight of 0.
    anchored = program if not problem.is_first else replace(program, reference=problem.held)
    solution = _solve(anchored.fixed_at_reference(tiny), spec.solver)
    if solution.weights is None:
        return weights, excess, f"{int(tiny.sum())} trades below min_trade kept: the limits need them"
    cleaned, worst = _verified(problem, spec, program, relaxations, solution)
    return cleaned, worst, f"{int(tiny.sum())} trades below min_trade undone"


def _duals(program: LinearProgram, solution: Solution) -> dict[str, float]:
    duals = {
        label: float(value if kind == FullyInvested.name else abs(value)) + 0.0
        for label, kind, value in zip(program.labels, program.kinds, solution.row_duals, strict=True)
    }
    return duals | ({TurnoverLimit.name: abs(solution.turnover_dual)} if np.isfinite(program.turnover) else {})


def _binding(program: LinearProgram, weights: np.ndarray, duals: dict[str, float]) -> tuple[Binding, ...]:
    """Rows and turnover within 1e-7 of a limit, and how many names sit at a bound of their weight."""
    found = []
    at_rows = program.matrix @ weights
    for i, label in enumerate(program.labels):
        for side, gap in (("lower", at_rows[i] - program.row_lower[i]), ("upper", program.row_upper[i] - at_rows[i])):
            equality = program.row_lower[i] == program.row_upper[i]
            if gap <= 1e-7 and not (equality and side == "lower"):
                found.append(Binding(label, "equality" if equality else side, duals[label]))
    if np.isfinite(program.turnover) and float(np.abs(weights - program.reference).sum()) >= program.turnover - 1e-7:
        found.append(Binding(TurnoverLimit.name, f"two-sided {program.turnover:.6g}", duals[TurnoverLimit.name]))
    moving = program.upper > program.lower
    for name, at_bound in (
        (MaxDeviation.name, moving & (weights >= program.upper - 1e-9)),
        (MaxDeviation.name, moving & (weights <= program.lower + 1e-9) & (program.lower > 0.0)),
        (LongOnly.name, moving & (weights <= 1e-9)),
        ("frozen", ~moving & (weights > 0.0)),
    ):
        if bool(at_bound.any()):
            side = "upper" if bool((weights[at_bound] > program.lower[at_bound]).all()) else "lower"
            found.append(
                Binding(name, f"{int(at_bound.sum())} names" + (f" at the {side} bound" if name == MaxDeviation.name else ""))
            )
    return tuple(found)


def _notes(problem: PortfolioProblem, spec: EnhancedIndexSpec) -> list[str]:
    notes = []
    kinds = {c.name for c in spec.constraints}
    if problem.is_first and TurnoverLimit.name in kinds:
        notes.append("first portfolio: the turnover limit does not apply")
    unknown = int((problem.industry == UNKNOWN_INDUSTRY).sum())
    if unknown and IndustryBound.name in kinds:
        notes.append(f"{unknown} names without an industry form a class of their own")
    unscored = np.isnan(problem.alpha)
    if bool((unscored & (problem.held > 0.0)).any()):
        notes.append(
            f"{int((unscored & (problem.held > 0.0)).sum())} held names without a score count as alpha 0 and are not bought"
        )
    if ConstituentFloor.name in kinds and bool((unscored & problem.constituents).any()):
        notes.append(f"{int((unscored & problem.constituents).sum())} constituents without a score cannot be bought")
    return notes
