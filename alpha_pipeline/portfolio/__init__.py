"""Portfolios from scores: constraints, the enhanced-index optimizer, and what it reports."""

from __future__ import annotations

from alpha_pipeline.portfolio.constraints import (
    CONSTRAINTS,
    ConstituentFloor,
    FactorClassBound,
    FullyInvested,
    IndustryBound,
    LongOnly,
    MaxDeviation,
    StyleBound,
    StyleMoment,
    TrackingErrorLimit,
    TurnoverLimit,
    constraint_type,
)
from alpha_pipeline.portfolio.enhanced_index import EnhancedIndexSpec, optimize
from alpha_pipeline.portfolio.problem import PortfolioProblem
from alpha_pipeline.portfolio.relaxation import RELAXATION_ORDER
from alpha_pipeline.portfolio.result import Binding, OptimizationResult, Relaxation
from alpha_pipeline.portfolio.risk import FactorRisk
from alpha_pipeline.portfolio.top_n import EQUAL_WEIGHT, TopN, TopNSpec, top_n, top_n_portfolio
from alpha_pipeline.portfolio.verification import violations

__all__ = [
    "CONSTRAINTS",
    "EQUAL_WEIGHT",
    "RELAXATION_ORDER",
    "Binding",
    "ConstituentFloor",
    "EnhancedIndexSpec",
    "FactorClassBound",
    "FactorRisk",
    "FullyInvested",
    "IndustryBound",
    "LongOnly",
    "MaxDeviation",
    "OptimizationResult",
    "PortfolioProblem",
    "Relaxation",
    "StyleBound",
    "StyleMoment",
    "TopN",
    "TopNSpec",
    "TrackingErrorLimit",
    "TurnoverLimit",
    "constraint_type",
    "optimize",
    "top_n",
    "top_n_portfolio",
    "violations",
]
