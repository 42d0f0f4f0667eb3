"""What an optimization hands back: weights, and everything that was bent, binding or assumed to get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Relaxation:
    """A limit that had to give way: ``limit_before + amount`` (``limit_before - amount`` for a floor) is what was kept.

    Turnover is in two-sided decimals, tracking error in decimals a year, styles in standard deviations, weights in decimals.
    """

    constraint: str
    amount: float
    limit_before: float
    reason: str


@dataclass(frozen=True)
class Binding:
    """A limit that the portfolio touches; ``shadow_price`` = gain of the objective per unit of loosening, None for weights."""

    constraint: str
    detail: str
    shadow_price: float | None = None


@dataclass(frozen=True, eq=False)
class OptimizationResult:
    """An optimal portfolio for the limits listed, with the relaxed ones named.

    Attributes
    ----------
    weights
        (n,) target decimals known at the close of the signal date, to be traded on the next one.
    status
        ``optimal`` or, when a limit was widened, ``relaxed``.
    objective
        αᵀw minus the linear transaction cost and the risk term, in units of alpha; without the tie-breaking penalty.
    duals
        Label to shadow price. Inequalities and two-sided bounds: gain per unit of loosening, at least 0;
        ``fully_invested``: gain per unit of position, any sign.
    turnover_two_sided
        Σ|w − w_drifted|, decimals.
    max_violation
        Largest excess over any limit after the relaxations, at most 1e-8.
    notes
        Assumptions in words (first portfolio, unknown industries, names without a score), and what the clean-up did.
    gap
        Proven from the duals: no portfolio within the limits is better by more, in units of alpha, before the clean-up and with the
        tie-breaking penalty (2e-8 of the largest alpha) counted in.
    tracking_error
        Of the weights, decimals a year; None when the problem has no risk model.
    """

    weights: np.ndarray
    status: Literal["optimal", "relaxed"]
    objective: float
    relaxations: tuple[Relaxation, ...]
    binding: tuple[Binding, ...]
    duals: dict[str, float]
    turnover_two_sided: float
    max_violation: float
    solver: str
    seconds: float
    is_first: bool
    notes: tuple[str, ...] = ()
    gap: float = 0.0
    tracking_error: float | None = None
