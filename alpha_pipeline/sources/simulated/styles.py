"""Country, industry and style returns of one session and the names' exposures: the risk that is shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.sources.simulated.alpha import COUNTRY_PREMIUM, zscore
from alpha_pipeline.sources.simulated.population import INDUSTRY_NAMES
from alpha_pipeline.sources.simulated.spec import CRASH_SESSIONS, Stream, stream

F = npt.NDArray[np.float64]

STYLES = ("size", "beta", "momentum", "volatility", "liquidity", "value", "nonlinear_size")
STYLE_VOL = np.array([0.0034, 0.0014, 0.0024, 0.0018, 0.0015, 0.0018, 0.0008])  # daily, per unit of exposure
COUNTRY_VOL = 0.0106
INDUSTRY_VOL = 0.0074
_BETA_SPREAD = 0.22  # standard deviation of beta over names: the beta style earns this part of the country return
_TAIL = 6.0
_LAST_SHOCK, _LAST_VARIANCE = 0.09, 0.87
_REBOUND_SESSIONS = 4


@dataclass(frozen=True)
class SharedReturns:
    """Returns of the shared factors on one session, decimals; styles in the order of STYLES, industries of INDUSTRY_NAMES."""

    country: float
    styles: F
    industries: F
    next_country_variance: float
    volume_news: float


def draw(seed: int, t: int, country_variance: float, sessions_since_switch: int) -> SharedReturns:
    """Factor returns of session ``t``. Their conditional means are zero, except the country premium and the crash.

    The crash (``0 <= sessions_since_switch < 17``) is 13 sessions of falling small caps and market and 4 of rebound. It is not
    part of the expected return of the oracle: nobody knew.
    """
    rng = stream(seed, Stream.FACTORS, t)
    unit = np.sqrt((_TAIL - 2.0) / _TAIL)
    shock = float(np.clip(unit * rng.standard_t(_TAIL), -4.5, 4.5))
    news = float(rng.standard_normal())
    styles = STYLE_VOL * unit * rng.standard_t(_TAIL, size=len(STYLES))
    scale = np.sqrt(country_variance) / COUNTRY_VOL
    industries = INDUSTRY_VOL * (0.6 + 0.4 * scale) * unit * rng.standard_t(_TAIL, size=len(INDUSTRY_NAMES))
    country = np.sqrt(country_variance) * shock
    styles[1] += _BETA_SPREAD * country
    country += COUNTRY_PREMIUM
    if 0 <= sessions_since_switch < CRASH_SESSIONS:
        is_rebound = sessions_since_switch >= CRASH_SESSIONS - _REBOUND_SESSIONS
        styles[0] += -0.007 if is_rebound else 0.0080
        styles[6] += 0.0 if is_rebound else 0.002
        country += 0.010 if is_rebound else -0.0175
    variance = ((1 - _LAST_SHOCK - _LAST_VARIANCE) * COUNTRY_VOL**2 + _LAST_VARIANCE * country_variance
                + _LAST_SHOCK * country_variance * shock**2)
    return SharedReturns(float(country), styles, industries, float(variance), news)


def exposures(cap: F, beta: F, momentum: F, variance: F, turn: F, book: F) -> F:
    """(n_names, n_styles): z-scores clipped to +-3 of what is known at the last close.

    size log cap; beta; momentum of about 70 sessions; volatility log of the filtered squared return; liquidity log turnover;
    value log book / cap; nonlinear_size the cube of size orthogonal to size (very small and lower-middle names load negatively
    and positively).
    """
    size = zscore(np.log(cap))
    cube = size**3
    rest = cube - size * (cube @ size) / (size @ size)
    return np.column_stack([
        size, zscore(beta), zscore(momentum), zscore(np.log(variance)), zscore(np.log(turn)), zscore(np.log(book / cap)),
        zscore(rest)])
