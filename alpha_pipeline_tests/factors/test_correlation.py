"""Correlation of scores, autocorrelation, and the two formulas on averaging."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from alpha_pipeline.errors import InvalidSpec, NotEnoughData
from alpha_pipeline.factors.averaging import averaged_ic, averaged_pair_correlation
from alpha_pipeline.factors.correlation import run_correlation, score_correlation
from alpha_pipeline.factors.turnover import factor_autocorrelation

# MULTIMODEL figures 10 (single runs, diagonal = two runs of one model) and 11 (ten runs averaged), percent
SINGLE = np.array([[86.3, 82.1, 80.5, 78.4, 78.0], [82.1, 84.4, 79.2, 76.8, 77.6], [80.5, 79.2, 81.5, 75.0, 74.8],
                   [78.4, 76.8, 75.0, 81.9, 75.7], [78.0, 77.6, 74.8, 75.7, 81.9]]) / 100
AVERAGED = np.array([[100.0, 94.5, 94.1, 91.5, 91.0], [94.5, 100.0, 93.5, 90.5, 91.4], [94.1, 93.5, 100.0, 89.7, 89.4],
                     [91.5, 90.5, 89.7, 100.0, 90.4], [91.0, 91.4, 89.4, 90.4, 100.0]]) / 100


class TestExamples:
    @pytest.mark.parametrize(("i", "j"), [(i, j) for i in range(5) for j in range(i)])
    def test_published_single_runs_give_the_published_averages(self, i, j):
        got = averaged_pair_correlation(SINGLE[i, j], SINGLE[i, i], SINGLE[j, j], n_runs=10)
        assert got == pytest.approx(AVERAGED[i, j], abs=0.002)

    def test_averaged_ic(self):
        assert averaged_ic(0.1, 1.0, 5) == pytest.approx(0.1) and averaged_ic(0.1, 0.0, 4) == pytest.approx(0.2)

    def test_autocorrelation(self):
        assert factor_autocorrelation([[1.0, 2, 3], [1, 3, 2], [3, 1, 2]], min_stocks=3) == pytest.approx([0.5, -1.0])

    def test_autocorrelation_needs_a_name_on_both_dates(self):
        mask = np.array([[True, True, True, False], [True, True, True, True]])
        assert factor_autocorrelation([[1.0, 2, 3, 9], [1, 2, 3, 0]], mask=mask, min_stocks=3) == pytest.approx([1.0])

    def test_diagonal_of_runs_is_two_different_runs(self):
        a, b = [[1.0, 2, 3]], [[1.0, 3, 2]]
        table = run_correlation({"m": [a, b], "n": [a]}, method="rank", min_stocks=3)
        assert table.loc["m", "m"] == pytest.approx(0.5) and table.loc["n", "n"] == 1.0
        assert table.loc["m", "n"] == table.loc["n", "m"] == pytest.approx((1 + 0.5) / 2)


class TestSecondImplementation:
    def test_mean_over_dates_of_pandas_corr(self):
        rng = np.random.default_rng(0)
        common = rng.normal(size=(5, 40))
        scores = {name: common + rng.normal(size=common.shape) for name in "abc"}
        scores["b"][rng.random(common.shape) < 0.2] = np.nan
        for method, theirs in (("pearson", "pearson"), ("rank", "spearman")):
            daily = [pd.DataFrame({n: s[d] for n, s in scores.items()}).corr(method=theirs) for d in range(5)]
            pd.testing.assert_frame_equal(score_correlation(scores, method=method), sum(daily) / 5)

    def test_simulated_ensembles_follow_both_formulas(self):
        rng = np.random.default_rng(1)
        signal, runs = rng.normal(size=(1, 200_000)), 4
        scores = [signal + 0.8 * rng.normal(size=signal.shape) for _ in range(runs)]
        returns = 0.1 * signal + rng.normal(size=signal.shape)
        rho = run_correlation({"m": scores}).iloc[0, 0]
        single = np.mean([scipy.stats.pearsonr(s[0], returns[0])[0] for s in scores])
        together = scipy.stats.pearsonr(np.mean(scores, axis=0)[0], returns[0])[0]
        assert averaged_ic(single, rho, runs) == pytest.approx(together, rel=0.02)


class TestErrors:
    def test_no_scores(self):
        with pytest.raises(NotEnoughData, match="at least one run of each model"):
            run_correlation({"a": []})

    def test_method(self):
        with pytest.raises(InvalidSpec, match="correlation method .*got kendall"):
            score_correlation({"a": [[1.0]]}, method="kendall")  # type: ignore[arg-type]

    def test_impossible_numbers(self):
        with pytest.raises(InvalidSpec, match="no such set of scores exists"):
            averaged_ic(0.1, -0.5, 3)
        with pytest.raises(InvalidSpec, match="number of runs"):
            averaged_pair_correlation(0.5, 0.5, 0.5, 0)

    def test_autocorrelation_of_one_date(self):
        with pytest.raises(NotEnoughData, match="autocorrelation needs two test dates"):
            factor_autocorrelation([[1.0, 2.0]])
