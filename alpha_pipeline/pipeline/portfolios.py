"""Step ``portfolios/<name>/weights``: one rebalance a week, each from the state its predecessor left.

A week's partition holds, for the signal date (the week's last session): the drifted holdings before the trade, the target decided at its close,
the benchmark and the alpha; its manifest holds cash, NAV, what was relaxed and what was binding. The next week starts from there, so weekly live
runs and a long backfill go through the same calls on the same numbers and give identical weights.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from alpha_pipeline.backtest.engine import PortfolioState, advance
from alpha_pipeline.backtest.execution import MarketPrices
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.market.universe import UniverseSpec, has_flag
from alpha_pipeline.pipeline.factors import factor_table
from alpha_pipeline.pipeline.risk_inputs import RiskInputs, load_risk_inputs, risk_contents
from alpha_pipeline.pipeline.session import rebalance_session
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.portfolio.enhanced_index import optimize
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.result import OptimizationResult
from alpha_pipeline.portfolio.top_n import EQUAL_WEIGHT, TopNSpec, top_n_portfolio
from alpha_pipeline.progress import track
from alpha_pipeline.risk.styles import StyleInputs, nonlinear_size, standardize

SIZE, NONLINEAR_SIZE = "size", "nlsize"


def weights_table(portfolio: str) -> str:
    """Table of a portfolio's weekly weights."""
    return f"portfolios/{portfolio}/weights"


@dataclass(frozen=True)
class WeekState:
    """Where a week's partition left the portfolio: holdings at the signal date's close and the target to be traded next.

    ``session`` is None before the first week with a session.
    """

    session: str | None
    symbols: tuple[str, ...]
    held: np.ndarray
    target: np.ndarray
    cash: float
    nav: float
    content: str


def rebalance(work: Workspace, spec: PortfolioSpec, weeks: Sequence[str]) -> StepReport:
    """Optimize the given weeks (Mondays) in order.

    Raises :class:`MissingData` when the previous week is absent although an earlier one exists: a portfolio has no holes.
    """
    report = StepReport()
    panels = work.panels
    table = weights_table(spec.name)
    statuses: dict[str, int] = {}
    for week in track(weeks, f"rebalance {spec.name}"):
        before = _previous(work, table, week)
        session = rebalance_session(week, work.calendar, spec.every_n_sessions)
        source = _source(work, panels, spec, session, before)
        if work.store.is_current(table, week, source):
            report.reused.append(week)
            continue
        if session is None:
            work.store.write(table, week, _frame(before), source=source, meta=_closed_week(before))
        else:
            frame, meta = _optimize_week(work, panels, spec, session, before)
            statuses[str(meta["status"])] = statuses.get(str(meta["status"]), 0) + 1
            work.store.write(table, week, frame, source=source, meta=meta)
            report.rows += len(frame)
        report.computed.append(week)
    report.facts |= {f"status {name}": count for name, count in statuses.items()}
    return report


def read_week(work: Workspace, portfolio: str, week: str) -> WeekState:
    """The state a week left."""
    table = weights_table(portfolio)
    manifest = work.store.manifest(table, week)
    frame = work.store.read(table, week)
    assert manifest is not None
    return WeekState(manifest.meta["session"], tuple(frame["symbol"]), frame["held"].to_numpy(), frame["target"].to_numpy(),
                     float(manifest.meta["cash"]), float(manifest.meta["nav"]), manifest.content)


def _previous(work: Workspace, table: str, week: str) -> WeekState | None:
    earlier = [key for key in work.store.keys(table) if key < week]
    if not earlier:
        return None
    expected = (as_date(week) - dt.timedelta(days=7)).isoformat()
    if earlier[-1] != expected:
        raise MissingData(sentence(
            "the previous week has no weights", where=f"{table} {week}", got=f"last {earlier[-1]}", expected=expected,
            next_step=f"Materialize the weeks {earlier[-1]} … {expected} first, or all in one range.",
        ))
    return read_week(work, table.split("/")[1], expected)


def _source(work: Workspace, panels: MarketPanels, spec: PortfolioSpec, session: dt.date | None, before: WeekState | None) -> str:
    parts = [CODE_VERSION, spec.digest(), before.content if before else "inception"]
    if session is not None:
        key = session.isoformat()
        for table in (factor_table(spec.signal), "index_weights"):
            manifest = work.store.manifest(table, key)
            if manifest is None:
                raise MissingData(sentence(f"'{table}' has no partition {key}", where=weights_table(spec.name),
                                           next_step=f"Materialize '{table}' for {key} first."))
            parts.append(manifest.content)
        parts += risk_contents(work, panels, spec, key)
        first = panels.daily.index(before.session) if before and before.session else panels.daily.index(key)
        last = panels.daily.index(key)
        parts += [row.checksum for row in (*panels.daily.rows[first: last + 1], *panels.status.rows[first: last + 1])]
    return combine(parts)


def _optimize_week(
    work: Workspace, panels: MarketPanels, spec: PortfolioSpec, session: dt.date, before: WeekState | None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    key = session.isoformat()
    at = panels.daily.index(key)
    held_S, cash, nav = _drifted(panels, spec, before, at)
    factor = work.store.read(factor_table(spec.signal), key, ["symbol", "factor"])
    alpha_S = _spread(panels, factor["symbol"].tolist(), factor["factor"].to_numpy(), np.nan)
    benchmark_S = _benchmark(work, panels, spec.benchmark, key)
    columns = np.flatnonzero(~np.isnan(alpha_S) | (benchmark_S > 0) | (held_S > 0))
    if spec.weights_need_risk or spec.panel_factors:
        inputs = load_risk_inputs(work, panels, spec, key, columns, (held_S[columns] > 0) | (benchmark_S[columns] > 0))
        if not spec.weights_need_risk:
            own = _compact_styles(panels, spec, at, columns)
            inputs = RiskInputs(own.styles | inputs.styles, None, own.notes + inputs.notes)
    else:
        inputs = _compact_styles(panels, spec, at, columns)
    can_buy, can_sell = tradability(panels, at, columns)
    problem = PortfolioProblem(
        symbols=tuple(panels.axis.symbols[i] for i in columns), alpha=alpha_S[columns], benchmark_weights=benchmark_S[columns],
        current_weights=None if before is None or before.session is None else held_S[columns],
        industry=panels.industry(at, at + 1)[0, columns], styles=inputs.styles,
        can_buy=can_buy, can_sell=can_sell, where=f"{spec.name} {key}",
        risk=inputs.risk,
    )
    result = top_n_portfolio(problem, spec.optimizer) if isinstance(spec.optimizer, TopNSpec) else optimize(problem, spec.optimizer)
    frame = pd.DataFrame({
        "trade_date": pd.Timestamp(key).as_unit("s"), "symbol": list(problem.symbols), "held": held_S[columns], "target": result.weights,
        "benchmark": benchmark_S[columns], "alpha": alpha_S[columns],
    })
    keep = (frame["held"] > 0) | (frame["target"] > 0) | (frame["benchmark"] > 0)
    return frame[keep].reset_index(drop=True), _meta(panels, key, cash, nav, result, inputs.notes)


def tradability(panels: MarketPanels, at: int, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) whether names can be bought and sold, as known at the close of row ``at``: suspended and limit names are assumed to stay so."""
    flags = panels.status.field("flags", at, at + 1)[0, columns]
    blocked = has_flag(flags, "suspended") | ~has_flag(flags, "has_bar")
    return ~blocked & ~has_flag(flags, "limit_up"), ~blocked & ~has_flag(flags, "limit_down")


def _drifted(panels: MarketPanels, spec: PortfolioSpec, before: WeekState | None, at: int) -> tuple[np.ndarray, float, float]:
    """Holdings (n_symbols,), cash and NAV at the close of row ``at``: the last target was traded on the session after its signal."""
    held_S = np.zeros(len(panels.axis))
    if before is None or before.session is None:
        return held_S, 1.0, 1.0
    start = panels.daily.index(before.session)
    # only names that matter: the arithmetic then does not depend on how many stocks have listed since
    matters = (before.held > 0) | (before.target > 0)
    columns = panels.axis.known_columns([s for s, m in zip(before.symbols, matters, strict=True) if m])
    market = market_prices(panels, start, at + 1, columns, spec.trade_price)
    state, _ = advance(PortfolioState(before.held[matters], before.cash, before.nav), market, 0, at - start, before.target[matters],
                       spec.costs, spec.unfilled)  # type: ignore[arg-type]
    held_S[columns] = state.weights
    return held_S, state.cash, state.nav


def market_prices(panels: MarketPanels, start: int, stop: int, columns: np.ndarray, trade_price: str = "vwap") -> MarketPrices:
    """Panel rows [start, stop) of some stocks as the backtest wants them; targets trade at ``trade_price`` (vwap, open or close)."""
    flags = panels.status.field("flags", start, stop)[:, columns]
    close = panels.daily.field("close", start, stop)[:, columns].astype(np.float64)
    price = panels.daily.field(trade_price, start, stop)[:, columns].astype(np.float64)
    traded = has_flag(flags, "has_bar") & ~has_flag(flags, "suspended") & (price > 0)
    return MarketPrices(
        np.array(panels.daily.dates[start:stop], dtype="datetime64[D]"), tuple(panels.axis.symbols[i] for i in columns), close, price, traded,
        has_flag(flags, "one_price_up"), has_flag(flags, "one_price_down"),
    )


def _benchmark(work: Workspace, panels: MarketPanels, index_code: str, key: str) -> np.ndarray:
    """(n_symbols,) weights at the close of ``key``."""
    if index_code == EQUAL_WEIGHT:
        return equal_weights(panels, panels.daily.index(key))
    weights = work.store.read("index_weights", key)
    rows = weights[weights["index_code"] == index_code]
    if rows.empty:
        raise MissingData(sentence(f"no weights of {index_code} on {key}", where="index_weights",
                                   got=", ".join(sorted(weights["index_code"].unique())), next_step="Choose a benchmark the market has."))
    return _spread(panels, rows["symbol"].tolist(), rows["weight"].to_numpy(), 0.0)


def equal_weights(panels: MarketPanels, at: int) -> np.ndarray:
    """(n_symbols,) the same weight for every name of the universe at the close of row ``at``."""
    inside = panels.universe(UniverseSpec(), at, at + 1)[0]
    if not inside.any():
        raise MissingData(sentence("the universe is empty", where=str(panels.daily.dates[at])))
    return inside / inside.sum()


def _compact_styles(panels: MarketPanels, spec: PortfolioSpec, at: int, columns: np.ndarray) -> RiskInputs:
    """Size always, non-linear size where a limit names it, without the stored risk model. A name whose value is unknown gets 0."""
    size, n_filled = _size(panels, at, columns)
    notes = (f"{n_filled} names without capitalization: size 0",) if n_filled else ()
    if NONLINEAR_SIZE not in spec.style_names:
        return RiskInputs({SIZE: size}, None, notes)
    cap = panels.daily.field("total_cap", at, at + 1).astype(np.float64)
    universe = panels.universe(UniverseSpec(), at, at + 1)
    cap = np.where(cap > 0, cap, np.nan)
    raw = nonlinear_size(StyleInputs(np.full(cap.shape, np.nan), cap, np.full(cap.shape, np.nan), universe))
    exposure = standardize(raw, np.nan_to_num(cap), universe)[0, columns]
    return RiskInputs({SIZE: size, NONLINEAR_SIZE: np.nan_to_num(exposure, nan=0.0)}, None, notes)


def _spread(panels: MarketPanels, symbols: Sequence[str], values: np.ndarray, fill: float) -> np.ndarray:
    row = np.full(len(panels.axis), fill)
    at = panels.axis.known_columns(symbols)
    row[at[at >= 0]] = values[at >= 0]
    return row


def _size(panels: MarketPanels, at: int, columns: np.ndarray) -> tuple[np.ndarray, int]:
    """Standardized ln(cap) of the columns; a name without capitalization gets 0, the cap-weighted mean, and is counted."""
    cap = panels.daily.field("total_cap", at, at + 1).astype(np.float64)
    raw = np.log(np.where(cap > 0, cap, np.nan))
    exposure = standardize(raw, cap, panels.universe(UniverseSpec(), at, at + 1))[0, columns]
    missing = np.isnan(exposure)
    return np.where(missing, 0.0, exposure), int(missing.sum())


def _meta(panels: MarketPanels, key: str, cash: float, nav: float, result: OptimizationResult, assumed: tuple[str, ...]) -> dict[str, Any]:
    def named(label: str) -> str:
        """industry_bound[3] → industry_bound[银行]"""
        kind, _, code = label.partition("[")
        if kind == "industry_bound" and code[:-1].isdigit():
            return f"{kind}[{panels.axis.industries[int(code[:-1])]}]"
        return label

    # a key only where there is something to say: weeks of portfolios without a risk model keep their manifests
    risk = {} if result.tracking_error is None else {"tracking_error": result.tracking_error, "gap": result.gap}
    return risk | {
        "session": key, "cash": cash, "nav": nav, "status": result.status, "objective": result.objective, "solver": result.solver,
        "turnover_two_sided": result.turnover_two_sided, "max_violation": result.max_violation, "is_first": result.is_first,
        "relaxations": [{**asdict(r), "constraint": named(r.constraint)} for r in result.relaxations],
        "binding": [{**asdict(b), "constraint": named(b.constraint)} for b in result.binding],
        "n_names": int((result.weights > 0).sum()), "notes": [*result.notes, *assumed],
    }


def _frame(before: WeekState | None) -> pd.DataFrame:
    """The rows of a week without a session: what the week before left."""
    if before is None:
        return pd.DataFrame({"trade_date": pd.Series([], dtype="datetime64[s]"), "symbol": pd.Series([], dtype="str"),
                             **{c: pd.Series([], dtype="float64") for c in ("held", "target", "benchmark", "alpha")}})
    return pd.DataFrame({"trade_date": pd.Timestamp(before.session).as_unit("s") if before.session else pd.NaT, "symbol": list(before.symbols),
                         "held": before.held, "target": before.target, "benchmark": 0.0, "alpha": np.nan})


def _closed_week(before: WeekState | None) -> dict[str, Any]:
    carried = {"session": before.session, "cash": before.cash, "nav": before.nav} if before else {"session": None, "cash": 1.0, "nav": 1.0}
    return {**carried, "status": "closed week", "relaxations": [], "binding": [], "turnover_two_sided": 0.0, "n_names": 0, "notes": [],
            "is_first": False}
