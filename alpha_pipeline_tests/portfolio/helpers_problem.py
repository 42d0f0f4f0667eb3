"""Small rebalance problems for the tests of the optimizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alpha_pipeline.portfolio import (
    ConstituentFloor,
    EnhancedIndexSpec,
    FactorRisk,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    PortfolioProblem,
    StyleBound,
    TurnoverLimit,
)


def hand_problem(alpha, benchmark, current=None, industry=None, **optional) -> PortfolioProblem:
    """A problem from plain lists; one industry unless given. Names are A, B, C, …"""
    n = len(alpha)
    return PortfolioProblem(
        symbols=tuple("ABCDEFGHIJ"[:n]),
        alpha=np.array(alpha, dtype=float),
        benchmark_weights=np.array(benchmark, dtype=float),
        current_weights=None if current is None else np.array(current, dtype=float),
        industry=np.zeros(n, dtype=int) if industry is None else np.array(industry),
        styles={name: np.array(exposure, dtype=float) for name, exposure in optional.get("styles", {}).items()},
        can_buy=None if "can_buy" not in optional else np.array(optional["can_buy"]),
        can_sell=None if "can_sell" not in optional else np.array(optional["can_sell"]),
        where="hand 2021-03-05",
    )


def random_problem(seed: int, n: int = 120, first: bool = False) -> PortfolioProblem:
    """An index of a third of the names, drifted holdings, suspensions, limit days, unscored names."""
    rng = np.random.default_rng(seed)
    members = rng.choice(n, n // 3, replace=False)
    benchmark = np.zeros(n)
    benchmark[members] = rng.uniform(0.2, 1.8, len(members))
    benchmark /= benchmark.sum()
    current = None
    if not first:
        current = np.where(rng.random(n) < 0.7, benchmark * rng.uniform(0.7, 1.3, n), 0.0)
        current[rng.choice(n, n // 10, replace=False)] += 0.005
        current /= current.sum() * 1.002
    alpha = rng.normal(size=n)
    alpha[rng.random(n) < 0.03] = np.nan
    suspended, limit_up, limit_down = rng.random(n) < 0.02, rng.random(n) < 0.03, rng.random(n) < 0.03
    return PortfolioProblem(
        symbols=tuple(f"S{i:04d}" for i in range(n)),
        alpha=alpha,
        benchmark_weights=benchmark,
        current_weights=current,
        industry=rng.integers(-1, 8, n),
        styles={"size": rng.normal(size=n) + (benchmark > 0), "value": rng.normal(size=n)},
        can_buy=~(suspended | limit_up),
        can_sell=~(suspended | limit_down),
        where=f"random {seed}",
    )


def with_risk(problem: PortfolioProblem, seed: int, n_factors: int = 10) -> PortfolioProblem:
    """The problem with a random factor model: factor volatilities of about 10 %, specific ones of 10 to 40 % a year."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_factors, n_factors)) * 0.03
    covariance = root @ root.T + np.eye(n_factors) * 0.0004
    n = problem.n_stocks
    return replace(problem, risk=FactorRisk(rng.normal(size=(n, n_factors)), covariance, rng.uniform(0.1, 0.4, n) ** 2))


def enhanced(
    solver: str = "highs",
    deviation: float = 0.01,
    floor: float = 0.8,
    industry: float = 0.02,
    size: float = 0.2,
    value: float = 0.3,
    turnover: float = 0.4,
) -> EnhancedIndexSpec:
    """The linear constraints of the reports."""
    constraints = (
        FullyInvested(),
        LongOnly(),
        MaxDeviation(deviation),
        ConstituentFloor(floor),
        IndustryBound(industry),
        StyleBound("size", size),
        StyleBound("value", value),
        TurnoverLimit(turnover, "two"),
    )
    return EnhancedIndexSpec("000905.SH", constraints, solver=solver)
