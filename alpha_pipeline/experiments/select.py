"""What a market's graph consists of: every experiment it can carry, their shared parts once."""

from __future__ import annotations

from dataclasses import dataclass, replace

from alpha_pipeline.combination.other_factors import OTHER_FACTORS
from alpha_pipeline.errors import InvalidSpec, MissingData, sentence
from alpha_pipeline.experiment import CombinationSpec, ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS, why_absent
from alpha_pipeline.features.characteristics.panels import lacks as panel_lacks
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.portfolio.constraints import AnyConstraint
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.portfolio.exposure_constraints import FactorClassBound
from alpha_pipeline.risk.panel_factors import panel_factor
from alpha_pipeline.risk.style_factors import REPORT_STYLES
from alpha_pipeline.sources.base import SourceDescription


@dataclass(frozen=True)
class Parts:
    """Unique models, labels, signals (with their test and universes), portfolios and combinations (inputs first) of some experiments."""

    experiments: tuple[ExperimentSpec, ...]
    models: tuple[ModelSpec, ...]
    labels: tuple[ForwardReturn, ...]
    signals: tuple[tuple[SignalSpec, FactorTestSpec, tuple[str, ...]], ...]
    portfolios: tuple[PortfolioSpec, ...]
    combinations: tuple[CombinationSpec, ...] = ()


def characteristic_panels(experiments: tuple[ExperimentSpec, ...], source: SourceDescription | None = None) -> tuple[str, ...]:
    """Panels of characteristics that the experiments' models and limits read, in the order of ``CHARACTERISTIC_PANELS``; with a ``source`` also
    those of their combinations' other factors, as far as it can have them: a combination does without a factor that the market lacks."""
    read = {panel for spec in experiments for model in spec.models for panel in model.panels()}
    read |= {panel_factor(name).panel for spec in experiments for portfolio in spec.all_portfolios() for name in portfolio.panel_factors}
    if source is not None:
        factors = {name for spec in experiments for combination in spec.combinations for name in combination.inputs if name in OTHER_FACTORS}
        offered = {OTHER_FACTORS[name].panel for name in factors} & CHARACTERISTIC_PANELS.keys()
        read |= {n for n in offered if not panel_lacks(CHARACTERISTIC_PANELS[n], source.tables, source.intraday_minutes, source.missing)}
    return tuple(name for name in CHARACTERISTIC_PANELS if name in read)


def missing_for(spec: ExperimentSpec, source: SourceDescription) -> list[str]:
    """What an experiment needs and a source lacks, in words."""
    spec = for_source(spec, source)
    lacks: list[str] = []
    needs_intraday = any(TENSORS[name].panel == "intraday_15m" for model in spec.models for name in model.tensors)
    if needs_intraday and "intraday_bars" not in source.tables:
        lacks.append("intraday_bars")
    for name in characteristic_panels((spec,)):
        found = panel_lacks(CHARACTERISTIC_PANELS[name], source.tables, source.intraday_minutes, source.missing)
        lacks += [what for what in found if what not in lacks]
    if spec.all_portfolios():
        lacks += [table for table in ("index_weights", "index_bars") if table not in source.tables]
    styles = {name for portfolio in spec.all_portfolios() for name in portfolio.style_names}
    if styles & set(REPORT_STYLES) and "fundamentals" not in source.tables:
        lacks.append("fundamentals")
    return lacks


def for_source(spec: ExperimentSpec, source: SourceDescription) -> ExperimentSpec:
    """The experiment as a source can carry it: the oracle exists on a simulated market only, and a limit on a class of factors goes without those
    that the source has no data for; each such portfolio names them."""
    comparisons = tuple(s for s in spec.comparisons if s.baseline != "oracle" or source.is_simulated)
    portfolios, variants = (tuple(_bounded(p, source) for p in group) for group in (spec.portfolios, spec.variants))
    return replace(spec, comparisons=comparisons, portfolios=portfolios, variants=variants)


def _bounded(portfolio: PortfolioSpec, source: SourceDescription) -> PortfolioSpec:
    absent = {name: why for name in portfolio.panel_factors if (why := _lacking(name, source))}
    if not absent or not isinstance(portfolio.optimizer, EnhancedIndexSpec):
        return portfolio
    constraints: list[AnyConstraint] = []
    for constraint in portfolio.optimizer.constraints:
        if isinstance(constraint, FactorClassBound) and constraint.factors:
            kept = tuple(name for name in constraint.factors if name not in absent)
            if kept:
                constraints.append(replace(constraint, factors=kept))
        else:
            constraints.append(constraint)
    optimizer = replace(portfolio.optimizer, constraints=tuple(constraints))
    return replace(portfolio, optimizer=optimizer, left_out=tuple(f"{name}: {why}" for name, why in absent.items()))


def _lacking(factor: str, source: SourceDescription) -> str:
    """Why a source cannot have a limit's factor; empty where it can."""
    named = panel_factor(factor)
    return why_absent(named.panel, (named.field,), source.tables, source.intraday_minutes, source.missing)


def carried(spec: ExperimentSpec, source: SourceDescription) -> ExperimentSpec:
    """:func:`for_source`, or :class:`MissingData` naming the tables that the experiment needs and the source lacks, with the source's reasons."""
    lacks = missing_for(spec, source)
    if lacks:
        reasons = "; ".join(f"{what}: {_reason(what, source)}" for what in lacks)
        raise MissingData(sentence(f"the market lacks {', '.join(lacks)}", where=f"experiment '{spec.name}'", got=reasons,
                                   next_step="Choose another --market, or an experiment that does without."))
    return for_source(spec, source)


def _reason(what: str, source: SourceDescription) -> str:
    if what.startswith("bars "):  # their length, not a table
        return f"its bars have {source.intraday_minutes} minutes"
    return source.missing.get(what, "not offered")


def shared_parts(experiments: tuple[ExperimentSpec, ...], source: SourceDescription) -> Parts:
    """Parts of the experiments that the source can carry; one name, one meaning.

    Raises :class:`InvalidSpec` when two experiments give different things the same name, or test one signal in two ways. A comparison signal that
    several experiments share is tested in the union of their universes.
    """
    carried = tuple(for_source(spec, source) for spec in experiments if not missing_for(spec, source))
    models: dict[str, ModelSpec] = {}
    portfolios: dict[str, PortfolioSpec] = {}
    combinations: dict[str, CombinationSpec] = {}
    signals: dict[str, tuple[SignalSpec, FactorTestSpec, tuple[str, ...]]] = {}
    for spec in carried:
        for model in spec.models:
            _same("model", models.setdefault(model.name, model), model, spec.name)
        for combination in spec.combinations:
            _same("combination", combinations.setdefault(combination.name, combination), combination, spec.name)
        for portfolio in spec.all_portfolios():
            _same("portfolio", portfolios.setdefault(portfolio.name, portfolio), portfolio, spec.name)
        for signal in spec.all_signals():
            known, test, universes = signals.get(signal.name, (signal, spec.test, ()))
            _same("signal", known, signal, spec.name)
            _same("test of a signal", test, spec.test, spec.name, signal.name)
            signals[signal.name] = (signal, test, tuple(dict.fromkeys([*universes, *spec.test_universes])))
    both = sorted(models.keys() & combinations.keys())
    if both:
        raise InvalidSpec(sentence("a model of one experiment and a combination of another have the same name", got=both[0], next_step="Rename one."))
    labels = {model.label.name: model.label for model in models.values()} | {c.label.name: c.label for c in combinations.values() if c.looks_back}
    return Parts(carried, tuple(models.values()), tuple(labels.values()), tuple(signals.values()), tuple(portfolios.values()),
                 tuple(combinations.values()))


def _same(kind: str, known: object, new: object, where: str, name: str = "") -> None:
    if known != new:
        raise InvalidSpec(sentence(f"another experiment has a different {kind} of this name", where=f"experiment '{where}'",
                                   got=name or str(getattr(new, "name", new)), next_step="Rename it."))
