"""How good scores are on the validation dates: per date, then averaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from alpha_pipeline.cross_section import rank, zscore

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Means over dates. ``ic`` and ``rank_ic`` skip dates where they are undefined; None if they are on all dates."""

    loss: float
    ic: float | None
    rank_ic: float | None


class ValidationDates:
    """Collects the dates of one epoch of one member."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._ics: list[float | None] = []
        self._rank_ics: list[float | None] = []

    def add(self, score_N: Tensor, label_N: Tensor, loss: Tensor) -> None:
        """One date. Correlations are computed in float64."""
        self._losses.append(loss.item())
        score, label = score_N.double().cpu().numpy(), label_N.double().cpu().numpy()
        self._ics.append(correlation(score, label))
        # the rank function refuses infinities; a score that is not finite has no rank either
        self._rank_ics.append(correlation(rank(score), rank(label)) if np.isfinite(score).all() else None)

    def means(self) -> Validation:
        """Means over the dates so far."""
        return Validation(float(np.mean(self._losses)), _mean(self._ics), _mean(self._rank_ics))


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
