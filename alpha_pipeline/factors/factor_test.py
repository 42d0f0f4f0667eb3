"""One factor through the whole single-factor test: neutralise, IC, layers, autocorrelation, one row of figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline import returns as series
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, MissingData, NotEnoughData, sentence
from alpha_pipeline.factors.ic import ic, rank_ic, summarize_ic
from alpha_pipeline.factors.layers import LayerResult, layer_returns
from alpha_pipeline.factors.neutralize import neutralize
from alpha_pipeline.factors.periods import Every, period_returns, select_test_dates
from alpha_pipeline.factors.turnover import factor_autocorrelation

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FactorTestSpec:
    """How a factor is tested.

    Attributes
    ----------
    n_layers : 10 in MULTIFREQ and RISKCONTROL, 5 in ALPHANET, 20 in MULTIMODEL.
    every : ``'week'`` (last session of each week) or a number of sessions between test dates.
    cost_one_way : decimal; 0.002 in ALPHANET, 0 elsewhere.
    return_entry : where the IC's return starts and ends: ``'close'`` of the test date to the close of the next, or
        ``'next_vwap'``, the vwap of the session after each.
    neutral : test the factor after winsorising, industry and size neutralisation, and z-score.
    min_stocks : test dates with fewer pairs have no IC.
    newey_west_lags : None = ⌊4 (n / 100)^(2/9)⌋.
    """

    n_layers: int = 10
    every: Every = "week"
    cost_one_way: float = 0.0
    return_entry: Literal["close", "next_vwap"] = "close"
    neutral: bool = True
    min_stocks: int = 10
    newey_west_lags: int | None = None

    def __post_init__(self) -> None:
        if self.every != "week" and (not isinstance(self.every, int) or self.every < 1):
            raise InvalidSpec(
                sentence("every", where="FactorTestSpec", got=self.every, expected="'week' or a number of sessions >= 1")
            )
        if self.return_entry not in ("close", "next_vwap"):
            raise InvalidSpec(
                sentence("return_entry", where="FactorTestSpec", got=self.return_entry, expected="'close' or 'next_vwap'")
            )


@dataclass(frozen=True)
class FactorTestResult:
    """Frames of one factor test; every figure is a decimal, never a percentage.

    Attributes
    ----------
    ic : trade_date, rank_ic, ic, n_stocks. A test date whose return period ends beyond the data has no row value (NaN).
    layers_daily : trade_date, base, L1 … Ln daily returns after cost, L1 = highest factor values.
    layers_summary : layer, annual_return, annual_excess, ir, monthly_win_rate, turnover_two_sided.
    summary : one row.
    counts : per test date, names lost by reason (neutralisation and layers).
    conventions : what each figure means, for printing beside it.
    """

    ic: pd.DataFrame
    layers_daily: pd.DataFrame
    layers_summary: pd.DataFrame
    summary: pd.DataFrame
    counts: pd.DataFrame
    conventions: dict[str, str]


def run_factor_test(
    factor: npt.ArrayLike,
    dates: npt.ArrayLike,
    close: npt.ArrayLike,
    vwap: npt.ArrayLike,
    universe: BoolArray,
    tradable_next: BoolArray,
    test_indices: Sequence[int] | None = None,
    spec: FactorTestSpec | None = None,
    *,
    industry: npt.ArrayLike | None = None,
    log_cap: npt.ArrayLike | None = None,
) -> FactorTestResult:
    """:class:`FactorTestResult` of one factor.

    Parameters
    ----------
    factor : (D, S), row t known at the close of t.
    dates : (D,) trade dates. close, vwap : (D, S) adjusted prices, NaN = not listed.
    universe : (D, S) known at the close of t. Neutralisation uses it alone.
    tradable_next : (D, S) **test-only** filter, knows t + 1 (not suspended, not at the limit): IC and layers leave the others
        out. It never reaches the neutralised factor.
    test_indices : rows of the test dates; None takes them from ``spec.every``.
    industry, log_cap : (D, S) for ``spec.neutral``; see :func:`~alpha_pipeline.factors.neutralize.neutralize`.

    The return of an IC pair ends at the last price seen in its period: a stock delisted on the way is kept, not forgotten.

    Raises
    ------
    Misaligned : axes that differ. MissingData : ``spec.neutral`` without industry and log_cap. NotEnoughData : fewer than
    two test dates, or a date with fewer names than layers. BadInput, InvalidSpec : see the parts.

    Source: MULTIFREQ, rules of the single-factor test and figure 15; ALPHANET, figure 11.
    """
    spec = spec or FactorTestSpec()
    values = np.asarray(factor, dtype=np.float64)
    days = np.asarray(dates).astype("datetime64[D]")
    closes, vwaps = np.asarray(close), np.asarray(vwap)
    _check(values, days, closes, vwaps, universe, tradable_next)
    tests = select_test_dates(days, spec.every) if test_indices is None else [int(t) for t in test_indices]
    if len(tests) < 2:
        raise NotEnoughData(
            sentence("a factor test needs two test dates", where="run_factor_test", got=len(tests),
                     next_step="Give a longer range of dates or a smaller 'every'.")
        )
    if tests[0] < 0 or tests[-1] >= len(days) or (np.diff(tests) <= 0).any():
        raise InvalidSpec(
            sentence("test dates must be increasing rows of the data", where="run_factor_test", expected=f"0 to {len(days) - 1}")
        )

    pool = np.asarray(universe)[tests]
    tested = values[tests]
    dropped = {"no_factor": (pool & np.isnan(tested)).sum(axis=1)}
    if spec.neutral:
        if industry is None or log_cap is None:
            raise MissingData(
                sentence("a neutral test needs industry and log_cap", where="run_factor_test",
                         next_step="Give both, or set neutral=False.")
            )
        neutral = neutralize(
            tested, _rows(industry, tests, values.shape, "industry"), _rows(log_cap, tests, values.shape, "log_cap"), mask=pool
        )
        tested, dropped = neutral.values, neutral.dropped
    tested = np.where(pool, tested, np.nan)
    eligible = pool & np.asarray(tradable_next)[tests]
    dropped["not_tradable_next"] = (pool & ~eligible & ~np.isnan(tested)).sum(axis=1)

    forward = period_returns(closes, vwaps, tests, spec.return_entry)
    n_pairs = (eligible & ~np.isnan(tested) & ~np.isnan(forward)).sum(axis=1)
    ic_frame = pd.DataFrame({
        "trade_date": days[tests],
        "rank_ic": rank_ic(tested, forward, mask=eligible, min_stocks=spec.min_stocks),
        "ic": ic(tested, forward, mask=eligible, min_stocks=spec.min_stocks),
        "n_stocks": n_pairs,
    })

    for k, row in enumerate(tests):
        n_ranked = 0 if row + 1 == len(days) else int((eligible[k] & ~np.isnan(tested[k]) & ~np.isnan(vwaps[row + 1])).sum())
        if row + 1 < len(days) and n_ranked < spec.n_layers:
            raise NotEnoughData(
                sentence("fewer names than layers", where=f"run_factor_test {days[row]}", got=n_ranked,
                         expected=f">= {spec.n_layers}", next_step="Leave the date out of the test dates, or use fewer layers.")
            )
    on_all_dates = np.full(values.shape, np.nan)
    on_all_dates[tests] = tested
    in_pool = np.zeros(values.shape, dtype=bool)
    in_pool[tests] = eligible
    layers = layer_returns(
        on_all_dates, closes, vwaps, tests, n_layers=spec.n_layers, mask=in_pool, cost_one_way=spec.cost_one_way
    )
    autocorrelation = factor_autocorrelation(tested, mask=pool, min_stocks=spec.min_stocks)
    names = ["base", *(f"L{k}" for k in range(1, spec.n_layers + 1))]
    daily = pd.DataFrame(layers.returns, columns=names)
    daily.insert(0, "trade_date", days[layers.start :])
    layers_summary = _layers_summary(layers, names, days[layers.start :])
    counts = pd.DataFrame({"trade_date": days[tests], **{f"n_{reason}": count for reason, count in dropped.items()}})
    layer_counts = layers.counts.assign(trade_date=days[layers.counts["trade_date"].to_numpy()])
    counts = counts.merge(
        layer_counts[["trade_date", "n_pool", "n_ranked", "n_no_vwap", "n_filled_closes"]], on="trade_date", how="left"
    )
    return FactorTestResult(
        ic_frame, daily, layers_summary, _summary(ic_frame, layers, layers_summary, autocorrelation, spec), counts,
        _conventions(spec),
    )


def _layers_summary(layers: LayerResult, names: list[str], days: npt.NDArray[np.datetime64]) -> pd.DataFrame:
    """One row per layer; the base is the benchmark. The purchase from cash is not part of mean turnover."""
    base = layers.returns[:, 0]
    later = layers.turnover[1:]
    rows = []
    for k, name in enumerate(names[1:], start=1):
        layer = layers.returns[:, k]
        rows.append({
            "layer": name,
            "annual_return": series.annualized_return(layer),
            "annual_excess": series.annualized_excess_return(layer, base),
            "ir": series.information_ratio(layer, base),
            "monthly_win_rate": series.monthly_win_rate(layer, base, days),
            "turnover_two_sided": float(later[:, k].mean()) if len(later) else float("nan"),
        })
    return pd.DataFrame(rows)


def _summary(
    ic_frame: pd.DataFrame, layers: LayerResult, layers_summary: pd.DataFrame, autocorrelation: FloatArray, spec: FactorTestSpec
) -> pd.DataFrame:
    rank_ics = ic_frame["rank_ic"].to_numpy()
    statistics = summarize_ic(rank_ics, lags=spec.newey_west_lags)
    top = layers_summary.iloc[0]
    long_short = layers.returns[:, 1] - layers.returns[:, -1]
    known = autocorrelation[~np.isnan(autocorrelation)]
    return pd.DataFrame([{
        "n_dates": statistics.n_dates,
        "rank_ic_mean": statistics.mean,
        "rank_ic_std": statistics.std,
        "icir": statistics.icir,
        "ic_positive_share": statistics.positive_share,
        "t_nw": statistics.t_newey_west,
        "top_annual_excess": top["annual_excess"],
        "top_ir": top["ir"],
        "top_monthly_win_rate": top["monthly_win_rate"],
        "top_turnover_two_sided": top["turnover_two_sided"],
        "long_short_annual": series.annualized_return(long_short),
        "long_short_sharpe": series.sharpe_ratio(long_short),
        "autocorrelation": float(known.mean()) if len(known) else float("nan"),
        "mean_n_stocks": float(ic_frame.loc[~np.isnan(rank_ics), "n_stocks"].mean()),
    }])


def _conventions(spec: FactorTestSpec) -> dict[str, str]:
    period = {
        "close": "close of the test date to close of the next",
        "next_vwap": "vwap of the session after the test date to vwap of the session after the next",
    }[spec.return_entry]
    return {
        "factor": "winsorised, industry- and size-neutral, z-score" if spec.neutral else "as given",
        "rank_ic": f"Spearman, {period}",
        "icir": "mean / std, not annualised",
        "t_nw": "mean / Newey-West standard error",
        "layers": f"{spec.n_layers} equal-weight layers, L1 = highest factor, traded at the next session's vwap, "
                  f"{spec.cost_one_way:.2%} one-way cost",
        "base": "equal-weight tested pool, same trade moments, no cost",
        "annual": "geometric, 252 days; excess = compounded daily differences",
        "long_short": "daily L1 - last layer, compounded",
        "turnover_two_sided": "sum |w_new - w_drifted|, mean over rebalances without the first purchase",
        "spec": ", ".join(f"{name}={value}" for name, value in asdict(spec).items()),
    }


def _rows(array: npt.ArrayLike, rows: list[int], shape: tuple[int, ...], name: str) -> npt.NDArray[np.generic]:
    whole = np.asarray(array)
    if whole.shape != shape:
        raise Misaligned(sentence(f"{name} does not fit the factor", where="run_factor_test", got=whole.shape, expected=shape))
    return np.asarray(whole[rows])


def _check(
    values: FloatArray, days: npt.NDArray[np.datetime64], closes: npt.NDArray[np.floating], vwaps: npt.NDArray[np.floating],
    universe: BoolArray, tradable_next: BoolArray,
) -> None:
    where = "run_factor_test"
    if values.ndim != 2 or days.shape != (len(values),):
        raise Misaligned(sentence("dates do not fit the factor", where=where, got=days.shape, expected=values.shape[:1]))
    for name, array in (("close", closes), ("vwap", vwaps), ("universe", universe), ("tradable_next", tradable_next)):
        if np.shape(array) != values.shape:
            raise Misaligned(sentence(f"{name} does not fit the factor", where=where, got=np.shape(array), expected=values.shape))
    for name, flags in (("universe", universe), ("tradable_next", tradable_next)):
        if np.asarray(flags).dtype != np.bool_:
            raise BadInput(sentence(f"{name} is not boolean", where=where, got=np.asarray(flags).dtype, expected="bool"))
