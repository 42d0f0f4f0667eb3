"""Groups ``factors`` and ``factor_tests``: neutral factor of every signal per trade date, and its test over a range."""

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, DateRange, frame_table, range_keys, running, step_metadata
from alpha_pipeline.assets.partitions import Axes
from alpha_pipeline.experiment import SignalSpec
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.pipeline import factors as steps
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.resources.market import MarketResource


def signal_assets(axes: Axes, spec: SignalSpec, test: FactorTestSpec, universes: tuple[str, ...]) -> list[dg.AssetsDefinition]:
    """factor and factor_test of one signal."""
    prefix = ["signals", spec.name]
    upstream = ["universe", "daily_panel", *([spec.scores_table] if spec.scores_table else [])]
    origin = (f"the score of model {spec.model}" if spec.model else f"the combination {spec.combination}" if spec.combination
              else f"the baseline '{spec.baseline}'")

    @dg.asset(name="factor", key_prefix=prefix, group_name="factors", owners=OWNERS, kinds={"parquet"}, code_version=CODE_VERSION,
              partitions_def=axes.trade_dates, backfill_policy=SINGLE_RUN, deps=[dg.AssetKey(a.split("/")) for a in upstream],
              description=f"Factor from {origin}: winsorized (3 MAD), residual on industry and log capitalization, z-scored, date by date.")
    def factor(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(steps.make_factors(market.workspace(), spec, range_keys(context))))

    @dg.asset(name="factor_test", key_prefix=prefix, group_name="factor_tests", owners=OWNERS, kinds={"pandas"}, code_version=CODE_VERSION,
              deps=[dg.AssetDep(dg.AssetKey([*prefix, "factor"]), partition_mapping=dg.AllPartitionMapping())],
              description=f"RankIC, {test.n_layers} layers with turnover and autocorrelation of {spec.name} in {', '.join(universes)}; "
                          f"test dates: {test.every}; one-way cost {test.cost_one_way:.2%}.")
    def factor_test(context: dg.AssetExecutionContext, config: DateRange, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work = market.workspace()
            manifest = steps.run_signal_test(work, spec, test, universes, config.start, config.end)
            metadata = _test_metadata(steps.stored_tests(work, spec.name), manifest.meta)
            return dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata=metadata)

    return [factor, factor_test]


def _test_metadata(tests: dict, meta: dict) -> dict:
    import pandas as pd

    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import cumulative_rank_ic_plot, layers_plot, new_axes

    summary = pd.concat([frames["summary"].assign(universe=universe) for universe, frames in tests.items()])
    columns = ["universe", "rank_ic_mean", "icir", "ic_positive_share", "t_nw", "top_annual_excess", "top_ir", "top_turnover_two_sided", "n_dates"]
    axes = cumulative_rank_ic_plot({universe: frames["ic"] for universe, frames in tests.items()}, new_axes())
    layers = layers_plot(next(iter(tests.values()))["layers_daily"], new_axes())
    metadata = {
        "summary": frame_table(summary[columns]), "range": f"{meta['start']} … {meta['end']}",
        "cumulative RankIC": dg.MetadataValue.md(thumbnail_markdown(axes, alt="cumulative RankIC", max_kb=40)),
        "layers": dg.MetadataValue.md(thumbnail_markdown(layers, alt="relative NAV of the layers", max_kb=40)),
    }
    return metadata | {f"not tested in {universe}": reason for universe, reason in meta["skipped"].items()}
