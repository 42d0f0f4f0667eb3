"""How stable a factor is from one test date to the next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import NotEnoughData, sentence
from alpha_pipeline.factors.ic import rank_ic

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def factor_autocorrelation(scores: npt.ArrayLike, *, mask: BoolArray | None = None, min_stocks: int = 10) -> FloatArray:
    """(T − 1,) rank correlation of each test date's scores with those one test date earlier, over names present on both.

    ``scores`` : (T, S), one row per **test date** (not per trade date); each value is known at the later date's close.
    ``mask`` : (T, S); a name counts if it is in the mask on both dates. Fewer than ``min_stocks`` pairs give NaN. The mean of
    the result is the factor's autocorrelation: near 1 for a slow factor, and then turnover is low.

    Raises
    ------
    NotEnoughData : fewer than two test dates.

    Source: ATTENTION, table of factor autocorrelation.

    >>> factor_autocorrelation([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [3.0, 1.0, 2.0]], min_stocks=3).tolist()
    [0.5, -1.0]
    """
    values = np.asarray(scores, dtype=np.float64)
    if len(values) < 2:
        raise NotEnoughData(sentence("autocorrelation needs two test dates", where="factor_autocorrelation", got=len(values)))
    both = None if mask is None else np.asarray(mask)[1:] & np.asarray(mask)[:-1]
    return rank_ic(values[1:], values[:-1], mask=both, min_stocks=min_stocks)
