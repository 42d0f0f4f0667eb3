"""TOP-N: who leaves, who enters, who cannot; then equal weights around names that cannot be traded."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import Infeasible, InvalidSpec
from alpha_pipeline.portfolio import TopNSpec, top_n, top_n_portfolio
from alpha_pipeline_tests.portfolio.helpers_problem import hand_problem

NAMES = "ABCDEFGH"


def names(mask) -> str:
    return "".join(np.array(list(NAMES[: len(mask)]))[mask])


def chosen(scores, held: str, n: int, delta: float, no_buy: str = "", no_sell: str = "") -> tuple[str, str, str]:
    """(kept, left, entered) as letters."""
    symbols = tuple(NAMES[: len(scores)])
    masks = [np.array([s in text for s in symbols]) for text in (held, no_buy, no_sell)]
    found = top_n(np.array(scores, dtype=float), masks[0], ~masks[1], ~masks[2], TopNSpec(n, delta), symbols)
    return names(found.kept), names(found.left), names(found.entered)


class TestExamples:
    SCORES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)

    def test_worst_holding_leaves_for_the_best_outsider(self):
        """Held A B C D, N = 4, δ = 0.25: one name. A (1) leaves for F (6)."""
        assert chosen(self.SCORES, "ABCD", 4, 0.25) == ("BCDF", "A", "F")

    def test_any_number_gives_the_best_n(self):
        assert chosen(self.SCORES, "ABCD", 4, 1.0) == ("CDEF", "AB", "EF")

    def test_nobody_leaves_for_a_worse_outsider(self):
        assert chosen(self.SCORES, "CDEF", 4, 1.0) == ("CDEF", "", "")

    def test_number_of_replacements_is_rounded_up(self):
        """⌈0.3·4⌉ = 2."""
        assert chosen(self.SCORES, "ABCD", 4, 0.3)[1:] == ("AB", "EF")
        assert TopNSpec(100, 0.07).n_replaced == 7

    def test_first_portfolio_ignores_the_limit(self):
        assert chosen(self.SCORES, "", 3, 0.05) == ("DEF", "", "DEF")

    def test_suspended_holding_stays_and_the_next_worst_leaves(self):
        assert chosen(self.SCORES, "ABCD", 4, 0.25, no_sell="A") == ("ACDF", "B", "F")

    def test_untradable_outsider_does_not_enter(self):
        assert chosen(self.SCORES, "ABCD", 4, 0.25, no_buy="F") == ("BCDE", "A", "E")

    def test_unscored_holding_is_the_worst_and_unscored_outsider_does_not_enter(self):
        assert chosen((1.0, np.nan, 3.0, 4.0, np.nan), "ABC", 3, 0.4) == ("ACD", "B", "D")

    def test_ties_go_to_the_smaller_symbol(self):
        assert chosen((1.0, 1.0, 1.0, 1.0), "", 2, 1.0)[0] == "AB"
        assert chosen((1.0, 1.0, 1.0, 1.0), "CD", 2, 0.5) == ("AC", "D", "A")

    def test_a_smaller_and_a_larger_n(self):
        assert chosen(self.SCORES, "ABCD", 2, 0.0) == ("CD", "AB", "")
        assert chosen(self.SCORES, "ABCD", 5, 0.0) == ("ABCDF", "", "F")

    def test_equal_weights(self):
        problem = hand_problem([1.0, 2.0, 3.0], [0.3, 0.3, 0.4], current=[0.6, 0.4, 0.0])
        result = top_n_portfolio(problem, TopNSpec(2, 0.5))
        assert result.weights.tolist() == pytest.approx([0.0, 0.5, 0.5])
        assert result.notes[0] == "1 names left, 1 entered, at most 1 replaced"
        assert result.turnover_two_sided == pytest.approx(1.2)

    def test_frozen_holding_keeps_its_weight_and_the_others_share_the_rest(self):
        """A is suspended at 20 %: B and C get 40 % each."""
        problem = hand_problem(
            [3.0, 2.0, 1.0], [0.3, 0.3, 0.4], current=[0.2, 0.5, 0.3], can_buy=[False, True, True], can_sell=[False, True, True]
        )
        assert top_n_portfolio(problem, TopNSpec(3)).weights.tolist() == pytest.approx([0.2, 0.4, 0.4])

    def test_limit_up_holding_is_cut_but_not_raised(self):
        problem = hand_problem([3.0, 2.0], [0.5, 0.5], current=[0.8, 0.2], can_buy=[False, True])
        assert top_n_portfolio(problem, TopNSpec(2)).weights.tolist() == pytest.approx([0.5, 0.5])
        below = hand_problem([3.0, 2.0], [0.5, 0.5], current=[0.2, 0.8], can_buy=[False, True])
        assert top_n_portfolio(below, TopNSpec(2)).weights.tolist() == pytest.approx([0.2, 0.8])

    def test_too_few_names_are_said(self):
        problem = hand_problem([1.0, np.nan, np.nan], [0.3, 0.3, 0.4])
        result = top_n_portfolio(problem, TopNSpec(2))
        assert result.weights.tolist() == [1.0, 0.0, 0.0]
        assert "1 names instead of 2" in result.notes[1]


class TestProperties:
    @pytest.mark.parametrize("seed", range(20))
    def test_rules_hold_on_random_weeks(self, seed):
        rng = np.random.default_rng(seed)
        n, spec = 60, TopNSpec(20, float(rng.choice([0.05, 0.1, 0.3, 1.0])))
        symbols = tuple(f"S{i:02d}" for i in range(n))
        scores = np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 12, n).astype(float))
        held = np.zeros(n, dtype=bool)
        held[rng.choice(n, 20, replace=False)] = True
        can_buy, can_sell = rng.random(n) < 0.9, rng.random(n) < 0.9
        found = top_n(scores, held, can_buy, can_sell, spec, symbols)
        assert found.kept.sum() == 20
        assert found.left.sum() == found.entered.sum() <= spec.n_replaced
        assert can_sell[found.left].all()
        assert can_buy[found.entered].all()
        assert not np.isnan(scores[found.entered]).any()
        if found.left.any():
            assert np.nanmax(np.append(scores[found.left], -np.inf)) <= scores[found.entered].min()
        order = rng.permutation(n)
        shuffled = top_n(scores[order], held[order], can_buy[order], can_sell[order], spec, tuple(symbols[i] for i in order))
        assert np.array_equal(shuffled.kept, found.kept[order])


class TestErrors:
    def test_settings_out_of_range(self):
        with pytest.raises(InvalidSpec, match="n_names out of range"):
            TopNSpec(0)
        with pytest.raises(InvalidSpec, match="max_replaced out of range"):
            TopNSpec(10, 1.5)

    def test_no_name_can_be_bought(self):
        problem = hand_problem([1.0, 2.0], [0.5, 0.5], can_buy=[False, False])
        with pytest.raises(Infeasible, match="hand 2021-03-05: no name can be bought"):
            top_n_portfolio(problem, TopNSpec(1))
