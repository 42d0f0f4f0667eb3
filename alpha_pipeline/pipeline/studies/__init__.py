"""Studies: what an experiment shows beyond factor tests and portfolios. :data:`STUDIES` is the one list, one file per kind."""

from __future__ import annotations

from alpha_pipeline.errors import unknown_name
from alpha_pipeline.pipeline.studies.hedged_groups import HEDGED_GROUPS
from alpha_pipeline.pipeline.studies.model_styles import MODEL_STYLES
from alpha_pipeline.pipeline.studies.pair_coverage import PAIR_COVERAGE
from alpha_pipeline.pipeline.studies.paired_signals import PAIRED_SIGNALS
from alpha_pipeline.pipeline.studies.rank_ic_horizons import RANK_IC_HORIZONS
from alpha_pipeline.pipeline.studies.score_averaging import SCORE_AVERAGING
from alpha_pipeline.pipeline.studies.study import Study
from alpha_pipeline.pipeline.studies.weighting_importances import WEIGHTING_IMPORTANCES
from alpha_pipeline.pipeline.studies.yearly_portfolios import YEARLY_PORTFOLIOS

STUDIES: dict[str, Study] = {
    "pair_coverage": PAIR_COVERAGE,
    "model_styles": MODEL_STYLES,
    "paired_signals": PAIRED_SIGNALS,
    "rank_ic_horizons": RANK_IC_HORIZONS,
    "hedged_groups": HEDGED_GROUPS,
    "score_averaging": SCORE_AVERAGING,
    "weighting_importances": WEIGHTING_IMPORTANCES,
    "yearly_portfolios": YEARLY_PORTFOLIOS,
}


def study_kind(name: str) -> Study:
    """The kind of that name; raises :class:`UnknownName` with the known ones."""
    if name not in STUDIES:
        raise unknown_name("kind of study", name, list(STUDIES))
    return STUDIES[name]
