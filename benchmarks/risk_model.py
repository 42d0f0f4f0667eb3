"""The risk model: time per date of styles and factor returns, and how well planted factor returns are found again.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.risk_model [n_stocks] [n_dates] [market_stocks] [market_years]

First part: random returns of ``n_stocks`` with 31 industries, all ten styles, ``n_dates`` dates by one core; prints milliseconds per
date of each stage and what 2,500 dates would take. Second part (``market_stocks`` > 0): a simulated market is ingested into a
temporary folder, its risk model is made by the pipeline, and daily factor returns are compared with those that the market was made
with: estimated from our descriptors with the convention's weights √cap and with 1/specific variance (an attribution set to
``efficient``), and from the market's own exposures; see :func:`recovery` for the columns.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from alpha_pipeline.markets import MarketConfig, SimulatedSettings
from alpha_pipeline.pipeline import ingest, panels, risk_exposures, risk_model
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.descriptors import HISTORY_SESSIONS, PriceHistory, price_descriptors
from alpha_pipeline.risk.factor_returns import explain_day
from alpha_pipeline.risk.style_factors import style_factors

N_INDUSTRIES = 31
REPORT_DESCRIPTORS = ("BTOP", "ETOP", "CETOP", "MLEV", "DTOA", "BLEV", "EGRO", "SGRO")
PAIRS = {"size": "size", "beta": "beta", "momentum": "momentum", "volatility": "resvol", "liquidity": "liquidity", "value": "btop"}


def speed(n_stocks: int, n_dates: int) -> dict[str, float]:
    """Milliseconds per date by stage."""
    rng = np.random.default_rng(0)
    n_sessions = HISTORY_SESSIONS + n_dates
    market = 0.01 * rng.standard_normal(n_sessions)
    returns = market + 0.02 * rng.standard_normal((n_stocks, n_sessions))
    turnover = rng.uniform(0.001, 0.05, returns.shape)
    returns[rng.random(returns.shape) < 0.01] = np.nan
    cap = np.exp(22 + rng.standard_normal(n_stocks))
    industry = rng.integers(0, N_INDUSTRIES, n_stocks)
    universe = rng.random(n_stocks) < 0.95
    reports = {name: rng.standard_normal(n_stocks) for name in REPORT_DESCRIPTORS}
    spent = {"descriptors": 0.0, "styles": 0.0, "factor returns": 0.0}
    began = time.perf_counter()
    history = PriceHistory.of(returns, turnover, market)
    spent["history"] = time.perf_counter() - began
    for date in range(n_dates):
        clock = [time.perf_counter()]
        found = price_descriptors(history.ending(HISTORY_SESSIONS - 1 + date))
        clock.append(time.perf_counter())
        styles = style_factors({**found, **reports}, cap, industry, universe)
        clock.append(time.perf_counter())
        explain_day(returns[:, HISTORY_SESSIONS + date], styles.values, industry, cap, universe, N_INDUSTRIES)
        clock.append(time.perf_counter())
        for name, seconds in zip(("descriptors", "styles", "factor returns"), np.diff(clock), strict=True):
            spent[name] += float(seconds)
    return {name: 1e3 * seconds / n_dates for name, seconds in spent.items()}


def recovery(root: Path, settings: SimulatedSettings, start: dt.date, end: dt.date) -> pd.DataFrame:
    """Rows: planted styles; columns: correlation of daily estimated and planted returns, and the two reasons why it is below 1.

    ``correlation`` is that of the stored factor returns (weights √cap), ``efficient`` that of the same regression weighted by 1/σ², σ the
    specific volatility forecast at the close before; it starts when σ has its history, and ``same dates`` is √cap on those dates.
    ``weekly`` : the stored returns again, sums of five sessions.
    ``in the model's terms``: the planted styles' part of each stock's return, without any specific return, goes through the same
    regression on our exposures. What comes out is the factor return that the model defines, known without error.
    ``definition`` is its correlation with the planted style return: what our descriptors measure differently. ``noise`` is its correlation
    with the estimate: what specific returns add. ``with planted exposures`` is estimated from the exposures the market itself used,
    ``exposures`` the mean correlation over stocks between those and ours.
    """
    work = Workspace(MarketConfig("recovery", "simulated", start, end, settings), str(root))
    keys = work.session_keys()
    tables = ("daily_bars", "security_status", "fundamentals")
    source = work.source
    ingest.ingest(work, keys, (*tables, "index_weights"))
    panels.extend_status(work, keys)
    panels.extend_daily(work, keys)
    risk_exposures.make_exposures(work, keys)
    risk_model.make_factor_returns(work, keys)
    risk_model.make_specific(work, keys)
    styles = list(PAIRS.values())
    ours, planted, with_truth, in_our_terms, alike, precise = {}, {}, {}, {}, {}, {}
    opened = work.panels
    for key in keys[1:]:
        ours[key] = work.store.read(risk_model.FACTOR_RETURNS, key).set_index("factor")["factor_return"].reindex(styles)
        day = dt.date.fromisoformat(key)
        planted[key] = source.factor_returns(day)  # type: ignore[attr-defined]
        inputs = risk_model.load_regression(work, opened, key)
        truth = source.style_exposures(day).set_index("symbol").reindex(inputs.symbols)  # type: ignore[attr-defined]
        found = explain_day(inputs.returns, truth.to_numpy(), inputs.industry, inputs.cap, inputs.universe, len(inputs.industry_names))
        n_others = 1 + len(inputs.industry_names)
        weight = risk_model.inverse_variance(work, opened, key, inputs.symbols)
        if weight is not None:
            precise[key] = pd.Series(inputs.run(weight).values[n_others:], index=inputs.style_names).reindex(styles)
        with_truth[key] = pd.Series(found.values[n_others:], index=truth.columns)
        shared = np.where(np.isnan(inputs.returns), np.nan, truth.to_numpy() @ planted[key][truth.columns].to_numpy())
        defined = explain_day(shared, inputs.styles, inputs.industry, inputs.cap, inputs.universe, len(inputs.industry_names))
        in_our_terms[key] = pd.Series(defined.values[n_others:], index=inputs.style_names).reindex(styles)
        mine = pd.DataFrame(inputs.styles, columns=inputs.style_names).reindex(columns=styles)
        sides = mine[inputs.universe], truth.reset_index(drop=True).rename(columns=PAIRS)[inputs.universe]
        alike[key] = sides[0].corrwith(sides[1][styles])
    estimated, exact, true, defined_returns, likeness, efficient = (
        pd.DataFrame.from_dict(rows, orient="index") for rows in (ours, with_truth, planted, in_our_terms, alike, precise))
    weeks = np.arange(len(true)) // 5
    return pd.DataFrame([
        {"planted": name, "ours": style, "correlation": estimated[style].corr(true[name]), "efficient": efficient[style].corr(true[name]),
         "same dates": estimated[style].reindex(efficient[style].dropna().index).corr(true[name]),
         "definition": defined_returns[style].corr(true[name]), "noise": estimated[style].corr(defined_returns[style]),
         "with planted exposures": exact[name].corr(true[name]), "exposures": likeness[style].mean(),
         "weekly": estimated[style].groupby(weeks).sum(min_count=5).corr(true[name].groupby(weeks).sum(min_count=5)),
         "n_dates": int(estimated[style].notna().sum()), "n_efficient": int(efficient[style].notna().sum())}
        for name, style in PAIRS.items()
    ])


def main(n_stocks: int = 5000, n_dates: int = 20, market_stocks: int = 800, market_years: int = 2) -> None:
    print(f"{n_stocks} stocks, {n_dates} dates, ten styles, {N_INDUSTRIES} industries, one core of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    spent = speed(n_stocks, n_dates)
    for name, milliseconds in spent.items():
        print(f"{name:16s} {milliseconds:8.2f} ms/date")
    per_date = sum(milliseconds for name, milliseconds in spent.items() if name != "history")
    print(f"2500 dates take {2500 * per_date / 6e4:.1f} minutes on one core")
    if market_stocks:
        with tempfile.TemporaryDirectory() as folder:
            start = dt.date(2019, 1, 2)
            table = recovery(Path(folder), SimulatedSettings(market_stocks, 7), start, dt.date(start.year + market_years, 1, 4))
        print(f"planted factor returns, {market_stocks} simulated stocks, {market_years} year{'s' if market_years > 1 else ''}")
        print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
