"""Pages besides the report of an experiment: sections of exhibits under one or more banners, one self-contained HTML file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from alpha_pipeline.reporting.blocks import Gallery, Missing, Section
from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.narrative import banner

Banner = tuple[str, str, str]
"""(``simulated`` or ``real``, headline, sentence)."""


def template_environment() -> Environment:
    """The environment of all pages: everything is escaped, and an undefined name is an error."""
    environment = Environment(loader=PackageLoader("alpha_pipeline.reporting", "templates"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.tests |= {"gallery": lambda block: isinstance(block, Gallery), "missing": lambda block: isinstance(block, Missing)}
    return environment


def banner_of(inputs: ReportInputs) -> Banner:
    """The banner of a run: whether its data are real, in colour and words."""
    return ("simulated" if inputs.provenance["is_simulated"] else "real", *banner(inputs))


def render_page(title: str, kicker: str, lead: str, banners: Sequence[Banner], sections: Sequence[Section],
                links: Mapping[str, Sequence[tuple[str, str]]] | None = None) -> str:
    """The page as a string. ``links``: section key → (text, relative address) shown under its heading. The same arguments give the same page."""
    return template_environment().get_template("page.html.j2").render(
        title=title, kicker=kicker, lead=lead, banners=list(dict.fromkeys(banners)), sections=sections, links=dict(links or {}),
    )
