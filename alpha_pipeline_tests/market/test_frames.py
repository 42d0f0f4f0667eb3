"""Coercion to the schema: dtypes widen, nothing is parsed, nothing is lost."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, UnknownName
from alpha_pipeline.market.frames import conform, empty_frame
from alpha_pipeline.market.schema import TABLES


def weights() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "weight": np.array([0.25, 0.75], dtype="float32"),
            "symbol": ["600519.SH", "000001.SZ"],
            "index_code": "000300.SH",
            "trade_date": [dt.date(2024, 1, 5)] * 2,
            "vendor_id": [1, 2],
        }
    )


def status() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trade_date": pd.Timestamp("2024-01-05"),
            "symbol": ["600519.SH"],
            "board": "main",
            "industry": [None],
            "is_st": False,
            "is_suspended": False,
            "limit_up": np.nan,
            "limit_down": np.nan,
            "listed_days": 3.0,
            "is_delisting": False,
            "total_shares": 100,
            "float_shares": np.nan,
            "free_float_shares": np.nan,
        }
    )


class TestExamples:
    def test_columns_come_in_schema_order_and_dtypes(self):
        out = conform("index_weights", weights(), where="x")
        assert out.dtypes.astype(str).to_dict() == {
            "trade_date": "datetime64[s]",
            "index_code": "str",
            "symbol": "str",
            "weight": "float64",
        }
        assert out["symbol"].tolist() == ["600519.SH", "000001.SZ"] and out["weight"].tolist() == [0.25, 0.75]

    def test_whole_floats_become_integers_and_missing_industry_stays_missing(self):
        out = conform("security_status", status(), where="x")
        assert out["listed_days"].dtype == "int64" and out["listed_days"].tolist() == [3]
        assert out["total_shares"].tolist() == [100.0] and out["industry"].isna().all() and out["is_st"].dtype == bool

    @pytest.mark.parametrize(
        "dates",
        [
            np.array(["2024-01-05"] * 2, dtype="datetime64[ns]"),
            np.array(["2024-01-05"] * 2, dtype="datetime64[ms]"),
            [dt.date(2024, 1, 5)] * 2,
            pd.Series([dt.date(2024, 1, 5)] * 2, dtype="date32[pyarrow]"),
        ],
    )
    def test_dates_of_any_unit(self, dates):
        out = conform("index_weights", weights().assign(trade_date=dates), where="x")
        assert (out["trade_date"] == pd.Timestamp("2024-01-05")).all() and str(out["trade_date"].dtype) == "datetime64[s]"

    def test_optional_column_is_kept_only_where_present(self):
        bars = pd.DataFrame(
            {
                "trade_date": [pd.Timestamp("2024-01-05")],
                "symbol": "600519.SH",
                "bar_end": pd.Timestamp("2024-01-05 09:45"),
                "open": 1.0,
                "high": 1.0,
                "low": 1.0,
                "close": 1.0,
                "vwap": 1.0,
                "volume": 1,
                "amount": 1.0,
            }
        )
        assert "trade_count" not in conform("intraday_bars", bars, where="x")
        assert conform("intraday_bars", bars.assign(trade_count=7), where="x")["trade_count"].tolist() == [7.0]

    def test_categories_of_text_are_text(self):
        assert str(conform("index_weights", weights().astype({"symbol": "category"}), where="x")["symbol"].dtype) == "str"


class TestProperties:
    @pytest.mark.parametrize("table", list(TABLES))
    def test_conforming_twice_changes_nothing(self, table):
        once = conform(table, empty_frame(table), where="x")
        pd.testing.assert_frame_equal(conform(table, once, where="x"), once)

    def test_input_is_not_changed(self):
        frame = weights()
        before = frame.copy()
        conform("index_weights", frame, where="x")
        pd.testing.assert_frame_equal(frame, before)

    def test_index_of_the_input_does_not_matter(self):
        shuffled = weights().iloc[::-1]
        assert conform("index_weights", shuffled, where="x")["symbol"].tolist() == ["000001.SZ", "600519.SH"]


class TestErrors:
    def check(self, frame, message, table="index_weights"):
        with pytest.raises(BadInput, match=message):
            conform(table, frame, where="demo 2024-01-05")

    def test_unknown_table(self):
        with pytest.raises(UnknownName, match="unknown table 'daily_bar'.*Did you mean 'daily_bars'"):
            conform("daily_bar", weights(), where="x")

    def test_missing_column_is_named(self):
        self.check(weights().drop(columns="weight"), "demo 2024-01-05: column weight is missing.*expected columns trade_date")

    def test_repeated_column_is_named(self):
        frame = pd.concat([weights(), weights()[["weight"]]], axis=1)
        self.check(frame, "column weight appears more than once")

    @pytest.mark.parametrize("bad", [["1.5", "2.5"], [True, False], pd.to_datetime(["2024-01-05"] * 2)])
    def test_what_is_no_number_in_a_number_column(self, bad):
        self.check(weights().assign(weight=bad), "column weight has the wrong type.*expected float64 in 1")

    def test_integers_that_float64_cannot_hold(self):
        self.check(weights().assign(weight=[2**53 + 1, 1]), "integers beyond")

    def test_infinite_number(self):
        self.check(weights().assign(weight=[np.inf, 1]), "column weight is infinite in 1 rows")

    def test_fraction_in_an_integer_column(self):
        self.check(
            status().assign(listed_days=2.5), "column listed_days has the wrong type: not whole numbers", "security_status"
        )

    @pytest.mark.parametrize("bad", [[0.0], [1]])
    def test_number_in_a_bool_column(self, bad):
        self.check(status().assign(is_st=bad), "column is_st has the wrong type.*expected bool", "security_status")

    def test_missing_flag(self):
        self.check(
            status().assign(is_st=pd.Series([None], dtype="boolean")), "column is_st is missing in 1 of 1 rows", "security_status"
        )

    def test_symbol_as_a_number(self):
        self.check(weights().assign(symbol=[600519, 1]), "column symbol has the wrong type.*for example 600519.*expected string")

    def test_dates_as_text_or_with_a_time_or_a_zone(self):
        self.check(weights().assign(trade_date="2024-01-05"), "column trade_date has the wrong type")
        self.check(weights().assign(trade_date=pd.Timestamp("2024-01-05 15:00")), "a date with a time of day")
        self.check(weights().assign(trade_date=pd.Timestamp("2024-01-05", tz="Asia/Shanghai")), "without a zone")

    def test_fraction_of_a_second(self):
        self.check(weights().assign(trade_date=pd.Timestamp("2024-01-05 00:00:00.5")), "fractions of a second")

    def test_missing_value_gives_count_and_first_key(self):
        frame = weights().assign(weight=[np.nan, np.nan])
        self.check(frame, "column weight is missing in 2 of 2 rows .*trade_date=2024-01-05 index_code=000300.SH symbol=600519.SH")
        self.check(status().assign(listed_days=np.nan), "column listed_days is missing in 1 of 1 rows", "security_status")
