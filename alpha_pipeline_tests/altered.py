"""Helpers of the integrity tests: a market whose rows are other ones between two dates, and fingerprints of everything the graph stores."""

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alpha_pipeline.digest import combine, content_hash, digest
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS
from alpha_pipeline.features.panel import Panel
from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.markets import load_market, open_source
from alpha_pipeline.pipeline.portfolios import rebalance_session
from alpha_pipeline.pipeline.training import checkpoint_name
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.sources.base import MarketSource, SourceDescription
from alpha_pipeline.store import Manifest
from alpha_pipeline.training.checkpoint import load_checkpoint

NEW_SYMBOL, NEW_INDUSTRY = "000000.SZ", "新行业"  # sorts before every other symbol: an axis that is sorted anew would move all columns
PANEL_ASSETS = {"universe": "status", "daily_panel": "daily", "intraday_15m_panel": "intraday_15m",
                **{f"{name}_panel": name for name in CHARACTERISTIC_PANELS}}
_OHLC = ("open", "high", "low", "close")


# ---------------------------------------------------------------------------------------------------------- another market after a date


@dataclass(frozen=True)
class AlteredMarket:
    """A source that tells another story on the sessions in [first, last] and repeats ``inner`` on all others.

    Prices, quantities, shares, industries, boards, flags, index weights and levels, report figures and the oracle all change, consistently, so
    that the checks of the raw tables still pass. With ``moves_listings`` a new name with a new industry lists and one name disappears.
    """

    inner: Any
    first: dt.date
    last: dt.date
    moves_listings: bool = True
    seed: int = 5

    def describe(self) -> SourceDescription:
        return self.inner.describe()

    @property
    def calendar(self) -> TradingCalendar:
        return self.inner.calendar

    def read_day(self, trade_date: dt.date, tables: Sequence[str]) -> dict[str, pd.DataFrame]:
        frames = self.inner.read_day(trade_date, tables)
        if not self.first <= trade_date <= self.last:
            return frames
        status = self.inner.read_day(trade_date, ["security_status"])["security_status"]
        story = _Story(status, trade_date, self.calendar.index(trade_date) - self._origin, self.moves_listings, self.seed)
        return {name: story.tables[name](frame) for name, frame in frames.items()}

    def iter_days(self, start: dt.date, end: dt.date, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]:
        for day in self.calendar.between(start, end):
            yield as_date(day), self.read_day(as_date(day), tables)

    def oracle(self, trade_date: dt.date) -> pd.DataFrame:
        frame = self.inner.oracle(trade_date)
        if self.first <= trade_date <= self.last:
            frame["expected_return_10d"] = frame["expected_return_10d"].to_numpy()[::-1] + 0.01
        return frame

    @property
    def _origin(self) -> int:
        return int(np.searchsorted(self.calendar.sessions, np.datetime64(self.first, "D")))


class _Story:
    """The draws of one altered session, per stock, and what they make of each table."""

    def __init__(self, status: pd.DataFrame, date: dt.date, n_before: int, moves_listings: bool, seed: int) -> None:
        rng = np.random.default_rng([seed, date.toordinal()])
        n = len(status)
        self._date, self._n_before, self._moves = date, n_before, moves_listings
        self._symbols = pd.Index(status["symbol"])
        self._price = rng.uniform(0.9, 1.1, n)
        self._quantity = rng.uniform(0.5, 2.0, n)
        self._shares = rng.uniform(1.1, 1.5, n)
        self._halted = rng.random(n) < 0.06
        self._st = rng.random(n) < 0.15
        self._delisting = rng.random(n) < 0.04
        self._order = np.roll(np.arange(n), 1 + n_before % 5)
        self._donor, self._gone = self._symbols[0], self._symbols[-1]
        self._rng = rng
        self.tables: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
            "security_status": self._security_status, "daily_bars": self._daily_bars, "intraday_bars": self._intraday_bars,
            "index_weights": self._index_weights, "index_bars": self._index_bars, "fundamentals": self._fundamentals,
        }

    def _of(self, frame: pd.DataFrame, values: np.ndarray) -> np.ndarray:
        """A per-stock draw on the rows of a frame."""
        return values[self._symbols.get_indexer(frame["symbol"])]

    def _listings(self, frame: pd.DataFrame, table: str, **of_new: object) -> pd.DataFrame:
        """The frame without the name that is gone, with a new one that copies the first name's rows."""
        if not self._moves:
            return frame
        new = frame[frame["symbol"] == self._donor].assign(symbol=NEW_SYMBOL, **of_new)
        kept = frame[frame["symbol"] != self._gone]
        return pd.concat([kept, new], ignore_index=True).sort_values(list(TABLES[table].key), ignore_index=True)

    def _security_status(self, frame: pd.DataFrame) -> pd.DataFrame:
        out = frame.copy()
        for name in ("limit_up", "limit_down"):
            out[name] = frame[name] * self._price
        for name in ("total_shares", "float_shares", "free_float_shares"):
            out[name] = np.round(frame[name] * self._shares)
        for name in ("industry", "board"):
            out[name] = frame[name].to_numpy()[self._order]
        out["is_st"] = frame["is_st"].to_numpy() ^ self._st
        out["is_delisting"] = frame["is_delisting"].to_numpy() ^ self._delisting
        out["is_suspended"] = frame["is_suspended"].to_numpy() | self._halted
        out["listed_days"] = frame["listed_days"] + 37
        return self._listings(out, "security_status", industry=NEW_INDUSTRY, listed_days=self._n_before + 1)

    def _daily_bars(self, frame: pd.DataFrame) -> pd.DataFrame:
        out = frame.copy()
        price, quantity, halted = (self._of(frame, draw) for draw in (self._price, self._quantity, self._halted))
        for name in (*_OHLC, "pre_close", "vwap"):
            out[name] = frame[name] * price
        out["volume"] = frame["volume"] * quantity
        out["amount"] = frame["amount"] * price * quantity
        out["adj_factor"] = frame["adj_factor"] * (1.2 + 0.01 * self._n_before)  # rises, as a backward factor does
        for name in (*_OHLC, "vwap"):
            out.loc[halted, name] = out.loc[halted, "pre_close"]
        out.loc[halted, ["volume", "amount"]] = 0.0
        out.loc[halted, "trade_status"] = "suspended"
        return self._listings(out, "daily_bars")

    def _intraday_bars(self, frame: pd.DataFrame) -> pd.DataFrame:
        out = frame.copy()
        price, quantity, halted = (self._of(frame, draw) for draw in (self._price, self._quantity, self._halted))
        for name in (*_OHLC, "vwap"):
            out[name] = frame[name] * price
        out["volume"] = frame["volume"] * quantity
        for name in ("amount", "buy_amount", "sell_amount"):
            out[name] = frame[name] * price * quantity
        out["trade_count"] = frame["trade_count"] + 1
        return self._listings(out[~halted], "intraday_bars")

    def _index_weights(self, frame: pd.DataFrame) -> pd.DataFrame:
        out = self._listings(frame.assign(weight=frame["weight"] * self._rng.uniform(0.5, 1.5, len(frame))), "index_weights")
        out["weight"] /= out.groupby("index_code")["weight"].transform("sum")
        return out

    def _index_bars(self, frame: pd.DataFrame) -> pd.DataFrame:
        out, level = frame.copy(), self._rng.uniform(0.8, 1.2, len(frame))
        for name in _OHLC:
            out[name] = frame[name] * level
        out["close_total_return"] = frame["close_total_return"] * level * 1.01
        return out

    def _fundamentals(self, frame: pd.DataFrame) -> pd.DataFrame:
        figures = [c.name for c in TABLES["fundamentals"].columns if c.dtype == "float64"]
        out = frame.copy()
        out[figures] = frame[figures].fillna(1.0) * 1.7 + 1.0
        out["announce_date"] = frame["announce_date"] - np.timedelta64(1, "D")
        return out[out["symbol"] != self._gone].reset_index(drop=True) if self._moves else out


class AlteredResource(MarketResource):
    """The market of the graph with rows that differ after ``known_until`` (ISO date)."""

    known_until: str

    def workspace(self) -> Workspace:
        name = (self.root, self.known_until)
        if name not in _opened:
            _opened[name] = altered_after(self.root, self.market, self.known_until)
        return _opened[name]


_opened: dict[tuple[str, str], Workspace] = {}


def altered_after(root: str | Path, market: str, known_until: str) -> Workspace:
    """A workspace on the market that is another one after ``known_until``."""
    config = load_market(market)
    source: MarketSource = AlteredMarket(open_source(config), as_date(known_until) + dt.timedelta(days=1), config.end)
    return Workspace(config, str(root), source)


def copy_until(work: Workspace, root: Path, tables: Sequence[str], last: str, *, with_panels: bool) -> Path:
    """A market's raw ``tables`` up to ``last`` (and its panels, cut there) under another root; nothing that was computed further down."""
    for table in tables:
        folder = root / "lake" / table
        folder.mkdir(parents=True)
        for file in (Path(work.root) / "lake" / table).iterdir():
            if file.name[:10] <= last:
                shutil.copy2(file, folder / file.name)
    if with_panels:
        shutil.copytree(Path(work.root) / "panels", root / "panels")
        copied = Workspace(work.market, str(root), work.source)
        for name in panel_names(copied):
            panel = copied.panels.by_name(name)
            panel.truncate(next((date for date in panel.dates if date > last), "9999"))
    return root


# ------------------------------------------------------------------------------------------------------------------------- fingerprints


class UnknownAssetError(AssertionError):
    """The graph has an asset of which these tests do not know what it stores."""


def panel_names(work: Workspace) -> list[str]:
    """Names of the panels that exist in a store."""
    return sorted(path.name.removesuffix(".json") for path in (Path(work.root) / "panels").glob("*.json") if path.name != "axes.json")


def manifest_print(manifest: Manifest | None) -> str:
    """Hash of a partition's or bundle's bytes, of what it says it was computed from, and of the facts beside it."""
    return "absent" if manifest is None else combine([manifest.content, manifest.source, digest(manifest.meta)])


@dataclass(frozen=True)
class Print:
    """What is known of one partition: the date of its information (ISO; empty for a result without partitions) and its fingerprint."""

    dated: str
    content: str


Prints = dict[str, Print]


def panel_prints(panel: Panel) -> Prints:
    """Date → hash of source, checksum and bits of each row of a panel. Columns of names that list later are empty and do not count."""
    values, missing = panel.values, panel.spec.dtype == "float32"
    prints = {}
    for at, row in enumerate(panel.rows):
        data = np.array(values[at])
        bits = content_hash(np.ascontiguousarray(data[..., : row.n_symbols]).tobytes())
        rest = data[..., row.n_symbols:]
        empty = bool(np.isnan(rest).all() if missing else (rest == 0).all())
        prints[row.date] = Print(row.date, combine([row.source, row.checksum, bits, str(empty), *panel.axis.symbols[: row.n_symbols]]))
    return prints


def _table_prints(work: Workspace, asset: str) -> Prints:
    return {key: Print(key, manifest_print(work.store.manifest(asset, key))) for key in work.store.keys(asset)}


def _panel_asset(work: Workspace, asset: str) -> Prints:
    return panel_prints(work.panels.by_name(PANEL_ASSETS.get(asset) or "label_" + asset.removeprefix("labels/")))


def _half_year_start(period: str) -> str:
    return f"{period[:4]}-{'01' if period.endswith('H1') else '07'}-01"


def _training_set(work: Workspace, asset: str) -> Prints:
    return {period: Print(_half_year_start(period), manifest_print(work.store.manifest(asset, period))) for period in work.store.keys(asset)}


def _checkpoint(work: Workspace, asset: str) -> Prints:
    model = asset.split("/")[1]
    prints = {}
    for folder in (Path(work.root) / "models" / model).iterdir():
        checkpoint = load_checkpoint(Path(work.root) / checkpoint_name(model, folder.name))
        prints[folder.name] = Print(_half_year_start(folder.name), combine([checkpoint.checkpoint_hash, digest(checkpoint.manifest)]))
    return prints


def _weeks(work: Workspace, asset: str) -> Prints:
    prints = {}
    for week in work.store.keys(asset):
        session = rebalance_session(week, work.calendar)
        prints[week] = Print(str(session or week), manifest_print(work.store.manifest(asset, week)))
    return prints


def _fits(work: Workspace, asset: str) -> Prints:
    names = {name.rsplit("/", 1)[-1]: name for name in work.store.bundles(f"{asset}/")}
    return {period: Print(_half_year_start(period), manifest_print(work.store.bundle(name))) for period, name in names.items()}


def _bundle(work: Workspace, asset: str) -> Prints:
    return {"bundle": Print("", manifest_print(work.store.bundle(asset)))}


_KINDS: tuple[tuple[str, Callable[[Workspace, str], Prints]], ...] = (
    (rf"{'|'.join(TABLES)}", _table_prints),
    (rf"{'|'.join(PANEL_ASSETS)}|labels/\w+", _panel_asset),
    (r"risk/(?:exposures|factor_returns|specific_returns|covariance|specific)", _table_prints),
    (r"models/\w+/training_set", _training_set),
    (r"models/\w+/checkpoint", _checkpoint),
    (r"(?:models|combinations)/\w+/scores|signals/\w+/factor", _table_prints),
    (r"combinations/\w+/fit", _fits),
    (r"portfolios/\w+/(?:weights|changes)", _weeks),
    (r"signals/\w+/factor_test|portfolios/\w+/(?:backtest|attribution)|studies/\w+/\w+|reports/\w+", _bundle),
)


def fingerprints(work: Workspace, asset: str) -> Prints:
    """Partition → fingerprint and date of its information, for every stored partition of an asset.

    Trade dates are dated by themselves, weeks by their signal session, half-years by their first day (what they hold was known before). That a
    result without partitions was computed up to the wanted date is the caller's business. Raises :class:`UnknownAssetError` for an asset of a kind
    that is not listed here, so that a new one cannot slip by.
    """
    for pattern, prints in _KINDS:
        if re.fullmatch(pattern, asset):
            return prints(work, asset)
    raise UnknownAssetError(f"no fingerprint is known for asset '{asset}': add its kind to {__name__}, so that look-ahead through it is tested")


def up_to(prints: Prints, date: str) -> Prints:
    """The partitions whose information is dated on or before ``date``."""
    return {key: found for key, found in prints.items() if found.dated <= date}


def differing(first: Prints, second: Prints) -> list[str]:
    """Partitions that are not the same in both, or in one of them only."""
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))
