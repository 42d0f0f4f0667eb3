"""One weekly rebalance at full market size: ours from cold against cvxpy rebuilt for each date, as enhancement scripts do.

    python -m benchmarks.optimizer [--stocks 5000] [--dates 7] [--repeats 3] [--suite NAME]

36 linear rows (sum, constituents ≥ 80 %, 31 industries ≤ 2 %, 3 styles ≤ 0.2) + deviation ≤ 1 % + two-sided turnover ≤ 30 %.
Peers solve the same problem written in their natural form, on weights, with their default tolerances. "Ours" includes assembly,
the solve and the verification of every limit. Prints medians over dates of interleaved repeats, the ratio to ours, the largest
gap of the objective relative to ours, and the load of the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics as stats
import time
import warnings
from collections.abc import Callable

import cvxpy as cp
import numpy as np
from scipy import optimize as scipy_optimize
from scipy import sparse

from alpha_pipeline.portfolio import (
    ConstituentFloor,
    EnhancedIndexSpec,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    PortfolioProblem,
    StyleBound,
    TurnoverLimit,
    optimize,
)
from benchmarks.optimizer_suites import SUITES, run

DEVIATION, FLOOR, INDUSTRY, STYLE, TURNOVER = 0.01, 0.8, 0.02, 0.2, 0.3
STYLES = ("size", "value", "volatility")
SPEC = EnhancedIndexSpec(
    "000905.SH",
    (
        FullyInvested(),
        LongOnly(),
        MaxDeviation(DEVIATION),
        ConstituentFloor(FLOOR),
        IndustryBound(INDUSTRY),
        *(StyleBound(style, STYLE) for style in STYLES),
        TurnoverLimit(TURNOVER, "two"),
    ),
)


def simulated_problem(seed: int, n: int) -> PortfolioProblem:
    """500 constituents (a tenth of fewer stocks), holdings drifted from an earlier optimum, scores that moved."""
    rng = np.random.default_rng(seed)
    members = rng.choice(n, min(500, n // 10), replace=False)
    benchmark = np.zeros(n)
    benchmark[members] = rng.lognormal(0.0, 0.5, len(members))
    benchmark /= benchmark.sum()
    symbols = tuple(f"S{i:05d}" for i in range(n))
    industry = rng.integers(0, 31, n)
    styles = {style: rng.normal(size=n) + (benchmark > 0) * (style == "size") for style in STYLES}
    old = rng.normal(size=n)
    held = optimize(PortfolioProblem(symbols, old, benchmark, None, industry, styles), SPEC).weights
    held = held * np.exp(rng.normal(0.0, 0.02, n))
    alpha = 0.8 * old + 0.6 * rng.normal(size=n)
    return PortfolioProblem(symbols, alpha, benchmark, held / held.sum(), industry, styles)


def cvxpy_rebuilt(solver: str) -> Callable[[PortfolioProblem], float]:
    """The problem written from scratch in cvxpy on weights; returns the objective."""

    def solve(p: PortfolioProblem) -> float:
        w, base = cp.Variable(p.n_stocks), p.benchmark_weights
        industries = (p.industry[None, :] == np.unique(p.industry)[:, None]).astype(float)
        styles = np.array([p.styles[style] for style in STYLES])
        rules = [
            cp.sum(w) == 1,
            w >= np.maximum(base - DEVIATION, 0.0),
            w <= base + DEVIATION,
            p.constituents.astype(float) @ w >= FLOOR,
            cp.abs(industries @ (w - base)) <= INDUSTRY,
            cp.abs(styles @ (w - base)) <= STYLE,
            cp.norm1(w - p.held) <= TURNOVER,
        ]
        return float(cp.Problem(cp.Maximize(p.alpha @ w), rules).solve(solver=solver))

    return solve


def scipy_linprog(p: PortfolioProblem) -> float:
    """scipy's HiGHS on the textbook form: w and its absolute change t, with 2n rows ±(w − held) ≤ t."""
    n, base = p.n_stocks, p.benchmark_weights
    industries = sparse.csr_array((p.industry[None, :] == np.unique(p.industry)[:, None]).astype(float))
    bounded = sparse.vstack([industries, sparse.csr_array(np.array([p.styles[style] for style in STYLES]))])
    limits = np.concatenate([np.full(industries.shape[0], INDUSTRY), np.full(len(STYLES), STYLE)])
    active, eye = bounded @ base, sparse.eye_array(n)
    blank = sparse.csr_array((bounded.shape[0], n))
    upper = sparse.vstack(
        [
            sparse.hstack([bounded, blank]),
            sparse.hstack([-bounded, blank]),
            sparse.hstack([sparse.csr_array(-p.constituents[None, :].astype(float)), sparse.csr_array((1, n))]),
            sparse.hstack([eye, -eye]),
            sparse.hstack([-eye, -eye]),
            sparse.hstack([sparse.csr_array((1, n)), sparse.csr_array(np.ones((1, n)))]),
        ]
    )
    right = np.concatenate([active + limits, limits - active, [-FLOOR], p.held, -p.held, [TURNOVER]])
    bounds = np.column_stack(
        [np.concatenate([np.maximum(base - DEVIATION, 0.0), np.zeros(n)]), np.concatenate([base + DEVIATION, np.full(n, np.inf)])]
    )
    total = sparse.csr_array(np.concatenate([np.ones(n), np.zeros(n)])[None, :])
    found = scipy_optimize.linprog(
        np.concatenate([-p.alpha, np.zeros(n)]), upper.tocsc(), right, total, [1.0], bounds, method="highs"
    )
    return -float(found.fun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=5000)
    parser.add_argument("--dates", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--suite", choices=("peers", *SUITES), default="peers", help="see optimizer_suites.py")
    arguments = parser.parse_args()
    if arguments.suite != "peers":
        run(arguments.suite, arguments.stocks, arguments.dates)
        return

    def ours(problem: PortfolioProblem) -> float:
        result = optimize(problem, SPEC)
        assert result.status == "optimal"
        assert result.max_violation <= 1e-8
        return result.objective

    solvers: dict[str, Callable[[PortfolioProblem], float]] = {
        "ours (HiGHS on trades)": ours,
        "cvxpy + ECOS, rebuilt": cvxpy_rebuilt("ECOS"),
        "cvxpy + Clarabel, rebuilt": cvxpy_rebuilt("CLARABEL"),
        "cvxpy + HiGHS, rebuilt": cvxpy_rebuilt("HIGHS"),
        "scipy linprog (HiGHS)": scipy_linprog,
    }
    problems = [simulated_problem(seed, arguments.stocks) for seed in range(arguments.dates)]
    seconds: dict[str, list[float]] = {name: [] for name in solvers}
    gap = dict.fromkeys(solvers, 0.0)
    with warnings.catch_warnings():
        # cvxpy announces that its default solver will change; each solver is named here.
        warnings.simplefilter("ignore")
        for solve in solvers.values():
            solve(simulated_problem(99, 200))
        for problem in problems:
            reference = ours(problem)
            taken: dict[str, list[float]] = {name: [] for name in solvers}
            for _ in range(arguments.repeats):
                for name, solve in solvers.items():
                    start = time.perf_counter()
                    objective = solve(problem)
                    taken[name].append(time.perf_counter() - start)
                    gap[name] = max(gap[name], abs(objective - reference) / abs(reference))
            for name, times in taken.items():
                seconds[name].append(stats.median(times))
    base = stats.median(seconds["ours (HiGHS on trades)"])
    print(
        f"{arguments.stocks} stocks, {arguments.dates} dates x {arguments.repeats} repeats; load {os.getloadavg()[0]:.2f} "
        f"on {os.cpu_count()} cores"
    )
    for name, times in seconds.items():
        middle = stats.median(times)
        print(f"{name:28s} {middle * 1e3:8.1f} ms   {middle / base:5.1f} x   objective gap {gap[name]:.1e}")


if __name__ == "__main__":
    main()
