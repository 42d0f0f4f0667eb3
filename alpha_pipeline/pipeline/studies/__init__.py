"""Studies: what an experiment shows beyond factor tests and portfolios. :data:`STUDIES` is the one list, one file per kind."""

from __future__ import annotations

from alpha_pipeline.errors import unknown_name
from alpha_pipeline.pipeline.studies import (
    constraint_sweep,
    deep_weight,
    factor_profile,
    hedged_groups,
    model_styles,
    pair_coverage,
    paired_signals,
    rank_ic_horizons,
    return_sources,
    score_averaging,
    style_timing,
    top_layers,
    weekly_factors,
    weighting_importances,
    yearly_enhancement,
    yearly_portfolios,
)
from alpha_pipeline.pipeline.studies.study import Study

STUDIES: dict[str, Study] = {
    "constraint_sweep": constraint_sweep.STUDY,
    "deep_weight": deep_weight.STUDY,
    "factor_profile": factor_profile.STUDY,
    "hedged_groups": hedged_groups.STUDY,
    "model_styles": model_styles.STUDY,
    "pair_coverage": pair_coverage.STUDY,
    "paired_signals": paired_signals.STUDY,
    "rank_ic_horizons": rank_ic_horizons.STUDY,
    "return_sources": return_sources.STUDY,
    "score_averaging": score_averaging.STUDY,
    "style_timing": style_timing.STUDY,
    "top_layers": top_layers.STUDY,
    "weekly_factors": weekly_factors.STUDY,
    "weighting_importances": weighting_importances.STUDY,
    "yearly_enhancement": yearly_enhancement.STUDY,
    "yearly_portfolios": yearly_portfolios.STUDY,
}


def study_kind(name: str) -> Study:
    """The kind of that name; raises :class:`UnknownName` with the known ones."""
    if name not in STUDIES:
        raise unknown_name("kind of study", name, list(STUDIES))
    return STUDIES[name]
