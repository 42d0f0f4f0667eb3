"""RankIC and the neutralised factor in loops over stocks. Importing this module needs numba.

The formulas are those of the numpy ways in :mod:`~alpha_pipeline.factors.ic` and :mod:`~alpha_pipeline.factors.neutralize`. RankIC comes out
the same to the bit, neutralised values within rounding. Sorting is left to numpy, which is quicker at it. A row is a date, and its numbers
depend on that row alone; the loops release the GIL, so several blocks of rows run at once.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from alpha_pipeline.machine_code import compiled

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_HIGHEST = np.iinfo(np.int64).max


def _sum_of_products(a: FloatArray, b: FloatArray) -> float:
    total = 0.0
    for s in range(len(a)):
        total += a[s] * b[s]
    return total


def _plain_sum(a: FloatArray) -> float:
    total = 0.0
    for s in range(len(a)):
        total += a[s]
    return total


_dot = compiled("reassoc", "contract")(_sum_of_products)  # several partial sums at a time
_sum = compiled("reassoc")(_plain_sum)


# --- RankIC ------------------------------------------------------------------------------------------------------------------


def rank_products(a: FloatArray, b: FloatArray, pairs: BoolArray, n: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(D,) sums of aa, bb and ab of the centered ranks of ``a`` and ``b`` (D, S) in C order among the ``n`` (D,) ``pairs`` of each row."""
    n_bits = max(1, (a.shape[1] - 1).bit_length())
    keys = np.empty((2, *a.shape), np.int64)
    for key, x in zip(keys, (a, b), strict=True):
        np.add(x, 0.0, out=key.view(np.float64))  # -0.0 becomes the 0.0 it equals
    _make_keys(keys, pairs, n_bits)
    keys.sort(axis=-1)
    sums = np.empty((3, len(a)))
    _sum_ranks(a, b, keys, n_bits, n, sums)
    return sums[0], sums[1], sums[2]


@compiled()
def _make_keys(keys: IntArray, pairs: BoolArray, n_bits: int) -> None:
    """keys (2, D, S), the bits of floats, become integers of the same order whose last bits are their positions; no pair goes last."""
    low = (1 << n_bits) - 1
    for side in range(2):
        for d in range(pairs.shape[0]):
            row = keys[side, d]
            for s in range(len(row)):
                bits = row[s]
                bits ^= (bits >> 63) & _HIGHEST  # the bits of negative floats count downwards
                row[s] = (bits & ~low) | s if pairs[d, s] else _HIGHEST


@compiled()
def _settle(keys: IntArray, values: FloatArray, low: int, first: int, end: int, center: float, ranks: FloatArray) -> None:
    """Ranks of keys[first:end], equal but for their positions: sorted by the values themselves (Shell's way), equals averaged."""
    gap = 1
    while gap < (end - first) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(first + gap, end):
            key, j = keys[i], i
            value = values[key & low]
            while j >= first + gap and values[keys[j - gap] & low] > value:
                keys[j] = keys[j - gap]
                j -= gap
            keys[j] = key
        gap //= 3
    while first < end:
        last = first
        while last + 1 < end and values[keys[last + 1] & low] == values[keys[first] & low]:
            last += 1
        for i in range(first, last + 1):
            ranks[keys[i] & low] = (first + last) / 2.0 + 1.0 - center
        first = last + 1


@compiled()
def _sum_ranks(a: FloatArray, b: FloatArray, keys: IntArray, n_bits: int, n: IntArray, sums: FloatArray) -> None:
    """Sums (3, D) of products of ranks less (n + 1) / 2: multiples of 1/4, and exact up to some 200,000 stocks."""
    low = (1 << n_bits) - 1
    ranks = np.empty((2, a.shape[1]))
    for d in range(len(a)):
        center = (n[d] + 1) / 2.0
        ranks[:] = 0.0
        for side in range(2):
            ordered, rank, values = keys[side, d], ranks[side], a[d] if side == 0 else b[d]
            end = 0
            while end < n[d]:
                first = end
                end += 1
                while end < n[d] and ordered[end] >> n_bits == ordered[first] >> n_bits:
                    end += 1
                if end == first + 1:
                    rank[ordered[first] & low] = first + 1.0 - center
                else:
                    _settle(ordered, values, low, first, end, center, rank)
        sums[0, d], sums[1, d], sums[2, d] = _dot(ranks[0], ranks[0]), _dot(ranks[1], ranks[1]), _dot(ranks[0], ranks[1])


# --- Neutralisation ----------------------------------------------------------------------------------------------------------


@compiled()
def _median(ordered: FloatArray, n: int) -> float:
    """Of the first ``n`` > 0 numbers, which ascend."""
    high = ordered[n // 2]
    return high if n % 2 else ordered[n // 2 - 1] / 2 + high / 2


@compiled()
def _nearest(ordered: FloatArray, n: int, center: float, k: int) -> float:
    """The distance from ``center`` that ``k`` of the first ``n`` numbers, which ascend, do not exceed: the k-th smallest.

    The k nearest are neighbours, so it is the least, over all runs of k, of the distance of the run's farther end: where, run by run to the
    right, the upper end becomes the farther one.
    """
    first, last = 0, n - k
    while first < last:
        middle = (first + last) // 2
        if ordered[middle + k - 1] - center >= center - ordered[middle]:
            last = middle
        else:
            first = middle + 1
    nearest = max(center - ordered[first], ordered[first + k - 1] - center)
    return nearest if first == 0 else min(nearest, center - ordered[first - 1])


@compiled()
def moments(ordered: FloatArray, group: IntArray, n: IntArray, width: float, columns: FloatArray, means: FloatArray, squares: FloatArray,
            totals: FloatArray, within: FloatArray) -> None:
    """Winsorise and center each row's factor, center its regressors, and sum what their regression on industry dummies needs.

    ordered (D, S): the factor of the ``n`` stocks in use, ascending, and anything behind. group (D, S): industry, G for the others.
    width: of the winsorising, in median absolute deviations. columns (D, C, S): factor and regressors; changed in place, 0 for the others.
    Filled: means (D, C, G + 1) by industry; squares and totals (D, C) sums of squares before and after centering; within (D, C, C) sums of
    products freed of the industry means.
    """
    n_groups = means.shape[2] - 1
    for d in range(len(columns)):
        low, high = -np.inf, np.inf
        if n[d] > 0:
            center, middle = _median(ordered[d], n[d]), n[d] // 2
            deviation = _nearest(ordered[d], n[d], center, middle + 1)
            if n[d] % 2 == 0:
                deviation = _nearest(ordered[d], n[d], center, middle) / 2 + deviation / 2
            if deviation > 0:
                low, high = center - width * deviation, center + width * deviation
        members = np.zeros(n_groups + 1, np.int64)
        for s in range(columns.shape[2]):
            members[group[d, s]] += 1
        for c in range(columns.shape[1]):
            x = columns[d, c]
            for s in range(len(x)):
                x[s] = x[s] if group[d, s] < n_groups else 0.0
            if c == 0:
                for s in range(len(x)):
                    x[s] = min(max(x[s], low), high) if group[d, s] < n_groups else 0.0
            squares[d, c] = _dot(x, x)
            mean = _sum(x) / max(n[d], 1)
            for s in range(len(x)):
                x[s] = x[s] - mean if group[d, s] < n_groups else 0.0
            totals[d, c] = _dot(x, x)
            means[d, c] = 0.0
            for s in range(len(x)):
                means[d, c, group[d, s]] += x[s]
            for g in range(n_groups):
                means[d, c, g] /= max(members[g], 1)
            for other in range(c + 1):
                product = _dot(columns[d, other], x)
                for g in range(n_groups):
                    product -= members[g] * means[d, other, g] * means[d, c, g]
                within[d, c, other] = within[d, other, c] = product


@compiled()
def residuals(columns: FloatArray, means: FloatArray, slopes: FloatArray, group: IntArray, n: IntArray, nothing_left: FloatArray,
              result: FloatArray) -> None:
    """Fill result (D, S), NaN for stocks not in use: the residual over its standard deviation, 0 where that is at most ``nothing_left`` (D,).

    columns, means, group and n as in :func:`moments`; columns are changed. slopes (D, C - 1).
    """
    n_groups = means.shape[2] - 1
    for d in range(len(columns)):
        residual, offset = columns[d, 0], means[d, 0]
        for k in range(slopes.shape[1]):
            slope, x = slopes[d, k], columns[d, k + 1]
            for s in range(len(x)):
                residual[s] -= slope * x[s]
            for g in range(n_groups):
                offset[g] -= slope * means[d, k + 1, g]
        for s in range(len(residual)):
            residual[s] -= offset[group[d, s]]  # 0 in the last group: 0 stays
        std = math.sqrt(_dot(residual, residual) / max(n[d], 1))
        if std <= nothing_left[d]:
            std = np.inf
        for s in range(len(residual)):
            result[d, s] = residual[s] / std if group[d, s] < n_groups else np.nan
