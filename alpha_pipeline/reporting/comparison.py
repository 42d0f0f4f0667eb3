"""Two runs side by side: what differs in their settings, their tests on common dates, their portfolios.

Differences are paired: only dates that both runs have count, so that a longer history favours neither. An interval is the mean
difference ± 1.96 Newey-West standard errors, of RankIC per test date and of daily excess return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from alpha_pipeline.diagnostics.paired import paired_difference
from alpha_pipeline.reporting.blocks import Block, Gallery, Picture, Section
from alpha_pipeline.reporting.exhibits import StudySection, TableExhibit, study_blocks
from alpha_pipeline.reporting.images import figure_svg
from alpha_pipeline.reporting.inputs import FactorTest, PortfolioReport, ReportInputs
from alpha_pipeline.reporting.page import banner_of, render_page
from alpha_pipeline.reporting.plots import cumulative_rank_ic_plot, excess_nav_plot, new_axes
from alpha_pipeline.returns import DAYS_PER_YEAR

_FEWEST_DATES = 3
_TEST_FORMATS = {"run": "text", "dates": "integer", "RankIC": "percent", "ICIR": "number", "IC>0": "percent", "TOP excess": "percent",
                 "TOP turnover": "percent"}
_PORTFOLIO_FORMATS = {"run": "text", "annual excess": "percent", "tracking error": "percent", "IR": "number", "excess max drawdown": "percent",
                      "turnover": "percent"}
_PAIRED_FORMATS = {"B": "text", "dates": "integer", "difference": "percent", "from": "percent", "to": "percent"}


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One of the two: ``name`` as printed (experiment, and market if they differ), its results, and every setting by dotted name."""

    name: str
    inputs: ReportInputs
    settings: Mapping[str, str]


def render_comparison(a: ComparedRun, b: ComparedRun) -> str:
    """The page that compares two runs, self-contained."""
    sections = [
        _tests(a, b),
        _portfolios(a, b),
        _section("settings", "Settings that differ", [_settings(a, b)]),
        _section("provenance", "Data", [_provenance(a, b)]),
    ]
    return render_page(f"{a.name} against {b.name}", "Comparison of two runs", f"A: {a.inputs.title}. B: {b.inputs.title}. Differences are "
                       "paired: they use the dates that both have.", [banner_of(a.inputs), banner_of(b.inputs)], sections)


def common_difference(first: pd.Series, second: pd.Series) -> tuple[int, float, float, float]:
    """(number of common dates, mean of first − second, lower and upper end of its 95 % Newey-West interval).

    Both are indexed by date; dates with a missing value in either are left out. NaN with fewer than three dates.
    """
    both = pd.concat([first, second], axis=1, join="inner").dropna()
    if len(both) < _FEWEST_DATES:
        return len(both), float("nan"), float("nan"), float("nan")
    found = paired_difference(both.iloc[:, 0], both.iloc[:, 1])
    return found.n_dates, found.difference, found.low, found.high


def _section(key: str, title: str, tables: Sequence[TableExhibit], pictures: Sequence[Picture] = (), why: str = "") -> Section:
    blocks: list[Block] = list(study_blocks(StudySection(key, title, "portfolios", tables, why)))
    return Section(key, title, (*blocks, Gallery(tuple(pictures))) if pictures else tuple(blocks))


def _settings(a: ComparedRun, b: ComparedRun) -> TableExhibit:
    both = [n for n in a.settings if n in b.settings and a.settings[n] != b.settings[n]]
    rows = [(n, a.settings[n], b.settings[n]) for n in both]
    # a part that only one of them has is one row, not one for each of its settings
    for mine, other, shown in ((a, b, ("there", "not there")), (b, a, ("not there", "there"))):
        rows += [(part, *shown) for part in dict.fromkeys(_part(n) for n in mine.settings if n not in other.settings)]
    frame = pd.DataFrame(rows or [("none", "the same", "the same")], columns=["setting", a.name, f"{b.name} (B)"])
    return TableExhibit("settings", "Settings", frame, dict.fromkeys(map(str, frame.columns[1:]), "text"),
                        "Every setting of the experiments that is not the same; parts are matched by name.")


def _part(name: str) -> str:
    """The part of an experiment that a dotted name belongs to: ``models[v2].training.lr`` → ``models[v2]``."""
    return f"{name.partition(']')[0]}]" if "]" in name else name


def _provenance(a: ComparedRun, b: ComparedRun) -> TableExhibit:
    keys = ("market", "first_date", "last_date", "data_hash", "code_version")
    p, q = a.inputs.provenance, b.inputs.provenance
    frame = pd.DataFrame({"what": [k.replace("_", " ") for k in keys], a.name: [str(p.get(k, "–")) for k in keys],
                          f"{b.name} (B)": [str(q.get(k, "–")) for k in keys]})
    return TableExhibit("data", "Data and code", frame, dict.fromkeys(map(str, frame.columns[1:]), "text"), "As recorded with the results.")


def _tests(a: ComparedRun, b: ComparedRun) -> Section:
    tables: list[TableExhibit] = []
    pictures: list[Picture] = []
    for universe in [u for u in a.inputs.universes if u in b.inputs.universes]:
        runs = {(run.name, signal): test for run in (a, b) for (u, signal), test in run.inputs.factor_tests.items() if u == universe}
        where = a.inputs.label(universe)
        rows = [{"signal": (a if name == a.name else b).inputs.label(signal), "run": name, **_test_row(test)}
                for (name, signal), test in runs.items()]
        tables.append(TableExhibit(f"tests {universe}", f"Factor tests, {where}", pd.DataFrame(rows), _TEST_FORMATS,
                                   "Each run on its own dates. RankIC per test date; ICIR = mean / std, not annualized; TOP: excess over the "
                                   "equal-weight universe, annualized, turnover two-sided."))
        paired = _paired([(f"{a.inputs.label(s)}", b.inputs.label(t), _ic(runs[a.name, s]), _ic(runs[b.name, t]))
                          for (n, s) in runs if n == a.name for (m, t) in runs if m == b.name and (s == t or len(runs) == 2)])
        if paired is not None:
            tables.append(TableExhibit(f"paired {universe}", f"RankIC, A − B, {where}", paired, _PAIRED_FORMATS,
                                       "Common test dates; 95 % interval from Newey-West errors."))
        lines = {f"{name}: {signal}": test.ic for (name, signal), test in runs.items() if test.ic is not None and len(test.ic)}
        if lines:
            pictures.append(Picture(figure_svg(cumulative_rank_ic_plot(lines, new_axes()), f"ic {universe}"), f"Cumulative RankIC, {where}."))
    return _section("tests", "Factor tests", tables, pictures, "The runs have no universe in common.")


def _portfolios(a: ComparedRun, b: ComparedRun) -> Section:
    tables: list[TableExhibit] = []
    pictures: list[Picture] = []
    codes = dict.fromkeys(p.benchmark for p in a.inputs.portfolios.values())
    for benchmark in [c for c in codes if c in {p.benchmark for p in b.inputs.portfolios.values()}]:
        held = {(run.name, n): p for run in (a, b) for n, p in run.inputs.portfolios.items() if p.benchmark == benchmark}
        rows = [{"portfolio": n, "run": run, "annual excess": p.summary["annual_excess_return"], "tracking error": p.summary["tracking_error"],
                 "IR": p.summary["information_ratio"], "excess max drawdown": p.summary["excess_max_drawdown"],
                 "turnover": p.summary["mean_turnover_two_sided"]} for (run, n), p in held.items()]
        where = a.inputs.label(benchmark)
        tables.append(TableExhibit(f"portfolios {benchmark}", f"Portfolios against {where}", pd.DataFrame(rows), _PORTFOLIO_FORMATS,
                                   "After costs, each run on its own dates; geometric, 252 days; turnover two-sided per rebalance."))
        pairs = [(n, m, _excess(p), _excess(q)) for (r, n), p in held.items() if r == a.name for (s, m), q in held.items() if s == b.name
                 and (n == m or len(held) == 2)]
        paired = _paired(pairs, scale=DAYS_PER_YEAR)
        if paired is not None:
            tables.append(TableExhibit(f"paired {benchmark}", f"Excess return, A − B, {where}", paired, _PAIRED_FORMATS,
                                       "Common sessions; mean daily difference × 252; 95 % interval from Newey-West errors."))
        navs = {f"{run}: {n}": p.daily for (run, n), p in held.items() if len(p.daily)}
        if navs:
            pictures.append(Picture(figure_svg(excess_nav_plot(navs, new_axes()), f"nav {benchmark}"),
                                    f"Excess NAV after costs, {where}; shaded: drawdown of the first."))
    return _section("portfolios", "Portfolios", tables, pictures, "The runs have no benchmark in common.")


def _test_row(test: FactorTest) -> dict[str, float]:
    return {"dates": test.value("n_dates"), "RankIC": test.value("rank_ic_mean"), "ICIR": test.value("icir"), "IC>0": test.value("ic_positive_share"),
            "TOP excess": test.value("top_annual_excess"), "TOP turnover": test.value("top_turnover_two_sided")}


def _ic(test: FactorTest) -> pd.Series:
    return pd.Series(dtype=float) if test.ic is None else test.ic.set_index("trade_date")["rank_ic"]


def _excess(portfolio: PortfolioReport) -> pd.Series:
    return portfolio.daily.set_index("trade_date")["excess_return"]


def _paired(pairs: Sequence[tuple[str, str, pd.Series, pd.Series]], scale: float = 1.0) -> pd.DataFrame | None:
    rows = []
    for first, second, x, y in pairs:
        n, mean, low, high = common_difference(x, y)
        rows.append({"A": first, "B": second, "dates": n, "difference": mean * scale, "from": low * scale, "to": high * scale})
    return pd.DataFrame(rows) if rows else None
