"""The batched event log holds what Dagster's own would hold."""

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from alpha_pipeline.resources.event_storage import BATCH_SIZE_VARIABLE, BatchedSqliteEventLogStorage

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-15")


@dg.multi_asset(specs=[dg.AssetSpec(name, partitions_def=DAYS) for name in ("a", "b")], backfill_policy=dg.BackfillPolicy.single_run(),
                check_specs=[dg.AssetCheckSpec("holds", asset="a")])
def both(context: dg.AssetExecutionContext):
    for key in context.partition_keys:
        context.add_asset_metadata({"n": int(key[-2:])}, asset_key=dg.AssetKey("a"), partition_key=key)
    yield dg.MaterializeResult(asset_key="a", tags={"kind": "x"})
    yield dg.AssetCheckResult(asset_key="a", check_name="holds", passed=True)
    yield dg.MaterializeResult(asset_key="b")


def facts(home, storage: str, module: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    home.mkdir()
    (home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nevent_log_storage:\n  module: {module}\n  class: {storage}\n  config: {{base_dir: '{home}/events'}}\n")
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "1000" if storage.startswith("Batched") else "0")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        keys = DAYS.get_partition_keys()
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        result = dg.materialize([both], instance=instance, tags=tags)
        found: dict = {"events": [e.event_type_value for e in result.all_events]}
        stored = [r for r in instance.all_logs(result.run_id) if r.is_dagster_event]
        found["stored"] = sorted((r.dagster_event_type.value, r.dagster_event.partition or "") for r in stored)
        for name in ("a", "b"):
            key = dg.AssetKey(name)
            found[name] = sorted(instance.get_materialized_partitions(key))
            record = instance.get_asset_records([key])[0].asset_entry
            found[f"{name} last"] = (record.last_materialization.asset_materialization.partition, record.last_run_id == result.run_id)
        event = instance.get_latest_data_version_record(dg.AssetKey("a"), partition_key=keys[3])
        found["n of day 4"] = event.asset_materialization.metadata["n"].value
        check = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(dg.AssetKey("a"), "holds"), limit=50)
        found["checks"] = sorted((record.status.value, record.run_id == result.run_id) for record in check)
        assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
        return found


class TestBatchedStorage:
    def test_same_records_as_the_stock_storage(self, tmp_path, monkeypatch):
        stock = facts(tmp_path / "stock", "SqliteEventLogStorage", "dagster._core.storage.event_log", monkeypatch)
        ours = facts(tmp_path / "ours", "BatchedSqliteEventLogStorage", "alpha_pipeline.resources.event_storage", monkeypatch)
        planned, judged = ("PLANNED", True), ("SUCCEEDED", True)
        assert stock.pop("checks") == [planned] * 14 + [judged]
        assert ours.pop("checks") == [judged]  # one row, planned and then judged
        assert ours == stock
        assert ours["n of day 4"] == 4

    def test_the_batch_path_is_used(self, tmp_path, monkeypatch):
        calls = []
        original = BatchedSqliteEventLogStorage._store_asset_events
        monkeypatch.setattr(BatchedSqliteEventLogStorage, "_store_asset_events",
                            lambda self, run_id, events: (calls.append(len(events)), original(self, run_id, events))[1])
        facts(tmp_path / "ours", "BatchedSqliteEventLogStorage", "alpha_pipeline.resources.event_storage", monkeypatch)
        assert calls == [28, 14, 14]  # planned and materialized, two assets, fourteen days
