"""Backtest in weights: execution rules, costs, the daily engine, its tables and performance metrics."""

from __future__ import annotations

from alpha_pipeline.backtest.costs import Costs, DatedCosts, FlatCosts
from alpha_pipeline.backtest.engine import DayResult, PortfolioState, advance, run_backtest, step_day
from alpha_pipeline.backtest.execution import DayPrices, MarketPrices
from alpha_pipeline.backtest.metrics import SUMMARY_COLUMNS, drawdown_table, performance_summary, yearly_table
from alpha_pipeline.backtest.record import BacktestResult

__all__ = [
    "SUMMARY_COLUMNS",
    "BacktestResult",
    "Costs",
    "DatedCosts",
    "DayPrices",
    "DayResult",
    "FlatCosts",
    "MarketPrices",
    "PortfolioState",
    "advance",
    "drawdown_table",
    "performance_summary",
    "run_backtest",
    "step_day",
    "yearly_table",
]
