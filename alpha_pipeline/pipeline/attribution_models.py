"""Exposures and factor returns that explain a backtest's days: made for its own range (compact), or the market's stored risk model (full).

A third way (efficient) takes the stored exposures and estimates the factor returns again with weights 1/σ² in place of √cap, σ the specific
volatility forecast at the close before: the regression of least noise. The stored factor returns, which covariances are made of, stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.errors import MissingData, NotEnoughData, sentence
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.exposures import style_inputs
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, NOT_STYLES
from alpha_pipeline.pipeline.risk_model import FACTOR_RETURNS, SPECIFIC, inverse_variance, load_regression
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.factor_returns import COUNTRY, estimate_factor_returns
from alpha_pipeline.risk.style_factors import PRICE_STYLES, REPORT_STYLES
from alpha_pipeline.risk.styles import style_exposures
from alpha_pipeline.store import Manifest

RISK_HISTORY_DAYS = 160  # sessions before the first day: the longest compact style window (momentum, 120 + 20) and a margin
LINKING = "linked over time by Carino scaling of the excess NAV, over the range and within each year"


@dataclass(frozen=True, eq=False)
class ExplainingModel:
    """D days, S names of the symbol axis, K styles, G industries.

    ``exposures`` (D, S, K) and ``industry`` (D, S) codes, −1 = unknown, are those of the session before each day; ``factor_returns``
    (D, 1 + G + K) those of the day, NaN where a factor dropped out; ``frame`` the same as a table. ``sources``: hashes of what was read.
    """

    exposures: np.ndarray
    industry: np.ndarray
    factor_returns: np.ndarray
    style_names: tuple[str, ...]
    industry_names: tuple[str, ...]
    frame: pd.DataFrame
    mean_r_squared: float
    sources: tuple[str, ...]
    conventions: str


def compact_model(panels: MarketPanels, first: int, last: int) -> ExplainingModel:
    """Price-volume styles and factor returns of panel rows ``first`` … ``last``, over the universe of all A-shares, from the panels alone."""
    start = max(0, first - 1 - RISK_HISTORY_DAYS)
    inputs = style_inputs(panels, start, last + 1)
    industry = panels.industry(start, last + 1)
    # the axis also knows industries that first appear after the range; codes are given in order of appearance
    industry_names = tuple(panels.axis.industries[: int(industry.max(initial=-1)) + 1])
    styles = style_exposures(inputs, industry)
    estimated = estimate_factor_returns(inputs.returns, styles.values, industry, inputs.total_cap, inputs.universe, style_names=styles.names,
                                        industry_names=industry_names)
    frame = estimated.frame(np.array(panels.daily.dates[start: last + 1], dtype="datetime64[D]"))
    known = estimated.r_squared[~np.isnan(estimated.r_squared)]
    days, before = slice(first - start, last - start + 1), slice(first - 1 - start, last - start)
    return ExplainingModel(
        styles.values[before], industry[before], estimated.values[days], styles.names, industry_names, frame.iloc[days].reset_index(drop=True),
        float(known.mean()) if len(known) else float("nan"), tuple(row.checksum for row in panels.daily.rows[start: last + 1]),
        f"exposures of the day before; factor returns from a daily regression weighted by √cap; {LINKING}",
    )


@dataclass(frozen=True)
class _DayReturns:
    """Factor to return (empty: no regression), the regression's R² if there was one, and the hash of what was read."""

    returns: dict[str, float]
    r_squared: float | None
    source: str


def full_model(
    work: Workspace, panels: MarketPanels, portfolio: str, first: int, last: int, columns: np.ndarray, *, is_efficient: bool = False
) -> ExplainingModel:
    """The stored ``risk/exposures`` and ``risk/factor_returns`` of panel rows ``first`` … ``last`` for the names in ``columns``.

    ``is_efficient``: factor returns estimated here with weights 1/σ² from ``risk/specific`` of the session before, instead of the stored ones.

    Raises :class:`MissingData` for a date that the risk model lacks. A date whose regression had too few stocks explains nothing: its
    returns are specific.
    """
    days = panels.daily.dates[first: last + 1]
    found_by_day = [(_efficient_returns if is_efficient else _stored_returns)(work, panels, day, portfolio) for day in days]
    returns, sources = [found.returns for found in found_by_day], [found.source for found in found_by_day]
    r_squared = [found.r_squared for found in found_by_day if found.r_squared is not None]
    seen = {name for found in returns for name in found}
    style_names = tuple(name for name in (*PRICE_STYLES, *REPORT_STYLES) if name in seen)
    exposures = np.full((len(days), len(columns), len(style_names)), np.nan)
    industry = np.full((len(days), len(columns)), -1, dtype=np.int64)
    place = np.full(len(panels.axis), -1)
    place[columns] = np.arange(len(columns))
    for row, before in enumerate(panels.daily.dates[first - 1: last]):
        sources.append(_manifest(work, EXPOSURES, before, portfolio).content)
        frame = work.store.read(EXPOSURES, before)
        at = place[panels.axis.known_columns(frame["symbol"].tolist())]
        inside = at >= 0
        industry[row, at[inside]] = panels.axis.industry_codes([name if isinstance(name, str) else None for name in frame["industry"]])[inside]
        names = [name for name in style_names if name in frame.columns and name not in NOT_STYLES]
        exposures[np.ix_([row], at[inside], [style_names.index(n) for n in names])] = frame[names].to_numpy(dtype=np.float64)[inside]
    used = np.unique(np.append(industry[industry >= 0], panels.axis.industry_codes(sorted(seen - {COUNTRY, *style_names}))))
    industry = np.where(industry >= 0, np.searchsorted(used, industry), -1)
    industry_names = tuple(panels.axis.industries[code] for code in used)
    factors = [COUNTRY, *industry_names, *style_names]
    values = np.array([[found.get(name, np.nan) for name in factors] for found in returns])
    table = pd.DataFrame(values, columns=factors)
    table.insert(0, "trade_date", np.array(days, dtype="datetime64[s]"))
    sources += [row.checksum for row in panels.daily.rows[first - 1: last + 1]]
    return ExplainingModel(
        exposures, industry, values, style_names, industry_names, table, float(np.mean(r_squared)) if r_squared else float("nan"), tuple(sources),
        f"stored risk model of the market: country, industries and styles, exposures of the day before; "
        f"{'factor returns from a daily regression weighted by 1/specific variance; ' if is_efficient else ''}{LINKING}",
    )


def _stored_returns(work: Workspace, panels: MarketPanels, day: str, portfolio: str) -> _DayReturns:
    manifest = _manifest(work, FACTOR_RETURNS, day, portfolio)
    frame = work.store.read(FACTOR_RETURNS, day)
    r_squared = manifest.meta["r_squared"]
    return _DayReturns(dict(zip(frame["factor"], frame["factor_return"], strict=True)), None if r_squared is None else float(r_squared),
                       manifest.content)


def _efficient_returns(work: Workspace, panels: MarketPanels, day: str, portfolio: str) -> _DayReturns:
    before = panels.daily.dates[panels.daily.index(day) - 1]
    _manifest(work, EXPOSURES, before, portfolio)
    source = _manifest(work, SPECIFIC, before, portfolio).content
    inputs = load_regression(work, panels, day)
    weight = inverse_variance(work, panels, day, inputs.symbols)
    if weight is None:
        raise MissingData(sentence(f"no specific risk is known on {before}", where=f"attribution of {portfolio}",
                                   next_step="Start the backtest when specific risk has its history (about 80 sessions), or set attribution='full'."))
    try:
        found = inputs.run(weight)
    except NotEnoughData:
        return _DayReturns({}, None, source)
    factors = zip((COUNTRY, *inputs.industry_names, *inputs.style_names), found.values, strict=True)
    return _DayReturns({name: float(value) for name, value in factors if not np.isnan(value)}, found.r_squared, source)


def _manifest(work: Workspace, table: str, key: str, portfolio: str) -> Manifest:
    manifest = work.store.manifest(table, key)
    if manifest is None:
        raise MissingData(sentence(f"the risk model has no '{table}' on {key}", where=f"attribution of {portfolio}",
                                   next_step=f"Materialize {table} over the range, or set attribution='compact'."))
    return manifest
