"""Integration at the level of z-scores: every score counts alike, whatever its scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import zscore
from alpha_pipeline.errors import Misaligned, sentence

FloatArray = npt.NDArray[np.float64]


def mean_zscore(scores_IS: npt.ArrayLike) -> FloatArray:
    """(S,) mean of the z-scores of several scores of one date, known when the last of them is.

    ``scores_IS`` (scores, stocks), NaN where a stock has no score. A stock that one of them lacks has no mean, and takes no part in the mean
    and spread of the others: all z-scores are over the same stocks. A score without spread adds 0.

    Raises :class:`Misaligned` for another shape. Source: MULTIMODEL, section 4.1 (RNNv1, RCTv1); RISKCONTROL, composite of three models.

    >>> mean_zscore([[1.0, 2.0, 3.0, 9.0], [300.0, 200.0, 400.0, float("nan")]]).round(4).tolist()
    [-0.6124, -0.6124, 1.2247, nan]
    """
    scores = np.asarray(scores_IS, dtype=np.float64)
    if scores.ndim != 2 or len(scores) == 0:
        raise Misaligned(sentence("scores have the wrong shape", where="mean_zscore", got=scores.shape, expected="(scores, stocks)"))
    known = np.isfinite(scores).all(axis=0)
    result = np.full(scores.shape[1], np.nan)
    # of the stocks that count alone: how numbers are summed must not depend on how many others there are
    result[known] = zscore(np.ascontiguousarray(scores[:, known])).mean(axis=0)
    return result
