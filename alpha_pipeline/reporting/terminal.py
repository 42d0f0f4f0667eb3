"""The result of an experiment in a terminal: one table for the scores, one for the portfolios, under a line that says what the
data are.
"""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from alpha_pipeline.reporting import portfolio_tables as pt
from alpha_pipeline.reporting.inputs import FactorTest, ReportInputs
from alpha_pipeline.reporting.narrative import REAL, SIMULATED
from alpha_pipeline.reporting.tables import interval_text, number, percent


def summary_table(inputs: ReportInputs) -> Group:
    """Scores (ours, then comparisons such as the oracle and the linear blend) and portfolios, to hand to ``rich``'s ``print``.

    The first line says whether the market is simulated or real. An empty part prints the reason.
    """
    simulated = inputs.provenance["is_simulated"]
    parts: list[Text | Table] = [
        Text(SIMULATED if simulated else REAL, style="bold yellow" if simulated else "bold green"),
        Text(f"{inputs.title} · {inputs.provenance['market']}", style="bold"),
    ]
    parts.append(
        _scores(inputs)
        if inputs.factor_tests or inputs.comparisons
        else Text(f"Model tests: {inputs.why_missing('factor_tests')}")
    )
    parts.append(_portfolios(inputs) if inputs.portfolios else Text(f"Portfolios: {inputs.why_missing('portfolios')}"))
    return Group(*parts)


def _scores(inputs: ReportInputs) -> Table:
    table = _table(
        "Scores",
        "universe",
        "score",
        "RankIC",
        "95% interval",
        "published",
        "ICIR",
        "TOP excess, a year",
        "TOP turnover, two-sided",
    )
    for universe in dict.fromkeys(u for u, _ in (*inputs.factor_tests, *inputs.comparisons)):
        for tests, style in ((inputs.factor_tests, ""), (inputs.comparisons, "dim")):
            for (u, signal), test in tests.items():
                if u == universe:
                    said = inputs.published.factor_test(u, signal) if inputs.published else None
                    table.add_row(
                        inputs.label(u),
                        inputs.label(signal),
                        *_score_cells(test, said.rank_ic_mean if said else None),
                        style=style,
                    )
        table.add_section()
    return table


def _score_cells(test: FactorTest, published: float | None) -> tuple[str, ...]:
    return (
        percent(test.value("rank_ic_mean")),
        interval_text(test) or "–",
        percent(published),
        number(test.value("icir")),
        percent(test.value("top_annual_excess")),
        percent(test.value("top_turnover_two_sided")),
    )


def _portfolios(inputs: ReportInputs) -> Table:
    table = _table(
        "Portfolios, after costs",
        "benchmark",
        "portfolio",
        "excess, a year",
        "IR",
        "tracking error",
        "turnover, two-sided",
        "published excess",
        "published IR",
    )
    for benchmark in pt.benchmarks(inputs):
        for name in pt.portfolios_of(inputs, benchmark):
            portfolio = inputs.portfolios[name]
            s = portfolio.summary
            said = inputs.published.portfolio(portfolio.published_key) if inputs.published and portfolio.published_key else None
            table.add_row(
                inputs.label(benchmark),
                pt.portfolio_label(inputs, name),
                percent(s["annual_excess_return"]),
                number(s["information_ratio"]),
                percent(s["tracking_error"]),
                percent(s["mean_turnover_two_sided"]),
                percent(said.annual_excess_return if said else None),
                number(said.information_ratio if said else None),
            )
        table.add_section()
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 2 else "right")
    return table
