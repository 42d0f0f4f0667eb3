"""The resource every asset asks for: one market, opened."""

import dagster as dg

from alpha_pipeline.markets import data_root, load_market
from alpha_pipeline.pipeline.workspace import Workspace

_opened: dict[tuple[str, str], Workspace] = {}


class MarketResource(dg.ConfigurableResource):
    """A market by built-in name or TOML file; ``root`` overrides where its data lie. The source is opened once per process and configuration."""

    market: str
    root: str = ""

    def workspace(self) -> Workspace:
        """Store, panels, calendar and source of the market."""
        config = load_market(self.market)
        root = self.root or data_root(config)
        name = (config.digest(), root)
        if name not in _opened:
            _opened[name] = Workspace(config, root)
        return _opened[name]
