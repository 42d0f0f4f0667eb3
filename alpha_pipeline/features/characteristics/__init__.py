"""Characteristics of a stock's day, or of a step of it, computed from its bars: pure functions on arrays, listed in a registry."""

from alpha_pipeline.features.characteristics.bars import Bars
from alpha_pipeline.features.characteristics.registry import CHARACTERISTICS, Characteristic, absent, characteristic, compute

__all__ = ["CHARACTERISTICS", "Bars", "Characteristic", "absent", "characteristic", "compute"]
