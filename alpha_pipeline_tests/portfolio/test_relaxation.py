"""What gives way when limits conflict with holdings and trading restrictions: in which order, by how much, and when not."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import Infeasible
from alpha_pipeline.portfolio import (
    ConstituentFloor,
    EnhancedIndexSpec,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    TurnoverLimit,
    optimize,
)
from alpha_pipeline_tests.portfolio.helpers_problem import enhanced, hand_problem, random_problem


def plain(*more, **settings) -> EnhancedIndexSpec:
    return EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly(), *more), **settings)


def amounts(result) -> dict[str, float]:
    return {r.constraint: r.amount for r in result.relaxations}


class TestExamples:
    def test_turnover_gives_way_to_a_drifted_holding(self):
        """A drifted to 80 % where 60 % is allowed: 20 % is sold and bought, 40 % two-sided, 30 % more than the limit."""
        problem = hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.8, 0.2])
        result = optimize(problem, plain(MaxDeviation(0.1), TurnoverLimit(0.1)))
        assert result.status == "relaxed"
        assert amounts(result) == {"turnover": pytest.approx(0.3, abs=1e-8)}
        assert result.relaxations[0].limit_before == pytest.approx(0.1)
        assert result.weights == pytest.approx([0.6, 0.4], abs=1e-8)

    def test_one_sided_limit_is_recorded_two_sided(self):
        problem = hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.8, 0.2])
        result = optimize(problem, plain(MaxDeviation(0.1), TurnoverLimit(0.05, "one")))
        assert (result.relaxations[0].limit_before, result.relaxations[0].amount) == pytest.approx((0.1, 0.3), abs=1e-8)

    def test_suspended_holding_above_its_bound_keeps_its_weight(self):
        problem = hand_problem(
            [0.0, 1.0, 0.0], [0.4, 0.3, 0.3], current=[0.7, 0.2, 0.1], can_buy=[False, True, True], can_sell=[False, True, True]
        )
        result = optimize(problem, plain(MaxDeviation(0.2)))
        assert result.weights[0] == 0.7
        frozen = result.relaxations[0]
        assert (frozen.constraint, frozen.reason) == ("max_deviation[A]", "frozen above bound")
        assert (frozen.amount, frozen.limit_before) == pytest.approx((0.1, 0.2))

    def test_constituent_that_cannot_be_bought_stays_below_its_bound(self):
        problem = hand_problem([5.0, 0.0, 0.0], [0.5, 0.25, 0.25], can_buy=[False, True, True])
        result = optimize(problem, plain(MaxDeviation(0.3)))
        assert result.weights[0] == 0.0
        assert [(r.constraint, r.reason) for r in result.relaxations] == [("max_deviation[A]", "frozen below bound")]
        assert result.relaxations[0].amount == pytest.approx(0.2)

    def test_industry_gives_way_when_all_its_names_are_suspended(self):
        """Industry 0 (A, B) is stuck at 30 % against 50 % in the benchmark: 20 % off, 15 % beyond the bound of 5 %."""
        problem = hand_problem(
            [1.0, 0.0, 0.0, 1.0],
            [0.25] * 4,
            current=[0.15, 0.15, 0.35, 0.35],
            industry=[0, 0, 1, 1],
            can_buy=[False, False, True, True],
            can_sell=[False, False, True, True],
        )
        result = optimize(problem, plain(MaxDeviation(0.2), IndustryBound(0.05), TurnoverLimit(0.2)))
        assert amounts(result) == {
            "industry_bound[0]": pytest.approx(0.15, abs=1e-8),
            "industry_bound[1]": pytest.approx(0.15, abs=1e-8),
        }
        assert result.weights == pytest.approx([0.15, 0.15, 0.25, 0.45], abs=1e-8)

    def test_style_gives_way_before_industry(self):
        """B cannot be bought back, so A alone fills its industry: 60 % of A against 40 %, size +0.2. Less size would take 15 %
        off both industries; neutral industries take size 0.15 beyond its bound of 0.05, and that is what gives way."""
        problem = hand_problem(
            [0.0, 0.0, 0.0],
            [0.4, 0.2, 0.4],
            current=[0.4, 0.0, 0.6],
            industry=[0, 0, 1],
            styles={"size": [1.0, 0.0, 0.0]},
            can_buy=[True, False, True],
        )
        result = optimize(problem, plain(MaxDeviation(0.5), IndustryBound(0.0), StyleBound("size", 0.05), TurnoverLimit(2.0)))
        assert amounts(result) == {"style_bound[size]": pytest.approx(0.15, abs=1e-8)}
        assert result.weights == pytest.approx([0.6, 0.0, 0.4], abs=1e-8)

    def test_industry_gives_way_before_the_constituent_floor(self):
        """Only the outsider C can fill industry 0: neutral industries would leave 60 % in constituents, so they give way."""
        problem = hand_problem(
            [0.0, 0.0, 0.0], [0.4, 0.6, 0.0], current=[0.0, 0.6, 0.4], industry=[0, 1, 0], can_buy=[False, True, True]
        )
        result = optimize(problem, plain(ConstituentFloor(0.8), IndustryBound(0.0)))
        assert amounts(result) == {
            "industry_bound[0]": pytest.approx(0.2, abs=1e-8),
            "industry_bound[1]": pytest.approx(0.2, abs=1e-8),
        }

    def test_turnover_gives_way_before_style(self):
        problem = hand_problem([0.0, 0.0], [0.5, 0.5], current=[0.8, 0.2], styles={"size": [1.0, 0.0]})
        result = optimize(problem, plain(StyleBound("size", 0.1), TurnoverLimit(0.1)))
        assert amounts(result) == {"turnover": pytest.approx(0.3, abs=1e-8)}

    def test_constituent_floor_gives_way_last_and_only_to_restrictions(self):
        """Constituents hold 60 %, the outsider C cannot be sold: the floor of 80 % is missed by 20 %."""
        problem = hand_problem([1.0, 1.0, 0.0], [0.5, 0.5, 0.0], current=[0.3, 0.3, 0.4], can_sell=[True, True, False])
        result = optimize(problem, plain(ConstituentFloor(0.8)))
        assert amounts(result) == {"constituent_floor": pytest.approx(0.2, abs=1e-8)}

    def test_frozen_names_above_a_partial_position(self):
        """Position 50 %, but A with 60 % cannot be sold: the position becomes 60 % and says so."""
        problem = hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.6, 0.2], can_sell=[False, True])
        result = optimize(problem, EnhancedIndexSpec("000300.SH", (FullyInvested(0.5), LongOnly())))
        assert result.weights == pytest.approx([0.6, 0.0], abs=1e-9)
        assert amounts(result)["fully_invested"] == pytest.approx(0.1)


class TestProperties:
    @pytest.mark.parametrize("seed", range(12))
    def test_every_tight_week_is_resolved_and_recorded(self, seed):
        """Limits far tighter than the drifted holdings allow: always a portfolio, verified, with each widened limit named."""
        problem = random_problem(seed)
        result = optimize(problem, enhanced(turnover=0.02, size=0.0, value=0.0, industry=0.0, floor=0.95, deviation=0.012))
        assert result.status == "relaxed"
        assert result.relaxations
        assert result.max_violation <= 1e-8
        assert all(r.amount > 0.0 for r in result.relaxations)

    @pytest.mark.parametrize("seed", range(6))
    def test_relaxation_is_minimal(self, seed):
        """The limit asked for at the relaxed value is feasible; slightly below it is not."""
        problem = random_problem(seed)
        first = optimize(problem, enhanced(turnover=0.02, deviation=0.03, industry=0.05, size=0.5, value=0.5))
        slack = {r.constraint: r for r in first.relaxations}["turnover"]
        needed = slack.limit_before + slack.amount
        assert set(amounts(first)) - {"turnover"} == {r for r in amounts(first) if r.startswith("max_deviation")}
        enough = optimize(problem, enhanced(turnover=needed, deviation=0.03, industry=0.05, size=0.5, value=0.5))
        assert "turnover" not in amounts(enough)
        short = optimize(problem, enhanced(turnover=needed - 1e-5, deviation=0.03, industry=0.05, size=0.5, value=0.5))
        assert amounts(short)["turnover"] == pytest.approx(1e-5, abs=1e-7)

    def test_solvers_relax_alike(self):
        problem = random_problem(3)
        results = [optimize(problem, enhanced(solver, turnover=0.05, industry=0.0)) for solver in ("highs", "clarabel")]
        assert amounts(results[0]) == amounts(results[1])
        assert results[0].objective == pytest.approx(results[1].objective, abs=1e-6)

    def test_trading_restrictions_and_deviation_hold_whatever_else_gives_way(self):
        problem = random_problem(5)
        result = optimize(problem, enhanced(turnover=0.0, size=0.0, industry=0.0, deviation=0.012))
        assert np.array_equal(
            result.weights[~problem.can_sell & ~problem.can_buy], problem.held[~problem.can_sell & ~problem.can_buy]
        )
        widened = np.array([f"max_deviation[{s}]" in amounts(result) for s in problem.symbols])
        assert np.abs(result.weights - problem.benchmark_weights)[~widened].max() <= 0.012 + 1e-9


class TestErrors:
    def test_raise_instead_of_relax(self):
        problem = hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.8, 0.2])
        spec = plain(MaxDeviation(0.1), TurnoverLimit(0.1), on_infeasible="raise")
        with pytest.raises(
            Infeasible,
            match=r"hand 2021-03-05: infeasible: turnover 0.1 misses by 0.3000. Loosen it, or set on_infeasible='relax'",
        ):
            optimize(problem, spec)

    def test_contradictory_limits_name_what_is_missed(self):
        """A position of 50 % cannot hold 80 % in constituents, whatever can be traded."""
        spec = EnhancedIndexSpec("000300.SH", (FullyInvested(0.5), LongOnly(), ConstituentFloor(0.8)))
        with pytest.raises(
            Infeasible,
            match=r"contradict each other even if every name could be traded .got missed at best: constituent_floor by 0.3",
        ):
            optimize(hand_problem([0.0, 1.0], [0.5, 0.5]), spec)

    def test_floor_above_what_the_deviation_limit_allows(self):
        """Position 90 %, each of two constituents at least 49 %: the lower bounds alone exceed the position."""
        spec = EnhancedIndexSpec("000300.SH", (FullyInvested(0.9), LongOnly(), MaxDeviation(0.01)))
        with pytest.raises(Infeasible, match="deviation limit leave no room"):
            optimize(hand_problem([0.0, 1.0], [0.5, 0.5]), spec)

    def test_too_few_names_may_be_held(self):
        problem = hand_problem([np.nan, np.nan, 1.0], [0.5, 0.4, 0.1])
        with pytest.raises(Infeasible, match="the names that may be held cannot fill the portfolio .got a capacity of 0.2"):
            optimize(problem, plain(MaxDeviation(0.1)))
