"""Cash dividends and share transfers: who goes ex-right on which session, and what that does to prices, shares and factors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alpha_pipeline.sources.simulated.population import Population
from alpha_pipeline.sources.simulated.spec import Stream, stream

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

PAYS_SHARE = 0.65  # of names pay a cash dividend in a year
TRANSFER_SHARE = 0.07  # of names also give shares (送转)
TRANSFERS = np.array([0.2, 0.3, 0.4, 0.5, 1.0])
MIN_LISTED_SESSIONS = 120
_EVENT_KEY = 100_000  # keeps the stream of a year's dividends apart from that of its ST spells


@dataclass(frozen=True)
class ExRights:
    """Events of one session: names, cash per share as a share of the last close (decimal), new shares per share."""

    rows: I64
    cash_yield: F
    transfer: F


@dataclass(frozen=True)
class Schedule:
    """Ex-right sessions of all years. Announced before the ex-date; the cash amount follows from the close before it."""

    by_session: dict[int, ExRights]

    def on(self, t: int) -> ExRights | None:
        return self.by_session.get(t)


def build_schedule(seed: int, population: Population, sessions: npt.NDArray[np.datetime64], start_index: int) -> Schedule:
    """One possible ex-date per name and year, between early May and late July as on the real market."""
    found: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    first_year, last_year = (int(str(sessions[i])[:4]) for i in (start_index, -1))
    for year in range(first_year, last_year + 1):
        u = stream(seed, Stream.EVENTS, _EVENT_KEY + year).random((len(population), 4))
        low, high = np.searchsorted(sessions, [np.datetime64(f"{year}-05-06"), np.datetime64(f"{year}-08-01")])
        at = low + np.floor(u[:, 0] * (high - low)).astype(np.int64)
        cash = np.where(u[:, 1] < PAYS_SHARE, np.clip(0.012 * np.exp(1.1 * (u[:, 2] - 0.5) * 2), 0.001, 0.06), 0.0)
        transfer = np.where(u[:, 3] < TRANSFER_SHARE, TRANSFERS[(u[:, 2] * len(TRANSFERS)).astype(np.int64)], 0.0)
        happens = ((cash > 0) | (transfer > 0)) & (at > start_index) & (at < len(sessions))
        happens &= (at >= population.list_index + MIN_LISTED_SESSIONS) & (at < population.st_start)
        for row in np.flatnonzero(happens):
            found[int(at[row])].append((int(row), float(cash[row]), float(transfer[row])))
    return Schedule({
        t: ExRights(*(np.array(column) for column in zip(*events, strict=True))) for t, events in found.items()
    })


def reference_price(close: I64, cash: I64, transfer: F) -> I64:
    """The exchange's ex-right reference in cents: (close - cash) / (1 + transfer), rounded half up.

    >>> reference_price(np.array([2000]), np.array([50]), np.array([0.5])).tolist()
    [1300]
    """
    tenths = 10 + np.rint(transfer * 10.0).astype(np.int64)  # transfers are whole shares per ten: stay in integers
    return np.maximum((20 * (close - cash) + tenths) // (2 * tenths), 1)
