"""What stands where on the page: sections in the published report's order, each a list of texts, tables and pictures."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes

from alpha_pipeline.reporting import factor_tables as ft
from alpha_pipeline.reporting import plots
from alpha_pipeline.reporting import portfolio_tables as pt
from alpha_pipeline.reporting import rebalance_tables as rt
from alpha_pipeline.reporting.blocks import Block, Gallery, Missing, Picture, Section
from alpha_pipeline.reporting.exhibits import study_blocks
from alpha_pipeline.reporting.images import figure_svg
from alpha_pipeline.reporting.inputs import ReportInputs


def build_sections(inputs: ReportInputs) -> list[Section]:
    """All data sections in the report's order, each study after its section; one without content holds the reason instead."""
    makers: tuple[tuple[str, str, Callable[[ReportInputs], list[Block]]], ...] = (
        ("factor_tests", "Model tests", _factor_tests),
        ("layers", "Layered tests", _layers),
        ("correlation", "Correlation of the models", _correlation),
        ("training", "Training", _training),
        ("portfolios", "Enhanced index portfolios", _portfolios),
        ("attribution", "Attribution", _attribution),
        ("rebalances", "Rebalance log", _rebalances),
    )
    sections: list[Section] = []
    for key, title, make in makers:
        sections.append(Section(key, title, tuple(make(inputs)) or (Missing(inputs.why_missing(key)),)))
        sections += [Section(study.key, study.title, study_blocks(study)) for study in inputs.studies if study.after == key]
    return sections


def _factor_tests(inputs: ReportInputs) -> list[Block]:
    if not inputs.factor_tests and not inputs.comparisons:
        return []
    blocks: list[Block] = []
    universes = list(dict.fromkeys(u for u, _ in (*inputs.factor_tests, *inputs.comparisons)))
    blocks += [ft.factor_test_table(inputs, universe) for universe in universes]
    pictures = []
    for universe in universes:
        ics = {
            inputs.label(s): t.ic
            for group in (inputs.factor_tests, inputs.comparisons)
            for (u, s), t in group.items()
            if u == universe and t.ic is not None and len(t.ic)
        }
        others = [inputs.label(s) for u, s in inputs.comparisons if u == universe]
        if ics:
            pictures.append(
                _picture(
                    plots.cumulative_rank_ic_plot(ics, dashed=others),
                    f"rank_ic {universe}",
                    f"Cumulative RankIC, {inputs.label(universe)}",
                    "Dark broken lines: comparisons.",
                )
            )
    return [*blocks, *_gallery(pictures), ft.further_statistics_table(inputs)]


def _layers(inputs: ReportInputs) -> list[Block]:
    blocks: list[Block] = []
    for universe in inputs.universes:
        table = ft.layers_table(inputs, universe)
        drawn = {
            s: plots.layers_plot(t.layers_daily, plots.new_axes(5.4, 2.9))
            for (u, s), t in inputs.factor_tests.items()
            if u == universe and t.layers_daily is not None and len(t.layers_daily)
        }
        # One scale for the models of a universe: their spreads can then be compared by eye.
        low, high = (
            min((ax.get_ylim()[0] for ax in drawn.values()), default=0.0),
            max((ax.get_ylim()[1] for ax in drawn.values()), default=1.0),
        )
        for ax in drawn.values():
            ax.set_ylim(low, high)
        pictures = [
            _picture(
                ax,
                f"layers {universe} {s}",
                f"{inputs.label(s)}, {inputs.label(universe)}",
                "NAV of each layer over the equal-weight universe's. Blue: highest scores, red: lowest.",
            )
            for s, ax in drawn.items()
        ]
        blocks += ([table] if table else []) + _gallery(pictures)
    return blocks


def _correlation(inputs: ReportInputs) -> list[Block]:
    table = ft.correlation_table(inputs)
    if table is None or inputs.correlation is None:
        return []
    named = inputs.correlation.rename(index=inputs.label, columns=inputs.label)
    pictures = [
        _picture(
            plots.correlation_plot(named, plots.square_axes(len(named)), title="Ours"),
            "correlation ours",
            "Ours",
            "Correlation of the models, ours.",
        )
    ]
    said = inputs.published.correlation if inputs.published else None
    if said is not None and inputs.published is not None:
        values = [[said.value(a, b) for b in said.models] for a in said.models]
        names = [inputs.label(m) for m in said.models]
        frame = pd.DataFrame(values, index=names, columns=names, dtype=float)
        pictures.append(
            _picture(
                plots.correlation_plot(frame, plots.new_axes(4.8, 3.6), title="Published"),
                "correlation published",
                "Published",
                f"Published ({inputs.published.system} figure {said.figure}); its diagonal is blank.",
            )
        )
    # without published numbers beside them the pairs stand in the picture alone
    return [*([table] if said is not None else []), *_gallery(pictures)]


def _training(inputs: ReportInputs) -> list[Block]:
    if not inputs.training:
        return []
    pictures = []
    for model in dict.fromkeys(m for m, _, _ in inputs.training):
        # The newest period, its lowest seed: a fixed choice, not the best-looking curve.
        period = max(p for m, p, _ in inputs.training if m == model)
        seed = min(s for m, p, s in inputs.training if (m, p) == (model, period))
        curve = inputs.training[model, period, seed]
        if len(curve):
            pictures.append(
                _picture(
                    plots.training_plot(curve, plots.new_axes(5.4, 2.9), loss_is_negative_ic=model not in inputs.other_losses),
                    f"training {model}",
                    inputs.label(model),
                    f"Newest period ({period}), seed {seed}. Dots: the epoch kept in each stage.",
                )
            )
    return [ft.training_table(inputs), *_gallery(pictures)]


def _portfolios(inputs: ReportInputs) -> list[Block]:
    settings = pt.settings_table(inputs)
    blocks: list[Block] = [settings] if settings else []
    for benchmark in pt.benchmarks(inputs):
        names = pt.portfolios_of(inputs, benchmark)
        labels = {n: pt.portfolio_label(inputs, n) for n in names}
        blocks += [pt.portfolio_table(inputs, benchmark), pt.yearly_table(inputs, benchmark)]
        pictures = []
        navs = {labels[n]: inputs.portfolios[n].daily for n in names if len(inputs.portfolios[n].daily)}
        if navs:
            pictures.append(
                _picture(
                    plots.excess_nav_plot(navs, plots.new_axes(5.4, 2.9)),
                    f"excess {benchmark}",
                    f"{inputs.label(benchmark)} enhanced, excess NAV",
                    f"After costs. Shaded: drawdown of {next(iter(navs))}.",
                )
            )
        trades = {labels[n]: inputs.portfolios[n].rebalances for n in names if len(inputs.portfolios[n].rebalances)}
        if trades:
            limits = {labels[n]: limit for n in names if (limit := inputs.portfolios[n].turnover_limit) is not None}
            pictures.append(
                _picture(
                    plots.turnover_plot(trades, plots.new_axes(5.4, 2.9), limits=limits),
                    f"turnover {benchmark}",
                    f"{inputs.label(benchmark)} enhanced, two-sided turnover",
                    "At each rebalance; dotted: the limit. The first, which builds the book, is off the scale.",
                )
            )
        blocks += _gallery(pictures)
    return blocks


def _attribution(inputs: ReportInputs) -> list[Block]:
    blocks: list[Block] = []
    for benchmark in pt.benchmarks(inputs):
        tables = (pt.attribution_table(inputs, benchmark), pt.exposures_table(inputs, benchmark))
        names = [n for n in pt.portfolios_of(inputs, benchmark) if n in inputs.attributions]
        if not names or tables[0] is None or tables[1] is None:
            continue
        first, who = inputs.attributions[names[0]], f"{inputs.label(benchmark)} enhanced, {pt.portfolio_label(inputs, names[0])}"
        height = 1.0 + 0.2 * len(first.summary)
        blocks += [
            tables[0],
            *_gallery(
                [
                    _picture(
                        plots.attribution_plot(first.daily, plots.new_axes(5.4, max(2.9, height))),
                        f"attribution {benchmark}",
                        "Active return by source, cumulated",
                        f"{who}.",
                    ),
                    _picture(
                        plots.attribution_bars_plot(first.summary, plots.new_axes(5.4, max(2.9, height))),
                        f"bars {benchmark}",
                        "Active return by source, annualized",
                        f"{who}.",
                    ),
                ]
            ),
            tables[1],
        ]
    return blocks


def _rebalances(inputs: ReportInputs) -> list[Block]:
    if not any(len(p.rebalances) for p in inputs.portfolios.values()):
        return []
    relaxed, binding = rt.relaxations_table(inputs), rt.binding_table(inputs)
    return [
        rt.rebalances_table(inputs),
        relaxed or Missing("No constraint had to be relaxed at any rebalance."),
        binding or Missing("No constraint is recorded as binding at any rebalance."),
    ]


def _picture(ax: Axes, name: str, title: str, caption: str) -> Picture:
    if plots.plain_label(title, 0) == title:
        ax.set_title(title, fontsize=10, color=plots.INK, loc="left", weight="bold")
    return Picture(figure_svg(ax, name), caption)


def _gallery(pictures: list[Picture]) -> list[Block]:
    return [Gallery(tuple(pictures))] if pictures else []
