"""Moments of size, factor classes and tracking error: the formulas by hand, then what the optimizer makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, UnknownName
from alpha_pipeline.portfolio import (
    ConstituentFloor,
    EnhancedIndexSpec,
    FactorClassBound,
    FactorRisk,
    FullyInvested,
    LongOnly,
    MaxDeviation,
    StyleBound,
    StyleMoment,
    TrackingErrorLimit,
    TurnoverLimit,
    optimize,
)
from alpha_pipeline_tests.portfolio.helpers_problem import hand_problem, random_problem, with_risk

# The benchmark is A alone, of size 0.3: deviations of the others from it are 1 and −1 (B, C), 0.5 and −4.5 (D, E).
BARBELL = hand_problem([0.0] * 5, [1.0, 0.0, 0.0, 0.0, 0.0], styles={"size": [0.3, 1.3, -0.7, 0.8, -4.2]})
# Two factors of variance 0.04 and 0.01, independent; specific variances 0.09 and 0.
RISKY = FactorRisk(np.array([[1.0, 0.0], [0.0, 1.0]]), np.diag([0.04, 0.01]), np.array([0.09, 0.0]))


def moments(weights: list[float]) -> list[float]:
    """Second and third moment of size beyond the benchmark's, read from the excess over a bound of 0."""
    found = [StyleMoment("size", m, 0.0).excess(BARBELL, np.array(weights)) for m in (2, 3)]
    return [part.get(f"style_moment[size^{m}]", 0.0) for m, part in zip((2, 3), found, strict=True)]


class TestExamples:
    def test_symmetric_barbell(self):
        """½ at +a and ½ at −a around the benchmark: mean 0, second moment a², third 0."""
        assert moments([0.0, 0.5, 0.5, 0.0, 0.0]) == pytest.approx([1.0, 0.0], abs=1e-12)

    def test_lopsided_barbell(self):
        """0.9 at c and 0.1 at −9c: mean 0, second moment 0.9c² + 8.1c² = 9c², third 0.9c³ − 72.9c³ = −72c³; c = ½."""
        assert moments([0.0, 0.0, 0.0, 0.9, 0.1]) == pytest.approx([9 * 0.25, 72 * 0.125], abs=1e-12)
        rows = StyleMoment("size", 3, 0.0).rows(BARBELL)
        assert float((rows.matrix @ np.array([0.0, 0.0, 0.0, 0.9, 0.1]))[0]) == pytest.approx(-72 * 0.125)

    @pytest.mark.parametrize(
        ("constraint", "inside", "outside", "label", "excess"),
        [
            (StyleMoment("size", 2, 0.4), [0.6, 0.2, 0.2, 0, 0], [0.5, 0.25, 0.25, 0, 0], "style_moment[size^2]", 0.1),
            (StyleMoment("size", 3, 0.4), [0.6, 0.4, 0, 0, 0], [0.5, 0.5, 0, 0, 0], "style_moment[size^3]", 0.1),
            # 0.2·(1.3 − 0.3) = 0.2 is inside 0.25, 0.3 is not.
            (FactorClassBound("ordinary", 0.25), [0.8, 0.2, 0, 0, 0], [0.7, 0.3, 0, 0, 0], "factor_class_bound[ordinary:size]", 0.05),
        ],
    )
    def test_one_point_inside_and_one_outside(self, constraint, inside, outside, label, excess):
        assert all(value <= 1e-12 for value in constraint.excess(BARBELL, np.array(inside)).values())
        assert constraint.excess(BARBELL, np.array(outside)) == {label: pytest.approx(excess, abs=1e-12)}

    def test_tracking_error_inside_and_outside(self):
        """Active +a, −a: variance a²(0.04 + 0.09) + a²·0.01 = 0.14 a². At a = 0.1 that is 3.74 %, at 0.12 4.49 %."""
        problem = hand_problem([1.0, 0.0], [0.5, 0.5])
        object.__setattr__(problem, "risk", RISKY)
        limit = TrackingErrorLimit(0.04)
        assert limit.excess(problem, np.array([0.6, 0.4])) == {}
        assert limit.excess(problem, np.array([0.62, 0.38])) == {"tracking_error": pytest.approx(0.12 * 0.14**0.5 - 0.04)}

    @pytest.mark.parametrize("solver", ["ecos", "clarabel"])
    def test_two_assets_stop_at_the_tracking_error(self, solver):
        """The move of a earns a and has a tracking error of a·√0.14: a = 0.04 / √0.14, each unit of limit earns 1 / √0.14."""
        problem = hand_problem([1.0, 0.0], [0.5, 0.5])
        object.__setattr__(problem, "risk", RISKY)
        spec = EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly(), TrackingErrorLimit(0.04)), solver=solver)
        result = optimize(problem, spec)
        assert result.weights[0] - 0.5 == pytest.approx(0.04 / 0.14**0.5, abs=1e-8)
        assert result.tracking_error == pytest.approx(0.04, abs=1e-9)
        assert result.duals["tracking_error"] == pytest.approx(1 / 0.14**0.5, rel=1e-5)
        assert "tracking_error" in {b.constraint for b in result.binding}

    @pytest.mark.parametrize("solver", ["ecos", "clarabel"])
    def test_risk_aversion_balances_gain_and_variance(self, solver):
        """Maximize a − λ·0.14·a²: a = 1 / (2λ·0.14) = 0.25 for λ = 1/0.07; the objective is 0.5 + 0.25/2."""
        problem = hand_problem([1.0, 0.0], [0.5, 0.5])
        object.__setattr__(problem, "risk", RISKY)
        result = optimize(problem, EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly()), solver=solver, risk_aversion=1 / 0.07))
        assert result.weights == pytest.approx([0.75, 0.25], abs=1e-7)
        assert result.objective == pytest.approx(0.5 + 0.125, abs=1e-8)

    def test_second_moment_takes_the_barbell_apart(self):
        """B and C pay; mean size is neutral either way. A bound of 0.4 on the second moment lets 20 % go into each."""
        problem = hand_problem([0.0, 1.0, 1.0, -1.0, -1.0], [1.0, 0, 0, 0, 0], styles={"size": [0.3, 1.3, -0.7, 0.8, -4.2]})
        rules = (FullyInvested(), LongOnly(), StyleBound("size", 0.0))
        assert optimize(problem, EnhancedIndexSpec("x", rules)).weights == pytest.approx([0, 0.5, 0.5, 0, 0], abs=1e-9)
        bounded = optimize(problem, EnhancedIndexSpec("x", (*rules, StyleMoment("size", 2, 0.4), StyleMoment("size", 3, 0.1))))
        assert bounded.weights == pytest.approx([0.6, 0.2, 0.2, 0, 0], abs=1e-9)
        assert bounded.duals["style_moment[size^2]"] == pytest.approx(1.0, abs=1e-6)

    @pytest.mark.parametrize("solver", ["highs", "ecos", "clarabel"])
    def test_floor_of_all_constituents_and_a_partial_position(self, solver):
        """100 % constituents: nothing in C although it pays most. Position 80 %: the floor is a share of the portfolio's value."""
        problem = hand_problem([1.0, 0.0, 9.0], [0.5, 0.5, 0.0])
        full = optimize(problem, EnhancedIndexSpec("x", (FullyInvested(), LongOnly(), MaxDeviation(0.1), ConstituentFloor(1.0)), solver=solver))
        assert full.weights == pytest.approx([0.6, 0.4, 0.0], abs=1e-7)
        part = optimize(problem, EnhancedIndexSpec("x", (FullyInvested(0.8), LongOnly(), MaxDeviation(0.2)), solver=solver))
        assert part.weights == pytest.approx([0.3, 0.3, 0.2], abs=1e-8)


class TestProperties:
    @pytest.mark.parametrize(
        "constraint",
        [StyleMoment("size", 2, 0.05), StyleMoment("size", 3, 0.1), FactorClassBound("all", 0.03), FactorClassBound("v", 0.01, ("value",))],
    )
    def test_rows_agree_with_the_formula(self, constraint):
        problem, rng = random_problem(3), np.random.default_rng(0)
        for _ in range(20):
            weights = np.abs(problem.benchmark_weights + rng.normal(0, 0.004, problem.n_stocks))
            rows = constraint.rows(problem)
            at = rows.matrix @ weights
            worst = float(np.maximum(at - rows.upper, rows.lower - at).max())
            assert max(constraint.excess(problem, weights).values(), default=0.0) == pytest.approx(max(worst, 0.0), abs=1e-12)

    def test_tracking_error_is_that_of_the_whole_covariance(self):
        problem = with_risk(random_problem(3), 3)
        active = np.random.default_rng(0).normal(0, 0.01, problem.n_stocks)
        model = problem.risk
        covariance = model.exposures @ model.factor_covariance @ model.exposures.T + np.diag(model.specific_variance)
        assert model.tracking_error(active) == pytest.approx(np.sqrt(active @ covariance @ active), rel=1e-12)
        assert model.root() @ model.root().T == pytest.approx(model.factor_covariance, abs=1e-14)

    def test_all_styles_are_those_without_a_dot(self):
        """A panel's field is bounded only by a class that names it."""
        problem = hand_problem([0.0, 0.0], [0.5, 0.5], styles={"size": [1.0, -1.0], "daily.turn@20": [1.0, -1.0]})
        assert FactorClassBound("style", 0.1).rows(problem).labels == ("factor_class_bound[style:size]",)
        assert list(FactorClassBound("other", 0.1, ("daily.turn@20",)).excess(problem, np.array([0.6, 0.4]))) == [
            "factor_class_bound[other:daily.turn@20]"]

    def test_benchmark_satisfies_them_all(self):
        problem = with_risk(random_problem(5, first=True), 5)
        for constraint in (StyleMoment("size", 2, 0.0), StyleMoment("size", 3, 0.0), FactorClassBound("all", 0.0), TrackingErrorLimit(1e-9)):
            assert all(v < 1e-12 for v in constraint.excess(problem, problem.benchmark_weights).values())


class TestErrors:
    @pytest.mark.parametrize(
        "build",
        [
            lambda: StyleMoment("size", 1, 0.1), lambda: StyleMoment("size", 2, -0.1), lambda: FactorClassBound("a", -1.0),
            lambda: TrackingErrorLimit(0.0),
        ],
    )
    def test_limits_out_of_range(self, build):
        with pytest.raises(InvalidSpec, match="out of range"):
            build()

    def test_a_linear_solver_refuses_risk(self):
        spec = EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly(), TrackingErrorLimit(0.04)))
        with pytest.raises(InvalidSpec, match="solver highs solves linear programs, and risk is not linear.*Set solver='clarabel'"):
            optimize(hand_problem([1.0, 0.0], [0.5, 0.5]), spec)

    def test_a_problem_without_risk_or_with_gaps(self):
        spec = EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly(), TrackingErrorLimit(0.04)), solver="clarabel")
        with pytest.raises(BadInput, match="hand 2021-03-05: no risk model"):
            optimize(hand_problem([1.0, 0.0], [0.5, 0.5]), spec)
        problem = hand_problem([1.0, 0.0], [0.5, 0.5])
        object.__setattr__(problem, "risk", FactorRisk(np.ones((2, 1)), np.eye(1), np.array([np.nan, 0.1])))
        with pytest.raises(BadInput, match="hand 2021-03-05 A: no risk for 1 held names or constituents"):
            optimize(problem, spec)

    def test_covariances_that_are_none(self):
        ones = np.ones((2, 2))
        with pytest.raises(Misaligned, match="factor_covariance does not match"):
            FactorRisk(ones, np.eye(3), np.ones(2))
        with pytest.raises(BadInput, match="not positive semidefinite"):
            FactorRisk(ones, np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2))
        with pytest.raises(BadInput, match="not symmetric"):
            FactorRisk(ones, np.array([[1.0, 0.5], [0.0, 1.0]]), np.ones(2))
        with pytest.raises(BadInput, match="specific variance is negative"):
            FactorRisk(ones, np.eye(2), np.array([0.1, -0.1]))

    def test_class_that_names_an_unknown_or_repeated_factor(self):
        with pytest.raises(UnknownName, match="unknown style 'sise'"):
            FactorClassBound("ordinary", 0.5, ("sise",)).rows(BARBELL)
        with pytest.raises(InvalidSpec, match="named twice"):
            FactorClassBound("ordinary", 0.5, ("size", "size"))
        with pytest.raises(InvalidSpec, match=r"constraint given twice \(got style_moment\[size\^2\]\)"):
            EnhancedIndexSpec("x", (FullyInvested(), LongOnly(), StyleMoment("size", 2, 0.1), StyleMoment("size", 2, 0.2), TurnoverLimit(1.0)))
