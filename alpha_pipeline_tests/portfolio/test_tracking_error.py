"""Problems with a tracking-error limit: two solvers, proven gaps, the reduced program of a large market, and what gives way."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from alpha_pipeline.errors import Infeasible
from alpha_pipeline.portfolio import (
    EnhancedIndexSpec,
    FullyInvested,
    LongOnly,
    MaxDeviation,
    PortfolioProblem,
    StyleBound,
    TrackingErrorLimit,
    TurnoverLimit,
    optimize,
)
from alpha_pipeline.portfolio.certificate import certify
from alpha_pipeline.portfolio.cone_program import broken_limit, solve_cone
from alpha_pipeline.portfolio.elastic_cone import least_cone_slack
from alpha_pipeline.portfolio.program import assemble
from alpha_pipeline.portfolio.reduced_program import least_reduced_slack, solve_reduced
from alpha_pipeline.portfolio.refinement import refined
from alpha_pipeline.portfolio.relaxation import RELAXATION_ORDER
from alpha_pipeline_tests.portfolio.helpers_problem import enhanced, hand_problem, random_problem, with_risk

LIMITS = {"deviation": 0.09, "floor": 0.8, "industry": 0.04, "size": 0.3, "value": 0.4, "turnover": 0.5}


def tracked(solver: str = "clarabel", limit: float = 0.05, **changes) -> EnhancedIndexSpec:
    spec = enhanced(solver, **(LIMITS | changes))
    return replace(spec, constraints=(*spec.constraints, TrackingErrorLimit(limit)))


def amounts(result) -> dict[str, float]:
    return {r.constraint: r.amount for r in result.relaxations}


class TestProperties:
    @pytest.mark.parametrize("seed", range(24))
    def test_solvers_agree_and_the_gap_is_proven(self, seed):
        problem = with_risk(random_problem(seed, n=60, first=seed % 4 == 3), seed)
        first, second = (optimize(problem, tracked(solver)) for solver in ("ecos", "clarabel"))
        assert first.status == second.status
        assert max(first.max_violation, second.max_violation) <= 1e-8
        assert abs(first.objective - second.objective) <= 1e-6
        assert second.gap <= 1e-6

    @pytest.mark.parametrize("seed", range(6))
    def test_agrees_with_a_second_formulation(self, seed):
        """The formulas written on weights with the whole covariance, solved by the other solver, without our assembly."""
        problem = with_risk(random_problem(seed, n=60), seed)
        model = problem.risk
        covariance = model.exposures @ model.factor_covariance @ model.exposures.T + np.diag(model.specific_variance)
        w, base = cp.Variable(60), problem.benchmark_weights
        no_buy, no_sell = ~problem.can_buy | np.isnan(problem.alpha), ~problem.can_sell
        rules = [
            cp.sum(w) == 1, w >= 0, cp.abs(w - base) <= 0.09, cp.norm1(w - problem.held) <= 0.5,
            cp.norm(np.linalg.cholesky(covariance).T @ (w - base)) <= 0.05,
            w[np.flatnonzero(no_buy)] <= problem.held[no_buy], w[np.flatnonzero(no_sell)] >= problem.held[no_sell],
        ]  # fmt: skip
        best = cp.Problem(cp.Maximize(np.nan_to_num(problem.alpha) @ w), rules).solve(solver="ECOS")
        constraints = (FullyInvested(), LongOnly(), MaxDeviation(0.09), TurnoverLimit(0.5), TrackingErrorLimit(0.05))
        result = optimize(problem, EnhancedIndexSpec("x", constraints, solver="clarabel"))
        assert result.objective == pytest.approx(float(best), abs=1e-6)

    @pytest.mark.parametrize("seed", range(4))
    def test_loosening_the_limit_never_hurts_and_earns_its_dual(self, seed):
        problem = with_risk(random_problem(seed, n=60), seed)
        results = [optimize(problem, tracked(limit=limit)) for limit in (0.05, 0.05 + 1e-4, 0.06, 0.2)]
        gains = [r.objective for r in results]
        assert gains == sorted(gains)
        assert (gains[1] - gains[0]) / 1e-4 == pytest.approx(results[0].duals["tracking_error"], rel=0.02)

    def test_benchmark_held_and_no_alpha_does_not_trade(self):
        problem = hand_problem([0.0, 0.0, 0.0], [0.5, 0.3, 0.2], current=[0.5, 0.3, 0.2])
        spec = EnhancedIndexSpec("x", (FullyInvested(), LongOnly(), TurnoverLimit(0.5), TrackingErrorLimit(0.04)), solver="clarabel")
        assert np.array_equal(optimize(with_risk(problem, 0, 2), spec).weights, [0.5, 0.3, 0.2])

    def test_certificate_sees_a_portfolio_that_is_not_optimal(self):
        problem = with_risk(random_problem(2, n=60), 2)
        spec = tracked()
        program, _ = assemble(problem, spec.constraints, 0.0, 0.0)
        best = solve_cone(program, "clarabel")
        assert certify(program, best.weights, best).gap <= 1e-6
        lazy = solve_cone(replace(program, risk=replace(program.risk, limit=0.03)), "clarabel")
        lost = float(problem.expected_return() @ (best.weights - lazy.weights))
        assert lost > 1e-3
        assert certify(program, lazy.weights, best).gap >= lost - 1e-7

    @pytest.mark.parametrize("seed", range(6))
    def test_the_gap_is_small_without_limits_on_single_weights_and_never_below_the_loss(self, seed):
        """Weights up to 1 each: names gain by exchange only, so that rounding of 60 multipliers does not add up to a gap."""
        problem = with_risk(random_problem(seed, n=60), seed)
        rules = (FullyInvested(), LongOnly(), StyleBound("size", 0.3), TurnoverLimit(0.8), TrackingErrorLimit(0.05))
        program, _ = assemble(problem, rules, 0.0, 0.0)
        best = solve_cone(program, "clarabel")
        assert certify(program, best.weights, best).gap <= 1e-6
        for share in (0.01, 0.3):
            weights = (1.0 - share) * best.weights + share * np.clip(problem.held / problem.held.sum(), program.lower, program.upper)
            loss = float(problem.expected_return() @ (best.weights - weights))
            assert certify(program, weights, best).gap >= loss - 1e-9

    def test_reduced_program_of_a_large_market_is_the_whole_one(self, monkeypatch):
        """800 names, solved on fewer: the same optimum as on all names, proven by the duals."""
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.SMALL", 100)
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.N_CANDIDATES", 5)
        rng = np.random.default_rng(5)
        n = 800
        benchmark = np.where(np.arange(n) < 100, rng.lognormal(0.0, 0.5, n), 0.0)
        benchmark /= benchmark.sum()
        symbols, styles = tuple(f"S{i}" for i in range(n)), {"size": rng.normal(size=n)}
        problem = with_risk(PortfolioProblem(symbols, rng.normal(size=n), benchmark, benchmark, rng.integers(0, 10, n), styles), 5, 8)
        constraints = (FullyInvested(), LongOnly(), MaxDeviation(0.01), StyleBound("size", 0.1), TurnoverLimit(0.4), TrackingErrorLimit(0.03))
        program, _ = assemble(problem, constraints, 0.0, 0.0)
        reduced, whole = solve_reduced(program, "clarabel"), solve_cone(program, "clarabel")
        assert certify(program, reduced.weights, reduced).gap <= 1e-6
        assert float(program.alpha @ (whole.weights - reduced.weights)) == pytest.approx(0.0, abs=1e-7)
        assert optimize(problem, EnhancedIndexSpec("x", constraints, solver="clarabel")).max_violation <= 1e-8


class TestRefinement:
    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize(("aversion", "floor"), [(0.0, 0.8), (2.0, 0.8), (0.0, 1.0)], ids=["limit", "limit and aversion", "constituents only"])
    def test_noise_in_weights_and_multipliers_is_undone(self, seed, aversion, floor):
        """Free weights off by up to 1e-7 and multipliers by 1e-5 of themselves: two Newton steps find the optimum again.

        With constituents only, the floor and the sum are one and the same equation of the free names.
        """
        problem = with_risk(random_problem(seed, n=60, first=floor == 1.0), seed)
        program, _ = assemble(problem, tracked(limit=0.04, floor=floor, industry=0.2, size=1.0).constraints, 0.001, 0.002, risk_aversion=aversion)
        best = refined(program, solve_cone(program, "clarabel"), 0.0)
        rng = np.random.default_rng(seed)
        is_free = (best.weights > program.lower) & (best.weights < program.upper) & (best.weights != program.reference)
        noise = np.where(is_free, rng.uniform(-1e-7, 1e-7, 60), 0.0)
        weights = np.clip(best.weights + noise, program.lower, program.upper)
        blurred = replace(best, weights=weights, row_duals=best.row_duals * (1.0 + 1e-5 * rng.normal(size=len(best.row_duals))),
                          turnover_dual=best.turnover_dual * (1.0 + 1e-5), risk_dual=best.risk_dual * (1.0 - 1e-5))
        assert certify(program, blurred.weights, blurred).gap > 1e-8
        found = refined(program, blurred, 0.0)
        assert certify(program, found.weights, found).gap < 1e-10
        assert found.weights == pytest.approx(best.weights, abs=1e-9)
        assert broken_limit(program, found.weights) == ""

    def test_what_is_proven_closely_enough_stays_as_it_is(self):
        problem = with_risk(random_problem(1, n=60), 1)
        program, _ = assemble(problem, tracked().constraints, 0.0, 0.0)
        best = solve_cone(program, "clarabel")
        assert refined(program, best, 1e-6) is best
        free_of_risk = replace(program, risk=replace(program.risk, limit=0.9))  # never binds: a vertex, nothing to bend
        vertex = solve_cone(free_of_risk, "clarabel")
        assert refined(free_of_risk, vertex, 0.0) is vertex
        none = replace(best, weights=None)
        assert refined(program, none, 0.0) is none


class TestRelaxation:
    def test_turnover_gives_way_before_tracking_error(self):
        """Active +30 %, −30 % held against a limit that allows 10 %: 20 % is sold and bought, 40 % two-sided."""
        problem = hand_problem([0.0, 0.0], [0.5, 0.5], current=[0.8, 0.2])
        problem = replace(problem, risk=with_risk(problem, 1, 2).risk)
        allowed = problem.risk.tracking_error(np.array([0.1, -0.1]))
        spec = EnhancedIndexSpec("x", (FullyInvested(), LongOnly(), TurnoverLimit(0.1), TrackingErrorLimit(allowed)), solver="clarabel")
        result = optimize(problem, spec)
        assert amounts(result) == {"turnover": pytest.approx(0.3, abs=1e-5)}
        assert result.weights == pytest.approx([0.6, 0.4], abs=1e-5)

    def test_tracking_error_gives_way_before_style(self):
        """A is suspended at 80 % against 50 %: tracking error must rise to that of (+30 %, −30 %), nothing else."""
        problem = hand_problem(
            [0.0, 0.0, 0.0], [0.5, 0.3, 0.2], current=[0.8, 0.1, 0.1], styles={"size": [1.0, 1.0, 0.0]},
            can_buy=[False, True, True], can_sell=[False, True, True],
        )  # fmt: skip
        problem = replace(problem, risk=with_risk(problem, 2, 2).risk)
        spec = EnhancedIndexSpec(
            "x", (FullyInvested(), LongOnly(), StyleBound("size", 0.0), TurnoverLimit(1.0), TrackingErrorLimit(0.01)), solver="clarabel"
        )
        result = optimize(problem, spec)
        # neutral size fixes A + B at 80 %, so B must go to 0 and C stay at 20 %
        assert result.weights == pytest.approx([0.8, 0.0, 0.2], abs=1e-5)
        needed = problem.risk.tracking_error(np.array([0.3, -0.3, 0.0]))
        assert amounts(result) == {"tracking_error": pytest.approx(needed - 0.01, abs=2e-5)}

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize("solver", ["clarabel", "ecos"])
    def test_every_tight_week_is_resolved_and_verified(self, solver, seed):
        problem = with_risk(random_problem(seed, n=60), seed)
        result = optimize(problem, tracked(solver, limit=0.01, turnover=0.05, industry=0.01, size=0.0))
        assert result.status == "relaxed"
        assert result.max_violation <= 1e-8
        assert result.gap <= 1e-6
        assert {"turnover", "tracking_error"} & set(amounts(result))

    @pytest.mark.parametrize("seed", range(3))
    def test_reduced_program_relaxes_like_the_whole_one(self, monkeypatch, seed):
        problem = with_risk(random_problem(seed, n=120), seed)
        spec = tracked(limit=0.01, turnover=0.05, size=0.0, deviation=0.05)
        whole = optimize(problem, spec)
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.SMALL", 20)
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.N_CANDIDATES", 3)
        reduced = optimize(problem, spec)
        assert set(amounts(reduced)) == set(amounts(whole))
        # the least amount plus a margin of 5e-6, or 5e-5 where the solver needed more room
        assert all(amounts(reduced)[name] == pytest.approx(amount, abs=6e-5) for name, amount in amounts(whole).items())
        assert reduced.max_violation <= 1e-8

    @pytest.mark.parametrize("kind", ["tracking_error", "turnover"])
    @pytest.mark.parametrize("seed", range(4))
    def test_least_slack_of_few_names_is_that_of_all(self, monkeypatch, kind, seed):
        """Outsiders lower tracking error and turnover here: they join by what their purchase is worth."""
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.SMALL", 20)
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.N_CANDIDATES", 3)
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program._FEW", 0.9)
        problem = with_risk(random_problem(seed, n=120), seed)
        outside = np.arange(120) >= 70  # neither held nor in the benchmark
        base, held = (np.where(outside, 0.0, w) / w[~outside].sum() for w in (problem.benchmark_weights, problem.current_weights))
        problem = replace(problem, benchmark_weights=base, current_weights=held)
        program, _ = assemble(problem, tracked(limit=0.01, turnover=0.05, size=0.0, deviation=0.05, floor=0.6).constraints, 0.0, 0.0)
        first = least_reduced_slack(program, "tracking_error", RELAXATION_ORDER, {})
        caps, also = ({"tracking_error": first.total + 1e-10}, first.moved(program)) if kind == "turnover" else ({}, None)
        solved: list[int] = []
        monkeypatch.setattr("alpha_pipeline.portfolio.reduced_program.least_cone_slack",
                            lambda part, *rest: solved.append(len(part.alpha)) or least_cone_slack(part, *rest))
        whole, few = least_cone_slack(program, kind, RELAXATION_ORDER, caps), least_reduced_slack(program, kind, RELAXATION_ORDER, caps, also)
        assert few.total == pytest.approx(whole.total, abs=2e-7)
        assert len(few.weights) == 120
        assert max(solved) < 120, "otherwise nothing was reduced"

    def test_ecos_that_stops_is_helped_and_the_result_says_so(self):
        """Whichever of these weeks ECOS cannot finish: the portfolio is Clarabel's, and named so."""
        spec = tracked("ecos", limit=0.01, turnover=0.05, size=0.0)
        results = [optimize(with_risk(random_problem(seed, n=60), seed), spec) for seed in range(6)]
        helped = [result for result in results if result.solver == "clarabel"]
        assert all(any("solved by clarabel" in note for note in result.notes) for result in helped)

    def test_limits_that_contradict_each_other_are_refused(self):
        """Half in cash is far from the benchmark whatever is traded."""
        problem = hand_problem([0.0, 0.0], [0.5, 0.5])
        problem = replace(problem, risk=with_risk(problem, 1, 2).risk)
        spec = EnhancedIndexSpec("x", (FullyInvested(0.5), LongOnly(), TrackingErrorLimit(0.001)), solver="clarabel")
        with pytest.raises(Infeasible, match="contradict each other even if every name could be traded .got missed at best: tracking_error by"):
            optimize(problem, spec)
