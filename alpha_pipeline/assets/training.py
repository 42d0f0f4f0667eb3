"""Group ``training``: one training set and one checkpoint per model and half-year; scores per trade date.

All seeds of an ensemble train inside one partition. Training assets run in the pool ``gpu`` and should run in process: a worker of the
multiprocess executor would outlive a killed run.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, frame_table, range_keys, running, step_metadata
from alpha_pipeline.assets.partitions import Axes, period_name
from alpha_pipeline.experiment import RISK_STYLES, ModelSpec
from alpha_pipeline.pipeline import training as steps
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES as RISK_EXPOSURES
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.resources.compute import ComputeResource
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.training.periods import CALENDAR_HALVES

GROUP = "training"
POOL = "gpu"
# The training set of a half-year reads sessions strictly before it; 26 half-years reach back to 2013 from 2026. Exact sessions are taken in code.
# A half-year that starts later than its partition, from 31 January, also reads the first sessions of that partition's own window.
_BEFORE = dg.TimeWindowPartitionMapping(start_offset=-26, end_offset=-1, allow_nonexistent_upstream_partitions=True)
_BEFORE_LATE_START = dg.TimeWindowPartitionMapping(start_offset=-26, end_offset=0, allow_nonexistent_upstream_partitions=True)
# And the sessions of January are then scored by the model of the half-year before.
_OWN_OR_LAST = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=0, allow_nonexistent_upstream_partitions=True)
_OBSERVE_EVERY = 5  # epochs between two observations that show the curve of a training in progress


def model_assets(axes: Axes, spec: ModelSpec, tables: tuple[str, ...]) -> list[dg.AssetsDefinition]:
    """training_set, checkpoint and scores of one model."""
    prefix = ["models", spec.name]
    needs = [f"{panel}_panel" for panel in spec.panels()]
    if spec.has_exposures and "daily_panel" not in needs:
        needs.append("daily_panel")
    upstream = ["universe", *(n for n in needs if n != "intraday_15m_panel" or "intraday_bars" in tables), f"labels/{spec.label.name}"]
    if spec.reads_risk_styles:
        upstream.append(RISK_EXPOSURES)
    learned_from = {f"labels/{spec.label.name}", *(() if RISK_STYLES in spec.exposures else (RISK_EXPOSURES,))}  # training alone reads these
    tags = {"network": spec.network, "seeds": str(len(spec.seeds))}
    starts_late = spec.walk.anchors != CALENDAR_HALVES
    before, scored_by = (_BEFORE_LATE_START, _OWN_OR_LAST) if starts_late else (_BEFORE, None)

    @dg.asset(name="training_set", key_prefix=prefix, group_name=GROUP, owners=OWNERS, kinds={"parquet"}, tags=tags, code_version=CODE_VERSION,
              partitions_def=axes.half_years, deps=[dg.AssetDep(dg.AssetKey(a.split("/")), partition_mapping=before) for a in upstream],
              description=f"Manifest of what {spec.name} trains on in a half-year: exact sessions of training and validation after purging, rows, "
                          "and one hash of all data seen. Everything in it is known before the half-year starts.")
    def training_set(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            manifest = steps.make_training_set(market.workspace(), spec, period_name(context.partition_key))
            facts = manifest.meta
            return dg.MaterializeResult(
                data_version=dg.DataVersion(manifest.source),
                metadata={"dagster/row_count": manifest.rows, "training": " … ".join(facts["train_range"]),
                          "validation": " … ".join(facts["valid_range"]), "last known session": facts["last_known"],
                          "sampled": facts["n_sampled"], "purged": facts["n_purged"], "data version": facts["data_version"]})

    unchanged = dg.AssetCheckSpec("training_data_unchanged", asset=[*prefix, "checkpoint"], description="The panels still hold the data the "
                                  "checkpoint was trained on; a re-published date makes this fail (warning).")

    @dg.asset(name="checkpoint", key_prefix=prefix, group_name=GROUP, owners=OWNERS, kinds={"torch"}, tags=tags, pool=POOL, code_version=CODE_VERSION,
              partitions_def=axes.half_years, deps=[dg.AssetKey([*prefix, "training_set"])], check_specs=[unchanged],
              description=f"{spec.name}: network '{spec.network}' on {', '.join(spec.tensors)}, seeds {', '.join(map(str, spec.seeds))}, "
                          "trained with early stopping on the most recent part. safetensors and a manifest; an interrupted training resumes at "
                          "its last epoch.")
    def checkpoint(context: dg.AssetExecutionContext, market: MarketResource, compute: ComputeResource) -> Iterator[Any]:
        with running(context):
            period = period_name(context.partition_key)
            device = compute.torch_device()
            done, trained = steps.train(market.workspace(), spec, period, device, _observer(context), compute.members)
            metadata = _checkpoint_metadata(done, period, device, trained, spec.training.loss == "negative_ic")
            yield dg.MaterializeResult(data_version=dg.DataVersion(done.checkpoint_hash), metadata=metadata)
            passed, sentence = steps.training_data_unchanged(market.workspace(), spec, period)
            yield dg.AssetCheckResult(check_name="training_data_unchanged", asset_key=context.asset_key, passed=passed, description=sentence,
                                      severity=dg.AssetCheckSeverity.WARN)

    @dg.asset(name="scores", key_prefix=prefix, group_name="scores", owners=OWNERS, kinds={"parquet"}, tags=tags, code_version=CODE_VERSION,
              partitions_def=axes.trade_dates, backfill_policy=SINGLE_RUN,
              deps=[dg.AssetDep(dg.AssetKey([*prefix, "checkpoint"]), partition_mapping=scored_by),
                    *(dg.AssetKey(a.split("/")) for a in upstream if a not in learned_from)],
              description=f"Score of every stock of the universe by {spec.name}: equal-weight mean of the seeds' z-scored predictions, and each "
                          "seed's own. The model of the date's half-year; known at the close.")
    def scores(context: dg.AssetExecutionContext, market: MarketResource, compute: ComputeResource) -> dg.MaterializeResult:
        with running(context):
            report = steps.score(market.workspace(), spec, range_keys(context), compute.torch_device())
            return dg.MaterializeResult(metadata=step_metadata(report))

    return [training_set, checkpoint, scores]


def _observer(context: dg.AssetExecutionContext) -> Any:
    """Callback that logs an observation with the latest figures every few epochs, for whoever watches the UI."""

    def on_epoch(seed: int, row: Any) -> None:
        if row.epoch % _OBSERVE_EVERY == 0:
            context.log_event(dg.AssetObservation(context.asset_key, partition=context.partition_key, metadata={
                "seed": seed, "stage": row.stage, "epoch": row.epoch, "train loss": row.train_loss,
                "valid IC": float("nan") if row.valid_ic is None else row.valid_ic, "samples/s": row.samples_per_second,
            }))

    return on_epoch


def _checkpoint_metadata(checkpoint: Any, period: str, device: str, trained: bool, is_negative_ic: bool) -> dict[str, Any]:
    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import training_plot

    manifest = checkpoint.manifest
    history = steps.history_frame(checkpoint)
    best = frame_table(_best_rows(manifest))
    curve = history[history["seed"] == manifest.seeds[0]]
    return {
        "period": period, "device": device, "trained now": trained, "checkpoint hash": checkpoint.checkpoint_hash, "best": best,
        "seconds": float(history["seconds"].sum()), "samples": sum(manifest.n_samples.values()),
        "training": " … ".join(manifest.train_range), "validation": " … ".join(manifest.valid_range),
        "training curve": dg.MetadataValue.md(thumbnail_markdown(training_plot(curve, loss_is_negative_ic=is_negative_ic),
                                                                 alt=f"training curve, seed {manifest.seeds[0]}")),
    }


def _best_rows(manifest: Any) -> Any:
    import pandas as pd

    return pd.DataFrame([
        {"seed": seed, "stage": stage, "best epoch": epoch, "validation metric": manifest.metrics[seed][stage]}
        for seed, stages in manifest.best_epochs.items() for stage, epoch in stages.items()
    ])
