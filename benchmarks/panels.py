"""Storage: the dense panel of 15-minute bars against the daily parquet files that hold the same numbers.

    python -m benchmarks.panels [--stocks 5000] [--days 250] [--repeats 5] [--folder DIR]

Both are written first (random prices, the store's own compression), then read in turn, medians of interleaved repeats:

* parquet: every day's file into a data frame, and further into one array (days, 16, 6, stocks);
* panel: open it and copy every value into memory; open it and take one 20-day window, which is what a training step asks for.

Files are in the page cache for both sides. Then one more date is appended, with its checksum and the commit of the index.
Bars: opening and reading the whole panel is at least 15 times as fast as reading the parquet days; appending a date takes less
than 50 ms.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from alpha_pipeline.features.panel import Panel, SymbolAxis
from alpha_pipeline.features.rows import INTRADAY_15M
from alpha_pipeline.store import Store

TABLE = "intraday_bars"
WINDOW_DAYS = 20


def write_both(folder: Path, n_stocks: int, n_days: int) -> list[str]:
    """The same random days as parquet partitions and as a panel; the dates written."""
    rng = np.random.default_rng(0)
    symbols = [f"{600000 + i}.SH" for i in range(n_stocks)]
    dates = [str(day.date()) for day in pd.bdate_range("2020-01-01", periods=n_days)]
    axis = SymbolAxis(folder)
    assert (axis.columns(symbols) == np.arange(n_stocks)).all()
    store, panel = Store(folder / "store"), Panel(folder, INTRADAY_15M, axis)
    with panel.appending() as rows:
        for date in dates:
            values = random_day(rng, n_stocks)
            rows.add(date, values, "random")
            store.write(TABLE, date, _frame(date, symbols, values))
    return dates


def random_day(rng: np.random.Generator, n_stocks: int) -> np.ndarray:
    """(16, 6, stocks) float32: prices in cents that move little during the day, whole-share volumes."""
    values = np.empty((INTRADAY_15M.steps, len(INTRADAY_15M.fields), n_stocks), dtype=np.float32)
    base = rng.lognormal(2.5, 0.7, n_stocks)
    values[:, :5] = np.round(base * (1 + 0.01 * rng.standard_normal((INTRADAY_15M.steps, 5, n_stocks))), 2) + 0.01
    values[:, 5] = rng.integers(1, 20_000, (INTRADAY_15M.steps, n_stocks)) * 100
    return values


def _frame(date: str, symbols: list[str], values: np.ndarray) -> pd.DataFrame:
    steps, n_stocks = values.shape[0], values.shape[2]
    ends = pd.Timestamp(date) + pd.to_timedelta(np.arange(1, steps + 1) * 15, unit="min")
    by_symbol = values.transpose(2, 0, 1).reshape(n_stocks * steps, -1).astype(np.float64)
    return pd.DataFrame(
        {
            "symbol": np.repeat(symbols, steps),
            "bar_end": np.tile(ends.to_numpy(), n_stocks),
            **dict(zip(INTRADAY_15M.fields, by_symbol.T, strict=True)),
        }
    )


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(folder: Path, n_stocks: int, n_days: int, repeats: int) -> dict[str, float]:
    """Median seconds of each way, printed with ratios and bars."""
    dates = write_both(folder, n_stocks, n_days)
    files = Store(folder / "store").data_files(TABLE)
    shape = (n_stocks, INTRADAY_15M.steps, len(INTRADAY_15M.fields))

    def frames() -> list[pd.DataFrame]:
        return [pd.read_parquet(file) for file in files]

    def array_of_frames() -> np.ndarray:
        out = np.empty((n_days, *shape[1:], n_stocks), dtype=np.float32)
        for at, file in enumerate(files):
            bars = pd.read_parquet(file, columns=list(INTRADAY_15M.fields))
            out[at] = bars.to_numpy().reshape(shape).transpose(1, 2, 0)
        return out

    def opened() -> np.ndarray:
        return Panel(folder, INTRADAY_15M, SymbolAxis(folder)).values

    ways: dict[str, Callable[[], object]] = {
        "parquet days into frames": frames,
        "parquet days into one array": array_of_frames,
        "panel, every value": lambda: np.array(opened()),
        "panel, one 20-day window": lambda: np.array(opened()[-WINDOW_DAYS:]),
    }
    assert np.array_equal(opened(), array_of_frames()), "panel and parquet hold the same numbers"
    times: dict[str, list[float]] = {name: [] for name in (*ways, "append one date")}
    rng = np.random.default_rng(1)
    later = iter(str(day.date()) for day in pd.bdate_range(pd.Timestamp(dates[-1]) + pd.Timedelta(days=1), periods=repeats + 1))
    for repeat in range(repeats + 1):
        taken = {name: seconds(way) for name, way in ways.items()}
        row, date = random_day(rng, n_stocks), next(later)
        taken["append one date"] = seconds(lambda d=date, r=row: _append(folder, d, r))  # type: ignore[misc]
        if repeat:  # the first round warms the page cache
            for name, took in taken.items():
                times[name].append(took)
    median = {name: statistics.median(taken) for name, taken in times.items()}
    size = {"parquet": sum(os.path.getsize(file) for file in files), "panel": sum(f.stat().st_size for f in folder.glob("*.bin"))}
    print(
        f"{n_days} days x {n_stocks} stocks x {INTRADAY_15M.steps} bars x {len(INTRADAY_15M.fields)} fields; parquet "
        f"{size['parquet'] / 2**20:.0f} MiB, panel {size['panel'] / 2**20:.0f} MiB; {repeats} repeats, "
        f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"
    )
    whole = median["panel, every value"]
    for name, took in median.items():
        ratio = f"   {took / whole:6.1f} x the whole panel" if name.startswith("parquet") else ""
        print(f"  {name:28s} {1e3 * took:9.1f} ms{ratio}")
    return median


def _append(folder: Path, date: str, values: np.ndarray) -> None:
    with Panel(folder, INTRADAY_15M, SymbolAxis(folder)).appending() as rows:
        rows.add(date, values, "random")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=5000)
    parser.add_argument("--days", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder); about 4 kB a stock and day")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.stocks, options.days, options.repeats)


if __name__ == "__main__":
    main()
