"""The index: every experiment that has results in a market's store, on one page, with the published figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from alpha_pipeline.reporting.blocks import Gallery, Picture, Section
from alpha_pipeline.reporting.exhibits import StudySection, TableExhibit, study_blocks
from alpha_pipeline.reporting.images import figure_svg
from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.page import banner_of, render_page
from alpha_pipeline.reporting.plots import cumulative_rank_ic_plot, excess_nav_plot, new_axes

_TESTS = {"universe": "text", "signal": "text", "dates": "integer", "RankIC": "percent", "published RankIC": "percent", "ICIR": "number",
          "TOP excess": "percent", "oracle RankIC": "percent"}
_PORTFOLIOS = {"portfolio": "text", "benchmark": "text", "annual excess": "percent", "published excess": "percent", "IR": "number",
               "published IR": "number", "excess max drawdown": "percent", "turnover": "percent"}
_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class IndexedRun:
    """An experiment with results; ``link`` is the address of its report, relative to the index."""

    inputs: ReportInputs
    link: str


def render_index(market: str, runs: Sequence[IndexedRun], without: Sequence[str]) -> str:
    """The page. ``without`` are experiments of the market that have no report yet."""
    tests = pd.DataFrame([row for run in runs for row in _tests(run.inputs)], columns=["experiment", *_TESTS])
    portfolios = pd.DataFrame([row for run in runs for row in _portfolios(run.inputs)], columns=["experiment", *_PORTFOLIOS])
    overview = [
        TableExhibit("tests", "Factor tests", tests, _TESTS, "Headline universe of each experiment. RankIC per test date; ICIR not annualized; TOP: "
                     "excess over the equal-weight universe, annualized, before costs unless the experiment charges them. Published: other "
                     "market, other years."),
        TableExhibit("portfolios", "Portfolios", portfolios, _PORTFOLIOS, "After costs; geometric, 252 days; turnover two-sided per rebalance."),
    ]
    sections = [Section("overview", "Overview", study_blocks(StudySection("overview", "Overview", "portfolios", overview)))]
    links: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        key = run.inputs.experiment
        links[key] = [("Open the report", run.link)]
        sections.append(Section(key, run.inputs.title, (Gallery(tuple(_pictures(run.inputs))),) if _pictures(run.inputs) else ()))
    lead = f"{len(runs)} experiments with results on market '{market}'." + (f" Not run yet: {', '.join(without)}." if without else "")
    return render_page("All experiments", "Index", lead, [banner_of(run.inputs) for run in runs], sections, links)


def _tests(inputs: ReportInputs) -> list[dict[str, object]]:
    head = inputs.headline_key
    if head is None:
        return []
    oracle = inputs.comparisons.get((head[0], "oracle"))
    rows = []
    for (universe, signal), test in inputs.factor_tests.items():
        if universe != head[0]:
            continue
        said = inputs.published.factor_test(universe, signal) if inputs.published else None
        rows.append({"experiment": inputs.experiment, "universe": inputs.label(universe), "signal": inputs.label(signal),
                     "dates": test.value("n_dates"),
                     "RankIC": test.value("rank_ic_mean"), "published RankIC": said.rank_ic_mean if said else _NAN, "ICIR": test.value("icir"),
                     "TOP excess": test.value("top_annual_excess"), "oracle RankIC": oracle.value("rank_ic_mean") if oracle else _NAN})
    return rows


def _portfolios(inputs: ReportInputs) -> list[dict[str, object]]:
    rows = []
    for name, portfolio in inputs.portfolios.items():
        s = portfolio.summary
        said = inputs.published.portfolio(portfolio.published_key) if inputs.published and portfolio.published_key else None
        rows.append({"experiment": inputs.experiment, "portfolio": name, "benchmark": inputs.label(portfolio.benchmark),
                     "annual excess": s["annual_excess_return"], "published excess": said.annual_excess_return if said else _NAN,
                     "IR": s["information_ratio"], "published IR": said.information_ratio if said else _NAN,
                     "excess max drawdown": s["excess_max_drawdown"], "turnover": s["mean_turnover_two_sided"]})
    return rows


def _pictures(inputs: ReportInputs) -> list[Picture]:
    head = inputs.headline_key
    ics = {inputs.label(s): t.ic for (u, s), t in inputs.factor_tests.items() if head and u == head[0] and t.ic is not None and len(t.ic)}
    pictures = []
    if ics:
        pictures.append(Picture(figure_svg(cumulative_rank_ic_plot(ics, new_axes(5.4, 2.9)), f"ic {inputs.experiment}"), "Cumulative RankIC."))
    navs = {n: p.daily for n, p in list(inputs.portfolios.items())[:6] if len(p.daily)}
    if navs:
        pictures.append(Picture(figure_svg(excess_nav_plot(navs, new_axes(5.4, 2.9)), f"nav {inputs.experiment}"),
                                "Excess NAV after costs of the first portfolios; shaded: drawdown of the first."))
    return pictures
