"""What a rebalance changes, name by name, with a reason by stated rules.

The level a name's alpha is compared with is the mean alpha of what is held (of the benchmark before the first portfolio), weighted; a name
without a score counts as 0. The first rule that applies gives the reason:

1. ``restriction``: not traded, and it could be traded in neither direction, or not in the one that its alpha points to; or sold without a score,
   since such names may be sold but not bought;
2. ``held``: not traded (up to ``NO_TRADE``);
3. ``index change``: bought after joining the index, or sold after leaving it, since the rebalance before;
4. ``alpha``: bought with an alpha of at least the level, or sold with one of at most the level;
5. ``constraint``: traded against its alpha. ``detail`` names the limit: the largest deviation where the target lies at it, else the binding limit
   with the largest shadow price that concerns the name (limits of other industries do not), else ``fully_invested``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alpha_pipeline.errors import Misaligned, sentence

NO_TRADE = 1e-6
REASONS = ("alpha", "constraint", "restriction", "index change", "held")
_GENERAL = ("fully_invested", "long_only", "max_deviation", "frozen")


@dataclass(frozen=True, eq=False)
class Rebalance:
    """One rebalance of n names, known at the close of the signal date; arrays (n,), weights in decimals.

    ``benchmark_before`` None: no index change is looked for (first portfolio, equal-weight benchmark). ``industry``: names, "" where unknown.
    ``max_deviation``: of the spec, or None. ``binding``: (constraint, shadow price or None) as the optimizer reported them.
    """

    symbols: tuple[str, ...]
    held: np.ndarray
    target: np.ndarray
    benchmark: np.ndarray
    alpha: np.ndarray
    industry: Sequence[str]
    can_buy: np.ndarray
    can_sell: np.ndarray
    benchmark_before: np.ndarray | None = None
    max_deviation: float | None = None
    binding: Sequence[tuple[str, float | None]] = ()

    def __post_init__(self) -> None:
        for name in ("held", "target", "benchmark", "alpha", "industry", "can_buy", "can_sell", "benchmark_before"):
            array = getattr(self, name)
            if array is not None and len(array) != len(self.symbols):
                raise Misaligned(sentence(f"{name} does not match the symbols", got=len(array), expected=len(self.symbols)))

    @property
    def level(self) -> float:
        """The alpha that others are compared with."""
        weights = self.held if float(self.held.sum()) > 0.0 else self.benchmark
        total = float(weights.sum())
        return float(weights @ np.nan_to_num(self.alpha)) / total if total > 0.0 else 0.0


def change_table(rebalance: Rebalance) -> pd.DataFrame:
    """One row per name held before or after: symbol, industry, held, target, change, reason, detail, alpha, benchmark; largest trades first.

    >>> bought = Rebalance(("a", "b"), np.array([0.5, 0.5]), np.array([0.7, 0.3]), np.array([0.5, 0.5]), np.array([1.0, -1.0]), ("x", "x"),
    ...                    np.ones(2, bool), np.ones(2, bool))
    >>> change_table(bought)["reason"].tolist()
    ['alpha', 'alpha']
    """
    change = rebalance.target - rebalance.held
    shown = np.flatnonzero((rebalance.held > 0.0) | (rebalance.target > 0.0))
    order = sorted(shown.tolist(), key=lambda i: (-abs(float(change[i])), rebalance.symbols[i]))
    reasons = [_reason(rebalance, i, float(change[i])) for i in order]
    return pd.DataFrame({
        "symbol": pd.array([rebalance.symbols[i] for i in order], dtype="str"),
        "industry": pd.array([rebalance.industry[i] for i in order], dtype="str"),
        "held": rebalance.held[order], "target": rebalance.target[order], "change": change[order],
        "reason": pd.array([reason for reason, _ in reasons], dtype="str"), "detail": pd.array([detail for _, detail in reasons], dtype="str"),
        "alpha": rebalance.alpha[order], "benchmark": rebalance.benchmark[order],
    })


def turnover_by_reason(table: pd.DataFrame) -> dict[str, float]:
    """Two-sided turnover of each reason, decimals, in the order of :data:`REASONS`; reasons without a trade are 0."""
    found = table["change"].abs().groupby(table["reason"]).sum()
    return {reason: float(found.get(reason, 0.0)) for reason in REASONS if reason != "held"}


def _reason(rebalance: Rebalance, i: int, change: float) -> tuple[str, str]:
    alpha, level = rebalance.alpha[i], rebalance.level
    has_score = bool(np.isfinite(alpha))
    alpha = float(alpha) if has_score else 0.0
    buyable, sellable = bool(rebalance.can_buy[i]), bool(rebalance.can_sell[i])
    if abs(change) <= NO_TRADE:
        if not buyable and not sellable:
            return "restriction", "cannot be traded"
        if not sellable and alpha < level:
            return "restriction", "cannot be sold"
        if not buyable and alpha > level:
            return "restriction", "cannot be bought"
        return "held", ""
    if rebalance.benchmark_before is not None:
        was, now = float(rebalance.benchmark_before[i]) > 0.0, float(rebalance.benchmark[i]) > 0.0
        if was != now and now == (change > 0.0):
            return "index change", "joined the index" if now else "left the index"
    if not has_score and change < 0.0:
        return "restriction", "no score: sold, not bought"
    if (alpha - level) * change >= 0.0:
        return "alpha", ""
    return "constraint", _limit(rebalance, i)


def _limit(rebalance: Rebalance, i: int) -> str:
    if rebalance.max_deviation is not None and abs(float(rebalance.target[i] - rebalance.benchmark[i])) >= rebalance.max_deviation - 1e-7:
        return "max_deviation"
    concerning = [
        (price or 0.0, name) for name, price in rebalance.binding
        if name not in _GENERAL and (not name.startswith("industry_bound[") or name == f"industry_bound[{rebalance.industry[i] or 'unknown'}]")
    ]
    return max(concerning, key=lambda found: found[0])[1] if concerning else "fully_invested"
