"""How much of a backtest to believe: bootstrap intervals, the deflated Sharpe ratio, cost sensitivity and capacity.

All returns are daily decimals, a year has 252 days.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from alpha_pipeline.backtest.metrics import annualized_return, annualized_volatility, ratio
from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, NotEnoughData, sentence
from alpha_pipeline.returns import DAYS_PER_YEAR

EULER_GAMMA = 0.5772156649015329


@dataclass(frozen=True)
class Interval:
    """A statistic of the whole sample and the percentiles of its bootstrap distribution."""

    estimate: float
    low: float
    high: float
    level: float
    n_samples: int


def stationary_bootstrap(n: int, mean_block: float, n_samples: int, seed: int) -> npt.NDArray[np.int64]:
    """(n_samples, n) row numbers: blocks of geometric length with the given mean, from random starts, wrapping around the end.

    Source: Politis and Romano (1994), The stationary bootstrap. Keeps the autocorrelation that single draws would destroy.
    """
    if n < 2:
        raise NotEnoughData(sentence("too few rows for a bootstrap", got=n, expected="at least 2"))
    if mean_block < 1.0 or n_samples < 1:
        raise InvalidSpec(sentence("bootstrap settings out of range", got=f"mean_block {mean_block:g}, n_samples {n_samples}",
                                   expected="both at least 1"))
    rng = np.random.default_rng(seed)
    is_start = rng.random((n_samples, n)) < 1.0 / mean_block
    is_start[:, 0] = True
    starts = rng.integers(0, n, (n_samples, n))
    position = np.arange(n)
    last_start = np.maximum.accumulate(np.where(is_start, position, 0), axis=1)
    return np.asarray((np.take_along_axis(starts, last_start, axis=1) + position - last_start) % n, dtype=np.int64)


def bootstrap_interval(
    values: npt.ArrayLike,
    statistic: Callable[[np.ndarray], float],
    *,
    mean_block: float = 20.0,
    n_samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of ``statistic`` under the stationary block bootstrap; the same seed gives the same bits.

    ``values``: (n,) or (n, k) rows in time order, resampled together; ``statistic`` maps such rows to a number. Raises
    :class:`MissingData` for a NaN: a gap cannot be resampled.
    """
    rows = np.asarray(values, dtype=float)
    if not bool(np.isfinite(rows).all()):
        raise MissingData(sentence("values to resample are missing", got=f"{int((~np.isfinite(rows)).sum())} not finite"))
    if not 0.0 < level < 1.0:
        raise InvalidSpec(sentence("level out of range", got=level, expected="a decimal in (0, 1)"))
    drawn = stationary_bootstrap(len(rows), mean_block, n_samples, seed)
    found = np.array([statistic(rows[at]) for at in drawn])
    low, high = np.quantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(statistic(rows)), float(low), float(high), level, n_samples)


def expected_max_sharpe(n_trials: int, variance_of_trials: float) -> float:
    """The Sharpe ratio that the best of ``n_trials`` skill-less strategies shows: √V · [(1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))].

    γ is Euler's constant, V the variance of the trials' Sharpe ratios (per period). One trial expects 0.
    """
    if n_trials < 1 or not variance_of_trials >= 0.0:
        raise InvalidSpec(sentence("trials out of range", got=f"{n_trials} trials, variance {variance_of_trials}",
                                   expected="at least 1 trial and a variance of at least 0"))
    if n_trials == 1:
        return 0.0
    best = (1.0 - EULER_GAMMA) * stats.norm.ppf(1.0 - 1.0 / n_trials) + EULER_GAMMA * stats.norm.ppf(1.0 - 1.0 / (n_trials * math.e))
    return float(math.sqrt(variance_of_trials) * best)


def deflated_sharpe_ratio(returns: npt.ArrayLike, n_trials: int, variance_of_trials: float) -> float:
    """Probability that the true Sharpe ratio is above what the best of ``n_trials`` would show by luck.

        DSR = Φ( (SR − SR₀) √(T − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 · SR²) )

    with SR the ratio of mean to standard deviation per day (not annualized), γ₃ and γ₄ skewness and kurtosis (3 for a normal) of the
    returns and SR₀ = :func:`expected_max_sharpe`. ``variance_of_trials``: of the daily Sharpe ratios of all strategies tried.

    Source: Bailey and López de Prado (2014), The deflated Sharpe ratio, equations 1 and 2.
    """
    daily = _returns(returns, 3)
    deviation = float(daily.std(ddof=1))
    if deviation == 0.0:
        raise NotEnoughData(sentence("returns without variation have no Sharpe ratio", got=f"{len(daily)} equal returns"))
    sharpe = float(daily.mean()) / deviation
    skewness, kurtosis = float(stats.skew(daily)), float(stats.kurtosis(daily, fisher=False))
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    surplus = sharpe - expected_max_sharpe(n_trials, variance_of_trials)
    return float(stats.norm.cdf(surplus * math.sqrt(len(daily) - 1) / math.sqrt(spread)))


def cost_sensitivity(daily: pd.DataFrame, rates: Sequence[float]) -> pd.DataFrame:
    """One row per one-sided cost rate: ``rate``, annualized excess return, tracking error, information ratio, cost a year.

    ``daily``: columns excess_return, cost and turnover_two_sided of a backtest. Its own cost is added back and ``rate`` per unit
    traded is taken off instead; the trades are kept as they were, and second-order effects of cost on NAV are neglected.
    """
    gross, turnover = _gross(daily)
    rows = []
    for rate in rates:
        if not rate >= 0.0:
            raise InvalidSpec(sentence("cost rate out of range", got=rate, expected="a decimal of at least 0"))
        net = gross - rate * turnover
        gain, risk = annualized_return(net), annualized_volatility(net)
        rows.append({"rate": float(rate), "annualized_excess_return": gain, "tracking_error": risk, "information_ratio": ratio(gain, risk),
                     "cost_per_year": float(rate * turnover.mean() * DAYS_PER_YEAR)})
    return pd.DataFrame(rows)


def break_even_cost(daily: pd.DataFrame) -> float:
    """The one-sided cost rate at which the annualized excess return is 0; NaN when it is negative without any cost or nothing is traded."""
    gross, turnover = _gross(daily)
    if annualized_return(gross) <= 0.0 or float(turnover.sum()) == 0.0:
        return math.nan

    def logarithm(rate: float) -> float:
        return float(np.log1p(np.maximum(gross - rate * turnover, -0.999)).sum())

    high = 1e-4
    while logarithm(high) > 0.0:
        high *= 2.0
    return float(optimize.brentq(logarithm, 0.0, high, xtol=1e-12))


def capacity_curve(
    gross_excess: float,
    trades: npt.ArrayLike,
    daily_value: npt.ArrayLike,
    volatility: npt.ArrayLike,
    assets: Sequence[float],
    *,
    rebalances_per_year: float,
    cost_rate: float = 0.0,
    impact: float = 1.0,
    max_participation: float = 0.1,
) -> pd.DataFrame:
    """Net excess return against assets under management, by the square-root law.

        cost of a trade q (share of NAV) at assets A = |q| · (cost_rate + Y · σ · √(|q| A / V))

    One row per entry of ``assets``: ``assets``, ``linear_cost``, ``impact_cost``, ``net_excess_return`` (decimals a year, simple) and
    ``share_above_cap``, the share of traded value in orders beyond ``max_participation`` of the day's value — those would not fill, and
    a portfolio that is asked to is beyond its capacity.

    Parameters
    ----------
    gross_excess
        Annualized excess return before costs.
    trades, daily_value, volatility
        (R, S) signed trades in decimals of NAV, CNY traded in the name on the day, standard deviation of daily returns; one row per
        rebalance. Value and volatility must be known where a trade is not 0.
    """
    size = np.abs(np.asarray(trades, dtype=float))
    value, sigma = np.asarray(daily_value, dtype=float), np.asarray(volatility, dtype=float)
    if size.ndim != 2 or value.shape != size.shape or sigma.shape != size.shape:
        raise Misaligned(sentence("trades, values and volatilities differ in shape", got=(size.shape, value.shape, sigma.shape)))
    traded = size > 0.0
    if not bool(((value[traded] > 0.0) & np.isfinite(sigma[traded])).all()):
        raise MissingData(sentence("daily value or volatility is missing where something is traded",
                                   got=f"{int((~((value[traded] > 0.0) & np.isfinite(sigma[traded]))).sum())} of {int(traded.sum())} trades"))
    n_rebalances, total = len(size), float(size.sum())
    linear = cost_rate * total / max(n_rebalances, 1) * rebalances_per_year
    rows = []
    for amount in assets:
        share = size[traded] * amount / value[traded]
        hurt = impact * float((size[traded] * sigma[traded] * np.sqrt(share)).sum()) / max(n_rebalances, 1) * rebalances_per_year
        above = float(size[traded][share > max_participation].sum()) / total if total > 0.0 else 0.0
        rows.append({"assets": float(amount), "linear_cost": linear, "impact_cost": hurt, "net_excess_return": gross_excess - linear - hurt,
                     "share_above_cap": above})
    return pd.DataFrame(rows)


def _gross(daily: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    turnover = daily["turnover_two_sided"].to_numpy(dtype=float)
    return _returns(daily["excess_return"], 2) + daily["cost"].to_numpy(dtype=float), turnover


def _returns(returns: npt.ArrayLike, least: int) -> np.ndarray:
    values = np.asarray(returns, dtype=float)
    if len(values) < least:
        raise NotEnoughData(sentence("too few daily returns", got=len(values), expected=f"at least {least}"))
    if not bool(np.isfinite(values).all()):
        raise MissingData(sentence("daily return is missing", got=f"{int((~np.isfinite(values)).sum())} of {len(values)}",
                                   next_step="Metrics never skip a day."))
    return values
