"""RankIC of a score over several horizons, with and without a day between the score and the return."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.factors.ic import rank_ic, summarize_ic
from alpha_pipeline.features.labels import ForwardReturn, forward_returns

BoolArray = npt.NDArray[np.bool_]

HORIZONS = ((5, 0), (10, 0), (20, 0), (5, 1), (10, 1), (20, 1))
"""(sessions of the return, sessions between the score and its beginning). Source: MULTIMODEL, figures 6, 7, 12 and 13."""


def horizon_name(horizon: int, gap: int) -> str:
    """As the report heads its columns.

    >>> horizon_name(10, 1)
    '10 days, gap 1'
    """
    return f"{horizon} days, gap {gap}"


def rank_ic_series(
    scores: npt.ArrayLike, close: npt.ArrayLike, rows: Sequence[int], *, mask: BoolArray | None = None,
    horizons: Sequence[tuple[int, int]] = HORIZONS, min_stocks: int = 10,
) -> pd.DataFrame:
    """RankIC of the score of each of ``rows`` with close[t + gap + horizon] / close[t + gap] − 1; a column per horizon, a row per test date.

    ``scores``, ``close`` (adjusted), ``mask`` : (D, S). A window that ends beyond the data gives NaN: a last date has a short horizon's RankIC
    and no long one's. The number of a date is known when its window has ended.

    Raises :class:`InvalidSpec` for rows outside the data.
    """
    values, closes = np.asarray(scores, dtype=np.float64), np.asarray(close, dtype=np.float64)
    chosen = np.asarray(rows, dtype=np.int64)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(values)):
        raise InvalidSpec(sentence("test dates lie outside the data", where="rank_ic_series", got=f"{chosen.min()} … {chosen.max()}",
                                   expected=f"0 … {len(values) - 1}"))
    pool = None if mask is None else np.asarray(mask)[chosen]
    columns = {}
    for horizon, gap in horizons:
        later = forward_returns(closes, ForwardReturn(horizon, lag=gap))[chosen]
        columns[horizon_name(horizon, gap)] = rank_ic(values[chosen], later, mask=pool, min_stocks=min_stocks)
    return pd.DataFrame(columns)


def summarize_horizons(series: pd.DataFrame, spacing: int, horizons: Sequence[tuple[int, int]] = HORIZONS) -> pd.DataFrame:
    """One row per horizon: ``horizon``, ``gap``, ``rank_ic_mean``, ``icir`` (mean / std, not annualized), ``t_nw``, ``n_dates``.

    ``series`` : of :func:`rank_ic_series`; ``spacing`` : sessions between two of its dates. Windows longer than that overlap, and the
    Newey–West error takes at least as many lags as they do. A horizon without a date has NaN and ``n_dates`` 0.
    """
    rows = []
    for horizon, gap in horizons:
        values = series[horizon_name(horizon, gap)].to_numpy(dtype=np.float64)
        n = int(np.isfinite(values).sum())
        row: dict[str, float] = {"horizon": horizon, "gap": gap, "rank_ic_mean": np.nan, "icir": np.nan, "t_nw": np.nan, "n_dates": n}
        if n:
            overlap = -(-horizon // spacing) - 1
            found = summarize_ic(values, lags=min(max(overlap, int(4 * (n / 100) ** (2 / 9))), n - 1))
            row |= {"rank_ic_mean": found.mean, "icir": found.icir, "t_nw": found.t_newey_west}
        rows.append(row)
    return pd.DataFrame(rows).astype({"horizon": "int64", "gap": "int64", "n_dates": "int64"})
