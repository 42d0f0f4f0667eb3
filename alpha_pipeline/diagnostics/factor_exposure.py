"""What a factor is like: its correlation with styles, what its extremes are exposed to, and how crowded they are, date by date.

Shapes: D dates, S stocks. Row t of everything is known at the close of t, and so is row t of a result.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import InvalidSpec, Misaligned, sentence
from alpha_pipeline.factors.ic import ic

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EXTREME_SHARE = 0.05  # RISKCONTROL: top and bottom 5 % of names


def style_correlations(
    factor: npt.ArrayLike, dates: npt.ArrayLike, styles: Mapping[str, npt.ArrayLike], *, mask: BoolArray | None = None, min_stocks: int = 10
) -> pd.DataFrame:
    """trade_date and, per style, the cross-sectional (Pearson) correlation of the factor with it.

    ``factor``, each style, ``mask`` : (D, S). Names with NaN on either side are left out of that pair; fewer than ``min_stocks`` give NaN.

    Raises :class:`Misaligned` for shapes that differ. Source: RISKCONTROL, figures 16 and 17.

    >>> style_correlations([[1.0, 2.0, 3.0]], ["2024-01-02"], {"size": [[3.0, 2.0, 1.0]]}, min_stocks=3)["size"].round(6).tolist()
    [-1.0]
    """
    days = np.asarray(dates).astype("datetime64[D]")
    columns = {name: ic(factor, style, mask=mask, min_stocks=min_stocks) for name, style in styles.items()}
    if any(len(values) != len(days) for values in columns.values()):
        raise Misaligned(sentence("dates do not fit the factor", where="style_correlations", got=len(days)))
    return pd.DataFrame({"trade_date": days.astype("datetime64[s]"), **columns})


def extremes(factor: npt.ArrayLike, share: float = EXTREME_SHARE, *, mask: BoolArray | None = None) -> tuple[BoolArray, BoolArray]:
    """(D, S) masks of the highest and of the lowest ``share`` of the names that have a factor, ⌊share · n⌋ but at least one of each.

    Equal values are taken in the order of their columns. A date with fewer than two names has none.

    Raises :class:`InvalidSpec` for a share outside (0, 0.5].

    >>> top, bottom = extremes([[1.0, 4.0, 2.0, 3.0, float("nan")]], 0.25)
    >>> top.tolist(), bottom.tolist()
    ([[False, True, False, False, False]], [[True, False, False, False, False]])
    """
    if not 0 < share <= 0.5:
        raise InvalidSpec(sentence("share of extreme names", where="extremes", got=share, expected="above 0, up to 0.5"))
    values = np.array(factor, dtype=np.float64)
    if mask is not None:
        values[~_fitting(mask, values, "mask").astype(bool)] = np.nan
    top, bottom = np.zeros(values.shape, dtype=bool), np.zeros(values.shape, dtype=bool)
    for row in range(len(values)):
        present = np.flatnonzero(~np.isnan(values[row]))
        if len(present) < 2:
            continue
        n = max(1, int(share * len(present) + 1e-9))
        order = present[np.argsort(values[row, present], kind="stable")]
        highest = present[np.argsort(-values[row, present], kind="stable")]
        top[row, highest[:n]] = True
        bottom[row, order[:n]] = True
    return top, bottom


def extreme_means(
    factor: npt.ArrayLike, values: npt.ArrayLike, share: float = EXTREME_SHARE, *, mask: BoolArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """(D,) means of ``values`` (D, S) over the top and over the bottom ``share`` by factor; NaN where no such name has a value.

    With size exposures this is the size of a factor's long and short side. Source: RISKCONTROL, figure 18.

    >>> [x.tolist() for x in extreme_means([[1.0, 2.0, 3.0, 4.0]], [[9.0, 8.0, 7.0, 5.0]], 0.25)]
    [[5.0], [9.0]]
    """
    scores = np.asarray(factor, dtype=np.float64)
    measured = _fitting(values, scores, "values").astype(np.float64)
    top, bottom = extremes(scores, share, mask=mask)
    return _masked_mean(measured, top), _masked_mean(measured, bottom)


def crowding(
    factor: npt.ArrayLike, mean_turnover: npt.ArrayLike, share: float = EXTREME_SHARE, *, mask: BoolArray | None = None
) -> FloatArray:
    """(D,) mean 10-day turnover of the top ``share`` of names over that of the bottom; NaN where the bottom did not trade.

    ``mean_turnover`` : (D, S) each name's mean turnover rate of ten sessions, not its logarithm (``liquidity_10d``).

    Source: RISKCONTROL, figures 21 and 22.

    >>> crowding([[1.0, 2.0, 3.0, 4.0]], [[0.02, 0.01, 0.01, 0.03]], 0.25).tolist()
    [1.5]
    """
    top, bottom = extreme_means(factor, mean_turnover, share, mask=mask)
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _masked_mean(values: FloatArray, mask: BoolArray) -> FloatArray:
    counts = mask & ~np.isnan(values)
    n = counts.sum(axis=1)
    total = np.where(counts, values, 0.0).sum(axis=1)
    return np.divide(total, n, out=np.full(len(values), np.nan), where=n > 0)


def _fitting(array: npt.ArrayLike, factor: FloatArray, name: str) -> npt.NDArray[np.generic]:
    values = np.asarray(array)
    if values.shape != factor.shape:
        raise Misaligned(sentence(f"{name} do not fit the factor", where="factor_exposure", got=values.shape, expected=factor.shape))
    return values
