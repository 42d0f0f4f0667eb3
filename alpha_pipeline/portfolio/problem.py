"""The data of one rebalance: what the optimizer may know at the close of the signal date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from alpha_pipeline.errors import BadInput, Misaligned, sentence
from alpha_pipeline.portfolio.risk import FactorRisk

UNKNOWN_INDUSTRY = -1
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class PortfolioProblem:
    """One cross-section of ``n`` stocks at the close of the signal date; every array has shape (n,).

    Attributes
    ----------
    symbols
        Security codes, unique.
    alpha
        Expected return in standard units (z-scores). NaN = not scored: the name may be held or sold but not bought,
        and counts as 0, the cross-section's mean, in the objective.
    benchmark_weights
        Decimals that sum to 1 within 1e-6 (the tolerance of ``index_weights``); scaled to exactly 1 inside.
    current_weights
        Drifted weights at the close of the signal date, decimals, sum at most 1 (the rest is cash). None for the first portfolio.
    industry
        Integer codes; -1 = unknown, which is treated as a class of its own and recorded in the result.
    styles
        Name to exposure in standard units. A name without an exposure (NaN) may not be bought; it is an error if it is
        held or in the benchmark, because its active exposure would be unknown.
    can_buy, can_sell
        Restrictions known or assumed at the signal date: suspended names are False in both, limit-up names and excluded ones
        False in ``can_buy``, limit-down names False in ``can_sell``.
    risk
        Factor model of the active return, for tracking-error limits and risk aversion. A name whose risk is unknown may not be bought.
    where
        Portfolio and date for messages, such as ``csi500_enhanced 2021-03-05``.

    Raises
    ------
    Misaligned
        An array is not of shape (n,).
    BadInput
        Duplicate symbols, missing or negative weights, weights that do not sum to what is stated, all alphas infinite or missing.
    """

    symbols: tuple[str, ...]
    alpha: np.ndarray
    benchmark_weights: np.ndarray
    current_weights: np.ndarray | None
    industry: np.ndarray
    styles: Mapping[str, np.ndarray] = field(default_factory=dict)
    can_buy: np.ndarray | None = None
    can_sell: np.ndarray | None = None
    where: str = ""
    risk: FactorRisk | None = None

    def __post_init__(self) -> None:
        n = len(self.symbols)
        if len(set(self.symbols)) != n:
            raise BadInput(sentence("symbols are not unique", where=self.where, got=f"{n - len(set(self.symbols))} repeated"))
        arrays = {
            "alpha": self.alpha,
            "benchmark_weights": self.benchmark_weights,
            "industry": self.industry,
            **{f"styles['{name}']": exposure for name, exposure in self.styles.items()},
        }
        for name, array in (("current_weights", self.current_weights), ("can_buy", self.can_buy), ("can_sell", self.can_sell)):
            if array is not None:
                arrays[name] = array
        for name, array in arrays.items():
            if np.shape(array) != (n,):
                raise Misaligned(
                    sentence(
                        f"{name} does not match the symbols", where=self.where, got=f"shape {np.shape(array)}", expected=f"({n},)"
                    )
                )
        if self.risk is not None and self.risk.specific_variance.shape != (n,):
            raise Misaligned(sentence("risk does not match the symbols", where=self.where, got=self.risk.specific_variance.shape, expected=(n,)))
        if bool(np.isinf(self.alpha).any()):
            raise BadInput(
                sentence(
                    "alpha is infinite", where=self._at(np.isinf(self.alpha)), next_step="Use NaN for a name without a score."
                )
            )
        self._check_weights("benchmark_weights", self.benchmark_weights)
        if abs(float(self.benchmark_weights.sum()) - 1.0) > _SUM_TOLERANCE:
            raise BadInput(
                sentence(
                    "benchmark weights do not sum to 1",
                    where=self.where,
                    got=f"{self.benchmark_weights.sum():.6f}",
                    expected="1 within 1e-6",
                    next_step="Pass every member of the index, also those outside the universe.",
                )
            )
        object.__setattr__(self, "benchmark_weights", self.benchmark_weights / self.benchmark_weights.sum())
        if self.current_weights is not None:
            self._check_weights("current_weights", self.current_weights)
            if float(self.current_weights.sum()) > 1.0 + 1e-8:
                raise BadInput(
                    sentence(
                        "current weights exceed the portfolio",
                        where=self.where,
                        got=f"{self.current_weights.sum():.8f}",
                        expected="a sum of at most 1",
                    )
                )

    def _check_weights(self, name: str, weights: np.ndarray) -> None:
        for fault, bad in (("missing", ~np.isfinite(weights)), ("negative", np.nan_to_num(weights) < 0.0)):
            if bool(bad.any()):
                raise BadInput(sentence(f"{name} are {fault}", where=self._at(bad), expected="decimals of at least 0"))

    def _at(self, bad: np.ndarray) -> str:
        named = ", ".join(self.symbols[i] for i in np.flatnonzero(bad)[:3])
        return f"{self.where} {named}".strip()

    @property
    def n_stocks(self) -> int:
        return len(self.symbols)

    @property
    def is_first(self) -> bool:
        """True when nothing is held yet, so that there is no turnover to limit."""
        return self.current_weights is None

    @property
    def held(self) -> np.ndarray:
        """(n,) drifted weights, zeros before the first portfolio."""
        return np.zeros(self.n_stocks) if self.current_weights is None else np.asarray(self.current_weights, dtype=float)

    @property
    def constituents(self) -> np.ndarray:
        """(n,) bool: members of the benchmark."""
        return self.benchmark_weights > 0.0

    def buyable(self) -> np.ndarray:
        """(n,) bool: scored, with all exposures, and not barred from buying."""
        allowed = ~np.isnan(self.alpha)
        if self.can_buy is not None:
            allowed &= self.can_buy
        for exposure in self.styles.values():
            allowed &= np.isfinite(exposure)
        if self.risk is not None:
            allowed &= self.risk.known
        return allowed

    def sellable(self) -> np.ndarray:
        """(n,) bool: not barred from selling."""
        return np.ones(self.n_stocks, dtype=bool) if self.can_sell is None else np.asarray(self.can_sell, dtype=bool)

    def expected_return(self) -> np.ndarray:
        """(n,) alpha with 0 for names without a score."""
        return np.nan_to_num(np.asarray(self.alpha, dtype=float), nan=0.0)

    def style(self, name: str) -> np.ndarray:
        """(n,) exposure to one style; NaN, allowed only where the weight stays 0 and the benchmark is 0, becomes 0.

        Raises :class:`BadInput` for a name without exposure that is held or in the benchmark.
        """
        exposure = np.asarray(self.styles[name], dtype=float)
        unknown = ~np.isfinite(exposure) & ((self.held > 0.0) | self.constituents)
        if bool(unknown.any()):
            raise BadInput(
                sentence(
                    f"no '{name}' exposure for {int(unknown.sum())} held names or constituents",
                    where=self._at(unknown),
                    next_step="Fill missing exposures from size and industry before optimizing.",
                )
            )
        return np.nan_to_num(exposure, nan=0.0, posinf=0.0, neginf=0.0)
