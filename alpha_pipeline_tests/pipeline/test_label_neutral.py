"""Labels freed of exposures at formation: against statsmodels, the same bits however the range is cut, and what a neutral model's checkpoint sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from alpha_pipeline.cross_section import winsorize_mad
from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.features.labels import by_formation
from alpha_pipeline.market.universe import tradable_next_day
from alpha_pipeline.pipeline.exposures import HISTORY_DAYS, exposures_of, style_inputs
from alpha_pipeline.pipeline.samples import data_history, panel_names, sample_data
from alpha_pipeline.risk.styles import SHORT_STYLES
from alpha_pipeline_tests.conftest import TINY_MODEL

NEUTRAL = replace(TINY_MODEL, label_neutral=("industry", "size", *SHORT_STYLES))
STOP = 170


class TestExamples:
    def test_residuals_are_those_of_statsmodels(self, ci_run):
        panels = ci_run.work.panels
        found = sample_data(panels, NEUTRAL, 0, STOP, [150, 155]).labels
        raw = by_formation(panels.label("r10").field("return", 0, STOP), TINY_MODEL.label)
        mask = panels.universe(NEUTRAL.universe, 0, STOP) & tradable_next_day(panels.status.field("flags", 0, STOP))
        exposures = exposures_of(panels, NEUTRAL.label_neutral, 0, STOP, [150, 155]).values.astype(float)
        for row, at in enumerate((150, 155)):
            y = winsorize_mad(raw[at], mask=mask[at])
            kept = np.isfinite(y) & np.isfinite(exposures[row]).all(axis=1)
            expected = stats.zscore(sm.OLS(y[kept], sm.add_constant(exposures[row, kept], has_constant="add")).fit().resid)
            np.testing.assert_allclose(found[at, kept], expected, atol=1e-8)
            assert np.isnan(found[at, ~kept]).all()
            for column in range(exposures.shape[2]):
                assert abs(float(found[at, kept] @ exposures[row, kept, column])) < 1e-8

    def test_ten_day_styles_by_hand(self, ci_run):
        panels = ci_run.work.panels
        inputs = style_inputs(panels, 100, 130)
        returns, turnover = inputs.returns[20:30], inputs.turnover_rate[20:30]
        with np.errstate(divide="ignore"):
            for name, expected in (("momentum_10", np.log1p(returns).mean(axis=0)), ("volatility_10", returns.std(axis=0, ddof=1)),
                                   ("liquidity_10", np.log(turnover.mean(axis=0)))):
                values = SHORT_STYLES[name](inputs)[29]
                both = np.isfinite(values) & np.isfinite(expected)
                assert both.sum() > 40
                np.testing.assert_allclose(values[both], expected[both], rtol=1e-10)

    def test_without_names_labels_are_as_before(self, ci_run):
        panels = ci_run.work.panels
        plain = sample_data(panels, TINY_MODEL, 0, STOP, [150])
        assert np.isfinite(plain.labels[149]).any()


class TestProperties:
    @pytest.mark.parametrize("start", [150 - HISTORY_DAYS + 1, 3])
    def test_same_bits_however_the_range_is_cut(self, ci_run, start):
        panels = ci_run.work.panels
        whole = sample_data(panels, NEUTRAL, 0, STOP, [150, 155]).labels[150]
        assert sample_data(panels, NEUTRAL, start, STOP, [150 - start]).labels[150 - start].tobytes() == whole.tobytes()

    def test_the_sample_says_what_it_depends_on(self):
        assert data_history(NEUTRAL) == HISTORY_DAYS
        assert "daily" in panel_names(replace(NEUTRAL, tensors=("intraday_15m",)))
        assert NEUTRAL.training_digest() != TINY_MODEL.training_digest()
        assert replace(NEUTRAL, label_neutral=("industry", "size")).training_digest() != NEUTRAL.training_digest()


class TestErrors:
    def test_messages(self):
        with pytest.raises(UnknownName, match="unknown exposure of the label 'momentum_5'.*Did you mean 'momentum_10'"):
            replace(NEUTRAL, label_neutral=("momentum_5",)).validate()
        with pytest.raises(InvalidSpec, match="an exposure of the label is named twice"):
            replace(NEUTRAL, label_neutral=("size", "size")).validate()
