"""The orthogonal layer: K columns of one date become K mutually orthogonal factors with mean 0 and variance 1.

    R = H − A (AᵀA)⁺ AᵀH,   A = [1, exposures]           what the exposures explain is taken out
    Z = R (RᵀR / n)^(−1/2)                               symmetric whitening: ZᵀZ / n = I

Of all whitened versions of R this is the nearest to R itself (Löwdin); it does not depend on the order of the columns.

Source: ATTENTION, which takes it from its predecessor (改进深度学习高频因子的 9 个尝试, not at hand).

Rank: directions of R whose variance is below ``RELATIVE_CUTOFF`` of the largest are left out of the root (a column that does not vary,
two equal columns). Z then is finite, ZᵀZ/n a projection instead of I, and a column that does not vary comes out as 0 to rounding. Exposures may be
collinear with each other and with the constant, as all dummies of a classification are.

Gradient: with f(λ) = λ^(−1/2), dF = V [ (VᵀdM V) ∘ D ] Vᵀ, D_ij = (f(λ_i) − f(λ_j)) / (λ_i − λ_j) = −1 / (√λ_i √λ_j (√λ_i + √λ_j)):
unlike the gradient through the eigenvectors it does not know differences of eigenvalues, and equal ones do no harm. Directions left out are
held to stay left out. First derivatives only.

The K × K part is computed in float64. Letters: N stocks, K columns, E exposures.
"""

from __future__ import annotations

import torch
from torch import Tensor

from alpha_pipeline.errors import Misaligned, NotEnoughData, sentence

RELATIVE_CUTOFF = 1e-10
MIN_STOCKS_PER_FACTOR = 3
"""In training. With fewer the factors are mostly the noise of the few stocks that they are whitened over."""


def orthogonal_factors(h_NK: Tensor, exposures_NE: Tensor | None = None) -> Tensor:
    """Z (N, K), in the dtype of ``h_NK``. Call it with all stocks of one date; exposures are constants to the gradient."""
    residual_NK = project_off(h_NK.double(), exposures_NE)
    z_NK = residual_NK @ inverse_square_root(residual_NK.mT @ residual_NK / h_NK.shape[0])
    return z_NK.to(h_NK.dtype)


def project_off(h_NK: Tensor, exposures_NE: Tensor | None) -> Tensor:
    """Residuals of the columns regressed on a constant and the exposures."""
    residual_NK = h_NK - h_NK.mean(0)
    if exposures_NE is None or exposures_NE.shape[1] == 0:
        return residual_NK
    a_NE = exposures_NE.detach().to(h_NK.dtype)
    a_NE = a_NE - a_NE.mean(0)  # with a constant in the regression the same, and well conditioned
    inverse_EE = torch.linalg.pinv(a_NE.mT @ a_NE, rtol=1e-10, hermitian=True)
    return residual_NK - a_NE @ (inverse_EE @ (a_NE.mT @ residual_NK))


def inverse_square_root(m_KK: Tensor) -> Tensor:
    """M^(−1/2) of a symmetric positive semi-definite matrix, on the directions above the cutoff."""
    constant_KK = m_KK.detach()
    variance_K, v_KK = torch.linalg.eigh(constant_KK)
    largest = variance_K[-1:].clamp(min=torch.finfo(m_KK.dtype).tiny)
    is_kept = variance_K > RELATIVE_CUTOFF * largest
    std_K = torch.where(is_kept, variance_K, torch.ones_like(variance_K)).sqrt()
    root_K = torch.where(is_kept, 1 / std_K, torch.zeros_like(std_K))
    within_KK = -root_K[:, None] * root_K[None, :] / (std_K[:, None] + std_K[None, :])
    across_KK = torch.where(is_kept[:, None] != is_kept[None, :], (root_K[:, None] + root_K[None, :]) ** 3, torch.zeros_like(m_KK))
    change_KK = v_KK.mT @ (m_KK - constant_KK) @ v_KK  # 0, but its gradient is not
    return (v_KK * root_K) @ v_KK.mT + v_KK @ (change_KK * (within_KK + across_KK)) @ v_KK.mT


def check_cross_section(n_stocks: int, n_factors: int, exposures_NE: Tensor | None, *, training: bool, where: str) -> None:
    """Raise unless the date has enough stocks: three per factor in training, at scoring more than factors and exposures together.

    Raises
    ------
    NotEnoughData, Misaligned
    """
    if exposures_NE is not None and (exposures_NE.ndim != 2 or exposures_NE.shape[0] != n_stocks):
        raise Misaligned(sentence("the exposures are not of these stocks", where=where, got=tuple(exposures_NE.shape),
                                  expected=f"({n_stocks}, exposures)", next_step="Build them for the stocks of the tensors."))
    n_exposures = 0 if exposures_NE is None else exposures_NE.shape[1]
    least = MIN_STOCKS_PER_FACTOR * n_factors + n_exposures if training else n_factors + n_exposures + 2
    if n_stocks < least:
        raise NotEnoughData(sentence(f"too few stocks for {n_factors} orthogonal factors", where=where, got=f"{n_stocks} stocks",
                                     expected=f"at least {least}",
                                     next_step="Use whole dates of a larger universe, fewer factors, or orthogonal=False."))
