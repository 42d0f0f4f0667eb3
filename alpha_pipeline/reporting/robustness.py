"""Tables and pictures on how much of the backtests to believe: intervals, deflated Sharpe ratio, costs, capacity, drawdowns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, StudySection, TableExhibit

_N_DRAWDOWNS = 3


@dataclass(frozen=True, eq=False)
class Robustness:
    """One portfolio's stored frames (see ``pipeline.robustness``), and its deflated Sharpe ratio among ``n_trials``."""

    frames: Mapping[str, pd.DataFrame]
    deflated: float
    n_trials: int


def robustness_section(portfolios: Mapping[str, Robustness], shown: tuple[str, ...]) -> StudySection:
    """The section after the portfolios; ``shown``: those that the pictures show (the first of each benchmark)."""
    tables: list[Exhibit] = [_intervals(portfolios), _costs(portfolios), _capacity(portfolios), _drawdowns(portfolios, shown)]
    return StudySection("robustness", "How much of it to believe", "portfolios", (*tables, *_pictures(portfolios, shown)))


def _intervals(portfolios: Mapping[str, Robustness]) -> TableExhibit:
    rows = []
    for name, found in portfolios.items():
        by = found.frames["intervals"].set_index("metric")
        row: list[object] = [name]
        for metric in ("annualized_excess_return", "information_ratio"):
            row += [float(by.at[metric, part]) for part in ("estimate", "low", "high")]
        rows.append([*row, found.deflated, found.n_trials, float(found.frames["break_even"]["break_even_cost"].iloc[0])])
    columns = ["portfolio", "annual excess", "low", "high", "IR", "IR low", "IR high", "deflated Sharpe", "trials", "break-even cost"]
    return TableExhibit(
        "intervals", "Intervals, luck among trials, break-even cost", pd.DataFrame(rows, columns=columns),
        {"annual excess": "percent", "low": "percent", "high": "percent", "IR": "number", "IR low": "number", "IR high": "number",
         "deflated Sharpe": "percent1", "trials": "integer", "break-even cost": "percent"},
        "Low and high: 95% interval of the stationary block bootstrap of daily excess returns, mean block 20 sessions, 1,000 samples, seed 0. "
        "Deflated Sharpe: probability that the true Sharpe ratio of the excess return exceeds what the best of the trials would show by luck; "
        "trials are all backtests stored for this market against the same benchmark, this one included, so the count is a lower bound. Break-even "
        "cost: one-sided rate at which the annual excess return is 0, the trades kept as they were; – where it is negative without any cost.",
    )


def _costs(portfolios: Mapping[str, Robustness]) -> TableExhibit:
    frames = {name: found.frames["cost_sensitivity"] for name, found in portfolios.items()}
    rates = [f"{rate:.2%}" for rate in next(iter(frames.values()))["rate"]]
    rows = [[name, *frame["annualized_excess_return"].tolist()] for name, frame in frames.items()]
    return TableExhibit("costs", "Annual excess return by cost", pd.DataFrame(rows, columns=["portfolio", *rates]), dict.fromkeys(rates, "percent"),
                        "One-sided cost per unit traded instead of the portfolio's own; the trades are kept as they were.")


def _capacity(portfolios: Mapping[str, Robustness]) -> TableExhibit:
    frames = {name: found.frames["capacity"] for name, found in portfolios.items() if len(found.frames["capacity"])}
    labels = [_money(a) for a in next(iter(frames.values()))["assets"]] if frames else []
    rows = [[name, *frame["net_excess_return"].tolist(), float(frame["share_above_cap"].iloc[-1])] for name, frame in frames.items()]
    return TableExhibit(
        "capacity", "Annual excess return by assets", pd.DataFrame(rows, columns=["portfolio", *labels, "above 10% of volume"]),
        dict.fromkeys(labels, "percent") | {"above 10% of volume": "percent1"},
        "CNY under management; cost of a trade = linear cost paid + σ·√(order / value traded) of its value, σ the daily volatility of 20 sessions, "
        "value traded the mean of 20. Simple, a year; rebalances after the first. Last column: share of the traded value, at the largest assets, in "
        "orders beyond a tenth of the day's value: they would not fill.",
    )


def _drawdowns(portfolios: Mapping[str, Robustness], shown: tuple[str, ...]) -> TableExhibit:
    rows = []
    for name in shown:
        for kind, key in (("excess", "drawdowns"), ("NAV", "nav_drawdowns")):
            for r in portfolios[name].frames[key].head(_N_DRAWDOWNS).itertuples():
                rows.append((f"{name}, {kind}", float(r.depth), _day(r.peak, "start"), _day(r.trough, ""), _day(r.recovery, "open"), int(r.n_days)))
    return TableExhibit(
        "drawdowns", "Largest drawdowns", pd.DataFrame(rows, columns=["portfolio", "depth", "peak", "trough", "recovered", "sessions"]),
        {"depth": "percent", "peak": "text", "trough": "text", "recovered": "text", "sessions": "integer"},
        "Of the compounded daily excess and of the NAV. Peak: last date before the fall, or start; recovered: open when it has not ended.",
    )


def _pictures(portfolios: Mapping[str, Robustness], shown: tuple[str, ...]) -> list[Exhibit]:
    costs = pd.DataFrame({name: portfolios[name].frames["cost_sensitivity"].set_index("rate")["annualized_excess_return"] for name in shown})
    curves = {name: portfolios[name].frames["capacity"] for name in shown if len(portfolios[name].frames["capacity"])}
    capacity = pd.DataFrame({name: frame.set_index("assets")["net_excess_return"] for name, frame in curves.items()})
    capacity.index = pd.Index([_money(float(a)) for a in capacity.index])
    return [
        PictureExhibit("costs-picture", "Excess return by one-sided cost", "Trades kept as they were.", "lines",
                       costs.set_axis(costs.index * 1e4, axis=0), percent=True, x_label="one-sided cost, basis points"),
        PictureExhibit("capacity-picture", "Excess return by assets", "Square-root impact.", "bars", capacity, percent=True, x_label="assets, CNY"),
    ]


def _money(amount: float) -> str:
    return f"{amount / 1e9:g} bn" if amount >= 1e9 else f"{amount / 1e6:g} m"


def _day(date: object, missing: str) -> str:
    return missing if pd.isna(date) else str(date)[:10]  # type: ignore[call-overload]
