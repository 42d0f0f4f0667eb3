"""The factor model of one rebalance as arrays: Σ = X F Xᵀ + D, of annual returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alpha_pipeline.errors import BadInput, Misaligned, sentence


@dataclass(frozen=True, eq=False)
class FactorRisk:
    """Covariance of annual returns known at the close of the signal date, n stocks and K factors.

    Attributes
    ----------
    exposures
        (n, K). A name with a NaN has no known risk: it may not be bought, and it is an error if it is held or in the benchmark.
    factor_covariance
        (K, K), decimals², annual; symmetric and positive semidefinite.
    specific_variance
        (n,), decimals², annual, at least 0. NaN as in ``exposures``.

    Raises
    ------
    Misaligned
        Shapes do not fit.
    BadInput
        A covariance that is missing, not symmetric or not positive semidefinite, or a negative variance.
    """

    exposures: np.ndarray
    factor_covariance: np.ndarray
    specific_variance: np.ndarray

    def __post_init__(self) -> None:
        n, n_factors = self.exposures.shape
        for name, got, expected in (
            ("factor_covariance", self.factor_covariance.shape, (n_factors, n_factors)),
            ("specific_variance", self.specific_variance.shape, (n,)),
        ):
            if got != expected:
                raise Misaligned(sentence(f"{name} does not match the exposures", got=got, expected=expected))
        covariance = self.factor_covariance
        if not bool(np.isfinite(covariance).all()):
            raise BadInput(sentence("factor covariance is missing", got=f"{int((~np.isfinite(covariance)).sum())} entries"))
        size = float(np.abs(covariance).max(initial=0.0))
        if float(np.abs(covariance - covariance.T).max(initial=0.0)) > 1e-10 * size:
            raise BadInput(sentence("factor covariance is not symmetric"))
        least = float(np.linalg.eigvalsh(covariance).min(initial=0.0))
        if least < -1e-10 * size:
            raise BadInput(sentence("factor covariance is not positive semidefinite", got=f"an eigenvalue of {least:.2e}",
                                    next_step="Raise its eigenvalues to a floor before optimizing."))
        if bool((np.nan_to_num(self.specific_variance) < 0.0).any()):
            raise BadInput(sentence("specific variance is negative", got=float(np.nanmin(self.specific_variance)), expected="at least 0"))

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: names whose risk is known."""
        return np.isfinite(self.exposures).all(axis=1) & np.isfinite(self.specific_variance)

    def variance(self, active: np.ndarray) -> float:
        """aᵀ(X F Xᵀ + D)a of active weights (n,), decimals² a year; names of weight 0 need no known risk."""
        held = np.flatnonzero(active)
        exposure = active[held] @ self.exposures[held]
        return float(exposure @ self.factor_covariance @ exposure + self.specific_variance[held] @ active[held] ** 2)

    def tracking_error(self, active: np.ndarray) -> float:
        """Square root of :meth:`variance`.

        >>> model = FactorRisk(np.array([[1.0], [0.0]]), np.array([[0.04]]), np.array([0.01, 0.01]))
        >>> round(model.tracking_error(np.array([0.1, -0.1])), 6)  # 0.01·0.04 + 2·0.01·0.01 = 0.0006
        0.024495
        """
        return math.sqrt(max(self.variance(active), 0.0))

    def root(self) -> np.ndarray:
        """(K, K) G with G Gᵀ = factor covariance."""
        values, vectors = np.linalg.eigh(self.factor_covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
