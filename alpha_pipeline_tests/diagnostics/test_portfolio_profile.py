"""Size profile of a portfolio and its performance in a stretch: by hand, against second implementations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.backtest.metrics import performance_summary, yearly_table
from alpha_pipeline.diagnostics.size_profile import constituent_share, size_moments, small_cap_shares
from alpha_pipeline.diagnostics.sub_period import last_quarter, parse_stretch, performance_row
from alpha_pipeline.errors import InvalidSpec, Misaligned, NotEnoughData


def daily(n: int = 320, first: str = "2022-12-01") -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame({"trade_date": pd.bdate_range(first, periods=n), "portfolio_return": rng.normal(0.001, 0.01, n),
                         "benchmark_return": rng.normal(0.0, 0.01, n)})


class TestExamples:
    def test_smallest_names(self):
        cap = np.arange(1.0, 11.0)
        weights = np.full(10, 0.1)
        assert small_cap_shares(weights, cap, np.ones(10, dtype=bool)).tolist() == pytest.approx([0.1, 0.2, 0.3])

    def test_names_outside_the_universe_are_measured_but_not_ranked(self):
        cap = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
        universe = np.array([False, True, True, True, True])
        shares = small_cap_shares([0.2, 0.2, 0.2, 0.2, 0.2], cap, universe, (1 / 3, 2 / 3))
        assert shares.tolist() == pytest.approx([0.4, 0.6])  # the limit is the smallest of three, and the name outside is smaller still

    def test_constituents(self):
        assert constituent_share([0.4, 0.4, 0.0], [0.5, 0.0, 0.5]) == pytest.approx(0.5)
        assert np.isnan(constituent_share([0.0], [1.0]))

    def test_a_barbell_has_a_large_second_moment_and_no_third(self):
        found = size_moments([0.5, 0.0, 0.5], [0.25, 0.5, 0.25], [-2.0, 0.0, 2.0])
        assert found.tolist() == [[0.0, 0.0], [4.0, 2.0], [0.0, 0.0]]

    def test_quarter_and_stretch(self):
        assert last_quarter(pd.Series(pd.to_datetime(["2023-11-02"]))) == ("2023-10-01", "2023-12-31")
        assert parse_stretch("") is None

    def test_drawdown_of_a_stretch_starts_at_its_own_beginning(self):
        frame = pd.DataFrame({"trade_date": pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"]), "portfolio_return": [0.5, -0.1, 0.05],
                              "benchmark_return": 0.0})
        row = performance_row(frame, ("2024-01-03", "2024-01-04"))
        assert row["last_quarter_excess"] == pytest.approx(0.9 * 1.05 - 1) and row["last_quarter_drawdown"] == pytest.approx(0.1)


class TestProperties:
    def test_row_agrees_with_the_backtests_own_summary(self):
        frame = daily()
        row, summary = performance_row(frame), performance_summary(frame)
        for ours, theirs in (("annual_excess", "annualized_excess_return"), ("information_ratio", "information_ratio"),
                             ("excess_max_drawdown", "excess_max_drawdown"), ("calmar", "calmar")):
            assert row[ours] == pytest.approx(summary[theirs])
        assert row["calmar"] == pytest.approx(row["annual_excess"] / row["excess_max_drawdown"])
        for year in yearly_table(frame).itertuples():
            assert row[f"excess_{year.year}"] == pytest.approx(year.excess_return)

    def test_years_compound_to_the_whole(self):
        frame = daily()
        row = performance_row(frame)
        product = np.prod([1 + value for name, value in row.items() if name.removeprefix("excess_").isdigit()])
        assert product == pytest.approx(np.prod(1 + frame["portfolio_return"] - frame["benchmark_return"]))

    def test_moments_are_those_that_the_optimizer_bounds(self):
        rng = np.random.default_rng(5)
        w, b = rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(20))
        size = rng.normal(size=20)
        center = (b * size).sum()
        for m, (ours, base) in zip((1, 2, 3), size_moments(w, b, size), strict=True):
            assert ours == pytest.approx(sum(wi * (s - center) ** m for wi, s in zip(w, size, strict=True)))
            assert base == pytest.approx(sum(bi * (s - center) ** m for bi, s in zip(b, size, strict=True)))

    def test_shares_agree_with_a_quantile_by_sorting(self):
        rng = np.random.default_rng(6)
        cap, weights = rng.lognormal(size=200), rng.dirichlet(np.ones(200))
        order = np.argsort(cap)
        assert small_cap_shares(weights, cap, np.ones(200, dtype=bool)).tolist() == pytest.approx(
            [weights[order[:n]].sum() for n in (20, 40, 60)])


class TestErrors:
    def test_shapes_and_shares(self):
        with pytest.raises(Misaligned, match="capitalizations do not fit"):
            small_cap_shares([1.0], [1.0, 2.0], [True, True])
        with pytest.raises(InvalidSpec, match="share of smallest names"):
            small_cap_shares([1.0], [1.0], [True], (1.0,))
        with pytest.raises(Misaligned, match="sizes do not fit"):
            size_moments([1.0], [1.0], [1.0, 2.0])

    def test_stretch_without_a_day(self):
        with pytest.raises(NotEnoughData, match="no day in the stretch"):
            performance_row(daily(), ("2030-01-01", "2030-03-31"))
