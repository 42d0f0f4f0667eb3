"""Industry codes and dummies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, sentence

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def encode_industries(names: npt.ArrayLike, known: tuple[str, ...] | None = None) -> tuple[IntArray, tuple[str, ...]]:
    """Codes 0 … G − 1 of the same shape (−1 = unknown: None, NaN or empty) and the G names that they stand for.

    ``known`` fixes names and their order, so that codes of different days agree; without it they are the sorted names found.

    Raises
    ------
    BadInput : a name that ``known`` lacks.

    >>> codes, names = encode_industries(["Steel", None, "Banks"])
    >>> codes.tolist(), names
    ([1, -1, 0], ('Banks', 'Steel'))
    """
    labels = np.asarray(names, dtype=object)
    flat = labels.reshape(-1)
    present = np.array([isinstance(label, str) and label != "" for label in flat], dtype=bool)
    found = sorted(set(flat[present]))
    order = tuple(found) if known is None else known
    strangers = sorted(set(found) - set(order))
    if strangers:
        raise BadInput(
            sentence("industry names that are not in the scheme", where="encode_industries", got=", ".join(strangers),
                     expected=f"one of {', '.join(order)}")
        )
    code = {name: number for number, name in enumerate(order)}
    codes = np.full(flat.shape, -1, dtype=np.int64)
    codes[present] = [code[label] for label in flat[present]]
    return codes.reshape(labels.shape), order


def industry_dummies(codes: npt.ArrayLike, n_industries: int) -> FloatArray:
    """(…, S, G) exposures: 1 in the stock's own industry, 0 elsewhere; a row of zeros for an unknown industry (−1).

    Raises
    ------
    BadInput : a code outside −1 … G − 1.

    >>> industry_dummies([1, -1, 0], 2).tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    """
    numbers = np.asarray(codes, dtype=np.int64)
    if numbers.size and (numbers.min() < -1 or numbers.max() >= n_industries):
        raise BadInput(
            sentence("industry codes outside the scheme", where="industry_dummies", got=f"{numbers.min()} to {numbers.max()}",
                     expected=f"-1 to {n_industries - 1}")
        )
    return np.asarray(numbers[..., None] == np.arange(n_industries), dtype=np.float64)
