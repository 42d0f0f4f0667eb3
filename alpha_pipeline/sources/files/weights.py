"""Index weights at the close of each session, from published weights or from members and market values.

Both kinds need the dated members of the index. Names without a price are left out, the rest is scaled to 1; how many is counted.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.sources.files.history import DailyHistory
from alpha_pipeline.sources.files.reading import Rows

WEIGHT_RECIPES = {
    "published_drifted": (
        "published weights of some dates, drifted to the date by the price-index convention; joiners and leavers since the "
        "publication applied at their dates in the file of members"
    ),
    "members_by_market_value": (
        "proportional to total market value among the members, instead of the published free-float weights"
    ),
}


@dataclass(frozen=True)
class DatedMembers:
    """Members of all indices: symbol, first and last day, both inclusive.

    ``hold_last``: those that leave on the last day of the whole file are taken to stay, because the record ends there.
    """

    index_codes: np.ndarray
    symbols: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    hold_last: bool

    @classmethod
    def from_rows(cls, rows: Rows, *, hold_last: bool) -> DatedMembers:
        table = rows.frame(slice(None))
        starts, ends = (table[c].to_numpy().astype("datetime64[D]") for c in ("start", "end"))
        return cls(table["index_code"].to_numpy(dtype=object), table["symbol"].to_numpy(dtype=object), starts, ends, hold_last)

    def on(self, index_code: str, day: np.datetime64) -> pd.Index:
        """Members of one index on a day."""
        ends = np.where(self.hold_last & (self.ends == self.ends.max()), np.datetime64("9999-12-31"), self.ends)
        inside = (self.index_codes == index_code) & (self.starts <= day) & (ends >= day)
        return pd.Index(self.symbols[inside], dtype="str").unique()


@dataclass(frozen=True)
class DayWeights:
    """Weights of one index on one date; ``n_without_price`` members are left out of them."""

    symbols: pd.Index
    weights: np.ndarray
    n_without_price: int


def drifted_weights(
    index_code: str, trade_date: dt.date, published: Rows, members: DatedMembers, history: DailyHistory, market_value: np.ndarray,
) -> DayWeights:
    """Weights at the close of ``trade_date`` from the last publication on or before it.

    w_t is proportional to w_p × price_t / price_p with prices that splits leave unchanged: the index is a price
    index, so a dividend lowers the weight of its payer. A name that joined after the publication enters with market
    value × the median of weight / market value among the others, as if its free float were the usual one.

    Parameters
    ----------
    published : rows dated by publication with symbol and weight (decimals; any sum).
    market_value : (S,) CNY on ``trade_date`` along ``history.symbols``, NaN where unknown.
    """
    day = np.datetime64(trade_date, "D")
    row = history.row(trade_date)
    inside = (
        published.columns["index_code"] == index_code
        if "index_code" in published.columns
        else np.ones(len(published), dtype=bool)
    )
    stamps = np.repeat(published.days, np.diff(published.day_starts))
    past = inside & (stamps <= day)
    if not past.any():
        raise MissingData(
            sentence(
                f"no weights of {index_code} are published on or before {trade_date}", expected="a later start of the market"
            )
        )
    publication = stamps[past].max()
    base_row = max(history.last_row(publication), 0)
    table = published.frame(np.flatnonzero(past & (stamps == publication)))

    columns = history.columns(pd.Index(table["symbol"]))
    weight = np.full(len(history.symbols), np.nan)
    priced = columns >= 0
    relative = history.price_index[row, columns[priced]] / history.price_index[base_row, columns[priced]]
    weight[columns[priced]] = table["weight"].to_numpy(dtype="float64")[priced] * relative
    n_lost = int((~priced).sum() + np.isnan(weight[columns[priced]]).sum())

    then, now = members.on(index_code, publication), members.on(index_code, day)
    leavers = history.columns(then.difference(now))
    weight[leavers[leavers >= 0]] = np.nan
    joiners = history.columns(now.difference(then).difference(pd.Index(table["symbol"])))
    fresh = joiners[joiners >= 0]
    known = ~np.isnan(weight) & (market_value > 0)
    if len(fresh) and known.any():
        weight[fresh] = market_value[fresh] * np.median(weight[known] / market_value[known])
    n_lost += int((joiners < 0).sum() + np.isnan(weight[fresh]).sum())
    return _scaled(weight, history, n_lost)


def market_value_weights(
    index_code: str, trade_date: dt.date, members: DatedMembers, history: DailyHistory, market_value: np.ndarray,
) -> DayWeights:
    """Weights proportional to total market value (S,) among the members of the date."""
    columns = history.columns(members.on(index_code, np.datetime64(trade_date, "D")))
    if len(columns) == 0:
        raise MissingData(
            sentence(f"{index_code} has no members on {trade_date}", next_step="Extend the file of members or shorten the table.")
        )
    weight = np.full(len(history.symbols), np.nan)
    priced = columns[columns >= 0]
    weight[priced] = market_value[priced]
    return _scaled(weight, history, int((columns < 0).sum() + np.isnan(weight[priced]).sum()))


def _scaled(weight: np.ndarray, history: DailyHistory, n_without_price: int) -> DayWeights:
    held = np.flatnonzero(weight > 0)
    if len(held) == 0:
        raise MissingData(sentence("no member of the index has a price and a weight"))
    return DayWeights(history.symbols[held], weight[held] / weight[held].sum(), n_without_price)
