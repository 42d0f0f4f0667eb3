"""The simulated market as a source: same spec, same bytes; raw-data rules; the events it promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from alpha_pipeline.errors import InvalidSpec, MissingData
from alpha_pipeline.market.rules import board_of, price_limits
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.base import MarketSource
from alpha_pipeline.sources.simulated import SimulatedMarket, SimulatedMarketSpec
from alpha_pipeline.sources.simulated.corporate import reference_price
from alpha_pipeline.sources.simulated.facts import RANGES, compare, stylised_facts
from alpha_pipeline.sources.simulated.indices import review, sizes

ALL = tuple(TABLES)
SMALL = SimulatedMarketSpec(n_stocks=60, start=dt.date(2022, 1, 4), end=dt.date(2023, 6, 30), seed=14,
                            regime_switch=dt.date(2023, 3, 1))
_DTYPES = {"float64": "float64", "int64": "int64", "bool": "bool", "string": "str", "timestamp": "datetime64[s]",
           "date": "datetime64[s]"}


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return SimulatedMarket(SMALL)


@pytest.fixture(scope="module")
def tables(market: SimulatedMarket) -> dict[str, pd.DataFrame]:
    """All tables of the whole range, one frame each."""
    days = [frames for _, frames in market.iter_days(SMALL.start, SMALL.end, ALL)]
    return {name: pd.concat([frames[name] for frames in days], ignore_index=True) for name in ALL}


@pytest.fixture(scope="module")
def daily(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["daily_bars"].merge(tables["security_status"], on=["trade_date", "symbol"], validate="one_to_one")


def assert_equal_days(left: SimulatedMarket, right: SimulatedMarket, days: Sequence[dt.date]) -> None:
    for day in days:
        a, b = left.read_day(day, ALL), right.read_day(day, ALL)
        for name in ALL:
            assert_frame_equal(a[name], b[name], check_exact=True)
        assert_frame_equal(left.oracle(day), right.oracle(day), check_exact=True)


class TestExamples:
    def test_reference_price_by_hand(self) -> None:
        # 20.00 with 0.50 cash and five shares on ten: (20.00 - 0.50) / 1.5; the second rounds 333.33 down, the third 500.5 up
        close, cash, transfer = np.array([2000, 1000, 1001]), np.array([50, 0, 0]), np.array([0.5, 2.0, 1.0])
        assert reference_price(close, cash, transfer).tolist() == [1300, 333, 501]

    def test_review_keeps_members_inside_the_buffer(self) -> None:
        # 40 names, name k has rank k; CSI 300 has 6 places: newcomers need rank < 4.8, members may stay down to rank < 7.2
        cap, everyone = np.arange(40, 0, -1.0), np.ones(40, dtype=bool)
        members = np.zeros((5, 40), dtype=bool)
        members[0, [0, 1, 2, 3, 4, 6]] = True
        assert sizes(40) == (6, 10, 12, 16)
        assert np.flatnonzero(review(members, cap, everyone, 40)[0]).tolist() == [0, 1, 2, 3, 4, 6]
        members[0, [6, 8]] = False, True
        after = review(members, cap, everyone, 40)
        assert np.flatnonzero(after[0]).tolist() == [0, 1, 2, 3, 4, 5]  # rank 8 is out of reach of the buffer
        assert np.flatnonzero(after[1]).tolist() == list(range(6, 16))
        assert not (after[0] & after[1]).any()
        assert after[4].all()
        assert after[3].sum() == 16
        assert not after[3][:18].any()

    def test_events_happen(self, daily: pd.DataFrame) -> None:
        traded = daily[~daily["is_suspended"]]
        first, last = SMALL.start.isoformat(), SMALL.end.isoformat()
        assert (daily["listed_days"] == 1).any()
        assert daily["is_st"].any()
        assert daily["is_suspended"].any()
        assert (traded["close"] == traded["limit_up"]).any()
        assert (traded["close"] == traded["limit_down"]).any()
        assert ((traded["high"] == traded["low"]) & traded["limit_up"].notna()).any()
        assert set(daily.loc[daily["trade_date"] == first, "symbol"]) - set(daily.loc[daily["trade_date"] == last, "symbol"])
        growth = daily.sort_values("trade_date").groupby("symbol")["total_shares"].agg(["first", "last"])
        assert (growth["last"] > 1.15 * growth["first"]).any()
        assert daily.groupby("symbol")["adj_factor"].max().gt(1.0).mean() > 0.4
        assert {"main", "chinext", "star", "bse"} == set(daily["board"])
        assert daily["industry"].nunique() > 15
        assert daily["is_delisting"].any()

    def test_crash_hits_small_caps_and_alpha_decays(self) -> None:
        market = SimulatedMarket(SimulatedMarketSpec(n_stocks=200, start=dt.date(2022, 1, 4), end=dt.date(2022, 6, 30), seed=11))
        begin, end = market.crash_window or (dt.date.max, dt.date.max)
        before = market.calendar.last_before(begin)
        level = {day: market.read_day(day, ["index_bars"])["index_bars"].set_index("index_code")["close"]
                 for day in (before, end)}
        change = level[end] / level[before] - 1
        assert change["399303.SZ"] < -0.10
        assert change["399303.SZ"] < change["000300.SH"] - 0.05
        spread = {day: market.oracle(day)["expected_return_10d"].std() for day in (market.calendar.last_before(before), before)}
        assert spread[before] == pytest.approx(0.4 * spread[market.calendar.last_before(before)], rel=0.15)

    def test_describe_says_that_it_is_simulated(self, market: SimulatedMarket) -> None:
        said = market.describe()
        assert isinstance(market, MarketSource)
        assert said.is_simulated
        assert "SIMULATED" in said.summary
        assert said.tables == ALL
        assert said.intraday_minutes == 15


class TestProperties:
    def test_two_instances_and_any_order_of_reading_agree(self, market: SimulatedMarket) -> None:
        days = [dt.date(2023, 6, 30), dt.date(2022, 1, 4), dt.date(2022, 9, 1), dt.date(2022, 8, 31)]
        assert_equal_days(market, SimulatedMarket(SMALL), days)

    def test_iterating_equals_reading(self, market: SimulatedMarket) -> None:
        fresh = SimulatedMarket(SMALL)
        for day, frames in fresh.iter_days(dt.date(2022, 3, 1), dt.date(2022, 3, 8), ALL):
            for name in ALL:
                assert_frame_equal(frames[name], market.read_day(day, [name])[name], check_exact=True)

    @pytest.mark.parametrize("end", [dt.date(2022, 10, 12), dt.date(2024, 6, 28)])
    def test_another_end_changes_nothing_before(self, market: SimulatedMarket, end: dt.date) -> None:
        other = SimulatedMarket(SimulatedMarketSpec(n_stocks=60, start=SMALL.start, end=end, seed=SMALL.seed,
                                                    regime_switch=SMALL.regime_switch))
        assert_equal_days(market, other, [dt.date(2022, 1, 4), dt.date(2022, 6, 13), dt.date(2022, 10, 12)])

    def test_another_seed_is_another_market(self, market: SimulatedMarket) -> None:
        other = SimulatedMarket(SimulatedMarketSpec(n_stocks=60, start=SMALL.start, end=SMALL.end, seed=6))
        day = SMALL.start
        assert not market.read_day(day, ["daily_bars"])["daily_bars"].equals(other.read_day(day, ["daily_bars"])["daily_bars"])

    @pytest.mark.parametrize("minutes", [1, 5, 30])
    def test_frequencies_share_open_close_volume(self, market: SimulatedMarket, minutes: int) -> None:
        other = SimulatedMarket(SimulatedMarketSpec(
            n_stocks=60, start=SMALL.start, end=SMALL.end, seed=SMALL.seed, regime_switch=SMALL.regime_switch,
            bar_minutes=minutes))
        day = dt.date(2022, 2, 14)
        a, b = (m.read_day(day, ALL) for m in (market, other))
        same = ["symbol", "open", "close", "pre_close", "volume", "adj_factor"]
        assert_frame_equal(a["daily_bars"][same], b["daily_bars"][same])
        assert b["intraday_bars"].groupby("symbol").size().eq(240 // minutes).all()
        ten = [bars.set_index(["symbol", "bar_end"])["close"].xs(pd.Timestamp("2022-02-14 10:00"), level="bar_end")
               for bars in (a["intraday_bars"], b["intraday_bars"])]
        assert (ten[0] == ten[1]).all()

    def test_schema_keys_and_dtypes(self, tables: dict[str, pd.DataFrame]) -> None:
        for name, schema in TABLES.items():
            frame = tables[name]
            assert list(frame.columns) == [c.name for c in schema.columns]
            for column in schema.columns:
                assert frame[column.name].dtype == _DTYPES[column.dtype], (name, column.name)
                assert column.nullable or frame[column.name].notna().all(), (name, column.name)
            assert not frame.duplicated(list(schema.key)).any()

    def test_prices_and_limits(self, daily: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
        for frame in (daily, tables["intraday_bars"]):
            assert (frame["low"] > 0).all()
            for name in ("open", "close", "vwap"):
                assert ((frame[name] >= frame["low"]) & (frame[name] <= frame["high"])).all()
            assert ((frame["volume"] == 0) == (frame["amount"] == 0)).all()
            cents = frame[["open", "high", "low", "close"]].to_numpy() * 100
            assert np.abs(cents - np.rint(cents)).max() < 1e-6
        limited = daily.dropna(subset=["limit_up"])
        assert ((limited["high"] <= limited["limit_up"]) & (limited["low"] >= limited["limit_down"])).all()
        for day, rows in daily.groupby("trade_date"):
            up, down = price_limits(day.date(), rows["pre_close"], rows["board"].to_numpy(dtype=object), rows["is_st"],
                                    rows["listed_days"])
            np.testing.assert_array_equal(up, rows["limit_up"])
            np.testing.assert_array_equal(down, rows["limit_down"])
        assert (daily["board"] == daily["symbol"].map(board_of)).all()

    def test_bars_add_up_to_the_day(self, daily: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
        grouped = tables["intraday_bars"].groupby(["trade_date", "symbol"])
        days = daily[~daily["is_suspended"]].set_index(["trade_date", "symbol"])
        built = grouped.agg(open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
                            volume=("volume", "sum"), amount=("amount", "sum"))
        assert_frame_equal(built, days[list(built.columns)], check_exact=True)
        assert (grouped.size() == 16).all()
        bars = tables["intraday_bars"]
        assert (bars["buy_amount"] + bars["sell_amount"] == bars["amount"]).all()

    def test_suspended_days_are_flat(self, daily: pd.DataFrame) -> None:
        idle = daily[daily["trade_status"] == "suspended"]
        assert (daily["is_suspended"] == (daily["trade_status"] == "suspended")).all()
        assert (idle[["open", "high", "low", "close", "vwap"]].eq(idle["pre_close"], axis=0)).all(axis=None)
        assert (idle["volume"] == 0).all()

    def test_ex_right_days(self, daily: pd.DataFrame) -> None:
        ordered = daily.sort_values(["symbol", "trade_date"])
        last = ordered.groupby("symbol")[["close", "adj_factor"]].shift()
        known = last["close"].notna()
        ratio = (last["close"] / ordered["pre_close"])[known]
        np.testing.assert_allclose((ordered["adj_factor"] / last["adj_factor"])[known], ratio, rtol=1e-12)
        assert ratio.min() >= 1.0
        assert 0.001 < (ratio > 1).mean() < 0.01

    def test_index_returns_are_those_of_the_members(self, daily: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
        cap = daily.assign(cap=daily["close"] * daily["total_shares"]).pivot(index="trade_date", columns="symbol", values="cap")
        price_return = cap / cap.shift() - 1.0
        levels = tables["index_bars"].pivot(index="trade_date", columns="index_code", values="close")
        for (day, code), rows in tables["index_weights"].groupby(["trade_date", "index_code"]):
            assert rows["weight"].sum() == pytest.approx(1.0, abs=1e-9)
            assert (rows["weight"] > 0).all()
            if day == levels.index[0]:
                continue
            # Closing weights divided by the day's growth are the opening weights.
            growth = 1.0 + price_return.loc[day, rows["symbol"]].to_numpy()
            before = levels.index[levels.index.get_loc(day) - 1]
            change = levels.loc[day, code] / levels.loc[before, code]
            assert change == pytest.approx(1.0 / (rows["weight"] / growth).sum(), abs=2e-6)
        bars = tables["index_bars"]
        assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
        assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
        gap = bars.set_index("trade_date").groupby("index_code").apply(lambda x: (x["close_total_return"] / x["close"]).iloc[-1])
        assert (gap > 1.0).all()

    def test_constituents_change_after_the_second_friday_only(self, tables: dict[str, pd.DataFrame]) -> None:
        members = tables["index_weights"].groupby(["index_code", "trade_date"])["symbol"].agg(frozenset)
        for code in ("000300.SH", "000905.SH"):
            sets = members[code]
            new = [bool(b - a) for a, b in zip(sets.iloc[:-1], sets.iloc[1:], strict=True)]
            joined = sets.index[1:][np.array(new)]
            assert set(joined) <= {pd.Timestamp("2022-06-13"), pd.Timestamp("2022-12-12"), pd.Timestamp("2023-06-12")}
        assert len(members["000300.SH"].iloc[0]) == sizes(60)[0] == 9
        assert not (members["000300.SH"].iloc[5] & members["000905.SH"].iloc[5])

    def test_reports_come_after_their_period_and_once(self, tables: dict[str, pd.DataFrame]) -> None:
        reports = tables["fundamentals"]
        assert (reports["announce_date"] > reports["report_period"]).all()
        assert (reports["trade_date"] > reports["announce_date"]).all()
        assert not reports.duplicated(["symbol", "report_period"]).any()
        annual = reports[reports["report_period"].dt.month == 12]
        assert annual["eps"].notna().all()
        assert reports.loc[reports["report_period"].dt.month != 12, "eps"].isna().all()
        assert (reports[reports["trade_date"] == SMALL.start.isoformat()].groupby("symbol").size() >= 20).all()
        lag = (reports["announce_date"] - reports["report_period"]).dt.days
        assert lag.max() <= 121
        quarter = reports.pivot(index="symbol", columns="report_period", values="announce_date")
        both = quarter[[pd.Timestamp("2021-12-31"), pd.Timestamp("2022-03-31")]].dropna()
        assert (both.iloc[:, 1] >= both.iloc[:, 0]).all()

    def test_coverage_never_jumps(self, daily: pd.DataFrame) -> None:
        count = daily.groupby("trade_date").size()
        assert (count / count.shift() - 1.0).abs().max() < 0.06

    def test_stylised_facts_lie_in_their_ranges(self) -> None:
        market = SimulatedMarket(SimulatedMarketSpec(n_stocks=150, end=dt.date(2022, 6, 30), seed=3, has_regime_switch=False))
        table = compare(stylised_facts(market, market.calendar.first, market.calendar.last))
        # Fourth moments need more than the eighteen months that a quick test can afford.
        quick = table.drop(index="excess_kurtosis")
        assert quick["is_inside"].all(), quick[~quick["is_inside"]]
        assert table.loc["excess_kurtosis", "measured"] > 1.0
        assert set(table.index) == set(RANGES)


class TestErrors:
    def test_not_a_session(self, market: SimulatedMarket) -> None:
        with pytest.raises(MissingData, match="2022-01-08 is not a session of XSHG"):
            market.read_day(dt.date(2022, 1, 8), ALL)

    def test_not_a_table(self, market: SimulatedMarket) -> None:
        with pytest.raises(MissingData, match="simulated market: no table 'ticks'"):
            market.read_day(SMALL.start, ["ticks"])

    @pytest.mark.parametrize(("settings", "message"), [
        ({"n_stocks": 5}, "n_stocks out of range .got 5"), ({"bar_minutes": 7}, "bar_minutes is not a native frequency"),
        ({"start": dt.date(2025, 1, 1)}, "start is after end"), ({"start": dt.date(2001, 1, 1)}, "start is too early"),
        ({"seed": -1}, "seed is negative"), ({"alpha_after_switch": 1.5}, "alpha strength out of range"),
        ({"has_regime_switch": False, "regime_switch": dt.date(2022, 1, 4)}, "regime_switch is given although"),
        ({"regime_switch": dt.date(2019, 1, 4)}, "regime_switch lies before start"),
    ])
    def test_bad_settings(self, settings: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidSpec, match=message):
            SimulatedMarketSpec(**settings)  # type: ignore[arg-type]
