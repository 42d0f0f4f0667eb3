"""ALPHANET as published: every number of figures 5, 9, 11, 14, 15, 17, 21, 22, 23, 25, 29, 30 and 31.

Targets to print beside ours, never to tune to. Returns are decimals with the report's digits; turnover is two-sided, a rebalance (the report
calls it a monthly mean, and its limit is 30 % a rebalance); win rates are monthly. AlphaNet-v2, the baseline, stands in every table. Years 2011
and 2021 are partial (2011-01-31 to 2021-06-30). Layers cost 0.2 % one-way. TOP turnover is not published.
"""

from __future__ import annotations

import math

import pandas as pd

from alpha_pipeline.reporting.published import (
    KnownSlip,
    PublishedBenchmark,
    PublishedFactorTest,
    PublishedLayers,
    PublishedPortfolio,
    PublishedReport,
)

CSI500, ALL_A = "000905.SH", "all"
V2, V21, V22, V23 = "alphanet_v2", "alphanet_v2_1", "alphanet_v2_2", "alphanet_v2_3"
_YEARS = tuple(range(2011, 2022))


def _years(*returns: float) -> tuple[tuple[int, float], ...]:
    return tuple(zip(_YEARS, returns, strict=True))


_T = PublishedFactorTest
# figures, universe, model, RankIC mean, RankIC std, ICIR, IC>0, TOP annual excess, TOP IR, TOP win rate, TOP turnover
FACTOR_TESTS = (
    _T((9, 11, 17, 21, 25, 29), ALL_A, V2, 0.1125, 0.0987, 1.14, 0.8851, 0.1503, 3.45, 0.8240, math.nan),
    _T((9, 11), ALL_A, V21, 0.1145, 0.1044, 1.10, 0.8889, 0.1579, 3.42, 0.7920, math.nan),
    _T((17, 21), ALL_A, V22, 0.0799, 0.0696, 1.15, 0.8966, 0.1079, 3.55, 0.7600, math.nan),
    _T((25, 29), ALL_A, V23, 0.1170, 0.1078, 1.09, 0.8697, 0.1690, 3.79, 0.8160, math.nan),
)

_L = PublishedLayers
LAYERS = (
    _L(11, ALL_A, V2, (0.1503, 0.0282, -0.0429, -0.1360, -0.2471), 0.5219, 6.18),
    _L(11, ALL_A, V21, (0.1579, 0.0385, -0.0438, -0.1353, -0.2527), 0.5429, 6.14),
    _L(21, ALL_A, V22, (0.1079, 0.0031, -0.0597, -0.0815, -0.1973), 0.3772, 6.05),
    _L(29, ALL_A, V23, (0.1690, 0.0251, -0.0425, -0.1251, -0.2545), 0.5605, 6.03),
)
"""After a cost of 0.2 % one-way. AlphaNet-v2 stands in figures 11, 21 and 29."""

PAIR_COVERAGE = pd.DataFrame({"n_drawn": [6, 7, 8, 9, 10, 11], "coverage": [0.7864, 0.8942, 0.9552, 0.9859, 0.9965, 0.9994]})
"""Share of the 105 pairs that ten members see, mean of 1,000 simulations. Figure 5."""

_P = PublishedPortfolio
# figures, benchmark, two-sided turnover limit; annual return, volatility, Sharpe, max drawdown; annual excess, tracking error,
# excess max drawdown, IR, Calmar, monthly win rate, mean two-sided turnover; figures of the yearly table, yearly returns, model
_V21_YEARS = _years(-0.0682, 0.2786, 0.5026, 0.4641, 1.0522, 0.0580, 0.1125, -0.2271, 0.4078, 0.4746, 0.1217)
PORTFOLIOS = (
    _P((14, 22, 30), CSI500, 0.30, 0.2555, 0.2485, 1.03, 0.4472, 0.2013, 0.0631, 0.0805, 3.19, 2.50, 0.7920, 0.3142,
       (15, 23, 31), _years(-0.0947, 0.2626, 0.4219, 0.4496, 1.0931, 0.0500, 0.1217, -0.2509, 0.4166, 0.4740, 0.1076), V2),
    _P((14,), CSI500, 0.30, 0.2711, 0.2450, 1.11, 0.4349, 0.2150, 0.0652, 0.0822, 3.30, 2.62, 0.8400, 0.3124, (15,), _V21_YEARS, V21),
    _P((22,), CSI500, 0.30, 0.2157, 0.2542, 0.85, 0.4608, 0.1656, 0.0530, 0.0517, 3.12, 3.20, 0.8480, 0.3131,
       (23,), _years(-0.1561, 0.2363, 0.4042, 0.4755, 0.9144, -0.0434, 0.1389, -0.2869, 0.3981, 0.4296, 0.1304), V22),
    _P((30,), CSI500, 0.30, 0.2789, 0.2414, 1.16, 0.4370, 0.2212, 0.0668, 0.0880, 3.31, 2.51, 0.7920, 0.3108, (31,), _V21_YEARS, V23),
)

BENCHMARKS = (
    PublishedBenchmark(
        (14, 22, 30), CSI500, 0.0400, 0.2600, 0.15, 0.6520,
        (15, 23, 31), _years(-0.2817, 0.0028, 0.1689, 0.3901, 0.4312, -0.1778, -0.0020, -0.3332, 0.2638, 0.2087, 0.0692),
    ),
)

SLIPS = (
    KnownSlip(
        "v2_3_years", "figure 31", "the yearly returns of AlphaNet-v2.1 (figure 15) once more in the row of v2.3",
        "27.89% a year for v2.3 and 27.11% for v2.1 (figures 30 and 14), and these years compound to the latter; v2.3's own are not published",
        (f"{V23}/{CSI500}@30",), "The years are shown as printed.",
    ),
    KnownSlip(
        "barra_appendix", "the appendix (figure 33)", "the styles as Barra USE4, ETOP with weight 0.66 and CETOP with 0.34, GROWTH from EGRO alone",
        "CETOP the heavier of the two (0.66 against 0.34 without forecasts) and SGRO beside EGRO", (f"{ALL_A}/{V22}", f"{V22}/{CSI500}@30"),
        "The risk model has CNE5.", "Barra's CNE5 has",
    ),
)

ALPHANET_PUBLISHED = PublishedReport(
    system="ALPHANET",
    title="AlphaNet improved: structure and loss",
    publisher="Huatai Securities, 2021",
    first_date="2011-01-31",
    last_date="2021-06-30",
    n_seeds=10,
    models=(
        (V2, "AlphaNet-v2", "AlphaNet-v2"), (V21, "AlphaNet-v2.1", "AlphaNet-v2.1"), (V22, "AlphaNet-v2.2", "AlphaNet-v2.2"),
        (V23, "AlphaNet-v2.3", "AlphaNet-v2.3"),
    ),
    universes=((ALL_A, "All A", "全A股"), (CSI500, "CSI 500", "中证500")),
    factor_tests=FACTOR_TESTS,
    correlation=None,
    portfolios=PORTFOLIOS,
    benchmarks=BENCHMARKS,
    slips=SLIPS,
    layers=LAYERS,
)
