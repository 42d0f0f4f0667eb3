"""The optimizer on problems small enough to solve by hand, then against a second formulation."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.portfolio import (
    EnhancedIndexSpec,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    TurnoverLimit,
    optimize,
    violations,
)
from alpha_pipeline_tests.portfolio.helpers_problem import enhanced, hand_problem, random_problem

SOLVERS = ("highs", "clarabel", "ecos")


def plain(*more, solver="highs", **settings) -> EnhancedIndexSpec:
    return EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly(), *more), solver=solver, **settings)


class TestExamples:
    @pytest.mark.parametrize("solver", SOLVERS)
    def test_two_assets_move_to_the_deviation_limit(self, solver):
        """Benchmark 60/40, A has the higher alpha, at most 10 % away: 70/30, objective 0.7·1 + 0.3·0."""
        result = optimize(hand_problem([1.0, 0.0], [0.6, 0.4]), plain(MaxDeviation(0.1), solver=solver))
        assert result.weights == pytest.approx([0.7, 0.3], abs=1e-9)
        assert result.objective == pytest.approx(0.7, abs=1e-8)
        assert result.status == "optimal"
        assert result.relaxations == ()

    def test_two_assets_stop_at_the_turnover_limit(self):
        """Two-sided 8 % moves 4 % of the portfolio; the same limit stated one-sided is 4 %. Each unit of it earns (1 − 0)/2."""
        problem = hand_problem([1.0, 0.0], [0.6, 0.4], current=[0.6, 0.4])
        two = optimize(problem, plain(TurnoverLimit(0.08, "two")))
        one = optimize(problem, plain(TurnoverLimit(0.04, "one")))
        assert two.weights == pytest.approx([0.64, 0.36], abs=1e-10)
        assert np.array_equal(two.weights, one.weights)
        assert two.turnover_two_sided == pytest.approx(0.08, abs=1e-10)
        assert two.duals["turnover"] == pytest.approx(0.5, abs=1e-6)
        assert "turnover" in {b.constraint for b in two.binding}

    @pytest.mark.parametrize("solver", SOLVERS)
    def test_three_assets_with_neutral_industries(self, solver):
        """A and B are one industry: money moves from B to A only, C keeps its weight although its alpha is highest."""
        problem = hand_problem([1.0, 0.0, 5.0], [0.3, 0.3, 0.4], industry=[0, 0, 1])
        result = optimize(problem, plain(MaxDeviation(0.1), IndustryBound(0.0), solver=solver))
        assert result.weights == pytest.approx([0.4, 0.2, 0.4], abs=1e-9)

    def test_three_assets_with_neutral_size(self):
        """Sizes 1, 0, −1: buying A (size +1) must be paired with buying C (−1), both paid by B: a = c, b = 1 − 2a ≥ 0.2."""
        problem = hand_problem([1.0, 0.0, 0.5], [0.3, 0.4, 0.3], styles={"size": [1.0, 0.0, -1.0]})
        result = optimize(problem, plain(MaxDeviation(0.2), StyleBound("size", 0.0)))
        assert result.weights == pytest.approx([0.4, 0.2, 0.4], abs=1e-9)

    def test_zero_alpha_does_not_trade(self):
        problem = hand_problem([0.0, 0.0, 0.0], [0.5, 0.3, 0.2], current=[0.5, 0.3, 0.2])
        result = optimize(problem, plain(MaxDeviation(0.1), TurnoverLimit(0.5)))
        assert np.array_equal(result.weights, [0.5, 0.3, 0.2])
        assert result.turnover_two_sided == 0.0

    def test_equal_alphas_do_not_trade_away_from_a_drifted_portfolio(self):
        problem = hand_problem([1.0, 1.0, 1.0], [0.5, 0.3, 0.2], current=[0.55, 0.25, 0.2])
        assert np.array_equal(optimize(problem, plain(MaxDeviation(0.1))).weights, [0.55, 0.25, 0.2])

    def test_zero_alpha_starts_with_the_benchmark(self):
        result = optimize(hand_problem([0.0, 0.0], [0.7, 0.3]), plain(MaxDeviation(0.1), TurnoverLimit(0.2)))
        assert result.weights == pytest.approx([0.7, 0.3], abs=1e-12)
        assert result.is_first
        assert "first portfolio: the turnover limit does not apply" in result.notes
        assert result.turnover_two_sided == pytest.approx(1.0)

    def test_cash_of_a_drifted_portfolio_is_invested(self):
        problem = hand_problem([0.0, 1.0], [0.5, 0.5], current=[0.5, 0.4])
        assert optimize(problem, plain(MaxDeviation(0.2), TurnoverLimit(0.1))).weights == pytest.approx([0.5, 0.5], abs=1e-10)

    def test_cost_stops_a_trade_that_earns_less(self):
        """A swap of one unit earns 1 and costs 0.6 + 0.5: not made. At 0.4 + 0.5 it is."""
        problem = hand_problem([1.0, 0.0], [0.5, 0.5], current=[0.5, 0.5])
        assert np.array_equal(optimize(problem, plain(MaxDeviation(0.1), buy_cost=0.6, sell_cost=0.5)).weights, [0.5, 0.5])
        made = optimize(problem, plain(MaxDeviation(0.1), buy_cost=0.4, sell_cost=0.5))
        assert made.weights == pytest.approx([0.6, 0.4], abs=1e-10)
        assert made.objective == pytest.approx(0.6 - 0.1 * 0.9, abs=1e-9)

    def test_first_portfolio_pays_for_everything_it_buys(self):
        """All of it is bought whatever is chosen, so a cost above the gain of the swap does not stop it: 0.6·1 − 1·0.6 = 0."""
        result = optimize(hand_problem([1.0, 0.0], [0.5, 0.5]), plain(MaxDeviation(0.1), buy_cost=0.6, sell_cost=0.5))
        assert result.weights == pytest.approx([0.6, 0.4], abs=1e-10)
        assert result.objective == pytest.approx(0.0, abs=1e-9)

    def test_unscored_name_is_held_or_sold_but_not_bought(self):
        problem = hand_problem([np.nan, 1.0, -1.0], [0.4, 0.3, 0.3], current=[0.2, 0.4, 0.4])
        result = optimize(problem, plain(MaxDeviation(0.3)))
        assert result.weights == pytest.approx([0.2, 0.6, 0.2], abs=1e-9)
        assert any("held names without a score" in note for note in result.notes)

    def test_suspended_limit_up_and_limit_down(self):
        """A is suspended (kept), B limit-up (not bought although best), C limit-down (not sold although worst); D pays for E."""
        problem = hand_problem(
            [0.0, 9.0, -9.0, 0.0, 1.0],
            [0.2] * 5,
            current=[0.25, 0.15, 0.2, 0.2, 0.2],
            can_buy=[False, False, True, True, True],
            can_sell=[False, True, False, True, True],
        )
        result = optimize(problem, plain(MaxDeviation(0.1)))
        assert result.weights == pytest.approx([0.25, 0.15, 0.2, 0.1, 0.3], abs=1e-9)

    def test_min_trade_undoes_a_small_trade(self):
        """Turnover of 10.2 % is used up by A +5 %, B +0.1 %, paid by D −5 % and C −0.1 %; the small pair goes."""
        problem = hand_problem([2.0, 1.0, 0.0, -0.1], [0.25] * 4, current=[0.25] * 4)
        loose = optimize(problem, plain(MaxDeviation(0.05), TurnoverLimit(0.102)))
        assert loose.weights == pytest.approx([0.30, 0.251, 0.249, 0.20], abs=1e-9)
        clean = optimize(problem, plain(MaxDeviation(0.05), TurnoverLimit(0.102), min_trade=0.005))
        assert clean.weights == pytest.approx([0.30, 0.25, 0.25, 0.20], abs=1e-9)
        assert clean.notes == ("2 trades below min_trade undone",)

    def test_min_trade_gives_in_to_the_limits(self):
        """The industry must move back by 0.1 %, a trade below the minimum: it is kept, and said."""
        problem = hand_problem([0.0, 0.0], [0.5, 0.5], current=[0.501, 0.499], industry=[0, 1])
        result = optimize(problem, plain(IndustryBound(0.0), min_trade=0.01))
        assert result.weights == pytest.approx([0.5, 0.5], abs=1e-9)
        assert result.notes == ("2 trades below min_trade kept: the limits need them",)

    def test_unknown_industry_is_a_class_of_its_own(self):
        problem = hand_problem([1.0, 0.0, 0.0], [0.4, 0.3, 0.3], industry=[-1, 0, 0])
        result = optimize(problem, plain(MaxDeviation(0.2), IndustryBound(0.05)))
        assert result.weights[0] == pytest.approx(0.45, abs=1e-9)
        assert "1 names without an industry form a class of their own" in result.notes
        assert "industry_bound[unknown]" in {b.constraint for b in result.binding}


def second_formulation(problem, spec_limits: dict[str, float]) -> float:
    """The same problem written from its formulas in cvxpy, on weights, without any of our assembly. Returns the optimum."""
    w, base = cp.Variable(problem.n_stocks), problem.benchmark_weights
    held = problem.held
    rules = [
        cp.sum(w) == 1,
        w >= 0,
        cp.abs(w - base) <= spec_limits["deviation"],
        cp.sum(w[np.flatnonzero(base > 0)]) >= spec_limits["floor"],
        cp.abs(problem.styles["size"] @ (w - base)) <= spec_limits["size"],
        cp.abs(problem.styles["value"] @ (w - base)) <= spec_limits["value"],
    ]
    rules += [
        cp.abs(cp.sum((w - base)[np.flatnonzero(problem.industry == k)])) <= spec_limits["industry"]
        for k in np.unique(problem.industry)
    ]
    if problem.current_weights is not None:
        rules.append(cp.norm1(w - held) <= spec_limits["turnover"])
    no_buy, no_sell = ~problem.can_buy | np.isnan(problem.alpha), ~problem.can_sell
    rules += [w[np.flatnonzero(no_buy)] <= held[no_buy], w[np.flatnonzero(no_sell)] >= held[no_sell]]
    program = cp.Problem(cp.Maximize(np.nan_to_num(problem.alpha) @ w), rules)
    return float(program.solve(solver="CLARABEL"))


class TestProperties:
    LIMITS = {"deviation": 0.02, "floor": 0.8, "industry": 0.04, "size": 0.3, "value": 0.4, "turnover": 0.5}

    @pytest.mark.parametrize("seed", range(20))
    def test_solvers_agree_with_each_other_and_with_a_second_formulation(self, seed):
        problem = random_problem(seed, n=60, first=seed % 4 == 3)
        limits = self.LIMITS | {"deviation": 0.09}
        results = [optimize(problem, enhanced(solver, **limits)) for solver in SOLVERS]
        assert max(r.max_violation for r in results) <= 1e-8
        objectives = [r.objective for r in results]
        assert max(objectives) - min(objectives) < 1e-6
        if results[0].status == "optimal":
            assert objectives[0] == pytest.approx(second_formulation(problem, limits), abs=1e-6)

    def test_most_of_those_problems_need_no_relaxation(self):
        """Otherwise the comparison above would compare little."""
        limits = self.LIMITS | {"deviation": 0.09}
        statuses = [optimize(random_problem(seed, n=60, first=seed % 4 == 3), enhanced(**limits)).status for seed in range(20)]
        assert statuses.count("optimal") >= 15

    def test_solvers_agree_on_duals(self):
        problem = random_problem(1)
        first, second = (optimize(problem, enhanced(solver)).duals for solver in ("highs", "clarabel"))
        assert first == pytest.approx(second, abs=1e-5)
        assert max(first.values()) > 0.1

    @pytest.mark.parametrize(("name", "step"), [("turnover", 1e-5), ("size", 1e-5), ("industry", 1e-6), ("floor", -1e-6)])
    def test_dual_is_the_gain_per_unit_of_loosening(self, name, step):
        limits = {"turnover": 0.6, "size": 0.02, "industry": 0.005, "floor": 0.97, "value": 0.3, "deviation": 0.02}
        problem = random_problem(3, n=150)
        base, looser = (
            optimize(problem, enhanced(**limits)),
            optimize(problem, enhanced(**(limits | {name: limits[name] + step}))),
        )
        assert not any(r.constraint == "turnover" for r in base.relaxations)
        price = {
            "turnover": base.duals["turnover"],
            "size": base.duals["style_bound[size]"],
            "floor": base.duals["constituent_floor"],
        }
        price["industry"] = sum(value for label, value in base.duals.items() if label.startswith("industry"))
        assert price[name] > 0.05
        assert (looser.objective - base.objective) / abs(step) == pytest.approx(price[name], rel=0.01)

    @pytest.mark.parametrize(
        "looser", [{"turnover": 0.5}, {"deviation": 0.015}, {"floor": 0.7}, {"industry": 0.03}, {"size": 0.3}, {"value": 0.5}]
    )
    def test_loosening_a_limit_never_lowers_the_objective(self, looser):
        for seed in range(4):
            problem = random_problem(seed)
            base, loose = optimize(problem, enhanced()), optimize(problem, enhanced(**looser))
            if base.status == "optimal":
                assert loose.objective >= base.objective - 1e-8

    def test_same_input_same_bits(self):
        problem = random_problem(2)
        for solver in SOLVERS:
            first = optimize(problem, enhanced(solver))
            optimize(problem, enhanced(solver, turnover=0.9))
            second = optimize(problem, enhanced(solver))
            assert np.array_equal(first.weights, second.weights)

    def test_scaling_alpha_changes_nothing(self):
        """Returns in percent or in z-scores: same portfolio, because tolerances are relative to the largest alpha."""
        problem = random_problem(2)
        scaled = random_problem(2)
        object.__setattr__(scaled, "alpha", problem.alpha * 2.0**-10)
        assert np.array_equal(optimize(problem, enhanced()).weights, optimize(scaled, enhanced()).weights)

    def test_order_of_names_does_not_matter(self):
        problem = random_problem(4)
        order = np.random.default_rng(0).permutation(problem.n_stocks)
        shuffled = type(problem)(
            tuple(problem.symbols[i] for i in order), problem.alpha[order], problem.benchmark_weights[order],
            problem.current_weights[order], problem.industry[order], {k: v[order] for k, v in problem.styles.items()},
            problem.can_buy[order], problem.can_sell[order], problem.where,
        )  # fmt: skip
        assert optimize(shuffled, enhanced()).weights == pytest.approx(optimize(problem, enhanced()).weights[order], abs=1e-8)

    def test_inputs_are_not_changed(self):
        problem = random_problem(6)
        before = {
            name: np.copy(getattr(problem, name))
            for name in ("alpha", "benchmark_weights", "current_weights", "industry", "can_buy")
        }
        optimize(problem, enhanced())
        assert all(np.array_equal(getattr(problem, name), value, equal_nan=name == "alpha") for name, value in before.items())

    def test_verification_sees_a_wrong_portfolio(self):
        """The check that guards every result is fed portfolios that break each rule."""
        problem = random_problem(8)
        spec = enhanced()
        assert violations(problem, spec.constraints, (), np.full(problem.n_stocks, 1.0 / problem.n_stocks))
        result = optimize(problem, spec)
        moved = result.weights.copy()
        moved[[0, 1]] += [1e-6, 0.0]
        assert violations(problem, spec.constraints, result.relaxations, moved)["fully_invested"] == pytest.approx(1e-6, rel=1e-3)


class TestErrors:
    def test_unknown_solver(self):
        with pytest.raises(UnknownName, match="unknown solver 'gurobi' .expected one of highs, ecos, clarabel"):
            plain(solver="gurobi")

    def test_missing_and_repeated_constraints(self):
        with pytest.raises(InvalidSpec, match="constraint long_only is missing"):
            EnhancedIndexSpec("000905.SH", (FullyInvested(),))
        with pytest.raises(InvalidSpec, match=r"constraint given twice \(got style_bound\[size\]\)"):
            plain(StyleBound("size", 0.1), StyleBound("size", 0.2), StyleBound("value", 0.2))

    def test_negative_cost(self):
        with pytest.raises(InvalidSpec, match="buy_cost out of range"):
            plain(buy_cost=-0.1)
