"""Exhibits: frames of a study become tables and pictures of the page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, UnknownName
from alpha_pipeline.reporting.blocks import Gallery, Missing
from alpha_pipeline.reporting.exhibits import PictureExhibit, StudySection, TableExhibit, study_blocks
from alpha_pipeline.reporting.tables import ReportTable

FRAME = pd.DataFrame({"model": ["v2", "v2.1"], "rank_ic": [0.1, np.nan], "n": [3, 12_000], "what": ["a", None]})
FORMATS = {"rank_ic": "percent", "n": "integer", "what": "text"}


def table(frame: pd.DataFrame = FRAME, **changes) -> TableExhibit:
    return TableExhibit("t", "A table", frame, changes.pop("formats", FORMATS), changes.pop("conventions", "daily"), **changes)


def picture(kind: str = "lines", frame: pd.DataFrame | None = None) -> PictureExhibit:
    dates = pd.DatetimeIndex(["2024-01-02", "2024-01-03", "2024-01-04"])
    return PictureExhibit(kind, "A picture", "What it shows", kind, pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=dates) if frame is None else frame)


def section(*exhibits) -> StudySection:
    return StudySection("study-s", "Study", "portfolios", exhibits, "Not run.")


class TestExamples:
    def test_a_table_is_printed_in_its_formats(self):
        (block,) = study_blocks(section(table(figure="ALPHANET figure 1", notes=("a note",))))
        assert isinstance(block, ReportTable)
        assert block.title == "A table (ALPHANET figure 1)" and block.footnotes == ("a note",)
        assert [[c.text for c in row.cells] for row in block.rows] == [["10.00%", "3", "a"], ["–", "12,000", "–"]]

    def test_published_rows_follow_and_are_marked(self):
        said = pd.DataFrame({"model": ["v2"], "rank_ic": [0.09], "n": [5], "what": ["b"]})
        (block,) = study_blocks(section(table(published=said)))
        assert isinstance(block, ReportTable)
        assert [(r.label, r.kind) for r in block.rows] == [("v2", "ours"), ("v2.1", "ours"), ("v2, published", "published")]

    def test_neighboring_pictures_stand_side_by_side(self):
        blocks = study_blocks(section(picture(), picture("area"), table(), picture("bars", pd.DataFrame({"x": [1.0]}, index=["2023"]))))
        assert [type(b) for b in blocks] == [Gallery, ReportTable, Gallery]
        assert len(blocks[0].pictures) == 2  # type: ignore[union-attr]

    @pytest.mark.parametrize(("kind", "frame"), [
        ("heatmap", pd.DataFrame([[1.0, 0.5], [0.5, 1.0]], index=["a", "b"], columns=["a", "b"])),
        ("scatter", pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 2.0], "label": ["", "2024-02-05", ""]})),
    ])
    def test_every_kind_is_drawn(self, kind, frame):
        (block,) = study_blocks(section(picture(kind, frame)))
        assert isinstance(block, Gallery) and block.pictures[0].svg.startswith("<svg")
        if kind == "scatter":
            assert "2024-02-05" in block.pictures[0].svg

    def test_what_is_missing_is_said(self):
        assert study_blocks(section()) == (Missing("Not run."),)
        empty = table(FRAME.iloc[:0])
        assert empty.is_empty and picture(frame=pd.DataFrame({"a": [np.nan]})).is_empty and not table().is_empty
        assert study_blocks(section(empty)) == (Missing("A table: nothing to show."),)


class TestErrors:
    def test_formats(self):
        with pytest.raises(BadInput, match=r"columns without a format.*\['what'\]"):
            table(formats={"rank_ic": "percent", "n": "integer"})
        with pytest.raises(UnknownName, match="unknown format 'percentage'"):
            table(formats={**FORMATS, "n": "percentage"})
        with pytest.raises(BadInput, match="how its numbers are to be read"):
            table(conventions="")
        with pytest.raises(BadInput, match="published rows have other columns"):
            table(published=FRAME[["model"]])

    def test_kind(self):
        with pytest.raises(UnknownName, match="unknown kind of picture 'pie'"):
            picture("pie")
