"""ATTENTION as published: every number of tables 1 to 7.

Targets to print beside ours, never to tune to. IC and weekly excess returns are decimals with the report's digits (0.0042 is 0.42 % a week);
the ICIR is annualized (mean / std · √periods per year); the turnover of the top 10 % is the share of its names that a week replaces
(one-sided; the report does not say, and two-sided 73 % would mean a third of the names, which an autocorrelation of 0.31 rules out).
2016-01 to 2022-05, weekly, before costs; the last year is partial. Yearly long excess stands in pictures without numbers.
"""

from __future__ import annotations

import pandas as pd

from alpha_pipeline.reporting.published import KnownSlip, PublishedReport

CSI500, ALL_A = "000905.SH", "all"
FIRST_DATE, LAST_DATE = "2016-01-04", "2022-05-31"
FREQUENCIES, TARGETS = ("30m", "10m"), ("raw", "risk_adjusted")
NETWORKS = ("rnn", "attention", "residual")

FACTOR_COLUMNS = (
    "ic_mean", "icir_annualized", "ic_win_rate", "long_excess", "short_excess", "long_short", "autocorrelation", "top_turnover_one_sided",
)

# tables, frequency, target, network; then FACTOR_COLUMNS. Tables 5 and 6 round the ICIR of tables 1 to 4 to two decimals.
_FACTORS: tuple[tuple[tuple[int, ...], str, str, str, tuple[float, ...]], ...] = (
    ((1, 2, 5), "10m", "raw", "rnn", (0.070, 9.156, 0.92, 0.0033, -0.0092, 0.0124, 0.31, 0.73)),
    ((2, 5), "10m", "raw", "attention", (0.066, 7.290, 0.88, 0.0038, -0.0077, 0.0115, 0.65, 0.50)),
    ((5,), "10m", "raw", "residual", (0.071, 8.35, 0.89, 0.0040, -0.0085, 0.0125, 0.48, 0.63)),
    ((3, 5), "10m", "risk_adjusted", "rnn", (0.069, 9.077, 0.91, 0.0042, -0.0083, 0.0124, 0.33, 0.73)),
    ((3, 5), "10m", "risk_adjusted", "attention", (0.065, 7.304, 0.86, 0.0045, -0.0068, 0.0112, 0.65, 0.50)),
    ((5,), "10m", "risk_adjusted", "residual", (0.068, 8.20, 0.89, 0.0048, -0.0073, 0.0121, 0.50, 0.62)),
    ((1, 4, 6), "30m", "raw", "rnn", (0.079, 9.473, 0.92, 0.0042, -0.0102, 0.0144, 0.35, 0.71)),
    ((4, 6), "30m", "raw", "attention", (0.067, 7.091, 0.86, 0.0039, -0.0079, 0.0118, 0.65, 0.50)),
    ((6,), "30m", "raw", "residual", (0.076, 8.34, 0.89, 0.0044, -0.0092, 0.0136, 0.51, 0.61)),
    ((4, 6), "30m", "risk_adjusted", "rnn", (0.076, 9.134, 0.90, 0.0049, -0.0088, 0.0137, 0.36, 0.71)),
    ((4, 6), "30m", "risk_adjusted", "attention", (0.065, 7.072, 0.86, 0.0046, -0.0065, 0.0112, 0.65, 0.50)),
    ((6,), "30m", "risk_adjusted", "residual", (0.073, 8.18, 0.88, 0.0051, -0.0077, 0.0128, 0.53, 0.60)),
)

FACTORS = pd.DataFrame([(f, t, n, *values) for _, f, t, n, values in _FACTORS], columns=["frequency", "target", "network", *FACTOR_COLUMNS])
"""Tables 1 to 6, one row per (frequency, target, network)."""

YEARS = (2016, 2017, 2018, 2019, 2020, 2021, 2022)
PORTFOLIO_MODELS = ("rnn_30m", "attention_30m", "attention_10m", "residual_30m", "residual_10m")

_ENHANCED: dict[int, tuple[tuple[float, ...], ...]] = {
    # deviation in percent: per year, then the whole range, the five models
    1: (
        (0.334, 0.296, 0.273, 0.298, 0.307),
        (0.175, 0.159, 0.154, 0.170, 0.198),
        (0.167, 0.153, 0.156, 0.196, 0.175),
        (0.235, 0.172, 0.181, 0.171, 0.159),
        (0.226, 0.181, 0.189, 0.199, 0.175),
        (0.116, 0.171, 0.143, 0.115, 0.183),
        (0.031, 0.052, 0.047, 0.047, 0.058),
        (0.197, 0.184, 0.177, 0.188, 0.197),
    ),
    2: (
        (0.307, 0.312, 0.309, 0.332, 0.317),
        (0.189, 0.196, 0.155, 0.218, 0.260),
        (0.169, 0.168, 0.179, 0.180, 0.160),
        (0.252, 0.128, 0.125, 0.261, 0.154),
        (0.227, 0.188, 0.211, 0.174, 0.149),
        (0.095, 0.236, 0.258, 0.193, 0.206),
        (0.051, 0.051, 0.061, 0.061, 0.080),
        (0.199, 0.199, 0.202, 0.220, 0.208),
    ),
}

ENHANCED = pd.DataFrame(
    [(deviation, period, *row) for deviation, rows in _ENHANCED.items() for period, row in zip((*map(str, YEARS), "all"), rows, strict=True)],
    columns=["deviation_percent", "period", *PORTFOLIO_MODELS],
)
"""Table 7: excess return over CSI 500 by year and, annualized, over the whole range (``all``), for a deviation of 1 or 2 % a name."""

SLIPS = (
    KnownSlip(
        "captions_24_25", "the captions of figures 24 and 25 (and the list of figures)", "2021.09-2021.05 as the range shown",
        "2021.09 to 2022.05, the range of the text beside them", (),
    ),
    KnownSlip(
        "every_model_since_2021", "the text before table 7", "that every attention model improves the excess return since 2021",
        "11.5% against 11.6% in 2021 for residual attention at 30 minutes and 1%, and 5.1% against 5.1% in 2022 for attention at 30 minutes and 2%",
        ("1/residual_30m", "2/attention_30m"),
    ),
    KnownSlip(
        "whole_range_2_percent", "the text before table 7", "a higher annual excess over the whole range for every attention model at 2%",
        "19.9% for attention at 30 minutes, the same as the original model", ("2/attention_30m",),
    ),
)

ATTENTION_PUBLISHED = PublishedReport(
    system="ATTENTION",
    title="Improving deep-learning high-frequency factors with attention",
    publisher="Haitong Securities, 2022",
    first_date=FIRST_DATE,
    last_date=LAST_DATE,
    n_seeds=0,  # not stated
    models=tuple(
        (f"{network}_{frequency}_{target}", f"{english}, {frequency}, {target.replace('_', '-')} target", chinese)
        for frequency in FREQUENCIES for target in TARGETS
        for network, english, chinese in (
            ("rnn", "RNN + NN", "原始模型"), ("attention", "Attention", "引入注意力机制"), ("residual", "Residual attention", "引入残差注意力"),
        )
    ),
    universes=((ALL_A, "All A", "全市场"), (CSI500, "CSI 500", "中证500")),
    factor_tests=(),
    correlation=None,
    portfolios=(),
    benchmarks=(),
    slips=SLIPS,
)


def factor_row(frequency: str, target: str, network: str) -> dict[str, float] | None:
    """The published row of tables 1 to 6, ``None`` when there is none.

    >>> factor_row("10m", "raw", "residual")["long_excess"]
    0.004
    """
    found = FACTORS[(FACTORS["frequency"] == frequency) & (FACTORS["target"] == target) & (FACTORS["network"] == network)]
    return None if found.empty else {column: float(found[column].iloc[0]) for column in FACTOR_COLUMNS}
