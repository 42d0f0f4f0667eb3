"""ALPHANET: AlphaNet-v2 and its three improvements, tested every ten sessions in all A-shares; CSI 500 enhancement.

Source: the report's section on the test (测试流程), figures 7 and 8 (settings), 14, 22 and 30 (portfolios). v2.1 draws 8 of the 15 fields for each
member; v2.2 sees the part of its prediction that no style explains; v2.3 weighs the better half of the returns twice. MSE for all four, 1,500
sessions before a half-year that starts on 31 January or 31 July, every second one sampled, ten seeds. Layers and portfolios at the next day's
vwap, 0.2 % one-way; two-sided turnover of at most 30 % a week.

Ours, where the report is silent: 100 epochs at most, patience 10 (as MULTIFREQ), names younger than 60 sessions left out, no weight further than
1 % from the benchmark's (without such a bound the neutral portfolio of highest expected return holds some thirty names). Deviation: a name
is not tradable on the next day when one limit price held all day, not already when it closed at a limit.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.experiment import RISK_STYLES, ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec, StudySpec
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.portfolio.constraints import FullyInvested, IndustryBound, LongOnly, MaxDeviation, StyleBound, TurnoverLimit
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.reporting.published import published_key
from alpha_pipeline.training.periods import WalkForward
from alpha_pipeline.training.spec import TrainingSpec

CSI500 = "000905.SH"
TURNOVER = 0.30

WALK = WalkForward(train_start=dt.date(2004, 1, 1), n_days=1500, sample_every=2, anchors=((1, 31), (7, 31)))
TRAINING = TrainingSpec(loss="mse", lr=1e-4)

V2 = ModelSpec("alphanet_v2", "alphanet_v2", ("alphanet",), walk=WALK, training=TRAINING, seeds=tuple(range(10)))
V2_1 = replace(V2, name="alphanet_v2_1", settings=(("n_sampled_fields", 8),))
V2_2 = replace(V2, name="alphanet_v2_2", training=replace(TRAINING, neutralize=True), exposures=(RISK_STYLES,))
V2_3 = replace(V2, name="alphanet_v2_3", training=replace(TRAINING, top_half_weight=2.0))
MODELS = (V2, V2_1, V2_2, V2_3)

TEST = FactorTestSpec(n_layers=5, every=10, cost_one_way=0.002, return_entry="close", neutral=True)
COMPARISONS = (SignalSpec("linear_blend_10d", baseline="linear_blend"), SignalSpec("oracle_10d", baseline="oracle"))
"""Named apart from MULTIFREQ's: a signal is tested in one way."""


def csi500_enhanced(model: str) -> PortfolioSpec:
    """Figures 14, 22 and 30: industry- and size-neutral."""
    constraints = (FullyInvested(), LongOnly(), MaxDeviation(0.01), IndustryBound(0.0), StyleBound("size", 0.0), TurnoverLimit(TURNOVER, sided="two"))
    return PortfolioSpec(f"{model}_csi500", model, EnhancedIndexSpec(CSI500, constraints), FlatCosts(0.002, 0.002),
                         published=published_key(CSI500, TURNOVER, model))


STUDIES = (
    StudySpec("pair_coverage", "pair_coverage", after="training"),
    StudySpec("styles", "model_styles", after="correlation"),
    StudySpec("against_v2", "paired_signals", tuple((model.name, V2.name) for model in MODELS[1:]), after="layers"),
)

ALPHANET = ExperimentSpec(
    name="alphanet", title="ALPHANET: AlphaNet-v2 and its improvements", system="ALPHANET",
    description="AlphaNet-v2 against sampled pairs (v2.1), a loss free of styles (v2.2) and heavier winners (v2.3); each enhances CSI 500.",
    start=dt.date(2011, 1, 31), end=dt.date(2021, 6, 30), models=MODELS,
    signals=tuple(SignalSpec(model.name, model=model.name, published=model.name) for model in MODELS), comparisons=COMPARISONS,
    portfolios=tuple(csi500_enhanced(model.name) for model in MODELS), test=TEST, test_universes=("all",), studies=STUDIES,
)
