"""The stored risk model: date by date as in one go, six styles without reports, checks that fail on what must fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from alpha_pipeline.assets.risk import RISK_ASSETS
from alpha_pipeline.errors import BadInput, MissingData
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.markets import WithoutTables
from alpha_pipeline.pipeline import risk_checks as checks
from alpha_pipeline.pipeline import risk_model as model
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, make_exposures
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.factor_returns import factor_portfolios
from alpha_pipeline.risk.portfolio_risk import active_risk
from alpha_pipeline_tests.altered import manifest_print

STEPS = (make_exposures, model.make_factor_returns, model.make_covariance, model.make_specific)
LATEST = 4  # dates made again


@pytest.fixture(scope="module")
def keys(ci_run) -> list[str]:
    return ci_run.work.store.keys(EXPOSURES)


@pytest.fixture
def copy(ci_run, tmp_path) -> Workspace:
    """A store of its own: panels, reports and the risk model."""
    for folder in ("panels", "lake/fundamentals", "lake/risk"):
        shutil.copytree(Path(ci_run.work.root) / folder, tmp_path / folder)
    return Workspace(ci_run.work.market, str(tmp_path), ci_run.work.source)


def prints(work: Workspace, key: str) -> list[str]:
    return [manifest_print(work.store.manifest(asset, key)) for asset in RISK_ASSETS]


def remove_from(work: Workspace, first: str) -> None:
    for asset in RISK_ASSETS:
        for file in (Path(work.root) / "lake" / asset).iterdir():
            if file.name[:10] >= first:
                file.unlink()


class TestExamples:
    def test_tables(self, ci_run, keys):
        exposures = ci_run.work.store.read(EXPOSURES, keys[-1])
        assert list(exposures)[:5] == ["trade_date", "symbol", "industry", "total_cap", "in_universe"]
        assert list(exposures)[5:] == ["size", "beta", "momentum", "resvol", "nlsize", "liquidity", "btop", "earnyild", "growth", "leverage"]
        assert ci_run.work.store.manifest(EXPOSURES, keys[-1]).meta["note"].startswith("Ten styles")
        returns = ci_run.work.store.read(model.FACTOR_RETURNS, keys[-1])
        assert returns["kind"].value_counts()["country"] == 1
        assert {"btop", "earnyild"} <= set(returns["factor"])

    def test_first_session_says_why_it_is_empty(self, ci_run, keys):
        manifest = ci_run.work.store.manifest(model.FACTOR_RETURNS, keys[0])
        assert manifest.rows == 0
        assert manifest.meta["note"] == "the market's first session has no return"
        assert "too few factor returns" in ci_run.work.store.manifest(model.COVARIANCE, keys[0]).meta["note"]

    def test_returns_add_up(self, ci_run, keys):
        """Exposures of the day before times factor returns plus the specific return is the return."""
        work = ci_run.work
        inputs = model.load_regression(work, work.panels, keys[-1])
        f = work.store.read(model.FACTOR_RETURNS, keys[-1]).set_index("factor")["factor_return"]
        own = work.store.read(model.SPECIFIC_RETURNS, keys[-1]).set_index("symbol")["specific_return"]
        place = [inputs.symbols.index(symbol) for symbol in own.index]
        industry = np.array(inputs.industry_names)[inputs.industry[place]]
        fitted = f["country"] + f[industry].to_numpy() + np.nan_to_num(inputs.styles[place]) @ f.reindex(inputs.style_names).fillna(0).to_numpy()
        assert fitted + own.to_numpy() == pytest.approx(inputs.returns[place], abs=1e-12)

    def test_a_tracking_error_from_the_stored_tables(self, ci_run, keys):
        work = ci_run.work
        exposures = work.store.read(EXPOSURES, keys[-1]).set_index("symbol")
        covariance = work.store.read(model.COVARIANCE, keys[-1]).set_index("factor")
        volatility = work.store.read(model.SPECIFIC, keys[-1]).set_index("symbol")["specific_volatility"].reindex(exposures.index)
        x = pd.DataFrame(0.0, index=exposures.index, columns=covariance.index)
        for name, kind in covariance["kind"].items():
            x[name] = 1.0 if kind == "country" else exposures["industry"].eq(name) if kind == "industry" else exposures[name]
        n = len(x)
        equal, by_cap = np.full(n, 1 / n), (exposures["total_cap"] / exposures["total_cap"].sum()).to_numpy()
        risk = active_risk(equal, by_cap, x.to_numpy(dtype=np.float64), covariance[list(x)].to_numpy(), volatility.to_numpy())
        assert 0.01 < risk.volatility < 0.5


class TestProperties:
    def test_date_by_date_is_the_range_bit_for_bit(self, ci_run, copy, keys):
        expected = {key: prints(ci_run.work, key) for key in keys[-LATEST:]}
        remove_from(copy, keys[-LATEST])
        for key in keys[-LATEST:]:
            for step in STEPS:
                assert step(copy, [key]).computed == [key]
        assert {key: prints(copy, key) for key in keys[-LATEST:]} == expected

    def test_nothing_is_made_twice(self, copy, keys):
        for step in STEPS:
            report = step(copy, keys[-LATEST:])
            assert report.computed == []
            assert report.reused == keys[-LATEST:]

    def test_a_report_published_again_makes_its_later_dates_stale(self, copy, keys):
        session = next(key for key in reversed(keys[:-1]) if copy.store.manifest("fundamentals", key).rows)
        frame = copy.store.read("fundamentals", session)
        copy.store.write("fundamentals", session, frame.assign(book_equity=2 * frame["book_equity"]))
        before = keys[keys.index(session) - 1]
        report = make_exposures(copy, [before, keys[-1]])
        assert report.reused == [before]
        assert report.computed == [keys[-1]]

    def test_six_styles_without_reports(self, ci_run, copy, keys):
        work = Workspace(copy.market, copy.root, WithoutTables(ci_run.work.source, ("fundamentals",)))
        make_exposures(work, keys[-2:])
        model.make_factor_returns(work, keys[-1:])
        meta = work.store.manifest(EXPOSURES, keys[-1]).meta
        assert meta["styles"] == ["size", "beta", "momentum", "resvol", "nlsize", "liquidity"]
        assert "the source has no company reports" in meta["note"]
        returns = work.store.read(model.FACTOR_RETURNS, keys[-1])
        # eight months are too short for momentum
        assert returns.loc[returns["kind"] == "style", "factor"].tolist() == ["size", "beta", "resvol", "nlsize", "liquidity"]
        assert work.store.manifest(model.FACTOR_RETURNS, keys[-1]).meta["dropped"][-1] == "momentum"


class TestChecks:
    def test_all_hold(self, ci_run):
        for check in (checks.check_r_squared, checks.check_condition, checks.check_purity, checks.check_positive_definite, checks.check_bias):
            found = check(ci_run.work)
            assert found.passed, found.sentence
            assert found.facts

    def test_bias_of_every_factor(self, ci_run):
        table = checks.bias_by_factor(ci_run.work)
        assert {"country", "size"} <= set(table["factor"])
        assert (table["n_sessions"] > 20).all()

    def test_returns_that_do_not_belong_to_the_exposures(self, copy, keys):
        frame = copy.store.read(model.FACTOR_RETURNS, keys[-1])
        manifest = copy.store.manifest(model.FACTOR_RETURNS, keys[-1])
        copy.store.write(model.FACTOR_RETURNS, keys[-1], frame.assign(factor_return=frame["factor_return"] + 1e-6), meta=manifest.meta)
        found = checks.check_purity(copy)
        assert not found.passed
        assert "their returns by 1.0e-06 from the stored ones" in found.sentence

    def test_impure_portfolios(self, ci_run, keys):
        inputs = model.load_regression(ci_run.work, ci_run.work.panels, keys[-1])
        stored = ci_run.work.store.read(model.FACTOR_RETURNS, keys[-1]).set_index("factor")["factor_return"]
        used = inputs.run().used
        assert checks.purity(inputs, used, stored)[0] < 1e-10
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checks, "factor_portfolios", lambda *a: factor_portfolios(*a) + 1e-6)
            assert checks.purity(inputs, used, stored)[0] > 1e-6

    def test_r_squared_and_condition(self, copy, keys):
        frame = copy.store.read(model.FACTOR_RETURNS, keys[-1])
        meta = copy.store.manifest(model.FACTOR_RETURNS, keys[-1]).meta
        copy.store.write(model.FACTOR_RETURNS, keys[-1], frame, meta={**meta, "r_squared": 0.999, "condition": 1e5})
        assert not checks.check_r_squared(copy, keys[-1], keys[-1]).passed
        found = checks.check_condition(copy)
        assert not found.passed
        assert f"on {keys[-1]}" in found.sentence

    def test_negative_eigenvalue_and_bias(self, copy, keys):
        frame = copy.store.read(model.COVARIANCE, keys[-1])
        frame.loc[0, frame["factor"][0]] = -1.0
        copy.store.write(model.COVARIANCE, keys[-1], frame)
        assert not checks.check_positive_definite(copy).passed
        for key in keys[-60:]:
            frame = copy.store.read(model.COVARIANCE, key)
            copy.store.write(model.COVARIANCE, key, frame.assign(volatility=frame["volatility"] / 10))
        assert not checks.check_bias(copy).passed


class TestErrors:
    def test_what_is_missing_is_named(self, copy, keys):
        (Path(copy.root) / "lake" / "fundamentals" / f"{keys[3]}.json").unlink()
        with pytest.raises(MissingData, match=rf"'fundamentals' has no partition {keys[3]}.*Materialize 'fundamentals' for {keys[3]} first"):
            make_exposures(copy, [keys[-1]])
        (Path(copy.root) / "lake" / EXPOSURES / f"{keys[-2]}.json").unlink()
        with pytest.raises(MissingData, match=rf"'risk/exposures' has no partition {keys[-2]}"):
            model.make_factor_returns(copy, [keys[-1]])

    def test_redundant_styles_are_named_by_date(self, copy, keys):
        frame = copy.store.read(EXPOSURES, keys[-2])
        copy.store.write(EXPOSURES, keys[-2], frame.assign(btop=2 * frame["size"] + 1))
        with pytest.raises(BadInput, match=rf"risk/factor_returns {keys[-1]}: .*redundant styles"):
            model.make_factor_returns(copy, [keys[-1]])

    def test_a_date_with_too_few_names_is_empty_and_says_why(self, copy, keys, monkeypatch):
        frame = copy.store.read(EXPOSURES, keys[-2])
        copy.store.write(EXPOSURES, keys[-2], frame.iloc[:12])
        model.make_factor_returns(copy, [keys[-1]])
        manifest = copy.store.manifest(model.FACTOR_RETURNS, keys[-1])
        assert manifest.rows == 0
        assert "not more stocks than factors" in manifest.meta["note"]
        monkeypatch.setattr("alpha_pipeline.pipeline.risk_exposures.UNIVERSE", UniverseSpec(min_listed_days=10**4))
        monkeypatch.setattr("alpha_pipeline.pipeline.risk_exposures.CODE_VERSION", "changed")
        report = make_exposures(copy, [keys[-1]])
        assert report.excluded["too few stocks on the date"] > 0
        assert "too few stocks for style factors (got 0, expected >= 20)" in copy.store.manifest(EXPOSURES, keys[-1]).meta["note"]
