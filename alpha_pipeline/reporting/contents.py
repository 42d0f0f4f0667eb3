"""What a report must hold: the published report's tables and figures, item by item, and where ours stands on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alpha_pipeline.reporting.blocks import Missing
from alpha_pipeline.reporting.inputs import SECTIONS, ReportInputs
from alpha_pipeline.reporting.sections import build_sections


@dataclass(frozen=True)
class Item:
    """A table or figure of a published report.

    ``what`` : in words. ``where`` : a section of :data:`SECTIONS`, or ``<study>/<exhibit>``; an exhibit may end in ``*`` for all whose key
    begins so (at least one, none of them empty).
    """

    what: str
    where: str


def missing_items(inputs: ReportInputs, items: Sequence[Item]) -> list[str]:
    """The items that are missing or empty, in words with the place where they should be."""
    empty = {section.key for section in build_sections(inputs) if all(isinstance(block, Missing) for block in section.blocks)}
    return [f"{item.what} ({item.where})" for item in items if not _is_there(inputs, item.where, empty)]


def _is_there(inputs: ReportInputs, where: str, empty: set[str]) -> bool:
    study, _, exhibit = where.partition("/")
    if not exhibit:
        assert where in SECTIONS, where
        return where not in empty
    shown = [e for s in inputs.studies if s.key == f"study-{study}" for e in s.exhibits
             if e.key == exhibit or (exhibit.endswith("*") and e.key.startswith(exhibit[:-1]))]
    return bool(shown) and not any(e.is_empty for e in shown)
