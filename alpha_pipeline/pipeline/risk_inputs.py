"""What the optimizer needs of the stored risk model and of panels at the close of a signal date: exposures, and the active return's covariance.

A portfolio that bounds size and non-linear size alone does without (:mod:`alpha_pipeline.pipeline.portfolios` computes both). One that limits the
tracking error, is averse to risk or bounds another style takes all its styles from the stored model, so that what is bounded is what risk is made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alpha_pipeline.errors import InvalidSpec, MissingData, sentence, unknown_name
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.features.panel import Panel
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, NOT_STYLES, UNIVERSE
from alpha_pipeline.pipeline.risk_model import COVARIANCE, SPECIFIC
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio.risk import FactorRisk
from alpha_pipeline.risk.factor_returns import COUNTRY
from alpha_pipeline.risk.panel_factors import PanelFactor, panel_exposure, panel_factor
from alpha_pipeline.risk.portfolio_risk import SESSIONS_PER_YEAR


@dataclass(frozen=True, eq=False)
class RiskInputs:
    """``styles`` name → (n,) standard deviations, NaN where unknown and the name is neither held nor in the benchmark; ``risk`` None without need."""

    styles: dict[str, np.ndarray]
    risk: FactorRisk | None = None
    notes: tuple[str, ...] = field(default=())


def risk_tables(spec: PortfolioSpec) -> tuple[str, ...]:
    """Tables of the stored risk model that a portfolio's weights depend on."""
    if not spec.weights_need_risk:
        return ()
    return (EXPOSURES, COVARIANCE, SPECIFIC) if spec.has_risk_term else (EXPOSURES,)


def risk_contents(work: Workspace, panels: MarketPanels, spec: PortfolioSpec, key: str) -> list[str]:
    """Hashes of everything :func:`load_risk_inputs` reads for a signal date; raises :class:`MissingData` where the risk model lacks it."""
    parts = []
    for table in risk_tables(spec):
        manifest = work.store.manifest(table, key)
        if manifest is None:
            raise MissingData(sentence(f"the risk model has no '{table}' on {key}", where=spec.name,
                                       next_step=f"Materialize '{table}' for {key} and the sessions it is made from first, or run the experiment."))
        parts.append(manifest.content)
    for name in spec.panel_factors:
        factor = panel_factor(name)
        panel, last = _panel(panels, factor, name, spec.name, key)
        parts += [row.checksum for row in panel.rows[max(0, last + 1 - factor.n_days): last + 1]]
    return parts


def load_risk_inputs(
    work: Workspace, panels: MarketPanels, spec: PortfolioSpec, key: str, columns: np.ndarray, needed: np.ndarray
) -> RiskInputs:
    """:class:`RiskInputs` of the stocks in ``columns`` of the symbol axis; ``needed`` (n,): held, or in the benchmark.

    A needed name without exposure gets 0, the cap-weighted mean, and without specific risk the median of the date; both are counted in the notes.
    Others stay unknown, and what is unknown is not bought. A factor without a covariance (an industry with fewer than 60 returns) carries no
    factor risk, and the notes name it.

    Raises
    ------
    MissingData
        The risk model has no forecast on the date, or lacks a style that a limit names.
    """
    notes: list[str] = []
    styles: dict[str, np.ndarray] = {}
    risk = None
    if spec.weights_need_risk:
        frame = work.store.read(EXPOSURES, key)
        on_columns = _Spread(panels, frame["symbol"].tolist(), columns)
        found = {name: on_columns(frame[name].to_numpy(dtype=np.float64)) for name in frame.columns if name not in NOT_STYLES}
        absent = [name for name, values in found.items() if np.isnan(values).all()]
        styles = {name: values for name, values in found.items() if name not in absent}
        lacking = [name for name in spec.style_names if name not in styles]
        if not styles or lacking:
            manifest = work.store.manifest(EXPOSURES, key)
            assert manifest is not None
            raise MissingData(sentence(f"the risk model has no style '{lacking[0] if lacking else 'size'}' on {key}", where=spec.name,
                                       got=", ".join(styles) or str(manifest.meta["note"]), next_step="Start later, or drop the limit."))
        if absent:
            notes.append(f"styles without history are not bounded: {', '.join(absent)}")
        if spec.has_risk_term:
            industry = np.full(len(columns), None, dtype=object)
            industry[on_columns.has] = frame["industry"].to_numpy(dtype=object)[on_columns.source]
            risk = _risk(work, panels, spec, key, columns, needed, styles, industry, notes)
    for name in spec.panel_factors:
        styles[name] = _panel_styles(panels, panel_factor(name), name, spec.name, key)[columns]
    n_filled = 0
    for name, values in styles.items():
        unknown = np.isnan(values) & needed
        n_filled += int(unknown.sum())
        styles[name] = np.where(unknown, 0.0, values)
    if n_filled:
        notes.append(f"{n_filled} exposures of held names or constituents are unknown: 0, the market's mean")
    return RiskInputs(styles, risk, tuple(notes))


class _Spread:
    """Values of a table's symbols on the wanted columns of the axis; NaN where the table lacks a symbol."""

    def __init__(self, panels: MarketPanels, symbols: list[str], columns: np.ndarray) -> None:
        row = np.full(len(panels.axis), -1)
        row[panels.axis.known_columns(symbols)] = np.arange(len(symbols))
        at = row[columns]
        self.has, self.source = at >= 0, at[at >= 0]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        out = np.full(len(self.has), np.nan)
        out[self.has] = values[self.source]
        return out


def _risk(
    work: Workspace, panels: MarketPanels, spec: PortfolioSpec, key: str, columns: np.ndarray, needed: np.ndarray,
    styles: dict[str, np.ndarray], industry: np.ndarray, notes: list[str],
) -> FactorRisk:
    """Σ = X F Xᵀ + D of annual returns; factors are those with a covariance and, for styles, with exposures."""
    covariance = _forecast(work, spec, COVARIANCE, key)
    kinds = dict(zip(covariance["factor"], covariance["kind"], strict=True))
    factors = [name for name, kind in kinds.items() if kind != "style" or name in styles]
    at = [list(kinds).index(name) for name in factors]
    matrix = covariance[factors].to_numpy(dtype=np.float64)[at] * SESSIONS_PER_YEAR
    left_out = sorted({str(name) for name in industry if isinstance(name, str) and name not in kinds} | (styles.keys() - kinds.keys()))
    if left_out:
        notes.append(f"no covariance yet, hence no factor risk: {', '.join(left_out)}")
    loadings = np.empty((len(columns), len(factors)))
    for k, name in enumerate(factors):
        if name == COUNTRY:
            loadings[:, k] = 1.0
        elif kinds[name] == "style":
            loadings[:, k] = np.where(np.isnan(styles[name]) & needed, 0.0, styles[name])
        else:
            loadings[:, k] = industry == name
    specific = _forecast(work, spec, SPECIFIC, key)
    values = specific["specific_volatility"].to_numpy(dtype=np.float64)
    own = _Spread(panels, specific["symbol"].tolist(), columns)(values)
    unknown = np.isnan(own) & needed
    if unknown.any():
        own = np.where(unknown, np.nanmedian(values), own)
        notes.append(f"{int(unknown.sum())} held names or constituents without specific risk: the median of the date")
    return FactorRisk(loadings, (matrix + matrix.T) / 2.0, own**2 * SESSIONS_PER_YEAR)


def _forecast(work: Workspace, spec: PortfolioSpec, table: str, key: str) -> pd.DataFrame:
    frame = work.store.read(table, key)
    if frame.empty:
        manifest = work.store.manifest(table, key)
        assert manifest is not None
        raise MissingData(sentence(f"'{table}' has no forecast on {key}", where=spec.name, got=str(manifest.meta["note"]),
                                   next_step="Start the portfolio later, when the risk model has its history."))
    return frame


def _panel(panels: MarketPanels, factor: PanelFactor, name: str, portfolio: str, key: str) -> tuple[Panel, int]:
    """The panel of a factor and the row of the date."""
    panel = panels.by_name(factor.panel)
    if key not in panel.dates:
        raise MissingData(sentence(f"panel '{factor.panel}' has no row {key}, which factor '{name}' needs", where=portfolio,
                                   next_step=f"Materialize '{factor.panel}_panel' first, or correct the factor's name."))
    if factor.field not in panel.spec.fields:
        raise unknown_name(f"field of panel '{factor.panel}'", factor.field, list(panel.spec.fields))
    if panel.spec.steps != 1:
        raise InvalidSpec(sentence(f"panel '{factor.panel}' has {panel.spec.steps} values a day", where=f"factor '{name}'", expected="one"))
    return panel, panel.index(key)


def _panel_styles(panels: MarketPanels, factor: PanelFactor, name: str, portfolio: str, key: str) -> np.ndarray:
    """(n_symbols,) standardized exposure to a panel's field."""
    panel, last = _panel(panels, factor, name, portfolio, key)
    values = panel.field(factor.field, max(0, last + 1 - factor.n_days), last + 1).astype(np.float64)
    at = panels.daily.index(key)
    cap = panels.daily.field("total_cap", at, at + 1)[0].astype(np.float64)
    universe = panels.universe(UNIVERSE, at, at + 1)[0]
    # only the names of the date: what lists later must not change how numbers are summed
    names = np.flatnonzero(cap > 0)
    out = np.full(len(cap), np.nan)
    out[names] = panel_exposure(values[:, names], cap[names], universe[names])
    if np.isnan(out).all():
        raise MissingData(sentence(f"factor '{name}' has too few values on {key}, or all are equal", where=portfolio,
                                   next_step="Start the portfolio later, or drop the factor."))
    return out
