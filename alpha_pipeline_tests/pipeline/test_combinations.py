"""Combinations on the small market: windows and what they need of the past, fits against a second assembly of their rows, refusals by name."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alpha_pipeline.combination.lightgbm_weighting import Rows, TreeSettings, fit_trees
from alpha_pipeline.combination.other_factors import OTHER_FACTORS
from alpha_pipeline.errors import InvalidSpec, ManifestMismatch, MissingData, NotEnoughData, UnknownName
from alpha_pipeline.experiment import CombinationSpec, ModelSpec
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.market.calendar import exchange_sessions
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.combinations import plan
from alpha_pipeline.pipeline.combinations.fit import fit, fit_name, importances
from alpha_pipeline.pipeline.combinations.inputs import Columns, InputReader, LabelReader, _absence
from alpha_pipeline.pipeline.combinations.scores import score, weights_over_time
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.sources.base import SourceDescription
from alpha_pipeline.training.periods import WalkForward, period_named
from alpha_pipeline_tests.conftest import TINY, TINY_MODEL

PERIOD = "2023H2"
UNIT = replace(TINY_MODEL, name="unit", network="factor_gru", tensors=("rawbar",))  # two seeds, K = 3 factors, as the tables below have them
OTHER = replace(TINY_MODEL, name="other")  # one score a seed
TREES = CombinationSpec("trees", "lightgbm", ("unit", "other", "size"), window_months=3, min_months=2,
                        trees=TreeSettings(max_rounds=20, min_leaf=20, n_leaves=4, patience=5))
SPECS = {
    "trees": TREES,
    "equal": replace(TREES, name="equal", method="equal"),
    "ic": replace(TREES, name="ic", method="ic_weighted"),
    "icir": replace(TREES, name="icir", method="max_icir"),
    "premium": replace(TREES, name="premium", method="premium", inputs=("other", "size", "value", "analyst")),
    "mean": replace(TREES, name="mean", method="zscore_mean", inputs=("unit", "other")),
}
DAYS = ["2023-07-03", "2023-07-04", "2023-08-31"]


@pytest.fixture(scope="module")
def store(ci_run, tmp_path_factory) -> Iterator[Workspace]:
    """A copy of the small market with made-up scores: the unit's first factor knows the label a little, everything else is noise."""
    root = tmp_path_factory.mktemp("combined") / "market"
    shutil.copytree(ci_run.work.root, root, ignore=shutil.ignore_patterns("results", "quarantine", "risk", "signals", "intraday*"))
    work = Workspace(ci_run.work.market, str(root), ci_run.work.source)
    panels = work.panels
    labels = LabelReader(panels, TREES.label, TREES.universe)
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_model_from", lambda model, calendar: dt.date(2023, 3, 1))
        for key in work.session_keys("2023-03-01", "2023-08-31"):
            at = panels.status.index(key)
            keep = np.flatnonzero(panels.universe(TREES.universe, at, at + 1)[0])[:-2]  # two names without a score
            known = np.nan_to_num(labels.standardized(key)[keep]) if labels.known_at(key) < len(panels.status.rows) else np.zeros(len(keep))
            columns = {"trade_date": pd.Timestamp(key), "symbol": [panels.axis.symbols[i] for i in keep]}
            factors = {f"f{seed}_{k}": rng.normal(size=len(keep)) + (known if k == 0 else 0) for seed in (0, 1) for k in range(3)}
            content = work.store.write("models/unit/factors", key, pd.DataFrame(columns | factors).astype({c: "float32" for c in factors})).content
            members = {f"member_{seed}": rng.normal(size=len(keep)) for seed in (0, 1)}
            frame = pd.DataFrame(columns | {"score": sum(members.values())} | members)
            work.store.write("models/unit/scores", key, frame, meta={"factors": content})
            work.store.write("models/other/scores", key, frame.assign(score=frame["score"] ** 3))
        yield work


@pytest.fixture(scope="module")
def combined(store) -> dict[str, plan.Combination]:
    """All methods, fitted and scored."""
    found = plan.resolved(tuple(SPECS.values()), (UNIT, OTHER))
    fit(store, found["trees"], PERIOD)
    for combination in found.values():
        score(store, combination, DAYS)
    return found


def log_cap(work: Workspace, key: str) -> pd.Series:
    """ln of the market value of the universe's stocks, NaN for the others."""
    at = work.panels.status.index(key)
    mask = work.panels.universe(TREES.universe, at, at + 1)[0]
    cap = pd.Series(work.panels.daily.field("total_cap", at, at + 1)[0].astype(float), work.panels.axis.symbols)
    return np.log(cap.where(mask))


class TestPlan:
    CALENDAR = exchange_sessions("XSHG", dt.date(2014, 1, 2), dt.date(2020, 12, 31))
    MODEL = ModelSpec("m", "factor_gru", ("rawbar",), walk=WalkForward(train_start=dt.date(2014, 1, 1)))

    def of(self, **settings: object) -> plan.Combination:
        spec = replace(CombinationSpec("c", "lightgbm", ("m",)), **settings)
        return plan.resolved((spec,), (self.MODEL,))["c"]

    def test_a_window_of_a_year_needs_two_half_years_of_the_model(self):
        assert plan.window_start(self.of(), dt.date(2017, 2, 10), self.CALENDAR) == dt.date(2016, 1, 1)

    def test_fit_dates_end_before_their_labels_reach_the_half_year(self):
        found = plan.fit_plan(self.of(label=ForwardReturn(lag=1)), period_named("2017H1"), self.CALENDAR)
        assert found.train_dates[0] == np.datetime64("2016-01-04")
        assert found.valid_indices[-1] + 11 <= self.CALENDAR.index("2016-12-30")
        assert found.train_indices[-1] + 11 < found.valid_indices[0]
        assert len(found.valid_dates) == pytest.approx(len(found.train_dates) / 4, abs=2)

    def test_a_market_that_starts_late_has_a_shorter_window(self):
        first = plan.inputs_from(self.of(), self.CALENDAR)  # the model's own first half-year
        assert first == dt.date(2014, 7, 1)
        assert plan.window_start(self.of(), dt.date(2015, 2, 2), self.CALENDAR) == first
        assert plan.scores_from(self.of(), self.CALENDAR) == dt.date(2015, 1, 5)

    def test_too_little_past_is_an_error_before_anything_is_trained(self):
        message = r"combination 'c' on 2015-02-02: too little past .*got inputs from 2014-07-01 on, expected at least 9 months"
        with pytest.raises(NotEnoughData, match=message):
            plan.window_start(self.of(min_months=9), dt.date(2015, 2, 2), self.CALENDAR)

    def test_past_dates_are_counted_back_from_the_date_itself(self):
        found = plan.past_dates(self.of(method="ic_weighted"), dt.date(2017, 2, 10), self.CALENDAR)
        assert self.CALENDAR.index(found[0]) == self.CALENDAR.index("2017-02-10") - 10
        assert {self.CALENDAR.index(a) - self.CALENDAR.index(b) for a, b in zip(found[:-1], found[1:], strict=True)} == {5}
        assert found[-1] >= "2016-02-10"

    def test_an_experiment_trains_what_its_combinations_look_back_on(self):
        inner = CombinationSpec("inner", "lightgbm", ("tiny",))
        spec = replace(TINY, models=(replace(self.MODEL, name="tiny"),), combinations=(inner, CombinationSpec("outer", "ic_weighted", ("inner",))))
        found = plan.needed_from(spec, dt.date(2018, 3, 1), self.CALENDAR)
        assert found.combinations == {"inner": dt.date(2017, 3, 1), "outer": dt.date(2018, 3, 1)}
        assert found.models == {"tiny": dt.date(2016, 1, 1)}

    def test_a_mean_needs_no_past(self):
        spec = replace(TINY, models=(TINY_MODEL,), combinations=(CombinationSpec("mean", "zscore_mean", ("tiny",)),))
        assert plan.needed_from(spec, dt.date(2018, 3, 1), self.CALENDAR).models == {"tiny": dt.date(2018, 3, 1)}


class TestFit:
    def test_the_trees_are_those_of_rows_put_together_by_hand(self, store, combined):
        meta = store.store.bundle(fit_name("trees", PERIOD)).meta
        assert meta["columns"] == ["unit:0", "unit:1", "unit:2", "other", "size"]
        assert meta["train_range"][0] == "2023-04-03"
        labels = LabelReader(store.panels, TREES.label, TREES.universe)
        dates = plan.fit_plan(combined["trees"], period_named(PERIOD), store.calendar)
        parts = []
        for days in (dates.train_dates, dates.valid_dates):
            frames = []
            for number, key in enumerate(map(str, days)):
                factors = store.store.read("models/unit/factors", key).set_index("symbol")[["f1_0", "f1_1", "f1_2"]].astype("float64")
                factors["other"] = store.store.read("models/other/scores", key).set_index("symbol")["member_1"]
                size = log_cap(store, key).dropna()
                universe = list(size.index)
                factors = factors.reindex(universe).assign(size=size)
                standard = (factors - factors.mean()) / factors.std(ddof=0)
                label = pd.Series(labels.standardized(key), store.panels.axis.symbols)[universe]
                frames.append(standard.assign(label=label, date=number).dropna(subset="label"))
            rows = pd.concat(frames)
            parts.append(Rows(rows.iloc[:, :5].to_numpy(dtype=np.float32), rows["label"].to_numpy(), rows["date"].to_numpy()))
        by_hand = fit_trees(parts[0], parts[1], meta["columns"], TREES.trees, run=1)
        stored = store.store.read_bundle(fit_name("trees", PERIOD))
        curve = stored["curves"].query("run == 1")
        np.testing.assert_allclose(curve["valid_ic"], by_hand.valid_ic, atol=1e-6)
        assert {part: len(rows.x) for part, rows in zip(("train", "valid"), parts, strict=True)} == meta["n_rows"]

    def test_importances_add_up_and_name_the_unit_that_knows(self, store, combined):
        found = importances(store, combined["trees"], PERIOD)
        assert found.groupby("run")["gain"].sum().tolist() == pytest.approx([1.0, 1.0])
        assert found.loc[found["gain"].idxmax(), "input"] == "unit"

    def test_a_current_fit_is_kept_and_an_input_that_changed_makes_another(self, store, combined):
        before = store.store.bundle(fit_name("trees", PERIOD))
        assert not fit(store, combined["trees"], PERIOD)[1]
        key = before.meta["train_range"][0]
        frame, manifest = store.store.read("models/other/scores", key), store.store.manifest("models/other/scores", key)
        store.store.write("models/other/scores", key, frame.assign(member_0=-frame["member_0"]), meta=manifest.meta)
        changed, is_new = fit(store, combined["trees"], PERIOD)
        assert is_new
        assert changed.meta["data_version"] != before.meta["data_version"]
        store.store.write("models/other/scores", key, frame, meta=manifest.meta)
        assert fit(store, combined["trees"], PERIOD)[0].content == before.content


class TestScores:
    def test_trees_find_what_the_unit_knows(self, store, combined):
        frame = store.store.read("combinations/trees/scores", DAYS[0]).set_index("symbol")
        label = pd.Series(LabelReader(store.panels, TREES.label, TREES.universe).standardized(DAYS[0]), store.panels.axis.symbols)
        assert frame["score"].corr(label.reindex(frame.index)) > 0.2
        expected = stats.zscore(frame[["member_0", "member_1"]].to_numpy()).mean(axis=1)
        np.testing.assert_allclose(frame["score"], expected, atol=1e-12)

    def test_a_stock_without_network_factors_is_scored_by_trees_and_by_nothing_linear(self, store, combined):
        n = {name: len(store.store.read(f"combinations/{name}/scores", DAYS[0])) for name in combined}
        assert n["trees"] == n["equal"] + 2
        assert len({n[name] for name in ("equal", "ic", "icir", "premium", "mean")}) == 1

    def test_mean_is_that_of_the_two_scores(self, store, combined):
        inputs = [store.store.read(f"models/{name}/scores", DAYS[1]).set_index("symbol") for name in ("unit", "other")]
        found = store.store.read("combinations/mean/scores", DAYS[1]).set_index("symbol")
        for column in ("score", "member_0", "member_1"):
            np.testing.assert_allclose(found[column], sum(stats.zscore(frame[column]) for frame in inputs) / 2, atol=1e-12)

    def test_ic_weights_are_those_of_pandas(self, store, combined):
        labels = LabelReader(store.panels, TREES.label, TREES.universe)
        ics = []
        for key in plan.past_dates(combined["ic"], dt.date(2023, 7, 4), store.calendar):
            label = pd.Series(labels.standardized(key), store.panels.axis.symbols)
            frame = store.store.read("models/unit/factors", key).set_index("symbol")[["f0_0", "f0_1", "f0_2"]].astype("float64")
            frame["other"] = store.store.read("models/other/scores", key).set_index("symbol")["member_0"]
            ics.append(pd.concat([frame, log_cap(store, key).rename("size")], axis=1).corrwith(label))
        mean = pd.DataFrame(ics).mean()
        frame = store.store.read("combinations/ic/scores", "2023-07-04").set_index("symbol")
        columns = store.store.read("models/unit/factors", "2023-07-04").set_index("symbol")[["f0_0", "f0_1", "f0_2"]].astype("float64")
        columns["other"] = store.store.read("models/other/scores", "2023-07-04").set_index("symbol")["member_0"]
        columns["size"] = log_cap(store, "2023-07-04")[columns.index]
        expected = stats.zscore(columns) @ (mean / mean.abs().sum()).to_numpy()
        np.testing.assert_allclose(frame["member_0"], expected, atol=1e-8)

    def test_weights_are_stored_by_date(self, store, combined):
        found = weights_over_time(store, "premium")
        assert [str(day.date()) for day in found.index] == DAYS
        assert list(found.columns) == ["other", "size", "value"]
        assert "analyst" in store.store.manifest("combinations/premium/scores", DAYS[0]).meta["absent"]
        assert (weights_over_time(store, "equal") == 1 / 5).all(axis=None)

    @pytest.mark.parametrize("name", list(SPECS))
    def test_a_date_alone_equals_the_range(self, store, combined, name, monkeypatch):
        kept = store.store.manifest(f"combinations/{name}/scores", DAYS[-1])
        monkeypatch.setattr(store.store, "is_current", lambda table, key, source: False)
        assert score(store, combined[name], DAYS[-1:]).computed == DAYS[-1:]
        again = store.store.manifest(f"combinations/{name}/scores", DAYS[-1])
        assert (again.content, again.source, again.meta) == (kept.content, kept.source, kept.meta)

    def test_nothing_is_done_twice(self, store, combined):
        assert all(score(store, combination, DAYS).reused == DAYS for combination in combined.values())


class TestAbsence:
    def test_the_description_of_the_source_decides(self):
        rich = SourceDescription("s", True, "", tuple(TABLES), intraday_minutes=5)

        def lacking(source: SourceDescription) -> set[str]:
            return {name for name, factor in OTHER_FACTORS.items() if _absence(factor, source)}

        assert lacking(rich) == {"analyst"}
        assert lacking(replace(rich, tables=("daily_bars",))) == {"analyst", "sue", "value", "profitability", "closing_volume_share",
                                                                  "buy_intention_share", "large_order_share"}
        no_flow = replace(rich, missing={"intraday_bars.buy_amount": "not sold"})
        assert lacking(no_flow) == {"analyst", "buy_intention_share", "large_order_share"}
        assert "buy_amount" in _absence(OTHER_FACTORS["large_order_share"], no_flow)

    def test_a_panel_that_the_market_can_have_must_be_there(self, store):
        spec = replace(TREES, name="flow", method="premium", inputs=("other", "closing_volume_share"))
        with pytest.raises(MissingData, match=r"is not in panel 'mschars'"):
            score(store, plan.resolved((spec,), (UNIT, OTHER))["flow"], DAYS)


class TestErrors:
    def test_a_missing_input_is_named(self, store, combined):
        with pytest.raises(MissingData, match=r"combination 'mean': input 'unit' has no score for 2023-09-01. Materialize models/unit/scores"):
            score(store, combined["mean"], ["2023-09-01"])

    def test_a_half_year_without_a_fit(self, store):
        spec = replace(TREES, name="unfitted")
        with pytest.raises(MissingData, match=r"combination 'unfitted' 2023H2: no fit. Materialize combinations/unfitted/fit"):
            score(store, plan.resolved((spec,), (UNIT, OTHER))["unfitted"], DAYS)

    def test_a_fit_of_other_settings_is_refused(self, store, combined):
        changed = plan.resolved((replace(TREES, sample_every=4),), (UNIT, OTHER))["trees"]
        with pytest.raises(ManifestMismatch, match="combination 'trees' 2023H2: the stored fit's combination_digest differs"):
            score(store, changed, DAYS)

    def test_a_fit_on_another_network_of_the_same_name_is_refused(self, store, combined):
        changed = plan.resolved((TREES,), (UNIT, replace(OTHER, network="gru_mixed")))["trees"]
        with pytest.raises(ManifestMismatch, match="combination_digest differs"):
            score(store, changed, DAYS)

    def test_inputs_with_other_factors_than_the_fitted_ones_are_refused(self, store, combined, monkeypatch):
        monkeypatch.setattr(store.store, "is_current", lambda table, key, source: False)
        monkeypatch.setattr(InputReader, "factors", lambda self, key, run: Columns(("unit:0",), np.zeros((len(self.panels.axis), 1))))
        with pytest.raises(ManifestMismatch, match=r"'trees' 2023-07-03: the inputs have other factors .*got unit:0, expected unit:0, unit:1"):
            score(store, combined["trees"], DAYS[:1])

    def test_factors_of_other_scores_are_refused(self, store, combined):
        frame = store.store.read("models/unit/factors", "2023-08-30")
        store.store.write("models/unit/factors", "2023-08-30", frame.assign(f0_0=np.float32(0)))
        with pytest.raises(MissingData, match="the factors of 'unit' do not belong to its scores of 2023-08-30"):
            score(store, combined["equal"], ["2023-08-30"])
        store.store.write("models/unit/factors", "2023-08-30", frame)

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"method": "lightgmb"}, UnknownName, "unknown method 'lightgmb'.*Did you mean 'lightgbm'"),
            ({"inputs": ()}, InvalidSpec, "combination 'trees': inputs must be named, once each"),
            ({"inputs": ("unit", "unit")}, InvalidSpec, "inputs must be named, once each"),
            ({"inputs": ("later",)}, UnknownName, "unknown input of combination 'trees' 'later'"),
            ({"runs": (0, 5)}, InvalidSpec, "model 'unit' has no seed 5"),
            ({"runs": (0, 0)}, InvalidSpec, "a run is named twice"),
            ({"min_months": 4}, InvalidSpec, "no such window"),
            ({"shrinkage": 2.0}, InvalidSpec, "setting out of range"),
        ],
    )
    def test_specs_that_cannot_work(self, settings, error, message):
        with pytest.raises(error, match=message):
            replace(TREES, **settings).validate({"unit": (0, 1), "other": (0, 1)}, ())

    def test_runs_must_be_said_where_seeds_differ(self):
        with pytest.raises(InvalidSpec, match="the models have different seeds"):
            TREES.validate({"unit": (0, 1), "other": (0,)}, ())
        with pytest.raises(InvalidSpec, match="input 'size' is both a score and a factor"):
            TREES.validate({"unit": (0,), "other": (0,), "size": (0,)}, ())


class TestFactorTable:
    """A real factor unit, trained for one epoch: its factors are stored with its scores, and a death between the two is made good."""

    @pytest.fixture(scope="class")
    def unit(self, ci_run, tmp_path_factory):
        spec = replace(TINY_MODEL, name="real_unit", network="factor_gru", tensors=("rawbar",), settings=(("n_factors", 2), ("n_hidden", 3)),
                       seeds=(3, 4), training=replace(TINY_MODEL.training, max_epochs=1))
        root = tmp_path_factory.mktemp("unit")
        shutil.copytree(Path(ci_run.work.root) / "panels", root / "panels")
        work = Workspace(ci_run.work.market, str(root), ci_run.work.source)
        training.make_training_set(work, spec, PERIOD)
        training.train(work, spec, PERIOD, "cpu")
        return work, spec

    def test_killed_between_factors_and_scores(self, unit, monkeypatch):
        work, spec = unit
        training.score(work, spec, DAYS, "cpu")
        kept = {(table, key): work.store.manifest(f"models/real_unit/{table}", key) for table in ("scores", "factors") for key in DAYS}
        assert kept["factors", DAYS[0]].columns == ("trade_date", "symbol", "f3_0", "f3_1", "f4_0", "f4_1")
        frame = work.store.read("models/real_unit/factors", DAYS[0])
        assert (frame.dtypes.iloc[2:] == "float32").all()
        members = work.store.read("models/real_unit/scores", DAYS[0])
        np.testing.assert_allclose(members["member_4"], stats.zscore(frame[["f4_0", "f4_1"]].astype(float)).mean(axis=1), atol=1e-5)
        shutil.rmtree(Path(work.root) / "lake")
        training.make_training_set(work, spec, PERIOD)
        honest = work.store.write

        def dies(table: str, key: str, *args: object, **named: object) -> object:
            if table.endswith("/scores") and key == DAYS[1]:
                raise KeyboardInterrupt
            return honest(table, key, *args, **named)

        with monkeypatch.context() as patch:
            patch.setattr(work.store, "write", dies)
            with pytest.raises(KeyboardInterrupt):
                training.score(work, spec, DAYS, "cpu")
        assert work.store.keys("models/real_unit/factors") == DAYS[:2]
        assert work.store.keys("models/real_unit/scores") == DAYS[:1]
        report = training.score(work, spec, DAYS, "cpu")
        assert (report.reused, report.computed) == (DAYS[:1], DAYS[1:])
        assert {(table, key): work.store.manifest(f"models/real_unit/{table}", key) for table, key in kept} == kept

    def test_lost_factors_are_made_again(self, unit):
        work, spec = unit
        training.score(work, spec, DAYS, "cpu")
        (Path(work.root) / "lake" / "models" / "real_unit" / "factors" / f"{DAYS[2]}.json").unlink()
        assert training.score(work, spec, DAYS, "cpu").computed == [DAYS[2]]
