"""Inputs are checked on arrival: each mistake has its sentence."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, UnknownName
from alpha_pipeline.reporting.inputs import FactorTest, ReportInputs
from alpha_pipeline_tests.reporting.synthetic import attribution, empty_inputs, factor_test, full_inputs, portfolio


class TestExamples:
    def test_order_is_that_of_the_experiment(self) -> None:
        inputs = full_inputs()
        assert inputs.universes == ["000300.SH", "000905.SH", "000852.SH", "all"]
        assert inputs.signals == ["gru_15m", "gru_15m_attention", "mixed", "incremental"]

    def test_headline_is_chosen_by_order_not_by_result(self) -> None:
        inputs = dataclasses.replace(full_inputs(), headline=None)
        assert inputs.headline_key == ("all", "gru_15m")
        assert empty_inputs().headline_key is None

    def test_labels_come_from_the_inputs_then_the_published_report(self) -> None:
        inputs = dataclasses.replace(full_inputs(), labels={"mixed": "My mix"})
        assert [inputs.label(x) for x in ("mixed", "incremental", "000300.SH", "unheard")] == [
            "My mix",
            "Incremental",
            "CSI 300",
            "unheard",
        ]

    def test_styles_are_the_other_columns(self) -> None:
        assert attribution(0).styles == ["SIZE", "BETA", "MOMENTUM", "RESVOL", "NLSIZE", "LIQUIDITY"]


class TestErrors:
    def test_missing_column(self) -> None:
        with pytest.raises(BadInput, match="factor test ic lacks rank_ic"):
            dataclasses.replace(factor_test(0), ic=pd.DataFrame({"trade_date": [], "ic": [], "n_stocks": []}))

    def test_two_summary_rows(self) -> None:
        summary = factor_test(0).summary
        with pytest.raises(BadInput, match="one row.*got 2"):
            FactorTest(summary=pd.concat([summary, summary]))

    def test_missing_metric(self) -> None:
        good = portfolio(0, "000300.SH", 0.3)
        with pytest.raises(BadInput, match="portfolio summary lacks calmar"):
            dataclasses.replace(good, summary={k: v for k, v in good.summary.items() if k != "calmar"})

    def test_real_or_simulated_must_be_said(self) -> None:
        with pytest.raises(BadInput, match="provenance lacks 'is_simulated'"):
            ReportInputs("e", "t", "MULTIFREQ", "d", provenance={"market": "m"})  # type: ignore[typeddict-item]

    def test_misspelt_provenance(self) -> None:
        with pytest.raises(UnknownName, match="unknown provenance entry 'proxy'.*Did you mean 'proxies'"):
            ReportInputs("e", "t", "MULTIFREQ", "d", provenance={"market": "m", "is_simulated": True, "proxy": {}})  # type: ignore[typeddict-unknown-key]

    def test_unknown_section(self) -> None:
        with pytest.raises(UnknownName, match="unknown section 'portfolio'.*Did you mean 'portfolios'"):
            dataclasses.replace(empty_inputs(), missing_sections={"portfolio": "why"})

    def test_published_row_that_is_not_there(self) -> None:
        inputs = full_inputs()
        name = next(iter(inputs.portfolios))
        wrong = dataclasses.replace(inputs.portfolios[name], published_key="000300.SH@60")
        with pytest.raises(UnknownName, match="000300.SH@60"):
            dataclasses.replace(inputs, portfolios={**inputs.portfolios, name: wrong})
        with pytest.raises(BadInput, match="no published tables are given"):
            dataclasses.replace(inputs, published=None)

    def test_attribution_of_an_unknown_portfolio(self) -> None:
        with pytest.raises(UnknownName, match="portfolio with an attribution"):
            dataclasses.replace(full_inputs(), attributions={"nobody": attribution(0)})

    def test_headline_that_was_not_tested(self) -> None:
        with pytest.raises(UnknownName, match="headline factor test 'all/mixd'"):
            dataclasses.replace(full_inputs(), headline=("all", "mixd"))

    def test_lopsided_correlation(self) -> None:
        with pytest.raises(BadInput, match="same models on both axes"):
            dataclasses.replace(empty_inputs(), correlation=pd.DataFrame([[1.0]], index=["a"], columns=["b"]))
