"""Index enhancement: the portfolio of highest expected return within limits around a benchmark.

    maximize αᵀw − cost(trades) − λ·TE²   subject to the constraints of the spec and the trading restrictions of the data

Source: MULTIFREQ, ALPHANET and RISKCONTROL maximize expected return under linear limits (text before MULTIFREQ figure 36);
MULTIMODEL adds a tracking-error limit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import AlphaPipelineError, Infeasible, InvalidSpec, sentence, unknown_name
from alpha_pipeline.portfolio.certificate import certify
from alpha_pipeline.portfolio.cleanup import Tidy, tidy_up
from alpha_pipeline.portfolio.cone_program import CONE_SOLVERS
from alpha_pipeline.portfolio.constraints import (
    AnyConstraint,
    FactorClassBound,
    FullyInvested,
    LongOnly,
    StyleBound,
    StyleMoment,
    TrackingErrorLimit,
)
from alpha_pipeline.portfolio.elastic_cone import ConeSlack
from alpha_pipeline.portfolio.explanation import assumptions, binding_limits, shadow_prices
from alpha_pipeline.portfolio.linear_program import solve_highs
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.program import LinearProgram, Solution, assemble
from alpha_pipeline.portfolio.reduced_program import solve_reduced
from alpha_pipeline.portfolio.relaxation import least_relaxation, widened
from alpha_pipeline.portfolio.result import OptimizationResult, Relaxation
from alpha_pipeline.portfolio.verification import TOLERANCE, violations

SOLVERS = ("highs", *CONE_SOLVERS)


@dataclass(frozen=True)
class EnhancedIndexSpec:
    """How a benchmark is enhanced.

    Attributes
    ----------
    benchmark
        Index code, such as ``000905.SH``; the weights themselves come with the problem.
    constraints
        Exactly one :class:`FullyInvested` and one :class:`LongOnly`, at most one of each other kind (one per style, moment or
        factor class).
    solver
        ``highs`` (simplex, the default), ``ecos`` or ``clarabel`` (interior point, through cvxpy). Same objective to 1e-6. A
        tracking-error limit or a risk aversion needs one of the latter.
    buy_cost, sell_cost
        Linear cost per unit of weight traded, in units of alpha; 0 = not in the objective (the reports' choice).
    min_trade
        Trades below this weight are undone in a second solve; kept only if every limit still holds. 0 = off.
    min_weight
        Weights below this are dropped in the same way. 0 = off.
    max_names
        Only so many of the largest weights are kept, in the same way. 0 = off.
    risk_aversion
        λ of αᵀw − λ·TE², TE² the annual variance of the active return in decimals²; in units of alpha. 0 = off.
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
    min_weight: float = 0.0
    max_names: int = 0
    risk_aversion: float = 0.0

    def __post_init__(self) -> None:
        for name, value, known in (("solver", self.solver, SOLVERS), ("on_infeasible", self.on_infeasible, ("relax", "raise"))):
            if value not in known:
                raise unknown_name(name, value, known)
        for name, number in (
            ("buy_cost", self.buy_cost), ("sell_cost", self.sell_cost), ("min_trade", self.min_trade), ("min_weight", self.min_weight),
            ("max_names", self.max_names), ("risk_aversion", self.risk_aversion),
        ):
            if not number >= 0.0:
                raise InvalidSpec(
                    sentence(f"{name} out of range", where=self.benchmark, got=number, expected="a number of at least 0")
                )
        keys = [constraint_key(c) for c in self.constraints]
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
        """Styles that the problem must bring, each once."""
        named = [
            name for c in self.constraints
            for name in ((c.style,) if isinstance(c, StyleBound | StyleMoment) else c.factors if isinstance(c, FactorClassBound) else ())
        ]
        return tuple(dict.fromkeys(named))

    @property
    def needs_cone(self) -> bool:
        """Whether risk makes this more than a linear program."""
        return self.risk_aversion > 0.0 or any(isinstance(c, TrackingErrorLimit) for c in self.constraints)

    def check_solver(self) -> None:
        """Raise :class:`InvalidSpec` when the solver cannot solve this kind of program."""
        if self.needs_cone and self.solver not in CONE_SOLVERS:
            raise InvalidSpec(sentence(f"solver {self.solver} solves linear programs, and risk is not linear", where=self.benchmark,
                                       expected=" or ".join(CONE_SOLVERS), next_step="Set solver='clarabel'."))


def constraint_key(constraint: AnyConstraint) -> str:
    """What tells a constraint from the others of a portfolio: its name, with its style or class where a portfolio may have several."""
    if isinstance(constraint, StyleBound):
        return f"{constraint.name}[{constraint.style}]"
    if isinstance(constraint, StyleMoment):
        return constraint.label
    return f"{constraint.name}[{constraint.factor_class}]" if isinstance(constraint, FactorClassBound) else constraint.name


def optimize(problem: PortfolioProblem, spec: EnhancedIndexSpec) -> OptimizationResult:
    """The portfolio for the next session's trade, known at the close of the signal date.

    Deterministic: the same problem and spec give the same bits. Among portfolios of equal objective the one with the least
    turnover is taken (:data:`~alpha_pipeline.portfolio.program.TIE_BREAK`); before the first, the one nearest to the benchmark.

    If no portfolio meets all limits, they give way in a fixed order by the smallest amounts
    (:mod:`~alpha_pipeline.portfolio.relaxation`); each relaxation is in the result.

    Raises
    ------
    Infeasible
        Limits that contradict each other, restrictions that leave no portfolio, or, with ``on_infeasible='raise'``, any
        infeasibility.
    """
    start = time.perf_counter()
    spec.check_solver()
    program, relaxations = assemble(problem, spec.constraints, spec.buy_cost, spec.sell_cost, risk_aversion=spec.risk_aversion)
    solution = _solve(program, spec.solver)
    if solution.weights is None:
        program, relaxations, solution = _relaxed(problem, spec, program, relaxations)
    notes = assumptions(problem, spec.constraints) + ([solution.note] if solution.note else [])
    weights, excess = _verified(problem, spec, program, relaxations, solution)
    gap = certify(program, weights, solution).gap
    if spec.min_trade > 0.0 or spec.min_weight > 0.0 or spec.max_names > 0:
        tidy = Tidy(spec.min_trade, spec.min_weight, spec.max_names, lambda stricter: _solve(stricter, spec.solver),
                    lambda found: _kept(problem, spec, program, relaxations, found))
        weights, excess, done = tidy_up(problem, program, weights, excess, tidy)
        notes += done
    duals = shadow_prices(program, solution)
    trades = weights - problem.held
    error = None if problem.risk is None else problem.risk.tracking_error(weights - problem.benchmark_weights)
    return OptimizationResult(
        weights=weights,
        status="relaxed" if relaxations else "optimal",
        objective=float(
            problem.expected_return() @ weights
            - spec.buy_cost * np.maximum(trades, 0.0).sum()
            - spec.sell_cost * np.maximum(-trades, 0.0).sum()
            - (spec.risk_aversion * error**2 if error is not None else 0.0)
        ),
        relaxations=tuple(relaxations),
        binding=binding_limits(program, weights, duals),
        duals=duals,
        turnover_two_sided=float(np.abs(trades).sum()),
        max_violation=excess,
        solver=solution.note.rpartition(" ")[2] if solution.note else spec.solver,
        seconds=time.perf_counter() - start,
        is_first=problem.is_first,
        notes=tuple(notes),
        gap=gap,
        tracking_error=error,
    )


def _relaxed(
    problem: PortfolioProblem, spec: EnhancedIndexSpec, program: LinearProgram, before: list[Relaxation]
) -> tuple[LinearProgram, list[Relaxation], Solution]:
    """The program with the least relaxation, and its optimum; raises when the spec allows none or no solver finds it."""
    solution = None
    least = least_relaxation(problem, program, spec.constraints)
    attempts: list[tuple[float, npt.NDArray[np.bool_] | None]] = [(1.0, None)]
    if isinstance(least, ConeSlack):
        # At the least relaxation hardly a portfolio is left, and an interior-point solver may need a little more room to find it.
        moved = least.moved(program)
        attempts = [(1.0, moved), (10.0, moved), (100.0, moved), (100.0, None)]
    for margins, moved_names in attempts:
        relaxed, gave_way = widened(program, least, margins)
        if gave_way and spec.on_infeasible == "raise":
            needs = ", ".join(f"{r.constraint} {r.limit_before:g} misses by {r.amount:.4f}" for r in gave_way)
            raise Infeasible(
                sentence(f"infeasible: {needs}", where=problem.where, next_step="Loosen it, or set on_infeasible='relax'.")
            )
        solution = _solve(relaxed, spec.solver, moved_names)
        missed = solution.weights is None or _kept(problem, spec, relaxed, before + gave_way, solution) is None
        if missed and not spec.needs_cone and spec.solver != "highs":
            # The least relaxation leaves no interior: a simplex ends there, an interior-point solver may not.
            solution = replace(solve_highs(relaxed), note=f"{spec.solver} stopped at the least relaxation: solved by highs")
        if solution.weights is None:
            continue
        if not spec.needs_cone or _kept(problem, spec, relaxed, before + gave_way, solution) is not None:
            return relaxed, before + gave_way, solution
    raise _solver_failed(problem, spec, "no portfolio" if solution is None else solution.status)


def _solve(program: LinearProgram, solver: str, also: npt.NDArray[np.bool_] | None = None) -> Solution:
    return solve_highs(program) if solver == "highs" else solve_reduced(program, solver, also)


def _solver_failed(problem: PortfolioProblem, spec: EnhancedIndexSpec, status: str) -> AlphaPipelineError:
    other = "clarabel" if spec.solver == "ecos" and spec.needs_cone else "highs"
    return AlphaPipelineError(
        sentence(
            f"solver {spec.solver} stopped although a portfolio exists",
            where=problem.where,
            got=status,
            next_step=f"Set solver='{other}'." if spec.solver != other and not (spec.needs_cone and other == "highs") else "Report this problem.",
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
    weights, found = _checked(problem, spec, program, relaxations, solution)
    worst = max(found.values(), default=0.0)
    if worst > TOLERANCE and spec.solver != "highs":
        raise _solver_failed(problem, spec, f"{max(found, key=found.__getitem__)} violated by {worst:.1e}")
    assert worst <= TOLERANCE, f"{problem.where}: solution violates {found}"
    return weights, worst


def _kept(
    problem: PortfolioProblem, spec: EnhancedIndexSpec, program: LinearProgram, relaxations: list[Relaxation], solution: Solution
) -> tuple[np.ndarray, float] | None:
    """The same for a clean-up, whose answer is dropped when it breaks a limit."""
    weights, found = _checked(problem, spec, program, relaxations, solution)
    worst = max(found.values(), default=0.0)
    return (weights, worst) if worst <= TOLERANCE else None


def _checked(
    problem: PortfolioProblem, spec: EnhancedIndexSpec, program: LinearProgram, relaxations: list[Relaxation], solution: Solution
) -> tuple[np.ndarray, dict[str, float]]:
    assert solution.weights is not None
    weights = np.clip(solution.weights, program.lower, program.upper) + 0.0
    return weights, violations(problem, spec.constraints, tuple(relaxations), weights)
