"""How gathered bars become what a network reads: returns, ratios to a divisor, z-scores of a series, or levels in fixed units.

All is arithmetic on one stock's own window, in place, over any number of steps. Shape letters: T steps, F fields, N stocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alpha_pipeline.features.tensors import LEVEL_UNITS, POSITIVE_FIELDS, PRICE_FIELDS, RETURN, TensorSpec


@dataclass(frozen=True, eq=False)
class Ratio:
    """x / divisor − 1 for float32 bars, and x itself for ``return``; or, built from its parts, (x − anchor) · inverse − rest.

    Computed as (x − a) / divisor − r with a = float32(divisor) and r = (divisor − a) / divisor: the difference of two nearby
    float32 numbers is exact, so small deviations from 1 keep all their digits, which dividing first would round away.
    """

    anchor: Tensor
    inverse: Tensor
    minus_rest: Tensor

    @classmethod
    def to(cls, divisor_FN: Tensor, fields: Sequence[str]) -> Ratio:
        """``divisor_FN``: float64, of the named fields; that of ``return`` is not looked at."""
        anchor = divisor_FN.float()
        ratio = cls(anchor, divisor_FN.reciprocal().float(), ((anchor - divisor_FN) / divisor_FN).float())
        if RETURN in fields:
            at = fields.index(RETURN)
            for part, neutral in ((ratio.anchor, 0.0), (ratio.inverse, 1.0), (ratio.minus_rest, 0.0)):
                part[at] = neutral
        return ratio

    @classmethod
    def of_moments(cls, mean_FN: Tensor, inverse_std_FN: Tensor) -> Ratio:
        """(x − mean) / std, both float32."""
        return cls(mean_FN, inverse_std_FN, torch.zeros_like(mean_FN))

    def part(self, fields: slice) -> Ratio:
        """That of some of the fields."""
        return Ratio(self.anchor[fields], self.inverse[fields], self.minus_rest[fields])

    def of_(self, x_TFN: Tensor) -> Tensor:
        """In place."""
        return torch.addcmul(self.minus_rest, x_TFN.sub_(self.anchor), self.inverse, out=x_TFN)


def returns_(x_TFN: Tensor, spec: TensorSpec) -> Tensor:
    """In place: where ``return`` stands, the close of the session before becomes the return. Bars must be panel values still.

    (close − before) / before: the difference of nearby float32 numbers is exact, that of a quotient and 1 is not.
    """
    close, volume, before = (x_TFN[:, spec.fields.index(name)] for name in ("close", "volume", RETURN))
    torch.div(close - before, before, out=before).masked_fill_(volume == 0, 0.0)
    return x_TFN


def levels_(x_TFN: Tensor, spec: TensorSpec, factor_N: Tensor) -> Tensor:
    """In place: prices over ``factor_N``, the factor on the window's last date; then the ratios; then all in their units.

    The gathered fields of ``x_TFN`` hold panel values, ``return`` the return, the ratios anything. A ratio whose lower part is 0
    (no turnover on that day) is 0.
    """
    at = {name: i for i, name in enumerate(spec.fields)}
    for name in PRICE_FIELDS:
        if name in at:
            x_TFN[:, at[name]].div_(factor_N)
    for name in spec.ratios:
        upper, lower = (x_TFN[:, at[part]] for part in name.split("/", 1))
        ratio = torch.div(upper, lower, out=x_TFN[:, at[name]])
        if name.split("/", 1)[1] not in POSITIVE_FIELDS:
            ratio.masked_fill_(lower == 0, 0.0)
    for name, place in at.items():
        if LEVEL_UNITS[name] != 1:
            x_TFN[:, place].mul_(LEVEL_UNITS[name])
    return x_TFN
