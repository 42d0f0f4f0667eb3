"""Daily factor returns: restricted weighted regression of stock returns on country, industries and styles.

    r_i(t) = f_c + f_industry(i) + Σ_k x_ik(t−1) f_k + u_i,    weights √cap(t−1),    Σ_g s_g f_g = 0

with s_g the cap share of industry g among the stocks regressed. The restriction makes country and industries separable: f_c
is the return of a portfolio that holds the industries in their cap shares and no style. √cap is the convention;
:func:`explain_day` takes other weights.

Each factor return is the return of a portfolio of stocks. ``FactorReturns`` of one date keeps them only on request
(:func:`factor_portfolios`), because they are as large as the exposures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData, sentence

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

COUNTRY = "country"


@dataclass(frozen=True)
class FactorReturns:
    """Factor returns of D dates; row d explains the stock returns of date d with exposures of the date before.

    Attributes
    ----------
    industries, styles : names; with ``"country"`` in front they label the columns of ``values``.
    values : (D, 1 + G + K) decimals. NaN: the factor dropped out on that date (an industry without members, a style without
        spread), or the whole date has no regression (the first one, or too few stocks).
    specific : (D, S) r − exposures · f for every stock with a return and exposures, in the regression or not; NaN otherwise.
    r_squared : (D,) weighted, about the weighted mean. n_stocks : (D,) stocks regressed.
    condition : (D,) condition number of the weighted regression, its columns brought to one scale; NaN without a regression.
    dropped : one entry per date: names of the factors that dropped out; all names where there was no regression.
    """

    industries: tuple[str, ...]
    styles: tuple[str, ...]
    values: FloatArray
    specific: FloatArray
    r_squared: FloatArray
    n_stocks: IntArray
    condition: FloatArray
    dropped: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (COUNTRY, *self.industries, *self.styles)

    def frame(self, dates: npt.ArrayLike) -> pd.DataFrame:
        """trade_date and one column per factor."""
        table = pd.DataFrame(self.values, columns=list(self.names))
        table.insert(0, "trade_date", np.asarray(dates).astype("datetime64[D]"))
        return table


def estimate_factor_returns(
    returns: FloatArray, styles: FloatArray, industry: IntArray, cap: FloatArray, universe: BoolArray, *,
    style_names: tuple[str, ...], industry_names: tuple[str, ...],
) -> FactorReturns:
    """:class:`FactorReturns` of all dates.

    Parameters
    ----------
    returns : (D, S) daily decimals; row d is the return from close d − 1 to close d.
    styles : (D, S, K); industry : (D, S) codes, −1 = unknown; cap : (D, S) CNY, > 0; universe : (D, S). Row d of all four is
        known at the close of d. The function itself explains returns d with row d − 1: pass them unshifted.

    A stock takes part if it was in the universe and has all of return, cap, industry and styles. A style that is NaN or
    constant for the whole universe drops out by name, as does an industry without members.

    Raises
    ------
    Misaligned : shapes or numbers of names that differ. BadInput : styles that are redundant, a cap that is not positive.
    """
    n_dates, n_stocks = returns.shape
    for name, got, expected in (
        ("styles", styles.shape, (n_dates, n_stocks, len(style_names))), ("industry", industry.shape, returns.shape),
        ("cap", cap.shape, returns.shape), ("universe", universe.shape, returns.shape),
    ):
        if got != expected:
            raise Misaligned(sentence(f"{name} does not fit", where="estimate_factor_returns", got=got, expected=expected))
    if not industry_names or industry.max(initial=-1) >= len(industry_names):
        raise Misaligned(
            sentence("more industry codes than names", where="estimate_factor_returns", got=int(industry.max()),
                     expected=f"<= {len(industry_names) - 1}")
        )
    if (cap <= 0).any():
        raise BadInput(sentence("market values must be positive", where="estimate_factor_returns", next_step="Missing is NaN."))
    names = (COUNTRY, *industry_names, *style_names)
    values = np.full((n_dates, len(names)), np.nan)
    specific = np.full(returns.shape, np.nan)
    r_squared, condition = np.full(n_dates, np.nan), np.full(n_dates, np.nan)
    n_used = np.zeros(n_dates, dtype=np.int64)
    dropped: list[tuple[str, ...]] = [names]
    for day in range(1, n_dates):
        before = day - 1
        try:
            found = explain_day(returns[day], styles[before], industry[before], cap[before], universe[before], len(industry_names))
        except NotEnoughData:
            dropped.append(names)
            continue
        except BadInput as error:
            raise BadInput(f"factor returns, row {day}: {error}") from error
        values[day], specific[day] = found.values, found.specific
        r_squared[day], condition[day], n_used[day] = found.r_squared, found.condition, found.used.sum()
        dropped.append(tuple(name for name, absent in zip(names, np.isnan(found.values), strict=True) if absent))
    return FactorReturns(industry_names, style_names, values, specific, r_squared, n_used, condition, tuple(dropped))


@dataclass(frozen=True)
class DayReturns:
    """Factor returns of one date: ``values`` (1 + G + K,), NaN for a factor that dropped out; ``specific`` (S,); ``used`` (S,) stocks
    regressed; the regression's R² and condition number."""

    values: FloatArray
    specific: FloatArray
    used: BoolArray
    r_squared: float
    condition: float


def explain_day(
    returns: FloatArray, styles: FloatArray, industry: IntArray, cap: FloatArray, universe: BoolArray, n_industries: int,
    weight: FloatArray | None = None,
) -> DayReturns:
    """:class:`DayReturns` of ``returns`` (S,) from styles (S, K), industry, cap and universe (S,) known at the close before.

    ``weight`` : (S,) of the squared residuals, known then too; √cap without. A stock of unknown weight is explained, not regressed.
    Other rules as in :func:`estimate_factor_returns`.

    Raises
    ------
    NotEnoughData : not more stocks than factors. BadInput : redundant styles, or a weight that is not positive and finite.
    """
    if weight is None:
        weight = np.sqrt(cap)
    if (~(weight > 0) & ~np.isnan(weight) | np.isinf(weight)).any():
        raise BadInput(sentence("regression weights must be positive and finite", where="explain_day", next_step="Missing is NaN."))
    absent = _absent_styles(styles, universe)
    x = styles[:, ~absent]
    described = ~np.isnan(x).any(axis=1) & (industry >= 0) & ~np.isnan(returns)
    used = described & universe & ~np.isnan(cap) & ~np.isnan(weight)
    members = np.bincount(industry[used], minlength=n_industries)
    n_factors = int((members > 0).sum() + x.shape[1])
    if used.sum() <= n_factors:
        raise NotEnoughData(sentence("not more stocks than factors", where="explain_day", got=int(used.sum()), expected=f"> {n_factors}"))
    portfolios, condition = _portfolios(x[used], industry[used], cap[used], weight[used], n_industries)
    f = portfolios @ returns[used]
    explained = described & (members[industry] > 0)
    fitted = f[0] + f[1 + industry[explained]] + x[explained] @ f[1 + n_industries :]
    specific = np.full(returns.shape, np.nan)
    specific[explained] = returns[explained] - fitted
    kept = np.concatenate([[True], members > 0, ~absent])
    values = np.full(len(kept), np.nan)
    values[np.concatenate([np.ones(1 + n_industries, dtype=bool), ~absent])] = f
    values[~kept] = np.nan
    r, u, w = returns[used], specific[used], weight[used]
    total = w @ (r - np.average(r, weights=w)) ** 2
    return DayReturns(values, specific, used, float(1.0 - (w @ u**2) / total) if total > 0 else float("nan"), condition)


def factor_portfolios(
    styles: FloatArray, industry: IntArray, cap: FloatArray, n_industries: int, weight: FloatArray | None = None
) -> FloatArray:
    """(1 + G + K, S) stock weights of the factor portfolios of one date; factor returns are these times stock returns.

    ``styles`` (S, K), ``industry`` (S,) codes ≥ 0, ``cap`` (S,) CNY > 0, ``weight`` (S,) > 0 of the regression (√cap without);
    nothing missing. Rows: country, industries (zeros for one without members), styles. The country portfolio has exposure 1 to
    the country, the cap shares to the industries and 0 to every style; a style portfolio has 1 to its style and 0 to everything
    else.

    The restriction is solved for the largest industry, f_last = −Σ (s_g / s_last) f_g, so the regression is an ordinary one
    in the other factors.

    Raises
    ------
    BadInput : redundant styles. NotEnoughData : not more stocks than factors.
    """
    return _portfolios(styles, industry, cap, np.sqrt(cap) if weight is None else weight, n_industries)[0]


def _portfolios(
    styles: FloatArray, industry: IntArray, cap: FloatArray, weight: FloatArray, n_industries: int
) -> tuple[FloatArray, float]:
    """:func:`factor_portfolios` and the condition number of the regression."""
    n_stocks, n_styles = styles.shape
    shares = np.bincount(industry, weights=cap, minlength=n_industries) / cap.sum()
    present = np.flatnonzero(shares > 0)
    last = int(np.argmax(shares))
    others = present[present != last]
    n_free = 1 + len(others) + n_styles
    if n_stocks <= n_free:
        raise NotEnoughData(
            sentence("not more stocks than factors", where="factor_portfolios", got=n_stocks, expected=f"> {n_free}")
        )
    design = np.zeros((n_stocks, n_free))
    design[:, 0] = 1.0
    column = np.full(n_industries, -1)
    column[others] = 1 + np.arange(len(others))
    inside = industry != last
    design[np.flatnonzero(inside), column[industry[inside]]] = 1.0
    design[~inside, 1 : 1 + len(others)] = -shares[others] / shares[last]
    design[:, 1 + len(others) :] = styles

    root = np.sqrt(weight / weight.sum())
    weighted = design * root[:, None]
    scale = np.sqrt((weighted**2).sum(axis=0))
    if (scale == 0).any():
        raise BadInput(sentence("a style is zero for every stock", where="factor_portfolios"))
    q, r = np.linalg.qr(weighted / scale)
    pivots = np.abs(np.diag(r))
    if pivots.min() < 1e-9:
        raise BadInput(
            sentence("redundant styles", where="factor_portfolios",
                     got=f"style number {int(np.argmin(pivots)) - len(others) - 1}",
                     expected="styles that are not combinations of one another and of the industries",
                     next_step="Leave one of them out.")
        )
    free = np.linalg.solve(r, q.T) / scale[:, None] * root
    result = np.zeros((1 + n_industries + n_styles, n_stocks))
    result[0] = free[0]
    result[1 + others] = free[1 : 1 + len(others)]
    result[1 + last] = -(shares[others] / shares[last]) @ free[1 : 1 + len(others)]
    result[1 + n_industries :] = free[1 + len(others) :]
    return result, float(np.linalg.cond(r))


def _absent_styles(styles: FloatArray, universe: BoolArray) -> BoolArray:
    """(K,) styles that no universe stock has, or that are equal for all that have them."""
    inside = styles[universe]
    known = ~np.isnan(inside)
    highest = np.where(known, inside, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(known, inside, np.inf).min(axis=0, initial=np.inf)
    return np.asarray(~(highest > lowest), dtype=np.bool_)
