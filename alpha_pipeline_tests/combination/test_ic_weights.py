"""Linear weightings: ICs against pandas, weights by hand and against the closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from alpha_pipeline.combination.ic_weights import equal, filled, ic_weighted, information_coefficients, max_icir
from alpha_pipeline.errors import Misaligned, NotEnoughData


@pytest.fixture
def ics() -> np.ndarray:
    return np.random.default_rng(0).normal([0.05, 0.02, -0.03], [0.10, 0.03, 0.05], size=(40, 3))


class TestExamples:
    def test_equal(self):
        assert equal(4).tolist() == [0.25] * 4

    def test_a_factor_without_ics_has_no_weight(self):
        np.testing.assert_allclose(ic_weighted([[0.1, np.nan], [0.3, np.nan]]), [1.0, 0.0])

    def test_no_ic_at_all_is_equal_weights(self):
        np.testing.assert_allclose(ic_weighted([[0.0, 0.0]]), [0.5, 0.5])

    def test_the_steadier_of_two_equal_factors_gets_more(self):
        ics = [[0.05, 0.15], [0.15, -0.05], [0.05, 0.15], [0.15, -0.05]]  # equal after these: means 0.1 and 0.05
        assert max_icir(ics, 0.1)[0] > 0.5

    def test_without_shrinkage_by_hand(self):
        # uncorrelated ICs with variances 0.01 and 0.04 (divisor 3 -> both times 4/3): weights mu / variance = 10 : 5
        ics = np.array([[0.1, 0.2], [0.1, -0.2], [-0.1, 0.2], [-0.1, -0.2]]) + [0.1, 0.2]
        np.testing.assert_allclose(max_icir(ics, 0.0), [10 / 15, 5 / 15])


class TestProperties:
    def test_ics_equal_pandas(self):
        rng = np.random.default_rng(1)
        factors, label = rng.normal(size=(80, 4)), rng.normal(size=80)
        factors[rng.random(factors.shape) < 0.2] = np.nan
        label[:5] = np.nan
        expected = pd.DataFrame(factors).corrwith(pd.Series(label)).to_numpy()
        np.testing.assert_allclose(information_coefficients(factors, label), expected, atol=1e-12)

    def test_ic_weights_equal_pandas(self, ics):
        ics[3, 1] = np.nan
        mean = pd.DataFrame(ics).mean()
        np.testing.assert_allclose(ic_weighted(ics), (mean / mean.abs().sum()).to_numpy())

    @pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
    def test_no_other_direction_has_a_larger_icir(self, ics, shrinkage):
        covariance = np.cov(ics.T)
        shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 3 * np.eye(3)
        mean = ics.mean(axis=0)

        def negative_icir(w: np.ndarray) -> float:
            return float(-(w @ mean) / np.sqrt(w @ shrunk @ w))

        found = max_icir(ics, shrinkage)
        best = optimize.minimize(negative_icir, [0.4, 0.4, -0.2], tol=1e-14).x
        np.testing.assert_allclose(found, best / np.abs(best).sum(), atol=1e-4)
        assert np.isclose(np.abs(found).sum(), 1.0)

    def test_full_shrinkage_is_the_mean_ic(self, ics):
        np.testing.assert_allclose(max_icir(ics, 1.0), ic_weighted(ics))

    def test_more_factors_than_dates(self):
        assert np.isfinite(max_icir(np.random.default_rng(2).normal(size=(5, 30)), 0.5)).all()

    def test_a_missing_factor_neither_raises_nor_lowers(self):
        assert filled([[5.0, 1.0], [np.nan, 3.0], [7.0, np.nan]]).tolist() == [[-1.0, -1.0], [0.0, 1.0], [1.0, 0.0]]


class TestErrors:
    def test_messages(self):
        with pytest.raises(NotEnoughData, match="ic_weights: no ICs to weight by"):
            ic_weighted(np.zeros((0, 2)))
        with pytest.raises(NotEnoughData, match="max_icir: a covariance of ICs needs two dates"):
            max_icir([[0.1, 0.2]])
        with pytest.raises(Misaligned, match="factors and label differ in stocks"):
            information_coefficients([[1.0], [2.0]], [1.0])
