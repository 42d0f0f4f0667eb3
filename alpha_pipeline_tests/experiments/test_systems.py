"""ALPHANET and MULTIMODEL as specs, and the small forms: what they say, and that scale is all that separates small from full."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import pytest

from alpha_pipeline.errors import InvalidSpec
from alpha_pipeline.experiment import RISK_STYLES, ExperimentSpec
from alpha_pipeline.experiments.alphanet import ALPHANET, V2, V2_1, V2_2, V2_3
from alpha_pipeline.experiments.multifreq import MULTIFREQ
from alpha_pipeline.experiments.multimodel import COMBINATIONS, MODELS, MULTIMODEL, PORTFOLIOS
from alpha_pipeline.experiments.published_alphanet import ALPHANET_PUBLISHED
from alpha_pipeline.experiments.published_multimodel import MULTIMODEL_PUBLISHED
from alpha_pipeline.experiments.small import ALPHANET_SMALL, MULTIFREQ_SMALL, MULTIMODEL_SMALL, Scale, scaled
from alpha_pipeline.markets import load_market, open_source
from alpha_pipeline.pipeline.session import plan_run
from alpha_pipeline.pipeline.studies import STUDIES
from alpha_pipeline.pipeline.studies.yearly_portfolios import delta_of, published_rows

# Settings that differ between a full form and its small one, by the end of their dotted names.
SCALE = {
    "name", "title", "description", "start", "end", "walk.train_start", "walk.sample_every", "seeds", "training.max_epochs", "training.patience",
    "runs", "window_months", "min_months", "optimizer.n_names",
}
REFERENCES = {"model", "combination", "signal", "inputs", "settings"}  # names of parts, which carry the suffix


def settings(spec: ExperimentSpec) -> dict[str, str]:
    """Dotted names without the suffix → values."""
    return {name.replace("_small", ""): value for name, value in spec.describe()}


class TestExamples:
    def test_alphanet(self):
        assert (V2.training.loss, V2.training.lr, V2.walk.n_days, V2.walk.sample_every, len(V2.seeds)) == ("mse", 1e-4, 1500, 2, 10)
        assert V2.walk.anchors == ((1, 31), (7, 31)) and V2.tensors == ("alphanet",) and V2.label.name == "r10"
        assert dict(V2_1.settings) == {"n_sampled_fields": 8}
        assert V2_2.training.neutralize and V2_2.exposures == (RISK_STYLES,)
        assert V2_3.training.top_half_weight == 2.0 and not V2_3.exposures
        assert (ALPHANET.test.every, ALPHANET.test.n_layers, ALPHANET.test.cost_one_way, ALPHANET.test.neutral) == (10, 5, 0.002, True)
        limits = {c.name: c for c in ALPHANET.portfolios[0].optimizer.constraints}
        assert limits["turnover"].two_sided == 0.30 and limits["industry_bound"].limit == 0.0 and limits["style_bound"].limit == 0.0

    def test_multimodel(self):
        assert len(MODELS) == 15 and {m.label.name for m in MODELS} == {"r10_lag1"} and {m.seeds for m in MODELS} == {tuple(range(10))}
        assert {m.training.loss for m in MODELS} == {"factor_ic"} and {m.universe.base for m in MODELS} == {"000985.CSI"}
        inputs = {c.name: c.inputs for c in COMBINATIONS}
        assert inputs["gru"] == ("gru_rawbar", "gru_mschars", "gru_l2chars") and len(inputs["rnn_v0"]) == 9 and len(inputs["rct_v0"]) == 15
        assert inputs["rnn_v1"] == ("gru", "agru", "lstm") and inputs["rct_v1"] == ("gru", "agru", "lstm", "restcn", "transformer")
        assert {c.method for c in COMBINATIONS} == {"lightgbm", "zscore_mean"}
        assert len(PORTFOLIOS) == 2 * 7 + 4 * 4 and {p.signal for p in PORTFOLIOS} == {"rct_v1"}
        assert {(p.costs.buy, p.costs.sell) for p in PORTFOLIOS} == {(0.001, 0.002)}
        limits = {c.name: c for c in PORTFOLIOS[-1].optimizer.constraints}
        assert limits["tracking_error"].limit == 0.05 and limits["constituent_floor"].share == 0.8 and limits["factor_class_bound"].limit == 0.5
        assert limits["industry_bound"].limit == 0.02 and limits["turnover"].sided == "one"

    def test_half_years_of_alphanet_start_on_the_last_of_january_and_july(self):
        calendar = open_source(load_market("small")).calendar
        plan = plan_run(ALPHANET_SMALL, calendar)
        assert [(p.name, p.start.isoformat()) for p in plan.periods] == [("2023H2", "2023-07-31"), ("2024H1", "2024-01-31")]
        assert [p.name for p in plan_run(MULTIMODEL_SMALL, calendar).periods] == ["2023H2", "2024H1"]

    def test_best_names_hold_the_same_share_of_the_market(self):
        counts = {p.optimizer.n_names for p in MULTIMODEL_SMALL.portfolios if hasattr(p.optimizer, "n_names")}
        assert counts == {8, 22}  # 100 and 300 of 4,000, of 300 names


class TestProperties:
    @pytest.mark.parametrize(("full", "small"), [(MULTIFREQ, MULTIFREQ_SMALL), (ALPHANET, ALPHANET_SMALL), (MULTIMODEL, MULTIMODEL_SMALL)])
    def test_scale_is_all_that_differs(self, full, small):
        before, after = settings(full), settings(small)
        assert list(before) == list(after)
        for name, value in after.items():
            field = re.sub(r"^(\w+\[[^\]]*\]\.)?", "", name)
            if value != before[name]:
                allowed = field in SCALE or field.split(".")[-1] in REFERENCES and value.replace("_small", "") == before[name]
                assert allowed, f"{name}: {before[name]} → {value}"

    def test_another_scale_changes_nothing_of_the_first(self):
        scale = Scale(dt.date(2023, 7, 3), dt.date(2023, 12, 29), dt.date(2022, 1, 1), n_runs=1, max_epochs=3, patience=1)
        other = scaled(MULTIFREQ, scale)
        assert other.models[0].walk.sample_every == 5 and other.models[0].seeds == (0,) and MULTIFREQ.models[0].seeds == (0, 1, 2)

    def test_published_rows_exist(self):
        for portfolio in ALPHANET.portfolios:
            assert ALPHANET_PUBLISHED.portfolio(portfolio.published).model == portfolio.signal
        said = published_rows().set_index(["group", "delta"]).index
        assert all((p.published.partition("@")[0], delta_of(p)) in said for p in PORTFOLIOS)
        assert {s.published for s in MULTIMODEL.signals} == {key for key, _, _ in MULTIMODEL_PUBLISHED.models}

    def test_studies_are_known(self):
        for spec in (ALPHANET, MULTIMODEL, ALPHANET_SMALL, MULTIMODEL_SMALL):
            assert {s.kind for s in spec.studies} <= set(STUDIES)
            needs = [key for s in spec.studies for key in STUDIES[s.kind].needs(spec, s)]
            assert len(needs) > 3 and all(key.split("/")[0] in ("signals", "combinations", "portfolios", "risk") for key in needs)


class TestErrors:
    def test_models_that_count_half_years_differently(self):
        other = replace(V2_1, walk=replace(V2_1.walk, anchors=((1, 1), (7, 1))))
        with pytest.raises(InvalidSpec, match=r"count their half-years from different days.*alphanet_v2_1"):
            replace(ALPHANET, models=(V2, other, V2_2, V2_3)).validate()

    def test_weightings_are_fitted_for_calendar_half_years(self):
        moved = tuple(replace(m, walk=replace(m.walk, anchors=((1, 31), (7, 31)))) for m in MULTIMODEL.models)
        with pytest.raises(InvalidSpec, match="combination 'gru'.*fitted for calendar half-years"):
            replace(MULTIMODEL, models=moved).validate()

    def test_days_that_are_no_anchors(self):
        with pytest.raises(InvalidSpec, match="no day of every year"):
            replace(V2.walk, anchors=((2, 30), (7, 31)))
