"""Attribution of the daily active return, and its linking over time.

    active return = Σ active exposure · factor return + specific + trading + benchmark_gap + cost

* active exposure: Σ (w − w_b) x with weights at the previous close and exposures of that close;
* specific: the active weights' return that the factors leave, stock by stock;
* trading: gross portfolio return − Σ w r, what trading within the day (at vwap, say) made of the holdings of the close before;
* benchmark_gap: Σ w_b r − benchmark return; 0 for a benchmark built from its weights, not for a published index level;
* cost: minus the costs paid.

Days do not add up in a compounded excess, so each day's components are scaled by k_d = ln(1 + a_d) / a_d over
K = ln(1 + A) / A, with a_d the active return of the day and A = Π(1 + a_d) − 1 that of the whole (Carino's scaling applied to
the excess NAV). The scaled components add up to A exactly, over the whole range and, with their own K, within each year.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData, sentence
from alpha_pipeline.returns import DAYS_PER_YEAR

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AttributionResult:
    """Frames; contributions are decimals and carry their sign (cost is negative).

    Attributes
    ----------
    daily : trade_date, country, one column ``industry:<name>`` each, industry_total, one ``style:<name>`` each, style_total,
        specific, trading, benchmark_gap, cost, active_return. The totals are sums of the columns before them.
    summary : component, kind, cumulative (linked, adds up to the excess NAV − 1), annualized (the same shares of the
        annualised excess). kind is country, industry, style, specific, trading, benchmark_gap, cost, subtotal or total.
    by_year : year, component, kind, contribution (linked within the year); first and last year may be partial.
    exposures : factor, kind, mean_active_exposure, mean_abs_active_exposure over the days.
    coverage : trade_date, n_uncovered, uncovered_active_weight (Σ|w − w_b|): stocks held without exposures, whose whole
        return is in ``specific``.
    """

    daily: pd.DataFrame
    summary: pd.DataFrame
    by_year: pd.DataFrame
    exposures: pd.DataFrame
    coverage: pd.DataFrame


def attribute(
    dates: npt.ArrayLike,
    weights: FloatArray,
    benchmark_weights: FloatArray,
    stock_returns: FloatArray,
    style_exposures: FloatArray,
    industry: IntArray,
    factor_returns: FloatArray,
    *,
    style_names: tuple[str, ...],
    industry_names: tuple[str, ...],
    portfolio_return: FloatArray,
    benchmark_return: FloatArray,
    cost: FloatArray,
) -> AttributionResult:
    """:class:`AttributionResult` of D days.

    Parameters
    ----------
    dates : (D,) the days explained.
    weights, benchmark_weights : (D, S) at the close **before** each day, decimals; 0 where not held. What is missing to 1 is
        cash, with return 0.
    stock_returns : (D, S) from that close to the day's close.
    style_exposures : (D, S, K), industry : (D, S) codes, −1 = unknown; both of that close before: row d belongs to weights[d].
    factor_returns : (D, 1 + G + K) of the day, columns country, industries, styles. A factor that dropped out (NaN) counts as
        a return of 0: what it would have explained is in ``specific``.
    portfolio_return : (D,) **net** of cost, as realised. cost : (D,) paid, ≥ 0, share of the value at the close before.
    benchmark_return : (D,) as published or computed.

    A stock with an unknown industry, a missing style (of those with a factor return that day), or in a NaN day is
    *uncovered*: it has no exposures and its return counts as specific. Coverage reports how much weight that is.

    Raises
    ------
    Misaligned : shapes. BadInput : NaN weights or totals, a held stock without a return, a negative cost, an active return
    of −100 % or less. NotEnoughData : no day.

    Source: RISKCONTROL, Barra attribution of the enhanced portfolios.
    """
    days = np.asarray(dates).astype("datetime64[D]")
    _check(days, weights, benchmark_weights, stock_returns, style_exposures, industry, factor_returns, style_names,
           industry_names, portfolio_return, benchmark_return, cost)
    n_days, n_industries, n_styles = len(days), len(industry_names), len(style_names)
    active = weights - benchmark_weights
    exposures = np.zeros((n_days, 1 + n_industries + n_styles))
    explained = np.zeros(n_days)
    n_uncovered = np.zeros(n_days, dtype=np.int64)
    uncovered_weight = np.zeros(n_days)
    f = np.nan_to_num(factor_returns)
    for day in range(n_days):
        live_styles = ~np.isnan(factor_returns[day, 1 + n_industries :])
        x = np.where(live_styles, style_exposures[day], 0.0)
        covered = (industry[day] >= 0) & ~np.isnan(x).any(axis=1) & ~np.isnan(factor_returns[day, 0])
        a, codes = active[day, covered], industry[day, covered]
        exposures[day, 0] = a.sum()
        exposures[day, 1 : 1 + n_industries] = np.bincount(codes, weights=a, minlength=n_industries)
        exposures[day, 1 + n_industries :] = a @ x[covered]
        explained[day] = exposures[day] @ f[day]
        lost = ~covered & ((weights[day] != 0) | (benchmark_weights[day] != 0))
        n_uncovered[day] = lost.sum()
        uncovered_weight[day] = np.abs(active[day, lost]).sum()

    held_returns = np.nan_to_num(stock_returns)  # held stocks have returns (checked); the others weigh nothing
    portfolio_held, benchmark_held = (np.einsum("ds,ds->d", w, held_returns) for w in (weights, benchmark_weights))
    by_factor = exposures * f
    components: dict[str, tuple[str, FloatArray]] = {"country": ("country", by_factor[:, 0])}
    for g, name in enumerate(industry_names):
        components[f"industry:{name}"] = ("industry", by_factor[:, 1 + g])
    for k, name in enumerate(style_names):
        components[f"style:{name}"] = ("style", by_factor[:, 1 + n_industries + k])
    components["specific"] = ("specific", portfolio_held - benchmark_held - explained)
    components["trading"] = ("trading", portfolio_return + cost - portfolio_held)
    components["benchmark_gap"] = ("benchmark_gap", benchmark_held - benchmark_return)
    components["cost"] = ("cost", -cost)
    active_return = portfolio_return - benchmark_return

    daily = _daily_frame(days, components, active_return)
    kinds = {name: kind for name, (kind, _) in components.items()}
    kinds |= {"industry_total": "subtotal", "style_total": "subtotal", "active_return": "total"}
    factor_kinds = ["country"] + ["industry"] * n_industries + ["style"] * n_styles
    return AttributionResult(
        daily=daily,
        summary=_summary(daily, active_return, kinds),
        by_year=_by_year(daily, active_return, days, kinds),
        exposures=pd.DataFrame({
            "factor": ["country", *industry_names, *style_names], "kind": factor_kinds,
            "mean_active_exposure": exposures.mean(axis=0), "mean_abs_active_exposure": np.abs(exposures).mean(axis=0),
        }),
        coverage=pd.DataFrame({
            "trade_date": days, "n_uncovered": n_uncovered, "uncovered_active_weight": uncovered_weight,
        }),
    )


def linking_factors(active_return: npt.ArrayLike) -> FloatArray:
    """(D,) factors k_d / K by which each day's contributions are multiplied so that they add up to Π(1 + a) − 1.

    >>> a = np.array([0.10, -0.05])
    >>> bool(np.isclose((linking_factors(a) * a).sum(), 1.10 * 0.95 - 1))
    True
    """
    a = np.asarray(active_return, dtype=np.float64)
    total = float(np.prod(1.0 + a) - 1.0)
    return _log_over(a) / _log_over(np.array([total]))


def _log_over(x: FloatArray) -> FloatArray:
    """ln(1 + x) / x, 1 at 0."""
    zero = x == 0
    return np.asarray(np.where(zero, 1.0, np.log1p(x) / np.where(zero, 1.0, x)), dtype=np.float64)


def _daily_frame(
    days: npt.NDArray[np.datetime64], components: dict[str, tuple[str, FloatArray]], active_return: FloatArray
) -> pd.DataFrame:
    columns: dict[str, npt.NDArray[np.generic]] = {"trade_date": days}
    for kind in ("country", "industry", "style", "specific", "trading", "benchmark_gap", "cost"):
        group = {name: values for name, (own_kind, values) in components.items() if own_kind == kind}
        columns |= group
        if kind in ("industry", "style"):
            columns[f"{kind}_total"] = np.sum(list(group.values()), axis=0) if group else np.zeros(len(days))
    columns["active_return"] = active_return
    return pd.DataFrame(columns)


def _summary(daily: pd.DataFrame, active_return: FloatArray, kinds: dict[str, str]) -> pd.DataFrame:
    names = [name for name in daily.columns if name != "trade_date"]
    linked = linking_factors(active_return) @ daily[names].to_numpy()
    total = float(np.prod(1.0 + active_return) - 1.0)
    years = len(active_return) / DAYS_PER_YEAR
    # every component keeps its share of the total; the ratio has the limit 1 / years where the total vanishes
    per_year = ((1.0 + total) ** (1.0 / years) - 1.0) / total if abs(total) > 1e-12 else 1.0 / years
    return pd.DataFrame({
        "component": names, "kind": [kinds[name] for name in names], "cumulative": linked, "annualized": linked * per_year,
    })


def _by_year(
    daily: pd.DataFrame, active_return: FloatArray, days: npt.NDArray[np.datetime64], kinds: dict[str, str]
) -> pd.DataFrame:
    names = [name for name in daily.columns if name != "trade_date"]
    years = days.astype("datetime64[Y]").astype(np.int64) + 1970
    parts = []
    for year in np.unique(years):
        inside = years == year
        linked = linking_factors(active_return[inside]) @ daily.loc[inside, names].to_numpy()
        parts.append(pd.DataFrame({
            "year": int(year), "component": names, "kind": [kinds[name] for name in names], "contribution": linked,
        }))
    return pd.concat(parts, ignore_index=True)


def _check(
    days: npt.NDArray[np.datetime64], weights: FloatArray, benchmark_weights: FloatArray, stock_returns: FloatArray,
    style_exposures: FloatArray, industry: IntArray, factor_returns: FloatArray, style_names: tuple[str, ...],
    industry_names: tuple[str, ...], portfolio_return: FloatArray, benchmark_return: FloatArray, cost: FloatArray,
) -> None:
    n_days = len(days)
    if n_days == 0:
        raise NotEnoughData(sentence("no day to attribute", where="attribute"))
    shape = (n_days, weights.shape[-1])
    n_factors = 1 + len(industry_names) + len(style_names)
    expected_shapes = {
        "weights": (weights, shape), "benchmark_weights": (benchmark_weights, shape), "stock_returns": (stock_returns, shape),
        "style_exposures": (style_exposures, (*shape, len(style_names))), "industry": (industry, shape),
        "factor_returns": (factor_returns, (n_days, n_factors)), "portfolio_return": (portfolio_return, (n_days,)),
        "benchmark_return": (benchmark_return, (n_days,)), "cost": (cost, (n_days,)),
    }
    for name, (array, expected) in expected_shapes.items():
        if array.shape != expected:
            raise Misaligned(sentence(f"{name} does not fit", where="attribute", got=array.shape, expected=expected))
    for name in ("weights", "benchmark_weights", "portfolio_return", "benchmark_return", "cost"):
        bad = ~np.isfinite(expected_shapes[name][0])
        if bad.any():
            raise BadInput(
                sentence(f"{name} holds NaN or infinite values", where=f"attribute {days[np.argwhere(bad)[0, 0]]}",
                         got=int(bad.sum()), expected=0, next_step="A stock that is not held has weight 0.")
            )
    if (cost < 0).any():
        day = days[np.argmin(cost)]
        raise BadInput(sentence("negative cost", where=f"attribute {day}", got=float(cost.min()), expected=">= 0"))
    if industry.max(initial=-1) >= len(industry_names):
        raise Misaligned(
            sentence("more industry codes than names", where="attribute", got=int(industry.max()),
                     expected=f"<= {len(industry_names) - 1}")
        )
    unpriced = np.argwhere(np.isnan(stock_returns) & ((weights != 0) | (benchmark_weights != 0)))
    if len(unpriced):
        row, stock = unpriced[0]
        raise BadInput(
            sentence("a held stock has no return", where=f"attribute {days[row]} column {stock}",
                     got=f"{len(unpriced)} such stock-days",
                     next_step="A suspended stock returns 0, a delisted one leaves the weights.")
        )
    active = portfolio_return - benchmark_return
    if (active <= -1).any():
        raise BadInput(
            sentence("an active return of -100 % or less cannot be linked", where=f"attribute {days[np.argmin(active)]}",
                     got=float(active.min()), expected="> -1")
        )
