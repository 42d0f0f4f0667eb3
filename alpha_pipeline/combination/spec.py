"""A combination as data: which scores and factors become one score, how, and over which past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alpha_pipeline.combination.lightgbm_weighting import TreeSettings
from alpha_pipeline.combination.other_factors import OTHER_FACTORS
from alpha_pipeline.digest import digest
from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.market.universe import UniverseSpec

FITTED = ("lightgbm",)
TRAILING = ("ic_weighted", "max_icir", "premium")
OF_SCORES = ("zscore_mean", "premium")
METHODS = ("zscore_mean", "equal", *TRAILING, *FITTED)


@dataclass(frozen=True)
class CombinationSpec:
    """One score made of several: of models, of earlier combinations of the experiment, and of the factors of ``other_factors``.

    ===============  ============================================================================================================
    method           score of a stock
    ===============  ============================================================================================================
    ``zscore_mean``  mean of the z-scores of the inputs' scores
    ``lightgbm``     trees on all factors of the inputs, one model per half-year and run, fitted on the last ``window_months``
    ``equal``        mean of all factors' z-scores
    ``ic_weighted``  factors weighted by their mean IC of the last ``window_months``
    ``max_icir``     factors weighted for the largest ICIR, covariance of the ICs shrunk by ``shrinkage``
    ``premium``      Σ factor × mean premium of the last ``window_months`` (regressions of the raw return ``label``)
    ===============  ============================================================================================================

    ``zscore_mean`` and ``premium`` take the ensembles' scores. The others weight factors: the K factors of a factor unit, or the score of a
    member where a model has no more; run number r takes those of seed r of every input, and the score is the mean z-score over the ``runs``
    (empty: all seeds that the inputs share). ``sample_every``: sessions between two dates of the past that are looked at, ``train_share`` of
    which, the earlier ones, train the trees. Fewer than ``min_months`` of past are an error.
    """

    name: str
    method: str
    inputs: tuple[str, ...]
    runs: tuple[int, ...] = ()
    label: ForwardReturn = ForwardReturn()
    universe: UniverseSpec = UniverseSpec()
    window_months: int = 12
    min_months: int = 6
    sample_every: int = 5
    train_share: float = 0.8
    shrinkage: float = 0.5
    trees: TreeSettings = TreeSettings()

    @property
    def is_fitted(self) -> bool:
        """Whether a half-year has a stored fit."""
        return self.method in FITTED

    @property
    def looks_back(self) -> bool:
        """Whether the weights of a date come from labels of the past."""
        return self.method in (*FITTED, *TRAILING)

    def digest(self) -> str:
        """Hash of all that the scores depend on besides the inputs' own; the name decides nothing."""
        return digest([self.method, self.inputs, self.runs, self.label, self.universe, self.window_months, self.min_months, self.sample_every,
                       self.train_share, self.shrinkage, self.trees])

    def validate(self, models: Mapping[str, Sequence[int]], combinations: Sequence[str]) -> None:
        """Check against the seeds of the experiment's ``models`` by name and the names of the ``combinations`` before this one."""
        where = f"combination '{self.name}'"
        if self.method not in METHODS:
            raise unknown_name("method", self.method, list(METHODS))
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise InvalidSpec(sentence("inputs must be named, once each", where=where, got=", ".join(self.inputs) or "none"))
        for name in self.inputs:
            if name not in (*models, *combinations, *OTHER_FACTORS):
                raise unknown_name(f"input of {where}", name, [*models, *combinations, *OTHER_FACTORS])
            if name in OTHER_FACTORS and (name in models or name in combinations):
                raise InvalidSpec(sentence(f"input '{name}' is both a score and a factor", where=where, next_step="Rename the model or combination."))
            lacking = sorted(set(self.runs) - set(models.get(name, self.runs)))
            if lacking:
                raise InvalidSpec(sentence(f"model '{name}' has no seed {lacking[0]}", where=where, got=f"runs {self.runs}",
                                           expected=f"some of its seeds {tuple(models[name])}"))
        if len(set(self.runs)) != len(self.runs):
            raise InvalidSpec(sentence("a run is named twice", where=where, got=self.runs))
        if self.method not in OF_SCORES and not self.runs and len({tuple(models[name]) for name in self.inputs if name in models}) > 1:
            raise InvalidSpec(sentence("the models have different seeds", where=where, next_step="Say which seeds are the runs: 'runs'."))
        if not 1 <= self.min_months <= self.window_months:
            raise InvalidSpec(sentence("no such window", where=where, got=f"min_months {self.min_months}, window_months {self.window_months}",
                                       expected="1 <= min_months <= window_months"))
        if self.sample_every < 1 or not 0 < self.train_share < 1 or not 0 <= self.shrinkage <= 1:
            raise InvalidSpec(sentence("setting out of range", where=where, expected="sample_every >= 1, 0 < train_share < 1, 0 <= shrinkage <= 1",
                                       got=f"sample_every {self.sample_every}, train_share {self.train_share}, shrinkage {self.shrinkage}"))
