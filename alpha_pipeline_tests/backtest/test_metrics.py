"""Performance metrics: numbers by hand, the identity of the published tables, pandas as a second computation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.backtest import SUMMARY_COLUMNS, FlatCosts, drawdown_table, performance_summary, run_backtest, yearly_table
from alpha_pipeline.backtest.metrics import (
    annualized_return,
    annualized_volatility,
    drawdowns,
    implied_excess_return,
    max_drawdown,
    monthly_win_rate,
    turnover_one_sided,
    turnover_two_sided,
)
from alpha_pipeline.errors import MissingData, NotEnoughData
from alpha_pipeline_tests.backtest.helpers_market import hand_market, random_market, weekly_targets

# Annual return, volatility, benchmark return, benchmark volatility, tracking error -> annual excess return, in percent.
PUBLISHED = {
    "CSI 300, turnover 30 % (MULTIFREQ, figure 36)": (12.76, 18.78, 2.79, 19.00, 5.72, 9.48),
    "CSI 300, turnover 40 % (MULTIFREQ, figure 36)": (12.88, 18.76, 2.79, 19.00, 5.79, 9.58),
    "CSI 300, turnover 50 % (MULTIFREQ, figure 36)": (12.03, 18.85, 2.79, 19.00, 5.87, 8.77),
    "CSI 500, turnover 30 % (MULTIFREQ, figure 40)": (17.71, 20.55, -0.61, 20.89, 5.52, 18.18),
    "CSI 500, turnover 40 % (MULTIFREQ, figure 40)": (17.58, 20.55, -0.61, 20.89, 5.55, 18.05),
    "CSI 500, turnover 50 % (MULTIFREQ, figure 40)": (16.93, 20.57, -0.61, 20.89, 5.59, 17.39),
    "CSI 1000, turnover 30 % (MULTIFREQ, figure 44)": (23.70, 22.88, -4.27, 22.92, 6.51, 28.93),
    "CSI 1000, turnover 40 % (MULTIFREQ, figure 44)": (24.09, 23.01, -4.27, 22.92, 6.56, 29.38),
    "CSI 1000, turnover 50 % (MULTIFREQ, figure 44)": (26.15, 23.13, -4.27, 22.92, 6.59, 31.57),
    "CNI 2000, turnover 30 % (MULTIFREQ, figure 48)": (26.81, 22.77, -2.21, 22.66, 7.18, 29.38),
    "CNI 2000, turnover 40 % (MULTIFREQ, figure 48)": (27.77, 23.15, -2.21, 22.66, 7.24, 30.47),
    "CNI 2000, turnover 50 % (MULTIFREQ, figure 48)": (28.42, 23.34, -2.21, 22.66, 7.34, 31.19),
    "CSI 500, AlphaNet-v2.1 (ALPHANET, table of CSI 500 enhancement)": (27.11, 24.50, 4.00, 26.00, 6.52, 21.50),
    "CSI 500, AlphaNet-v2 (ALPHANET, table of CSI 500 enhancement)": (25.55, 24.85, 4.00, 26.00, 6.31, 20.13),
}


def daily(portfolio, benchmark=None, start="2021-01-04") -> pd.DataFrame:
    returns = np.asarray(portfolio, dtype=float)
    dates = pd.bdate_range(start, periods=len(returns))
    return pd.DataFrame(
        {
            "trade_date": dates,
            "portfolio_return": returns,
            "benchmark_return": np.zeros(len(returns)) if benchmark is None else benchmark,
        }
    )


class TestExamples:
    @pytest.mark.parametrize("row", PUBLISHED, ids=str)
    def test_published_rows_satisfy_the_identity_to_two_hundredths_of_a_percent(self, row):
        values = [value / 100 for value in PUBLISHED[row]]
        assert implied_excess_return(*values[:5]) == pytest.approx(values[5], abs=2e-4)

    @pytest.mark.parametrize("row", PUBLISHED, ids=str)
    def test_ratio_of_navs_does_not_fit_the_published_rows(self, row):
        """The other usual definition of excess, (1 + R_p)/(1 + R_b) − 1, is off by at least 0.13 %: the tables exclude it."""
        gain, _, benchmark, _, _, excess = (value / 100 for value in PUBLISHED[row])
        assert (1 + gain) / (1 + benchmark) - 1 - excess > 1.3e-3

    def test_three_days_by_hand(self):
        """+10 %, −10 %, +5 % against 0, −5 %, +5 %: excess +10 %, −5 %, 0."""
        table = daily([0.10, -0.10, 0.05], [0.0, -0.05, 0.05])
        summary = performance_summary(table)
        assert tuple(summary) == SUMMARY_COLUMNS
        gain = (1.1 * 0.9 * 1.05) ** 84 - 1
        excess = (1.10 * 0.95) ** 84 - 1
        mean = (0.10 - 0.10 + 0.05) / 3
        volatility = math.sqrt(((0.10 - mean) ** 2 + (-0.10 - mean) ** 2 + (0.05 - mean) ** 2) / 2 * 252)
        mean = 0.05 / 3
        tracking_error = math.sqrt(((0.10 - mean) ** 2 + (-0.05 - mean) ** 2 + mean**2) / 2 * 252)
        assert summary["annualized_return"] == pytest.approx(gain, rel=1e-12)
        assert summary["annualized_volatility"] == pytest.approx(volatility, rel=1e-12)
        assert summary["sharpe"] == pytest.approx(gain / volatility, rel=1e-12)
        assert summary["max_drawdown"] == pytest.approx(0.10, rel=1e-12)
        assert summary["annualized_excess_return"] == pytest.approx(excess, rel=1e-12)
        assert summary["tracking_error"] == pytest.approx(tracking_error, rel=1e-12)
        assert summary["information_ratio"] == pytest.approx(excess / tracking_error, rel=1e-12)
        assert summary["excess_max_drawdown"] == pytest.approx(0.05, rel=1e-12)
        assert summary["calmar"] == pytest.approx(excess / 0.05, rel=1e-12)
        assert summary["monthly_win_rate"] == 1.0
        assert summary["benchmark_annualized_return"] == pytest.approx((0.95 * 1.05) ** 84 - 1, rel=1e-12)
        assert math.isnan(summary["mean_turnover_two_sided"])
        assert summary["n_days"] == 3

    def test_first_day_loss_is_a_drawdown(self):
        assert max_drawdown([-0.2, 0.1]) == pytest.approx(0.2)

    def test_monthly_win_rate_counts_calendar_months(self):
        """January +1 %, February +5 % then −5 % (compounds to below 0), March 0: one of three."""
        dates = np.array(["2021-01-29", "2021-02-26", "2021-02-27", "2021-03-01"], dtype="datetime64[D]")
        assert monthly_win_rate([0.01, 0.05, -0.05, 0.0], dates) == pytest.approx(1 / 3)

    def test_two_sided_turnover_is_twice_the_one_sided(self):
        """A third of the portfolio is replaced: two thirds are traded."""
        new, drifted = [1 / 3, 1 / 3, 1 / 3, 0.0], [0.0, 1 / 3, 1 / 3, 1 / 3]
        assert turnover_two_sided(new, drifted) == pytest.approx(2 / 3)
        assert turnover_one_sided(new, drifted) == pytest.approx(1 / 3)

    def test_mean_turnover_leaves_out_the_first_purchase(self):
        market = hand_market(close=np.full((5, 2), 10.0))
        targets = {0: np.array([1.0, 0.0]), 1: np.array([0.8, 0.2]), 3: np.array([0.5, 0.5])}
        table = run_backtest(targets, market, 0, 4, FlatCosts(0.0, 0.0), np.zeros(5)).daily
        assert table["turnover_two_sided"].tolist() == pytest.approx([1.0, 0.4, 0.0, 0.6])
        assert performance_summary(table)["mean_turnover_two_sided"] == pytest.approx(0.5)

    def test_drawdown_table(self):
        """1.1 → 0.99 → 1.045 → 1.155 (recovered) → 1.0973 (not recovered)."""
        returns = [0.1, -0.1, 1.045 / 0.99 - 1, 1.155 / 1.045 - 1, -0.05]
        table = drawdown_table(returns, pd.bdate_range("2021-01-04", periods=5))
        assert table["depth"].tolist() == pytest.approx([0.1, 0.05])
        assert table["peak"].dt.strftime("%m-%d").tolist() == ["01-04", "01-07"]
        assert table["trough"].dt.strftime("%m-%d").tolist() == ["01-05", "01-08"]
        assert table["recovery"].dt.strftime("%m-%d").tolist()[0] == "01-07"
        assert pd.isna(table["recovery"][1])
        assert table["n_days_to_trough"].tolist() == [1, 1]
        assert table["n_days"].tolist() == [3, 1]

    def test_yearly_table_says_which_years_are_partial(self):
        dates = pd.bdate_range("2020-07-01", "2022-06-30")
        table = yearly_table(
            pd.DataFrame(
                {"trade_date": dates, "portfolio_return": np.full(len(dates), 1e-3), "benchmark_return": np.zeros(len(dates))}
            )
        )
        assert table["year"].tolist() == [2020, 2021, 2022]
        assert table["is_partial"].tolist() == [True, False, True]
        assert table["excess_return"].tolist() == pytest.approx([1.001**n - 1 for n in table["n_days"]])


class TestProperties:
    def test_against_pandas(self):
        rng = np.random.default_rng(1)
        portfolio, benchmark = rng.normal(5e-4, 0.012, 600), rng.normal(2e-4, 0.011, 600)
        table = daily(portfolio, benchmark)
        summary, series = performance_summary(table), pd.Series(portfolio - benchmark, index=table["trade_date"])
        nav = (1 + series).cumprod()
        assert summary["tracking_error"] == pytest.approx(series.std() * math.sqrt(252), rel=1e-12)
        assert summary["annualized_excess_return"] == pytest.approx(nav.iloc[-1] ** (252 / 600) - 1, rel=1e-12)
        assert summary["excess_max_drawdown"] == pytest.approx((1 - nav / nav.cummax().clip(lower=1.0)).max(), rel=1e-12)
        monthly = (1 + series).resample("ME").prod() - 1
        assert summary["monthly_win_rate"] == pytest.approx((monthly > 0).mean())

    def test_against_the_conventions_of_empyrical(self):
        """Written out again from empyrical-reloaded's documentation: daily periods, 252 a year, sample standard deviation, a drawdown
        that starts from the first day's opening value. Its sign of a drawdown is negative, its Sharpe ratio takes the arithmetic mean."""
        rng = np.random.default_rng(7)
        portfolio, benchmark = rng.normal(5e-4, 0.012, 480), rng.normal(2e-4, 0.011, 480)
        portfolio[0] = -0.02  # a loss on the first day
        summary = performance_summary(daily(portfolio, benchmark))
        annual_return = np.prod(1 + portfolio) ** (1 / (len(portfolio) / 252)) - 1  # ending value / starting value, per year
        annual_volatility = np.std(portfolio, ddof=1) * 252 ** (1 / 2.0)  # alpha = 2
        cumulative = np.concatenate([[100.0], 100.0 * np.cumprod(1 + portfolio)])
        highest = np.fmax.accumulate(cumulative)
        max_drawdown = np.nanmin((cumulative - highest) / highest)
        sharpe_ratio = np.mean(portfolio) / np.std(portfolio, ddof=1) * np.sqrt(252)
        assert summary["annualized_return"] == pytest.approx(annual_return, rel=1e-12)
        assert summary["annualized_volatility"] == pytest.approx(annual_volatility, rel=1e-12)
        assert summary["max_drawdown"] == pytest.approx(-max_drawdown, rel=1e-12)
        # the published tables divide the compounded return by the volatility; the difference is small but not rounding
        assert summary["sharpe"] == pytest.approx(annual_return / annual_volatility, rel=1e-12)
        assert 1e-4 < abs(summary["sharpe"] - sharpe_ratio) < 0.2

    @pytest.mark.parametrize("seed", range(5))
    def test_our_own_columns_satisfy_the_identity(self, seed):
        """Daily returns of the size of an index portfolio's: the second-order terms left out are below 0.1 %."""
        rng = np.random.default_rng(seed)
        benchmark = rng.normal(2e-4, 0.013, 1500)
        portfolio = benchmark * 0.95 + rng.normal(4e-4, 0.0035, 1500)
        s = performance_summary(daily(portfolio, benchmark))
        implied = implied_excess_return(
            s["annualized_return"],
            s["annualized_volatility"],
            s["benchmark_annualized_return"],
            s["benchmark_annualized_volatility"],
            s["tracking_error"],
        )
        assert s["annualized_excess_return"] == pytest.approx(implied, abs=1e-3)

    def test_yearly_returns_compound_to_the_total(self):
        market = random_market(0)
        table = run_backtest(weekly_targets(0, 60, 40), market, 0, 59, FlatCosts(0.001, 0.001), np.full(60, 1e-3)).daily
        yearly = yearly_table(table)
        assert np.prod(1 + yearly["portfolio_return"]) == pytest.approx(table["nav"].iloc[-1], rel=1e-12)
        assert np.prod(1 + yearly["excess_return"]) == pytest.approx(table["excess_nav"].iloc[-1], rel=1e-12)

    def test_portfolio_equal_to_its_benchmark_has_no_ratio(self):
        """No risk against the benchmark: the information ratio is missing, not infinite and not 0."""
        returns = np.random.default_rng(0).normal(0, 0.01, 50)
        summary = performance_summary(daily(returns, returns))
        assert summary["tracking_error"] == 0.0
        assert summary["excess_max_drawdown"] == 0.0
        assert math.isnan(summary["information_ratio"])
        assert math.isnan(summary["calmar"])

    def test_deepest_row_of_the_table_is_the_maximum_drawdown(self):
        returns = np.random.default_rng(2).normal(0, 0.01, 300)
        table = drawdown_table(returns, pd.bdate_range("2021-01-04", periods=300))
        assert table["depth"][0] == max_drawdown(returns) == drawdowns(returns).max()
        assert table["depth"].is_monotonic_decreasing
        assert len(table) == 5


class TestErrors:
    def test_missing_return_is_never_skipped(self):
        with pytest.raises(MissingData, match=r"row 1: daily return is missing .got nan.. Metrics never skip a day"):
            annualized_return([0.01, np.nan])

    def test_too_few_days(self):
        with pytest.raises(NotEnoughData, match=r"too few daily returns .got 1, expected at least 2"):
            annualized_volatility([0.01])
        with pytest.raises(NotEnoughData, match="got 0"):
            max_drawdown([])
