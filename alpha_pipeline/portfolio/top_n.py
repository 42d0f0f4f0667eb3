"""Equal-weight portfolios of the N best-scored names, with a limit on how many are replaced.

Source: MULTIMODEL, TOP 100 and TOP 300: weekly, at most ⌈δ·N⌉ names replaced, δ = 0.05 … 1.00, against the equal-weight universe.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from alpha_pipeline.errors import Infeasible, InvalidSpec, sentence
from alpha_pipeline.portfolio.constraints import AnyConstraint
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.result import OptimizationResult

EQUAL_WEIGHT = "equal_weight"
"""Benchmark: every name of the universe with the same weight, rebalanced daily."""


@dataclass(frozen=True)
class TopNSpec:
    """N names of equal weight.

    Attributes
    ----------
    n_names
        N.
    max_replaced
        δ: at most ⌈δ·N⌉ names leave and as many enter at one rebalance; 1 = any number. Does not apply to the first portfolio.
    benchmark
        What it is compared with: :data:`EQUAL_WEIGHT` (the report's choice) or an index code.
    """

    n_names: int
    max_replaced: float = 1.0
    benchmark: str = EQUAL_WEIGHT

    def __post_init__(self) -> None:
        if self.n_names < 1:
            raise InvalidSpec(sentence("n_names out of range", where="top_n", got=self.n_names, expected="at least 1"))
        if not 0.0 <= self.max_replaced <= 1.0:
            raise InvalidSpec(sentence("max_replaced out of range", where="top_n", got=self.max_replaced, expected="a decimal in [0, 1]"))

    @property
    def solver(self) -> str:
        """What makes the portfolio, beside the solvers of index-enhanced ones."""
        return "top_n"

    @property
    def constraints(self) -> tuple[AnyConstraint, ...]:
        """None: the rule is all there is."""
        return ()

    @property
    def n_replaced(self) -> int:
        """⌈δ·N⌉, free of the rounding of δ·N.

        >>> [TopNSpec(100, delta).n_replaced for delta in (0.05, 0.07, 0.555)]
        [5, 7, 56]
        """
        return math.ceil(round(self.max_replaced * self.n_names, 9))


@dataclass(frozen=True, eq=False)
class TopN:
    """(n,) bool: the names of the new portfolio, those that left and those that entered."""

    kept: np.ndarray
    left: np.ndarray
    entered: np.ndarray


def top_n(
    scores: np.ndarray, held: np.ndarray, can_buy: np.ndarray, can_sell: np.ndarray, spec: TopNSpec, symbols: tuple[str, ...]
) -> TopN:
    """The names of the next portfolio, from what is known at the close of the signal date.

    The worst-scored holdings leave for the best-scored outsiders, one for one while the outsider scores higher, at most ⌈δ·N⌉. A
    holding without a score counts as the worst. Holdings that cannot be sold stay and take their place among the N; outsiders that
    cannot be bought or have no score do not enter. Ties go to the smaller symbol: it ranks as the better one. Surplus holdings
    (a smaller N than before) leave and missing ones (delisted, a larger N) are filled beside the limit, which counts replacements.

    Parameters
    ----------
    scores
        (n,), NaN = not scored.
    held, can_buy, can_sell
        (n,) bool.
    """
    order = np.lexsort((np.array(symbols), -np.where(np.isnan(scores), -np.inf, scores)))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    outsiders = [int(i) for i in order if not held[i] and can_buy[i] and not np.isnan(scores[i])]
    leavers = [int(i) for i in order[::-1] if held[i] and can_sell[i]]
    kept = held.copy()
    surplus = int(held.sum()) - spec.n_names
    for i in leavers[: max(surplus, 0)]:
        kept[i] = False
    leavers = leavers[max(surplus, 0) :]
    for i in outsiders[: max(-surplus, 0)]:
        kept[i] = True
    outsiders = outsiders[max(-surplus, 0) :]
    for out, into in list(zip(leavers, outsiders, strict=False))[: spec.n_replaced]:
        if rank[into] > rank[out]:
            break
        kept[out], kept[into] = False, True
    return TopN(kept, held & ~kept, kept & ~held)


def top_n_portfolio(problem: PortfolioProblem, spec: TopNSpec) -> OptimizationResult:
    """Equal weights over :func:`top_n`; a holding that cannot be traded keeps its weight and the others share the rest equally.

    A kept name that may be sold but not bought is cut to the equal weight when above it and keeps its weight when below, and the other
    way round; the names that can be traded freely share what is left. ``objective`` is the mean score of the portfolio.

    Raises
    ------
    Infeasible
        No name can be bought.
    """
    start = time.perf_counter()
    held = problem.held > 0.0
    buyable, sellable = problem.buyable(), problem.sellable()
    chosen = top_n(np.asarray(problem.alpha, dtype=float), held, buyable, sellable, spec, problem.symbols)
    if not bool(chosen.kept.any()):
        raise Infeasible(sentence("no name can be bought", where=problem.where, got=f"{int(buyable.sum())} buyable of {problem.n_stocks}",
                                  next_step="Check the scores and the buyable names of this date."))
    weights = _equal_weights(problem.held, chosen.kept, buyable, sellable)
    trades = weights - problem.held
    n_names = int(chosen.kept.sum())
    notes = [f"{int(chosen.left.sum())} names left, {int(chosen.entered.sum())} entered, at most {spec.n_replaced} replaced"]
    if n_names != spec.n_names:
        notes.append(f"{n_names} names instead of {spec.n_names}: the others cannot be traded or have no score")
    stuck = chosen.kept & held & ~(buyable & sellable)
    if bool(stuck.any()):
        notes.append(f"{int(stuck.sum())} held names that cannot be traded freely may keep another weight")
    return OptimizationResult(
        weights=weights, status="optimal", objective=float(problem.expected_return() @ weights), relaxations=(), binding=(), duals={},
        turnover_two_sided=float(np.abs(trades).sum()), max_violation=0.0, solver="top_n", seconds=time.perf_counter() - start,
        is_first=problem.is_first, notes=tuple(notes),
    )


def _equal_weights(current: np.ndarray, kept: np.ndarray, buyable: np.ndarray, sellable: np.ndarray) -> np.ndarray:
    """(n,) one level for all kept names, clipped to what each can trade to; sums to 1, or to less when too few can be bought."""
    least, most = np.where(sellable, 0.0, current), np.where(buyable, 1.0, current)
    low, high = 0.0, 1.0
    for _ in range(60):
        level = (low + high) / 2.0
        low, high = (level, high) if float(np.clip(level, least, most)[kept].sum()) <= 1.0 else (low, level)
    weights = np.where(kept, np.clip(low, least, most), 0.0)
    free = kept & (least < low) & (low < most)
    if bool(free.any()):
        weights[free] = (1.0 - float(weights[~free].sum())) / int(free.sum())
    return np.asarray(weights)
