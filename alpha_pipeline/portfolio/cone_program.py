"""The same program in cvxpy, compiled once per set of rows (DPP parameters for everything else), for ECOS and Clarabel.

An independent path: weights are parametrized as ``w = lower + (upper − lower)·u`` with u in [0, 1], so that suspended names
(lower = upper) leave the interior of the cone non-empty, which interior-point solvers need. Their answers carry noise of about
1e-9, so :func:`polish` puts them exactly on bounds and rows before they are verified.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg, sparse

from alpha_pipeline.portfolio.program import LinearProgram, RiskTerm, Solution

if TYPE_CHECKING:  # importing cvxpy takes seconds, and most runs solve with HiGHS
    import cvxpy as cp

CONE_SOLVERS = ("ecos", "clarabel")
_OPTIONS: dict[str, dict[str, Any]] = {
    "ecos": {"abstol": 1e-11, "reltol": 1e-11, "feastol": 1e-11, "max_iters": 200},
    "clarabel": {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11, "max_iter": 200},
}
_NEVER_REACHED = 4.0
_NOISE = 1e-8
_CORRECTIONS = 3
_SLIGHT = 1e-6
_ONCE = 300
"""Programs of more names keep no compiled form for a second solve."""
_USUAL_RISK = 0.05


@dataclass(frozen=True, eq=False)
class _Compiled:
    problem: cp.Problem
    parameters: dict[str, cp.Parameter]
    weights: cp.Variable
    equal: cp.Constraint
    at_least: cp.Constraint
    at_most: cp.Constraint
    turnover: cp.Constraint
    risk: cp.Constraint | None


def solve_cone(program: LinearProgram, solver: str) -> Solution:
    """The optimum by an interior-point solver through cvxpy; duals have the same signs as those of HiGHS.

    ECOS stops short of many problems with a tracking-error limit, or ends outside a limit. Clarabel then solves them, and the
    solution says so.
    """
    solution = _within_turnover(program, solver)
    if solver == "ecos" and program.risk is not None:
        reason = solution.status if solution.weights is None else broken_limit(program, solution.weights)
        if reason:
            helped = _within_turnover(program, "clarabel")
            solution = replace(helped, note=f"ecos stopped ({reason}): solved by clarabel" if helped.weights is not None else "")
    if program.risk is not None and solution.weights is not None and _may_stay(program, solution.weights):
        solution = replace(solution, weights=program.reference.copy())
    return solution


def _may_stay(program: LinearProgram, weights: np.ndarray) -> bool:
    """Whether not trading is as good as ``weights``: the tie-breaking cost is below what an interior-point solver sees."""
    stay = program.reference
    within = bool(((stay >= program.lower) & (stay <= program.upper)).all()) and not broken_limit(program, stay)
    return within and program.objective(stay) >= program.objective(weights) - 1e-9


def broken_limit(program: LinearProgram, weights: np.ndarray) -> str:
    """The limit that is exceeded by more than what verification lets pass, in words; empty when there is none."""
    at_rows = program.matrix @ weights
    beyond = {
        "a row": float(np.maximum(at_rows - program.row_upper, program.row_lower - at_rows).max(initial=0.0)),
        "turnover": float(np.abs(weights - program.reference).sum()) - program.turnover,
        "tracking error": program.risk.tracking_error(weights) - program.risk.limit if program.risk is not None else 0.0,
    }
    worst = max(beyond, key=beyond.__getitem__)
    return f"{worst} exceeded by {beyond[worst]:.1e}" if beyond[worst] > 0.9 * _NOISE else ""


def _within_turnover(program: LinearProgram, solver: str) -> Solution:
    """The solver's answer; one that trades up to 1e-6 more than the limit is asked for again with as much less."""
    solution = _at_risk_limit(program, solver)
    asked = program
    for _ in range(_CORRECTIONS):
        if solution.weights is None or not np.isfinite(program.turnover):
            break
        beyond = float(np.abs(solution.weights - program.reference).sum()) - program.turnover
        if beyond <= 0.9 * _NOISE or beyond > _SLIGHT:
            break
        asked = replace(asked, turnover=asked.turnover - 2.0 * beyond)
        again = _at_risk_limit(asked, solver)
        if again.weights is None:
            break
        solution = again
    return solution


def _at_risk_limit(program: LinearProgram, solver: str) -> Solution:
    """The solver's answer; one that ends a few 1e-7 outside the tracking-error limit is corrected.

    It is asked again for as much less, and the two answers, which meet the other limits, are mixed so that they end at this one.
    """
    solution = _solve_once(program, solver)
    asked, outside = program, None
    for _ in range(_CORRECTIONS):
        if program.risk is None or asked.risk is None or solution.weights is None:
            break
        beyond = program.risk.tracking_error(solution.weights) - program.risk.limit
        if beyond <= _NOISE / 2.0 or beyond > 0.01 * program.risk.limit:
            break
        outside = solution.weights
        asked = replace(asked, risk=replace(asked.risk, limit=asked.risk.limit - 2.0 * beyond))
        solution = _solve_once(asked, solver)
    if outside is not None and solution.weights is not None and program.risk is not None:
        solution = replace(solution, weights=_up_to_limit(program.risk, solution.weights, outside))
    return solution


def _up_to_limit(risk: RiskTerm, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The mixture of two portfolios whose tracking error is the limit, or ``inside`` when that is still outside."""
    if risk.tracking_error(inside) >= risk.limit:
        return inside
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if risk.tracking_error(inside + middle * (outside - inside)) <= risk.limit else (low, middle)
    return inside + low * (outside - inside)


def _solve_once(program: LinearProgram, solver: str) -> Solution:
    import cvxpy as cp

    n_rows = len(program.labels)
    is_equal = program.row_lower == program.row_upper
    equal, ranged = independent_rows(program, np.flatnonzero(is_equal)), np.flatnonzero(~is_equal)
    risk = program.risk
    # Risk is counted in units of its limit: interior-point methods like numbers near 1.
    unit = risk.limit if risk is not None and program.has_risk_limit else _USUAL_RISK
    compiled = _compile(
        _Matrix.of(program.matrix[equal]),
        _Matrix.of(program.matrix[ranged]),
        None if risk is None else _Matrix.of(sparse.csr_array(risk.exposures @ risk.root / unit)),
        risk is not None and risk.aversion > 0.0,
    )
    values = {
        "alpha": program.alpha,
        "buy_cost": program.buy_cost,
        "sell_cost": program.sell_cost,
        "reference": program.reference,
        "lower": program.lower,
        "room": np.maximum(program.upper - program.lower, 0.0),
        "equal_value": program.row_lower[equal],
        # Weights are decimals and exposures a few units: a bound this far away is none, and parameters must be finite.
        "row_lower": np.maximum(program.row_lower[ranged], -1e3),
        "row_upper": np.minimum(program.row_upper[ranged], 1e3),
        "turnover": min(program.turnover, _NEVER_REACHED),
    }
    if risk is not None:
        values |= {
            "center": risk.center,
            "specific": risk.specific / unit,
            "risk_limit": 1.0 if program.has_risk_limit else _NEVER_REACHED / unit,
            "aversion": risk.aversion * unit**2,
        }
    for name, value in values.items():
        if name in compiled.parameters:
            compiled.parameters[name].value = value
    with warnings.catch_warnings():
        # "Solution may be inaccurate": judged by our own verification to 1e-8, not by the solver's word.
        warnings.simplefilter("ignore", UserWarning)
        try:
            # Rows change every week, so a large program is compiled for one solve: its parameters as constants take a third of the time.
            is_once = len(program.alpha) > _ONCE
            compiled.problem.solve(solver=solver.upper(), warm_start=False, ignore_dpp=is_once, **_OPTIONS[solver])
        except cp.SolverError as error:
            return Solution(None, f"solver error: {error}", np.full(n_rows, np.nan), np.nan)
    status = str(compiled.problem.status)
    if status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return Solution(None, status, np.full(n_rows, np.nan), np.nan)
    duals = np.zeros(n_rows)
    if len(equal):
        # cvxpy minimizes the negative of a maximization and adds y·(A w − b) to it, so the rate of the maximum in b is y.
        duals[equal] = compiled.equal.dual_value
    if len(ranged):
        duals[ranged] = compiled.at_most.dual_value - compiled.at_least.dual_value
    turnover_dual = float(compiled.turnover.dual_value) if np.isfinite(program.turnover) else 0.0
    risk_dual = 0.0
    if compiled.risk is not None and program.has_risk_limit:
        # cp.norm(x) <= limit becomes a cone; the multiplier of its scalar side is the rate of the maximum in the limit.
        risk_dual = float(np.ravel(compiled.risk.dual_value)[0]) / unit
    weights = polish(program, np.asarray(compiled.weights.value, dtype=float))
    return Solution(weights, "optimal", duals * program.scale, turnover_dual * program.scale, risk_dual * program.scale)


@dataclass(frozen=True)
class _Matrix:
    """A sparse matrix as a hashable value.

    Rows are constants of the compiled problem: as parameters they take cvxpy 40 s at n = 5,000.
    """

    shape: tuple[int, int]
    data: bytes
    indices: bytes
    starts: bytes

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> _Matrix:
        rows = sparse.csr_array(matrix)
        return cls(
            (int(rows.shape[0]), int(rows.shape[1])),
            rows.data.astype(float).tobytes(),
            rows.indices.astype(np.int64).tobytes(),
            rows.indptr.astype(np.int64).tobytes(),
        )

    def array(self) -> sparse.csr_array:
        return sparse.csr_array(
            (np.frombuffer(self.data), np.frombuffer(self.indices, np.int64), np.frombuffer(self.starts, np.int64)),
            shape=self.shape,
        )


@lru_cache(maxsize=8)
def _compile(equal_rows: _Matrix, ranged_rows: _Matrix, exposures: _Matrix | None, is_averse: bool) -> _Compiled:
    """The problem of these rows; ``exposures`` (n, K) are X G, to factors of unit variance."""
    import cvxpy as cp

    n, n_equal, n_ranged = equal_rows.shape[1], equal_rows.shape[0], ranged_rows.shape[0]
    weights, share, trade = cp.Variable(n), cp.Variable(n), cp.Variable(n)
    shapes = {"alpha": n, "reference": n, "lower": n, "equal_value": n_equal, "row_lower": n_ranged, "row_upper": n_ranged}
    parameters = {name: cp.Parameter(size, name=name) for name, size in shapes.items() if size}
    parameters |= {name: cp.Parameter(nonneg=True, name=name) for name in ("buy_cost", "sell_cost", "turnover")}
    parameters["room"] = cp.Parameter(n, nonneg=True, name="room")
    p = parameters
    turnover = cp.norm1(trade) <= p["turnover"]
    unused = turnover
    equal = equal_rows.array() @ weights == p["equal_value"] if n_equal else unused
    at_least = ranged_rows.array() @ weights >= p["row_lower"] if n_ranged else unused
    at_most = ranged_rows.array() @ weights <= p["row_upper"] if n_ranged else unused
    constraints = [
        weights == p["lower"] + cp.multiply(p["room"], share),
        share >= 0,
        share <= 1,
        trade == weights - p["reference"],
        turnover,
    ]
    constraints += [equal] if n_equal else []
    constraints += [at_least, at_most] if n_ranged else []
    gain = p["alpha"] @ weights - p["buy_cost"] * cp.sum(cp.pos(trade)) - p["sell_cost"] * cp.sum(cp.neg(trade))
    risk = None
    if exposures is not None:
        n_factors = exposures.shape[1]
        active, factor = cp.Variable(n), cp.Variable(n_factors)
        p["center"] = cp.Parameter(n, name="center")
        p |= {"specific": cp.Parameter(n, nonneg=True, name="specific"), "risk_limit": cp.Parameter(nonneg=True, name="risk_limit")}
        parts = cp.hstack([factor, cp.multiply(p["specific"], active)])
        risk = cp.norm(parts) <= p["risk_limit"]
        constraints += [active == weights - p["center"], factor == exposures.array().T @ active, risk]
        if is_averse:
            p["aversion"] = cp.Parameter(nonneg=True, name="aversion")
            squares = cp.Variable(n + n_factors)
            constraints.append(squares == parts)
            gain = gain - p["aversion"] * cp.sum_squares(squares)
    problem = cp.Problem(cp.Maximize(gain), constraints)
    assert problem.is_dpp()
    return _Compiled(problem, parameters, weights, equal, at_least, at_most, turnover, risk)


def independent_rows(program: LinearProgram, rows: np.ndarray) -> np.ndarray:
    """Equality rows without those that the others imply: neutral industries already fix the sum."""
    if len(rows) < 2:
        return rows
    _, triangle, order = linalg.qr(program.matrix[rows].toarray().T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    return rows[np.sort(order[: int((size > 1e-9 * size[0]).sum())])]


def polish(program: LinearProgram, weights: np.ndarray, noise: float = _NOISE) -> np.ndarray:
    """Weights moved by about ``noise`` onto their bounds, their reference and the rows.

    Names within ``noise`` of a bound or of the reference are put there; the rest, which are inside, take up what that
    leaves in the rows by a least-squares step weighted by their room, so that no bound is broken.
    """
    weights = np.clip(weights, program.lower, program.upper)
    for mark in (program.lower, program.upper, np.clip(program.reference, program.lower, program.upper)):
        weights = np.where(np.abs(weights - mark) <= noise, mark, weights)
    for _ in range(4):
        at_rows = program.matrix @ weights
        gap = np.clip(at_rows, program.row_lower, program.row_upper) - at_rows
        touched = np.flatnonzero((np.abs(gap) > 0.0) | (program.row_lower == program.row_upper))
        if not np.any(np.abs(gap) > 1e-15):
            break
        room = np.minimum(weights - program.lower, program.upper - weights)
        room = np.where(np.abs(weights - program.reference) <= noise, 0.0, room)
        rows = program.matrix[touched].toarray()
        weighted = rows * room**2
        weights = weights + room**2 * (rows.T @ (linalg.pinvh(weighted @ rows.T) @ gap[touched]))
        weights = np.clip(weights, program.lower, program.upper)
    return weights
