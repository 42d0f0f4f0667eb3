"""One rebalance on a page: trades with their reasons, what bound, and how the week before turned out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from alpha_pipeline.reporting.blocks import Missing
from alpha_pipeline.reporting.exhibits import StudySection, TableExhibit, study_blocks

RULES = (
    "Reasons, the first that applies: restriction = not traded because it could not be (or sold without a score); index change = bought after "
    "joining the index or sold after leaving it; alpha = bought with an alpha of at least, or sold with one of at most, the weighted mean alpha of "
    "what was held; constraint = traded against its alpha, with the limit that asked for it."
)
_WEIGHTS = "Decimals of the portfolio as percent; held = drifted weight at the signal date's close. "


@dataclass(frozen=True, eq=False)
class WeekChanges:
    """A stored week: ``table`` one row per name, ``facts`` the manifest's. ``session`` is empty for a week without one."""

    portfolio: str
    week: str
    table: pd.DataFrame
    facts: Mapping[str, Any]

    @property
    def session(self) -> str:
        return str(self.facts["session"])


def changes_exhibits(changes: WeekChanges, n_trades: int = 20) -> tuple[TableExhibit, ...]:
    """Largest trades, turnover by reason, binding limits, and the week before."""
    found = [_trades(changes, n_trades), _turnover(changes), _binding(changes)]
    before = changes.facts.get("week_before")
    if before is not None:
        found.append(_week_before(changes, before))
    return tuple(found)


def _trades(changes: WeekChanges, n_trades: int) -> TableExhibit:
    traded = changes.table[changes.table["reason"] != "held"]
    shown = traded.head(n_trades)
    frame = pd.DataFrame({
        "name": shown["symbol"], "industry": shown["industry"].astype(object),
        "held": shown["held"], "target": shown["target"], "change": shown["change"],
        "reason": [f"{reason}: {detail}" if detail else reason for reason, detail in zip(shown["reason"], shown["detail"], strict=True)],
        "alpha": shown["alpha"], "alpha before": shown["alpha_before"], "return since": shown["return_since"],
    })
    left = len(traded) - len(shown)
    return TableExhibit(
        f"trades-{changes.portfolio}", f"{changes.portfolio}: largest trades decided at the close of {changes.session}", frame,
        {"industry": "text", "held": "percent", "target": "percent", "change": "percent", "reason": "text", "alpha": "number",
         "alpha before": "number", "return since": "percent"},
        f"{_WEIGHTS}Alpha in standard deviations; return since = from the close of the rebalance before. {RULES}"
        + (f" {left} smaller trades are not shown." if left else ""),
    )


def _turnover(changes: WeekChanges) -> TableExhibit:
    split = changes.facts["turnover_by_reason"]
    rows = [(reason, split[reason], int(((changes.table["reason"] == reason)).sum())) for reason in split]
    rows.append(("together", changes.facts["turnover_two_sided"], int((changes.table["reason"] != "held").sum())))
    limit = changes.facts["turnover_limit_two_sided"]
    said = "none" if limit is None else f"{limit:.0%}"
    return TableExhibit(
        f"turnover-{changes.portfolio}", f"{changes.portfolio}: turnover by reason", pd.DataFrame(rows, columns=["reason", "turnover", "names"]),
        {"turnover": "percent", "names": "integer"},
        f"Two-sided turnover, Σ|target − held|; limit {said}"
        f"{', which does not apply to the first portfolio' if changes.facts['is_first'] and limit is not None else ''}.",
    )


def _binding(changes: WeekChanges) -> TableExhibit:
    rows = [(b["constraint"], b["detail"], b["shadow_price"]) for b in changes.facts["binding"]]
    rows += [(r["constraint"], f"relaxed by {r['amount']:.4f} from {r['limit_before']:g}: {r['reason']}", None) for r in changes.facts["relaxations"]]
    frame = pd.DataFrame(rows, columns=["limit", "how", "shadow price"])
    frame["shadow price"] = frame["shadow price"].astype("float64")
    return TableExhibit(
        f"binding-{changes.portfolio}", f"{changes.portfolio}: limits that bound or gave way ({changes.facts['status']})", frame,
        {"how": "text", "shadow price": "number3"}, "Shadow price: gain of expected alpha per unit of loosening, from the duals of the solution.",
    )


def _week_before(changes: WeekChanges, before: Mapping[str, Any]) -> TableExhibit:
    columns = ["since the rebalance before", "expected active alpha", "realized active return", "portfolio", "benchmark", "rank correlation", "names"]
    frame = pd.DataFrame([(
        f"{before['session']} … {changes.session}", before["expected_active_alpha"], before["realized_active_return"], before["portfolio_return"],
        before["benchmark_return"], before["rank_correlation"], before["n_names"])], columns=columns)
    return TableExhibit(
        f"before-{changes.portfolio}", f"{changes.portfolio}: expected against realized", frame.astype({"rank correlation": "float64"}),
        {"expected active alpha": "number", "realized active return": "percent", "portfolio": "percent", "benchmark": "percent",
         "rank correlation": "number", "names": "integer"},
        "Expected: Σ active weight × alpha, in standard deviations of alpha, not a return. Realized: Σ active weight × return between the closes of "
        "the two signal dates, before costs; portfolio: its NAV, after costs. Rank correlation of alpha and return over held names and constituents.",
    )


def terminal_rows(changes: WeekChanges, n_trades: int = 20) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows for the terminal: the largest trades, then turnover by reason."""
    trades, turnover = changes_exhibits(changes, n_trades)[:2]
    rows: list[tuple[str, ...]] = [(str(t[0]), str(t[1]), f"{t[2]:.2%}", f"{t[3]:.2%}", f"{t[4]:+.2%}", str(t[5]))
                                   for t in trades.frame.itertuples(index=False)]
    rows += [("", "", "", "", f"{t[1]:.2%}", f"turnover, {t[0]}, two-sided") for t in turnover.frame.itertuples(index=False)]
    header: tuple[str, ...] = ("name", "industry", "held", "target", "change", "reason")
    return header, rows


def render_changes(changes: WeekChanges, market: str, is_simulated: bool, n_trades: int = 60) -> str:
    """The page as a string; it needs nothing but itself, and the same week gives the same bytes."""
    environment = Environment(loader=PackageLoader("alpha_pipeline.reporting", "templates"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    section = StudySection("changes", "What changed", "rebalances", changes_exhibits(changes, n_trades))
    blocks = study_blocks(section)
    environment.tests |= {"missing": lambda block: isinstance(block, Missing)}
    return environment.get_template("changes.html.j2").render(
        changes=changes, market=market, is_simulated=is_simulated, blocks=blocks, notes=changes.facts["notes"],
    )
