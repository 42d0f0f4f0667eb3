"""How good scores are on the validation dates: per date, then averaged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from alpha_pipeline.cross_section import rank, zscore
from alpha_pipeline.training.losses import Loss

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Means over dates. ``ic`` and ``rank_ic`` skip dates where they are undefined; None if they are on all dates."""

    loss: float
    ic: float | None
    rank_ic: float | None


def validate(scores_by_date: Iterable[tuple[Tensor, Tensor]], loss: Loss) -> Validation:
    """Loss, IC and RankIC of (score, label) pairs, one pair of (N,) tensors per date. Correlations are computed in float64."""
    losses, ics, rank_ics = [], [], []
    for score_N, label_N in scores_by_date:
        losses.append(loss(score_N, label_N).item())
        score, label = score_N.double().cpu().numpy(), label_N.double().cpu().numpy()
        ics.append(correlation(score, label))
        # the rank function refuses infinities; a score that is not finite has no rank either
        rank_ics.append(correlation(rank(score), rank(label)) if np.isfinite(score).all() else None)
    return Validation(float(np.mean(losses)), _mean(ics), _mean(rank_ics))


def correlation(x: FloatArray, y: FloatArray) -> float | None:
    """Pearson correlation of two (N,) arrays, None where one of them has no spread or is not finite.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0])) is None
    True
    """
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    a, b = zscore(x), zscore(y)
    if not (a.any() and b.any()):
        return None
    return float((a * b).mean())


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
