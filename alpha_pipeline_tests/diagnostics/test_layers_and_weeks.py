"""First layers side by side, and the weekly table of ATTENTION: by hand and against the factor test's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline import returns as series
from alpha_pipeline.diagnostics.top_layers import top_layers
from alpha_pipeline.diagnostics.weekly_factor import factor_memory, weekly_row, weekly_series, yearly_long_excess
from alpha_pipeline.errors import Misaligned
from alpha_pipeline.factors.layers import layer_returns

DAYS = np.arange("2024-01-01", "2024-02-10", dtype="datetime64[D]")


@pytest.fixture
def market():
    rng = np.random.default_rng(7)
    close = 10 * np.cumprod(1 + rng.normal(0, 0.02, (40, 30)), axis=0)
    return rng.normal(size=(40, 30)), close, close * 1.001, np.ones((40, 30), dtype=bool)


class TestExamples:
    def test_week_by_hand(self):
        factor = np.arange(10.0)[None].repeat(2, axis=0)
        factor[1] = factor[1, ::-1]
        returns = np.array([np.linspace(-0.05, 0.04, 10), np.full(10, np.nan)])
        weeks = weekly_series(factor, returns, ["2024-01-05", "2024-01-12"], np.ones((2, 10), dtype=bool))
        first = weeks.iloc[0]
        assert first["long_excess"] == pytest.approx(0.04 - -0.005) and first["short_excess"] == pytest.approx(-0.05 - -0.005)
        assert first["long_short"] == pytest.approx(0.09) and first["ic"] == pytest.approx(1.0)
        assert np.isnan(first["turnover_one_sided"]) and weeks.iloc[1]["turnover_one_sided"] == 1.0
        assert weeks.iloc[1][["ic", "long_excess", "long_short"]].isna().all()
        assert yearly_long_excess(weeks).to_dict("list") == {"year": [2024], "long_excess": [pytest.approx(0.045)]}

    def test_annualized_icir(self):
        weeks = weekly_series(np.random.default_rng(8).normal(size=(6, 20)), np.random.default_rng(9).normal(size=(6, 20)), DAYS[:6],
                              np.ones((6, 20), dtype=bool))
        row = weekly_row(weeks, [0.5, np.nan])
        assert row["icir_annualized"] == pytest.approx(weeks["ic"].mean() / weeks["ic"].std() * np.sqrt(52))
        assert row["autocorrelation"] == 0.5


class TestProperties:
    def test_top_layer_is_the_layered_tests_own(self, market):
        factor, close, vwap, pool = market
        found = top_layers({"a": factor, "opposite": -factor}, DAYS, close, vwap, pool, n_layers=5, every=10)
        direct = layer_returns(factor, close, vwap, [0, 10, 20, 30], n_layers=5, mask=pool)
        assert found.relative["a"].to_numpy() == pytest.approx(series.excess_nav(direct.returns[:, 1], direct.returns[:, 0]))
        assert found.relative["opposite"].to_numpy() == pytest.approx(series.excess_nav(direct.returns[:, 5], direct.returns[:, 0]))
        assert found.summary["factor"].tolist() == ["a", "opposite"]

    def test_worst_fall_lies_between_its_dates(self, market):
        factor, close, vwap, pool = market
        found = top_layers({"a": factor}, DAYS, close, vwap, pool, n_layers=5)
        row = found.summary.iloc[0]
        nav = found.relative.set_index(found.relative["trade_date"].astype(str).str[:10])["a"]
        peak = nav[row["worst_start"]] if row["worst_start"] in nav.index else 1.0
        assert 1 - nav[row["worst_end"]] / peak == pytest.approx(row["top_max_drawdown"])

    def test_memory_of_a_constant_factor_is_one(self):
        factor = np.arange(12.0)[None].repeat(3, axis=0)
        assert factor_memory(factor, np.ones((3, 12), dtype=bool)).tolist() == [1.0, 1.0]

    def test_names_outside_the_pool_change_nothing(self, market):
        factor, _, _, pool = market
        returns = np.random.default_rng(10).normal(size=factor.shape)
        pool = pool.copy()
        pool[:, -3:] = False
        changed = factor.copy()
        changed[:, -3:] = 99.0
        before, after = (weekly_series(x, returns, DAYS, pool) for x in (factor, changed))
        assert before.equals(after)


class TestErrors:
    def test_shapes(self):
        with pytest.raises(Misaligned, match="must fit the factor"):
            weekly_series(np.zeros((2, 3)), np.zeros((2, 2)), DAYS[:2], np.ones((2, 3), dtype=bool))
