"""The linear baseline on prices small enough to check by hand."""

import numpy as np
import pytest

from alpha_pipeline.combination.linear import equal_weight, price_volume_components


class TestExamples:
    def test_components_by_hand(self):
        days = np.arange(60)
        close = np.stack([100 * 1.01**days, np.where(days % 2 == 0, 100.0, 102.0)], axis=1)
        turn = np.stack([np.full(60, 0.02), np.where(days >= 40, 0.04, 0.02)], axis=1)
        found = price_volume_components(close, turn)
        assert found["reversal"][0] == pytest.approx(-(1.01**10 - 1))
        assert found["reversal"][1] == pytest.approx(0.0)
        assert found["low_volatility"][0] == pytest.approx(0.0, abs=1e-12)
        up, down = 0.02, 100 / 102 - 1
        assert found["low_volatility"][1] == pytest.approx(-np.std([up, down] * 10, ddof=1))
        assert found["low_abnormal_turnover"][0] == pytest.approx(0.0)
        assert found["low_abnormal_turnover"][1] == pytest.approx(-np.log(0.04 / ((40 * 0.02 + 20 * 0.04) / 60)))

    def test_short_turnover_history_is_missing(self):
        close = np.full((30, 1), 10.0)
        assert np.isnan(price_volume_components(close, np.full((30, 1), 0.02))["low_abnormal_turnover"]).all()


class TestProperties:
    def test_blend_is_missing_where_a_component_is(self):
        blend = equal_weight({"a": np.array([1.0, 2.0, np.nan, 4.0]), "b": np.array([1.0, 2.0, 3.0, 4.0])}, np.array([True, True, True, True]))
        assert np.isnan(blend).tolist() == [False, False, True, False]
        assert blend[0] < blend[1] < blend[3]
