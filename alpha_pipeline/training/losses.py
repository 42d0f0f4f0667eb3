"""Losses of one cross-section. A loss sees the output of a network and the standardized labels of one date (or of one mixed batch).

The loop averages over the dates of a batch. Each loss takes an optional weight per stock, so that weighted variants (ALPHANET
v2.3) need no second implementation. What is done to the output before (ALPHANET v2.2) is in ``objective.py``.
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
    """``prediction``: (N,) scores or (N, K) factors; ``label``, ``weight``: (N,), ``weight`` ≥ 0 and not all 0, None for equal weights."""

    def __call__(self, prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor: ...


def negative_ic(prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Minus the (weighted) Pearson correlation of scores and labels, a scalar in [−1, 1]; 0 where either has no spread.

    It sees neither the level nor the size of the scores; of factors (N, K) it sees their combined score, :func:`score_of`.
    Source: MULTIFREQ, figure 7.

    >>> round(negative_ic(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])).item(), 6)
    -1.0
    """
    prediction = score_of(prediction)
    share = _shares(prediction, weight)
    centered = prediction - (share * prediction).sum()
    target = label - (share * label).sum()
    covariance = (share * centered * target).sum()
    variance = (share * centered.square()).sum() + IC_EPSILON
    return -covariance * variance.rsqrt() * ((share * target.square()).sum() + IC_EPSILON).rsqrt()


def mse(prediction: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """(Weighted) mean squared difference, a scalar. It sees the level: the network has to learn its last bias (``learn_shift``).

    Of factors (N, K) it sees their combined score, :func:`score_of`, which has no level and no size left to learn.

    >>> mse(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).item()
    2.0
    """
    prediction = score_of(prediction)
    return (_shares(prediction, weight) * (prediction - label).square()).sum()


def factor_ic(prediction: Tensor, label: Tensor, weight: Tensor | None = None, *, correlation_penalty: float = 0.1) -> Tensor:
    """Loss of a factor unit, a scalar: every factor and their sum are to predict, and no two factors alike.

    −(mean_k IC(f_k, y) + IC(Σ_k z(f_k), y)) / 2 + ``correlation_penalty`` · mean_{i<j} ρ_ij²

    with z the z-score over the stocks and ρ_ij the correlation of factors i and j over the stocks. A penalty of 0.1 lets a mean
    squared correlation of 0.25 cost as much as an IC of 0.025. ``prediction`` (N, K), K ≥ 2.

    Source: ours. MULTIMODEL asks for weakly correlated factors; the earlier report that defines its loss is not public.

    >>> y = torch.tensor([1.0, -1.0, 1.0, -1.0]); other = torch.tensor([1.0, 1.0, -1.0, -1.0])
    >>> round(factor_ic(torch.stack([y, other], dim=1), y).item(), 4)    # ICs 1 and 0, of the sum √½, uncorrelated
    -0.6036
    >>> round(factor_ic(torch.stack([y, y], dim=1), y).item(), 4)        # ICs 1, 1 and 1, correlation 1
    -0.9
    """
    share = _shares(label, weight)
    z_NK = standardized(prediction, share)
    target = standardized(label[:, None], share)[:, 0]
    mean_ic = (share[:, None] * z_NK * target[:, None]).sum(dim=0).mean()
    combined = negative_ic(z_NK.sum(dim=1), label, weight)
    rho_KK = z_NK.t() @ (share[:, None] * z_NK)
    n_factors = prediction.shape[1]
    squares = torch.triu(rho_KK.square(), diagonal=1).sum() / (n_factors * (n_factors - 1) / 2)
    return -(mean_ic - combined) / 2 + correlation_penalty * squares


LOSSES: dict[str, Loss] = {"negative_ic": negative_ic, "mse": mse, "factor_ic": factor_ic}


def score_of(output: Tensor) -> Tensor:
    """One score per stock (N,): a score as it is; of factors (N, K) the equal-weight mean of their z-scores over the stocks.

    A factor that is the same for all stocks adds 0.

    >>> score_of(torch.tensor([[1.0, 30.0], [2.0, 20.0], [3.0, 40.0]])).tolist()[1] < 0
    True
    """
    if output.ndim == 1:
        return output
    share = torch.full_like(output[:, 0], 1.0 / len(output))
    return standardized(output, share).mean(dim=1)


def standardized(x_NK: Tensor, share_N: Tensor) -> Tensor:
    """z-scores over the stocks, with weights ``share_N`` that sum to 1; a column without spread becomes 0."""
    centered = x_NK - (share_N[:, None] * x_NK).sum(dim=0)
    return centered * ((share_N[:, None] * centered.square()).sum(dim=0) + IC_EPSILON).rsqrt()


def loss_named(name: str) -> Loss:
    """The registered loss of that name. Raises :class:`UnknownName` with the known names."""
    if name not in LOSSES:
        raise unknown_name("loss", name, tuple(LOSSES))
    return LOSSES[name]


def _shares(prediction: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return torch.full_like(prediction, 1.0 / len(prediction))
    return weight / weight.sum()
