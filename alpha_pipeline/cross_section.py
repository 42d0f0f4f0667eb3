"""Cross-sectional operators: winsorize, z-score, rank, residual of a regression.

Every operator works over the **last** axis, so one row is the cross-section of one date and its result depends on that
row alone. Shapes are ``(..., S)``: ``(S,)`` for one date, ``(D, S)`` for many. Arithmetic is float64 whatever comes in, the
arguments are never changed, and a value known at the close of *t* gives a result known at the close of *t*.

``mask`` means the same everywhere: stocks where it is False take no part in any statistic and come out as NaN. A NaN
inside the mask takes no part either and stays NaN. An infinite value is an error, because no statistic survives it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MAD_TO_STD = 1.4826  # the standard deviation of a normal variable over its median absolute deviation
_CHUNK = 1 << 18  # elements worked on at a time: a few arrays of this size stay in the second-level cache


def winsorize_mad(x: npt.ArrayLike, *, n_mad: float = 3.0, mask: BoolArray | None = None) -> FloatArray:
    """``x`` with values beyond ``median ± n_mad · 1.4826 · MAD`` of their row moved to that bound.

    Parameters
    ----------
    x : (..., S); NaN stays NaN. ``mask`` : same shape, see the module.
    n_mad : width in robust standard deviations, > 0. 1.4826 · MAD estimates the standard deviation of a normal variable.

    A row whose MAD is 0 (more than half of its values are equal) has no robust scale and is left as it is: clipping it
    would set every value to the median and erase the factor.

    Raises
    ------
    InvalidSpec : ``n_mad`` is not positive. BadInput : infinite values, or a mask that is not boolean.
    Misaligned : the mask has another shape.

    Source: MULTIFREQ and ALPHANET, factor preprocessing.

    >>> winsorize_mad([1.0, 2.0, 3.0, 4.0, 100.0]).round(4).tolist()
    [1.0, 2.0, 3.0, 4.0, 7.4478]
    """
    if not n_mad > 0:
        raise InvalidSpec(sentence("n_mad must be positive", where="winsorize_mad", got=n_mad, expected="> 0"))
    rows, shape = _rows(x, mask, "winsorize_mad")
    for part in _chunks(rows):
        center = _row_median(part)
        half_width = n_mad * MAD_TO_STD * _row_median(np.abs(part - center))
        half_width[half_width == 0] = np.inf
        np.clip(part, center - half_width, center + half_width, out=part)
    return rows.reshape(shape)


def zscore(x: npt.ArrayLike, *, mask: BoolArray | None = None, ddof: int = 0) -> FloatArray:
    """``(x − mean) / std`` of each row; 0 where the row has no spread.

    Parameters
    ----------
    x : (..., S); NaN stays NaN. ``mask`` : same shape, see the module.
    ddof : the divisor of the variance is ``n − ddof``.

    A spread at the level of rounding (std below about 1e-15 of the largest value), or a row of one value, counts as no
    spread: the result is 0, never NaN and never noise blown up to unit size.

    Raises
    ------
    BadInput : infinite values, or a mask that is not boolean. Misaligned : the mask has another shape.

    >>> zscore([1.0, 2.0, 3.0, float("nan")]).round(4).tolist()
    [-1.2247, 0.0, 1.2247, nan]
    """
    rows, shape = _rows(x, mask, "zscore")
    for part in _chunks(rows):
        absent = np.isnan(part)
        n = (~absent).sum(axis=-1, keepdims=True)
        filled = part.copy()
        np.copyto(filled, 0.0, where=absent)
        largest = np.abs(filled).max(axis=-1, keepdims=True, initial=0.0)
        filled -= filled.sum(axis=-1, keepdims=True) / np.maximum(n, 1)
        np.copyto(filled, 0.0, where=absent)
        std = np.sqrt(np.einsum("ds,ds->d", filled, filled)[:, None] / np.maximum(n - ddof, 1))
        no_spread = std <= 8 * np.finfo(np.float64).eps * largest
        std[no_spread] = np.inf
        np.divide(filled, std, out=part)
        np.copyto(part, np.nan, where=absent)
    return rows.reshape(shape)


def rank(x: npt.ArrayLike, *, mask: BoolArray | None = None) -> FloatArray:
    """Ascending ranks 1 … n of each row, n the number of values present; equal values share their average rank.

    Parameters
    ----------
    x : (..., S); NaN stays NaN and is not counted. ``mask`` : same shape, see the module.

    Raises
    ------
    BadInput : infinite values, or a mask that is not boolean. Misaligned : the mask has another shape.

    >>> rank([10.0, 30.0, 10.0, float("nan"), 20.0]).tolist()
    [1.5, 4.0, 1.5, nan, 3.0]
    """
    rows, shape = _rows(x, mask, "rank")
    for part in _chunks(rows):
        missing = np.isnan(part)
        part[:] = _rank_rows(part, missing, 0.0, None)
        np.copyto(part, np.nan, where=missing)
    return rows.reshape(shape)


def residualize(
    y: npt.ArrayLike, exposures: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, mask: BoolArray | None = None
) -> FloatArray:
    """What is left of ``y`` after a (weighted) least-squares regression on ``exposures``, date by date.

    Parameters
    ----------
    y : (..., S).
    exposures : (..., S, K), or (S, K) for the same exposures on every date. No intercept is added: give a column of ones.
    weights : (..., S), ≥ 0, of the squared errors. A stock of weight 0 does not shape the fit but has a residual.
    mask : (..., S), see the module.

    A stock with NaN in ``y``, in any exposure or in its weight has a NaN residual and is left out of the fit. Redundant
    columns do no harm: the residual does not depend on which of them carries the slope.

    Raises
    ------
    Misaligned : shapes that do not fit. BadInput : infinite values, a negative weight, a mask that is not boolean.

    >>> residualize([1.0, 2.0, 6.0], [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]).round(4).tolist()
    [0.5, -1.0, 0.5]
    """
    rows, shape = _rows(y, mask, "residualize")
    loadings = np.asarray(exposures, dtype=np.float64)
    n_stocks = shape[-1]
    if loadings.ndim == 2 and loadings.shape[0] == n_stocks:
        loadings = np.broadcast_to(loadings, (*shape[:-1], *loadings.shape))
    if loadings.shape[:-1] != shape:
        raise Misaligned(
            sentence("exposures do not fit y", where="residualize", got=loadings.shape, expected=f"{shape} and one more axis")
        )
    if np.isinf(loadings).any():
        raise BadInput(sentence("exposures hold infinite values", where="residualize", next_step="Set them to NaN."))
    loadings = loadings.reshape(len(rows), n_stocks, loadings.shape[-1])
    if weights is None:
        root_weights = np.ones_like(rows)
    else:
        weight_rows, weight_shape = _rows(weights, None, "residualize weights")
        if weight_shape != shape:
            raise Misaligned(sentence("weights do not fit y", where="residualize", got=weight_shape, expected=shape))
        if (weight_rows < 0).any():
            raise BadInput(sentence("negative weight", where="residualize", got=np.nanmin(weight_rows), expected=">= 0"))
        root_weights = np.sqrt(weight_rows)
    for date in range(len(rows)):
        rows[date] = _residual(rows[date], loadings[date], root_weights[date])
    return rows.reshape(shape)


def _rows(x: npt.ArrayLike, mask: BoolArray | None, where: str) -> tuple[FloatArray, tuple[int, ...]]:
    """A fresh C-ordered float64 copy of ``x`` as (rows, S), NaN outside the mask, and the shape to restore."""
    values = np.array(x, dtype=np.float64, order="C", copy=True)
    if values.ndim == 0:
        raise Misaligned(sentence("a cross-section needs at least one axis", where=where, got="a single number"))
    if mask is not None:
        chosen = np.asarray(mask)
        if chosen.dtype != np.bool_:
            raise BadInput(sentence("the mask is not boolean", where=where, got=chosen.dtype, expected="bool"))
        if chosen.shape != values.shape:
            raise Misaligned(sentence("mask and values differ in shape", where=where, got=chosen.shape, expected=values.shape))
        np.copyto(values, np.nan, where=~chosen)
    n_infinite = int(np.isinf(values).sum())
    if n_infinite:
        raise BadInput(
            sentence("infinite values", where=where, got=n_infinite, expected=0, next_step="Set them to NaN where they arise.")
        )
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1]), values.shape


def in_parallel(n_rows: int, n_stocks: int, work: Callable[[slice], None], *, elements: int = _CHUNK) -> None:
    """Call ``work`` once for each run of whole rows of about ``elements`` values, on the cores this process may use.

    The runs do not depend on the number of cores and each row's result depends on that row alone, so neither do the numbers.
    numpy lets other threads run while it sorts and adds, and so do kernels, which is where the time goes.
    """
    step = max(1, elements // max(1, n_stocks))
    runs = [slice(start, start + step) for start in range(0, n_rows, step)]
    n_workers = min(len(runs), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if n_workers < 2:
        for rows in runs:
            work(rows)
        return
    with ThreadPoolExecutor(n_workers) as pool:
        for done in [pool.submit(work, rows) for rows in runs]:
            done.result()


def _chunks(rows: FloatArray) -> Iterator[FloatArray]:
    """Views of whole rows, together small enough for the cache."""
    step = max(1, _CHUNK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _row_median(part: FloatArray) -> FloatArray:
    """(rows, 1) median of the values present; NaN for an empty row. Selecting one value is quicker than sorting them all."""
    missing = np.isnan(part)
    counts = part.shape[1] - missing.sum(axis=-1)
    filled = np.where(missing, np.inf, part)  # infinity goes last, as NaN would, but at full speed
    medians = np.full((len(part), 1), np.nan)
    for row, n in enumerate(counts):
        if n:
            middle = n // 2
            split = np.partition(filled[row], middle)
            high = split[middle]
            medians[row] = high if n % 2 else split[:middle].max() / 2 + high / 2
    return medians


def centered_ranks(rows: FloatArray, present: BoolArray) -> FloatArray:
    """(D, S) ranks of :func:`rank` less their mean (n + 1) / 2, and 0 where ``present`` is False: ready for products.

    ``rows`` must be float64 and finite where present; elsewhere anything.
    """
    missing = ~present
    n = np.count_nonzero(present, axis=-1)[:, None]
    return _rank_rows(rows, missing, (n + 1) / 2.0, n)


def _rank_rows(part: FloatArray, missing: BoolArray, center: FloatArray | float, n: npt.NDArray[np.int64] | None) -> FloatArray:
    """Average ranks less ``center``; the missing get what their place at the end gives them, or 0 if ``n``, those present, is given."""
    n_rows, n_stocks = part.shape
    if n_stocks == 0:
        return part.copy()
    position = np.arange(n_stocks)
    order, tied, starts = _sorted_rows(part, missing)
    ranks = np.empty(part.shape)
    np.subtract(position + 1.0, center, out=ranks)
    if len(tied):
        first = np.maximum.accumulate(np.where(starts, position, 0), axis=-1)
        ends = np.ones_like(starts)
        ends[:, :-1] = starts[:, 1:]
        last = np.minimum.accumulate(np.where(ends, position, n_stocks)[:, ::-1], axis=-1)[:, ::-1]
        ranks[tied] = (first + last) / 2.0 + 1.0 - (center[tied] if isinstance(center, np.ndarray) else center)
    if n is not None:
        for row, n_present in enumerate(n[:, 0]):
            ranks[row, n_present:] = 0.0
    result = np.empty(part.shape)  # in C order, whatever the order of part
    order += np.arange(n_rows)[:, None] * n_stocks
    result.reshape(-1)[order.reshape(-1)] = ranks.reshape(-1)
    return result


def _sorted_rows(part: FloatArray, missing: BoolArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], BoolArray]:
    """The ascending order of each row (missing last), the rows with equal values, and where each run of equals starts there.

    Sorting plain integers is several times quicker than an argsort. So each value is read as an integer of the same order, its
    last bits give way to its position, and one sort returns order and position together. Values that agree in all the bits
    left are compared exactly; a row in which two of them differ after all is sorted again in the slow way.
    """
    n_stocks = part.shape[1]
    position = np.arange(n_stocks)
    n_bits = max(1, (n_stocks - 1).bit_length())
    low = (1 << n_bits) - 1
    keys = (part + 0.0).view(np.int64)  # + 0.0 turns -0.0 into the 0.0 it equals
    flips = keys >> 63
    flips &= np.iinfo(np.int64).max  # the bits of negative floats count downwards
    keys ^= flips
    keys &= ~low
    keys |= position
    np.copyto(keys, (np.iinfo(np.int64).max & ~low) | position, where=missing)
    keys.sort(axis=-1)
    order = keys & low
    keys >>= n_bits
    starts = np.ones(part.shape, dtype=bool)
    np.not_equal(keys[:, 1:], keys[:, :-1], out=starts[:, 1:])
    starts |= position >= (n_stocks - missing.sum(axis=-1))[:, None]
    tied = np.flatnonzero(~starts.all(axis=-1))
    starts = starts[tied]
    ordered = np.take_along_axis(part[tied], order[tied], axis=-1)
    differ = np.zeros(starts.shape, dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=differ[:, 1:])
    for k in np.flatnonzero((differ & ~starts).any(axis=-1)):
        row = np.where(missing[tied[k]], np.inf, part[tied[k]])
        order[tied[k]] = np.argsort(row)
        ordered[k] = row[order[tied[k]]]
        starts[k, 1:] = ordered[k, 1:] != ordered[k, :-1]
        starts[k] |= np.isinf(ordered[k])  # the missing are equal to nobody
    return order, tied, starts


def _residual(y: FloatArray, loadings: FloatArray, root_weights: FloatArray) -> FloatArray:
    """One date: ``y − X b`` with b from least squares on the complete stocks; NaN for the others."""
    complete = ~(np.isnan(y) | np.isnan(loadings).any(axis=-1) | np.isnan(root_weights))
    result = np.full_like(y, np.nan)
    if not complete.any():
        return result
    used, target, root = loadings[complete], y[complete], root_weights[complete]
    # columns of very different size (dummies, log cap) are brought to one scale before the rank is judged
    design = used * root[:, None]
    scale = np.sqrt(np.einsum("sk,sk->k", design, design))
    scale[scale == 0] = 1.0
    slopes = np.linalg.lstsq(design / scale, target * root, rcond=1e-10)[0]
    result[complete] = target - used @ (slopes / scale)
    return result
