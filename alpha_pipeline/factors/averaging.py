"""What averaging several scores of one kind does to their correlations and to their IC, before anything is averaged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alpha_pipeline.errors import InvalidSpec, Misaligned, sentence


def averaged_correlation(single_run: ArrayLike, n_runs: int) -> NDArray[np.float64]:
    """Correlations (models, models) of the models' scores after each has been averaged over ``n_runs`` independent trainings.

        ρ̄_ij = ρ_ij / √[(1/N + (1 − 1/N) ρ_ii) (1/N + (1 − 1/N) ρ_jj)],   ρ̄_ii = 1

    ``single_run``: ρ_ij of single trainings of models i and j; on the diagonal, of two trainings of the same model, which is below 1.
    Assumes standardized scores and one correlation for all pairs of trainings: an average of N has the variance 1/N + (1 − 1/N) ρ_ii.

    Source: MULTIMODEL, figures 10 and 11; the formula is ours and takes one into the other within 0.2 points.

    >>> averaged_correlation([[0.5, 0.4], [0.4, 0.5]], 4).round(2).tolist()
    [[1.0, 0.64], [0.64, 1.0]]
    """
    rho = np.asarray(single_run, dtype=np.float64)
    if rho.ndim != 2 or rho.shape[0] != rho.shape[1]:
        raise Misaligned(sentence("correlations are not a square matrix", where="averaged_correlation", got=rho.shape))
    if n_runs < 1 or bool((np.diag(rho) <= 0).any()):
        raise InvalidSpec(sentence("no such average", where="averaged_correlation",
                                   got=f"{n_runs} runs, smallest diagonal {np.diag(rho).min():.3g}",
                                   expected="at least one run and a diagonal above 0"))
    std = np.sqrt(1 / n_runs + (1 - 1 / n_runs) * np.diag(rho))
    averaged: NDArray[np.float64] = rho / np.outer(std, std)
    np.fill_diagonal(averaged, 1.0)
    return averaged


def averaged_ic(single_ic: float, correlation: float, n_scores: int) -> float:
    """Expected IC of the mean of ``n_scores`` standardized scores with equal IC and equal mutual correlation.

        E(ICᶜ) = E(ICˢ) / √[(1 − ρ)/N + ρ]

    Source: MULTIMODEL, section 4.1.

    >>> round(averaged_ic(0.10, 0.81, 10**9), 4)  # the limit: the single IC over the root of ρ
    0.1111
    """
    if n_scores < 1 or not 0 <= correlation <= 1:
        raise InvalidSpec(sentence("no such average", where="averaged_ic", got=f"{n_scores} scores, correlation {correlation}",
                                   expected="at least one score and a correlation from 0 to 1"))
    return single_ic / float(np.sqrt((1 - correlation) / n_scores + correlation))
