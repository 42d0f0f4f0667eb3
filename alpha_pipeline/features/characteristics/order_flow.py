"""Characteristics from the order flow: trade counts and the amounts that buyers and sellers started.

Net buying of a bar is buy_amount − sell_amount (CNY). Bars of *large* trades are those of :attr:`Bars.is_large`. A strength is the mean over
the standard deviation of a bar series. Source: 开盘后买入意愿占比/强度, 开盘后大单净买入占比/强度, 平均单笔流出金额占比 and 大单推动涨幅 are named in
ATTENTION; their definitions lie in the house's earlier reports, which are not at hand, so the formulas are ours in their spirit.
"""

from __future__ import annotations

import numpy as np

from alpha_pipeline.features.characteristics.bars import Bars, FloatArray, mean_over_spread, of_largest, positive, ratio

PUSH_SHARE = 0.3


def net_buying(b: Bars) -> FloatArray:
    """Σ net buying / Σ amount, −1 … 1; + when buyers were the active side. NaN without trades."""
    return b.net_buying.sum(axis=1) / b.total_amount


def net_buying_strength(b: Bars) -> FloatArray:
    """Strength of net buying over all bars. NaN when it is the same in all."""
    return mean_over_spread(b.net_buying)


def opening_net_buying(b: Bars) -> FloatArray:
    """Σ net buying / Σ amount over 9:30–10:00, −1 … 1 (开盘后买入意愿占比). NaN without trades there."""
    return b.net_buying[:, : b.half_hour].sum(axis=1) / positive(b.amount[:, : b.half_hour].sum(axis=1))


def opening_net_buying_strength(b: Bars) -> FloatArray:
    """Strength of net buying over the bars of 9:30–10:00 (开盘后买入意愿强度). NaN when it is the same in all."""
    return mean_over_spread(b.net_buying[:, : b.half_hour])


def closing_net_buying(b: Bars) -> FloatArray:
    """Σ net buying / Σ amount over 14:30–15:00, −1 … 1. NaN without trades there."""
    return b.net_buying[:, -b.half_hour:].sum(axis=1) / positive(b.amount[:, -b.half_hour:].sum(axis=1))


def large_net_buying(b: Bars) -> FloatArray:
    """Σ net buying in bars of large trades / Σ amount of all bars, −1 … 1 (大单净买入占比). 0 when no bar is large, NaN without trades."""
    return b.large_net_buying.sum(axis=1) / b.total_amount


def large_net_buying_strength(b: Bars) -> FloatArray:
    """Strength of net buying in bars of large trades, 0 in the others (大单净买入强度). NaN when no bar is large."""
    return mean_over_spread(b.large_net_buying)


def opening_large_net_buying(b: Bars) -> FloatArray:
    """Σ net buying in bars of large trades / Σ amount, over 9:30–10:00 (开盘后大单净买入占比). 0 when none of its bars is large."""
    return b.large_net_buying[:, : b.half_hour].sum(axis=1) / positive(b.amount[:, : b.half_hour].sum(axis=1))


def opening_large_net_buying_strength(b: Bars) -> FloatArray:
    """Strength of net buying in bars of large trades over 9:30–10:00 (开盘后大单净买入强度). NaN when none of its bars is large."""
    return mean_over_spread(b.large_net_buying[:, : b.half_hour])


def outflow_trade_size(b: Bars) -> FloatArray:
    """(Σ amount / Σ trades over falling bars) / (Σ amount / Σ trades), above 1 when the larger trades happen in falls (平均单笔流出金额占比).

    NaN when no bar with trades falls.
    """
    assert b.trade_count is not None
    falls = b.returns < 0
    fallen = ratio(np.where(falls, b.amount, 0.0).sum(axis=1), np.where(falls, b.trade_count, 0.0).sum(axis=1))
    return fallen / positive(ratio(b.amount.sum(axis=1), b.trade_count.sum(axis=1)))


def large_push_return(b: Bars) -> FloatArray:
    """Σ r over the 30 % of bars (rounded up) with the largest mean trade, log (大单推动涨幅); of equal ones the earlier bars. NaN without trades."""
    return of_largest(b.trade_size, b.returns, int(np.ceil(PUSH_SHARE * b.n_bars - 1e-9))) + 0 * b.total_amount


def large_amount_share(b: Bars) -> FloatArray:
    """Σ amount in bars of large trades / Σ amount, 0 … 1. NaN without trades."""
    return np.where(b.is_large, b.amount, 0.0).sum(axis=1) / b.total_amount
