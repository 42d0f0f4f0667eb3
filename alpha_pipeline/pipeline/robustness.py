"""How much of a stored backtest to believe: intervals, costs and capacity go with the backtest, the deflated Sharpe ratio with the report.

The deflated Sharpe ratio depends on how many portfolios were tried, hence on what else is stored; a backtest must not, or it would differ with the
order in which portfolios were run. It is therefore counted when it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.backtest.metrics import annualized_return, annualized_volatility, drawdown_table, ratio
from alpha_pipeline.backtest.record import BacktestResult
from alpha_pipeline.backtest.robustness import bootstrap_interval, break_even_cost, capacity_curve, cost_sensitivity, deflated_sharpe_ratio
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.share_replay import daily_volatility
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.returns import DAYS_PER_YEAR

COST_RATES = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005)  # one-sided, decimals
ASSETS = (1e8, 5e8, 1e9, 5e9, 1e10, 5e10)  # CNY
MEAN_BLOCK, N_SAMPLES, SEED = 20.0, 1000, 0
_VALUE_SESSIONS = 20
_FEWEST_DAYS = 3  # of a backtest that counts as a trial
PREFIX, SUFFIX = "portfolios/", "/backtest"


def robustness_frames(result: BacktestResult, panels: MarketPanels) -> dict[str, pd.DataFrame]:
    """``intervals`` (excess return and information ratio, 95 %), ``cost_sensitivity``, ``break_even``, ``capacity`` (empty when nothing was
    traded after the first day), ``nav_drawdowns``."""
    daily = result.daily
    excess = daily["excess_return"].to_numpy(dtype=float)
    statistics = {"annualized_excess_return": annualized_return, "information_ratio": information_ratio}
    rows = []
    for name, statistic in statistics.items():
        found = bootstrap_interval(excess, statistic, mean_block=MEAN_BLOCK, n_samples=N_SAMPLES, seed=SEED)
        rows.append({"metric": name, "estimate": found.estimate, "low": found.low, "high": found.high, "level": found.level,
                     "n_samples": found.n_samples, "mean_block": MEAN_BLOCK})
    return {
        "intervals": pd.DataFrame(rows), "cost_sensitivity": cost_sensitivity(daily, COST_RATES),
        "break_even": pd.DataFrame({"break_even_cost": [break_even_cost(daily)]}), "capacity": _capacity(result, panels),
        "nav_drawdowns": drawdown_table(daily["portfolio_return"], daily["trade_date"]),
    }


def information_ratio(excess: np.ndarray) -> float:
    """Annualized excess return over tracking error of daily excess returns."""
    return ratio(annualized_return(excess), annualized_volatility(excess))


def _capacity(result: BacktestResult, panels: MarketPanels) -> pd.DataFrame:
    """Of the rebalances after the first: it builds the portfolio and happens once.

    The value traded in a name is the mean over the 20 sessions up to the trade in which it traded, volatility that of the 20 before.
    """
    daily = result.daily
    days = daily.loc[daily["is_rebalance"], "trade_date"].astype(str).str[:10].tolist()
    empty = capacity_curve(0.0, np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 1)), (), rebalances_per_year=0.0)
    if not days:
        return empty
    orders = result.trades[result.trades["reason"] != "delisted"]
    orders = orders[orders["trade_date"].astype(str).str[:10].isin(days) & (orders["trade"] != 0.0)]
    if orders.empty:
        return empty
    columns = np.unique(panels.axis.known_columns(sorted(set(orders["symbol"]))))
    place, row_of = np.full(len(panels.axis), -1), {day: n for n, day in enumerate(days)}
    place[columns] = np.arange(len(columns))
    trades = np.zeros((len(days), len(columns)))
    trades[[row_of[str(d)[:10]] for d in orders["trade_date"]], place[panels.axis.known_columns(orders["symbol"].tolist())]] = orders["trade"]
    value, volatility = np.ones(trades.shape), np.full(trades.shape, np.nan)
    for n, day in enumerate(days):
        at = panels.daily.index(day)
        amount = np.nan_to_num(panels.daily.field("amount", max(0, at + 1 - _VALUE_SESSIONS), at + 1)[:, columns].astype(np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            value[n] = amount.sum(axis=0) / (amount > 0).sum(axis=0)
        volatility[n] = daily_volatility(panels, at, at + 1, columns)[0]
    cost, turnover = daily["cost"].to_numpy(dtype=float), daily["turnover_two_sided"].to_numpy(dtype=float)
    return capacity_curve(
        annualized_return(daily["excess_return"].to_numpy(dtype=float) + cost), trades, value, volatility, ASSETS,
        rebalances_per_year=len(days) / len(daily) * DAYS_PER_YEAR, cost_rate=float(cost.sum() / turnover.sum()),
    )


@dataclass(frozen=True)
class Deflated:
    """``probability`` that the true Sharpe ratio of the excess return exceeds what the best of ``n_trials`` would show by luck; ``trials`` their
    names."""

    probability: float
    n_trials: int
    trials: tuple[str, ...]


def deflated_sharpe(work: Workspace, portfolios: Sequence[str]) -> dict[str, Deflated]:
    """Of stored backtests, each among the trials of its market: every stored backtest against the same benchmark, itself included.

    All on daily excess returns. What was tried and is no longer stored, or on another market, is not counted: the count is a lower bound.
    NaN where the excess return does not vary. Every stored backtest is read once.
    """
    excess: dict[str, dict[str, np.ndarray]] = {}
    benchmark_of: dict[str, str] = {}
    for name in work.store.bundles(PREFIX):
        manifest = work.store.bundle(name) if name.endswith(SUFFIX) else None
        if manifest is not None:
            portfolio = name.removeprefix(PREFIX).removesuffix(SUFFIX)
            benchmark_of[portfolio] = manifest.meta["benchmark"]
            series = work.store.read_bundle_frame(name, "daily")["excess_return"].to_numpy(dtype=float)
            if len(series) >= _FEWEST_DAYS and series.std(ddof=1) > 0.0:
                excess.setdefault(benchmark_of[portfolio], {})[portfolio] = series
    found = {}
    for portfolio in portfolios:
        assert portfolio in benchmark_of, portfolio
        trials = excess.get(benchmark_of[portfolio], {})
        ratios = [float(series.mean() / series.std(ddof=1)) for series in trials.values()]
        variance = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0
        probability = deflated_sharpe_ratio(trials[portfolio], len(trials), variance) if portfolio in trials else float("nan")
        found[portfolio] = Deflated(probability, len(trials), tuple(sorted(trials)))
    return found
