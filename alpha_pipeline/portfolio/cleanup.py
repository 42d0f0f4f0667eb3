"""A tidier portfolio after the optimum: no tiny trades, no tiny weights, not too many names.

Each step forbids what it wants gone and solves again, so that the rest makes room for it within the limits; every limit is then
checked by its formula. A step that would break one is undone and says so. Rounding weights to zero and rescaling would break
the very bounds that were just solved for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.program import LinearProgram, Solution

_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Tidy:
    """Settings, and the two things a step needs: a solver, and a verification that returns clipped weights and the largest excess.

    ``verify`` returns None for weights that break a limit.
    """

    min_trade: float
    min_weight: float
    max_names: int
    solve: Callable[[LinearProgram], Solution]
    verify: Callable[[Solution], tuple[np.ndarray, float] | None]


def tidy_up(
    problem: PortfolioProblem, program: LinearProgram, weights: np.ndarray, excess: float, tidy: Tidy
) -> tuple[np.ndarray, float, list[str]]:
    """Weights after the steps that are switched on, in the order names, weights, trades; the largest excess; what was done in words.

    A later step does not undo an earlier one: what was forbidden stays forbidden.
    """
    notes: list[str] = []
    zero = np.zeros(problem.n_stocks)
    if tidy.max_names > 0:
        program, weights, excess, note = _few_names(program, weights, excess, tidy, zero)
        notes.append(note)
    if tidy.min_weight > 0.0:
        program, weights, excess, note = _no_dust(program, weights, excess, tidy, zero)
        notes.append(note)
    if tidy.min_trade > 0.0:
        weights, excess, note = _no_tiny_trades(problem, program, weights, excess, tidy)
        notes.append(note)
    return weights, excess, notes


def _again(program: LinearProgram, tidy: Tidy) -> tuple[np.ndarray, float] | None:
    solution = tidy.solve(program)
    return None if solution.weights is None else tidy.verify(solution)


def _few_names(
    program: LinearProgram, weights: np.ndarray, excess: float, tidy: Tidy, zero: np.ndarray
) -> tuple[LinearProgram, np.ndarray, float, str]:
    """Keep the largest ``max_names`` weights and those that cannot be zero; forbid the rest."""
    limit = tidy.max_names
    n_names = int((weights > 0.0).sum())
    if n_names <= limit:
        return program, weights, excess, f"{n_names} names, at most {limit}"
    stuck = program.lower > 0.0
    order = np.argsort(-np.where(stuck, np.inf, weights), kind="stable")
    dropped = np.ones(len(weights), dtype=bool)
    dropped[order[:limit]] = False
    fewer = program.fixed_at(dropped & ~stuck, zero)
    found = _again(fewer, tidy)
    if found is None or int((found[0] > 0.0).sum()) > limit:
        return program, weights, excess, f"{n_names} names kept: the limits allow no portfolio of the largest {limit}"
    return fewer, *found, f"{n_names} names reduced to {int((found[0] > 0.0).sum())}"


def _no_dust(
    program: LinearProgram, weights: np.ndarray, excess: float, tidy: Tidy, zero: np.ndarray
) -> tuple[LinearProgram, np.ndarray, float, str]:
    """Forbid names of a weight below ``min_weight``; new ones may turn up in the next solution, so a few rounds."""
    stricter, now, worst, n_gone = program, weights, excess, 0
    for _ in range(_ROUNDS):
        dust = (now > 0.0) & (now < tidy.min_weight)
        free = dust & (stricter.lower <= 0.0)
        if not bool(free.any()):
            left = f", {int(dust.sum())} cannot be sold" if bool(dust.any()) else ""
            return stricter, now, worst, f"{n_gone} weights below min_weight dropped{left}"
        n_gone += int(free.sum())
        stricter = stricter.fixed_at(free, zero)
        found = _again(stricter, tidy)
        if found is None:
            break
        now, worst = found
    n_dust = int(((weights > 0.0) & (weights < tidy.min_weight)).sum())
    return program, weights, excess, f"{n_dust} weights below min_weight kept: the limits need them"


def _no_tiny_trades(
    problem: PortfolioProblem, program: LinearProgram, weights: np.ndarray, excess: float, tidy: Tidy
) -> tuple[np.ndarray, float, str]:
    """Solve again with the tiny trades forbidden; the first solution stays if that is impossible."""
    trades = np.abs(weights - problem.held)
    tiny = (trades > 0.0) & (trades < tidy.min_trade)
    # Before the first portfolio the program's reference is the benchmark; not trading then means a weight of 0.
    anchored = program if not problem.is_first else replace(program, reference=problem.held)
    found = _again(anchored.fixed_at(tiny, problem.held), tidy)
    if found is None:
        return weights, excess, f"{int(tiny.sum())} trades below min_trade kept: the limits need them"
    return *found, f"{int(tiny.sum())} trades below min_trade undone"
