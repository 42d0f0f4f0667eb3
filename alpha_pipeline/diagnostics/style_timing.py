"""Does a portfolio lean into the styles that then pay? Active exposures at rebalances against the style returns that follow.

A rebalance decided at the close of session t trades on t + 1. Its style return is that of the five sessions t + 1 … t + 5, so a row is
known five sessions after its rebalance: for looking back, never for deciding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.cross_section import MAD_TO_STD
from alpha_pipeline.errors import InvalidSpec, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]

HORIZON = 5  # sessions
TAIL_AT = 2.5  # robust standard deviations: a normal variable has 1.2 % beyond, and the report names 5 of about 350 rebalances
KINDS = ("", "tail loss", "tail gain")


def active_exposures(weights: npt.ArrayLike, benchmark_weights: npt.ArrayLike, exposures: npt.ArrayLike) -> FloatArray:
    """(R, K) Σ (w − w_b) x of R rebalances and K styles.

    ``weights``, ``benchmark_weights`` : (R, S) decimals. ``exposures`` : (R, S, K). A name without an exposure counts as 0, the exposure
    of the cap-weighted market.

    >>> active_exposures([[0.6, 0.4]], [[0.5, 0.5]], [[[1.0], [-1.0]]]).round(6).tolist()
    [[0.2]]
    """
    held, base, x = (np.asarray(a, dtype=np.float64) for a in (weights, benchmark_weights, exposures))
    if held.shape != base.shape or x.shape[:-1] != held.shape:
        raise Misaligned(sentence("weights and exposures do not fit", where="active_exposures", got=(base.shape, x.shape), expected=held.shape))
    return np.asarray(np.einsum("rs,rsk->rk", held - base, np.nan_to_num(x)), dtype=np.float64)


def following_returns(daily: npt.ArrayLike, rows: Sequence[int], horizon: int = HORIZON) -> FloatArray:
    """(R, K) compounded factor return of the ``horizon`` sessions after each row of ``daily`` (D, K); NaN where the data end before.

    >>> following_returns([[0.5], [0.1], [0.1], [0.0]], [0, 2], horizon=2).round(4).tolist()
    [[0.21], [nan]]
    """
    returns = np.asarray(daily, dtype=np.float64)
    if horizon < 1:
        raise InvalidSpec(sentence("horizon must be positive", where="following_returns", got=horizon, expected=">= 1 session"))
    result = np.full((len(rows), returns.shape[1]), np.nan)
    for at, row in enumerate(rows):
        if row + horizon < len(returns):
            result[at] = np.prod(1.0 + returns[row + 1: row + 1 + horizon], axis=0) - 1.0
    return result


def style_timing(dates: npt.ArrayLike, exposure: npt.ArrayLike, style_return: npt.ArrayLike) -> pd.DataFrame:
    """One row per rebalance: trade_date, active_exposure, style_return, outlier.

    ``outlier`` by a stated rule *(ours; the report picks its five by eye)*: the style return lies beyond median ± 2.5 · 1.4826 · MAD of all
    rebalances. It is a ``tail loss`` where the exposure had the opposite sign, else a ``tail gain``; an empty text otherwise.
    Rows without a style return are left out.

    Source: RISKCONTROL, figure 27.
    """
    days = np.asarray(dates).astype("datetime64[D]").astype("datetime64[s]")
    active, returns = np.asarray(exposure, dtype=np.float64), np.asarray(style_return, dtype=np.float64)
    if not days.shape == active.shape == returns.shape:
        raise Misaligned(sentence("exposures and returns do not fit the dates", where="style_timing", got=(active.shape, returns.shape),
                                  expected=days.shape))
    known = ~(np.isnan(active) | np.isnan(returns))
    days, active, returns = days[known], active[known], returns[known]
    middle = np.median(returns) if len(returns) else 0.0
    width = TAIL_AT * MAD_TO_STD * float(np.median(np.abs(returns - middle))) if len(returns) else 0.0
    beyond = (np.abs(returns - middle) > width) & (width > 0)
    kind = np.where(beyond, np.where(active * returns < 0, KINDS[1], KINDS[2]), KINDS[0])
    return pd.DataFrame({"trade_date": days, "active_exposure": active, "style_return": returns, "outlier": kind.astype(object)})


def timing_summary(timing: pd.DataFrame) -> dict[str, float | int | str]:
    """n_rebalances, correlation, correlation_without_losses (tail losses left out), mean_exposure, and the outliers' dates as text.

    A correlation of fewer than three rebalances, or without spread, is NaN.
    """
    losses, gains = (timing["outlier"] == kind for kind in KINDS[1:])
    return {
        "n_rebalances": len(timing), "correlation": _correlation(timing), "correlation_without_losses": _correlation(timing[~losses]),
        "mean_exposure": float(timing["active_exposure"].mean()) if len(timing) else float("nan"),
        "tail_losses": _dates(timing[losses]), "tail_gains": _dates(timing[gains]),
    }


def _correlation(timing: pd.DataFrame) -> float:
    x, y = timing["active_exposure"].to_numpy(), timing["style_return"].to_numpy()
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _dates(timing: pd.DataFrame) -> str:
    return ", ".join(str(day)[:10] for day in timing["trade_date"])
