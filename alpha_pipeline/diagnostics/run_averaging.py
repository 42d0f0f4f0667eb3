"""What averaging independent trainings does to correlations and to the IC: predicted from single runs, and as it turned out.

Shapes: M models, R runs, D dates, S stocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.backtest.robustness import bootstrap_interval
from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.factors.averaging import averaged_ic, averaged_pair_correlation
from alpha_pipeline.factors.ic import ic

FloatArray = npt.NDArray[np.float64]


def correlation_by_date(runs: Mapping[str, Sequence[npt.ArrayLike]], *, min_stocks: int = 10) -> dict[tuple[str, str], FloatArray]:
    """(model, model) → (D,) cross-sectional correlation of single runs, mean over all pairs of one run of each; the pair of a model with itself
    is the mean over its pairs of *different* runs. Both orders of a pair are not kept: the first model of a key comes first in ``runs``.

    Raises :class:`InvalidSpec` for a model with a single run, whose chance cannot be told.
    """
    short = [name for name, members in runs.items() if len(members) < 2]
    if short:
        raise InvalidSpec(sentence("a model has a single run", where="correlation_by_date", got=short[0], expected="two runs or more"))
    names = list(runs)
    found = {}
    for i, first in enumerate(names):
        for second in names[i:]:
            pairs = [(a, b) for j, a in enumerate(runs[first]) for k, b in enumerate(runs[second]) if first != second or j < k]
            found[first, second] = np.mean([ic(a, b, min_stocks=min_stocks) for a, b in pairs], axis=0)
    return found


def averaging_identity(
    single: Mapping[tuple[str, str], FloatArray], realized: Mapping[tuple[str, str], FloatArray], n_runs: int, *,
    mean_block: float = 10.0, n_samples: int = 500, seed: int = 0,
) -> pd.DataFrame:
    """One row per pair of models: ``first``, ``second``, ``single`` ρ_ij, ``predicted`` ρ̄_ij of the identity from the means over dates, as from a
    published table, ``by_date`` the mean of the predictions of each date, ``realized``, ``difference`` (by_date − realized) and its 95 %
    interval ``low`` … ``high`` from a stationary block bootstrap over dates.

    ``single`` : of :func:`correlation_by_date`; ``realized`` : (D,) correlation of the run-averaged scores, per pair. Dates on which any of the
    four numbers of a pair is NaN are left out of it. Averages of z-scored runs satisfy the identity on each date exactly when all pairs of runs
    correlate alike; the difference is what they do not. ``predicted`` is further off where correlations change from date to date.

    Source: MULTIMODEL, figures 10 and 11; the identity is ours.
    """
    table = []
    for (first, second), values in realized.items():
        rows = np.column_stack([single[first, second], single[first, first], single[second, second], values])
        rows = rows[np.isfinite(rows).all(axis=1)]
        between, within_a, within_b, averaged = rows.mean(axis=0)
        by_date = np.array([averaged_pair_correlation(ij, ii, jj, n_runs) for ij, ii, jj, _ in rows])
        gap = bootstrap_interval((by_date - rows[:, 3])[:, None], lambda part: float(part.mean()), mean_block=mean_block, n_samples=n_samples,
                                 seed=seed)
        table.append({
            "first": first, "second": second, "single": float(between),
            "predicted": averaged_pair_correlation(between, within_a, within_b, n_runs), "by_date": float(by_date.mean()),
            "realized": float(averaged), "difference": gap.estimate, "low": gap.low, "high": gap.high,
        })
    return pd.DataFrame(table, columns=["first", "second", "single", "predicted", "by_date", "realized", "difference", "low", "high"])


def predicted_ic_row(name: str, parts: Sequence[float], correlation: float, realized: float) -> dict[str, float | str]:
    """``score``, ``n_scores``, ``mean_ic`` of the parts, their ``correlation``, ``predicted`` IC of their mean, ``realized``, ``gain_predicted``
    and ``gain_realized`` (ratios to the mean of the parts).

    A mean correlation below 0 is out of the formula's reach: predicted NaN. Source: MULTIMODEL, section 4.1.

    >>> row = predicted_ic_row("rct_v1", [0.10, 0.10], 0.5, 0.11)
    >>> round(row["predicted"], 4), round(row["gain_realized"], 2)
    (0.1155, 1.1)
    """
    mean = float(np.mean(parts))
    predicted = averaged_ic(mean, correlation, len(parts)) if 0 <= correlation <= 1 else float("nan")
    return {"score": name, "n_scores": len(parts), "mean_ic": mean, "correlation": correlation, "predicted": predicted, "realized": realized,
            "gain_predicted": predicted / mean, "gain_realized": realized / mean}
