"""One date's panel rows from hand-made tables: adjustment, suspension, limits, aggregation."""

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput
from alpha_pipeline.features.panel import SymbolAxis
from alpha_pipeline.features.rows import DAILY, STATUS, aggregate_bars, daily_row, intraday_row, session_minute, status_row
from alpha_pipeline.market.universe import FLAGS, INDEX_BITS


def bars(**columns: list) -> pd.DataFrame:
    n = len(columns["symbol"])
    base = {"open": [10.0] * n, "high": [11.0] * n, "low": [9.0] * n, "close": [10.0] * n, "vwap": [10.0] * n, "volume": [1000.0] * n,
            "amount": [10000.0] * n, "adj_factor": [1.0] * n}
    return pd.DataFrame(base | columns)


def status(**columns: list) -> pd.DataFrame:
    n = len(columns["symbol"])
    base = {"industry": ["银行"] * n, "is_st": [False] * n, "is_suspended": [False] * n, "is_delisting": [False] * n, "listed_days": [100] * n,
            "limit_up": [11.0] * n, "limit_down": [9.0] * n, "total_shares": [1e6] * n, "float_shares": [5e5] * n, "free_float_shares": [2e5] * n}
    return pd.DataFrame(base | columns)


def intraday(symbol: str, ends: list[str], **columns: list) -> pd.DataFrame:
    n = len(ends)
    base = {"symbol": [symbol] * n, "bar_end": pd.to_datetime([f"2024-01-05 {e}" for e in ends]), "open": [10.0] * n, "high": [10.0] * n,
            "low": [10.0] * n, "close": [10.0] * n, "volume": [100.0] * n, "amount": [1000.0] * n}
    return pd.DataFrame(base | columns)


MINUTES_15 = [f"{hour:02d}:{minute:02d}" for hour in (9, 10, 11, 13, 14, 15) for minute in (0, 15, 30, 45)]
MINUTES_15 = [m for m in MINUTES_15 if "09:45" <= m <= "11:30" or "13:15" <= m <= "15:00"]


class TestDaily:
    def test_prices_are_raw_times_factor_and_turnover_is_volume_over_shares(self, tmp_path):
        axis = SymbolAxis(tmp_path)
        row = daily_row(bars(symbol=["a"], close=[8.0], adj_factor=[1.25]), status(symbol=["a"]), axis, None)[0, :, 0]
        assert row[DAILY.field("close")] == 10.0
        assert row[DAILY.field("volume")] == 1000.0
        assert row[DAILY.field("turn")] == pytest.approx(1000 / 5e5)
        assert row[DAILY.field("free_turn")] == pytest.approx(1000 / 2e5)
        assert row[DAILY.field("total_cap")] == 8e6

    def test_suspended_without_a_bar_carries_the_last_close(self, tmp_path):
        axis = SymbolAxis(tmp_path)
        before = daily_row(bars(symbol=["a", "b"], close=[10.0, 20.0]), status(symbol=["a", "b"]), axis, None)
        row = daily_row(bars(symbol=["a"]), status(symbol=["a", "b"], is_suspended=[False, True]), axis, before)[0]
        assert [row[DAILY.field(f), 1] for f in ("open", "close", "vwap", "volume")] == [20.0, 20.0, 20.0, 0.0]

    def test_a_gap_that_is_no_suspension_stays_missing(self, tmp_path):
        axis = SymbolAxis(tmp_path)
        before = daily_row(bars(symbol=["a", "b"]), status(symbol=["a", "b"]), axis, None)
        row = daily_row(bars(symbol=["a"]), status(symbol=["a", "b"]), axis, before)[0]
        assert np.isnan(row[DAILY.field("close"), 1])


class TestStatus:
    def test_flags_industry_and_membership(self, tmp_path):
        axis = SymbolAxis(tmp_path)
        weights = pd.DataFrame({"index_code": ["000300.SH", "000905.SH"], "symbol": ["a", "b"], "weight": [1.0, 1.0]})
        row = status_row(bars(symbol=["a", "b"], high=[11.0, 9.0], low=[11.0, 9.0], close=[11.0, 9.0]),
                         status(symbol=["a", "b", "c"], is_st=[True, False, False]), weights, axis)[0]
        flags = row[STATUS.field("flags")]
        assert flags[0] == FLAGS["listed"] | FLAGS["has_bar"] | FLAGS["st"] | FLAGS["limit_up"] | FLAGS["one_price_up"]
        assert flags[1] == FLAGS["listed"] | FLAGS["has_bar"] | FLAGS["limit_down"] | FLAGS["one_price_down"]
        assert flags[2] == FLAGS["listed"]
        assert row[STATUS.field("membership")].tolist() == [INDEX_BITS["000300.SH"], INDEX_BITS["000905.SH"], 0]
        assert row[STATUS.field("industry")].tolist() == [1, 1, 1]

    def test_touching_a_limit_is_not_a_one_price_day(self, tmp_path):
        row = status_row(bars(symbol=["a"], close=[11.0]), status(symbol=["a"]), None, SymbolAxis(tmp_path))[0]
        assert row[0, 0] & FLAGS["limit_up"]
        assert not row[0, 0] & FLAGS["one_price_up"]


class TestIntraday:
    def test_five_minute_bars_make_fifteen_minute_bars(self):
        frame = intraday("a", ["09:35", "09:40", "09:45"], open=[1.0, 2.0, 3.0], high=[5.0, 9.0, 4.0], low=[0.5, 0.7, 0.2], close=[2.0, 3.0, 4.0],
                         volume=[100.0, 0.0, 300.0], amount=[100.0, 0.0, 1100.0])
        grid = aggregate_bars(frame, 15)
        first = {name: grid[name][0, 0] for name in ("open", "high", "low", "close", "volume", "vwap")}
        assert first == {"open": 1.0, "high": 9.0, "low": 0.2, "close": 4.0, "volume": 400.0, "vwap": 3.0}
        assert np.isnan(grid["close"][0, 1])

    def test_session_minutes(self):
        ends = pd.Series(pd.to_datetime([f"2024-01-05 {t}" for t in ("09:45", "11:30", "13:15", "15:00")]))
        assert session_minute(ends).tolist() == [15, 120, 135, 240]

    def test_incomplete_names_are_missing_and_suspended_ones_flat(self, tmp_path):
        axis = SymbolAxis(tmp_path)
        names = status(symbol=["a", "b", "c"], is_suspended=[False, False, True])
        day = bars(symbol=["a", "b", "c"], volume=[1600.0, 1500.0, 0.0], adj_factor=[2.0, 1.0, 1.0])
        daily = daily_row(day, names, axis, None)
        flags = status_row(day, names, None, axis)[0, 0]
        frame = pd.concat([intraday("a", MINUTES_15), intraday("b", MINUTES_15[:15])])
        row, counts = intraday_row(frame, daily, flags, axis)
        assert counts == {"suspended, carried": 1, "traded, incomplete bars": 1, "complete": 1}
        assert (row[:, 3, 0] == 20.0).all()
        assert np.isnan(row[:, :, 1]).all()
        assert (row[:, :5, 2] == 10.0).all()
        assert (row[:, 5, 2] == 0.0).all()

    def test_a_bar_outside_the_session_is_refused(self):
        with pytest.raises(BadInput, match="outside the session.*12:15"):
            session_minute(pd.Series(pd.to_datetime(["2024-01-05 12:15"])))

    def test_a_frequency_that_does_not_divide_is_refused(self):
        with pytest.raises(BadInput, match="10-minute bars.*divisor of 15"):
            aggregate_bars(intraday("a", ["09:40", "09:50"]), 15)
