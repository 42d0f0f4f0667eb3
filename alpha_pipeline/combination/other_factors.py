"""The factors beside the networks' that a combination may name: what each is made of, and its formula.

Each is (S,) at the close of the last session of its window, in its natural direction (size is large for large companies): a weighting finds the
sign. A factor whose data a market lacks is absent by name, never replaced. Source: ATTENTION, section 5, which names them without formulas: all
windows and formulas are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MONTH = 20  # sessions
MIN_SHARE = 0.6  # of a window's sessions that must have data


@dataclass(frozen=True)
class OtherFactor:
    """``panel``: what must exist ("daily", "mschars", "l2chars", "fundamentals", or "none": no market has it); ``n_rows`` sessions of its window;
    ``fields`` of the panel, (n_rows, S) each, and ``formula`` on them."""

    panel: str
    n_rows: int
    fields: tuple[str, ...]
    formula: Callable[..., FloatArray]
    doc: str


def log_size(total_cap_DS: FloatArray) -> FloatArray:
    """ln(total market value in CNY)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total_cap_DS[-1] > 0, np.log(total_cap_DS[-1]), np.nan)


def mid_cap(total_cap_DS: FloatArray) -> FloatArray:
    """Cube of the standardized logarithm of the market value: flat in the middle, steep at both ends; beside size it prices the middle."""
    size = log_size(total_cap_DS)
    known = np.isfinite(size)
    if not known.any():
        return size
    spread = size[known].std()
    return ((size - size[known].mean()) / spread) ** 3 if spread > 0 else np.where(known, 0.0, np.nan)


def log_turnover(turn_DS: FloatArray) -> FloatArray:
    """ln of the mean daily turnover of the window; NaN where nothing was traded."""
    mean = window_mean(turn_DS)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(mean > 0, np.log(mean), np.nan)


def past_return(close_DS: FloatArray) -> FloatArray:
    """−(close / first close of the window − 1): high for what has fallen.

    >>> past_return(np.array([[10.0], [9.0]])).round(6).tolist()
    [0.1]
    """
    return -(close_DS[-1] / close_DS[0] - 1.0)


def return_volatility(close_DS: FloatArray) -> FloatArray:
    """Standard deviation (divisor n − 1) of the window's daily returns."""
    returns = close_DS[1:] / close_DS[:-1] - 1.0
    return np.asarray(returns.std(axis=0, ddof=1))


def window_mean(values_DS: FloatArray) -> FloatArray:
    """Mean over the sessions that have a value, NaN with fewer than 60 % of them."""
    known = np.isfinite(values_DS)
    n = known.sum(axis=0)
    total = np.where(known, values_DS, 0.0).sum(axis=0)
    return np.where(n >= MIN_SHARE * len(values_DS), total / np.maximum(n, 1), np.nan)


def _nothing(*_: FloatArray) -> FloatArray:
    raise AssertionError("made elsewhere (sue: earnings.py), or had by no market")


def book_to_price(book_equity: FloatArray, net_profit_ttm: FloatArray, total_cap: FloatArray) -> FloatArray:
    """Book equity over market value."""
    return book_equity / total_cap


def return_on_equity(book_equity: FloatArray, net_profit_ttm: FloatArray, total_cap: FloatArray) -> FloatArray:
    """Net profit of the trailing twelve months over book equity; NaN for a book of 0 or less."""
    return net_profit_ttm / np.where(book_equity > 0, book_equity, np.nan)


OTHER_FACTORS: Mapping[str, OtherFactor] = {
    "size": OtherFactor("daily", 1, ("total_cap",), log_size, "ln market value"),
    "mid_cap": OtherFactor("daily", 1, ("total_cap",), mid_cap, "cube of standardized ln market value"),
    "value": OtherFactor("fundamentals", 1, (), book_to_price, "book / market value"),
    "turnover": OtherFactor("daily", MONTH, ("turn",), log_turnover, "ln mean turnover of 20 sessions"),
    "reversal": OtherFactor("daily", MONTH + 1, ("close",), past_return, "minus the 20-session return"),
    "volatility": OtherFactor("daily", MONTH + 1, ("close",), return_volatility, "standard deviation of 20 daily returns"),
    "profitability": OtherFactor("fundamentals", 1, (), return_on_equity, "net profit of twelve months / book"),
    "sue": OtherFactor("fundamentals", 1, (), _nothing, "year-on-year change of the quarter's profit / its standard deviation over 8 quarters"),
    "analyst": OtherFactor("none", 1, (), _nothing, "analysts' recommendations: no source has them"),
    "closing_volume_share": OtherFactor("mschars", MONTH, ("closing_volume_share",), window_mean, "volume share after 14:30, mean of 20 sessions"),
    "buy_intention_share": OtherFactor("l2chars", MONTH, ("opening_net_buying",), window_mean, "net active buying after the open, share of amount"),
    "large_order_share": OtherFactor("l2chars", MONTH, ("large_net_buying",), window_mean, "net buying in large orders, share of amount"),
}
