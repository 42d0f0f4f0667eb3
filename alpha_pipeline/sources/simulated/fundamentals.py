"""Company reports: quarterly figures, published within the statutory windows, usable from the next session.

Book equity, earnings and sales follow each company's own growth path, anchored at its book-to-price ratio when it enters the
market. Figures are unknown before their announcement, so nothing here looks at prices after the entry.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.sources.simulated.population import INDUSTRY_NAMES, Population
from alpha_pipeline.sources.simulated.spec import Stream, stream

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

# Fiscal quarter -> (end of the period, first and last day of its publication), as month and day; the annual report comes in the
# year after.
WINDOWS: dict[int, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    1: ((3, 31), (4, 1), (4, 30)),
    2: ((6, 30), (7, 1), (8, 31)),
    3: ((9, 30), (10, 1), (10, 31)),
    4: ((12, 31), (1, 15), (4, 30)),
}
_HISTORY_YEARS = 6  # annual reports published before a name enters, for five years of growth
_LENDERS = np.isin(np.array(INDUSTRY_NAMES), ["银行", "非银金融"])


@dataclass(frozen=True)
class Report:
    """One fiscal period of all names; arrays (n_names,), CNY. ``announce_date`` is a calendar day."""

    period: dt.date
    announce_date: npt.NDArray[np.datetime64]
    figures: dict[str, F]


class Fundamentals:
    """All reports of a market. ``frame(t)`` holds the rows that become usable on session t."""

    def __init__(self, seed: int, population: Population, sessions: npt.NDArray[np.datetime64], start_index: int) -> None:
        self._population, self._sessions, self._start_index = population, sessions, start_index
        self._reports = _reports(seed, population, sessions, start_index)
        self._by_session: dict[int, list[tuple[int, I64]]] = {}
        entry = np.maximum(population.list_index, start_index)
        for k, report in enumerate(self._reports):
            usable = np.maximum(np.searchsorted(sessions, report.announce_date, "right"), entry)
            # Before entry only the prospectus years are published; afterwards every report while the name is listed.
            usable = np.where(usable < np.minimum(population.delist_index, len(sessions)), usable, -1)
            for t in np.unique(usable[usable >= 0]):
                self._by_session.setdefault(int(t), []).append((k, np.flatnonzero(usable == t)))

    def on(self, t: int) -> list[tuple[Report, I64]]:
        """Reports usable for the first time on session ``t`` and the names they concern."""
        return [(self._reports[k], rows) for k, rows in self._by_session.get(t, [])]

    def frame(self, t: int, symbols: pd.api.extensions.ExtensionArray) -> pd.DataFrame:
        """The ``fundamentals`` rows whose trade_date is session ``t``; an empty frame with all columns on a day without any."""
        parts = self.on(t)
        rows = np.concatenate([r for _, r in parts]) if parts else np.zeros(0, dtype=np.int64)
        columns: dict[str, object] = {
            "trade_date": np.full(len(rows), self._sessions[t].astype("datetime64[s]")), "symbol": symbols.take(rows),
            "announce_date": _joined([rep.announce_date[r].astype("datetime64[s]") for rep, r in parts], "datetime64[s]"),
            "report_period": _joined(
                [np.full(len(r), np.datetime64(rep.period, "s")) for rep, r in parts], "datetime64[s]"),
        }
        for name in self._reports[0].figures:
            columns[name] = _joined([rep.figures[name][r] for rep, r in parts], "float64")
        frame = pd.DataFrame(columns)
        return frame.sort_values(["symbol", "report_period"], ignore_index=True) if len(frame) else frame


def _joined(parts: list[npt.NDArray], dtype: str) -> npt.NDArray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)


def _reports(seed: int, p: Population, sessions: npt.NDArray[np.datetime64], start_index: int) -> list[Report]:
    first_year = int(str(sessions[start_index])[:4]) - _HISTORY_YEARS
    last_year = int(str(sessions[-1])[:4])
    periods = [(year, quarter) for year in range(first_year, last_year + 1) for quarter in (1, 2, 3, 4)]
    n = len(p)
    growth, margin, lag, cash, debt = (np.zeros((len(periods), n)) for _ in range(5))
    for k, (year, quarter) in enumerate(periods):
        rng = stream(seed, Stream.QUARTER, year * 10 + quarter)
        z = rng.standard_normal((n, 5))  # row per name: more names do not change the earlier ones
        growth[k], margin[k], cash[k], debt[k] = 0.018 + 0.02 * z[:, 0], 0.022 * z[:, 1], z[:, 2], z[:, 3]
        lag[k] = 1.0 / (1.0 + np.exp(-1.2 * z[:, 4] - 1.0))  # most companies publish late in the window

    ends = np.array([_day(year, WINDOWS[quarter][0]) for year, quarter in periods])
    entry = sessions[np.maximum(p.list_index, start_index)]
    anchor = np.maximum(np.searchsorted(ends, entry, "right") - 1, 0)
    log_level = np.cumsum(growth, axis=0)
    log_level -= log_level[anchor, np.arange(n)]
    roe = np.zeros((len(periods), n))
    state = np.zeros(n)
    for k in range(len(periods)):
        state = 0.85 * state + margin[k]
        roe[k] = p.roe + state
    is_lender = _LENDERS[p.industry]
    leverage = np.where(is_lender, 9.0, 0.85)
    sales_to_book = np.where(is_lender, 0.25, 1.1) * np.exp(2.0 * (p.base_vol / 0.0225 - 1.0) * 0.3)
    book_at_entry = p.book_to_price * p.price * p.total_shares

    reports = []
    previous_annual = np.full(n, np.datetime64("1900-01-01"))
    for k, (year, quarter) in enumerate(periods):
        _, opens, closes = WINDOWS[quarter]
        first, last = (_day(year + (quarter == 4), day) for day in (opens, closes))
        width = (last - first).astype(int)
        announced = first + np.floor(lag[k] * (width + 1)).astype("timedelta64[D]")
        if quarter == 1:  # the first quarter never comes before the annual report
            announced = np.maximum(announced, previous_annual)
        elif quarter == 4:
            previous_annual = announced
        book = book_at_entry * np.exp(log_level[k])
        liabilities = book * leverage * np.exp(0.1 * debt[k])
        profit = roe[k] * book
        sales = book * sales_to_book * np.exp(0.5 * (roe[k] - p.roe))
        is_annual = quarter == 4
        reports.append(Report(dt.date(year, *WINDOWS[quarter][0]), announced, {
            "total_assets": book * 1.02 + liabilities, "total_liabilities": liabilities,
            "long_term_debt": np.where(is_lender, 0.1, 0.22) * liabilities,
            "preferred_equity": np.where(is_lender, 0.02, 0.0) * book, "book_equity": book, "net_profit_ttm": profit,
            "operating_cash_flow_ttm": profit * 1.1 + 0.04 * book * cash[k], "revenue": sales,
            "eps": profit / p.total_shares if is_annual else np.full(n, np.nan),
            "sales_per_share": sales / p.total_shares if is_annual else np.full(n, np.nan),
        }))
    return reports


def _day(year: int, month_day: tuple[int, int]) -> np.datetime64:
    return np.datetime64(dt.date(year, *month_day), "D")
