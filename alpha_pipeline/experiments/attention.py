"""ATTENTION: networks with self-attention on intraday characteristics, and the CSI 500 portfolios of a multi-factor model that holds them.

Source: the report's tables 1 to 6 (factors), section 5 and table 7 (portfolios). Where it is silent *(ours)*: three seeds, training from 2013 on with
every fifth date, validation in blocks (its “re-split of training and validation”), networks' sizes; risk-adjusted returns are freed of industries
and of the risk model's styles; portfolios hold the factors of the risk-adjusted target; 0.3 % is the cost of a round trip, 0.15 % a side.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from alpha_pipeline.backtest.costs import FlatCosts
from alpha_pipeline.combination.spec import CombinationSpec
from alpha_pipeline.experiment import RISK_STYLES, ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec, StudySpec
from alpha_pipeline.experiments.multifreq import CSI500, LINEAR_BLEND
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.portfolio.constraints import AnyConstraint, FullyInvested, IndustryBound, LongOnly, MaxDeviation, StyleBound, TurnoverLimit
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.portfolio.exposure_constraints import FactorClassBound
from alpha_pipeline.risk.style_factors import PRICE_STYLES, REPORT_STYLES
from alpha_pipeline.training.periods import WalkForward

NETWORKS = {"rnn": "attention_rnn", "attention": "attention_self", "residual": "attention_residual"}
FREQUENCIES = ("10m", "30m")
TARGETS: dict[str, tuple[str, ...]] = {"raw": (), "risk_adjusted": ("industry", RISK_STYLES)}
"""What the label is freed of. The raw excess over the market is the raw return: the market's mean disappears in the standardization."""

LABEL = ForwardReturn(5, entry="next_vwap")
WALK = WalkForward(horizon=5, validation="blocks")

OTHERS = (
    "size", "mid_cap", "value", "turnover", "reversal", "volatility", "profitability", "sue", "analyst", "closing_volume_share",
    "buy_intention_share", "large_order_share",
)
"""The other factors of the return model, section 5. A market that lacks one does without it, and the combination says so."""

NEUTRAL_STYLES = ("size", "btop")
ORDINARY = tuple(name for name in (*PRICE_STYLES, *REPORT_STYLES) if name not in NEUTRAL_STYLES)
HIGH_FREQUENCY = ("mschars.closing_volume_share@20", "l2chars.opening_net_buying@20", "l2chars.large_net_buying@20")
"""The return model's closing volume share, buy-intention share and large-order share. A market without order flow goes without their limits, as its
return model goes without the factors, and the report names them."""
COST = FlatCosts(0.0015, 0.0015)


def deep_model(network: str, frequency: str, target: str, *, name: str = "") -> ModelSpec:
    """One network of :data:`NETWORKS` on the characteristics of a frequency, for a target of :data:`TARGETS`."""
    tensor = TENSORS[f"chars_{frequency}"]
    return ModelSpec(name or f"{network}_{frequency}_{target}", NETWORKS[network], (tensor.name,),
                     (("tensor", tensor.name), ("n_fields", tensor.n_fields)), label=LABEL, walk=WALK, label_neutral=TARGETS[target])


def signal_of(model: ModelSpec, published: str) -> SignalSpec:
    """The deep factor as it is scored; the report tests it without neutralization."""
    return SignalSpec(model.name, model=model.name, published=published, neutral=False)


def return_model(name: str, deep: str) -> CombinationSpec:
    """Expected return from the deep factor and :data:`OTHERS`: factors × mean premia of the last twelve months."""
    return CombinationSpec(name, "premium", (deep, *OTHERS), label=LABEL, window_months=12)


def enhanced(name: str, signal: str, deviation: float) -> PortfolioSpec:
    """Section 5: |w − w_b| ≤ 1 or 2 %, size and value neutral, ordinary factors ± 0.5, high-frequency ones ± 2.0, industries strictly neutral,
    one-sided turnover ≤ 30 %."""
    constraints: tuple[AnyConstraint, ...] = (
        FullyInvested(), LongOnly(), MaxDeviation(deviation), IndustryBound(0.0), *(StyleBound(style, 0.0) for style in NEUTRAL_STYLES),
        FactorClassBound("ordinary", 0.5, ORDINARY), FactorClassBound("high_frequency", 2.0, HIGH_FREQUENCY), TurnoverLimit(0.3, sided="one"),
    )
    return PortfolioSpec(name, signal, EnhancedIndexSpec(CSI500, constraints), COST)


GRID = tuple((network, frequency, target) for frequency in FREQUENCIES for target in TARGETS for network in NETWORKS)
MODELS = tuple(deep_model(*key) for key in GRID)
SIGNALS = tuple(signal_of(model, "_".join(key)) for model, key in zip(MODELS, GRID, strict=True))
HELD = ("rnn_30m", "attention_30m", "attention_10m", "residual_30m", "residual_10m")
"""Models of table 7."""
RETURN_MODELS = tuple(return_model(f"premium_{model}", f"{model}_risk_adjusted") for model in HELD)
DEVIATIONS = {"1": 0.01, "2": 0.02}
PORTFOLIOS = {f"{d}/{model}": enhanced(f"attention_csi500_{model}_d{d}", f"premium_{model}", limit)
              for d, limit in DEVIATIONS.items() for model in HELD}


def studies(portfolios: dict[str, PortfolioSpec], return_models: tuple[CombinationSpec, ...], *, since: str = "") -> tuple[StudySpec, ...]:
    """The report's exhibits in its order. ``since`` : first day of the pictures that start late (the report: 2021-09-01)."""
    recent = (("since", since),) if since else ()
    listed = (("portfolios", ",".join(p.name for p in portfolios.values())), ("labels", ",".join(portfolios)))
    return (
        StudySpec("weekly_factors", "weekly_factors", recent, after="factor_tests"),
        StudySpec("yearly_enhancement", "yearly_enhancement", (*listed, *recent), after="portfolios"),
        StudySpec("deep_weight", "deep_weight", (("combinations", ",".join(c.name for c in return_models)),), after="portfolios"),
    )


ATTENTION = ExperimentSpec(
    name="attention", title="ATTENTION: attention for deep high-frequency factors", system="ATTENTION",
    description="RNN, self-attention and residual attention on 10- and 30-minute characteristics, raw and risk-adjusted targets; five of them in a "
                "multi-factor model that enhances CSI 500.",
    start=dt.date(2016, 1, 4), end=dt.date(2022, 5, 31), models=MODELS, combinations=RETURN_MODELS, signals=SIGNALS,
    comparisons=(*(SignalSpec(c.name, combination=c.name, neutral=False) for c in RETURN_MODELS),
                 replace(LINEAR_BLEND, name="linear_blend_attention")),
    portfolios=tuple(PORTFOLIOS.values()),
    test=FactorTestSpec(n_layers=10, every="week", return_entry="next_vwap", neutral=False), test_universes=("all",),
    studies=studies(PORTFOLIOS, RETURN_MODELS, since="2021-09-01"),
)
