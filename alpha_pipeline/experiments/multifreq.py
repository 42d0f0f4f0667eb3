"""MULTIFREQ: 15-minute, attention, mixed and incremental networks; CSI 300, 500, 1000 and CNI 2000 enhancement.

Source: the report's figures 7, 9, 11, 13 (settings), 34, 38, 42, 46 (portfolios). Weekly test and rebalance, 10 layers without cost, portfolios
at vwap with 0.4 % two-sided, two-sided turnover of at most 30, 40 or 50 % a week.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.portfolio.constraints import (
    ConstituentFloor,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    TurnoverLimit,
)
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.training.periods import WalkForward

CSI300, CSI500, CSI1000, CNI2000 = "000300.SH", "000905.SH", "000852.SH", "399303.SZ"

GRU_15M = ModelSpec("gru_15m", "gru_intraday", ("intraday_15m",))
GRU_15M_ATTENTION = ModelSpec("gru_15m_attention", "gru_attention", ("intraday_15m",))
MIXED = ModelSpec("mixed", "gru_mixed", ("daily", "intraday_15m"))
INCREMENTAL = ModelSpec("incremental", "gru_incremental", ("daily", "intraday_15m"))
GRU_DAILY = ModelSpec("gru_daily", "gru_daily", ("daily",))
MODELS = (GRU_15M, GRU_15M_ATTENTION, MIXED, INCREMENTAL)

LINEAR_BLEND = SignalSpec("linear_blend", baseline="linear_blend")
ORACLE = SignalSpec("oracle", baseline="oracle")


def signal_of(model: ModelSpec, published: str = "") -> SignalSpec:
    """The signal that is a model's ensembled score, of the same name."""
    return SignalSpec(model.name, model=model.name, published=published)


def enhanced(signal: str, benchmark: str, floor: float, deviation: float, industry: float, size: float, turnover: float, *,
             name: str, published: bool = True) -> PortfolioSpec:
    """One row of figures 34, 38, 42, 46: limits in decimals, size in standard deviations, two-sided turnover."""
    constraints = (
        FullyInvested(), LongOnly(), MaxDeviation(deviation), ConstituentFloor(floor), IndustryBound(industry), StyleBound("size", size),
        TurnoverLimit(turnover, sided="two"),
    )
    key = f"{benchmark}@{round(turnover * 100)}" if published else ""
    optimizer = EnhancedIndexSpec(benchmark, constraints)
    return PortfolioSpec(f"{name}_t{round(turnover * 100)}", signal, optimizer, FlatCosts(0.002, 0.002), published=key)


def report_portfolios(signal: str, prefix: str, benchmarks: tuple[str, ...] = (CSI300, CSI500, CSI1000, CNI2000)) -> tuple[PortfolioSpec, ...]:
    """The report's benchmarks × three turnover limits."""
    settings = {
        CSI300: ("csi300", 0.8, 0.008, 0.0, 0.0),
        CSI500: ("csi500", 0.6, 0.008, 0.0, 0.0),
        CSI1000: ("csi1000", 0.8, 0.008, 0.02, 0.2),
        CNI2000: ("cni2000", 0.8, 0.01, 0.02, 0.2),
    }
    return tuple(
        enhanced(signal, code, floor, deviation, industry, size, turnover, name=f"{prefix}_{label}")
        for code, (label, floor, deviation, industry, size) in settings.items() if code in benchmarks for turnover in (0.3, 0.4, 0.5)
    )


MULTIFREQ = ExperimentSpec(
    name="multifreq", title="MULTIFREQ: multi-frequency factor mining", system="MULTIFREQ",
    description="Four networks on raw 15-minute and daily bars, tested in four universes; the incremental model enhances four indices.",
    start=dt.date(2017, 1, 4), end=dt.date(2023, 4, 28), models=MODELS,
    signals=tuple(signal_of(model, model.name) for model in MODELS), comparisons=(LINEAR_BLEND,),
    portfolios=report_portfolios("incremental", "incremental"),
    test=FactorTestSpec(n_layers=10, every="week"), test_universes=(CSI300, CSI500, CSI1000, "all"),
)

# The sample starts in 2021: every later half-year trains on all that is there.
_RECENT_WALK = WalkForward(train_start=dt.date(2021, 1, 1))
GRU_DAILY_2021 = replace(GRU_DAILY, name="gru_daily_2021", walk=_RECENT_WALK)

MULTIFREQ_DAILY = ExperimentSpec(
    name="multifreq_daily", title="MULTIFREQ, daily branch alone, 2023–2025", system="MULTIFREQ",
    description="The daily GRU of the mixed and incremental models on its own, for markets whose 15-minute bars are too short to train on.",
    start=dt.date(2023, 1, 3), end=dt.date(2025, 12, 31), models=(GRU_DAILY_2021,), signals=(signal_of(GRU_DAILY_2021),), comparisons=(LINEAR_BLEND,),
    portfolios=report_portfolios("gru_daily_2021", "daily", (CSI300, CSI500)),
    test=FactorTestSpec(n_layers=10, every="week"), test_universes=(CSI300, CSI500, "all"),
)

_2025 = WalkForward(train_start=dt.date(2025, 1, 1))
MODELS_2025 = tuple(replace(model, name=f"{model.name}_2025", walk=_2025) for model in MODELS)

MULTIFREQ_RECENT = ExperimentSpec(
    name="multifreq_2025h2", title="MULTIFREQ, all four models on 2025H2", system="MULTIFREQ",
    description="All four networks trained on the first half of 2025 and tested on the second: a check that they run on real bars, too short to "
                "rank them.",
    start=dt.date(2025, 7, 1), end=dt.date(2025, 12, 31), models=MODELS_2025,
    signals=tuple(signal_of(model, base.name) for model, base in zip(MODELS_2025, MODELS, strict=True)),
    comparisons=(replace(LINEAR_BLEND, name="linear_blend_2025h2"),),
    portfolios=report_portfolios("incremental_2025", "recent", (CSI300, CSI500))[1:6:3],
    test=FactorTestSpec(n_layers=5, every="week"), test_universes=("all",),
)
