"""Published price-volume factors and the linear blends of them: what a network has to beat before it is worth its name.

All are known at the close of their date, higher = expected to earn more, NaN where the history is too short.

======================  ===============================================================================================
reversal                −(close[t] / close[t−10] − 1)
low_volatility          −standard deviation of the last 20 daily returns
low_turnover            −ln(mean turnover of 20 days)
low_abnormal_turnover   −ln(mean turnover of 10 days / mean turnover of up to 60 days, at least 40)
closing_share           −mean over 20 days of the share of the day's volume that trades in the last half-hour
opening_return          mean over 20 days of (return of the first half-hour − return of the rest of the day)
======================  ===============================================================================================
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.cross_section import winsorize_mad, zscore
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.features.rows import INTRADAY_15M

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NAMES = ("reversal", "low_volatility", "low_turnover", "low_abnormal_turnover", "closing_share", "opening_return")


def published_factors(panels: MarketPanels) -> dict[str, FloatArray]:
    """The factors of :data:`NAMES`, each (n_dates, n_stocks), over all rows of the panels."""
    close = panels.daily.field("close").astype(np.float64)
    turn = panels.daily.field("turn").astype(np.float64)
    bars = panels.intraday_15m.values
    at = {name: INTRADAY_15M.field(name) for name in ("open", "close", "volume")}
    volume = np.asarray(bars[:, :, at["volume"]], dtype=np.float64)
    first_open, ten_o_clock, last = (
        np.asarray(bars[:, step, at[name]], dtype=np.float64) for step, name in ((0, "open"), (1, "close"), (15, "close"))
    )
    returns = np.full(close.shape, np.nan)
    reversal = np.full(close.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns[1:] = close[1:] / close[:-1] - 1.0
        reversal[10:] = 1.0 - close[10:] / close[:-10]
        late = volume[:, 14:].sum(axis=1) / volume.sum(axis=1)
        opening = (ten_o_clock / first_open - 1.0) - (last / ten_o_clock - 1.0)
        traded = np.where(turn > 0, turn, np.nan)
        return {
            "reversal": reversal,
            "low_volatility": -_rolling(returns, 20, 15).std().to_numpy(),
            "low_turnover": -np.log(_rolling(traded, 20, 15).mean().to_numpy()),
            "low_abnormal_turnover": -np.log(
                _rolling(traded, 10, 8).mean().to_numpy() / _rolling(traded, 60, 40).mean().to_numpy()
            ),
            "closing_share": -_rolling(late, 20, 15).mean().to_numpy(),
            "opening_return": _rolling(opening, 20, 15).mean().to_numpy(),
        }


def standardized(factors: dict[str, FloatArray], universe: BoolArray) -> FloatArray:
    """(n_factors, n_dates, n_stocks): winsorized and z-scored over the universe of each date."""
    return np.stack([zscore(winsorize_mad(values, mask=universe), mask=universe) for values in factors.values()])


def trained_weights(standard: FloatArray, labels: FloatArray, rows: npt.NDArray[np.int64]) -> FloatArray:
    """(n_factors,) least-squares weights of the standardized labels on the factors, pooled over the dates ``rows``."""
    x = standard[:, rows].reshape(len(standard), -1)
    y = labels[rows].ravel()
    known = np.isfinite(x).all(axis=0) & np.isfinite(y)
    return np.asarray(np.linalg.lstsq(x[:, known].T, y[known], rcond=None)[0], dtype=np.float64)


def blend(standard: FloatArray, weights: FloatArray) -> FloatArray:
    """(n_dates, n_stocks) weighted sum; NaN where any factor is missing."""
    return np.einsum("k,kds->ds", weights, standard)


def _rolling(values: FloatArray, n_days: int, at_least: int) -> pd.api.typing.Rolling:
    return pd.DataFrame(values).rolling(n_days, min_periods=at_least)
