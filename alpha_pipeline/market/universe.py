"""Who may be scored, trained on, tested: universes as masks over status flags.

The status of every stock and date is held in small integers (see :data:`FLAGS`), written by the step ``universe``. All of it is known at the
close of its date, except what :func:`tradable_next_day` says, which looks one day ahead and serves tests and sample selection only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.market.schema import INDICES

FLAGS = {
    "listed": 1 << 0,          # has a row in security_status on the date
    "has_bar": 1 << 1,         # has a daily bar on the date
    "suspended": 1 << 2,
    "st": 1 << 3,
    "delisting": 1 << 4,
    "one_price_up": 1 << 5,    # high = low = upper limit all day: nobody could buy
    "one_price_down": 1 << 6,  # high = low = lower limit all day: nobody could sell
    "limit_up": 1 << 7,        # closed at the upper limit
    "limit_down": 1 << 8,      # closed at the lower limit
}
INDEX_BITS = {code: 1 << position for position, code in enumerate(INDICES)}
UNIVERSE_NAMES = {"all": "all A-shares", **INDICES}


def has_flag(flags: np.ndarray, name: str) -> np.ndarray:
    """Boolean array: which entries of ``flags`` carry ``name``."""
    return (flags & FLAGS[name]) != 0


@dataclass(frozen=True)
class UniverseSpec:
    """A universe: ``base`` is "all" or an index code; ST, young, suspended and delisting names are excluded.

    ``min_listed_days`` counts sessions since listing (MULTIFREQ excludes ST and PT; the 60 sessions are ours).
    """

    base: str = "all"
    exclude_st: bool = True
    min_listed_days: int = 60

    def __post_init__(self) -> None:
        if self.base not in UNIVERSE_NAMES:
            raise unknown_name("universe", self.base, list(UNIVERSE_NAMES))
        if self.min_listed_days < 0:
            raise InvalidSpec(sentence("min_listed_days must not be negative", where="UniverseSpec", got=self.min_listed_days))


def universe_mask(flags: np.ndarray, listed_days: np.ndarray, membership: np.ndarray, spec: UniverseSpec) -> np.ndarray:
    """Boolean mask of the universe; arrays of any common shape, typically (n_dates, n_stocks). Known at the close of each date."""
    mask = has_flag(flags, "listed") & has_flag(flags, "has_bar") & ~has_flag(flags, "suspended") & ~has_flag(flags, "delisting")
    if spec.exclude_st:
        mask &= ~has_flag(flags, "st")
    mask &= listed_days >= spec.min_listed_days
    if spec.base != "all":
        mask &= (membership & INDEX_BITS[spec.base]) != 0
    return mask


def exclusion_counts(flags: np.ndarray, listed_days: np.ndarray, spec: UniverseSpec) -> dict[str, int]:
    """Listed names of one date that the universe "all" leaves out, by the first reason that applies."""
    left = has_flag(flags, "listed")
    counts: dict[str, int] = {}
    reasons = {
        "no bar": ~has_flag(flags, "has_bar"),
        "suspended": has_flag(flags, "suspended"),
        "delisting": has_flag(flags, "delisting"),
        "st": has_flag(flags, "st") & spec.exclude_st,
        f"listed < {spec.min_listed_days} days": listed_days < spec.min_listed_days,
    }
    for reason, hit in reasons.items():
        counts[reason] = int((left & hit).sum())
        left = left & ~hit
    return counts


def tradable_next_day(flags_DS: np.ndarray) -> np.ndarray:
    """TEST-ONLY filter: bought at the next session's vwap? (n_dates, n_stocks); uses the next date's flags.

    A name is out when the next session has no bar for it, suspends it, or trades all day at one limit price. Names that merely touched a
    limit can be filled at vwap and stay in. The last date has no next session and is all False. Never used by scores or portfolios.
    """
    tradable = np.zeros(flags_DS.shape, dtype=bool)
    following = flags_DS[1:]
    blocked = has_flag(following, "suspended") | has_flag(following, "one_price_up") | has_flag(following, "one_price_down")
    tradable[:-1] = has_flag(following, "has_bar") & ~blocked
    return tradable
