"""Sigmoid and tanh of a lane vector, within 3e-7 of the true value.

Both saturate instead of overflowing, and NaN gives NaN.
"""

from __future__ import annotations

from typing import Any

from alpha_pipeline.models.recurrent.lanes import clamp, inlined, power_of_two

LOG2_E = 1.44269504088896
LN_2_HIGH, LN_2_LOW = 0.693359375, -2.12194440e-4  # ln 2 in two parts, so that n·ln 2 is exact for |n| < 128
ROUNDING = 12582912.0  # 1.5·2²³: adding it to a float32 rounds to a whole number
TANH_LIMIT = 7.90531110763549805  # beyond it the result stays at ±(1 − 2.4e-7), four float32 units from ±1


@inlined
def exp(x: Any) -> Any:
    """e**x for x in [-87, 87], the end values outside: 2**n · e**r with |r| <= ln 2 / 2 and a polynomial for e**r (Cephes)."""
    x = clamp(x, -87.0, 87.0)
    shifted = x * LOG2_E + ROUNDING
    n = shifted - ROUNDING
    r = (x - n * LN_2_HIGH) - n * LN_2_LOW
    p = r * 1.9875691500e-4 + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    return (p * (r * r) + (r + 1.0)) * power_of_two(shifted)


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x)."""
    return 1.0 / (1.0 + exp(0.0 - x))


@inlined
def tanh(x: Any) -> Any:
    """x · P(x²) / Q(x²): unlike 1 − 2/(1 + e**2x) it keeps its relative accuracy near zero."""
    x = clamp(x, -TANH_LIMIT, TANH_LIMIT)
    s = x * x
    p = s * -2.76076847742355e-16 + 2.00018790482477e-13
    p = p * s + -8.60467152213735e-11
    p = p * s + 5.12229709037114e-08
    p = p * s + 1.48572235717979e-05
    p = p * s + 6.37261928875436e-04
    p = p * s + 4.89352455891786e-03
    q = s * 1.19825839466702e-06 + 1.18534705686654e-04
    q = q * s + 2.26843463243900e-03
    q = q * s + 4.89352518554385e-03
    return x * p / q
