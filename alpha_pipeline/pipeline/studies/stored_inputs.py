"""What studies read of the store, on the panels' axis: scores, styles, factor returns, rebalances. All by trade date, known at its close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.errors import MissingData, sentence, unknown_name
from alpha_pipeline.experiment import ExperimentSpec, PortfolioSpec, SignalSpec, StudySpec
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.factors import factor_table, read_scores
from alpha_pipeline.pipeline.portfolios import weights_table
from alpha_pipeline.pipeline.risk_model import FACTOR_RETURNS
from alpha_pipeline.pipeline.workspace import Workspace


@dataclass(frozen=True)
class Rebalance:
    """One stored rebalance on the panels' axis, (n_symbols,) decimals: the target decided at the close of ``session``, and the benchmark then."""

    session: str
    target: np.ndarray
    benchmark: np.ndarray


def setting(study: StudySpec, name: str, default: str = "") -> str:
    """A setting of a study as text."""
    return str(dict(study.settings).get(name, default))


def names_in(study: StudySpec, name: str) -> tuple[str, ...]:
    """A setting that is a list, written with commas."""
    return tuple(part for part in setting(study, name).split(",") if part)


def signal_named(experiment: ExperimentSpec, name: str) -> SignalSpec:
    """A signal of the experiment; raises :class:`UnknownName`."""
    known = {signal.name: signal for signal in experiment.all_signals()}
    if name not in known:
        raise unknown_name(f"signal of experiment '{experiment.name}'", name, list(known))
    return known[name]


def portfolio_named(experiment: ExperimentSpec, name: str) -> PortfolioSpec:
    """A portfolio or variant of the experiment; raises :class:`UnknownName`."""
    known = {portfolio.name: portfolio for portfolio in experiment.all_portfolios()}
    if name not in known:
        raise unknown_name(f"portfolio of experiment '{experiment.name}'", name, list(known))
    return known[name]


def signal_days(work: Workspace, signal: str, start: str, end: str) -> list[str]:
    """Trade dates in [start, end] that have a factor; raises :class:`MissingData` for none."""
    days = [key for key in work.store.keys(factor_table(signal)) if start <= key <= end]
    if not days:
        raise MissingData(sentence(f"signal '{signal}' has no factor in the range", got=f"{start} … {end}",
                                   next_step=f"Materialize {factor_table(signal)} first."))
    return days


def scores_of(work: Workspace, panels: MarketPanels, signal: str, days: Sequence[str]) -> np.ndarray:
    """(n_days, n_symbols) raw scores, before any neutralization."""
    return read_scores(work, panels, factor_table(signal), days, "score")


def pool_of(panels: MarketPanels, universe: UniverseSpec, days: Sequence[str]) -> np.ndarray:
    """(n_days, n_symbols) the universe of days that follow one another in the panel."""
    first = panels.daily.index(days[0])
    assert panels.daily.index(days[-1]) - first + 1 == len(days), "days must follow one another"
    return panels.universe(universe, first, first + len(days))


def factor_returns_of(work: Workspace, days: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """(n_days, n_names) daily returns of risk factors; NaN on a date without one. Raises :class:`MissingData` for a date without a partition."""
    values = np.full((len(days), len(names)), np.nan)
    for at, day in enumerate(days):
        frame = work.store.read(FACTOR_RETURNS, day, ["factor", "factor_return"])
        found = dict(zip(frame["factor"], frame["factor_return"], strict=True))
        values[at] = [found.get(name, np.nan) for name in names]
    return values


def rebalances_of(work: Workspace, panels: MarketPanels, portfolio: str, start: str, end: str) -> list[Rebalance]:
    """Stored rebalances whose signal date lies in [start, end], in order; raises :class:`MissingData` for none."""
    table = weights_table(portfolio)
    found: list[Rebalance] = []
    for week in work.store.keys(table):
        manifest = work.store.manifest(table, week)
        assert manifest is not None
        session = manifest.meta["session"]
        if manifest.meta["status"] == "closed week" or session is None or not start <= session <= end:
            continue
        frame = work.store.read(table, week, ["symbol", "target", "benchmark"])
        columns = panels.axis.known_columns(frame["symbol"].tolist())
        rows = np.zeros((2, len(panels.axis)))
        rows[0, columns], rows[1, columns] = frame["target"], frame["benchmark"]
        found.append(Rebalance(str(session), rows[0], rows[1]))
    if not found:
        raise MissingData(sentence(f"portfolio '{portfolio}' has no rebalance in the range", got=f"{start} … {end}",
                                   next_step=f"Materialize '{table}' first."))
    return found


def caps_at(panels: MarketPanels, day: str) -> tuple[np.ndarray, np.ndarray]:
    """(n_symbols,) total market value in CNY, NaN where unknown, and the mask of tradable A-shares, at the close of a date."""
    at = panels.daily.index(day)
    cap = panels.daily.field("total_cap", at, at + 1)[0].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(cap > 0, cap, np.nan), panels.universe(UniverseSpec(), at, at + 1)[0]


def dated(days: Sequence[str]) -> pd.Series:
    """Trade dates as a column of a stored frame."""
    return pd.Series(np.array(list(days), dtype="datetime64[D]").astype("datetime64[s]"))


def with_dates(frame: pd.DataFrame) -> pd.DataFrame:
    """``trade_date`` as the index, for a picture of lines."""
    return frame.set_index(pd.DatetimeIndex(frame["trade_date"])).drop(columns="trade_date")
