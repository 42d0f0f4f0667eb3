"""The elastic form with a tracking-error limit: how much risk, then how much turnover, a portfolio needs at least.

The linear kinds of limits have been given their slack by then (:func:`~alpha_pipeline.portfolio.linear_program.least_slack`, in
which risk may be anything); ``caps`` keep their totals. Solved by Clarabel whichever solver the portfolio itself uses: this is
rare, and it finds the edge of feasibility more reliably than ECOS.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alpha_pipeline.portfolio.constraints import TrackingErrorLimit, TurnoverLimit
from alpha_pipeline.portfolio.program import LinearProgram

if TYPE_CHECKING:
    import cvxpy as cp

NOISE = 1e-7
"""Slack below this is the solver's noise."""


@dataclass(frozen=True, eq=False)
class ConeSlack:
    """What the portfolio of least ``total`` slack needs: rows (m,) on each side, turnover and tracking error beyond their limits.

    ``weights`` (n,): such a portfolio, to the solver's accuracy; empty when there is none. ``row_duals`` (m,), ``factor_duals`` (K,) and
    ``turnover_dual``: what the total would change by, per unit, if rows, active factor exposures or traded weight were higher.
    """

    feasible: bool
    total: float
    row_slack_lower: np.ndarray
    row_slack_upper: np.ndarray
    turnover_slack: float
    risk_slack: float
    weights: np.ndarray
    row_duals: np.ndarray
    factor_duals: np.ndarray
    turnover_dual: float

    def moved(self, program: LinearProgram) -> np.ndarray:
        """(n,) bool: names that the portfolio trades."""
        return np.asarray(np.abs(self.weights - program.reference) > NOISE)

    def cost_of_buying(self, program: LinearProgram) -> np.ndarray:
        """(n,) what the total changes by per unit bought of a name at the benchmark's weight; names outside the program that was solved too."""
        assert program.risk is not None
        risk = program.risk
        return np.asarray(program.matrix.T @ self.row_duals + risk.exposures @ (risk.root @ self.factor_duals) + self.turnover_dual)


def least_cone_slack(program: LinearProgram, kind: str, elastic: tuple[str, ...], caps: Mapping[str, float]) -> ConeSlack:
    """The least excess of ``kind`` (tracking error or turnover) when all ``elastic`` kinds may be exceeded, ``caps`` limiting their totals."""
    import cvxpy as cp

    risk = program.risk
    assert risk is not None
    assert program.has_risk_limit
    n_rows = len(program.labels)
    share, below, above = cp.Variable(len(program.alpha)), cp.Variable(n_rows, nonneg=True), cp.Variable(n_rows, nonneg=True)
    error, traded = cp.Variable(), cp.Variable()
    # Variables of their own for weights, active weights and factors keep the cone sparse: minutes otherwise at 5,000 names.
    weights, active, factor = cp.Variable(len(program.alpha)), cp.Variable(len(program.alpha)), cp.Variable(risk.root.shape[0])
    unit = risk.limit
    at_rows = program.matrix @ weights
    low, high = np.isfinite(program.row_lower), np.isfinite(program.row_upper)
    factors = factor == (risk.exposures @ risk.root).T @ active / unit
    at_least, at_most = at_rows[low] + below[low] >= program.row_lower[low], at_rows[high] - above[high] <= program.row_upper[high]
    turnover = cp.norm1(weights - program.reference) <= traded
    rules = [
        share >= 0,
        share <= 1,
        weights == program.lower + cp.multiply(np.maximum(program.upper - program.lower, 0.0), share),
        active == weights - risk.center,
        factors,
        cp.norm(cp.hstack([factor, cp.multiply(risk.specific / unit, active)])) <= error / unit,
        at_least,
        at_most,
        error >= risk.limit,
    ]
    for name in {*program.kinds}:
        rows = np.array([row_kind == name for row_kind in program.kinds])
        if name not in elastic or caps.get(name, np.inf) <= NOISE:
            rules += [below[rows] == 0, above[rows] == 0]
        elif name in caps:
            # The cap came from a simplex; its last digits must leave an interior.
            rules.append(cp.sum(below[rows]) + cp.sum(above[rows]) <= caps[name] + NOISE)
    if np.isfinite(program.turnover):
        rules += [turnover, traded >= program.turnover]
        if TurnoverLimit.name not in elastic:
            rules.append(traded <= program.turnover)
    if TrackingErrorLimit.name in caps:
        rules.append(error <= risk.limit + caps[TrackingErrorLimit.name] + NOISE)
    least = error if kind == TrackingErrorLimit.name else traded
    model = cp.Problem(cp.Minimize(least), rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    if model.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return ConeSlack(False, np.inf, np.zeros(n_rows), np.zeros(n_rows), 0.0, 0.0, np.zeros(0), np.zeros(n_rows), np.zeros(len(risk.root)), 0.0)
    risk_slack = float(_without_noise(_value(error) - risk.limit))
    turnover_slack = float(_without_noise(_value(traded) - program.turnover)) if kind == TurnoverLimit.name else 0.0
    total = turnover_slack if kind == TurnoverLimit.name else risk_slack
    row_duals = np.zeros(n_rows)
    row_duals[high] += at_most.dual_value
    row_duals[low] -= at_least.dual_value
    return ConeSlack(
        True, total, _without_noise(_value(below)), _without_noise(_value(above)), turnover_slack, risk_slack, _value(weights), row_duals,
        -np.asarray(factors.dual_value) / unit, float(turnover.dual_value) if np.isfinite(program.turnover) else 0.0,
    )


def _value(variable: cp.Variable) -> np.ndarray:
    return np.asarray(variable.value, dtype=float)


def _without_noise(slack: np.ndarray) -> np.ndarray:
    return np.where(slack > 2.0 * NOISE, slack, 0.0)
