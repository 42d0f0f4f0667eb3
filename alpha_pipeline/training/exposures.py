"""Exposures of stocks to styles and industries, as the loss and some networks need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from alpha_pipeline.digest import combine, content_hash, digest
from alpha_pipeline.errors import BadInput, Misaligned, sentence

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Exposures:
    """``values`` (D, S, E) float32, row *t* known at the close of *t*, NaN where unknown; ``names`` (E,). Without a constant.

    Raises
    ------
    Misaligned : another number of names. BadInput : not float32, or infinite.
    """

    values: FloatArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[2] != len(self.names) or not self.names:
            raise Misaligned(sentence("exposures have the wrong shape", where="Exposures", got=self.values.shape,
                                      expected=f"(dates, stocks, {len(self.names)})"))
        if self.values.dtype != np.float32 or np.isinf(self.values).any():
            raise BadInput(sentence("exposures must be float32 and finite, NaN where unknown", where="Exposures", got=self.values.dtype))

    def known(self, date_index: int) -> BoolArray:
        """(S,) True for the stocks of which every exposure is known on that date."""
        return np.isfinite(self.values[date_index]).all(axis=1)

    def digest(self) -> str:
        """Hash of names and bits."""
        return combine([digest(self.names), content_hash(np.ascontiguousarray(self.values).tobytes())])


def present(exposures_NE: Tensor) -> Tensor:
    """Without the columns that are 0 for all of these stocks: industries that none of them is in.

    So the numbers of a date do not depend on industries that appear later.
    """
    return exposures_NE[:, (exposures_NE != 0).any(dim=0)]
