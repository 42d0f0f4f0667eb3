"""Asset checks on what is stored, as CI and `alpha-pipeline check` run them: nothing is materialized."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from alpha_pipeline.assets import runner
from alpha_pipeline.assets.stored_checks import check_stored
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.pipeline import stored
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.resources.market import MarketResource


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def copy(ci_run, tmp_path) -> Workspace:
    """A copy of the small market's raw tables and panels, to be damaged."""
    root = Path(ci_run.work.store.root)
    for table in TABLES:
        shutil.copytree(root / "lake" / table, tmp_path / "lake" / table)
    shutil.copytree(root / "panels", tmp_path / "panels")
    return Workspace(ci_run.work.market, str(tmp_path))


def checked(work: Workspace, instance: dg.DagsterInstance, keys: list[str]) -> dict[str, dg.AssetCheckEvaluation]:
    defs = build_definitions("ci", [], MarketResource(market="ci", root=work.root))
    return {f"{found.asset_key.to_user_string()}.{found.check_name}": found for found in check_stored(defs, instance, keys)}


class TestWholeMarket:
    def test_every_check_holds_on_every_date(self, ci_run, instance):
        found = list(check_stored(ci_run.defs, instance, ci_run.plan.history))
        blocking = [f"{e.asset_key.to_user_string()}: {e.description}" for e in found if not e.passed and e.severity == dg.AssetCheckSeverity.ERROR]
        assert blocking == []
        by_asset = {evaluation.asset_key.to_user_string(): evaluation for evaluation in found}
        assert set(by_asset) == {*TABLES, "universe", "daily_panel", "intraday_15m_panel"}
        for table in TABLES:
            assert by_asset[table].metadata["dates"].value == len(ci_run.plan.history)
        for panel in ("universe", "daily_panel", "intraday_15m_panel"):
            assert by_asset[panel].metadata["rows"].value == len(ci_run.plan.history)

    def test_nothing_is_materialized(self, ci_run, instance):
        list(check_stored(ci_run.defs, instance, [ci_run.plan.end]))
        assert instance.get_latest_materialization_event(dg.AssetKey("daily_bars")) is None


class TestCalendarEnd:
    def test_a_newest_session_far_from_the_end_passes(self, copy, instance):
        found = stored.calendar_reach(copy)
        assert found.days > 365

    def test_a_newest_session_near_the_end_is_a_warning_with_the_remedy(self, copy, instance, monkeypatch):
        newest = copy.store.keys("daily_bars")[-1]
        monkeypatch.setattr(stored, "last_known_session", lambda exchange: dt.date.fromisoformat(newest) + dt.timedelta(days=29))
        defs = build_definitions("ci", [], MarketResource(market="ci", root=copy.root))
        check = dg.AssetCheckKey(dg.AssetKey("daily_bars"), "calendar_reaches_ahead")
        asset_check = next(found for found in defs.asset_checks if check in getattr(found, "check_keys", ()))
        result = dg.materialize([asset_check], instance=instance, resources=defs.resources, selection=dg.AssetSelection.checks(check))
        (found,) = result.get_asset_check_evaluations()
        assert not found.passed and found.severity == dg.AssetCheckSeverity.WARN
        assert "29 days beyond" in found.description and "install a newer exchange_calendars" in found.description

    def test_the_daily_job_runs_it(self):
        job = build_definitions("ci").resolve_job_def("daily")
        assert "daily_bars_calendar_reaches_ahead" in {op.name for op in job.nodes}


class TestDamage:
    def test_a_truncated_partition(self, copy, instance):
        key = copy.store.keys("daily_bars")[5]
        (file,) = [Path(path) for path in copy.store.data_files("daily_bars") if key in path]
        file.write_bytes(file.read_bytes()[:1000])
        found = checked(copy, instance, [key])
        failed = found["daily_bars.stored_partitions_hold"]
        assert not failed.passed
        assert failed.severity == dg.AssetCheckSeverity.ERROR
        assert f"1 of 1 dates fail; first {key}: daily_bars {key}: the bytes on disk do not match the manifest" in failed.description
        assert {name.split(".")[0] for name, result in found.items() if not result.passed} == {"daily_bars", "intraday_bars"}, (
            "and what is compared with it"
        )

    def test_rows_that_break_a_rule(self, copy, instance):
        """Valid bytes, wrong numbers: written by something else than the ingest."""
        keys = copy.store.keys("index_weights")[10:12]
        frame = copy.store.read("index_weights", keys[1])
        copy.store.write("index_weights", keys[1], frame.assign(weight=frame["weight"] * 2))
        failed = checked(copy, instance, keys)["index_weights.stored_partitions_hold"]
        assert not failed.passed
        assert failed.description.startswith(f"1 of 2 dates fail; first {keys[1]}: weights sum to 1 per index: fails for")

    def test_a_flipped_byte_in_a_panel(self, copy, instance):
        (data,) = (Path(copy.root) / "panels").glob("daily.*.bin")
        raw = bytearray(data.read_bytes())
        raw[100] ^= 1
        data.write_bytes(raw)
        key = copy.store.keys("daily_bars")[0]
        failed = checked(copy, instance, [key])["daily_panel.panel_matches_checksums"]
        assert not failed.passed
        assert failed.description == f"1 of {len(copy.panels.daily.rows)} rows differ: {key}"

    def test_a_check_that_cannot_run_is_no_pass(self, copy, instance):
        (Path(copy.root) / "panels" / "daily.json").write_text("{ not json")
        with pytest.raises(runner.RunFailed, match="Checks: .*JSONDecodeError"):
            checked(copy, instance, [copy.store.keys("daily_bars")[5]])


class TestRange:
    def test_without_bounds_the_newest_date_is_checked(self, ci_run):
        found = stored.check_table_range(ci_run.work, "index_bars")
        assert (found.n_dates, found.failures, found.severity, found.sentence) == (1, {}, "", "holds on 1 stored dates")

    def test_bounds_are_inclusive(self, ci_run):
        keys = ci_run.plan.history
        assert stored.check_table_range(ci_run.work, "index_bars", keys[3], keys[7]).n_dates == 5
        assert stored.check_table_range(ci_run.work, "index_bars", keys[-2]).n_dates == 2
        assert stored.check_table_range(ci_run.work, "index_bars", end=keys[1]).n_dates == 2
