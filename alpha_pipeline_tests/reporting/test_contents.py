"""The check that nothing of a published report is missing from ours."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from alpha_pipeline.reporting.contents import Item, missing_items
from alpha_pipeline.reporting.exhibits import StudySection, TableExhibit
from alpha_pipeline.reporting.inputs import SECTIONS
from alpha_pipeline_tests.reporting.synthetic import empty_inputs, full_inputs


def exhibit(key: str, n: int) -> TableExhibit:
    return TableExhibit(key, key, pd.DataFrame({"row": ["a"] * n, "x": [1.0] * n}), {"x": "number"}, "daily")


class TestMissingItems:
    def test_sections(self):
        items = [Item("it", where) for where in SECTIONS]
        assert missing_items(full_inputs(), items) == []
        assert missing_items(empty_inputs(), items) == [f"it ({where})" for where in SECTIONS]

    def test_exhibits(self):
        inputs = replace(full_inputs(), studies=[StudySection("study-s", "S", "layers", (exhibit("a-1", 1), exhibit("a-2", 0), exhibit("b-1", 2)))])
        items = [Item("there", "s/a-1"), Item("empty", "s/a-2"), Item("not there", "s/c"), Item("one of them empty", "s/a-*"), Item("all", "s/b-*"),
                 Item("no study", "t/a-1"), Item("none", "s/d*")]
        assert missing_items(inputs, items) == ["empty (s/a-2)", "not there (s/c)", "one of them empty (s/a-*)", "no study (t/a-1)", "none (s/d*)"]
