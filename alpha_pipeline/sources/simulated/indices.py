"""The five price indices: who belongs to them, the semi-annual review with buffers, weights and levels.

Weights are free-float caps. A price index ignores cash dividends: it falls with the price on the ex-date; share transfers change
price and shares together and leave it alone. The total-return level counts the dividend back in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.market.schema import INDICES

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
B = npt.NDArray[np.bool_]

CODES = tuple(INDICES)
BUFFER = 0.2  # newcomers must rank within 80 % of the size, members may stay down to 120 % (240/360, 400/600, 800/1200)
MIN_LISTED_DAYS = 60
BASE_LEVELS = np.array([5000.0, 6400.0, 6800.0, 7600.0, 5200.0])


@dataclass(frozen=True)
class IndexDay:
    """One session of the indices: members at the open with their opening weights, and the closing levels.

    ``is_member`` (n_indices, n_listed); ``weights_open``, ``weights_close`` (n_indices, n_listed) sum to 1 per index.
    ``level_before``, ``level``, ``level_total`` (n_indices,) in points.
    """

    is_member: B
    weights_open: F
    weights_close: F
    level_before: F
    level: F
    level_total: F


def sizes(n_stocks: int) -> tuple[int, int, int, int]:
    """Members of CSI 300, 500, 1000 and CNI 2000: the true number, or a fraction of a small market.

    >>> sizes(300), sizes(5000)
    ((45, 75, 90, 120), (300, 500, 1000, 2000))
    """
    return (min(300, int(0.15 * n_stocks)), min(500, int(0.25 * n_stocks)), min(1000, int(0.30 * n_stocks)),
            min(2000, int(0.40 * n_stocks)))


def review(members: B, cap: F, eligible: B, n_stocks: int) -> B:
    """Members of each index after a review; shape (n_indices, n_listed) like ``members`` before it.

    CSI 300 holds the largest names by ``cap`` (smoothed total cap, CNY), CSI 500 the next, CSI 1000 the next. CNI 2000 starts
    further down (rank 1001 on a full market, 45 % on a small one) and overlaps with CSI 1000, as in reality. CSI All Share holds
    every eligible name. Everything used is known at the close before the new list takes effect.
    """
    n_300, n_500, n_1000, n_2000 = sizes(n_stocks)
    order = np.argsort(np.where(eligible, -cap, np.inf), kind="stable")[: int(eligible.sum())]
    new = np.zeros_like(members)
    left = order
    for k, size in enumerate((n_300, n_500, n_1000)):
        chosen = _with_buffer(left, members[k], size)
        new[k, chosen] = True
        left = left[~np.isin(left, chosen)]
    new[3, _with_buffer(order[min(1000, int(0.45 * n_stocks)):], members[3], n_2000)] = True
    new[4, order] = True
    return new


def _with_buffer(order: I64, was_member: B, size: int) -> I64:
    """``size`` names out of ``order`` (best first): clear newcomers and buffered members first, then by rank."""
    rank = np.arange(len(order))
    stays = was_member[order]
    first = (rank < (1 - BUFFER) * size) | (stays & (rank < (1 + BUFFER) * size))
    preferred = np.concatenate([order[first], order[~first]]) if first.sum() < size else order[first]
    return preferred[:size]


def session_of_indices(members: B, reference_cap: F, price_return: F, total_return: F, level: F, level_total: F) -> IndexDay:
    """Levels and weights of one session from the members' free-float caps at the reference price.

    ``reference_cap`` (n_listed,): yesterday's close adjusted for transfers only, times today's free-float shares, CNY.
    ``price_return`` counts from that price, ``total_return`` from the ex-right reference (decimals).
    """
    cap_open = np.where(members, reference_cap, 0.0)
    cap_close = cap_open * (1.0 + price_return)
    weights_open = cap_open / cap_open.sum(axis=1, keepdims=True)
    weights_close = cap_close / cap_close.sum(axis=1, keepdims=True)
    return IndexDay(members, weights_open, weights_close, level, level * (1.0 + weights_open @ price_return),
                    level_total * (1.0 + weights_open @ total_return))
