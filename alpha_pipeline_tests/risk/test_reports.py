"""Company reports as they were known: nothing before its publication, corrections from theirs, nothing stale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.risk.reports import ANNUAL, FIGURES, GROWTH_YEARS, HISTORY_DAYS, ReportBook, growth, report_descriptors

NAN = np.nan
BOTH = np.array([0, 1])


def rows(period: str, book: float, eps: float = NAN) -> pd.DataFrame:
    frame = pd.DataFrame({"report_period": pd.to_datetime([period])})
    for name in FIGURES:
        frame[name] = 100.0
    for name in ANNUAL:
        frame[name] = eps
    return frame.assign(book_equity=book)


class TestExamples:
    def test_latest_period_counts_and_a_correction_replaces(self):
        book = ReportBook(2)
        assert np.isnan(book.at("2023-04-28", BOTH).figures["book_equity"]).all()
        book.publish(np.array([0]), rows("2022-12-31", 10.0, 1.0))
        book.publish(np.array([0]), rows("2023-03-31", 11.0))
        book.publish(np.array([0]), rows("2022-12-31", 9.0, 2.0))  # corrected late: the quarter after it stays the latest
        known = book.at("2023-04-28", BOTH)
        assert known.figures["book_equity"][0] == 11.0
        assert np.isnan(known.figures["book_equity"][1])
        assert known.eps[0].tolist()[-1] == 2.0

    def test_stale_figures_are_unknown(self):
        book = ReportBook(1)
        book.publish(np.array([0]), rows("2022-12-31", 10.0))
        assert book.at("2024-07-03", np.array([0])).figures["book_equity"][0] == 10.0  # 550 days
        assert np.isnan(book.at("2024-07-04", np.array([0])).figures["book_equity"][0])

    def test_years_are_counted_back_from_the_latest(self):
        book = ReportBook(1)
        for year in (2016, 2018, 2019, 2020, 2022):
            book.publish(np.array([0]), rows(f"{year}-12-31", 10.0, float(year)))
        assert book.at("2023-05-05", np.array([0])).eps[0] == pytest.approx([2018, 2019, 2020, NAN, 2022], nan_ok=True)

    def test_quarterly_eps_is_no_annual_figure(self):
        book = ReportBook(1)
        book.publish(np.array([0]), rows("2023-03-31", 10.0, 5.0))
        assert np.isnan(book.at("2023-05-05", np.array([0])).eps).all()

    def test_names_that_nobody_follows_are_left_out(self):
        book = ReportBook(1)
        book.publish(np.array([-1]), rows("2022-12-31", 10.0, 1.0))
        assert np.isnan(book.at("2023-05-05", np.array([0])).figures["book_equity"]).all()

    def test_descriptors(self):
        book = ReportBook(1)
        book.publish(np.array([0]), rows("2022-12-31", 50.0).assign(preferred_equity=NAN, total_liabilities=40.0))
        got = report_descriptors(book.at("2023-05-05", np.array([0])), np.array([200.0]))
        assert {name: float(x[0]) for name, x in got.items()} == pytest.approx(
            {"BTOP": 0.25, "ETOP": 0.5, "CETOP": 0.5, "MLEV": 1.5, "DTOA": 0.4, "BLEV": 3.0, "EGRO": NAN, "SGRO": NAN}, nan_ok=True)

    def test_growth_of_a_loss_that_shrinks_is_positive(self):
        assert growth(np.array([[-5.0, -4, -3, -2, -1]]))[0] == pytest.approx(1 / 3)


class TestProperties:
    def test_a_book_that_starts_within_the_history_says_the_same(self):
        rng = np.random.default_rng(0)
        long, short = ReportBook(1), ReportBook(1)
        today = np.datetime64("2024-05-06")
        for end in pd.date_range("2010-12-31", "2024-03-31", freq="QE"):
            frame = rows(str(end.date()), rng.uniform(), rng.uniform())
            long.publish(np.array([0]), frame)
            if today - np.datetime64(end.date()) <= np.timedelta64(HISTORY_DAYS, "D"):
                short.publish(np.array([0]), frame)
        a, b = long.at(str(today), np.array([0])), short.at(str(today), np.array([0]))
        assert a.figures == b.figures
        assert np.array_equal(a.eps, b.eps)
        assert np.isfinite(a.eps).sum() == GROWTH_YEARS
