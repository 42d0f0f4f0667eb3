"""HiGHS on ``w = r + buy − sell``: the turnover limit is one row, not a block of n rows, which makes it several times faster.

Also the elastic form, in which rows and turnover may be exceeded at a price: the tool of the relaxation order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import highspy
import numpy as np
from scipy import sparse

from alpha_pipeline.portfolio.constraints import TurnoverLimit
from alpha_pipeline.portfolio.program import LinearProgram, Solution

FEASIBILITY = 1e-10


@dataclass(frozen=True, eq=False)
class ElasticSolution:
    """The smallest total slack of one kind of limit, and the slack of every row that comes with it."""

    feasible: bool
    total: float
    row_slack_lower: np.ndarray
    row_slack_upper: np.ndarray
    turnover_slack: float


def solve_highs(program: LinearProgram) -> Solution:
    """The optimum by HiGHS' dual simplex, one thread, fixed seed: same input, same bits."""
    trades = _Trades(program)
    n_rows = len(program.labels)
    matrix, lower, upper = trades.rows()
    values, duals, status = _run(trades.cost(), trades.lower, trades.upper, matrix, lower, upper)
    if values is None:
        return Solution(None, status, np.full(n_rows, np.nan), np.nan)
    # HiGHS minimizes -objective: its dual is the rate of that minimum in the row's bound.
    turnover_dual = -float(duals[n_rows]) if np.isfinite(program.turnover) else 0.0
    return Solution(trades.weights(values), "optimal", -duals[:n_rows] * program.scale, turnover_dual * program.scale)


def least_slack(program: LinearProgram, kind: str, elastic: tuple[str, ...], caps: Mapping[str, float]) -> ElasticSolution:
    """Minimal Σ slack of the rows of ``kind`` when all ``elastic`` kinds may be exceeded, ``caps`` limiting their totals."""
    trades = _Trades(program)
    n_rows, n_trades = len(program.labels), len(trades.lower)
    soft = [i for i, row_kind in enumerate(program.kinds) if row_kind in elastic]
    has_turnover = bool(np.isfinite(program.turnover))
    soft_turnover = has_turnover and TurnoverLimit.name in elastic
    slack_kinds = [program.kinds[i] for i in soft] * 2 + [TurnoverLimit.name] * soft_turnover
    base, lower, upper = trades.rows()

    n_slack = len(slack_kinds)
    rows_of = [*soft, *soft, *([n_rows] if soft_turnover else [])]
    signs = np.array([1.0] * len(soft) + [-1.0] * len(soft) + [-1.0] * soft_turnover)
    slack = sparse.csc_array((signs, (rows_of, np.arange(n_slack))), shape=(base.shape[0], n_slack))
    capped = list(caps)
    cap_rows = sparse.csc_array(
        np.array([[float(k == name) for k in slack_kinds] for name in capped]).reshape(len(capped), n_slack)
    )
    matrix = sparse.csc_array(
        sparse.block_array([[base, slack], [sparse.csc_array((len(capped), n_trades)), cap_rows]], format="csc")
        if capped
        else sparse.hstack([base, slack], format="csc")
    )
    cost = np.concatenate([np.zeros(n_trades), [float(k == kind) for k in slack_kinds]])
    values, _, _ = _run(
        cost,
        np.concatenate([trades.lower, np.zeros(n_slack)]),
        np.concatenate([trades.upper, np.full(n_slack, np.inf)]),
        matrix,
        np.concatenate([lower, np.full(len(capped), -np.inf)]),
        np.concatenate([upper, np.array([caps[name] for name in capped])]),
    )
    below, above = np.zeros(n_rows), np.zeros(n_rows)
    if values is None:
        return ElasticSolution(False, np.inf, below, above, 0.0)
    found = np.maximum(values[n_trades:], 0.0)
    below[soft], above[soft] = found[: len(soft)], found[len(soft) : 2 * len(soft)]
    return ElasticSolution(True, float(found @ cost[n_trades:]), below, above, float(found[-1]) if soft_turnover else 0.0)


class _Trades:
    """Columns of the program: buys of the names that can be bought, then sells of those that can be sold."""

    def __init__(self, program: LinearProgram) -> None:
        self.program = program
        room_up, room_down = program.upper - program.reference, program.reference - program.lower
        self.buys, self.sells = np.flatnonzero(room_up > 0.0), np.flatnonzero(room_down > 0.0)
        self.lower = np.concatenate([np.maximum(-room_down[self.buys], 0.0), np.maximum(-room_up[self.sells], 0.0)])
        self.upper = np.concatenate([room_up[self.buys], room_down[self.sells]])

    def cost(self) -> np.ndarray:
        program = self.program
        return np.concatenate([program.buy_cost - program.alpha[self.buys], program.sell_cost + program.alpha[self.sells]])

    def rows(self) -> tuple[sparse.csc_array, np.ndarray, np.ndarray]:
        program = self.program
        by_name = sparse.csc_array(program.matrix)
        blocks = sparse.hstack([by_name[:, self.buys], -by_name[:, self.sells]], format="csc")
        at_reference = program.matrix @ program.reference
        lower, upper = program.row_lower - at_reference, program.row_upper - at_reference
        if np.isfinite(program.turnover):
            blocks = sparse.vstack([blocks, np.ones((1, blocks.shape[1]))], format="csc")
            lower, upper = np.append(lower, -np.inf), np.append(upper, program.turnover)
        return sparse.csc_array(blocks), lower, upper

    def weights(self, values: np.ndarray) -> np.ndarray:
        weights = self.program.reference.copy()
        weights[self.buys] += values[: len(self.buys)]
        weights[self.sells] -= values[len(self.buys) :]
        return weights


def _run(
    cost: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    matrix: sparse.csc_array,
    row_lower: np.ndarray,
    row_upper: np.ndarray,
) -> tuple[np.ndarray | None, np.ndarray, str]:
    """Column values (None unless optimal), row duals, and HiGHS' status in words."""
    lp = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = matrix.shape
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_row_, lp.a_matrix_.num_col_ = matrix.shape
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    highs = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("random_seed", 0),
        ("solver", "simplex"),
        ("parallel", "off"),
        ("primal_feasibility_tolerance", FEASIBILITY),
        ("dual_feasibility_tolerance", FEASIBILITY),
    ):
        highs.setOptionValue(option, value)
    highs.passModel(lp)
    highs.run()
    status = highs.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        return None, np.zeros(0), highs.modelStatusToString(status)
    solution = highs.getSolution()
    return np.asarray(solution.col_value, dtype=float), np.asarray(solution.row_dual, dtype=float), "optimal"
