"""The summary in a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.terminal import summary_table
from alpha_pipeline_tests.reporting.synthetic import empty_inputs, full_inputs


def printed(inputs: ReportInputs) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table(inputs))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class TestExamples:
    def test_scores_and_portfolios(self) -> None:
        text = printed(full_inputs())
        assert text.startswith("SIMULATED MARKET — not real data")
        row = next(x for x in text.splitlines() if "All A" in x and "Incremental" in x)
        assert "10.22%" in row
        assert any("Oracle (planted signal)" in x for x in text.splitlines())
        assert any("Linear blend" in x for x in text.splitlines())
        book = next(x for x in text.splitlines() if "CNI 2000" in x and "turnover ≤ 50%" in x)
        assert [p in book for p in ("16.23%", "2.95", "5.50%", "31.19%", "4.25")] == [True] * 5

    def test_real_data_are_called_real(self) -> None:
        assert printed(full_inputs(is_simulated=False)).startswith("REAL DATA")

    def test_missing_parts_say_why(self) -> None:
        text = printed(empty_inputs())
        assert "Portfolios: The optimizer was switched off for this run." in text
        assert "Model tests: Not part of this run" in text
