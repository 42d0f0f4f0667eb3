"""Steps ``risk/factor_returns`` (with ``risk/specific_returns``), ``risk/covariance`` and ``risk/specific``.

All are by trade date and known at its close. Factor returns of *t* explain the returns of *t* with the exposures of the session before;
covariance and specific risk made at *t* are forecasts for the sessions after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import BadInput, MissingData, NotEnoughData, sentence
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, NOT_STYLES
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.progress import track
from alpha_pipeline.risk import covariance, specific
from alpha_pipeline.risk.factor_returns import COUNTRY, DayReturns, explain_day
from alpha_pipeline.risk.style_factors import PRICE_STYLES, REPORT_STYLES

FACTOR_RETURNS, SPECIFIC_RETURNS, COVARIANCE, SPECIFIC = "risk/factor_returns", "risk/specific_returns", "risk/covariance", "risk/specific"
_RETURN_COLUMNS = ("trade_date", "factor", "kind", "factor_return")


@dataclass(frozen=True)
class Regression:
    """Input of one date's regression: arrays over the names that had exposures at the close before."""

    symbols: list[str]
    returns: np.ndarray
    styles: np.ndarray
    industry: np.ndarray
    cap: np.ndarray
    universe: np.ndarray
    style_names: tuple[str, ...]
    industry_names: tuple[str, ...]

    def run(self, weight: np.ndarray | None = None) -> DayReturns:
        """``weight`` over the names, √cap without. Raises :class:`NotEnoughData` with too few stocks, :class:`BadInput` for redundant styles."""
        return explain_day(self.returns, self.styles, self.industry, self.cap, self.universe, len(self.industry_names), weight)


def load_regression(work: Workspace, panels: MarketPanels, key: str) -> Regression:
    """Exposures of the session before ``key`` and the returns from its close to that of ``key``.

    Industries are those of that session's names, in the order in which the market met them.
    """
    at = panels.daily.index(key)
    frame = work.store.read(EXPOSURES, panels.daily.dates[at - 1])
    columns = panels.axis.known_columns(frame["symbol"].tolist())
    before, today = (panels.daily.field("close", day, day + 1)[0, columns].astype(np.float64) for day in (at - 1, at))
    codes = panels.axis.industry_codes([name if isinstance(name, str) else None for name in frame["industry"]])
    known = np.unique(codes[codes >= 0])
    industry = np.where(codes >= 0, np.searchsorted(known, codes), -1)
    styles = tuple(name for name in frame.columns if name not in NOT_STYLES)
    return Regression(
        frame["symbol"].tolist(), today / before - 1.0, frame[list(styles)].to_numpy(dtype=np.float64).reshape(len(frame), len(styles)),
        industry, frame["total_cap"].to_numpy(), frame["in_universe"].to_numpy(dtype=bool), styles,
        tuple(panels.axis.industries[code] for code in known),
    )


def inverse_variance(work: Workspace, panels: MarketPanels, key: str, symbols: Sequence[str]) -> np.ndarray | None:
    """Weights 1/σ² of ``symbols`` for the regression that explains ``key``, σ their specific volatility forecast at the close before.

    None where that session had too short a history for a forecast. Raises :class:`MissingData` for a session that the risk model lacks.
    """
    before = panels.daily.dates[panels.daily.index(key) - 1]
    _content(work, SPECIFIC, before)
    known = work.store.read(SPECIFIC, before, ["symbol", "specific_volatility"]).set_index("symbol")["specific_volatility"]
    return None if known.empty else known.reindex(list(symbols)).to_numpy(dtype=np.float64) ** -2.0


def make_factor_returns(work: Workspace, keys: Sequence[str]) -> StepReport:
    """For each date: factor, kind (country, industry, style), factor_return (decimal); and the specific return of every name.

    The manifest holds R², condition number and number of stocks. The market's first session, and one whose regression has too few
    stocks, have empty tables and say why. A factor that dropped out (a style without history) has no row.
    """
    report = StepReport()
    panels = work.panels
    daily = panels.daily
    for key in track(sorted(keys), "factor returns"):
        at = daily.index(key)
        before = [daily.rows[at - 1].checksum, _content(work, EXPOSURES, daily.dates[at - 1])] if at else ["first session"]
        source = combine([CODE_VERSION, daily.rows[at].checksum, *before])
        if all(work.store.is_current(table, key, source) for table in (FACTOR_RETURNS, SPECIFIC_RETURNS)):
            report.reused.append(key)
            continue
        returns, own, meta = _explain(work, panels, key) if at else _unexplained(key, "the market's first session has no return")
        work.store.write(SPECIFIC_RETURNS, key, own, source=source)
        work.store.write(FACTOR_RETURNS, key, returns, source=source, meta=meta)
        report.computed.append(key)
        report.rows += len(returns)
        report.exclude({"dates without a regression": int(not len(returns))})
    return report


def _unexplained(key: str, why: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    returns = pd.DataFrame({"trade_date": _dates(key, 0), "factor": pd.array([], dtype="str"), "kind": pd.array([], dtype="str"),
                            "factor_return": np.zeros(0)})
    own = pd.DataFrame({"trade_date": _dates(key, 0), "symbol": pd.array([], dtype="str"), "specific_return": np.zeros(0)})
    return returns, own, {"note": why, "n_stocks": 0, "r_squared": None, "condition": None, "dropped": []}


def _explain(work: Workspace, panels: MarketPanels, key: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    inputs = load_regression(work, panels, key)
    try:
        found = inputs.run()
    except NotEnoughData as error:
        return _unexplained(key, str(error))
    except BadInput as error:
        raise BadInput(f"{FACTOR_RETURNS} {key}: {error}") from error
    names = np.array([COUNTRY, *inputs.industry_names, *inputs.style_names], dtype=object)
    kinds = np.array(["country", *["industry"] * len(inputs.industry_names), *["style"] * len(inputs.style_names)], dtype=object)
    has = ~np.isnan(found.values)
    returns = pd.DataFrame({"trade_date": _dates(key, int(has.sum())), "factor": pd.array(list(names[has]), dtype="str"),
                            "kind": pd.array(list(kinds[has]), dtype="str"), "factor_return": found.values[has]})
    known = np.flatnonzero(~np.isnan(found.specific))
    own = pd.DataFrame({"trade_date": _dates(key, len(known)), "symbol": pd.array([inputs.symbols[i] for i in known], dtype="str"),
                        "specific_return": found.specific[known]})
    r_squared = None if np.isnan(found.r_squared) else found.r_squared
    return returns, own, {"note": "", "n_stocks": int(found.used.sum()), "r_squared": r_squared, "condition": found.condition,
                          "dropped": [str(name) for name in names[~has]]}


def make_covariance(work: Workspace, keys: Sequence[str]) -> StepReport:
    """For each date: trade_date, factor, kind, volatility (per session), and the row of the covariance, one column per factor.

    From the factor returns of at most 1,008 sessions up to the date. Factors with fewer than 60 returns are left out and named.
    """
    report = StepReport()
    panels = work.panels
    history = _History(work, FACTOR_RETURNS, "factor", "factor_return")
    industries = set(panels.axis.industries)
    order = {name: at for at, name in enumerate([COUNTRY, *panels.axis.industries, *PRICE_STYLES, *REPORT_STYLES])}
    for key in track(sorted(keys), "factor covariance"):
        days = history.days(panels, key, covariance.WINDOW_SESSIONS)
        source = combine([CODE_VERSION, *(history.content(day) for day in days)])
        if work.store.is_current(COVARIANCE, key, source):
            report.reused.append(key)
            continue
        rows = [history.read(day) for day in days]
        present = dict.fromkeys(name for names, _ in rows for name in names)
        names = sorted(present, key=order.__getitem__)
        place = {name: k for k, name in enumerate(names)}
        values = np.full((len(rows), len(names)), np.nan)
        for row, (found, returns) in zip(values, rows, strict=True):
            row[[place[name] for name in found]] = returns
        frame, meta = _covariance(key, names, values, industries)
        work.store.write(COVARIANCE, key, frame, source=source, meta=meta)
        report.computed.append(key)
        report.rows += len(frame)
        report.exclude({"dates with too short a history": int(not len(frame))})
    return report


def _covariance(key: str, names: list[str], values: np.ndarray, industries: set[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    try:
        found = covariance.factor_covariance(values)
    except NotEnoughData as error:
        empty = pd.DataFrame({"trade_date": _dates(key, 0), "factor": pd.array([], dtype="str"), "kind": pd.array([], dtype="str"),
                              "volatility": np.zeros(0)})
        return empty, {"note": str(error), "n_floored": 0, "left_out": names}
    kept = [name for name, has in zip(names, found.has, strict=True) if has]
    matrix = found.values[np.ix_(found.has, found.has)]
    kind = ["country" if name == COUNTRY else "industry" if name in industries else "style" for name in kept]
    frame = pd.DataFrame({"trade_date": _dates(key, len(kept)), "factor": pd.array(kept, dtype="str"), "kind": pd.array(kind, dtype="str"),
                          "volatility": np.sqrt(np.diag(matrix)), **{name: matrix[:, k] for k, name in enumerate(kept)}})
    return frame, {"note": "", "n_floored": found.n_floored, "left_out": [n for n, has in zip(names, found.has, strict=True) if not has]}


def make_specific(work: Workspace, keys: Sequence[str]) -> StepReport:
    """For each date: trade_date, symbol, specific_volatility (per session), own_volatility before shrinkage, shrinkage (0 … 1).

    From the specific returns of 252 sessions up to the date. A date on which too few names have enough of them has an empty table.
    """
    report = StepReport()
    panels = work.panels
    history = _History(work, SPECIFIC_RETURNS, "symbol", "specific_return")
    matrix = np.full((len(panels.axis), specific.WINDOW_SESSIONS), np.nan)
    held: set[str] = set()  # the sessions of the matrix, which is a ring: session number n lies in column n modulo its width
    for key in track(sorted(keys), "specific risk"):
        days = history.days(panels, key, specific.WINDOW_SESSIONS)
        source = combine([CODE_VERSION, _content(work, EXPOSURES, key), *(history.content(day) for day in days)])
        if work.store.is_current(SPECIFIC, key, source):
            report.reused.append(key)
            continue
        at, width = panels.daily.index(key), matrix.shape[1]
        for offset, day in enumerate(days):
            if day not in held:
                symbols, values = history.read(day)
                column = (at - len(days) + 1 + offset) % width
                matrix[:, column] = np.nan
                matrix[panels.axis.known_columns(list(symbols)), column] = values
        held = set(days)
        exposures = work.store.read(EXPOSURES, key, ["symbol", "total_cap", "in_universe"])
        names = panels.axis.known_columns(exposures["symbol"].tolist())
        columns = (np.arange(at - len(days) + 1, at + 1)) % width
        frame, note = _specific(key, exposures, matrix[np.ix_(names, columns)])
        work.store.write(SPECIFIC, key, frame, source=source, meta={"note": note})
        report.computed.append(key)
        report.rows += len(frame)
        report.exclude({"dates with too short a history": int(not len(frame))})
    return report


def _specific(key: str, exposures: pd.DataFrame, returns: np.ndarray) -> tuple[pd.DataFrame, str]:
    note, cap, universe = "", exposures["total_cap"].to_numpy(), exposures["in_universe"].to_numpy(dtype=bool)
    try:
        found = specific.specific_risk(np.ascontiguousarray(returns), cap, universe)
        columns = (found.volatility, found.own, found.weight)
    except NotEnoughData as error:
        note, columns, exposures = str(error), (np.zeros(0),) * 3, exposures.iloc[:0]
    return pd.DataFrame({"trade_date": _dates(key, len(exposures)), "symbol": exposures["symbol"].array, "specific_volatility": columns[0],
                         "own_volatility": columns[1], "shrinkage": columns[2]}), note


class _History:
    """Partitions of one table, each read once and dropped when no later date needs it."""

    def __init__(self, work: Workspace, table: str, name: str, value: str) -> None:
        self._work, self._table, self._columns = work, table, (name, value)
        self._rows: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        self._contents: dict[str, str] = {}

    def content(self, day: str) -> str:
        """Content hash of a date's partition."""
        if day not in self._contents:
            self._contents[day] = _content(self._work, self._table, day)
        return self._contents[day]

    def days(self, panels: MarketPanels, key: str, n_sessions: int) -> list[str]:
        """The latest ``n_sessions`` sessions up to ``key``; those before them are forgotten. Keys must come in rising order."""
        at = panels.daily.index(key)
        days = panels.daily.dates[max(0, at + 1 - n_sessions): at + 1]
        for day in [day for day in self._rows if day < days[0]]:
            del self._rows[day]
        return days

    def read(self, day: str) -> tuple[tuple[str, ...], np.ndarray]:
        """Names and values of a date."""
        if day not in self._rows:
            frame = self._work.store.read(self._table, day, list(self._columns))
            self._rows[day] = tuple(frame[self._columns[0]].tolist()), frame[self._columns[1]].to_numpy(dtype=np.float64)
        return self._rows[day]


def _dates(key: str, n: int) -> pd.Series:
    return pd.Series(np.full(n, np.datetime64(key, "s")))


def _content(work: Workspace, table: str, key: str) -> str:
    manifest = work.store.manifest(table, key)
    if manifest is None:
        raise MissingData(sentence(f"'{table}' has no partition {key}", where=f"market '{work.market.name}'",
                                   next_step=f"Materialize '{table}' for {key} first."))
    return manifest.content
