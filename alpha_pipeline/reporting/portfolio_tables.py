"""Tables about portfolios: metrics and yearly returns beside the published ones, settings and attribution."""

from __future__ import annotations

from alpha_pipeline.reporting.inputs import Attribution, ReportInputs
from alpha_pipeline.reporting.tables import ABSENT, Cell, Footnotes, ReportTable, Row, number, percent, published_note

_METRICS = (
    ("annual_return", "annual return", percent),
    ("annual_volatility", "annual volatility", percent),
    ("sharpe", "Sharpe", number),
    ("max_drawdown", "max drawdown", percent),
    ("annual_excess_return", "annual excess", percent),
    ("tracking_error", "tracking error", percent),
    ("excess_max_drawdown", "excess max drawdown", percent),
    ("information_ratio", "IR", number),
    ("calmar", "Calmar", number),
    ("monthly_win_rate", "monthly win rate", percent),
    ("mean_turnover_two_sided", "turnover, two-sided", percent),
)


def benchmarks(inputs: ReportInputs) -> list[str]:
    """Benchmarks with a portfolio, in the order given."""
    return list(dict.fromkeys(p.benchmark for p in inputs.portfolios.values()))


def portfolios_of(inputs: ReportInputs, benchmark: str) -> list[str]:
    """Names of a benchmark's portfolios, tightest turnover limit first, those without a limit last."""
    names = [n for n, p in inputs.portfolios.items() if p.benchmark == benchmark]
    limits = {n: inputs.portfolios[n].turnover_limit for n in names}
    return sorted(names, key=lambda n: float("inf") if limits[n] is None else float(limits[n] or 0.0))


def portfolio_label(inputs: ReportInputs, name: str) -> str:
    """``turnover ≤ 30%`` when that tells the portfolio from its neighbours under the same benchmark, else its name."""
    portfolio = inputs.portfolios[name]
    limit = portfolio.turnover_limit
    alike = [p for p in inputs.portfolios.values() if p.benchmark == portfolio.benchmark and p.turnover_limit == limit]
    return inputs.labels.get(name, name) if limit is None or len(alike) > 1 else f"turnover ≤ {limit:.0%}"


def portfolio_table(inputs: ReportInputs, benchmark: str) -> ReportTable:
    """Metrics of a benchmark's portfolios, ours above published, the benchmark last. Source: MULTIFREQ, figures 36, 40, 44,
    48.
    """
    notes, rows, figures = Footnotes(), [], set[int]()
    names = portfolios_of(inputs, benchmark)
    for name in names:
        portfolio = inputs.portfolios[name]
        rows.append(
            Row(portfolio_label(inputs, name), tuple(Cell(show(float(portfolio.summary[key]))) for key, _, show in _METRICS))
        )
        if inputs.published is not None and portfolio.published_key is not None:
            said = inputs.published.portfolio(portfolio.published_key)
            figures |= set(said.figures)
            marks = notes.mark(inputs.published.slips_of(said.key))
            rows.append(Row("published", tuple(Cell(show(getattr(said, key))) for key, _, show in _METRICS), "published", marks))
    ours = inputs.portfolios[names[0]].summary
    blank = (Cell(ABSENT),) * (len(_METRICS) - 4)
    rows.append(
        Row(
            inputs.label(benchmark),
            tuple(Cell(show(float(ours[f"benchmark_{key}"]))) for key, _, show in _METRICS[:4]) + blank,
            "benchmark",
        )
    )
    bench = inputs.published.benchmark(benchmark) if inputs.published else None
    if bench is not None and figures:
        rows.append(
            Row("published", tuple(Cell(show(getattr(bench, key))) for key, _, show in _METRICS[:4]) + blank, "published")
        )
    return ReportTable(
        f"Performance, {inputs.label(benchmark)} enhanced{published_note(inputs, figures)}",
        ("", *(heading for _, heading, _ in _METRICS)),
        tuple(rows),
        "After costs. Returns geometric over 252 days; excess NAV compounds the daily difference to the benchmark; IR = "
        "annual excess / "
        "tracking error; Calmar = annual excess / excess max drawdown; Sharpe with risk-free rate 0; turnover two-sided, "
        "mean of the rebalances.",
        tuple(notes.texts),
    )


def yearly_table(inputs: ReportInputs, benchmark: str) -> ReportTable:
    """Calendar-year returns, ours above published; small print: our excess. Source: MULTIFREQ, figures 37, 41, 45, 49."""
    names = portfolios_of(inputs, benchmark)
    years = sorted({int(y) for n in names for y in inputs.portfolios[n].yearly["year"]})
    rows, figures = [], set[int]()
    for name in names:
        portfolio = inputs.portfolios[name]
        ours = {int(r.year): (float(r.portfolio_return), float(r.excess_return)) for r in portfolio.yearly.itertuples()}
        rows.append(
            Row(
                portfolio_label(inputs, name),
                tuple(Cell(percent(ours[y][0]), f"{ours[y][1] * 100:+.2f}") if y in ours else Cell(ABSENT) for y in years),
            )
        )
        if inputs.published is not None and portfolio.published_key is not None:
            said = inputs.published.portfolio(portfolio.published_key)
            figures |= set(said.yearly_figures)
            rows.append(Row("published", _published_years(said.yearly_return, years), "published"))
    market = {int(r.year): float(r.benchmark_return) for n in reversed(names) for r in inputs.portfolios[n].yearly.itertuples()}
    rows.append(Row(inputs.label(benchmark), tuple(Cell(percent(market.get(y))) for y in years), "benchmark"))
    bench = inputs.published.benchmark(benchmark) if inputs.published else None
    if bench is not None and figures:
        rows.append(Row("published", _published_years(bench.yearly_return, years), "published"))
    left_out = sorted({y for b in ([bench] if bench and figures else []) for y, _ in b.yearly_return} - set(years))
    return ReportTable(
        f"Yearly returns, {inputs.label(benchmark)} enhanced{published_note(inputs, figures)}",
        ("", *map(str, years)),
        tuple(rows),
        "Calendar years; the first and the last may be partial. Small print: our excess return of the year in points of percent."
        + (f" Published years outside our range are not shown: {', '.join(map(str, left_out))}." if left_out else ""),
    )


def settings_table(inputs: ReportInputs) -> ReportTable | None:
    """How the portfolios were built, one column per benchmark; values that differ between its portfolios are parted by a stroke.

    ``None`` when no portfolio hands over settings. Source: MULTIFREQ, figures 34, 38, 42, 46.
    """
    keys = list(dict.fromkeys(k for p in inputs.portfolios.values() for k in p.settings))
    if not keys:
        return None
    columns = {b: [inputs.portfolios[n].settings for n in portfolios_of(inputs, b)] for b in benchmarks(inputs)}
    rows = tuple(
        Row(
            k.replace("_", " "),
            tuple(Cell(" / ".join(dict.fromkeys(_plain(s.get(k)) for s in sets))) for sets in columns.values()),
        )
        for k in keys
    )
    return ReportTable(
        "Construction",
        ("", *(f"{inputs.label(b)} enhanced" for b in columns)),
        rows,
        "Weights, deviations, turnover and costs are decimals of the NAV; turnover is two-sided unless a name says otherwise.",
        text_columns=True,
    )


def attribution_table(inputs: ReportInputs, benchmark: str) -> ReportTable | None:
    """Annualized contribution of each component, one column per portfolio; ``None`` when no portfolio has an attribution."""
    names = _attributed(inputs, benchmark)
    if not names:
        return None
    components = list(dict.fromkeys(str(c) for n in names for c in inputs.attributions[n].summary["component"]))
    tables = {n: inputs.attributions[n].summary.set_index("component") for n in names}
    rows = tuple(
        Row(
            c.replace("_", " "),
            tuple(
                Cell(percent(float(tables[n].at[c, "annualized"])), f"{percent(float(tables[n].at[c, 'cumulative']))} in all")
                if c in tables[n].index
                else Cell(ABSENT)
                for n in names
            ),
            "benchmark" if c == "active_return" else "ours",
        )
        for c in components
    )
    return ReportTable(
        f"Attribution of the active return, {inputs.label(benchmark)} enhanced",
        ("", *(portfolio_label(inputs, n) for n in names)),
        rows,
        "Per day: active exposure of the day before × factor return, plus specific, trading (intraday against close) and "
        "cost; the parts "
        "add up to the active return. Annualized, small print: sum over the whole sample. No published counterpart.",
    )


def exposures_table(inputs: ReportInputs, benchmark: str) -> ReportTable | None:
    """Mean active exposure to each factor, one column per portfolio; ``None`` when no portfolio has an attribution."""
    names = _attributed(inputs, benchmark)
    if not names:
        return None
    tables = {n: inputs.attributions[n].exposures.set_index("factor")["mean_active_exposure"] for n in names}
    factors = list(dict.fromkeys(str(f) for n in names for f in tables[n].index))
    rows = tuple(Row(f, tuple(Cell(number(float(tables[n].get(f, float("nan"))), 4)) for n in names)) for f in factors)
    return ReportTable(
        f"Mean active exposure, {inputs.label(benchmark)} enhanced",
        ("", *(portfolio_label(inputs, n) for n in names)),
        rows,
        "Portfolio minus benchmark, mean over the days: styles in cross-sectional standard deviations, industries in weight.",
    )


def _published_years(said: tuple[tuple[int, float], ...], years: list[int]) -> tuple[Cell, ...]:
    values = dict(said)
    return tuple(Cell(percent(values.get(y))) for y in years)


def _attributed(inputs: ReportInputs, benchmark: str) -> list[str]:
    return [n for n in portfolios_of(inputs, benchmark) if isinstance(inputs.attributions.get(n), Attribution)]


def _plain(value: object) -> str:
    if value is None:
        return ABSENT
    return f"{value:g}" if isinstance(value, float) else str(value)
