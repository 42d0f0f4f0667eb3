"""Exposures of stocks to price-volume styles and industries, from the panels: for neutralized losses and networks that need them.

The numbers of a date depend on its own row and the ``HISTORY_DAYS`` − 1 rows before it, on nothing else: not on where a range starts or
ends, nor on stocks and industries that appear later. So the daily run gives the same bits as a backfill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alpha_pipeline.experiment import INDUSTRY
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.risk.industries import industry_dummies
from alpha_pipeline.risk.styles import EXPOSURES, StyleInputs, fill_missing, standardize

if TYPE_CHECKING:
    from alpha_pipeline.training.exposures import Exposures

HISTORY_DAYS = 142  # the longest style window (momentum, 120 + 20 returns), the close before it, and the date itself


def style_inputs(panels: MarketPanels, start: int, stop: int) -> StyleInputs:
    """What styles are computed from, panel rows [start, stop); the estimation universe is all A-shares."""
    close = panels.daily.field("close", start, stop).astype(np.float64)
    returns = np.full(close.shape, np.nan)
    returns[1:] = close[1:] / close[:-1] - 1.0
    cap = panels.daily.field("total_cap", start, stop).astype(np.float64)
    turnover = panels.daily.field("turn", start, stop).astype(np.float64)
    return StyleInputs(returns, np.where(cap > 0, cap, np.nan), turnover, panels.universe(UniverseSpec(), start, stop))


def exposures_of(panels: MarketPanels, names: Sequence[str], start: int, stop: int, dates: Sequence[int]) -> Exposures:
    """Standardized exposures on the dates ``dates`` (indices into rows [start, stop)), each known at its close.

    Panel rows from ``start`` on are read: the first date must have ``HISTORY_DAYS`` − 1 rows before it, or all that there are.
    Gaps of universe stocks are predicted from size and industry, as in the risk model; a stock with an unknown style or industry is unknown.
    "industry" stands for one dummy per industry.
    """
    from alpha_pipeline.training.exposures import Exposures

    assert start == 0 or min(dates) >= HISTORY_DAYS - 1, "the numbers of a date would depend on where the range starts"
    inputs = style_inputs(panels, start, stop)
    industry = panels.industry(start, stop)
    held = np.array(sorted(dates))
    styles = [name for name in names if name != INDUSTRY]
    raw = {name: EXPOSURES[name](inputs)[held] for name in dict.fromkeys(["size", *styles])}
    cap, universe, codes = inputs.total_cap[held], inputs.universe[held], industry[held]
    standard = {name: standardize(values, cap, universe) for name, values in raw.items()}
    for name in styles:
        if name != "size":
            for at in range(len(held)):  # date by date: the design of a regression must not depend on other dates' industries
                one = slice(at, at + 1)
                standard[name][one] = fill_missing(standard[name][one], standard["size"][one], codes[one], universe[one])[0]
    columns, labels = [standard[name][:, :, None] for name in styles], list(styles)
    if INDUSTRY in names:
        n_industries = int(codes.max(initial=-1)) + 1
        dummies = industry_dummies(codes, n_industries)
        dummies[codes < 0] = np.nan
        columns.append(dummies)
        labels += panels.axis.industries[:n_industries]
    values = np.concatenate(columns, axis=2).astype(np.float32)
    return Exposures(values, tuple(labels), held.tolist(), stop - start)
