"""`alpha-pipeline`: the command line. Thin; every command works on the same Dagster instance as the UI, so what it did is seen there."""

import argparse
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alpha_pipeline import __version__
from alpha_pipeline.errors import AlphaPipelineError, BadInput, sentence
from alpha_pipeline.markets import DATA_ROOT_VARIABLE, DEFAULT_MARKET, MARKET_VARIABLE, MARKETS, data_root, load_market

if TYPE_CHECKING:
    import dagster as dg
    from rich.table import Table

    from alpha_pipeline.experiment import ExperimentSpec
    from alpha_pipeline.pipeline.workspace import Workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code. A user's mistake prints one sentence, never a traceback."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except AlphaPipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; start the same command again to continue where it stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alpha-pipeline", description="Data-and-model pipeline for China A-share index enhancement.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str, *, market: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        if market:
            sub.add_argument("--market", default=os.environ.get(MARKET_VARIABLE, DEFAULT_MARKET),
                             help="built-in market or a TOML file (default: $ALPHA_PIPELINE_MARKET or 'demo')")
        return sub

    run = command("run", _run, "run an experiment from raw bars to the report")
    run.add_argument("experiment")
    run.add_argument("--start", help="first out-of-sample date (default: the experiment's)")
    run.add_argument("--end", help="last out-of-sample date (default: the experiment's)")
    backfill = command("backfill", _backfill, "materialize assets over a range of partitions")
    backfill.add_argument("assets", nargs="+", help="asset names such as daily_bars or models/demo_incremental/scores")
    backfill.add_argument("--start", help="first partition key (a date, a Monday, or 2017H1); a result without partitions needs none")
    backfill.add_argument("--end", help="last partition key (default: the first)")
    backfill.add_argument("--refresh", action="store_true", help="ask the source again for dates that are already stored")
    sweep = command("sweep", _sweep, "train variants of a model that differ in one setting, and compare them")
    sweep.add_argument("experiment")
    sweep.add_argument("--model", required=True, help="a model of the experiment")
    sweep.add_argument("--field", required=True, help="a setting such as training.lr, walk.sample_every or settings.n_hidden (of the network)")
    sweep.add_argument("--values", required=True, help="comma-separated, e.g. 1e-3,3e-4; a list is written a+b, no value none")
    sweep.add_argument("--periods", nargs="+", default=[], help="half-years to train and score, e.g. 2022H1 (default: the experiment's)")
    constraints = command("sweep-constraints", _sweep_constraints, "rebalance and backtest an experiment's portfolio under other limits, and compare")
    constraints.add_argument("experiment", help="an experiment with a study of kind constraint_sweep, already run up to its signals")
    constraints.add_argument("--start", help="first out-of-sample date (default: the experiment's)")
    constraints.add_argument("--end", help="last out-of-sample date (default: the experiment's)")
    changes = command("changes", _changes, "print what a rebalance changed and why, or write it as a page")
    changes.add_argument("portfolio")
    changes.add_argument("--week", help="the Monday of the week, or any date in it (default: the newest rebalance)")
    changes.add_argument("--output", help="write the HTML page to this file")
    report = command("report", _report, "print where an experiment's report lies, or copy it")
    report.add_argument("experiment")
    report.add_argument("--output", help="copy the HTML page to this file")
    index = command("index", _index, "write the page over all experiments of a market that have a report")
    index.add_argument("--output", help="write it and all reports into this folder, linked with one another")
    compare = command("compare", _compare, "write a page that compares two runs")
    compare.add_argument("first", help="an experiment")
    compare.add_argument("second", help="another one, or the same on --second-market")
    compare.add_argument("--second-market", help="market of the second run (default: --market)")
    compare.add_argument("--output", default="comparison.html", help="file to write (default: comparison.html)")
    sql = command("sql", _sql, "query the store with DuckDB: one view per table")
    sql.add_argument("query", nargs="?", help="a statement; without one, an interactive prompt")
    check = command("check", _check, "run the asset checks on stored partitions; exit code 1 when one fails")
    check.add_argument("--start", help="first trade date (default: the newest stored)")
    check.add_argument("--end", help="last trade date")
    experiments = command("experiments", _experiments, "list experiments, or every setting of one", market=False)
    experiments.add_argument("experiment", nargs="?")
    command("markets", _markets, "list the built-in markets", market=False)
    ui = command("ui", _ui, "serve Dagster's web interface on 127.0.0.1")
    ui.add_argument("--port", type=int, default=3000)
    return parser


# ---------------------------------------------------------------- plumbing


def _open(
    options: argparse.Namespace, experiments: "Sequence[ExperimentSpec] | None" = None, with_spec: "ExperimentSpec | None" = None
) -> tuple["Workspace", "dg.Definitions", "dg.DagsterInstance"]:
    """Workspace, graph (of the market's experiments, or these; ``with_spec`` besides) and instance of the chosen market. The
    instance lives beside the market's data unless $DAGSTER_HOME says otherwise."""
    home = _prepare_home(options.market)
    import dagster as dg

    from alpha_pipeline.definitions import build_definitions, listed_experiments
    from alpha_pipeline.pipeline.workspace import Workspace

    config = load_market(options.market)
    if with_spec is not None:
        experiments = [spec for spec in listed_experiments(config) if spec.name != with_spec.name] + [with_spec]
    return Workspace(config), build_definitions(options.market, experiments), dg.DagsterInstance.from_config(str(home))


def _prepare_home(market: str) -> Path:
    """$DAGSTER_HOME with a dagster.yaml; also hands the market on to child processes."""
    config = load_market(market)
    os.environ[MARKET_VARIABLE] = str(Path(market).resolve()) if market.endswith(".toml") else market
    root = data_root(config)
    if "DAGSTER_HOME" in os.environ:
        home = Path(os.environ["DAGSTER_HOME"])
    elif "://" in root:
        home = Path.home() / ".alpha_pipeline" / config.name / "dagster"
    else:
        home = Path(root).resolve() / "dagster"
        os.environ[DATA_ROOT_VARIABLE] = str(Path(root).resolve().parent)
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text((Path(__file__).parent / "resources" / "dagster.yaml").read_text())
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("ALPHA_PIPELINE_EVENTS", str(home / "history"))
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # event_storage.BATCH_SIZE; importing it here would import dagster
    return home


def _print(table: "Table") -> None:
    """A table in the width of the terminal, or as wide as it needs to be where the output is read by another program."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 240).print(table)


# ---------------------------------------------------------------- commands


def _run(options: argparse.Namespace) -> int:
    from alpha_pipeline.experiments import experiment

    spec = experiment(options.experiment)
    work, defs, instance = _open(options, with_spec=spec)
    from rich.console import Console

    from alpha_pipeline.assets import runner
    from alpha_pipeline.experiments.select import carried
    from alpha_pipeline.pipeline.session import plan_run
    from alpha_pipeline.reporting.progress_bar import progress_bars

    console = Console(stderr=True)
    described = work.source.describe()
    spec = carried(spec, described)
    start, end = (runner.iso_date(day) if day else None for day in (options.start, options.end))
    plan = plan_run(spec, work.calendar, start, end)
    steps = runner.experiment_steps(spec, plan, work)
    kind = "SIMULATED market" if described.is_simulated else "real data"
    console.print(f"[bold]{spec.title}[/bold] on '{work.market.name}' ({kind}), {plan.start} … {plan.end}, {len(steps)} steps")
    started = time.monotonic()
    with progress_bars(console, len(steps)) as bars:
        done = runner.run_experiment(defs, instance, steps, lambda number, step: bars.stage(number, step.title))
    from alpha_pipeline.pipeline.reports import load_report_inputs
    from alpha_pipeline.reporting.terminal import summary_table

    Console().print(summary_table(load_report_inputs(work, spec, is_brief=True)))
    path = work.store.bundle_path(f"reports/{spec.name}", "report.html")
    for line in done.lines():
        console.print(line, soft_wrap=True, highlight=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)  # bytes there, KiB on Linux
    console.print(f"report: {path}\nfinished in {time.monotonic() - started:.0f} s, peak memory {peak:.2f} GiB; "
                  f"see it all with: alpha-pipeline ui --market {options.market}", soft_wrap=True)  # a path broken into two lines cannot be copied
    return 0


def _backfill(options: argparse.Namespace) -> int:
    work, defs, instance = _open(options)
    from rich.console import Console

    from alpha_pipeline.assets import runner
    from alpha_pipeline.reporting.progress_bar import progress_bars

    step = runner.backfill_step(defs, work, options.assets, options.start or "", options.end or "", refresh=options.refresh)
    with progress_bars(Console(stderr=True), 1) as bars:
        bars.stage(0, step.title)
        runner.execute(defs, instance, step)
    print(f"materialized {', '.join(options.assets)}{f' for {step.first} … {step.last}' if step.first else ''}")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from alpha_pipeline.experiments import experiment
    from alpha_pipeline.pipeline.sweep import formatted, save_sweep, sweep_name, sweep_table, sweep_variants

    values = [value for value in options.values.split(",") if value]
    spec, variants = sweep_variants(experiment(options.experiment), options.model, options.field, values)
    work, defs, instance = _open(options, [spec])
    from rich.console import Console
    from rich.table import Table

    from alpha_pipeline.assets import runner
    from alpha_pipeline.assets.sweeps import sweep_steps
    from alpha_pipeline.experiments.select import carried
    from alpha_pipeline.reporting.progress_bar import progress_bars

    steps, periods = sweep_steps(carried(spec, work.source.describe()), work, options.periods)
    with progress_bars(Console(stderr=True), len(steps)) as bars:
        runner.run_experiment(defs, instance, steps, lambda number, step: bars.stage(number, step.title))
    found = sweep_table(work, variants, periods)
    save_sweep(work, options.model, options.field, found)
    table = Table(box=None, title=f"{options.model}: {options.field}")
    for column in found.columns:
        table.add_column(column)
    for row in found.itertuples(index=False):
        table.add_row(*(formatted(value) for value in row))
    _print(table)
    print(work.store.bundle_path(sweep_name(options.model, options.field), "table.csv"))
    return 0


def _sweep_constraints(options: argparse.Namespace) -> int:
    from alpha_pipeline.experiments import experiment

    spec = experiment(options.experiment)
    work, defs, instance = _open(options, with_spec=spec)
    from rich.console import Console
    from rich.table import Table

    from alpha_pipeline.assets import runner
    from alpha_pipeline.assets.sweeps import constraint_steps
    from alpha_pipeline.experiments.select import carried
    from alpha_pipeline.pipeline.session import plan_run
    from alpha_pipeline.pipeline.studies.constraint_sweep import sweep_columns
    from alpha_pipeline.pipeline.studies.study import study_name
    from alpha_pipeline.pipeline.sweep import formatted
    from alpha_pipeline.reporting.progress_bar import progress_bars

    spec = carried(spec, work.source.describe())
    start, end = (runner.iso_date(day) if day else None for day in (options.start, options.end))
    steps, study = constraint_steps(spec, plan_run(spec, work.calendar, start, end), work)
    with progress_bars(Console(stderr=True), len(steps)) as bars:
        runner.run_experiment(defs, instance, steps, lambda number, step: bars.stage(number, step.title))
    found = work.store.read_bundle(study_name(spec.name, study.name))["sweep"]
    columns = ["variant", *sweep_columns(found), "constituent_share", "smallest_10", "smallest_20", "smallest_30"]
    table = Table(box=None, title=f"{spec.name}: {study.name}")
    for column in columns:
        table.add_column(column)
    for row in found[columns].itertuples(index=False):
        table.add_row(*(formatted(value) for value in row))
    _print(table)
    return 0


def _changes(options: argparse.Namespace) -> int:
    from rich.table import Table

    from alpha_pipeline.assets.runner import iso_date
    from alpha_pipeline.market.calendar import as_date
    from alpha_pipeline.pipeline.changes import PAGE, newest_week, page_name, read_changes
    from alpha_pipeline.pipeline.session import monday
    from alpha_pipeline.pipeline.workspace import Workspace
    from alpha_pipeline.reporting.changes_page import render_changes, terminal_rows

    work = Workspace(load_market(options.market))
    newest = newest_week(work, options.portfolio)
    week = monday(as_date(iso_date(options.week))).isoformat() if options.week else newest
    found = read_changes(work, options.portfolio, week)
    if options.output:
        Path(options.output).write_text(render_changes(found, work.market.name, work.source.describe().is_simulated), encoding="utf-8")
        print(options.output)
        return 0
    header, rows = terminal_rows(found)
    table = Table(box=None, title=f"{found.portfolio}: decided at the close of {found.session or 'no session'}")
    for column in header:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    _print(table)
    page = work.store.bundle_path(page_name(options.portfolio), PAGE)
    print(page if week == newest else "write this week's page with --output FILE")
    return 0


def _report(options: argparse.Namespace) -> int:
    from alpha_pipeline.experiments import experiment
    from alpha_pipeline.pipeline.workspace import Workspace

    spec = experiment(options.experiment)
    work = Workspace(load_market(options.market))
    data = work.store.read_bundle_file(f"reports/{spec.name}", "report.html")
    if options.output:
        Path(options.output).write_bytes(data)
        print(options.output)
    else:
        print(work.store.bundle_path(f"reports/{spec.name}", "report.html"))
    return 0


def _index(options: argparse.Namespace) -> int:
    from alpha_pipeline.experiments import EXPERIMENTS
    from alpha_pipeline.pipeline.pages import INDEX, export_index, write_index
    from alpha_pipeline.pipeline.workspace import Workspace

    work = Workspace(load_market(options.market))
    if options.output:
        print(export_index(work, tuple(EXPERIMENTS.values()), Path(options.output))[0])
    else:
        write_index(work, tuple(EXPERIMENTS.values()))
        print(work.store.bundle_path(INDEX, "index.html"))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from alpha_pipeline.experiments import experiment
    from alpha_pipeline.experiments.select import for_source
    from alpha_pipeline.pipeline.pages import comparison_page
    from alpha_pipeline.pipeline.workspace import Workspace

    runs = []
    for name, market in ((options.first, options.market), (options.second, options.second_market or options.market)):
        work = Workspace(load_market(market))
        runs.append((work, for_source(experiment(name), work.source.describe())))
    Path(options.output).write_text(comparison_page(runs[0], runs[1]), encoding="utf-8")
    print(options.output)
    return 0


def _sql(options: argparse.Namespace) -> int:
    from alpha_pipeline.pipeline.queries import interactive, open_views
    from alpha_pipeline.pipeline.workspace import Workspace

    connection = open_views(Workspace(load_market(options.market)).store)
    if options.query is None:
        return interactive(connection)
    import duckdb

    try:
        print(connection.sql(options.query))
    except duckdb.Error as error:
        raise BadInput(sentence(f"the query failed: {error}", next_step="`SHOW TABLES` lists the views.")) from error
    return 0


def _check(options: argparse.Namespace) -> int:
    work, defs, instance = _open(options)
    from rich.console import Console
    from rich.markup import escape

    from alpha_pipeline.assets import runner
    from alpha_pipeline.assets.stored_checks import check_stored

    keys = work.store.keys("daily_bars")
    if not keys:
        raise BadInput(sentence("nothing to check", where=f"market '{work.market.name}'", next_step="Run an experiment or a backfill first."))
    end = runner.iso_date(options.end) if options.end else keys[-1]
    start = runner.iso_date(options.start) if options.start else end
    chosen = [key for key in keys if start <= key <= end]
    if not chosen:
        raise BadInput(sentence("no stored trade date in the range", got=f"{start} … {end}", expected=f"{keys[0]} … {keys[-1]}"))
    console = Console()
    n_failed = 0
    for evaluation in check_stored(defs, instance, chosen):
        mark = "[green]pass[/green]" if evaluation.passed else f"[red]FAIL[/red] {evaluation.severity.value}"
        if not evaluation.passed:
            n_failed += evaluation.severity.value == "ERROR"
            console.print(f"{mark}  {evaluation.asset_key.to_user_string()}.{evaluation.check_name}: {escape(evaluation.description or '')}",
                          soft_wrap=True)
        elif sys.stdout.isatty():
            console.print(f"{mark}  {evaluation.asset_key.to_user_string()}.{evaluation.check_name}")
    console.print(f"{len(chosen)} trade date(s) checked, {n_failed} blocking failure(s)")
    return 1 if n_failed else 0


def _experiments(options: argparse.Namespace) -> int:
    from rich.markup import escape
    from rich.table import Table

    from alpha_pipeline.experiments import EXPERIMENTS, experiment

    table = Table(box=None)
    if options.experiment:
        table.add_column("setting")
        table.add_column("value")
        for row in experiment(options.experiment).describe():
            table.add_row(*(escape(text) for text in row))  # brackets are names here, not markup
    else:
        for column in ("name", "system", "out of sample", "models", "portfolios", "what"):
            table.add_column(column)
        for spec in EXPERIMENTS.values():
            table.add_row(spec.name, spec.system, f"{spec.start} … {spec.end}", str(len(spec.models)), str(len(spec.portfolios)), spec.title)
    _print(table)
    return 0


def _markets(options: argparse.Namespace) -> int:
    from rich.table import Table

    table = Table(box=None)
    for column in ("name", "source", "dates", "what"):
        table.add_column(column)
    for market in MARKETS.values():
        table.add_row(market.name, market.source, f"{market.start} … {market.end}", market.description)
    _print(table)
    return 0


def _ui(options: argparse.Namespace) -> int:
    home = _prepare_home(options.market)
    print(f"Dagster on http://127.0.0.1:{options.port} (instance {home})", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-m", "alpha_pipeline.definitions", "-h", "127.0.0.1", "-p", str(options.port)])


if __name__ == "__main__":
    sys.exit(main())
