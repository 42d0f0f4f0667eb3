"""Price-volume styles: formulas by hand and by pandas, standardisation, predictions, no look-ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, UnknownName
from alpha_pipeline.risk import styles as s

NAN = np.nan


def market(n_dates: int = 150, n_stocks: int = 40) -> tuple[s.StyleInputs, np.ndarray]:
    rng = np.random.default_rng(0)
    returns = 0.02 * rng.normal(size=(n_dates, n_stocks)) + 0.01 * rng.normal(size=(n_dates, 1))
    returns[:70, 0] = NAN  # listed later
    cap = np.exp(22 + rng.normal(size=n_stocks) + np.cumsum(0.01 * rng.normal(size=returns.shape), axis=0))
    turnover = rng.uniform(0.001, 0.05, size=returns.shape)
    universe = rng.random(returns.shape) < 0.95
    return s.StyleInputs(returns, cap, turnover, universe), np.broadcast_to(rng.integers(0, 4, n_stocks), returns.shape).copy()


class TestExamples:
    def test_size_and_liquidity(self):
        n = 12
        inputs = s.StyleInputs(np.zeros((n, 1)), np.full((n, 1), np.e**20), np.arange(1.0, n + 1)[:, None] / 100,
                               np.ones((n, 1), dtype=bool))
        assert s.size(inputs)[-1, 0] == pytest.approx(20)
        assert s.liquidity(inputs, window=4)[-1, 0] == pytest.approx(np.log((0.09 + 0.10 + 0.11 + 0.12) / 4))
        assert np.isnan(s.liquidity(inputs, window=4)[:2]).all() and not np.isnan(s.liquidity(inputs, window=4)[2:]).any()

    def test_momentum_skips_the_latest_sessions(self):
        returns = np.array([0.1, 0.2, 0.0, 0.0, 9.0, 9.0])[:, None]
        inputs = s.StyleInputs(returns, np.ones_like(returns), np.ones_like(returns), np.ones(returns.shape, dtype=bool))
        got = s.momentum(inputs, window=4, skip=2)[-1, 0]
        assert got == pytest.approx((np.log(1.1) + np.log(1.2)) / 4)

    def test_nothing_traded_has_no_liquidity(self):
        zero = np.zeros((5, 1))
        inputs = s.StyleInputs(zero, zero + 1, zero, np.ones((5, 1), dtype=bool))
        assert np.isnan(s.liquidity(inputs, window=3)).all()

    def test_market_uses_the_weights_of_the_day_before(self):
        returns, cap = np.array([[0.0, 0.0, 0.0], [0.1, 0.3, 0.9]]), np.array([[1.0, 3, 5], [9, 1, 1]])
        universe = np.array([[True, True, False], [True] * 3])
        got = s.market_return(s.StyleInputs(returns, cap, cap, universe))
        assert np.isnan(got[0]) and got[1] == pytest.approx((0.1 + 3 * 0.3) / 4)

    def test_a_gap_gets_the_prediction_of_its_industry_and_size(self):
        # style = 2 * size + industry (0 or 1), exactly; the gap has size 0.5 in industry 1
        size = np.array([np.linspace(-1, 1, 12)])
        industry = np.array([[0, 1] * 6])
        style = 2 * size + industry
        size[0, 3], style[0, 3] = 0.5, NAN
        filled, n = s.fill_missing(style, size, industry, np.ones((1, 12), dtype=bool))
        assert filled[0, 3] == pytest.approx(2.0) and n.tolist() == [1]

    def test_an_industry_without_any_value_predicts_nothing(self):
        size, industry = np.array([np.linspace(-1, 1, 12)]), np.array([[0] * 11 + [1]])
        style = size.copy()
        style[0, 11] = NAN
        filled, n = s.fill_missing(style, size, industry, np.ones((1, 12), dtype=bool))
        assert np.isnan(filled[0, 11]) and n.tolist() == [0]


class TestSecondImplementation:
    def test_pandas_rolling(self):
        inputs, _ = market()
        frame = pd.DataFrame(inputs.returns)
        assert s.volatility(inputs) == pytest.approx(frame.rolling(60, min_periods=36).std().to_numpy(), nan_ok=True)
        assert s.momentum(inputs) == pytest.approx(
            np.log1p(frame).rolling(120, min_periods=72).mean().shift(20).to_numpy(), nan_ok=True)
        market_series = pd.Series(s.market_return(inputs))
        for stock in (0, 5):
            pairs = frame[stock].where(market_series.notna())
            x = market_series.where(pairs.notna())
            expected = pairs.rolling(120, min_periods=72).cov(x) / x.rolling(120, min_periods=72).var()
            assert s.beta(inputs)[:, stock] == pytest.approx(expected.to_numpy(), nan_ok=True)


class TestTenDays:
    """The price-volume factors of ten sessions, against pandas and from two beginnings."""

    def test_against_pandas(self):
        inputs, _ = market()
        returns, turnover = pd.DataFrame(inputs.returns), pd.DataFrame(inputs.turnover_rate)
        expected = {
            "momentum_10d": np.log1p(returns).rolling(10).mean(), "volatility_10d": returns.rolling(10).std(),
            "liquidity_10d": np.log(turnover.rolling(10).mean()),
        }
        assert set(expected) == set(s.PRICE_VOLUME_10D)
        for name, frame in expected.items():
            ours = s.EXPOSURES[name](inputs)
            known = frame.notna().to_numpy()
            assert known[-1].any()
            np.testing.assert_allclose(ours[known], frame.to_numpy()[known], rtol=1e-9, atol=1e-12)

    def test_a_date_does_not_depend_on_where_the_range_starts(self):
        inputs, _ = market()
        late = s.StyleInputs(*(getattr(inputs, n)[-30:] for n in ("returns", "total_cap", "turnover_rate", "universe")))
        for factor in s.PRICE_VOLUME_10D.values():
            assert np.array_equal(factor(inputs)[-15:], factor(late)[-15:], equal_nan=True)


class TestProperties:
    def test_standardised_universe(self):
        inputs, industry = market()
        exposures = s.style_exposures(inputs, industry)
        assert exposures.names == ("size", "beta", "momentum", "volatility", "nonlinear_size", "liquidity")
        raw = s.standardize(s.volatility(inputs), inputs.total_cap, inputs.universe)[-1]
        used = inputs.universe[-1] & ~np.isnan(raw)
        assert raw[used].std() == pytest.approx(1)
        assert np.average(raw[used], weights=inputs.total_cap[-1, used]) == pytest.approx(0, abs=1e-12)

    def test_nonlinear_size_is_orthogonal_to_size(self):
        inputs, _ = market()
        x, y = s.standardize(s.size(inputs), inputs.total_cap, inputs.universe)[-1], s.nonlinear_size(inputs)[-1]
        used = inputs.universe[-1]
        weight = np.sqrt(inputs.total_cap[-1, used])
        assert weight @ (x[used] * y[used]) / weight.sum() == pytest.approx(0, abs=1e-10)

    def test_late_listing_is_predicted_and_counted(self):
        inputs, industry = market()
        exposures = s.style_exposures(inputs, industry)
        k, day = exposures.names.index("momentum"), 145
        assert np.isnan(s.momentum(inputs)[day, 0]) and inputs.universe[day, 0]
        assert not np.isnan(exposures.values[day, 0, k]) and exposures.n_filled[day, k] == 1

    def test_style_without_history_is_missing_for_all(self):
        exposures = s.style_exposures(*market())
        k = exposures.names.index("momentum")
        assert np.isnan(exposures.values[60, :, k]).all() and not np.isnan(exposures.values[60, :, 0]).all()

    def test_later_days_do_not_change_earlier_exposures(self):
        inputs, industry = market()
        expected = s.style_exposures(inputs, industry).values[:120]
        rng = np.random.default_rng(9)
        changed = {}
        for name in ("returns", "total_cap", "turnover_rate"):
            array = getattr(inputs, name).copy()
            array[120:] *= rng.uniform(0.5, 1.5, array[120:].shape)
            changed[name] = array
        universe = inputs.universe.copy()
        universe[120:] = ~universe[120:]
        again = s.style_exposures(replace(inputs, **changed, universe=universe), industry).values[:120]
        assert np.array_equal(again, expected, equal_nan=True)

    def test_stocks_outside_the_universe_get_exposures_but_have_no_say(self):
        inputs, _ = market()
        raw, universe = s.volatility(inputs), inputs.universe.copy()
        universe[-1, :5] = False
        expected = s.standardize(raw, inputs.total_cap, universe)[-1]
        raw[-1, :5] *= 1000
        got = s.standardize(raw, inputs.total_cap, universe)[-1]
        assert np.array_equal(got[5:], expected[5:], equal_nan=True) and np.isfinite(got[1:5]).all() and got.max() < 10

    def test_arguments_are_not_changed(self):
        inputs, industry = market()
        copies = [getattr(inputs, n).copy() for n in ("returns", "total_cap", "turnover_rate", "universe")]
        s.style_exposures(inputs, industry)
        for name, copy in zip(("returns", "total_cap", "turnover_rate", "universe"), copies, strict=True):
            assert np.array_equal(getattr(inputs, name), copy, equal_nan=True)


class TestErrors:
    def test_inputs(self):
        inputs, industry = market()
        with pytest.raises(Misaligned, match="total_cap does not fit the returns"):
            replace(inputs, total_cap=inputs.total_cap[1:])
        with pytest.raises(BadInput, match="market values must be positive"):
            replace(inputs, total_cap=0 * inputs.total_cap)
        with pytest.raises(BadInput, match=r"a return of -100 % or less \(got -1.0\)"):
            replace(inputs, returns=np.full_like(inputs.returns, -1.0))
        with pytest.raises(Misaligned, match="industry does not fit the returns"):
            s.style_exposures(inputs, industry[1:])

    def test_names(self):
        with pytest.raises(UnknownName, match="unknown style 'momentun'.*Did you mean 'momentum'"):
            s.style_exposures(*market(), names=("size", "momentun"))
        with pytest.raises(InvalidSpec, match="styles without size"):
            s.style_exposures(*market(), names=("momentum",))
