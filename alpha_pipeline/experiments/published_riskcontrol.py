"""RISKCONTROL as published: every number of figures 11, 23, 28, 30, 31, 33 to 36, and those its text states.

Targets to print beside ours, never to tune to. Returns are decimals with the report's digits (0.259 is 25.9 %). The sample is 2016-12-30 to
2024-03-29, its last quarter 2024Q1. From figure 23 on, portfolios enhance CSI 1000, and the row without a further limit is that of figure 11.
"""

from __future__ import annotations

import pandas as pd

from alpha_pipeline.reporting.published import KnownSlip, PublishedReport

CSI500, CSI1000 = "000905.SH", "000852.SH"
FIRST_DATE, LAST_DATE, LAST_QUARTER = "2016-12-30", "2024-03-29", "2024Q1"

PERFORMANCE_COLUMNS = (
    "annual_excess", "information_ratio", "excess_max_drawdown", "calmar", "excess_2022", "excess_2023", "last_quarter_excess",
    "last_quarter_drawdown",
)
SMALL_CAP_COLUMNS = ("smallest_10", "smallest_20", "smallest_30")

# key: figure, benchmark or limit; then PERFORMANCE_COLUMNS
_BASE = (0.259, 3.91, 0.065, 3.98, 0.224, 0.139, 0.023, 0.043)
_PERFORMANCE: tuple[tuple[str, tuple[int, ...], tuple[float, ...]], ...] = (
    ("csi500", (11,), (0.176, 3.03, 0.070, 2.53, 0.153, 0.056, 0.037, 0.040)),
    ("csi1000", (11, 23, 30, 33, 35), _BASE),
    ("constituents_100", (23,), (0.255, 4.19, 0.052, 4.89, 0.208, 0.106, 0.021, 0.031)),
    ("constituents_0", (23,), (0.265, 3.61, 0.091, 2.90, 0.284, 0.137, 0.047, 0.084)),
    ("nlsize_10", (30,), (0.262, 3.98, 0.057, 4.59, 0.236, 0.125, 0.042, 0.040)),
    ("nlsize_20", (30,), (0.258, 3.90, 0.062, 4.17, 0.228, 0.133, 0.028, 0.042)),
    ("nlsize_30", (30,), (0.259, 3.92, 0.068, 3.78, 0.233, 0.128, 0.034, 0.039)),
    ("nlsize_40", (30,), (0.259, 3.90, 0.064, 4.03, 0.236, 0.130, 0.026, 0.049)),
    ("moment2_10", (33,), (0.260, 3.95, 0.066, 3.92, 0.213, 0.114, 0.046, 0.034)),
    ("moment2_20", (33,), (0.266, 3.99, 0.064, 4.16, 0.212, 0.127, 0.031, 0.040)),
    ("moment2_30", (33,), (0.263, 3.99, 0.067, 3.92, 0.225, 0.129, 0.034, 0.039)),
    ("moment2_40", (33,), (0.264, 3.98, 0.065, 4.04, 0.229, 0.141, 0.028, 0.041)),
    ("moment3_10", (35,), (0.242, 3.80, 0.068, 3.56, 0.202, 0.103, 0.041, 0.022)),
    ("moment3_20", (35,), (0.245, 3.80, 0.061, 4.00, 0.192, 0.089, 0.037, 0.030)),
    ("moment3_30", (35,), (0.249, 3.81, 0.055, 4.53, 0.208, 0.119, 0.027, 0.039)),
    ("moment3_40", (35,), (0.254, 3.84, 0.071, 3.57, 0.211, 0.131, 0.029, 0.043)),
)

# share of the portfolio's weight in the smallest 10, 20, 30 % of names by capitalization
_SMALL_CAPS: tuple[tuple[str, tuple[int, ...], tuple[float, float, float]], ...] = (
    ("csi1000", (31, 34, 36), (0.032, 0.070, 0.114)),
    ("nlsize_10", (31,), (0.031, 0.070, 0.115)),
    ("nlsize_20", (31,), (0.030, 0.069, 0.114)),
    ("nlsize_30", (31,), (0.031, 0.069, 0.113)),
    ("nlsize_40", (31,), (0.032, 0.070, 0.114)),
    ("moment2_10", (34,), (0.015, 0.044, 0.084)),
    ("moment2_20", (34,), (0.023, 0.059, 0.103)),
    ("moment2_30", (34,), (0.029, 0.066, 0.110)),
    ("moment2_40", (34,), (0.031, 0.069, 0.113)),
    ("moment3_10", (36,), (0.017, 0.045, 0.084)),
    ("moment3_20", (36,), (0.018, 0.051, 0.092)),
    ("moment3_30", (36,), (0.021, 0.057, 0.100)),
    ("moment3_40", (36,), (0.025, 0.062, 0.106)),
)

PERFORMANCE = pd.DataFrame([(key, *values) for key, _, values in _PERFORMANCE], columns=["variant", *PERFORMANCE_COLUMNS])
"""Figures 11, 23, 30, 33, 35, one row per portfolio; ``csi500`` and ``csi1000`` are the base portfolios, all others vary ``csi1000``."""

SMALL_CAPS = pd.DataFrame([(key, *values) for key, _, values in _SMALL_CAPS], columns=["variant", *SMALL_CAP_COLUMNS])
"""Figures 31, 34, 36. The report has no such row for the constituent limits of figure 23."""

CONSTITUENT_SHARE = pd.DataFrame([("constituents_100", 1.0), ("csi1000", 0.80), ("constituents_0", 0.326)],
                                 columns=["variant", "mean_constituent_share"])
"""Figure 23: mean share of the weight in constituents that the optimization took."""

FIGURES = {key: figures for key, figures, _ in (*_PERFORMANCE, *_SMALL_CAPS)}
"""Figures of each variant; where a variant stands in a performance and a small-cap table, those of the latter."""

STYLE_TIMING = pd.DataFrame(
    [("composite", 0.21, 0.14, 0.11, 0.12), ("day_gru", 0.20, 0.09, 0.09, 0.17), ("week_gru", 0.12, 0.11, 0.07, 0.11)],
    columns=["signal", "size", "momentum", "volatility", "liquidity"],
)
"""Figure 28: correlation of the active exposure at a rebalance with the style factor's next-5-day return, CSI 1000. ``volatility`` is the
report's residual volatility. The minute characteristics have no row."""

SIZE_TIMING_WITHOUT_OUTLIERS = 0.27
"""Text before figure 27: the size correlation without the outliers at the upper left."""

SIZE_TAIL_LOSSES = ("2021-01-05", "2024-01-29", "2024-02-27")
SIZE_TAIL_GAINS = ("2021-02-09", "2024-02-20")
"""Text before figure 27: rebalances whose active size met an extreme size return, against (upper left) and with it (lower left)."""

FACTOR_CORRELATION = pd.DataFrame(
    [("size", 0.047), ("momentum_10d", -0.28), ("volatility_10d", -0.43), ("liquidity_10d", -0.41)], columns=["style", "mean_correlation"],
)
"""Text before figures 16 and 17: mean cross-sectional correlation of the composite. Lowest with size: −0.49 on 2024-02-07."""

LOWEST_SIZE_CORRELATION = ("2024-02-07", -0.49)
SIZE_EXPOSURE = pd.DataFrame([("top_5", -0.59), ("bottom_5", 1.70)], columns=["group", "mean_size_exposure"])
"""Text before figure 18: mean size exposure of the top and bottom 5 % of names by factor value."""

SLIPS = (
    KnownSlip(
        "nlsize_wide", "the summary", "a limit on nonlinear size as a way to lower the last quarter's drawdown without cost in excess return",
        "a last-quarter drawdown of 4.9% at ±0.40, more than the 4.3% without a limit (figure 30); the text before it says ±0.30 or narrower",
        ("nlsize_40",),
    ),
    KnownSlip(
        "moment3_excess", "the summary", "control of size moments without weaker excess return",
        "24.2% to 25.4% a year under every limit on the third moment, 25.9% without (figure 35); the text before it says slightly lower",
        ("moment3_10", "moment3_20", "moment3_30", "moment3_40"),
    ),
)

RISKCONTROL_PUBLISHED = PublishedReport(
    system="RISKCONTROL",
    title="Risk control of AI price-volume stock selection",
    publisher="Huatai Securities, 2024-04-25",
    first_date=FIRST_DATE,
    last_date=LAST_DATE,
    n_seeds=0,  # not stated
    models=(
        ("day_gru", "Day GRU", "日 K 线 GRU 单因子"),
        ("week_gru", "Week GRU", "周 K 线 GRU 单因子"),
        ("composite", "Composite", "AI 量价（合成）因子"),
    ),
    universes=((CSI500, "CSI 500", "中证500"), (CSI1000, "CSI 1000", "中证1000")),
    factor_tests=(),
    correlation=None,
    portfolios=(),
    benchmarks=(),
    slips=SLIPS,
)


def performance(variant: str) -> dict[str, float] | None:
    """The published performance row of a variant, ``None`` when the report has none.

    >>> performance("moment3_10")["last_quarter_drawdown"]
    0.022
    """
    found = PERFORMANCE[PERFORMANCE["variant"] == variant]
    return None if found.empty else {column: float(found[column].iloc[0]) for column in PERFORMANCE_COLUMNS}
