"""Price-volume styles, one function each, with windows that one year of history can fill.

Every raw style is (D, S), its row t known at the close of t, NaN where fewer than ``MIN_SHARE`` of the window's sessions
have data. Daily returns are decimals of adjusted prices; NaN on sessions before listing. These are compact relatives of the
Barra CNE5 styles (their windows reach two years); a source without fundamentals has these six and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import residualize, winsorize_mad
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, sentence, unknown_name
from alpha_pipeline.risk.industries import industry_dummies

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MIN_SHARE = 0.6
MIN_STOCKS = 10  # a date on which fewer universe stocks have a style lacks that style


@dataclass(frozen=True)
class StyleInputs:
    """What the styles are computed from, all (D, S).

    ``returns`` : daily decimals. ``total_cap`` : CNY at the close. ``turnover_rate`` : shares traded over shares outstanding,
    decimal; 0 when suspended. ``universe`` : the estimation universe, known at the close.
    """

    returns: FloatArray
    total_cap: FloatArray
    turnover_rate: FloatArray
    universe: BoolArray

    def __post_init__(self) -> None:
        for name in ("total_cap", "turnover_rate", "universe"):
            if getattr(self, name).shape != self.returns.shape:
                raise Misaligned(
                    sentence(f"{name} does not fit the returns", where="StyleInputs", got=getattr(self, name).shape,
                             expected=self.returns.shape)
                )
        if (self.returns <= -1).any():
            raise BadInput(sentence("a return of -100 % or less", where="StyleInputs", got=float(np.nanmin(self.returns))))
        if (self.total_cap <= 0).any():
            raise BadInput(sentence("market values must be positive", where="StyleInputs", next_step="Missing is NaN."))


@dataclass(frozen=True)
class StyleExposures:
    """``values`` (D, S, K) standardised, ``names`` (K), ``n_filled`` (D, K): how many universe stocks were predicted.

    A style that a date lacks (history too short) is NaN for all of that date's stocks.
    """

    names: tuple[str, ...]
    values: FloatArray
    n_filled: IntArray


def size(inputs: StyleInputs) -> FloatArray:
    """ln(total market value in CNY)."""
    return np.log(inputs.total_cap)


def nonlinear_size(inputs: StyleInputs) -> FloatArray:
    """Cube of the standardised size, freed of size itself by a √cap-weighted regression.

    Low for the smallest names, high for the largest, and hump-backed in between: what a straight line in size misses.
    """
    standard = standardize(size(inputs), inputs.total_cap, inputs.universe)
    known = inputs.universe & ~np.isnan(standard)
    exposures = np.stack([np.ones_like(standard), standard], axis=-1)
    return residualize(standard**3, exposures, weights=np.sqrt(inputs.total_cap), mask=known)


def beta(inputs: StyleInputs, window: int = 120) -> FloatArray:
    """Slope of the stock's daily returns on the market's over ``window`` sessions.

    The market is the cap-weighted universe, weights and membership of the session before.
    """
    market = market_return(inputs)
    result = np.full(inputs.returns.shape, np.nan)
    for row, rows, enough in _windows(np.where(np.isnan(market)[:, None], np.nan, inputs.returns), window):
        y, x = inputs.returns[rows][:, enough], market[rows, None]
        together = ~(np.isnan(y) | np.isnan(x))
        n = together.sum(axis=0)
        x, y = np.where(together, x, 0.0), np.where(together, y, 0.0)
        x = np.where(together, x - x.sum(axis=0) / n, 0.0)
        variance = np.einsum("ds,ds->s", x, x)
        result[row, enough] = np.einsum("ds,ds->s", x, y) / np.where(variance > 0, variance, np.nan)
    return result


def momentum(inputs: StyleInputs, window: int = 120, skip: int = 20) -> FloatArray:
    """Mean ln(1 + r) over ``window`` sessions that end ``skip`` sessions ago."""
    log_returns = np.log1p(inputs.returns)
    result = np.full(log_returns.shape, np.nan)
    for row, rows, enough in _windows(log_returns[: max(0, len(log_returns) - skip)], window):
        result[row + skip, enough] = np.nanmean(log_returns[rows][:, enough], axis=0)
    return result


def volatility(inputs: StyleInputs, window: int = 60) -> FloatArray:
    """Standard deviation (divisor n − 1) of daily returns over ``window`` sessions."""
    result = np.full(inputs.returns.shape, np.nan)
    for row, rows, enough in _windows(inputs.returns, window):
        result[row, enough] = np.nanstd(inputs.returns[rows][:, enough], axis=0, ddof=1)
    return result


def liquidity(inputs: StyleInputs, window: int = 20) -> FloatArray:
    """ln of the mean turnover rate over ``window`` sessions; NaN where nothing was traded in the whole window."""
    result = np.full(inputs.returns.shape, np.nan)
    for row, rows, enough in _windows(inputs.turnover_rate, window):
        mean = np.nanmean(inputs.turnover_rate[rows][:, enough], axis=0)
        result[row, enough] = np.log(np.where(mean > 0, mean, np.nan))
    return result


STYLES: Mapping[str, Callable[[StyleInputs], FloatArray]] = {
    "size": size,
    "beta": beta,
    "momentum": momentum,
    "volatility": volatility,
    "nonlinear_size": nonlinear_size,
    "liquidity": liquidity,
}


def momentum_10d(inputs: StyleInputs) -> FloatArray:
    """Mean ln(1 + r) over the ten sessions that end with the date."""
    return momentum(inputs, window=10, skip=0)


def volatility_10d(inputs: StyleInputs) -> FloatArray:
    """Standard deviation (divisor n − 1) of daily returns over ten sessions."""
    return volatility(inputs, window=10)


def liquidity_10d(inputs: StyleInputs) -> FloatArray:
    """ln of the mean turnover rate over ten sessions; NaN where nothing was traded."""
    return liquidity(inputs, window=10)


PRICE_VOLUME_10D: Mapping[str, Callable[[StyleInputs], FloatArray]] = {
    "momentum_10d": momentum_10d, "volatility_10d": volatility_10d, "liquidity_10d": liquidity_10d,
}
"""The low-frequency factors that price-volume models tend to relearn: labels may be freed of them, diagnostics compare with them, no risk model
prices them. Source: RISKCONTROL, figures 17 and 20 (their formulas are ours, the report does not print them)."""

EXPOSURES: Mapping[str, Callable[[StyleInputs], FloatArray]] = {**STYLES, **PRICE_VOLUME_10D}
"""Styles and :data:`PRICE_VOLUME_10D`."""


def style_exposures(inputs: StyleInputs, industry: IntArray, names: tuple[str, ...] = tuple(STYLES)) -> StyleExposures:
    """Standardised :class:`StyleExposures` of the named styles, gaps predicted from size and industry.

    ``industry`` : (D, S) codes, −1 = unknown. Row t is known at the close of t.

    Stocks outside the universe are standardised with the universe's figures, so that holdings which left it keep exposures.
    A universe stock without a style gets the prediction of a regression (over that date's universe) of the style on size and
    industry dummies, and is counted; without size or industry it keeps NaN and no return regression uses it. Outside the
    universe nothing is predicted.

    Raises
    ------
    UnknownName : a style that is not registered. InvalidSpec : ``size`` is missing from the names. Misaligned : industry.
    """
    for name in names:
        if name not in STYLES:
            raise unknown_name("style", name, list(STYLES))
    if "size" not in names:
        raise InvalidSpec(
            sentence("styles without size", where="style_exposures", got=names, next_step="Predictions of gaps need 'size'.")
        )
    if industry.shape != inputs.returns.shape:
        raise Misaligned(
            sentence("industry does not fit the returns", where="style_exposures", got=industry.shape,
                     expected=inputs.returns.shape)
        )
    standard = {name: standardize(STYLES[name](inputs), inputs.total_cap, inputs.universe) for name in names}
    n_filled = np.zeros((len(industry), len(names)), dtype=np.int64)
    for k, name in enumerate(names):
        if name != "size":
            standard[name], n_filled[:, k] = fill_missing(standard[name], standard["size"], industry, inputs.universe)
    return StyleExposures(names, np.stack([standard[name] for name in names], axis=-1), n_filled)


def standardize(raw: FloatArray, cap: FloatArray, universe: BoolArray, *, n_mad: float = 3.0) -> FloatArray:
    """(D, S) winsorised, minus the cap-weighted mean, over the equal-weighted std; both over the universe of that date.

    The cap-weighted universe has exposure 0 and a step of 1 is one standard deviation. Values outside the universe are
    clipped to the universe's bounds. A date with fewer than ``MIN_STOCKS`` known values, or with no spread, is all NaN.
    """
    known = universe & ~np.isnan(raw) & ~np.isnan(cap)
    result = np.full(raw.shape, np.nan)
    for date in range(len(raw)):
        used = known[date]
        if used.sum() < MIN_STOCKS:
            continue
        inside = winsorize_mad(raw[date], n_mad=n_mad, mask=used)
        values = np.clip(raw[date], np.nanmin(inside), np.nanmax(inside))
        std = values[used].std()
        if std <= 1e-12 * np.abs(values[used]).max():
            continue
        result[date] = (values - np.average(values[used], weights=cap[date, used])) / std
    return result


def fill_missing(
    style: FloatArray, size_exposure: FloatArray, industry: IntArray, universe: BoolArray
) -> tuple[FloatArray, IntArray]:
    """(D, S) ``style`` with gaps of universe stocks predicted from size and industry, and (D,) how many were."""
    result = style.copy()
    n_filled = np.zeros(len(style), dtype=np.int64)
    n_industries = int(industry.max(initial=-1)) + 1
    for date in range(len(style)):
        describable = universe[date] & ~np.isnan(size_exposure[date]) & (industry[date] >= 0)
        fitted = describable & ~np.isnan(style[date])
        gaps = describable & np.isnan(style[date])
        if not gaps.any() or fitted.sum() < MIN_STOCKS:
            continue
        design = np.column_stack([industry_dummies(industry[date], n_industries), size_exposure[date]])
        slopes = np.linalg.lstsq(design[fitted], style[date, fitted], rcond=1e-10)[0]
        gaps &= np.isin(industry[date], industry[date, fitted])  # an industry without any known value predicts nothing
        result[date, gaps] = design[gaps] @ slopes
        n_filled[date] = gaps.sum()
    return result, n_filled


def market_return(inputs: StyleInputs) -> FloatArray:
    """(D,) cap-weighted return of the universe, with membership and weights of the session before; NaN on the first.

    Only the stocks that count are summed: a date has the same bits however many other columns there are.
    """
    result = np.full(len(inputs.returns), np.nan)
    for row in range(1, len(result)):
        counts = inputs.universe[row - 1] & ~np.isnan(inputs.total_cap[row - 1]) & ~np.isnan(inputs.returns[row])
        if counts.any():
            weights = inputs.total_cap[row - 1, counts]
            result[row] = (weights * inputs.returns[row, counts]).sum() / weights.sum()
    return result


def _windows(values: FloatArray, window: int) -> Iterator[tuple[int, slice, BoolArray]]:
    """Each row, the window of rows that ends there, and the stocks with enough values in it.

    Windows are not updated from one another: the result of a date is then the same bits whatever history precedes it.
    """
    needed = max(2, int(np.ceil(MIN_SHARE * window)))
    present = ~np.isnan(values)
    for row in range(needed - 1, len(values)):
        rows = slice(max(0, row - window + 1), row + 1)
        yield row, rows, present[rows].sum(axis=0) >= needed
