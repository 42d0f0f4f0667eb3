"""Experiments as data: they validate, their digests see every setting, their names mean one thing."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

import alpha_pipeline.experiment as experiment_module
from alpha_pipeline.backtest.costs import DatedCosts
from alpha_pipeline.digest import digest
from alpha_pipeline.errors import InvalidSpec, MissingData, UnknownName
from alpha_pipeline.experiment import CombinationSpec, ExperimentSpec, ModelSpec, PortfolioSpec, SignalSpec, StudySpec, replace_field
from alpha_pipeline.experiments import EXPERIMENTS, experiment
from alpha_pipeline.experiments.demo import DEMO, DEMO_MODEL
from alpha_pipeline.experiments.multifreq import CSI500, GRU_DAILY, LINEAR_BLEND, MULTIFREQ, ORACLE, enhanced, signal_of
from alpha_pipeline.experiments.select import carried, characteristic_panels, for_source, missing_for, shared_parts
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.training import network_config
from alpha_pipeline.portfolio.constraints import FullyInvested, LongOnly, StyleBound, TurnoverLimit, constraint_type
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec
from alpha_pipeline.portfolio.exposure_constraints import FactorClassBound
from alpha_pipeline.sources.base import SourceDescription
from alpha_pipeline.training.periods import WalkForward
from alpha_pipeline.training.spec import LOSS_NAMES, TrainingSpec
from alpha_pipeline_tests.helpers_process import facts_of_another_process

SIMULATED = SourceDescription("simulated", True, "a simulated market", tuple(TABLES), intraday_minutes=5)
REAL = SourceDescription("files", False, "a real market", tuple(TABLES), intraday_minutes=5)

# Fields that name a thing and decide nothing: two models that differ in them alone share checkpoints, two portfolios the weights.
MODEL_LABELS = {"name"}
PORTFOLIO_LABELS = {"name", "published", "left_out"}
# Fields of a portfolio that its weights do not depend on, only what is made of them.
PORTFOLIO_RESULTS = {"attribution", "mode", "capital", "benchmark_level"}

# Another valid value for the settings whose values are words or lists.
OTHER: dict[str, Any] = {
    "studies": (StudySpec("a_study", "any"),),
    "network": "gru_mixed",
    "tensors": ("daily",),
    "settings": (("hidden", 16),),
    "entry": "next_vwap",
    "base": CSI500,
    "validation": "blocks",
    "loss": "mse",
    "batch_mode": "shuffled",
    "metric": "rank_ic",
    "seeds": (0, 1, 3),
    "signal": "linear_blend",
    "benchmark": "000300.SH",
    "style": "momentum",
    "sided": "one",
    "solver": "clarabel",
    "on_infeasible": "raise",
    "unfilled": "cash",
    "attribution": "full",
    "trade_price": "open",
    "mode": "shares",
    "benchmark_level": "total_return",
    "left_out": ("a limit",),
    "max_participation": 0.1,
    "slippage": 0.001,
    "every": 5,
    "return_entry": "next_vwap",
    "test_universes": ("all",),
    "tags": ("a tag",),
    "combinations": (CombinationSpec("equal", "equal", ("size",)),),
    "method": "max_icir",
    "inputs": ("size", "value"),
    "runs": (0, 1),
    "precision": "bfloat16",
    "exposures": ("size", "industry"),
    "label_neutral": ("size", "momentum_10d"),
    "variants": (PortfolioSpec("a_variant", "linear_blend", EnhancedIndexSpec(CSI500, (FullyInvested(), LongOnly()))),),
    "panel": "intraday_15m",
    "anchors": ((1, 31), (7, 31)),
    "fields": ("open", "close"),
    "scale": "mean",
}


def changed(name: str, value: Any) -> Any:
    """Another value for a setting."""
    if name in OTHER:
        assert OTHER[name] != value, f"OTHER['{name}'] is the value that is already there"
        return OTHER[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value / 2 if isinstance(value, float) and value else value + 1
    if isinstance(value, dt.date):
        return value + dt.timedelta(days=1)
    if value is None:
        return 7
    assert isinstance(value, str), f"add another value for '{name}' to OTHER"
    return f"{value} changed"


def variants(spec: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, spec with that one setting changed) for every setting, at any depth."""
    for field in fields(spec):
        name, value = f"{prefix}{field.name}", getattr(spec, field.name)
        if is_dataclass(value):
            for inner, part in variants(value, f"{name}."):
                yield inner, replace(spec, **{field.name: part})
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            yield name, replace(spec, **{field.name: value[:-1]}) if not _is_needed(value[-1]) else replace(spec, **{field.name: value[::-1]})
            for at, item in enumerate(value):
                for inner, part in variants(item, f"{name}[{at}]."):
                    yield inner, replace(spec, **{field.name: (*value[:at], part, *value[at + 1 :])})
        else:
            yield name, replace(spec, **{field.name: changed(field.name, value)})


def _is_needed(part: Any) -> bool:
    return isinstance(part, FullyInvested | LongOnly)


class TestRegistered:
    def test_every_spec_validates(self):
        assert [spec.validate() for spec in EXPERIMENTS.values()] == list(EXPERIMENTS.values())

    def test_names_are_unique_and_their_own(self):
        assert all(name == spec.name for name, spec in EXPERIMENTS.items())
        assert len({spec.title for spec in EXPERIMENTS.values()}) == len(EXPERIMENTS)

    def test_one_name_one_meaning_across_experiments(self):
        parts = shared_parts(tuple(EXPERIMENTS.values()), SIMULATED)
        assert parts.experiments == tuple(EXPERIMENTS.values())

    def test_every_network_accepts_its_settings(self):
        for spec in EXPERIMENTS.values():
            for model in spec.models:
                assert set(network_config(model).inputs) == set(model.tensors), model.name

    def test_every_setting_is_described_once(self):
        for spec in EXPERIMENTS.values():
            names = [name for name, _ in spec.describe()]
            assert len(names) == len(set(names))
        described = dict(DEMO.describe())
        assert described["models[demo_incremental].training.max_epochs"] == "20"
        assert described["portfolios[demo_csi500_t40].optimizer.constraints[long_only]"] == "yes"
        assert described["portfolios[demo_csi500_t40].optimizer.constraints[turnover].limit"] == "0.4"

    def test_two_bounds_of_one_kind_are_told_apart(self):
        optimizer = EnhancedIndexSpec(CSI500, (FullyInvested(), LongOnly(), StyleBound("size", 0.1), StyleBound("beta", 0.2)))
        spec = replace(DEMO, portfolios=(replace(DEMO.portfolios[0], optimizer=optimizer),))
        names = [name for name, _ in spec.describe()]
        assert len(names) == len(set(names))

    def test_losses_are_those_that_a_spec_knows(self):
        from alpha_pipeline.training.losses import LOSSES

        assert tuple(LOSSES) == LOSS_NAMES


class TestDigests:
    def test_are_stable_across_processes(self):
        """Another hash seed, another time zone, another order of imports."""
        facts = facts_of_another_process()
        assert facts["experiments"] == {name: spec.digest() for name, spec in EXPERIMENTS.items()}
        assert facts["models"] == {model.name: model.training_digest() for spec in EXPERIMENTS.values() for model in spec.models}
        assert facts["portfolios"] == {portfolio.name: portfolio.digest() for spec in EXPERIMENTS.values() for portfolio in spec.portfolios}

    def test_every_setting_of_a_model_changes_its_training_digest_or_is_a_label(self):
        base = DEMO_MODEL.training_digest()
        for name, spec in variants(DEMO_MODEL):
            assert (spec.training_digest() == base) == (name in MODEL_LABELS), name

    def test_a_model_without_a_neutral_label_and_of_calendar_half_years_keeps_its_digest(self):
        """Frozen before these settings existed: old checkpoints stay valid."""
        assert DEMO_MODEL.training_digest() == "7d3c7d3b954de7e38fc40859a5a5a355"

    def test_every_setting_of_a_tensor_changes_it_too(self, monkeypatch):
        base = DEMO_MODEL.training_digest()
        for name, tensor in variants(TENSORS["daily"]):
            with monkeypatch.context() as patch:
                patch.setitem(experiment_module.TENSORS, "daily", tensor)
                assert DEMO_MODEL.training_digest() != base, name

    def test_every_setting_of_a_portfolio_changes_its_digest_or_is_a_label(self):
        portfolio = DEMO.portfolios[0]
        for name, spec in variants(portfolio):
            is_replay = name.startswith("share_rules.") or name in PORTFOLIO_RESULTS
            assert (spec.digest() == portfolio.digest()) == (is_replay or name in PORTFOLIO_LABELS), name
            assert (spec.backtest_digest() == portfolio.backtest_digest()) == (name in {*PORTFOLIO_LABELS, "attribution"}), name
        assert replace(portfolio, costs=DatedCosts()).digest() != portfolio.digest()  # type: ignore[arg-type]
        assert portfolio.backtest_digest() == portfolio.digest() == digest(
            [portfolio.signal, portfolio.optimizer, portfolio.costs, portfolio.unfilled]), "hashes of before these settings existed hold"

    def test_every_setting_of_a_combination_changes_its_digest_or_is_its_name(self):
        combination = CombinationSpec("c", "lightgbm", ("size",))
        for name, spec in variants(combination):
            assert (spec.digest() == combination.digest()) == (name == "name"), name

    def test_every_setting_of_a_signal_changes_its_digest(self):
        for base in (DEMO.signals[0], LINEAR_BLEND):
            for name, spec in variants(base):
                assert digest(spec) != digest(base), name

    def test_every_setting_of_an_experiment_changes_its_digest(self):
        names = []
        for name, spec in variants(replace(DEMO, test=replace(DEMO.test, newey_west_lags=3))):
            names.append(name)
            assert spec.digest() != DEMO.digest(), name
        for kind in (WalkForward, TrainingSpec, ForwardReturn, UniverseSpec, ModelSpec, SignalSpec, PortfolioSpec, EnhancedIndexSpec, TurnoverLimit):
            for field in fields(kind):
                assert any(
                    name == field.name
                    or name.endswith(f".{field.name}")
                    or name.startswith(f"{field.name}.")
                    or f".{field.name}." in name
                    or f".{field.name}[" in name
                    for name in names
                ), f"{kind.__name__}.{field.name} was not varied"

    def test_labels_are_documented_as_such(self):
        assert "share its checkpoints" in inspect.getdoc(ModelSpec.training_digest)
        assert "beside which it is printed" in inspect.getdoc(PortfolioSpec)

    def test_a_new_turnover_limit_does_not_retrain(self):
        tighter = replace(DEMO, portfolios=(enhanced("demo_incremental", CSI500, 0.6, 0.008, 0.0, 0.0, 0.1, name="demo_csi500"),))
        assert tighter.digest() != DEMO.digest()
        assert tighter.portfolios[0].digest() != DEMO.portfolios[0].digest()
        assert [model.training_digest() for model in tighter.models] == [model.training_digest() for model in DEMO.models]

    def test_two_experiments_with_the_same_model_share_its_checkpoints(self):
        assert replace(DEMO_MODEL, name="elsewhere").training_digest() == DEMO_MODEL.training_digest()


class TestErrors:
    def test_unknown_experiment(self):
        with pytest.raises(UnknownName, match=r"unknown experiment 'multfreq' \(expected one of demo, multifreq, .*Did you mean 'multifreq'\?"):
            experiment("multfreq")

    def test_unknown_field(self):
        with pytest.raises(UnknownName, match="unknown experiment field 'portfolio' .*Did you mean 'portfolios'"):
            replace_field(DEMO, "portfolio", ())

    def test_dotted_names(self):
        assert replace_field(DEMO, "models[demo_incremental].training.lr", 0.5).models[0].training.lr == 0.5
        assert replace_field(DEMO_MODEL, "walk.sample_every", 2).walk.sample_every == 2
        twice = replace_field(replace_field(DEMO_MODEL, "settings.n_hidden", 8), "settings.n_hidden", 9)
        assert dict(twice.settings)["n_hidden"] == 9
        for name, value in DEMO_MODEL.training.__dict__.items():
            assert replace_field(DEMO_MODEL, f"training.{name}", value) == DEMO_MODEL

    def test_dotted_names_that_lead_nowhere(self):
        for dotted, message in (
            ("training.learning_rate", "unknown training field 'learning_rate'"),
            ("trainig.lr", "unknown model field 'trainig' .*Did you mean 'training'"),
            ("training", "'training' is a group of settings .*training.lr"),
            ("name.first", "'name' has no fields"),
        ):
            with pytest.raises((UnknownName, InvalidSpec), match=message):
                replace_field(DEMO_MODEL, dotted, 1)
        with pytest.raises(UnknownName, match="unknown item of 'models' 'demo'"):
            replace_field(DEMO, "models[demo].training.lr", 1)
        with pytest.raises(InvalidSpec, match="lr must be positive"):
            replace_field(DEMO_MODEL, "training.lr", -1.0)

    def test_a_replaced_field_is_validated(self):
        assert replace_field(DEMO, "end", dt.date(2024, 3, 29)).end == dt.date(2024, 3, 29)
        with pytest.raises(InvalidSpec, match="experiment 'demo': start is after end"):
            replace_field(DEMO, "end", dt.date(2023, 3, 29))

    def test_a_misspelt_setting_of_a_spec_fails(self):
        with pytest.raises(TypeError, match="max_epoch"):
            TrainingSpec(max_epoch=3)  # type: ignore[call-arg]

    def test_unknown_universe(self):
        with pytest.raises(UnknownName, match="unknown universe '000906.SH'"):
            replace_field(DEMO, "test_universes", ("all", "000906.SH"))
        with pytest.raises(UnknownName, match="unknown universe 'everything'"):
            UniverseSpec("everything")

    def test_unknown_constraint(self):
        @dataclass(frozen=True)
        class MadeUp:
            name: ClassVar[str] = "turnovr"

        optimizer = replace(DEMO.portfolios[0].optimizer, constraints=(*DEMO.portfolios[0].optimizer.constraints, MadeUp()))
        with pytest.raises(UnknownName, match="unknown constraint 'turnovr' .*Did you mean 'turnover'"):
            replace_field(DEMO, "portfolios", (replace(DEMO.portfolios[0], optimizer=optimizer),))
        with pytest.raises(UnknownName, match="unknown constraint 'turnovr'"):
            constraint_type("turnovr")

    def test_unknown_network_setting(self):
        model = replace(DEMO_MODEL, settings=(("hiden", 16),))
        with pytest.raises(UnknownName, match="unknown setting of network 'gru_incremental' 'hiden'"):
            network_config(model)

    def test_unknown_network(self):
        with pytest.raises(UnknownName, match="unknown network 'gru_incrementl' .*Did you mean 'gru_incremental'"):
            network_config(replace(DEMO_MODEL, network="gru_incrementl"))

    def test_a_network_fed_other_tensors(self):
        with pytest.raises(InvalidSpec, match=r"model 'demo_incremental': the network reads other tensors \(got daily, expected"):
            network_config(replace(DEMO_MODEL, tensors=("daily",)))

    @pytest.mark.parametrize(
        ("part", "error", "message"),
        [
            ({"models": (replace(DEMO_MODEL, tensors=("dayly",)),)}, UnknownName, "unknown tensor 'dayly'.*Did you mean 'daily'"),
            ({"models": (replace(DEMO_MODEL, seeds=(1, 1)),)}, InvalidSpec, "model 'demo_incremental': seeds must be distinct and at least one"),
            ({"models": (replace(DEMO_MODEL, seeds=()),)}, InvalidSpec, "seeds must be distinct and at least one"),
            (
                {"models": (replace(DEMO_MODEL, label=ForwardReturn(lag=1)),)},
                InvalidSpec,
                r"purge is shorter than the label reaches \(got gap 10 sessions, expected at least 11 \(label r10_lag1\)\)",
            ),
            ({"models": (DEMO_MODEL, DEMO_MODEL)}, InvalidSpec, "experiment 'demo': model 'demo_incremental' is named twice"),
            (
                {"signals": (SignalSpec("both", model="demo_incremental", baseline="oracle"),)},
                InvalidSpec,
                "signal 'both': a signal comes from either a model or a baseline",
            ),
            (
                {"signals": (SignalSpec("both", model="demo_incremental", combination="c"),)},
                InvalidSpec,
                "a signal comes from either a model or a baseline or a combination",
            ),
            ({"signals": (SignalSpec("s", combination="c"),)}, UnknownName, "unknown combination 'c'"),
            (
                {"combinations": (CombinationSpec("demo_incremental", "equal", ("size",)),)},
                InvalidSpec,
                "model or combination 'demo_incremental' is named twice",
            ),
            ({"combinations": (CombinationSpec("c", "equal", ("b",)),)}, UnknownName, "unknown input of combination 'c' 'b'"),
            ({"signals": (SignalSpec("none"),)}, InvalidSpec, "signal 'none': a signal comes from either a model or a baseline"),
            ({"signals": (SignalSpec("s", model="demo_incrementl"),)}, UnknownName, "unknown model 'demo_incrementl'"),
            ({"signals": (SignalSpec("s", baseline="oracel"),)}, UnknownName, "unknown baseline 'oracel'.*Did you mean 'oracle'"),
            ({"portfolios": (replace(DEMO.portfolios[0], signal="gru"),)}, UnknownName, "unknown signal 'gru'"),
            ({"portfolios": (replace(DEMO.portfolios[0], unfilled="forget"),)}, UnknownName, "unknown unfilled 'forget'"),
            (
                {"portfolios": (replace(DEMO.portfolios[0], optimizer=replace(DEMO.portfolios[0].optimizer, benchmark="000016.SH")),)},
                UnknownName,
                "unknown benchmark '000016.SH'",
            ),
        ],
    )
    def test_parts_that_do_not_fit(self, part, error, message):
        with pytest.raises(error, match=message):
            replace(DEMO, **part).validate()

    def test_unknown_loss(self):
        with pytest.raises(UnknownName, match="unknown loss 'negativ_ic'.*Did you mean 'negative_ic'"):
            TrainingSpec(loss="negativ_ic")


class TestSelect:
    """What a market's source can carry."""

    def without(self, *tables: str, **reasons: str) -> SourceDescription:
        return replace(REAL, tables=tuple(t for t in TABLES if t not in tables), missing=reasons)

    def test_missing_tables_are_named(self):
        assert missing_for(MULTIFREQ, self.without("intraday_bars", "index_weights")) == ["intraday_bars", "index_weights"]
        assert missing_for(EXPERIMENTS["multifreq_daily"], self.without("intraday_bars")) == []
        assert missing_for(MULTIFREQ, self.without("fundamentals")) == []

    def test_panels_of_a_combinations_other_factors_are_wanted_where_the_source_can_have_them(self):
        flow = CombinationSpec("c", "premium", ("size", "closing_volume_share", "large_order_share"))
        spec = replace(DEMO, combinations=(flow,))
        assert characteristic_panels((spec,)) == ()
        assert characteristic_panels((spec,), SIMULATED) == ("mschars", "l2chars")
        poorer = replace(REAL, missing={"intraday_bars.trade_count": "not sold"})
        assert characteristic_panels((spec,), poorer) == ("mschars",)
        assert characteristic_panels((spec,), self.without("intraday_bars")) == ()

    def test_running_it_anyway_is_a_sentence_with_the_sources_reasons(self):
        source = self.without("intraday_bars", intraday_bars="the vendor sells them apart")
        with pytest.raises(
            MissingData, match=r"experiment 'multifreq': the market lacks intraday_bars \(got intraday_bars: the vendor sells them apart\)\."
        ):
            carried(MULTIFREQ, source)
        assert carried(EXPERIMENTS["multifreq_daily"], source) == EXPERIMENTS["multifreq_daily"]

    def test_limits_on_factors_that_the_source_cannot_have_are_left_out_by_name(self):
        poorer = replace(REAL, intraday_minutes=5, missing={"intraday_bars.trade_count": "not sold"})
        portfolio = for_source(EXPERIMENTS["attention"], poorer).portfolios[0]
        classes = {c.factor_class: c.factors for c in portfolio.optimizer.constraints if isinstance(c, FactorClassBound)}
        assert classes["high_frequency"] == ("mschars.closing_volume_share@20",)
        assert [text.split(":")[0] for text in portfolio.left_out] == ["l2chars.opening_net_buying@20", "l2chars.large_net_buying@20"]
        assert "intraday_bars.trade_count" in portfolio.left_out[0]
        assert missing_for(EXPERIMENTS["attention"], poorer) == []
        whole = replace(poorer, missing={})
        assert for_source(EXPERIMENTS["attention"], whole).portfolios == EXPERIMENTS["attention"].portfolios
        nothing = for_source(EXPERIMENTS["attention"], self.without("intraday_bars")).portfolios[0]
        assert len(nothing.left_out) == 3
        assert "high_frequency" not in {c.factor_class for c in nothing.optimizer.constraints if isinstance(c, FactorClassBound)}

    def test_such_an_experiment_is_not_in_the_graph(self):
        parts = shared_parts((DEMO, EXPERIMENTS["multifreq_daily"]), self.without("intraday_bars"))
        assert [spec.name for spec in parts.experiments] == ["multifreq_daily"]
        assert [model.name for model in parts.models] == ["gru_daily_2021"]

    def test_the_oracle_exists_on_simulated_markets_only(self):
        assert ORACLE in for_source(DEMO, SIMULATED).comparisons
        assert for_source(DEMO, REAL).comparisons == (LINEAR_BLEND,)
        assert "oracle" not in {signal.name for signal, _, _ in shared_parts((DEMO,), REAL).signals}

    def test_a_shared_comparison_is_tested_in_all_universes(self):
        parts = shared_parts((DEMO, MULTIFREQ), SIMULATED)
        (found,) = [universes for signal, _, universes in parts.signals if signal.name == "linear_blend"]
        assert found == ("all", "000905.SH", "000300.SH", "000852.SH")

    @pytest.mark.parametrize(
        ("kind", "other"),
        [
            ("model", replace(DEMO, name="b", models=(replace(DEMO_MODEL, seeds=(9,)),))),
            ("signal", replace(DEMO, name="b", comparisons=(replace(LINEAR_BLEND, universe=UniverseSpec(CSI500)),))),
            ("portfolio", replace(DEMO, name="b", portfolios=(replace(DEMO.portfolios[0], unfilled="cash"),))),
            ("test of a signal", replace(DEMO, name="b", test=replace(DEMO.test, n_layers=7))),
        ],
    )
    def test_one_name_for_two_things_is_refused(self, kind, other):
        with pytest.raises(InvalidSpec, match=f"experiment 'b': another experiment has a different {kind} of this name .*Rename it"):
            shared_parts((DEMO, other), SIMULATED)

    def test_the_same_thing_twice_is_one_asset(self):
        again: ExperimentSpec = replace(DEMO, name="again")
        assert len(shared_parts((DEMO, again), SIMULATED).models) == 1

    def test_labels_are_collected_once(self):
        models = (DEMO_MODEL, GRU_DAILY)
        spec = replace(DEMO, models=models, signals=tuple(signal_of(model) for model in models))
        assert [label.name for label in shared_parts((spec,), SIMULATED).labels] == ["r10"]
