"""The linear baseline that every network is measured against: a plain blend of published price-volume factors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import winsorize_mad, zscore

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

REVERSAL_DAYS = 10
VOLATILITY_DAYS = 20
TURNOVER_DAYS = 20
TURNOVER_BASE_DAYS = 240
MIN_BASE_DAYS = 60
HISTORY_DAYS = TURNOVER_BASE_DAYS

COMPONENTS = ("reversal", "low_volatility", "low_abnormal_turnover")


def price_volume_components(close_DS: FloatArray, turn_DS: FloatArray) -> dict[str, FloatArray]:
    """The three factors of the last date, each (S,), higher = expected to earn more; NaN where the history is too short.

    ``close_DS`` adjusted closes and ``turn_DS`` daily turnover of the last sessions, oldest first; at least 21 rows. Known at the close of the
    last one.

    * reversal: −(close[t] / close[t−10] − 1)
    * low volatility: −standard deviation of the last 20 daily returns
    * low abnormal turnover: −ln(mean turnover of 20 days / mean turnover of up to 240 days, at least 60)
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        reversal = -(close_DS[-1] / close_DS[-1 - REVERSAL_DAYS] - 1.0)
        returns = close_DS[-VOLATILITY_DAYS:] / close_DS[-VOLATILITY_DAYS - 1: -1] - 1.0
        volatility = -returns.std(axis=0, ddof=1)
        base = turn_DS[-TURNOVER_BASE_DAYS:]
        known = ~np.isnan(base)
        n_known = known.sum(axis=0)
        mean_base = np.where(n_known >= MIN_BASE_DAYS, np.where(known, base, 0.0).sum(axis=0) / np.maximum(n_known, 1), np.nan)
        ratio = turn_DS[-TURNOVER_DAYS:].mean(axis=0) / mean_base
        abnormal = -np.log(np.where(ratio > 0, ratio, np.nan))
    return dict(zip(COMPONENTS, (reversal, volatility, abnormal), strict=True))


def equal_weight(components: dict[str, FloatArray], universe_S: BoolArray) -> FloatArray:
    """Mean of the winsorized, z-scored components over the universe, (S,); NaN where any component is missing."""
    standard = [zscore(winsorize_mad(values, mask=universe_S), mask=universe_S) for values in components.values()]
    return np.mean(standard, axis=0)
