"""The standard specific shock (skewed, fat-tailed) and what a price limit cuts off from it on average."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

F = npt.NDArray[np.float64]

TAIL = 4.6  # degrees of freedom
SKEW = 0.075  # limits and lottery demand make A-share returns lean upward
LARGEST_SQUARE = 25.0  # a shock beyond five sigma is a jump, not news about volatility
_LARGEST_CORRECTION = 0.02


def shape(draw: F) -> F:
    """Student draws (TAIL degrees of freedom) as shocks of exact mean 0 and variance 1 with positive skew."""
    e = draw * np.sqrt((TAIL - 2.0) / TAIL)
    fourth_moment = 3.0 * (TAIL - 2.0) / (TAIL - 4.0)
    return (e + SKEW * (e**2 - 1.0)) / np.sqrt(1.0 + SKEW**2 * (fourth_moment - 1.0))


def cut_off(known: F, sigma: F, room_up: F, room_down: F) -> F:
    """Expected part of the return that the limits cut off, decimal; added to the drift it leaves the expected return unchanged.

    ``known`` is the return without the specific shock, ``sigma`` the size of the shock, ``room_up`` and ``room_down`` the
    distances of the limits from the reference price (decimals, positive). With a shock e it is sigma * (E[(e - a)+] - E[(-e -
    b)+]), where a and b are the distances of the limits in units of sigma. Bounded by 2 %, which only a limit almost reached by
    ``known`` alone meets.
    """
    grid, upper, lower = _cut_tails()
    above = np.interp((room_up - known) / sigma, grid, upper)
    below = np.interp((room_down + known) / sigma, grid, lower)
    return np.clip(sigma * (above - below), -_LARGEST_CORRECTION, _LARGEST_CORRECTION)


@cache
def mean_bounded_square() -> float:
    """E[min(e^2, 25)] of the shock: what the variance recursion takes in on average."""
    return float(np.minimum(_quantiles() ** 2, LARGEST_SQUARE).mean())


@cache
def _quantiles() -> F:
    n = 200_000
    return shape(student.ppf((np.arange(n) + 0.5) / n, TAIL))


@cache
def _cut_tails() -> tuple[F, F, F]:
    """A grid of c, E[(e - c)+] and E[(-e - c)+] on it, from the shock's quantiles."""
    shock = _quantiles()
    grid = np.linspace(-12.0, 12.0, 481)
    return grid, _mean_above(shock, grid), _mean_above(-shock, grid)


def _mean_above(values: F, grid: F) -> F:
    ordered = np.sort(values)
    sums = np.append(np.cumsum(ordered[::-1])[::-1], 0.0)
    at = np.searchsorted(ordered, grid, "right")
    return (sums[at] - grid * (len(values) - at)) / len(values)
