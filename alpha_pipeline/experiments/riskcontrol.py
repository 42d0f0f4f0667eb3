"""RISKCONTROL: a composite of day, week and minute networks, why its enhanced portfolios fell in 2024Q1, and what limits would have helped.

Source: the report's figures 9 and 10 (model and settings), 16 to 36 (studies). Where it is silent or the graph differs *(ours)*: the three branches
are GRUs with MULTIFREQ's settings (the report points there; its minute factors come from another report), three seeds. Portfolios are rebalanced
every fifth session, counted from the market's first.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.combination.spec import CombinationSpec
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec, StudySpec
from alpha_pipeline.experiments.multifreq import CSI500, CSI1000, LINEAR_BLEND
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.portfolio.constraints import (
    AnyConstraint,
    ConstituentFloor,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    TurnoverLimit,
)
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.portfolio.exposure_constraints import StyleMoment

ALL_SHARE = UniverseSpec("000985.CSI")
NEUTRAL = ("industry", "size")
STRICT = (*NEUTRAL, "momentum_10d", "volatility_10d", "liquidity_10d")
"""What labels are freed of: the report's models, and the stricter ones of figure 20."""

DAY_GRU = ModelSpec("day_gru", "gru_daily", ("daily",), universe=ALL_SHARE, label_neutral=NEUTRAL)
WEEK_GRU = ModelSpec("week_gru", "gru_daily", ("weekly",), (("tensor", "weekly"),), universe=ALL_SHARE, label_neutral=NEUTRAL)
MINUTE_GRU = ModelSpec("minute_gru", "gru_daily", ("mschars",), (("tensor", "mschars"), ("n_fields", TENSORS["mschars"].n_fields)),
                       universe=ALL_SHARE, label_neutral=NEUTRAL)
BRANCHES = (DAY_GRU, WEEK_GRU, MINUTE_GRU)
STRICT_BRANCHES = tuple(replace(model, name=f"{model.name}_strict", label_neutral=STRICT) for model in BRANCHES)

COMPOSITE = CombinationSpec("composite", "zscore_mean", tuple(m.name for m in BRANCHES), universe=ALL_SHARE)
COMPOSITE_STRICT = CombinationSpec("composite_strict", "zscore_mean", tuple(m.name for m in STRICT_BRANCHES), universe=ALL_SHARE)

BOUNDS = (0.1, 0.2, 0.3, 0.4)
COST = FlatCosts(0.0015, 0.0015)


def signal(name: str, *, model: str = "", combination: str = "") -> SignalSpec:
    """A score as the report uses it, not neutralized: the models' labels were."""
    return SignalSpec(name, model=model, combination=combination, universe=ALL_SHARE, published=name, neutral=False)


def enhanced(name: str, signal_name: str, benchmark: str, *, floor: float = 0.8, further: tuple[AnyConstraint, ...] = (),
             attribution: str = "compact") -> PortfolioSpec:
    """Figure 10: |w − w_b| ≤ 1 %, industries ± 2 %, size ± 0.3 standard deviations, one-sided turnover ≤ 20 %, 0.15 % one-way, what cannot be
    filled redistributed; at least ``floor`` in constituents (0: no limit) and ``further`` limits."""
    constraints: tuple[AnyConstraint, ...] = (
        FullyInvested(), LongOnly(), MaxDeviation(0.01), *((ConstituentFloor(floor),) if floor else ()), IndustryBound(0.02),
        StyleBound("size", 0.3), *further, TurnoverLimit(0.2, sided="one"),
    )
    return PortfolioSpec(name, signal_name, EnhancedIndexSpec(benchmark, constraints), COST, "redistribute", attribution=attribution,
                         every_n_sessions=5)


def constraint_variants(base: str, signal_name: str, benchmark: str) -> tuple[PortfolioSpec, ...]:
    """``base`` under the other limits of figures 23, 30, 33, 35, named ``<base>_<variant>`` after the rows of the published tables."""
    floors = {"constituents_100": 1.0, "constituents_0": 0.0}
    limits: dict[str, AnyConstraint] = {f"nlsize_{round(b * 100)}": StyleBound("nlsize", b) for b in BOUNDS}
    limits |= {f"moment{m}_{round(b * 100)}": StyleMoment("size", m, b) for m in (2, 3) for b in BOUNDS}
    return (
        *(enhanced(f"{base}_{name}", signal_name, benchmark, floor=floor) for name, floor in floors.items()),
        *(enhanced(f"{base}_{name}", signal_name, benchmark, further=(limit,)) for name, limit in limits.items()),
    )


def studies(base: str, other: str, signals: dict[str, str], *, stages: str, stretch: str = "") -> tuple[StudySpec, ...]:
    """The report's studies in its order: of the factor (after the layers), of the portfolios (after their attribution).

    ``base``, ``other`` : enhanced CSI 1000 and CSI 500. ``signals`` : composite, strict, and the portfolios of the single branches by label.
    ``stretch`` : first/last day of the crash; by default the sample's last quarter. ``stages`` : first days of the attribution's stages.
    """
    window = (("stretch", stretch),) if stretch else ()
    timed = {"Composite": base, "Day GRU": signals["day_gru"], "Week GRU": signals["week_gru"]}
    return (
        StudySpec("factor_profile", "factor_profile", (("signal", signals["composite"]),), after="layers"),
        StudySpec("top_layers", "top_layers", (("signal", signals["composite"]), ("others", signals["strict"]), *window), after="layers"),
        StudySpec("constraint_sweep", "constraint_sweep", (("base", base), ("also", other), *window), after="attribution"),
        StudySpec("return_sources", "return_sources", (("portfolio", base), ("stages", stages)), after="attribution"),
        StudySpec("style_timing", "style_timing", (("portfolios", ",".join(timed.values())), ("labels", ",".join(timed))), after="attribution"),
    )


_BASE, _OTHER = "riskcontrol_csi1000", "riskcontrol_csi500"

RISKCONTROL = ExperimentSpec(
    name="riskcontrol", title="RISKCONTROL: why AI price-volume portfolios fell, and what limits would have helped", system="RISKCONTROL",
    description="Composite of day, week and minute networks; CSI 500 and CSI 1000 enhancement; exposures, crowding, style timing and fifteen "
                "other limits.",
    start=dt.date(2016, 12, 30), end=dt.date(2024, 3, 29), models=(*BRANCHES, *STRICT_BRANCHES), combinations=(COMPOSITE, COMPOSITE_STRICT),
    signals=(signal("composite", combination="composite"), *(signal(m.name, model=m.name) for m in BRANCHES)),
    comparisons=(signal("composite_strict", combination="composite_strict"), replace(LINEAR_BLEND, name="linear_blend_riskcontrol")),
    portfolios=(enhanced(_OTHER, "composite", CSI500, attribution="full"), enhanced(_BASE, "composite", CSI1000, attribution="full")),
    variants=(*constraint_variants(_BASE, "composite", CSI1000), *(enhanced(f"{_BASE}_on_{m.name}", m.name, CSI1000) for m in (DAY_GRU, WEEK_GRU))),
    test=FactorTestSpec(n_layers=10, every=10, neutral=False), test_universes=("000985.CSI",),
    studies=studies(_BASE, _OTHER, {"composite": "composite", "strict": "composite_strict", **{m.name: f"{_BASE}_on_{m.name}" for m in BRANCHES}},
                    stages="2021-07-01,2023-07-01,2024-01-01"),
)
