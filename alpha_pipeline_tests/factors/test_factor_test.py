"""The whole single-factor test: frames, figures put together elsewhere, no look-ahead, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from alpha_pipeline import returns as series
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, MissingData, NotEnoughData
from alpha_pipeline.factors import factor_test as ft
from alpha_pipeline.factors.layers import layer_returns
from alpha_pipeline.factors.neutralize import neutralize
from alpha_pipeline.factors.periods import period_returns, select_test_dates

NAN = np.nan
PLAIN = ft.FactorTestSpec(n_layers=5, neutral=False)


def market(n_dates: int = 60, n_stocks: int = 80, strength: float = 0.5) -> dict[str, np.ndarray]:
    """A factor that is known one day ahead of part of the returns."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(n_dates, n_stocks))
    daily = 0.02 * rng.normal(size=factor.shape)
    daily[1:] += 0.01 * strength * factor[:-1]
    close = 10 * np.exp(np.cumsum(daily, axis=0))
    return {
        "factor": factor, "dates": pd.bdate_range("2024-01-01", periods=n_dates).to_numpy(),
        "close": close, "vwap": close * np.exp(0.003 * rng.normal(size=close.shape)),
        "universe": rng.random(factor.shape) < 0.95, "tradable_next": rng.random(factor.shape) < 0.95,
    }


class TestExamples:
    def test_last_session_of_each_finished_week(self):
        dates = ["2024-02-08", "2024-02-19", "2024-02-20", "2024-02-23", "2024-02-26"]  # a holiday week is missing
        assert select_test_dates(dates, "week") == [0, 3]
        assert select_test_dates(dates, 3) == [0, 3]

    def test_return_periods(self):
        close, vwap = np.array([[10.0], [11], [12], [15]]), np.array([[10.0], [10], [12.5], [14]])
        assert period_returns(close, vwap, [0, 2], "close")[0] == pytest.approx([0.2])
        assert period_returns(close, vwap, [0, 2], "next_vwap")[0] == pytest.approx([0.4])
        assert np.isnan(period_returns(close, vwap, [0, 3], "next_vwap")).all()

    def test_delisted_stock_keeps_the_return_to_its_last_close(self):
        close = np.array([[10.0, 10], [7, 11], [NAN, 12]])
        assert period_returns(close, close, [0, 2], "close")[0] == pytest.approx([-0.3, 0.2])
        vwap = np.array([[10.0, 10], [8, 10], [9, 10], [NAN, 12]])
        close = np.array([[10.0, 10], [8, 10], [9, 10], [6, 13]])  # traded on the last day, but its vwap is missing
        assert period_returns(close, vwap, [0, 2], "next_vwap")[0] == pytest.approx([6 / 8 - 1, 0.2])

    def test_ic_of_each_test_date_is_spearman_with_the_return_to_the_next(self):
        m = market()
        result = ft.run_factor_test(**m, test_indices=[3, 10, 40], spec=PLAIN)
        for k, (begin, end) in enumerate([(3, 10), (10, 40)]):
            used = m["universe"][begin] & m["tradable_next"][begin]
            expected = scipy.stats.spearmanr(m["factor"][begin, used], (m["close"][end] / m["close"][begin])[used])[0]
            assert result.ic["rank_ic"][k] == pytest.approx(expected) and result.ic["n_stocks"][k] == used.sum()
        assert np.isnan(result.ic["rank_ic"][2]) and result.summary["n_dates"][0] == 2

    def test_neutral_factor_never_sees_the_test_filter(self):
        m = market()
        industry, log_cap = np.random.default_rng(1).integers(0, 4, m["factor"].shape), 22 + 0.1 * m["factor"] ** 2
        spec = ft.FactorTestSpec(n_layers=5, every=5)
        result = ft.run_factor_test(**m, spec=spec, industry=industry, log_cap=log_cap)
        tests = select_test_dates(m["dates"], 5)
        neutral = neutralize(m["factor"][tests], industry[tests], log_cap[tests], mask=m["universe"][tests]).values
        used = ~np.isnan(neutral[0]) & m["tradable_next"][0]
        expected = scipy.stats.spearmanr(neutral[0, used], (m["close"][5] / m["close"][0])[used])[0]
        assert result.ic["rank_ic"][0] == pytest.approx(expected)

    def test_summary_is_the_sum_of_its_parts(self):
        result = ft.run_factor_test(**market(), spec=PLAIN)
        daily, row, first = result.layers_daily, result.summary.iloc[0], result.layers_summary.iloc[0]
        known = result.ic["rank_ic"].dropna()
        assert (row.rank_ic_mean, row.rank_ic_std) == pytest.approx((known.mean(), known.std()))
        assert row.icir == pytest.approx(known.mean() / known.std()) and row.ic_positive_share == (known > 0).mean()
        spread = (daily["L1"] - daily["L5"]).to_numpy()
        assert row.long_short_annual == pytest.approx(series.annualized_return(spread))
        assert row.top_annual_excess == first.annual_excess == series.annualized_excess_return(daily["L1"], daily["base"])
        assert list(result.layers_summary["layer"]) == ["L1", "L2", "L3", "L4", "L5"]
        assert 0 < row.top_turnover_two_sided <= 2 and row.mean_n_stocks == result.ic["n_stocks"][: len(known)].mean()

    def test_mean_turnover_leaves_the_first_purchase_out(self):
        m = market()
        m["universe"] = m["tradable_next"] = np.ones((60, 80), dtype=bool)
        result = ft.run_factor_test(**m, test_indices=[3, 9, 14], spec=PLAIN)
        turnover = layer_returns(m["factor"], m["close"], m["vwap"], [3, 9, 14], n_layers=5).turnover
        expected = turnover[1:, 1:].mean(axis=0)
        assert result.layers_summary["turnover_two_sided"].to_numpy() == pytest.approx(expected) and expected.min() > 1.1

    def test_a_factor_that_knows_the_future_is_ordered_and_a_slow_one_autocorrelated(self):
        m = market(strength=2.0)
        m["factor"] = np.repeat(m["factor"][:1], 60, axis=0)
        result = ft.run_factor_test(**m, spec=PLAIN)
        assert result.summary["autocorrelation"][0] == pytest.approx(1.0)
        result = ft.run_factor_test(**market(strength=2.0), spec=ft.FactorTestSpec(n_layers=5, every=1, neutral=False))
        assert result.summary["rank_ic_mean"][0] > 0.3 and abs(result.summary["autocorrelation"][0]) < 0.05

    def test_names_lost_are_counted_by_reason(self):
        m = market()
        m["factor"][4, :7] = NAN
        m["universe"][4], m["tradable_next"][4] = True, True
        m["tradable_next"][4, -3:] = False
        m["vwap"][5, 20] = NAN
        counts = ft.run_factor_test(**m, test_indices=[4, 9], spec=PLAIN).counts.iloc[0]
        assert (counts.n_no_factor, counts.n_not_tradable_next, counts.n_no_vwap, counts.n_ranked) == (7, 3, 1, 80 - 11)


class TestProperties:
    def test_columns(self):
        result = ft.run_factor_test(**market(), spec=PLAIN)
        assert list(result.ic) == ["trade_date", "rank_ic", "ic", "n_stocks"]
        assert list(result.layers_daily) == ["trade_date", "base", "L1", "L2", "L3", "L4", "L5"]
        assert list(result.layers_summary) == ["layer", "annual_return", "annual_excess", "ir", "monthly_win_rate",
                                               "turnover_two_sided"]
        assert list(result.summary) == [
            "n_dates", "rank_ic_mean", "rank_ic_std", "icir", "ic_positive_share", "t_nw", "top_annual_excess", "top_ir",
            "top_monthly_win_rate", "top_turnover_two_sided", "long_short_annual", "long_short_sharpe", "autocorrelation",
            "mean_n_stocks"]
        assert len(result.summary) == 1 and all(isinstance(v, str) for v in result.conventions.values())

    @pytest.mark.parametrize("change", [
        {"n_layers": 4}, {"every": 3}, {"cost_one_way": 0.002}, {"return_entry": "next_vwap"}, {"neutral": True},
        {"min_stocks": 71}, {"newey_west_lags": 3},
    ])
    def test_every_setting_changes_something(self, change):
        m = market()
        extra = {"industry": np.random.default_rng(1).integers(0, 4, m["factor"].shape), "log_cap": m["close"]}
        base = ft.run_factor_test(**m, spec=PLAIN, **extra)
        spec = ft.FactorTestSpec(**{"n_layers": 5, "neutral": False, **change})
        changed = ft.run_factor_test(**m, spec=spec, **extra)
        assert not base.summary.equals(changed.summary)

    def test_stocks_outside_the_universe_and_arguments_are_left_alone(self):
        m = market()
        copies = {k: v.copy() for k, v in m.items()}
        expected = ft.run_factor_test(**m, spec=PLAIN)
        assert all(np.array_equal(m[k], copies[k], equal_nan=True) for k in m if k != "dates")
        m["factor"] = np.where(m["universe"], m["factor"], 1e6)
        pd.testing.assert_frame_equal(ft.run_factor_test(**m, spec=PLAIN).summary, expected.summary)

    def test_values_after_the_next_test_date_do_not_reach_an_ic(self):
        m = market()
        expected = ft.run_factor_test(**m, test_indices=[3, 10, 20], spec=PLAIN).ic
        m["close"][11:] *= 3.0
        m["factor"][4:] = m["factor"][4:, ::-1]
        assert ft.run_factor_test(**m, test_indices=[3, 10, 20], spec=PLAIN).ic["rank_ic"][0] == expected["rank_ic"][0]


class TestErrors:
    def test_neutral_without_industry(self):
        with pytest.raises(MissingData, match="a neutral test needs industry and log_cap.*neutral=False"):
            ft.run_factor_test(**market())

    def test_axes(self):
        m = market()
        with pytest.raises(Misaligned, match="close does not fit the factor"):
            ft.run_factor_test(**{**m, "close": m["close"][1:]}, spec=PLAIN)
        with pytest.raises(Misaligned, match="dates do not fit the factor"):
            ft.run_factor_test(**{**m, "dates": m["dates"][1:]}, spec=PLAIN)
        with pytest.raises(Misaligned, match="industry does not fit the factor"):
            ft.run_factor_test(**m, industry=np.zeros((1, 1), dtype=int), log_cap=m["close"])
        with pytest.raises(BadInput, match="universe is not boolean"):
            ft.run_factor_test(**{**m, "universe": m["close"]}, spec=PLAIN)

    def test_too_little(self):
        m = market()
        with pytest.raises(NotEnoughData, match=r"two test dates \(got 1\)"):
            ft.run_factor_test(**m, test_indices=[3], spec=PLAIN)
        m["factor"][8, 3:] = NAN
        with pytest.raises(NotEnoughData, match="2024-01-11: fewer names than layers"):
            ft.run_factor_test(**m, test_indices=[3, 8], spec=PLAIN)

    def test_settings(self):
        with pytest.raises(InvalidSpec, match="'week' or a number of sessions"):
            ft.FactorTestSpec(every=0)
        with pytest.raises(InvalidSpec, match="'close' or 'next_vwap'"):
            ft.FactorTestSpec(return_entry="open")  # type: ignore[arg-type]
        with pytest.raises(InvalidSpec, match="'week' or a number"):
            select_test_dates(["2024-01-01"], 0)
        with pytest.raises(InvalidSpec, match="increasing rows"):
            ft.run_factor_test(**market(), test_indices=[5, 3], spec=PLAIN)
