"""Exhibits: the tables and pictures of a study, as frames with what is needed to print them.

A study of an experiment (style exposures, premia over time, a sweep of limits …) hands its results to the page in these two
types, so that it need not know how a page looks. An exhibit without a row is *empty*: the page says so in its place, and the
check that every exhibit of a report is there fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from alpha_pipeline.errors import BadInput, sentence, unknown_name
from alpha_pipeline.reporting.blocks import Block, Gallery, Missing, Picture
from alpha_pipeline.reporting.exhibit_plots import DRAW
from alpha_pipeline.reporting.images import figure_svg
from alpha_pipeline.reporting.tables import Cell, ReportTable, Row, number, percent

FORMATS: dict[str, Callable[[float], str]] = {
    "percent": percent,
    "percent1": lambda value: percent(value, 1),
    "number": number,
    "number3": lambda value: number(value, 3),
    "integer": lambda value: number(value, 0),
}
TEXT = "text"


@dataclass(frozen=True, eq=False)
class TableExhibit:
    """A table: ``frame`` has the row labels in its first column, ``formats`` names how each other column is printed.

    ``formats`` : column → "percent" (two decimals), "percent1", "number" (two), "number3", "integer" or "text".
    ``published`` : rows of the published report with the same columns, printed below ours and marked as such.
    ``figure`` : what it stands beside, e.g. ``ALPHANET figure 12``. ``conventions`` : how its numbers are to be read; not empty.
    Raises :class:`BadInput` or :class:`UnknownName` for a frame and formats that do not fit.
    """

    key: str
    title: str
    frame: pd.DataFrame
    formats: Mapping[str, str]
    conventions: str
    published: pd.DataFrame | None = None
    figure: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.conventions:
            raise BadInput(sentence("a table must say how its numbers are to be read", where=self.key))
        columns = [str(c) for c in self.frame.columns[1:]]
        absent = [c for c in columns if c not in self.formats]
        if absent:
            raise BadInput(sentence("columns without a format", where=self.key, got=absent, expected=sorted((*FORMATS, TEXT))))
        for column in columns:
            if self.formats[column] not in (*FORMATS, TEXT):
                raise unknown_name("format", self.formats[column], [*FORMATS, TEXT])
        if self.published is not None and list(self.published.columns) != list(self.frame.columns):
            raise BadInput(sentence("published rows have other columns", where=self.key, got=list(self.published.columns),
                                    expected=list(self.frame.columns)))

    @property
    def is_empty(self) -> bool:
        """Whether there is no row of ours, or no number in any."""
        return self.frame.empty or bool(self.frame.iloc[:, 1:].isna().all(axis=None))


@dataclass(frozen=True, eq=False)
class PictureExhibit:
    """A picture of ``frame``.

    ``kind`` : "lines" or "area" (index = dates or numbers, a line per column), "bars" (index = categories, a bar per column),
    "heatmap" (square, labels on both axes), "scatter" (columns x and y, and label for points to be named).
    ``percent`` : the values are decimals to be shown as percent. ``x_label``, ``y_label`` : of the axes.
    """

    key: str
    title: str
    caption: str
    kind: Literal["lines", "bars", "heatmap", "scatter", "area"]
    frame: pd.DataFrame
    figure: str = ""
    percent: bool = False
    x_label: str = ""
    y_label: str = ""

    def __post_init__(self) -> None:
        if self.kind not in DRAW:
            raise unknown_name("kind of picture", self.kind, list(DRAW))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        values = self.frame[["x", "y"]] if self.kind == "scatter" and {"x", "y"} <= set(self.frame.columns) else self.frame
        return values.empty or bool(values.isna().all(axis=None))


Exhibit = TableExhibit | PictureExhibit


@dataclass(frozen=True, eq=False)
class StudySection:
    """A study on the page: ``after`` is the section it follows; without exhibits, ``why_missing`` stands there."""

    key: str
    title: str
    after: str
    exhibits: Sequence[Exhibit] = field(default=())
    why_missing: str = ""


def study_blocks(section: StudySection) -> tuple[Block, ...]:
    """The section's exhibits as blocks of the page, in order; neighbouring pictures stand side by side."""
    blocks: list[Block] = []
    pictures: list[Picture] = []
    for exhibit in section.exhibits:
        if isinstance(exhibit, PictureExhibit) and not exhibit.is_empty:
            pictures.append(_picture(section, exhibit))
            continue
        if pictures:
            blocks.append(Gallery(tuple(pictures)))
            pictures = []
        blocks.append(Missing(f"{exhibit.title}: nothing to show.") if exhibit.is_empty else _table(exhibit))  # type: ignore[arg-type]
    if pictures:
        blocks.append(Gallery(tuple(pictures)))
    return tuple(blocks) or (Missing(section.why_missing or "This study has no results yet."),)


def _titled(exhibit: Exhibit) -> str:
    return f"{exhibit.title} ({exhibit.figure})" if exhibit.figure else exhibit.title


def _table(exhibit: TableExhibit) -> ReportTable:
    columns = tuple(str(c) for c in exhibit.frame.columns)
    rows = [_row(exhibit, values, "ours") for values in exhibit.frame.itertuples(index=False)]
    if exhibit.published is not None:
        rows += [_row(exhibit, values, "published") for values in exhibit.published.itertuples(index=False)]
    return ReportTable(_titled(exhibit), columns, tuple(rows), exhibit.conventions, tuple(exhibit.notes),
                       text_columns=all(exhibit.formats[c] == TEXT for c in columns[1:]))


def _row(exhibit: TableExhibit, values: tuple, kind: str) -> Row:
    names = [str(c) for c in exhibit.frame.columns[1:]]
    cells = [Cell(_text(value, exhibit.formats[name])) for name, value in zip(names, values[1:], strict=True)]
    return Row(f"{values[0]}, published" if kind == "published" else str(values[0]), tuple(cells), kind)


def _text(value: object, how: str) -> str:
    if how == TEXT:
        return "–" if value is None or value is pd.NA or value != value else str(value)
    return FORMATS[how](float("nan") if value is None else float(value))  # type: ignore[arg-type]


def _picture(section: StudySection, exhibit: PictureExhibit) -> Picture:
    ax = DRAW[exhibit.kind](exhibit.frame, exhibit.title, percent=exhibit.percent, x_label=exhibit.x_label, y_label=exhibit.y_label)
    caption = f"{exhibit.caption} ({exhibit.figure})" if exhibit.figure else exhibit.caption
    return Picture(figure_svg(ax, f"{section.key} {exhibit.key}"), caption)
