"""Markets: which source, which dates, which checks. Built-in ones are simulated; others are TOML files named on the command line.

A market file looks like this (``source = "files"`` adds the column map, see docs/data.md)::

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
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from alpha_pipeline.digest import digest
from alpha_pipeline.errors import InvalidSpec, MissingData, sentence, unknown_name
from alpha_pipeline.market.calendar import as_date
from alpha_pipeline.sources.base import MarketSource

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
    """One market. ``file`` is the TOML it came from (empty for built-in ones); ``checks`` lowers the severity of named checks."""

    name: str
    source: str
    start: dt.date
    end: dt.date
    simulated: SimulatedSettings = SimulatedSettings()
    file: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    def digest(self) -> str:
        """Hash of everything that decides the data (the text of the file included)."""
        text = Path(self.file).read_text() if self.file else ""
        return digest([self.name, self.source, self.start, self.end, self.simulated, dict(self.checks), text])


MARKETS: dict[str, MarketConfig] = {
    market.name: market
    for market in (
        MarketConfig("demo", "simulated", dt.date(2022, 7, 1), dt.date(2024, 6, 28), SimulatedSettings(300, 7),
                     description="300 simulated stocks, two years, 15-minute bars: what `make demo` runs on"),
        MarketConfig("ci", "simulated", dt.date(2023, 1, 3), dt.date(2023, 9, 28), SimulatedSettings(60, 11),
                     description="60 simulated stocks, nine months: the market of the tests"),
        MarketConfig("simulated", "simulated", dt.date(2019, 1, 2), dt.date(2022, 12, 30), SimulatedSettings(800, 7),
                     description="800 simulated stocks, four years: research on planted alpha"),
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
    try:
        raw = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpec(sentence(f"not valid TOML: {error}", where=name_or_file)) from error
    return _from_toml(raw, path)


def _from_toml(raw: dict[str, Any], path: Path) -> MarketConfig:
    missing = [key for key in ("name", "source", "start", "end") if key not in raw]
    if missing:
        raise InvalidSpec(sentence(f"missing {', '.join(missing)}", where=str(path), expected="name, source, start and end at the top of the file"))
    if raw["source"] not in SOURCES:
        raise unknown_name("source", str(raw["source"]), list(SOURCES))
    simulated = raw.get("simulated", {})
    known = [f.name for f in fields(SimulatedSettings)]
    for key in simulated:
        if key not in known:
            raise unknown_name("field of [simulated]", key, known)
    top = ("name", "source", "start", "end", "description", "simulated", "checks", "files")
    for key in raw:
        if key not in top:
            raise unknown_name(f"field in {path.name}", key, list(top))
    return MarketConfig(
        str(raw["name"]), str(raw["source"]), as_date(raw["start"]), as_date(raw["end"]), SimulatedSettings(**simulated), str(path),
        {str(k): str(v) for k, v in raw.get("checks", {}).items()}, str(raw.get("description", "")),
    )


def _simulated(config: MarketConfig) -> MarketSource:
    from alpha_pipeline.sources.simulated import SimulatedMarket, SimulatedMarketSpec

    settings = config.simulated
    return SimulatedMarket(SimulatedMarketSpec(n_stocks=settings.n_stocks, start=config.start, end=config.end, seed=settings.seed,
                                               bar_minutes=settings.bar_minutes))


def _files(config: MarketConfig) -> MarketSource:
    from alpha_pipeline.sources.files import FilesMarket, load_files_spec

    return FilesMarket(load_files_spec(Path(config.file)))


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
