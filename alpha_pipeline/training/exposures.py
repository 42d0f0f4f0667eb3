"""Exposures of stocks to styles and industries, as the loss and some networks need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from alpha_pipeline.digest import combine, content_hash, digest
from alpha_pipeline.errors import BadInput, Misaligned, sentence

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Exposures:
    """Exposures of some dates.

    Parameters
    ----------
    values : (P, S, E) float32, row *t* known at the close of *t*, NaN where unknown. No constant.
    names : (E,).
    dates : (P,) indices into the date axis of the rows of ``values``; by default 0 … P − 1.
    n_dates : length of the date axis; by default P.

    Raises
    ------
    Misaligned : numbers of names or dates that differ. BadInput : not float32, or infinite.
    """

    def __init__(self, values: FloatArray, names: tuple[str, ...], dates: Sequence[int] | None = None, n_dates: int | None = None) -> None:
        held = np.arange(len(values)) if dates is None else np.asarray(dates, dtype=np.int64)
        if values.ndim != 3 or values.shape[2] != len(names) or not names or len(held) != len(values):
            raise Misaligned(sentence("exposures have the wrong shape", where="Exposures", got=values.shape,
                                      expected=f"({len(held)} dates, stocks, {len(names)} names)"))
        if values.dtype != np.float32 or np.isinf(values).any():
            raise BadInput(sentence("exposures must be float32 and finite, NaN where unknown", where="Exposures", got=values.dtype))
        self.values, self.names = values, names
        self._row = np.full(len(values) if n_dates is None else n_dates, -1)
        self._row[held] = np.arange(len(values))

    @property
    def shape(self) -> tuple[int, int]:
        """(D, S) of the axes it belongs to."""
        return len(self._row), self.values.shape[1]

    def known(self, date_index: int) -> BoolArray:
        """(S,) True for the stocks of which every exposure is known on that date; nobody's are on a date it does not hold."""
        row = self._row[date_index]
        if row < 0:
            return np.zeros(self.values.shape[1], dtype=bool)
        return np.isfinite(self.values[row]).all(axis=1)

    def of(self, date_index: int | IntArray, columns_N: IntArray) -> FloatArray:
        """(N, E) of these stocks on that date, or on a date each."""
        return self.values[self._row[date_index], columns_N]

    def digest(self) -> str:
        """Hash of names, dates and bits."""
        return combine([digest(self.names), *(content_hash(np.ascontiguousarray(part).tobytes()) for part in (self._row, self.values))])


def present(exposures_NE: Tensor) -> Tensor:
    """Without the columns that are 0 for all of these stocks: industries that none of them is in.

    So the numbers of a date do not depend on industries that appear later.
    """
    return exposures_NE[:, (exposures_NE != 0).any(dim=0)]
