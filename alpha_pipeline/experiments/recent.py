"""The systems on recent years, as far as a sample with daily bars since 2021 and 15-minute bars of 2025 reaches: parts, not whole reports.

Each is its full form at another scale (:func:`alpha_pipeline.experiments.small.scaled`) less what such a sample lacks: the all-share index,
weights of CSI 1000, order flow, bars of ten minutes, and any year of minute bars before the first out-of-sample half-year.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, SignalSpec
from alpha_pipeline.experiments.alphanet import ALPHANET
from alpha_pipeline.experiments.attention import ATTENTION
from alpha_pipeline.experiments.multifreq import CSI500
from alpha_pipeline.experiments.multimodel import MULTIMODEL
from alpha_pipeline.experiments.riskcontrol import RISKCONTROL, constraint_variants, enhanced, studies
from alpha_pipeline.experiments.small import Scale, scaled, whole_range
from alpha_pipeline.market.universe import UniverseSpec

_ALL = UniverseSpec()
_END = dt.date(2025, 12, 31)
_WHERE = "On recent years of a sample of index members"
N_STOCKS = 1100


def _in_universe(spec: ExperimentSpec, universe: UniverseSpec) -> ExperimentSpec:
    """Trained, weighted, scored and tested in one universe."""
    return replace(
        spec, models=tuple(replace(m, universe=universe) for m in spec.models), test_universes=(universe.base,),
        combinations=tuple(replace(c, universe=universe) for c in spec.combinations),
        signals=tuple(replace(s, universe=universe) for s in spec.signals),
        comparisons=tuple(replace(s, universe=universe) for s in spec.comparisons),
    )


def _alphanet() -> ExperimentSpec:
    scale = Scale(dt.date(2025, 1, 31), _END, dt.date(2021, 1, 1), n_runs=1, max_epochs=12, patience=4, sample_every=4, n_stocks=N_STOCKS,
                  suffix="_recent", where=_WHERE)
    return scaled(ALPHANET, scale)


def _multimodel() -> ExperimentSpec:
    """The units on raw bars alone; best names only: a portfolio within a tracking error needs years of risk model before it."""
    models = tuple(m for m in MULTIMODEL.models if m.tensors == ("rawbar",))
    names = {m.name for m in models}
    combinations = tuple(replace(c, inputs=tuple(i for i in c.inputs if i in names)) if c.method == "lightgbm" else c
                         for c in MULTIMODEL.combinations)
    portfolios = tuple(p for p in MULTIMODEL.portfolios if not p.weights_need_risk)
    spec = _in_universe(replace(MULTIMODEL, models=models, combinations=combinations, portfolios=portfolios), _ALL)
    scale = Scale(dt.date(2025, 7, 1), _END, dt.date(2021, 1, 1), n_runs=2, max_epochs=5, patience=2, sample_every=10, window_months=6,
                  n_stocks=N_STOCKS, suffix="_recent", where=_WHERE)
    return scaled(spec, scale)


def _riskcontrol() -> ExperimentSpec:
    """The branches on daily bars, CSI 500 alone, over the fall of small names in early 2024."""
    base = "riskcontrol_csi500"
    models = tuple(m for m in RISKCONTROL.models if m.tensors != ("mschars",))
    names = {m.name for m in models}
    combinations = tuple(replace(c, inputs=tuple(i for i in c.inputs if i in names)) for c in RISKCONTROL.combinations)
    signals = tuple(s for s in RISKCONTROL.signals if s.combination or s.model in names)
    variants = (*constraint_variants(base, "composite", CSI500), *(enhanced(f"{base}_on_{m}", m, CSI500) for m in ("day_gru", "week_gru")))
    portfolios = tuple(replace(p, attribution="compact") for p in RISKCONTROL.portfolios if p.name == base)
    singles = {m.name: f"{base}_on_{m.name}" for m in models}
    spec = _in_universe(replace(
        RISKCONTROL, models=models, combinations=combinations, signals=signals, portfolios=portfolios, variants=variants,
        studies=studies(base, "", {"composite": "composite", "strict": "composite_strict", **singles}, stages="2024-01-01,2024-04-01",
                        stretch="2024-01-02/2024-03-29"),
    ), _ALL)
    scale = Scale(dt.date(2023, 7, 1), dt.date(2024, 6, 28), dt.date(2021, 1, 1), n_runs=1, max_epochs=12, patience=3, n_stocks=N_STOCKS,
                  suffix="_recent", where=_WHERE)
    return scaled(spec, scale)


def _attention() -> ExperimentSpec:
    """Half-hour characteristics, scores alone: the return model needs half a year of deep factors before the first portfolio. Every date is a sample:
    there are but a hundred."""
    models: tuple[ModelSpec, ...] = tuple(m for m in ATTENTION.models if m.tensors == ("chars_30m",))
    kept = {m.name for m in models}
    signals: tuple[SignalSpec, ...] = tuple(s for s in ATTENTION.signals if s.model in kept)
    spec = replace(
        ATTENTION, models=models, signals=signals, combinations=(), portfolios=(),
        comparisons=tuple(s for s in ATTENTION.comparisons if not s.combination),
        studies=tuple(s for s in ATTENTION.studies if s.kind == "weekly_factors"),
    )
    scale = Scale(dt.date(2025, 7, 1), _END, dt.date(2025, 1, 1), n_runs=1, max_epochs=8, patience=2, sample_every=1, n_stocks=N_STOCKS,
                  suffix="_recent", where=_WHERE)
    return whole_range(scaled(spec, scale))


ALPHANET_RECENT, MULTIMODEL_RECENT, RISKCONTROL_RECENT, ATTENTION_RECENT = _alphanet(), _multimodel(), _riskcontrol(), _attention()
