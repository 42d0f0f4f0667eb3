"""RISKCONTROL's studies on toy frames: their exhibits stand beside the published numbers, and their small pieces by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.assets.sweeps import constraint_steps
from alpha_pipeline.diagnostics.size_profile import MOMENTS
from alpha_pipeline.diagnostics.style_timing import style_timing
from alpha_pipeline.errors import InvalidSpec, UnknownName
from alpha_pipeline.experiments.riskcontrol import RISKCONTROL
from alpha_pipeline.experiments.small import RISKCONTROL_SMALL
from alpha_pipeline.markets import MARKETS
from alpha_pipeline.pipeline.session import RunPlan
from alpha_pipeline.pipeline.studies import STUDIES, constraint_sweep, factor_profile, return_sources, top_layers
from alpha_pipeline.pipeline.studies import style_timing as timing_study
from alpha_pipeline.pipeline.studies.stored_inputs import portfolio_named, signal_named
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import PictureExhibit, StudySection, TableExhibit, study_blocks

DAYS = pd.bdate_range("2023-12-01", periods=30)
PLAN = RunPlan(("2024-01-02",), ("2024-01-02", "2024-01-05"), (), ("2024-01-01",))


def drawn(exhibits):
    """By key, after the page has drawn all of them."""
    study_blocks(StudySection("study", "Study", "layers", tuple(exhibits)))
    return {e.key: e for e in exhibits}


def sweep_frames() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(0)
    row = {"annual_excess": 0.2, "information_ratio": 3.0, "excess_max_drawdown": 0.05, "calmar": 4.0, "excess_2023": 0.1, "excess_2024": 0.02,
           "last_quarter_excess": 0.02, "last_quarter_drawdown": 0.03, "smallest_10": 0.03, "smallest_20": 0.07, "smallest_30": 0.11,
           "constituent_share": 0.8}
    variants = constraint_sweep.variants_of(RISKCONTROL, "riskcontrol_csi1000")
    profile = {f"m{m}_{side}": rng.normal(size=5) for m in MOMENTS for side in ("portfolio", "benchmark")}
    return {
        "sweep": pd.DataFrame([{"variant": v, "portfolio": p, **row} for v, p in variants.items()]),
        "excess_nav": pd.DataFrame({"trade_date": DAYS, **{v: np.cumprod(1 + rng.normal(0, 0.01, 30)) for v in variants}}),
        "profile": pd.DataFrame({"trade_date": DAYS[::6], "smallest_10": 0.1, "smallest_20": 0.2, "smallest_30": 0.3, **profile}),
        "stretch": pd.DataFrame({"first": ["2023-12-18"], "last": ["2024-01-10"]}),
    }


class TestExamples:
    def test_variants_are_the_base_and_fourteen_others(self):
        found = constraint_sweep.variants_of(RISKCONTROL, "riskcontrol_csi1000")
        assert next(iter(found.items())) == ("csi1000", "riskcontrol_csi1000")
        assert len(found) == 15 and found["moment3_40"] == "riskcontrol_csi1000_moment3_40"
        assert not [name for name in found if "on_" in name]

    def test_sweep_stands_beside_the_published_rows(self):
        shown = drawn(constraint_sweep.exhibits(sweep_frames(), None))
        table = shown["moment2"]
        assert isinstance(table, TableExhibit) and table.published is not None
        assert table.frame["variant"].tolist() == ["csi1000", "moment2_10", "moment2_20", "moment2_30", "moment2_40"]
        published = table.published.set_index("variant")
        assert published.loc["moment2_10", "last_quarter_drawdown"] == 0.034 and np.isnan(published.loc["moment2_10", "excess_2024"])
        assert published.loc["csi1000", "excess_2023"] == 0.139
        shares = shown["moment2_shares"].published.set_index("variant")
        assert shares.loc["moment2_10", "smallest_10"] == 0.015
        assert any("±0.40" in note for note in shown["nlsize"].notes)
        assert {"base", "constituents", "nav", "moment_1", "moment_2", "moment_3", "small_caps"} <= shown.keys()

    def test_values_of_a_stretch_start_from_one(self):
        nav = pd.DataFrame({"trade_date": DAYS[:4], "a": [1.0, 2.0, 3.0, 4.0]})
        assert top_layers.rebased(nav, str(DAYS[2].date()), str(DAYS[3].date()))["a"].tolist() == [1.5, 2.0]
        assert top_layers.rebased(nav, str(DAYS[0].date()), str(DAYS[1].date()))["a"].tolist() == [1.0, 2.0]

    def test_stages_add_up(self):
        daily = pd.DataFrame({"trade_date": DAYS, "style:size": 0.001, "specific": 0.002, "active_return": 0.003})
        stages = return_sources.by_stage(daily, ["2023-12-18", "2030-01-01"])
        assert len(stages) == 3  # two stages and all; the last start lies beyond the data
        whole = stages.iloc[-1]
        assert whole["style:size"] + whole["specific"] == pytest.approx(whole["active_return"])
        assert whole["active_return"] == pytest.approx((1.003**30 - 1) * 252 / 30)

    def test_timing_names_outliers_and_prints_the_reports(self):
        rng = np.random.default_rng(1)
        parts = []
        for label in timing_study.SIGNALS.values():
            for style in timing_study.STYLES:
                returns = rng.normal(0, 0.01, 30)
                returns[7] = 0.3
                parts.append(style_timing(DAYS.to_numpy(), rng.normal(-0.2, 0.02, 30), returns).assign(portfolio=label, style=style))
        shown = drawn(timing_study.exhibits({"timing": pd.concat(parts, ignore_index=True)}, None))
        tails = shown["tails"].frame.set_index("style")
        assert str(DAYS[7].date()) in tails.loc["size", "tail losses"]
        assert shown["correlations"].published.set_index("signal").loc["Day GRU", "liquidity"] == 0.17
        assert shown["scatter"].frame["label"].astype(bool).sum() >= 1

    def test_profile(self):
        names = [*factor_profile.STYLES, "momentum_10d", "volatility_10d", "liquidity_10d"]
        correlations = pd.DataFrame({"trade_date": DAYS, **{name: np.linspace(0.1, -0.3, 30) for name in names}})
        extremes = pd.DataFrame({"trade_date": DAYS, "top_5": -0.5, "bottom_5": 1.0, "crowding": 0.8})
        shown = drawn(factor_profile.exhibits({"correlations": correlations, "extremes": extremes}, None))
        table = shown["correlations"].frame.set_index("style")
        assert table.loc["size", "date of lowest"] == str(DAYS[-1].date()) and table.loc["size", "lowest"] == pytest.approx(-0.3)
        assert shown["sides"].frame["mean size exposure"].tolist() == [-0.5, 1.0]

    def test_top_layers(self):
        relative = pd.DataFrame({"trade_date": DAYS, "composite": np.linspace(1, 1.2, 30), "neutralized": np.linspace(1, 0.9, 30)})
        summary = pd.DataFrame({"factor": ["composite", "neutralized"], "top_annual_excess": 0.1, "top_ir": 1.0, "top_max_drawdown": 0.1,
                                "worst_start": "2023-12-01", "worst_end": "2023-12-29"})
        stretch = pd.DataFrame({"first": [str(DAYS[10].date())], "last": [str(DAYS[20].date())]})
        shown = drawn(top_layers.exhibits({"relative": relative, "summary": summary, "stretch": stretch}, None))
        fall = shown["top_layers"].frame.set_index("factor")["drawdown in stretch"]
        assert fall["composite"] == 0.0 and fall["neutralized"] > 0
        assert isinstance(shown["stretch"], PictureExhibit) and len(shown["stretch"].frame) == 11


class TestProperties:
    @pytest.mark.parametrize("spec", [RISKCONTROL, RISKCONTROL_SMALL], ids=lambda spec: spec.name)
    def test_every_study_is_known_and_needs_what_the_experiment_makes(self, spec):
        made = {f"portfolios/{p.name}/{kind}" for p in spec.all_portfolios() for kind in ("weights", "backtest")}
        made |= {f"portfolios/{p.name}/attribution" for p in spec.portfolios} | {f"signals/{s.name}/factor" for s in spec.all_signals()}
        for study in spec.studies:
            for key in STUDIES[study.kind].needs(spec, study):
                assert key in made or key in ("risk/exposures", "risk/factor_returns", "daily_panel"), key

    def test_sweep_steps_are_the_portfolios_and_the_study_alone(self):
        steps, study = constraint_steps(RISKCONTROL, PLAN, Workspace(MARKETS["ci"]))
        assert study.name == "constraint_sweep"
        names = [name for step in steps for name in step.assets]
        assert "portfolios/riskcontrol_csi1000_nlsize_10/backtest" in names and "portfolios/riskcontrol_csi500/backtest" in names
        assert names[-1] == "studies/riskcontrol/constraint_sweep"
        assert not [name for name in names if name.startswith("models/") or name.endswith("attribution") or "_on_" in name]


class TestErrors:
    def test_experiment_without_a_sweep(self):
        with pytest.raises(InvalidSpec, match="no study of kind constraint_sweep"):
            constraint_steps(replace(RISKCONTROL, studies=()), PLAN, Workspace(MARKETS["ci"]))

    def test_names(self):
        with pytest.raises(UnknownName, match="composit"):
            signal_named(RISKCONTROL, "composit")
        with pytest.raises(UnknownName, match="riskcontrol_csi2000"):
            portfolio_named(RISKCONTROL, "riskcontrol_csi2000")
