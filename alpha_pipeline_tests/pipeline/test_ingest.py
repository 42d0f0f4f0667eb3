"""Bad input: each kind is refused with a sentence that names the place, set aside, and never replaces what was good."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.assets import runner
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.errors import BadInput, CorruptPartition, InvalidSpec, ManifestMismatch, UnknownName
from alpha_pipeline.market.checks import CHECKS
from alpha_pipeline.markets import MARKETS, open_source
from alpha_pipeline.pipeline import ingest as ingest_step
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.ingest import ORDER, TableReport, ingest
from alpha_pipeline.pipeline.panels import extend_daily
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.resources import market as market_resource
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.sources.base import MarketSource
from alpha_pipeline_tests.pipeline.helpers_source import Alter, AlteredMarket

FIRST, GOOD, BAD, NEXT = "2023-01-03", "2023-01-04", "2023-01-05", "2023-01-06"
CONFIG = MARKETS["ci"]


@pytest.fixture(scope="module")
def source() -> MarketSource:
    return open_source(CONFIG)


@dataclass
class Rejection:
    """What became of a date that was good, and was then delivered again with an error."""

    report: TableReport
    reasons: list[dict]

    @property
    def message(self) -> str:
        """The sentence about the first blocking failure."""
        return next(reason["message"] for reason in self.reasons if reason["severity"] == "error")

    @property
    def checks(self) -> set[str]:
        return {reason["check"] for reason in self.reasons if reason["severity"] == "error"}


Deliver = Callable[..., Rejection]


@pytest.fixture
def redelivered(source: MarketSource, tmp_path: Path) -> Deliver:
    """Ingest a good date, then the same date with an altered table; asserts that the good version is still there, byte for byte.

    ``also``: tables that fail with it because they are compared with it.
    """

    def deliver(table: str, alter: Alter, also: str = "") -> Rejection:
        altered = AlteredMarket(source)
        work = Workspace(CONFIG, str(tmp_path), altered)
        assert not any(report.rejected for report in ingest(work, [GOOD, BAD], ORDER).values())
        before = work.store.manifest(table, BAD)
        (file,) = [Path(path) for path in work.store.data_files(table) if BAD in path]
        good_bytes = file.read_bytes()
        altered.alterations[table, BAD] = alter
        reports = ingest(work, [BAD], ORDER, refresh=True)
        assert work.store.manifest(table, BAD) == before
        assert file.read_bytes() == good_bytes
        assert reports[table].rejected == [BAD]
        quarantined = work.store.quarantined(table, BAD)
        assert quarantined is not None
        assert {name for name, report in reports.items() if report.rejected} == {table, *also.split()}, "nothing else is set aside"
        return Rejection(reports[table], quarantined["reasons"])

    return deliver


def assign(**columns: object) -> Alter:
    """Overwrite columns of the first row."""

    def alter(frame: pd.DataFrame) -> pd.DataFrame:
        for name, value in columns.items():
            frame.loc[frame.index[0], name] = value
        return frame

    return alter


def first_traded(frame: pd.DataFrame) -> object:
    return frame.index[frame["volume"] > 0][0]


class TestRejectedRows:
    """One row (or one column) of a table is wrong."""

    def test_duplicate_key(self, redelivered):
        found = redelivered("daily_bars", lambda frame: pd.concat([frame, frame.iloc[[0]]], ignore_index=True))
        assert found.checks == {"unique_key"}
        assert "key trade_date, symbol is unique: fails for 2 of" in found.message
        assert "first: trade_date=2023-01-05 symbol=" in found.message

    def test_high_below_low(self, redelivered):
        def swap(frame: pd.DataFrame) -> pd.DataFrame:
            row = first_traded(frame)
            frame.loc[row, ["high", "low"]] = frame.loc[row, "low"] * 0.99, frame.loc[row, "high"]
            return frame

        found = redelivered("daily_bars", swap, also="intraday_bars")
        assert "ohlc_order" in found.checks
        assert "low <= open, close <= high: fails for 1 of" in next(r["message"] for r in found.reasons if r["check"] == "ohlc_order")

    def test_negative_price(self, redelivered):
        found = redelivered("daily_bars", lambda frame: frame.assign(open=frame["open"] * np.where(frame.index == first_traded(frame), -1, 1)))
        assert "positive_prices" in found.checks
        assert "are positive: fails for 1 of" in found.message
        assert "open=-" in found.message

    def test_missing_column(self, redelivered):
        found = redelivered("daily_bars", lambda frame: frame.drop(columns="vwap"))
        assert found.checks == {"schema"}
        assert found.message.startswith("daily_bars 2023-01-05: column vwap is missing (got columns trade_date, symbol")

    def test_wrong_dtype(self, redelivered):
        found = redelivered("daily_bars", lambda frame: frame.assign(close=frame["close"].astype(str)))
        assert found.checks == {"schema"}
        assert found.message.startswith("daily_bars 2023-01-05: column close has the wrong type (got str, for example")
        assert "expected float64 in CNY" in found.message

    def test_missing_value(self, redelivered):
        found = redelivered("daily_bars", assign(close=np.nan))
        assert "column close is missing in 1 of" in found.message

    def test_row_of_a_later_date(self, redelivered):
        """A row dated after its partition is look-ahead."""
        found = redelivered("daily_bars", assign(trade_date=pd.Timestamp(NEXT)))
        assert "trade_date is 2023-01-05: fails for 1 of" in found.message
        assert f"first: trade_date={NEXT}" in found.message

    def test_volume_without_amount(self, redelivered):
        found = redelivered("daily_bars", lambda frame: frame.assign(amount=np.where(frame.index == first_traded(frame), 0.0, frame["amount"])))
        assert "volume_and_amount" in found.checks
        assert "volume is zero exactly where amount is" in found.message

    def test_index_weights_that_do_not_sum_to_one(self, redelivered):
        found = redelivered("index_weights", lambda frame: frame.assign(weight=frame["weight"] * 100))
        assert found.checks == {"weights_sum"}
        assert "weights sum to 1 per index: fails for" in found.message
        assert "trade_date=2023-01-05 index_code=000300.SH sum=" in found.message

    def test_intraday_bar_stamped_at_its_start(self, redelivered):
        found = redelivered("intraday_bars", lambda frame: frame.assign(bar_end=frame["bar_end"] - pd.Timedelta(minutes=15)))
        assert "bar_times" in found.checks

    def test_figures_announced_later(self, source, tmp_path):
        """Fundamentals are known from their announcement on, not before. Reports come on few dates: take the first that has some."""
        day = next(
            key for key in open_source(CONFIG).calendar.keys() if len(source.read_day(dt.date.fromisoformat(key), ["fundamentals"])["fundamentals"])
        )
        work = Workspace(
            CONFIG,
            str(tmp_path),
            AlteredMarket(source, {("fundamentals", day): lambda frame: frame.assign(announce_date=frame["trade_date"] + pd.Timedelta(days=1))}),
        )
        reports = ingest(work, [day], ["fundamentals"])
        assert [result.name for result in reports["fundamentals"].findings[day] if result.severity == "error"] == ["announced_by_date"]
        assert work.store.manifest("fundamentals", day) is None

    def test_most_names_gone(self, redelivered):
        found = redelivered("daily_bars", lambda frame: frame.iloc[:30])
        assert "coverage" in found.checks
        assert "names of the previous session are gone" in found.message

    def test_no_rows_at_all(self, redelivered):
        assert "not_empty" in redelivered("security_status", lambda frame: frame.iloc[:0], also="index_weights").checks


class TestBrokenCompanion:
    """``daily_bars`` are compared with ``security_status``: what happens to them while that one is broken."""

    @pytest.mark.parametrize(
        "alter",
        [
            lambda frame: frame.drop(columns="limit_up"),
            lambda frame: frame.assign(limit_up=frame["limit_up"].astype(str)),
            lambda frame: pd.concat([frame, frame.iloc[[0]]], ignore_index=True),
        ],
        ids=["column missing", "text for numbers", "symbol twice"],
    )
    def test_only_the_broken_table_is_rejected(self, redelivered, alter):
        redelivered("security_status", alter)

    def test_the_comparison_is_made_up_for_when_it_arrives(self, source, tmp_path):
        """Bars beyond the price limit, stored while the limits were unreadable, do not count as checked."""

        def beyond_limit(frame: pd.DataFrame) -> pd.DataFrame:
            row = first_traded(frame)
            frame.loc[row, "high"] = frame.loc[row, "high"] * 2
            return frame

        altered = AlteredMarket(source, {("security_status", GOOD): lambda frame: frame.drop(columns="limit_up"), ("daily_bars", GOOD): beyond_limit})
        work = Workspace(CONFIG, str(tmp_path), altered)
        tables = ["security_status", "daily_bars"]
        assert ingest(work, [GOOD], tables)["security_status"].rejected == [GOOD]
        del altered.alterations["security_status", GOOD]
        again = ingest(work, [GOOD], tables)
        assert again["security_status"].written
        assert again["daily_bars"].rejected == [GOOD]
        assert "within_limits" in {result.name for result in again["daily_bars"].findings[GOOD]}


class TestKeys:
    def test_holiday(self, source, tmp_path):
        with pytest.raises(BadInput, match=r"market 'ci': 2023-01-23 is not a trade date .*nearest sessions are 2023-01-20 and 2023-01-30"):
            ingest(Workspace(CONFIG, str(tmp_path), source), ["2023-01-23"], ORDER)

    def test_weekend(self, source, tmp_path):
        with pytest.raises(BadInput, match="2023-01-07 is not a trade date"):
            ingest(Workspace(CONFIG, str(tmp_path), source), [NEXT, "2023-01-07"], ORDER)

    def test_date_beyond_the_market(self, source, tmp_path):
        work = Workspace(CONFIG, str(tmp_path), source)
        with pytest.raises(BadInput, match=r"2023-10-09 is not a trade date \(expected a session between 2023-01-03 and 2023-09-28\)"):
            ingest(work, ["2023-10-09"], ORDER)
        assert work.store.tables() == [], "nothing is written before all keys are known to be sessions"


class TestRange:
    """A range with one bad date in its middle."""

    @pytest.fixture
    def work(self, source, tmp_path) -> Workspace:
        swap = {("daily_bars", BAD): lambda frame: frame.rename(columns={"high": "low", "low": "high"})}
        return Workspace(CONFIG, str(tmp_path), AlteredMarket(source, swap))

    def test_good_dates_are_kept_and_the_bad_one_is_set_aside(self, work):
        reports = ingest(work, [FIRST, GOOD, BAD, NEXT], ORDER)
        assert list(reports["daily_bars"].written) == [FIRST, GOOD, NEXT] == work.store.keys("daily_bars")
        assert reports["daily_bars"].rejected == [BAD]
        assert work.store.keys("security_status") == [FIRST, GOOD, BAD, NEXT]
        assert work.store.quarantined("daily_bars", NEXT) is None

    def test_the_date_after_is_compared_with_the_last_good_one(self, work, monkeypatch):
        seen = {}
        original = ingest_step.check_conformed

        def spy(table, frame, context):
            if table == "daily_bars":
                seen[context.trade_date.isoformat()] = context.previous.get(table)
            return original(table, frame, context)

        monkeypatch.setattr(ingest_step, "check_conformed", spy)
        ingest(work, [GOOD, BAD, NEXT], ORDER)
        assert set(seen[NEXT]["trade_date"].astype(str)) == {GOOD}

    def test_the_corrected_date_replaces_the_quarantine(self, work):
        ingest(work, [GOOD, BAD, NEXT], ORDER)
        work.source_override.alterations.clear()
        n_read = work.source_override.n_read
        reports = ingest(work, [GOOD, BAD, NEXT], ORDER)
        assert work.source_override.n_read == n_read + 1, "only the date that is missing is asked for again"
        assert reports["daily_bars"].reused == [GOOD, NEXT]
        assert list(reports["daily_bars"].written) == [BAD]
        assert work.store.quarantined("daily_bars", BAD) is None


class TestProperties:
    def test_a_refresh_with_equal_content_keeps_the_data_version(self, source, tmp_path):
        work = Workspace(CONFIG, str(tmp_path), source)
        ingest(work, [GOOD], ORDER)
        before = {table: work.store.manifest(table, GOOD) for table in ORDER}
        reports = ingest(work, [GOOD], ORDER, refresh=True)
        assert all(GOOD in report.written for report in reports.values())
        assert {table: work.store.manifest(table, GOOD) for table in ORDER} == before

    def test_range_and_single_dates_store_the_same(self, source, tmp_path):
        together, apart = Workspace(CONFIG, str(tmp_path / "a"), source), Workspace(CONFIG, str(tmp_path / "b"), source)
        ingest(together, [FIRST, GOOD, BAD], ORDER)
        for key in (FIRST, GOOD, BAD):
            ingest(apart, [key], ORDER)
        for table in ORDER:
            assert [together.store.manifest(table, key) for key in (FIRST, GOOD, BAD)] == [
                apart.store.manifest(table, key) for key in (FIRST, GOOD, BAD)
            ]

    def test_every_check_ran(self, source, tmp_path):
        reports = ingest(Workspace(CONFIG, str(tmp_path), source), [GOOD], ORDER)
        assert {table: tuple(report.n_checked) for table, report in reports.items()} == CHECKS


class TestSeverity:
    def test_a_lowered_check_stores_with_a_warning(self, source, tmp_path):
        lowered = replace(CONFIG, checks={"ohlc_order": "warn", "vwap_in_range": "warn", "within_limits": "warn", "intraday_bars.bars_high": "warn"})

        def above(frame: pd.DataFrame) -> pd.DataFrame:
            row = first_traded(frame)
            frame.loc[row, "close"] = frame.loc[row, "high"] * 1.001
            return frame

        work = Workspace(lowered, str(tmp_path), AlteredMarket(source, {("daily_bars", GOOD): above}))
        report = ingest(work, [GOOD], ["daily_bars"])["daily_bars"]
        assert report.rejected == []
        assert [result.name for result in report.findings[GOOD]] == ["ohlc_order"]
        assert "low <= open, close <= high: fails for 1 of" in work.store.manifest("daily_bars", GOOD).meta["warnings"][0]

    @pytest.mark.parametrize(
        ("override", "error", "message"),
        [
            ({"ohlc_ordr": "warn"}, UnknownName, "unknown check 'ohlc_ordr'.*Did you mean 'ohlc_order'"),
            ({"ohlc_order": "off"}, InvalidSpec, "checks.ohlc_order: a check can be lowered but not switched off"),
        ],
    )
    def test_a_misspelt_override_is_refused(self, source, tmp_path, override, error, message):
        with pytest.raises(error, match=message):
            ingest(Workspace(replace(CONFIG, checks=override), str(tmp_path), source), [GOOD], ["daily_bars"])


class TestDamagedStore:
    def damage(self, work: Workspace) -> None:
        (file,) = [Path(path) for path in work.store.data_files("daily_bars") if FIRST in path]
        file.write_bytes(file.read_bytes()[:-100])

    def test_a_truncated_file_is_named_and_not_used(self, source, tmp_path):
        work = Workspace(CONFIG, str(tmp_path), source)
        ingest(work, [FIRST], ORDER)
        self.damage(work)
        with pytest.raises(
            CorruptPartition, match=r"daily_bars 2023-01-03: the bytes on disk do not match the manifest .*Materialize the partition again"
        ):
            extend_daily(work, [FIRST])
        assert work.panels.daily.dates == []

    def test_asking_the_source_again_repairs_it(self, source, tmp_path):
        work = Workspace(CONFIG, str(tmp_path), source)
        ingest(work, [FIRST], ORDER)
        before = work.store.read("daily_bars", FIRST)
        self.damage(work)
        ingest(work, [FIRST], ["daily_bars"], refresh=True)
        pd.testing.assert_frame_equal(work.store.read("daily_bars", FIRST), before)


class TestCheckpointOfAnotherSpec:
    """Training products are refused when the model's settings have changed since."""

    def test_checkpoint(self, ci_run):
        other = replace(ci_run.spec.models[0], training=replace(ci_run.spec.models[0].training, lr=0.5))
        with pytest.raises(
            ManifestMismatch, match=r"models/tiny/2023H2: the checkpoint's spec_digest differs \(got \w+, expected \w+\)\. Train this period again"
        ):
            training.load(ci_run.work, other, "2023H2")

    def test_scores_are_not_made_with_it(self, ci_run):
        other = replace(ci_run.spec.models[0], seeds=(5, 6))
        with pytest.raises(ManifestMismatch, match="spec_digest differs"):
            training.score(ci_run.work, other, [ci_run.plan.end], "cpu")

    def test_training_set(self, ci_run):
        other = replace(ci_run.spec.models[0], label_shuffle_seed=1)
        with pytest.raises(ManifestMismatch, match="model 'tiny' 2023H2: the training set was made for another spec"):
            training.train(ci_run.work, other, "2023H2", "cpu")


@dataclass
class Graph:
    """A graph of raw tables and panels over an altered market."""

    altered: AlteredMarket
    work: Workspace
    defs: dg.Definitions
    instance: dg.DagsterInstance

    def run(
        self, first: str, last: str, assets: tuple[str, ...] = (*ORDER, "universe", "daily_panel", "intraday_15m_panel")
    ) -> dg.ExecuteInProcessResult:
        return runner.execute(self.defs, self.instance, runner.Step("Raw tables", assets, first, last))

    def materialized(self, asset: str) -> set[str]:
        return set(self.instance.get_materialized_partitions(dg.AssetKey(asset)))


@pytest.fixture
def graph(source: MarketSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    altered = AlteredMarket(source)
    work = Workspace(CONFIG, str(tmp_path), altered)
    monkeypatch.setitem(market_resource._opened, (CONFIG.digest(), str(tmp_path)), work)
    defs = build_definitions(CONFIG.name, [], MarketResource(market=CONFIG.name, root=str(tmp_path)))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Graph(altered, work, defs, instance)


class TestThroughDagster:
    def test_a_failed_blocking_check_stops_what_is_downstream(self, graph):
        graph.altered.alterations["daily_bars", FIRST] = lambda frame: frame.assign(close=-frame["close"])
        with pytest.raises(
            runner.RunFailed, match=r"Raw tables: \d blocking check\(s\) failed\. daily_bars: 2023-01-03: .*are positive: fails for"
        ) as raised:
            graph.run(FIRST, FIRST)
        assert "Traceback" not in str(raised.value)
        assert graph.materialized("daily_bars") == set()
        assert graph.materialized("daily_panel") == graph.materialized("universe") == set()
        assert graph.work.panels.daily.dates == []
        assert graph.work.store.quarantined("daily_bars", FIRST) is not None

    def test_the_failed_check_is_recorded_with_its_rows(self, graph):
        graph.altered.alterations["index_weights", FIRST] = lambda frame: frame.assign(weight=frame["weight"] / 2)
        with pytest.raises(runner.RunFailed, match="index_weights: 2023-01-03: weights sum to 1 per index"):
            graph.run(FIRST, FIRST)
        key = dg.AssetCheckKey(dg.AssetKey("index_weights"), "weights_sum")
        (record,) = graph.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        evaluation = record.event.dagster_event.event_specific_data
        assert not evaluation.passed
        assert evaluation.severity == dg.AssetCheckSeverity.ERROR
        assert evaluation.metadata["dates failed"].value == 1

    def test_a_missing_column(self, graph):
        graph.altered.alterations["daily_bars", FIRST] = lambda frame: frame.drop(columns="volume")
        with pytest.raises(runner.RunFailed, match="daily_bars: 2023-01-03: daily_bars 2023-01-03: column volume is missing"):
            graph.run(FIRST, FIRST)

    def test_a_range_records_its_good_dates_only(self, graph):
        graph.altered.alterations["daily_bars", BAD] = lambda frame: frame.rename(columns={"high": "low", "low": "high"})
        with pytest.raises(runner.RunFailed, match=f"daily_bars: {BAD}: low <= open, close <= high"):
            graph.run(FIRST, NEXT)
        assert graph.materialized("daily_bars") == {FIRST, GOOD, NEXT}
        assert graph.materialized("security_status") == {FIRST, GOOD, BAD, NEXT}
        assert graph.materialized("daily_panel") == graph.materialized("universe") == graph.materialized("intraday_15m_panel") == set()
        graph.altered.alterations.clear()
        graph.run(FIRST, NEXT)
        assert graph.materialized("daily_bars") == graph.materialized("daily_panel") == {FIRST, GOOD, BAD, NEXT}
        assert graph.work.panels.daily.dates == [FIRST, GOOD, BAD, NEXT]

    def test_a_bad_redelivery_leaves_the_good_version(self, graph):
        graph.run(FIRST, FIRST)
        before = graph.work.store.manifest("daily_bars", FIRST)
        graph.altered.alterations["daily_bars", FIRST] = lambda frame: frame.assign(volume=-1.0)
        step = runner.backfill_step(graph.defs, graph.work, ["daily_bars"], FIRST, "", refresh=True)
        with pytest.raises(runner.RunFailed, match="volume is zero exactly where amount is"):
            runner.execute(graph.defs, graph.instance, step)
        assert graph.work.store.manifest("daily_bars", FIRST) == before

    def test_a_skipped_session_is_a_sentence(self, graph):
        """The panel starts with the market's first session: what is missing is named."""
        with pytest.raises(runner.RunFailed, match=r"Raw tables: MissingData: 2023-01-04: panel 'daily' cannot skip sessions .*first 2023-01-03"):
            graph.run(GOOD, GOOD, (*ORDER, "daily_panel"))

    def test_a_holiday_has_no_partition(self, graph):
        with pytest.raises(BadInput, match="2023-01-23 is not a trade date"):
            runner.backfill_step(graph.defs, graph.work, ["daily_bars"], "2023-01-23", "")
