"""Markets: which source, which dates, which checks. Built-in ones are simulated; others are TOML files named on the command line.

A column map of the ``files`` source (see docs/data.md) is a market file. A simulated market looks like this::

    name = "my_market"
    source = "simulated"
    start = 2019-01-02
    end = 2022-12-30

    [simulated]
    n_stocks = 800
    seed = 7

    [checks]
    coverage = "warn"
"""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from alpha_pipeline.digest import digest
from alpha_pipeline.errors import InvalidSpec, MissingData, sentence, unknown_name
from alpha_pipeline.market.calendar import TradingCalendar, as_date
from alpha_pipeline.market.checks import CHECKS, validate_overrides
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.base import MarketSource, SourceDescription

DEFAULT_MARKET = "demo"
DATA_ROOT_VARIABLE = "ALPHA_PIPELINE_DATA"
MARKET_VARIABLE = "ALPHA_PIPELINE_MARKET"


@dataclass(frozen=True)
class SimulatedSettings:
    """Size and seed of a simulated market; ``bar_minutes`` is the frequency of its intraday bars."""

    n_stocks: int = 300
    seed: int = 7
    bar_minutes: int = 15


@dataclass(frozen=True)
class MarketConfig:
    """One market. ``file`` is the TOML it came from (empty for built-in ones); ``checks`` lowers the severity of named checks.

    ``experiments``: whose assets the market's graph holds, and so its jobs and schedules; empty for every one that the market can carry.
    ``column_map``, ``without``: for a file that cuts another one's column map to a range of dates and leaves tables out.
    """

    name: str
    source: str
    start: dt.date
    end: dt.date
    simulated: SimulatedSettings = SimulatedSettings()
    file: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    column_map: str = ""
    without: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()

    def digest(self) -> str:
        """Hash of everything that decides the data (the text of the file included)."""
        text = "".join(Path(path).read_text() for path in (self.file, self.column_map) if path)
        return digest([self.name, self.source, self.start, self.end, self.simulated, dict(self.checks), self.without, text])


MARKETS: dict[str, MarketConfig] = {
    market.name: market
    for market in (
        MarketConfig("demo", "simulated", dt.date(2022, 7, 1), dt.date(2024, 6, 28), SimulatedSettings(300, 7),
                     description="300 simulated stocks, two years, 15-minute bars: what `make demo` runs on", experiments=("demo",)),
        MarketConfig("ci", "simulated", dt.date(2023, 1, 3), dt.date(2023, 9, 28), SimulatedSettings(60, 11),
                     description="60 simulated stocks, nine months: the market of the tests"),
        MarketConfig("small", "simulated", dt.date(2021, 1, 4), dt.date(2024, 6, 28), SimulatedSettings(300, 7, bar_minutes=5),
                     description="300 simulated stocks, three and a half years, 5-minute bars: what the small forms of the five systems run on",
                     experiments=("alphanet_small", "multifreq_small", "multimodel_small", "riskcontrol_small", "attention_small")),
        MarketConfig("simulated", "simulated", dt.date(2019, 1, 2), dt.date(2023, 12, 29), SimulatedSettings(800, 7),
                     description="800 simulated stocks, five years, regime switch in spring 2023: research on planted alpha"),
    )
}


def load_market(name_or_file: str) -> MarketConfig:
    """A built-in market by name, or one described by a TOML file.

    Raises :class:`UnknownName` for a name that is neither and :class:`InvalidSpec` for a field that does not exist.
    """
    if name_or_file in MARKETS:
        return MARKETS[name_or_file]
    path = Path(name_or_file)
    if path.suffix != ".toml":
        raise unknown_name("market", name_or_file, [*MARKETS, "a path to a .toml file"])
    if not path.is_file():
        raise MissingData(sentence("market file does not exist", where=name_or_file, next_step="Check the path given with --market."))
    return _from_toml(_read_toml(path), path)


def _from_toml(raw: dict[str, Any], path: Path) -> MarketConfig:
    """A simulated market, a column map (which is a market file itself), or a cut of a column map: ``map``, ``start``, ``end``, ``without``."""
    missing = [key for key in ("name", "start", "end") if key not in raw]
    if missing:
        raise InvalidSpec(sentence(f"missing {', '.join(missing)}", where=str(path), expected="name, start and end at the top of the file"))
    source = str(raw.get("source", "files"))
    if source not in SOURCES:
        raise unknown_name("source", source, list(SOURCES))
    is_column_map = source == "files" and "map" not in raw
    if not is_column_map:  # every other key of a column map belongs to it, and is checked when it is read
        own = ("map", "without") if source == "files" else ("simulated",)
        _refuse_unknown(f"field in {path.name}", raw, ["name", "source", "start", "end", "description", "checks", "experiments", *own])
    market = MarketConfig(
        _folder_name(raw["name"], path), source, _day(raw, "start", path), _day(raw, "end", path), file=str(path),
        description=str(raw.get("description", raw.get("summary", ""))), checks=_checks(raw, path),
        experiments=tuple(str(name) for name in raw.get("experiments", [])),
    )
    if market.start > market.end:
        raise InvalidSpec(sentence("start is after end", where=str(path), got=f"{market.start} … {market.end}"))
    if is_column_map:
        return market
    if source == "simulated":
        return replace(market, simulated=_simulated_settings(raw.get("simulated", {}), path))
    column_map = path.parent / str(raw["map"])
    if not column_map.is_file():
        raise MissingData(sentence("the column map does not exist", where=str(path), got=str(column_map)))
    without = tuple(str(table) for table in raw.get("without", []))
    _refuse_unknown(f"table in 'without' of {path.name}", without, list(TABLES))
    checks = {**_checks(_read_toml(column_map), column_map), **market.checks}
    return replace(market, checks=checks, column_map=str(column_map), without=without)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpec(sentence(f"not valid TOML: {error}", where=str(path))) from error


def _refuse_unknown(kind: str, names: Iterable[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise unknown_name(kind, name, known)


def _folder_name(name: object, path: Path) -> str:
    """The market's name, which is also the name of the folder of its data."""
    if not isinstance(name, str) or re.fullmatch(r"\w[\w.-]*", name) is None:
        raise InvalidSpec(sentence("name cannot be the name of a folder", where=str(path), got=repr(name), expected="letters, digits, _ and -"))
    return name


def _day(raw: Mapping[str, Any], key: str, path: Path) -> dt.date:
    if not isinstance(raw[key], dt.date):
        raise InvalidSpec(sentence(f"{key} is not a date", where=str(path), got=repr(raw[key]), expected="a date without quotes: 2024-01-05"))
    return as_date(raw[key])


def _checks(raw: Mapping[str, Any], path: Path) -> dict[str, str]:
    overrides = raw.get("checks", {})
    if not isinstance(overrides, dict):
        raise InvalidSpec(sentence("checks is not a table", where=str(path), got=repr(overrides),
                                   expected='[checks] with lines such as coverage = "warn"'))
    texts = {str(name): str(severity) for name, severity in overrides.items()}
    validate_overrides(texts, CHECKS)
    return texts


def _simulated_settings(raw: Mapping[str, Any], path: Path) -> SimulatedSettings:
    known = [f.name for f in fields(SimulatedSettings)]
    _refuse_unknown("field of [simulated]", raw, known)
    for name, value in raw.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidSpec(sentence(f"{name} of [simulated] is not a whole number", where=str(path), got=repr(value)))
    return SimulatedSettings(**raw)


def _simulated(config: MarketConfig) -> MarketSource:
    from alpha_pipeline.sources.simulated import SimulatedMarket, SimulatedMarketSpec

    settings = config.simulated
    return SimulatedMarket(SimulatedMarketSpec(n_stocks=settings.n_stocks, start=config.start, end=config.end, seed=settings.seed,
                                               bar_minutes=settings.bar_minutes))


def _files(config: MarketConfig) -> MarketSource:
    from alpha_pipeline.sources.files import FilesMarket
    from alpha_pipeline.sources.files.column_map import read_column_map

    spec = read_column_map(config.column_map or config.file)
    if config.column_map:
        spec = replace(spec, name=config.name, start=config.start, end=config.end)
    source = FilesMarket(spec)
    return WithoutTables(source, config.without) if config.without else source


@dataclass(frozen=True)
class WithoutTables:
    """A source with some of its tables left out by name, for example intraday bars that cover a part of the range only."""

    inner: MarketSource
    without: tuple[str, ...]

    @property
    def calendar(self) -> TradingCalendar:
        return self.inner.calendar

    def describe(self) -> SourceDescription:
        described = self.inner.describe()
        left_out = {table: "left out by the market file" for table in self.without}
        return replace(described, tables=tuple(t for t in described.tables if t not in self.without), missing={**described.missing, **left_out},
                       intraday_minutes=None if "intraday_bars" in self.without else described.intraday_minutes)

    def read_day(self, trade_date: dt.date, tables: Sequence[str]) -> dict[str, pd.DataFrame]:
        return self.inner.read_day(trade_date, self._allowed(tables))

    def iter_days(self, start: dt.date, end: dt.date, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]:
        return self.inner.iter_days(start, end, self._allowed(tables))

    def _allowed(self, tables: Sequence[str]) -> Sequence[str]:
        asked = [t for t in tables if t in self.without]
        if asked:
            raise MissingData(sentence(f"table '{asked[0]}' is left out by the market file", next_step="Remove it from 'without'."))
        return tables


SOURCES = {"simulated": _simulated, "files": _files}


def open_source(config: MarketConfig) -> MarketSource:
    """The source of a market."""
    return SOURCES[config.source](config)


def data_root(config: MarketConfig) -> str:
    """Where everything of one market lies: ``$ALPHA_PIPELINE_DATA`` (any fsspec URL) or ``data``, then the market's name."""
    return f"{os.environ.get(DATA_ROOT_VARIABLE, 'data').rstrip('/')}/{config.name}"


def market_from_environment() -> MarketConfig:
    """The market named by ``$ALPHA_PIPELINE_MARKET`` (default ``demo``)."""
    return load_market(os.environ.get(MARKET_VARIABLE, DEFAULT_MARKET))
