"""Markets from TOML files: a simulated one, a column map, a cut of a column map."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from alpha_pipeline.errors import InvalidSpec, MissingData, UnknownName
from alpha_pipeline.experiments.demo import DEMO
from alpha_pipeline.experiments.select import for_source
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.markets import (
    DATA_ROOT_VARIABLE,
    MARKET_VARIABLE,
    MARKETS,
    SimulatedSettings,
    data_root,
    load_market,
    market_from_environment,
    open_source,
)
from alpha_pipeline.pipeline.ingest import ingest
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline_tests.sources.test_files import MARKET, write_data

SIMULATED = """
name = "tiny_market"
source = "simulated"
start = 2023-01-03
end = 2023-02-28
description = "two months"

[simulated]
n_stocks = 40
seed = 3

[checks]
coverage = "warn"
"""
CUT = """
name = "hand_made_cut"
map = "market.toml"
start = 2024-01-04
end = 2024-01-08
without = ["intraday_bars"]

[checks]
"daily_bars.ohlc_order" = "warn"
"""


def written(folder: Path, text: str, name: str = "file.toml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the hand-made files, their column map and a cut of it."""
    folder = tmp_path_factory.mktemp("hand_made")
    write_data(folder / "data")
    written(folder, MARKET + '[checks]\n"daily_bars.coverage" = "warn"\n', "market.toml")
    return written(folder, CUT, "cut.toml")


class TestExamples:
    def test_a_simulated_market(self, tmp_path):
        market = load_market(written(tmp_path, SIMULATED))
        assert (market.name, market.source, market.description) == ("tiny_market", "simulated", "two months")
        assert (market.start, market.end) == (dt.date(2023, 1, 3), dt.date(2023, 2, 28))
        assert market.simulated == SimulatedSettings(n_stocks=40, seed=3, bar_minutes=15)
        assert market.checks == {"coverage": "warn"}
        source = open_source(market)
        assert source.describe().is_simulated
        assert source.calendar.last == dt.date(2023, 2, 28)

    def test_a_column_map_is_a_market(self, cut):
        market = load_market(str(Path(cut).with_name("market.toml")))
        assert (market.name, market.source, market.checks) == ("hand_made", "files", {"daily_bars.coverage": "warn"})
        assert "intraday_bars" in open_source(market).describe().tables

    def test_a_cut_of_a_column_map(self, cut):
        """Its own name and dates, the map's files, both files' checks, and without the tables it names."""
        market = load_market(cut)
        assert market.checks == {"daily_bars.coverage": "warn", "daily_bars.ohlc_order": "warn"}
        source = open_source(market)
        described = source.describe()
        assert [str(day) for day in source.calendar.sessions] == ["2024-01-04", "2024-01-05", "2024-01-08"]
        assert "intraday_bars" not in described.tables
        assert described.missing["intraday_bars"] == "left out by the market file"
        assert described.intraday_minutes is None

    def test_the_cut_ingests(self, cut, tmp_path):
        work = Workspace(load_market(cut), str(tmp_path / "store"))
        reports = ingest(work, ["2024-01-04", "2024-01-05"], ["security_status", "daily_bars"])
        assert reports["daily_bars"].written == {"2024-01-04": 3, "2024-01-05": 3}

    def test_markets_lie_apart(self, monkeypatch):
        monkeypatch.setenv(DATA_ROOT_VARIABLE, "/srv/alpha/")
        assert data_root(MARKETS["ci"]) == "/srv/alpha/ci"
        monkeypatch.delenv(DATA_ROOT_VARIABLE)
        assert data_root(MARKETS["demo"]) == "data/demo"

    def test_the_market_of_the_environment(self, monkeypatch):
        monkeypatch.delenv(MARKET_VARIABLE, raising=False)
        assert market_from_environment() == MARKETS["demo"]
        monkeypatch.setenv(MARKET_VARIABLE, "ci")
        assert market_from_environment() == MARKETS["ci"]


class TestProperties:
    @pytest.mark.parametrize(
        "change",
        [
            {"name": "other"},
            {"start": dt.date(2023, 1, 4)},
            {"end": dt.date(2023, 9, 27)},
            {"checks": {"coverage": "warn"}},
            {"without": ("fundamentals",)},
            {"simulated": SimulatedSettings(61, 11)},
            {"simulated": SimulatedSettings(60, 12)},
            {"simulated": SimulatedSettings(60, 11, 5)},
        ],
    )
    def test_everything_that_decides_the_data_changes_the_digest(self, change):
        assert replace(MARKETS["ci"], **change).digest() != MARKETS["ci"].digest()

    def test_words_about_a_market_do_not(self):
        assert replace(MARKETS["ci"], description="another sentence").digest() == MARKETS["ci"].digest()

    def test_a_line_of_the_map_changes_the_digest_of_its_cut(self, cut):
        before = load_market(cut).digest()
        column_map = Path(cut).with_name("market.toml")
        text = column_map.read_text()
        try:
            column_map.write_text(text.replace('notes = ["made by hand"]', 'notes = ["made by two hands"]'))
            assert load_market(cut).digest() != before
        finally:
            column_map.write_text(text)
        assert load_market(cut).digest() == before

    def test_both_ways_of_reading_leave_the_table_out(self, cut):
        source = open_source(load_market(cut))
        kept = [table for table in TABLES if table in source.describe().tables]
        day = dt.date(2024, 1, 5)
        ((at, frames),) = source.iter_days(day, day, kept)
        assert at == day
        assert list(frames) == list(source.read_day(day, kept)) == kept
        with pytest.raises(MissingData, match="table 'intraday_bars' is left out by the market file"):
            source.read_day(day, ["intraday_bars"])
        with pytest.raises(MissingData, match="table 'intraday_bars' is left out by the market file"):
            list(source.iter_days(day, day, ["intraday_bars"]))

    def test_what_the_oracle_needs_decides_by_the_source(self, cut):
        """The hand-made market calls itself simulated, so the comparison stays; a real one drops it."""
        described = open_source(load_market(cut)).describe()
        assert len(for_source(DEMO, described).comparisons) == 2
        assert len(for_source(DEMO, replace(described, is_simulated=False)).comparisons) == 1


class TestErrors:
    def test_a_name_that_is_neither_market_nor_file(self):
        with pytest.raises(
            UnknownName, match=r"unknown market 'dmeo' \(expected one of demo, ci, small, simulated, a path to a \.toml file\)\. Did you mean 'demo'"
        ):
            load_market("dmeo")

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(MissingData, match="no.toml: market file does not exist. Check the path given with --market"):
            load_market(str(tmp_path / "no.toml"))

    @pytest.mark.parametrize(
        ("old", "new", "error", "message"),
        [
            ("[simulated]", "[simulatd]", UnknownName, "unknown field in file.toml 'simulatd'.*Did you mean 'simulated'"),
            ("n_stocks = 40", "n_stock = 40", UnknownName, r"unknown field of \[simulated\] 'n_stock'.*Did you mean 'n_stocks'"),
            ("n_stocks = 40", 'n_stocks = "many"', InvalidSpec, r"n_stocks of \[simulated\] is not a whole number \(got 'many'\)"),
            ('source = "simulated"', 'source = "tushre"', UnknownName, "unknown source 'tushre'"),
            ("end = 2023-02-28", "", InvalidSpec, r"missing end \(expected name, start and end"),
            ("end = 2023-02-28", "end = 2022-02-28", InvalidSpec, "start is after end"),
            ("end = 2023-02-28", 'end = "soon"', InvalidSpec, r"end is not a date \(got 'soon', expected a date without quotes: 2024-01-05\)"),
            ('name = "tiny_market"', 'name = "../elsewhere"', InvalidSpec, "name cannot be the name of a folder"),
            ("coverage =", "coverge =", UnknownName, "unknown check 'coverge'.*Did you mean 'coverage'"),
            ('"warn"', '"off"', InvalidSpec, "checks.coverage: a check can be lowered but not switched off"),
            ("start = 2023-01-03", "start = = 3", InvalidSpec, "not valid TOML"),
        ],
    )
    def test_a_simulated_market(self, tmp_path, old, new, error, message):
        assert old in SIMULATED
        with pytest.raises(error, match=message):
            load_market(written(tmp_path, SIMULATED.replace(old, new)))

    @pytest.mark.parametrize(
        ("old", "new", "error", "message"),
        [
            ('map = "market.toml"', 'map = "markets.toml"', MissingData, "the column map does not exist"),
            (
                '"intraday_bars"',
                '"intraday_bar"',
                UnknownName,
                "unknown table in 'without' of file.toml 'intraday_bar'.*Did you mean 'intraday_bars'",
            ),
            ("without =", "with =", UnknownName, "unknown field in file.toml 'with'"),
            ("end = 2024-01-08", "end = 2024-01-08\nintraday_minutes = 60", UnknownName, "unknown field in file.toml 'intraday_minutes'"),
        ],
    )
    def test_a_cut(self, cut, old, new, error, message):
        assert old in CUT
        with pytest.raises(error, match=message):
            load_market(written(Path(cut).parent, CUT.replace(old, new)))

    def test_a_range_beyond_the_calendar(self, tmp_path):
        market = load_market(written(tmp_path, SIMULATED.replace("2023-02-28", "2199-02-28")))
        with pytest.raises(MissingData, match=r"the calendar XSHG ends on .*Install a newer exchange_calendars, or end the market's range earlier"):
            open_source(market)

    def test_too_few_stocks(self, tmp_path):
        with pytest.raises(InvalidSpec, match=r"n_stocks out of range \(got 4, expected 20 to"):
            open_source(load_market(written(tmp_path, SIMULATED.replace("n_stocks = 40", "n_stocks = 4"))))
