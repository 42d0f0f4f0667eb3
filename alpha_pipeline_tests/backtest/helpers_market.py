"""Small markets for the tests of the backtest."""

from __future__ import annotations

import numpy as np

from alpha_pipeline.backtest import MarketPrices


def session_dates(n: int, first: str = "2021-03-01") -> np.ndarray:
    """n weekdays; holidays do not matter here."""
    return np.busday_offset(np.datetime64(first, "D"), np.arange(n), roll="forward")


def hand_market(close, trade=None, **masks) -> MarketPrices:
    """A market from plain lists (D, S); everything traded and listed unless a mask says otherwise. Names are A, B, C, …"""
    adj_close = np.array(close, dtype=float)
    shape = adj_close.shape
    flags = {
        name: np.array(masks.get(name, np.full(shape, name == "traded"))) for name in ("traded", "one_price_up", "one_price_down")
    }
    adj_trade = adj_close if trade is None else np.array(trade, dtype=float)
    listed = np.array(masks["listed"]) if "listed" in masks else None
    return MarketPrices(session_dates(shape[0]), tuple("ABCDEFGH"[: shape[1]]), adj_close, adj_trade, **flags, listed=listed)


def random_market(seed: int, n_dates: int = 60, n_stocks: int = 40) -> MarketPrices:
    """Random walks with suspensions, one-price days and delistings."""
    rng = np.random.default_rng(seed)
    shape = (n_dates, n_stocks)
    close = 10.0 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0))
    trade = close * np.exp(rng.normal(0, 0.01, shape))
    traded = rng.random(shape) > 0.05
    up, down = rng.random(shape) < 0.03, rng.random(shape) < 0.03
    for stock in range(0, n_stocks, 13):
        gone = int(rng.integers(n_dates // 2, n_dates))
        close[gone:, stock] = trade[gone:, stock] = np.nan
        traded[gone:, stock] = False
    close[~traded & (rng.random(shape) < 0.5)] = np.nan
    close[0] = np.where(np.isfinite(close[0]), close[0], 10.0)
    listed = np.ones(shape, dtype=bool)
    for stock in range(0, n_stocks, 13):
        last = int(np.flatnonzero(traded[:, stock]).max())
        listed[last + 1 :, stock] = False
    return MarketPrices(
        session_dates(n_dates), tuple(f"S{i:03d}" for i in range(n_stocks)), close, trade, traded, up, down, listed
    )


def weekly_targets(seed: int, n_dates: int, n_stocks: int, every: int = 5) -> dict[int, np.ndarray]:
    """Random portfolios of about a third of the names, fully invested, every fifth session."""
    rng = np.random.default_rng(seed)
    targets = {}
    for index in range(0, n_dates - 1, every):
        weights = rng.random(n_stocks) * (rng.random(n_stocks) < 0.35)
        targets[index] = weights / weights.sum()
    return targets
