"""The report as one HTML page that needs nothing else: style, figures and text are inline, and it prints on A4.

The same inputs give the same page, byte for byte: no clock, no random identifier.
"""

from __future__ import annotations

from dataclasses import dataclass

from alpha_pipeline.reporting import portfolio_tables as pt
from alpha_pipeline.reporting.blocks import Section
from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.narrative import ORACLE, agreement, banner, how_to_read, oracle_share, why_different
from alpha_pipeline.reporting.page import template_environment
from alpha_pipeline.reporting.sections import build_sections
from alpha_pipeline.reporting.tables import ABSENT, interval_text, number, percent


@dataclass(frozen=True)
class Headline:
    """One figure at the top: what it is, its value, and lines of small print."""

    title: str
    value: str
    lines: tuple[str, ...]


def render_report(inputs: ReportInputs) -> str:
    """The whole page as a string (UTF-8 when written). Nothing in it is fetched from anywhere.

    Sections follow the published report: model tests, layers, correlation, training, portfolios, attribution, rebalance log,
    conventions, provenance. An empty part prints the reason given in ``missing_sections``.
    """
    title, sentence = banner(inputs)
    sections = build_sections(inputs)
    return template_environment().get_template("report.html.j2").render(
        inputs=inputs,
        banner_title=title,
        banner_text=sentence,
        is_simulated=inputs.provenance["is_simulated"],
        headlines=headlines(inputs),
        how_to_read=how_to_read(inputs),
        why_different=why_different(inputs),
        agreement=agreement(inputs),
        sections=sections,
        contents=_contents(sections),
        facts=provenance_facts(inputs),
        provenance=inputs.provenance,
    )


def headlines(inputs: ReportInputs) -> list[Headline]:
    """The figures shown first: RankIC of the headline score, TOP excess, then excess return and IR of each benchmark's portfolio.

    Which score and portfolio stand here is fixed beforehand (the experiment's headline; the tightest turnover limit), not by
    result.
    """
    cards = []
    key = inputs.headline_key
    if key is not None:
        test = inputs.factor_tests[key]
        said = inputs.published.factor_test(*key) if inputs.published else None
        oracle = inputs.comparisons.get((key[0], ORACLE))
        who = f"{inputs.label(key[1])} · {inputs.label(key[0])}"
        share = oracle_share(inputs)
        lines = [f"95% interval {interval_text(test)}"] if interval_text(test) else []
        if oracle is not None:
            reached = f": {percent(share)} of it" if share is not None else ""
            lines.append(f"oracle {percent(oracle.value('rank_ic_mean'))}{reached}")
        if said is not None:
            lines.append(f"published {percent(said.rank_ic_mean)}")
        cards.append(Headline("RankIC", percent(test.value("rank_ic_mean")), (who, *lines)))
        cost = f"after {percent(inputs.layer_cost)} one-way" if inputs.layer_cost else "before costs"
        lines = [f"IR {number(test.value('top_ir'))}, {cost}"] + (
            [f"published {percent(said.top_annual_excess)}, IR {number(said.top_ir)}"] if said else []
        )
        cards.append(Headline("TOP layer, annual excess", percent(test.value("top_annual_excess")), (who, *lines)))
    for benchmark in pt.benchmarks(inputs):
        name = pt.portfolios_of(inputs, benchmark)[0]
        portfolio = inputs.portfolios[name]
        s = portfolio.summary
        lines = [pt.portfolio_label(inputs, name), f"IR {number(s['information_ratio'])}, TE {percent(s['tracking_error'])}"]
        if inputs.published is not None and portfolio.published_key is not None:
            row = inputs.published.portfolio(portfolio.published_key)
            lines.append(f"published {percent(row.annual_excess_return)}, IR {number(row.information_ratio)}")
        cards.append(
            Headline(f"{inputs.label(benchmark)} enhanced, annual excess", percent(s["annual_excess_return"]), tuple(lines))
        )
    return cards


def provenance_facts(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Provenance as (name, text) rows, always all of them: what was not handed over is shown as a dash."""
    p = inputs.provenance
    return [
        ("Experiment", f"{inputs.experiment} ({inputs.system})"),
        ("Market", f"{p['market']} ({'simulated' if p['is_simulated'] else 'real data'})"),
        (
            "Dates of the tests",
            f"{p['first_date']} to {p['last_date']}" if p.get("first_date") and p.get("last_date") else ABSENT,
        ),
        ("Data hash", p.get("data_hash") or ABSENT),
        ("Code version", p.get("code_version") or ABSENT),
        ("Seeds", ", ".join(map(str, p.get("seeds", ()))) or ABSENT),
        *((f"Digest of {name}", text) for name, text in p.get("spec_digests", {}).items()),
        (
            "Libraries",
            ", ".join(f"{name} {version}" for name, version in sorted(p.get("library_versions", {}).items())) or ABSENT,
        ),
    ]


def _contents(sections: list[Section]) -> list[tuple[str, str]]:
    return [
        ("headline", "Headline figures"),
        ("reading", "How to read"),
        *((s.key, s.title) for s in sections),
        ("conventions", "Conventions"),
        ("provenance", "Provenance"),
    ]
