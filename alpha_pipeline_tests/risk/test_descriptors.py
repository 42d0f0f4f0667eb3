"""CNE5 price-volume descriptors: formulas by pandas and by hand, what counts as enough history, stocks that do not see each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from alpha_pipeline.errors import BadInput, Misaligned
from alpha_pipeline.risk import descriptors as d

NAN = np.nan


def history(n_stocks: int = 7, n_sessions: int = 600, seed: int = 0) -> d.PriceHistory:
    rng = np.random.default_rng(seed)
    market = 0.01 * rng.normal(size=n_sessions)
    returns = market * rng.uniform(0.5, 1.5, (n_stocks, 1)) + 0.02 * rng.normal(size=(n_stocks, n_sessions))
    turnover = rng.uniform(0.001, 0.05, returns.shape)
    returns[1, :560], turnover[1, :560] = NAN, NAN  # 40 sessions old
    returns[2, 590], turnover[2, 592] = NAN, NAN
    market[595] = NAN
    return d.PriceHistory.of(returns, turnover, market)


class TestExamples:
    def test_weights_halve(self):
        w = d.ewma_weights(252, 63)
        assert w.sum() == pytest.approx(1)
        assert w[-64] == pytest.approx(w[-1] / 2)
        assert d.ewma_weights(252, 63, 76).sum() > 0.6 > d.ewma_weights(252, 63, 75).sum()  # as the module says
        assert d.ewma_weights(504, 126, 151).sum() > 0.6 > d.ewma_weights(504, 126, 150).sum()

    def test_turnover(self):
        h = d.PriceHistory.of(np.zeros((1, 21)), np.full((1, 21), 0.01), np.zeros(21))
        assert d.log_turnover(h, 1)[0] == pytest.approx(np.log(0.21))
        assert np.isnan(d.log_turnover(h, 3)[0])  # 21 of 63 sessions
        quiet = d.PriceHistory.of(np.zeros((1, 21)), np.zeros((1, 21)), np.zeros(21))
        assert np.isnan(d.log_turnover(quiet, 1)[0])

    def test_cmra_of_a_steady_rise(self):
        """Z(T) = T × the month's log return: the range is eleven months."""
        r = np.full((1, 252), 0.001)
        assert d.cmra(d.PriceHistory.of(r, r, r[0]))[0] == pytest.approx(11 * 21 * np.log(1.001))

    def test_market_uses_the_day_before(self):
        got = d.market_return(np.array([0.1, 0.3, 0.9, NAN]), np.array([1.0, 3, 5, 7]), np.array([True, True, False, True]))
        assert got == pytest.approx((0.1 + 3 * 0.3) / 4)
        assert np.isnan(d.market_return(np.array([0.1]), np.array([1.0]), np.array([False])))


class TestSecondImplementations:
    def test_beta_and_residual_by_statsmodels(self):
        h = history()
        beta, hsigma = d.beta_and_hsigma(h)
        for stock in (0, 2):
            pairs = (h.has_return[stock, -252:] > 0) & ~np.isnan(h.market[-252:])
            w = d.ewma_weights(252, 63)[pairs]
            y, x = h.returns[stock, -252:][pairs], sm.add_constant(h.market[-252:][pairs])
            fit = sm.WLS(y, x, weights=w).fit()
            assert beta[stock] == pytest.approx(fit.params[1])
            assert hsigma[stock] == pytest.approx(np.sqrt(np.average(fit.resid**2, weights=w)))

    def test_dastd_and_momentum_by_pandas(self):
        h = history()
        series = pd.Series(np.where(h.has_return[0] > 0, h.returns[0], NAN))
        expected = series[-252:].ewm(halflife=42).std(bias=True).iloc[-1]
        assert d.dastd(h)[0] == pytest.approx(expected)
        logs = np.log1p(series[600 - 21 - 504: 600 - 21])
        assert d.rstr(h)[0] == pytest.approx(logs.ewm(halflife=126).mean().iloc[-1])


class TestProperties:
    def test_short_history(self):
        values = d.price_descriptors(history())
        known = {name for name, x in values.items() if not np.isnan(x[1])}
        assert known == {"STOM", "STOQ"}  # 40 sessions: 60 % of 63, 60 % of the weight of no other window

    def test_history_shorter_than_the_windows(self):
        h = history(n_sessions=600).ending(599, 80)
        got = d.price_descriptors(h)
        assert np.isfinite(got["BETA"][0])
        assert np.isnan(got["RSTR"]).all()
        assert all(np.isnan(x).all() for x in d.price_descriptors(h.ending(79, 1)).values())

    def test_one_date_of_a_range_equals_the_date_alone_bit_for_bit(self):
        h = history()
        alone = d.PriceHistory.of(
            *(np.where(has > 0, x, NAN)[:, 35:560].copy() for x, has in ((h.returns, h.has_return), (h.turnover, h.has_turnover))),
            h.market[35:560].copy())
        for name, x in d.price_descriptors(h.ending(559)).items():
            assert np.array_equal(x, d.price_descriptors(alone)[name], equal_nan=True), name

    @pytest.mark.parametrize("n_others", [0, 1, 5, 64])
    def test_other_stocks_do_not_change_a_bit(self, n_others):
        h, others = history(3), history(max(n_others, 3), seed=1)

        def with_others(x, y):
            return np.concatenate([x, y[:n_others]])

        wide = d.PriceHistory(with_others(h.returns, others.returns), with_others(h.has_return, others.has_return),
                              with_others(h.log_returns, others.log_returns), with_others(h.turnover, others.turnover),
                              with_others(h.has_turnover, others.has_turnover), h.market)
        for name, x in d.price_descriptors(h).items():
            assert np.array_equal(x, d.price_descriptors(wide)[name][:3], equal_nan=True), name


class TestErrors:
    def test_inputs(self):
        x = np.zeros((2, 5))
        with pytest.raises(Misaligned, match="turnover or market do not fit the returns"):
            d.PriceHistory.of(x, x, np.zeros(4))
        with pytest.raises(BadInput, match=r"a return of -100 % or less \(got -1.0\)"):
            d.PriceHistory.of(x - 1, x, np.zeros(5))
