"""The three axes: one key per session, half-years that look back only, weeks that never look ahead."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from alpha_pipeline.assets.partitions import Axes, half_year_key, market_axes, period_name
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.experiments.demo import DEMO
from alpha_pipeline.market.calendar import TradingCalendar, exchange_sessions
from alpha_pipeline.markets import MARKETS, MarketConfig, open_source
from alpha_pipeline.training.periods import period_of

LONG = MarketConfig("long", "simulated", dt.date(2012, 5, 2), dt.date(2025, 12, 31))


def axes_of(market: MarketConfig) -> tuple[Axes, TradingCalendar]:
    calendar = exchange_sessions("XSHG", market.start, market.end)
    return market_axes(market, calendar), calendar


@pytest.fixture(scope="module", params=["demo", "ci", "long"])
def market(request: pytest.FixtureRequest) -> tuple[Axes, TradingCalendar]:
    return axes_of(LONG if request.param == "long" else MARKETS[request.param])


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    return build_definitions("demo", [DEMO]).resolve_asset_graph()


def parents(graph: dg.AssetGraph, child: str, key: str, parent: str) -> list[str]:
    """Partition keys of ``parent`` that ``child``'s partition ``key`` depends on, as Dagster resolves them."""
    down, up = dg.AssetKey(child.split("/")), dg.AssetKey(parent.split("/"))
    definition, upstream = graph.get(down).partitions_def, graph.get(up).partitions_def
    mapping = graph.get_partition_mapping(down, up)
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(definition.subset_with_partition_keys([key]), definition, upstream)
    return sorted(found.partitions_subset.get_partition_keys())


class TestTradeDates:
    def test_keys_are_the_sessions(self, market):
        axes, calendar = market
        assert axes.trade_dates.get_partition_keys() == calendar.keys()

    def test_the_markets_calendar_is_the_sources(self):
        source = open_source(MARKETS["ci"])
        assert market_axes(MARKETS["ci"], source.calendar).trade_dates.get_partition_keys() == source.calendar.keys()

    @pytest.mark.parametrize(
        "day",
        [
            "2023-10-02",
            "2023-10-06",  # Golden Week
            "2023-01-23",
            "2023-01-27",  # Spring Festival
            "2023-10-07",
            "2023-10-08",  # a weekend on which offices worked, the exchange did not
            "2022-06-30",
            "2024-07-01",  # before and after the market
        ],
    )
    def test_other_days_are_rejected(self, day):
        axes, _ = axes_of(MARKETS["demo"])
        assert not axes.trade_dates.has_partition_key(day)

    def test_the_first_and_the_last_session_are_there(self):
        axes, _ = axes_of(MARKETS["demo"])
        assert axes.trade_dates.get_first_partition_key() == "2022-07-01"
        assert axes.trade_dates.get_last_partition_key() == "2024-06-28"

    def test_sessions_appear_as_time_passes(self):
        """On 1 January 2013 the market has its past and the next session, in 2040 all of it."""
        axes, calendar = axes_of(LONG)
        for year in (2013, 2040):
            with partition_loading_context(effective_dt=dt.datetime(year, 1, 1, tzinfo=dt.UTC)):
                assert axes.trade_dates.get_first_partition_key() == calendar.first.isoformat()
                assert axes.trade_dates.get_last_partition_key() == {2013: "2013-01-04", 2040: calendar.last.isoformat()}[year]


class TestHalfYears:
    @pytest.mark.parametrize(("key", "name"), [("2017-01", "2017H1"), ("2017-07", "2017H2"), ("2024-01", "2024H1")])
    def test_names(self, key, name):
        assert period_name(key) == name
        assert half_year_key(name) == key

    def test_keys_span_the_market(self):
        assert axes_of(MARKETS["demo"])[0].half_years.get_partition_keys() == ["2022-07", "2023-01", "2023-07", "2024-01"]
        assert axes_of(LONG)[0].half_years.get_partition_keys()[0::26] == ["2012-01", "2025-01"]

    def test_names_are_the_periods_of_the_sessions(self, market):
        axes, calendar = market
        assert [period_name(key) for key in axes.half_years.get_partition_keys()] == list(
            dict.fromkeys(period_of(day).name for day in calendar.keys())
        )

    def test_a_training_set_depends_on_earlier_dates_only(self, graph):
        axes, calendar = axes_of(MARKETS["demo"])
        for key in axes.half_years.get_partition_keys():
            start = period_of(f"{key}-15").start.isoformat()
            for parent in ("daily_panel", "intraday_15m_panel", "universe", "labels/r10"):
                assert parents(graph, "models/demo_incremental/training_set", key, parent) == [day for day in calendar.keys() if day < start], (
                    key,
                    parent,
                )

    def test_the_boundary_on_a_holiday(self, graph):
        """2022 ends with a weekend, 2023 begins with a holiday: the last day of 2023H1's training data is 30 December."""
        assert parents(graph, "models/demo_incremental/training_set", "2023-01", "daily_panel")[-1] == "2022-12-30"
        assert parents(graph, "models/demo_incremental/scores", "2022-12-30", "models/demo_incremental/checkpoint") == ["2022-07"]
        assert parents(graph, "models/demo_incremental/scores", "2023-01-03", "models/demo_incremental/checkpoint") == ["2023-01"]

    def test_a_score_uses_the_model_of_its_half_year(self, graph):
        _, calendar = axes_of(MARKETS["demo"])
        for day in calendar.keys()[::7]:
            expected = [half_year_key(period_of(day).name)]
            assert parents(graph, "models/demo_incremental/scores", day, "models/demo_incremental/checkpoint") == expected


class TestWeeks:
    def test_keys_are_mondays_without_a_gap(self, market):
        axes, calendar = market
        keys = [dt.date.fromisoformat(key) for key in axes.weeks.get_partition_keys()]
        assert all(key.weekday() == 0 for key in keys)
        assert {b - a for a, b in zip(keys, keys[1:], strict=False)} == {dt.timedelta(days=7)}
        assert keys[0] <= calendar.first < keys[0] + dt.timedelta(days=7)
        assert keys[-1] <= calendar.last < keys[-1] + dt.timedelta(days=7)

    def test_weights_see_nothing_after_their_week(self, graph):
        axes, calendar = axes_of(MARKETS["demo"])
        for key in axes.weeks.get_partition_keys():
            sunday = (dt.date.fromisoformat(key) + dt.timedelta(days=6)).isoformat()
            seen = parents(graph, "portfolios/demo_csi500_t40/weights", key, "signals/demo_incremental/factor")
            assert seen == sorted(seen)
            assert seen[-1] <= sunday
            assert {day for day in calendar.keys() if key <= day <= sunday} <= set(seen)

    def test_weights_depend_on_the_week_before(self, graph):
        assert parents(graph, "portfolios/demo_csi500_t40/weights", "2023-10-09", "portfolios/demo_csi500_t40/weights") == ["2023-10-02"]


class TestSameDay:
    @pytest.mark.parametrize(
        ("child", "parent"),
        [
            ("daily_panel", "daily_bars"),
            ("universe", "security_status"),
            ("intraday_15m_panel", "daily_panel"),
            ("labels/r10", "daily_panel"),
            ("models/demo_incremental/scores", "daily_panel"),
            ("signals/demo_incremental/factor", "models/demo_incremental/scores"),
        ],
    )
    def test_a_date_depends_on_itself(self, graph, child, parent):
        for key in ("2022-07-01", "2023-09-28", "2023-10-09", "2024-06-28"):
            assert parents(graph, child, key, parent) == [key]
