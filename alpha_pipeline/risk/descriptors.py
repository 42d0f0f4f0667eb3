"""Price-volume descriptors of the Barra CNE5 styles, of one date, from the window of sessions that ends there.

Arrays are (S, T): a stock's sessions lie side by side in memory, the last column is the date itself, and everything is known at
its close. Every sum over a window is a weighted product along that axis (``einsum``), so a stock's figure depends on its own row
alone: neither other stocks, nor the number of threads, nor the history before the window change a bit of it.

A descriptor needs ``MIN_COVERAGE`` of the *weight* of its window: of 252 sessions with a half-life of 63 the latest 76 carry 60 %,
of 504 with 126 the latest 151; windows without decay (CMRA, turnover) need 60 % of their sessions. Less gives NaN.
Returns are not reduced by a risk-free rate, which is the same for all stocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.errors import BadInput, Misaligned, sentence

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MIN_COVERAGE = 0.6
BETA_SESSIONS, BETA_HALF_LIFE = 252, 63.0
DASTD_SESSIONS, DASTD_HALF_LIFE = 252, 42.0
RSTR_SESSIONS, RSTR_HALF_LIFE, RSTR_LAG = 504, 126.0, 21
MONTH, CMRA_MONTHS = 21, 12
TURNOVER_MONTHS = {"STOM": 1, "STOQ": 3, "STOA": 12}
HISTORY_SESSIONS = RSTR_SESSIONS + RSTR_LAG  # columns that the longest window needs, the date included


@dataclass(frozen=True)
class PriceHistory:
    """What the descriptors read: (S, T) sessions up to and with the date; fewer than the windows ask for are taken as missing.

    ``returns`` : simple daily returns of adjusted prices, decimals, 0 where missing; ``has_return`` : 1.0 or 0.0.
    ``log_returns`` : ln(1 + return), 0 where missing. ``turnover`` : shares traded over tradable shares, decimal, 0 where missing;
    ``has_turnover`` : 1.0 or 0.0. ``market`` : (T,) return of the market, NaN where unknown.
    """

    returns: FloatArray
    has_return: FloatArray
    log_returns: FloatArray
    turnover: FloatArray
    has_turnover: FloatArray
    market: FloatArray

    @classmethod
    def of(cls, returns: FloatArray, turnover: FloatArray, market: FloatArray) -> PriceHistory:
        """From (S, T) arrays with NaN for missing.

        Raises
        ------
        Misaligned : shapes that differ. BadInput : a return of −100 % or less.
        """
        if turnover.shape != returns.shape or market.shape != returns.shape[1:]:
            raise Misaligned(sentence("turnover or market do not fit the returns", where="PriceHistory",
                                      got=f"{turnover.shape} and {market.shape}", expected=f"{returns.shape} and {returns.shape[1:]}"))
        if (returns <= -1).any():
            raise BadInput(sentence("a return of -100 % or less", where="PriceHistory", got=float(np.nanmin(returns))))
        has_return, has_turnover = ~np.isnan(returns), ~np.isnan(turnover)
        filled = np.where(has_return, returns, 0.0)
        return cls(filled, has_return.astype(np.float64), np.log1p(filled), np.where(has_turnover, turnover, 0.0),
                   has_turnover.astype(np.float64), market)

    def ending(self, column: int, n_sessions: int = HISTORY_SESSIONS) -> PriceHistory:
        """The window of ``n_sessions`` whose last session is ``column``; views, nothing is copied."""
        at = slice(max(0, column + 1 - n_sessions), column + 1)
        return PriceHistory(self.returns[:, at], self.has_return[:, at], self.log_returns[:, at], self.turnover[:, at],
                            self.has_turnover[:, at], self.market[at])


def ewma_weights(n_sessions: int, half_life: float, n_available: int | None = None) -> FloatArray:
    """Weights of a window, oldest first: they halve every ``half_life`` sessions and sum to 1 over ``n_sessions``.

    ``n_available`` : only the latest so many are returned (history shorter than the window); they sum to less than 1.

    >>> ewma_weights(3, 1.0).round(4).tolist(), ewma_weights(3, 1.0, 2).round(4).tolist()
    ([0.1429, 0.2857, 0.5714], [0.2857, 0.5714])
    """
    weights = 0.5 ** (np.arange(n_sessions - 1, -1, -1) / half_life)
    weights /= weights.sum()
    return weights if n_available is None else weights[n_sessions - min(n_available, n_sessions):]


def price_descriptors(history: PriceHistory) -> dict[str, FloatArray]:
    """(S,) BETA, HSIGMA, DASTD, CMRA, RSTR, STOM, STOQ, STOA of the last session."""
    beta, hsigma = beta_and_hsigma(history)
    return {"BETA": beta, "HSIGMA": hsigma, "DASTD": dastd(history), "CMRA": cmra(history), "RSTR": rstr(history),
            **{name: log_turnover(history, months) for name, months in TURNOVER_MONTHS.items()}}


def beta_and_hsigma(history: PriceHistory) -> tuple[FloatArray, FloatArray]:
    """(S,) slope of the stock's on the market's daily returns, 252 sessions, half-life 63, and the standard deviation of what is left.

    r = α + β m + e, weighted; HSIGMA = √(Σ w e² / Σ w), from the moments: var(r) − β · cov(r, m).
    """
    x, present, market = _last(BETA_SESSIONS, history.returns, history.has_return, history.market[None])
    m = np.nan_to_num(market[0])
    weights = np.where(np.isnan(market[0]), 0.0, ewma_weights(BETA_SESSIONS, BETA_HALF_LIFE, x.shape[1]))
    total = _along(present, weights)
    scale = _inverse(total, total >= MIN_COVERAGE)
    mean_m, mean_x = _along(present, weights * m) * scale, _along(x, weights) * scale
    variance = _along(present, weights * m * m) * scale - mean_m**2
    covariance = _along(x, weights * m) * scale - mean_m * mean_x
    beta = covariance * _inverse(variance, variance > 0)
    own = np.einsum("st,st,t->s", x, x, weights) * scale - mean_x**2
    return beta, np.sqrt(np.maximum(own - beta * covariance, 0.0))


def dastd(history: PriceHistory) -> FloatArray:
    """(S,) standard deviation of daily returns, 252 sessions, half-life 42."""
    x, present = _last(DASTD_SESSIONS, history.returns, history.has_return)
    weights = ewma_weights(DASTD_SESSIONS, DASTD_HALF_LIFE, x.shape[1])
    total = _along(present, weights)
    scale = _inverse(total, total >= MIN_COVERAGE)
    variance = np.einsum("st,st,t->s", x, x, weights) * scale - (_along(x, weights) * scale) ** 2
    return np.sqrt(np.maximum(variance, 0.0))


def cmra(history: PriceHistory) -> FloatArray:
    """(S,) range of the cumulated log return over the last 1, 2, … 12 months of 21 sessions: max Z − min Z.

    Z(T) sums ln(1 + r) over the latest T months. A session without a return adds nothing. The form Z_max − Z_min is CNE5's; the
    ln(1 + Z) of USE4 does not exist for a stock that lost more than 63 %.
    """
    n = MONTH * CMRA_MONTHS
    logs, present = _last(n, history.log_returns, history.has_return)
    padded = np.zeros((len(logs), n))
    padded[:, n - logs.shape[1]:] = logs
    months = padded.reshape(len(logs), CMRA_MONTHS, MONTH).sum(axis=2)[:, ::-1]
    cumulated = np.cumsum(months, axis=1)
    spread = cumulated.max(axis=1) - cumulated.min(axis=1)
    return np.where(present.sum(axis=1) >= MIN_COVERAGE * n, spread, np.nan)


def rstr(history: PriceHistory) -> FloatArray:
    """(S,) weighted mean of ln(1 + r) over 504 sessions, half-life 126, that end 21 sessions ago."""
    stop = max(0, history.log_returns.shape[1] - RSTR_LAG)
    logs, present = _last(RSTR_SESSIONS, history.log_returns[:, :stop], history.has_return[:, :stop])
    weights = ewma_weights(RSTR_SESSIONS, RSTR_HALF_LIFE, logs.shape[1])
    total = _along(present, weights)
    return _along(logs, weights) * _inverse(total, total >= MIN_COVERAGE)


def log_turnover(history: PriceHistory, n_months: int) -> FloatArray:
    """(S,) ln of the mean monthly turnover of the latest ``n_months`` months of 21 sessions: STOM 1, STOQ 3, STOA 12.

    NaN where nothing was traded. A suspended session counts with turnover 0, one without data is left out of the mean.
    """
    n = MONTH * n_months
    turnover, present = _last(n, history.turnover, history.has_turnover)
    days = present.sum(axis=1)
    monthly = MONTH * turnover.sum(axis=1) * _inverse(days, days >= MIN_COVERAGE * n)
    return np.log(np.where(monthly > 0, monthly, np.nan))


def market_return(returns: FloatArray, cap_before: FloatArray, universe_before: BoolArray) -> float:
    """Cap-weighted return of one session (decimal), with the universe and the weights of the session before; NaN without any.

    It stands for the all-share index: every source has it, dividends included. All arrays (S,).
    """
    used = universe_before & ~np.isnan(cap_before) & ~np.isnan(returns)
    weights = cap_before[used]
    return float((weights * returns[used]).sum() / weights.sum()) if used.any() else float("nan")


def _last(n: int, *arrays: FloatArray) -> tuple[FloatArray, ...]:
    return tuple(array[:, max(0, array.shape[1] - n):] for array in arrays)


def _along(x: FloatArray, weights: FloatArray) -> FloatArray:
    return np.einsum("st,t->s", x, weights)


def _inverse(x: FloatArray, valid: BoolArray) -> FloatArray:
    return np.divide(1.0, x, out=np.full_like(x, np.nan), where=valid)
