"""Weighting of many factors by boosted trees (LightGBM): factors of a stock and date in, expected standardized label out.

The trees see one row per stock and date. They stop growing when the mean IC of the validation dates, which come after the training dates, has
not improved for a while, and are cut back to the best round. Missing factors are a value of their own to a tree; nothing is filled in.

Equal rows, settings and seed give the same trees on any number of cores: histograms are built feature by feature, each by one thread in the order
of the rows, sums over rows are not split among threads (``deterministic``), and the stopping rule is computed here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import InvalidSpec, Misaligned, NotEnoughData, sentence

if TYPE_CHECKING:
    import lightgbm

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TreeSettings:
    """Settings of the trees; all ours, the report gives none.

    ``min_leaf`` stocks × dates in a leaf; ``feature_share`` of the features is drawn for each tree; ``patience`` rounds without a better
    validation IC end the training; the seed of run number i is ``seed`` + i.
    """

    max_rounds: int = 300
    learning_rate: float = 0.05
    n_leaves: int = 31
    min_leaf: int = 200
    feature_share: float = 0.5
    l2: float = 1.0
    n_bins: int = 63
    patience: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("max_rounds", 1), ("n_leaves", 2), ("min_leaf", 1), ("n_bins", 2), ("patience", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InvalidSpec(sentence(f"{name} is too small", where="TreeSettings", got=getattr(self, name), expected=f">= {least}"))
        if not 0 < self.learning_rate <= 1 or not 0 < self.feature_share <= 1 or self.l2 < 0:
            raise InvalidSpec(sentence("no such trees", where="TreeSettings", expected="learning_rate and feature_share in (0, 1], l2 >= 0",
                                       got=f"learning_rate {self.learning_rate}, feature_share {self.feature_share}, l2 {self.l2}"))


@dataclass(frozen=True, eq=False)
class Rows:
    """Stocks × dates: ``x`` (n, K) float32, NaN = missing; ``y`` (n,) standardized labels; ``dates`` (n,) rising numbers of their dates."""

    x: npt.NDArray[np.float32]
    y: FloatArray
    dates: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.dates):
            raise Misaligned(sentence("rows do not fit together", where="Rows", got=f"{len(self.x)}, {len(self.y)}, {len(self.dates)}"))


@dataclass(frozen=True, eq=False)
class FittedTrees:
    """``text``: the model as LightGBM writes it, cut at ``best_round``. ``valid_ic`` (rounds,): the curve. ``gain`` (K,): total reduction of the
    squared error by each feature's splits."""

    text: str
    best_round: int
    valid_ic: FloatArray
    gain: FloatArray


def fit_trees(train: Rows, valid: Rows, names: Sequence[str], settings: TreeSettings, run: int = 0, n_threads: int = 0) -> FittedTrees:
    """Regression of the label on the features; see the module. ``n_threads`` 0: as many as OpenMP gives; the result does not depend on it.

    Raises :class:`NotEnoughData` when a part has no row or the training rows are too few for two leaves.
    """
    import lightgbm

    if len(train.x) < 2 * settings.min_leaf or not len(valid.x):
        raise NotEnoughData(sentence("too few rows for a tree", where="lightgbm", got=f"{len(train.x)} to train, {len(valid.x)} to validate",
                                     expected=f"at least {2 * settings.min_leaf} and 1"))
    parameters: dict[str, Any] = {
        "objective": "regression", "metric": "None", "learning_rate": settings.learning_rate, "num_leaves": settings.n_leaves,
        "min_data_in_leaf": settings.min_leaf, "feature_fraction": settings.feature_share, "lambda_l2": settings.l2, "max_bin": settings.n_bins,
        "seed": settings.seed + run, "deterministic": True, "force_col_wise": True, "num_threads": n_threads, "verbosity": -1,
    }
    columns = [f"c{k}" for k in range(len(names))]  # LightGBM refuses some characters in names; ours stay outside
    data = lightgbm.Dataset(train.x, label=train.y, feature_name=columns, params=parameters, free_raw_data=True)
    held = lightgbm.Dataset(valid.x, label=valid.y, feature_name=columns, params=parameters, reference=data)
    curve: list[float] = []

    def evaluate(prediction: FloatArray, _: Any) -> tuple[str, float, bool]:
        curve.append(mean_ic(prediction, valid.y, valid.dates))
        return "ic", curve[-1], True

    booster = lightgbm.train(parameters, data, settings.max_rounds, valid_sets=[held], valid_names=["valid"], feval=evaluate,
                             callbacks=[lightgbm.early_stopping(settings.patience, verbose=False)])
    best = int(np.argmax(curve)) + 1
    # the text repeats the parameters, and the number of threads is none of the model's
    text = re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", booster.model_to_string(num_iteration=best))
    return FittedTrees(text, best, np.array(curve),
                       np.asarray(booster.feature_importance("gain", iteration=best), dtype=np.float64))


def stored_trees(text: str) -> lightgbm.Booster:
    """The model of a stored text, read once for all the dates it scores."""
    import lightgbm

    return lightgbm.Booster(model_str=text)


def predict_trees(trees: lightgbm.Booster, x: npt.NDArray[np.float32], n_threads: int = 0) -> FloatArray:
    """(n,) predictions; each row's depends on that row alone."""
    if not len(x):
        return np.zeros(0)
    return np.asarray(trees.predict(x, num_threads=n_threads), dtype=np.float64)


def mean_ic(prediction: npt.ArrayLike, label: npt.ArrayLike, dates: npt.NDArray[np.int64]) -> float:
    """Mean over the dates of the correlation of predictions and labels; a date without spread counts 0.

    ``dates`` rise. Summed date by date in the order of the rows, so the number is the same everywhere.

    >>> mean_ic([1.0, 2.0, 5.0, 5.0], [10.0, 20.0, 1.0, 2.0], np.array([0, 0, 1, 1]))
    0.5
    """
    p, y = np.asarray(prediction, dtype=np.float64), np.asarray(label, dtype=np.float64)
    begins = np.flatnonzero(np.r_[True, dates[1:] != dates[:-1]])
    found = []
    for start, stop in zip(begins, np.r_[begins[1:], len(dates)], strict=True):
        a, b = p[start:stop] - p[start:stop].mean(), y[start:stop] - y[start:stop].mean()
        spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
        found.append(float((a * b).sum()) / spread if spread > 1e-12 * (1.0 + float(np.abs(p[start:stop]).max())) else 0.0)
    return float(np.round(sum(found) / len(found), 15))
