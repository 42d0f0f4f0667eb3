"""Active styles against the returns that follow: by hand, against a second implementation, outliers by the stated rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.diagnostics.style_timing import active_exposures, following_returns, style_timing, timing_summary
from alpha_pipeline.errors import InvalidSpec, Misaligned

DATES = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]")


class TestExamples:
    def test_active_exposure(self):
        assert active_exposures([[0.5, 0.5, 0.0]], [[0.2, 0.3, 0.5]], [[[1.0], [2.0], [np.nan]]])[0, 0] == pytest.approx(0.3 + 0.4)

    def test_the_session_of_the_signal_does_not_count(self):
        daily = np.array([[0.9], [0.01], [0.02], [0.03]])
        assert following_returns(daily, [0], horizon=2)[0, 0] == pytest.approx(1.01 * 1.02 - 1)
        assert np.isnan(following_returns(daily, [2], horizon=2)[0, 0])

    def test_tail_losses_and_gains(self):
        returns = np.array([0.01, -0.01, 0.005, -0.005, 0.0, 0.01, -0.01, 0.0, 0.2, -0.2])
        exposure = np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, -0.3, -0.3])
        timing = style_timing(DATES, exposure, returns)
        assert timing["outlier"].tolist() == [""] * 8 + ["tail loss", "tail gain"]
        summary = timing_summary(timing)
        assert summary["tail_losses"] == "2024-01-09" and summary["tail_gains"] == "2024-01-10"
        assert summary["correlation_without_losses"] > summary["correlation"]

    def test_without_spread_nothing_is_an_outlier(self):
        timing = style_timing(DATES[:4], np.ones(4), np.zeros(4))
        assert (timing["outlier"] == "").all() and np.isnan(timing_summary(timing)["correlation"])


class TestProperties:
    def test_correlation_agrees_with_pandas_and_leaves_out_what_is_unknown(self):
        rng = np.random.default_rng(2)
        exposure, returns = rng.normal(size=10), rng.normal(size=10)
        returns[-1] = np.nan
        summary = timing_summary(style_timing(DATES, exposure, returns))
        assert summary["n_rebalances"] == 9
        assert summary["correlation"] == pytest.approx(pd.Series(exposure[:9]).corr(pd.Series(returns[:9])))

    def test_following_returns_agree_with_a_loop(self):
        daily = np.random.default_rng(3).normal(0, 0.01, (20, 2))
        rows = [0, 7, 14]
        for at, row in enumerate(rows):
            value = np.ones(2)
            for later in range(row + 1, row + 6):
                value *= 1 + daily[later]
            assert following_returns(daily, rows)[at] == pytest.approx(value - 1)

    def test_benchmark_against_itself_is_no_bet(self):
        weights = np.full((3, 4), 0.25)
        assert not active_exposures(weights, weights, np.ones((3, 4, 2))).any()


class TestErrors:
    def test_shapes(self):
        with pytest.raises(Misaligned, match="weights and exposures"):
            active_exposures([[1.0]], [[1.0]], [[[1.0], [2.0]]])
        with pytest.raises(Misaligned, match="do not fit the dates"):
            style_timing(DATES, np.ones(3), np.ones(10))

    def test_horizon(self):
        with pytest.raises(InvalidSpec, match="horizon must be positive"):
            following_returns([[0.0]], [0], horizon=0)
