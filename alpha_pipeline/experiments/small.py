"""The systems at a size for two cores: each derived from its full form by scale alone, for the built-in market ``small``.

:func:`scaled` changes dates, the number of trainings, how long they run, how often dates are sampled, how long the weighting looks back, and how
many names a best-names portfolio holds. What is learned, how it is tested and what bounds a portfolio stay as they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from alpha_pipeline.combination.spec import CombinationSpec
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec, StudySpec
from alpha_pipeline.experiments.alphanet import ALPHANET
from alpha_pipeline.experiments.attention import ATTENTION
from alpha_pipeline.experiments.multifreq import MULTIFREQ
from alpha_pipeline.experiments.multimodel import MULTIMODEL
from alpha_pipeline.experiments.riskcontrol import RISKCONTROL
from alpha_pipeline.portfolio.top_n import TopNSpec

N_STOCKS = 300
"""Names of the market ``small``."""
FULL_STOCKS = 4000
"""About the mean number of A-shares over the reports' samples: best-names portfolios hold the same share of the names."""


@dataclass(frozen=True)
class Scale:
    """How small. ``n_runs`` : seeds of every model, and runs of every weighting. ``sample_every`` : sessions between two training dates, None = as in
    the full form. ``window_months`` : of the weightings, None = as in the full form."""

    start: dt.date
    end: dt.date
    train_start: dt.date
    n_runs: int
    max_epochs: int
    patience: int
    sample_every: int | None = None
    window_months: int | None = None
    n_stocks: int = N_STOCKS
    suffix: str = "_small"
    where: str = "At the size of the simulated market 'small'"


def scaled(spec: ExperimentSpec, scale: Scale) -> ExperimentSpec:
    """The experiment at another scale, every part renamed with the scale's suffix.

    >>> small = scaled(MULTIMODEL, Scale(dt.date(2023, 7, 3), dt.date(2024, 6, 28), dt.date(2021, 1, 1), n_runs=2, max_epochs=5, patience=2))
    >>> small.name, small.models[0].seeds, small.portfolios[0].name, small.portfolios[0].optimizer.n_names
    ('multimodel_small', (0, 1), 'rct_v1_top100_d005_small', 8)
    """
    named = {m.name for m in spec.models} | {c.name for c in spec.combinations} | {s.name for s in spec.all_signals()}
    named |= {p.name for p in spec.all_portfolios()}
    rename = partial(_renamed, named=named, suffix=scale.suffix)
    return replace(
        spec, name=f"{spec.name}{scale.suffix}", title=f"{spec.title}, {scale.suffix.removeprefix('_')}", start=scale.start, end=scale.end,
        description=f"{spec.description} {scale.where}: {scale.n_runs} training{'s' if scale.n_runs > 1 else ''} a model, {scale.max_epochs} epochs.",
        models=tuple(_model(model, scale) for model in spec.models),
        combinations=tuple(_combination(combination, scale, rename) for combination in spec.combinations),
        signals=tuple(_signal(signal, scale, rename) for signal in spec.signals),
        comparisons=tuple(_signal(signal, scale, rename) for signal in spec.comparisons),
        portfolios=tuple(_portfolio(portfolio, scale, rename) for portfolio in spec.portfolios),
        variants=tuple(_portfolio(portfolio, scale, rename) for portfolio in spec.variants),
        studies=tuple(_study(study, rename) for study in spec.studies),
    ).validate()


Renaming = Callable[[str], str]


def _renamed(text: str, named: Iterable[str], suffix: str) -> str:
    """A name, or a list of names with commas, of parts of the experiment; any other text stays."""
    return ",".join(f"{name}{suffix}" if name in named else name for name in text.split(","))


def _model(model: ModelSpec, scale: Scale) -> ModelSpec:
    walk = replace(model.walk, train_start=scale.train_start, sample_every=scale.sample_every or model.walk.sample_every)
    training = replace(model.training, max_epochs=scale.max_epochs, patience=scale.patience)
    return replace(model, name=f"{model.name}{scale.suffix}", walk=walk, training=training, seeds=model.seeds[: scale.n_runs])


def _combination(combination: CombinationSpec, scale: Scale, rename: Renaming) -> CombinationSpec:
    months = scale.window_months or combination.window_months
    return replace(combination, name=f"{combination.name}{scale.suffix}", inputs=tuple(rename(name) for name in combination.inputs),
                   runs=combination.runs[: scale.n_runs], window_months=months, min_months=min(combination.min_months, months))


def _signal(signal: SignalSpec, scale: Scale, rename: Renaming) -> SignalSpec:
    return replace(signal, name=f"{signal.name}{scale.suffix}", model=rename(signal.model), combination=rename(signal.combination))


def _portfolio(portfolio: PortfolioSpec, scale: Scale, rename: Renaming) -> PortfolioSpec:
    optimizer = portfolio.optimizer
    if isinstance(optimizer, TopNSpec):
        optimizer = replace(optimizer, n_names=max(1, round(optimizer.n_names * scale.n_stocks / FULL_STOCKS)))
    return replace(portfolio, name=f"{portfolio.name}{scale.suffix}", signal=rename(portfolio.signal), optimizer=optimizer)


def _study(study: StudySpec, rename: Renaming) -> StudySpec:
    settings = tuple((rename(name), rename(value) if isinstance(value, str) else value) for name, value in study.settings)
    return replace(study, settings=settings)


_START, _END, _TRAIN_START = dt.date(2023, 7, 3), dt.date(2024, 6, 28), dt.date(2021, 1, 1)

MULTIFREQ_SMALL = scaled(MULTIFREQ, Scale(_START, _END, _TRAIN_START, n_runs=3, max_epochs=12, patience=4))
ALPHANET_SMALL = scaled(ALPHANET, Scale(dt.date(2023, 7, 31), _END, _TRAIN_START, n_runs=2, max_epochs=10, patience=4))
MULTIMODEL_SMALL = scaled(MULTIMODEL, Scale(_START, _END, _TRAIN_START, n_runs=2, max_epochs=5, patience=2, sample_every=10, window_months=6))

CRASH = "2023-12-18/2024-01-10"
"""Market ``small``: the planted switch of regime and crash of small caps, 17 sessions, the last four a rebound. Stands for the report's 2024Q1."""


def _in_crash(spec: ExperimentSpec) -> ExperimentSpec:
    """The studies that look at the last quarter look at the planted crash; stages of the attribution end and begin with the switch."""
    settings = {"constraint_sweep": {"stretch": CRASH}, "top_layers": {"stretch": CRASH}, "return_sources": {"stages": CRASH.partition("/")[0]}}
    studies = tuple(replace(s, settings=tuple({**dict(s.settings), **settings.get(s.kind, {})}.items())) for s in spec.studies)
    return replace(spec, studies=studies).validate()


RISKCONTROL_SMALL = _in_crash(scaled(RISKCONTROL, Scale(dt.date(2023, 1, 3), dt.date(2024, 3, 29), _TRAIN_START, n_runs=1, max_epochs=12, patience=3,
                                                        sample_every=10)))


def whole_range(spec: ExperimentSpec) -> ExperimentSpec:
    """Pictures that the full form starts late show the whole of a short sample."""
    return replace(spec, studies=tuple(replace(s, settings=tuple(p for p in s.settings if p[0] != "since")) for s in spec.studies)).validate()


ATTENTION_SMALL = whole_range(scaled(ATTENTION, Scale(_START, dt.date(2024, 3, 29), _TRAIN_START, n_runs=1, max_epochs=8, patience=2,
                                                       sample_every=10, window_months=6)))
