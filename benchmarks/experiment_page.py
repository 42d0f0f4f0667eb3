"""A page of docs/experiments/ from stored results: tables and two pictures, no data.

    python benchmarks/experiment_page.py multifreq_daily --market benchmarks/real_cn/daily.toml --output docs/experiments/multifreq_daily.md
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pictures import draw

from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.experiments import experiment
from alpha_pipeline.experiments.select import for_source
from alpha_pipeline.markets import load_market
from alpha_pipeline.pipeline.reports import load_report_inputs
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import TableExhibit, study_blocks
from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.tables import ReportTable, number, percent, rank_ic_interval

MAX_ROWS = 30


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def factor_rows(inputs: ReportInputs) -> list[list[str]]:
    """Ours, the comparisons, the published figures: one row each."""
    rows = []
    for (universe, signal), test in [*inputs.factor_tests.items(), *inputs.comparisons.items()]:
        interval = rank_ic_interval(test.value("rank_ic_mean"), test.value("t_nw"))
        rows.append([
            inputs.label(universe), inputs.label(signal), percent(test.value("rank_ic_mean")),
            f"{percent(interval[0])} … {percent(interval[1])}" if interval else "–", number(test.value("icir")),
            percent(test.value("ic_positive_share")),
            percent(test.value("top_annual_excess")), number(test.value("top_ir")), percent(test.value("top_turnover_two_sided")),
            f"{test.value('n_dates'):.0f}", f"{test.value('mean_n_stocks'):.0f}",
        ])
    return sorted(rows, key=lambda row: row[0])


def portfolio_rows(inputs: ReportInputs) -> list[list[str]]:
    rows = []
    for name, portfolio in inputs.portfolios.items():
        s = portfolio.summary
        published = inputs.published.portfolio(portfolio.published_key) if inputs.published and portfolio.published_key else None
        rows.append([
            name, percent(s["annual_return"]), percent(s["benchmark_annual_return"]), percent(s["annual_excess_return"]),
            percent(s["tracking_error"]),
            number(s["information_ratio"]), percent(s["excess_max_drawdown"]), percent(s["monthly_win_rate"]), percent(s["mean_turnover_two_sided"]),
            percent(published.annual_excess_return) if published else "–", number(published.information_ratio) if published else "–",
        ])
    return rows


def relaxed(portfolio_rebalances: pd.DataFrame) -> str:
    """How many rebalances had to relax something."""
    n = int((portfolio_rebalances["status"] == "relaxed").sum())
    return f"{n} of {len(portfolio_rebalances)}"


def page(work: Workspace, spec: ExperimentSpec, inputs: ReportInputs, picture: str, command: str) -> str:
    described = work.source.describe()
    kind = "SIMULATED market" if described.is_simulated else "Real data"
    columns = ("universe", "score", "RankIC", "95 % interval (Newey–West)", "ICIR", "IC > 0", "TOP excess a year", "TOP IR",
               "TOP turnover two-sided", "test dates", "names")
    tests = table(columns, factor_rows(inputs))
    portfolios = table(("portfolio", "return", "index", "excess", "TE", "IR", "excess max drawdown", "monthly wins", "turnover two-sided",
                        "published excess", "published IR"), portfolio_rows(inputs))
    attribution = "\n\n".join(
        f"**{name}**\n\n" + table(("component", "cumulative", "a year"), [
            [str(r.component), percent(float(r.cumulative)), percent(float(r.annualized))] for r in a.summary.itertuples()])
        for name, a in inputs.attributions.items()) or "No portfolio."
    rebalances = table(("portfolio", "rebalances that relaxed a limit"), [[n, relaxed(p.rebalances)] for n, p in inputs.portfolios.items()])
    best = table(("model", "period", "seed", "epochs by stage", "best validation IC"), [
        [model, period, str(seed), ", ".join(f"{stage} {len(part)}" for stage, part in curve.groupby("stage", sort=False)),
         f"{curve['valid_ic'].max():.4f}"]
        for (model, period, seed), curve in inputs.training.items()])
    facts = inputs.provenance
    notes = "\n".join(f"- {note}" for note in described.notes)
    proxies = "\n".join(f"- `{column}`: {how}" for column, how in described.proxies.items()) or "- none"
    missing = "\n".join(f"- `{column}`: {why}" for column, why in described.missing.items()) or "- none"
    conventions = "\n".join(f"- {line}" for line in inputs.conventions)
    return f"""# {spec.title}

{spec.description}

**{kind}**: {described.summary}. Tests {facts.get('first_date')} … {facts.get('last_date')}. Nothing is tuned to the published figures or to these.

`{command}`

![cumulative RankIC and excess NAV]({picture})

## Scores

{tests}

The published rows are for another universe and years (MULTIFREQ: all A-shares, 2017-01 to 2023-04, ten layers; 15-minute data).

## Portfolios, after costs

{portfolios}

{rebalances}

## Attribution (linked over the range, adds up to the excess NAV)

The benchmark gap is mostly dividends: stocks' adjusted returns include them, a price index does not.

{attribution}

## Training

{best}

## Conventions

{conventions}

## What the data are, and are not

{notes}

Proxies:

{proxies}

Missing:

{missing}

Data hash `{facts.get('data_hash')}`, code {facts.get('code_version')}, seeds {facts.get('seeds')}, libraries {facts.get('library_versions')}.
"""


def results_section(work: Workspace, spec: ExperimentSpec, inputs: ReportInputs, picture: str, command: str, note: str) -> str:
    """What came out of a run, for the page of its system: scores, portfolios and the tables of its studies that fit on a page."""
    described = work.source.describe()
    kind = "SIMULATED market" if described.is_simulated else "Real data"
    columns = ("universe", "score", "RankIC", "95 % interval (Newey–West)", "ICIR", "IC > 0", "TOP excess a year", "TOP IR",
               "TOP turnover two-sided", "test dates", "names")
    portfolios = table(("portfolio", "return", "index", "excess", "TE", "IR", "excess max drawdown", "monthly wins", "turnover two-sided",
                        "published excess", "published IR"), portfolio_rows(inputs))
    facts = inputs.provenance
    parts = [
        f"`{command}` — {note}", f"**{kind}**: {described.summary.rstrip('.')}. "
        f"Tests {facts.get('first_date')} … {facts.get('last_date')}; data hash `{facts.get('data_hash')}`, seeds {facts.get('seeds')}. "
        "Nothing is tuned to the published figures or to these.",
        f"![cumulative RankIC and excess NAV]({picture})", "### Scores", table(columns, factor_rows(inputs)), "### Portfolios, after costs",
        portfolios if inputs.portfolios else "None.", *study_tables(inputs),
    ]
    return "\n\n".join(parts)


def study_tables(inputs: ReportInputs) -> list[str]:
    """Tables of the experiment's own studies with their conventions; those longer than a page are named and left to the report."""
    parts: list[str] = []
    for section in (s for s in inputs.studies if s.key.startswith("study-")):
        tables = [e for e in section.exhibits if isinstance(e, TableExhibit) and not e.is_empty]
        parts += [f"### {section.title}"] if tables else []
        for exhibit in tables:
            n_published = 0 if exhibit.published is None else len(exhibit.published)
            if len(exhibit.frame) + n_published > MAX_ROWS:
                parts.append(f"**{exhibit.title}**: {len(exhibit.frame)} rows, in the report.")
                continue
            printed = next(b for b in study_blocks(replace(section, exhibits=(exhibit,))) if isinstance(b, ReportTable)).to_frame()
            rows = [[str(cell).replace("|", "\\|") for cell in row] for row in printed.itertuples(index=False)]
            parts += [f"**{exhibit.title}{f' ({exhibit.figure})' if exhibit.figure else ''}.** {exhibit.conventions}",
                      table([str(c).replace("|", "\\|") for c in printed.columns], rows)]
    return parts


def put_between_markers(path: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of ``name`` in a page; without markers it is appended under a heading."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    page_text = path.read_text()
    block = f"{begin}\n{text}\n{end}"
    if begin in page_text:
        head, rest = page_text.split(begin, 1)
        page_text = head + block + rest.split(end, 1)[1]
    else:
        page_text = f"{page_text.rstrip()}\n\n## What came out: {name}\n\n{block}\n"
    path.write_text(page_text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--market", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--into", action="store_true", help="put the results into the page of the system that is there, between markers")
    parser.add_argument("--note", default="", help="time, memory and machine of the run, for --into")
    options = parser.parse_args()
    work = Workspace(load_market(options.market))
    spec = for_source(experiment(options.experiment), work.source.describe())
    picture = options.output.parent.parent / "images" / f"{options.experiment}.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(work, options.experiment).savefig(picture, dpi=90)
    command = f"alpha-pipeline run {options.experiment} --market {options.market}"
    inputs, shown = load_report_inputs(work, spec), f"../images/{picture.name}"
    if options.into:
        put_between_markers(options.output, options.experiment, results_section(work, spec, inputs, shown, command, options.note))
    else:
        options.output.write_text(page(work, spec, inputs, shown, command))
    print(options.output, picture)


if __name__ == "__main__":
    main()
