"""Backtest in weights and in shares: execution rules, costs, the daily engine, its tables and performance metrics."""

from __future__ import annotations

from alpha_pipeline.backtest.costs import Costs, DatedCosts, FlatCosts
from alpha_pipeline.backtest.engine import DayResult, PortfolioState, advance, run_backtest, step_day
from alpha_pipeline.backtest.execution import DayPrices, MarketPrices
from alpha_pipeline.backtest.metrics import SUMMARY_COLUMNS, drawdown_table, performance_summary, yearly_table
from alpha_pipeline.backtest.record import BacktestResult
from alpha_pipeline.backtest.robustness import (
    Interval,
    bootstrap_interval,
    break_even_cost,
    capacity_curve,
    cost_sensitivity,
    deflated_sharpe_ratio,
)
from alpha_pipeline.backtest.share_market import ShareMarket
from alpha_pipeline.backtest.share_orders import ShareRules
from alpha_pipeline.backtest.shares import ShareBacktestResult, ShareState, run_share_backtest, step_share_day

__all__ = [
    "SUMMARY_COLUMNS",
    "BacktestResult",
    "Costs",
    "DatedCosts",
    "DayPrices",
    "DayResult",
    "FlatCosts",
    "Interval",
    "MarketPrices",
    "PortfolioState",
    "ShareBacktestResult",
    "ShareMarket",
    "ShareRules",
    "ShareState",
    "advance",
    "bootstrap_interval",
    "break_even_cost",
    "capacity_curve",
    "cost_sensitivity",
    "deflated_sharpe_ratio",
    "drawdown_table",
    "performance_summary",
    "run_backtest",
    "run_share_backtest",
    "step_day",
    "step_share_day",
    "yearly_table",
]
