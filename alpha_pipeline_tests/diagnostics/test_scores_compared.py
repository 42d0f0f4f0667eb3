"""Paired differences, horizons, groups, averages of runs and yearly tables, each on numbers small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.diagnostics.hedged_groups import hedged_groups
from alpha_pipeline.diagnostics.horizons import rank_ic_series, summarize_horizons
from alpha_pipeline.diagnostics.paired import annual_difference, paired_difference
from alpha_pipeline.diagnostics.run_averaging import averaging_identity, correlation_by_date, predicted_ic_row
from alpha_pipeline.diagnostics.yearly_performance import mean_turnover_one_sided, yearly_performance
from alpha_pipeline.errors import InvalidSpec, Misaligned, NotEnoughData
from alpha_pipeline.factors.correlation import run_correlation, score_correlation
from alpha_pipeline.factors.ic import ic, newey_west_se
from alpha_pipeline.factors.layers import layer_returns

NAN = float("nan")


class TestPaired:
    def test_by_hand(self):
        found = paired_difference([0.12, 0.10, 0.14], [0.10, 0.10, 0.10], lags=0)
        error = np.std([0.02, 0.0, 0.04]) / np.sqrt(3)
        assert (found.first, found.second, found.difference) == pytest.approx((0.12, 0.10, 0.02))
        assert found.standard_error == pytest.approx(error) and found.high - found.low == pytest.approx(2 * 1.959963985 * error)
        assert found.is_clear and not paired_difference([0.12, 0.10, 0.14], [0.12, 0.13, 0.10], lags=0).is_clear

    def test_common_dates_alone_count(self):
        found = paired_difference([0.1, NAN, 0.3, 0.2], [0.0, 9.0, NAN, 0.2], lags=0)
        assert found.n_dates == 2 and found.difference == pytest.approx(0.05)

    def test_what_moves_both_is_in_neither_interval(self, rng):
        mood = rng.normal(0, 0.1, 200)
        a, b = mood + 0.01 + rng.normal(0, 0.01, 200), mood + rng.normal(0, 0.01, 200)
        found = paired_difference(a, b)
        assert found.is_clear and found.standard_error < newey_west_se(a, found.lags) / 3

    def test_a_year(self):
        assert annual_difference([0.001, 0.003], [0.0, 0.0], lags=0).difference == pytest.approx(0.504)

    def test_errors(self):
        with pytest.raises(Misaligned, match="series to compare differ"):
            paired_difference([0.1, 0.2], [0.1])
        with pytest.raises(NotEnoughData, match="two common dates"):
            paired_difference([0.1, NAN], [0.1, 0.2])


class TestHorizons:
    CLOSE = np.array([[10.0, 10.0, 10.0], [11.0, 10.0, 12.0], [12.0, 15.0, 9.0], [12.0, 18.0, 9.9]])

    def test_gap_moves_both_ends(self):
        """From the first date, one session: 10 %, 0 %, 20 %; with a gap: 9 %, 50 %, −25 %."""
        found = rank_ic_series([[1.0, 2.0, 3.0]] * 4, self.CLOSE, [0, 3], horizons=[(1, 0), (1, 1)], min_stocks=3)
        assert found["1 days, gap 0"].iloc[0] == pytest.approx(0.5) and found["1 days, gap 1"].iloc[0] == pytest.approx(-0.5)
        assert found.iloc[1].isna().all()

    def test_summary_counts_the_dates_of_each_horizon(self):
        series = pd.DataFrame({"5 days, gap 0": [0.1, 0.3, 0.2], "20 days, gap 1": [NAN, NAN, NAN]})
        found = summarize_horizons(series, 5, [(5, 0), (20, 1)])
        assert found["n_dates"].tolist() == [3, 0] and found["rank_ic_mean"].iloc[0] == pytest.approx(0.2)
        assert found["icir"].iloc[0] == pytest.approx(2.0) and found.loc[1, ["rank_ic_mean", "icir"]].isna().all()

    def test_overlap_sets_the_lags(self, rng):
        """Twenty sessions looked at every five overlap three times: the error is the one with three lags or more."""
        values = np.convolve(rng.normal(size=63), np.ones(4) / 4, "valid") + 0.1
        found = summarize_horizons(pd.DataFrame({"20 days, gap 0": values}), 5, [(20, 0)])
        assert found["t_nw"].iloc[0] == pytest.approx(values.mean() / newey_west_se(values, 3))

    def test_rows_outside(self):
        with pytest.raises(InvalidSpec, match="outside the data"):
            rank_ic_series(self.CLOSE, self.CLOSE, [4])


class TestHedgedGroups:
    def test_against_the_layers_themselves(self, rng):
        close = 10 * np.exp(np.cumsum(rng.normal(0, 0.01, (30, 12)), axis=0))
        days = np.arange("2024-01-01", "2024-01-31", dtype="datetime64[D]")
        layers = layer_returns(rng.normal(size=(30, 12)), close, close, [0, 7, 14, 21], n_layers=3)
        whole = hedged_groups(layers, days)
        daily = layers.returns[:, 1] - layers.returns[:, 0]
        assert whole["annual_hedged"].iloc[0] == pytest.approx(np.prod(1 + daily) ** (252 / len(daily)) - 1)
        assert whole["turnover_one_sided"].iloc[2] == pytest.approx(layers.turnover[1:, 3].mean() / 2)
        late = hedged_groups(layers, days, "2024-01-15")
        assert late["turnover_one_sided"].iloc[0] == pytest.approx(layers.turnover[2:, 1].mean() / 2)
        kept = daily[13:]  # returns start on 2 January
        assert late["annual_hedged"].iloc[0] == pytest.approx(np.prod(1 + kept) ** (252 / len(kept)) - 1)
        with pytest.raises(NotEnoughData, match="since 2025"):
            hedged_groups(layers, days, "2025-01-01")


class TestRunAveraging:
    @staticmethod
    def runs(rng, n_dates: int = 40) -> dict[str, list[np.ndarray]]:
        """Two models of one common signal, four runs each, 400 stocks: variance of signal, model and run 1, ½, 1 and 1, ½, 2."""
        common = rng.normal(size=(n_dates, 400))
        found = {}
        for name, noise in (("a", 1.0), ("b", 2.0)):
            own = common + np.sqrt(0.5) * rng.normal(size=common.shape)
            scores = [own + np.sqrt(noise) * rng.normal(size=common.shape) for _ in range(4)]
            found[name] = [(s - s.mean(axis=1, keepdims=True)) / s.std(axis=1, keepdims=True) for s in scores]
        return found

    def test_correlations_are_those_of_the_factor_tests(self, rng):
        runs = self.runs(rng, 5)
        single, table = correlation_by_date(runs), run_correlation(runs)
        for (first, second), values in single.items():
            assert values.mean() == pytest.approx(table.loc[first, second])
        assert list(single) == [("a", "a"), ("a", "b"), ("b", "b")]

    def test_identity_holds_for_runs_that_correlate_alike(self, rng):
        runs = self.runs(rng)
        means = {name: np.mean(members, axis=0) for name, members in runs.items()}
        found = averaging_identity(correlation_by_date(runs), {("a", "b"): ic(means["a"], means["b"])}, 4, n_samples=200)
        row = found.iloc[0]
        assert row["realized"] == pytest.approx(score_correlation(means).loc["a", "b"])
        assert row["low"] <= row["difference"] <= row["high"] and abs(row["difference"]) < 0.003
        assert row["predicted"] - row["single"] > 0.15

    def test_correlations_that_change_from_date_to_date(self, rng):
        """The identity holds on every date; put to means over dates it does not, and the table tells the two apart."""
        calm, noisy = self.runs(rng, 30), self.runs(rng, 30)
        for members in noisy.values():
            for at, scores in enumerate(members):
                mixed = scores + 3.0 * rng.normal(size=scores.shape)
                members[at] = (mixed - mixed.mean(axis=1, keepdims=True)) / mixed.std(axis=1, keepdims=True)
        runs = {name: [np.concatenate(parts) for parts in zip(calm[name], noisy[name], strict=True)] for name in calm}
        means = {name: np.mean(members, axis=0) for name, members in runs.items()}
        row = averaging_identity(correlation_by_date(runs), {("a", "b"): ic(means["a"], means["b"])}, 4, n_samples=100).iloc[0]
        assert abs(row["by_date"] - row["realized"]) < 0.005 < abs(row["predicted"] - row["realized"])

    def test_combined_ic(self):
        row = predicted_ic_row("mix", [0.09, 0.11], 0.25, 0.12)
        assert row["predicted"] == pytest.approx(0.10 / np.sqrt(0.625)) and row["gain_realized"] == pytest.approx(1.2)
        assert np.isnan(predicted_ic_row("mix", [0.1, 0.1], -0.1, 0.1)["predicted"])

    def test_a_single_run(self):
        with pytest.raises(InvalidSpec, match="single run.*got a"):
            correlation_by_date({"a": [np.ones((1, 12))]})


class TestYearlyPerformance:
    DAILY = pd.DataFrame({
        "trade_date": pd.to_datetime(["2023-12-28", "2023-12-29", "2024-01-02", "2024-01-03"]),
        "portfolio_return": [0.10, -0.20, 0.05, 0.00], "benchmark_return": [0.00, -0.10, 0.05, -0.10],
    })

    def test_by_hand(self):
        found = yearly_performance(self.DAILY).set_index(["basis", "metric"])
        assert found.loc[("absolute", "return"), "2023"] == pytest.approx(1.1 * 0.8 - 1)
        assert found.loc[("absolute", "max_drawdown"), ["2023", "2024"]].tolist() == pytest.approx([0.2, 0.0])
        assert found.loc[("hedged", "return"), "2024"] == pytest.approx(0.10)
        assert found.loc[("hedged", "return"), "annual"] == pytest.approx((1.1 * 0.9 * 1.0 * 1.1) ** (252 / 4) - 1)
        assert found.loc[("hedged", "volatility"), "2023"] == pytest.approx(np.std([0.1, -0.1], ddof=1) * np.sqrt(252))

    def test_turnover_without_the_first_purchase(self):
        rebalances = pd.DataFrame({"is_first": [True, False, False], "turnover_two_sided": [1.0, 0.4, 0.2]})
        assert mean_turnover_one_sided(rebalances) == pytest.approx(0.15)
        assert np.isnan(mean_turnover_one_sided(rebalances[:1]))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)
