"""The trading calendar, checked on weeks with holidays."""

import datetime as dt

import numpy as np
import pytest

from alpha_pipeline.errors import MissingData
from alpha_pipeline.market.calendar import exchange_sessions

CALENDAR = exchange_sessions("XSHG", dt.date(2023, 9, 1), dt.date(2023, 10, 31))


class TestExamples:
    def test_golden_week_is_closed(self):
        assert not any(CALENDAR.is_session(dt.date(2023, 10, day)) for day in range(1, 9))
        assert CALENDAR.is_session("2023-09-28")
        assert CALENDAR.last_before("2023-10-09") == dt.date(2023, 9, 28)

    def test_week_ends_skip_closed_weeks(self):
        ends = [str(d) for d in CALENDAR.week_ends("2023-09-18", "2023-10-20")]
        assert ends == ["2023-09-22", "2023-09-28", "2023-10-13", "2023-10-20"]

    def test_offset_and_index(self):
        assert CALENDAR.offset("2023-09-28", 1) == dt.date(2023, 10, 9)
        assert CALENDAR.offset("2023-10-31", 1) is None
        assert CALENDAR.sessions[CALENDAR.index("2023-10-09")] == np.datetime64("2023-10-09")


class TestErrors:
    def test_holiday_names_its_neighbours(self):
        with pytest.raises(MissingData, match="2023-10-02 is not a session of XSHG.*2023-09-28 and 2023-10-09"):
            CALENDAR.index("2023-10-02")

    def test_beyond_the_library(self):
        with pytest.raises(MissingData, match="calendar XSHG ends on .*newer exchange_calendars"):
            exchange_sessions("XSHG", dt.date(2024, 1, 1), dt.date(2099, 1, 1))
