"""More of the optimizer: the RISKCONTROL limits over a chain of weeks, tracking-error problems, and solvers against each other.

    python -m benchmarks.optimizer --suite riskcontrol [--stocks 5000] [--dates 300]      the bar: 300 weeks in at most 60 s
    python -m benchmarks.optimizer --suite tracking_error [--stocks 5000] [--dates 20]    the bar: at most 0.5 s a week, gap at most 1e-6
    python -m benchmarks.optimizer --suite relaxed [--stocks 5000] [--dates 20]           the same weeks once the limit is cut to 2 %: no
                                                                                          portfolio within the turnover, which gives way
    python -m benchmarks.optimizer --suite agreement [--stocks 200] [--dates 200]         objectives within 1e-6, gaps proven from duals

A week starts from the holdings of the week before, drifted by 2 % a name; scores keep a correlation of 0.8 with the week before.
Printed: seconds of the optimizations alone (median, largest, sum), the largest violation and gap, statuses, and the load.
"""

from __future__ import annotations

import os
import statistics as stats
from collections import Counter
from dataclasses import replace

import numpy as np

from alpha_pipeline.portfolio import (
    ConstituentFloor,
    EnhancedIndexSpec,
    FactorClassBound,
    FactorRisk,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    OptimizationResult,
    PortfolioProblem,
    StyleBound,
    StyleMoment,
    TrackingErrorLimit,
    TurnoverLimit,
    optimize,
)

SUITES = ("riskcontrol", "tracking_error", "relaxed", "agreement")
N_INDUSTRIES, N_STYLES = 31, 10

RISKCONTROL = EnhancedIndexSpec(
    "000905.SH",
    (
        FullyInvested(), LongOnly(), MaxDeviation(0.01), ConstituentFloor(0.8), IndustryBound(0.02), StyleBound("size", 0.3),
        StyleBound("nlsize", 0.2), StyleMoment("size", 2, 0.2), StyleMoment("size", 3, 0.2), TurnoverLimit(0.2, "one"),
    ),
)  # fmt: skip
TRACKING_ERROR = EnhancedIndexSpec(
    "000905.SH",
    (
        FullyInvested(), LongOnly(), ConstituentFloor(0.8), IndustryBound(0.02), FactorClassBound("styles", 0.5), MaxDeviation(0.02),
        TurnoverLimit(0.2, "one"), TrackingErrorLimit(0.05),
    ),
    solver="clarabel",
)  # fmt: skip

TIGHTENED = replace(TRACKING_ERROR, constraints=(*TRACKING_ERROR.constraints[:-2], TurnoverLimit(0.05, "one"), TrackingErrorLimit(0.02)))


def market(seed: int, n: int) -> PortfolioProblem:
    """A first week: 500 constituents (a tenth of fewer stocks) that are larger than the rest, ten styles, a factor model of 42 factors."""
    rng = np.random.default_rng(seed)
    members = rng.choice(n, min(500, n // 10), replace=False)
    benchmark = np.zeros(n)
    benchmark[members] = rng.lognormal(0.0, 0.5, len(members))
    size = rng.normal(size=n) + (benchmark > 0)
    cube = (size - size.mean()) ** 3
    styles = {"size": size, "nlsize": (cube - np.polyval(np.polyfit(size, cube, 1), size)) / cube.std()}
    styles |= {f"style {k}": rng.normal(size=n) for k in range(2, N_STYLES)}
    industry = rng.integers(0, N_INDUSTRIES, n)
    exposures = np.column_stack([np.ones(n), industry[:, None] == np.arange(N_INDUSTRIES), *styles.values()])
    volatility = np.concatenate([[0.2], np.full(N_INDUSTRIES, 0.08), np.full(N_STYLES, 0.04)])
    risk = FactorRisk(exposures, np.diag(volatility**2), rng.uniform(0.2, 0.5, n) ** 2)
    names = tuple(f"S{i:05d}" for i in range(n))
    return PortfolioProblem(names, rng.normal(size=n), benchmark / benchmark.sum(), None, industry, styles, risk=risk)


def next_week(problem: PortfolioProblem, weights: np.ndarray, rng: np.random.Generator) -> PortfolioProblem:
    """Drifted holdings, new scores, 1 % of the names suspended and 2 % at a limit."""
    n = problem.n_stocks
    held = weights * np.exp(rng.normal(0.0, 0.02, n))
    suspended, up, down = rng.random(n) < 0.01, rng.random(n) < 0.01, rng.random(n) < 0.01
    return replace(problem, alpha=0.8 * problem.alpha + 0.6 * rng.normal(size=n), current_weights=held / held.sum(),
                   can_buy=~(suspended | up), can_sell=~(suspended | down))


def chain(spec: EnhancedIndexSpec, n_stocks: int, n_weeks: int) -> list[OptimizationResult]:
    """The results of consecutive weeks."""
    rng, problem = np.random.default_rng(0), market(0, n_stocks)
    results = [optimize(problem, spec)]
    for _ in range(n_weeks - 1):
        problem = next_week(problem, results[-1].weights, rng)
        results.append(optimize(problem, spec))
    return results


def relaxed(n_stocks: int, n_weeks: int) -> list[OptimizationResult]:
    """The holdings of a chain within 5 % a year, asked for 2 % at once with a one-sided turnover of 5 %: limits that cannot all be held."""
    rng, problem, results = np.random.default_rng(0), market(0, n_stocks), []
    for _ in range(n_weeks):
        problem = next_week(problem, optimize(problem, TRACKING_ERROR).weights, rng)
        results.append(optimize(problem, TIGHTENED))
    return results


def report(name: str, results: list[OptimizationResult]) -> None:
    seconds = [r.seconds for r in results]
    kinds = Counter(relaxed.constraint.partition("[")[0] for r in results for relaxed in r.relaxations)
    print(f"{name}: {len(results)} weeks x {len(results[0].weights)} stocks, load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    print(f"  seconds a week: median {stats.median(seconds):.3f}, largest {max(seconds):.3f}; sum {sum(seconds):.1f}")
    print(f"  largest violation {max(r.max_violation for r in results):.1e}, "
          f"largest gap {max(r.gap for r in results):.1e}")
    print(f"  {dict(Counter(r.status for r in results))}, relaxed: {dict(kinds) or 'nothing'}, solved by {dict(Counter(r.solver for r in results))}")


def agreement(n_stocks: int, n_problems: int) -> None:
    """Linear problems by HiGHS, ECOS and Clarabel, cone problems by the latter two; holdings are those of the week before."""
    for name, spec, solvers in (("linear", RISKCONTROL, ("highs", "ecos", "clarabel")), ("tracking error", TRACKING_ERROR, ("ecos", "clarabel"))):
        wide = replace(spec, constraints=tuple(replace(c, limit=0.1) if isinstance(c, MaxDeviation) else c for c in spec.constraints))
        difference, gap, statuses = 0.0, dict.fromkeys(solvers, 0.0), Counter[str]()
        for seed in range(n_problems):
            problem = market(seed, n_stocks)
            before = optimize(problem, replace(wide, solver=solvers[-1])).weights
            problem = next_week(problem, before, np.random.default_rng(seed))
            results = {solver: optimize(problem, replace(wide, solver=solver)) for solver in solvers}
            found = {r.status for r in results.values()}
            statuses["relaxed" if "relaxed" in found else "optimal"] += 1
            statuses["ecos helped by clarabel"] += results["ecos"].solver != "ecos"
            if found == {"optimal"}:
                objectives = [r.objective for r in results.values()]
                difference = max(difference, max(objectives) - min(objectives))
                gap = {solver: max(gap[solver], r.gap) for solver, r in results.items()}
        print(f"{name}: {n_problems} problems x {n_stocks} stocks: objectives differ by at most {difference:.1e}; largest gap "
              f"{', '.join(f'{solver} {value:.1e}' for solver, value in gap.items())}; {dict(statuses)}")


def run(suite: str, n_stocks: int, n_weeks: int) -> None:
    """Print one suite."""
    if suite == "agreement":
        agreement(n_stocks, n_weeks)
    elif suite == "relaxed":
        report(suite, relaxed(n_stocks, n_weeks))
    else:
        report(suite, chain(RISKCONTROL if suite == "riskcontrol" else TRACKING_ERROR, n_stocks, n_weeks))
