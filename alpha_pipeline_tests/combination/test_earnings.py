"""Surprises by hand, what a correction does, and that a book which starts late says the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.combination.earnings import EarningsBook

PERIODS = pd.date_range("2020-03-31", periods=12, freq="QE")


def reports(period: pd.Timestamp, **profits: float) -> tuple[np.ndarray, pd.DataFrame]:
    columns = np.array([int(name[1:]) for name in profits])
    return columns, pd.DataFrame({"report_period": period, "net_profit_ttm": list(profits.values())})


def book_of(profits: list[float], first: int = 0) -> EarningsBook:
    book = EarningsBook(2)
    for period, profit in list(zip(PERIODS, profits, strict=False))[first:]:
        book.publish(*reports(period, c1=profit))
    return book


class TestExamples:
    def test_by_hand(self):
        book = book_of([100.0, 101.0, 103.0, 102.0, 106.0])  # changes 1, 2, -1, 4
        found = book.surprise("2021-04-30", np.array([0, 1]))
        assert np.isnan(found[0])
        assert found[1] == pytest.approx(4 / np.std([1, 2, -1, 4], ddof=1))

    def test_only_the_last_eight_changes_count(self):
        profits = np.cumsum([500.0, 80.0, 90.0, *np.arange(1.0, 10.0)]).tolist()
        found = book_of(profits).surprise("2023-01-31", np.array([1]))[0]
        assert found == pytest.approx(9 / np.std(np.arange(2.0, 10.0), ddof=1))

    def test_three_changes_are_too_few(self):
        assert np.isnan(book_of([100.0, 101.0, 103.0, 102.0]).surprise("2021-02-01", np.array([1]))).all()

    def test_equal_changes_have_no_scale(self):
        assert np.isnan(book_of([100.0, 101.0, 102.0, 103.0, 104.0]).surprise("2021-04-30", np.array([1]))).all()

    def test_an_old_report_says_nothing(self):
        book = book_of([100.0, 101.0, 103.0, 102.0, 106.0])
        assert np.isnan(book.surprise("2022-10-03", np.array([1]))).all()
        assert np.isfinite(book.surprise("2022-10-02", np.array([1]))).all()

    def test_a_missing_quarter_costs_two_changes(self):
        book = book_of([100.0, 101.0, np.nan, 102.0, 106.0, 103.0, 108.0])  # changes 1, -, -, 4, -3, 5
        assert book.surprise("2021-10-30", np.array([1]))[0] == pytest.approx(5 / np.std([1, 4, -3, 5], ddof=1))


class TestProperties:
    def test_a_correction_counts_from_its_publication(self):
        book = book_of([100.0, 101.0, 103.0, 102.0, 106.0])
        before = book.surprise("2021-04-30", np.array([1]))
        book.publish(*reports(PERIODS[3], c1=104.0))
        assert book.surprise("2021-04-30", np.array([1])) != before
        assert book.surprise("2021-04-30", np.array([1]))[0] == pytest.approx(2 / np.std([1, 2, 1, 2], ddof=1))

    def test_a_book_that_starts_late_says_the_same(self):
        profits = np.random.default_rng(0).normal(100, 10, 12).tolist()
        assert book_of(profits).surprise("2023-01-31", np.array([1])) == book_of(profits, first=3).surprise("2023-01-31", np.array([1]))

    def test_unknown_names_are_passed_over(self):
        book = EarningsBook(1)
        book.publish(np.array([-1]), pd.DataFrame({"report_period": [PERIODS[0]], "net_profit_ttm": [1.0]}))
        assert np.isnan(book.surprise("2020-05-01", np.array([0]))).all()
