"""Momentum, volatility and liquidity over ten sessions: the low-frequency price-volume factors that price-volume models tend to relearn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]

WINDOW = 10  # sessions


def momentum_10d(returns: FloatArray, turnover: FloatArray, window: int = WINDOW) -> FloatArray:
    """(D, S) compounded return of the ``window`` sessions that end with the date, decimal.

    >>> momentum_10d(np.array([[0.1], [0.1]]), np.zeros((2, 1)), window=2).round(4).tolist()
    [[nan], [0.21]]
    """
    return _over_windows(returns, window, lambda x: np.prod(1.0 + x, axis=0) - 1.0)


def volatility_10d(returns: FloatArray, turnover: FloatArray, window: int = WINDOW) -> FloatArray:
    """(D, S) standard deviation (divisor n − 1) of the daily returns of ``window`` sessions, decimal a day."""
    return _over_windows(returns, window, lambda x: np.std(x, axis=0, ddof=1))


def liquidity_10d(returns: FloatArray, turnover: FloatArray, window: int = WINDOW) -> FloatArray:
    """(D, S) mean turnover rate of ``window`` sessions, decimal of the float shares a day; a suspended session counts as 0.

    >>> liquidity_10d(np.zeros((2, 1)), np.array([[0.01], [0.03]]), window=2).tolist()
    [[nan], [0.02]]
    """
    return _over_windows(turnover, window, lambda x: np.mean(x, axis=0))


PRICE_VOLUME: Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "momentum_10d": momentum_10d, "volatility_10d": volatility_10d, "liquidity_10d": liquidity_10d,
}
"""Name → factor of (returns, turnover), both (D, S), row t known at the close of t. A stock that lacks one of the window's sessions has NaN.

Source: RISKCONTROL, figure 17 (10-day momentum, volatility and liquidity; their formulas are ours, the report does not print them).
"""


def price_volume_factors(returns: npt.ArrayLike, turnover: npt.ArrayLike) -> dict[str, FloatArray]:
    """All of :data:`PRICE_VOLUME`. Raises :class:`Misaligned` for arrays of different shape."""
    daily, turn = np.asarray(returns, dtype=np.float64), np.asarray(turnover, dtype=np.float64)
    if daily.ndim != 2 or daily.shape != turn.shape:
        raise Misaligned(sentence("turnover does not fit the returns", where="price_volume_factors", got=turn.shape, expected=daily.shape))
    return {name: factor(daily, turn) for name, factor in PRICE_VOLUME.items()}


def _over_windows(values: FloatArray, window: int, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Each window is worked out on its own, so a date has the same bits wherever the range starts."""
    if window < 2:
        raise InvalidSpec(sentence("window is too short", where="price_volume_factors", got=window, expected=">= 2 sessions"))
    result = np.full(values.shape, np.nan)
    for row in range(window - 1, len(values)):
        result[row] = function(values[row - window + 1: row + 1])
    return result
