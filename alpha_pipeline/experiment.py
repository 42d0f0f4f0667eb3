"""An experiment as data: which models on which labels and dates, which tests, which portfolios, which report.

The small spec types are owned by the modules that use them; this file only composes them, checks across parts and hashes.
Nothing here runs anything, and nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.backtest.execution import UNFILLED
from alpha_pipeline.backtest.share_orders import ShareRules
from alpha_pipeline.combination.spec import CombinationSpec
from alpha_pipeline.digest import digest
from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.market.schema import INDICES
from alpha_pipeline.market.universe import UNIVERSE_NAMES, UniverseSpec
from alpha_pipeline.portfolio.constraints import CONSTRAINTS, FactorClassBound
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.portfolio.top_n import EQUAL_WEIGHT, TopNSpec
from alpha_pipeline.reporting.inputs import SECTIONS
from alpha_pipeline.risk.panel_factors import is_panel_factor, panel_factor
from alpha_pipeline.risk.style_factors import PRICE_STYLES, REPORT_STYLES
from alpha_pipeline.risk.styles import EXPOSURES
from alpha_pipeline.training.periods import CALENDAR_HALVES, Anchors, WalkForward
from alpha_pipeline.training.spec import TrainingSpec

__all__ = ["BASELINES", "INDUSTRY", "RISK_STYLES", "CombinationSpec", "ExperimentSpec", "ModelSpec", "PortfolioSpec", "SignalSpec", "StudySpec",
           "replace_field"]

Spec = TypeVar("Spec")
INDUSTRY, RISK_STYLES = "industry", "risk_styles"
BASELINES = ("linear_blend", "oracle")
TRADE_PRICES, MODES = ("vwap", "open", "close"), ("weights", "shares")
BENCHMARK_LEVELS = {"price": "close", "total_return": "close_total_return"}  # and the column of index_bars
STORED_ATTRIBUTIONS = ("full", "efficient")  # read the stored risk model
ATTRIBUTIONS = ("compact", *STORED_ATTRIBUTIONS)
COMPACT_STYLES = ("size", "nlsize")  # a portfolio that bounds no other style computes them itself, without the stored risk model


@dataclass(frozen=True)
class ModelSpec:
    """One network with everything its training depends on.

    ``network`` names an entry of ``alpha_pipeline.models.NETWORKS`` and ``settings`` are fields of its configuration that differ from the
    default; ``tensors`` are its inputs (checked against the network before training). ``label_shuffle_seed`` permutes the labels within each
    date: the control that must learn nothing. ``exposures`` are styles of ``risk.styles.EXPOSURES``, "industry" (dummies) and "risk_styles" (all
    styles of the market's stored risk model): what a neutralized loss and networks that need exposures see of each stock. ``label_neutral``, of
    the same names: the winsorized label is regressed on them, date by date with an intercept, before it is standardized; a stock of which one is
    unknown has no label.
    """

    name: str
    network: str
    tensors: tuple[str, ...]
    settings: tuple[tuple[str, float | int | bool | str], ...] = ()
    label: ForwardReturn = ForwardReturn()
    universe: UniverseSpec = UniverseSpec()
    walk: WalkForward = WalkForward()
    training: TrainingSpec = TrainingSpec()
    seeds: tuple[int, ...] = (0, 1, 2)
    label_shuffle_seed: int | None = None
    exposures: tuple[str, ...] = ()
    label_neutral: tuple[str, ...] = ()

    def training_digest(self) -> str:
        """Hash of all that training depends on; two experiments with the same model share its checkpoints."""
        tensors = [TENSORS[name] for name in self.tensors]
        return digest([self.network, self.settings, tensors, self.label, self.universe, self.walk, self.training, self.seeds,
                       self.label_shuffle_seed, self.exposures, *([self.label_neutral] if self.label_neutral else [])])

    @property
    def has_exposures(self) -> bool:
        """Whether its loss, its network or its label takes exposures."""
        return bool(self.exposures or self.label_neutral)

    @property
    def reads_risk_styles(self) -> bool:
        """Whether some of them are those of the stored risk model."""
        return RISK_STYLES in (*self.exposures, *self.label_neutral)

    def panels(self) -> tuple[str, ...]:
        """Names of the panels its tensors are windows of, each once."""
        return tuple(dict.fromkeys(TENSORS[name].panel for name in self.tensors))

    def validate(self) -> None:
        where = f"model '{self.name}'"
        for name in self.tensors:
            if name not in TENSORS:
                raise unknown_name("tensor", name, list(TENSORS))
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise InvalidSpec(sentence("seeds must be distinct and at least one", where=where, got=self.seeds))
        for names in (self.exposures, self.label_neutral):
            for name in names:
                if name not in (*EXPOSURES, INDUSTRY, RISK_STYLES):
                    raise unknown_name("exposure", name, [*EXPOSURES, INDUSTRY, RISK_STYLES])
            if len(set(names)) != len(names):
                raise InvalidSpec(sentence("an exposure is named twice", where=where, got=", ".join(names)))
        if self.training.neutralize and not self.exposures:
            raise InvalidSpec(sentence("the loss is to be neutralized, and the model has no exposures", where=where,
                                       next_step="Name them in 'exposures', e.g. ('size', 'industry')."))
        needed = self.label.label_end_offset
        if self.walk.gap < needed:
            raise InvalidSpec(sentence("purge is shorter than the label reaches", where=where, got=f"gap {self.walk.gap} sessions",
                                       expected=f"at least {needed} (label {self.label.name})"))


@dataclass(frozen=True)
class SignalSpec:
    """A factor to be tested and traded: the ensembled score of a model, the score of a combination, or a named baseline.

    ``universe`` is where the score is winsorized, neutralized against industry and log capitalization (not if ``neutral`` is False), and
    standardized. ``published`` is the model of the published report beside which it is printed (empty: none).
    """

    name: str
    model: str = ""
    baseline: str = ""
    universe: UniverseSpec = UniverseSpec()
    published: str = ""
    combination: str = ""
    neutral: bool = True

    def digest(self) -> str:
        """Hash of all that the factor depends on besides the scores."""
        return digest([self.model, self.baseline, self.universe, *([self.combination] if self.combination else []),
                       *([] if self.neutral else ["not neutral"])])

    @property
    def scores_table(self) -> str:
        """Table and asset of the score; empty for a baseline."""
        return f"models/{self.model}/scores" if self.model else f"combinations/{self.combination}/scores" if self.combination else ""

    def validate(self, models: tuple[str, ...], combinations: tuple[str, ...] = ()) -> None:
        if sum(map(bool, (self.model, self.baseline, self.combination))) != 1:
            raise InvalidSpec(sentence("a signal comes from either a model or a baseline or a combination", where=f"signal '{self.name}'",
                                       got=f"model '{self.model}', baseline '{self.baseline}', combination '{self.combination}'"))
        if self.combination and self.combination not in combinations:
            raise unknown_name("combination", self.combination, list(combinations))
        if self.model and self.model not in models:
            raise unknown_name("model", self.model, list(models))
        if self.baseline and self.baseline not in BASELINES:
            raise unknown_name("baseline", self.baseline, list(BASELINES))


def _changed(spec: Any, *names: str) -> list[tuple[str, Any]]:
    """(name, value) of those settings of a spec whose value is not the field's default."""
    defaults = {f.name: f.default for f in fields(spec)}
    return [(name, getattr(spec, name)) for name in names if getattr(spec, name) != defaults[name]]


@dataclass(frozen=True)
class PortfolioSpec:
    """A portfolio: whose score, against which benchmark, within which constraints (or the best N names), at which cost.

    ``published`` names the row of the report's table beside which it is printed (empty: none). ``attribution``: ``compact`` = six price-volume
    styles and factor returns made for the backtest's own range; ``full`` = the stored risk model of the market;
    ``efficient`` = its exposures, factor returns estimated with weights 1/specific variance (less noise than √cap).

    ``trade_price``: of the session after the signal, vwap, open or close. ``every_n_sessions``: 0 = rebalanced on the last session of each week;
    n ≥ 5 = on every n-th session of the market, counted from its first one (a week then holds at most one signal date, and its partition none if
    it has none). ``mode``: ``weights`` = fractions, flat ``costs``; ``shares`` = whole lots bought with ``capital`` (CNY) under ``share_rules``
    (commission with its minimum, stamp duty, participation cap, square-root impact), which replace ``costs`` in the backtest; the weights are
    decided from the same drifted fractions in both. ``benchmark_level``: ``price`` or ``total_return`` index. ``left_out``: factors of a limit that
    the market cannot have, in words; filled when an experiment is fitted to a market, and printed in its report.
    """

    name: str
    signal: str
    optimizer: EnhancedIndexSpec | TopNSpec
    costs: FlatCosts = FlatCosts(buy=0.002, sell=0.002)
    unfilled: str = "redistribute"
    published: str = ""
    attribution: str = "compact"
    trade_price: str = "vwap"
    every_n_sessions: int = 0
    mode: str = "weights"
    capital: float = 1e8
    share_rules: ShareRules = ShareRules()
    benchmark_level: str = "price"
    left_out: tuple[str, ...] = ()

    @property
    def benchmark(self) -> str:
        return self.optimizer.benchmark

    @property
    def style_names(self) -> tuple[str, ...]:
        """Styles that a limit names, each once."""
        return tuple(name for name in self._factors if not is_panel_factor(name))

    @property
    def panel_factors(self) -> tuple[str, ...]:
        """Factors that a limit names and that are fields of a panel, such as ``daily.turn@20``."""
        return tuple(name for name in self._factors if is_panel_factor(name))

    @property
    def _factors(self) -> tuple[str, ...]:
        return self.optimizer.styles if isinstance(self.optimizer, EnhancedIndexSpec) else ()

    @property
    def has_risk_term(self) -> bool:
        """Whether a tracking-error limit or a risk aversion needs the covariance of the stored risk model."""
        return isinstance(self.optimizer, EnhancedIndexSpec) and self.optimizer.needs_cone

    @property
    def weights_need_risk(self) -> bool:
        """Whether the weights depend on the stored risk model: a risk term, a limit on all styles, or one beyond size and non-linear size."""
        bounds_all = any(isinstance(c, FactorClassBound) and not c.factors for c in self.optimizer.constraints)
        return self.has_risk_term or bounds_all or bool(set(self.style_names) - set(COMPACT_STYLES))

    @property
    def needs_risk_model(self) -> bool:
        """Whether the weights or the attribution read the stored risk model."""
        return self.weights_need_risk or self.attribution in STORED_ATTRIBUTIONS

    def digest(self) -> str:
        """Hash of all that the weights depend on. Settings that came later count only where they are not the default, so that earlier hashes hold."""
        return digest([self.signal, self.optimizer, self.costs, self.unfilled, *_changed(self, "trade_price", "every_n_sessions")])

    def backtest_digest(self) -> str:
        """Hash of all that the backtest depends on besides prices: that of the weights, and how they are replayed."""
        changed = _changed(self, "mode", "capital", "share_rules", "benchmark_level")
        return digest([self.digest(), *changed]) if changed else self.digest()

    def validate(self, signals: tuple[str, ...]) -> None:
        if self.signal not in signals:
            raise unknown_name("signal", self.signal, list(signals))
        known = [*INDICES, EQUAL_WEIGHT] if isinstance(self.optimizer, TopNSpec) else list(INDICES)
        if self.benchmark not in known:
            raise unknown_name("benchmark", self.benchmark, known)
        if isinstance(self.optimizer, EnhancedIndexSpec):
            self.optimizer.check_solver()
        for name in self.style_names:
            if name not in (*PRICE_STYLES, *REPORT_STYLES):
                raise unknown_name("style", name, [*PRICE_STYLES, *REPORT_STYLES])
        for name in self.panel_factors:
            panel_factor(name)
        where = f"portfolio '{self.name}'"
        for name, chosen, choices in (("trade price", self.trade_price, TRADE_PRICES), ("mode", self.mode, MODES),
                                      ("benchmark level", self.benchmark_level, tuple(BENCHMARK_LEVELS))):
            if chosen not in choices:
                raise unknown_name(name, chosen, choices)
        if self.every_n_sessions != 0 and self.every_n_sessions < 5:
            raise InvalidSpec(sentence("every_n_sessions out of range", where=where, got=self.every_n_sessions,
                                       expected="0 (the week's last session) or at least 5: a week is rebalanced once"))
        if self.benchmark == EQUAL_WEIGHT and self.benchmark_level != "price":
            raise InvalidSpec(sentence("the equal-weight universe has no index levels", where=where, got=self.benchmark_level, expected="price"))
        if not self.capital > 0.0:
            raise InvalidSpec(sentence("capital out of range", where=where, got=self.capital, expected="CNY above 0"))
        if self.mode == "weights" and _changed(self, "capital", "share_rules"):
            raise InvalidSpec(sentence("capital and share rules are read in mode 'shares' only", where=where, got="mode 'weights'",
                                       next_step="Set mode='shares', or leave them out."))
        if self.attribution not in ATTRIBUTIONS:
            raise unknown_name("attribution", self.attribution, ATTRIBUTIONS)
        if self.unfilled not in UNFILLED:
            raise unknown_name("unfilled", self.unfilled, UNFILLED)
        for constraint in self.optimizer.constraints:
            if constraint.name not in CONSTRAINTS:
                raise unknown_name("constraint", constraint.name, list(CONSTRAINTS))


@dataclass(frozen=True)
class StudySpec:
    """A table-and-picture study of an experiment's results beyond tests and portfolios.

    ``kind`` names an entry of ``alpha_pipeline.pipeline.studies.STUDIES``, ``settings`` are what it reads, ``after`` is the section of the
    report that it follows.
    """

    name: str
    kind: str
    settings: tuple[tuple[str, float | int | bool | str], ...] = ()
    after: str = "portfolios"

    def validate(self) -> None:
        if self.after not in SECTIONS:
            raise unknown_name("section", self.after, list(SECTIONS))


@dataclass(frozen=True)
class ExperimentSpec:
    """A published system, or a variant of it, from data to report.

    ``start`` and ``end`` bound the out-of-sample dates and are clipped to the market. ``comparisons`` are signals shown beside the models'
    on the same dates. ``test_universes`` are "all" or index codes.
    ``studies`` add sections of their own to the report. ``combinations`` are in order: each may use those before it. ``variants`` are portfolios
    that studies compare: made and backtested like the others, without a section, a row or an attribution of their own.
    """

    name: str
    title: str
    system: str
    description: str
    start: dt.date
    end: dt.date
    models: tuple[ModelSpec, ...]
    signals: tuple[SignalSpec, ...]
    portfolios: tuple[PortfolioSpec, ...] = ()
    comparisons: tuple[SignalSpec, ...] = ()
    test: FactorTestSpec = FactorTestSpec()
    test_universes: tuple[str, ...] = ("all",)
    tags: tuple[str, ...] = field(default=())
    studies: tuple[StudySpec, ...] = ()
    combinations: tuple[CombinationSpec, ...] = ()
    variants: tuple[PortfolioSpec, ...] = ()

    def validate(self) -> ExperimentSpec:
        """Self, after checking every part and the links between them; raises with a sentence otherwise."""
        if self.start > self.end:
            raise InvalidSpec(sentence("start is after end", where=f"experiment '{self.name}'", got=f"{self.start} … {self.end}"))
        models = tuple(m.name for m in self.models)
        signals = tuple(s.name for s in self.all_signals())
        for kind, names in (("model", models), ("signal", signals), ("portfolio", tuple(p.name for p in self.all_portfolios())),
                            ("study", tuple(s.name for s in self.studies)),
                            ("model or combination", (*models, *(c.name for c in self.combinations)))):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise InvalidSpec(sentence(f"{kind} '{twice[0]}' is named twice", where=f"experiment '{self.name}'"))
        for model in self.models:
            model.validate()
            if model.walk.anchors != self.anchors:
                raise InvalidSpec(sentence("the models count their half-years from different days", where=f"experiment '{self.name}'",
                                           got=f"{model.name}: {model.walk.anchors}", expected=f"{self.models[0].name}: {self.anchors}"))
        combinations = tuple(c.name for c in self.combinations)
        for at, combination in enumerate(self.combinations):
            combination.validate({m.name: m.seeds for m in self.models}, combinations[:at])
            if combination.is_fitted and self.anchors != CALENDAR_HALVES:
                raise InvalidSpec(sentence("a weighting is fitted for calendar half-years, its models count theirs from other days",
                                           where=f"combination '{combination.name}'", got=str(self.anchors), expected=str(CALENDAR_HALVES)))
        for signal in self.all_signals():
            signal.validate(models, combinations)
        for portfolio in self.all_portfolios():
            portfolio.validate(signals)
        for study in self.studies:
            study.validate()
        for universe in self.test_universes:
            if universe not in UNIVERSE_NAMES:
                raise unknown_name("universe", universe, list(UNIVERSE_NAMES))
        return self

    @property
    def anchors(self) -> Anchors:
        """(month, day) on which the half-years of its models start."""
        return self.models[0].walk.anchors if self.models else CALENDAR_HALVES

    def all_signals(self) -> tuple[SignalSpec, ...]:
        """Signals of the models, then comparisons."""
        return (*self.signals, *self.comparisons)

    def all_portfolios(self) -> tuple[PortfolioSpec, ...]:
        """Portfolios of the report, then variants."""
        return (*self.portfolios, *self.variants)

    def digest(self) -> str:
        """Hash of the whole experiment."""
        return digest(self)

    def describe(self) -> list[tuple[str, str]]:
        """Every setting as (dotted name, value), for the report and for `alpha-pipeline experiments NAME`."""
        return list(_flatten("", self))


def _flatten(prefix: str, value: Any) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            rows += _flatten(f"{prefix}.{f.name}" if prefix else f.name, getattr(value, f.name))
        return rows or [(prefix, "yes")]  # a constraint without limits, such as long-only
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        names = [str(getattr(part, "name", type(part).__name__)) for part in value]
        for at, (name, part) in enumerate(zip(names, value, strict=True)):
            rows += _flatten(f"{prefix}[{name if names.count(name) == 1 else f'{name} {at}'}]", part)
        return rows
    return [(prefix, str(value))]


def replace_field(spec: Spec, dotted: str, value: Any) -> Spec:
    """The spec with one setting replaced, at any depth, and validated.

    ``dotted`` is a name as :meth:`ExperimentSpec.describe` prints it, e.g. ``end``, ``training.lr`` (of a model) or
    ``models[demo].training.lr``; ``settings.n_hidden`` sets or adds a setting of a model's network. Raises :class:`UnknownName` for a name that
    does not exist, :class:`InvalidSpec` for one that is no setting by itself.

    >>> replace_field(ModelSpec("m", "gru_daily", ("daily",)), "settings.n_hidden", 8).settings
    (('n_hidden', 8),)
    """
    replaced = _replaced(spec, dotted, value)
    check = getattr(replaced, "validate", None)
    if check is not None:
        check()
    return replaced


def _replaced(spec: Any, dotted: str, value: Any) -> Any:
    head, _, rest = dotted.partition(".")
    found = re.fullmatch(r"(\w+)(?:\[(.*)\])?", head)
    name, item = (found[1], found[2]) if found else (head, None)
    known = [f.name for f in fields(spec)]
    if name not in known:
        raise unknown_name(f"{type(spec).__name__.removesuffix('Spec').lower()} field", name, known)
    current = getattr(spec, name)
    if name == "settings" and rest:
        changed: Any = tuple({**dict(current), rest: value}.items())
    elif item is not None:
        names = [str(getattr(part, "name", type(part).__name__)) for part in current] if isinstance(current, tuple) else []
        if item not in names:
            raise unknown_name(f"item of '{name}'", item, names)
        at = names.index(item)
        changed = (*current[:at], _replaced(current[at], rest, value) if rest else value, *current[at + 1:])
    elif rest:
        if not is_dataclass(current):
            raise InvalidSpec(sentence(f"'{name}' has no fields", where=type(spec).__name__, got=dotted))
        changed = _replaced(current, rest, value)
    elif is_dataclass(current) and not isinstance(value, type(current)):
        raise InvalidSpec(sentence(f"'{name}' is a group of settings", where=type(spec).__name__, got=dotted,
                                   expected=" or ".join(f"{dotted}.{f.name}" for f in fields(current))))
    else:
        changed = value
    return dataclasses.replace(spec, **{name: changed})
