"""Recovery of planted alpha by every network of the zoo: RankIC, share of the oracle, seconds, parameters.

    python -m benchmarks.recovery_zoo --root build/recovery                     # the store of benchmarks.recovery is used if it is there
    python -m benchmarks.recovery_zoo --root build/recovery --only gru_daily    # some; what is trained already is found again
    python -m benchmarks.recovery_zoo --root build/recovery --causes            # why some stay below: one thing changed at a time

Market ``simulated``, one half-year out of sample (2022H1), trained on every 10th date from 2019 on, one seed, at most 40 epochs a
stage, patience 6, learning rate 1e-3: a comparison on equal and modest terms, not each network at its best. Losses are the
reports': −IC for MULTIFREQ and ATTENTION, mean squared error for ALPHANET (v2.2 on neutralized scores, v2.3 weighted), the
K-factor loss for the factor units, whose score is the mean of their z-scored factors. The networks of ATTENTION read 15-minute
bars here, with the orthogonal layer and (plain) without. Beside them the product's linear blend and the six-factor blend with
weights fitted on the same training dates. All signals are compared on the names that all of them score; RankIC overlaps, so
errors are Newey-West with 10 lags.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from alpha_pipeline.errors import AlphaPipelineError
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.experiments.multifreq import GRU_DAILY, LINEAR_BLEND, MODELS, ORACLE
from alpha_pipeline.markets import MarketConfig, load_market
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.factors import factor_table, make_factors, read_scores
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.progress import listening
from alpha_pipeline.risk.styles import STYLES
from alpha_pipeline.training.periods import WalkForward, period_named
from alpha_pipeline.training.spec import TrainingSpec
from benchmarks.recovery import Clock, FloatArray, ProgressLines, fitted_and_equal_blends, prepare, rank_ic_series
from benchmarks.recovery_tables import FITTED, PRODUCT_BLEND, THE_ORACLE, figures_table, piece_correlations

PERIOD = "2022H1"
WALK = WalkForward(train_start=dt.date(2019, 1, 1), sample_every=10)
IC = TrainingSpec(max_epochs=40, patience=6)
MSE = replace(IC, loss="mse")
FACTORS = replace(IC, loss="factor_ic")
BARS = (("tensor", "intraday_15m"),)  # what the page was measured on; the default is a tensor of characteristics


def _alphanet(name: str, network: str, spec: TrainingSpec = MSE, exposures: tuple[str, ...] = (), **settings: int) -> ModelSpec:
    return ModelSpec(name, network, ("alphanet",), tuple(settings.items()), training=spec, exposures=exposures)


ZOO = (
    *(replace(model, training=IC) for model in (GRU_DAILY, *MODELS)),
    _alphanet("alphanet_v1", "alphanet_v1"),
    _alphanet("alphanet_v2", "alphanet_v2"),
    _alphanet("alphanet_v2_1", "alphanet_v2", n_sampled_fields=8),
    _alphanet("alphanet_v2_2", "alphanet_v2", replace(MSE, neutralize=True), tuple(STYLES)),
    _alphanet("alphanet_v2_3", "alphanet_v2", replace(MSE, top_half_weight=2.0)),
    _alphanet("alphanet_v3", "alphanet_v3"),
    *(
        ModelSpec(f"factor_{kind}", f"factor_{kind}", ("rawbar",), training=FACTORS)
        for kind in ("gru", "agru", "lstm", "restcn", "transformer")
    ),
    *(ModelSpec(f"attention_{kind}", f"attention_{kind}", ("intraday_15m",), BARS, training=IC) for kind in ("rnn", "self", "residual")),
    ModelSpec("attention_rnn_plain", "attention_rnn", ("intraday_15m",), (*BARS, ("orthogonal", False)), training=IC),
)
MODELS_BY_NAME = {model.name: replace(model, name=f"zoo_{model.name}", walk=WALK, seeds=(0,)) for model in ZOO}
PATIENT = {"max_epochs": 120, "patience": 30}


def _changed(name: str, network: str, every: int = WALK.sample_every, settings: tuple[tuple[str, bool], ...] | None = None,
             **training_settings: Any) -> ModelSpec:
    """A network of the zoo with something changed."""
    model = MODELS_BY_NAME[network]
    return replace(model, name=f"cause_{name}", walk=replace(WALK, sample_every=every), settings=model.settings if settings is None else settings,
                   training=replace(model.training, **training_settings))


_NO_LEVEL = (("learn_shift", False),)
CAUSES = {model.name.removeprefix("cause_"): model for model in (
    *(_changed(f"{name}_patient", name, **PATIENT) for name in ("gru_daily", "gru_15m", "factor_lstm", "alphanet_v2")),
    *(_changed(f"{name}_ic", name, settings=_NO_LEVEL, loss="negative_ic") for name in ("alphanet_v1", "alphanet_v2", "alphanet_v3")),
    _changed("alphanet_v2_ic_patient", "alphanet_v2", settings=_NO_LEVEL, loss="negative_ic", **PATIENT),
    *(_changed(f"{name}_every_5th", name, every=5) for name in ("gru_daily", "alphanet_v2")),
)}
"""What a network below the fitted blend may lack, changed one at a time: epochs, the loss, dates."""


class Zoo(NamedTuple):
    """A row per signal in ``table`` and ``pieces`` (which parts of the planted alpha it has found); RankIC by date on the names all score."""

    table: pd.DataFrame
    rank_ics: dict[str, FloatArray]
    pieces: pd.DataFrame


def parameters(model: ModelSpec) -> int:
    """Trainable or not, as torch counts them."""
    network = training.network_config(model).build(torch.Generator().manual_seed(0))
    return sum(p.numel() for p in network.parameters())


def run(root: Path, models: Mapping[str, ModelSpec], market: MarketConfig | None = None, period: str = PERIOD) -> Zoo:
    """Train and score what is missing."""
    config = market or load_market("simulated")
    work = Workspace(config, str(root / config.name))
    root.mkdir(parents=True, exist_ok=True)
    clock = Clock(root / "zoo_seconds.json")
    prepare(work, clock, next(iter(models.values())), [period])
    span = period_named(period)
    dates = [key for key in work.session_keys() if span.start.isoformat() <= key <= span.end.isoformat()]
    for signal in (LINEAR_BLEND, ORACLE):
        make_factors(work, signal, dates)
    facts: dict[str, dict[str, float]] = {}
    for name, model in models.items():
        training.make_training_set(work, model, period)
        checkpoint, _ = clock.run(f"train {name}", lambda m=model: training.train(work, m, period, "cpu"))  # type: ignore[misc]
        history = [row for rows in checkpoint.histories for row in rows]
        facts[name] = {"parameters": parameters(model), "epochs": len(history), "seconds": sum(row.seconds for row in history),
                       "last train loss": history[-1].train_loss, "best valid IC": max(row.valid_ic for row in history)}
        clock.run(f"score {name}", lambda m=model: training.score(work, m, dates, "cpu"))  # type: ignore[misc]
    panels = work.panels
    scores = {name: read_scores(work, panels, training.scores_table(model.name), dates, "score") for name, model in models.items()}
    scores[PRODUCT_BLEND] = read_scores(work, panels, factor_table(LINEAR_BLEND.name), dates, "score")
    scores[THE_ORACLE] = read_scores(work, panels, factor_table(ORACLE.name), dates, "score")
    first = next(iter(models.values()))
    scores[FITTED] = fitted_and_equal_blends(work, first, [period], dates)[0][FITTED]
    rank_ics, n_names = rank_ic_series(work, first, dates, scores)
    table = figures_table(rank_ics, THE_ORACLE)[["RankIC", "NW s.e.", "ICIR", "share of oracle"]]
    table["beats fitted blend"] = ["" if name in (FITTED, THE_ORACLE) else ("yes" if row > table.loc[FITTED, "RankIC"] else "no")
                                   for name, row in table["RankIC"].items()]
    found = table.join(pd.DataFrame(facts).T)
    seeds = " ".join(sorted({str(len(model.seeds)) for model in models.values()}))
    print(f"\n10-day RankIC, {dates[0]} … {dates[-1]}, not neutralized, {n_names:.0f} names a date, seeds: {seeds}, load {os.getloadavg()[0]:.1f}")
    return Zoo(found, rank_ics, piece_correlations(work, dates, scores))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("build/recovery"), help="scratch folder, about 2 GB")
    parser.add_argument("--only", nargs="+", choices=list(MODELS_BY_NAME), default=list(MODELS_BY_NAME))
    parser.add_argument("--causes", action="store_true", help="why some stay below the fitted blend: the same networks with one thing changed")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with listening(ProgressLines()):
        try:
            found = run(options.root, CAUSES if options.causes else {name: MODELS_BY_NAME[name] for name in options.only})
        except AlphaPipelineError as error:
            print(error)
            return 1
    formats = {name: "{:.0f}".format for name in ("parameters", "epochs", "seconds")}
    print(found.table.to_string(float_format="{:.4f}".format, formatters=formats, na_rep=""))
    print("\nMean correlation with the planted pieces, every 5th date")
    print(found.pieces.to_string(float_format="{:.2f}".format))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
