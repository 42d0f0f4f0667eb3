"""Layered test: sort by the factor, hold equal-weight groups, compare them with the equal-weight universe.

A layer is formed at the close of a test date and bought at the next session's vwap. On that session the old layer earns
previous close → vwap, the new one vwap → close; on every other session holdings earn close → close and weights drift.
Between two trades the value of a layer is therefore its start weights times each stock's price over its entry price, so a
period is one matrix product and no day is looped over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, NotEnoughData, sentence

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LayerResult:
    """Daily returns of base and layers, and what each rebalance did.

    Attributes
    ----------
    start : index of the first session with returns (the one after the first test date).
    returns : (D − start, 1 + n_layers) decimals, after cost; column 0 is the base, column k layer k, 1 = highest factor.
    turnover : (n_rebalances, 1 + n_layers) two-sided, Σ|w_new − w_drifted|; the first row is the purchase from cash (1.0).
    counts : one row per rebalance: ``trade_date`` index of the test date, ``n_pool`` names of the base, ``n_ranked`` names in
        layers, ``n_no_factor`` pool names without a factor, ``n_no_vwap`` names left out of the pool for want of a next-day
        vwap, ``n_filled_closes`` stock-days held at an earlier close because that day's was missing.
    """

    start: int
    returns: FloatArray
    turnover: FloatArray
    counts: pd.DataFrame


def layer_labels(factor: npt.ArrayLike, n_layers: int) -> IntArray:
    """(S,) layer of each stock of one date: 1 = highest factor values … ``n_layers`` = lowest, 0 = no factor (NaN).

    Sizes differ by at most one: with n = q · n_layers + r names the first r layers hold q + 1. Equal values are split by
    position, so that sizes hold even for a factor with many ties.

    Raises
    ------
    InvalidSpec : fewer than two layers. NotEnoughData : fewer names than layers.

    >>> layer_labels([0.5, float("nan"), 0.9, 0.1, 0.7, 0.3], 2).tolist()
    [1, 0, 1, 2, 1, 2]
    """
    values = np.asarray(factor, dtype=np.float64)
    if n_layers < 2:
        raise InvalidSpec(sentence("number of layers", where="layer_labels", got=n_layers, expected=">= 2"))
    present = np.flatnonzero(~np.isnan(values))
    n = len(present)
    if n < n_layers:
        raise NotEnoughData(sentence("fewer names than layers", where="layer_labels", got=n, expected=f">= {n_layers}"))
    order = present[np.argsort(-values[present], kind="stable")]
    sizes = np.full(n_layers, n // n_layers)
    sizes[: n % n_layers] += 1
    labels = np.zeros(len(values), dtype=np.int64)
    labels[order] = np.repeat(np.arange(1, n_layers + 1), sizes)
    return labels


def layer_returns(
    factor: npt.ArrayLike,
    close: npt.ArrayLike,
    vwap: npt.ArrayLike,
    test_indices: Sequence[int],
    *,
    n_layers: int = 10,
    mask: BoolArray | None = None,
    cost_one_way: float = 0.0,
) -> LayerResult:
    """:class:`LayerResult` of layers formed at ``test_indices``; the last ones are held to the last date given.

    Parameters
    ----------
    factor : (D, S), known at the close of its date; only the rows of ``test_indices`` are read.
    close, vwap : (D, S) prices adjusted for corporate actions, > 0. A missing close takes the last one seen since entry
        (a delisted name leaves at its last price) and is counted. A holding without a vwap on the day it is sold goes at
        its last close.
    test_indices : increasing rows; layers formed at row t trade at row t + 1. A last test date that is also the last row
        trades nothing and is ignored.
    mask : (D, S) the pool: universe and **test-only** filter (tradable on t + 1). Names of the pool without a vwap on t + 1
        are left out and counted.
    cost_one_way : share of each traded value; a rebalance costs its two-sided turnover times this. The base pays nothing.

    The base holds the whole pool, equal-weighted at the same moments, whether or not the factor covers a name: two
    factors tested on the same pool share their base.

    Raises
    ------
    Misaligned, BadInput (a price that is not positive), InvalidSpec (test dates or cost), NotEnoughData (fewer ranked names
    than layers on a test date).

    Source: ALPHANET, rules of the layered test (0.2 % one-way); MULTIFREQ, layered test without costs.
    """
    scores, closes, vwaps = (np.asarray(x) for x in (factor, close, vwap))
    _check(scores, closes, vwaps, mask, test_indices, cost_one_way)
    tests = [int(t) for t in test_indices if t + 1 < len(scores)]
    if not tests:
        raise NotEnoughData(sentence("no test date has a next session to trade on", where="layer_returns"))
    ends = [*(t + 1 for t in tests[1:]), len(scores)]  # the session on which each set of layers is sold
    start = tests[0] + 1
    returns = np.empty((len(scores) - start, n_layers + 1))
    turnover = np.empty((len(tests), n_layers + 1))
    counts = []
    held: FloatArray | None = None  # (S, 1 + n_layers) weights just before the trade
    before_trade = np.ones(n_layers + 1)  # growth from the previous close to the vwap of the trade
    for number, (test, end) in enumerate(zip(tests, ends, strict=True)):
        entry = test + 1
        pool = np.ones(scores.shape[1], dtype=bool) if mask is None else np.asarray(mask)[test]
        priced = pool & ~np.isnan(vwaps[entry])
        ranked = np.where(priced, scores[test], np.nan)
        try:
            labels = layer_labels(ranked, n_layers)
        except NotEnoughData as error:
            raise NotEnoughData(f"layer_returns, row {test}: {error}") from error
        weights = _equal_weights(labels, priced, n_layers)
        turnover[number] = np.abs(weights - (0.0 if held is None else held)).sum(axis=0)

        names = priced
        relative, n_filled = _relative_prices(closes[entry:end, names], vwaps[entry, names])
        value = relative @ weights[names]  # (days, 1 + n_layers), 1 at entry
        cost = turnover[number] * cost_one_way
        cost[0] = 0.0
        returns[entry - start] = before_trade * (1.0 - cost) * value[0] - 1.0
        returns[entry + 1 - start : end - start] = value[1:] / value[:-1] - 1.0
        if end < len(scores):
            sold = np.where(np.isnan(vwaps[end, names]), relative[-1], vwaps[end, names] / vwaps[entry, names])
            grown = weights[names] * sold[:, None]
            before_trade = grown.sum(axis=0) / value[-1]
            held = np.zeros_like(weights)
            held[names] = grown / grown.sum(axis=0)
        counts.append({
            "trade_date": test, "n_pool": int(priced.sum()), "n_ranked": int((labels > 0).sum()),
            "n_no_factor": int((priced & (labels == 0)).sum()), "n_no_vwap": int((pool & ~priced).sum()),
            "n_filled_closes": n_filled,
        })
    return LayerResult(start, returns, turnover, pd.DataFrame(counts))


def _equal_weights(labels: IntArray, pool: BoolArray, n_layers: int) -> FloatArray:
    weights = np.zeros((len(labels), n_layers + 1))
    weights[pool, 0] = 1.0
    ranked = np.flatnonzero(labels)
    weights[ranked, labels[ranked]] = 1.0
    return weights / weights.sum(axis=0)


def _relative_prices(closes: npt.NDArray[np.floating], entry: npt.NDArray[np.floating]) -> tuple[FloatArray, int]:
    """Closes over entry prices, gaps filled with the value before (1 at entry), and the number of gaps."""
    relative = closes.astype(np.float64) / entry.astype(np.float64)
    gaps = np.isnan(relative)
    n_gaps = int(gaps.sum())
    if n_gaps:
        relative[0, gaps[0]] = 1.0
        for day in range(1, len(relative)):
            relative[day] = np.where(gaps[day], relative[day - 1], relative[day])
    return relative, n_gaps


def _check(
    scores: npt.NDArray[np.floating], closes: npt.NDArray[np.floating], vwaps: npt.NDArray[np.floating],
    mask: BoolArray | None, test_indices: Sequence[int], cost_one_way: float,
) -> None:
    where = "layer_returns"
    named = [("close", closes), ("vwap", vwaps)] + ([] if mask is None else [("mask", np.asarray(mask))])
    for name, array in named:
        if array.shape != scores.shape or scores.ndim != 2:
            raise Misaligned(sentence(f"{name} does not fit the factor", where=where, got=array.shape, expected=scores.shape))
    for name, array in named[:2]:
        if (array <= 0).any() or np.isinf(array).any():
            raise BadInput(sentence(f"{name} holds prices that are not positive and finite", where=where, expected="> 0 or NaN"))
    rows = np.asarray(test_indices, dtype=np.int64)
    if len(rows) == 0 or (np.diff(rows) <= 0).any() or rows[0] < 0 or rows[-1] >= len(scores):
        raise InvalidSpec(
            sentence("test dates must be increasing rows of the data", where=where, got=rows.tolist()[:10],
                     expected=f"0 to {len(scores) - 1}")
        )
    if not 0 <= cost_one_way < 0.5:
        raise InvalidSpec(sentence("one-way cost", where=where, got=cost_one_way, expected="a share from 0 to 0.5"))
