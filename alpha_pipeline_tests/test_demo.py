"""The chain end to end through Dagster on the small market: from raw bars to the report."""

import numpy as np

from alpha_pipeline.pipeline.factors import stored_tests
from alpha_pipeline.pipeline.portfolios import read_week


class TestChain:
    def test_every_asset_was_materialized(self, ci_run):
        for key in ci_run.defs.resolve_asset_graph().get_all_asset_keys():
            assert ci_run.instance.get_latest_materialization_event(key) is not None, key.to_user_string()

    def test_no_blocking_check_failed(self, ci_run):
        assert all(ci_run.work.store.quarantined(table, key) is None
                   for table in ci_run.work.source.describe().tables for key in ci_run.plan.history)

    def test_scores_cover_the_universe(self, ci_run):
        frame = ci_run.work.store.read("models/tiny/scores", ci_run.plan.end)
        assert len(frame) > 40
        assert {"score", "member_0", "member_1"} <= set(frame.columns)
        assert abs(frame["score"].mean()) < 1e-6

    def test_factor_tests_exist_for_model_and_comparisons(self, ci_run):
        for signal in ("tiny", "linear_blend", "oracle"):
            tests = stored_tests(ci_run.work, signal)
            assert np.isfinite(tests["all"]["summary"]["rank_ic_mean"].iloc[0])

    def test_weights_hold_their_limits(self, ci_run):
        for week in ci_run.plan.weeks:
            state = read_week(ci_run.work, ci_run.spec.portfolios[0].name, week)
            assert abs(state.target.sum() - 1.0) < 1e-8
            assert (state.target >= 0).all()

    def test_attribution_adds_up(self, ci_run):
        daily = ci_run.work.store.read_bundle(f"portfolios/{ci_run.spec.portfolios[0].name}/attribution")["daily"]
        parts = ["country", "industry_total", "style_total", "specific", "trading", "benchmark_gap", "cost"]
        np.testing.assert_allclose(daily[parts].sum(axis=1), daily["active_return"], atol=1e-10)

    def test_report_is_one_page_that_says_simulated(self, ci_run):
        page = ci_run.work.store.read_bundle_file("reports/tiny", "report.html").decode()
        assert "SIMULATED MARKET" in page
        assert "oracle" in page
        assert 'src="http' not in page
