"""Losses of one cross-section. A loss sees the scores and the standardized labels of one date (or of one mixed batch).

The loop averages over the dates of a batch. Each loss takes an optional weight per stock, so that weighted variants (ALPHANET
v2.3) need no second implementation.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from alpha_pipeline.errors import unknown_name

IC_EPSILON = 1e-12
"""Added to both variances of the IC, in squared units of the scores. It changes the IC of scores with a spread of 1e-3 by less
than one part in a million. Equal scores for all stocks give an IC of 0 and a large, finite gradient towards the labels instead
of NaN; gradient clipping takes care of its size."""


class Loss(Protocol):
    """``prediction``, ``label``, ``weight``: (N,), one row per stock, ``weight`` ≥ 0 and not all 0, None for equal weights."""

    def __call__(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor: ...


def negative_ic(prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Minus the (weighted) Pearson correlation of scores and labels, a scalar in [−1, 1]; 0 where either has no spread.

    It sees neither the level nor the size of the scores. Source: MULTIFREQ, figure 7.

    >>> round(negative_ic(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])).item(), 6)
    -1.0
    """
    share = _shares(prediction, weight)
    centered = prediction - (share * prediction).sum()
    target = label - (share * label).sum()
    covariance = (share * centered * target).sum()
    variance = (share * centered.square()).sum() + IC_EPSILON
    return -covariance * variance.rsqrt() * ((share * target.square()).sum() + IC_EPSILON).rsqrt()


def mse(prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """(Weighted) mean squared difference, a scalar. It sees the level: the network has to learn its last bias (``learn_shift``).

    >>> mse(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).item()
    2.0
    """
    return (_shares(prediction, weight) * (prediction - label).square()).sum()


LOSSES: dict[str, Loss] = {"negative_ic": negative_ic, "mse": mse}


def loss_named(name: str) -> Loss:
    """The registered loss of that name. Raises :class:`UnknownName` with the known names."""
    if name not in LOSSES:
        raise unknown_name("loss", name, tuple(LOSSES))
    return LOSSES[name]


def _shares(prediction: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return torch.full_like(prediction, 1.0 / len(prediction))
    return weight / weight.sum()
