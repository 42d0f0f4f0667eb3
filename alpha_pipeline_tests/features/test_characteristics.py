"""Every characteristic by hand on a day of a few bars, all of them against pandas, and what a day without trades or moves gives."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.errors import BadInput, Misaligned, MissingData, UnknownName
from alpha_pipeline.features.characteristics import CHARACTERISTICS, Bars, absent, compute
from alpha_pipeline.features.characteristics.bars import FLOW_COLUMNS
from alpha_pipeline.features.characteristics.panels import (
    CHARACTERISTIC_PANELS,
    CHARS_10M,
    CHARS_30M,
    L2CHARS,
    MSCHARS,
    absent_fields,
    build_row,
    day_bars,
    lacks,
)
from alpha_pipeline.features.characteristics.table import markdown_page
from alpha_pipeline.features.panel import SymbolAxis
from alpha_pipeline.features.rows import session_minute
from alpha_pipeline.market.schema import TABLES
from benchmarks.characteristics import as_bars, largest_difference, made_up_day, with_pandas

NAMES = list(CHARACTERISTICS)
LN2 = math.log(2)

# Eight half hours (CNY): 8 → 16 → 8 → 8 → 16 → 16 → 32 → 16 → 16, so that returns are ± ln 2 or 0: + − 0 + 0 + − 0
CLOSE = np.array([[16.0, 8.0, 8.0, 16.0, 16.0, 32.0, 16.0, 16.0]])
OPEN = np.array([[8.0, 16.0, 8.0, 8.0, 16.0, 16.0, 32.0, 16.0]])
VOLUME = np.array([[400.0, 100.0, 100.0, 100.0, 50.0, 200.0, 50.0, 0.0]])
AMOUNT = np.array([[4000.0, 1000.0, 1000.0, 1000.0, 1000.0, 4000.0, 1000.0, 0.0]])
TRADES = np.array([[4.0, 10.0, 10.0, 10.0, 10.0, 40.0, 10.0, 0.0]])  # mean trade 1000, then 100: only the first bar is large
BOUGHT = np.array([[3000.0, 500.0, 500.0, 500.0, 500.0, 1000.0, 500.0, 0.0]])  # net +2000, 0, 0, 0, 0, −2000, 0, 0


def day(**changes: np.ndarray) -> Bars:
    values = {"open": OPEN, "high": np.maximum(OPEN, CLOSE), "low": np.minimum(OPEN, CLOSE), "close": CLOSE, "volume": VOLUME, "amount": AMOUNT,
              "previous_close": np.array([10.0]), "float_shares": np.array([10000.0]), "trade_count": TRADES, "buy_amount": BOUGHT,
              "sell_amount": AMOUNT - BOUGHT} | changes
    return Bars.of_day(30, **values)  # type: ignore[arg-type]


def value(name: str, bars: Bars | None = None) -> float:
    return float(compute([name], bars or day())[0, 0])


def ten_minute_day() -> Bars:
    """24 bars at 10 CNY that trade 100 shares each, but for the half hours after the open and before the close."""
    close = np.full((1, 24), 10.0)
    close[0, :3] = [20.0, 10.0, 20.0]
    close[0, 3:] = 20.0
    close[0, -3:] = [40.0, 40.0, 20.0]
    opens = np.concatenate([[[10.0]], close[:, :-1]], axis=1)
    volume = np.full((1, 24), 100.0)
    amount, trades = np.full((1, 24), 1000.0), np.full((1, 24), 10.0)
    trades[0, [0, 2]] = 1.0  # mean trades of 1000, else of 100
    bought = np.full((1, 24), 500.0)
    bought[0, :3] = [800.0, 500.0, 500.0]
    return Bars.of_day(10, opens, np.maximum(opens, close), np.minimum(opens, close), close, volume, amount, trade_count=trades,
                       buy_amount=bought, sell_amount=amount - bought)


BY_HAND = {
    "intraday_return": 16 / 8 - 1,
    "opening_return": 16 / 8 - 1,  # the first bar is the opening half hour
    "closing_return": 16 / 16 - 1,
    "overnight_return": 8 / 10 - 1,
    "improved_reversal": 16 / 16 - 1,
    "realized_variance": 5 * LN2**2,
    "upside_variance_share": 3 / 5,
    "realized_skewness": math.sqrt(8) * (3 - 2) / 5**1.5,
    "realized_kurtosis": 8 * 5 / 5**2,
    "max_drawdown": 1 - 8 / 16,
    "vwap_deviation": 16 / (13000 / 1000) - 1,
    "opening_volume_share": 400 / 1000,
    "closing_volume_share": 0.0,
    "volume_share": 1.0,
    "volume_concentration": (160000 + 3 * 10000 + 2 * 2500 + 40000) / 1e6,
    "amihud": 1e8 * LN2 * (1 / 4000 + 1 / 1000 + 1 / 1000 + 1 / 4000 + 1 / 1000) / 7,
    "top_volume_turnover": (400 + 200 + 100) / 10000,
    "top_volume_return": (1 + 1 - 1) * LN2,  # bars 1 and 6, and of the three bars of 100 shares the earliest
    "peak_volume_return": LN2,
    "trend_strength": 1 / 5,
    # m = ln2/8: Σ (r−m)² = 5 − 1/8; Σ of neighbors = Σ r r' − m (Σ r + Σ r') + 7 m² with Σ r r' = −1 − 1, Σ r = 1, Σ r' = 0
    "return_autocorrelation": (-2 - 1 / 8 + 7 / 64) / (5 - 1 / 8),
    # sums over four bars: 1, 0, 2, 1, 0 in ln 2
    "variance_ratio": (6 / 5) / (4 * 5 / 8),
    "high_low_range": math.log(32 / 8),
    "close_position": (16 - 8) / (32 - 8),
    "jump_share": 1 - math.pi / 2 * 8 / 7 * 2 / 5,
    "net_buying": 0.0,
    "net_buying_strength": 0.0,
    "opening_net_buying": 2000 / 4000,
    "closing_net_buying": math.nan,  # nothing traded there
    "large_net_buying": 2000 / 13000,
    "large_net_buying_strength": 250 / math.sqrt(2000**2 / 8 - 250**2),
    "outflow_trade_size": (2000 / 20) / (13000 / 94),
    # 30 % of 8 bars, rounded up: the large bar, then of those with trades of 100 CNY the two earliest
    "large_push_return": LN2 * (1 - 1 + 0),
    "large_amount_share": 4000 / 13000,
}
BY_HAND_AT_TEN_MINUTES = {
    "closing_skewness": 0.0,  # + ln 2, 0, − ln 2
    "opening_return": 1.0,
    "closing_return": 0.0,
    "opening_net_buying": 600 / 3000,
    "opening_net_buying_strength": 200 / math.sqrt(600**2 / 3 - 200**2),
    "opening_large_net_buying": 600 / 3000,
    "opening_large_net_buying_strength": 200 / math.sqrt(600**2 / 3 - 200**2),
}


class TestExamples:
    @pytest.mark.parametrize("name", BY_HAND)
    def test_by_hand(self, name: str) -> None:
        assert value(name) == pytest.approx(BY_HAND[name], abs=1e-12, nan_ok=True)

    @pytest.mark.parametrize("name", BY_HAND_AT_TEN_MINUTES)
    def test_by_hand_at_ten_minutes(self, name: str) -> None:
        assert value(name, ten_minute_day()) == pytest.approx(BY_HAND_AT_TEN_MINUTES[name], abs=1e-12)

    def test_correlations_are_numpys(self) -> None:
        assert value("price_volume_correlation") == pytest.approx(np.corrcoef(CLOSE, VOLUME)[0, 1])
        r = np.abs(np.log(CLOSE / OPEN))
        assert value("size_volume_correlation") == pytest.approx(np.corrcoef(r, VOLUME)[0, 1])

    def test_every_one_is_computed_by_hand(self) -> None:
        correlations = {"price_volume_correlation", "size_volume_correlation"}
        assert set(BY_HAND) | set(BY_HAND_AT_TEN_MINUTES) | correlations == set(CHARACTERISTICS)

    def test_inside_a_step_the_first_return_starts_from_the_close_before(self) -> None:
        halves = day().steps(2)  # 8 → 16 → 8 → 8 → 16 | 16 → 32 → 16 → 16
        assert compute(["intraday_return", "volume_share", "realized_variance"], halves).T.tolist() == [
            pytest.approx([1.0, 0.7, 3 * LN2**2]), pytest.approx([0.0, 0.3, 2 * LN2**2])]

    def test_the_registry(self) -> None:
        families = [c.family for c in CHARACTERISTICS.values()]
        assert (families.count("price_volume"), families.count("order_flow")) == (28, 12)
        optional = {c.name for c in TABLES["intraday_bars"].columns if c.optional}
        for name, c in CHARACTERISTICS.items():
            assert name == c.name == c.function.__name__
            assert len(c.doc) > 20
            assert set(c.columns) <= optional
            assert bool(c.columns) == (c.family == "order_flow")

    def test_the_panels(self) -> None:
        assert [(p.name, p.steps, len(p.fields)) for p in CHARACTERISTIC_PANELS.values()] == [
            ("mschars", 1, 27), ("l2chars", 1, 12), ("chars_10m", 24, 12), ("chars_30m", 8, 16)]

    def test_absent_where_a_row_has_too_few_bars(self) -> None:
        assert absent(NAMES, 1, 240) == []
        assert absent(NAMES, 15, 16) == ["closing_skewness", "opening_net_buying_strength", "opening_large_net_buying_strength"]
        assert {"opening_return", "realized_skewness"} <= set(absent(NAMES, 15, 2))  # a step is no day
        assert np.isnan(value("closing_skewness"))
        assert absent_fields(CHARS_10M, 5) == absent_fields(CHARS_10M, 1) == absent_fields(CHARS_30M, 5) == []
        assert absent_fields(CHARS_30M, 15) == ["realized_skewness", "price_volume_correlation", "top_volume_return", "return_autocorrelation"]

    def test_what_markets_lack(self) -> None:
        tables = ("daily_bars", "intraday_bars")
        assert [lacks(p, tables, 1, {}) for p in CHARACTERISTIC_PANELS.values()] == [[]] * 4
        assert lacks(CHARS_10M, tables, 10, {}) == ["bars of at most 5 minutes that divide 10"]
        assert lacks(CHARS_10M, tables, 3, {}) == ["bars of at most 5 minutes that divide 10"]
        assert lacks(CHARS_30M, tables, 15, {}) == lacks(MSCHARS, tables, 30, {}) == []
        assert lacks(L2CHARS, tables, 15, {"intraday_bars.trade_count": "no"}) == ["intraday_bars.trade_count"]
        assert lacks(MSCHARS, ("daily_bars",), None, {}) == ["intraday_bars"]


class TestDegenerate:
    def test_one_price_all_day(self) -> None:
        flat = np.full((1, 8), 10.0)
        bars = day(open=flat, high=flat, low=flat, close=flat)
        found = dict(zip(NAMES, compute(NAMES, bars)[:, 0], strict=True))
        undefined = {name for name, x in found.items() if np.isnan(x)} - set(absent(NAMES, 30, 8))
        assert undefined == {
            "upside_variance_share", "realized_skewness", "realized_kurtosis", "price_volume_correlation", "size_volume_correlation",
            "trend_strength", "return_autocorrelation", "variance_ratio", "close_position", "jump_share", "closing_net_buying", "outflow_trade_size",
        }
        zero = ("intraday_return", "realized_variance", "max_drawdown", "amihud", "high_low_range", "top_volume_return", "large_push_return")
        assert [found[name] for name in zero] == [0.0] * 7

    def test_no_volume_all_day(self) -> None:
        nothing = np.zeros((1, 8))
        bars = day(volume=nothing, amount=nothing, trade_count=nothing, buy_amount=nothing, sell_amount=nothing)
        found = dict(zip(NAMES, compute(NAMES, bars)[:, 0], strict=True))
        of_prices = {
            "intraday_return", "opening_return", "closing_return", "overnight_return", "improved_reversal", "realized_variance",
            "upside_variance_share", "realized_skewness", "realized_kurtosis", "max_drawdown", "trend_strength", "return_autocorrelation",
            "variance_ratio", "high_low_range", "close_position", "jump_share",
        }
        assert {name for name, x in found.items() if not np.isnan(x)} == of_prices

    def test_without_a_reference_price_or_float_shares(self) -> None:
        bars = day(previous_close=np.array([np.nan]), float_shares=np.array([np.nan]))
        assert np.isnan(value("overnight_return", bars)) and np.isnan(value("top_volume_turnover", bars))

    def test_no_bar_stands_out(self) -> None:
        """Equal trades in all bars: none is large, and their net buying has no strength."""
        bars = day(trade_count=AMOUNT / 100)
        assert [value(name, bars) for name in ("large_net_buying", "large_amount_share")] == [0.0, 0.0]
        assert np.isnan(value("large_net_buying_strength", bars))

    def test_nothing_warns(self) -> None:
        with np.errstate(all="raise"):
            compute(NAMES, as_bars(made_up_day(60, 15), 15))


class TestProperties:
    @pytest.mark.parametrize("minutes", [1, 5, 10, 15, 30])
    def test_equals_pandas(self, minutes: int) -> None:
        n_stocks = 12 if minutes == 1 else 30
        frame = made_up_day(n_stocks, minutes, seed=minutes)
        ours = compute(NAMES, as_bars(frame, minutes))
        theirs = with_pandas(frame, minutes).to_numpy().T
        assert largest_difference(ours, theirs) < 1e-9
        assert np.isfinite(ours).mean() > 0.75

    @pytest.mark.parametrize(("minutes", "steps"), [(5, 8), (5, 24), (15, 8)])
    def test_a_step_is_computed_from_its_own_bars(self, minutes: int, steps: int) -> None:
        bars = as_bars(made_up_day(9, minutes), minutes)
        whole = compute(CHARS_30M.fields, bars.steps(steps)).reshape(-1, 9, steps)
        length = bars.n_bars // steps
        for step in (0, 3, steps - 1):
            part = slice(step * length, (step + 1) * length)
            alone = Bars(minutes, *(getattr(bars, name)[:, part] for name in ("before", "high", "low", "close", "volume", "amount")),
                         bars.previous_close, bars.float_shares, bars.row_volume)
            np.testing.assert_array_equal(compute(CHARS_30M.fields, alone), whole[:, :, step])

    def test_a_stock_does_not_depend_on_the_others(self) -> None:
        bars = as_bars(made_up_day(20, 15), 15)
        some = np.array([3, 17])
        np.testing.assert_array_equal(compute(NAMES, bars)[:, some], compute(NAMES, bars.take(some)))

    def test_units_of_prices_and_volumes_do_not_matter(self) -> None:
        """A split (half the price, twice the shares) leaves all but the last bits."""
        bars = as_bars(made_up_day(20, 15), 15)
        prices = {name: getattr(bars, name) / 2 for name in ("before", "high", "low", "close", "previous_close")}
        shares = {name: getattr(bars, name) * 2 for name in ("volume", "row_volume", "float_shares")}
        split = Bars(15, **prices, **shares, amount=bars.amount, **{name: getattr(bars, name) for name in FLOW_COLUMNS})  # type: ignore[arg-type]
        np.testing.assert_allclose(compute(NAMES, split), compute(NAMES, bars), rtol=1e-9, atol=1e-12)

    def test_inputs_are_not_changed(self) -> None:
        frame = made_up_day(5, 15)
        before = frame.copy()
        compute(NAMES, as_bars(frame, 15))
        pd.testing.assert_frame_equal(frame, before)

    @pytest.mark.parametrize("name", [n for n, c in CHARACTERISTICS.items() if "0 … 1" in c.doc])
    def test_shares_lie_between_0_and_1(self, name: str) -> None:
        values = compute([name], as_bars(made_up_day(60, 15), 15))
        assert np.nanmin(values) >= 0 and np.nanmax(values) <= 1 + 1e-12

    def test_buyers_and_sellers_swapped_change_the_sign(self) -> None:
        bars = day()
        swapped = day(buy_amount=AMOUNT - BOUGHT, sell_amount=BOUGHT)
        for name in ("net_buying", "opening_net_buying", "large_net_buying", "large_net_buying_strength"):
            assert value(name, swapped) == pytest.approx(-value(name, bars))


class TestRow:
    def test_incomplete_suspended_and_unknown_names(self, tmp_path) -> None:
        frame = made_up_day(4, 30).drop(columns=["previous_close", "float_shares"])
        frame = frame.drop(index=frame.index[(frame["symbol"] == "000001.SZ")][3])
        axis = SymbolAxis(tmp_path)
        axis.columns(["000000.SZ", "000003.SZ"])
        axis.columns(["000001.SZ", "000009.SZ"])  # 000002.SZ is not in the universe, 000009.SZ is suspended
        daily = pd.DataFrame({"symbol": ["000000.SZ", "000003.SZ"], "pre_close": [frame["open"].iloc[0], np.nan]})
        status = pd.DataFrame({"symbol": ["000000.SZ", "000003.SZ", "000009.SZ"], "float_shares": 1e9, "is_suspended": [False, False, True]})
        row, counts = build_row(MSCHARS, frame, daily, status, session_minute(frame["bar_end"]), 30, axis)
        assert (row.shape, row.dtype) == ((1, 27, 4), np.float32)
        assert counts == {"suspended": 1, "traded, incomplete bars": 1, "complete": 2}
        assert np.isnan(row[..., 2:]).all()
        overnight = row[0, MSCHARS.field("overnight_return")]
        assert overnight[0] == 0.0 and np.isnan(overnight[1])
        assert not np.isnan(row[0, MSCHARS.field("intraday_return"), :2]).any()

    def test_a_day_without_any_bars(self, tmp_path) -> None:
        frame = made_up_day(1, 30).iloc[:0]
        axis = SymbolAxis(tmp_path)
        axis.columns(["000009.SZ"])
        status = pd.DataFrame({"symbol": ["000009.SZ"], "float_shares": [1e9], "is_suspended": [True]})
        row, counts = build_row(CHARS_30M, frame, pd.DataFrame({"symbol": [], "pre_close": []}), status, session_minute(frame["bar_end"]), 30, axis)
        assert np.isnan(row).all() and counts["complete"] == 0


class TestPage:
    def test_the_page_is_in_step_with_the_registry(self) -> None:
        page = Path(__file__).parents[2] / "docs" / "characteristics.md"
        assert page.read_text() == markdown_page(), "run: python -m alpha_pipeline.features.characteristics.table > docs/characteristics.md"


class TestErrors:
    def test_an_unknown_name(self) -> None:
        with pytest.raises(UnknownName, match="amihut"):
            compute(["amihut"], day())

    def test_missing_order_flow(self) -> None:
        with pytest.raises(MissingData, match="characteristic 'outflow_trade_size' needs trade_count"):
            compute(["outflow_trade_size"], Bars.of_day(30, OPEN, OPEN, OPEN, CLOSE, VOLUME, AMOUNT))

    def test_bars_that_do_not_fit(self) -> None:
        with pytest.raises(BadInput, match="do not divide the session .got 7 minutes"):
            Bars(7, *[OPEN] * 6, *[OPEN[:, 0]] * 3)
        with pytest.raises(Misaligned, match=r"volume: bars of different shapes"):
            Bars(30, OPEN, OPEN, OPEN, CLOSE, VOLUME[:, 1:], AMOUNT, *[OPEN[:, 0]] * 3)
        with pytest.raises(Misaligned, match="another number of bars .got 8 bars of 15 minutes"):
            Bars.of_day(15, OPEN, OPEN, OPEN, CLOSE, VOLUME, AMOUNT)
        frame = made_up_day(1, 5)
        with pytest.raises(BadInput, match="off the grid .got an end after 5 minutes"):
            day_bars(frame, session_minute(frame["bar_end"]), 15)
