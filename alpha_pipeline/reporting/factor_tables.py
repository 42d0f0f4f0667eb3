"""Tables about scores: RankIC and layers beside the published ones, further statistics, correlation, training."""

from __future__ import annotations

import pandas as pd

from alpha_pipeline.reporting.inputs import FactorTest, ReportInputs
from alpha_pipeline.reporting.tables import (
    ABSENT,
    Cell,
    Footnotes,
    ReportTable,
    Row,
    interval_text,
    number,
    percent,
    published_note,
)

_FACTOR_TEST_CONVENTIONS = (
    "RankIC: Spearman correlation of the score and the return to the next test date, per test date. ICIR = mean / standard "
    "deviation, "
    "not annualized. TOP: the layer with the highest scores; excess over the universe's equal-weight return; win rate over "
    "calendar "
    "months; turnover two-sided per rebalance. Small print: 95% interval of the mean from the Newey-West t, mean ± 1.96 × "
    "|mean / t|."
)


def factor_test_table(inputs: ReportInputs, universe: str) -> ReportTable:
    """The factor-test table of one universe: each signal's row above its published row, then the comparisons.

    Source: MULTIFREQ, figures 15 and 24.
    """
    notes = Footnotes()
    rows: list[Row] = []
    figures: set[int] = set()
    for signal in signals_in(inputs, universe):
        test = inputs.factor_tests.get((universe, signal))
        if test is not None:
            rows.append(Row(inputs.label(signal), _factor_cells(test)))
        said = inputs.published.factor_test(universe, signal) if inputs.published else None
        if said is not None and inputs.published is not None:
            figures |= set(said.figures)
            marks = notes.mark(inputs.published.slips_of(f"{universe}/{signal}"))
            label = "published" if test is not None else f"{inputs.label(signal)}, published (not run here)"
            rows.append(
                Row(
                    label,
                    (
                        Cell(percent(said.rank_ic_mean)),
                        Cell(percent(said.rank_ic_std)),
                        Cell(number(said.icir)),
                        Cell(percent(said.ic_positive_share)),
                        Cell(percent(said.top_annual_excess)),
                        Cell(number(said.top_ir)),
                        Cell(percent(said.top_monthly_win_rate)),
                        Cell(percent(said.top_turnover_two_sided)),
                    ),
                    "published",
                    marks,
                )
            )
    rows += [Row(inputs.label(s), _factor_cells(t), "comparison") for (u, s), t in inputs.comparisons.items() if u == universe]
    return ReportTable(
        f"RankIC and layers, {inputs.label(universe)}{published_note(inputs, figures)}",
        (
            "",
            "RankIC mean",
            "RankIC std",
            "ICIR",
            "IC > 0",
            "TOP annual excess",
            "TOP IR",
            "TOP win rate, monthly",
            "TOP turnover, two-sided",
        ),
        tuple(rows),
        _FACTOR_TEST_CONVENTIONS,
        tuple(notes.texts),
    )


def further_statistics_table(inputs: ReportInputs) -> ReportTable:
    """What the published tables do not hold: sample size, Newey-West t, long-short, factor autocorrelation; all universes."""
    rows = []
    tests = [(u, s, t, "ours") for (u, s), t in inputs.factor_tests.items()]
    tests += [(u, s, t, "comparison") for (u, s), t in inputs.comparisons.items()]
    order = list(dict.fromkeys(u for u, _, _, _ in tests))
    for universe, signal, t, kind in sorted(tests, key=lambda row: order.index(row[0])):
        rows.append(
            Row(
                f"{inputs.label(universe)} · {inputs.label(signal)}",
                (
                    Cell(number(t.value("n_dates"), 0)),
                    Cell(number(t.value("mean_n_stocks"), 0)),
                    Cell(number(t.value("t_nw"))),
                    Cell(percent(t.value("long_short_annual"))),
                    Cell(number(t.value("long_short_sharpe"))),
                    Cell(number(t.value("autocorrelation"))),
                ),
                kind,
            )
        )
    return ReportTable(
        "Further statistics",
        ("", "test dates", "mean stocks", "t, Newey-West", "long-short annual", "long-short Sharpe", "factor autocorrelation"),
        tuple(rows),
        "Long-short: daily return of the top minus the bottom layer, compounded, without costs unless the conventions below "
        "say otherwise. "
        "Autocorrelation: mean rank correlation of the score with itself one test date earlier. No published counterpart.",
    )


def layers_table(inputs: ReportInputs, universe: str) -> ReportTable | None:
    """Annual excess return of every layer, one row per score above its published row; ``None`` when no test of the universe has layers.

    A report that prints its layers prints top minus bottom beside them, and so do we then. Source: ALPHANET, figures 11, 21 and 29.
    """
    tests = [
        (s, t, kind)
        for kind, group in (("ours", inputs.factor_tests), ("comparison", inputs.comparisons))
        for (u, s), t in group.items()
        if u == universe and t.layers_summary is not None and len(t.layers_summary)
    ]
    if not tests:
        return None
    layers = sorted(
        {int(str(x).lstrip("L")) for _, t, _ in tests if t.layers_summary is not None for x in t.layers_summary["layer"]}
    )
    has_published = inputs.published is not None and bool(inputs.published.layers)
    rows = []
    figures: set[int] = set()
    for signal, test, kind in tests:
        assert test.layers_summary is not None
        excess = {int(str(r.layer).lstrip("L")): float(r.annual_excess) for r in test.layers_summary.itertuples()}
        spread = (Cell(percent(test.value("long_short_annual"))), Cell(number(test.value("long_short_sharpe")))) if has_published else ()
        rows.append(Row(inputs.label(signal), (*(Cell(percent(excess.get(k))) for k in layers), *spread), kind))
        said = inputs.published.layers_of(universe, signal) if inputs.published else None
        if said is not None and len(said.annual_excess) == len(layers):
            figures.add(said.figure)
            printed = (percent(said.long_short_annual), number(said.long_short_sharpe))
            rows.append(Row("published", tuple(Cell(text) for text in (*map(percent, said.annual_excess), *printed)), "published"))
    return ReportTable(
        f"Annual excess return by layer, {inputs.label(universe)}{published_note(inputs, figures)}",
        ("", *(f"L{k}" for k in layers), *(("top − bottom, annual", "top − bottom, Sharpe") if has_published else ())),
        tuple(rows),
        "L1 holds the highest scores. Equal weight inside a layer, excess over the equal-weight universe, annualized over "
        "252 days. "
        + ("Top − bottom: daily difference, compounded." if has_published else "The report shows its layers as pictures only."),
    )


def correlation_table(inputs: ReportInputs) -> ReportTable | None:
    """Correlation of each pair of models, ours and published; ``None`` without a matrix of ours. Source: MULTIFREQ, figure 33."""
    if inputs.correlation is None or inputs.correlation.shape[0] < 2:
        return None
    matrix, said = inputs.correlation, inputs.published.correlation if inputs.published else None
    models = [str(m) for m in matrix.columns]
    rows = []
    for i, first in enumerate(models):
        for j in range(i + 1, len(models)):
            ours = float(matrix.iloc[i, j])
            printed = said.value(first, models[j]) if said else None
            rows.append(
                Row(
                    f"{inputs.label(first)} × {inputs.label(models[j])}",
                    (
                        Cell(number(ours, 4)),
                        Cell(number(printed, 4)),
                        Cell(number(None if printed is None else ours - printed, 4)),
                    ),
                )
            )
    return ReportTable(
        f"Correlation of the models{published_note(inputs, {said.figure} if said else set())}",
        ("", "ours", "published", "difference"),
        tuple(rows),
        "Mean over the test dates of the cross-sectional correlation of two seed-averaged scores.",
    )


def training_table(inputs: ReportInputs) -> ReportTable:
    """One row per model: runs, epochs per stage, best validation IC, time. The best epoch is the one kept, by stage."""
    rows = []
    for model in dict.fromkeys(m for m, _, _ in inputs.training):
        runs = {k: f for k, f in inputs.training.items() if k[0] == model and len(f)}
        epochs: dict[str, list[int]] = {}
        for frame in runs.values():
            for stage, part in frame.groupby("stage", sort=False):
                epochs.setdefault(str(stage), []).append(len(part))
        best = pd.Series([float(f["valid_ic"].max()) for f in runs.values()], dtype=float)
        rows.append(
            Row(
                inputs.label(model),
                (
                    Cell(number(len({p for _, p, _ in runs}), 0)),
                    Cell(number(len({s for _, _, s in runs}), 0)),
                    Cell(" + ".join(f"{sum(n) / len(n):.1f}" for n in epochs.values()) or ABSENT),
                    Cell(number(best.mean(), 4)),
                    Cell(f"{best.min():.4f} to {best.max():.4f}" if len(best) else ABSENT),
                    Cell(number(sum(float(f["seconds"].sum()) for f in runs.values()) / 60, 1)),
                ),
            )
        )
    return ReportTable(
        "Training runs",
        ("", "periods", "seeds", "mean epochs, by stage", "best validation IC, mean", "lowest to highest", "minutes in all"),
        tuple(rows),
        "Validation IC: mean Pearson correlation of score and label over the validation dates, not the out-of-sample test. "
        "Epochs count those run until early stopping. Seconds depend on the machine.",
    )


def signals_in(inputs: ReportInputs, universe: str) -> list[str]:
    """Signals to show for a universe: ours in the order given, then published models that were not run."""
    ours = [s for u, s in inputs.factor_tests if u == universe]
    said = [r.model for r in inputs.published.factor_tests if r.universe == universe] if inputs.published else []
    order = [m for m, _, _ in inputs.published.models] if inputs.published else []
    return ours + [m for m in order if m in said and m not in ours]


def _factor_cells(t: FactorTest) -> tuple[Cell, ...]:
    return (
        Cell(percent(t.value("rank_ic_mean")), interval_text(t)),
        Cell(percent(t.value("rank_ic_std"))),
        Cell(number(t.value("icir"))),
        Cell(percent(t.value("ic_positive_share"))),
        Cell(percent(t.value("top_annual_excess"))),
        Cell(number(t.value("top_ir"))),
        Cell(percent(t.value("top_monthly_win_rate"))),
        Cell(percent(t.value("top_turnover_two_sided"))),
    )
