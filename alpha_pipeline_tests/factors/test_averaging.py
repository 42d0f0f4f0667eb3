"""Correlations of averaged scores: the published figures, a simulation, and the messages."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import InvalidSpec, Misaligned
from alpha_pipeline.factors.averaging import averaged_correlation, averaged_ic

# MULTIMODEL, figures 10 (single trainings) and 11 (mean of 10 trainings): GRU, AGRU, LSTM, RESTCN, Transformer, percent
FIGURE_10 = np.array([
    [86.3, 82.1, 80.5, 78.4, 78.0],
    [82.1, 84.4, 79.2, 76.8, 77.6],
    [80.5, 79.2, 81.5, 75.0, 74.8],
    [78.4, 76.8, 75.0, 81.9, 75.7],
    [78.0, 77.6, 74.8, 75.7, 81.9],
]) / 100
FIGURE_11 = np.array([
    [100.0, 94.5, 94.1, 91.5, 91.0],
    [94.5, 100.0, 93.5, 90.5, 91.4],
    [94.1, 93.5, 100.0, 89.7, 89.4],
    [91.5, 90.5, 89.7, 100.0, 90.4],
    [91.0, 91.4, 89.4, 90.4, 100.0],
]) / 100


class TestExamples:
    def test_ten_trainings_take_figure_10_into_figure_11(self) -> None:
        assert np.abs(averaged_correlation(FIGURE_10, 10) - FIGURE_11).max() <= 0.002

    def test_another_number_of_trainings_does_not(self) -> None:
        assert all(np.abs(averaged_correlation(FIGURE_10, n) - FIGURE_11).max() > 0.004 for n in (5, 20))

    def test_ic_of_two_scores_by_hand(self) -> None:
        assert averaged_ic(0.08, 0.28, 2) == pytest.approx(0.1)  # √(0.72 / 2 + 0.28) = 0.8


class TestProperties:
    def test_one_run_changes_nothing_off_the_diagonal(self) -> None:
        assert averaged_correlation(FIGURE_10, 1)[0, 1] == pytest.approx(0.821)

    def test_simulated_scores(self) -> None:
        rng = np.random.default_rng(0)
        common, own = rng.standard_normal(200_000), rng.standard_normal((2, 200_000))
        signal = 0.8**0.5 * common + 0.2**0.5 * own  # two models, correlation 0.8 without noise
        runs = 0.7**0.5 * signal[:, None] + 0.3**0.5 * rng.standard_normal((2, 4, 200_000))
        expected = averaged_correlation([[0.7, 0.56], [0.56, 0.7]], 4)
        assert np.corrcoef(runs.mean(1))[0, 1] == pytest.approx(expected[0, 1], abs=0.005)


class TestErrors:
    def test_messages(self) -> None:
        with pytest.raises(Misaligned, match=r"not a square matrix \(got \(2, 3\)\)"):
            averaged_correlation(np.ones((2, 3)), 10)
        with pytest.raises(InvalidSpec, match="got 0 runs"):
            averaged_correlation(FIGURE_10, 0)
        with pytest.raises(InvalidSpec, match="correlation 1.2"):
            averaged_ic(0.1, 1.2, 3)
