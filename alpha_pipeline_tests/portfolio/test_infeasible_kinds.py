"""Every way in which a week can be infeasible, with and without a tracking-error limit: resolved by the least relaxation, or refused with the reason.

Turnover, drifted holdings, suspended holdings, an industry of which nothing trades, limits that contradict each other. Under
``on_infeasible='raise'`` the first four are refused with what misses by how much; the last is always refused.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpha_pipeline.errors import Infeasible
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
    TrackingErrorLimit,
    TurnoverLimit,
    optimize,
)
from alpha_pipeline_tests.portfolio.helpers_problem import enhanced, hand_problem, random_problem

ANY = TrackingErrorLimit(0.9)  # never binds: it makes the program a cone program


def spec(*limits, cone: bool, **settings) -> EnhancedIndexSpec:
    rules = (FullyInvested(), LongOnly(), *limits, *([ANY] if cone else []))
    return EnhancedIndexSpec("000300.SH", rules, solver="clarabel" if cone else "highs", **settings)


def with_model(problem: PortfolioProblem) -> PortfolioProblem:
    n = problem.n_stocks
    return replace(problem, risk=FactorRisk(np.ones((n, 1)), np.array([[0.01]]), np.full(n, 0.04)))


def drifted() -> tuple[PortfolioProblem, tuple, str, float]:
    """A has drifted to 0.8; 0.6 is allowed, which takes a turnover of 0.4, and 0.1 is."""
    return hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.8, 0.2]), (MaxDeviation(0.1), TurnoverLimit(0.1)), "turnover", 0.3


def new_style_bound() -> tuple[PortfolioProblem, tuple, str, float]:
    """Held 0.3 of A, active size −0.4; neutral size needs 0.5 of it: turnover 0.4 against 0.1."""
    problem = hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.3, 0.7], styles={"size": [1.0, -1.0]})
    return problem, (StyleBound("size", 0.0), TurnoverLimit(0.1)), "turnover", 0.3


def suspended_holding() -> tuple[PortfolioProblem, tuple, str, float]:
    """A, of industry 0, is stuck at 0.7; its industry may have 0.6."""
    problem = hand_problem([0.0, 1.0, 0.0], [0.5, 0.25, 0.25], current=[0.7, 0.1, 0.2], industry=[0, 1, 1], can_buy=[False, True, True],
                           can_sell=[False, True, True])
    return problem, (IndustryBound(0.1),), "industry_bound[0]", 0.1


def suspended_industry() -> tuple[PortfolioProblem, tuple, str, float]:
    """Nothing of industry 0 trades, 0.5 of the benchmark and 0.2 held; it may miss 0.1."""
    problem = hand_problem([0.0, 0.0, 1.0], [0.25, 0.25, 0.5], current=[0.1, 0.1, 0.8], industry=[0, 0, 1], can_buy=[False, False, True],
                           can_sell=[False, False, True])
    return problem, (IndustryBound(0.1),), "industry_bound[0]", 0.2


CASES = [drifted, new_style_bound, suspended_holding, suspended_industry]


class TestExamples:
    @pytest.mark.parametrize("cone", [False, True], ids=["linear", "cone"])
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
    def test_resolved_by_the_least_amount(self, case, cone):
        problem, limits, label, amount = case()
        result = optimize(with_model(problem), spec(*limits, cone=cone))
        assert result.status == "relaxed"
        found = {r.constraint: r for r in result.relaxations}
        assert found[label].amount == pytest.approx(amount, abs=2e-5)
        assert "conflict with holdings and trading restrictions" in found[label].reason
        assert result.max_violation <= 1e-8

    @pytest.mark.parametrize("cone", [False, True], ids=["linear", "cone"])
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
    def test_refused_with_the_reason(self, case, cone):
        problem, limits, label, amount = case()
        name = label.replace("[", r"\[").replace("]", r"\]")
        with pytest.raises(Infeasible, match=rf"hand 2021-03-05: infeasible: .*{name} [\d.]+ misses by {amount:.2f}"):
            optimize(with_model(problem), spec(*limits, cone=cone, on_infeasible="raise"))

    @pytest.mark.parametrize("cone", [False, True], ids=["linear", "cone"])
    @pytest.mark.parametrize("on_infeasible", ["relax", "raise"])
    def test_contradictory_limits_are_refused_either_way(self, cone, on_infeasible):
        """A position of 50 % cannot hold 80 % in constituents, whatever can be traded and whatever is to be relaxed."""
        limits = (FullyInvested(0.5), LongOnly(), ConstituentFloor(0.8), *([ANY] if cone else []))
        wrong = EnhancedIndexSpec("000300.SH", limits, solver="clarabel" if cone else "highs", on_infeasible=on_infeasible)
        message = r"contradict each other even if every name could be traded .got missed at best: constituent_floor by 0.3"
        with pytest.raises(Infeasible, match=message):
            optimize(with_model(hand_problem([0.0, 1.0], [0.5, 0.5])), wrong)


class TestProperties:
    def test_two_solvers_agree_on_two_hundred_random_instances(self):
        """HiGHS (simplex) and Clarabel (interior point, through cvxpy) share no code after the rows."""
        limits = {"deviation": 0.12, "floor": 0.7, "industry": 0.08, "size": 0.4, "value": 0.5, "turnover": 1.4}
        n_optimal = 0
        market = random_problem(7, n=30)
        for seed in range(200):  # scores, holdings and restrictions differ; exposures do not, so that the cone program is compiled once
            problem = replace(random_problem(1000 + seed, n=30, first=seed % 4 == 3), industry=market.industry, styles=market.styles,
                              benchmark_weights=market.benchmark_weights)
            simplex, interior = (optimize(problem, enhanced(solver, **limits)) for solver in ("highs", "clarabel"))
            assert simplex.status == interior.status, seed
            assert max(simplex.max_violation, interior.max_violation) <= 1e-8, seed
            assert abs(simplex.objective - interior.objective) <= 1e-6, seed
            n_optimal += simplex.status == "optimal"
        assert n_optimal >= 100, "otherwise the comparison is one of relaxations"
