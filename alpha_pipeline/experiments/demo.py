"""The experiment of `make demo`: the incremental model of MULTIFREQ at laptop size, derived from the full one by scale alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.experiments.multifreq import CSI500, INCREMENTAL, LINEAR_BLEND, ORACLE, enhanced, signal_of
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.training.periods import WalkForward

DEMO_MODEL = replace(
    INCREMENTAL, name="demo_incremental", walk=WalkForward(train_start=dt.date(2022, 7, 1)),
    training=replace(INCREMENTAL.training, max_epochs=20, patience=4),
)

DEMO = ExperimentSpec(
    name="demo", title="Demo: incremental model, CSI 500 enhancement", system="MULTIFREQ",
    description="One half-year of the incremental model on a simulated market of 300 stocks, three seeds, with the oracle beside it.",
    start=dt.date(2024, 1, 2), end=dt.date(2024, 6, 28), models=(DEMO_MODEL,), signals=(signal_of(DEMO_MODEL, "incremental"),),
    comparisons=(LINEAR_BLEND, ORACLE),
    portfolios=(enhanced("demo_incremental", CSI500, 0.6, 0.008, 0.0, 0.0, 0.4, name="demo_csi500"),),
    test=FactorTestSpec(n_layers=10, every="week"), test_universes=("all", CSI500),
)
