"""Comparison of two runs, by hand and on the synthetic report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.diagnostics.paired import Z_95
from alpha_pipeline.factors.ic import newey_west_se, summarize_ic
from alpha_pipeline.reporting.comparison import ComparedRun, common_difference, render_comparison
from alpha_pipeline.reporting.index import IndexedRun, render_index
from alpha_pipeline_tests.reporting.synthetic import full_inputs

DATES = pd.date_range("2024-01-05", periods=40, freq="7D")


class TestPairedDifference:
    def test_only_common_dates_count(self):
        first = pd.Series([0.1, 0.2, 0.3, 0.4], index=DATES[:4])
        second = pd.Series([0.0, 0.1, np.nan, 0.1, 0.9], index=DATES[:5])
        n, mean, low, high = common_difference(first, second)
        assert n == 3 and mean == pytest.approx((0.1 + 0.1 + 0.3) / 3)
        assert low < mean < high

    def test_interval_is_that_of_newey_west(self):
        rng = np.random.default_rng(3)
        x, y = rng.normal(0.05, 0.1, 40), rng.normal(0.02, 0.1, 40)
        n, mean, low, high = common_difference(pd.Series(x, DATES), pd.Series(y, DATES))
        error = newey_west_se(x - y, summarize_ic(x - y).lags)
        assert n == 40
        np.testing.assert_allclose([mean, low, high], [(x - y).mean(), (x - y).mean() - Z_95 * error, (x - y).mean() + Z_95 * error])

    def test_a_mean_of_zero_is_as_uncertain_as_any_other(self):
        swing = pd.Series([0.1, -0.1] * 20, DATES)
        n, mean, low, high = common_difference(swing, 0 * swing)
        assert mean == pytest.approx(0.0) and low < -0.001 and high > 0.001

    def test_two_dates_say_nothing(self):
        n, *rest = common_difference(pd.Series([1.0, 2.0], DATES[:2]), pd.Series([1.0, 1.0], DATES[:2]))
        assert n == 2 and np.isnan(rest).all()


class TestPages:
    def test_settings_that_differ_are_listed_and_equal_ones_are_not(self):
        inputs = full_inputs()
        other = replace(inputs, experiment="other", title="Other")
        page = render_comparison(ComparedRun("one", inputs, {"lr": "0.001", "seeds": "3"}), ComparedRun("two", other, {"lr": "0.0001", "seeds": "3"}))
        table = page[page.index('id="settings"'): page.index('id="provenance"')]
        assert "0.0001" in table and "seeds" not in table
        assert page.index('id="tests"') < page.index('id="settings"')
        assert "A − B" in page and "<script" not in page and "http" not in page

    def test_a_part_that_one_of_them_lacks_is_one_row(self):
        inputs = full_inputs()
        mine = {"models[v2].lr": "1", "models[v2].training.loss": "mse", "end": "2024"}
        page = render_comparison(ComparedRun("one", inputs, mine), ComparedRun("two", replace(inputs, experiment="other"), {"end": "2024"}))
        table = page[page.index('id="settings"'): page.index('id="provenance"')]
        assert table.count("models[v2]") == 1 and "not there" in table and "training.loss" not in table

    def test_a_run_against_itself_differs_by_nothing(self):
        inputs = full_inputs()
        page = render_comparison(ComparedRun("one", inputs, {"lr": "1"}), ComparedRun("two", inputs, {"lr": "1"}))
        assert "the same" in page
        paired = page[page.index("RankIC, A − B"):]
        assert "0.00%" in paired[: paired.index("</table>")]

    def test_index_links_every_run_and_names_the_others(self):
        inputs = full_inputs()
        page = render_index("demo", [IndexedRun(inputs, "x/report.html")], ["multifreq"])
        assert 'href="x/report.html"' in page and "Not run yet: multifreq" in page
        assert "SIMULATED" in page if inputs.provenance["is_simulated"] else "REAL DATA" in page
