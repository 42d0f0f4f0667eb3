"""Stored targets replayed in whole shares: raw prices, volumes and volatilities of the panels for the share engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from alpha_pipeline.backtest.engine import PortfolioState
from alpha_pipeline.backtest.execution import MarketPrices
from alpha_pipeline.backtest.share_market import ShareMarket
from alpha_pipeline.backtest.shares import ShareBacktestResult, ShareState, run_share_backtest
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.features.market_panels import MarketPanels

VOLATILITY_SESSIONS, _MIN_SESSIONS = 20, 5
_HISTORY = 250  # sessions before the first in which a suspended name's adjustment factor is looked for


def replay_in_shares(
    panels: MarketPanels, spec: PortfolioSpec, prices: MarketPrices, first: int, columns: np.ndarray, targets: Mapping[int, np.ndarray],
    benchmark: np.ndarray, initial: PortfolioState,
) -> ShareBacktestResult:
    """Backtest of ``targets`` (row of ``prices`` → weights) with ``spec.capital`` CNY from row 0, panel row ``first``.

    What was held before (``initial``, fractions) is rounded down to whole shares and the rest is cash. Splits are not known apart from
    dividends: the whole adjustment is paid in cash.
    """
    market = share_market(panels, prices, first, columns)
    raw_close = prices.known_close[0] / market.factor[0]
    held = np.where(initial.weights > 0.0, np.floor(initial.weights * spec.capital / np.where(np.isfinite(raw_close), raw_close, 1.0) + 1e-9), 0.0)
    cash = spec.capital - float((held * np.where(held > 0.0, raw_close, 0.0)).sum())
    rules = replace(spec.share_rules, unfilled=spec.unfilled)  # type: ignore[arg-type]
    return run_share_backtest(targets, market, 0, len(prices.dates) - 1, rules, benchmark, ShareState(held, cash, spec.capital))


def share_market(panels: MarketPanels, prices: MarketPrices, first: int, columns: np.ndarray) -> ShareMarket:
    """``prices`` (panel rows from ``first`` on) with their adjustment factor, the session's volume (shares), and the volatility known before it."""
    stop = first + len(prices.dates)
    before = max(0, first - _HISTORY)
    factor = _filled(panels.daily.field("adj_factor", before, stop)[:, columns].astype(np.float64))[first - before:]
    volume = panels.daily.field("volume", first, stop)[:, columns].astype(np.float64)
    return ShareMarket(prices, factor, None, volume, daily_volatility(panels, first, stop, columns))


def daily_volatility(panels: MarketPanels, first: int, stop: int, columns: np.ndarray) -> np.ndarray:
    """(stop − first, n) standard deviation of the 20 daily returns before each of the panel rows, decimals.

    A name with fewer than five has the median of the others on the date.
    """
    start = max(0, first - VOLATILITY_SESSIONS - 1)
    close = panels.daily.field("close", start, stop)[:, columns].astype(np.float64)
    returns = np.full(close.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        returns[1:] = close[1:] / close[:-1] - 1.0
    found = np.full((stop - first, len(columns)), np.nan)
    for row in range(stop - first):
        window = returns[max(0, row + first - start - VOLATILITY_SESSIONS): row + first - start]
        known = np.isfinite(window)
        enough = known.sum(axis=0) >= _MIN_SESSIONS
        if enough.any():
            inside = window[:, enough]
            n = np.isfinite(inside).sum(axis=0)
            mean = np.nansum(inside, axis=0) / n
            found[row, enough] = np.sqrt(np.nansum((inside - mean) ** 2, axis=0) / (n - 1))
            found[row] = np.where(np.isnan(found[row]), np.median(found[row, enough]), found[row])
    return found


def _filled(values: np.ndarray) -> np.ndarray:
    """Gaps filled with the value before."""
    known = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    row = np.maximum.accumulate(known, axis=0)
    return np.where(row >= 0, np.take_along_axis(values, np.maximum(row, 0), axis=0), np.nan)
