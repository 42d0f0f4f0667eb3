"""Dagster's SQLite event log with range runs written in one transaction.

A range run over 500 trade dates and ten assets makes ten thousand events (planned and materialized); the stock SQLite storage opens and commits
two databases for each, 8–15 ms apiece. Dagster hands such events over in batches when ``DAGSTER_EVENT_BATCH_SIZE`` is set; this class stores a
batch with one commit per database. It relies on internals of the pinned dagster version and is the only file that does; the same events end up in
the same tables (tested against the stock storage).

The one difference: a planned asset check gets one row. The stock storage writes one per partition of the range, each holding all keys of the range
(gigabytes after a few runs over years), and none of them is ever completed, because the checks of this project judge a range as a whole.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlalchemy_compat import db_result

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = 1000
_BATCHED = (DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION)


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Stores batches of planned and materialized assets in two transactions; everything else as its parent does."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "BatchedSqliteEventLogStorage":
        return cls(inst_data=inst_data, base_dir=config_value["base_dir"])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        # planned events of assets and of their checks arrive mixed; the checks' have tables of their own and stay with the parent
        by_run: dict[str, list[EventLogEntry]] = {}
        for event in events:
            if event.is_dagster_event and event.dagster_event_type in _BATCHED:
                by_run.setdefault(event.run_id, []).append(event)
            else:
                self.store_event(event)
        for run_id, batch in by_run.items():
            self._store_asset_events(run_id, batch)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        dagster_event = event.get_dagster_event()
        planned = dagster_event.event_specific_data
        assert isinstance(planned, AssetCheckEvaluationPlanned)
        whole = dagster_event._replace(event_specific_data=AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name))
        super()._store_asset_check_evaluation_planned(event._replace(dagster_event=whole), event_id)

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        statements = [self.prepare_insert_event(event) for event in events]
        with self.run_connection(run_id) as connection:
            for statement in statements:
                connection.execute(statement)
        newest: dict[tuple[str, Any], tuple[EventLogEntry, int]] = {}
        with self.index_transaction() as connection:
            ids: list[int] = []
            for event, statement in zip(events, statements, strict=True):
                with db_result(connection, statement) as result:
                    ids.append(int(result.inserted_primary_key[0]))
                key = event.get_dagster_event().asset_key
                assert key is not None
                newest[key.to_string(), event.dagster_event_type] = (event, ids[-1])
            self._store_asset_event_tags(connection, events, ids)
            # the row of an asset says what happened to it last: one update per asset and kind instead of one per event
            for event, event_id in newest.values():
                self._store_asset_event(connection, event, event_id)
