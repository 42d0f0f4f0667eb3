"""What all asset files share: keys of a run, metadata of a step, progress in the event log, user errors as Dagster failures."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from alpha_pipeline import progress
from alpha_pipeline.errors import AlphaPipelineError
from alpha_pipeline.pipeline.workspace import StepReport

AssetJob = Any  # what dagster.define_asset_job returns; its type is not public
OWNERS = ["team:quant-research"]
SINGLE_RUN = dg.BackfillPolicy.single_run()
_LOG_EVERY_SECONDS = 5.0


class _EventLog:
    """Progress listener that writes to the run's log at most every few seconds."""

    def __init__(self, context: Any, inner: progress.Listener | None) -> None:
        self._context, self._inner, self._last = context, inner, time.monotonic()

    def update(self, label: str, done: int, total: int | None, note: str) -> None:
        if self._inner is not None:
            self._inner.update(label, done, total, note)
        now = time.monotonic()
        if now - self._last >= _LOG_EVERY_SECONDS:
            self._last = now
            of = f"/{total}" if total else ""
            self._context.log.info(f"{label}: {done}{of} {note}".rstrip())


@contextmanager
def running(context: Any) -> Iterator[None]:
    """Body of every asset: progress goes to the event log, and a user's mistake becomes a failure with its sentence and no traceback."""
    with progress.listening(_EventLog(context, progress.current())):
        try:
            yield
        except AlphaPipelineError as error:
            raise dg.Failure(description=f"{type(error).__name__}: {error}", allow_retries=False) from error


def range_keys(context: Any) -> list[str]:
    """All partition keys of the run, one or a range."""
    return list(context.partition_keys)


def step_metadata(report: StepReport) -> dict[str, Any]:
    """Metadata of a partitioned step: what was computed and kept, what was left out and why."""
    metadata: dict[str, Any] = {
        "computed": len(report.computed), "reused": len(report.reused), "rows": report.rows,
        "date range": f"{min(keys)} … {max(keys)}" if (keys := [*report.computed, *report.reused]) else "none",
    }
    if report.excluded:
        metadata["left out"] = counts_table(report.excluded, "reason", "stock-days")
    for name, value in report.facts.items():
        metadata[name] = value if isinstance(value, int | float | dg.MetadataValue) else str(value)
    return metadata


def counts_table(counts: Mapping[str, int], name: str, unit: str) -> dg.TableMetadataValue:
    """A two-column table for the asset's page."""
    schema = dg.TableSchema([dg.TableColumn(name, "string"), dg.TableColumn(unit, "int")])
    return dg.MetadataValue.table([dg.TableRecord({name: key, unit: int(value)}) for key, value in counts.items()], schema=schema)


def frame_table(frame: Any, max_rows: int = 50) -> dg.TableMetadataValue:
    """A pandas frame as table metadata: numbers rounded for reading, at most ``max_rows`` rows."""
    columns = [str(c) for c in frame.columns]
    schema = dg.TableSchema([dg.TableColumn(c, "string") for c in columns])
    records = []
    for row in frame.head(max_rows).itertuples(index=False):
        records.append(dg.TableRecord({c: f"{v:.4f}" if isinstance(v, float) else str(v) for c, v in zip(columns, row, strict=True)}))
    return dg.MetadataValue.table(records, schema=schema)


def attach_picture(context: Any, asset_key: dg.AssetKey, keys: Sequence[str], markdown: str) -> None:
    """Put a picture on the newest partition only: one per event of a range run would fill the event log."""
    context.add_asset_metadata({"picture": dg.MetadataValue.md(markdown)}, asset_key=asset_key, partition_key=max(keys))


class DateRange(dg.Config):
    """Bounds of an unpartitioned result; empty strings mean everything there is."""

    start: str = ""
    end: str = ""
