"""Studies: what an experiment shows beyond factor tests and portfolios. :data:`STUDIES` is the one list, one file per kind."""

from __future__ import annotations

from alpha_pipeline.errors import unknown_name
from alpha_pipeline.pipeline.studies import (
    constraint_sweep,
    deep_weight,
    factor_profile,
    return_sources,
    style_timing,
    top_layers,
    weekly_factors,
    yearly_enhancement,
)
from alpha_pipeline.pipeline.studies.study import Study

STUDIES: dict[str, Study] = {
    "constraint_sweep": constraint_sweep.STUDY,
    "deep_weight": deep_weight.STUDY,
    "factor_profile": factor_profile.STUDY,
    "return_sources": return_sources.STUDY,
    "style_timing": style_timing.STUDY,
    "top_layers": top_layers.STUDY,
    "weekly_factors": weekly_factors.STUDY,
    "yearly_enhancement": yearly_enhancement.STUDY,
}


def study_kind(name: str) -> Study:
    """The kind of that name; raises :class:`UnknownName` with the known ones."""
    if name not in STUDIES:
        raise unknown_name("kind of study", name, list(STUDIES))
    return STUDIES[name]
