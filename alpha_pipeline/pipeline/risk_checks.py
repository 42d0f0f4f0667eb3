"""Checks on the stored risk model: R², condition, purity of the factor portfolios, positive definiteness, bias statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alpha_pipeline.errors import NotEnoughData
from alpha_pipeline.pipeline.risk_model import COVARIANCE, FACTOR_RETURNS, Regression, load_regression
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.risk.factor_returns import factor_portfolios
from alpha_pipeline.risk.industries import industry_dummies
from alpha_pipeline.risk.portfolio_risk import bias_statistic

R_SQUARED_RANGE = (0.02, 0.98)  # mean over the dates: below, nothing is explained; above, there are too few stocks for the factors
MAX_CONDITION = 1e4
PURITY_TOLERANCE = 1e-8
BIAS_SESSIONS, BIAS_RANGE = 252, (0.5, 2.0)
_NEWEST = 60  # dates of a check that is asked for no range


@dataclass(frozen=True)
class RiskCheck:
    """Whether it holds, a sentence, and figures to show."""

    passed: bool
    sentence: str
    facts: dict[str, float] = field(default_factory=dict)


def check_r_squared(work: Workspace, start: str = "", end: str = "") -> RiskCheck:
    """The mean R² of the daily regressions lies in ``R_SQUARED_RANGE``. No range: the newest 60 dates."""
    values = _fact(work, "r_squared", start, end)
    if not len(values):
        return RiskCheck(True, "no date in the range has a regression")
    mean, (low, high) = float(values.mean()), R_SQUARED_RANGE
    return RiskCheck(low <= mean <= high, f"mean R² {mean:.3f} of {len(values)} dates, expected {low} … {high}",
                     {"mean": mean, "lowest": float(values.min()), "highest": float(values.max())})


def check_condition(work: Workspace, start: str = "", end: str = "") -> RiskCheck:
    """No regression's condition number exceeds ``MAX_CONDITION``. No range: the newest 60 dates."""
    values = _fact(work, "condition", start, end)
    if not len(values):
        return RiskCheck(True, "no date in the range has a regression")
    return RiskCheck(float(values.max()) <= MAX_CONDITION,
                     f"largest condition number {values.max():.1f} of {len(values)} dates, on {values.idxmax()}; expected <= {MAX_CONDITION:.0f}",
                     {"largest": float(values.max()), "median": float(values.median())})


def check_purity(work: Workspace, key: str = "") -> RiskCheck:
    """The factor portfolios of a date, built again from the stored exposures, are pure and earn the stored factor returns.

    Country: industries in their cap shares, no style. Styles: one of their own, nothing else. Industries: no style, nothing in total.
    Empty ``key``: the newest date with a regression.
    """
    keys = [key] if key else [k for k in reversed(work.store.keys(FACTOR_RETURNS)) if _rows(work, k)][:1]
    if not keys:
        return RiskCheck(True, "no date has a regression")
    inputs = load_regression(work, work.panels, keys[0])
    try:
        used = inputs.run().used
    except NotEnoughData:
        return RiskCheck(True, f"{keys[0]} has no regression")
    stored = work.store.read(FACTOR_RETURNS, keys[0]).set_index("factor")["factor_return"]
    impurity, difference = purity(inputs, used, stored)
    passed = impurity <= PURITY_TOLERANCE and difference <= PURITY_TOLERANCE
    return RiskCheck(passed, f"{keys[0]}: exposures of the factor portfolios differ by at most {impurity:.1e} from what they should be, "
                     f"their returns by {difference:.1e} from the stored ones; expected <= {PURITY_TOLERANCE:.0e}",
                     {"impurity": impurity, "return difference": difference})


def purity(inputs: Regression, used: np.ndarray, stored: pd.Series) -> tuple[float, float]:
    """Largest deviation of the factor portfolios' exposures from the identities, and of their returns from the stored ones."""
    has_style = np.array([name in stored.index for name in inputs.style_names], dtype=bool)
    x, industry, cap = inputs.styles[used][:, has_style], inputs.industry[used], inputs.cap[used]
    n_industries, n_styles = len(inputs.industry_names), int(has_style.sum())
    portfolios = factor_portfolios(x, industry, cap, n_industries)
    exposures = portfolios @ np.column_stack([np.ones(len(x)), industry_dummies(industry, n_industries), x])
    shares = np.bincount(industry, weights=cap, minlength=n_industries) / cap.sum()
    expected = np.eye(1 + n_industries + n_styles)
    expected[0, 1: 1 + n_industries] = shares
    # an industry portfolio is judged by what it must not have, and all of them together by the restriction
    expected[1: 1 + n_industries, 1: 1 + n_industries] = exposures[1: 1 + n_industries, 1: 1 + n_industries]
    impurity = max(float(np.abs(exposures - expected).max()), float(np.abs(shares @ exposures[1: 1 + n_industries]).max()))
    names = ["country", *inputs.industry_names, *(n for n, has in zip(inputs.style_names, has_style, strict=True) if has)]
    earned = pd.Series(portfolios @ inputs.returns[used], index=names)
    return impurity, float((earned[stored.index] - stored).abs().max())


def check_positive_definite(work: Workspace, key: str = "") -> RiskCheck:
    """The covariance of a date (default: the newest) is symmetric and has no negative eigenvalue."""
    keys = [key] if key else work.store.keys(COVARIANCE)[-1:]
    frame = work.store.read(COVARIANCE, keys[0]) if keys else pd.DataFrame()
    if not len(frame):
        return RiskCheck(True, "no covariance yet: the history is too short")
    matrix = frame[frame["factor"].tolist()].to_numpy()
    lowest = float(np.linalg.eigvalsh(matrix).min())
    return RiskCheck(bool(np.array_equal(matrix, matrix.T)) and lowest >= 0, f"{keys[0]}: smallest eigenvalue {lowest:.2e}, expected >= 0",
                     {"smallest eigenvalue": lowest, "factors": float(len(frame))})


def bias_by_factor(work: Workspace, end: str = "") -> pd.DataFrame:
    """Columns factor, bias, n_sessions: returns of up to 252 sessions over the volatilities forecast at the closes before them."""
    keys = [key for key in work.store.keys(COVARIANCE) if not end or key <= end][-BIAS_SESSIONS - 1:]
    forecasts = {key: work.store.read(COVARIANCE, key, ["factor", "volatility"]).set_index("factor")["volatility"] for key in keys}
    returns = {key: work.store.read(FACTOR_RETURNS, key, ["factor", "factor_return"]).set_index("factor")["factor_return"] for key in keys[1:]}
    earned = pd.DataFrame.from_dict(returns, orient="index")
    expected = pd.DataFrame.from_dict({key: forecasts[before] for before, key in zip(keys, keys[1:], strict=False)}, orient="index")
    earned = earned.reindex(columns=expected.columns)
    used = (earned.notna() & (expected > 0)).sum()
    bias = bias_statistic(earned.to_numpy(dtype=np.float64), expected.to_numpy(dtype=np.float64))
    return pd.DataFrame({"factor": list(expected.columns), "bias": bias, "n_sessions": used.to_numpy()})


def check_bias(work: Workspace) -> RiskCheck:
    """The median bias statistic of the factors lies in ``BIAS_RANGE``."""
    found = bias_by_factor(work)
    found = found[(found["n_sessions"] >= 20) & found["bias"].notna()]
    if not len(found):
        return RiskCheck(True, "no factor has 20 forecasts yet")
    bias, (low, high) = found["bias"], BIAS_RANGE
    median, worst = float(bias.median()), found.loc[(bias - 1).abs().idxmax()]
    return RiskCheck(low <= median <= high, f"median bias statistic {median:.2f} of {len(found)} factors, expected {low} … {high}; furthest from 1: "
                     f"{worst['factor']} {worst['bias']:.2f}", {"median": median, "lowest": float(bias.min()), "highest": float(bias.max())})


def _keys(work: Workspace, start: str, end: str) -> Sequence[str]:
    stored = work.store.keys(FACTOR_RETURNS)
    return [k for k in stored if (not start or k >= start) and (not end or k <= end)] if start or end else stored[-_NEWEST:]


def _fact(work: Workspace, name: str, start: str, end: str) -> pd.Series:
    facts = {}
    for key in _keys(work, start, end):
        manifest = work.store.manifest(FACTOR_RETURNS, key)
        if manifest is not None and manifest.meta[name] is not None:
            facts[key] = float(manifest.meta[name])
    return pd.Series(facts, dtype="float64")


def _rows(work: Workspace, key: str) -> int:
    manifest = work.store.manifest(FACTOR_RETURNS, key)
    return manifest.rows if manifest is not None else 0
