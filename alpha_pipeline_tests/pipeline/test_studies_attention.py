"""ATTENTION's studies on toy frames: their exhibits stand beside the published numbers, and their small pieces by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.experiments.attention import ATTENTION, PORTFOLIOS
from alpha_pipeline.experiments.small import ATTENTION_SMALL
from alpha_pipeline.pipeline.studies import STUDIES, deep_weight, weekly_factors, yearly_enhancement
from alpha_pipeline_tests.pipeline.test_studies_riskcontrol import drawn

WEEKS = pd.to_datetime(["2021-12-24", "2021-12-31", "2022-01-07"])
SIGNALS = ["rnn_10m_raw", "residual_30m_risk_adjusted", "our_own"]


class TestExamples:
    def test_weekly_table(self):
        table = pd.DataFrame([{"signal": s, **dict.fromkeys(weekly_factors.COLUMNS, 0.1)} for s in SIGNALS])
        weeks = pd.concat([pd.DataFrame({"trade_date": WEEKS, "long_excess": [0.01, 0.02, np.nan], "signal": s}) for s in SIGNALS])
        years = pd.DataFrame({"signal": SIGNALS, "year": 2021, "long_excess": 0.03})
        frames = {"table": table, "weeks": weeks, "years": years, "since": pd.DataFrame({"since": ["2021-12-31"]})}
        shown = drawn(weekly_factors.exhibits(frames, None))
        published = shown["table"].published.set_index("signal")
        assert published.index.tolist() == SIGNALS[:2]
        assert published.loc["residual_30m_risk_adjusted", "long"] == 0.0051
        assert shown["long"].frame["our_own"].tolist() == pytest.approx([1.02, 1.02])
        assert shown["yearly"].frame.columns.tolist() == ["signal", "2021"]

    def test_yearly_excess(self):
        daily = pd.DataFrame({"trade_date": pd.to_datetime(["2021-12-31", "2022-01-04"]), "portfolio_return": [0.02, 0.01],
                              "benchmark_return": [0.01, 0.03]})
        found = yearly_enhancement.yearly_excess(daily)
        assert found["2021"] == pytest.approx(0.01) and found["2022"] == pytest.approx(-0.02)
        assert found["all"] == pytest.approx((1.01 * 0.98) ** 126 - 1)

    def test_yearly_table_beside_table_7(self):
        labels = list(PORTFOLIOS)
        yearly = pd.DataFrame([{"label": label, "2021": 0.1, "2022": 0.05, "2023": 0.0, "all": 0.08} for label in labels])
        nav = pd.DataFrame({"trade_date": WEEKS, **{label: [1.0, 1.1, 1.2] for label in labels}})
        frames = {"yearly": yearly, "excess_nav": nav, "since": pd.DataFrame({"since": ["2021-12-31"]})}
        shown = drawn(yearly_enhancement.exhibits(frames, None))
        published = shown["yearly"].published.set_index("label")
        assert published.loc["2/attention_10m", "2021"] == 0.258 and published.loc["1/rnn_30m", "all"] == 0.197
        assert published["2023"].isna().all()  # the report ends before
        assert shown["nav_1"].frame["1/rnn_30m"].tolist() == pytest.approx([1.1, 1.2])
        assert len(shown["yearly"].notes) == 3

    def test_weight_of_the_deep_factor(self):
        found = deep_weight.relative_weights(pd.DataFrame({"deep": [0.02, 0.0], "size": [-0.01, 0.0], "value": [0.01, 0.0]}))
        assert found["deep"].iloc[0] == pytest.approx(0.5) and np.isnan(found["deep"].iloc[1])

    def test_weight_is_drawn(self):
        frames = {"weights": pd.DataFrame({"trade_date": WEEKS, "premium_rnn_30m": [0.3, 0.4, 0.5]}),
                  "premia": pd.DataFrame({"factor": ["deep factor", "size"], "premium_rnn_30m": [0.003, -0.001]})}
        shown = drawn(deep_weight.exhibits(frames, None))
        assert shown["premia"].frame["factor"].tolist() == ["deep factor", "size"]


class TestProperties:
    @pytest.mark.parametrize("spec", [ATTENTION, ATTENTION_SMALL], ids=lambda spec: spec.name)
    def test_every_study_is_known_and_needs_what_the_experiment_makes(self, spec):
        made = {f"portfolios/{p.name}/backtest" for p in spec.portfolios} | {f"signals/{s.name}/factor" for s in spec.all_signals()}
        made |= {f"combinations/{c.name}/scores" for c in spec.combinations}
        for study in spec.studies:
            assert set(STUDIES[study.kind].needs(spec, study)) <= made

    def test_weights_of_a_date_sum_to_one(self):
        premia = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 4)))
        assert deep_weight.relative_weights(premia).sum(axis=1).to_numpy() == pytest.approx(1.0)
