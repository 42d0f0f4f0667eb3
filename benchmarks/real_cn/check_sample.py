"""Read every session of a column map and run all checks: read time, memory, failures by check, index reproduction.

    python benchmarks/real_cn/check_sample.py [market.toml] [--intraday-every 20]
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import resource
import time
from pathlib import Path

import pandas as pd

from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.market.checks import CheckContext, CheckResult, check_table
from alpha_pipeline.sources.files import FilesMarket

PUBLISHED_WEIGHTS = ("000300.SH", "000905.SH")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("market", nargs="?", default=str(Path(__file__).with_name("market.toml")))
    parser.add_argument("--intraday-every", type=int, default=20, help="check intraday bars on every n-th session only")
    args = parser.parse_args()
    market = FilesMarket.from_toml(args.market)
    daily_tables = [t for t in market.describe().tables if t != "intraday_bars"]
    failures: collections.Counter[tuple[str, str, str]] = collections.Counter()
    dates_failed: collections.Counter[tuple[str, str, str]] = collections.Counter()
    first: dict[tuple[str, str, str], str] = {}
    read_seconds, check_seconds, errors = [], [], []
    previous: dict[str, pd.DataFrame] = {}
    for i, session in enumerate(market.calendar.sessions):
        day = as_date(session)
        start = time.perf_counter()
        tables = market.read_day(day, [*daily_tables, *_intraday(market, day, i, args.intraday_every)])
        read_seconds.append(time.perf_counter() - start)
        context = CheckContext(day, market.calendar, tables["daily_bars"], tables["security_status"], previous,
                               market.config.intraday_minutes, market.config.checks)
        start = time.perf_counter()
        for result in (r for name, frame in tables.items() for r in check_table(name, frame, context) if not r.passed):
            _count(result, failures, dates_failed, first)
        check_seconds.append(time.perf_counter() - start)
        if previous:
            errors.append({"date": day, **index_errors(previous, tables)})
        previous = {name: frame for name, frame in tables.items() if name != "intraday_bars"}
    later, checks = pd.Series(read_seconds[1:]).median(), pd.Series(check_seconds).median()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(read_seconds)} sessions; first read {read_seconds[0]:.1f} s, then {1e3 * later:.0f} ms a date (median)")
    print(f"checks {1e3 * checks:.0f} ms a date; peak memory {peak:.0f} MiB")
    for key, count in sorted(failures.items()):
        print(f"{'.'.join(key[:2])} ({key[2]}): {count} rows on {dates_failed[key]} dates; {first[key]}")
    print("dropped:", market.dropped_rows())
    table = pd.DataFrame(errors).set_index("date") * 1e4
    table.index = pd.DatetimeIndex(table.index).year
    print(
        "index return, weights of t-1 x returns of t: mean absolute error in bp by year\n",
        table.abs().groupby(level=0).mean().round(2),
    )


def _intraday(market: FilesMarket, day: dt.date, i: int, every: int) -> list[str]:
    if "intraday_bars" not in market.config.tables or i % every:
        return []
    first, last = market.coverage("intraday_bars")
    return ["intraday_bars"] if first <= day <= last else []


def _count(
    result: CheckResult,
    failures: collections.Counter[tuple[str, str, str]],
    dates: collections.Counter[tuple[str, str, str]],
    first: dict[tuple[str, str, str], str],
) -> None:
    key = (result.table, result.name, result.severity)
    failures[key] += result.n_failed
    dates[key] += 1
    first.setdefault(key, result.message)


def index_errors(before: dict[str, pd.DataFrame], now: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Return by constituents minus return of the price index. A dividend lowers a price index, so only splits are taken out."""
    status = now["daily_bars"].set_index("symbol")
    old = before["daily_bars"].set_index("symbol")
    ratio = (status["adj_factor"] / old["adj_factor"]).where(lambda r: r >= 1.18, 1.0)
    returns = status["close"] / old["close"] * ratio - 1
    errors = {}
    for code in PUBLISHED_WEIGHTS:
        held = before["index_weights"].query("index_code == @code").set_index("symbol")["weight"]
        levels = [frame["index_bars"].set_index("index_code")["close"][code] for frame in (before, now)]
        errors[code] = float((held * returns.reindex(held.index).fillna(0)).sum()) - (levels[1] / levels[0] - 1)
    return errors


if __name__ == "__main__":
    main()
