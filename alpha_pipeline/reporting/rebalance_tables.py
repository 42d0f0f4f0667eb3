"""Tables about rebalances: how they ended, which constraints bound and which had to be relaxed."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from alpha_pipeline.reporting.inputs import ReportInputs
from alpha_pipeline.reporting.portfolio_tables import portfolio_label
from alpha_pipeline.reporting.tables import ABSENT, Cell, ReportTable, Row, number, percent

_N_SHOWN = 15


def rebalances_table(inputs: ReportInputs) -> ReportTable:
    """One row per portfolio: how its rebalances ended, how many needed a relaxation, names held."""
    rows = []
    for name, p in inputs.portfolios.items():
        r = p.rebalances
        statuses = Counter(str(s) for s in r["status"])
        relaxed = int(sum(bool(_pieces(x)) for x in r["relaxations"]))
        rows.append(
            Row(
                f"{inputs.label(p.benchmark)} · {portfolio_label(inputs, name)}",
                (
                    Cell(number(len(r), 0)),
                    Cell(", ".join(f"{s} {n:,}" for s, n in statuses.most_common()) or ABSENT),
                    Cell(number(relaxed, 0), percent(relaxed / len(r)) if len(r) else ""),
                    Cell(percent(_mean(r["turnover_two_sided"].iloc[1:]))),
                    Cell(percent(float(r["turnover_two_sided"].iloc[1:].max()) if len(r) > 1 else None)),
                    Cell(number(_mean(r["n_names"]), 0)),
                ),
            )
        )
    return ReportTable(
        "Rebalances",
        ("", "rebalances", "solver status", "relaxed", "mean turnover, two-sided", "highest turnover", "mean names"),
        tuple(rows),
        "A relaxed rebalance is one in which the stated constraints had no solution and one was loosened by the least "
        "amount, in the "
        "stated order. The first rebalance builds the book: both turnover columns leave it out.",
    )


def binding_table(inputs: ReportInputs) -> ReportTable | None:
    """In what share of its rebalances each constraint bound, one column per portfolio; ``None`` when nothing is recorded as
    binding.
    """
    return _share_table(
        inputs,
        "binding",
        "Constraints that bound",
        "Share of a portfolio's rebalances in which the constraint held with equality: it cost expected return.",
    )


def relaxations_table(inputs: ReportInputs) -> ReportTable | None:
    """In what share of its rebalances each constraint was relaxed, one column per portfolio; ``None`` when none ever was."""
    return _share_table(
        inputs,
        "relaxations",
        "Constraints that were relaxed",
        "Share of a portfolio's rebalances in which the constraint was loosened.",
    )


def _share_table(inputs: ReportInputs, column: str, title: str, conventions: str) -> ReportTable | None:
    counts = {
        n: Counter(piece for text in p.rebalances[column] for piece in set(_pieces(text))) for n, p in inputs.portfolios.items()
    }
    total: Counter[str] = sum(counts.values(), Counter())
    if not total:
        return None
    shown = [piece for piece, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:_N_SHOWN]]
    rows = tuple(
        Row(
            piece,
            tuple(
                Cell(percent(counts[n][piece] / len(p.rebalances), 1) if len(p.rebalances) else ABSENT, f"{counts[n][piece]:,}")
                for n, p in inputs.portfolios.items()
            ),
        )
        for piece in shown
    )
    hidden = len(total) - len(shown)
    columns = (
        "",
        *(
            f"{inputs.label(p.benchmark)} {portfolio_label(inputs, n).removeprefix('turnover ')}"
            for n, p in inputs.portfolios.items()
        ),
    )
    return ReportTable(
        title, columns, rows, f"{conventions} Small print: count." + (f" {hidden} rarer ones are left out." if hidden else "")
    )


def _pieces(text: object) -> list[str]:
    """Constraint names of a cell, without the amounts after ``=`` or in brackets, so that equal ones count together."""
    if not isinstance(text, str):
        return []
    return [name for part in text.split(";") if (name := part.split("=")[0].split("(")[0].strip())]


def _mean(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else float("nan")
