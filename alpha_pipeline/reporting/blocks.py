"""What a section of the page is made of: texts, tables and pictures, ready to print."""

from __future__ import annotations

from dataclasses import dataclass

from alpha_pipeline.reporting.tables import ReportTable


@dataclass(frozen=True)
class Picture:
    """An inline figure with the sentence under it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side."""

    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Missing:
    """The sentence that stands where a part is missing."""

    why: str


Block = ReportTable | Gallery | Missing


@dataclass(frozen=True)
class Section:
    """A heading with its anchor and what follows."""

    key: str
    title: str
    blocks: tuple[Block, ...]
