"""Group ``reports``: one self-contained HTML page per experiment, and the index over all of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, DateRange, running
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.pipeline import pages
from alpha_pipeline.pipeline import reports as steps
from alpha_pipeline.pipeline.studies.study import study_name
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.resources.market import MarketResource


def weekly(key: list[str]) -> dg.AssetDep:
    """A dependency on all weeks of a partitioned result."""
    return dg.AssetDep(dg.AssetKey(key), partition_mapping=dg.AllPartitionMapping())


def report_asset(spec: ExperimentSpec) -> dg.AssetsDefinition:
    """The report of one experiment."""
    upstream = [
        *(["signals", s.name, "factor_test"] for s in spec.all_signals()),
        *(["portfolios", p.name, kind] for p in spec.portfolios for kind in ("backtest", "attribution")),
        *(study_name(spec.name, s.name).split("/") for s in spec.studies),
    ]

    complete = dg.AssetCheckSpec("report_complete", asset=["reports", spec.name], description="Every table and figure of the published report "
                                 "is on the page and has content (warning otherwise). Parts of a system are not checked.")

    @dg.asset(name=spec.name, key_prefix="reports", check_specs=[complete], group_name="reports", owners=OWNERS, kinds={"html"},
              code_version=CODE_VERSION,
              deps=[*(dg.AssetKey(key) for key in upstream), *(weekly(["portfolios", p.name, "changes"]) for p in spec.portfolios[:1])],
              description=f"{spec.title}. {spec.description} Tables and figures of the published report, ours beside the "
                          "published, with conventions and provenance.")
    def report(context: dg.AssetExecutionContext, config: DateRange, market: MarketResource) -> Iterator[Any]:
        with running(context):
            work = market.workspace()
            manifest = steps.write_report(work, spec)
            yield dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata={
                "page": dg.MetadataValue.path(work.store.bundle_path(manifest.table, "report.html")), "headline": steps.headline(work, spec),
                "simulated": work.source.describe().is_simulated,
            })
            gaps = manifest.meta["gaps"]
            yield dg.AssetCheckResult(check_name="report_complete", asset_key=context.asset_key, passed=not gaps, severity=dg.AssetCheckSeverity.WARN,
                                      description=f"missing or empty: {'; '.join(gaps)}" if gaps else "nothing is missing")

    return report


def index_asset(experiments: Sequence[ExperimentSpec]) -> dg.AssetsDefinition:
    """The page over all experiments of the market that have a report."""

    @dg.asset(name="index", key_prefix="reports", group_name="reports", owners=OWNERS, kinds={"html"}, code_version=CODE_VERSION,
              deps=[dg.AssetKey(["reports", spec.name]) for spec in experiments],
              description="All experiments of this market on one page: factor tests and portfolios beside the published ones, with links.")
    def index(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work = market.workspace()
            manifest = pages.write_index(work, experiments)
            return dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata={
                "page": dg.MetadataValue.path(work.store.bundle_path(manifest.table, "index.html")),
                "experiments": len(manifest.meta["experiments"])})

    return index
