"""Equal settings, data and seeds give equal results, whichever way and in whichever pieces they were computed.

The undisturbed run ingested nine months, scored, and rebalanced in long range runs. Here a second store is filled as a live one would be: a
session at a time after the close, a rebalance at each week's end. Everything both hold must be the same, byte for byte.
"""

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import numpy as np
import pytest

from alpha_pipeline.assets import runner
from alpha_pipeline.assets.partitions import half_year_key
from alpha_pipeline.assets.risk import RISK_ASSETS
from alpha_pipeline.assets.runner import Step
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.pipeline import factors, ingest, panels, portfolios, training
from alpha_pipeline.pipeline.ingest import ORDER
from alpha_pipeline.pipeline.session import plan_run, rebalance_session
from alpha_pipeline.pipeline.workspace import StepReport, Workspace
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline_tests.altered import AlteredMarket, copy_until, differing, fingerprints, panel_names, panel_prints, up_to
from alpha_pipeline_tests.conftest import CI_MARKET, TINY, TINY_MODEL, Run

PERIOD = "2023H2"
BEFORE_PERIOD = "2023-06-30"
LIVE_END = "2023-07-14"  # two weeks, the second of which starts from the holdings the first one left
DAILY_RUN = (*ORDER, "universe", "daily_panel", "intraday_15m_panel", f"labels/{TINY_MODEL.label.name}", *RISK_ASSETS, "models/tiny/scores",
             *(f"combinations/{c.name}/scores" for c in TINY.combinations), *(f"signals/{signal.name}/factor" for signal in TINY.all_signals()))
# the second portfolio has a tracking-error limit
WEIGHTS = tuple(f"portfolios/{portfolio.name}/{name}" for portfolio in TINY.portfolios for name in ("weights", "changes"))


@pytest.fixture(scope="module")
def live(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A store that holds history up to the half-year, trained, and then run day by day and week by week through Dagster."""
    folder = tmp_path_factory.mktemp("live")
    copy_until(ci_run.work, folder / "market", (*ORDER, *RISK_ASSETS), BEFORE_PERIOD, with_panels=True)
    resource = MarketResource(market=CI_MARKET, root=str(folder / "market"))
    work = resource.workspace()
    defs = build_definitions(CI_MARKET, [TINY], resource)
    key = half_year_key(PERIOD)
    plan = plan_run(TINY, work.calendar, end=LIVE_END)
    week_ends = dict(zip(work.calendar.week_ends(plan.start, plan.end).astype(str).tolist(), plan.weeks, strict=True))
    steps = [Step("Train", ("models/tiny/training_set", "models/tiny/checkpoint", "combinations/tiny_trees/fit"), key, key)]
    for day in plan.scored:
        steps.append(Step(f"Close of {day}", DAILY_RUN, day, day))
        if day in week_ends:
            steps.append(Step(f"Rebalance {day}", WEIGHTS, week_ends[day], week_ends[day]))
    with dg.DagsterInstance.ephemeral() as instance:
        runner.run_experiment(defs, instance, steps, lambda number, step: None)
    return work


class TestLiveAndBackfill:
    """Single partitions, in the order of the days, against range runs over the whole history."""

    @pytest.mark.parametrize("asset", [*DAILY_RUN, "models/tiny/training_set", "models/tiny/checkpoint",
                                       "combinations/tiny_trees/fit"])
    def test_days_run_alone_equal_the_range_run(self, ci_run, live, asset):
        long, alone = up_to(fingerprints(ci_run.work, asset), LIVE_END), fingerprints(live, asset)
        assert max(found.dated for found in alone.values()) in (LIVE_END, "2023-07-01")
        assert differing(long, alone) == []

    @pytest.mark.parametrize("weights", WEIGHTS)
    def test_weeks_run_alone_equal_the_long_backfill(self, ci_run, live, weights):
        long, alone = up_to(fingerprints(ci_run.work, weights), LIVE_END), fingerprints(live, weights)
        assert list(alone) == ["2023-07-03", "2023-07-10"]
        assert differing(long, alone) == []
        assert "is_first" in live.store.manifest(weights, "2023-07-10").meta
        assert not live.store.manifest(weights, "2023-07-10").meta["is_first"], "the second week starts from the first one's holdings"


class TestTraining:
    def test_two_fresh_stores_give_the_same_weights_and_curves(self, ci_run, live):
        first, second = (training.load(work, TINY_MODEL, PERIOD) for work in (ci_run.work, live))
        assert first.checkpoint_hash == second.checkpoint_hash
        curves = [[(row.stage, row.epoch, row.train_loss, row.valid_loss, row.valid_ic) for row in member] for member in first.histories]
        assert curves == [[(row.stage, row.epoch, row.train_loss, row.valid_loss, row.valid_ic) for row in member] for member in second.histories]

    def test_the_checkpoint_hash_tells_members_apart(self, ci_run):
        """Otherwise equal hashes say nothing."""
        first, second = training.load(ci_run.work, TINY_MODEL, PERIOD).weights
        assert any(not np.array_equal(first[name].numpy(), second[name].numpy()) for name in first)

    def test_a_current_checkpoint_is_not_trained_again(self, live):
        assert not training.train(live, TINY_MODEL, PERIOD, "cpu")[1]


class TestIngestionOrder:
    def test_shuffled_single_dates_and_tables_equal_the_range(self, ci_run, tmp_path):
        work = Workspace(ci_run.work.market, str(tmp_path), ci_run.work.source)
        rng = np.random.default_rng(3)
        keys = list(ci_run.plan.history[:12])
        for key in rng.permutation(keys).tolist():
            ingest.ingest(work, [key], rng.permutation(ORDER).tolist())
        for table in ORDER:
            assert work.store.keys(table) == keys
            contents = [[w.store.manifest(table, key).content for key in keys] for w in (work, ci_run.work)]
            assert contents[0] == contents[1], table

    def test_panels_in_pieces_equal_panels_in_one_go(self, ci_run, tmp_path):
        copy_until(ci_run.work, tmp_path / "market", ORDER, ci_run.plan.history[11], with_panels=False)
        work = Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)
        keys = ci_run.plan.history[:12]
        for piece in (keys[:1], keys[1:7], keys[5:9], keys[9:]):
            extend_all(work, piece)
        for name in panel_names(work):
            assert differing(up_to(panel_prints(ci_run.work.panels.by_name(name)), keys[-1]), panel_prints(work.panels.by_name(name))) == []


def extend_all(work: Workspace, keys: tuple[str, ...] | list[str]) -> dict[str, StepReport]:
    """All panels, in the order of the graph; the report of each."""
    reports = {name: extend(work, keys) for name, extend in (
        ("status", panels.extend_status), ("daily", panels.extend_daily), ("intraday_15m", panels.extend_intraday))}
    return reports | {f"label_{TINY_MODEL.label.name}": panels.extend_labels(work, keys, TINY_MODEL.label)}


@dataclass
class Republished:
    """A full store after its source corrected one old date: when, what each step found, and the panels before."""

    work: Workspace
    date: str
    before: dict[str, dict[str, object]]
    reports: dict[str, StepReport] = field(default_factory=dict)


@pytest.fixture(scope="class")
def republished(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Republished]:
    """The vendor publishes a date of the training sample anew, with other content."""
    root = tmp_path_factory.mktemp("republished") / "market"
    shutil.copytree(ci_run.work.root, root)
    date = dt.date(2023, 6, 12)
    work = Workspace(ci_run.work.market, str(root), AlteredMarket(ci_run.work.source, date, date, moves_listings=False))
    key = date.isoformat()
    state = Republished(work, key, {name: panel_prints(work.panels.by_name(name)) for name in panel_names(work)})
    written = ingest.ingest(work, [key], ORDER, refresh=True)
    assert all(list(report.written) == [key] for report in written.values())
    state.reports = extend_all(work, [key])
    yield state


class TestRepublishedDate:
    def test_without_refresh_a_stored_date_is_kept(self, ci_run, republished):
        kept = Workspace(republished.work.market, ci_run.work.root, republished.work.source)
        assert all(report.reused == [republished.date] for report in ingest.ingest(kept, [republished.date], ORDER).values())

    def test_refreshing_equal_content_changes_nothing(self, ci_run, tmp_path):
        keys = ci_run.plan.history[:3]
        copy_until(ci_run.work, tmp_path / "market", ORDER, keys[-1], with_panels=True)
        work = Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)
        ingest.ingest(work, [keys[1]], ORDER, refresh=True)
        assert all(report.reused == list(keys) and not report.computed for report in extend_all(work, keys).values())

    def test_panels_are_rebuilt_from_that_date(self, republished):
        for name, before in republished.before.items():
            after = panel_prints(republished.work.panels.by_name(name))
            changed = differing(before, after)
            assert list(after) == list(before), "no date is lost"
            assert changed and changed[0] == republished.date, name
            assert republished.reports[name].computed == [date for date in before if date >= republished.date]

    def test_rebuilt_panels_match_their_checksums(self, republished):
        for name in panel_names(republished.work):
            assert republished.work.panels.by_name(name).verify() == []

    def test_the_checkpoint_is_said_to_be_out_of_date(self, republished):
        unchanged, text = training.training_data_unchanged(republished.work, TINY_MODEL, PERIOD)
        assert not unchanged
        assert f"train {PERIOD} again" in text

    def test_scores_whose_windows_hold_the_date_are_not_current(self, ci_run, republished):
        work, plan = republished.work, ci_run.plan
        last_window = str(work.calendar.offset(republished.date, training.min_history(TINY_MODEL) - 1))
        report = training.score(work, TINY_MODEL, plan.scored, "cpu")
        assert report.computed == [day for day in plan.scored if day <= last_window]
        assert report.reused == [day for day in plan.scored if day > last_window]

    def test_factors_and_weights_follow(self, ci_run, republished):
        """After the scores above: factors whose scores changed, and the weeks decided on them or started from holdings that now differ."""
        work, plan = republished.work, ci_run.plan
        training.score(work, TINY_MODEL, plan.scored, "cpu")
        changed = factors.make_factors(work, TINY.signals[0], plan.scored).computed
        assert plan.start in changed and plan.end not in changed
        made_again = portfolios.rebalance(work, TINY.portfolios[0], plan.weeks).computed
        touched = [week for week in plan.weeks if str(rebalance_session(week, work.calendar)) in changed]
        assert touched and set(touched) <= set(made_again)
        weights = [fingerprints(opened, WEIGHTS[0]) for opened in (ci_run.work, work)]
        assert set(differing(*weights)) == set(made_again), "what was kept is what the undisturbed market would give"

    def test_a_training_set_made_again_does_not_accept_the_old_checkpoint(self, republished):
        work = republished.work
        training.make_training_set(work, TINY_MODEL, PERIOD)
        manifest = work.store.manifest(training.training_set_table(TINY_MODEL.name), PERIOD)
        assert training._stored_checkpoint(work, TINY_MODEL, PERIOD, manifest) is None

    def test_raw_tables_of_other_dates_are_untouched(self, ci_run, republished):
        for table in TABLES:
            changed = differing(fingerprints(ci_run.work, table), fingerprints(republished.work, table))
            assert changed == [republished.date] or (table == "fundamentals" and changed == [])
