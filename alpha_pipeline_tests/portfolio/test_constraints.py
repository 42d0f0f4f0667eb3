"""Each constraint with one portfolio inside its limit and one outside, then bad settings."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, UnknownName
from alpha_pipeline.portfolio import (
    CONSTRAINTS,
    ConstituentFloor,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    TurnoverLimit,
    constraint_type,
)
from alpha_pipeline.portfolio.constraints import restriction_excess
from alpha_pipeline_tests.portfolio.helpers_problem import hand_problem, random_problem

# Benchmark A 50 %, B 30 %, C 20 %, D none; A and B are industry 0, C is 1, D has none; holdings equal the benchmark.
PROBLEM = hand_problem(
    [1.0, 0.0, -1.0, 2.0],
    [0.5, 0.3, 0.2, 0.0],
    current=[0.5, 0.3, 0.2, 0.0],
    industry=[0, 0, 1, -1],
    styles={"size": [1.0, 0.0, -1.0, -2.0]},
    can_buy=[True, False, True, True],
    can_sell=[False, True, True, True],
)


class TestExamples:
    @pytest.mark.parametrize(
        ("constraint", "inside", "outside", "label", "excess"),
        [
            (FullyInvested(), [0.5, 0.3, 0.2, 0.0], [0.5, 0.3, 0.1, 0.0], "fully_invested", 0.1),
            (FullyInvested(0.9), [0.5, 0.3, 0.1, 0.0], [0.5, 0.3, 0.2, 0.0], "fully_invested", 0.1),
            (LongOnly(), [0.7, 0.3, 0.0, 0.0], [0.7, 0.35, 0.0, -0.05], "long_only[D]", 0.05),
            (MaxDeviation(0.05), [0.55, 0.25, 0.2, 0.0], [0.44, 0.3, 0.2, 0.06], "max_deviation[A]", 0.01),
            (ConstituentFloor(0.8), [0.4, 0.2, 0.2, 0.2], [0.4, 0.2, 0.15, 0.25], "constituent_floor", 0.05),
            (IndustryBound(0.02), [0.4, 0.41, 0.19, 0.0], [0.5, 0.25, 0.2, 0.05], "industry_bound[unknown]", 0.03),
            (IndustryBound(0.0), [0.4, 0.4, 0.2, 0.0], [0.4, 0.39, 0.21, 0.0], "industry_bound[1]", 0.01),
            # Benchmark size = 0.5 - 0.2 = 0.3; inside 0.6 - 0.1 = 0.5, outside 0.7.
            (StyleBound("size", 0.2), [0.6, 0.3, 0.1, 0.0], [0.7, 0.3, 0.0, 0.0], "style_bound[size]", 0.2),
            (StyleBound("size", 0.2), [0.4, 0.3, 0.3, 0.0], [0.3, 0.3, 0.4, 0.0], "style_bound[size]", 0.2),
            (TurnoverLimit(0.2), [0.6, 0.2, 0.2, 0.0], [0.6, 0.1, 0.2, 0.1], "turnover", 0.2),
            (TurnoverLimit(0.1, "one"), [0.6, 0.2, 0.2, 0.0], [0.6, 0.1, 0.2, 0.1], "turnover", 0.2),
        ],
    )
    def test_one_point_inside_and_one_outside(self, constraint, inside, outside, label, excess):
        inside_excess = constraint.excess(PROBLEM, np.array(inside))
        assert all(value <= 1e-12 for value in inside_excess.values())
        found = constraint.excess(PROBLEM, np.array(outside))
        assert found[label] == pytest.approx(excess, abs=1e-12)

    def test_restrictions_bar_buying_b_and_selling_a(self):
        assert restriction_excess(PROBLEM, np.array([0.6, 0.2, 0.2, 0.0])) == {}
        found = restriction_excess(PROBLEM, np.array([0.4, 0.35, 0.2, 0.05]))
        assert found == {"not_buyable[B]": pytest.approx(0.05), "not_sellable[A]": pytest.approx(0.1)}

    def test_turnover_does_not_apply_to_a_first_portfolio(self):
        first = hand_problem([1.0, 0.0], [0.5, 0.5])
        assert TurnoverLimit(0.01).excess(first, np.array([1.0, 0.0])) == {}


class TestProperties:
    @pytest.mark.parametrize(
        "constraint", [FullyInvested(), ConstituentFloor(0.8), IndustryBound(0.01), StyleBound("size", 0.1), MaxDeviation(0.01)]
    )
    def test_rows_and_box_agree_with_the_formula(self, constraint):
        """What the solver is given and what the check evaluates are written apart; they must say the same."""
        problem = random_problem(3)
        rng = np.random.default_rng(0)
        for _ in range(20):
            weights = np.abs(problem.benchmark_weights + rng.normal(0, 0.004, problem.n_stocks))
            rows, box = constraint.rows(problem), constraint.box(problem)
            worst = 0.0
            if rows is not None:
                at = rows.matrix @ weights
                worst = max(worst, float(np.maximum(at - rows.upper, rows.lower - at).max()))
            if box is not None:
                worst = max(worst, float(np.maximum(weights - box[1], box[0] - weights).max()))
            assert max(constraint.excess(problem, weights).values(), default=0.0) == pytest.approx(max(worst, 0.0), abs=1e-12)

    def test_the_benchmark_satisfies_every_constraint_of_an_index_portfolio(self):
        problem = random_problem(5, first=True)
        for constraint in (
            FullyInvested(),
            LongOnly(),
            MaxDeviation(0.0),
            ConstituentFloor(1.0),
            IndustryBound(0.0),
            StyleBound("size", 0.0),
        ):
            assert all(v < 1e-12 for v in constraint.excess(problem, problem.benchmark_weights).values())

    def test_registry_holds_each_constraint_under_its_name(self):
        assert all(kind.name == name and constraint_type(name) is kind for name, kind in CONSTRAINTS.items())


class TestErrors:
    def test_unknown_constraint(self):
        with pytest.raises(UnknownName, match="unknown constraint 'turn_over'.*Did you mean 'turnover'"):
            constraint_type("turn_over")

    def test_unknown_side_of_turnover(self):
        with pytest.raises(UnknownName, match="unknown side of turnover 'both'"):
            TurnoverLimit(0.3, "both")

    def test_unknown_style(self):
        with pytest.raises(UnknownName, match="unknown style 'sise'.*Did you mean 'size'"):
            StyleBound("sise", 0.1).rows(PROBLEM)

    def test_problem_without_styles(self):
        with pytest.raises(BadInput, match=r"no exposure to style 'size'.*Pass styles="):
            StyleBound("size", 0.1).rows(hand_problem([1.0], [1.0]))

    @pytest.mark.parametrize(
        "build",
        [
            lambda: MaxDeviation(-0.1),
            lambda: IndustryBound(-0.01),
            lambda: StyleBound("size", float("nan")),
            lambda: TurnoverLimit(-1.0),
            lambda: ConstituentFloor(1.2),
            lambda: FullyInvested(0.0),
        ],
    )
    def test_limits_out_of_range(self, build):
        with pytest.raises(InvalidSpec, match="out of range"):
            build()

    def test_benchmark_that_does_not_sum_to_one(self):
        with pytest.raises(BadInput, match=r"hand 2021-03-05: benchmark weights do not sum to 1 \(got 0.900000"):
            hand_problem([1.0, 0.0], [0.5, 0.4])

    def test_negative_and_missing_weights_name_the_stock(self):
        with pytest.raises(BadInput, match="hand 2021-03-05 B: benchmark_weights are negative"):
            hand_problem([1.0, 0.0], [1.1, -0.1])
        with pytest.raises(BadInput, match="hand 2021-03-05 A: current_weights are missing"):
            hand_problem([1.0, 0.0], [0.5, 0.5], current=[np.nan, 0.5])

    def test_holdings_above_the_portfolio(self):
        with pytest.raises(BadInput, match="current weights exceed the portfolio"):
            hand_problem([1.0, 0.0], [0.5, 0.5], current=[0.6, 0.5])

    def test_shape(self):
        with pytest.raises(Misaligned, match=r"industry does not match the symbols \(got shape \(3,\), expected \(2,\)\)"):
            hand_problem([1.0, 0.0], [0.5, 0.5], industry=[0, 0, 0])

    def test_infinite_alpha(self):
        with pytest.raises(BadInput, match="alpha is infinite.*Use NaN"):
            hand_problem([np.inf, 0.0], [0.5, 0.5])

    def test_held_name_without_exposure(self):
        problem = hand_problem([1.0, 0.0], [0.5, 0.5], styles={"size": [np.nan, 0.0]})
        with pytest.raises(BadInput, match="hand 2021-03-05 A: no 'size' exposure for 1 held names or constituents"):
            StyleBound("size", 0.1).rows(problem)
