"""Groups of a score against the equal-weight universe, over the whole range and over its last part."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline import returns as series
from alpha_pipeline.errors import NotEnoughData, sentence
from alpha_pipeline.factors.layers import LayerResult


def hedged_groups(layers: LayerResult, dates: npt.ArrayLike, since: str = "") -> pd.DataFrame:
    """``group`` (1 = highest scores), ``annual_hedged``, ``turnover_one_sided`` from ``since`` (ISO date; empty: from the start).

    ``annual_hedged`` : daily return of the group minus that of the equal-weight pool, compounded, a year of 252 days. ``turnover_one_sided`` :
    mean over rebalances traded on or after ``since`` without the purchase from cash, half of Σ|w_new − w_drifted|; NaN when there is none.
    ``dates`` (D,) : all dates of the test, of which the returns cover those from ``layers.start`` on.

    Raises :class:`NotEnoughData` when no date is left. Source: MULTIMODEL, figures 8, 9, 14 and 15.
    """
    days = np.asarray(dates).astype("datetime64[D]")
    kept = days[layers.start :] >= np.datetime64(since or "0001-01-01", "D")
    if not kept.any():
        raise NotEnoughData(sentence("no date is left", where="hedged_groups", got=f"since {since}", expected=f"at most {days[-1]}"))
    returns = layers.returns[kept]
    traded = days[np.minimum(layers.counts["trade_date"].to_numpy() + 1, len(days) - 1)]
    later = layers.turnover[1:][traded[1:] >= np.datetime64(since or "0001-01-01", "D")]
    return pd.DataFrame({
        "group": np.arange(1, returns.shape[1]),
        "annual_hedged": [series.annualized_excess_return(returns[:, k], returns[:, 0]) for k in range(1, returns.shape[1])],
        "turnover_one_sided": later[:, 1:].mean(axis=0) / 2.0 if len(later) else np.full(returns.shape[1] - 1, np.nan),
    })


def group_name(group: int, n_groups: int) -> str:
    """As the report calls its groups.

    >>> [group_name(k, 20) for k in (1, 2, 20)]
    ['Top', 'Grp02', 'Bottom']
    """
    return "Top" if group == 1 else "Bottom" if group == n_groups else f"Grp{group:02d}"
