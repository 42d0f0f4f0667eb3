"""The embedded simulated A-share market: deterministic, with boards, events, limits, indices, reports and a planted alpha."""

from alpha_pipeline.sources.simulated.source import SimulatedMarket
from alpha_pipeline.sources.simulated.spec import SimulatedMarketSpec

__all__ = ["SimulatedMarket", "SimulatedMarketSpec"]
