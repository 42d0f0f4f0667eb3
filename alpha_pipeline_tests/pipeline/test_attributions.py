"""Attribution with the stored risk model: adds up, equals what the stored tables give by hand, and refuses a date without them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from alpha_pipeline.errors import MissingData
from alpha_pipeline.pipeline import backtests, risk_model
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.industries import industry_dummies
from alpha_pipeline_tests.conftest import TINY_RISK, Run


@pytest.fixture
def copy(ci_run: Run, tmp_path: Path) -> Workspace:
    shutil.copytree(ci_run.work.root, tmp_path / "market")
    return Workspace(ci_run.work.market, str(tmp_path / "market"), ci_run.work.source)


class TestExamples:
    def test_a_day_by_hand(self, ci_run):
        """Holdings and index weights of the close before, stored exposures of that close, stored factor returns of the day."""
        work = ci_run.work
        frames = work.store.read_bundle(backtests.backtest_name(TINY_RISK.name))
        parts = work.store.read_bundle(backtests.attribution_name(TINY_RISK.name))["daily"]
        dates = work.panels.daily.dates
        for row in (5, 20):
            day = str(parts["trade_date"].iloc[row])[:10]
            before = dates[dates.index(day) - 1]
            held = frames["holdings"]
            held = held[held["trade_date"].astype(str).str[:10] == day].set_index("symbol")["weight_open"]
            index = work.store.read("index_weights", before)
            index = index[index["index_code"] == TINY_RISK.benchmark].set_index("symbol")["weight"]
            active = held.sub(index, fill_value=0.0)
            exposures = work.store.read(EXPOSURES, before).set_index("symbol").reindex(active.index)
            f = work.store.read(risk_model.FACTOR_RETURNS, day).set_index("factor")["factor_return"]
            for style in ("size", "liquidity", "btop"):
                assert parts[f"style:{style}"].iloc[row] == pytest.approx(float((active * exposures[style]).sum() * f[style]), abs=1e-12)
            for industry, weight in active.groupby(exposures["industry"]).sum().items():
                assert parts[f"industry:{industry}"].iloc[row] == pytest.approx(float(weight * f[industry]), abs=1e-12)


    def test_an_efficient_day_by_hand(self, ci_run, copy):
        """The stored exposures and the specific risk of the close before; the fit itself by statsmodels, which has no restriction."""
        spec = replace(TINY_RISK, attribution="efficient")
        meta = backtests.run_attribution(copy, spec).meta
        assert "weighted by 1/specific variance" in meta["conventions"]
        frames = copy.store.read_bundle(backtests.attribution_name(spec.name))
        day = str(frames["daily"]["trade_date"].iloc[20])[:10]
        dates = copy.panels.daily.dates
        before = dates[dates.index(day) - 1]
        inputs = risk_model.load_regression(copy, copy.panels, day)
        sigma = copy.store.read(risk_model.SPECIFIC, before).set_index("symbol")["specific_volatility"].reindex(inputs.symbols).to_numpy()
        styles = inputs.styles[:, ~np.isnan(inputs.styles[inputs.universe]).all(axis=0)]
        used = inputs.universe & (inputs.industry >= 0) & ~np.isnan(inputs.returns) & ~np.isnan(sigma) & ~np.isnan(styles).any(axis=1)
        dummies = industry_dummies(inputs.industry, len(inputs.industry_names))
        design = np.column_stack([dummies[:, dummies[used].any(axis=0)], styles])[used]
        fit = sm.WLS(inputs.returns[used], design, weights=sigma[used] ** -2.0).fit()
        found = frames["factor_returns"].set_index("trade_date").loc[day, list(meta["styles"])]
        assert found.to_numpy(dtype=float) == pytest.approx(fit.params[-styles.shape[1]:], abs=1e-12)
        usual = ci_run.work.store.read(risk_model.FACTOR_RETURNS, day).set_index("factor")["factor_return"]
        assert not np.allclose(usual[list(meta["styles"])], found.to_numpy(dtype=float)), "other weights, other returns"


class TestProperties:
    def test_adds_up_every_day_over_the_range_and_in_each_year(self, ci_run):
        frames = ci_run.work.store.read_bundle(backtests.attribution_name(TINY_RISK.name))
        daily = frames["daily"]
        parts = daily[["country", "industry_total", "style_total", "specific", "trading", "benchmark_gap", "cost"]].sum(axis=1)
        assert (parts - daily["active_return"]).abs().max() < 1e-10
        backtest = ci_run.work.store.read_bundle(backtests.backtest_name(TINY_RISK.name))["daily"]
        assert np.abs(daily["active_return"].to_numpy() - backtest["excess_return"].to_numpy()).max() < 1e-10
        linked = frames["summary"].set_index("component")["cumulative"]
        whole = linked[["country", "industry_total", "style_total", "specific", "trading", "benchmark_gap", "cost"]].sum()
        assert whole == pytest.approx(linked["active_return"], abs=1e-10)
        year = frames["by_year"].set_index("component")["contribution"]
        assert year["style_total"] == pytest.approx(linked["style_total"], abs=1e-10), "one year is the whole range"

    def test_ten_styles_where_compact_has_six(self, ci_run, copy):
        full = ci_run.work.store.bundle(backtests.attribution_name(TINY_RISK.name)).meta
        compact = backtests.run_attribution(copy, replace(TINY_RISK, attribution="compact"))
        assert {"btop", "earnyild", "nlsize"} <= set(full["styles"])
        assert "btop" not in compact.meta["styles"]
        assert "Carino" in full["conventions"]
        assert full["conventions"].startswith("stored risk model")
        ours, theirs = (work.store.read_bundle(backtests.attribution_name(TINY_RISK.name))["daily"] for work in (ci_run.work, copy))
        for same in ("trading", "benchmark_gap", "cost", "active_return"):
            assert ours[same].to_numpy() == pytest.approx(theirs[same].to_numpy(), abs=1e-12)

    def test_sources_tell_the_two_apart(self, ci_run, copy):
        compact = backtests.run_attribution(copy, replace(TINY_RISK, attribution="compact"))
        assert compact.source != ci_run.work.store.bundle(backtests.attribution_name(TINY_RISK.name)).source


    def test_an_efficient_attribution_adds_up_too(self, copy):
        spec = replace(TINY_RISK, attribution="efficient")
        assert backtests.run_attribution(copy, spec).source != backtests.run_attribution(copy, TINY_RISK).source
        backtests.run_attribution(copy, spec)
        daily = copy.store.read_bundle(backtests.attribution_name(spec.name))["daily"]
        parts = daily[["country", "industry_total", "style_total", "specific", "trading", "benchmark_gap", "cost"]].sum(axis=1)
        assert (parts - daily["active_return"]).abs().max() < 1e-10


class TestErrors:
    @pytest.mark.parametrize("table", [EXPOSURES, risk_model.FACTOR_RETURNS])
    def test_a_date_that_the_risk_model_lacks(self, copy, table):
        for file in (Path(copy.root) / "lake" / table).glob("2023-07-20*"):
            file.unlink()
        with pytest.raises(MissingData, match=rf"attribution of tiny_risk: the risk model has no '{table}' on 2023-07-20\. .*attribution='compact'"):
            backtests.run_attribution(copy, TINY_RISK)

    def test_a_date_without_specific_risk(self, copy):
        before = copy.store.read(risk_model.SPECIFIC, "2023-07-20")
        copy.store.write(risk_model.SPECIFIC, "2023-07-20", before.iloc[:0], source="none")
        with pytest.raises(MissingData, match=r"attribution of tiny_risk: no specific risk is known on 2023-07-20\. .*attribution='full'"):
            backtests.run_attribution(copy, replace(TINY_RISK, attribution="efficient"))
