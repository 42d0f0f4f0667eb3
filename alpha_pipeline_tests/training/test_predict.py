"""Scores of dates, ensembles, devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData
from alpha_pipeline.training.device import choose_device
from alpha_pipeline.training.ensemble import ensemble_score
from alpha_pipeline.training.predict import score_date, score_dates, trained_networks

CPU = torch.device("cpu")


def untrained(config: Any, n: int = 2) -> list:
    weights = [config.build(torch.Generator().manual_seed(seed)).state_dict() for seed in range(n)]
    return trained_networks(config, weights, CPU)


class TestExamples:
    def test_score_is_what_the_network_says_of_the_eligible_stocks(self, market: Any, tiny: Any) -> None:
        networks = untrained(tiny)
        universe = market.universe[11].copy()
        universe[:4] = [False, True, True, True]
        found = score_date(networks, market.windows, universe, 11, CPU)
        columns, excluded = market.windows["daily"].eligible(11, universe)
        assert found.excluded == {f"daily: {reason}": n for reason, n in excluded.items()}
        assert found.excluded["daily: suspended too long"] == 1
        expected = networks[1]({"daily": market.windows["daily"].window(11, columns)}).detach().numpy()
        np.testing.assert_array_equal(found.members[1, columns], expected)
        assert np.isnan(found.score[0])
        assert np.isnan(found.score[3])
        assert found.n_scored == len(columns)
        assert found.score.dtype == np.float32
        assert found.score.shape == (30,)

    def test_ensemble_is_the_mean_of_z_scores(self) -> None:
        rng = np.random.default_rng(0)
        members = rng.normal(size=(3, 50)) * [[1], [100], [1e-4]]
        np.testing.assert_allclose(ensemble_score(members), stats.zscore(members, axis=1).mean(axis=0), atol=1e-10)

    def test_a_stock_that_one_member_lacks_counts_for_nobody(self) -> None:
        members = np.array([[1.0, 2.0, 3.0, 1e9], [3.0, 2.0, 1.0, np.nan]])
        np.testing.assert_allclose(ensemble_score(members), [0.0, 0.0, 0.0, np.nan], atol=1e-12)

    def test_a_member_without_opinion_adds_nothing(self) -> None:
        members = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
        np.testing.assert_allclose(ensemble_score(members), stats.zscore(members[0]) / 2)

    def test_nobody_eligible(self, market: Any, tiny: Any) -> None:
        found = score_date(untrained(tiny), market.windows, market.universe[1], 1, CPU)
        assert np.isnan(found.score).all()
        assert found.excluded["daily: short history"] == market.universe[1].sum()

    def test_only_the_tensors_of_the_network_decide(self, market: Any, tiny: Any) -> None:
        one = score_date(untrained(tiny), market.windows, market.universe[12], 12, CPU)
        alone = score_date(untrained(tiny), {"daily": market.windows["daily"]}, market.universe[12], 12, CPU)
        np.testing.assert_array_equal(one.score, alone.score)

    def test_factors_of_a_unit_come_with_its_score(self, market: Any) -> None:
        from alpha_pipeline.models.factor_gru import FactorGru

        networks = untrained(FactorGru("daily", n_fields=2, n_factors=3, n_hidden=4))
        found = score_date(networks, market.windows, market.universe[12], 12, CPU)
        assert found.factors is not None
        assert found.factors.shape == (2, 30, 3)
        assert found.factors.dtype == np.float32
        known = np.isfinite(found.score)
        assert np.isfinite(found.factors[:, known]).all()
        assert np.isnan(found.factors[:, ~known]).all()
        expected = stats.zscore(found.factors[1, known], axis=0).mean(axis=1)
        np.testing.assert_allclose(found.members[1, known], expected, atol=1e-5)

    def test_a_network_with_one_output_has_no_factors(self, market: Any, tiny: Any) -> None:
        assert score_date(untrained(tiny), market.windows, market.universe[12], 12, CPU).factors is None

    def test_device(self) -> None:
        assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


class TestProperties:
    def test_a_range_equals_its_dates_one_by_one(self, market: Any, two_stage: Any) -> None:
        networks = untrained(two_stage)
        streamed = list(score_dates(networks, market.windows, market.universe, range(5, 15), CPU))
        for found in reversed(streamed):
            alone = score_date(networks, market.windows, market.universe[found.date_index], found.date_index, CPU)
            np.testing.assert_array_equal(found.score, alone.score)
        assert [found.date_index for found in streamed] == list(range(5, 15))

    def test_streams(self, market: Any, tiny: Any) -> None:
        stream = score_dates(untrained(tiny), market.windows, market.universe, range(5, 10**9), CPU)
        assert next(stream).date_index == 5

    def test_does_not_depend_on_labels_or_mode(self, market: Any, tiny: Any) -> None:
        networks = untrained(tiny)
        before = score_date(networks, market.windows, market.universe[12], 12, CPU).score
        market.labels[:] = np.nan
        for network in networks:
            network.train()
        np.testing.assert_array_equal(score_date(networks, market.windows, market.universe[12], 12, CPU).score, before)


class TestErrors:
    def test_missing_tensor_and_network(self, market: Any, two_stage: Any) -> None:
        with pytest.raises(MissingData, match="no windows of tensor intraday_15m"):
            score_date(untrained(two_stage), {"daily": market.windows["daily"]}, market.universe[12], 12, CPU)
        with pytest.raises(InvalidSpec, match="no network"):
            score_date([], market.windows, market.universe[12], 12, CPU)

    def test_axes(self, market: Any, tiny: Any) -> None:
        with pytest.raises(Misaligned, match="differ in stocks .got 29, expected 30"):
            score_date(untrained(tiny), market.windows, market.universe[12, 1:], 12, CPU)
        with pytest.raises(Misaligned, match="member scores have the wrong shape"):
            ensemble_score(np.zeros(5))
