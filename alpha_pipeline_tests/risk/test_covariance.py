"""Factor covariance, specific and portfolio risk: by hand, by numpy, from simulated returns with a known answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData
from alpha_pipeline.risk import covariance as c
from alpha_pipeline.risk.portfolio_risk import active_risk, bias_statistic, portfolio_risk
from alpha_pipeline.risk.specific import specific_risk

NAN = np.nan


def known(k: int = 6, n: int = 1008, seed: int = 0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(k, k)) * 0.005
    truth = root @ root.T + 1e-5 * np.eye(k)
    return truth, rng.multivariate_normal(np.zeros(k), truth, n)


class TestExamples:
    def test_without_decay_and_lags_it_is_numpys(self):
        _, f = known(3, 50)
        assert c.ewma_covariance(f, 1e12) == pytest.approx(np.cov(f.T, bias=True))

    def test_decay_by_pandas(self):
        _, f = known(3, 300)
        expected = pd.DataFrame(f).ewm(halflife=84).cov(bias=True).loc[299].to_numpy()
        assert c.ewma_covariance(f, 84) == pytest.approx(expected)

    def test_one_lag_by_hand(self):
        f = np.array([[1.0], [-1.0], [2.0], [-2.0]])
        # Γ0 = 10/4; Γ1 = (−1 − 2 − 4)/3, Bartlett weight 1/2 and counted twice; negative, so a tenth of Γ0 stays
        assert c.ewma_covariance(f, 1e12, 1) == pytest.approx(0.25)
        g = np.array([[1.0], [1.0], [-1.0], [-1.0]])
        assert c.ewma_covariance(g, 1e12, 1) == pytest.approx(1 + (1 - 1 + 1) / 3)

    def test_volatility_and_correlation_have_their_own_memory(self):
        _, f = known()
        got = c.factor_covariance(f).values
        quick, slow = c.ewma_covariance(f, 84, 2), c.ewma_covariance(f, 504, 2)
        assert np.diag(got) == pytest.approx(np.diag(quick))
        spread = np.sqrt(np.diag(got))
        assert got / np.outer(spread, spread) == pytest.approx(slow / np.sqrt(np.outer(np.diag(slow), np.diag(slow))))

    def test_portfolio_by_hand(self):
        x, f, d = np.array([[1.0, 0.5], [1.0, -0.5]]), np.array([[4e-4, 1e-4], [1e-4, 1e-4]]), np.array([0.01, 0.03])
        got = portfolio_risk(np.array([0.75, 0.25]), x, f, d)
        assert got.exposures.tolist() == [1.0, 0.25]
        assert got.factor_variance == pytest.approx(4e-4 + 2 * 0.25e-4 + 0.0625e-4)
        assert got.specific_variance == pytest.approx(0.5625 * 1e-4 + 0.0625 * 9e-4)
        assert got.volatility == pytest.approx(np.sqrt(252 * got.variance))
        tracking = active_risk(np.array([0.75, 0.25]), np.array([0.5, 0.5]), x, f, d)
        assert tracking.exposures == pytest.approx([0, 0.25])
        assert tracking.variance == pytest.approx(0.0625e-4 + 0.0625 * 1e-4 + 0.0625 * 9e-4)

    def test_specific_risk_without_history_is_its_deciles_mean(self):
        rng = np.random.default_rng(0)
        cap = np.sort(np.exp(rng.normal(size=100)))
        returns = rng.normal(size=(100, 252)) * np.linspace(0.03, 0.01, 100)[:, None]
        returns[5] = NAN
        got = specific_risk(returns, cap, np.ones(100, dtype=bool))
        inside = [i for i in range(10) if i != 5]
        assert got.weight[5] == 1.0
        assert got.volatility[5] == pytest.approx(np.average(got.own[inside], weights=cap[inside]), rel=0.02)
        assert np.isnan(got.own[5])

    def test_shrinkage_by_hand(self):
        """Two equal stocks per decile but one: of that pair, σ̄ is the cap-weighted mean and Δ the standard deviation."""
        vol = np.full(20, 0.02)
        vol[1] = 0.04
        returns = np.tile([1.0, -1.0], 126) * vol[:, None]
        cap = np.arange(1.0, 21)
        got = specific_risk(returns, cap, np.ones(20, dtype=bool))
        mean, spread = (1 * 0.02 + 2 * 0.04) / 3, 0.01
        v = 0.1 * (0.04 - mean) / (spread + 0.1 * (0.04 - mean))
        assert got.own[1] == pytest.approx(0.04)
        assert got.weight[1] == pytest.approx(v)
        assert got.volatility[1] == pytest.approx(v * mean + (1 - v) * 0.04)
        assert got.volatility[10:] == pytest.approx(0.02)


class TestProperties:
    def test_known_covariance_is_recovered(self):
        truth, f = known(n=1008)
        got = c.factor_covariance(f).values
        spread, true_spread = np.sqrt(np.diag(got)), np.sqrt(np.diag(truth))
        # the volatility's half-life of 84 is worth about 240 sessions: 1/√(2·240) = 4.6 %, more with lags
        assert np.abs(spread / true_spread - 1).max() < 0.2
        difference = got / np.outer(spread, spread) - truth / np.outer(true_spread, true_spread)
        assert np.abs(difference).max() < 0.15

    def test_positive_definite_with_more_factors_than_sessions_and_gaps(self):
        rng = np.random.default_rng(0)
        f = 0.01 * rng.normal(size=(65, 40)) @ rng.normal(size=(40, 80))
        f[rng.random(f.shape) < 0.02] = NAN
        f = np.column_stack([f, np.where(np.arange(65) < 30, 0.01, NAN)])  # 30 returns: no covariance
        f[:3, :80] = np.nan_to_num(f[:3, :80])
        full = np.vstack([f, np.column_stack([0.01 * rng.normal(size=(20, 80)), np.full(20, NAN)])])
        got = c.factor_covariance(full)
        assert got.has.tolist() == [True] * 80 + [False]
        assert np.isnan(got.values[80]).all()
        inside = got.values[:80, :80]
        assert got.n_floored > 0
        assert np.array_equal(inside, inside.T)
        assert np.linalg.eigvalsh(inside).min() > 0

    def test_factor_that_never_moves_has_variance_zero(self):
        _, f = known(3, 100)
        got = c.factor_covariance(np.column_stack([f, np.zeros(100)])).values
        assert (got[3] == 0).all()
        assert np.linalg.eigvalsh(got[:3, :3]).min() > 0

    def test_only_the_window_counts(self):
        _, f = known(3, 1100)
        assert np.array_equal(c.factor_covariance(f).values, c.factor_covariance(f[-1008:].copy()).values)

    def test_bias_statistic_is_near_one_for_normal_returns(self):
        """Forecasts made day by day from the past of simulated returns with a constant covariance."""
        _, f = known(4, 900)
        days = range(400, 900)
        forecasts = np.array([np.sqrt(np.diag(c.factor_covariance(f[:t]).values)) for t in days])
        assert bias_statistic(f[400:900], forecasts) == pytest.approx(1, abs=0.12)
        assert bias_statistic(f[400:900], forecasts / 2) == pytest.approx(2, abs=0.25)

    def test_portfolio_variance_of_simulated_returns(self):
        truth, f = known(5, 200_000)
        rng = np.random.default_rng(2)
        x, w, d = rng.normal(size=(8, 5)), rng.normal(size=8) / 8, rng.uniform(0.01, 0.02, 8)
        realized = (f @ x.T + d * rng.normal(size=(len(f), 8))) @ w
        assert portfolio_risk(w, x, truth, d).variance == pytest.approx(realized.var(), rel=0.02)


class TestErrors:
    def test_too_short(self):
        with pytest.raises(NotEnoughData, match=r"too few factor returns for a covariance \(got 59 sessions"):
            c.factor_covariance(np.zeros((59, 2)))
        with pytest.raises(NotEnoughData, match="too few stocks with specific returns"):
            specific_risk(np.full((30, 100), NAN), np.ones(30), np.ones(30, dtype=bool))

    def test_bad_input(self):
        with pytest.raises(BadInput, match="infinite factor returns"):
            c.factor_covariance(np.full((100, 1), np.inf))
        with pytest.raises(Misaligned, match="market values or universe do not fit"):
            specific_risk(np.zeros((30, 100)), np.ones(29), np.ones(30, dtype=bool))
        with pytest.raises(Misaligned, match="differ in shape"):
            bias_statistic(np.zeros(3), np.ones(2))

    def test_holdings_that_cannot_be_described(self):
        x, f, d = np.array([[1.0], [NAN]]), np.array([[1e-4]]), np.array([0.01, 0.01])
        assert portfolio_risk(np.array([1.0, 0.0]), x, f, d).variance == pytest.approx(2e-4)
        with pytest.raises(BadInput, match=r"holdings without exposures or specific risk \(got 1 with weight 0.5000, first at 1"):
            portfolio_risk(np.array([0.5, 0.5]), x, f, d)
        with pytest.raises(BadInput, match=r"an exposure to a factor without covariance \(got factor number 0"):
            portfolio_risk(np.array([1.0, 0.0]), x, np.array([[NAN]]), d)
        with pytest.raises(Misaligned, match="do not fit the exposures"):
            portfolio_risk(np.ones(3), x, f, d)
