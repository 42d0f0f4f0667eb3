"""A session and its bars as frames of the schema, rows in order of symbol (and bar)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.market.schema import BOARDS
from alpha_pipeline.sources.simulated.dynamics import Session
from alpha_pipeline.sources.simulated.indices import CODES
from alpha_pipeline.sources.simulated.intraday import Bars, bar_ends
from alpha_pipeline.sources.simulated.population import INDUSTRY_NAMES, Population

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_BOARDS = pd.array(list(BOARDS), dtype="str")
_INDUSTRIES = pd.array(list(INDUSTRY_NAMES), dtype="str")
_STATUS = pd.array(["trading", "suspended"], dtype="str")
_CODES = pd.array(list(CODES), dtype="str")


@dataclass(frozen=True)
class View:
    """Frames of one session; ``order`` sorts ``session.rows`` by symbol."""

    symbols: pd.api.extensions.ExtensionArray
    population: Population
    session: Session
    day: np.datetime64
    order: I64

    def daily_bars(self, bars: Bars) -> pd.DataFrame:
        """Aggregates of the bars; a suspended name has a flat bar at pre_close without volume."""
        s = self.session
        high, low, lots, amount = s.close.copy(), s.close.copy(), np.zeros_like(s.lots), np.zeros_like(s.lots)
        at = np.searchsorted(s.rows, bars.rows)
        high[at], low[at] = bars.high.max(axis=1), bars.low.min(axis=1)
        lots[at], amount[at] = bars.lots.sum(axis=1), bars.amount.sum(axis=1)
        vwap = _vwap(amount, lots, low, high)
        return self._frame({
            "open": s.open / 100.0, "high": high / 100.0, "low": low / 100.0, "close": s.close / 100.0,
            "pre_close": s.pre_close / 100.0, "volume": lots * 100.0, "amount": amount.astype(np.float64), "vwap": vwap,
            "adj_factor": s.adj_factor, "trade_status": s.is_suspended.astype(np.int64),
        }, {"trade_status": _STATUS})

    def security_status(self) -> pd.DataFrame:
        """Boards, flags, limits and shares of every listed name."""
        s, p = self.session, self.population
        limits = {name: np.where(cents > 0, cents / 100.0, np.nan)
                  for name, cents in (("limit_up", s.limit_up), ("limit_down", s.limit_down))}
        return self._frame({
            "board": p.board[s.rows], "industry": p.industry[s.rows], "is_st": s.is_st, "is_suspended": s.is_suspended, **limits,
            "listed_days": s.listed_days, "is_delisting": s.is_delisting, "total_shares": s.total_shares,
            "float_shares": s.float_shares, "free_float_shares": s.free_float_shares,
        }, {"board": _BOARDS, "industry": _INDUSTRIES})

    def intraday_bars(self, bars: Bars, minutes: int) -> pd.DataFrame:
        """Bars of the names that traded, by symbol and time."""
        n_bars = bars.open.shape[1]
        on = self.order[~self.session.is_suspended[self.order]]
        at = np.searchsorted(bars.rows, self.session.rows[on])
        rows = np.repeat(bars.rows[at], n_bars)
        columns: dict[str, object] = {
            "trade_date": self._date(len(rows)), "symbol": self.symbols.take(rows),
            "bar_end": np.tile(self.day.astype("datetime64[s]") + bar_ends(minutes), len(at)),
        }
        for name in ("open", "high", "low", "close"):
            columns[name] = getattr(bars, name)[at].ravel() / 100.0
        lots, amount = bars.lots[at], bars.amount[at]
        columns["vwap"] = _vwap(amount, lots, bars.low[at], bars.high[at]).ravel()
        columns["volume"] = lots.ravel() * 100.0
        columns["amount"] = amount.ravel().astype(np.float64)
        columns["trade_count"] = bars.trade_count[at].ravel().astype(np.float64)
        columns["buy_amount"] = bars.buy_amount[at].ravel().astype(np.float64)
        columns["sell_amount"] = (amount - bars.buy_amount[at]).ravel().astype(np.float64)
        return pd.DataFrame(columns, copy=False)

    def index_weights(self) -> pd.DataFrame:
        """Members in force on the session and their weights at its close."""
        day, order = self.session.index, self.order
        code, at = np.nonzero(day.is_member[:, order])
        return pd.DataFrame({
            "trade_date": self._date(len(at)), "index_code": _CODES.take(code),
            "symbol": self.symbols.take(self.session.rows[order][at]), "weight": day.weights_close[:, order][code, at],
        }, copy=False)

    def index_bars(self, bars: Bars) -> pd.DataFrame:
        """Levels of the indices: close and total return from the session, open, high and low from the members' bars."""
        s, day = self.session, self.session.index
        at = np.searchsorted(s.rows, bars.rows)
        # Weight in the index per cent of price: the level is linear in prices between two closes.
        per_cent = day.weights_close[:, at] / s.close[at]
        flat = 1.0 - day.weights_close[:, at].sum(axis=1)
        path = day.level[:, None] * (per_cent @ np.column_stack([bars.open[:, 0], bars.close]) + flat[:, None])
        path[:, -1] = day.level
        return pd.DataFrame({
            "trade_date": self._date(len(CODES)), "index_code": _CODES, "open": path[:, 0], "high": path.max(axis=1),
            "low": path.min(axis=1), "close": day.level, "close_total_return": day.level_total,
        })

    def _date(self, n: int) -> npt.NDArray[np.datetime64]:
        return np.full(n, self.day.astype("datetime64[s]"))

    def _frame(self, columns: dict[str, npt.NDArray], words: dict[str, pd.api.extensions.ExtensionArray]) -> pd.DataFrame:
        s = self.session
        out: dict[str, object] = {"trade_date": self._date(len(s.rows)), "symbol": self.symbols.take(s.rows[self.order])}
        for name, values in columns.items():
            out[name] = words[name].take(values[self.order]) if name in words else values[self.order]
        return pd.DataFrame(out, copy=False)


def _vwap(amount: I64, lots: I64, low: I64, high: I64) -> F:
    """CNY per share; the clip removes the last bit that division may leave outside [low, high]."""
    return np.clip(amount / np.maximum(lots * 100.0, 1.0), low / 100.0, high / 100.0)
