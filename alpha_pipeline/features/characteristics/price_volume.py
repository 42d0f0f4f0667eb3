"""Characteristics from prices and volumes alone.

r are the bars' log returns (:attr:`Bars.returns`), n their number; a *session part* is a half hour of the day. Prices are unadjusted: all
characteristics are ratios within a day, and the overnight return is taken against the exchange's reference price. A day at one price, or
without volume, gives NaN wherever the formula has nothing to divide by; each function says so.

Source of the list: ATTENTION (high-frequency characteristics of the house's earlier work, not at hand) and the realized measures of the
literature named at each function. Formulas, windows and ties are ours where nothing is named.
"""

from __future__ import annotations

import numpy as np

from alpha_pipeline.features.characteristics.bars import Bars, FloatArray, correlation, of_largest, ratio

VARIANCE_RATIO_BARS = 4
AMIHUD_CNY = 1e8


def intraday_return(b: Bars) -> FloatArray:
    """Last close / price before the first bar − 1, decimal; + when the price rose. For a day: close over open."""
    return b.close[:, -1] / b.before[:, 0] - 1


def opening_return(b: Bars) -> FloatArray:
    """Close of 10:00 / open − 1, decimal."""
    return b.close[:, b.half_hour - 1] / b.before[:, 0] - 1


def closing_return(b: Bars) -> FloatArray:
    """Close / price of 14:30 − 1, decimal."""
    return b.close[:, -1] / b.before[:, -b.half_hour] - 1


def overnight_return(b: Bars) -> FloatArray:
    """Open / the exchange's reference price (previous close, ex-right) − 1, decimal. NaN without a reference price."""
    return ratio(b.before[:, 0], b.previous_close) - 1


def improved_reversal(b: Bars) -> FloatArray:
    """Close / price of 10:00 − 1, decimal: the day's return without its opening half hour. Source: the house's improved reversal."""
    return b.close[:, -1] / b.close[:, b.half_hour - 1] - 1


def realized_variance(b: Bars) -> FloatArray:
    """Σ r², decimal squared; 0 at one price. Source: Andersen et al. (2001)."""
    return b.variance


def upside_variance_share(b: Bars) -> FloatArray:
    """Σ r² over rising bars / Σ r², 0 … 1; the downside share is 1 minus it. NaN at one price. Source: Barndorff-Nielsen et al. (2010)."""
    return ratio(np.where(b.returns > 0, b.squares, 0.0).sum(axis=1), b.variance)


def realized_skewness(b: Bars) -> FloatArray:
    """√n Σ r³ / (Σ r²)^1.5; + with jumps upwards. NaN at one price. Source: Amaya et al. (2015)."""
    return np.sqrt(b.n_bars) * ratio(np.einsum("nb,nb->n", b.squares, b.returns), b.variance**1.5)


def realized_kurtosis(b: Bars) -> FloatArray:
    """n Σ r⁴ / (Σ r²)², 1 … n; 3 for normal returns. NaN at one price. Source: Amaya et al. (2015)."""
    return b.n_bars * ratio(np.einsum("nb,nb->n", b.squares, b.squares), np.square(b.variance))


def closing_skewness(b: Bars) -> FloatArray:
    """Realized skewness of the bars of 14:30–15:00. NaN when the price does not move there."""
    r = b.returns[:, -b.half_hour:]
    return np.sqrt(b.half_hour) * ratio(np.einsum("nb,nb,nb->n", r, r, r), np.square(r).sum(axis=1) ** 1.5)


def max_drawdown(b: Bars) -> FloatArray:
    """max (1 − close / highest price so far), decimal, ≥ 0; the price before the first bar counts as the first high."""
    peak = np.maximum(np.maximum.accumulate(b.close, axis=1), b.before[:, :1])
    return np.asarray((1 - b.close / peak).max(axis=1))


def vwap_deviation(b: Bars) -> FloatArray:
    """Last close / (Σ amount / Σ volume) − 1, decimal; + when it closes above what was paid on average. NaN without volume."""
    return b.close[:, -1] / (b.total_amount / b.total_volume) - 1


def price_volume_correlation(b: Bars) -> FloatArray:
    """Correlation of the bars' close and volume. NaN at one price or with equal volumes."""
    return correlation(b.close, b.volume)


def size_volume_correlation(b: Bars) -> FloatArray:
    """Correlation of |r| and volume. NaN where either has no spread."""
    return correlation(b.sizes, b.volume)


def opening_volume_share(b: Bars) -> FloatArray:
    """Volume of 9:30–10:00 / the day's, 0 … 1. NaN without volume."""
    return b.volume[:, : b.half_hour].sum(axis=1) / b.total_volume


def closing_volume_share(b: Bars) -> FloatArray:
    """Volume of 14:30–15:00 / the day's, 0 … 1. NaN without volume."""
    return b.volume[:, -b.half_hour:].sum(axis=1) / b.total_volume


def volume_share(b: Bars) -> FloatArray:
    """Volume of the step / the day's, 0 … 1. NaN on a day without volume. For steps: of a whole day it is 1."""
    return ratio(b.volume.sum(axis=1), b.row_volume)


def volume_concentration(b: Bars) -> FloatArray:
    """Σ (volume / Σ volume)², 1/n … 1 (Herfindahl). NaN without volume."""
    return np.einsum("nb,nb->n", b.volume, b.volume) / np.square(b.total_volume)


def amihud(b: Bars) -> FloatArray:
    """Mean of |r| / amount over the bars that traded, per 100 million CNY. NaN when none did. Source: Amihud (2002), on bars."""
    traded = b.amount > 0
    impact = np.divide(b.sizes, b.amount, out=np.zeros_like(b.amount), where=traded)
    return AMIHUD_CNY * ratio(impact.sum(axis=1), traded.sum(axis=1).astype(np.float64))


def top_volume_turnover(b: Bars) -> FloatArray:
    """Volume of the third of bars (rounded up) with the largest volume / float shares, decimal. NaN without float shares or volume."""
    return ratio(of_largest(b.volume, b.volume, -(-b.n_bars // 3)), b.float_shares) + 0 * b.total_volume


def top_volume_return(b: Bars) -> FloatArray:
    """Σ r over the third of bars (rounded up) with the largest volume, log; of equal volumes the earlier bars. NaN without volume."""
    return of_largest(b.volume, b.returns, -(-b.n_bars // 3)) + 0 * b.total_volume


def peak_volume_return(b: Bars) -> FloatArray:
    """r of the bar with the largest volume (the first of equals), log. NaN without volume."""
    at = b.volume.argmax(axis=1)
    return np.take_along_axis(b.returns, at[:, None], axis=1)[:, 0] + 0 * b.total_volume


def trend_strength(b: Bars) -> FloatArray:
    """|Σ r| / Σ |r|, 0 … 1: 1 when the price only went one way. NaN at one price."""
    return ratio(np.abs(np.log(b.close[:, -1] / b.before[:, 0])), b.sizes.sum(axis=1))


def return_autocorrelation(b: Bars) -> FloatArray:
    """Σ (r_i − m)(r_{i−1} − m) / Σ (r_i − m)², −1 … 1; − with reversals. NaN when all returns are equal."""
    centered = b.returns - b.returns.mean(axis=1, keepdims=True)
    total = np.einsum("nb,nb->n", centered, centered)
    return np.where(total > 1e-24 * b.variance, ratio(np.einsum("nb,nb->n", centered[:, 1:], centered[:, :-1]), total), np.nan)


def variance_ratio(b: Bars) -> FloatArray:
    """Mean squared return over 4 bars (overlapping) / (4 × mean r²); above 1 with trends. NaN at one price. Source: Lo, MacKinlay (1988)."""
    path = np.concatenate([np.zeros((len(b.returns), 1)), np.cumsum(b.returns, axis=1)], axis=1)
    long = path[:, VARIANCE_RATIO_BARS:] - path[:, :-VARIANCE_RATIO_BARS]
    mean_square = np.einsum("nb,nb->n", long, long) / long.shape[1]
    return ratio(mean_square, VARIANCE_RATIO_BARS * b.variance / b.n_bars)


def high_low_range(b: Bars) -> FloatArray:
    """ln(highest high / lowest low), ≥ 0; 0 at one price."""
    return np.log(b.high.max(axis=1) / b.low.min(axis=1))


def close_position(b: Bars) -> FloatArray:
    """(last close − lowest low) / (highest high − lowest low), 0 … 1. NaN at one price."""
    low = b.low.min(axis=1)
    return ratio(b.close[:, -1] - low, b.high.max(axis=1) - low)


def jump_share(b: Bars) -> FloatArray:
    """max(0, 1 − BV / Σ r²) with BV = π/2 · n/(n−1) · Σ |r_i| |r_{i−1}|, 0 … 1. NaN at one price. Source: Barndorff-Nielsen, Shephard (2004)."""
    bipower = np.pi / 2 * b.n_bars / (b.n_bars - 1) * np.einsum("nb,nb->n", b.sizes[:, 1:], b.sizes[:, :-1])
    return np.maximum(0.0, 1 - ratio(bipower, b.variance))
