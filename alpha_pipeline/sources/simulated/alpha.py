"""The planted alpha: the published function of past bars that *is* each stock's conditional expected 10-day return.

Observables of one day, all read off that day's bars (r = close / pre_close - 1, turn = volume / float_shares):

    x = r minus the day's mean over eligible names, clipped to +-10 %
    c = log(volume of 14:30-15:00 / volume of the day)
    o = (close of 10:00 / open - 1) - (close / close of 10:00 - 1)

Filters, updated at every close on which the stock trades (L = decay per session):

    R = L R + x            L = 0.87    returns of about the last 10 days
    Z = g Z + x            g = 0.955 exp(2 pi i / 40), complex: a damped wave with a period of 40 days
    V = mean of x^2        L = 0.95    T10, T20, T60 = mean of turn, L = 0.87, 0.94, 0.98
    C = mean of c          L = 0.94    O = mean of o, L = 0.93

Scores (z = cross-sectional z-score over eligible names, clipped to +-3); each raises the expected return:

    reversal        z(-R)                  low_volatility  z(-log V)
    low_turnover    z(-log T20)            quiet_volume    z(log T60 - log T10)
    closing_share   z(-C)                  opening_return  z(O)
    slow_wave       z(Re(e^{i phi} Z)), phi chosen so that its lag weights are orthogonal to those of R
    reversal_x_closing = reversal * closing_share       wave_x_volume = slow_wave * quiet_volume

    E[r(t -> t+10) | bars to t] = 10 * COUNTRY_PREMIUM + strength(t) * STRENGTH * sum_k WEIGHTS[k] * score_k(t)

How it is planted. Tomorrow's drift is ``sum_k w_k score_k(t) / G_k`` with ``G_k = 1 + p_k + ... + p_k^9`` and ``p_k`` the
persistence of score k, so that ten days of drift add up to the published number. For filters of returns p is exact (L, or the
complex g), because the expected future input of such a filter is only the drift itself, a twentieth of a day's move, which two
constants below make up for. For volatility, turnover and closing share G is the sum of autocorrelations at lags 0 to 9, measured
once on this market; so there the formula is the best linear forecast, not the exact one. A Monte Carlo that restarts the market
from one state with fresh draws (``SimulatedMarket.simulate_future``) confirms slope and ranking of the published number.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

F = npt.NDArray[np.float64]
B = npt.NDArray[np.bool_]

HORIZON = 10
COUNTRY_PREMIUM = 0.0002  # mean daily return of the country factor, decimal
STRENGTH = 0.0115  # decimal; the expected 10-day return has a standard deviation of about 0.01 over stocks
MIN_LISTED_DAYS = 60

DECAY_REVERSAL, DECAY_VOLATILITY, DECAY_CLOSING, DECAY_OPENING = 0.87, 0.95, 0.94, 0.93
DECAY_TURNOVER = (0.87, 0.94, 0.98)
WAVE = 0.955 * np.exp(2j * np.pi / 40.0)
# Re(e^{i phi} sum_j (L g)^j) = 0 makes the wave's lag weights orthogonal to the reversal's.
_PHASE = 1j * np.conj(1.0 / (1.0 - DECAY_REVERSAL * WAVE))
WAVE_PHASE = -_PHASE / abs(_PHASE)

LINEAR = ("reversal", "low_volatility", "low_turnover", "quiet_volume", "closing_share", "opening_return", "slow_wave")
NONLINEAR = ("reversal_x_closing", "wave_x_volume")
PIECES = LINEAR + NONLINEAR
WEIGHTS: dict[str, float] = {
    "reversal": 0.28, "low_volatility": 0.08, "low_turnover": 0.05, "quiet_volume": 0.22, "closing_share": 0.22,
    "opening_return": 0.22, "slow_wave": 0.60, "reversal_x_closing": 0.40, "wave_x_volume": 0.35,
}


_WEIGHTS = np.array([WEIGHTS[name] for name in PIECES])


def _sum_of_powers(ratio: complex, n: int = HORIZON) -> complex:
    return (1 - ratio**n) / (1 - ratio)


# G of each score: ten days of expected return per unit of tomorrow's drift.
GAINS: dict[str, float] = {
    "reversal": 5.0,  # 5.78 for a pure decay; the other pieces' drift also enters R and takes some back
    "low_volatility": 9.4,
    "low_turnover": 9.85,
    "quiet_volume": 8.8,
    "closing_share": 9.48,
    "opening_return": float(np.real(_sum_of_powers(DECAY_OPENING))),
    "reversal_x_closing": 5.5,
}
PERSISTENCE_QUIET = 0.97
# The drift enters the filters of returns and cancels a few percent of itself; raised to make up (from the Monte Carlo).
FEEDBACK = 1.05
# The wave turns as it decays, so its drift reads the wave at another phase; times the quiet volume it also decays faster.
_WAVE_TOMORROW = WAVE_PHASE / _sum_of_powers(WAVE)
_WAVE_VOLUME_TOMORROW = WAVE_PHASE / _sum_of_powers(WAVE * PERSISTENCE_QUIET)


@dataclass
class Filters:
    """The running filters of all names, shape (n_names,); rows of names that do not trade stay as they are."""

    reversal: F
    wave: npt.NDArray[np.complex128]
    variance: F
    turn_fast: F
    turn_medium: F
    turn_slow: F
    closing: F
    opening: F

    @staticmethod
    def start(base_vol: F, base_turn: F) -> Filters:
        n = len(base_vol)
        return Filters(np.zeros(n), np.zeros(n, dtype=np.complex128), base_vol**2 * 1.2, base_turn.copy(), base_turn.copy(),
                       base_turn.copy(), np.full(n, np.log(0.14)), np.zeros(n))

    def copy(self) -> Filters:
        return Filters(*(getattr(self, f.name).copy() for f in fields(self)))

    def update(self, rows: npt.NDArray[np.int64], is_young: B, excess: F, turn: F, closing: F, opening: F) -> None:
        """Take in one day's observables of the names ``rows`` that traded.

        ``is_young`` names (first 20 sessions) only set their turnover filters to the day's value, so that the first days' frenzy
        is forgotten by the time they become eligible.
        """
        x = np.clip(excess, -0.1, 0.1)
        self.reversal[rows] = DECAY_REVERSAL * self.reversal[rows] + x
        self.wave[rows] = WAVE * self.wave[rows] + x
        self.variance[rows] = DECAY_VOLATILITY * self.variance[rows] + (1 - DECAY_VOLATILITY) * x**2
        for name, decay in zip(("turn_fast", "turn_medium", "turn_slow"), DECAY_TURNOVER, strict=True):
            values = getattr(self, name)
            values[rows] = np.where(is_young, turn, decay * values[rows] + (1 - decay) * turn)
        self.closing[rows] = DECAY_CLOSING * self.closing[rows] + (1 - DECAY_CLOSING) * closing
        self.opening[rows] = DECAY_OPENING * self.opening[rows] + (1 - DECAY_OPENING) * np.clip(opening, -0.15, 0.15)


@dataclass(frozen=True)
class Scores:
    """Scores of the eligible names ``rows`` at one close, known at that close.

    ``pieces`` and ``tomorrow`` have shape (n_pieces, n_eligible) in the order of :data:`PIECES`: the score, and the part of its
    ten days that falls on the next session.
    """

    rows: npt.NDArray[np.int64]
    pieces: F
    tomorrow: F

    def expected_return(self, strength: float) -> F:
        """Expected 10-day simple return of each row, decimal."""
        return HORIZON * COUNTRY_PREMIUM + self.contributions(strength).sum(axis=0)

    def contributions(self, strength: float) -> F:
        """(n_pieces, n_eligible): the part of each piece in the expected 10-day return, decimal."""
        return strength * STRENGTH * _WEIGHTS[:, None] * self.pieces

    def drift(self, strength: float) -> F:
        """Tomorrow's expected return in excess of the country premium, decimal."""
        return strength * STRENGTH * FEEDBACK * (_WEIGHTS @ self.tomorrow)


def scores(filters: Filters, eligible: npt.NDArray[np.int64]) -> Scores:
    """Scores at a close from the filters of the names ``eligible`` (trading, not ST, not in delisting, listed 60 sessions)."""
    if len(eligible) < 2:
        nothing = np.zeros((len(PIECES), len(eligible)))
        return Scores(eligible, nothing, nothing)
    wave = filters.wave[eligible]
    wave_now = np.real(WAVE_PHASE * wave)
    closing = zscore(-filters.closing[eligible])
    reversal = zscore(-filters.reversal[eligible])
    quiet = zscore(np.log(filters.turn_slow[eligible] / filters.turn_fast[eligible]))
    slow = zscore(wave_now)
    pieces = np.stack([
        reversal, zscore(-np.log(filters.variance[eligible])), zscore(-np.log(filters.turn_medium[eligible])), quiet, closing,
        zscore(filters.opening[eligible]), slow, centered(reversal * closing), centered(slow * quiet),
    ])
    tomorrow = np.stack([
        piece / GAINS[name] if name in GAINS else piece for name, piece in zip(PIECES, pieces, strict=True)])
    spread = wave_now.std() or 1.0
    tomorrow[PIECES.index("slow_wave")] = centered(np.real(_WAVE_TOMORROW * wave)) / spread
    tomorrow[PIECES.index("wave_x_volume")] = centered(centered(np.real(_WAVE_VOLUME_TOMORROW * wave)) / spread * quiet)
    return Scores(eligible, pieces, tomorrow)


def zscore(values: F) -> F:
    """Cross-sectional z-score clipped to +-3; all zero when the values are equal."""
    spread = values.std()
    return np.zeros_like(values) if spread == 0 else np.clip((values - values.mean()) / spread, -3.0, 3.0)


def centered(values: F) -> F:
    """Values minus their cross-sectional mean."""
    return values - values.mean()
