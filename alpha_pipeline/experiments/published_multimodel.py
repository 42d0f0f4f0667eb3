"""MULTIMODEL as published, tables about scores: every number of figures 6 to 15. The portfolios are in ``published_multimodel_portfolios``.

Targets to print beside ours, never to tune to. Returns are decimals with the report's digits, hedged against the equal-weight universe, without
cost; turnover is one-sided a week; ICIR is not annualized. Every model is the mean of ten trainings; ``rnn`` holds GRU, AGRU and LSTM, ``rct``
all five; ``v0`` joins their factors before the weighting, ``v1`` their weighted scores. Dates 2016-12-30 to 2022-05-31.
"""

from __future__ import annotations

import pandas as pd

from alpha_pipeline.reporting.published import KnownSlip, PublishedCorrelation, PublishedReport

ALL_SHARE = "000985.CSI"
UNITS = ("gru", "agru", "lstm", "restcn", "transformer")
COMBINED = ("rnn_v0", "rnn_v1", "rct_v0", "rct_v1")
HORIZONS = ((5, 0), (10, 0), (20, 0), (5, 1), (10, 1), (20, 1))
"""Sessions of the return and between the score and its beginning, in the order of figures 6, 7, 12 and 13."""
N_RUNS = 10

# figures of the mean and of the ICIR, RankIC means and ICIRs by horizon
_RANK_IC = {
    "gru": ((6, 7), (0.145, 0.159, 0.163, 0.128, 0.143, 0.149), (1.47, 1.64, 1.68, 1.34, 1.49, 1.53)),
    "agru": ((6, 7), (0.145, 0.16, 0.166, 0.127, 0.143, 0.151), (1.50, 1.67, 1.75, 1.36, 1.52, 1.60)),
    "lstm": ((6, 7), (0.144, 0.159, 0.163, 0.127, 0.142, 0.149), (1.47, 1.64, 1.65, 1.34, 1.50, 1.51)),
    "restcn": ((6, 7), (0.144, 0.157, 0.163, 0.126, 0.141, 0.149), (1.54, 1.71, 1.80, 1.40, 1.55, 1.65)),
    "transformer": ((6, 7), (0.146, 0.161, 0.167, 0.127, 0.144, 0.152), (1.53, 1.71, 1.81, 1.39, 1.56, 1.67)),
    "rnn_v0": ((12, 13), (0.145, 0.159, 0.163, 0.128, 0.143, 0.148), (1.46, 1.63, 1.65, 1.33, 1.49, 1.51)),
    "rnn_v1": ((12, 13), (0.148, 0.163, 0.167, 0.13, 0.145, 0.152), (1.49, 1.67, 1.71, 1.36, 1.52, 1.56)),
    "rct_v0": ((12, 13), (0.146, 0.16, 0.164, 0.129, 0.144, 0.149), (1.48, 1.65, 1.66, 1.35, 1.50, 1.52)),
    "rct_v1": ((12, 13), (0.15, 0.165, 0.17, 0.132, 0.148, 0.155), (1.53, 1.71, 1.77, 1.39, 1.55, 1.62)),
}

# (figure, since, model, top group's turnover): annual hedged returns of the groups
_GROUPS = {
    (8, 2017, "gru", 0.58): (
        0.439, 0.364, 0.318, 0.274, 0.251, 0.195, 0.173, 0.141, 0.111, 0.082,
        0.06, 0.028, 0.003, -0.014, -0.064, -0.111, -0.171, -0.243, -0.373, -0.652,
    ),
    (8, 2017, "agru", 0.57): (
        0.433, 0.346, 0.321, 0.266, 0.234, 0.197, 0.169, 0.149, 0.106, 0.089,
        0.061, 0.03, 0.007, -0.022, -0.066, -0.1, -0.172, -0.243, -0.369, -0.643,
    ),
    (8, 2017, "lstm", 0.59): (
        0.439, 0.364, 0.318, 0.274, 0.251, 0.195, 0.173, 0.141, 0.111, 0.082,
        0.06, 0.028, 0.003, -0.014, -0.064, -0.111, -0.171, -0.243, -0.373, -0.652,
    ),
    (8, 2017, "restcn", 0.61): (
        0.43, 0.342, 0.295, 0.239, 0.23, 0.189, 0.157, 0.139, 0.121, 0.08,
        0.066, 0.035, 0.015, -0.02, -0.06, -0.11, -0.156, -0.242, -0.362, -0.638,
    ),
    (8, 2017, "transformer", 0.60): (
        0.422, 0.356, 0.291, 0.263, 0.227, 0.195, 0.168, 0.138, 0.119, 0.094,
        0.066, 0.036, 0.008, -0.023, -0.06, -0.114, -0.167, -0.26, -0.364, -0.633,
    ),
    (9, 2020, "gru", 0.59): (
        0.32, 0.295, 0.266, 0.245, 0.226, 0.171, 0.177, 0.117, 0.1, 0.083,
        0.058, 0.013, -0.004, -0.004, -0.059, -0.093, -0.152, -0.207, -0.327, -0.612,
    ),
    (9, 2020, "agru", 0.57): (
        0.304, 0.258, 0.278, 0.21, 0.174, 0.179, 0.148, 0.137, 0.085, 0.084,
        0.063, 0.022, 0.014, -0.008, -0.051, -0.07, -0.131, -0.206, -0.317, -0.606,
    ),
    (9, 2020, "lstm", 0.61): (
        0.315, 0.279, 0.257, 0.255, 0.207, 0.159, 0.139, 0.138, 0.095, 0.065,
        0.053, 0.018, 0.004, -0.038, -0.049, -0.067, -0.127, -0.2, -0.313, -0.608,
    ),
    (9, 2020, "restcn", 0.62): (
        0.335, 0.276, 0.267, 0.193, 0.208, 0.166, 0.138, 0.117, 0.102, 0.051,
        0.062, 0.023, 0.019, -0.016, -0.049, -0.091, -0.134, -0.201, -0.304, -0.6,
    ),
    (9, 2020, "transformer", 0.59): (
        0.31, 0.287, 0.234, 0.219, 0.191, 0.159, 0.146, 0.115, 0.097, 0.083,
        0.06, 0.029, 0.019, -0.014, -0.048, -0.093, -0.132, -0.214, -0.305, -0.595,
    ),
    (14, 2017, "rnn_v0", 0.57): (
        0.437, 0.369, 0.312, 0.296, 0.236, 0.216, 0.176, 0.139, 0.116, 0.085,
        0.057, 0.028, 0.003, -0.031, -0.065, -0.105, -0.169, -0.258, -0.37, -0.653,
    ),
    (14, 2017, "rnn_v1", 0.57): (
        0.45, 0.364, 0.323, 0.276, 0.249, 0.207, 0.172, 0.139, 0.115, 0.084,
        0.056, 0.033, -0.001, -0.025, -0.059, -0.11, -0.171, -0.255, -0.37, -0.654,
    ),
    (14, 2017, "rct_v0", 0.57): (
        0.439, 0.364, 0.318, 0.274, 0.251, 0.195, 0.173, 0.141, 0.111, 0.082,
        0.06, 0.028, 0.003, -0.014, -0.064, -0.111, -0.171, -0.245, -0.373, -0.652,
    ),
    (14, 2017, "rct_v1", 0.61): (
        0.457, 0.37, 0.311, 0.282, 0.242, 0.209, 0.171, 0.146, 0.11, 0.081,
        0.064, 0.036, 0.005, -0.023, -0.064, -0.115, -0.169, -0.262, -0.373, -0.653,
    ),
    (15, 2020, "rnn_v0", 0.58): (
        0.298, 0.284, 0.249, 0.25, 0.203, 0.202, 0.16, 0.135, 0.1, 0.072,
        0.048, 0.038, 0.009, -0.013, -0.051, -0.08, -0.136, -0.221, -0.323, -0.616,
    ),
    (15, 2020, "rnn_v1", 0.58): (
        0.326, 0.287, 0.267, 0.238, 0.211, 0.187, 0.155, 0.118, 0.099, 0.081,
        0.045, 0.031, -0.006, -0.011, -0.045, -0.085, -0.137, -0.213, -0.324, -0.616,
    ),
    (15, 2020, "rct_v0", 0.58): (
        0.308, 0.294, 0.252, 0.241, 0.214, 0.195, 0.174, 0.121, 0.11, 0.069,
        0.056, 0.029, 0.018, -0.019, -0.056, -0.081, -0.133, -0.223, -0.328, -0.621,
    ),
    (15, 2020, "rct_v1", 0.62): (
        0.343, 0.293, 0.262, 0.233, 0.208, 0.183, 0.144, 0.123, 0.099, 0.074,
        0.055, 0.029, 0.011, -0.013, -0.051, -0.089, -0.135, -0.222, -0.322, -0.615,
    ),
}

_SINGLE = (
    (0.863, 0.821, 0.805, 0.784, 0.78),
    (0.821, 0.844, 0.792, 0.768, 0.776),
    (0.805, 0.792, 0.815, 0.75, 0.748),
    (0.784, 0.768, 0.75, 0.819, 0.757),
    (0.78, 0.776, 0.748, 0.757, 0.819),
)
_AVERAGED = (
    (1.0, 0.945, 0.941, 0.915, 0.91),
    (0.945, 1.0, 0.935, 0.905, 0.914),
    (0.941, 0.935, 1.0, 0.897, 0.894),
    (0.915, 0.905, 0.897, 1.0, 0.904),
    (0.91, 0.914, 0.894, 0.904, 1.0),
)

RANK_IC = pd.DataFrame(
    [
        (model, horizon, gap, mean, icir, figures[0], figures[1])
        for model, (figures, means, icirs) in _RANK_IC.items()
        for (horizon, gap), mean, icir in zip(HORIZONS, means, icirs, strict=True)
    ],
    columns=["model", "horizon", "gap", "rank_ic_mean", "icir", "figure", "icir_figure"],
)
"""One row per model, horizon and gap. Figures 6, 7, 12 and 13."""

GROUPS = pd.DataFrame(
    [
        (model, since, group, value, figure)
        for (figure, since, model, _), values in _GROUPS.items() for group, value in enumerate(values, start=1)
    ],
    columns=["model", "since", "group", "annual_hedged", "figure"],
)
"""Annual hedged return of twenty groups, 1 = highest scores, since 2017 and since 2020. Figures 8, 9, 14 and 15."""

TOP_TURNOVER = pd.DataFrame(
    [(model, since, turnover, figure) for figure, since, model, turnover in _GROUPS], columns=["model", "since", "turnover_one_sided", "figure"],
)
"""Mean one-sided weekly turnover of the top group. Figures 8, 9, 14 and 15."""

SINGLE_RUN_CORRELATION = pd.DataFrame(_SINGLE, index=list(UNITS), columns=list(UNITS))
"""Mean correlation of the scores of two trainings; on the diagonal two trainings of one model. Figure 10."""

AVERAGED_CORRELATION = pd.DataFrame(_AVERAGED, index=list(UNITS), columns=list(UNITS))
"""The same after averaging ten trainings of each model. Figure 11."""

SLIPS = (
    KnownSlip(
        "gru_is_lstm", "figure 8", "the same twenty returns for GRU and LSTM, and, but for group 18, for RCTv0 in figure 14",
        "different turnovers and since 2020 (figure 9) different returns for the two", ("gru", "lstm", "rct_v0"),
        "The columns are shown as printed.",
    ),
)

MULTIMODEL_PUBLISHED = PublishedReport(
    system="MULTIMODEL",
    title="Learning price-volume sequences with several models",
    publisher="Orient Securities, 2022-06-12",
    first_date="2016-12-30",
    last_date="2022-05-31",
    n_seeds=N_RUNS,
    models=(
        ("gru", "GRU", "GRU"), ("agru", "AGRU", "AGRU"), ("lstm", "LSTM", "LSTM"), ("restcn", "RESTCN", "RESTCN"),
        ("transformer", "Transformer", "Transformer"), ("rnn_v0", "RNNv0", "RNNv0"), ("rnn_v1", "RNNv1", "RNNv1"), ("rct_v0", "RCTv0", "RCTv0"),
        ("rct_v1", "RCTv1", "RCTv1"),
    ),
    universes=((ALL_SHARE, "All-share index", "中证全指"),),
    factor_tests=(),
    correlation=PublishedCorrelation(
        11, UNITS, tuple((a, b, float(AVERAGED_CORRELATION.loc[a, b])) for i, a in enumerate(UNITS) for b in UNITS[i + 1:]),  # type: ignore[arg-type]
    ),
    portfolios=(),
    benchmarks=(),
    slips=SLIPS,
)
