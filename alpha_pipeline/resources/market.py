"""The resource every asset asks for: one market, opened."""

import dagster as dg

from alpha_pipeline.markets import load_market
from alpha_pipeline.pipeline.workspace import Workspace

_opened: dict[tuple[str, str], Workspace] = {}


class MarketResource(dg.ConfigurableResource):
    """A market by built-in name or TOML file; ``root`` overrides where its data lie. The source is opened once per process."""

    market: str
    root: str = ""

    def workspace(self) -> Workspace:
        """Store, panels, calendar and source of the market."""
        name = (self.market, self.root)
        if name not in _opened:
            _opened[name] = Workspace(load_market(self.market), self.root)
        return _opened[name]
