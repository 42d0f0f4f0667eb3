"""One day of intraday characteristics against the pandas groupby that one would write first.

    python -m benchmarks.characteristics [--stocks 5000] [--minutes 1] [--peer-stocks 250]

Prints seconds for all characteristics of a day (medians of interleaved repeats; bars as arrays for ours, as a sorted frame for pandas), the
ratio per stock, and the largest relative difference of the two results. The pandas side runs on fewer stocks, because it is slow; its time
grows in proportion to their number. Ours works in the calling thread. Also printed: one day from the raw table to the row of ``mschars``.
Bars: at most 2 s a day at 5,000 stocks and one-minute bars, at least 20 times as fast as pandas, same numbers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from alpha_pipeline.features.characteristics import CHARACTERISTICS, Bars, compute
from alpha_pipeline.features.characteristics.panels import MSCHARS, build_row
from alpha_pipeline.features.panel import SymbolAxis
from alpha_pipeline.features.rows import session_minute

BAR_SECONDS, BAR_RATIO = 2.0, 20.0


def made_up_day(n_stocks: int, minutes: int, seed: int = 0) -> pd.DataFrame:
    """``intraday_bars`` of one date, sorted by symbol and time, with columns ``previous_close`` and ``float_shares`` beside it.

    Some bars without volume, some stocks at one price all day, one without any volume.
    """
    rng = np.random.default_rng(seed)
    n_bars = 240 // minutes
    shape = (n_stocks, n_bars)
    first = np.round(10 ** rng.uniform(0.5, 2, n_stocks), 2)
    path = first[:, None] * np.exp(np.cumsum(rng.standard_t(4, shape) * 0.001 * np.sqrt(minutes), axis=1))
    is_flat = np.arange(n_stocks) % 40 == 7
    close = np.maximum(np.round(np.where(is_flat[:, None], first[:, None], path), 2), 0.01)
    before = np.concatenate([first[:, None], close[:, :-1]], axis=1)
    spread = np.where(is_flat[:, None], 0, rng.integers(0, 3, shape))
    high, low = np.maximum(before, close) + 0.01 * spread, np.maximum(np.minimum(before, close) - 0.01 * spread, 0.01)
    volume = np.round(rng.lognormal(8, 1, shape)) * 100 * (rng.random(shape) > 0.03)
    volume[np.arange(n_stocks) % 50 == 11] = 0
    amount = volume * (high + low) / 2
    trades = np.where(volume > 0, np.ceil(volume / rng.lognormal(6, 0.7, shape)), 0.0)
    bought = amount * rng.uniform(0.1, 0.9, shape)
    at = np.arange(minutes, 241, minutes)
    ends = np.where(at <= 120, 570 + at, 660 + at).astype("timedelta64[m]") + np.datetime64("2024-01-05", "s")
    names = np.array([f"{i:06d}.SZ" for i in range(n_stocks)])
    columns = {"open": before, "high": high, "low": low, "close": close, "volume": volume, "amount": amount, "trade_count": trades,
               "buy_amount": bought, "sell_amount": amount - bought}
    frame = pd.DataFrame({"symbol": np.repeat(names, n_bars), "bar_end": np.tile(ends, n_stocks),
                          **{name: values.ravel() for name, values in columns.items()}})
    frame["previous_close"] = np.repeat(first * rng.uniform(0.97, 1.03, n_stocks), n_bars)
    frame["float_shares"] = np.repeat(rng.lognormal(19, 1, n_stocks), n_bars)
    return frame


def as_bars(frame: pd.DataFrame, minutes: int) -> Bars:
    """The same day as arrays."""
    names = ("open", "high", "low", "close", "volume", "amount", "trade_count", "buy_amount", "sell_amount")
    grids = {name: frame[name].to_numpy().reshape(-1, 240 // minutes) for name in names}
    rows = {name: frame[name].to_numpy().reshape(-1, 240 // minutes)[:, 0] for name in ("previous_close", "float_shares")}
    return Bars.of_day(minutes, **grids, **rows)  # type: ignore[arg-type]


def by_stock(day: pd.DataFrame, minutes: int) -> pd.Series:
    """All characteristics of one stock's day from its bars in order of time, with pandas; NaN where one is undefined or has too few bars."""
    day = day.reset_index(drop=True)
    n, half = len(day), 30 // minutes if 30 % minutes == 0 else 0
    close, volume, amount = day["close"], day["volume"], day["amount"]
    first = day["open"].iloc[0]
    before = close.shift(1, fill_value=first)
    r = np.log(close / before)
    variance = (r**2).sum()
    moves, trades = variance > 0, volume.sum() > 0
    large_third = volume.sort_values(ascending=False, kind="stable").index[: -(-n // 3)]
    out: dict[str, float] = {
        "intraday_return": close.iloc[-1] / first - 1,
        "overnight_return": first / day["previous_close"].iloc[0] - 1,
        "realized_variance": variance,
        "max_drawdown": (1 - close / close.cummax().clip(lower=first)).max(),
        "high_low_range": np.log(day["high"].max() / day["low"].min()),
    }
    if half:
        ten, half_past_two = close.iloc[half - 1], before.iloc[-half]
        last = close.iloc[-1]
        out |= {"opening_return": ten / first - 1, "closing_return": last / half_past_two - 1, "improved_reversal": last / ten - 1}
        late = r.iloc[-half:]
        if half >= 3 and (late**2).sum() > 0:
            out["closing_skewness"] = np.sqrt(half) * (late**3).sum() / (late**2).sum() ** 1.5
    if moves:
        out |= {
            "upside_variance_share": (r[r > 0] ** 2).sum() / variance,
            "realized_skewness": np.sqrt(n) * (r**3).sum() / variance**1.5,
            "realized_kurtosis": n * (r**4).sum() / variance**2,
            "trend_strength": abs(np.log(close.iloc[-1] / first)) / r.abs().sum(),
            "return_autocorrelation": ((r - r.mean()) * (r - r.mean()).shift(1)).sum() / ((r - r.mean()) ** 2).sum(),
            "jump_share": max(0.0, 1 - np.pi / 2 * n / (n - 1) * (r.abs() * r.abs().shift(1)).sum() / variance),
        }
        if n >= 8:
            out["variance_ratio"] = (r.rolling(4).sum() ** 2).mean() / (4 * (r**2).mean())
    if day["high"].max() > day["low"].min():
        out["close_position"] = (close.iloc[-1] - day["low"].min()) / (day["high"].max() - day["low"].min())
    if trades:
        traded = amount > 0
        out |= {
            "vwap_deviation": close.iloc[-1] / (amount.sum() / volume.sum()) - 1,
            "opening_volume_share": volume.iloc[:half].sum() / volume.sum() if half else np.nan,
            "closing_volume_share": volume.iloc[-half:].sum() / volume.sum() if half else np.nan,
            "volume_share": 1.0,
            "volume_concentration": ((volume / volume.sum()) ** 2).sum(),
            "amihud": 1e8 * (r[traded].abs() / amount[traded]).mean(),
            "top_volume_turnover": volume[large_third].sum() / day["float_shares"].iloc[0],
            "top_volume_return": r[large_third].sum(),
            "peak_volume_return": r[volume.idxmax()],
        }
        if close.nunique() > 1 and volume.nunique() > 1:
            out["price_volume_correlation"] = close.corr(volume)
        if moves and volume.nunique() > 1:
            out["size_volume_correlation"] = r.abs().corr(volume)
        out |= _order_flow_by_stock(day, r, half)
    return pd.Series(out).reindex(list(CHARACTERISTICS))


def _order_flow_by_stock(day: pd.DataFrame, r: pd.Series, half: int) -> dict[str, float]:
    amount, count = day["amount"], day["trade_count"]
    net = day["buy_amount"] - day["sell_amount"]
    size = (amount / count).where(count > 0)
    log_size = np.log(size)
    large = log_size > log_size.mean() + log_size.std(ddof=0)
    large_net = net.where(large, 0.0)
    push = size.sort_values(ascending=False, kind="stable", na_position="last").index[: int(np.ceil(0.3 * len(day) - 1e-9))]

    def strength(x: pd.Series) -> float:
        return x.mean() / x.std(ddof=0) if x.nunique() > 1 else np.nan

    out = {
        "net_buying": net.sum() / amount.sum(), "net_buying_strength": strength(net), "large_net_buying": large_net.sum() / amount.sum(),
        "large_net_buying_strength": strength(large_net), "large_push_return": r[push].sum(),
        "large_amount_share": amount[large].sum() / amount.sum(),
    }
    if half:
        opening, closing = amount.iloc[:half].sum(), amount.iloc[-half:].sum()
        out |= {
            "opening_net_buying": net.iloc[:half].sum() / opening if opening > 0 else np.nan,
            "closing_net_buying": net.iloc[-half:].sum() / closing if closing > 0 else np.nan,
        }
        if half >= 2:
            out["opening_large_net_buying"] = large_net.iloc[:half].sum() / opening if opening > 0 else np.nan
        if half >= 3:
            out |= {"opening_net_buying_strength": strength(net.iloc[:half]), "opening_large_net_buying_strength": strength(large_net.iloc[:half])}
    falls = r < 0
    if count[falls].sum() > 0:
        out["outflow_trade_size"] = (amount[falls].sum() / count[falls].sum()) / (amount.sum() / count.sum())
    return out


def with_pandas(frame: pd.DataFrame, minutes: int) -> pd.DataFrame:
    """All characteristics by stock (rows) with a groupby."""
    return frame.groupby("symbol", sort=True).apply(by_stock, minutes)


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of values relative to the larger of 1e-3 and their size; infinite where only one of them is missing."""
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return float("inf")
    scale = np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), 1e-3)
    return float(np.nanmax(np.abs(ours - theirs) / scale))


def measure(n_stocks: int, minutes: int, n_peer: int, n_repeats: int = 3) -> dict[str, float]:
    """Seconds of a day for ours (``n_stocks``) and pandas (``n_peer``), and their largest difference."""
    frame = made_up_day(n_stocks, minutes)
    few = frame[frame["symbol"].isin(frame["symbol"].unique()[:n_peer])]
    names = list(CHARACTERISTICS)
    times: dict[str, list[float]] = {"ours": [], "pandas": []}
    for _ in range(n_repeats):
        began = time.perf_counter()
        ours = compute(names, as_bars(frame, minutes))
        times["ours"].append(time.perf_counter() - began)
        began = time.perf_counter()
        theirs = with_pandas(few, minutes)
        times["pandas"].append(time.perf_counter() - began)
    return {"ours": statistics.median(times["ours"]), "pandas": statistics.median(times["pandas"]),
            "difference": largest_difference(ours[:, :n_peer], theirs.to_numpy().T)}


def seconds_of_row(n_stocks: int, minutes: int) -> float:
    """One day from its raw tables to the row of ``mschars``."""
    frame = made_up_day(n_stocks, minutes)
    symbols = frame["symbol"].unique()
    daily = pd.DataFrame({"symbol": symbols, "pre_close": 10.0})
    status = pd.DataFrame({"symbol": symbols, "float_shares": 1e8, "is_suspended": False})
    with tempfile.TemporaryDirectory() as folder:
        axis = SymbolAxis(Path(folder))
        axis.columns(list(symbols))
        began = time.perf_counter()
        build_row(MSCHARS, frame, daily, status, session_minute(frame["bar_end"]), minutes, axis)
        return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=5000)
    parser.add_argument("--minutes", type=int, default=1)
    parser.add_argument("--peer-stocks", type=int, default=250)
    options = parser.parse_args(arguments)
    found = measure(options.stocks, options.minutes, options.peer_stocks)
    per_stock = found["pandas"] / options.peer_stocks / (found["ours"] / options.stocks)
    print(f"{len(CHARACTERISTICS)} characteristics, {options.minutes}-minute bars, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"ours              {options.stocks:5d} stocks  {found['ours']:7.2f} s a day ({'meets' if found['ours'] <= BAR_SECONDS else 'MISSES'} "
          f"{BAR_SECONDS:g})")
    print(f"pandas groupby    {options.peer_stocks:5d} stocks  {found['pandas']:7.2f} s a day   ratio per stock {per_stock:.0f} x "
          f"({'meets' if per_stock >= BAR_RATIO else 'MISSES'} {BAR_RATIO:g})   largest difference {found['difference']:.0e}")
    print(f"raw table to row  {options.stocks:5d} stocks  {seconds_of_row(options.stocks, options.minutes):7.2f} s a day (mschars)")


if __name__ == "__main__":
    main()
