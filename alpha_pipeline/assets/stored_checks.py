"""Checks on what is already stored, without materializing anything: what CI runs and `alpha-pipeline check` prints.

Each raw table's checks are re-run on the stored partitions; panels are verified against their checksums.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from alpha_pipeline.assets.common import AssetJob, running
from alpha_pipeline.assets.partitions import Axes
from alpha_pipeline.pipeline import stored
from alpha_pipeline.resources.market import MarketResource

JOB = "checks"
CALENDAR_WARNING_DAYS = 30


class CheckRange(dg.Config):
    """Trade dates to check; empty strings mean the newest stored one."""

    start: str = ""
    end: str = ""


def stored_check_assets(axes: Axes, tables: Sequence[str], panels: Sequence[str]) -> list[dg.AssetChecksDefinition]:
    """One check per raw table (``stored_partitions_hold``) and panel (``panel_matches_checksums``), and one on the calendar's end."""
    return [_calendar_check(), *(_table_check(table) for table in tables), *(_panel_check(panel) for panel in panels)]


def _calendar_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="daily_bars", name="calendar_reaches_ahead", description=f"The exchange calendar knows at least {CALENDAR_WARNING_DAYS} "
                    "days beyond the newest stored session.")
    def check(context: dg.AssetCheckExecutionContext, market: MarketResource) -> dg.AssetCheckResult:
        with running(context):
            found = stored.calendar_reach(market.workspace())
            return dg.AssetCheckResult(passed=found.days >= CALENDAR_WARNING_DAYS, severity=dg.AssetCheckSeverity.WARN, description=found.sentence,
                                       metadata={"days": found.days})

    return check


def _table_check(table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=table, name="stored_partitions_hold", description=f"All checks of {table} hold on the stored partitions, whose bytes "
                    "match their manifests.")
    def check(context: dg.AssetCheckExecutionContext, config: CheckRange, market: MarketResource) -> dg.AssetCheckResult:
        with running(context):
            found = stored.check_table_range(market.workspace(), table, config.start, config.end)
            return dg.AssetCheckResult(passed=not found.failures, severity=dg.AssetCheckSeverity[found.severity or "ERROR"],
                                       description=found.sentence, metadata={"dates": found.n_dates, "failures": len(found.failures)})

    return check


def _panel_check(panel: str) -> dg.AssetChecksDefinition:
    asset = "universe" if panel == "status" else f"{panel}_panel"

    @dg.asset_check(asset=asset, name="panel_matches_checksums", description="The bytes of every row of the panel match its checksum.")
    def check(context: dg.AssetCheckExecutionContext, market: MarketResource) -> dg.AssetCheckResult:
        with running(context):
            opened = market.workspace().panels.by_name(panel)
            bad = opened.verify()
            first = f": {', '.join(bad[:5])}" if bad else ""
            return dg.AssetCheckResult(passed=not bad, description=f"{len(bad)} of {len(opened.rows)} rows differ{first}",
                                       metadata={"rows": len(opened.rows)})

    return check


def checks_job(names: Sequence[str]) -> AssetJob:
    """A job that runs the stored checks of the named assets and nothing else."""
    panels = [name for name in names if name.endswith("_panel") or name == "universe"]
    checks = [dg.AssetCheckKey(dg.AssetKey(name), "panel_matches_checksums" if name in panels else "stored_partitions_hold") for name in names]
    return dg.define_asset_job(JOB, dg.AssetSelection.checks(*checks), executor_def=dg.in_process_executor,
                               description="Asset checks on stored partitions, nothing is materialized.")


def check_stored(defs: dg.Definitions, instance: dg.DagsterInstance, keys: Sequence[str]) -> Iterator[dg.AssetCheckEvaluation]:
    """Run the job over trade dates and yield every evaluation.

    Raises :class:`RunFailed` at the end when a check could not run at all: that is no pass.
    """
    from alpha_pipeline.assets.runner import QUIET, RunFailed, failure_text

    job = defs.resolve_job_def(JOB)
    bounds = {"config": {"start": keys[0], "end": keys[-1]}}
    ops = {op.name: bounds for op in job.nodes if op.name.endswith("stored_partitions_hold")}
    result = job.execute_in_process(instance=instance, run_config={**QUIET, "ops": ops}, raise_on_error=False)
    yield from result.get_asset_check_evaluations()
    if not result.success:
        raise RunFailed(f"Checks: {failure_text(result)}")
