"""RISKCONTROL as published: spot values read off the report, the report's own arithmetic, completeness."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from alpha_pipeline.experiments import published_riskcontrol as said
from alpha_pipeline.experiments.riskcontrol import RISKCONTROL
from alpha_pipeline.market.calendar import exchange_sessions


class TestExamples:
    def test_base_rows(self):
        assert said.performance("csi500") == dict(zip(said.PERFORMANCE_COLUMNS, (0.176, 3.03, 0.070, 2.53, 0.153, 0.056, 0.037, 0.040), strict=True))
        row = said.performance("csi1000")
        assert row is not None and (row["annual_excess"], row["information_ratio"], row["last_quarter_drawdown"]) == (0.259, 3.91, 0.043)

    @pytest.mark.parametrize(("variant", "column", "value"), [
        ("constituents_100", "information_ratio", 4.19), ("constituents_0", "last_quarter_drawdown", 0.084), ("nlsize_10", "calmar", 4.59),
        ("nlsize_40", "last_quarter_drawdown", 0.049), ("moment2_20", "annual_excess", 0.266), ("moment2_40", "excess_2023", 0.141),
        ("moment3_10", "excess_2022", 0.202), ("moment3_20", "excess_2023", 0.089), ("moment3_40", "excess_max_drawdown", 0.071),
    ])
    def test_cells(self, variant, column, value):
        row = said.performance(variant)
        assert row is not None and row[column] == value

    def test_small_caps_and_constituents(self):
        shares = said.SMALL_CAPS.set_index("variant")
        assert shares.loc["moment2_10"].tolist() == [0.015, 0.044, 0.084]
        assert shares.loc["moment3_40"].tolist() == [0.025, 0.062, 0.106]
        assert said.CONSTITUENT_SHARE.set_index("variant").loc["constituents_0", "mean_constituent_share"] == 0.326

    def test_style_timing(self):
        table = said.STYLE_TIMING.set_index("signal")
        assert table.loc["composite"].tolist() == [0.21, 0.14, 0.11, 0.12]
        assert table.loc["week_gru"].tolist() == [0.12, 0.11, 0.07, 0.11]

    def test_text(self):
        assert said.FACTOR_CORRELATION["mean_correlation"].tolist() == [0.047, -0.28, -0.43, -0.41]
        assert said.SIZE_EXPOSURE["mean_size_exposure"].tolist() == [-0.59, 1.70]

    def test_unknown_variant_has_no_row(self):
        assert said.performance("moment4_10") is None


class TestProperties:
    def test_calmar_is_excess_over_drawdown_to_the_digits_printed(self):
        for row in said.PERFORMANCE.itertuples(index=False):
            low = (row.annual_excess - 0.0005) / (row.excess_max_drawdown + 0.0005) - 0.005
            high = (row.annual_excess + 0.0005) / (row.excess_max_drawdown - 0.0005) + 0.005
            assert low <= row.calmar <= high, row.variant

    def test_drawdown_of_the_last_quarter_is_no_larger_than_that_of_all(self):
        assert (said.PERFORMANCE["last_quarter_drawdown"] <= said.PERFORMANCE["excess_max_drawdown"]).all()

    def test_shares_of_the_smallest_names_are_nested(self):
        values = said.SMALL_CAPS[list(said.SMALL_CAP_COLUMNS)].to_numpy()
        assert (np.diff(values, axis=1) > 0).all()

    def test_every_variant_of_ours_has_its_row(self):
        names = {p.name.removeprefix("riskcontrol_csi1000_") for p in RISKCONTROL.variants if "_on_" not in p.name}
        assert names == set(said.PERFORMANCE["variant"]) - {"csi500", "csi1000"}

    def test_named_rebalances_lie_five_sessions_apart_as_the_report_says(self):
        sessions = exchange_sessions("XSHG", dt.date(2020, 12, 1), dt.date(2024, 3, 29)).keys()
        at = [sessions.index(day) for day in sorted((*said.SIZE_TAIL_LOSSES, *said.SIZE_TAIL_GAINS))]
        assert all((place - at[0]) % 5 == 0 for place in at)

    def test_slips_name_published_rows(self):
        assert {row for slip in said.SLIPS for row in slip.rows} <= set(said.PERFORMANCE["variant"])
