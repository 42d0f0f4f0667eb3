"""Factor premia against statsmodels, date by date, and the expected return built on them."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from alpha_pipeline.combination.ic_weights import filled
from alpha_pipeline.combination.other_factors import (
    OTHER_FACTORS,
    book_to_price,
    mid_cap,
    past_return,
    return_on_equity,
    return_volatility,
    window_mean,
)
from alpha_pipeline.combination.premium import mean_premia, premia
from alpha_pipeline.errors import NotEnoughData


class TestExamples:
    def test_planted_premia_are_found(self):
        x = np.random.default_rng(0).normal(size=(50, 2))
        returns = 0.01 + filled(x) @ [0.02, -0.03]
        np.testing.assert_allclose(premia(x, returns), [0.02, -0.03], atol=1e-12)

    def test_a_factor_without_spread_has_none(self):
        x = np.column_stack([np.arange(10.0), np.full(10, 3.0)])
        assert np.isnan(premia(x, np.arange(10.0) / 100)[1])

    def test_other_factors(self):
        close = np.array([[10.0, 20.0], [11.0, 20.0], [9.9, 10.0]])
        np.testing.assert_allclose(past_return(close), [0.01, 0.5])
        np.testing.assert_allclose(return_volatility(close), [np.std([0.1, -0.1], ddof=1), np.std([0.0, -0.5], ddof=1)])
        cap = np.exp([[1.0, 2.0, 3.0, np.nan]])
        np.testing.assert_allclose(mid_cap(cap), [-(1.5**1.5), 0.0, 1.5**1.5, np.nan], atol=1e-12)
        np.testing.assert_allclose(window_mean(np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 1.0]])), [2.0, np.nan])
        book, profit, total = np.array([50.0, -1.0]), np.array([10.0, 10.0]), np.array([100.0, 100.0])
        np.testing.assert_allclose(book_to_price(book, profit, total), [0.5, -0.01])
        np.testing.assert_allclose(return_on_equity(book, profit, total), [0.2, np.nan])


class TestProperties:
    def test_a_loop_of_ordinary_regressions(self):
        rng = np.random.default_rng(1)
        past = []
        for _ in range(8):
            x, returns = rng.normal(size=(60, 4)), rng.normal(0, 0.03, 60)
            found = premia(x, returns)
            np.testing.assert_allclose(found, sm.OLS(returns, sm.add_constant(stats.zscore(x))).fit().params[1:], atol=1e-12)
            past.append(found)
        np.testing.assert_allclose(mean_premia(past), np.mean(past, axis=0))

    def test_stocks_without_a_return_do_not_count(self):
        rng = np.random.default_rng(2)
        x, returns = rng.normal(size=(40, 2)), rng.normal(size=40)
        padded = premia(np.concatenate([x, rng.normal(size=(5, 2)) * 100]), np.r_[returns, np.full(5, np.nan)])
        np.testing.assert_array_equal(padded, premia(x, returns))

    def test_every_factor_says_what_it_is(self):
        assert {"size", "mid_cap", "value", "turnover", "reversal", "volatility", "profitability", "sue", "analyst", "closing_volume_share",
                "buy_intention_share", "large_order_share"} == set(OTHER_FACTORS)
        assert all(factor.doc for factor in OTHER_FACTORS.values())


class TestErrors:
    def test_messages(self):
        with pytest.raises(NotEnoughData, match=r"premia: not more stocks than factors \(got 3, expected at least 4\)"):
            premia(np.random.default_rng(0).normal(size=(3, 2)), [0.1, 0.2, 0.3])
        with pytest.raises(NotEnoughData, match="mean_premia: no premia to average"):
            mean_premia(np.zeros((0, 3)))
