"""The score of an ensemble from the scores of its members."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import zscore
from alpha_pipeline.errors import Misaligned, sentence


def ensemble_score(member_scores_MS: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(S,) equal-weight mean of the members' cross-sectionally z-scored predictions of one date.

    Parameters
    ----------
    member_scores_MS : (members, stocks), NaN where a stock has no score. A stock that any member left out has no score and
        takes no part in anybody's mean and spread. A member that gives all stocks the same score adds 0.

    Each member counts alike, whatever the size of its predictions: with a loss of −IC that size means nothing.
    Raises :class:`Misaligned` for another shape. Source: MULTIFREQ (three seeds, equal weights); the z-scoring is ours.

    >>> ensemble_score([[1.0, 2.0, 3.0], [300.0, 200.0, 400.0]]).round(4).tolist()
    [-0.6124, -0.6124, 1.2247]
    """
    scores = np.asarray(member_scores_MS, dtype=np.float64)
    if scores.ndim != 2 or len(scores) == 0:
        raise Misaligned(
            sentence("member scores have the wrong shape", where="ensemble_score", got=scores.shape, expected="(members, stocks)")
        )
    everybody = np.broadcast_to(np.isfinite(scores).all(axis=0), scores.shape)
    return np.asarray(zscore(scores, mask=everybody).mean(axis=0))
