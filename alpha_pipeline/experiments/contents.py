"""The tables and figures that the report of each system must hold, in the published report's order, and where ours stand.

A full form and its small form hold the same; other experiments of a system (one branch alone, a short sample) are parts and are not checked.
"""

from __future__ import annotations

from alpha_pipeline.reporting.contents import Item

_FACTOR_TABLE = Item("RankIC mean, standard deviation, ICIR, IC>0 of each model", "factor_tests")
_PORTFOLIOS = Item("portfolios: return, volatility, Sharpe, drawdown, excess, TE, IR, Calmar, win rate, turnover, years, excess NAV", "portfolios")
_TRAINING = Item("training curves", "training")

_ALPHANET = (
    _FACTOR_TABLE,
    Item("cumulative RankIC", "factor_tests"),
    Item("layers' annual excess, long-short, TOP IR and win rate; relative NAV of the layers", "layers"),
    Item("first layers compared, v2.3 against v2 with intervals", "against_v2/paired"),
    Item("first layers over time", "against_v2/paired-cumulative"),
    Item("training time of v2.1 against v2", "against_v2/training-cost"),
    Item("exposures of the factors to the styles", "styles/styles"),
    Item("exposures of the factors to the styles, pictures", "styles/style-*"),
    Item("coverage of feature pairs by number of seeds", "pair_coverage/pair-coverage"),
    _TRAINING,
    _PORTFOLIOS,
)
_MULTIFREQ = (
    _FACTOR_TABLE,
    Item("TOP annual excess, IR, win rate and turnover", "factor_tests"),
    Item("ten layers in each universe", "layers"),
    Item("correlation of the four models", "correlation"),
    _TRAINING,
    _PORTFOLIOS,
    Item("attribution of the enhanced portfolios", "attribution"),
)
_MULTIMODEL = (
    _FACTOR_TABLE,
    Item("RankIC mean for 5, 10, 20 days and gap 0, 1", "horizons/horizon-mean"),
    Item("ICIR for 5, 10, 20 days and gap 0, 1", "horizons/horizon-icir"),
    Item("20 groups' annual hedged return, since start and since 2020", "groups/groups-*"),
    Item("top group's one-sided weekly turnover", "groups/*"),
    Item("score correlations, single runs", "averaging/correlation-single"),
    Item("score correlations, runs averaged", "averaging/correlation-averaged"),
    Item("identity of run averaging", "averaging/identity"),
    Item("predicted and realized IC of the integration", "averaging/averaged-ic"),
    Item("z-score level against factor level", "levels/paired"),
    Item("importance of the data sets", "importances/data-sets"),
    Item("best 100 and 300 names, and index enhancement, by turnover limit and year", "yearly/*"),
    _TRAINING,
    _PORTFOLIOS,
)
_RISKCONTROL = (
    _FACTOR_TABLE,
    Item("layers with and without neutralization", "top_layers/top_layers"),
    Item("layers in the last quarter", "top_layers/stretch"),
    Item("correlations of the factor with styles", "factor_profile/correlations"),
    Item("correlations with size and price-volume factors over time", "factor_profile/size"),
    Item("size exposure of both ends", "factor_profile/sides"),
    Item("size exposure of both ends over time", "factor_profile/sides_over_time"),
    Item("crowding", "factor_profile/crowding"),
    Item("enhanced portfolios: annual excess, IR, drawdown, Calmar, years, last quarter", "constraint_sweep/base"),
    Item("constituents 100, 80, 0 %", "constraint_sweep/constituents*"),
    Item("bounds on non-linear size", "constraint_sweep/nlsize*"),
    Item("bounds on the second moment of size", "constraint_sweep/moment2*"),
    Item("bounds on the third moment of size", "constraint_sweep/moment3*"),
    Item("small-cap shares over time", "constraint_sweep/small_caps"),
    Item("sources of return by stage", "return_sources/stages"),
    Item("active exposure against the style's next return", "style_timing/scatter*"),
    Item("correlations of style timing", "style_timing/correlations"),
    Item("outliers of style timing", "style_timing/tails"),
    _TRAINING,
    _PORTFOLIOS,
    Item("attribution of the enhanced portfolios", "attribution"),
)
_ATTENTION = (
    _FACTOR_TABLE,
    Item("weekly IC, annualized ICIR, win rate, long, short, long-short, autocorrelation, turnover", "weekly_factors/table"),
    Item("yearly long excess", "weekly_factors/yearly"),
    Item("long excess over time", "weekly_factors/long"),
    Item("yearly excess of the enhanced portfolios", "yearly_enhancement/yearly"),
    Item("excess NAV by deviation cap", "yearly_enhancement/nav_*"),
    Item("weight of the deep factor over time", "deep_weight/weight"),
    Item("premia of the return model", "deep_weight/premia"),
    _TRAINING,
    _PORTFOLIOS,
)
_FULL = {"alphanet": _ALPHANET, "multifreq": _MULTIFREQ, "multimodel": _MULTIMODEL, "riskcontrol": _RISKCONTROL, "attention": _ATTENTION}
CONTENTS: dict[str, tuple[Item, ...]] = _FULL | {f"{name}_small": items for name, items in _FULL.items()}
"""Experiment → what its report must hold."""
