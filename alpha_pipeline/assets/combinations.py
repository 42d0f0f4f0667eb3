"""Group ``combinations``: one score made of several; a half-yearly fit where the weighting is learned, scores per trade date."""

from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, attach_picture, frame_table, range_keys, running, step_metadata
from alpha_pipeline.assets.partitions import Axes, period_name
from alpha_pipeline.combination.other_factors import OTHER_FACTORS
from alpha_pipeline.pipeline.combinations import fit as fits
from alpha_pipeline.pipeline.combinations import scores as steps
from alpha_pipeline.pipeline.combinations.plan import Combination
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.resources.market import MarketResource

GROUP = "combinations"
# A half-year's fit reads what lies before it: the window, and as much again where labels of its first dates begin.
_HALF_YEARS_BEFORE = 4
_WEIGHTS_SHOWN = 12


def combination_assets(axes: Axes, combination: Combination, tables: tuple[str, ...],
                       characteristics: tuple[str, ...] = ()) -> list[dg.AssetsDefinition]:
    """fit (where the method learns) and scores of one combination; ``characteristics``: panels of that kind in the graph."""
    spec = combination.spec
    prefix = ["combinations", spec.name]
    inputs = [*combination.scores.values(), "universe", "daily_panel"]
    if "fundamentals" in tables and any(OTHER_FACTORS[name].panel == "fundamentals" for name in combination.factors):
        inputs.append("fundamentals")
    read = {OTHER_FACTORS[name].panel for name in combination.factors}
    inputs += [f"{panel}_panel" for panel in characteristics if panel in read]
    label = [f"labels/{spec.label.name}"] if spec.looks_back else []
    before = dg.TimeWindowPartitionMapping(start_offset=-_HALF_YEARS_BEFORE, end_offset=-1, allow_nonexistent_upstream_partitions=True)
    assets = []
    if spec.is_fitted:

        @dg.asset(name="fit", key_prefix=prefix, group_name=GROUP, owners=OWNERS, kinds={"lightgbm"}, code_version=CODE_VERSION,
                  partitions_def=axes.half_years, tags={"runs": str(len(combination.runs))},
                  deps=[dg.AssetDep(dg.AssetKey(name.split("/")), partition_mapping=before) for name in (*inputs, *label)],
                  description=f"{spec.name}: trees that weight the factors of {', '.join(spec.inputs)}, learned on the {spec.window_months} months "
                              "before the half-year from factors that were out of sample then, early stopping on the most recent part, purged.")
        def fit(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
            with running(context):
                work, period = market.workspace(), period_name(context.partition_key)
                manifest, is_new = fits.fit(work, combination, period)
                return dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata={
                    "period": period, "fitted now": is_new, **_fit_metadata(manifest.meta, fits.importances(work, combination, period))})

        assets.append(fit)

    upstream = [*inputs, *label, *([f"combinations/{spec.name}/fit"] if spec.is_fitted else [])]

    @dg.asset(name="scores", key_prefix=prefix, group_name=GROUP, owners=OWNERS, kinds={"parquet"}, code_version=CODE_VERSION,
              partitions_def=axes.trade_dates, backfill_policy=SINGLE_RUN, deps=[dg.AssetKey(name.split("/")) for name in upstream],
              description=f"Score by the combination {spec.name} ({spec.method}) of {', '.join(spec.inputs)}, and each independent run's. Known at "
                          "the close; weights rest on labels that have ended.")
    def scores(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work, keys = market.workspace(), range_keys(context)
            report = steps.score(work, combination, keys)
            metadata = step_metadata(report)
            weights = steps.weights_over_time(work, spec.name, min(keys), max(keys))
            if len(weights):
                largest = weights.abs().mean().sort_values(ascending=False, kind="stable").index[:_WEIGHTS_SHOWN]
                newest = weights[largest].tail(1).T.reset_index().set_axis(["factor", "weight"], axis=1)
                metadata["newest weights"] = frame_table(newest)
                if len(weights) > 1:
                    attach_picture(context, context.asset_key, keys, _weights_picture(weights[largest]))
            return dg.MaterializeResult(metadata=metadata)

    return [*assets, scores]


def _fit_metadata(meta: dict[str, Any], importances: Any) -> dict[str, Any]:
    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import new_axes

    mean = importances.groupby("input", sort=False)["gain"].mean().sort_values()
    axes = new_axes()
    axes.barh(list(mean.index), mean.to_numpy())
    axes.set_title("share of the gain")
    return {
        "window": " … ".join(meta["window"]), "training": " … ".join(meta["train_range"]), "validation": " … ".join(meta["valid_range"]),
        "purged": meta["n_purged"], "rows": sum(meta["n_rows"].values()), "data version": meta["data_version"],
        "importances": frame_table(mean[::-1].rename("share of gain").reset_index()),
        "picture": dg.MetadataValue.md(thumbnail_markdown(axes, alt="importances by input", max_kb=40)),
        **({"absent": "; ".join(f"{name}: {why}" for name, why in meta["absent"].items())} if meta["absent"] else {}),
    }


def _weights_picture(weights: Any) -> str:
    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import new_axes

    axes = new_axes()
    for name in weights.columns:
        axes.plot(weights.index, weights[name], label=name)
    axes.legend(fontsize=6)
    axes.set_title("weights over time")
    return thumbnail_markdown(axes, alt="weights over time", max_kb=40)
