"""Reasons of trades, rule by rule, on portfolios small enough to read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from alpha_pipeline.errors import Misaligned
from alpha_pipeline.portfolio.changes import REASONS, Rebalance, change_table, turnover_by_reason


def rebalance(held, target, alpha, benchmark=None, *, joined=None, can_buy=None, can_sell=None, industry=None, **rules) -> Rebalance:
    n = len(held)
    return Rebalance(
        tuple("abcdefgh"[:n]), np.array(held, dtype=float), np.array(target, dtype=float),
        np.full(n, 1 / n) if benchmark is None else np.array(benchmark, dtype=float), np.array(alpha, dtype=float),
        industry or ("x",) * n, np.ones(n, dtype=bool) if can_buy is None else np.array(can_buy),
        np.ones(n, dtype=bool) if can_sell is None else np.array(can_sell), None if joined is None else np.array(joined, dtype=float), **rules)


def reasons(found: Rebalance) -> dict[str, tuple[str, str]]:
    table = change_table(found)
    return {s: (r, d) for s, r, d in zip(table["symbol"], table["reason"], table["detail"], strict=True)}


class TestExamples:
    def test_alpha_is_compared_with_what_is_held(self):
        """Mean alpha of the holdings is 0.5: a buy at 0.6 follows alpha, a sale at 0.6 does not, whatever the sign."""
        found = reasons(rebalance([0.5, 0.5, 0.0], [0.3, 0.4, 0.3], [0.6, 0.4, 0.6]))
        assert found == {"c": ("alpha", ""), "b": ("alpha", ""), "a": ("constraint", "fully_invested")}

    def test_before_the_first_portfolio_the_benchmark_is_the_level(self):
        found = reasons(rebalance([0, 0, 0], [0.6, 0.4, 0.0], [1.0, -1.0, -1.0]))
        assert found == {"a": ("alpha", ""), "b": ("constraint", "fully_invested")}

    def test_index_change_needs_the_direction(self):
        before, now = [0.5, 0.5, 0.0], [0.5, 0.0, 0.5]
        found = reasons(rebalance([0.4, 0.6, 0.0], [0.4, 0.2, 0.4], [0.0, 1.0, -1.0], now, joined=before))
        assert found["b"] == ("index change", "left the index")
        assert found["c"] == ("index change", "joined the index")
        against = reasons(rebalance([0.4, 0.2, 0.4], [0.4, 0.6, 0.0], [0.0, 1.0, -1.0], now, joined=before))
        assert against["b"] == against["c"] == ("alpha", ""), "bought although it left: not because it left"

    @pytest.mark.parametrize(("can_buy", "can_sell", "alpha", "expected"), [
        (False, False, 0.0, ("restriction", "cannot be traded")), (True, False, -1.0, ("restriction", "cannot be sold")),
        (False, True, 1.0, ("restriction", "cannot be bought")), (True, False, 1.0, ("held", "")), (True, True, -1.0, ("held", ""))])
    def test_names_that_stay(self, can_buy, can_sell, alpha, expected):
        found = reasons(rebalance([0.5, 0.5], [0.5, 0.5], [alpha, 0.0], can_buy=[can_buy, True], can_sell=[can_sell, True]))
        assert found["a"] == expected

    def test_no_score(self):
        found = reasons(rebalance([0.5, 0.5], [0.0, 1.0], [np.nan, 1.0]))
        assert found["a"] == ("restriction", "no score: sold, not bought")

    def test_which_limit(self):
        binding = (("fully_invested", 9.0), ("industry_bound[x]", 0.2), ("industry_bound[y]", 3.0), ("turnover", 0.1), ("max_deviation", None))
        trade = {"held": [0.5, 0.5], "target": [0.4, 0.6], "alpha": [1.0, 0.0], "benchmark": [0.5, 0.5], "binding": binding}
        by_industry = {"a": ("constraint", "industry_bound[x]"), "b": ("constraint", "industry_bound[y]")}
        assert reasons(rebalance(**trade, industry=("x", "y"))) == by_industry
        assert reasons(rebalance(**trade, industry=("z", "")))["a"] == ("constraint", "turnover")
        assert reasons(rebalance(**trade, max_deviation=0.1))["a"] == ("constraint", "max_deviation")

    def test_unknown_industry_has_its_own_limit(self):
        found = reasons(rebalance([0.5, 0.5], [0.4, 0.6], [1.0, 0.0], industry=("", ""), binding=(("industry_bound[unknown]", 1.0),)))
        assert found["a"] == ("constraint", "industry_bound[unknown]")


class TestProperties:
    def test_largest_first_and_only_names_with_weight(self):
        table = change_table(rebalance([0.5, 0.5, 0.0, 0.0], [0.2, 0.45, 0.35, 0.0], [0.0, 0.0, 1.0, 2.0]))
        assert table["symbol"].tolist() == ["c", "a", "b"]
        assert table["change"].to_numpy() == pytest.approx([0.35, -0.3, -0.05])

    def test_turnover_by_reason_adds_up(self):
        rng = np.random.default_rng(5)
        held, target = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
        table = change_table(rebalance(held, target, rng.normal(size=8), joined=[0, *[0.1] * 7]))
        split = turnover_by_reason(table)
        assert list(split) == [r for r in REASONS if r != "held"]
        assert sum(split.values()) == pytest.approx(np.abs(target - held).sum())

    def test_every_name_has_a_known_reason_in_every_order(self):
        base = ([0.4, 0.3, 0.3], [0.1, 0.3, 0.6], [0.3, -0.2, 0.9])
        expected = reasons(rebalance(*base))
        for order in itertools.permutations(range(3)):
            moved = rebalance(*([row[i] for i in order] for row in base))
            found = {"abc"[order["abc".index(s)]]: r for s, r in reasons(moved).items()}
            assert found == expected
            assert {r for r, _ in found.values()} <= set(REASONS)


class TestErrors:
    def test_lengths(self):
        with pytest.raises(Misaligned, match="alpha does not match the symbols"):
            rebalance([0.5, 0.5], [0.5, 0.5], [1.0])
