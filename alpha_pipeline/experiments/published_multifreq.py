"""MULTIFREQ as published: every number of figures 4, 5, 15, 24, 33, 36, 37, 40, 41, 44, 45, 48 and 49.

Targets to print beside ours, never to tune to. Returns are decimals with the report's digits; turnover is two-sided; win rates
are monthly (the factor tests' 76 months, the portfolios' 75). Figures 4 and 5 are figures 44 and 45 again; the 15-minute rows
stand in figures 15 and 24. Years 2017 and 2023 are partial (2017-01-04 to 2023-04-28).
"""

from __future__ import annotations

from alpha_pipeline.reporting.published import (
    KnownSlip,
    PublishedBenchmark,
    PublishedCorrelation,
    PublishedFactorTest,
    PublishedPortfolio,
    PublishedReport,
)

CSI300, CSI500, CSI1000, CNI2000, ALL_A = "000300.SH", "000905.SH", "000852.SH", "399303.SZ", "all"
_YEARS = (2017, 2018, 2019, 2020, 2021, 2022, 2023)


def _years(*returns: float) -> tuple[tuple[int, float], ...]:
    return tuple(zip(_YEARS, returns, strict=True))


_T = PublishedFactorTest
# figures, universe, model, RankIC mean, RankIC std, ICIR, IC>0, TOP annual excess, TOP IR, TOP win rate, TOP turnover (two-sided)
FACTOR_TESTS = (
    _T((15, 24), CSI300, "gru_15m", 0.0586, 0.1498, 0.39, 0.6678, 0.1539, 1.60, 0.6579, 1.2511),
    _T((15,), CSI300, "gru_15m_attention", 0.0560, 0.1445, 0.39, 0.6319, 0.1595, 1.60, 0.6974, 1.1673),
    _T((24,), CSI300, "mixed", 0.0702, 0.1348, 0.52, 0.7101, 0.2925, 2.97, 0.7632, 1.1094),
    _T((24,), CSI300, "incremental", 0.0719, 0.1346, 0.53, 0.7288, 0.2942, 3.09, 0.8026, 1.0583),
    _T((15, 24), CSI500, "gru_15m", 0.0657, 0.1097, 0.60, 0.7362, 0.1733, 2.14, 0.6842, 1.2266),
    _T((15,), CSI500, "gru_15m_attention", 0.0624, 0.1058, 0.59, 0.7622, 0.1058, 1.40, 0.6579, 1.1876),
    _T((24,), CSI500, "mixed", 0.0719, 0.1016, 0.71, 0.7655, 0.2167, 2.68, 0.7500, 1.1088),
    _T((24,), CSI500, "incremental", 0.0808, 0.0980, 0.82, 0.8039, 0.2653, 3.42, 0.7763, 1.0447),
    _T((15, 24), CSI1000, "gru_15m", 0.0897, 0.0895, 1.00, 0.8567, 0.2377, 3.42, 0.8289, 1.2628),
    _T((15,), CSI1000, "gru_15m_attention", 0.0849, 0.0894, 0.95, 0.8436, 0.1840, 2.79, 0.7763, 1.1698),
    _T((24,), CSI1000, "mixed", 0.0858, 0.0834, 1.03, 0.8632, 0.3012, 4.26, 0.8816, 1.1160),
    _T((24,), CSI1000, "incremental", 0.1007, 0.0875, 1.15, 0.8954, 0.3639, 5.17, 0.9342, 1.0777),
    _T((15, 24), ALL_A, "gru_15m", 0.0930, 0.0812, 1.15, 0.8697, 0.2418, 3.95, 0.8026, 1.2517),
    _T((15,), ALL_A, "gru_15m_attention", 0.0901, 0.0894, 1.01, 0.8567, 0.2006, 3.48, 0.8421, 1.1517),
    _T((24,), ALL_A, "mixed", 0.0839, 0.0821, 1.02, 0.8697, 0.3000, 4.80, 0.9211, 1.0842),
    _T((24,), ALL_A, "incremental", 0.1022, 0.0771, 1.33, 0.9085, 0.3636, 5.95, 0.9474, 1.0525),
)

CORRELATION = PublishedCorrelation(
    33,
    ("gru_15m", "gru_15m_attention", "mixed", "incremental"),
    (
        ("gru_15m", "gru_15m_attention", 0.6864),
        ("gru_15m", "mixed", 0.5148),
        ("gru_15m", "incremental", 0.5527),
        ("gru_15m_attention", "mixed", 0.4629),
        ("gru_15m_attention", "incremental", 0.4576),
        ("mixed", "incremental", 0.7302),
    ),
)

_P = PublishedPortfolio
# figures, benchmark, two-sided turnover limit; annual return, volatility, Sharpe, max drawdown; annual excess, tracking error,
# excess max drawdown, IR, Calmar, monthly win rate, mean two-sided turnover; figures of the yearly table, yearly returns
PORTFOLIOS = (
    _P((36,), CSI300, 0.30, 0.1276, 0.1878, 0.68, 0.2756, 0.0948, 0.0572, 0.0784, 1.66, 1.21, 0.6800, 0.3280,
       (37,), _years(0.2695, -0.1955, 0.3618, 0.3712, 0.1937, -0.1140, 0.0461)),
    _P((36,), CSI300, 0.40, 0.1288, 0.1876, 0.69, 0.2735, 0.0958, 0.0579, 0.0685, 1.66, 1.40, 0.6533, 0.4195,
       (37,), _years(0.2833, -0.1874, 0.3621, 0.3975, 0.1609, -0.1151, 0.0423)),
    _P((36,), CSI300, 0.50, 0.1203, 0.1885, 0.64, 0.2767, 0.0877, 0.0587, 0.0708, 1.49, 1.24, 0.6667, 0.5133,
       (37,), _years(0.2655, -0.1818, 0.3483, 0.3920, 0.1377, -0.1176, 0.0396)),
    _P((40,), CSI500, 0.30, 0.1771, 0.2055, 0.86, 0.2974, 0.1818, 0.0552, 0.0741, 3.29, 2.45, 0.7867, 0.3254,
       (41,), _years(0.1763, -0.1756, 0.4728, 0.2947, 0.3666, -0.0002, 0.0893)),
    _P((40,), CSI500, 0.40, 0.1758, 0.2055, 0.86, 0.2884, 0.1805, 0.0555, 0.0817, 3.25, 2.21, 0.7733, 0.4168,
       (41,), _years(0.1763, -0.1606, 0.4543, 0.3259, 0.3835, -0.0261, 0.0672)),
    _P((40,), CSI500, 0.50, 0.1693, 0.2057, 0.82, 0.2871, 0.1739, 0.0559, 0.0760, 3.11, 2.29, 0.7467, 0.5089,
       (41,), _years(0.1757, -0.1541, 0.4568, 0.3200, 0.3731, -0.0440, 0.0550)),
    _P((4, 44), CSI1000, 0.30, 0.2370, 0.2288, 1.04, 0.2866, 0.2893, 0.0651, 0.0552, 4.45, 5.24, 0.8267, 0.3284,
       (5, 45), _years(0.0462, -0.1060, 0.5797, 0.3829, 0.6338, 0.0158, 0.0987)),
    _P((4, 44), CSI1000, 0.40, 0.2409, 0.2301, 1.05, 0.2909, 0.2938, 0.0656, 0.0557, 4.48, 5.27, 0.9067, 0.4227,
       (5, 45), _years(0.1175, -0.1221, 0.6037, 0.3792, 0.5981, -0.0012, 0.0986)),
    _P((4, 44), CSI1000, 0.50, 0.2615, 0.2313, 1.13, 0.2846, 0.3157, 0.0659, 0.0462, 4.79, 6.83, 0.9067, 0.5142,
       (5, 45), _years(0.1091, -0.0866, 0.6426, 0.3992, 0.6192, 0.0045, 0.1118)),
    _P((48,), CNI2000, 0.30, 0.2681, 0.2277, 1.18, 0.2652, 0.2938, 0.0718, 0.0548, 4.09, 5.36, 0.8800, 0.3245,
       (49,), _years(0.0341, -0.0144, 0.5941, 0.2912, 0.6728, 0.1429, 0.0939)),
    _P((48,), CNI2000, 0.40, 0.2777, 0.2315, 1.20, 0.2492, 0.3047, 0.0724, 0.0402, 4.21, 7.59, 0.8667, 0.4170,
       (49,), _years(0.0575, 0.0328, 0.5707, 0.3534, 0.6411, 0.1174, 0.0795)),
    _P((48,), CNI2000, 0.50, 0.2842, 0.2334, 1.22, 0.2499, 0.3119, 0.0734, 0.0380, 4.25, 8.21, 0.8667, 0.5093,
       (49,), _years(0.0730, 0.0424, 0.5366, 0.3762, 0.6389, 0.1028, 0.1056)),
)

_B = PublishedBenchmark
# figures, benchmark; annual return, volatility, Sharpe, max drawdown; figures of the yearly table, yearly returns
BENCHMARKS = (
    _B((36,), CSI300, 0.0279, 0.1900, 0.15, 0.3959, (37,), _years(0.1967, -0.2531, 0.3607, 0.2721, -0.0520, -0.2163, 0.0407)),
    _B((40,), CSI500, -0.0061, 0.2089, -0.03, 0.4011, (41,), _years(-0.0225, -0.3332, 0.2638, 0.2087, 0.1558, -0.2031, 0.0642)),
    _B((4, 44), CSI1000, -0.0427, 0.2292, -0.19, 0.5214,
       (5, 45), _years(-0.1906, -0.3687, 0.2567, 0.1939, 0.2052, -0.2158, 0.0703)),
    _B((48,), CNI2000, -0.0221, 0.2266, -0.10, 0.4991, (49,), _years(-0.1864, -0.3377, 0.2345, 0.1687, 0.2919, -0.1720, 0.0675)),
)

SLIPS = (
    KnownSlip(
        "mixed_all_a", "the abstract (and the summary)", "8.58% RankIC and 30.12% TOP excess as the mixed model's all-A result",
        "8.39% and 30.00% for all A; 8.58% and 30.12% are the CSI 1000 row (figure 24)", (f"{ALL_A}/mixed", f"{CSI1000}/mixed"),
    ),
    KnownSlip(
        "csi300_ir", "the abstract (and the summary)", "1.21 to 1.40 as the CSI 300 portfolios' information ratio",
        "an information ratio of 1.49 to 1.66; 1.21 to 1.40 is their Calmar ratio (figure 36)",
        (f"{CSI300}@30", f"{CSI300}@40", f"{CSI300}@50"),
    ),
    KnownSlip(
        "csi300_excess", "the abstract (and the summary)", "8.77% to 9.48% as the CSI 300 portfolios' annual excess return",
        "8.77% to 9.58%: the 40% turnover limit earned 9.58% (figure 36)", (f"{CSI300}@40",),
    ),
)

MULTIFREQ_PUBLISHED = PublishedReport(
    system="MULTIFREQ",
    title="Building multi-frequency factor-mining models with neural networks",
    publisher="Huatai Securities, 2023-05-11",
    first_date="2017-01-04",
    last_date="2023-04-28",
    n_seeds=3,
    models=(
        ("gru_15m", "GRU-15m", "15分钟频模型"),
        ("gru_15m_attention", "GRU-15m + attention", "15分钟频注意力模型"),
        ("mixed", "Mixed", "多频率混合模型"),
        ("incremental", "Incremental", "多频率增量混合模型"),
    ),
    universes=(
        (CSI300, "CSI 300", "沪深300"),
        (CSI500, "CSI 500", "中证500"),
        (CSI1000, "CSI 1000", "中证1000"),
        (ALL_A, "All A", "全A股"),
        (CNI2000, "CNI 2000", "国证2000"),
    ),
    factor_tests=FACTOR_TESTS,
    correlation=CORRELATION,
    portfolios=PORTFOLIOS,
    benchmarks=BENCHMARKS,
    slips=SLIPS,
)
