"""Bootstrap, deflated Sharpe ratio, cost sensitivity, capacity: hand-computed first."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alpha_pipeline.backtest.robustness import (
    bootstrap_interval,
    break_even_cost,
    capacity_curve,
    cost_sensitivity,
    deflated_sharpe_ratio,
    expected_max_sharpe,
    stationary_bootstrap,
)
from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, NotEnoughData


def table(excess, turnover, cost=None) -> pd.DataFrame:
    return pd.DataFrame({"excess_return": excess, "cost": np.zeros(len(excess)) if cost is None else cost, "turnover_two_sided": turnover})


class TestExamples:
    def test_expected_best_of_ten_trials(self):
        """Φ⁻¹(0.9) = 1.2815516, Φ⁻¹(1 − 1/27.18282) = 1.7892418; weights 0.4227843 and 0.5772157; times √V = 0.05."""
        assert expected_max_sharpe(10, 0.0025) == pytest.approx(0.05 * (0.4227843351 * 1.2815515655 + 0.5772156649 * 1.7892418), abs=1e-7)
        assert expected_max_sharpe(1, 0.0025) == 0.0

    def test_deflated_sharpe_by_hand(self):
        """Returns 2 %, −1 % alternating, 50 each: mean 0.5 %, deviation 1.5 %·√(100/99), skewness 0, kurtosis 1.

        SR = 0.331662, the denominator is 1, SR₀ = 0 for one trial: Φ(0.331662 · √99) = Φ(3.3).
        """
        returns = np.tile([0.02, -0.01], 50)
        assert deflated_sharpe_ratio(returns, 1, 0.0) == pytest.approx(0.9995165759, abs=1e-9)
        best = expected_max_sharpe(10, 0.01)
        assert deflated_sharpe_ratio(returns, 10, 0.01) == pytest.approx(stats.norm.cdf(3.3 - best * math.sqrt(99)), abs=1e-9)

    def test_deflated_sharpe_with_skewed_returns(self):
        """Three days 0, 0, 3 %: mean 1 %, deviation √3 %, skewness 1/√2, kurtosis 1.5."""
        sharpe = 1 / math.sqrt(3)
        spread = 1 - sharpe / math.sqrt(2) + 0.5 / 4 * sharpe**2
        assert deflated_sharpe_ratio([0.0, 0.0, 0.03], 1, 0.0) == pytest.approx(stats.norm.cdf(sharpe * math.sqrt(2) / math.sqrt(spread)), abs=1e-12)

    def test_cost_sensitivity_by_hand(self):
        """0.1 % a day gross, 20 % traded a day: 0.2 % a unit takes 0.04 % a day."""
        rows = cost_sensitivity(table([0.0005] * 252, [0.2] * 252, [0.0005] * 252), [0.0, 0.002])
        assert rows["annualized_excess_return"].tolist() == pytest.approx([1.001**252 - 1, 1.0006**252 - 1])
        assert rows["cost_per_year"].tolist() == pytest.approx([0.0, 0.1008])

    def test_break_even_cost_by_hand(self):
        assert break_even_cost(table([0.001] * 20, [0.25] * 20)) == pytest.approx(0.004)
        assert math.isnan(break_even_cost(table([-0.001] * 20, [0.25] * 20)))
        assert math.isnan(break_even_cost(table([0.001] * 20, [0.0] * 20)))

    def test_capacity_by_hand(self):
        """One name, 10 % traded 50 times a year, σ 2 %, 100 million a day. At 1 bn: q A / V = 1, impact 50 · 0.1 · 0.02 · 1 = 10 %."""
        curve = capacity_curve(0.2, [[0.1]], [[1e8]], [[0.02]], [1e7, 1e9], rebalances_per_year=50, cost_rate=0.001)
        assert curve["impact_cost"].tolist() == pytest.approx([0.01, 0.1])
        assert curve["linear_cost"].tolist() == pytest.approx([0.005, 0.005])
        assert curve["net_excess_return"].tolist() == pytest.approx([0.185, 0.095])
        assert curve["share_above_cap"].tolist() == [0.0, 1.0]


class TestProperties:
    def test_bootstrap_rows_come_in_blocks(self):
        drawn = stationary_bootstrap(500, 20.0, 200, seed=1)
        follows = (drawn[:, 1:] == (drawn[:, :-1] + 1) % 500).mean()
        assert follows == pytest.approx(1 - 1 / 20, abs=0.01)
        assert np.bincount(drawn.ravel(), minlength=500).std() < 60

    def test_interval_covers_and_widens_with_autocorrelation(self):
        """The mean of an AR(1) with ρ = 0.8 is three times as uncertain as that of independent draws; blocks see it, single draws do not."""
        rng = np.random.default_rng(0)
        noise = rng.normal(size=2000)
        series = np.empty(2000)
        series[0] = noise[0]
        for t in range(1, 2000):
            series[t] = 0.8 * series[t - 1] + noise[t]
        blocks = bootstrap_interval(series, np.mean, mean_block=50, seed=1)
        single = bootstrap_interval(series, np.mean, mean_block=1, seed=1)
        assert (blocks.high - blocks.low) / (single.high - single.low) == pytest.approx(3.0, rel=0.25)
        assert blocks.low < 0.0 < blocks.high

    def test_independent_draws_give_the_textbook_interval(self):
        values = np.random.default_rng(2).normal(0.1, 1.0, 1000)
        found = bootstrap_interval(values, np.mean, mean_block=1, n_samples=4000, seed=3)
        assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 1000**0.5, rel=0.05)
        assert found.estimate == values.mean()

    def test_same_seed_same_bits_and_joint_rows(self):
        rows = np.random.default_rng(0).normal(size=(100, 2))
        rows[:, 1] = rows[:, 0]
        first, second = (bootstrap_interval(rows, lambda r: float(r[:, 0].mean() - r[:, 1].mean()), seed=5) for _ in range(2))
        assert first == second
        assert (first.low, first.high) == (0.0, 0.0)

    def test_deflated_sharpe_falls_with_the_number_of_trials(self):
        returns = np.random.default_rng(0).normal(0.001, 0.01, 500)
        found = [deflated_sharpe_ratio(returns, n, 0.001) for n in (1, 2, 10, 100, 1000)]
        assert found == sorted(found, reverse=True)


class TestErrors:
    def test_bad_input(self):
        with pytest.raises(MissingData, match="values to resample are missing"):
            bootstrap_interval([0.1, np.nan], np.mean)
        with pytest.raises(InvalidSpec, match="bootstrap settings out of range"):
            stationary_bootstrap(10, 0.5, 10, 0)
        with pytest.raises(InvalidSpec, match="level out of range"):
            bootstrap_interval([0.1, 0.2], np.mean, level=1.0)
        with pytest.raises(NotEnoughData, match="without variation"):
            deflated_sharpe_ratio([0.01] * 5, 1, 0.0)
        with pytest.raises(InvalidSpec, match="trials out of range"):
            expected_max_sharpe(0, 0.1)
        with pytest.raises(Misaligned, match="differ in shape"):
            capacity_curve(0.1, [[0.1]], [[1.0, 2.0]], [[0.1]], [1.0], rebalances_per_year=50)
        with pytest.raises(MissingData, match="1 of 1 trades"):
            capacity_curve(0.1, [[0.1]], [[0.0]], [[0.1]], [1.0], rebalances_per_year=50)
        with pytest.raises(InvalidSpec, match="cost rate out of range"):
            cost_sensitivity(table([0.1, 0.2], [0.1, 0.1]), [-0.1])
