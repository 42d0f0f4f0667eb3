"""The stored weekly changes: every trade of the weights, the week before in numbers made by hand, the page and the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from alpha_pipeline import cli
from alpha_pipeline.errors import MissingData
from alpha_pipeline.pipeline import changes, portfolios
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio.changes import REASONS
from alpha_pipeline.reporting.changes_page import changes_exhibits, render_changes, terminal_rows
from alpha_pipeline_tests.conftest import TINY, TINY_RISK, Run

NAME = TINY.portfolios[0].name
WEEK, EARLIER = "2023-08-21", "2023-08-14"


@pytest.fixture
def copy(ci_run: Run, tmp_path: Path) -> Workspace:
    shutil.copytree(ci_run.work.root, tmp_path / "market")
    return Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)


class TestExamples:
    @pytest.mark.parametrize("portfolio", [NAME, TINY_RISK.name])
    def test_every_trade_of_the_weights(self, ci_run, portfolio):
        work = ci_run.work
        weights = work.store.read(portfolios.weights_table(portfolio), WEEK).set_index("symbol")
        found = changes.read_changes(work, portfolio, WEEK)
        table = found.table.set_index("symbol")
        assert set(table.index) == set(weights.index[(weights["held"] > 0) | (weights["target"] > 0)])
        assert table["change"].to_numpy() == pytest.approx((weights["target"] - weights["held"])[table.index].to_numpy(), abs=1e-15)
        assert set(table["reason"]) <= set(REASONS)
        assert sum(found.facts["turnover_by_reason"].values()) == pytest.approx(found.facts["turnover_two_sided"], abs=len(table) * 1e-6)
        assert found.facts["turnover_two_sided"] <= found.facts["turnover_limit_two_sided"] + 1e-8

    def test_the_week_before_by_hand(self, ci_run):
        work, panels = ci_run.work, ci_run.work.panels
        found = changes.read_changes(work, NAME, WEEK)
        before = work.store.read(portfolios.weights_table(NAME), EARLIER).set_index("symbol")
        days = [panels.daily.index(day) for day in (found.facts["week_before"]["session"], found.session)]
        close = [panels.daily.field("close", at, at + 1)[0, panels.axis.known_columns(before.index.tolist())].astype(float) for at in days]
        returns = close[1] / close[0] - 1
        active = (before["target"] - before["benchmark"]).to_numpy()
        facts = found.facts["week_before"]
        assert facts["expected_active_alpha"] == pytest.approx(float(np.nansum(active * before["alpha"].to_numpy())))
        assert facts["realized_active_return"] == pytest.approx(float(np.nansum(active * returns)))
        assert facts["rank_correlation"] == pytest.approx(before["alpha"].corr(before["alpha"] * 0 + returns, method="spearman"))
        navs = [work.store.manifest(portfolios.weights_table(NAME), week).meta["nav"] for week in (EARLIER, WEEK)]
        assert facts["portfolio_return"] == pytest.approx(navs[1] / navs[0] - 1)
        row = found.table.iloc[0]
        assert row["return_since"] == pytest.approx(float(returns[before.index.get_loc(row["symbol"])])) or row["symbol"] not in before.index

    def test_first_portfolio_has_no_week_before(self, ci_run):
        found = changes.read_changes(ci_run.work, NAME, "2023-07-03")
        assert found.facts["is_first"]
        assert "week_before" not in found.facts
        assert found.table["return_since"].isna().all()
        assert "does not apply to the first portfolio" in changes_exhibits(found)[1].conventions


class TestProperties:
    def test_made_once(self, copy):
        assert changes.make_changes(copy, TINY.portfolios[0], [EARLIER, WEEK]).reused == [EARLIER, WEEK]

    def test_the_page_is_the_newest_weeks_and_stands_alone(self, ci_run):
        work = ci_run.work
        stored = work.store.bundle(changes.page_name(NAME))
        assert stored.meta["week"] == changes.newest_week(work, NAME) == ci_run.plan.weeks[-1]
        page = work.store.read_bundle_file(changes.page_name(NAME), changes.PAGE).decode()
        assert "SIMULATED" in page
        assert "http" not in page.replace("http-equiv", "")
        assert page.count("<table") == 4
        assert len(page) < 60_000
        found = changes.read_changes(work, NAME, stored.meta["week"])
        assert page == render_changes(found, work.market.name, True)
        assert found.table["symbol"].iloc[0] in page

    def test_newest_up_to_a_date(self, ci_run):
        assert changes.newest_week(ci_run.work, NAME, "2023-08-24") == EARLIER

    def test_the_report_shows_it(self, ci_run):
        page = ci_run.work.store.read_bundle_file("reports/tiny", "report.html").decode()
        assert "Newest rebalance" in page
        assert f"{NAME}: largest trades decided at the close of" in page

    def test_terminal(self, ci_run):
        header, rows = terminal_rows(changes.read_changes(ci_run.work, NAME, WEEK))
        assert len(header) == len(rows[0]) == 6
        assert rows[-1][-1] == "turnover, together, two-sided"

    def test_facts_are_plain(self, ci_run):
        json.dumps(changes.read_changes(ci_run.work, TINY_RISK.name, WEEK).facts)


class TestCommand:
    @pytest.fixture
    def opened(self, ci_run, monkeypatch):
        monkeypatch.setattr("alpha_pipeline.pipeline.workspace.data_root", lambda market: ci_run.work.root)
        return ["changes", NAME, "--market", "ci"]

    def test_prints_the_newest(self, opened, capsys):
        assert cli.main(opened) == 0
        assert "largest" not in capsys.readouterr().err
        assert cli.main([*opened, "--week", "2023-08-23"]) == 0, "any date of the week"
        assert "decided at the close of 2023-08-25" in capsys.readouterr().out

    def test_writes_a_page(self, opened, tmp_path, capsys):
        assert cli.main([*opened, "--week", EARLIER, "--output", str(tmp_path / "page.html")]) == 0
        assert "2023-08-18" in (tmp_path / "page.html").read_text(encoding="utf-8")

    def test_a_week_that_is_not_there(self, opened, capsys):
        assert cli.main([*opened, "--week", "2020-01-06"]) == 2
        assert "has no week 2020-01-06 (expected a Monday from 2023-07-03 to" in capsys.readouterr().err


class TestErrors:
    def test_no_weights(self, copy):
        with pytest.raises(MissingData, match="no weights of 2030-01-07"):
            changes.make_changes(copy, TINY.portfolios[0], ["2030-01-07"])

    def test_nothing_stored(self, copy):
        with pytest.raises(MissingData, match="no rebalance is stored"):
            changes.newest_week(copy, "nothing")
