"""The benchmarks run at toy size, and their pages say what was printed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cvxpy", reason="the optimizer's peers are not installed")
pytest.importorskip("statsmodels", reason="the factor tests' peers are not installed")

from alpha_pipeline.factors.ic import newey_west_se
from alpha_pipeline.features.tensors import DAILY
from alpha_pipeline.markets import MarketConfig, SimulatedSettings
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.training.periods import WalkForward
from benchmarks import (
    alphalens_loop,
    alphanet,
    attention,
    characteristics,
    ensemble,
    factor_tests,
    linear_factors,
    optimizer,
    optimizer_suites,
    panels,
    peer_epochs,
    precision,
    recovery,
    recovery_control,
    recovery_tables,
    recovery_zoo,
    risk_model,
    run_all,
    scaling,
    training_step,
    windows,
)
from benchmarks.recovery import Measured

TOY = MarketConfig("toy", "simulated", dt.date(2023, 3, 1), dt.date(2023, 7, 31), SimulatedSettings(40, 11))
TOY_MODEL = replace(
    recovery.MODEL,
    seeds=(0, 1),
    walk=WalkForward(train_start=dt.date(2023, 3, 1), min_train_dates=2, min_valid_dates=1),
    training=replace(recovery.MODEL.training, max_epochs=1, patience=1),
)


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Measured]:
    root = tmp_path_factory.mktemp("recovery")
    return root, recovery.run(root, TOY, TOY_MODEL, ["2023H2"], with_control=True)


class TestExamples:
    def test_panels(self, tmp_path: Path) -> None:
        median = panels.measure(tmp_path, 30, 4, 1)
        assert set(median) > {"panel, every value", "append one date"}

    def test_risk_model(self, tmp_path: Path) -> None:
        assert all(milliseconds > 0 for milliseconds in risk_model.speed(120, 2).values())
        table = risk_model.recovery(tmp_path, replace(TOY.simulated, n_stocks=150), dt.date(2023, 3, 1), dt.date(2023, 7, 31))
        found = table.set_index("planted")
        assert list(found.index) == list(risk_model.PAIRS)
        # 150 names are few: standard errors are as large as the smaller planted returns
        assert (found["with planted exposures"] > 0.4).all()
        assert found.loc["size", "correlation"] > 0.6
        assert (found["definition"].drop("momentum") > 0.5).all()  # momentum's window is not filled on these dates
        section = next(s for s in run_all.SECTIONS if s.key == "risk_model")
        output = "2500 dates take 3.1 minutes\n" + table.to_string(index=False, float_format=lambda x: f"{x:.3f}")
        figures = [bar.figure(output) for bar in section.bars]
        assert figures[1:3] + figures[7:9] == pytest.approx(found.loc[["size", "beta"], ["correlation", "efficient"]].to_numpy().T.ravel(), abs=6e-4)
        n_efficient = found["n_efficient"].drop("momentum")  # without its window no return
        assert (n_efficient > 0).all() and (n_efficient < found["n_dates"].max()).all()

    def test_factor_tests(self, capsys: pytest.CaptureFixture[str]) -> None:
        factor_tests.main(n_stocks=200, n_dates=12, n_repeats=1)
        alphalens_loop.main(n_stocks=100, n_dates=4, n_repeats=1)
        section = next(s for s in run_all.SECTIONS if s.key == "factor_tests")
        output = capsys.readouterr().out
        figures = {bar.name: bar.figure(output) for bar in section.bars}
        assert figures.pop("IC and layers, largest difference") < 1e-10  # the same numbers as alphalens
        assert all(figure > 0 for figure in figures.values())

    def test_characteristics(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = characteristics.measure(30, 15, 20, 1)
        assert found["difference"] < 1e-9
        assert characteristics.seconds_of_row(20, 30) > 0
        characteristics.main(["--stocks", "5000", "--minutes", "30", "--peer-stocks", "12"])
        section = next(s for s in run_all.SECTIONS if s.key == "characteristics")
        assert all("| " in bar.row(capsys.readouterr().out) for bar in section.bars[:1])

    def test_windows(self, capsys: pytest.CaptureFixture[str]) -> None:
        windows.measure(DAILY, 45, 60, 1)
        bars = [bar for s in run_all.SECTIONS if s.key == "windows" for bar in s.bars if bar.name.startswith("daily")]
        output = capsys.readouterr().out
        assert len(bars) == 2
        assert all(bar.figure(output) > 0 for bar in bars)

    def test_training_step(self, capsys: pytest.CaptureFixture[str]) -> None:
        training_step.compare("gru", 40, 6, 30, 64, 1)
        bars = [bar for s in run_all.SECTIONS if s.key == "training_step" for bar in s.bars if bar.name.startswith("40 steps")]
        output = capsys.readouterr().out
        assert len(bars) == 2
        assert all(bar.figure(output) > 0 for bar in bars)

    def test_alphanet(self, capsys: pytest.CaptureFixture[str]) -> None:
        alphanet.measure(40, 1)
        section = next(s for s in run_all.SECTIONS if s.key == "alphanet")
        output = capsys.readouterr().out
        assert all(bar.figure(output) > 0 for bar in section.bars)
        assert all(float(line.split()[-1]) < 1e-3 for line in output.splitlines() if "largest difference" in line)

    def test_attention(self, capsys: pytest.CaptureFixture[str]) -> None:
        attention.measure(100, 1, shapes=((320, 6),))
        section = next(s for s in run_all.SECTIONS if s.key == "attention")
        output = capsys.readouterr().out
        assert all(bar.figure(output) > 0 for bar in section.bars)

    def test_peer_epochs(self) -> None:
        ours, theirs = (peer_epochs.measure(side, 2, 12, 1) for side in ("ours", "peer"))
        assert min(ours["seconds"], theirs["seconds"]) > 0
        assert min(ours["memory"], theirs["memory"]) >= 0
        windows_, dates = peer_epochs.make_windows(2, 5)
        expanded = peer_epochs.ExpandedWindows(windows_, dates, peer_epochs.labels(windows_.n_dates, 5))
        assert len(expanded) == 10
        assert np.array_equal(expanded[7][0], windows_.window(dates[1], np.arange(5))[:, :, 2])  # second date, third stock

    def test_scaling(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert scaling.exponent((1, 2, 4), [3.0, 6.0, 12.0]) == pytest.approx(1.0)
        found = scaling.curve(scaling.network_config(scaling.MODELS[0]), 1, stocks=(20, 40), dates=(1, 2))
        assert all(second > 0 for seconds in found.values() for second in seconds)
        section = next(s for s in run_all.SECTIONS if s.key == "scaling")
        output = capsys.readouterr().out
        assert all(np.isfinite(bar.figure(output)) for bar in section.bars)

    def test_controls_on_several_permutations(self, recovered: tuple[Path, Measured]) -> None:
        root, _ = recovered
        table, series = recovery_control.run(root, 2, TOY, TOY_MODEL, "2023H2", TOY_MODEL.training)
        assert list(table.index) == list(series.columns) == ["permutation 1", "permutation 2"]
        together = recovery_control.mean_over_permutations(series)
        known = series.dropna()
        assert together["RankIC"] == pytest.approx(table["RankIC"].mean())
        assert together["NW s.e."] == pytest.approx(newey_west_se(known.mean(axis=1), min(10, len(known) - 1)))

    def test_zoo(self, recovered: tuple[Path, Measured], capsys: pytest.CaptureFixture[str]) -> None:
        root, _ = recovered
        names = ("gru_daily", "alphanet_v2_1")
        models = {name: replace(recovery_zoo.MODELS_BY_NAME[name], walk=TOY_MODEL.walk, training=TOY_MODEL.training) for name in names}
        table, rank_ics, pieces = recovery_zoo.run(root, models, TOY, "2023H2")
        assert set(pieces.index) == set(table.index)
        assert set(names) <= set(table.index)
        assert table.loc[list(names), ["RankIC", "parameters", "epochs"]].notna().all(axis=None)
        assert table.loc["gru_daily", "RankIC"] == pytest.approx(np.nanmean(rank_ics["gru_daily"]))

    def test_causes_change_what_they_are_named_for(self) -> None:
        for name, model in recovery_zoo.CAUSES.items():
            base = next(m for n, m in recovery_zoo.MODELS_BY_NAME.items() if m.network == model.network and name.startswith(n))
            recovery_zoo.training.network_config(model)
            assert (model.training.patience > base.training.patience) == name.endswith("patient")
            assert (model.training.loss != base.training.loss) == ("_ic" in name)
            assert (model.walk.sample_every < base.walk.sample_every) == name.endswith("every_5th")

    def test_precision(self, recovered: tuple[Path, Measured], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        root, _ = recovered
        variants = precision.variants(["factor_gru"], walk=TOY_MODEL.walk, n_seeds=2,
                                      training=replace(recovery_zoo.FACTORS, max_epochs=1, patience=1))
        assert [(m.training.precision, m.seeds) for m in variants.values()] == [("float32", (0, 1)), ("bfloat16", (0, 1)), ("float32", (2, 3))]
        table = precision.run(root, variants, TOY, "2023H2")
        assert table.loc["factor_gru", "bfloat16 less float32"] != 0
        assert table.notna().all(axis=None)

    def test_ensemble(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        small = "--stocks 40 --steps 5 --dates 3 --epochs 1 --repeats 1 --members 2"
        monkeypatch.setattr("sys.argv", ["ensemble", *small.split()])
        ensemble.main()
        output = capsys.readouterr().out
        assert [name for name in ensemble.CONTENDERS if f"  {name}" not in output] == []

    def test_optimizer_solves_the_same_problem_as_its_peers(self) -> None:
        problem = optimizer.simulated_problem(0, 120)
        ours = optimizer.optimize(problem, optimizer.SPEC).objective
        assert optimizer.scipy_linprog(problem) == pytest.approx(ours, rel=1e-7)

    def test_optimizer_suites(self, capsys: pytest.CaptureFixture[str]) -> None:
        for suite in ("riskcontrol", "tracking_error", "relaxed"):
            optimizer_suites.run(suite, 120, 2)
        output = capsys.readouterr().out
        section = next(s for s in run_all.SECTIONS if s.key == "optimizer")
        figures = {bar.name: bar.figure(output) for bar in section.bars[2:]}
        assert len(figures) == 5
        last = output[output.index("\nrelaxed: 2 weeks"):]
        assert "{'relaxed': 2}" in last
        assert f"largest gap {figures['such a week whose limits cannot all be held, proven gap']:.1e}" in last, "not that of an earlier suite"

    def test_fitted_weights_are_those_the_labels_were_made_of(self) -> None:
        rng = np.random.default_rng(0)
        standard = rng.standard_normal((3, 20, 50))
        weights = np.array([0.5, -0.2, 0.1])
        labels = linear_factors.blend(standard, weights)
        labels[10:] = rng.standard_normal((10, 50))  # dates that the fit must not see
        standard[:, 0, 0] = np.nan
        assert linear_factors.trained_weights(standard, labels, np.arange(10)) == pytest.approx(weights)

    def test_figures_of_two_series(self) -> None:
        rng = np.random.default_rng(1)
        oracle = 0.14 + 0.05 * rng.standard_normal(100)
        table = recovery_tables.figures_table(
            {"half": np.append(oracle / 2, np.nan), "oracle": np.append(oracle, np.nan)}, "oracle"
        )
        assert table.loc["half", "share of oracle"] == pytest.approx(0.5)
        assert table.loc["half", "NW s.e."] == pytest.approx(newey_west_se(oracle / 2, 10))
        assert table.loc["half", "dates"] == 100


class TestProperties:
    def test_published_factors_use_nothing_later(self, recovered: tuple[Path, Measured]) -> None:
        """The factors of the first 80 rows are the same when only these rows exist."""
        root, _ = recovered
        opened = Workspace(TOY, str(root / TOY.name)).panels
        whole = linear_factors.published_factors(opened)
        for panel in (opened.daily, opened.intraday_15m):
            panel.rows = panel.rows[:80]
        early = linear_factors.published_factors(opened)
        for name in linear_factors.NAMES:
            assert np.isfinite(early[name][-1]).mean() > 0.5, name
            assert np.allclose(early[name], whole[name][:80], equal_nan=True), name

    def test_daily_branch_is_not_the_whole_score(self, recovered: tuple[Path, Measured]) -> None:
        _, found = recovered
        assert not np.allclose(
            found.rank_ics[recovery_tables.DAILY_BRANCH], found.rank_ics[recovery_tables.ENSEMBLE], equal_nan=True
        )

    def test_every_series_ends_where_labels_end(self, recovered: tuple[Path, Measured]) -> None:
        _, found = recovered
        assert len(found.rank_ics) == 9
        for series in found.rank_ics.values():
            assert np.isfinite(series[:-10]).all()
            assert np.isnan(series[-10:]).all()

    def test_the_oracle_holds_every_piece(self, recovered: tuple[Path, Measured]) -> None:
        _, found = recovered
        assert (found.pieces.loc[recovery_tables.THE_ORACLE] > 0).all()
        assert found.figures.loc[recovery_tables.THE_ORACLE, "correlation with oracle"] == pytest.approx(1.0)

    def test_resumed_run_without_the_control_gives_the_same_figures(self, recovered: tuple[Path, Measured]) -> None:
        root, found = recovered
        again = recovery.run(root, TOY, TOY_MODEL, ["2023H2"], with_control=False)
        assert again.figures.equals(found.figures.drop(index=recovery_tables.CONTROL))

    def test_bars_are_read_off_the_printed_tables(
        self, recovered: tuple[Path, Measured], capsys: pytest.CaptureFixture[str]
    ) -> None:
        root, found = recovered
        recovery.print_measured(found, recovery.Clock(root / "seconds.json"))
        section = next(s for s in run_all.SECTIONS if s.key == "recovery")
        output = capsys.readouterr().out
        share = found.figures.loc[recovery_tables.ENSEMBLE, "share of oracle"]
        assert section.bars[0].figure(output) == pytest.approx(100 * share, abs=0.51)
        assert all(np.isfinite(bar.figure(output)) for bar in section.bars)

    def test_kept_sections_survive(self) -> None:
        section = next(s for s in run_all.SECTIONS if s.key == "panels")
        output = "parquet days into one array  200.0 ms\npanel, every value  10.0 ms\nwindow: 20-day window  1.0 ms\nappend one date  60.0 ms"
        text = run_all.section_text(section, [run_all.Ran("panels", output, 3.0, (0.5, 0.7))])
        page = run_all.assemble({section.key: text}, "a machine")
        assert run_all.stored_sections(page) == {section.key: text}
        assert "20 x | ≥ 15 x | met" in page
        assert page.count("60 ms | ≤ 50 ms | **missed**") == 2  # in the summary and in the section


class TestErrors:
    def test_output_without_the_figure(self) -> None:
        with pytest.raises(AssertionError, match="no match in the output"):
            next(s for s in run_all.SECTIONS if s.bars).bars[0].figure("nothing measured")

    def test_unknown_section(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            run_all.main(["--only", "window"])
        assert "invalid choice: 'window'" in capsys.readouterr().err
