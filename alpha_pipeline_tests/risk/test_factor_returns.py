"""Factor returns: the identities of the factor portfolios, two other solvers, and what drops out."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
import statsmodels.api as sm

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData
from alpha_pipeline.risk.factor_returns import COUNTRY, estimate_factor_returns, explain_day, factor_portfolios
from alpha_pipeline.risk.industries import industry_dummies

NAN = np.nan
G, K = 4, 2
NAMES = {"style_names": ("size", "beta"), "industry_names": ("a", "b", "c", "d")}


def market(n_dates: int = 5, n_stocks: int = 60):
    rng = np.random.default_rng(0)
    returns = 0.02 * rng.normal(size=(n_dates, n_stocks))
    styles = rng.normal(size=(n_dates, n_stocks, K))
    industry = rng.integers(0, G, size=returns.shape)
    cap = np.exp(22 + rng.normal(size=returns.shape))
    return returns, styles, industry, cap, np.ones(returns.shape, dtype=bool)


def full_exposures(styles, industry):
    return np.column_stack([np.ones(len(styles)), industry_dummies(industry, G), styles])


class TestExamples:
    def test_exact_returns_are_found(self):
        """Returns made of known factor returns that respect the restriction: regression gives exactly those back."""
        returns, styles, industry, cap, universe = market()
        shares = np.bincount(industry[0], weights=cap[0]) / cap[0].sum()
        f_industry = np.array([0.01, -0.02, 0.005, 0.0])
        f_industry[3] = -(shares[:3] @ f_industry[:3]) / shares[3]
        returns[1] = 0.013 + f_industry[industry[0]] + styles[0] @ [0.002, -0.001]
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        assert result.values[1] == pytest.approx([0.013, *f_industry, 0.002, -0.001], abs=1e-12)
        assert result.specific[1] == pytest.approx(0, abs=1e-12) and result.r_squared[1] == pytest.approx(1)
        assert result.names == (COUNTRY, "a", "b", "c", "d", "size", "beta")
        assert list(result.frame(np.arange("2024-01-01", "2024-01-06", dtype="datetime64[D]")))[:2] == ["trade_date", "country"]

    def test_first_date_has_no_regression(self):
        result = estimate_factor_returns(*market(), **NAMES)
        assert np.isnan(result.values[0]).all() and result.dropped[0] == result.names
        assert result.n_stocks.tolist() == [0] + [60] * 4

    def test_industry_without_members_drops_out_by_name(self):
        returns, styles, industry, cap, universe = market()
        universe[1] &= industry[1] != 2
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        assert result.dropped[2] == ("c",) and np.isnan(result.values[2, 3])
        assert not np.isnan(result.values[2, [0, 1, 2, 4, 5, 6]]).any()
        assert np.array_equal(np.isnan(result.specific[2]), industry[1] == 2)

    @pytest.mark.parametrize("value", [NAN, 0.7])
    def test_style_without_spread_drops_out_by_name(self, value):
        returns, styles, industry, cap, universe = market()
        styles[1, :, 1] = value
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        assert result.dropped[2] == ("beta",) and np.isnan(result.values[2, 6]) and np.isfinite(result.values[2, :6]).all()

    def test_incomplete_stocks_are_left_out_of_the_regression(self):
        returns, styles, industry, cap, universe = market()
        returns[1, 0], styles[0, 1, 0], industry[0, 2], cap[0, 3], universe[0, 4] = NAN, NAN, -1, NAN, False
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        assert result.n_stocks[1] == 55
        assert np.isnan(result.specific[1, :3]).all()
        assert np.isfinite(result.specific[1, 3:]).all()  # stocks 3 and 4 are not regressed, but explained

    def test_too_few_stocks_give_no_regression(self):
        returns, styles, industry, cap, universe = market()
        universe[0, 6:] = False
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        assert np.isnan(result.values[1]).all() and result.dropped[1] == result.names

    def test_single_industry_has_return_zero(self):
        returns, styles, industry, cap, universe = market()
        result = estimate_factor_returns(returns, styles, 0 * industry, cap, universe, style_names=("size", "beta"),
                                         industry_names=("a",))
        assert (result.values[1:, 1] == 0).all()


    def test_condition_number(self):
        """One industry, equal weights, a style of ±1: country and style are orthogonal. A style and nearly the same one again are not."""
        n = 40
        style, zeros, ones = np.tile([1.0, -1.0], n // 2), np.zeros(n, dtype=np.int64), np.ones(n)
        found = explain_day(0.01 * style, style[:, None], zeros, ones, ones > 0, 1)
        assert found.condition == pytest.approx(1)
        assert found.values == pytest.approx([0, 0, 0.01])
        nearly = np.column_stack([style, style + 1e-3 * np.repeat([1.0, -1.0], n // 2)])
        assert explain_day(0.01 * style, nearly, zeros, ones, ones > 0, 1).condition == pytest.approx(2e3, rel=1e-3)

    def test_one_date_equals_the_row_of_a_range(self):
        returns, styles, industry, cap, universe = market()
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        found = explain_day(returns[3], styles[2], industry[2], cap[2], universe[2], G)
        assert np.array_equal(found.values, result.values[3])
        assert np.array_equal(found.specific, result.specific[3])
        assert (found.r_squared, found.condition) == (result.r_squared[3], result.condition[3])
        assert np.isnan(result.condition[0])


class TestIdentities:
    @pytest.mark.parametrize("weight", [None, np.linspace(0.1, 7.0, 60)], ids=["√cap", "others"])
    def test_exposures_of_the_factor_portfolios(self, weight):
        _, styles, industry, cap, _ = market()
        portfolios = factor_portfolios(styles[0], industry[0], cap[0], G, weight)
        exposures = portfolios @ full_exposures(styles[0], industry[0])
        shares = np.bincount(industry[0], weights=cap[0], minlength=G) / cap[0].sum()
        # country: fully invested, industries in their cap shares, no style
        assert exposures[0] == pytest.approx([1, *shares, 0, 0], abs=1e-12)
        # styles: one of their own and nothing else, so no money and no industry
        assert exposures[1 + G :] == pytest.approx(np.eye(1 + G + K)[1 + G :], abs=1e-12)
        # an industry portfolio: no money, no style, and cap shares of the industries' portfolios cancel out
        assert exposures[1 : 1 + G, 0] == pytest.approx(0, abs=1e-12)
        assert exposures[1 : 1 + G, 1 + G :] == pytest.approx(0, abs=1e-12)
        assert shares @ portfolios[1 : 1 + G] == pytest.approx(0, abs=1e-12)

    def test_restriction_and_orthogonality_of_the_specific_returns(self):
        returns, styles, industry, cap, universe = market()
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        for day in range(1, 5):
            shares = np.bincount(industry[day - 1], weights=cap[day - 1], minlength=G) / cap[day - 1].sum()
            assert shares @ result.values[day, 1 : 1 + G] == pytest.approx(0, abs=1e-14)
            weighted = np.sqrt(cap[day - 1]) * result.specific[day]
            assert full_exposures(styles[day - 1], industry[day - 1]).T @ weighted == pytest.approx(0, abs=1e-6)
            fitted = full_exposures(styles[day - 1], industry[day - 1]) @ result.values[day]
            assert fitted + result.specific[day] == pytest.approx(returns[day], abs=1e-14)


class TestSecondImplementations:
    def test_statsmodels_fit_and_r_squared(self):
        returns, styles, industry, cap, universe = market()
        result = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        design = np.column_stack([industry_dummies(industry[0], G), styles[0]])  # the same space without the restriction
        fit = sm.WLS(returns[1], design, weights=np.sqrt(cap[0]), hasconst=True).fit()
        assert result.specific[1] == pytest.approx(fit.resid, abs=1e-12) and result.r_squared[1] == pytest.approx(fit.rsquared)
        assert result.values[1, 5:] == pytest.approx(fit.params[4:], abs=1e-12)

    def test_other_weights_by_statsmodels(self):
        returns, styles, industry, cap, universe = market()
        weight = np.random.default_rng(3).uniform(0.2, 5.0, 60)
        weight[7] = NAN
        found = explain_day(returns[1], styles[0], industry[0], cap[0], universe[0], G, weight)
        used = ~np.isnan(weight)
        design = np.column_stack([industry_dummies(industry[0], G), styles[0]])
        fit = sm.WLS(returns[1][used], design[used], weights=weight[used], hasconst=True).fit()
        assert found.values[5:] == pytest.approx(fit.params[4:], abs=1e-12)
        assert found.r_squared == pytest.approx(fit.rsquared)
        assert found.used.tolist() == used.tolist() and np.isfinite(found.specific[7]), "of unknown weight: explained, not regressed"
        shares = np.bincount(industry[0][used], weights=cap[0][used]) / cap[0][used].sum()
        assert shares @ found.values[1:5] == pytest.approx(0, abs=1e-14), "the restriction stays one of market values"
        usual = explain_day(returns[1], styles[0], industry[0], cap[0], universe[0], G)
        again = explain_day(returns[1], styles[0], industry[0], cap[0], universe[0], G, np.sqrt(cap[0]))
        assert np.array_equal(usual.values, again.values)

    def test_restricted_least_squares_by_lagrange_multipliers_and_by_cvxpy(self):
        returns, styles, industry, cap, universe = market()
        got = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES).values[1]
        x, w = full_exposures(styles[0], industry[0]), np.sqrt(cap[0])
        w = w / w.sum()
        c = np.zeros(1 + G + K)
        c[1 : 1 + G] = np.bincount(industry[0], weights=cap[0], minlength=G) / cap[0].sum()
        system = np.block([[2 * x.T @ (w[:, None] * x), c[:, None]], [c[None], np.zeros((1, 1))]])
        lagrange = np.linalg.solve(system, np.append(2 * x.T @ (w * returns[1]), 0))[:-1]
        assert got == pytest.approx(lagrange, abs=1e-12)
        f = cp.Variable(1 + G + K)
        scaled = np.sqrt(w)[:, None] * np.column_stack([x, 100 * returns[1]])
        cp.Problem(cp.Minimize(cp.sum_squares(scaled[:, :-1] @ f - scaled[:, -1])), [c @ f == 0]).solve(solver=cp.CLARABEL)
        assert got == pytest.approx(f.value / 100, abs=1e-7)


class TestProperties:
    def test_today_is_explained_with_yesterday(self):
        returns, styles, industry, cap, universe = market()
        expected = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        for array in (styles, cap):
            array[3:] *= 2.0
        industry[3:], universe[3:] = 0, industry[3:] > 1
        changed = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)
        assert np.array_equal(changed.values[:4], expected.values[:4], equal_nan=True)
        assert not np.array_equal(changed.values[4], expected.values[4], equal_nan=True)

    def test_order_of_stocks_and_scale_of_cap_do_not_matter(self):
        returns, styles, industry, cap, universe = market()
        expected = estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES).values
        p = np.random.default_rng(1).permutation(60)
        got = estimate_factor_returns(returns[:, p], styles[:, p], industry[:, p], 1e4 * cap[:, p], universe[:, p], **NAMES)
        assert got.values == pytest.approx(expected, nan_ok=True, abs=1e-13)


class TestErrors:
    @pytest.mark.parametrize("value", [0.0, -1.0, np.inf])
    def test_weights_that_are_none(self, value):
        returns, styles, industry, cap, universe = market()
        weight = np.ones(60)
        weight[3] = value
        with pytest.raises(BadInput, match="regression weights must be positive and finite"):
            explain_day(returns[1], styles[0], industry[0], cap[0], universe[0], G, weight)

    def test_shapes_and_names(self):
        returns, styles, industry, cap, universe = market()
        with pytest.raises(Misaligned, match=r"styles does not fit \(got \(5, 60, 2\), expected \(5, 60, 1\)\)"):
            estimate_factor_returns(returns, styles, industry, cap, universe, style_names=("x",), industry_names=("a",) * 4)
        with pytest.raises(Misaligned, match=r"more industry codes than names \(got 3, expected <= 2\)"):
            estimate_factor_returns(
                returns, styles, industry, cap, universe, style_names=("x", "y"), industry_names=("a",) * 3)

    def test_redundant_styles_are_named_by_date(self):
        returns, styles, industry, cap, universe = market()
        styles[1, :, 1] = 2 * styles[1, :, 0] + 1
        with pytest.raises(BadInput, match="factor returns, row 2: .*redundant styles"):
            estimate_factor_returns(returns, styles, industry, cap, universe, **NAMES)

    def test_cap(self):
        returns, styles, industry, cap, universe = market()
        with pytest.raises(BadInput, match="market values must be positive"):
            estimate_factor_returns(returns, styles, industry, 0 * cap, universe, **NAMES)

    def test_not_more_stocks_than_factors(self):
        _, styles, industry, cap, _ = market()
        with pytest.raises(NotEnoughData, match="not more stocks than factors"):
            factor_portfolios(styles[0, :3], industry[0, :3], cap[0, :3], G)
        with pytest.raises(NotEnoughData, match=r"explain_day: not more stocks than factors \(got 3, expected > \d"):
            explain_day(np.zeros(3), styles[0, :3], industry[0, :3], cap[0, :3], np.ones(3, dtype=bool), G)
        with pytest.raises(BadInput, match="a style is zero for every stock"):
            factor_portfolios(0 * styles[0], industry[0], cap[0], G)
