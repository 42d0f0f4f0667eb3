"""Time and peak memory of generating a simulated market, its stylised facts, and the ceiling that its oracle sets.

    python -m benchmarks.simulated_market                      # 300 stocks x 3 years, all six tables
    python -m benchmarks.simulated_market --stocks 5000 --start 2014-01-02 --days 100
    python -m benchmarks.simulated_market --facts --oracle
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import time

import numpy as np
import pandas as pd

from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.simulated import SimulatedMarket, SimulatedMarketSpec
from alpha_pipeline.sources.simulated.facts import compare, stylised_facts

HORIZON = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=300)
    parser.add_argument("--start", type=dt.date.fromisoformat, default=dt.date(2021, 1, 4))
    parser.add_argument("--end", type=dt.date.fromisoformat, default=dt.date(2023, 12, 29))
    parser.add_argument("--days", type=int, default=0, help="generate only the first DAYS sessions (0: all)")
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--facts", action="store_true", help="print the stylised facts beside their ranges")
    parser.add_argument("--oracle", action="store_true", help="print the oracle's 10-day RankIC and that of a linear blend")
    args = parser.parse_args()

    spec = SimulatedMarketSpec(n_stocks=args.stocks, start=args.start, end=args.end, seed=args.seed, bar_minutes=args.minutes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    market = SimulatedMarket(spec)
    sessions = market.calendar.sessions[: args.days or None]
    n_rows = 0
    for _, tables in market.iter_days(as_date(sessions[0]), as_date(sessions[-1]), tuple(TABLES)):
        n_rows += sum(len(frame) for frame in tables.values())
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{args.stocks} stocks x {len(sessions)} sessions, {args.minutes}-minute bars, all six tables: {took:.1f} s, "
          f"{1000 * took / len(sessions):.1f} ms a session, {n_rows / 1e6:.1f} million rows; peak {peak / 1024:.0f} MiB, "
          f"{(peak - before) / 1024:.0f} MiB above the imports; load average {os.getloadavg()[0]:.1f}")
    if args.facts:
        print(compare(stylised_facts(market, market.calendar.first, market.calendar.last)).round(4).to_string())
    if args.oracle:
        print(oracle_table(market).round(4).to_string())


def oracle_table(market: SimulatedMarket) -> pd.DataFrame:
    """Mean 10-day RankIC per half-year of the oracle and of an equal-weight blend of five standard factors."""
    wide: dict[str, dict[dt.date, pd.Series]] = {name: {} for name in ("growth", "return", "turn", "close_share", "oracle")}
    for day, tables in market.iter_days(market.calendar.first, market.calendar.last,
                                        ("daily_bars", "security_status", "intraday_bars")):
        daily, status = (tables[name].set_index("symbol") for name in ("daily_bars", "security_status"))
        bars = tables["intraday_bars"]
        late = bars["volume"].where(bars["bar_end"].dt.strftime("%H:%M") > "14:30", 0.0).groupby(bars["symbol"]).sum()
        traded = daily["trade_status"] == "trading"
        wide["growth"][day] = daily["close"] * daily["adj_factor"]
        wide["return"][day] = (daily["close"] / daily["pre_close"] - 1.0)[traded]
        wide["turn"][day] = (daily["volume"] / status["float_shares"])[traded]
        wide["close_share"][day] = late / daily["volume"][traded]
        wide["oracle"][day] = market.oracle(day).set_index("symbol")["expected_return_10d"]
    frames = {name: pd.DataFrame(days).T for name, days in wide.items()}
    oracle = frames["oracle"].reindex(columns=frames["growth"].columns)
    future = (frames["growth"].shift(-HORIZON) / frames["growth"] - 1.0).where(oracle.notna())
    returns, turn = frames["return"], frames["turn"]
    factors = [
        -returns.rolling(10, min_periods=8).sum(), -returns.rolling(20, min_periods=15).std(),
        -np.log(turn.rolling(20, min_periods=15).mean()),
        -np.log(turn.rolling(10, min_periods=8).mean() / turn.rolling(60, min_periods=40).mean()),
        -frames["close_share"].rolling(20, min_periods=15).mean(),
    ]
    ranks = [f.reindex(columns=oracle.columns).where(oracle.notna()).rank(axis=1, pct=True) for f in factors]
    blend = sum(ranks[1:], start=ranks[0])
    table = pd.DataFrame({
        "oracle": rank_ic(oracle, future), "linear_blend": rank_ic(blend, future), "blend_with_oracle": rank_ic(blend, oracle)})
    half = [f"{day.year}-H{1 if day.month <= 6 else 2}" for day in table.index]
    out = table.groupby(half).mean()
    switch = market.regime_switch or dt.date.max
    # Labels of the ten sessions before the switch already hold part of the crash.
    clean = table[table.index < switch].iloc[:-HORIZON]
    out.loc["before the switch"] = clean.mean()
    out.loc["all"] = table.mean()
    return out


def rank_ic(scores: pd.DataFrame, returns: pd.DataFrame) -> pd.Series:
    """Spearman correlation per date over names that have both."""
    both = scores.notna() & returns.notna()
    return scores.where(both).rank(axis=1).corrwith(returns.where(both).rank(axis=1), axis=1)


if __name__ == "__main__":
    main()
