"""How far down in size a portfolio reaches: weight in the smallest names, in constituents, and the moments of size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SMALLEST = (0.10, 0.20, 0.30)
MOMENTS = (1, 2, 3)


def small_cap_shares(
    weights: npt.ArrayLike, cap: npt.ArrayLike, universe: npt.ArrayLike, shares: Sequence[float] = SMALLEST
) -> FloatArray:
    """(len(shares),) share of the invested weight in names no larger than the ``shares`` quantile of the universe's capitalizations.

    ``weights`` : (S,) decimals; ``cap`` : (S,) CNY, NaN = unknown, such a name counts as large; ``universe`` : (S,) whose capitalizations are
    ranked: all of the date's tradable A-shares *(ours; the report says “the smallest 10 % by capitalization”)*. The ⌊share · n⌋-th smallest
    capitalization is the limit, the name itself included.

    Source: RISKCONTROL, figures 31, 34, 36.

    >>> small_cap_shares([0.5, 0.3, 0.2, 0.0], [4.0, 1.0, 3.0, 2.0], [True] * 4, (0.25, 0.5, 0.75)).round(6).tolist()
    [0.3, 0.3, 0.5]
    """
    held, value, inside = np.asarray(weights, dtype=np.float64), np.asarray(cap, dtype=np.float64), np.asarray(universe, dtype=bool)
    if not held.shape == value.shape == inside.shape:
        raise Misaligned(sentence("capitalizations do not fit the weights", where="small_cap_shares", got=(value.shape, inside.shape),
                                  expected=held.shape))
    if any(not 0 < share < 1 for share in shares):
        raise InvalidSpec(sentence("share of smallest names", where="small_cap_shares", got=tuple(shares), expected="between 0 and 1"))
    ranked = np.sort(value[inside & ~np.isnan(value)])
    total = held.sum()
    result = np.full(len(shares), np.nan)
    if len(ranked) == 0 or total <= 0:
        return result
    for k, share in enumerate(shares):
        n = int(share * len(ranked) + 1e-9)
        with np.errstate(invalid="ignore"):
            result[k] = held[value <= ranked[n - 1]].sum() / total if n else 0.0
    return result


def constituent_share(weights: npt.ArrayLike, benchmark_weights: npt.ArrayLike) -> float:
    """Share of the invested weight in names that the benchmark holds; NaN for an empty portfolio.

    >>> constituent_share([0.5, 0.3, 0.2], [0.6, 0.4, 0.0])
    0.8
    """
    held, base = np.asarray(weights, dtype=np.float64), np.asarray(benchmark_weights, dtype=np.float64)
    total = held.sum()
    return float(held[base > 0].sum() / total) if total > 0 else float("nan")


def size_moments(
    weights: npt.ArrayLike, benchmark_weights: npt.ArrayLike, size: npt.ArrayLike, moments: Sequence[int] = MOMENTS
) -> FloatArray:
    """(len(moments), 2) moments Σ w_i (s_i − s_b)^m of portfolio and benchmark, s_b = Σ w_b,i s_i the benchmark's size exposure.

    ``size`` : (S,) in standard deviations; a name without one counts as 0. The first moment of the portfolio is its active size (of a fully
    invested one), that of the benchmark is 0 by construction. Weights are those given: cash is not a size.

    Source: RISKCONTROL, the formulas before figures 33 and 35.

    >>> size_moments([0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [-2.0, 0.0, 2.0]).tolist()
    [[0.0, 0.0], [4.0, 0.0], [0.0, 0.0]]
    """
    held, base, s = (np.asarray(a, dtype=np.float64) for a in (weights, benchmark_weights, size))
    if not held.shape == base.shape == s.shape:
        raise Misaligned(sentence("sizes do not fit the weights", where="size_moments", got=(base.shape, s.shape), expected=held.shape))
    s = np.nan_to_num(s)
    distance = s - base @ s
    return np.array([[w @ distance**m for w in (held, base)] for m in moments])
