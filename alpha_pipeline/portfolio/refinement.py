"""The last digits of a cone program: Newton steps on the optimality conditions of the limits that an interior-point solver found binding.

At a binding set of limits the conditions are equations: of every free name (between its bounds, and traded) the gain less what its limits cost
vanishes, and every binding limit is met,

    α_i − cost_i − (Aᵀy)_i ∓ t − (2·aversion + s / TE) (Σ(w − b))_i = 0,    A w = bounds,   Σ|w − r| = turnover,   TE(w) = limit

A solver stops at 1e-8 of the numbers it works with. Where limits leave hardly any room, as after a least relaxation, shadow prices s and t
are thousands of times alpha, and that rounding is a gap of 1e-5 to 1e-3. One step leaves about 1e-8, two 1e-12.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import linalg

from alpha_pipeline.portfolio.certificate import certify, of_right_sign
from alpha_pipeline.portfolio.cone_program import broken_limit, independent_rows
from alpha_pipeline.portfolio.program import LinearProgram, RiskTerm, Solution

_STEPS = 4


def refined(program: LinearProgram, solution: Solution, gap: float) -> Solution:
    """``solution`` with a smaller proven gap where it is above ``gap`` (relative to the largest |alpha|) and Newton steps shrink it.

    The result meets every limit as closely as the solver's own answer must; otherwise, or without risk that bends the objective or
    binds, the solution comes back as it is.
    """
    if solution.weights is None or program.risk is None:
        return solution
    best, least = solution, certify(program, solution.weights, solution).gap
    if least <= gap * program.scale:
        return solution
    state = _State(program, program.risk, solution)
    for _ in range(_STEPS):
        if least <= gap * program.scale or not state.step():
            break
        found = state.solution()
        assert found.weights is not None
        proven = certify(program, found.weights, found).gap
        if proven < least and not broken_limit(program, found.weights):
            best, least = found, proven
    return best


class _State:
    """Weights and multipliers, which names are free and which limits bind; multipliers are divided by the program's scale."""

    def __init__(self, program: LinearProgram, risk: RiskTerm, solution: Solution) -> None:
        assert solution.weights is not None
        self.program, self.risk, self._from = program, risk, solution
        self.weights = solution.weights.copy()
        self.side = np.sign(self.weights - program.reference)
        self.free = np.flatnonzero((self.weights > program.lower) & (self.weights < program.upper) & (self.side != 0.0))
        duals = of_right_sign(program, solution.row_duals / program.scale)
        at_rows = program.matrix @ self.weights
        room = np.where(duals > 0.0, program.row_upper - at_rows, at_rows - program.row_lower)
        is_equal = program.row_lower == program.row_upper
        # A limit binds where its multiplier is larger than its room: of the two one tends to 0.
        binding = np.flatnonzero(~is_equal & (np.abs(duals) > np.maximum(room, 0.0)))
        self.rows = np.concatenate([independent_rows(program, np.flatnonzero(is_equal)), binding])
        self.bounds = np.where(duals > 0.0, program.row_upper, program.row_lower)[self.rows]
        self.row_duals = duals[self.rows]
        self.turnover_dual = max(solution.turnover_dual / program.scale, 0.0) if np.isfinite(program.turnover) else 0.0
        self.risk_dual = max(solution.risk_dual / program.scale, 0.0) if program.has_risk_limit else 0.0
        self.is_at_turnover = self.turnover_dual > abs(program.turnover - self._traded())
        self.is_at_risk = program.has_risk_limit and self.risk_dual > abs(risk.limit - risk.tracking_error(self.weights))

    @property
    def price(self) -> float:
        """What TE²/2 costs: the curvature of the problem."""
        return 2.0 * self.risk.aversion + (self.risk_dual / self.risk.limit if self.is_at_risk else 0.0)

    def _traded(self) -> float:
        return float(np.abs(self.weights - self.program.reference).sum())

    def step(self) -> bool:
        """One Newton step; a name that it takes beyond a bound or its reference stops there. False where there is none to take."""
        program, risk, free, price = self.program, self.risk, self.free, self.price
        if not len(free) or not price > 0.0:
            return False
        loads = risk.exposures[free] @ risk.root
        curvature = loads @ loads.T
        curvature[np.diag_indices(len(free))] += risk.specific[free] ** 2
        slope, side, matrix = risk.slope(self.weights)[free], self.side[free], program.matrix[self.rows].toarray()
        gain = program.alpha[free] - np.where(side > 0.0, program.buy_cost, -program.sell_cost) - matrix[:, free].T @ self.row_duals
        limits, missing = [matrix[:, free]], [self.bounds - matrix @ self.weights]
        if self.is_at_turnover:
            gain -= self.turnover_dual * side
            limits.append(side[None])
            missing.append(np.array([program.turnover - self._traded()]))
        if self.is_at_risk:
            limits.append(slope[None] / risk.limit)
            missing.append(np.array([(risk.limit**2 - risk.tracking_error(self.weights) ** 2) / (2.0 * risk.limit)]))
        binding = np.vstack(limits)
        # Limits can say the same of the free names, as the sum and the constituents' floor do where only constituents are free: the
        # multipliers of the others stay as they are.
        telling = _independent(binding)
        n, m = len(free), len(telling)
        system = np.zeros((n + m, n + m))
        system[:n, :n], system[:n, n:], system[n:, :n] = curvature, binding[telling].T, binding[telling]
        change = _solve(system, np.concatenate([(gain - price * slope) / price, np.concatenate(missing)[telling]]))
        if change is None:
            return False
        duals = np.zeros(len(binding))
        duals[telling] = price * change[n:]
        self._move(change[:n], duals)
        return True

    def _move(self, weights: npt.NDArray[np.float64], duals: npt.NDArray[np.float64]) -> None:
        program, free, n_rows = self.program, self.free, len(self.rows)
        is_buy = self.side[free] > 0.0
        lower = np.where(is_buy, np.maximum(program.lower[free], program.reference[free]), program.lower[free])
        upper = np.where(is_buy, program.upper[free], np.minimum(program.upper[free], program.reference[free]))
        moved = self.weights[free] + weights
        self.weights[free] = np.clip(moved, lower, upper)
        self.free = free[(moved > lower) & (moved < upper)]
        self.row_duals = self.row_duals + duals[:n_rows]
        if self.is_at_turnover:
            self.turnover_dual += float(duals[n_rows])
        if self.is_at_risk:
            self.risk_dual += float(duals[-1])

    def solution(self) -> Solution:
        """The state as a solution, in units of alpha."""
        duals = np.zeros(len(self.program.labels))
        duals[self.rows] = self.row_duals
        scale = self.program.scale
        return replace(self._from, weights=self.weights.copy(), row_duals=duals * scale, turnover_dual=self.turnover_dual * scale,
                       risk_dual=self.risk_dual * scale)


def _independent(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Indices of rows (m, n) that span the others."""
    size = np.sqrt((rows**2).sum(axis=1))
    some = np.flatnonzero(size > 0.0)
    if not len(some):
        return some
    _, triangle, order = linalg.qr((rows[some] / size[some, None]).T, mode="economic", pivoting=True)
    return np.asarray(np.sort(some[order[: int((np.abs(np.diag(triangle)) > 1e-9).sum())]]))


def _solve(system: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """The solution of a symmetric system; None where names without risk of their own repeat one another, which leaves it singular."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", linalg.LinAlgWarning)
        try:
            return np.asarray(linalg.solve(system, right, assume_a="sym"))
        except (linalg.LinAlgError, linalg.LinAlgWarning):
            return None
