"""Universes as masks over flags, and the one filter that looks ahead."""

import numpy as np
import pytest

from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.market.universe import FLAGS, INDEX_BITS, UniverseSpec, exclusion_counts, tradable_next_day, universe_mask

GOOD = FLAGS["listed"] | FLAGS["has_bar"]


def flags(*names: str) -> int:
    return GOOD | sum(FLAGS[n] for n in names)


class TestExamples:
    def test_each_exclusion(self):
        row = np.array([GOOD, flags("st"), flags("suspended"), flags("delisting"), FLAGS["listed"], GOOD])
        listed = np.array([100, 100, 100, 100, 100, 59])
        members = np.zeros(6, dtype=int)
        assert universe_mask(row, listed, members, UniverseSpec()).tolist() == [True] + [False] * 5
        assert exclusion_counts(row, listed, UniverseSpec()) == {"no bar": 1, "suspended": 1, "delisting": 1, "st": 1, "listed < 60 days": 1}

    def test_index_members_only(self):
        members = np.array([INDEX_BITS["000300.SH"], INDEX_BITS["000905.SH"] | INDEX_BITS["000300.SH"], 0])
        assert universe_mask(np.full(3, GOOD), np.full(3, 99), members, UniverseSpec("000905.SH")).tolist() == [False, True, False]

    def test_limits_do_not_exclude_from_scoring(self):
        assert universe_mask(np.array([flags("limit_up", "one_price_up")]), np.array([99]), np.array([0]), UniverseSpec()).all()

    def test_tradable_next_day_looks_at_the_next_row_only(self):
        grid = np.array([[GOOD] * 5, [GOOD, flags("suspended"), flags("one_price_up"), flags("limit_up"), FLAGS["listed"]]])
        assert tradable_next_day(grid).tolist() == [[True, False, False, True, False], [False] * 5]


class TestErrors:
    def test_unknown_base_and_negative_age(self):
        with pytest.raises(UnknownName, match="unknown universe '000906.SH'"):
            UniverseSpec("000906.SH")
        with pytest.raises(InvalidSpec, match="min_listed_days"):
            UniverseSpec(min_listed_days=-1)
