"""Tables as printed: number formats, intervals, what stands beside what, and absent numbers."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.experiments.published_multifreq import CNI2000, CSI300
from alpha_pipeline.reporting import factor_tables as ft
from alpha_pipeline.reporting import portfolio_tables as pt
from alpha_pipeline.reporting import rebalance_tables as rt
from alpha_pipeline.reporting.tables import ReportTable, percent, rank_ic_interval
from alpha_pipeline_tests.reporting.synthetic import empty_inputs, factor_test, full_inputs


class TestExamples:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.0930, "9.30%"),
            (-0.3687, "-36.87%"),
            (1.2511, "125.11%"),
            (0.0, "0.00%"),
            (-1e-9, "0.00%"),
            (math.nan, "–"),
            (math.inf, "–"),
            (None, "–"),
        ],
    )
    def test_percent(self, value: float | None, text: str) -> None:
        assert percent(value) == text

    def test_interval_by_hand(self) -> None:
        """Mean 8% with t = 4: standard error 2%, interval 8% ± 3.92%."""
        assert rank_ic_interval(0.08, 4.0) == pytest.approx((0.0408, 0.1192))
        assert rank_ic_interval(-0.08, -4.0) == pytest.approx((-0.1192, -0.0408))
        assert rank_ic_interval(0.08, math.nan) is None
        assert rank_ic_interval(0.0, 0.0) is None

    def test_factor_table_rows(self) -> None:
        inputs = full_inputs()
        table = ft.factor_test_table(inputs, "all")
        frame = table.to_frame()
        assert frame[""].tolist() == [
            "GRU-15m",
            "published",
            "GRU-15m + attention",
            "published",
            "Mixed",
            "published",
            "Incremental",
            "published",
            "Oracle (planted signal)",
            "Linear blend",
        ]
        assert frame.iloc[7].tolist() == ["published", "10.22%", "7.71%", "1.33", "90.85%", "36.36%", "5.95", "94.74%", "105.25%"]
        assert frame.loc[6, "RankIC mean"] == percent(inputs.factor_tests["all", "incremental"].value("rank_ic_mean"))
        assert table.rows[5].marks == (1,)
        assert len(table.footnotes) == 1

    def test_published_model_that_was_not_run_is_still_shown(self) -> None:
        inputs = full_inputs()
        only = dataclasses.replace(
            inputs, factor_tests={("all", "incremental"): inputs.factor_tests["all", "incremental"]}, comparisons={}
        )
        labels = ft.factor_test_table(only, "all").to_frame()[""].tolist()
        assert labels == [
            "Incremental",
            "published",
            "GRU-15m, published (not run here)",
            "GRU-15m + attention, published (not run here)",
            "Mixed, published (not run here)",
        ]

    def test_portfolio_table_rows(self) -> None:
        frame = pt.portfolio_table(full_inputs(), CSI300).to_frame()
        assert frame[""].tolist() == [
            "turnover ≤ 30%",
            "published",
            "turnover ≤ 40%",
            "published",
            "turnover ≤ 50%",
            "published",
            "CSI 300",
            "published",
        ]
        assert frame.iloc[1].tolist()[1:] == [
            "12.76%",
            "18.78%",
            "0.68",
            "27.56%",
            "9.48%",
            "5.72%",
            "7.84%",
            "1.66",
            "1.21",
            "68.00%",
            "32.80%",
        ]
        assert frame.iloc[7].tolist()[1:6] == ["2.79%", "19.00%", "0.15", "39.59%", "–"]

    def test_yearly_table_names_published_years_left_out(self) -> None:
        table = pt.yearly_table(full_inputs(), CNI2000)
        assert table.columns == ("", "2017", "2018")
        assert table.to_frame().iloc[1].tolist() == ["published", "3.41%", "-1.44%"]
        assert "2019, 2020, 2021, 2022, 2023" in table.conventions

    def test_correlation_differences(self) -> None:
        table = ft.correlation_table(full_inputs())
        assert table is not None
        assert table.to_frame().iloc[0].tolist() == ["GRU-15m × GRU-15m + attention", "0.6900", "0.6864", "0.0036"]

    def test_constraints_are_counted_without_their_amounts(self) -> None:
        inputs = full_inputs()
        name, portfolio = next(iter(inputs.portfolios.items()))
        log = pd.DataFrame(
            {
                "trade_date": pd.to_datetime(["2017-01-04", "2017-01-11", "2017-01-18", "2017-01-25"]),
                "status": ["optimal", "relaxed", "relaxed", "optimal"],
                "turnover_two_sided": [1.0, 0.35, 0.33, 0.25],
                "relaxations": ["", "turnover=0.05", "turnover=0.03; size=0.1", ""],
                "binding": ["size (0.1)", "size (0.2); turnover (0.1)", "", "size (0.1); size (0.3)"],
                "n_names": [100, 101, 102, 101],
            }
        )
        one = dataclasses.replace(inputs, portfolios={name: dataclasses.replace(portfolio, rebalances=log)}, attributions={})
        relaxed, binding = rt.relaxations_table(one), rt.binding_table(one)
        assert relaxed is not None
        assert binding is not None
        assert [(r.label, r.cells[0].text, r.cells[0].note) for r in relaxed.rows] == [
            ("turnover", "50.0%", "2"),
            ("size", "25.0%", "1"),
        ]
        assert [(r.label, r.cells[0].text) for r in binding.rows] == [("size", "75.0%"), ("turnover", "25.0%")]
        assert [c.text for c in rt.rebalances_table(one).rows[0].cells] == [
            "4",
            "optimal 2, relaxed 2",
            "2",
            "31.00%",
            "35.00%",
            "101",
        ]

    def test_training_epochs_by_stage(self) -> None:
        frame = ft.training_table(full_inputs()).to_frame().set_index("")
        assert frame.loc["Incremental", "mean epochs, by stage"] == "19.0 + 31.0"
        assert frame.loc["GRU-15m", ["periods", "seeds"]].tolist() == ["2", "2"]
        assert frame.loc["Incremental", "minutes in all"] == f"{4 * 50 * 2.5 / 60:.1f}"

    def test_settings_that_differ_are_parted(self) -> None:
        table = pt.settings_table(full_inputs())
        assert table is not None
        assert {r.label: r.cells[0].text for r in table.rows}["max turnover two sided"] == "0.3 / 0.4 / 0.5"


class TestProperties:
    def test_absent_numbers_are_dashes_not_zeros(self) -> None:
        test = factor_test(1)
        hollow = dataclasses.replace(test, summary=test.summary.assign(**{c: np.nan for c in test.summary.columns}))
        inputs = dataclasses.replace(full_inputs(), factor_tests={("all", "incremental"): hollow}, comparisons={})
        row = ft.factor_test_table(inputs, "all").rows[0]
        assert {c.text for c in row.cells} == {"–"}
        assert row.cells[0].note == ""

    def test_layers_are_in_order_and_written_either_way(self) -> None:
        test = factor_test(1)
        assert test.layers_summary is not None
        shuffled = test.layers_summary.assign(layer=[f"L{k}" for k in test.layers_summary["layer"]]).iloc[::-1]
        inputs = full_inputs()
        as_numbers = ft.layers_table(
            dataclasses.replace(inputs, factor_tests={("all", "incremental"): test}, comparisons={}), "all"
        )
        as_text = ft.layers_table(
            dataclasses.replace(
                inputs, factor_tests={("all", "incremental"): dataclasses.replace(test, layers_summary=shuffled)}, comparisons={}
            ),
            "all",
        )
        assert as_numbers is not None
        assert as_text is not None
        assert as_numbers.columns == ("", *(f"L{k}" for k in range(1, 11)))
        assert as_text.to_frame().equals(as_numbers.to_frame())

    def test_portfolios_come_by_limit_whatever_their_order(self) -> None:
        inputs = full_inputs()
        turned = dataclasses.replace(inputs, portfolios=dict(reversed(list(inputs.portfolios.items()))))
        assert pt.portfolios_of(turned, CSI300) == pt.portfolios_of(inputs, CSI300)

    def test_same_limit_twice_shows_names(self) -> None:
        inputs = full_inputs()
        first = next(iter(inputs.portfolios))
        twice = dataclasses.replace(inputs, portfolios={**inputs.portfolios, "variant": inputs.portfolios[first]})
        assert pt.portfolio_label(twice, "variant") == "variant"
        assert pt.portfolio_label(twice, first) == first

    def test_nothing_in_nothing_out(self) -> None:
        inputs = empty_inputs()
        assert ft.correlation_table(inputs) is None
        assert rt.binding_table(inputs) is None
        assert rt.relaxations_table(inputs) is None
        assert pt.settings_table(inputs) is None
        assert pt.attribution_table(inputs, CSI300) is None


class TestErrors:
    def test_a_table_without_conventions_is_a_bug(self) -> None:
        with pytest.raises(AssertionError, match="without conventions"):
            ReportTable("t", ("", "a"), (), "")
