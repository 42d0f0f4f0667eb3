"""Forecast covariance of the factor returns: volatilities that forget quickly, correlations that forget slowly.

    F = diag(σ) C diag(σ),  σ from an EWMA of half-life 84 sessions, C from one of half-life 504, both with two Newey–West lags

and no eigenvalue of C below ``EIGENVALUE_FLOOR``. Everything is per session: multiply F by 252 for a year. A forecast made with
the returns up to the close of *t* is for the sessions after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, NotEnoughData, sentence
from alpha_pipeline.risk.descriptors import ewma_weights

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VOLATILITY_HALF_LIFE, CORRELATION_HALF_LIFE = 84.0, 504.0
NEWEY_WEST_LAGS = 2
WINDOW_SESSIONS = 1008  # two half-lives of the correlations
MIN_SESSIONS = 60  # a factor with fewer returns has no covariance
EIGENVALUE_FLOOR = 1e-4  # of the correlation matrix, whose mean eigenvalue is 1
_SMALLEST_RATIO = 0.1  # Newey–West may not take more than 90 % of a variance


@dataclass(frozen=True)
class FactorCovariance:
    """``values`` (K, K) per session, decimal², NaN in rows and columns of factors without enough returns; ``has`` (K,) those with.

    ``n_floored`` : eigenvalues of the correlation matrix that were raised to the floor.
    """

    values: FloatArray
    has: BoolArray
    n_floored: int


def factor_covariance(returns: FloatArray) -> FactorCovariance:
    """:class:`FactorCovariance` from (D, K) daily factor returns, latest last, NaN where a factor dropped out.

    At most the latest ``WINDOW_SESSIONS`` rows count. Products with a missing return are left out of sums and of weights. A factor
    without any variation (the only industry of a market) keeps variance 0.

    Raises
    ------
    NotEnoughData : no factor has ``MIN_SESSIONS`` returns. BadInput : infinite returns.
    """
    if np.isinf(returns).any():
        raise BadInput(sentence("infinite factor returns", where="factor_covariance", got=int(np.isinf(returns).sum())))
    window = returns[-WINDOW_SESSIONS:]
    has = (~np.isnan(window)).sum(axis=0) >= MIN_SESSIONS
    if not has.any():
        raise NotEnoughData(sentence("too few factor returns for a covariance", where="factor_covariance", got=f"{len(window)} sessions",
                                     expected=f">= {MIN_SESSIONS} returns of a factor"))
    quick = ewma_covariance(window[:, has], VOLATILITY_HALF_LIFE, NEWEY_WEST_LAGS)
    slow = ewma_covariance(window[:, has], CORRELATION_HALF_LIFE, NEWEY_WEST_LAGS)
    spread = np.sqrt(np.diag(slow))
    flat = spread == 0
    scale = np.where(flat, 1.0, spread)
    correlation = slow / np.outer(scale, scale)
    correlation[flat, flat] = 1.0
    correlation, n_floored = floor_eigenvalues(correlation)
    sigma = np.sqrt(np.diag(quick))
    values = np.full((len(has), len(has)), np.nan)
    values[np.ix_(has, has)] = correlation * np.outer(sigma, sigma)
    return FactorCovariance(values, has, n_floored)


def ewma_covariance(returns: FloatArray, half_life: float, n_lags: int = 0) -> FloatArray:
    """(K, K) exponentially weighted covariance of (D, K) returns about their weighted mean, with Bartlett-weighted lags.

    Γ_0 + Σ_l (1 − l / (n_lags + 1)) (Γ_l + Γ_lᵀ), Γ_l = Σ_t w_t z_t z_{t−l}ᵀ / Σ_t w_t over the pairs present. A variance that the
    lags would lower below a tenth of its lag-0 value stays there.
    """
    has = ~np.isnan(returns)
    present, weights = has.astype(np.float64), ewma_weights(len(returns), half_life)
    total = weights @ present
    mean = (weights @ np.where(has, returns, 0.0)) / np.where(total > 0, total, 1.0)
    z = np.where(has, returns - mean, 0.0)
    result = np.zeros((returns.shape[1], returns.shape[1]))
    simple = result
    for lag in range(min(n_lags, len(returns) - 1) + 1):
        now = slice(lag, None)
        before = slice(None, len(returns) - lag)
        pairs = (weights[now, None] * present[now]).T @ present[before]
        gamma = (weights[now, None] * z[now]).T @ z[before] / np.where(pairs > 0, pairs, 1.0)
        if lag == 0:
            result = simple = gamma
        else:
            result = result + (1.0 - lag / (n_lags + 1)) * (gamma + gamma.T)
    lowest = _SMALLEST_RATIO * np.diag(simple)
    result = (result + result.T) / 2.0
    result[np.diag_indices_from(result)] = np.maximum(np.diag(result), lowest)
    return result


def floor_eigenvalues(correlation: FloatArray, floor: float = EIGENVALUE_FLOOR) -> tuple[FloatArray, int]:
    """The correlation matrix with no eigenvalue below about ``floor``, diagonal 1, and how many eigenvalues were raised."""
    eigenvalues, vectors = np.linalg.eigh(correlation)
    n_low = int((eigenvalues < floor).sum())
    if n_low == 0:
        return correlation, 0
    raised = (vectors * np.maximum(eigenvalues, floor)) @ vectors.T
    scale = np.sqrt(np.diag(raised))
    result = raised / np.outer(scale, scale)
    return (result + result.T) / 2.0, n_low
