"""Studies: what an experiment shows beyond factor tests and portfolios. :data:`STUDIES` is the one list, one file per kind."""

from __future__ import annotations

from alpha_pipeline.errors import unknown_name
from alpha_pipeline.pipeline.studies.study import Study

STUDIES: dict[str, Study] = {}


def study_kind(name: str) -> Study:
    """The kind of that name; raises :class:`UnknownName` with the known ones."""
    if name not in STUDIES:
        raise unknown_name("kind of study", name, list(STUDIES))
    return STUDIES[name]
