"""After the optimum: tiny weights, tiny trades and surplus names go if the limits allow it, and stay if not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpha_pipeline.errors import InvalidSpec
from alpha_pipeline.portfolio import EnhancedIndexSpec, FullyInvested, IndustryBound, LongOnly, MaxDeviation, TurnoverLimit, optimize, violations
from alpha_pipeline_tests.portfolio.helpers_problem import enhanced, hand_problem, random_problem, with_risk


def plain(*more, **settings) -> EnhancedIndexSpec:
    return EnhancedIndexSpec("000300.SH", (FullyInvested(), LongOnly(), *more), **settings)


class TestExamples:
    def test_tiny_weight_goes_to_the_next_best(self):
        """Turnover 20.2 % sells all of D and 0.1 % of C to buy A up to its bound and 0.1 % of B; B's 0.1 % is dropped."""
        problem = hand_problem([3.0, 2.0, 1.0, 0.0], [0.5, 0.0, 0.4, 0.1], current=[0.5, 0.0, 0.4, 0.1])
        loose = optimize(problem, plain(MaxDeviation(0.1), TurnoverLimit(0.202)))
        assert loose.weights == pytest.approx([0.6, 0.001, 0.399, 0.0], abs=1e-9)
        clean = optimize(problem, plain(MaxDeviation(0.1), TurnoverLimit(0.202), min_weight=0.005))
        assert clean.weights == pytest.approx([0.6, 0.0, 0.4, 0.0], abs=1e-9)
        assert clean.notes == ("1 weights below min_weight dropped",)

    def test_weights_that_the_limits_need_stay(self):
        """B fills its industry alone with 0.2 %: neutral industries cannot do without it."""
        problem = hand_problem([1.0, 0.0], [0.998, 0.002], industry=[0, 1])
        result = optimize(problem, plain(IndustryBound(0.0), min_weight=0.01))
        assert result.weights == pytest.approx([0.998, 0.002], abs=1e-9)
        assert result.notes == ("1 weights below min_weight kept: the limits need them",)

    def test_suspended_dust_is_named(self):
        problem = hand_problem([1.0, 0.0], [1.0, 0.0], current=[0.999, 0.001], can_sell=[True, False], can_buy=[True, False])
        assert optimize(problem, plain(min_weight=0.01)).notes == ("0 weights below min_weight dropped, 1 cannot be sold",)

    def test_only_the_largest_names_are_kept(self):
        problem = hand_problem([4.0, 3.0, 2.0, 1.0], [0.25] * 4)
        assert (optimize(problem, plain(MaxDeviation(0.25))).weights > 0).sum() == 2
        loose = plain(MaxDeviation(0.1))
        assert optimize(problem, replace(loose, max_names=3)).notes == ("4 names kept: the limits allow no portfolio of the largest 3",)
        wide = optimize(problem, plain(MaxDeviation(0.25), TurnoverLimit(1.0), max_names=1))
        assert wide.notes[1:] == ("2 names kept: the limits allow no portfolio of the largest 1",)

    def test_fewer_names_cost_something_and_keep_every_limit(self):
        problem = random_problem(4, first=True)
        spec = enhanced(deviation=0.08, industry=0.2, size=0.5, value=0.5)
        full = optimize(problem, spec)
        n_names = int((full.weights > 0).sum())
        few = optimize(problem, replace(spec, max_names=n_names - 1))
        assert (few.weights > 0).sum() <= n_names - 1
        assert few.objective < full.objective
        assert max(violations(problem, spec.constraints, few.relaxations, few.weights).values(), default=0.0) <= 1e-8


class TestProperties:
    @pytest.mark.parametrize("seed", range(8))
    def test_never_breaks_a_limit_and_never_gains(self, seed):
        problem = random_problem(seed, first=seed % 2 == 1)
        base = optimize(problem, enhanced())
        tidy = optimize(problem, replace(enhanced(), min_weight=0.002, min_trade=0.001, max_names=60))
        assert tidy.max_violation <= 1e-8
        assert tidy.objective <= base.objective + 1e-7
        assert len(tidy.notes) >= 3

    def test_works_on_cone_programs(self):
        problem = with_risk(random_problem(1, n=60), 1)
        spec = replace(enhanced("clarabel", deviation=0.09, industry=0.04, size=0.3, value=0.4, turnover=0.5), risk_aversion=1.0, min_weight=0.004)
        result = optimize(problem, spec)
        assert result.max_violation <= 1e-8
        assert not np.any((result.weights > 0) & (result.weights < 0.004)) or any("kept" in note or "cannot be sold" in note for note in result.notes)


class TestErrors:
    def test_negative_settings(self):
        for settings in ({"min_weight": -0.1}, {"max_names": -1}, {"risk_aversion": -1.0}):
            with pytest.raises(InvalidSpec, match=f"{next(iter(settings))} out of range"):
                plain(**settings)
