"""Every check on a table that it passes, and on one altered so that it must fail."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.market.calendar import exchange_sessions
from alpha_pipeline.market.checks import CHECKS, CheckContext, CheckResult, blocking, check_table
from alpha_pipeline.market.schema import TABLES

DAY = dt.date(2024, 1, 5)
STAMP = pd.Timestamp(DAY)
CALENDAR = exchange_sessions("XSHG", dt.date(2023, 12, 1), dt.date(2024, 2, 29))
NAMES = ["000001.SZ", "300001.SZ", "600519.SH", "688001.SH"]
ENDS = [STAMP + pd.Timedelta(minutes=m) for start, end in ((570, 690), (780, 900)) for m in range(start + 15, end + 1, 15)]


def daily() -> pd.DataFrame:
    """Four names: three at 10 CNY between 9.8 and 10.2, the last suspended."""
    frame = pd.DataFrame(
        {
            "trade_date": STAMP,
            "symbol": NAMES,
            "open": 10.0,
            "high": 10.2,
            "low": 9.8,
            "close": 10.1,
            "pre_close": 10.0,
            "volume": 1600.0,
            "amount": 16000.0,
            "vwap": 10.0,
            "adj_factor": 2.0,
            "trade_status": "trading",
        }
    )
    frame.loc[3, ["open", "high", "low", "close", "vwap", "volume", "amount", "trade_status"]] = [10.0] * 5 + [
        0.0,
        0.0,
        "suspended",
    ]
    return frame


def intraday() -> pd.DataFrame:
    """Sixteen bars of 100 shares for each name that trades; the extremes of the day lie in the first bar."""
    frame = pd.DataFrame(
        {
            "trade_date": STAMP,
            "symbol": np.repeat(NAMES[:3], 16),
            "bar_end": ENDS * 3,
            "open": 10.0,
            "high": 10.1,
            "low": 9.9,
            "close": 10.0,
            "vwap": 10.0,
            "volume": 100.0,
            "amount": 1000.0,
        }
    )
    frame.loc[frame["bar_end"] == ENDS[0], ["high", "low"]] = [10.2, 9.8]
    return frame


def status() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trade_date": STAMP,
            "symbol": NAMES,
            "board": ["main", "chinext", "main", "star"],
            "industry": "a",
            "is_st": False,
            "is_suspended": False,
            "limit_up": [11.0, 12.0, 11.0, np.nan],
            "limit_down": [9.0, 8.0, 9.0, np.nan],
            "listed_days": 900,
            "is_delisting": False,
            "total_shares": 1e8,
            "float_shares": 1e8,
            "free_float_shares": 1e8,
        }
    )


def weights() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trade_date": STAMP,
            "index_code": ["000300.SH"] * 2 + ["000905.SH"] * 2,
            "symbol": NAMES,
            "weight": [0.4, 0.6, 0.5, 0.5],
        }
    )


def index_bars() -> pd.DataFrame:
    return pd.DataFrame(
        {"trade_date": STAMP, "index_code": ["000300.SH"], "open": 3000.0, "high": 3010.0, "low": 2990.0, "close": 3005.0}
    )


def fundamentals() -> pd.DataFrame:
    columns = {c.name: 1.0 for c in TABLES["fundamentals"].columns if c.dtype == "float64"}
    return pd.DataFrame(
        {
            "trade_date": STAMP,
            "symbol": NAMES[:1],
            "announce_date": pd.Timestamp("2024-01-04"),
            "report_period": pd.Timestamp("2023-12-31"),
            **columns,
        }
    )


GOOD = {
    "daily_bars": daily,
    "intraday_bars": intraday,
    "security_status": status,
    "index_weights": weights,
    "index_bars": index_bars,
    "fundamentals": fundamentals,
}


def context() -> CheckContext:
    return CheckContext(DAY, CALENDAR, daily(), status(), {name: make() for name, make in GOOD.items()}, 15)


def altered(table: str, column: str, row: int, value: object) -> pd.DataFrame:
    frame = GOOD[table]()
    frame.loc[row, column] = value
    return frame


def result(name: str, table: str, frame: pd.DataFrame, ctx: CheckContext | None = None) -> CheckResult:
    return next(r for r in check_table(table, frame, ctx or context()) if r.name == name)


def repeated(table: str) -> pd.DataFrame:
    frame = GOOD[table]()
    return pd.concat([frame, frame.iloc[[0]]])


# check, table, the frame that must fail it, number of failing rows
BROKEN = [
    ("schema", "daily_bars", daily().assign(close="10.1"), 4),
    ("schema", "index_bars", index_bars().drop(columns="low"), 1),
    ("unique_key", "daily_bars", repeated("daily_bars"), 2),
    ("unique_key", "intraday_bars", repeated("intraday_bars"), 2),
    ("unique_key", "index_weights", repeated("index_weights"), 2),
    ("unique_key", "fundamentals", repeated("fundamentals"), 2),
    ("not_empty", "daily_bars", daily().iloc[:0], 1),
    ("partition_date", "daily_bars", altered("daily_bars", "trade_date", 1, pd.Timestamp("2024-01-08")), 1),
    ("coverage", "daily_bars", daily().iloc[:3], 1),
    ("coverage", "intraday_bars", intraday().iloc[16:], 1),
    ("coverage", "index_weights", weights().iloc[1:], 1),
    ("positive_prices", "daily_bars", altered("daily_bars", "low", 0, 0.0), 1),
    ("positive_prices", "daily_bars", altered("daily_bars", "pre_close", 0, -1.0), 1),
    ("positive_prices", "daily_bars", altered("daily_bars", "adj_factor", 0, 0.0), 1),
    ("positive_prices", "index_bars", altered("index_bars", "close", 0, 0.0), 1),
    ("ohlc_order", "daily_bars", altered("daily_bars", "low", 0, 10.05), 1),
    ("ohlc_order", "daily_bars", altered("daily_bars", "close", 0, 10.21), 1),
    ("ohlc_order", "intraday_bars", altered("intraday_bars", "high", 5, 9.95), 1),
    ("ohlc_order", "index_bars", altered("index_bars", "high", 0, 3001.0), 1),
    ("vwap_in_range", "daily_bars", altered("daily_bars", "vwap", 0, 10.21), 1),
    ("vwap_in_range", "intraday_bars", altered("intraday_bars", "vwap", 3, 9.89), 1),
    ("volume_and_amount", "daily_bars", altered("daily_bars", "amount", 0, 0.0), 1),
    ("volume_and_amount", "daily_bars", altered("daily_bars", "amount", 3, 5.0), 1),
    ("volume_and_amount", "intraday_bars", altered("intraday_bars", "volume", 0, -100.0), 1),
    ("trade_status", "daily_bars", altered("daily_bars", "trade_status", 0, "halted"), 1),
    ("trade_status", "daily_bars", altered("daily_bars", "volume", 3, 100.0), 1),
    ("within_limits", "daily_bars", daily().assign(high=[11.2, 11.2, 10.2, 10.0]), 1),
    ("within_limits", "daily_bars", daily().assign(low=[9.8, 7.9, 8.9, 10.0]), 2),
    ("adj_factor_falls", "daily_bars", altered("daily_bars", "adj_factor", 2, 1.9), 1),
    ("bar_times", "intraday_bars", altered("intraday_bars", "bar_end", 0, STAMP + pd.Timedelta(hours=9, minutes=30)), 1),
    ("bar_times", "intraday_bars", altered("intraday_bars", "bar_end", 0, ENDS[0] + pd.Timedelta(days=1)), 1),
    ("traded_names_have_bars", "intraday_bars", intraday().iloc[16:], 1),
    ("bars_per_name", "intraday_bars", intraday().iloc[1:], 1),
    ("bars_per_name", "intraday_bars", pd.concat([intraday(), intraday().iloc[:1].assign(symbol="688001.SH")]), 1),
    ("bars_volume", "intraday_bars", altered("intraday_bars", "volume", 0, 50.0), 1),
    ("bars_high", "intraday_bars", altered("intraday_bars", "high", 0, 10.19), 1),
    ("bars_low", "intraday_bars", altered("intraday_bars", "low", 16, 9.81), 1),
    ("board_names", "security_status", altered("security_status", "board", 0, "nasdaq"), 1),
    ("weights_sum", "index_weights", altered("index_weights", "weight", 0, 0.4001), 1),
    ("weights_not_negative", "index_weights", weights().assign(weight=[-0.1, 1.1, 0.5, 0.5]), 1),
    ("members_known", "index_weights", altered("index_weights", "symbol", 0, "600000.SH"), 1),
    ("announced_after_period", "fundamentals", altered("fundamentals", "report_period", 0, pd.Timestamp("2024-03-31")), 1),
    ("announced_by_date", "fundamentals", altered("fundamentals", "announce_date", 0, pd.Timestamp("2024-01-08")), 1),
]


class TestExamples:
    @pytest.mark.parametrize("table", list(CHECKS))
    def test_good_tables_pass_every_check(self, table):
        results = check_table(table, GOOD[table](), context())
        assert [r.name for r in results] == list(CHECKS[table])
        assert [(r.name, r.message) for r in results if not r.passed or r.not_run] == []

    @pytest.mark.parametrize(
        ("name", "table", "frame", "n_failed"), BROKEN, ids=[f"{table}-{name}-{i}" for i, (name, table, *_) in enumerate(BROKEN)]
    )
    def test_broken_table_fails_its_check(self, name, table, frame, n_failed):
        failed = result(name, table, frame)
        assert not failed.passed and failed.n_failed == n_failed
        assert "column" in failed.message if name == "schema" else f"fails for {n_failed} of" in failed.message

    def test_example_quotes_key_and_values(self):
        failed = result("ohlc_order", "daily_bars", altered("daily_bars", "low", 0, 10.05))
        assert failed.examples == [
            {"trade_date": "2024-01-05", "symbol": "000001.SZ", "open": 10.0, "high": 10.2, "low": 10.05, "close": 10.1}
        ]

    def test_a_move_beyond_the_limit_quotes_return_and_limit(self):
        frame = daily().assign(high=[11.5, 10.2, 10.2, 10.0], close=[11.5, 10.1, 10.1, 10.0])
        failed = result("within_limits", "daily_bars", frame)
        assert failed.examples[0]["return"] == 0.15 and failed.examples[0]["limit_up"] == 11.0

    def test_limit_allows_one_tick_and_is_off_on_no_limit_days(self):
        assert result("within_limits", "daily_bars", daily().assign(high=[11.02, 12.02, 11.0, 10.0])).passed
        free = daily().assign(high=[10.2, 10.2, 10.2, 30.0], close=[10.1, 10.1, 10.1, 30.0], volume=1600.0, amount=16000.0)
        assert result("within_limits", "daily_bars", free).passed

    def test_vwap_may_leave_the_range_by_rounding_only(self):
        assert result("vwap_in_range", "daily_bars", altered("daily_bars", "vwap", 0, 10.205)).passed

    def test_missing_amount_is_left_out(self):
        frame = altered("daily_bars", "amount", 0, np.nan)
        assert result("volume_and_amount", "daily_bars", frame).n_rows == 3

    def test_holiday_and_weekend_are_no_sessions(self):
        for day in (dt.date(2024, 1, 1), dt.date(2024, 1, 6)):
            failed = result("session", "index_bars", index_bars(), replace(context(), trade_date=day))
            assert not failed.passed and failed.examples[0]["trade_date"] == day.isoformat()

    @pytest.mark.parametrize(
        ("n_left", "passed", "severity"),
        [(99, True, "warn"), (98, True, "warn"), (97, False, "warn"), (80, False, "warn"), (79, False, "error")],
    )
    def test_coverage_warns_beyond_2_and_blocks_beyond_20_percent(self, n_left, passed, severity):
        frame = pd.concat([daily().iloc[[0]]] * 100).assign(symbol=[f"{i:06d}.SZ" for i in range(100)])
        outcome = result("coverage", "daily_bars", frame.iloc[:n_left], replace(context(), previous={"daily_bars": frame}))
        assert (outcome.passed, outcome.severity) == (passed, severity)

    def test_new_names_do_not_hide_lost_ones(self):
        frame = daily().assign(symbol=["000002.SZ", *NAMES[1:]])
        assert result("coverage", "daily_bars", frame).examples == [{"symbol": "000001.SZ"}]

    def test_a_reconstitution_is_no_loss_of_coverage(self):
        assert result("coverage", "index_weights", weights().assign(symbol=NAMES[::-1])).passed


class TestProperties:
    @pytest.mark.parametrize("table", list(CHECKS))
    def test_order_of_rows_does_not_matter_and_input_is_unchanged(self, table):
        frame = GOOD[table]().iloc[::-1]
        before = frame.copy()
        assert all(r.passed for r in check_table(table, frame, context()))
        pd.testing.assert_frame_equal(frame, before)

    def test_every_check_has_an_artefact_that_fails_it(self):
        assert {name for names in CHECKS.values() for name in names} - {name for name, *_ in BROKEN} == {
            "session"
        }  # tested with a holiday

    def test_at_most_five_examples(self):
        failed = result("ohlc_order", "intraday_bars", intraday().assign(low=11.0))
        assert failed.n_failed == 48 and len(failed.examples) == 5

    def test_the_name_alone_or_with_the_table_lowers_a_check(self):
        frame = altered("daily_bars", "close", 0, 10.21)
        for key in ("ohlc_order", "daily_bars.ohlc_order"):
            results = check_table("daily_bars", frame, replace(context(), overrides={key: "warn"}))
            lowered = next(r for r in results if r.name == "ohlc_order")
            assert lowered.severity == "warn" and not lowered.passed and blocking(results) == []
        assert [r.name for r in blocking(check_table("daily_bars", frame, context()))] == ["ohlc_order"]

    def test_the_key_with_the_table_goes_first(self):
        overrides = {"ohlc_order": "warn", "daily_bars.ohlc_order": "error"}
        assert result("ohlc_order", "daily_bars", daily(), replace(context(), overrides=overrides)).severity == "error"

    @pytest.mark.parametrize("table", ["daily_bars", "intraday_bars", "index_weights"])
    def test_absent_comparisons_are_said(self, table):
        results = check_table(table, GOOD[table](), CheckContext(DAY))
        silent = {r.name for r in results if r.not_run}
        expected = {
            "daily_bars": {"session", "coverage", "within_limits", "adj_factor_falls"},
            "index_weights": {"session", "coverage", "members_known"},
            "intraday_bars": {
                "session",
                "coverage",
                "bar_times",
                "traded_names_have_bars",
                "bars_per_name",
                "bars_volume",
                "bars_high",
                "bars_low",
            },
        }
        assert silent == expected[table] and all(
            r.n_rows == 0 and r.message.startswith("not run: ") for r in results if r.not_run
        )

    def test_empty_tables_do_not_crash(self):
        for table, make in GOOD.items():
            names = {r.name for r in check_table(table, make().iloc[:0], context()) if not r.passed}
            assert names >= (set() if table == "fundamentals" else {"not_empty", "coverage"})


class TestErrors:
    def test_unknown_table(self):
        with pytest.raises(UnknownName, match="unknown table 'bars'"):
            check_table("bars", daily(), context())

    def test_override_of_an_unknown_check(self):
        with pytest.raises(UnknownName, match="unknown check 'ohlc'"):
            check_table("daily_bars", daily(), replace(context(), overrides={"ohlc": "warn"}))
        with pytest.raises(UnknownName, match="unknown check 'index_bars.bars_high'"):
            check_table("daily_bars", daily(), replace(context(), overrides={"index_bars.bars_high": "warn"}))

    def test_a_check_cannot_be_switched_off(self):
        with pytest.raises(
            InvalidSpec,
            match="checks.ohlc_order: a check can be lowered but not switched off .got 'off', expected 'error' or 'warn'",
        ):
            check_table("daily_bars", daily(), replace(context(), overrides={"ohlc_order": "off"}))
