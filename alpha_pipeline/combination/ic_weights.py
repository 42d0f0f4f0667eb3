"""Linear weightings of factors by what their trailing ICs say: equal, in proportion to the mean IC, or of the largest ICIR.

Weights are made of ICs whose labels have ended; the caller gives only those. Factors are z-scores of one cross-section with 0 where a stock lacks
one (:func:`filled`), so a missing factor neither raises nor lowers a stock.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import zscore
from alpha_pipeline.errors import Misaligned, NotEnoughData, sentence

FloatArray = npt.NDArray[np.float64]


def filled(factors_SK: npt.ArrayLike) -> FloatArray:
    """(S, K) each factor's z-scores over the stocks that have it, 0 for the others.

    >>> filled([[1.0], [3.0], [float("nan")]]).ravel().tolist()
    [-1.0, 1.0, 0.0]
    """
    return np.ascontiguousarray(np.nan_to_num(zscore(np.ascontiguousarray(np.asarray(factors_SK, dtype=np.float64).T))).T)


def information_coefficients(factors_SK: npt.ArrayLike, label_S: npt.ArrayLike) -> FloatArray:
    """(K,) correlation of each factor with the label of one date; NaN for a factor without spread or with fewer than three stocks.

    Pairs with NaN on either side are left out, factor by factor. Known when the label is.

    >>> information_coefficients([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], [1.0, 2.0, 3.0]).round(6).tolist()
    [1.0, nan]
    """
    factors, label = np.asarray(factors_SK, dtype=np.float64), np.asarray(label_S, dtype=np.float64)
    if factors.ndim != 2 or label.shape != factors.shape[:1]:
        raise Misaligned(sentence("factors and label differ in stocks", where="information_coefficients", got=f"{factors.shape}, {label.shape}"))
    known = np.isfinite(factors) & np.isfinite(label)[:, None]
    n = known.sum(axis=0)
    x, y = np.where(known, factors, 0.0), np.where(known, label[:, None], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = np.where(known, x - x.sum(axis=0) / n, 0.0)
        y = np.where(known, y - y.sum(axis=0) / n, 0.0)
        sxx, syy = (x * x).sum(axis=0), (y * y).sum(axis=0)
        result = (x * y).sum(axis=0) / np.sqrt(sxx * syy)
    largest = np.where(known, np.abs(factors), 0.0).max(axis=0, initial=0.0)
    return np.where((n >= 3) & (sxx > n * (1e-12 * largest) ** 2) & (syy > 0), result, np.nan)


def equal(n_factors: int) -> FloatArray:
    """(K,) the same weight for all, absolute values adding up to 1."""
    return np.full(n_factors, 1.0 / n_factors)


def ic_weighted(ics_DK: npt.ArrayLike) -> FloatArray:
    """(K,) weights in proportion to the mean of the trailing ICs (D, K), absolute values adding up to 1; NaN ICs are left out.

    A factor that has predicted the wrong way round gets a negative weight; one without any IC, 0.

    >>> ic_weighted([[0.10, -0.02], [0.04, -0.04]]).round(4).tolist()
    [0.7, -0.3]
    """
    return _scaled(_means(ics_DK))


def max_icir(ics_DK: npt.ArrayLike, shrinkage: float = 0.5) -> FloatArray:
    """(K,) weights of the combination with the largest ratio of mean IC to its standard deviation, absolute values adding up to 1.

        w ∝ Σ⁻¹ μ,   Σ = (1 − λ) S + λ · mean(diag S) · I

    μ and S (divisor D − 1) are mean and covariance of the trailing ICs (D, K), a missing IC counting as the factor's mean. λ = ``shrinkage`` draws S
    towards equal, uncorrelated factors: with as few dates as factors S has no inverse. λ = 1 is :func:`ic_weighted`.

    Raises :class:`NotEnoughData` for fewer than two dates. Source: the linear baseline of the field; λ is ours.

    >>> max_icir([[0.10, -0.02], [0.04, -0.04]], shrinkage=1.0).round(4).tolist()
    [0.7, -0.3]
    """
    ics, mean = np.asarray(ics_DK, dtype=np.float64), _means(ics_DK)
    if len(ics) < 2:
        raise NotEnoughData(sentence("a covariance of ICs needs two dates", where="max_icir", got=len(ics)))
    deviation = np.where(np.isfinite(ics), ics - mean, 0.0)
    covariance = np.einsum("dk,dl->kl", deviation, deviation) / (len(ics) - 1)
    level = float(np.trace(covariance)) / len(mean)
    if level <= 0:
        return _scaled(mean)
    shrunk = (1.0 - shrinkage) * covariance + shrinkage * level * np.eye(len(mean))
    return _scaled(np.linalg.solve(shrunk, mean) if shrinkage > 0 else np.linalg.pinv(shrunk, hermitian=True) @ mean)


def _means(ics_DK: npt.ArrayLike) -> FloatArray:
    ics = np.asarray(ics_DK, dtype=np.float64)
    if ics.ndim != 2 or not len(ics):
        raise NotEnoughData(sentence("no ICs to weight by", where="ic_weights", got=ics.shape, expected="(dates, factors)"))
    known = np.isfinite(ics)
    return np.where(known, ics, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _scaled(weights: FloatArray) -> FloatArray:
    total = float(np.abs(weights).sum())
    return weights / total if total > 0 else equal(len(weights))
