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
    std = np.sqrt(_variance(np.diag(rho), n_runs))
    averaged: NDArray[np.float64] = rho / np.outer(std, std)
    np.fill_diagonal(averaged, 1.0)
    return averaged


def averaged_pair_correlation(between: float, within_a: float, within_b: float, n_runs: int) -> float:
    """:func:`averaged_correlation` of two models: ``between`` is ρ_ij, ``within_a`` and ``within_b`` are ρ_ii and ρ_jj.

    >>> round(averaged_pair_correlation(0.821, 0.863, 0.844, 10), 3)
    0.946
    """
    if n_runs < 1:
        raise InvalidSpec(sentence("number of runs", where="averaged_pair_correlation", got=n_runs, expected=">= 1"))
    return float(between / np.sqrt(_variance(within_a, n_runs) * _variance(within_b, n_runs)))


def averaged_ic(single_ic: float, correlation: float, n_scores: int) -> float:
    """Expected IC of the mean of ``n_scores`` standardized scores with equal IC and equal mutual correlation.

        E(ICᶜ) = E(ICˢ) / √[(1 − ρ)/N + ρ]

    Raises :class:`InvalidSpec` for a correlation that no N scores can have: above 1, or not above −1 / (N − 1).

    Source: MULTIMODEL, section 4.1.

    >>> round(averaged_ic(0.10, 0.81, 10**9), 4)  # the limit: the single IC over the root of ρ
    0.1111
    >>> round(averaged_ic(0.10, 0.25, 3), 4)
    0.1414
    """
    if n_scores < 1 or correlation > 1 or not _variance(correlation, n_scores) > 0:
        raise InvalidSpec(sentence("no such set of scores exists", where="averaged_ic", got=f"{n_scores} scores, correlation {correlation}",
                                   expected="at least one score and a correlation above -1 / (N - 1), up to 1"))
    return float(single_ic / np.sqrt(_variance(correlation, n_scores)))


def _variance(correlation: ArrayLike, n: int) -> NDArray[np.float64]:
    """Variance of the mean of ``n`` standardized scores of one mutual correlation: 1/N + (1 − 1/N) ρ = (1 − ρ)/N + ρ."""
    return 1 / n + (1 - 1 / n) * np.asarray(correlation, dtype=np.float64)
