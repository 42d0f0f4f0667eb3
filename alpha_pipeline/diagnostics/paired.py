"""Two scores on the same dates: how much better one of them is, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import Misaligned, NotEnoughData, sentence
from alpha_pipeline.factors.ic import newey_west_se
from alpha_pipeline.returns import DAYS_PER_YEAR

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Difference:
    """Mean of a − b over the dates that both have, its Newey–West standard error, and the 95 % interval mean ± 1.96 standard errors."""

    first: float
    second: float
    difference: float
    standard_error: float
    low: float
    high: float
    n_dates: int
    lags: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_difference(first: npt.ArrayLike, second: npt.ArrayLike, *, lags: int | None = None) -> Difference:
    """:class:`Difference` of two series of one number per date (RankIC, daily return); dates on which either is NaN are left out of both.

    ``lags`` None takes ⌊4 (n / 100)^(2/9)⌋; give at least the overlap of the periods that the numbers look at. Pairing matters: what moves both
    scores together, the market's mood, is in neither interval.

    Raises
    ------
    Misaligned : series of different length. NotEnoughData : fewer than two common dates.

    >>> found = paired_difference([0.12, 0.10, 0.14, float("nan")], [0.10, 0.10, 0.10, 0.30], lags=0)
    >>> round(found.difference, 4), found.n_dates
    (0.02, 3)
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise Misaligned(sentence("series to compare differ", where="paired_difference", got=b.shape, expected=a.shape))
    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < 2:
        raise NotEnoughData(sentence("a comparison needs two common dates", where="paired_difference", got=n))
    used = min(int(4 * (n / 100) ** (2 / 9)) if lags is None else lags, n - 1)
    gap = a[both] - b[both]
    error, mean = newey_west_se(gap, used), float(gap.mean())
    return Difference(float(a[both].mean()), float(b[both].mean()), mean, error, mean - Z_95 * error, mean + Z_95 * error, n, used)


def annual_difference(first: npt.ArrayLike, second: npt.ArrayLike, *, lags: int | None = None) -> Difference:
    """The same of daily returns, a year: means, error and interval times 252 (arithmetic, unlike the compounded returns of the tables)."""
    daily = paired_difference(first, second, lags=lags)
    year = float(DAYS_PER_YEAR)
    return Difference(year * daily.first, year * daily.second, year * daily.difference, year * daily.standard_error, year * daily.low,
                      year * daily.high, daily.n_dates, daily.lags)
