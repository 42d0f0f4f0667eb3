"""The neutralised factor: by hand, against statsmodels, and one date alone."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from alpha_pipeline.cross_section import winsorize_mad, zscore
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned
from alpha_pipeline.factors.neutralize import neutralize
from alpha_pipeline_tests.factors.conftest import needs_numba

NAN = np.nan


def market(seed: int = 0, n_dates: int = 4, n_stocks: int = 120):
    rng = np.random.default_rng(seed)
    factor = rng.standard_t(3, size=(n_dates, n_stocks))
    factor[rng.random(factor.shape) < 0.05] = NAN
    industry = rng.integers(-1, 8, size=factor.shape)
    log_cap = 22 + rng.normal(size=factor.shape)
    log_cap[rng.random(factor.shape) < 0.03] = NAN
    mask = rng.random(factor.shape) < 0.9
    return factor, industry, log_cap, mask


def statsmodels_way(factor, industry, log_cap, mask, extra=()):
    result = np.full(factor.shape, NAN)
    for d in range(len(factor)):
        used = mask[d] & ~np.isnan(factor[d]) & (industry[d] >= 0) & ~np.isnan(log_cap[d])
        for style in extra:
            used &= ~np.isnan(style[d])
        y = winsorize_mad(factor[d, used])
        dummies = pd.get_dummies(industry[d, used]).to_numpy(dtype=float)
        x = np.column_stack([dummies, log_cap[d, used], *(style[d, used] for style in extra)])
        result[d, used] = zscore(sm.OLS(y, x).fit().resid)
    return result


@pytest.mark.usefixtures("either_way")
class TestExamples:
    def test_industry_means_are_removed(self):
        # equal caps: [1,3] -> [-1,1], [10,14] -> [-2,2]; the std of those four is sqrt(2.5)
        got = neutralize([[1.0, 3, 10, 14]], [[0, 0, 1, 1]], [[5.0] * 4]).values
        assert got == pytest.approx(np.array([[-1, 1, -2, 2]]) / np.sqrt(2.5))

    def test_size_is_removed(self):
        # one industry, y = 2 * cap + (1, -1, -1, 1) and that pattern is orthogonal to cap 1 2 3 4
        got = neutralize([[3.0, 3, 5, 9]], [[0] * 4], [[1.0, 2, 3, 4]], n_mad=100).values
        assert got == pytest.approx(np.array([[1.0, -1, -1, 1]]))

    def test_fully_explained_factor_is_zero_not_noise(self):
        cap = np.array([[1.0, 2, 1.5, 3, 2.2, 2.9]])
        got = neutralize(7 * cap + 1e5, [[0, 0, 0, 1, 1, 1]], cap, n_mad=100).values
        assert got.tolist() == [[0.0] * 6]

    def test_constant_factor_is_zero(self):
        assert neutralize([[0.1] * 5], [[0, 0, 1, 1, 1]], [[1.0, 2, 3, 4, 5]]).values.tolist() == [[0.0] * 5]

    def test_each_lost_stock_is_counted_once_by_its_first_reason(self):
        factor, industry = [[NAN, 1.0, 2.0, 3.0, 4.0, 9.0]], [[-1, -1, 0, 0, 0, 0]]
        log_cap, mask = [[NAN, NAN, NAN, 1.0, 2.0, NAN]], np.array([[True] * 5 + [False]])
        result = neutralize(factor, industry, log_cap, mask=mask)
        assert {k: v.tolist() for k, v in result.dropped.items()} == {"no_factor": [1], "no_industry": [1], "no_cap": [1]}
        assert np.isnan(result.values[0]).tolist() == [True, True, True, False, False, True]

    def test_missing_style_is_counted(self):
        style = np.array([[1.0, NAN, 0.0, 2.0]])
        result = neutralize([[1.0, 2, 3, 5]], [[0] * 4], [[1.0, 2, 3, 4]], extra=[style])
        assert result.dropped["no_style"].tolist() == [1]

    def test_date_without_any_stock(self):
        result = neutralize(np.full((1, 3), NAN), [[0, 0, 0]], [[1.0, 2, 3]])
        assert np.isnan(result.values).all() and result.dropped["no_factor"].tolist() == [3]


@needs_numba
@pytest.mark.parametrize("n_extra", [0, 2])
def test_the_kernel_agrees_with_numpy(n_extra: int, monkeypatch: pytest.MonkeyPatch) -> None:
    factor, industry, log_cap, mask = market(7, n_dates=60, n_stocks=2001)
    factor[10:20] = np.round(factor[10:20], 1)
    factor[20:30] = 1e6 + factor[20:30]
    factor[30:40, ::2] = 0.1  # about half are equal: mostly without a robust scale
    factor[40], factor[41], log_cap[42], industry[43], mask[44] = 0.1, NAN, 22.0, -1, False
    mask[45], mask[46], mask[45, 7], mask[46, 7:9] = False, False, True, True
    extra = [np.random.default_rng(k).normal(size=factor.shape) for k in range(n_extra)]
    found = neutralize(factor, industry, log_cap, mask=mask, extra=extra)
    monkeypatch.setitem(sys.modules, "numba", None)
    expected = neutralize(factor, industry, log_cap, mask=mask, extra=extra)
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-12)
    assert all(np.array_equal(found.dropped[reason], expected.dropped[reason]) for reason in expected.dropped)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("n_cores", [1, 5])
def test_the_number_of_cores_changes_nothing(n_cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    factor, industry, log_cap, mask = market(8, n_dates=100, n_stocks=2000)  # more than two blocks of rows
    expected = neutralize(factor, industry, log_cap, mask=mask).values
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(n_cores)), raising=False)
    np.testing.assert_array_equal(neutralize(factor, industry, log_cap, mask=mask).values, expected)


@pytest.mark.usefixtures("either_way")
class TestSecondImplementation:
    def test_statsmodels_ols(self):
        factor, industry, log_cap, mask = market()
        assert neutralize(factor, industry, log_cap, mask=mask).values == pytest.approx(
            statsmodels_way(factor, industry, log_cap, mask), nan_ok=True, abs=1e-10)

    def test_statsmodels_ols_with_styles_one_of_them_redundant(self):
        factor, industry, log_cap, mask = market(1)
        style = np.random.default_rng(2).normal(size=factor.shape) + 100 + log_cap
        extra = [style, 3 * style - log_cap]
        expected = statsmodels_way(factor, industry, log_cap, mask, [style])
        assert neutralize(factor, industry, log_cap, mask=mask, extra=[style]).values == pytest.approx(
            expected, nan_ok=True, abs=1e-9)
        assert neutralize(factor, industry, log_cap, mask=mask, extra=extra).values == pytest.approx(
            expected, nan_ok=True, abs=1e-7)

    @pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")  # meant: statsmodels projects all the same
    def test_size_that_only_repeats_the_industry(self):
        factor, industry, _, mask = market(3)
        got = neutralize(factor, industry, 0.1 * industry, mask=mask).values
        assert got == pytest.approx(statsmodels_way(factor, industry, 0.1 * industry, mask), nan_ok=True, abs=1e-10)


@pytest.mark.usefixtures("either_way")
class TestProperties:
    def test_no_industry_mean_and_no_size_correlation_is_left(self):
        factor, industry, log_cap, mask = market()
        values = neutralize(factor, industry, log_cap, mask=mask).values
        used = ~np.isnan(values)
        for d in range(len(values)):
            assert np.nanstd(values[d]) == pytest.approx(1)
            assert values[d, used[d]] @ log_cap[d, used[d]] == pytest.approx(0, abs=1e-9)
            for code in range(8):
                assert values[d, used[d] & (industry[d] == code)].sum() == pytest.approx(0, abs=1e-10)

    def test_one_date_alone_gives_the_same_bits(self):
        factor, industry, log_cap, mask = market(n_dates=30, n_stocks=3001)
        together = neutralize(factor, industry, log_cap, mask=mask).values
        for d in (0, 17, 29):
            alone = neutralize(factor[[d]], industry[[d]], log_cap[[d]], mask=mask[[d]]).values
            assert np.array_equal(together[[d]], alone, equal_nan=True)

    def test_order_of_stocks_and_names_of_codes_do_not_matter(self):
        factor, industry, log_cap, mask = market()
        shuffled = np.random.default_rng(5).permutation(factor.shape[1])
        expected = neutralize(factor, industry, log_cap, mask=mask).values[:, shuffled]
        codes = np.where(industry < 0, -1, 801010 + 10 * industry)
        got = neutralize(factor[:, shuffled], codes[:, shuffled], log_cap[:, shuffled], mask=mask[:, shuffled]).values
        assert got == pytest.approx(expected, nan_ok=True, abs=1e-11)

    def test_stocks_outside_the_universe_change_nothing(self):
        factor, industry, log_cap, mask = market()
        expected = neutralize(factor, industry, log_cap, mask=mask)
        changed = neutralize(np.where(mask, factor, 1e9), industry, np.where(mask, log_cap, 1e9), mask=mask)
        assert np.array_equal(expected.values, changed.values, equal_nan=True)
        assert all(np.array_equal(expected.dropped[k], changed.dropped[k]) for k in expected.dropped)

    def test_arguments_are_not_changed(self):
        arguments = market()
        copies = [a.copy() for a in arguments]
        neutralize(*arguments[:3], mask=arguments[3])
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arguments, copies, strict=True))


class TestErrors:
    def test_shapes(self):
        with pytest.raises(Misaligned, match=r"log_cap does not fit the factor \(got \(1, 1\), expected \(1, 2\)\)"):
            neutralize([[1.0, 2.0]], [[0, 0]], [[1.0]])
        with pytest.raises(Misaligned, match=r"factor must be \(dates, stocks\)"):
            neutralize([1.0, 2.0], [0, 0], [1.0, 2.0])

    def test_industry_codes(self):
        with pytest.raises(BadInput, match="industry codes must be integers"):
            neutralize([[1.0]], [[0.0]], [[1.0]])
        with pytest.raises(BadInput, match=r"an industry code below -1 \(got -2"):
            neutralize([[1.0]], [[-2]], [[1.0]])

    @pytest.mark.usefixtures("either_way")
    def test_infinite_factor_and_width(self):
        with pytest.raises(BadInput, match="factor holds infinite values"):
            neutralize([[1.0, np.inf]], [[0, 0]], [[1.0, 2.0]])
        outside = np.array([[True, True, False]])
        assert neutralize([[1.0, 3.0, np.inf]], [[0, 0, 0]], [[5.0] * 3], mask=outside).values[0, :2] == pytest.approx([-1, 1])
        with pytest.raises(InvalidSpec, match="n_mad must be positive"):
            neutralize([[1.0]], [[0]], [[1.0]], n_mad=0)

    def test_infinite_cap_and_mask_of_numbers(self):
        with pytest.raises(BadInput, match="log_cap holds infinite values"):
            neutralize([[1.0]], [[0]], [[-np.inf]])
        with pytest.raises(BadInput, match="the mask is not boolean"):
            neutralize([[1.0]], [[0]], [[1.0]], mask=np.array([[1]]))
