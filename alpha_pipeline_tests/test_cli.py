"""The command line, called in this process: exit codes, what is printed, and one sentence for every mistake."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from alpha_pipeline import cli
from alpha_pipeline.experiments import EXPERIMENTS
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.markets import DATA_ROOT_VARIABLE, MARKET_VARIABLE, MARKETS
from alpha_pipeline.store import Store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Dagster instance for the module: making its databases takes longer than most commands."""
    return tmp_path_factory.mktemp("dagster")


@pytest.fixture
def data(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root; the variables that the command line hands on to child processes are restored afterwards."""
    monkeypatch.setenv(DATA_ROOT_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv(MARKET_VARIABLE, "ci")
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`alpha-pipeline …` → exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(arguments)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


@pytest.fixture
def stored(ci_run, data: Path) -> Store:
    """The small market's store under the name that the command line looks for; results only linked, so to be read only."""
    (data / "ci").parent.mkdir(parents=True, exist_ok=True)
    (data / "ci").symlink_to(ci_run.work.store.root)
    return ci_run.work.store


def mistake(found: tuple[int, str, str]) -> str:
    """The one sentence of a user's mistake."""
    code, out, err = found
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1, "one line"
    return err.removeprefix("error: ").rstrip()


class TestLists:
    def test_experiments(self, run):
        code, out, _ = run("experiments")
        assert code == 0
        for spec in EXPERIMENTS.values():
            assert any(line.split()[0] == spec.name and spec.title in line for line in out.splitlines())

    def test_every_setting_of_one(self, run):
        code, out, _ = run("experiments", "demo")
        assert code == 0
        shown = {line.split()[0] for line in out.splitlines() if line.strip()}
        assert {name for name, _ in EXPERIMENTS["demo"].describe()} - {name for name in shown} == {
            name for name, _ in EXPERIMENTS["demo"].describe() if " " in name
        }
        assert "models[demo_incremental].training.max_epochs" in shown

    def test_markets(self, run):
        code, out, _ = run("markets")
        assert code == 0
        for market in MARKETS.values():
            assert any(line.split()[0] == market.name and market.description in line for line in out.splitlines())

    def test_version_and_help(self, capsys):
        for option in ("--version", "--help"):
            with pytest.raises(SystemExit) as left:
                cli.main([option])
            assert left.value.code == 0
        assert "alpha-pipeline" in capsys.readouterr().out


class TestMistakes:
    def test_unknown_experiment(self, run):
        text = mistake(run("experiments", "dmeo"))
        assert text == f"unknown experiment 'dmeo' (expected one of {', '.join(EXPERIMENTS)}). Did you mean 'demo'?"
        assert mistake(run("run", "dmeo")) == text
        assert mistake(run("report", "dmeo")) == text

    def test_unknown_market(self, run):
        for command in (
            ["run", "demo"],
            ["check"],
            ["sql", "SELECT 1"],
            ["report", "demo"],
            ["backfill", "daily_bars", "--start", "2023-01-03"],
            ["ui"],
        ):
            assert mistake(run(*command, "--market", "cii")).startswith(
                "unknown market 'cii' (expected one of demo, ci, small, simulated, a path to a .toml file)"
            )

    def test_an_experiment_whose_dates_the_market_lacks(self, run):
        assert mistake(run("run", "demo")).startswith(
            "experiment 'demo': no trade date in common (got experiment 2024-01-02 … 2024-06-28, "
            "expected dates within the market's 2023-01-03 … 2023-09-28)"
        )

    def test_an_experiment_whose_tables_the_market_lacks(self, run, monkeypatch):
        from alpha_pipeline import markets

        monkeypatch.setitem(markets.SOURCES, "simulated", lambda config: markets.WithoutTables(markets._simulated(config), ("intraday_bars",)))
        assert mistake(run("run", "multifreq")).startswith("experiment 'multifreq': the market lacks intraday_bars (got intraday_bars: left out by")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["daily_bar", "--start", "2023-01-03"], "unknown asset 'daily_bar' (expected one of "),
            (["daily_bars", "--start", "2023-01-23"], "market 'ci': 2023-01-23 is not a trade date"),
            (["daily_bars", "--start", "tomorrow"], "'tomorrow' is not a date (expected a date such as 2024-01-05)."),
            (["daily_bars"], "'daily_bars' has partitions (expected --start, and --end for more than one). The newest is 2023-09-28."),
            (["daily_bars", "--start", "2023-01-05", "--end", "2023-01-04"], "the range ends before it starts (got 2023-01-05 … 2023-01-04)."),
            (
                ["daily_bars", "models/demo_incremental/checkpoint", "--start", "2023-01-05"],
                "these assets have different partitions (got daily_bars and models/demo_incremental/checkpoint)",
            ),
            (["models/demo_incremental/checkpoint", "--start", "2023"], "unknown period '2023' (expected a half-year such as 2017H1)"),
            (["models/demo_incremental/checkpoint", "--start", "2031H1"], "the market has no half-year 2031H1 (expected 2023H1 … 2023H2)."),
            (
                ["portfolios/demo_csi500_t40/weights", "--start", "2023-01-04"],
                "2023-01-04 is no partition of 'portfolios/demo_csi500_t40/weights' (expected a Monday between 2023-01-02 and 2023-09-25). "
                "The Monday of its week is 2023-01-02.",
            ),
            (
                ["daily_panel", "--start", "2023-01-04", "--refresh"],
                "nothing to refresh: only raw tables are read from the source (got daily_panel, expected",
            ),
        ],
    )
    def test_backfill(self, run, arguments, message):
        assert mistake(run("backfill", *arguments)).startswith(message)

    def test_a_step_that_fails_says_why(self, run):
        text = mistake_of_run(run("backfill", "signals/linear_blend/factor", "--start", "2023-01-04"))
        assert text.startswith("Backfill 2023-01-04 … 2023-01-04: MissingData: date 2023-01-04 is not in panel 'daily' (got no dates).")

    def test_check_before_anything_is_stored(self, run):
        assert mistake(run("check")) == "market 'ci': nothing to check. Run an experiment or a backfill first."

    def test_report_before_it_is_written(self, run):
        assert "result 'reports/demo' does not exist. Materialize 'reports/demo' first." in mistake(run("report", "demo"))

    def test_interrupt(self, run, monkeypatch):
        def interrupted(options: object) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "_markets", interrupted)
        code, _, err = run("markets")
        assert code == 130
        assert "start the same command again to continue" in err

    def test_a_command_is_needed(self, capsys):
        with pytest.raises(SystemExit) as left:
            cli.main([])
        assert left.value.code == 2
        assert "COMMAND" in capsys.readouterr().err


def mistake_of_run(found: tuple[int, str, str]) -> str:
    """The sentence of a run that failed; lines of progress come before it."""
    code, _, err = found
    assert code == 2
    return next(line for line in err.splitlines() if line.startswith("error: ")).removeprefix("error: ")


class TestSql:
    def test_one_view_per_table(self, run, stored):
        code, out, _ = run("sql", "SELECT count(DISTINCT trade_date) AS n_dates, count(*) AS n_rows FROM daily_bars")
        assert code == 0
        n_rows = sum(stored.manifest("daily_bars", key).rows for key in stored.keys("daily_bars"))
        assert str(len(stored.keys("daily_bars"))) in out
        assert str(n_rows) in out

    def test_names_with_slashes(self, run, stored):
        code, out, _ = run("sql", "SELECT count(*) AS n FROM models_tiny_scores WHERE score IS NOT NULL")
        assert code == 0
        assert str(sum(stored.manifest("models/tiny/scores", key).rows for key in stored.keys("models/tiny/scores"))) in out

    def test_a_wrong_query(self, run, stored):
        code, _, err = run("sql", "SELECT * FROM dayly_bars")
        assert code == 2
        assert err.startswith("error: the query failed: Catalog Error: Table with name dayly_bars does not exist!")
        assert "`SHOW TABLES` lists the views." in err

    def test_the_prompt(self, run, stored, monkeypatch):
        lines = iter(["SELECT count(*) AS n", "FROM index_bars;", "SELECT nothing;", ".quit"])
        monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
        code, out, err = run("sql")
        assert code == 0
        assert out.startswith("views: ") and "daily_bars, fundamentals, index_bars, " in out.splitlines()[0]
        assert str(sum(stored.manifest("index_bars", key).rows for key in stored.keys("index_bars"))) in out
        assert err.startswith("error: Binder Error")


class TestCheck:
    def test_good_data(self, run, stored):
        code, out, _ = run("check", "--start", "2023-08-28")
        assert code == 0
        assert out.splitlines()[-1] == "4 trade date(s) checked, 0 blocking failure(s)"

    def test_the_newest_date_is_the_default(self, run, stored):
        code, out, _ = run("check")
        assert (code, out.splitlines()[-1]) == (0, "1 trade date(s) checked, 0 blocking failure(s)")

    def test_damaged_data(self, run, ci_run, data):
        source = Path(ci_run.work.store.root)
        for table in TABLES:
            shutil.copytree(source / "lake" / table, data / "ci" / "lake" / table)
        (file,) = (data / "ci" / "lake" / "daily_bars").glob("2023-08-31.*.parquet")
        file.write_bytes(file.read_bytes()[:500])
        code, out, _ = run("check", "--start", "2023-08-30")
        assert code == 1
        assert "FAIL ERROR  daily_bars.stored_partitions_hold: 1 of 2 dates fail; first 2023-08-31: daily_bars 2023-08-31: the bytes on disk" in out
        assert "blocking failure(s)" in out

    def test_dates_that_are_not_stored(self, run, stored):
        assert mistake(run("check", "--start", "2023-10-09", "--end", "2023-10-13")).startswith(
            "no stored trade date in the range (got 2023-10-09 … 2023-10-13, expected 2023-01-03 … 2023-08-31)"
        )
        assert mistake(run("check", "--start", "monday")).startswith("'monday' is not a date")


class TestReport:
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch, ci_run):
        monkeypatch.setitem(EXPERIMENTS, "tiny", ci_run.spec)

    def test_where_it_lies(self, run, stored):
        code, out, _ = run("report", "tiny")
        assert code == 0
        assert Path(out.strip()).read_bytes() == stored.read_bundle_file("reports/tiny", "report.html")

    def test_a_copy(self, run, stored, tmp_path):
        page = tmp_path / "page.html"
        code, out, _ = run("report", "tiny", "--output", str(page))
        assert (code, out.strip()) == (0, str(page))
        assert "SIMULATED MARKET" in page.read_text()


class TestBackfill:
    def test_one_date_on_an_empty_root(self, run, data):
        code, out, err = run("backfill", "security_status", "daily_bars", "index_weights", "universe", "daily_panel", "--start", "2023-01-03")
        assert code == 0
        assert out == "materialized security_status, daily_bars, index_weights, universe, daily_panel for 2023-01-03 … 2023-01-03\n"
        assert err == "[1/1] Backfill 2023-01-03 … 2023-01-03\n"
        assert Store(data / "ci").keys("daily_bars") == ["2023-01-03"]
        assert Store(data / "ci").keys("intraday_bars") == []

    def test_a_refresh_asks_the_source_again(self, run, data):
        assert run("backfill", "index_bars", "--start", "2023-01-03", "--end", "2023-01-05")[0] == 0
        (file,) = (data / "ci" / "lake" / "index_bars").glob("2023-01-04.*.parquet")
        good = file.read_bytes()
        file.write_bytes(good[:-50])
        assert run("backfill", "index_bars", "--start", "2023-01-04", "--refresh")[0] == 0
        assert file.read_bytes() == good

    def test_runs_are_seen_by_the_web_interface(self, run, home):
        import dagster as dg

        assert run("backfill", "fundamentals", "--start", "2023-03-01")[0] == 0
        with dg.DagsterInstance.from_config(str(home)) as instance:
            newest = instance.get_run_records(limit=1)[0].dagster_run
            assert newest.is_success
            assert newest.tags["dagster/partition"] == "2023-03-01"
            assert not instance.telemetry_enabled


class TestHome:
    def test_the_instance_lies_beside_the_data(self, data, monkeypatch):
        monkeypatch.delenv("DAGSTER_HOME")
        home = cli._prepare_home("ci")
        monkeypatch.setenv("DAGSTER_HOME", str(home))  # so that it is taken away again afterwards
        assert home == data / "ci" / "dagster"
        assert "enabled: false" in (home / "dagster.yaml").read_text()

    def test_settings_that_are_there_are_kept(self, data, tmp_path, monkeypatch):
        (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        assert cli._prepare_home("ci") == tmp_path
        assert (tmp_path / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"

    def test_ui_starts_dagster_on_this_machine_only(self, run, monkeypatch):
        started = []
        monkeypatch.setattr("os.execv", lambda path, arguments: started.append(arguments))
        code, out, _ = run("ui", "--port", "3456")
        assert code == 0
        assert started[0][1:] == ["-m", "dagster", "dev", "-m", "alpha_pipeline.definitions", "-h", "127.0.0.1", "-p", "3456"]
        assert out.startswith("Dagster on http://127.0.0.1:3456")
