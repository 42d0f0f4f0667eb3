"""Return arithmetic: by hand, the identity of the published tables, and each refusal."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline import returns as r
from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData

DATES = np.array(["2023-12-28", "2023-12-29", "2024-01-02", "2024-01-31", "2024-02-01"], dtype="datetime64[D]")


class TestExamples:
    def test_nav_and_annualised_return(self):
        assert r.net_asset_value([0.10, -0.50]) == pytest.approx([1.10, 0.55])
        assert r.annualized_return([0.02, 0.01]) == pytest.approx((1.02 * 1.01) ** 126 - 1)

    def test_volatility_and_sharpe(self):
        assert r.annualized_volatility([0.01, 0.03]) == pytest.approx(np.sqrt(0.0002) * np.sqrt(252))
        assert r.sharpe_ratio([0.01, -0.01, 0.02]) == pytest.approx(
            r.annualized_return([0.01, -0.01, 0.02]) / r.annualized_volatility([0.01, -0.01, 0.02]))

    def test_excess_compounds_the_differences_and_is_not_the_ratio(self):
        assert r.excess_nav([0.10, 0.10], [0.00, 0.05]) == pytest.approx([1.10, 1.10 * 1.05])
        assert r.annualized_excess_return([0.10, 0.10], [0.00, 0.05]) == pytest.approx((1.1 * 1.05) ** 126 - 1)

    def test_information_ratio_and_tracking_error(self):
        p, b = [0.02, 0.00, 0.01], [0.01, 0.01, 0.00]
        assert r.tracking_error(p, b) == pytest.approx(np.std([0.01, -0.01, 0.01], ddof=1) * np.sqrt(252))
        assert r.information_ratio(p, b) == pytest.approx(r.annualized_excess_return(p, b) / r.tracking_error(p, b))

    def test_drawdown_counts_a_loss_on_the_first_day(self):
        assert r.max_drawdown([0.9, 1.2, 0.6, 1.0]) == pytest.approx(0.5)
        assert r.max_drawdown([0.8, 0.9]) == pytest.approx(0.2)
        assert r.max_drawdown([1.1, 1.2]) == 0.0

    def test_calmar(self):
        p, b = [0.02, -0.01], [0.0, 0.0]
        assert r.calmar_ratio(p, b) == pytest.approx(((1.02 * 0.99) ** 126 - 1) / 0.01)

    def test_months_and_years(self):
        excess = [0.02, -0.03, 0.01, 0.01, -0.01]  # December 1.02*0.97 < 1, January > 1, February < 1
        assert r.monthly_win_rate(excess, np.zeros(5), DATES) == pytest.approx(1 / 3)
        assert r.yearly_returns(excess, DATES) == pytest.approx({2023: 1.02 * 0.97 - 1, 2024: 1.01 * 1.01 * 0.99 - 1})
        assert r.yearly_excess_returns(excess, excess, DATES) == {2023: 0.0, 2024: 0.0}

    def test_undefined_ratios_are_nan(self):
        assert np.isnan(r.sharpe_ratio([0.1, 0.1, 0.1])) and np.isnan(r.information_ratio([0.1, 0.1], [0.1, 0.1]))
        assert np.isnan(r.annualized_volatility([0.1])) and np.isnan(r.calmar_ratio([0.1, 0.1], [0.0, 0.0]))

    def test_total_loss(self):
        assert r.annualized_return([0.5, -1.0]) == -1.0


class TestPublishedIdentity:
    @pytest.mark.parametrize(("annual", "vol", "base", "base_vol", "error", "excess"), [
        (0.2711, 0.2450, 0.0400, 0.2600, 0.0652, 0.2150), (0.2555, 0.2485, 0.0400, 0.2600, 0.0631, 0.2013),
        (0.2370, 0.2288, -0.0427, 0.2292, 0.0651, 0.2893), (0.1276, 0.1878, 0.0279, 0.1900, 0.0572, 0.0948),
    ])
    def test_series_with_published_moments_have_the_published_excess(self, annual, vol, base, base_vol, error, excess):
        """Draw daily returns with a row's two returns, volatilities and tracking error; our excess is the published one."""
        n, rng = 252 * 40, np.random.default_rng(0)
        z = rng.normal(size=(2, n))
        z -= z.mean(axis=1, keepdims=True)
        z[1] -= (z[1] @ z[0]) / (z[0] @ z[0]) * z[0]
        z /= z.std(axis=1, ddof=1, keepdims=True)
        rho = (vol**2 + base_vol**2 - error**2) / (2 * vol * base_vol)
        market = z[0] * base_vol / np.sqrt(252)
        portfolio = (rho * z[0] + np.sqrt(1 - rho**2) * z[1]) * vol / np.sqrt(252)
        for _ in range(50):  # shift each mean until the geometric return is the published one
            market += (np.log1p(base) - np.log1p(r.annualized_return(market))) / 252
            portfolio += (np.log1p(annual) - np.log1p(r.annualized_return(portfolio))) / 252
        assert r.tracking_error(portfolio, market) == pytest.approx(error, abs=1e-4)
        assert r.annualized_excess_return(portfolio, market) == pytest.approx(excess, abs=5e-4)


class TestErrors:
    def test_nan_day(self):
        with pytest.raises(BadInput, match=r"annualized_return: returns hold NaN or infinite days \(got 1, expected 0\)"):
            r.annualized_return([0.1, np.nan])

    def test_no_day(self):
        with pytest.raises(NotEnoughData, match="no returns"):
            r.annualized_return([])
        with pytest.raises(NotEnoughData, match="no net asset value"):
            r.max_drawdown([])

    def test_impossible_return_and_nav(self):
        with pytest.raises(BadInput, match=r"below -100 %.*got -1.5"):
            r.net_asset_value([-1.5])
        with pytest.raises(BadInput, match="not negative"):
            r.max_drawdown([1.0, -0.1])

    def test_shapes(self):
        with pytest.raises(Misaligned, match="one series"):
            r.net_asset_value([[0.1]])
        with pytest.raises(Misaligned, match="portfolio and benchmark differ in length"):
            r.excess_nav([0.1], [0.1, 0.2])
        with pytest.raises(Misaligned, match="dates and returns differ in length"):
            r.monthly_win_rate([0.1], [0.1], DATES)

    def test_dates_out_of_order(self):
        with pytest.raises(BadInput, match="dates must increase"):
            r.yearly_returns(np.zeros(5), DATES[::-1])
