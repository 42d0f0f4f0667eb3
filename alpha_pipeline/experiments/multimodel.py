"""MULTIMODEL: five factor units on three data sets, weighted by trees, combined at two levels; best names and two enhanced indices.

Source: the report's sections 3.1 (units, data sets, label, ten trainings), 4.1 and 4.2 (combinations), 5.1 (portfolios). A unit is one network on one
data set; all units of a network go through LightGBM to its score; RNN joins GRU, AGRU and LSTM, RCT all five, either their factors (v0) or
their weighted scores (v1). Everything inside the all-share index; weekly, next day's vwap, 0.1 % to buy and 0.2 % to sell.

Ours, where the report refers to predecessors that are not public: training from 2013 on every fifth date, 4:1, a new model every half-year, K = 32
factors and their loss, the fields of the two sets of characteristics, the trees and their window of twelve months; the scores are tested as they
are. No bound on single names, as none is printed: tracking error, styles and industries bound them.
"""

from __future__ import annotations

import datetime as dt

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.experiment import CombinationSpec, ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec, StudySpec
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.portfolio.constraints import (
    AnyConstraint,
    ConstituentFloor,
    FactorClassBound,
    FullyInvested,
    IndustryBound,
    LongOnly,
    TrackingErrorLimit,
    TurnoverLimit,
)
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.portfolio.top_n import TopNSpec
from alpha_pipeline.training.periods import WalkForward
from alpha_pipeline.training.spec import TrainingSpec

CSI300, CSI500, ALL_SHARE = "000300.SH", "000905.SH", "000985.CSI"
NETWORKS = ("gru", "agru", "lstm", "restcn", "transformer")
DATA_SETS = ("rawbar", "mschars", "l2chars")
RUNS = tuple(range(10))
LABEL = ForwardReturn(10, lag=1)
UNIVERSE = UniverseSpec(ALL_SHARE)
COSTS = FlatCosts(buy=0.001, sell=0.002)
TOP_DELTAS = (0.05, 0.08, 0.10, 0.20, 0.30, 0.50, 1.00)
ENHANCED_DELTAS = (0.10, 0.20, 0.30, 0.50)


def unit(network: str, data_set: str) -> ModelSpec:
    """A factor unit: one network on one data set."""
    return ModelSpec(
        f"{network}_{data_set}", f"factor_{network}", (data_set,), (("tensor", data_set), ("n_fields", TENSORS[data_set].n_fields)),
        label=LABEL, universe=UNIVERSE, walk=WalkForward(horizon=LABEL.horizon, lag=LABEL.lag), training=TrainingSpec(loss="factor_ic"), seeds=RUNS,
    )


def units_of(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the units of some networks."""
    return tuple(f"{network}_{data_set}" for network in networks for data_set in DATA_SETS)


def weighted(name: str, networks: tuple[str, ...]) -> CombinationSpec:
    """All factors of all units of some networks, weighted by trees, run by run."""
    return CombinationSpec(name, "lightgbm", units_of(networks), runs=RUNS, label=LABEL, universe=UNIVERSE)


def averaged(name: str, networks: tuple[str, ...]) -> CombinationSpec:
    """Mean of the z-scores of some networks' weighted scores."""
    return CombinationSpec(name, "zscore_mean", networks, label=LABEL, universe=UNIVERSE)


RNN = NETWORKS[:3]
MODELS = tuple(unit(network, data_set) for network in NETWORKS for data_set in DATA_SETS)
COMBINATIONS = (
    *(weighted(network, (network,)) for network in NETWORKS),
    weighted("rnn_v0", RNN), averaged("rnn_v1", RNN), weighted("rct_v0", NETWORKS), averaged("rct_v1", NETWORKS),
)
BEST = "rct_v1"


def best_names(n_names: int, delta: float) -> PortfolioSpec:
    """Figures 16 and 17: N names of equal weight, against the equal-weight universe."""
    name = f"{BEST}_top{n_names}_d{round(delta * 100):03d}"
    return PortfolioSpec(name, BEST, TopNSpec(n_names, delta), COSTS, published=f"top{n_names}@{delta:.2f}")


def enhanced(benchmark: str, label: str, tracking_error: float, floor: float, delta: float) -> PortfolioSpec:
    """Figures 18 to 21: all styles within 0.5, industries within 2 %, one-sided turnover of at most ``delta``; ``floor`` 0 = any names."""
    constraints: tuple[AnyConstraint, ...] = (
        FullyInvested(), LongOnly(), IndustryBound(0.02), FactorClassBound("styles", 0.5), TrackingErrorLimit(tracking_error),
        TurnoverLimit(delta, sided="one"),
    )
    if floor:
        constraints = (*constraints, ConstituentFloor(floor))
    return PortfolioSpec(f"{BEST}_{label}_d{round(delta * 100):03d}", BEST, EnhancedIndexSpec(benchmark, constraints, solver="clarabel"), COSTS,
                         published=f"{label}@{delta:.2f}", attribution="full")


PORTFOLIOS = (
    *(best_names(n_names, delta) for n_names in (100, 300) for delta in TOP_DELTAS),
    *(enhanced(CSI300, label, 0.04, floor, delta) for label, floor in (("csi300", 0.0), ("csi300_members", 0.8)) for delta in ENHANCED_DELTAS),
    *(enhanced(CSI500, label, 0.05, floor, delta) for label, floor in (("csi500", 0.0), ("csi500_members", 0.8)) for delta in ENHANCED_DELTAS),
)

STUDIES = (
    StudySpec("horizons", "rank_ic_horizons", after="factor_tests"),
    StudySpec("groups", "hedged_groups", (("since", "2020-01-01"),), after="layers"),
    StudySpec("averaging", "score_averaging", (("models", ",".join(NETWORKS)), ("rnn_v1", ",".join(RNN)), ("rct_v1", ",".join(NETWORKS))),
              after="correlation"),
    StudySpec("levels", "paired_signals", (("rnn_v1", "rnn_v0"), ("rct_v1", "rct_v0")), after="correlation"),
    StudySpec("importances", "weighting_importances", after="correlation"),
    StudySpec("yearly", "yearly_portfolios", after="portfolios"),
)

MULTIMODEL = ExperimentSpec(
    name="multimodel", title="MULTIMODEL: five networks, three data sets", system="MULTIMODEL",
    description="Factor units on raw bars and two sets of characteristics, weighted by trees; combined scores pick names and enhance two indices.",
    start=dt.date(2016, 12, 30), end=dt.date(2022, 5, 31), models=MODELS, combinations=COMBINATIONS,
    signals=tuple(SignalSpec(c.name, combination=c.name, universe=UNIVERSE, published=c.name) for c in COMBINATIONS),
    comparisons=(SignalSpec("linear_blend_all_share", baseline="linear_blend", universe=UNIVERSE),
                 SignalSpec("oracle_all_share", baseline="oracle", universe=UNIVERSE)),
    portfolios=PORTFOLIOS, test=FactorTestSpec(n_layers=20, every="week", neutral=False), test_universes=(ALL_SHARE,), studies=STUDIES,
)
