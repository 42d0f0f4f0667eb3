"""Mean of z-scores: by hand, against scipy, and what a missing score does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from alpha_pipeline.combination.zscore_mean import mean_zscore
from alpha_pipeline.errors import Misaligned


class TestExamples:
    def test_by_hand(self):
        # z of (1, 3) is (-1, 1), z of (30, 10) is (1, -1), z of (0, 8) is (-1, 1)
        np.testing.assert_allclose(mean_zscore([[1.0, 3.0], [30.0, 10.0], [0.0, 8.0]]), [-1 / 3, 1 / 3])

    def test_a_stock_that_one_score_lacks_counts_for_nobody(self):
        np.testing.assert_allclose(mean_zscore([[1.0, 3.0, 99.0], [2.0, 4.0, np.nan]]), [-1.0, 1.0, np.nan])

    def test_nobody_has_all_scores(self):
        assert np.isnan(mean_zscore([[1.0, np.nan], [np.nan, 2.0]])).all()


class TestProperties:
    def test_equals_scipy(self):
        scores = np.random.default_rng(0).normal(size=(4, 200)) * [[1], [10], [1e-3], [7]] + 5
        np.testing.assert_allclose(mean_zscore(scores), stats.zscore(scores, axis=1).mean(axis=0), atol=1e-12)

    def test_the_number_of_other_columns_does_not_change_a_bit(self):
        scores = np.random.default_rng(1).normal(size=(3, 137))
        wider = np.concatenate([scores, np.full((3, 500), np.nan)], axis=1)
        assert mean_zscore(wider)[:137].tobytes() == mean_zscore(scores).tobytes()


class TestErrors:
    def test_shape(self):
        with pytest.raises(Misaligned, match=r"mean_zscore: scores have the wrong shape \(got \(2,\), expected \(scores, stocks\)\)"):
            mean_zscore([1.0, 2.0])
