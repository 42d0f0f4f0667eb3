"""Expected return = Σ exposure × mean past premium of each factor (ATTENTION's multi-factor model).

    regression of each formation date:   r_i = a + Σ_k x_ik f_k + e_i        (equal weights)
    expected return today:               E[r_i] = Σ_k x_ik · mean of f_k over the last 12 months
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.combination.ic_weights import filled
from alpha_pipeline.errors import NotEnoughData, sentence

FloatArray = npt.NDArray[np.float64]


def premia(factors_SK: npt.ArrayLike, returns_S: npt.ArrayLike) -> FloatArray:
    """(K,) premia of one formation date: slopes of the returns on all factors together, decimal per standard deviation and label horizon.

    ``factors_SK`` as known at the formation date; they are z-scored over the stocks with a return, a missing factor counts as 0, the mean
    (:func:`~alpha_pipeline.combination.ic_weights.filled`). A factor without spread on the date has the premium NaN. Known when the return is.

    Raises :class:`NotEnoughData` when there are not more stocks than factors. Source: ATTENTION, section 5 (回归法); equal weights are ours.

    >>> premia([[1.0], [2.0], [3.0]], [0.01, 0.02, 0.03]).round(6).tolist()
    [0.008165]
    """
    factors, returns = np.asarray(factors_SK, dtype=np.float64), np.asarray(returns_S, dtype=np.float64)
    used = np.isfinite(returns)
    x = filled(factors[used])
    has_spread = (x != 0).any(axis=0)
    n_needed = int(has_spread.sum()) + 2
    if used.sum() < n_needed:
        raise NotEnoughData(sentence("not more stocks than factors", where="premia", got=int(used.sum()), expected=f"at least {n_needed}"))
    design = np.column_stack([np.ones(len(x)), x[:, has_spread]])
    result = np.full(factors.shape[1], np.nan)
    result[has_spread] = np.linalg.lstsq(design, returns[used], rcond=1e-10)[0][1:]
    return result


def mean_premia(past_premia_DK: npt.ArrayLike) -> FloatArray:
    """(K,) mean of the past premia (D, K) of each factor, NaN left out; 0 for a factor without any. E[r] is their sum with the z-scored factors.

    >>> mean_premia([[0.01, float("nan")], [0.03, float("nan")]]).tolist()
    [0.02, 0.0]
    """
    past = np.asarray(past_premia_DK, dtype=np.float64)
    if past.ndim != 2 or not len(past):
        raise NotEnoughData(sentence("no premia to average", where="mean_premia", got=past.shape, expected="(dates, factors)"))
    known = np.isfinite(past)
    mean: FloatArray = np.where(known, past, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean
