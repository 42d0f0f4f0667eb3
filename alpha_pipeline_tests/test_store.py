"""The store: a partition is the old version or the new one, and bytes that changed are never read."""

import os

import pandas as pd
import pytest

from alpha_pipeline.errors import CorruptPartition, MissingData
from alpha_pipeline.pipeline.queries import open_views
from alpha_pipeline.store import Store


def frame(value: float) -> pd.DataFrame:
    return pd.DataFrame({"symbol": ["600000.SH", "000001.SZ"], "close": [value, 2 * value]})


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path):
    opened = Store(tmp_path / "market" if request.param == "local" else f"memory://{tmp_path.name}")
    yield opened
    if opened.fs.exists(opened.root):
        opened.fs.rm(opened.root, recursive=True)


class TestExamples:
    def test_round_trip(self, store: Store):
        manifest = store.write("daily_bars", "2024-01-05", frame(10.0), source="abc", meta={"note": 1})
        assert manifest.rows == 2
        assert store.read("daily_bars", "2024-01-05").equals(frame(10.0))
        assert list(store.read("daily_bars", "2024-01-05", ["close"]).columns) == ["close"]
        assert store.keys("daily_bars") == ["2024-01-05"]
        assert store.is_current("daily_bars", "2024-01-05", "abc")
        assert not store.is_current("daily_bars", "2024-01-05", "abd")

    def test_replacing_leaves_one_data_file(self, store: Store):
        store.write("daily_bars", "2024-01-05", frame(10.0))
        store.write("daily_bars", "2024-01-05", frame(11.0))
        assert store.read("daily_bars", "2024-01-05")["close"].tolist() == [11.0, 22.0]
        assert len([f for f in store.fs.find(f"{store.root}/lake") if str(f).endswith(".parquet")]) == 1

    def test_bundle_round_trip_and_replacement(self, store: Store):
        store.write_bundle("portfolios/p/backtest", {"daily": frame(1.0)}, files={"report.html": b"<p>"})
        store.write_bundle("portfolios/p/backtest", {"daily": frame(2.0)}, files={"report.html": b"<q>"}, meta={"k": 1})
        assert store.read_bundle("portfolios/p/backtest")["daily"].equals(frame(2.0))
        assert store.read_bundle_file("portfolios/p/backtest", "report.html") == b"<q>"
        assert store.bundle("portfolios/p/backtest").meta["k"] == 1
        assert store.bundles("portfolios/") == ["portfolios/p/backtest"]

    def test_quarantine_is_apart(self, store: Store):
        store.write("daily_bars", "2024-01-05", frame(10.0))
        store.quarantine("daily_bars", "2024-01-05", frame(-1.0), [{"check": "positive_prices"}])
        assert store.read("daily_bars", "2024-01-05").equals(frame(10.0))
        assert store.quarantined("daily_bars", "2024-01-05") == {"reasons": [{"check": "positive_prices"}]}
        store.release("daily_bars", "2024-01-05")
        assert store.quarantined("daily_bars", "2024-01-05") is None

    def test_views_over_all_partitions(self, tmp_path):
        store = Store(tmp_path)
        store.write("daily_bars", "2024-01-05", frame(10.0))
        store.write("daily_bars", "2024-01-08", frame(11.0))
        store.write("signals/s/factor", "2024-01-08", frame(1.0))
        views = open_views(store)
        assert views.sql("select count(*), sum(close) from daily_bars").fetchall() == [(4, 63.0)]
        assert views.sql("select count(*) from signals_s_factor").fetchall() == [(2,)]


class TestProperties:
    def test_equal_content_has_an_equal_hash(self, store: Store):
        first = store.write("t", "a", frame(1.0))
        second = store.write("t", "b", frame(1.0))
        assert first.content == second.content != store.write("t", "c", frame(1.5)).content

    def test_killed_before_the_manifest_leaves_the_old_version(self, tmp_path, monkeypatch: pytest.MonkeyPatch):
        store = Store(tmp_path)
        store.write("t", "a", frame(1.0))
        replace = os.replace

        def die_at_manifest(source: str, target: str) -> None:
            if str(target).endswith(".json"):
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(os, "replace", die_at_manifest)
        with pytest.raises(KeyboardInterrupt):
            store.write("t", "a", frame(2.0))
        monkeypatch.undo()
        assert store.read("t", "a").equals(frame(1.0))
        assert len(store.data_files("t")) == 1
        store.write("t", "a", frame(2.0))
        assert store.read("t", "a").equals(frame(2.0))


class TestErrors:
    def test_missing_partition(self, store: Store):
        with pytest.raises(MissingData, match=r"partition 2024-01-05 of 'daily_bars' does not exist.*Materialize"):
            store.read("daily_bars", "2024-01-05")

    def test_truncated_parquet(self, tmp_path):
        store = Store(tmp_path)
        store.write("daily_bars", "2024-01-05", frame(10.0))
        path = store.data_files("daily_bars")[0]
        with open(path, "r+b") as file:
            file.truncate(100)
        with pytest.raises(CorruptPartition, match=r"daily_bars 2024-01-05: the bytes on disk do not match.*100 bytes.*Materialize"):
            store.read("daily_bars", "2024-01-05")

    def test_data_file_gone(self, tmp_path):
        store = Store(tmp_path)
        store.write("daily_bars", "2024-01-05", frame(10.0))
        os.unlink(store.data_files("daily_bars")[0])
        with pytest.raises(CorruptPartition, match="named by the manifest is gone"):
            store.read("daily_bars", "2024-01-05")

    def test_unreadable_manifest(self, tmp_path):
        store = Store(tmp_path)
        store.write("t", "a", frame(1.0))
        (tmp_path / "lake" / "t" / "a.json").write_text("{")
        with pytest.raises(CorruptPartition, match="unreadable manifest"):
            store.read("t", "a")

    def test_bundle_without_the_file(self, store: Store):
        store.write_bundle("b", {"daily": frame(1.0)})
        with pytest.raises(MissingData, match="has no file 'x'.*daily.parquet"):
            store.read_bundle_file("b", "x")
        with pytest.raises(MissingData, match="result 'c' does not exist"):
            store.read_bundle("c")
