"""Exposures to factors that are no styles: a field of a panel, standardized like a style.

A factor is named ``panel.field`` (the signal date's value) or ``panel.field@n`` (mean of the last n sessions), for instance
``mschars.close_volume_share@20`` or ``daily.turn@20``. Only panels with one value a day qualify.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.risk.styles import MIN_SHARE, standardize

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_NAME = re.compile(r"([A-Za-z]\w*)\.([A-Za-z]\w*)(?:@(\d+))?")


@dataclass(frozen=True)
class PanelFactor:
    """``field`` of ``panel``, averaged over the last ``n_days`` sessions."""

    panel: str
    field: str
    n_days: int = 1


def is_panel_factor(name: str) -> bool:
    """Whether a factor's name means a panel's field; styles have no dot in theirs."""
    return "." in name


def panel_factor(name: str) -> PanelFactor:
    """The factor of a name; raises :class:`InvalidSpec` for another form.

    >>> panel_factor("daily.turn@20")
    PanelFactor(panel='daily', field='turn', n_days=20)
    """
    found = _NAME.fullmatch(name)
    n_days = int(found[3] or 1) if found else 0
    if found is None or not 1 <= n_days <= 250:
        raise InvalidSpec(sentence(f"'{name}' names no field of a panel", expected="panel.field, or panel.field@n for the mean of n ≤ 250 sessions",
                                   next_step="For instance daily.turn@20."))
    return PanelFactor(found[1], found[2], n_days)


def panel_exposure(values: FloatArray, cap: FloatArray, universe: BoolArray) -> FloatArray:
    """(S,) exposure, known at the close of the last row of ``values`` (n_days, S).

    The mean over the known values, NaN with fewer than 60 % of them; winsorized at three MADs, minus the cap-weighted mean, over the
    standard deviation, all over the ``universe`` (S,) of the date with a market value ``cap`` (S,), CNY. All NaN on a date with fewer than ten
    known universe stocks, or without spread.

    >>> panel_exposure(np.array([[1.0, 3.0] * 5]), np.ones(10), np.ones(10, dtype=bool))[:2].tolist()
    [-1.0, 1.0]
    """
    known = np.isfinite(values)
    enough = known.mean(axis=0) >= MIN_SHARE
    total = np.where(known, values, 0.0).sum(axis=0)
    mean = np.divide(total, known.sum(axis=0), out=np.full(values.shape[1], np.nan), where=enough)
    return np.asarray(standardize(mean[None], cap[None], universe[None])[0], dtype=np.float64)
