"""Exposures of stocks to styles and industries: for neutralized losses, labels free of them, and networks that need them.

Price-volume styles come from the panels: the numbers of a date depend on its own row and the ``HISTORY_DAYS`` − 1 rows before it, on nothing
else: not on where a range starts or ends, nor on stocks and industries that appear later. So the daily run gives the same bits as a backfill.
"risk_styles" are read from the stored risk model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alpha_pipeline.experiment import INDUSTRY, RISK_STYLES
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.risk_exposures import exposures_manifest, styles_of
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.industries import industry_dummies
from alpha_pipeline.risk.style_factors import PRICE_STYLES, REPORT_STYLES
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


def model_exposures(work: Workspace, panels: MarketPanels, names: Sequence[str], start: int, stop: int, dates: Sequence[int]) -> Exposures:
    """:func:`exposures_of`, where "risk_styles" among ``names`` stands for all styles of the stored risk model, ten or six.

    A style that the risk model lacks on a date, for want of history, is 0 for everybody there: it explains nothing. A stock of which another
    style is unknown is unknown. Raises :class:`MissingData` for a date that the risk model lacks.
    """
    from alpha_pipeline.training.exposures import Exposures

    others = [name for name in names if name != RISK_STYLES]
    if len(others) == len(names):
        return exposures_of(panels, names, start, stop, dates)
    held = sorted(dates)
    days = [panels.daily.dates[start + at] for at in held]
    stored = styles_of(work, panels, days, (*PRICE_STYLES, *REPORT_STYLES))
    is_there = np.isfinite(stored).any(axis=1)  # (P, K)
    values = np.where((~is_there & is_there.any(axis=1, keepdims=True))[:, None, :], 0.0, stored).astype(np.float32)
    market = is_there.any(axis=0)
    labels = [name for name, is_style in zip((*PRICE_STYLES, *REPORT_STYLES), market, strict=True) if is_style]
    values = values[:, :, market]
    if others:
        more = exposures_of(panels, others, start, stop, held)
        values, labels = np.concatenate([values, more.values], axis=2), [*labels, *more.names]
    return Exposures(values, tuple(labels), held, stop - start)


def risk_style_contents(work: Workspace, days: Sequence[str]) -> list[str]:
    """Hashes of the partitions behind "risk_styles" on these dates; raises :class:`MissingData` for a date without one."""
    return [exposures_manifest(work, day).content for day in days]
