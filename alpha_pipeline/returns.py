"""Arithmetic of daily return series: annualised figures, excess, drawdown, win rate.

Shared by factor tests, backtests and attribution so that one definition holds everywhere. All inputs are one-dimensional
arrays of daily simple returns as decimals (0.01 = 1 %), oldest first, without gaps: a NaN is an error, because skipping a
day would change what is compounded. A year has 252 trade dates. A ratio whose divisor is 0 is NaN, never a large number.

Source: the published tables of ALPHANET, MULTIFREQ and RISKCONTROL satisfy exactly these definitions — excess is the
compounded *difference* of the daily returns, not the ratio of two net asset values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData, sentence

FloatArray = npt.NDArray[np.float64]

DAYS_PER_YEAR = 252


def net_asset_value(returns: npt.ArrayLike) -> FloatArray:
    """(D,) value of 1 invested before the first day, at each day's close: Π(1 + r).

    >>> net_asset_value([0.10, -0.50]).round(4).tolist()
    [1.1, 0.55]
    """
    return np.asarray(np.cumprod(1.0 + _series(returns, "net_asset_value")), dtype=np.float64)


def annualized_return(returns: npt.ArrayLike) -> float:
    """Geometric return per year: (Π(1 + r))^(252 / n) − 1; −1 after a total loss.

    >>> round(annualized_return([0.001] * 126), 6)
    0.286434
    """
    series = _series(returns, "annualized_return")
    return float(np.prod(1.0 + series) ** (DAYS_PER_YEAR / len(series)) - 1.0)


def annualized_volatility(returns: npt.ArrayLike) -> float:
    """std(r, ddof=1) · √252; NaN for a single day."""
    series = _series(returns, "annualized_volatility")
    return float(_std(series) * np.sqrt(DAYS_PER_YEAR))


def sharpe_ratio(returns: npt.ArrayLike) -> float:
    """Annualised return over annualised volatility, the risk-free rate taken as 0."""
    return _ratio(annualized_return(returns), annualized_volatility(returns))


def excess_nav(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> FloatArray:
    """(D,) Π(1 + r_p − r_b): the daily differences, compounded.

    >>> excess_nav([0.02, 0.01], [0.01, 0.02]).round(6).tolist()
    [1.01, 0.9999]
    """
    return net_asset_value(_difference(returns, benchmark))


def annualized_excess_return(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float:
    """Geometric annualisation of the excess NAV."""
    return annualized_return(_difference(returns, benchmark))


def tracking_error(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float:
    """std(r_p − r_b, ddof=1) · √252."""
    return annualized_volatility(_difference(returns, benchmark))


def information_ratio(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float:
    """Annualised excess return over tracking error; NaN where the tracking error is 0."""
    return _ratio(annualized_excess_return(returns, benchmark), tracking_error(returns, benchmark))


def max_drawdown(nav: npt.ArrayLike) -> float:
    """Deepest fall from an earlier peak, as a positive fraction of that peak.

    ``nav`` : (D,) positive values of 1 invested before the first of them, so that a loss on the first day counts.

    >>> max_drawdown([0.9, 1.2, 0.6, 1.0])
    0.5
    """
    values = np.asarray(nav, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise NotEnoughData(sentence("no net asset value", where="max_drawdown", got=f"shape {values.shape}", expected="(D,)"))
    if not np.isfinite(values).all() or (values < 0).any():
        raise BadInput(sentence("net asset values must be finite and not negative", where="max_drawdown"))
    peaks = np.maximum.accumulate(np.maximum(values, 1.0))
    return float((1.0 - values / peaks).max())


def calmar_ratio(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float:
    """Annualised excess return over the maximum drawdown of the excess NAV; NaN where it never fell."""
    return _ratio(annualized_excess_return(returns, benchmark), max_drawdown(excess_nav(returns, benchmark)))


def monthly_win_rate(returns: npt.ArrayLike, benchmark: npt.ArrayLike, dates: npt.ArrayLike) -> float:
    """Share of calendar months whose compounded daily differences exceed 0; a first or last month may be partial.

    ``dates`` : (D,) trade dates, datetime64 or anything numpy turns into it.

    >>> monthly_win_rate([0.01, 0.00, 0.02], [0, 0.01, 0], ["2024-01-30", "2024-02-01", "2024-03-01"]).__round__(4)
    0.6667
    """
    excess = _difference(returns, benchmark)
    months = _dates(dates, len(excess), "monthly_win_rate").astype("datetime64[M]")
    return float((_compounded(excess, months)[1] > 0).mean())


def yearly_returns(returns: npt.ArrayLike, dates: npt.ArrayLike) -> dict[int, float]:
    """Compounded return of each calendar year, not annualised: the first and the last year may be partial."""
    series = _series(returns, "yearly_returns")
    years, compounded = _compounded(series, _dates(dates, len(series), "yearly_returns").astype("datetime64[Y]"))
    return {int(year.astype(np.int64)) + 1970: float(value) for year, value in zip(years, compounded, strict=True)}


def yearly_excess_returns(returns: npt.ArrayLike, benchmark: npt.ArrayLike, dates: npt.ArrayLike) -> dict[int, float]:
    """Compounded daily differences of each calendar year, not annualised: the first and the last year may be partial."""
    return yearly_returns(_difference(returns, benchmark), dates)


def _series(returns: npt.ArrayLike, where: str) -> FloatArray:
    series = np.asarray(returns, dtype=np.float64)
    if series.ndim != 1:
        raise Misaligned(sentence("returns must be one series", where=where, got=f"shape {series.shape}", expected="(D,)"))
    if len(series) == 0:
        raise NotEnoughData(sentence("no returns", where=where, got=0, expected=">= 1 day"))
    n_bad = int((~np.isfinite(series)).sum())
    if n_bad:
        raise BadInput(
            sentence("returns hold NaN or infinite days", where=where, got=n_bad, expected=0,
                     next_step="Cut the series to the days that exist; a day must not be skipped.")
        )
    if (series < -1).any():
        raise BadInput(sentence("a return below -100 %", where=where, got=float(series.min()), expected=">= -1"))
    return series


def _difference(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> FloatArray:
    series, base = _series(returns, "portfolio returns"), _series(benchmark, "benchmark returns")
    if len(series) != len(base):
        raise Misaligned(sentence("portfolio and benchmark differ in length", got=len(base), expected=len(series)))
    return series - base


def _dates(dates: npt.ArrayLike, n_days: int, where: str) -> npt.NDArray[np.datetime64]:
    days = np.asarray(dates).astype("datetime64[D]")
    if days.shape != (n_days,):
        raise Misaligned(sentence("dates and returns differ in length", where=where, got=days.shape, expected=(n_days,)))
    if n_days > 1 and not (days[1:] > days[:-1]).all():
        raise BadInput(sentence("dates must increase", where=where))
    return days


def _compounded(series: FloatArray, periods: npt.NDArray[np.datetime64]) -> tuple[npt.NDArray[np.datetime64], FloatArray]:
    labels, starts = np.unique(periods, return_index=True)
    return labels, np.multiply.reduceat(1.0 + series, starts) - 1.0


def _std(series: FloatArray) -> float:
    if len(series) < 2:
        return float("nan")
    # a constant series has no spread: std() would return its rounding error and ratios would explode
    return 0.0 if series.max() == series.min() else float(series.std(ddof=1))


def _ratio(numerator: float, divisor: float) -> float:
    return numerator / divisor if divisor != 0 else float("nan")
