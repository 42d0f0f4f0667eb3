"""Jobs: what runs every trade date, every week, every half-year, and the checks of CI."""

from collections.abc import Sequence

import dagster as dg

from alpha_pipeline.assets.common import AssetJob
from alpha_pipeline.experiment import ExperimentSpec

IN_PROCESS = dg.in_process_executor


def daily_job(raw: Sequence[str], features: Sequence[str], experiments: Sequence[ExperimentSpec]) -> AssetJob | None:
    """After the close: ingest and check the date's tables, extend the panels and the risk model, score, make factors.

    A blocking check that fails keeps everything downstream of its table from starting.
    """
    scores = [f"models/{m.name}/scores" for m in _unique(experiments, "models")]
    scores += [f"combinations/{c.name}/scores" for c in _unique(experiments, "combinations")]
    factors = [f"signals/{s.name}/factor" for e in experiments for s in e.all_signals()]
    selection = dg.AssetSelection.assets(*(dg.AssetKey(name.split("/")) for name in dict.fromkeys([*raw, *features, *scores, *factors])))
    return dg.define_asset_job("daily", selection, executor_def=IN_PROCESS,
                               description="Every trade date after the close: ingest, check, panels, scores, factors.")


def weekly_job(experiments: Sequence[ExperimentSpec]) -> AssetJob | None:
    """After the daily run of a week's last session: optimize every portfolio and say what changed."""
    keys = [dg.AssetKey(["portfolios", p.name, name]) for e in experiments for p in e.portfolios for name in ("weights", "changes")]
    if not keys:
        return None
    return dg.define_asset_job("weekly_rebalance", dg.AssetSelection.assets(*keys), executor_def=IN_PROCESS,
                               description="The week's last session: target weights of every portfolio, and what they change.")


def retrain_job(experiments: Sequence[ExperimentSpec]) -> AssetJob:
    """Training sets and checkpoints of all models, fits of all combinations that learn; the schedule asks for one run for each. In process, so
    that a killed run leaves no orphan."""
    keys = [key for model in _unique(experiments, "models") for key in training_keys(model.name)]
    keys += [fit_key(combination.name) for combination in _unique(experiments, "combinations") if combination.is_fitted]
    return dg.define_asset_job("half_yearly_retrain", dg.AssetSelection.assets(*keys), executor_def=IN_PROCESS,
                               description="For one half-year: training set and checkpoint of every model, fit of every combination that learns.")


def fit_key(combination: str) -> dg.AssetKey:
    """Key of a combination's half-yearly fit."""
    return dg.AssetKey(["combinations", combination, "fit"])


def training_keys(model: str) -> list[dg.AssetKey]:
    """Keys of what is made when a model is trained."""
    return [dg.AssetKey(["models", model, "training_set"]), dg.AssetKey(["models", model, "checkpoint"])]


def _unique(experiments: Sequence[ExperimentSpec], kind: str) -> list:
    return list({part.name: part for e in experiments for part in getattr(e, kind)}.values())
