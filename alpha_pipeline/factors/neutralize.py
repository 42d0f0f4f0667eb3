"""The neutralised factor: winsorised, freed of industry and size, standardised.

Dummies and size are not handed to a general regression. By the Frisch–Waugh theorem, subtracting each industry's mean from
the factor and from every regressor, and regressing what is left, gives the same residuals. Only the sums per industry and
one small matrix of products per date are needed, for all dates together. Where numba is installed a kernel makes them, several times as
fast as numpy; the two agree within rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import MAD_TO_STD, in_parallel, winsorize_mad
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, sentence
from alpha_pipeline.machine_code import has_numba

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_CHUNK = 1 << 16  # stocks × dates handled together: the working arrays stay in cache
_COLLINEAR = 1e-10  # a regressor of which the others leave less than this share of its variance is redundant
_NOTHING_LEFT = 1e-12  # a residual this small beside the factor's own spread is rounding, not signal


@dataclass(frozen=True)
class NeutralizeResult:
    """``values`` (D, S), NaN for stocks without a result, and ``dropped``: reason → (D,) number of universe stocks lost to it.

    A stock counts once, under the first reason that applies: ``no_factor``, ``no_industry``, ``no_cap``, ``no_style``.
    """

    values: FloatArray
    dropped: dict[str, IntArray]


def neutralize(
    factor: npt.ArrayLike,
    industry: npt.ArrayLike,
    log_cap: npt.ArrayLike,
    *,
    mask: BoolArray | None = None,
    extra: Sequence[npt.ArrayLike] | None = None,
    n_mad: float = 3.0,
) -> NeutralizeResult:
    """Winsorise → residual on industry dummies, ln cap (and ``extra``) → z-score, date by date.

    Parameters
    ----------
    factor : (D, S), known at the close of *t*; so is the result.
    industry : (D, S) integer codes; −1 = unknown. Codes need not be consecutive.
    log_cap : (D, S) natural logarithm of the market value.
    mask : (D, S) the universe of each date; all stocks by default. Outside it the result is NaN and nothing is counted.
    extra : further styles, each (D, S), to be freed of as well.
    n_mad : width of the winsorising in robust standard deviations.

    A universe stock lacking any input is left out of every step and counted by reason. The median, the regression and the
    z-score therefore all use the same stocks. A stock alone in its industry has residual 0 by construction. Where industry
    and size explain the factor completely, all values are 0. Redundant regressors change nothing.

    Raises
    ------
    Misaligned : arrays of different shape. BadInput : infinite values, non-integer industry codes, codes below −1.
    InvalidSpec : ``n_mad`` is not positive.

    Source: MULTIFREQ (winsorised, industry- and size-neutral, standardised), ALPHANET (the same).

    >>> neutralize([[1.0, 3.0, 10.0, 14.0]], [[0, 0, 1, 1]], [[5.0, 5.0, 5.0, 5.0]]).values.round(4).tolist()
    [[-0.6325, 0.6325, -1.2649, 1.2649]]
    """
    if not n_mad > 0:
        raise InvalidSpec(sentence("n_mad must be positive", where="neutralize", got=n_mad, expected="> 0"))
    values = np.asarray(factor, dtype=np.float64)
    if values.ndim != 2:
        raise Misaligned(sentence("factor must be (dates, stocks)", where="neutralize", got=values.shape))
    left = np.ones(values.shape, dtype=bool)
    if mask is not None:
        universe = _aligned(np.asarray(mask), values.shape, "mask")
        if universe.dtype != np.bool_:
            raise BadInput(sentence("the mask is not boolean", where="neutralize", got=universe.dtype, expected="bool"))
        left &= universe
    codes, n_industries = _industry_codes(_aligned(np.asarray(industry), values.shape, "industry"))
    size = _aligned(np.asarray(log_cap, dtype=np.float64), values.shape, "log_cap")
    styles = [_aligned(np.asarray(style, dtype=np.float64), values.shape, f"extra[{k}]") for k, style in enumerate(extra or ())]
    reasons = ["no_factor", "no_industry", "no_cap", *(["no_style"] if styles else [])]
    dropped: dict[str, IntArray] = {reason: np.zeros(len(values), np.int64) for reason in reasons}
    result = np.empty(values.shape)
    fused = has_numba()

    def fill(rows: slice) -> None:
        used = left[rows]
        regressors = [_finite(size[rows], "log_cap"), *(_finite(style[rows], f"extra[{k}]") for k, style in enumerate(styles))]
        lacking = [np.isnan(values[rows]), codes[rows] < 0, np.isnan(regressors[0])]
        if styles:
            lacking.append(np.logical_or.reduce([np.isnan(style) for style in regressors[1:]]))
        for reason, lost in zip(reasons, lacking, strict=True):
            lost &= used
            dropped[reason][rows] = _count(lost)
            used ^= lost
        if (np.isinf(values[rows]) & used).any():
            raise BadInput(sentence("factor holds infinite values", where="neutralize", next_step="Set them to NaN where they arise."))
        if fused:
            _fill_fused(values[rows], used, codes[rows], n_industries, regressors, n_mad, result[rows])
        else:
            clipped = winsorize_mad(values[rows], n_mad=n_mad, mask=used)
            result[rows] = _standard_residual(clipped, used, codes[rows], n_industries, regressors)

    in_parallel(len(values), values.shape[1], fill, elements=_CHUNK)
    return NeutralizeResult(result, dropped)


def _fill_fused(
    factor: FloatArray, used: BoolArray, codes: IntArray, n_industries: int, regressors: list[FloatArray], n_mad: float, result: FloatArray
) -> None:
    """Fill ``result`` with what :func:`_standard_residual` makes of the winsorised ``factor``, within rounding."""
    from alpha_pipeline.factors.kernels import moments, residuals

    n = _count(used)
    ordered = np.where(used, factor, np.inf)
    ordered.sort(axis=1)
    group = np.where(used, codes, n_industries)
    columns = np.stack([factor, *regressors], axis=1)
    shape = columns.shape[:2]
    means, squares, totals = np.empty((*shape, n_industries + 1)), np.empty(shape), np.empty(shape)
    within = np.empty((*shape, shape[1]))
    moments(ordered, group, n, n_mad * MAD_TO_STD, columns, means, squares, totals, within)
    slopes = _slopes(within, totals[:, 1:], squares[:, 1:])
    residuals(columns, means, slopes, group, n, _NOTHING_LEFT * np.sqrt(squares[:, 0] / np.maximum(n, 1)), result)


def _standard_residual(
    factor: FloatArray, present: BoolArray, codes: IntArray, n_industries: int, regressors: list[FloatArray]
) -> FloatArray:
    """(rows, S) standardised residual of each row on industry dummies and ``regressors``; NaN where ``present`` is False."""
    n_rows = len(factor)
    absent = ~present
    # one bin per (date, industry); the absent stocks share a last bin that nobody reads
    group = (codes + np.arange(n_rows)[:, None] * n_industries).ravel()
    np.copyto(group, n_rows * n_industries, where=absent.ravel())
    n_groups = n_rows * n_industries + 1
    members = np.bincount(group, minlength=n_groups)
    n = np.maximum(present.sum(axis=1), 1)

    # centring each row first keeps the products below free of cancellation
    columns, raw_squares = zip(*(_centered(x, absent, n) for x in (factor, *regressors)), strict=True)
    sums = [np.bincount(group, weights=x.ravel(), minlength=n_groups) for x in columns]
    means = [total / np.maximum(members, 1) for total in sums]
    within = np.empty((n_rows, len(columns), len(columns)))  # products of the columns freed of their industry means
    for i in range(len(columns)):
        for j in range(i + 1):
            between = (sums[i] * means[j])[:-1].reshape(n_rows, n_industries).sum(axis=1)
            within[:, i, j] = within[:, j, i] = _row_dot(columns[i], columns[j]) - between

    totals = np.stack([_row_dot(x, x) for x in columns[1:]], axis=1)
    slopes = _slopes(within, totals, np.stack(raw_squares[1:], axis=1))
    offset = means[0]
    residual = columns[0]
    for k, (x, mean) in enumerate(zip(columns[1:], means[1:], strict=True)):
        offset = offset - np.append(np.repeat(slopes[:, k], n_industries), 0.0) * mean
        residual -= slopes[:, k : k + 1] * x
    residual -= np.take(offset, group).reshape(residual.shape)  # 0 in the last bin: absent stocks stay 0
    # the dummies span the constant, so the mean is 0 already and the z-score is a division
    std = np.sqrt(_row_dot(residual, residual) / n)
    std[std <= _NOTHING_LEFT * np.sqrt(raw_squares[0] / n)] = np.inf
    residual /= std[:, None]
    np.copyto(residual, np.nan, where=absent)
    return residual


def _slopes(within: FloatArray, totals: FloatArray, raw_squares: FloatArray) -> FloatArray:
    """(rows, K) least-squares slopes of column 0 on the others; 0 for a redundant direction.

    ``totals`` and ``raw_squares`` (rows, K): the regressors' sums of squares with and without their means taken away.
    """
    products = within[:, 1:, 1:]
    diagonal = np.diagonal(products, axis1=1, axis2=2)
    explained = diagonal <= _COLLINEAR * totals
    explained |= diagonal <= _NOTHING_LEFT**2 * raw_squares  # constant up to rounding
    scale = np.where(explained, np.inf, np.sqrt(np.maximum(diagonal, 0.0)))
    correlations = products / scale[:, :, None] / scale[:, None, :]
    if products.shape[1] == 1:  # the usual case: size alone; its correlation with itself is 1, or 0 if redundant
        inverse: FloatArray = (correlations > 0).astype(np.float64)
    else:
        inverse = np.asarray(np.linalg.pinv(correlations, rcond=_COLLINEAR, hermitian=True), dtype=np.float64)
    return np.asarray((inverse @ (within[:, 1:, 0] / scale)[:, :, None])[:, :, 0] / scale, dtype=np.float64)


def _centered(x: FloatArray, absent: BoolArray, n: IntArray) -> tuple[FloatArray, FloatArray]:
    """A copy of ``x`` minus its row's mean, 0 where ``absent``, and each row's sum of squares before that."""
    filled = x.copy()
    np.copyto(filled, 0.0, where=absent)
    square = _row_dot(filled, filled)
    filled -= (filled.sum(axis=1) / n)[:, None]
    np.copyto(filled, 0.0, where=absent)
    return filled, square


def _row_dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.vecdot(a, b), dtype=np.float64)


def _count(chosen: BoolArray) -> IntArray:
    """(rows,) how many are True. numpy counts one row several times as fast as many along an axis."""
    return np.fromiter(map(np.count_nonzero, chosen), np.int64, len(chosen))


def _aligned(array: npt.NDArray[Any], shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    if array.shape != shape:
        raise Misaligned(sentence(f"{name} does not fit the factor", where="neutralize", got=array.shape, expected=shape))
    return array


def _finite(x: FloatArray, name: str) -> FloatArray:
    if np.isinf(x).any():
        raise BadInput(
            sentence(f"{name} holds infinite values", where="neutralize", next_step="Use NaN: a market value of 0 is missing.")
        )
    return x


def _industry_codes(codes: npt.NDArray[Any]) -> tuple[IntArray, int]:
    """Codes as int64 0 … n−1 (−1 unknown) and n; sparse numbering such as 801010 is renumbered."""
    if not np.issubdtype(codes.dtype, np.integer):
        raise BadInput(
            sentence("industry codes must be integers", where="neutralize", got=codes.dtype, expected="integers, -1 = unknown")
        )
    numbers = codes.astype(np.int64, copy=False)
    highest, lowest = int(numbers.max(initial=-1)), int(numbers.min(initial=-1))
    if lowest < -1:
        raise BadInput(sentence("an industry code below -1", where="neutralize", got=lowest, expected=">= -1"))
    if highest < 1000:
        return numbers, highest + 1
    known, renumbered = np.unique(numbers, return_inverse=True)
    offset = 1 if known[0] == -1 else 0
    return renumbered.reshape(numbers.shape).astype(np.int64) - offset, len(known) - offset
