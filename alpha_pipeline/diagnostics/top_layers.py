"""First layers of several factors side by side: does a factor fall with the styles it leans on, and does its neutralized version?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline import returns as series
from alpha_pipeline.factors.layers import layer_returns
from alpha_pipeline.factors.periods import select_test_dates

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TopLayers:
    """``relative`` : trade_date and, per factor, the NAV of its first layer relative to the pool, Π(1 + r_1 − r_base). ``summary`` : one row
    per factor: factor, top_annual_excess, top_ir, top_max_drawdown, worst_start, worst_end (peak and trough of that drawdown)."""

    relative: pd.DataFrame
    summary: pd.DataFrame


def top_layers(
    factors: Mapping[str, npt.ArrayLike], dates: npt.ArrayLike, close: npt.ArrayLike, vwap: npt.ArrayLike, pool: BoolArray, *,
    n_layers: int = 10, every: int = 10, test_indices: Sequence[int] | None = None,
) -> TopLayers:
    """:class:`TopLayers` of factors given as they are to be sorted: high values first, treated already.

    ``factors`` : (D, S) each; ``pool`` : (D, S) universe and **test-only** filter (tradable on t + 1). Layers are formed every ``every`` sessions
    from the first, traded at the next session's vwap, without cost; all factors share the equal-weight pool as base.

    Source: RISKCONTROL, figure 19 (10 layers, every 10 sessions, no cost).
    """
    days = np.asarray(dates).astype("datetime64[D]")
    tests = list(test_indices) if test_indices is not None else select_test_dates(days, every)
    relative: dict[str, FloatArray] = {}
    rows = []
    start = 0
    for name, factor in factors.items():
        result = layer_returns(factor, close, vwap, tests, n_layers=n_layers, mask=pool)
        top, base = result.returns[:, 1], result.returns[:, 0]
        start = result.start
        nav = series.excess_nav(top, base)
        relative[name] = nav
        peak = np.maximum.accumulate(np.maximum(nav, 1.0))
        trough = int(np.argmax(1.0 - nav / peak))
        before = np.flatnonzero(nav[: trough + 1] >= peak[trough])
        rows.append({
            "factor": name, "top_annual_excess": series.annualized_excess_return(top, base), "top_ir": series.information_ratio(top, base),
            "top_max_drawdown": series.max_drawdown(nav), "worst_start": str(days[start + before[-1]]) if len(before) else str(days[start - 1]),
            "worst_end": str(days[start + trough]),
        })
    return TopLayers(pd.DataFrame({"trade_date": days[start:].astype("datetime64[s]"), **relative}), pd.DataFrame(rows))
