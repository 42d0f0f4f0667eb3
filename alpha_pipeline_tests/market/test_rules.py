"""Dated rules, checked by hand against the exchanges' text."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.market.rules import board_of, limit_percent, lot_size, price_limits, stamp_duty, to_cents


def percent(date: str, board: str, is_st: bool = False, listed_days: int = 900) -> tuple[int, int]:
    up, down = limit_percent(date, board, is_st, listed_days)
    return int(up), int(down)


class TestExamples:
    @pytest.mark.parametrize(("date", "board", "is_st", "expected"), [
        ("2024-01-05", "main", False, 10), ("2024-01-05", "main", True, 5),
        ("2026-07-03", "main", True, 5), ("2026-07-06", "main", True, 10),
        ("2020-08-21", "chinext", False, 10), ("2020-08-24", "chinext", False, 20), ("2020-08-24", "chinext", True, 20),
        ("2019-07-22", "star", True, 20), ("2021-11-15", "bse", False, 30), ("1996-12-13", "main", False, 0),
    ])
    def test_seasoned_names_on_both_sides_of_each_date(self, date: str, board: str, is_st: bool, expected: int) -> None:
        assert percent(date, board, is_st) == (expected, expected)

    @pytest.mark.parametrize(("date", "board", "listed_days", "expected"), [
        ("2024-01-05", "star", 5, (0, 0)), ("2024-01-05", "star", 6, (20, 20)),
        ("2024-01-05", "bse", 1, (0, 0)), ("2024-01-05", "bse", 2, (30, 30)),
        ("2023-04-07", "main", 1, (44, 36)), ("2023-04-07", "main", 2, (10, 10)),
        ("2023-04-10", "main", 1, (0, 0)), ("2023-04-14", "main", 5, (0, 0)), ("2023-04-17", "main", 6, (10, 10)),
        # listed on 2023-04-07 under the old system: its second session falls after the reform and is limited
        ("2023-04-10", "main", 2, (10, 10)), ("2023-04-12", "main", 4, (10, 10)), ("2023-04-12", "main", 3, (0, 0)),
        ("2020-08-21", "chinext", 1, (44, 36)), ("2020-08-24", "chinext", 1, (0, 0)), ("2020-08-25", "chinext", 3, (20, 20)),
        ("2013-06-03", "main", 1, (0, 0)), ("2014-01-02", "main", 1, (44, 36)),
    ])
    def test_first_sessions_of_a_listing(self, date: str, board: str, listed_days: int, expected: tuple[int, int]) -> None:
        assert percent(date, board, listed_days=listed_days) == expected

    @pytest.mark.parametrize(("reference", "is_st", "expected"), [
        (10.05, False, (11.06, 9.05)),  # 11.055 and 9.045 both end in half a cent
        (0.05, False, (0.06, 0.04)),  # 0.055 and 0.045: half up alone would leave the lower limit at 0.05
        (0.05, True, (0.06, 0.04)),  # 0.0525 rounds to the reference itself, so one tick
        (0.01, False, (0.02, 0.01)), (1.15, False, (1.27, 1.04)), (9.99, False, (10.99, 8.99)), (2.68, True, (2.81, 2.55)),
    ])
    def test_limit_prices(self, reference: float, is_st: bool, expected: tuple[float, float]) -> None:
        up, down = price_limits("2024-01-05", reference, "main", is_st, 900)
        assert (float(up), float(down)) == expected

    def test_old_first_day_counts_from_the_issue_price(self) -> None:
        up, down = price_limits("2020-03-02", 12.50, "main", False, 1)
        assert (float(up), float(down)) == (18.00, 8.00)

    def test_free_session_and_missing_reference_have_no_limit(self) -> None:
        up, down = price_limits("2024-01-05", [10.0, np.nan], "star", False, [1, 900])
        assert np.isnan(up).all()
        assert np.isnan(down).all()

    def test_registration_can_be_said_outright(self) -> None:
        up, _ = limit_percent("2023-04-12", "main", False, 3, registration=False)
        assert int(up) == 10

    def test_stamp_duty_lots_and_boards(self) -> None:
        assert (stamp_duty("2008-09-19"), stamp_duty("2023-08-27"), stamp_duty("2023-08-28")) == (0.001, 0.001, 0.0005)
        assert {board: lot_size(board) for board in ("main", "chinext", "star", "bse")} == {
            "main": (100, 100), "chinext": (100, 100), "star": (200, 1), "bse": (100, 1)}
        assert [board_of(s) for s in ("689009.SH", "301001.SZ", "302132.SZ", "430047.BJ", "002594.SZ")] == [
            "star", "chinext", "chinext", "bse", "main"]


class TestProperties:
    @given(cents=st.integers(min_value=20, max_value=400_000), board=st.sampled_from(["main", "star", "bse"]))
    def test_equal_to_decimal_arithmetic(self, cents: int, board: str) -> None:
        rate = {"main": Decimal("0.1"), "star": Decimal("0.2"), "bse": Decimal("0.3")}[board]
        up, down = price_limits("2024-01-05", cents / 100, board, False, 900)
        exact = [(Decimal(cents) / 100 * (1 + sign * rate)).quantize(Decimal("0.01"), ROUND_HALF_UP) for sign in (1, -1)]
        assert [float(up), float(down)] == [float(x) for x in exact]

    def test_dates_may_be_an_array(self) -> None:
        dates = np.array(["2020-08-21", "2020-08-24"], dtype="datetime64[D]")
        up, _ = limit_percent(dates[:, None], np.array(["main", "chinext"], dtype=object), False, 900)
        assert up.tolist() == [[10, 10], [10, 20]]

    def test_cents_survive_binary_floats(self) -> None:
        grid = np.arange(1, 100_000)
        assert (to_cents(grid / 100.0) == grid).all()


class TestErrors:
    def test_unknown_board(self) -> None:
        with pytest.raises(UnknownName, match="unknown board 'start'.*Did you mean 'star'"):
            limit_percent("2024-01-05", "start", False, 900)
        with pytest.raises(UnknownName, match="unknown board 'neeq'"):
            lot_size("neeq")

    def test_stamp_duty_before_the_one_sided_rule(self) -> None:
        with pytest.raises(InvalidSpec, match="got 2008-09-18, expected a date from 2008-09-19 on"):
            stamp_duty("2008-09-18")
