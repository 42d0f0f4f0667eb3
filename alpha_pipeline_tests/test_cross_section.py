"""Cross-sectional operators: by hand, against scipy, pandas and statsmodels, and what they must never do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alpha_pipeline.cross_section import centered_ranks, rank, residualize, winsorize_mad, zscore
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned

NAN = np.nan
OPERATORS = [winsorize_mad, zscore, rank, lambda x, mask=None: residualize(x, np.ones((np.shape(x)[-1], 1)), mask=mask)]


def panel(seed: int = 0, n_dates: int = 7, n_stocks: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_t(3, size=(n_dates, n_stocks))
    x[rng.random(x.shape) < 0.1] = NAN
    return x


class TestExamples:
    def test_winsorize_moves_the_outlier_to_the_bound(self):
        # median 3, absolute deviations 2 1 0 1 97 -> MAD 1; bound 3 + 3 * 1.4826
        assert winsorize_mad([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx([1, 2, 3, 4, 7.4478])

    def test_winsorize_with_an_even_count_and_a_narrow_bound(self):
        # median 2.5, deviations 1.5 .5 .5 1.5 -> MAD 1; one robust deviation either side
        assert winsorize_mad([1.0, 2.0, 3.0, 4.0], n_mad=1.0) == pytest.approx([1.0174, 2, 3, 3.9826])

    def test_winsorize_leaves_a_row_without_robust_scale_alone(self):
        assert winsorize_mad([5.0, 5.0, 5.0, 9.0]).tolist() == [5, 5, 5, 9]

    def test_zscore(self):
        assert zscore([1.0, 2.0, 3.0, NAN]) == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5), NAN], nan_ok=True)
        assert zscore([1.0, 2.0, 3.0], ddof=1) == pytest.approx([-1, 0, 1])

    def test_zscore_without_spread_is_zero(self):
        assert zscore([0.1] * 7).tolist() == [0.0] * 7
        assert zscore([4.0, NAN]).tolist()[0] == 0.0
        assert zscore([4.0, NAN], ddof=1).tolist()[0] == 0.0
        assert np.isnan(zscore([NAN, NAN])).all()

    def test_rank_shares_ties(self):
        assert rank([10.0, 30.0, 10.0, NAN, 20.0]) == pytest.approx([1.5, 4, 1.5, NAN, 3], nan_ok=True)

    def test_mask_removes_from_result_and_statistics(self):
        mask = np.array([True, True, True, False])
        assert zscore([1.0, 2.0, 3.0, 1000.0], mask=mask) == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5), NAN], nan_ok=True)
        assert rank([3.0, 2.0, 1.0, 0.0], mask=mask) == pytest.approx([3, 2, 1, NAN], nan_ok=True)

    def test_residualize_line(self):
        # y = 2.5 x + 0.5 is the least-squares line through (0,1) (1,2) (2,6)
        assert residualize([1.0, 2.0, 6.0], [[1.0, 0], [1, 1], [1, 2]]) == pytest.approx([0.5, -1.0, 0.5])

    def test_residualize_stock_of_weight_zero_has_a_residual_but_no_say(self):
        result = residualize([1.0, 3.0, 100.0], np.ones((3, 1)), weights=[1.0, 1.0, 0.0])
        assert result == pytest.approx([-1, 1, 98])

    def test_residualize_leaves_incomplete_stocks_out(self):
        result = residualize([1.0, 3.0, 7.0, NAN], [[1.0], [1.0], [NAN], [1.0]])
        assert result == pytest.approx([-1, 1, NAN, NAN], nan_ok=True)

    def test_residualize_with_redundant_columns_is_the_same_projection(self):
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(30, 3)), rng.normal(size=30)
        doubled = np.column_stack([x, 1e6 * x[:, 0], x[:, 1] - x[:, 2]])
        assert residualize(y, doubled) == pytest.approx(residualize(y, x), abs=1e-10)


class TestSecondImplementations:
    def test_rank_is_scipy_rankdata(self):
        x = np.round(panel(), 1)
        assert np.array_equal(rank(x), scipy.stats.rankdata(x, axis=1, nan_policy="omit"), equal_nan=True)

    def test_zscore_is_pandas(self):
        x = pd.DataFrame(panel())
        expected = x.sub(x.mean(axis=1), axis=0).div(x.std(axis=1, ddof=1), axis=0)
        assert zscore(x.to_numpy(), ddof=1) == pytest.approx(expected.to_numpy(), nan_ok=True)

    def test_winsorize_is_clip_at_scipy_mad(self):
        for row, got in zip(panel(), winsorize_mad(panel(), n_mad=2.0), strict=True):
            width = 2 * 1.4826 * scipy.stats.median_abs_deviation(row, nan_policy="omit")
            assert got == pytest.approx(np.clip(row, np.nanmedian(row) - width, np.nanmedian(row) + width), nan_ok=True)

    def test_residualize_is_statsmodels_wls(self):
        rng = np.random.default_rng(2)
        y, x, w = rng.normal(size=50), sm.add_constant(rng.normal(size=(50, 4))), rng.uniform(0.5, 2, 50)
        assert residualize(y, x, weights=w) == pytest.approx(sm.WLS(y, x, weights=w).fit().resid, abs=1e-12)

    def test_rank_tells_values_apart_that_differ_in_the_last_bit(self):
        rng = np.random.default_rng(7)
        x = np.nextafter(1.0, rng.choice([0.0, 2.0], size=(3, 300)))
        x[:, ::3] = np.nextafter(x[:, ::3], 5.0)
        x[1] *= -1
        x[2, :50] = NAN
        assert np.array_equal(rank(x), scipy.stats.rankdata(x, axis=1, nan_policy="omit"), equal_nan=True)

    @settings(max_examples=60, deadline=None)
    @given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)),
                      elements=st.one_of(st.just(NAN), st.sampled_from([-1.0, -0.0, 0.0, 5e-324, 1.0, 1.0000000000000002]),
                                         st.floats(-1e6, 1e6))))
    def test_rank_is_scipy_rankdata_on_awkward_rows(self, x):
        assert np.array_equal(rank(x), scipy.stats.rankdata(x, axis=1, nan_policy="omit"), equal_nan=True)


class TestProperties:
    @pytest.mark.parametrize("operator", OPERATORS)
    def test_one_date_alone_gives_the_same_bits(self, operator):
        x = panel(n_stocks=301)
        together = operator(x)
        for date in range(len(x)):
            assert np.array_equal(together[date], operator(x[date]), equal_nan=True)

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_order_of_stocks_does_not_matter(self, operator):
        x = panel()
        shuffled = np.random.default_rng(3).permutation(x.shape[1])
        assert operator(x)[:, shuffled] == pytest.approx(operator(x[:, shuffled]), nan_ok=True, abs=1e-12)

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_argument_is_not_changed(self, operator):
        x, mask = panel(), np.random.default_rng(4).random((7, 60)) < 0.7
        copies = x.copy(), mask.copy()
        operator(x, mask=mask)
        assert np.array_equal(x, copies[0], equal_nan=True) and np.array_equal(mask, copies[1])

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_mask_equals_setting_nan(self, operator):
        x, mask = panel(), np.random.default_rng(5).random((7, 60)) < 0.7
        assert np.array_equal(operator(x, mask=mask), operator(np.where(mask, x, NAN)), equal_nan=True)

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_nan_stays_exactly_where_it_was(self, operator):
        assert np.array_equal(np.isnan(operator(panel())), np.isnan(panel()))

    @pytest.mark.parametrize("operator", OPERATORS)
    def test_float32_and_column_order_are_accepted(self, operator):
        x = panel().astype(np.float32)
        got = operator(np.asfortranarray(x))
        assert got.dtype == np.float64 and np.array_equal(got, operator(x.astype(np.float64)), equal_nan=True)

    def test_many_rows_cross_the_chunk_border(self):
        x = panel(n_dates=40, n_stocks=20_000)
        assert np.array_equal(rank(x)[-1], rank(x[-1]), equal_nan=True)

    def test_residual_is_orthogonal_to_every_exposure(self):
        rng = np.random.default_rng(6)
        x, y, w = rng.normal(size=(3, 40, 4)), rng.normal(size=(3, 40)), rng.uniform(0.1, 3, (3, 40))
        assert np.einsum("dsk,ds->dk", x, w * residualize(y, x, weights=w)) == pytest.approx(0, abs=1e-10)

    def test_empty_axes(self):
        assert rank(np.empty((3, 0))).shape == (3, 0) and zscore(np.empty((0, 4))).shape == (0, 4)
        assert winsorize_mad(np.empty((3, 0))).shape == (3, 0)

    def test_centered_ranks_are_ranks_less_their_mean(self):
        x = np.round(np.random.default_rng(8).normal(size=(5, 60)), 1)  # ties
        present = np.random.default_rng(9).random(x.shape) < 0.8
        expected = rank(x, mask=present)
        expected = np.nan_to_num(expected - np.nanmean(expected, axis=1, keepdims=True))
        for rows in (x, np.asfortranarray(x)):
            assert centered_ranks(np.where(present, rows, np.nan), present) == pytest.approx(expected, abs=1e-12)

    def test_what_is_not_present_has_no_rank_beside_values_that_differ_in_the_last_bit(self):
        x = 1 + np.array([[3, 2, 0, 1, 99, 99]]) * 2.0**-52
        present = np.array([[True, True, False, True, True, False]])
        assert centered_ranks(x, present).tolist() == [[0.5, -0.5, 0.0, -1.5, 1.5, 0.0]]


class TestErrors:
    def test_infinite_value(self):
        with pytest.raises(BadInput, match=r"zscore: infinite values \(got 1, expected 0\)\. Set them to NaN"):
            zscore([1.0, np.inf])

    def test_mask_of_another_shape(self):
        with pytest.raises(Misaligned, match=r"rank: mask and values differ in shape \(got \(3,\), expected \(2,\)\)"):
            rank([1.0, 2.0], mask=np.ones(3, dtype=bool))

    def test_mask_of_numbers(self):
        with pytest.raises(BadInput, match="the mask is not boolean"):
            rank([1.0, 2.0], mask=np.array([0, 1]))

    def test_a_single_number(self):
        with pytest.raises(Misaligned, match="at least one axis"):
            zscore(3.0)

    @pytest.mark.parametrize("n_mad", [0.0, -1.0, NAN])
    def test_width_that_is_not_positive(self, n_mad):
        with pytest.raises(InvalidSpec, match="n_mad must be positive"):
            winsorize_mad([1.0, 2.0], n_mad=n_mad)

    def test_exposures_of_another_shape(self):
        with pytest.raises(Misaligned, match="exposures do not fit y"):
            residualize([1.0, 2.0], np.ones((3, 1)))

    def test_weights(self):
        with pytest.raises(BadInput, match="negative weight"):
            residualize([1.0, 2.0], np.ones((2, 1)), weights=[1.0, -1.0])
        with pytest.raises(Misaligned, match="weights do not fit y"):
            residualize([1.0, 2.0], np.ones((2, 1)), weights=[1.0])
        with pytest.raises(BadInput, match="exposures hold infinite values"):
            residualize([1.0, 2.0], [[1.0], [np.inf]])
