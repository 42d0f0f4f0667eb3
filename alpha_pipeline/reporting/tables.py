"""Tables ready to print: the type, the number formats and the footnotes.

A table is text by the time it leaves here, formatted as in the reports (percent with two decimals, ratios with two). A missing
number is printed as ``–``, never as 0. Every table carries the conventions it was computed under and the footnotes of the rows
it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from alpha_pipeline.reporting.published import KnownSlip

if TYPE_CHECKING:  # the inputs hold studies, whose exhibits become tables
    from alpha_pipeline.reporting.inputs import FactorTest, ReportInputs

ABSENT = "–"


@dataclass(frozen=True)
class Cell:
    """What one cell shows: the number, and small print under it."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row and whose it is: ``ours``, ``published``, ``comparison`` or ``benchmark``; ``marks`` are footnote numbers."""

    label: str
    cells: tuple[Cell, ...]
    kind: str = "ours"
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReportTable:
    """A titled table. ``columns`` begins with the heading of the row labels; ``conventions`` may not be empty."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    conventions: str
    footnotes: tuple[str, ...] = ()
    text_columns: bool = False

    def __post_init__(self) -> None:
        assert self.conventions, f"table '{self.title}' without conventions"
        assert all(len(r.cells) == len(self.columns) - 1 for r in self.rows), f"table '{self.title}': ragged"

    def to_frame(self) -> pd.DataFrame:
        """The printed text as a frame, row labels in the first column; small print is left out."""
        return pd.DataFrame([[r.label, *(c.text for c in r.cells)] for r in self.rows], columns=list(self.columns))


@dataclass
class Footnotes:
    """Collects a table's footnotes and hands out their numbers; the same slip is noted once."""

    texts: list[str] = field(default_factory=list)

    def mark(self, slips: Sequence[KnownSlip]) -> tuple[int, ...]:
        for slip in slips:
            if slip.footnote not in self.texts:
                self.texts.append(slip.footnote)
        return tuple(self.texts.index(s.footnote) + 1 for s in slips)


def percent(value: float | None, digits: int = 2) -> str:
    """A decimal as percent.

    >>> percent(0.093), percent(-0.1955), percent(-0.000001), percent(float("nan"))
    ('9.30%', '-19.55%', '0.00%', '–')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{round(value, digits + 2) + 0.0:.{digits}%}"


def number(value: float | None, digits: int = 2) -> str:
    """A plain number with a fixed count of decimals and thousands separated.

    >>> number(1.155), number(5231.4, 0), number(None)
    ('1.16', '5,231', '–')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def rank_ic_interval(mean: float, t_nw: float) -> tuple[float, float] | None:
    """The 95% interval of a mean from its Newey-West t: mean ± 1.96 · |mean / t|. ``None`` when t says nothing (0 or missing).

    >>> rank_ic_interval(0.10, 19.6)
    (0.09, 0.11)
    """
    if not (math.isfinite(mean) and math.isfinite(t_nw)) or t_nw == 0.0:
        return None
    half = 1.96 * abs(mean / t_nw)
    return round(mean - half, 12), round(mean + half, 12)


def interval_text(test: FactorTest) -> str:
    """The interval of a test's mean RankIC as small print, ``8.30 to 10.30%``; empty when there is none."""
    interval = rank_ic_interval(test.value("rank_ic_mean"), test.value("t_nw"))
    return f"{interval[0] * 100:.2f} to {interval[1] * 100:.2f}%" if interval else ""


def published_note(inputs: ReportInputs, figures: set[int]) -> str:
    """Names the published figures that a title stands beside: `` (MULTIFREQ figures 15, 24)``; empty when there are none."""
    if not figures or inputs.published is None:
        return ""
    return f" ({inputs.published.system} figure{'s' if len(figures) > 1 else ''} {', '.join(map(str, sorted(figures)))})"
