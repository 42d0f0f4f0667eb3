"""Recipes for fundamentals: figures from market ratios, statutory report dates."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.sources.files.day import Day
from alpha_pipeline.sources.files.recipes import Recipe

# Last day on which a listed company must publish: (years after, month, day) by the month in which the period ends.
_STATUTORY = {3: (0, 4, 30), 6: (0, 8, 31), 9: (0, 10, 31), 12: (1, 4, 30)}



@dataclass(frozen=True)
class Ratio(Recipe):
    """of / by, such as book equity = market value / pb; missing where either is, or ``by`` is 0."""

    name = "ratio"
    for_columns = ("book_equity", "net_profit_ttm", "revenue", "operating_cash_flow_ttm", "eps", "sales_per_share")
    of: str
    by: str

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.of, self.by)

    def compute(self, day: Day, column: str) -> np.ndarray:
        by = day.number(self.by)
        return np.divide(day.number(self.of), by, out=np.full(len(by), np.nan), where=by != 0)

    def proxy(self) -> str:
        return f"{self.of} / {self.by}"


@dataclass(frozen=True)
class FromDebtRatio(Recipe):
    """total_assets = equity / (1 - debt ratio), total_liabilities = assets - equity; missing where the ratio is not below 1.

    ``debt_ratio`` is a decimal (a factor of 0.01 in the file turns percent into it). Minority interests are left out.
    """

    name = "from_debt_ratio"
    for_columns = ("total_assets", "total_liabilities")
    equity: str
    debt_ratio: str

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.equity, self.debt_ratio)

    def compute(self, day: Day, column: str) -> np.ndarray:
        equity, ratio = day.number(self.equity), day.number(self.debt_ratio)
        assets = np.divide(equity, 1 - ratio, out=np.full(len(ratio), np.nan), where=ratio < 1)
        return assets if column == "total_assets" else assets - equity

    def proxy(self) -> str:
        return f"from {self.equity} and the debt-to-assets ratio, minority interests left out"


@dataclass(frozen=True)
class StatutoryDate(Recipe):
    """announce_date: the last day on which the report may be published (30 April, 31 August, 31 October, 30 April)."""

    name = "statutory_date"
    for_columns = ("announce_date",)
    needs = ("report_period",)

    def compute(self, day: Day, column: str) -> np.ndarray:
        periods = pd.DatetimeIndex(day.frame["report_period"])
        wrong = ~np.isin(periods.month, list(_STATUTORY))
        if wrong.any():
            raise BadInput(
                sentence(
                    "a report period ends in no quarter",
                    got=str(periods[wrong][0].date()),
                    expected="March, June, September or December",
                )
            )
        dates = [dt.date(p.year + years, month, d) for p in periods for years, month, d in (_STATUTORY[p.month],)]
        return np.array(dates, dtype="datetime64[s]")

    def proxy(self) -> str:
        return "statutory deadline of the report, since the source gives no announcement dates"
