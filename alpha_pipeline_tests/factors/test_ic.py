"""Information coefficients: by hand, against scipy and statsmodels."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, NotEnoughData
from alpha_pipeline.factors.ic import ic, newey_west_se, rank_ic, summarize_ic
from alpha_pipeline_tests.factors.conftest import needs_numba

NAN = np.nan


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("n_cores", [1, 2, 5])
def test_the_number_of_cores_changes_nothing(n_cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    scores, returns = rng.normal(size=(2, 300, 2000))  # more than two blocks of rows
    expected = [scipy.stats.spearmanr(scores[day], returns[day]).statistic for day in (0, 131, 299)]
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(n_cores)), raising=False)
    found = rank_ic(scores, returns)
    np.testing.assert_allclose(found[[0, 131, 299]], expected, atol=1e-12)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0}, raising=False)
    np.testing.assert_array_equal(found, rank_ic(scores, returns))


@needs_numba
def test_the_kernel_gives_the_bits_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    ulp = 2.0**-52
    awkward = np.stack([
        rng.normal(size=700), np.round(rng.normal(size=700), 1), 1 + ulp * rng.integers(0, 50, 700), 1 - ulp * np.arange(700.0),
        rng.choice([-0.0, 0.0, 1.0], 700), 1e-310 * rng.normal(size=700), rng.normal(size=700) * 10.0 ** rng.integers(-300, 300, 700),
        np.full(700, NAN),
    ])
    left, right = (np.array(x) for x in zip(*((a, rng.permutation(b)) for a in awkward for b in awkward), strict=True))
    left[rng.random(left.shape) < 0.1] = NAN
    mask = rng.random(left.shape) < 0.9
    found = rank_ic(left, right, mask=mask)
    monkeypatch.setitem(sys.modules, "numba", None)
    np.testing.assert_array_equal(found, rank_ic(left, right, mask=mask))
    assert np.isfinite(found).sum() == 49


def pair(seed: int = 0, decimals: int = 12):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(6, 50))
    returns = np.round(0.3 * scores + rng.normal(size=(6, 50)), decimals)
    scores[rng.random(scores.shape) < 0.1] = NAN
    returns[rng.random(scores.shape) < 0.1] = NAN
    return scores, returns


@pytest.mark.usefixtures("either_way")
class TestExamples:
    def test_rank_ic(self):
        # rank differences 0, 1, -1 -> 1 - 6 * 2 / (3 * 8)
        assert rank_ic([[1.0, 2, 3]], [[0.1, 0.3, 0.2]], min_stocks=3) == pytest.approx([0.5])
        assert rank_ic([[1.0, 2, 3]], [[3.0, 2, 1]], min_stocks=3).tolist() == [-1.0]

    def test_ic(self):
        assert ic([[1.0, 2, 3]], [[0.0, 0, 3]], min_stocks=3) == pytest.approx([np.sqrt(0.75)])

    def test_pairs_are_completed_before_ranking(self):
        assert rank_ic([[1.0, 2, 3, 99]], [[1.0, 2, 3, NAN]], min_stocks=3) == pytest.approx([1])
        mask = np.array([[True] * 3 + [False]])
        assert rank_ic([[1.0, 2, 3, 0]], [[1.0, 2, 3, 9]], mask=mask, min_stocks=3) == pytest.approx([1])

    def test_too_few_pairs_or_no_spread_is_nan(self):
        assert np.isnan(rank_ic([[1.0, 2, 3]], [[1.0, 2, 3]], min_stocks=4)).all()
        assert np.isnan(rank_ic([[0.1] * 12], [np.arange(12.0)])).all() and np.isnan(ic([[0.1] * 12], [np.arange(12.0)])).all()
        assert np.isnan(ic(np.full((1, 5), NAN), np.ones((1, 5)))).all()

    def test_newey_west_by_hand(self):
        # mean 2, deviations -1 0 1: gamma0 = 2/3, gamma1 = 0, so one lag adds nothing
        assert newey_west_se([1.0, 2, 3], 0) == pytest.approx(np.sqrt(2 / 9))
        assert newey_west_se([1.0, 2, 3], 1) == pytest.approx(np.sqrt(2 / 9))
        # deviations -1.5 -.5 .5 1.5: sum of squares 5, lag-one products 1.25, Bartlett weight 1/2
        assert newey_west_se([1.0, 2, 3, 4], 1) == pytest.approx(np.sqrt(5 + 2 * 0.5 * 1.25) / 4)

    def test_summary(self):
        summary = summarize_ic([0.1, NAN, -0.1, 0.3], lags=0)
        assert (summary.n_dates, summary.n_missing) == (3, 1)
        assert summary.mean == pytest.approx(0.1) and summary.std == pytest.approx(0.2) and summary.icir == pytest.approx(0.5)
        assert summary.positive_share == pytest.approx(2 / 3) and summary.t_plain == pytest.approx(0.5 * np.sqrt(3))
        assert summary.t_newey_west == pytest.approx(0.1 / np.sqrt(0.08 / 9))

    def test_summary_of_one_date_has_no_spread(self):
        summary = summarize_ic([0.1])
        assert summary.mean == 0.1 and np.isnan(summary.std) and np.isnan(summary.icir) and np.isnan(summary.t_newey_west)


@pytest.mark.usefixtures("either_way")
class TestSecondImplementations:
    @pytest.mark.parametrize("decimals", [12, 1])  # 1: many ties
    def test_spearmanr_and_pearsonr(self, decimals):
        scores, returns = pair(decimals=decimals)
        for d, (got_rank, got) in enumerate(zip(rank_ic(scores, returns), ic(scores, returns), strict=True)):
            used = ~np.isnan(scores[d]) & ~np.isnan(returns[d])
            assert got_rank == pytest.approx(scipy.stats.spearmanr(scores[d, used], returns[d, used])[0], abs=1e-13)
            assert got == pytest.approx(scipy.stats.pearsonr(scores[d, used], returns[d, used])[0], abs=1e-13)

    @pytest.mark.parametrize("lags", [0, 1, 5])
    def test_newey_west_is_statsmodels_hac(self, lags):
        series = np.cumsum(np.random.default_rng(1).normal(size=80)) * 0.1
        fit = sm.OLS(series, np.ones(80)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
        assert newey_west_se(series, lags) == pytest.approx(fit.bse[0], rel=1e-12)


@pytest.mark.usefixtures("either_way")
class TestProperties:
    def test_monotone_changes_leave_the_rank_ic_and_signs_turn_it(self):
        scores, returns = pair()
        assert rank_ic(np.exp(scores), returns**3) == pytest.approx(rank_ic(scores, returns))
        assert rank_ic(-scores, returns) == pytest.approx(-rank_ic(scores, returns))

    def test_order_of_stocks_and_neighbouring_dates_do_not_matter(self):
        scores, returns = pair()
        shuffled = np.random.default_rng(2).permutation(50)
        assert rank_ic(scores[:, shuffled], returns[:, shuffled]) == pytest.approx(rank_ic(scores, returns), abs=1e-13)
        assert rank_ic(scores[[3]], returns[[3]])[0] == rank_ic(scores, returns)[3]

    def test_arguments_are_not_changed(self):
        scores, returns = pair()
        copies = scores.copy(), returns.copy()
        rank_ic(scores, returns), ic(scores, returns)
        assert np.array_equal(scores, copies[0], equal_nan=True) and np.array_equal(returns, copies[1], equal_nan=True)

    def test_autocorrelated_series_has_a_larger_newey_west_error(self):
        rng = np.random.default_rng(3)
        overlapping = np.convolve(rng.normal(size=400), np.ones(5) / 5, mode="valid")
        assert newey_west_se(overlapping, 8) > 1.5 * newey_west_se(overlapping, 0)


class TestErrors:
    @pytest.mark.usefixtures("either_way")
    def test_infinite_values_of_a_pair(self):
        with pytest.raises(BadInput, match="rank_ic: infinite values"):
            rank_ic([[1.0, 2, np.inf]], [[1.0, 2, 3]], min_stocks=2)
        assert rank_ic([[1.0, 2, np.inf]], [[1.0, 2, NAN]], min_stocks=2).tolist() == [1.0]  # not a pair, as before

    def test_shapes(self):
        with pytest.raises(Misaligned, match=r"rank_ic: scores and returns differ in shape \(got \(1, 3\), expected \(1, 2\)\)"):
            rank_ic([[1.0, 2]], [[1.0, 2, 3]])
        with pytest.raises(Misaligned, match="ic: mask and scores differ in shape"):
            ic([[1.0, 2]], [[1.0, 2]], mask=np.ones((1, 3), dtype=bool))

    def test_newey_west(self):
        with pytest.raises(NotEnoughData, match="a standard error needs two values"):
            newey_west_se([1.0], 0)
        with pytest.raises(InvalidSpec, match=r"number of lags \(got 3, expected 0 to 2\)"):
            newey_west_se([1.0, 2, 3], 3)

    def test_no_ic_at_all(self):
        with pytest.raises(NotEnoughData, match="no date has an IC"):
            summarize_ic([NAN, NAN])
