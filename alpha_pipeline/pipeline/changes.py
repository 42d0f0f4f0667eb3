"""Step ``portfolios/<name>/changes``: what each rebalance changed and why, and how the week before turned out against its expectation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.portfolios import tradability, weights_table
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.portfolio.changes import Rebalance, change_table, turnover_by_reason
from alpha_pipeline.portfolio.constraints import MaxDeviation, TurnoverLimit
from alpha_pipeline.portfolio.top_n import EQUAL_WEIGHT
from alpha_pipeline.progress import track
from alpha_pipeline.reporting.changes_page import WeekChanges, render_changes
from alpha_pipeline.store import Manifest

PAGE = "changes.html"


def changes_table(portfolio: str) -> str:
    """Table of a portfolio's weekly changes."""
    return f"portfolios/{portfolio}/changes"


def page_name(portfolio: str) -> str:
    """Bundle of the newest week's page."""
    return f"portfolios/{portfolio}/changes_page"


def make_changes(work: Workspace, spec: PortfolioSpec, weeks: Sequence[str]) -> StepReport:
    """For each week (Monday): the rows of :func:`~alpha_pipeline.portfolio.changes.change_table`, with ``alpha_before`` and ``return_since``: the
    alpha at the rebalance before and the name's return from its close to this one's, decimals.

    The manifest holds turnover, its limit and its split by reason, and expected against realized of the week before. A week without a session has
    an empty table. The page of the newest week is written again when that week is among ``weeks``.
    """
    report = StepReport()
    panels = work.panels
    stored = work.store.keys(weights_table(spec.name))
    for week in track(sorted(weeks), f"changes {spec.name}"):
        manifest = _weights(work, spec, week)
        before = _before(work, spec, stored, week)
        source = combine([CODE_VERSION, spec.digest(), manifest.content, manifest.source, before[1].content if before else "first",
                          *_rows(panels, manifest, before[1] if before else None)])
        if work.store.is_current(changes_table(spec.name), week, source):
            report.reused.append(week)
            continue
        frame, meta = _changes(work, panels, spec, week, manifest, before)
        work.store.write(changes_table(spec.name), week, frame, source=source, meta=meta)
        report.computed.append(week)
        report.rows += len(frame)
    with_session = [week for week in work.store.keys(changes_table(spec.name)) if read_changes(work, spec.name, week).session]
    if with_session and with_session[-1] in report.computed:
        newest = read_changes(work, spec.name, with_session[-1])
        page = render_changes(newest, work.market.name, work.source.describe().is_simulated).encode()
        work.store.write_bundle(page_name(spec.name), {}, source=newest.session, meta={"week": with_session[-1]}, files={PAGE: page})
    return report


def read_changes(work: Workspace, portfolio: str, week: str) -> WeekChanges:
    """A stored week; raises :class:`MissingData` when there is none."""
    table = changes_table(portfolio)
    manifest = work.store.manifest(table, week)
    if manifest is None:
        keys = work.store.keys(table)
        raise MissingData(sentence(f"'{table}' has no week {week}", expected=f"a Monday from {keys[0]} to {keys[-1]}" if keys else "a rebalance",
                                   next_step=f"Materialize '{table}' for {week} first."))
    return WeekChanges(portfolio, week, work.store.read(table, week), manifest.meta)


def newest_week(work: Workspace, portfolio: str, until: str = "") -> str:
    """The last stored week that rebalanced, with a signal date up to ``until`` (default: any); raises :class:`MissingData` without one."""
    keys = work.store.keys(changes_table(portfolio))
    for week in reversed(keys):
        session = read_changes(work, portfolio, week).session
        if session and (not until or session <= until):
            return week
    raise MissingData(sentence("no rebalance is stored", where=changes_table(portfolio), got=f"{len(keys)} weeks",
                               next_step="Run the experiment, or materialize the portfolio's weights and changes."))


def _weights(work: Workspace, spec: PortfolioSpec, week: str) -> Manifest:
    manifest = work.store.manifest(weights_table(spec.name), week)
    if manifest is None:
        raise MissingData(sentence(f"no weights of {week}", where=changes_table(spec.name),
                                   next_step=f"Materialize '{weights_table(spec.name)}' for {week} first."))
    return manifest


def _before(work: Workspace, spec: PortfolioSpec, stored: list[str], week: str) -> tuple[str, Manifest] | None:
    """The last rebalance before a week, or None."""
    for earlier in reversed([key for key in stored if key < week]):
        manifest = _weights(work, spec, earlier)
        if manifest.meta["status"] != "closed week":
            return earlier, manifest
    return None


def _rows(panels: MarketPanels, manifest: Manifest, before: Manifest | None) -> list[str]:
    """Checksums of the panel rows that a week's table reads."""
    if manifest.meta["status"] == "closed week":
        return []
    days = [manifest.meta["session"], *([before.meta["session"]] if before else [])]
    return [panel.rows[panel.index(day)].checksum for panel in (panels.daily, panels.status) for day in days]


def _changes(
    work: Workspace, panels: MarketPanels, spec: PortfolioSpec, week: str, manifest: Manifest, before: tuple[str, Manifest] | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    meta = manifest.meta
    frame = work.store.read(weights_table(spec.name), week)
    closed = meta["status"] == "closed week"
    if closed:
        frame = frame.iloc[:0]
    session = meta["session"] or panels.daily.dates[0]
    at = panels.daily.index(session)
    columns = panels.axis.known_columns(frame["symbol"].tolist())
    can_buy, can_sell = tradability(panels, at, columns)
    codes = panels.industry(at, at + 1)[0, columns]
    last = work.store.read(weights_table(spec.name), before[0]).set_index("symbol") if before else None
    joined = None if last is None or spec.benchmark == EQUAL_WEIGHT else last["benchmark"].reindex(frame["symbol"]).fillna(0.0).to_numpy()
    limits = {c.name: c for c in spec.optimizer.constraints}
    deviation, turnover = limits.get(MaxDeviation.name), limits.get(TurnoverLimit.name)
    table = change_table(Rebalance(
        tuple(frame["symbol"]), frame["held"].to_numpy(), frame["target"].to_numpy(), frame["benchmark"].to_numpy(), frame["alpha"].to_numpy(),
        ["" if code < 0 else panels.axis.industries[code] for code in codes], can_buy, can_sell, joined,
        deviation.limit if isinstance(deviation, MaxDeviation) else None,
        [(b["constraint"], b["shadow_price"]) for b in meta["binding"]],
    ))
    facts: dict[str, Any] = {
        "session": "" if closed else meta["session"], "benchmark": spec.benchmark, "status": meta["status"], "is_first": meta["is_first"],
        "turnover_two_sided": meta["turnover_two_sided"],
        "turnover_limit_two_sided": turnover.two_sided if isinstance(turnover, TurnoverLimit) else None,
        "turnover_by_reason": turnover_by_reason(table), "relaxations": meta["relaxations"], "binding": meta["binding"], "notes": meta["notes"],
        "active_alpha": float((frame["target"] - frame["benchmark"]).to_numpy() @ np.nan_to_num(frame["alpha"].to_numpy())),
    }
    table.insert(0, "trade_date", pd.Series(np.full(len(table), np.datetime64(session, "s"))))
    table["alpha_before"], table["return_since"] = np.nan, np.nan
    if before is not None and last is not None and not closed:
        returns = _returns(panels, before[1].meta["session"], at, last.index.tolist())
        since = _returns(panels, before[1].meta["session"], at, table["symbol"].tolist())
        table["alpha_before"], table["return_since"] = last["alpha"].reindex(table["symbol"]).to_numpy(), since
        facts["week_before"] = _outcome(last, returns, before[1].meta, meta)
    return table, facts


def _returns(panels: MarketPanels, session: str, at: int, symbols: list[str]) -> np.ndarray:
    """Close of ``session`` to close of row ``at``, decimals; NaN without a price."""
    columns = panels.axis.known_columns(symbols)
    close = panels.daily.field("close", at, at + 1)[0, columns].astype(np.float64)
    first = panels.daily.index(session)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(close / panels.daily.field("close", first, first + 1)[0, columns].astype(np.float64) - 1.0)


def _outcome(last: pd.DataFrame, returns: np.ndarray, before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Expected against realized since the rebalance before.

    Expected: Σ active weight · alpha, in units of alpha. Realized: Σ active weight · return from signal close to signal close, decimals, before
    costs and the split of the trading day. ``rank_correlation``: of alpha and return over the names with both.
    """
    active = (last["target"] - last["benchmark"]).to_numpy()
    alpha = last["alpha"].to_numpy()
    both = np.isfinite(alpha) & np.isfinite(returns)
    ranks = [pd.Series(values[both]).rank() for values in (alpha, returns)]
    enough = int(both.sum()) > 2 and all(float(r.std()) > 0.0 for r in ranks)
    return {
        "session": before["session"], "expected_active_alpha": float(active @ np.nan_to_num(alpha)),
        "realized_active_return": float(active @ np.nan_to_num(returns)), "portfolio_return": float(now["nav"]) / float(before["nav"]) - 1.0,
        "benchmark_return": float(last["benchmark"].to_numpy() @ np.nan_to_num(returns)),
        "rank_correlation": float(ranks[0].corr(ranks[1])) if enough else None, "n_names": int(both.sum()),
    }
