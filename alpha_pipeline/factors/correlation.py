"""How much several scores have in common, and what averaging them can bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import InvalidSpec, NotEnoughData, sentence
from alpha_pipeline.factors.ic import ic, rank_ic

BoolArray = npt.NDArray[np.bool_]
Method = Literal["pearson", "rank"]


def score_correlation(
    scores: Mapping[str, npt.ArrayLike], *, mask: BoolArray | None = None, method: Method = "pearson", min_stocks: int = 10
) -> pd.DataFrame:
    """Mean over dates of the cross-sectional correlation of each pair of scores; 1 on the diagonal.

    ``scores`` : name → (D, S), all on the same axes. A pair uses the names that both cover; a date with fewer than
    ``min_stocks`` of them is left out of that pair's mean. A pair without any date is NaN.

    Source: MULTIFREQ, correlation matrix of the four models; MULTIMODEL, figure 11.

    >>> a = [[1.0, 2.0, 3.0, 4.0]]
    >>> score_correlation({"a": a, "b": [[4.0, 3.0, 2.0, 1.0]]}, min_stocks=3).loc["a", "b"].round(6)
    np.float64(-1.0)
    """
    return run_correlation({name: [values] for name, values in scores.items()}, mask=mask, method=method, min_stocks=min_stocks)


def run_correlation(
    runs: Mapping[str, Sequence[npt.ArrayLike]], *, mask: BoolArray | None = None, method: Method = "pearson",
    min_stocks: int = 10,
) -> pd.DataFrame:
    """The same for single training runs: ``runs`` holds, per model, the (D, S) scores of its seeds.

    Off the diagonal: mean over all pairs of one run of each model. On the diagonal: mean over pairs of *different* runs of
    the same model, so it says how much chance there is in one training; 1 for a model with a single run.

    Raises
    ------
    NotEnoughData : no scores, or a model without runs. InvalidSpec : unknown method.

    Source: MULTIMODEL, figure 10.
    """
    if not runs or not all(len(members) for members in runs.values()):
        raise NotEnoughData(sentence("a correlation needs at least one run of each model", where="run_correlation"))
    if method not in ("pearson", "rank"):
        raise InvalidSpec(sentence("correlation method", where="run_correlation", got=method, expected="'pearson' or 'rank'"))
    correlate = ic if method == "pearson" else rank_ic
    names = list(runs)
    table = pd.DataFrame(np.nan, index=names, columns=names, dtype=np.float64)
    for i, first in enumerate(names):
        for second in names[: i + 1]:
            pairs = [
                (a, b) for j, a in enumerate(runs[first]) for k, b in enumerate(runs[second]) if first != second or j < k
            ]
            if not pairs:
                table.loc[first, first] = 1.0
                continue
            means = [_mean(correlate(a, b, mask=mask, min_stocks=min_stocks)) for a, b in pairs]
            table.loc[first, second] = table.loc[second, first] = _mean(np.array(means))
    return table


def _mean(values: npt.NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")
