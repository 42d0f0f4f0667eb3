"""Forecast specific volatility: a stock's own EWMA, drawn towards the mean of its size decile.

    σ̂² = Σ w u²  (252 sessions, half-life 84),   σ = v σ̄ + (1 − v) σ̂,   v = q |σ̂ − σ̄| / (Δ + q |σ̂ − σ̄|),  q = 0.1

with σ̄ the cap-weighted mean of σ̂ in the stock's size decile and Δ the standard deviation of σ̂ there: the further an estimate
lies from its peers, the less it is believed. A stock without enough returns has σ̄. Per session, decimal.
Source: Barra USE4, Bayesian shrinkage of specific risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData, sentence
from alpha_pipeline.risk.descriptors import MIN_COVERAGE, ewma_weights

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

WINDOW_SESSIONS, HALF_LIFE = 252, 84.0
N_DECILES = 10
SHRINKAGE = 0.1


@dataclass(frozen=True)
class SpecificRisk:
    """``volatility`` (S,) per session, decimal, NaN without a market value; ``own`` (S,) before shrinkage, NaN where the history is too
    short; ``weight`` (S,) of the decile's mean, 0 … 1."""

    volatility: FloatArray
    own: FloatArray
    weight: FloatArray


def specific_risk(returns: FloatArray, cap: FloatArray, universe: BoolArray) -> SpecificRisk:
    """:class:`SpecificRisk` from (S, T) specific returns, latest last, NaN = missing, and market values (S,) in CNY.

    Size deciles and their means are those of the universe's stocks with an own estimate; others belong to the decile their market
    value falls into. An own estimate needs 60 % of the window's weight.

    Raises
    ------
    NotEnoughData : fewer than ten universe stocks have an own estimate. Misaligned : shapes. BadInput : infinite returns.
    """
    if cap.shape != returns.shape[:1] or universe.shape != cap.shape:
        raise Misaligned(sentence("market values or universe do not fit the returns", where="specific_risk",
                                  got=f"{cap.shape} and {universe.shape}", expected=returns.shape[:1]))
    if np.isinf(returns).any():
        raise BadInput(sentence("infinite specific returns", where="specific_risk", got=int(np.isinf(returns).sum())))
    own = ewma_volatility(returns)
    usable = universe & ~np.isnan(own) & ~np.isnan(cap)
    if usable.sum() < N_DECILES:
        raise NotEnoughData(sentence("too few stocks with specific returns", where="specific_risk", got=int(usable.sum()),
                                     expected=f">= {N_DECILES}", next_step="The history is too short; specific risk needs about 80 sessions."))
    edges = np.quantile(cap[usable], np.linspace(0, 1, N_DECILES + 1)[1:-1])
    decile = np.searchsorted(edges, cap, side="right")
    mean, spread = np.zeros(N_DECILES), np.zeros(N_DECILES)
    for k in range(N_DECILES):
        inside = usable & (decile == k)
        if not inside.any():  # equal market values can leave one empty
            inside = usable
        mean[k], spread[k] = np.average(own[inside], weights=cap[inside]), own[inside].std()
    distance = SHRINKAGE * np.abs(own - mean[decile])
    weight = np.divide(distance, spread[decile] + distance, out=np.zeros_like(own), where=spread[decile] + distance > 0)
    weight = np.where(np.isnan(own), 1.0, weight)
    volatility = weight * mean[decile] + (1.0 - weight) * np.nan_to_num(own)
    return SpecificRisk(np.where(np.isnan(cap), np.nan, volatility), own, weight)


def ewma_volatility(returns: FloatArray) -> FloatArray:
    """(S,) root of the weighted mean square of (S, T) returns about zero, 252 sessions, half-life 84; NaN below 60 % of the weight."""
    window = returns[:, -WINDOW_SESSIONS:]
    has = ~np.isnan(window)
    weights = ewma_weights(WINDOW_SESSIONS, HALF_LIFE, window.shape[1])
    filled = np.where(has, window, 0.0)
    total = np.einsum("st,t->s", has.astype(np.float64), weights)
    square = np.einsum("st,st,t->s", filled, filled, weights)
    enough = total >= MIN_COVERAGE
    return np.sqrt(np.divide(square, total, out=np.full_like(total, np.nan), where=enough))
