"""Exposures from a panel's field: names, the mean over sessions, standardization."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import InvalidSpec
from alpha_pipeline.risk.panel_factors import PanelFactor, is_panel_factor, panel_exposure, panel_factor

EVERY = np.ones(12, dtype=bool)


class TestExamples:
    def test_names(self):
        assert panel_factor("mschars.close_volume_share@20") == PanelFactor("mschars", "close_volume_share", 20)
        assert panel_factor("daily.turn") == PanelFactor("daily", "turn", 1)
        assert is_panel_factor("daily.turn")
        assert not is_panel_factor("size")

    def test_mean_over_sessions_by_hand(self):
        """Means 1 and 3, half and half: one standard deviation either side of the middle."""
        values = np.array([[0.0, 2.0] * 6, [2.0, 4.0] * 6])
        assert panel_exposure(values, np.ones(12), EVERY).tolist() == [-1.0, 1.0] * 6


class TestProperties:
    def test_capitalization_weighted_mean_is_zero(self):
        rng = np.random.default_rng(3)
        values, cap = rng.normal(size=(5, 12)), rng.uniform(1.0, 9.0, 12)
        found = panel_exposure(values, cap, EVERY)
        assert np.average(found, weights=cap) == pytest.approx(0.0, abs=1e-12)
        assert found.std() == pytest.approx(1.0)

    def test_too_few_sessions_leave_a_gap(self):
        values = np.random.default_rng(4).normal(size=(5, 12))
        values[:2, 0] = np.nan
        values[:3, 1] = np.nan
        found = panel_exposure(values, np.ones(12), EVERY)
        assert np.flatnonzero(np.isnan(found)).tolist() == [1], "three of five sessions are 60 %, two are not"

    def test_equal_values_have_no_exposure(self):
        assert np.isnan(panel_exposure(np.ones((1, 12)), np.ones(12), EVERY)).all()


class TestErrors:
    @pytest.mark.parametrize("name", ["turn", "daily.turn@", "daily.turn@0", "daily.turn@999", "daily..turn", "a.b.c"])
    def test_other_forms(self, name):
        with pytest.raises(InvalidSpec, match="names no field of a panel"):
            panel_factor(name)
