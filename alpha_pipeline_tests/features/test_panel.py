"""Panels: appended rows, a growing symbol axis, and a tail that was never committed."""

import numpy as np
import pytest

from alpha_pipeline.errors import CorruptPartition, MissingData
from alpha_pipeline.features.panel import Panel, PanelSpec, SymbolAxis

SPEC = PanelSpec("p", ("close", "volume"))


def row(axis: SymbolAxis, symbols: list[str], value: float) -> np.ndarray:
    columns = axis.columns(symbols)
    values = np.full((1, 2, len(axis)), np.nan, dtype=np.float32)
    values[0, 0, columns] = value
    values[0, 1, columns] = 100.0
    return values


def filled(folder, dates: list[str], symbols: list[str]) -> Panel:
    axis = SymbolAxis(folder)
    panel = Panel(folder, SPEC, axis)
    with panel.appending() as rows:
        for at, date in enumerate(dates):
            rows.add(date, row(axis, symbols, float(at)), source=f"s{at}")
    return panel


class TestExamples:
    def test_append_and_reopen(self, tmp_path):
        filled(tmp_path, ["2024-01-02", "2024-01-03"], ["b", "a"])
        again = Panel(tmp_path, SPEC, SymbolAxis(tmp_path))
        assert again.dates == ["2024-01-02", "2024-01-03"]
        assert again.axis.symbols == ["a", "b"]
        np.testing.assert_array_equal(again.field("close"), [[0.0, 0.0], [1.0, 1.0]])
        assert again.row("2024-01-03").source == "s1"
        assert again.verify() == []

    def test_new_symbols_keep_old_columns(self, tmp_path):
        filled(tmp_path, ["2024-01-02"], ["m"])
        axis = SymbolAxis(tmp_path)
        panel = Panel(tmp_path, SPEC, axis)
        with panel.appending() as rows:
            rows.add("2024-01-03", row(axis, ["a", "m"], 5.0), source="x")
        assert axis.symbols == ["m", "a"]
        np.testing.assert_array_equal(panel.field("close"), [[0.0, np.nan], [5.0, 5.0]])

    def test_capacity_grows_by_copy(self, tmp_path):
        filled(tmp_path, ["2024-01-02"], ["a"])
        axis = SymbolAxis(tmp_path)
        panel = Panel(tmp_path, SPEC, axis)
        many = [f"s{i:04d}" for i in range(500)]
        with panel.appending() as rows:
            rows.add("2024-01-03", row(axis, many, 7.0), source="x")
        again = Panel(tmp_path, SPEC, SymbolAxis(tmp_path))
        assert again.values.shape == (2, 1, 2, 501)
        assert again.field("close")[0, 0] == 0.0
        assert np.isnan(again.field("close")[0, 1:]).all()
        assert again.verify() == []
        assert len(list(tmp_path.glob("p.*.bin"))) == 1

    def test_truncate_drops_the_date_and_all_after(self, tmp_path):
        panel = filled(tmp_path, ["2024-01-02", "2024-01-03", "2024-01-04"], ["a"])
        assert panel.truncate("2024-01-03") == ["2024-01-03", "2024-01-04"]
        assert Panel(tmp_path, SPEC, SymbolAxis(tmp_path)).dates == ["2024-01-02"]

    def test_an_interrupted_rebuild_is_remembered(self, tmp_path):
        panel = filled(tmp_path, ["2024-01-02", "2024-01-03", "2024-01-04"], ["a"])
        assert panel.owed == []
        panel.rebuild_from("2024-01-03")
        again = Panel(tmp_path, SPEC, SymbolAxis(tmp_path))  # what the process after a kill finds
        assert again.dates == ["2024-01-02"] and again.owed == ["2024-01-03", "2024-01-04"]
        with again.appending() as rows:
            rows.add("2024-01-03", np.zeros((1, 2, 1)), "new")
        assert Panel(tmp_path, SPEC, SymbolAxis(tmp_path)).owed == ["2024-01-04"]
        again.truncate("2024-01-03")
        assert again.owed == ["2024-01-03", "2024-01-04"], "what is owed stays owed until it is there"


class TestProperties:
    def test_later_listings_do_not_change_earlier_checksums(self, tmp_path):
        (tmp_path / "x").mkdir()
        (tmp_path / "y").mkdir()
        plain = filled(tmp_path / "x", ["2024-01-02"], ["a", "b"])
        axis = SymbolAxis(tmp_path / "y")
        axis.columns(["a", "b"])
        axis.columns(["later"])
        other = Panel(tmp_path / "y", SPEC, axis)
        with other.appending() as rows:
            rows.add("2024-01-02", row(axis, ["a", "b"], 0.0), source="s0")
        assert plain.rows[0].checksum == other.rows[0].checksum

    def test_uncommitted_tail_is_overwritten(self, tmp_path):
        panel = filled(tmp_path, ["2024-01-02"], ["a"])
        with open(tmp_path / "p.64.bin", "ab") as file:  # a killed writer left half a row behind the index
            file.write(b"\x01" * 100)
        axis = SymbolAxis(tmp_path)
        panel = Panel(tmp_path, SPEC, axis)
        with panel.appending() as rows:
            rows.add("2024-01-03", row(axis, ["a"], 9.0), source="x")
        assert Panel(tmp_path, SPEC, SymbolAxis(tmp_path)).field("close")[1, 0] == 9.0

    def test_file_shorter_than_its_index_is_cut_to_whole_rows(self, tmp_path):
        filled(tmp_path, ["2024-01-02", "2024-01-03"], ["a"])
        with open(tmp_path / "p.64.bin", "r+b") as file:
            file.truncate(2 * 64 * 4 + 10)
        assert Panel(tmp_path, SPEC, SymbolAxis(tmp_path)).dates == ["2024-01-02"]

    def test_changed_bytes_are_found(self, tmp_path):
        filled(tmp_path, ["2024-01-02", "2024-01-03"], ["a"])
        with open(tmp_path / "p.64.bin", "r+b") as file:
            file.write(b"\x00\x00\x80\x40")
        assert Panel(tmp_path, SPEC, SymbolAxis(tmp_path)).verify() == ["2024-01-02"]


class TestErrors:
    def test_dates_must_rise(self, tmp_path):
        panel = filled(tmp_path, ["2024-01-03"], ["a"])
        with panel.appending() as rows, pytest.raises(CorruptPartition, match="must rise.*2024-01-02"):
            rows.add("2024-01-02", row(panel.axis, ["a"], 1.0), source="x")

    def test_unknown_date_and_field(self, tmp_path):
        panel = filled(tmp_path, ["2024-01-03"], ["a"])
        with pytest.raises(MissingData, match="2024-01-09 is not in panel 'p'.*2024-01-03"):
            panel.index("2024-01-09")
        with pytest.raises(MissingData, match="no field 'open'.*close, volume"):
            SPEC.field("open")
