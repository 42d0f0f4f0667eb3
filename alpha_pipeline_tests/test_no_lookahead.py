"""Nothing that is dated *t* changes when everything after *t* does, asset by asset over the whole graph.

The tiny experiment runs twice through Dagster: on the small market, and on one whose rows are all different after *t*. Every partition whose
information is dated on or before *t* must come out the same, bit for bit. Results without partitions (factor tests, backtest, attribution,
report) are computed again on both stores with ``end = t``: the panels behind them then hold rows after *t* that a careless slice would read, and
whole results are compared, summaries and pages included, not only the daily frames that lie before *t*.

A model is trained on what precedes its half-year, so for it *t* is the last session before: a second altered market begins there.
"""

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.assets import runner
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.pipeline import factors, ingest, panels, portfolios, reports, risk_exposures, training
from alpha_pipeline.pipeline.combinations import scores as combinations
from alpha_pipeline.pipeline.combinations import trailing
from alpha_pipeline.pipeline.combinations.fit import fit
from alpha_pipeline.pipeline.combinations.plan import resolved
from alpha_pipeline.pipeline.session import plan_run
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline_tests.altered import (
    NEW_SYMBOL,
    AlteredResource,
    Prints,
    UnknownAssetError,
    altered_after,
    copy_until,
    differing,
    fingerprints,
    panel_names,
    up_to,
)
from alpha_pipeline_tests.conftest import CI_MARKET, TINY, TINY_MODEL, Run, all_steps

T = "2023-08-04"  # a Friday in the middle of the out-of-sample range: a week's signal is decided at its close
END = "2023-08-18"  # ten sessions on: labels of samples formed at t have been realized
INGESTED_BEFORE = "2023-07-21"  # raw tables up to here are taken over from the undisturbed market, to save time
BEFORE_PERIOD, AFTER_PERIOD_START = "2023-06-30", "2023-07-28"
PERIOD = "2023H2"

GRAPH = build_definitions(CI_MARKET, [TINY]).resolve_asset_graph()
ASSETS = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())
PARTITIONED = [asset for asset in ASSETS if GRAPH.get(dg.AssetKey(asset.split("/"))).partitions_def is not None]
# made before the altered dates by construction; TestTraining and TestPlantedLookAhead show that they would notice
TRAINED = [a for a in PARTITIONED if a.endswith(("/training_set", "/checkpoint", "/fit"))]


@dataclass(frozen=True)
class Worlds:
    """Two stores with the experiment on them that agree on everything dated up to ``T``."""

    plain: Workspace
    altered: Workspace
    found: dict[str, tuple[Prints, Prints]] = field(default_factory=dict)

    def prints(self, asset: str) -> tuple[Prints, Prints]:
        """Fingerprints of an asset in both."""
        if asset not in self.found:
            self.found[asset] = fingerprints(self.plain, asset), fingerprints(self.altered, asset)
        return self.found[asset]


def run_steps(resource: MarketResource, end: str, select: tuple[str, ...] = ()) -> None:
    """The steps of the tiny experiment up to ``end`` on a store; ``select`` takes those whose title starts so."""
    work = resource.workspace()
    steps = all_steps(TINY, plan_run(TINY, work.calendar, end=end), work)
    chosen = [step for step in steps if not select or step.title.startswith(select)]
    with dg.DagsterInstance.ephemeral() as instance:
        runner.run_experiment(build_definitions(CI_MARKET, [TINY], resource), instance, chosen, lambda number, step: None)


@pytest.fixture(scope="module")
def worlds(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """The undisturbed store (a copy, results with ``end = T``), and a new one on the altered market."""
    folder = tmp_path_factory.mktemp("worlds")
    shutil.copytree(ci_run.work.root, folder / "plain")
    plain = MarketResource(market=CI_MARKET, root=str(folder / "plain"))
    copy_until(ci_run.work, folder / "altered", tuple(TABLES), INGESTED_BEFORE, with_panels=False)
    altered = AlteredResource(market=CI_MARKET, root=str(folder / "altered"), known_until=T)
    with pytest.MonkeyPatch.context() as patch:
        # the page prints how long training took; that is the one thing in it that may differ
        patch.setattr(reports, "history_frame", lambda checkpoint: training.history_frame(checkpoint).assign(seconds=0.0, samples_per_second=0.0))
        results = ("Factor tests", "Backtest", "Study", "Report", "Index")
        run_steps(altered, END, ("Raw", "Risk", "Train", "Fit", "Scores", "Factors", "Rebalance"))
        for resource in (plain, altered):
            run_steps(resource, T, results)
        yield Worlds(plain.workspace(), altered.workspace())


class TestAlteredMarket:
    """The instrument: the altered market is another one after t, in every column, and the same one before."""

    def test_nothing_is_altered_up_to_t(self, ci_run):
        other = altered_after("", CI_MARKET, T).source
        day = dt.date.fromisoformat(T)
        for name, frame in ci_run.work.source.read_day(day, tuple(TABLES)).items():
            pd.testing.assert_frame_equal(other.read_day(day, [name])[name], frame)

    def test_every_column_of_every_table_is_altered_after_t(self, ci_run):
        other = altered_after("", CI_MARKET, T).source
        days = ci_run.work.session_keys("2023-08-07", END)
        for name, schema in TABLES.items():
            unchanged = {c.name for c in schema.columns} - set(schema.key)
            for day in map(dt.date.fromisoformat, days):
                before, after = (s.read_day(day, [name])[name].set_index(list(schema.key)) for s in (ci_run.work.source, other))
                both = before.index.intersection(after.index)
                unchanged -= {c for c in unchanged if not before.loc[both, c].equals(after.loc[both, c])}
            assert not unchanged, name

    def test_listings_after_t_differ(self, worlds):
        assert NEW_SYMBOL in worlds.altered.panels.axis.symbols
        assert NEW_SYMBOL not in worlds.plain.panels.axis.symbols

    def test_raw_checks_pass_on_it(self, worlds):
        assert not (Path(worlds.altered.root) / "quarantine").exists()


class TestEveryAsset:
    @pytest.mark.parametrize("asset", ASSETS)
    def test_partitions_up_to_t_are_the_same_bit_for_bit(self, worlds, asset):
        plain, altered = (up_to(prints, T) for prints in worlds.prints(asset))
        assert plain, "nothing to compare"
        assert "absent" not in {found.content for found in plain.values()}
        assert differing(plain, altered) == []

    @pytest.mark.parametrize("asset", [a for a in PARTITIONED if a not in TRAINED])
    def test_partitions_reach_t_and_differ_after_it(self, worlds, asset):
        """Otherwise the alteration does not reach this asset, and its sameness up to t says nothing."""
        plain, altered = (up_to(prints, END) for prints in worlds.prints(asset))
        known = up_to(plain, T)
        assert max(found.dated for found in known.values()) == T
        # a session without a report has an empty table in either market
        later = {key for key in plain.keys() - known if asset != "fundamentals" or len(worlds.plain.store.read(asset, key))}
        assert later
        assert later <= set(differing(plain, altered))

    def test_an_asset_of_an_unknown_kind_is_an_error(self, worlds):
        with pytest.raises(UnknownAssetError, match="'risk/tail_risk'"):
            fingerprints(worlds.plain, "risk/tail_risk")

    def test_panels_match_their_checksums(self, worlds):
        for work in (worlds.plain, worlds.altered):
            assert [work.panels.by_name(name).verify() for name in panel_names(work)] == [[], [], [], []]


@pytest.fixture(scope="module")
def before_training(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A store with the market up to the last session before the half-year, and another market in the four weeks after it."""
    root = copy_until(ci_run.work, tmp_path_factory.mktemp("training") / "altered", tuple(TABLES), BEFORE_PERIOD, with_panels=True)
    work = altered_after(root, CI_MARKET, BEFORE_PERIOD)
    keys = work.session_keys("2023-07-03", AFTER_PERIOD_START)
    rejected = {table: report.rejected for table, report in ingest.ingest(work, keys, tuple(TABLES)).items() if report.rejected}
    assert not rejected
    for extend in (panels.extend_status, panels.extend_daily, panels.extend_intraday):
        extend(work, keys)
    panels.extend_labels(work, keys, TINY_MODEL.label)
    return work


class TestTraining:
    def test_training_set_checkpoint_and_fit_know_nothing_of_their_half_year(self, ci_run, before_training):
        training.make_training_set(before_training, TINY_MODEL, PERIOD)
        training.train(before_training, TINY_MODEL, PERIOD, "cpu")
        fit(before_training, resolved(TINY.combinations, TINY.models)["tiny_trees"], PERIOD)
        for asset in TRAINED:
            plain, altered = (fingerprints(work, asset) for work in (ci_run.work, before_training))
            assert list(plain) == [PERIOD]
            assert differing(plain, altered) == [], asset


class TestPlantedLookAhead:
    """A step that reads one row too many is found: otherwise none of the above could fail."""

    @staticmethod
    def _remade(worlds: Worlds, monkeypatch: pytest.MonkeyPatch, make: Callable[[Workspace], object]) -> list[pd.DataFrame]:
        """What a step would store on either store; nothing is stored."""
        frames: list[pd.DataFrame] = []
        for work in (worlds.plain, worlds.altered):
            monkeypatch.setattr(work.store, "is_current", lambda table, key, source: False)
            monkeypatch.setattr(work.store, "write", lambda table, key, frame, source="", meta=None: frames.append(frame))
            make(work)
        return frames

    def test_remaking_without_a_plant_gives_the_same(self, worlds, monkeypatch):
        first, second = self._remade(worlds, monkeypatch, lambda work: factors.make_factors(work, TINY.signals[0], [T]))
        pd.testing.assert_frame_equal(first, second, check_exact=True)

    def test_factor_that_reads_the_next_capitalization(self, worlds, monkeypatch):
        honest = factors._log_cap
        monkeypatch.setattr(factors, "_log_cap", lambda opened, start, stop: honest(opened, start + 1, stop + 1)[:, : len(opened.axis)])
        first, second = self._remade(worlds, monkeypatch, lambda work: factors.make_factors(work, TINY.signals[0], [T]))
        assert not first.equals(second)

    def test_exposures_with_the_next_capitalization(self, worlds, monkeypatch):
        first, second = self._remade(worlds, monkeypatch, lambda work: risk_exposures.make_exposures(work, [T]))
        pd.testing.assert_frame_equal(first, second, check_exact=True)
        honest = risk_exposures._cap
        monkeypatch.setattr(risk_exposures, "_cap", lambda opened, start, stop: honest(opened, start + 1, stop + 1)[:, : len(opened.axis)])
        first, second = self._remade(worlds, monkeypatch, lambda work: risk_exposures.make_exposures(work, [T]))
        assert not first.equals(second)

    def test_scores_from_windows_that_end_a_day_late(self, worlds, monkeypatch):
        honest = training.windows_of
        monkeypatch.setattr(training, "windows_of", lambda opened, spec, start, stop: honest(opened, spec, start + 1, stop + 1))
        first, second = self._remade(worlds, monkeypatch, lambda work: training.score(work, TINY_MODEL, [T], "cpu"))
        assert not first.equals(second)

    @pytest.mark.parametrize("name", ["tiny_icir", "tiny_premium"])
    def test_combination_weighted_by_labels_that_end_a_day_late(self, worlds, monkeypatch, name):
        combination = resolved(TINY.combinations, TINY.models)[name]
        first, second = self._remade(worlds, monkeypatch, lambda work: combinations.score(work, combination, [T]))
        pd.testing.assert_frame_equal(first, second, check_exact=True)
        honest = trailing.past_dates
        late = worlds.plain.calendar.offset(T, 1)
        monkeypatch.setattr(trailing, "past_dates", lambda combination, day, calendar: honest(combination, late, calendar))
        first, second = self._remade(worlds, monkeypatch, lambda work: combinations.score(work, combination, [T]))
        assert not first.equals(second)

    def test_weights_against_the_next_benchmark(self, worlds, monkeypatch):
        honest = portfolios._benchmark
        monkeypatch.setattr(portfolios, "_benchmark", lambda work, opened, index, key: honest(work, opened, index, "2023-08-07"))
        # an earlier week would have to exist: the first one has no predecessor
        monkeypatch.setattr(portfolios, "_previous", lambda work, table, week: None)
        first, second = self._remade(worlds, monkeypatch, lambda work: portfolios.rebalance(work, TINY.portfolios[0], ["2023-07-31"]))
        assert not first.equals(second)

    def test_panel_rows_stored_a_session_early(self, worlds, tmp_path):
        """And the labels made of them: row t then holds a return that ends after t."""
        label = ForwardReturn(horizon=1)
        stored = []
        for name, work in (("plain", worlds.plain), ("altered", worlds.altered)):
            shutil.copytree(Path(work.root) / "panels", tmp_path / name / "panels")
            copied = Workspace(work.market, str(tmp_path / name), work.source)
            daily = copied.panels.daily
            values, rows = np.array(daily.values), list(daily.rows)
            daily.truncate(rows[0].date)
            with daily.appending() as appended:
                for at, row in enumerate(rows[:-1]):
                    appended.add(row.date, values[at + 1], row.source)
            panels.extend_labels(copied, [date for date in copied.panels.daily.dates if date <= T], label)
            stored.append(copied)
        for asset in ("daily_panel", f"labels/{label.name}"):
            assert differing(*(up_to(fingerprints(work, asset), T) for work in stored)) == [T]

    def test_training_on_windows_of_the_half_year(self, ci_run, before_training, monkeypatch, tmp_path):
        spec = replace(TINY_MODEL, name="planted", seeds=(0,), training=replace(TINY_MODEL.training, max_epochs=1))
        honest = training.windows_of
        shift = 15  # the last sample precedes the half-year by its purge gap, ten to fourteen sessions
        monkeypatch.setattr(training, "windows_of", lambda opened, model, start, stop: honest(opened, model, start + shift, stop + shift))
        prints = []
        for name, work in (("plain", ci_run.work), ("altered", before_training)):
            shutil.copytree(Path(work.root) / "panels", tmp_path / name / "panels")
            copied = Workspace(work.market, str(tmp_path / name), work.source)
            training.make_training_set(copied, spec, PERIOD)
            training.train(copied, spec, PERIOD, "cpu")
            prints.append(fingerprints(copied, f"models/{spec.name}/checkpoint"))
        assert differing(*prints) == [PERIOD]

    def test_every_panel_is_covered_by_an_asset(self, worlds):
        covered = {"status", "daily", "intraday_15m"} | {"label_" + a.removeprefix("labels/") for a in ASSETS if a.startswith("labels/")}
        assert set(panel_names(worlds.plain)) == covered
