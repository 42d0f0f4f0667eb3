"""All panels of one market, on one symbol axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS
from alpha_pipeline.features.panel import Panel, PanelSpec, SymbolAxis
from alpha_pipeline.features.rows import DAILY, INTRADAY_15M, STATUS
from alpha_pipeline.market.universe import UniverseSpec, universe_mask


@dataclass
class MarketPanels:
    """Opens panels by name; ``folder`` is local. Open anew to see what another process appended."""

    folder: Path

    @cached_property
    def axis(self) -> SymbolAxis:
        return SymbolAxis(self.folder)

    @cached_property
    def daily(self) -> Panel:
        return Panel(self.folder, DAILY, self.axis)

    @cached_property
    def status(self) -> Panel:
        return Panel(self.folder, STATUS, self.axis)

    @cached_property
    def intraday_15m(self) -> Panel:
        return Panel(self.folder, INTRADAY_15M, self.axis)

    def characteristics(self, name: str) -> Panel:
        """One of the panels of ``CHARACTERISTIC_PANELS``."""
        if name not in self._characteristics:
            self._characteristics[name] = Panel(self.folder, CHARACTERISTIC_PANELS[name], self.axis)
        return self._characteristics[name]

    @cached_property
    def _characteristics(self) -> dict[str, Panel]:
        return {}

    def label(self, name: str) -> Panel:
        """Panel of one label; row *t* holds the returns whose window ends at *t*."""
        if name not in self._labels:
            self._labels[name] = Panel(self.folder, PanelSpec(f"label_{name}", ("return",)), self.axis)
        return self._labels[name]

    @cached_property
    def _labels(self) -> dict[str, Panel]:
        return {}

    def by_name(self, name: str) -> Panel:
        """A panel by the name that specs use."""
        if name in CHARACTERISTIC_PANELS:
            return self.characteristics(name)
        return {"daily": self.daily, "status": self.status, "intraday_15m": self.intraday_15m}.get(name) or self.label(name.removeprefix("label_"))

    def universe(self, spec: UniverseSpec, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Mask (n_dates, n_stocks) of a universe for a range of rows of the status panel."""
        status = self.status
        flags, listed_days, membership = (status.field(name, start, stop) for name in ("flags", "listed_days", "membership"))
        return universe_mask(flags, listed_days, membership, spec)

    def industry(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Industry codes (n_dates, n_stocks) into ``axis.industries``, −1 where unknown."""
        return self.status.field("industry", start, stop).astype(np.int64) - 1

    def suspended(self) -> np.ndarray:
        """Mask (n_dates, n_stocks) of suspended names over all rows of the status panel."""
        from alpha_pipeline.market.universe import has_flag

        return has_flag(self.status.field("flags"), "suspended")
