"""ATTENTION as published: spot values read off the report, the report's own arithmetic, completeness."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.experiments import published_attention as said
from alpha_pipeline.experiments.attention import ATTENTION, HELD, OTHERS, PORTFOLIOS


class TestExamples:
    @pytest.mark.parametrize(("key", "column", "value"), [
        (("10m", "raw", "rnn"), "icir_annualized", 9.156), (("10m", "raw", "attention"), "ic_win_rate", 0.88),
        (("10m", "raw", "residual"), "long_excess", 0.0040), (("10m", "risk_adjusted", "attention"), "short_excess", -0.0068),
        (("10m", "risk_adjusted", "residual"), "autocorrelation", 0.50), (("30m", "raw", "rnn"), "long_short", 0.0144),
        (("30m", "raw", "residual"), "top_turnover_one_sided", 0.61), (("30m", "risk_adjusted", "residual"), "ic_mean", 0.073),
    ])
    def test_factor_cells(self, key, column, value):
        row = said.factor_row(*key)
        assert row is not None and row[column] == value

    def test_enhanced_cells(self):
        table = said.ENHANCED.set_index(["deviation_percent", "period"])
        assert table.loc[(1, "2016")].tolist() == [0.334, 0.296, 0.273, 0.298, 0.307]
        assert table.loc[(2, "2021")].tolist() == [0.095, 0.236, 0.258, 0.193, 0.206]
        assert table.loc[(2, "all"), "residual_30m"] == 0.220

    def test_unknown_row(self):
        assert said.factor_row("5m", "raw", "rnn") is None


class TestProperties:
    def test_all_twelve_factors_once(self):
        keys = said.FACTORS[["frequency", "target", "network"]].drop_duplicates()
        assert len(keys) == len(said.FACTORS) == 12

    def test_long_short_is_the_difference_to_the_digits_printed(self):
        gap = said.FACTORS["long_excess"] - said.FACTORS["short_excess"] - said.FACTORS["long_short"]
        assert np.abs(gap).max() <= 0.00015 + 1e-12

    def test_whole_range_is_the_geometric_mean_of_its_years(self):
        years = 6 + 5 / 12
        for deviation in (1, 2):
            table = said.ENHANCED[said.ENHANCED["deviation_percent"] == deviation].set_index("period")
            for model in said.PORTFOLIO_MODELS:
                compounded = np.prod([1.0 + table.loc[str(year), model] for year in said.YEARS]) ** (1 / years) - 1.0
                assert compounded == pytest.approx(table.loc["all", model], abs=0.005), (deviation, model)

    def test_slips_are_in_the_tables(self):
        table = said.ENHANCED.set_index(["deviation_percent", "period"])
        assert table.loc[(1, "2021"), "residual_30m"] < table.loc[(1, "2021"), "rnn_30m"]
        assert table.loc[(2, "2022"), "attention_30m"] == table.loc[(2, "2022"), "rnn_30m"]
        assert table.loc[(2, "all"), "attention_30m"] == table.loc[(2, "all"), "rnn_30m"]
        assert {row for slip in said.SLIPS for row in slip.rows} <= set(PORTFOLIOS)

    def test_our_spec_has_every_row(self):
        assert {s.published for s in ATTENTION.signals} == {f"{n}_{f}_{t}" for f, t, n in said.FACTORS[["frequency", "target", "network"]].to_numpy()}
        assert HELD == said.PORTFOLIO_MODELS
        assert len(OTHERS) == 12  # size, mid-cap, value, turnover, reversal, volatility, profitability, SUE, analyst, and three of high frequency
