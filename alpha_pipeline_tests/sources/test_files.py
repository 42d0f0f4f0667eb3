"""The ``files`` source on a folder made by hand, on a folder of daily CSV files, and on the real sample where it is there.

Legend of the hand-made market, 2024-01-02 to 2024-01-09, one session before its start included:
``600001.SH`` splits 2:1 on 01-05; ``300001.SZ`` pays a 5 % dividend on 01-04 and is suspended on 01-08; ``688001.SH``
is listed on 01-04.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, InvalidSpec, MissingData, UnknownName
from alpha_pipeline.market.checks import CheckContext, blocking, check_table
from alpha_pipeline.sources.base import MarketSource
from alpha_pipeline.sources.files import FilesMarket
from alpha_pipeline.sources.files.reading import FileReader

DATES = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"]
CLOSES = {
    "600001.SH": [10.0, 10.1, 10.2, 5.1, 5.2, 5.3],
    "300001.SZ": [20.0, 20.0, 19.0, 19.5, 19.5, 19.0],
    "688001.SH": [None, None, 40.0, 44.0, 40.0, 41.0],
}
FACTORS = {"600001.SH": [1, 1, 1, 2, 2, 2], "300001.SZ": [1, 1, 1.05, 1.05, 1.05, 1.05], "688001.SH": [1] * 6}

MARKET = """
name = "hand_made"
summary = "three stocks"
is_simulated = true
root = "data"
start = 2024-01-03
end = 2024-01-09
intraday_minutes = 60
notes = ["made by hand"]

[missing]
"fundamentals.total_assets" = "none"
"fundamentals.total_liabilities" = "none"
"fundamentals.long_term_debt" = "none"
"fundamentals.preferred_equity" = "none"
"fundamentals.net_profit_ttm" = "none"
"fundamentals.operating_cash_flow_ttm" = "none"
"fundamentals.revenue" = "none"
"fundamentals.eps" = "none"
"fundamentals.sales_per_share" = "none"

[[no_limit_days]]
symbol = "600001.SH"
date = 2024-01-09
reason = "a test"

[files.daily]
path = "daily.parquet"
date = "date"
[files.daily.columns]
symbol = "symbol"
open = "open"
high = "high"
low = "low"
close = { from = "close", decimals = 2 }
volume = { from = "lots", factor = 100 }
adj_factor = "factor"

[files.amounts]
path = "amounts.parquet"
date = "date"
[files.amounts.columns]
symbol = "symbol"
amount = "amount"
is_st = "st"

[files.bars]
path = "bars.parquet"
date = "time"
[files.bars.columns]
symbol = "symbol"
bar_end = "time"
open = "price"
high = "price"
low = "price"
close = "price"
volume = "volume"
amount = "amount"

[files.index]
path = "index.parquet"
date = "date"
[files.index.columns]
index_code = "code"
open = "level"
high = "level"
low = "level"
close = "level"

[files.members]
path = "members.parquet"
[files.members.columns]
symbol = "symbol"
index_code = "code"
start = "start"
end = "end"

[files.published]
path = "published.parquet"
date = "date"
[files.published.columns]
symbol = "symbol"
weight = { from = "percent", factor = 0.01 }

[files.industries]
path = "industries.parquet"
[files.industries.columns]
symbol = "symbol"
in_date = "since"
code = "code"

[files.industry_names]
path = "industry_names.parquet"
[files.industry_names.columns]
code = "code"
name = "name"

[files.values]
path = "values.parquet"
[files.values.columns]
symbol = "symbol"
report_period = "quarter"
value = { from = "value_10k", factor = 1e4 }
pb = "pb"

[tables.daily_bars]
file = "daily"
[tables.daily_bars.derive]
pre_close = "from_adj_factor"
vwap = { recipe = "amount_over_volume", amounts = ["amounts"], bars = true, otherwise = "typical_price" }
amount = "vwap_times_volume"
trade_status = "from_volume"

[tables.intraday_bars]
file = "bars"
start = 2024-01-05
end = 2024-01-05
drop = ["close_not_positive"]
[tables.intraday_bars.derive]
vwap = "amount_over_volume"

[tables.security_status.derive]
board = "board_of_symbol"
industry = { recipe = "industry_history", file = "industries", names = "industry_names", further_names = { old = "Mining" } }
is_st = { recipe = "lookup", file = "amounts", column = "is_st", equals = 1, otherwise = false }
is_suspended = "from_trade_status"
listed_days = { recipe = "first_seen", since_file = "industries" }
limit_up = "from_rules"
limit_down = "from_rules"
is_delisting = { recipe = "constant", value = false, reason = "nobody leaves" }
total_shares = { recipe = "from_market_value", file = "values", date_column = "report_period", value = "value" }
float_shares = { recipe = "same_as", column = "total_shares", reason = "no float" }
free_float_shares = { recipe = "same_as", column = "total_shares", reason = "no free float" }

[tables.index_weights]
members = "members"
hold_last_members = true
[[tables.index_weights.indices]]
code = "000300.SH"
recipe = "published_drifted"
file = "published"
[[tables.index_weights.indices]]
code = "000905.SH"
recipe = "members_by_market_value"

[tables.index_bars]
file = "index"

[tables.fundamentals]
file = "values"
[tables.fundamentals.derive]
announce_date = "statutory_date"
book_equity = { recipe = "ratio", of = "value", by = "pb" }
"""


def daily_rows() -> pd.DataFrame:
    rows = []
    for symbol, closes in CLOSES.items():
        for date, close, factor in zip(DATES, closes, FACTORS[symbol], strict=True):
            if close is None:
                continue
            halted = symbol == "300001.SZ" and date == "2024-01-08"
            spread = 0.0 if halted else 0.1
            rows.append(
                {
                    "date": dt.date.fromisoformat(date),
                    "symbol": symbol,
                    "open": close,
                    "high": close + 2 * spread,
                    "low": close - spread,
                    "close": np.float32(close),
                    "lots": 0 if halted else 10,
                    "factor": np.float32(factor),
                }
            )
    return pd.DataFrame(rows)


def write_data(folder: Path, last: str = "9999-12-31") -> None:
    """All files, cut off after ``last`` where a row is known by its date."""
    folder.mkdir(parents=True)
    until = dt.date.fromisoformat(last)

    def save(name: str, rows: dict[str, list] | pd.DataFrame, date: str = "") -> None:
        frame = pd.DataFrame(rows)
        if date:
            frame = frame[[d <= until for d in pd.to_datetime(frame[date]).dt.date]]
        frame.to_parquet(folder / f"{name}.parquet")

    def day(*texts: str) -> list[dt.date]:
        return [dt.date.fromisoformat(t) for t in texts]

    save("daily", daily_rows(), "date")
    save(
        "amounts",
        {"date": day("2024-01-03", "2024-01-04"), "symbol": ["600001.SH"] * 2, "amount": [10150.0, 10250.0], "st": [1, 0]},
        "date",
    )
    times = pd.to_datetime(["2024-01-05 10:30", "2024-01-05 11:30", "2024-01-05 14:00", "2024-01-05 15:00"])
    save("bars", {"time": [*times, times[0]], "symbol": ["600001.SH"] * 4 + ["300001.SZ"], "price": [5.05, 5.1, 5.15, 5.1, 0.0],
                  "volume": [100, 300, 0, 400, 0], "amount": [505.0, 1530.0, 0.0, 2040.0, 0.0]}, "time")
    save("index", {"date": day(*DATES), "code": ["000300.SH"] * 6, "level": [3000.0 + i for i in range(6)]}, "date")
    save(
        "members",
        {
            "symbol": ["600001.SH", "300001.SZ", "688001.SH", "600002.SH", "600001.SH", "300001.SZ"],
            "code": ["000300.SH"] * 4 + ["000905.SH"] * 2,
            "start": day("2020-01-01", "2020-01-01", "2024-01-09", "2020-01-01", "2020-01-01", "2020-01-01"),
            "end": day("2024-01-05", "2024-01-04", "2024-01-05", "2024-01-05", "2024-01-05", "2024-01-05"),
        },
    )
    save(
        "published",
        {
            "date": day("2024-01-03", "2024-01-03", "2024-01-03"),
            "symbol": ["600001.SH", "300001.SZ", "600002.SH"],
            "percent": [54.0, 36.0, 10.0],
        },
    )
    save(
        "industries",
        {
            "symbol": ["600001.SH", "600001.SH", "300001.SZ", "688001.SH"],
            "since": day("2023-12-18", "2024-01-08", "2023-12-19", "2023-12-20"),
            "code": ["old", "a", "b", "b"],
        },
    )
    save("industry_names", {"code": ["a", "b"], "name": ["Banks", "Steel"]})
    save(
        "values",
        {
            "symbol": ["600001.SH", "300001.SZ", "688001.SH", "600001.SH"],
            "quarter": day("2023-09-30", "2023-09-30", "2023-09-30", "2023-12-31"),
            "value_10k": [100000.0, 200000.0, 500000.0, 100000.0],
            "pb": [2.0, 0.0, 1.0, 4.0],
        },
    )


def open_market(folder: Path, toml: str = MARKET) -> FilesMarket:
    (folder / "market.toml").write_text(toml, encoding="utf-8")
    return FilesMarket.from_toml(folder / "market.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hand_made")
    write_data(path / "data")
    return path


@pytest.fixture(scope="module")
def market(folder: Path) -> FilesMarket:
    return open_market(folder)


def read(market: FilesMarket, table: str, day: str) -> pd.DataFrame:
    key = "index_code" if table == "index_bars" else "symbol"
    return market.read_day(dt.date.fromisoformat(day), [table])[table].set_index(key)


class TestExamples:
    def test_units_and_rounding(self, market):
        bar = read(market, "daily_bars", "2024-01-03").loc["600001.SH"]
        assert bar["volume"] == 1000.0 and bar["close"] == 10.1  # lots of 100; float32 10.1 is 10.1000003815

    def test_pre_close_follows_splits_and_dividends(self, market):
        assert read(market, "daily_bars", "2024-01-05").loc["600001.SH", "pre_close"] == 5.1  # 10.20 x 1 / 2
        assert read(market, "daily_bars", "2024-01-04").loc["300001.SZ", "pre_close"] == 19.05  # 20 / 1.05 = 19.0476
        assert read(market, "daily_bars", "2024-01-03").loc["600001.SH", "pre_close"] == 10.0  # from the session before the start
        assert read(market, "daily_bars", "2024-01-04").loc["688001.SH", "pre_close"] == 40.0  # first bar: its open

    def test_vwap_from_amount_then_bars_then_typical_price(self, market):
        measured = read(market, "daily_bars", "2024-01-03")
        assert measured.loc["600001.SH", "vwap"] == pytest.approx(10.15) and measured.loc["600001.SH", "amount"] == pytest.approx(
            10150.0
        )
        assert measured.loc["300001.SZ", "vwap"] == pytest.approx(20.0 + 0.1 / 3)  # (20.2 + 19.9 + 20.0) / 3
        assert read(market, "daily_bars", "2024-01-05").loc["600001.SH", "vwap"] == pytest.approx(4075 / 800)

    def test_suspended_name(self, market):
        bar = read(market, "daily_bars", "2024-01-08").loc["300001.SZ"]
        assert (bar["trade_status"], bar["vwap"], bar["amount"]) == ("suspended", 19.5, 0.0)
        assert read(market, "security_status", "2024-01-08")["is_suspended"].to_dict() == {
            "300001.SZ": True,
            "600001.SH": False,
            "688001.SH": False,
        }

    def test_intraday_rows_without_a_price_are_dropped_and_counted(self, market):
        bars = read(market, "intraday_bars", "2024-01-05")
        assert bars.index.tolist() == ["600001.SH"] * 4 and bars["vwap"].tolist() == [5.05, 5.1, 5.15, 5.1]  # no volume: close
        assert market.dropped_rows(dt.date(2024, 1, 5))["intraday_bars: close not positive"] == 1

    def test_limits_come_from_rules_except_on_first_and_listed_days(self, market):
        status = read(market, "security_status", "2024-01-05")
        assert status.loc["600001.SH", ["limit_up", "limit_down"]].tolist() == [5.61, 4.59]
        assert status.loc["300001.SZ", "limit_up"] == 22.8  # 19.00 x 1.2
        assert np.isnan(status.loc["688001.SH", "limit_up"])  # second of five free days
        assert read(market, "security_status", "2024-01-09")["limit_up"].isna().to_dict() == {
            "300001.SZ": False,
            "600001.SH": True,
            "688001.SH": True,
        }

    def test_st_flag_narrows_the_limit_where_it_is_known(self, market):
        before, after = (read(market, "security_status", day).loc["600001.SH"] for day in ("2024-01-03", "2024-01-04"))
        assert (before["is_st"], before["limit_up"]) == (True, 10.5) and (after["is_st"], after["limit_up"]) == (False, 11.11)

    def test_listed_days_reach_behind_the_file_only_for_names_cut_off_by_it(self, market):
        days = read(market, "security_status", "2024-01-05")["listed_days"]
        # ten sessions from 12-18 to 12-29 and four in January; 688001 counts from its first bar, not from its
        # classification in December
        assert days.to_dict() == {"300001.SZ": 13, "600001.SH": 14, "688001.SH": 2}

    def test_industry_is_the_last_row_up_to_the_date(self, market):
        assert read(market, "security_status", "2024-01-05")["industry"].tolist() == ["Steel", "Mining", "Steel"]
        assert read(market, "security_status", "2024-01-08").loc["600001.SH", "industry"] == "Banks"

    def test_shares_from_market_value_double_in_a_split(self, market):
        before, after = (read(market, "security_status", day)["total_shares"] for day in ("2024-01-04", "2024-01-05"))
        assert before["600001.SH"] == 1e8 and after["600001.SH"] == 2e8  # 1e9 CNY / 10.00, the first close in the file
        assert after["300001.SZ"] == 1e8  # a dividend is no split
        assert np.isnan(after["688001.SH"])  # its value is dated before its first bar

    def test_published_weights_drift_with_the_price_index_convention(self, market):
        weights = read(market, "index_weights", "2024-01-04").query("index_code == '000300.SH'")["weight"]
        a, b = 0.54 * 10.2 / 10.1, 0.36 * 19.0 / 20.0  # the dividend payer loses weight; 600002.SH has no price
        assert weights.to_dict() == pytest.approx({"600001.SH": a / (a + b), "300001.SZ": b / (a + b)})
        assert market.dropped_rows(dt.date(2024, 1, 4))["index_weights 000300.SH: members without a price or market value"] == 1

    def test_leavers_leave_and_members_are_held_after_the_record(self, market):
        weights = read(market, "index_weights", "2024-01-09").query("index_code == '000300.SH'")["weight"]
        assert weights.to_dict() == {"600001.SH": 1.0}  # 300001 left after 01-04; 688001 joins but has no market value

    def test_market_value_weights(self, market):
        weights = read(market, "index_weights", "2024-01-08").query("index_code == '000905.SH'")["weight"]
        assert weights.to_dict() == pytest.approx({"600001.SH": 1.04 / 2.99, "300001.SZ": 1.95 / 2.99})

    def test_fundamentals_arrive_after_the_statutory_date(self, market):
        first = read(market, "fundamentals", "2024-01-03")
        assert first["announce_date"].unique().tolist() == [pd.Timestamp("2023-10-31")]  # known before the first session
        assert first.loc["600001.SH", "book_equity"] == 5e8 and np.isnan(first.loc["300001.SZ", "book_equity"])  # pb of 0
        assert len(read(market, "fundamentals", "2024-01-04")) == 0  # the year's report: 30 April

    def test_description_names_proxies_notes_and_what_is_missing(self, market):
        said = market.describe()
        assert isinstance(market, MarketSource) and said.is_simulated and said.intraday_minutes == 60
        assert said.missing["fundamentals.revenue"] == "none"
        assert {name for name, reason in said.missing.items() if reason == "not mapped"} >= {
            f"intraday_bars.{name}" for name in ("trade_count", "buy_amount", "sell_amount")}
        assert (
            "typical price" in said.proxies["daily_bars.vwap"] and "nobody leaves" in said.proxies["security_status.is_delisting"]
        )
        assert "total market value" in said.proxies["index_weights.weight[000905.SH]"]
        assert "made by hand" in said.notes and any("covers 2024-01-05 to 2024-01-05 only" in note for note in said.notes)

    def test_folder_of_daily_csv_files(self, tmp_path):
        (tmp_path / "data" / "d").mkdir(parents=True)
        for date, price in (("2024-01-03", 10.0), ("2024-01-04", 10.5)):
            (tmp_path / "data" / "d" / f"{date}.csv").write_text(
                f"code,day,p,pre,v,m\nsz000001,{date.replace('-', '')},{price},10.0,5,{price * 500}\n", encoding="utf-8")
        market = open_market(tmp_path, CSV_MARKET)
        bars = read(market, "daily_bars", "2024-01-04")
        assert bars.loc["000001.SZ", ["close", "volume", "vwap", "adj_factor"]].tolist() == [10.5, 500.0, 10.5, 1.0]
        assert [str(day) for day, _ in market.iter_days(dt.date(2024, 1, 1), dt.date(2024, 1, 4), ["daily_bars"])] == [
            "2024-01-03",
            "2024-01-04",
        ]

    def test_a_wrong_date_in_a_daily_file_stays_visible(self, tmp_path):
        (tmp_path / "data" / "d").mkdir(parents=True)
        (tmp_path / "data" / "d" / "2024-01-03.csv").write_text(
            "code,day,p,pre,v,m\nsz000001,20240104,10,10,5,5000\n", encoding="utf-8"
        )
        frame = read(open_market(tmp_path, CSV_MARKET), "daily_bars", "2024-01-03").reset_index()
        failed = blocking(check_table("daily_bars", frame, CheckContext(dt.date(2024, 1, 3))))
        assert [r.name for r in failed] == ["partition_date"]

    def test_factor_correction_takes_the_jump_out(self, folder):
        toml = MARKET + '[[factor_corrections]]\nsymbol = "600001.SH"\ndate = 2024-01-05\nreason = "say it were none"\n'
        bar = read(open_market(folder, toml), "daily_bars", "2024-01-08").loc["600001.SH"]
        assert bar["adj_factor"] == 1.0 and bar["pre_close"] == 5.1


CSV_MARKET = """
name = "csv"
summary = "a folder of daily files"
is_simulated = true
root = "data"
start = 2024-01-03
end = 2024-01-04
[missing]
intraday_bars = "none"
security_status = "none"
index_weights = "none"
index_bars = "none"
fundamentals = "none"
[files.daily]
path = "d/{date}.csv"
date = "day"
date_format = "%Y%m%d"
symbol_style = "prefix"
[files.daily.columns]
symbol = "code"
open = "p"
high = "p"
low = "p"
close = "p"
pre_close = "pre"
volume = { from = "v", factor = 100 }
amount = "m"
[tables.daily_bars]
file = "daily"
[tables.daily_bars.derive]
adj_factor = { recipe = "constant", value = 1.0, reason = "no events in the sample" }
vwap = "amount_over_volume"
trade_status = "from_volume"
"""


class TestProperties:
    TABLES = ("daily_bars", "security_status", "index_weights", "index_bars", "fundamentals")

    @pytest.mark.parametrize("day", DATES[1:-1])
    def test_no_look_ahead(self, market, tmp_path, day):
        """A folder that ends on the date gives the same tables for it."""
        write_data(tmp_path / "data", last=day)
        cut, full = (m.read_day(dt.date.fromisoformat(day), self.TABLES) for m in (open_market(tmp_path), market))
        for table in self.TABLES:
            pd.testing.assert_frame_equal(cut[table], full[table])

    def test_two_reads_are_equal_and_apart(self, market):
        first = read(market, "daily_bars", "2024-01-05")
        expected = first.copy()
        first.loc[:, "close"] = -1.0
        pd.testing.assert_frame_equal(read(market, "daily_bars", "2024-01-05"), expected)

    def test_order_of_rows_in_the_files_does_not_matter(self, market, folder, tmp_path):
        (tmp_path / "data").mkdir()
        for file in (folder / "data").iterdir():
            pd.read_parquet(file).iloc[::-1].to_parquet(tmp_path / "data" / file.name)
        shuffled = open_market(tmp_path)
        for table in ("daily_bars", "security_status", "intraday_bars"):
            left, right = (m.read_day(dt.date(2024, 1, 5), [table])[table] for m in (market, shuffled))
            if table == "intraday_bars":  # bars of a name keep the file's order
                right = right.sort_values(["symbol", "bar_end"], ignore_index=True)
            pd.testing.assert_frame_equal(left, right)

    def test_all_tables_pass_the_checks(self, market):
        for day in DATES[2:]:
            date = dt.date.fromisoformat(day)
            tables = market.read_day(date, [*self.TABLES, *(["intraday_bars"] if day == "2024-01-05" else [])])
            previous = market.read_day(market.calendar.last_before(date), self.TABLES)
            overrides = {
                "intraday_bars.traded_names_have_bars": "warn",
                "bars_volume": "warn",
                "bars_high": "warn",
                "bars_low": "warn",
            }
            context = CheckContext(date, market.calendar, tables["daily_bars"], tables["security_status"],
                                   {**previous, "index_weights": tables["index_weights"]}, 60, overrides)
            for name, frame in tables.items():
                assert [r.message for r in blocking(check_table(name, frame, context))] == []

    def test_files_behind_an_fsspec_url(self, folder):
        reader = FileReader("file://" + str(folder / "data"), open_market(folder).config.files)
        assert len(reader.whole("daily")) == 16


class TestErrors:
    @pytest.mark.parametrize(
        ("old", "new", "kind", "message"),
        [
            ('name = "hand_made"', 'nam = "x"', UnknownName, "unknown key in market.toml: 'nam'.*Did you mean 'name'"),
            ('name = "hand_made"', "", InvalidSpec, "market.toml: name is not set"),
            ('name = "hand_made"', "name = ", InvalidSpec, "not valid TOML"),
            ("start = 2024-01-03", "start = 2025-01-03", InvalidSpec, "start is after end"),
            (
                'pre_close = "from_adj_factor"',
                'pre_close = "from_factor"',
                UnknownName,
                "unknown recipe in market.toml tables.daily_bars.derive.pre_close: 'from_factor'",
            ),
            (
                'pre_close = "from_adj_factor"',
                'pre_close = "typical_price"',
                InvalidSpec,
                "recipe 'typical_price' cannot fill pre_close .expected one of vwap",
            ),
            (
                'pre_close = "from_adj_factor"',
                "",
                InvalidSpec,
                "column pre_close is neither mapped, derived nor declared missing",
            ),
            (
                'pre_close = "from_adj_factor"',
                'preclose = "from_adj_factor"',
                UnknownName,
                "unknown column of daily_bars 'preclose'",
            ),
            (
                'otherwise = "typical_price"',
                'otherwise = "close"',
                InvalidSpec,
                "vwap.otherwise: none of its values .got 'close', expected 'typical_price' or 'missing'",
            ),
            ("bars = true", "bar = true", UnknownName, "unknown key in market.toml tables.daily_bars.derive.vwap: 'bar'"),
            (
                'amounts = ["amounts"]',
                'amounts = ["amount"]',
                UnknownName,
                "unknown file in market.toml tables.daily_bars: 'amount'",
            ),
            ('value = false, reason = "nobody leaves"', "value = false", InvalidSpec, "is_delisting: reason is not set"),
            ('adj_factor = "factor"', "", InvalidSpec, "recipe 'from_adj_factor' needs adj_factor"),
            (
                "start = 2024-01-03",
                'start = "2024-01-03"',
                InvalidSpec,
                "market.toml.start: wrong kind of value .got '2024-01-03', expected a date",
            ),
            (
                "is_simulated = true",
                "is_simulated = 1",
                InvalidSpec,
                "is_simulated: wrong kind of value .got 1, expected true or false",
            ),
            (
                "intraday_minutes = 60",
                "intraday_minutes = 7.5",
                InvalidSpec,
                "intraday_minutes: wrong kind of value .got 7.5, expected a whole",
            ),
            ('notes = ["made by hand"]', 'notes = "made by hand"', InvalidSpec, "notes: wrong kind of value .*expected a list"),
            ('root = "data"', "", InvalidSpec, "market.toml: root is not set"),
            (
                "factor = 100",
                'factor = "lots"',
                InvalidSpec,
                "columns.volume.factor: wrong kind of value .got 'lots', expected a number",
            ),
            ("factor = 100", "times = 100", UnknownName, "unknown key in market.toml files.daily.columns.volume: 'times'"),
            ('path = "daily.parquet"', 'path = "daily.parquet"\nsymbol_style = "wind"', UnknownName, "unknown symbol_style"),
            ('path = "daily.parquet"', "", InvalidSpec, "files.daily: path is not set"),
            ('drop = ["close_not_positive"]', 'drop = ["odd"]', UnknownName, "unknown row filter 'odd'"),
            ('recipe = "members_by_market_value"', 'recipe = "equal"', UnknownName, "unknown weight recipe 'equal'"),
            (
                'recipe = "members_by_market_value"',
                'recipe = "published_drifted"',
                InvalidSpec,
                "000905.SH: recipe 'published_drifted' needs a file",
            ),
            ('members = "members"', "", InvalidSpec, "indices without a file of members"),
            ("[tables.index_bars]", "[tables.index_bar]", UnknownName, "unknown table 'index_bar'"),
            ('[tables.index_bars]\nfile = "index"', "", InvalidSpec, "table index_bars is neither mapped nor declared missing"),
            ('file = "index"', "", InvalidSpec, "tables.index_bars: no file is named"),
            ("[missing]", '[checks]\nohlc_order = "off"\n[missing]', InvalidSpec, "not switched off"),
            ('"fundamentals.eps" = "none"', '"fundamentals.esp" = "none"', UnknownName, "unknown column of fundamentals 'esp'"),
            ('is_suspended = "from_trade_status"', "", InvalidSpec, "column is_suspended is neither mapped"),
        ],
    )
    def test_mistakes_in_the_map_are_found_before_any_data_is_read(self, tmp_path, old, new, kind, message):
        assert old in MARKET
        with pytest.raises(kind, match=message):
            open_market(tmp_path, MARKET.replace(old, new))

    def test_a_complete_column_cannot_be_declared_missing(self, tmp_path):
        toml = MARKET.replace('is_suspended = "from_trade_status"', "").replace(
            "[missing]", '[missing]\n"security_status.is_suspended" = "none"'
        )
        with pytest.raises(InvalidSpec, match="is_suspended is declared missing but must be complete"):
            open_market(tmp_path, toml)

    def test_no_column_map(self, tmp_path):
        with pytest.raises(MissingData, match="there is no column map"):
            FilesMarket.from_toml(tmp_path / "market.toml")

    def test_file_that_is_not_there(self, tmp_path):
        with pytest.raises(MissingData, match="there is no file .*daily.parquet.*Correct root or path"):
            open_market(tmp_path).read_day(dt.date(2024, 1, 3), ["daily_bars"])

    @pytest.mark.parametrize(
        ("old", "new", "kind", "message"),
        [
            (
                'open = "open"',
                'open = "opening"',
                UnknownName,
                "unknown column in files.daily .daily.parquet.: 'opening'.*Did you mean 'open'",
            ),
            ('close = { from = "close", decimals = 2 }', 'close = "symbol"', BadInput, "column close holds no numbers"),
            ('symbol = "symbol"', 'symbol = "lots"', BadInput, "symbols are numbers"),
            (
                'path = "daily.parquet"',
                'path = "daily.parquet"\nsymbol_style = "joinquant"',
                BadInput,
                "'300001.SZ' is no symbol of style 'joinquant'",
            ),
            (
                'volume = { from = "lots", factor = 100 }',
                'volume = { from = "date", factor = 100 }',
                BadInput,
                "a factor or rounding needs numbers",
            ),
            ('path = "daily.parquet"\ndate = "date"', 'path = "daily.parquet"\ndate = "lots"', BadInput, "dates are numbers"),
            ('further_names = { old = "Mining" }', "further_names = {}", BadInput, "industry codes without a name .got old"),
        ],
    )
    def test_mistakes_that_only_the_data_show(self, folder, old, new, kind, message):
        if "symbol\"" in old and "lots" in new:
            old, new = f"[files.daily.columns]\n{old}", f"[files.daily.columns]\n{new}"
        assert old in MARKET
        market = open_market(folder, MARKET.replace(old, new, 1))
        with pytest.raises(kind, match=message):
            market.read_day(dt.date(2024, 1, 3), ["security_status"])

    def test_not_a_session(self, market):
        with pytest.raises(MissingData, match="2024-01-06 is not a session of XSHG"):
            market.read_day(dt.date(2024, 1, 6), ["daily_bars"])

    def test_table_outside_its_coverage(self, market):
        with pytest.raises(
            MissingData,
            match="intraday_bars of hand_made does not cover 2024-01-04 .expected a session between 2024-01-05 and 2024-01-05",
        ):
            market.read_day(dt.date(2024, 1, 4), ["intraday_bars"])

    def test_table_that_the_source_lacks_and_unknown_table(self, tmp_path):
        (tmp_path / "data").mkdir()
        market = open_market(tmp_path, CSV_MARKET)
        with pytest.raises(MissingData, match="the source csv has no index_bars: none"):
            market.read_day(dt.date(2024, 1, 3), ["index_bars"])
        with pytest.raises(UnknownName, match="unknown table 'ticks'"):
            market.read_day(dt.date(2024, 1, 3), ["ticks"])
        with pytest.raises(MissingData, match="csv daily_bars: no rows of 2024-01-03"):
            market.read_day(dt.date(2024, 1, 3), ["daily_bars"])

    def test_repeated_row_in_the_daily_file(self, tmp_path):
        write_data(tmp_path / "data")
        rows = daily_rows()
        pd.concat([rows, rows.iloc[:1]]).to_parquet(tmp_path / "data" / "daily.parquet")
        with pytest.raises(BadInput, match="the daily file repeats a symbol on a date"):
            open_market(tmp_path).read_day(dt.date(2024, 1, 3), ["daily_bars"])

    def test_rows_on_a_saturday(self, tmp_path):
        write_data(tmp_path / "data")
        rows = daily_rows()
        pd.concat([rows, rows.iloc[:1].assign(date=dt.date(2024, 1, 6))]).to_parquet(tmp_path / "data" / "daily.parquet")
        with pytest.raises(BadInput, match="rows on 1 days that are no sessions of XSHG .got 2024-01-06"):
            open_market(tmp_path).read_day(dt.date(2024, 1, 3), ["daily_bars"])

    def test_correction_of_a_stock_that_is_not_there(self, folder):
        toml = MARKET + '[[factor_corrections]]\nsymbol = "600009.SH"\ndate = 2024-01-05\nreason = "x"\n'
        with pytest.raises(BadInput, match="no factor to correct for 600009.SH"):
            open_market(folder, toml).read_day(dt.date(2024, 1, 5), ["daily_bars"])

    def test_no_weights_published_yet(self, folder, tmp_path):
        write_data(tmp_path / "data")
        late = pd.read_parquet(tmp_path / "data" / "published.parquet").assign(date=dt.date(2024, 1, 5))
        late.to_parquet(tmp_path / "data" / "published.parquet")
        with pytest.raises(MissingData, match="no weights of 000300.SH are published on or before 2024-01-04"):
            open_market(tmp_path).read_day(dt.date(2024, 1, 4), ["index_weights"])


@pytest.fixture(scope="module")
def real() -> FilesMarket:
    return FilesMarket.from_toml(REPOSITORY / "benchmarks" / "real_cn" / "market.toml")


REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY.parent / "shared" / "data" / "real_cn"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample ../shared/data/real_cn is not there")
class TestRealSample:
    """Figures of the sample itself; nothing of it is stored here."""

    def test_nothing_blocks_under_the_configured_overrides(self, real):
        for day in (dt.date(2021, 6, 15), dt.date(2023, 9, 1), dt.date(2025, 3, 25)):
            names = [t for t in real.describe().tables if t != "intraday_bars" or day.year == 2025]
            tables, previous = real.read_day(day, names), real.read_day(real.calendar.last_before(day), names)
            context = CheckContext(
                day, real.calendar, tables["daily_bars"], tables["security_status"], previous, 15, real.config.checks
            )
            results = [r for name, frame in tables.items() for r in check_table(name, frame, context)]
            assert [r.message for r in blocking(results)] == []
            if day.year == 2025:  # the known defects are seen, not hidden
                assert {"bars_high", "bars_low", "bars_volume", "traded_names_have_bars"} <= {
                    r.name for r in results if not r.passed
                }

    def test_weights_times_returns_give_the_csi_300(self, real):
        """Weights of t x price returns of t + 1 against the index: the mean error of 3.8 bp stated with the sample is
        the published dates' own.
        """
        errors = []
        for row in range(5, len(real.calendar) - 1, 60):
            today, after = (real.calendar.sessions[i].astype(dt.date) for i in (row, row + 1))
            old, new = (real.read_day(day, ["daily_bars", "index_bars", "index_weights"]) for day in (today, after))
            held = old["index_weights"].query("index_code == '000300.SH'").set_index("symbol")["weight"]
            before, now = (frames["daily_bars"].set_index("symbol").loc[held.index] for frames in (old, new))
            splits = (now["adj_factor"] / before["adj_factor"]).where(lambda ratio: ratio >= 1.18, 1.0)
            by_names = float((held * (now["close"] / before["close"] * splits - 1)).sum())
            levels = [frames["index_bars"].set_index("index_code")["close"]["000300.SH"] for frames in (old, new)]
            errors.append(abs(by_names - (levels[1] / levels[0] - 1)))
        assert len(errors) == 21 and np.mean(errors) <= 6e-4

    def test_share_counts_of_a_name_that_never_split(self, real):
        shares = [real.read_day(day, ["security_status"])["security_status"].set_index("symbol").loc["600519.SH", "total_shares"]
                  for day in (dt.date(2022, 3, 31), dt.date(2023, 1, 3), dt.date(2023, 10, 9), dt.date(2024, 1, 2))]
        assert shares == pytest.approx([1.256198e9] * 4, rel=1e-5)  # two quarter ends carry the next session's value

    def test_both_indices_have_their_members(self, real):
        weights = real.read_day(dt.date(2024, 3, 1), ["index_weights"])["index_weights"]
        assert weights.groupby("index_code").size().between(290, 500).all() and set(weights["index_code"]) == {
            "000300.SH",
            "000905.SH",
        }
