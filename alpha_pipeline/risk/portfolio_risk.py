"""Variance of a portfolio under the factor model, and whether forecasts were of the right size.

    var = (Xᵀw)ᵀ F (Xᵀw) + Σ w² d²

F and d are per session; tracking errors and volatilities are annualized with √252.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]

SESSIONS_PER_YEAR = 252


@dataclass(frozen=True)
class PortfolioRisk:
    """Variances per session (decimal²), ``volatility`` annualized (decimal, × √252); ``exposures`` (K,) = Xᵀw."""

    exposures: FloatArray
    factor_variance: float
    specific_variance: float

    @property
    def variance(self) -> float:
        return self.factor_variance + self.specific_variance

    @property
    def volatility(self) -> float:
        """√(252 · variance): volatility of a portfolio, tracking error of active weights; a year, decimal."""
        return float(np.sqrt(SESSIONS_PER_YEAR * self.variance))


def portfolio_risk(weights: FloatArray, exposures: FloatArray, factor_cov: FloatArray, specific_vol: FloatArray) -> PortfolioRisk:
    """:class:`PortfolioRisk` of ``weights`` (S,) with ``exposures`` (S, K), ``factor_cov`` (K, K), ``specific_vol`` (S,) per session.

    Stocks with weight 0 may lack exposures and specific risk. A factor without covariance (NaN) may be there with exposure 0 only.

    Raises
    ------
    Misaligned : shapes. BadInput : a holding without exposures or specific risk, an exposure to a factor without covariance.

    >>> portfolio_risk(np.array([0.5, 0.5]), np.ones((2, 1)), np.array([[1e-4]]), np.array([0.02, 0.02])).variance
    0.00030000000000000003
    """
    n_stocks, n_factors = exposures.shape
    if weights.shape != (n_stocks,) or specific_vol.shape != (n_stocks,) or factor_cov.shape != (n_factors, n_factors):
        raise Misaligned(sentence("weights, covariance or specific risk do not fit the exposures", where="portfolio_risk",
                                  got=f"{weights.shape}, {factor_cov.shape}, {specific_vol.shape}",
                                  expected=f"({n_stocks},), ({n_factors}, {n_factors}), ({n_stocks},)"))
    held = weights != 0
    unknown = held & (np.isnan(exposures).any(axis=1) | np.isnan(specific_vol))
    if unknown.any():
        raise BadInput(sentence("holdings without exposures or specific risk", where="portfolio_risk",
                                got=f"{int(unknown.sum())} with weight {np.abs(weights[unknown]).sum():.4f}, first at {int(np.argmax(unknown))}",
                                expected=0, next_step="Leave them out of the weights and state their share."))
    loading = weights[held] @ exposures[held]
    has = ~np.isnan(np.diag(factor_cov))
    if (loading[~has] != 0).any():
        raise BadInput(sentence("an exposure to a factor without covariance", where="portfolio_risk",
                                got=f"factor number {int(np.flatnonzero(~has & (loading != 0))[0])}",
                                next_step="Drop the factor from the exposures and state it."))
    inside = loading[has]
    return PortfolioRisk(loading, float(inside @ factor_cov[np.ix_(has, has)] @ inside), float((weights[held] ** 2) @ specific_vol[held] ** 2))


def active_risk(
    weights: FloatArray, benchmark: FloatArray, exposures: FloatArray, factor_cov: FloatArray, specific_vol: FloatArray
) -> PortfolioRisk:
    """:class:`PortfolioRisk` of ``weights − benchmark``; its ``volatility`` is the forecast tracking error a year."""
    return portfolio_risk(weights - benchmark, exposures, factor_cov, specific_vol)


def bias_statistic(returns: FloatArray, forecasts: FloatArray) -> FloatArray:
    """(…,) standard deviation (divisor n − 1) of return / forecast volatility over the first axis; 1 when forecasts have the right size.

    ``returns``, ``forecasts`` : (D, …), row d of the forecasts made before the return. Above 1: risk was underestimated. Pairs with
    NaN or a forecast of 0 are left out; fewer than two give NaN. With n normal observations about 95 % of values lie in 1 ± √(2/n).

    >>> bias_statistic(np.array([0.01, -0.02, 0.01]), np.array([0.01, 0.02, 0.01])).round(4).item()
    1.1547
    """
    if returns.shape != forecasts.shape:
        raise Misaligned(sentence("returns and forecasts differ in shape", where="bias_statistic", got=returns.shape, expected=forecasts.shape))
    used = ~np.isnan(returns) & (forecasts > 0)
    z = np.divide(returns, forecasts, out=np.zeros_like(returns), where=used)
    n = used.sum(axis=0)
    mean = z.sum(axis=0) / np.maximum(n, 1)
    square = (np.where(used, z - mean, 0.0) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(np.divide(square, n - 1, out=np.full(np.shape(n), np.nan), where=n > 1)))
