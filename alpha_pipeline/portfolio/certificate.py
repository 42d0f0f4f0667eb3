"""How far a portfolio can be from the optimum at most, proven from duals, whichever solver they came from.

For multipliers of the right sign the Lagrangian L is at least the objective on every feasible portfolio, and it is concave:

    f(w') ≤ L(w') ≤ L(w) + Σ_i s_i (w'_i − w_i) ≤ f(w) + Σ multiplier · room(w) + Σ_i max over lower_i ≤ x ≤ upper_i of s_i (x − w_i)

with s a supergradient of L at w. The right side minus f(w) is the gap; the last sum may be taken over portfolios of the same total
weight only, which is a tighter bound where weights have no upper limit of their own. A name that was left out (w_i = reference_i) adds nothing
when its s_i does not ask for a trade, so a program of a few hundred names can be proven optimal for all 5,000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpha_pipeline.portfolio.constraints import FullyInvested
from alpha_pipeline.portfolio.program import LinearProgram, Solution


@dataclass(frozen=True, eq=False)
class Certificate:
    """``gap``: no feasible portfolio has an objective better by more, in units of alpha. ``by_name`` (n,): what each name adds to it."""

    gap: float
    by_name: np.ndarray


def certify(program: LinearProgram, weights: np.ndarray, solution: Solution) -> Certificate:
    """The gap of ``weights`` (n,) in the full program, with the duals of ``solution`` (in units of alpha)."""
    trades = weights - program.reference
    duals = of_right_sign(program, solution.row_duals / program.scale)
    at_rows = program.matrix @ weights
    bound = np.where(duals > 0.0, program.row_upper, program.row_lower)
    # An interior-point multiplier can sit on an infinite side only as noise, which of_right_sign has removed.
    room = float(np.abs(duals[duals != 0.0] * (bound - at_rows)[duals != 0.0]).sum())
    slope = program.alpha - program.matrix.T @ duals
    turnover_dual = max(solution.turnover_dual / program.scale, 0.0) if np.isfinite(program.turnover) else 0.0
    if turnover_dual > 0.0:
        room += turnover_dual * abs(program.turnover - float(np.abs(trades).sum()))
    risk = program.risk
    if risk is not None:
        price = 2.0 * risk.aversion
        error = risk.tracking_error(weights)
        risk_dual = max(solution.risk_dual / program.scale, 0.0) if program.has_risk_limit else 0.0
        if risk_dual > 0.0 and error > 0.0:
            room += risk_dual * abs(risk.limit - error)
            price += risk_dual / error
        slope = slope - price * risk.slope(weights)
    # Trading costs and the turnover multiplier bend the Lagrangian at the reference: up costs `buy`, down costs `sell`.
    buy, sell = program.buy_cost + turnover_dual, program.sell_cost + turnover_dual
    up = np.where(trades >= 0.0, slope - buy, slope + sell)
    down = np.where(trades > 0.0, slope - buy, slope + sell)
    by_name = np.maximum(up, 0.0) * np.maximum(program.upper - weights, 0.0) + np.maximum(-down, 0.0) * np.maximum(weights - program.lower, 0.0)
    gain = float(by_name.sum())
    if FullyInvested.name in program.kinds:
        gain = min(gain, _exchange(program, weights, up, down))
    return Certificate((room + gain) * program.scale, by_name * program.scale)


def _exchange(program: LinearProgram, weights: np.ndarray, up: np.ndarray, down: np.ndarray) -> float:
    """What purchases paid for by sales can gain at most: the sum of weights is fixed, so its multiplier c may be shifted freely.

    min over c of Σ max(up − c, 0)·(upper − w) + max(c − down, 0)·(w − lower), a bound for every c; names gain by what they are better than the
    marginal sale, not each on its own.
    """
    position = float(program.row_upper[program.kinds.index(FullyInvested.name)])
    more, less = np.maximum(program.upper - weights, 0.0), np.maximum(weights - program.lower, 0.0)
    marks = np.unique(np.concatenate([[0.0], up[more > 0.0], down[less > 0.0]]))
    low, high = 0, len(marks) - 1
    while low < high:  # the bound is convex in c: walk to where its slope changes sign
        middle = (low + high) // 2
        rises = float(less[down <= marks[middle]].sum()) >= float(more[up > marks[middle]].sum())
        low, high = (low, middle) if rises else (middle + 1, high)
    price = float(marks[low])
    gain = np.maximum(up - price, 0.0) * more + np.maximum(price - down, 0.0) * less
    return float(gain.sum()) + abs(price * (position - float(weights.sum())))


def of_right_sign(program: LinearProgram, duals: np.ndarray) -> np.ndarray:
    """Duals without those that push against a side that has no bound."""
    wrong = ((duals > 0.0) & ~np.isfinite(program.row_upper)) | ((duals < 0.0) & ~np.isfinite(program.row_lower))
    return np.where(wrong | ~np.isfinite(duals), 0.0, duals)
