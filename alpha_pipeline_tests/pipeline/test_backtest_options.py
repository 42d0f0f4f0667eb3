"""Options of a portfolio's backtest: shares, trade price, rhythm, total-return benchmark."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace

import numpy as np
import pytest

from alpha_pipeline.backtest.share_orders import ShareRules
from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.pipeline import backtests, portfolios
from alpha_pipeline.pipeline.session import rebalance_session
from alpha_pipeline.pipeline.share_replay import daily_volatility
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio import TopNSpec
from alpha_pipeline_tests.conftest import TINY, Run

PLAIN = TINY.portfolios[0]
FREE = ShareRules(commission=0.0, minimum_commission=0.0, has_stamp_duty=False)


@pytest.fixture(scope="module")
def work(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("options") / "market"
    shutil.copytree(ci_run.work.root, root)
    return Workspace(ci_run.work.market, str(root), ci_run.work.source)


def daily_of(work: Workspace, spec) -> tuple:
    manifest = backtests.run_portfolio_backtest(work, spec)
    return manifest, work.store.read_bundle(manifest.table)["daily"]


class TestShares:
    def test_large_assets_without_cost_agree_with_fractions(self, work):
        """Ten billion CNY in whole lots against fractions, both free of cost: the same day's return to a hundredth of a percent."""
        fractions = daily_of(work, replace(PLAIN, costs=replace(PLAIN.costs, buy=0.0, sell=0.0)))[1]
        manifest, shares = daily_of(work, replace(PLAIN, mode="shares", capital=1e10, share_rules=FREE))
        assert np.abs(shares["portfolio_return"].to_numpy() - fractions["portfolio_return"].to_numpy()).max() < 1e-4
        assert "whole lots from 10,000,000,000 CNY" in manifest.meta["conventions"]["mode"]
        assert manifest.meta["paid_cny"]["commission"] == 0.0

    def test_small_assets_pay_the_minimum(self, work):
        cheap = daily_of(work, replace(PLAIN, mode="shares", capital=1e7))[1]
        poor = daily_of(work, replace(PLAIN, mode="shares", capital=2e5))[1]
        assert poor["cost"].sum() > cheap["cost"].sum()
        assert poor["cash"].mean() > cheap["cash"].mean(), "lots leave cash"

    def test_impact_and_participation_cap(self, work):
        rules = ShareRules(impact=1.0, max_participation=0.02)
        manifest, hurt = daily_of(work, replace(PLAIN, mode="shares", capital=5e9, share_rules=rules))
        _, free = daily_of(work, replace(PLAIN, mode="shares", capital=5e9))
        assert manifest.meta["paid_cny"]["impact"] > 0.0
        assert hurt["cash"].iloc[0] > free["cash"].iloc[0] + 0.05, "a capped first day stays in cash"
        assert "max_participation 2.00%" in manifest.meta["conventions"]["costs"]

    def test_volatility_by_hand_and_known_before(self, work):
        panels = work.panels
        columns = np.array([3, 4])
        found = daily_volatility(panels, 60, 62, columns)
        close = panels.daily.field("close", 0, 62)[:, columns].astype(float)
        returns = close[1:] / close[:-1] - 1
        assert found[0] == pytest.approx(returns[39:59].std(axis=0, ddof=1)), "the 20 returns up to row 59"
        assert daily_volatility(panels, 61, 62, columns)[0] == pytest.approx(found[1], abs=0)


class TestPricesAndBenchmark:
    def test_other_trade_prices(self, work):
        for price in ("open", "close"):
            spec = replace(PLAIN, name=f"at_{price}", trade_price=price)
            portfolios.rebalance(work, spec, work.store.keys(portfolios.weights_table(PLAIN.name))[:3])
            manifest, daily = daily_of(work, spec)
            assert manifest.meta["conventions"]["trade price"].startswith(f"{price} of the session after")
            if price == "close":  # nothing is earned between the trade and the close
                assert daily["portfolio_return"].iloc[0] == pytest.approx(-daily["cost"].iloc[0], abs=1e-12)

    def test_total_return_index(self, work):
        manifest, daily = daily_of(work, replace(PLAIN, benchmark_level="total_return"))
        _, price = daily_of(work, PLAIN)
        assert manifest.meta["conventions"]["benchmark"] == "000905.SH total-return index"
        assert daily["benchmark_return"].sum() > price["benchmark_return"].sum()
        assert (daily["portfolio_return"] == price["portfolio_return"]).all()


class TestRhythm:
    def test_every_fifth_session(self, work):
        spec = replace(PLAIN, name="every_five", every_n_sessions=5)
        weeks = work.store.keys(portfolios.weights_table(PLAIN.name))
        days = [rebalance_session(week, work.calendar, 5) for week in weeks]
        numbers = [work.calendar.index(day) for day in days if day]
        assert set(np.diff(numbers)) == {5}
        assert {n % 5 for n in numbers} == {0}
        assert all(rebalance_session(week, work.calendar) >= day for week, day in zip(weeks, days, strict=True) if day)
        first = next(week for week, day in zip(weeks, days, strict=True) if day and day >= dt.date(2023, 7, 3))
        portfolios.rebalance(work, spec, [week for week in weeks if week >= first])
        stored = [work.store.manifest(portfolios.weights_table(spec.name), week).meta for week in weeks if week >= first]
        assert [m["session"] for m in stored if m["status"] != "closed week"] == [str(d) for d in days if d and str(d) >= str(stored[0]["session"])]

    def test_a_week_without_a_signal_date_carries_the_holdings(self, ci_run):
        """A holiday week has fewer than five sessions and may lack the fifth one."""
        calendar = ci_run.work.calendar
        weeks = [str(dt.date(2023, 1, 2) + dt.timedelta(days=7 * n)) for n in range(36)]
        found = [rebalance_session(week, calendar, 5) for week in weeks]
        sessions = [len(calendar.between(week, dt.date.fromisoformat(week) + dt.timedelta(days=6))) for week in weeks]
        assert all(day is not None for day, n in zip(found, sessions, strict=True) if n == 5)
        assert any(day is None for day in found)


class TestReport:
    def test_settings_that_are_not_as_usual_are_printed(self, ci_run):
        from alpha_pipeline.pipeline.reports import load_report_inputs

        shown = load_report_inputs(ci_run.work, TINY).portfolios
        assert shown["tiny_risk"].settings["attribution"] == "full"
        assert not {"attribution", "mode", "trade_price"} & set(shown[PLAIN.name].settings)


class TestErrors:
    @pytest.mark.parametrize(("change", "error", "message"), [
        ({"mode": "lots"}, UnknownName, "unknown mode 'lots'"), ({"trade_price": "high"}, UnknownName, "unknown trade price 'high'"),
        ({"benchmark_level": "net"}, UnknownName, "unknown benchmark level 'net'"),
        ({"every_n_sessions": 3}, InvalidSpec, "every_n_sessions out of range"),
        ({"capital": 0.0, "mode": "shares"}, InvalidSpec, "capital out of range"),
        ({"share_rules": FREE}, InvalidSpec, "read in mode 'shares' only"),
        ({"optimizer": TopNSpec(10), "benchmark_level": "total_return"}, InvalidSpec, "equal-weight universe has no index levels")])
    def test_spec(self, change, error, message):
        with pytest.raises(error, match=message):
            replace(PLAIN, **change).validate(("tiny",))
