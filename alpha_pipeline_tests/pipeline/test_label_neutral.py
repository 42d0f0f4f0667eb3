"""Labels freed of exposures: residual by hand, against statsmodels, on a market, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.features.labels import by_formation, neutral_labels
from alpha_pipeline.pipeline.exposures import exposures_of
from alpha_pipeline.pipeline.samples import data_history, panel_names, sample_data
from alpha_pipeline_tests.conftest import TINY_MODEL

NEUTRAL = replace(TINY_MODEL, label_neutral=("industry", "size", "momentum_10d"))


class TestExamples:
    def test_two_industries(self):
        assert neutral_labels([0.01, 0.03, 0.06, 0.08], np.array([[0.0], [0.0], [1.0], [1.0]])) == pytest.approx([-1, 1, -1, 1])

    def test_a_label_that_the_exposures_explain_is_nothing(self):
        size = np.arange(12.0)[:, None]
        assert not neutral_labels(0.01 * size[:, 0], size).any()

    def test_unknown_returns_stay_unknown(self):
        assert np.isnan(neutral_labels([0.01, np.nan, 0.02, 0.05], np.array([[1.0], [2.0], [3.0], [5.0]]))).tolist() == [False, True, False, False]


class TestProperties:
    def test_agrees_with_statsmodels(self):
        rng = np.random.default_rng(0)
        exposures, returns = rng.normal(size=(80, 3)), rng.normal(0, 0.02, 80)
        clipped = np.clip(returns, *(np.median(returns) + k * 3 * 1.4826 * np.median(np.abs(returns - np.median(returns))) for k in (-1, 1)))
        residual = sm.OLS(clipped, sm.add_constant(exposures)).fit().resid
        assert neutral_labels(returns, exposures) == pytest.approx(residual / residual.std(), abs=1e-9)

    def test_labels_of_a_market_are_orthogonal_to_their_exposures_and_exist_on_sampled_dates_alone(self, ci_run):
        panels = ci_run.work.panels
        dates = [20, 60]
        data = sample_data(ci_run.work, panels, NEUTRAL, 0, 90, dates)
        exposures = exposures_of(panels, NEUTRAL.label_neutral, 0, 90, dates)
        assert np.flatnonzero(np.isfinite(data.labels).any(axis=1)).tolist() == dates
        for at in dates:
            known = np.flatnonzero(np.isfinite(data.labels[at]))
            assert np.abs(data.labels[at, known] @ exposures.of(at, known)).max() < 1e-4 * len(known)

    def test_a_date_does_not_depend_on_the_others_sampled(self, ci_run):
        panels = ci_run.work.panels
        alone, together = (sample_data(ci_run.work, panels, NEUTRAL, 0, 90, dates).labels[60] for dates in ([60], [20, 40, 60]))
        assert np.array_equal(alone, together, equal_nan=True)

    def test_without_it_labels_are_as_before(self, ci_run):
        panels = ci_run.work.panels
        data = sample_data(ci_run.work, panels, TINY_MODEL, 0, 90, [60])
        raw = by_formation(panels.label(TINY_MODEL.label.name).field("return", 0, 90), TINY_MODEL.label)
        assert np.isfinite(data.labels[10]).any() and (np.isfinite(data.labels[60]) <= np.isfinite(raw[60])).all()

    def test_digest_and_history(self):
        assert NEUTRAL.training_digest() != TINY_MODEL.training_digest() == replace(TINY_MODEL, label_neutral=()).training_digest()
        assert data_history(NEUTRAL) >= 142 and "daily" in panel_names(NEUTRAL)


class TestErrors:
    def test_unknown_exposure(self):
        with pytest.raises(UnknownName, match="momentum_9d"):
            replace(TINY_MODEL, label_neutral=("momentum_9d",)).validate()

    def test_named_twice(self):
        with pytest.raises(InvalidSpec, match="an exposure is named twice"):
            replace(TINY_MODEL, label_neutral=("size", "size")).validate()
