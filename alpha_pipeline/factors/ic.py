"""Information coefficients: how well a factor orders the returns that follow it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import centered_ranks, in_parallel
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, NotEnoughData, sentence
from alpha_pipeline.machine_code import has_numba

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_CHUNK = 1 << 16  # stocks × dates handled together: few enough for the cache, enough for threads not to wait on one another
_NO_SPREAD = 1e-14  # a standard deviation below this share of the mean is rounding, not spread


@dataclass(frozen=True)
class ICSummary:
    """Statistics of one IC series over test dates; dates without an IC (NaN) are left out and counted.

    ``icir`` = mean / std, **not** annualised (ALPHANET, MULTIFREQ, MULTIMODEL; ATTENTION multiplies by √periods per year).
    ``t_plain`` = icir · √n; ``t_newey_west`` = mean over its Newey–West standard error with ``lags`` lags.
    ``std`` has divisor n − 1. With a single date every spread is NaN.
    """

    n_dates: int
    n_missing: int
    mean: float
    std: float
    icir: float
    positive_share: float
    t_plain: float
    t_newey_west: float
    lags: int


def rank_ic(
    scores: npt.ArrayLike, returns: npt.ArrayLike, *, mask: BoolArray | None = None, min_stocks: int = 10
) -> FloatArray:
    """(D,) Spearman correlation over each date's cross-section; equal values share their average rank.

    Parameters
    ----------
    scores : (D, S) known at the close of *t*. returns : (D, S) decimals, the period that follows *t*: the result is known
        only when that period ends.
    mask : (D, S) stocks to test. Pairs with NaN on either side are left out as well, before ranking.
    min_stocks : a date with fewer pairs gives NaN; so does one whose scores or returns are all equal.

    Raises
    ------
    Misaligned : different shapes. BadInput : infinite values.

    Source: MULTIFREQ, figure 15.

    >>> rank_ic([[1.0, 2.0, 3.0]], [[0.1, 0.3, 0.2]], min_stocks=3).tolist()
    [0.5]
    """
    return _correlation(scores, returns, mask, min_stocks, ranked=True)


def ic(scores: npt.ArrayLike, returns: npt.ArrayLike, *, mask: BoolArray | None = None, min_stocks: int = 10) -> FloatArray:
    """(D,) Pearson correlation over each date's cross-section; arguments and NaN rules of :func:`rank_ic`."""
    return _correlation(scores, returns, mask, min_stocks, ranked=False)


def newey_west_se(series: npt.ArrayLike, lags: int) -> float:
    """Standard error of the mean of ``series`` that allows for autocorrelation up to ``lags``.

    √((γ₀ + 2 Σ (1 − l / (lags + 1)) γ_l) / n) with autocovariances of divisor n. ``lags`` = 0 is the plain error with
    divisor n. Test periods that overlap autocorrelate by construction: give at least their overlap.

    Raises
    ------
    NotEnoughData : fewer than two values. InvalidSpec : a negative number of lags or one that reaches the length.

    Source: Newey and West (1987), Bartlett weights.
    """
    values = np.asarray(series, dtype=np.float64)
    n = len(values)
    if n < 2:
        raise NotEnoughData(sentence("a standard error needs two values", where="newey_west_se", got=n, expected=">= 2"))
    if not 0 <= lags < n:
        raise InvalidSpec(sentence("number of lags", where="newey_west_se", got=lags, expected=f"0 to {n - 1}"))
    centered = values - values.mean()
    variance = centered @ centered
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1)) * (centered[lag:] @ centered[:-lag])
    return float(np.sqrt(max(variance, 0.0)) / n)


def summarize_ic(series: npt.ArrayLike, *, lags: int | None = None) -> ICSummary:
    """:class:`ICSummary` of a (D,) IC series. ``lags`` None takes ⌊4 (n / 100)^(2/9)⌋.

    Raises
    ------
    NotEnoughData : no date has an IC.
    """
    values = np.asarray(series, dtype=np.float64)
    present = values[~np.isnan(values)]
    n = len(present)
    if n == 0:
        raise NotEnoughData(
            sentence("no date has an IC", where="summarize_ic", got=f"{len(values)} dates, all missing",
                     next_step="Check that factor, universe and prices overlap and that enough stocks are tested.")
        )
    used_lags = min(int(4 * (n / 100) ** (2 / 9)), n - 1) if lags is None else lags
    mean = float(present.mean())
    std = float(present.std(ddof=1)) if n > 1 else float("nan")
    icir = mean / std if std > 0 else float("nan")
    error = newey_west_se(present, used_lags) if n > 1 else float("nan")
    return ICSummary(
        n_dates=n, n_missing=len(values) - n, mean=mean, std=std, icir=icir, positive_share=float((present > 0).mean()),
        t_plain=icir * float(np.sqrt(n)), t_newey_west=mean / error if error > 0 else float("nan"), lags=used_lags,
    )


def _correlation(
    scores: npt.ArrayLike, returns: npt.ArrayLike, mask: BoolArray | None, min_stocks: int, *, ranked: bool
) -> FloatArray:
    where = "rank_ic" if ranked else "ic"
    left, right = np.asarray(scores), np.asarray(returns)
    if left.ndim != 2 or left.shape != right.shape:
        raise Misaligned(sentence("scores and returns differ in shape", where=where, got=right.shape, expected=left.shape))
    if mask is not None and np.shape(mask) != left.shape:
        raise Misaligned(sentence("mask and scores differ in shape", where=where, got=np.shape(mask), expected=left.shape))
    result = np.full(len(left), np.nan)
    fused = ranked and has_numba()

    def fill(rows: slice) -> None:
        a, b = (np.array(x[rows], dtype=np.float64, order="C") for x in (left, right))
        pairs = ~(np.isnan(a) | np.isnan(b))
        if mask is not None:
            pairs &= mask[rows]
        n = pairs.sum(axis=1)
        if ranked:
            for x in (a, b):
                if (np.isinf(x) & pairs).any():
                    raise BadInput(sentence("infinite values", where=where, next_step="Set them to NaN where they arise."))
            mean_a = mean_b = (n + 1) / 2.0
            products = _fused_products(a, b, pairs, n) if fused else _products(centered_ranks(a, pairs), centered_ranks(b, pairs))
        else:
            mean_a, mean_b = (np.where(pairs, x, 0.0).sum(axis=1) / np.maximum(n, 1) for x in (a, b))
            for x, mean in ((a, mean_a), (b, mean_b)):
                x -= mean[:, None]
                np.copyto(x, 0.0, where=~pairs)
            products = _products(a, b)
        result[rows] = _cosine(*products, mean_a, mean_b, n, min_stocks)

    in_parallel(len(left), left.shape[1], fill, elements=_CHUNK)
    return result


def _products(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(rows,) sums of aa, bb and ab."""
    return np.vecdot(a, a), np.vecdot(b, b), np.vecdot(a, b)


def _fused_products(a: FloatArray, b: FloatArray, pairs: BoolArray, n: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """:func:`_products` of the centered ranks, to the bit (the sums are exact), quicker."""
    from alpha_pipeline.factors.kernels import rank_products

    return rank_products(a, b, pairs, n)


def _cosine(
    square_a: FloatArray, square_b: FloatArray, product: FloatArray, mean_a: FloatArray, mean_b: FloatArray, n: IntArray, min_stocks: int
) -> FloatArray:
    """(rows,) correlation from the sums of products of ``n`` pairs less their means; NaN where one side has no spread."""
    for square, mean in ((square_a, mean_a), (square_b, mean_b)):
        square[(square <= (_NO_SPREAD * mean) ** 2 * n) | (n < max(min_stocks, 2))] = np.nan
    return np.asarray(np.clip(product / np.sqrt(square_a * square_b), -1.0, 1.0), dtype=np.float64)
