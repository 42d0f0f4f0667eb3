"""Group ``market``: the raw tables of each trade date with their checks, in one operation.

One operation reads a date once and writes all its tables. A failed blocking check keeps the partition out of the store, stops everything
downstream in the same run, and leaves the earlier good version in place.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, attach_picture, range_keys, running
from alpha_pipeline.assets.partitions import Axes
from alpha_pipeline.market.checks import CHECKS, CheckResult
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.pipeline import ingest as steps
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.sources.base import SourceDescription

GROUP = "market"
_DTYPES = {"float64": "float", "int64": "int", "bool": "bool", "string": "string", "timestamp": "datetime", "date": "date"}


class IngestConfig(dg.Config):
    """``refresh``: ask the source again for dates that are already stored (a vendor's correction)."""

    refresh: bool = False


def market_assets(axes: Axes, source: SourceDescription) -> dg.AssetsDefinition:
    """One asset per table that the source has; absent tables are absent from the graph."""
    specs = [_spec(name, axes, source) for name in steps.ORDER if name in source.tables]
    checks = [
        dg.AssetCheckSpec(check, asset=name, blocking=True, description=f"{check} of {name}: blocks unless its severity is a warning")
        for name in steps.ORDER if name in source.tables for check in CHECKS[name]
    ]

    @dg.multi_asset(specs=specs, check_specs=checks, can_subset=True, name="market_tables", backfill_policy=SINGLE_RUN)
    def market_tables(context: dg.AssetExecutionContext, config: IngestConfig, market: MarketResource) -> Iterator[Any]:
        with running(context):
            keys = range_keys(context)
            selected = {key.to_user_string() for key in context.selected_asset_keys}
            tables = [name for name in steps.ORDER if name in selected]  # a set has no order, and the first failure is what people are shown
            work = market.workspace()
            reports = steps.ingest(work, keys, tables, refresh=config.refresh)
            for table, report in reports.items():
                yield from _events(context, table, report, keys)

    return market_tables


def _spec(name: str, axes: Axes, source: SourceDescription) -> dg.AssetSpec:
    schema = TABLES[name]
    proxies = {column: how for column, how in source.proxies.items() if column.startswith(f"{name}.")}
    described = f"{schema.doc} Key: {', '.join(schema.key)}. Source: {source.summary}"
    if proxies:
        described += " Proxies: " + "; ".join(f"{column} = {how}" for column, how in proxies.items()) + "."
    columns = dg.TableSchema([
        dg.TableColumn(c.name, _DTYPES[c.dtype], description=f"{c.doc} [{c.unit}]" if c.unit else c.doc) for c in schema.columns
    ])
    return dg.AssetSpec(
        name, partitions_def=axes.trade_dates, group_name=GROUP, owners=OWNERS, kinds={"parquet"}, description=described, skippable=True,
        code_version=CODE_VERSION, metadata={"dagster/column_schema": columns, "simulated": source.is_simulated, "source": source.name},
        tags={"simulated": "true" if source.is_simulated else "false"},
    )


def _events(context: dg.AssetExecutionContext, table: str, report: steps.TableReport, keys: list[str]) -> Iterator[Any]:
    """Check results of one table and, when nothing was rejected, its materialization.

    A rejected date must not be recorded as materialized, so then the good dates are logged one by one and the output is withheld, which
    also keeps downstream steps of this run from starting.
    """
    key = dg.AssetKey(table)
    for check in CHECKS[table]:
        if dg.AssetCheckKey(key, check) in context.selected_asset_check_keys:
            yield _check_event(key, check, report)
    if not report.rejected:
        for date, rows in report.written.items():
            context.add_asset_metadata({"dagster/row_count": rows}, asset_key=key, partition_key=date)
        if report.written:
            attach_picture(context, key, keys, _coverage_picture(report.written, table))
        yield dg.MaterializeResult(asset_key=key, metadata={"written": len(report.written), "reused": len(report.reused),
                                                            "warnings": len(report.findings), "date range": f"{keys[0]} … {keys[-1]}"})
        return
    for date in [*report.reused, *report.written]:
        context.log_event(dg.AssetMaterialization(asset_key=key, partition=date))
    for date in report.rejected:
        messages = "; ".join(result.message for result in report.findings[date] if result.severity == "error")
        context.log.error(f"{table} {date} rejected: {messages}. The partition is in the quarantine; an earlier good version is untouched.")


def _check_event(key: dg.AssetKey, check: str, report: steps.TableReport) -> dg.AssetCheckResult:
    failures = report.failures(check)
    blocking = {date: result for date, result in failures.items() if result.severity == "error"}
    metadata: dict[str, Any] = {"dates checked": report.n_checked.get(check, 0), "dates failed": len(failures)}
    if failures:
        metadata["findings"] = _findings_table(failures)
    severity = dg.AssetCheckSeverity.ERROR if blocking or not failures else dg.AssetCheckSeverity.WARN
    first = next(iter(failures.items()), None)
    description = f"{first[0]}: {first[1].message}" if first else f"holds on {report.n_checked.get(check, 0)} newly ingested dates"
    return dg.AssetCheckResult(asset_key=key, check_name=check, passed=not failures, severity=severity, metadata=metadata, description=description)


def _findings_table(failures: dict[str, CheckResult]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({"date": date, "severity": result.severity, "failed": result.n_failed, "finding": result.message})
        for date, result in list(failures.items())[:20]
    ]
    schema = dg.TableSchema([dg.TableColumn("date", "string"), dg.TableColumn("severity", "string"), dg.TableColumn("failed", "int"),
                             dg.TableColumn("finding", "string")])
    return dg.MetadataValue.table(records, schema=schema)


def _coverage_picture(written: dict[str, int], table: str) -> str:
    import pandas as pd

    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import coverage_plot

    frame = pd.DataFrame({"trade_date": pd.to_datetime(list(written)), "n_rows": list(written.values())})
    return thumbnail_markdown(coverage_plot(frame), alt=f"rows of {table} by date")
