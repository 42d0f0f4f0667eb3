"""Steps ``portfolios/<name>/backtest`` and ``portfolios/<name>/attribution``: what a portfolio earned, and from what."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from alpha_pipeline.attribution.decompose import attribute
from alpha_pipeline.backtest.engine import PortfolioState, run_backtest
from alpha_pipeline.backtest.metrics import drawdown_table, performance_summary, yearly_table
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData, NotEnoughData, sentence
from alpha_pipeline.experiment import BENCHMARK_LEVELS, STORED_ATTRIBUTIONS, PortfolioSpec
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.attribution_models import compact_model, full_model
from alpha_pipeline.pipeline.portfolios import equal_weights, market_prices, read_week, weights_table
from alpha_pipeline.pipeline.robustness import robustness_frames
from alpha_pipeline.pipeline.share_replay import replay_in_shares
from alpha_pipeline.pipeline.workspace import CODE_VERSION, Workspace
from alpha_pipeline.portfolio.top_n import EQUAL_WEIGHT
from alpha_pipeline.progress import step
from alpha_pipeline.store import Manifest


def backtest_name(portfolio: str) -> str:
    return f"portfolios/{portfolio}/backtest"


def attribution_name(portfolio: str) -> str:
    return f"portfolios/{portfolio}/attribution"


@dataclass(frozen=True)
class _Chain:
    """The stored weeks of a portfolio within a range: signal session → (symbols, target), first one first."""

    targets: dict[str, tuple[tuple[str, ...], np.ndarray]]
    initial: tuple[tuple[str, ...], np.ndarray, float, float]
    metas: list[dict[str, Any]]
    contents: list[str]


def run_portfolio_backtest(work: Workspace, spec: PortfolioSpec, start: str = "", end: str = "") -> Manifest:
    """Backtest of the stored weekly targets from the first signal date in the range to ``end`` (default: the newest panel date).

    Targets of *t* are traded at a price of *t+1* (vwap unless the spec says otherwise); marked daily at the close; costs, fill rules and benchmark
    level as in the spec. Stored as a bundle: daily, holdings, trades, rebalances, yearly, drawdowns, the summary of metrics, and what
    :func:`~alpha_pipeline.pipeline.robustness.robustness_frames` adds.
    """
    panels = work.panels
    chain = _chain(work, spec, start, end)
    sessions = sorted(chain.targets)
    first = panels.daily.index(sessions[0])
    last = panels.daily.index(_last_date(panels, end))
    if last <= first:
        raise NotEnoughData(sentence("no session after the first signal date", where=backtest_name(spec.name), got=f"{sessions[0]} … {end}"))
    columns = np.array(sorted({int(c) for symbols, target in chain.targets.values() for c in panels.axis.known_columns(symbols)}
                              | {int(c) for c in panels.axis.known_columns(chain.initial[0])}))
    market = market_prices(panels, first, last + 1, columns, spec.trade_price)
    position = {int(c): at for at, c in enumerate(columns)}

    def on_columns(symbols: tuple[str, ...], values: np.ndarray) -> np.ndarray:
        row = np.zeros(len(columns))
        row[[position[int(c)] for c in panels.axis.known_columns(symbols)]] = values
        return row

    targets = {panels.daily.index(day) - first: on_columns(*chain.targets[day]) for day in sessions}
    symbols, held, cash, nav = chain.initial
    initial = PortfolioState(on_columns(symbols, held), cash, 1.0) if (held > 0).any() else PortfolioState.empty(len(columns))
    benchmark = benchmark_returns(work, spec.benchmark, panels.daily.dates[first: last + 1], BENCHMARK_LEVELS[spec.benchmark_level])
    step(f"backtest {spec.name}", 0, 1)
    paid: dict[str, float] = {}
    if spec.mode == "shares":
        found = replay_in_shares(panels, spec, market, first, columns, targets, benchmark, initial)
        result, paid = found.tables, {**found.costs, "dividends": found.dividends}
        result.daily["nav"] /= spec.capital  # as in fractions: 1 is what was put in
    else:
        result = run_backtest(targets, market, 0, last - first, spec.costs, benchmark, spec.unfilled, initial)  # type: ignore[arg-type]
    step(f"backtest {spec.name}", 1, 1)
    summary = performance_summary(result.daily)
    frames = {
        "daily": result.daily, "holdings": result.holdings, "trades": result.trades, "rebalances": _rebalances(chain.metas),
        "yearly": yearly_table(result.daily), "drawdowns": drawdown_table(result.daily["excess_return"], result.daily["trade_date"]),
        "summary": pd.DataFrame([summary]), **robustness_frames(result, panels),
    }
    rows = (*panels.daily.rows[first: last + 1], *panels.status.rows[first: last + 1])
    source = combine([CODE_VERSION, spec.backtest_digest(), *chain.contents, *(row.checksum for row in rows)])
    meta = {"start": sessions[0], "end": panels.daily.dates[last], "benchmark": spec.benchmark, "summary": summary,
            "conventions": conventions(work, spec), "pending": [panels.daily.dates[first + at] for at in result.pending]}
    if paid:
        meta["paid_cny"] = paid
    return work.store.write_bundle(backtest_name(spec.name), frames, source=source, meta=meta)


def conventions(work: Workspace, spec: PortfolioSpec) -> dict[str, str]:
    """How the figures of a backtest are to be read."""
    proxy = work.source.describe().proxies.get(f"daily_bars.{spec.trade_price}")
    rhythm = f"every {spec.every_n_sessions} sessions of the market" if spec.every_n_sessions else "the last session of each week"
    index = f"{spec.benchmark} {spec.benchmark_level.replace('_', '-')} index"
    said = {
        "annualization": "geometric, 252 days; excess NAV = compounded daily differences",
        "turnover": "two-sided, sum |w_new - w_drifted| per rebalance",
        "benchmark": "equal-weight universe, rebalanced daily" if spec.benchmark == EQUAL_WEIGHT else index,
        "trade price": f"{spec.trade_price} of the session after the signal{f' (proxy: {proxy})' if proxy else ''}",
        "rebalanced on": rhythm, "costs": _listed(asdict(spec.costs)), "unfilled orders": spec.unfilled,
    }
    if spec.mode == "shares":
        rules = {name: value for name, value in asdict(spec.share_rules).items() if name != "unfilled" and value is not None}
        said["mode"] = (f"whole lots from {spec.capital:,.0f} CNY, the stored targets replayed; dividends in cash before tax; targets themselves are "
                        "decided in fractions")
        said["costs"] = _listed(rules)
    return said


def _listed(settings: dict[str, Any]) -> str:
    """``buy 0.20%, sell 0.20%``: rates below 1 as percent."""
    return ", ".join(f"{name} {value:.2%}" if isinstance(value, float) and value < 1.0 else f"{name} {value}" for name, value in settings.items())


def _last_date(panels: MarketPanels, end: str) -> str:
    dates = [d for d in panels.daily.dates if not end or d <= end]
    if not dates:
        raise MissingData(sentence("the daily panel has no date in the range", got=f"… {end}"))
    return dates[-1]


def _chain(work: Workspace, spec: PortfolioSpec, start: str, end: str) -> _Chain:
    table = weights_table(spec.name)
    targets: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    metas: list[dict[str, Any]] = []
    contents: list[str] = []
    initial: tuple[tuple[str, ...], np.ndarray, float, float] | None = None
    for week in work.store.keys(table):
        state = read_week(work, spec.name, week)
        manifest = work.store.manifest(table, week)
        assert manifest is not None
        if state.session is None or manifest.meta["status"] == "closed week" or (start and state.session < start) or (end and state.session > end):
            continue
        if initial is None:
            initial = (state.symbols, state.held, state.cash, state.nav)
        targets[state.session] = (state.symbols, state.target)
        metas.append(manifest.meta)
        contents.append(manifest.content)
    if initial is None:
        raise MissingData(sentence("no weights in the range", where=table, got=f"{start or 'first'} … {end or 'last'}",
                                   next_step=f"Materialize '{table}' first."))
    return _Chain(targets, initial, metas, contents)


def _rebalances(metas: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per rebalance: what bent and what bound, parted by semicolons."""
    return pd.DataFrame([{
        "trade_date": pd.Timestamp(meta["session"]), "status": meta["status"], "turnover_two_sided": float(meta["turnover_two_sided"]),
        "relaxations": "; ".join(f"{r['constraint']} +{r['amount']:.4f}" for r in meta["relaxations"]),
        "binding": "; ".join(b["constraint"] for b in meta["binding"]), "n_names": meta["n_names"], "is_first": meta["is_first"],
        "notes": "; ".join(meta["notes"]), "detail": json.dumps({"relaxations": meta["relaxations"], "binding": meta["binding"]}, ensure_ascii=False),
    } for meta in metas])


def benchmark_returns(work: Workspace, index_code: str, dates: list[str], level: str = "close") -> np.ndarray:
    """(n_dates,) close-to-close returns of a benchmark, NaN on the first; of an index from ``index_bars``.

    ``level``: ``close`` = price index, ``close_total_return`` = with dividends reinvested, where the source has it. The equal-weight
    universe consists of the members at the close before, with adjusted returns; one that does not trade counts as 0.

    Raises :class:`MissingData` when the index lacks a bar on one of the dates.
    """
    if index_code == EQUAL_WEIGHT:
        return _equal_weight_returns(work.panels, dates)
    closes = []
    for key in dates:
        bars = work.store.read("index_bars", key, ["index_code", level])
        close = bars.loc[bars["index_code"] == index_code, level].dropna()
        if len(close) != 1:
            raise MissingData(sentence(f"no {'bar' if level == 'close' else level} of {index_code}", where=f"index_bars {key}",
                                       got=", ".join(sorted(bars["index_code"])), next_step="Choose a benchmark the market has."))
        closes.append(float(close.iloc[0]))
    return np.append(np.nan, np.array(closes[1:]) / np.array(closes[:-1]) - 1.0)


def _equal_weight_returns(panels: MarketPanels, dates: list[str]) -> np.ndarray:
    first = panels.daily.index(dates[0])
    close = panels.daily.field("close", first, first + len(dates)).astype(np.float64)
    weights = np.array([equal_weights(panels, first + i) for i in range(len(dates) - 1)]).reshape(len(dates) - 1, -1)
    moves = np.nan_to_num(close[1:] / close[:-1] - 1.0, nan=0.0)
    return np.append(np.nan, (weights * moves).sum(axis=1))


def run_attribution(work: Workspace, spec: PortfolioSpec) -> Manifest:
    """Daily active return of the stored backtest split into country, industries, styles, specific, trading and cost.

    ``spec.attribution``: ``compact`` makes six price-volume styles and their returns for the range from the panels, ``full`` reads the stored
    risk model, ``efficient`` its exposures and estimates their returns with weights 1/specific variance. Adds up each day to 1e-10 and, linked,
    over the range and each year. Stored as a bundle: daily, summary, by_year, exposures, coverage, factor_returns.
    """
    manifest = work.store.bundle(backtest_name(spec.name))
    if manifest is None:
        raise MissingData(sentence("no backtest to attribute", where=attribution_name(spec.name),
                                   next_step=f"Materialize {backtest_name(spec.name)} first."))
    frames = work.store.read_bundle(backtest_name(spec.name))
    daily, holdings = frames["daily"], frames["holdings"]
    panels = work.panels
    days = [str(d)[:10] for d in daily["trade_date"].astype("datetime64[s]").to_numpy().astype("datetime64[D]")]
    first = panels.daily.index(days[0])
    last = panels.daily.index(days[-1])
    step(f"attribution {spec.name}", 0, 1)
    n_stocks = len(panels.axis)
    weights = np.zeros((len(days), n_stocks))
    at_day = {day: i for i, day in enumerate(days)}
    held_days = [at_day[str(d)] for d in holdings["trade_date"].to_numpy().astype("datetime64[D]")]
    weights[held_days, panels.axis.known_columns(holdings["symbol"].tolist())] = holdings["weight_open"].to_numpy()
    benchmark = np.zeros_like(weights)
    for i, key in enumerate(panels.daily.dates[first - 1: last]):
        if spec.benchmark == EQUAL_WEIGHT:
            benchmark[i] = equal_weights(panels, first - 1 + i)
            continue
        frame = work.store.read("index_weights", key)
        frame = frame[frame["index_code"] == spec.benchmark]
        columns = panels.axis.known_columns(frame["symbol"].tolist())
        benchmark[i, columns[columns >= 0]] = frame["weight"].to_numpy()[columns >= 0]
    close = panels.daily.field("close", first - 1, last + 1).astype(np.float64)
    stock_returns = close[1:] / close[:-1] - 1.0
    # a constituent without a price on the day has no return of its own: its weight goes to the benchmark's unexplained rest
    benchmark = np.where(np.isnan(stock_returns), 0.0, benchmark)
    if spec.attribution in STORED_ATTRIBUTIONS:
        columns = np.flatnonzero((weights != 0).any(axis=0) | (benchmark != 0).any(axis=0))
        weights, benchmark, stock_returns = weights[:, columns], benchmark[:, columns], stock_returns[:, columns]
        model = full_model(work, panels, spec.name, first, last, columns, is_efficient=spec.attribution == "efficient")
    else:
        model = compact_model(panels, first, last)
    result = attribute(
        np.array(days, dtype="datetime64[D]"), weights, benchmark, stock_returns, model.exposures, model.industry, model.factor_returns,
        style_names=model.style_names, industry_names=model.industry_names, portfolio_return=daily["portfolio_return"].to_numpy(),
        benchmark_return=daily["benchmark_return"].to_numpy(), cost=daily["cost"].to_numpy(),
    )
    step(f"attribution {spec.name}", 1, 1)
    out = {"daily": result.daily, "summary": result.summary, "by_year": result.by_year, "exposures": result.exposures, "coverage": result.coverage,
           "factor_returns": model.frame}
    source = combine([CODE_VERSION, manifest.content, *model.sources])
    meta = {"start": days[0], "end": days[-1], "styles": list(model.style_names), "mean_r_squared": model.mean_r_squared,
            "conventions": model.conventions}
    return work.store.write_bundle(attribution_name(spec.name), out, source=source, meta=meta)


def read_backtest(work: Workspace, portfolio: str) -> tuple[Manifest, dict[str, pd.DataFrame]]:
    """Manifest and frames of a stored backtest."""
    manifest = work.store.bundle(backtest_name(portfolio))
    if manifest is None:
        raise MissingData(sentence(f"'{backtest_name(portfolio)}' does not exist", next_step="Materialize it first."))
    return manifest, work.store.read_bundle(backtest_name(portfolio))
