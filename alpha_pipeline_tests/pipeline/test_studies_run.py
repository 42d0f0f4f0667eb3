"""The studies of RISKCONTROL and ATTENTION run on the small market of the tests: what they read, and that dates stand alone."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import MissingData, UnknownName
from alpha_pipeline.experiment import StudySpec
from alpha_pipeline.pipeline.risk_exposures import styles_of
from alpha_pipeline.pipeline.studies import STUDIES
from alpha_pipeline.pipeline.studies.stored_inputs import factor_returns_of, rebalances_of
from alpha_pipeline.reporting.exhibits import StudySection, study_blocks
from alpha_pipeline_tests.conftest import TINY

START, END = "2023-07-03", "2023-08-31"
SETTINGS = {
    "factor_profile": (("signal", "tiny"),),
    "top_layers": (("signal", "tiny"), ("others", "linear_blend"), ("n_layers", 3), ("every", 5), ("stretch", "2023-08-01/2023-08-18")),
    "constraint_sweep": (("base", "tiny_csi500_t60"), ("also", "tiny_risk"), ("stretch", "2023-08-01/2023-08-18")),
    "return_sources": (("portfolio", "tiny_csi500_t60"), ("stages", "2023-08-01")),
    "style_timing": (("portfolios", "tiny_risk,tiny_csi500_t60"), ("labels", "risk,plain")),
    "weekly_factors": (("since", "2023-07-15"),),
    "yearly_enhancement": (("portfolios", "tiny_csi500_t60"), ("labels", "1/own")),
    "deep_weight": (("combinations", "tiny_premium"),),
}


def run(ci_run, kind: str, start: str = START, end: str = END):
    return STUDIES[kind].run(ci_run.work, TINY, StudySpec(kind, kind, SETTINGS[kind]), start, end)


class TestExamples:
    @pytest.mark.parametrize("kind", SETTINGS)
    def test_runs_and_is_drawn(self, ci_run, kind):
        frames = run(ci_run, kind)
        assert study_blocks(StudySection(kind, kind, "layers", tuple(STUDIES[kind].exhibits(frames, None))))

    def test_sweep_is_the_backtests_own_numbers(self, ci_run):
        sweep = run(ci_run, "constraint_sweep")["sweep"].set_index("portfolio")
        summary = ci_run.work.store.bundle("portfolios/tiny_csi500_t60/backtest").meta["summary"]
        assert sweep.loc["tiny_csi500_t60", "annual_excess"] == pytest.approx(summary["annualized_excess_return"])
        assert sweep.loc["tiny_csi500_t60", "constituent_share"] >= 0.6 - 1e-9  # its floor
        assert sweep.loc["tiny_csi500_t60", "smallest_10"] <= sweep.loc["tiny_csi500_t60", "smallest_30"]

    def test_active_size_keeps_within_the_portfolios_limit(self, ci_run):
        timing = run(ci_run, "style_timing")["timing"]
        assert set(timing["portfolio"]) == {"risk", "plain"}
        size = timing[(timing["portfolio"] == "risk") & (timing["style"] == "size")]
        assert size["active_exposure"].abs().max() <= 0.8 + 1e-6  # its limit on all styles


class TestProperties:
    def test_a_date_of_the_profile_does_not_depend_on_the_range(self, ci_run):
        whole, late = (run(ci_run, "factor_profile", start) for start in (START, "2023-08-15"))
        for name in ("correlations", "extremes"):
            tail = whole[name][whole[name]["trade_date"] >= "2023-08-15"].drop(columns="trade_date").to_numpy()
            assert np.array_equal(tail, late[name].drop(columns="trade_date").to_numpy(), equal_nan=True)


class TestErrors:
    def test_unknown_combination(self, ci_run):
        with pytest.raises(UnknownName, match="premium_of_nothing"):
            STUDIES["deep_weight"].run(ci_run.work, TINY, StudySpec("w", "deep_weight", (("combinations", "premium_of_nothing"),)), START, END)

    def test_nothing_stored(self, ci_run):
        with pytest.raises(MissingData, match="no rebalance in the range"):
            rebalances_of(ci_run.work, ci_run.work.panels, "tiny_csi500_t60", "2030-01-01", "2030-12-31")
        with pytest.raises(MissingData, match="has no factor in the range"):
            run(ci_run, "factor_profile", "2030-01-01", "2030-12-31")
        with pytest.raises(MissingData, match="no exposures on 2023-01-02"):
            styles_of(ci_run.work, ci_run.work.panels, ["2023-01-02"], ("size",))
        with pytest.raises(MissingData):
            factor_returns_of(ci_run.work, ["2023-01-02"], ("size",))
