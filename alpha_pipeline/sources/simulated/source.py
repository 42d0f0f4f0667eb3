"""The simulated market as a source: dates in, tables of the schema out, and the truth behind them on the side."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.errors import MissingData, sentence
from alpha_pipeline.market.calendar import TradingCalendar, as_date, exchange_sessions
from alpha_pipeline.market.schema import TABLES
from alpha_pipeline.sources.base import SourceDescription
from alpha_pipeline.sources.simulated import alpha, styles
from alpha_pipeline.sources.simulated.corporate import build_schedule
from alpha_pipeline.sources.simulated.dynamics import Dynamics, Session, State
from alpha_pipeline.sources.simulated.fundamentals import Fundamentals
from alpha_pipeline.sources.simulated.intraday import Bars, build_bars
from alpha_pipeline.sources.simulated.population import INDUSTRY_NAMES, build_population
from alpha_pipeline.sources.simulated.spec import CRASH_SESSIONS, SimulatedMarketSpec, first_session_after_second_friday
from alpha_pipeline.sources.simulated.tables import View

BURN_IN = 150  # sessions simulated before the start, so that filters and variances are settled on the first day
BLOCK = 32  # sessions between two saved states; the unit that is regenerated on demand
_KEPT_BLOCKS = 2


class SimulatedMarket:
    """An A-share market that never was, deterministic from its spec; see ``docs/simulated_market.md`` for the recipe.

    Implements :class:`alpha_pipeline.sources.base.MarketSource`. Memory holds the state at every 32nd session visited and the
    daily outcome of two blocks; bars are made when a date is read. Reading dates in order costs each session once; a jump costs
    the daily path up to there, once, without its bars.
    """

    def __init__(self, spec: SimulatedMarketSpec | None = None) -> None:
        self.spec = spec = spec or SimulatedMarketSpec()
        self._calendar = exchange_sessions("XSHG", spec.start, spec.end)
        # Schedules are drawn for whole years, so that they do not depend on the day on which the range ends.
        year_end = exchange_sessions("XSHG", dt.date(spec.start.year - 2, 1, 1), dt.date(spec.end.year, 12, 31)).sessions
        at = int(np.searchsorted(year_end, self._calendar.sessions[0]))
        sessions = self._sessions = year_end[at - BURN_IN:]
        self._n_sessions = BURN_IN + len(self._calendar)
        self._switch_index = self._find_switch()
        self.population = build_population(spec, sessions, BURN_IN)
        reviews = frozenset(
            first_session_after_second_friday(year, month, sessions)
            for year in range(spec.start.year, spec.end.year + 1) for month in (6, 12))
        self._dynamics = Dynamics(
            spec, self.population, build_schedule(spec.seed, self.population, sessions, BURN_IN), sessions, BURN_IN,
            self._switch_index, frozenset(t for t in reviews if t > BURN_IN))
        self._fundamentals = Fundamentals(spec.seed, self.population, sessions, BURN_IN)
        self._rank = np.empty(len(self.population), dtype=np.int64)  # place of each name in order of symbol
        self._rank[np.argsort(np.array(self.population.symbols))] = np.arange(len(self.population))
        self._symbols = pd.array(self.population.symbols, dtype="str")
        self._checkpoints: dict[int, State] = {}
        self._blocks: OrderedDict[int, list[Session]] = OrderedDict()
        self._bars: tuple[int, Bars] | None = None
        self._fork: State | None = None  # where simulate_future last started from

    # ---- the protocol -------------------------------------------------------------------------------------------------

    @property
    def calendar(self) -> TradingCalendar:
        """Sessions of XSHG between the spec's start and end."""
        return self._calendar

    def describe(self) -> SourceDescription:
        """What the market offers; it says that it is simulated."""
        spec = self.spec
        return SourceDescription(
            name="simulated", is_simulated=True,
            summary=f"SIMULATED A-share market, {spec.n_stocks} stocks, {self.calendar.first} to {self.calendar.last}, "
                    f"seed {spec.seed}. No row is a record of real trading.",
            tables=tuple(TABLES), intraday_minutes=spec.bar_minutes,
            industry_scheme="SW 2021 level 1 (names only; assignment simulated)",
            notes=(
                f"Planted alpha of strength {spec.alpha_scale:g}; the exact expected 10-day return is available from oracle().",
                f"Alpha decays and small caps crash from {self.regime_switch}." if self.regime_switch else "No regime switch.",
            ),
        )

    def read_day(self, trade_date: dt.date, tables: Sequence[str]) -> dict[str, pd.DataFrame]:
        """The tables of one session; two calls return equal frames.

        Raises :class:`MissingData` for a date that is no session of this market or a table that does not exist.
        """
        return self._frames(self._position(trade_date), tables)

    def iter_days(self, start: dt.date, end: dt.date, tables: Sequence[str]) -> Iterator[tuple[dt.date, dict[str, pd.DataFrame]]]:
        """(trade date, tables) of each session in [start, end], in order."""
        for day in self.calendar.between(start, end):
            yield as_date(day), self.read_day(as_date(day), tables)

    # ---- the truth ----------------------------------------------------------------------------------------------------

    @property
    def regime_switch(self) -> dt.date | None:
        """First session of the weak-alpha regime and of the crash; None when there is none in the calendar's years."""
        return as_date(self._sessions[self._switch_index]) if self._switch_index < len(self._sessions) else None

    @property
    def crash_window(self) -> tuple[dt.date, dt.date] | None:
        """First and last session of the small-cap crash (17 sessions, the last 4 a rebound); None when there is no switch."""
        if self.regime_switch is None:
            return None
        last = min(self._switch_index + CRASH_SESSIONS, len(self._sessions)) - 1
        return self.regime_switch, as_date(self._sessions[last])

    def oracle(self, trade_date: dt.date) -> pd.DataFrame:
        """Columns symbol, expected_return_10d: the conditional expected simple return from this close to the tenth next, decimal.

        Known at the close of ``trade_date``. Rows: names that traded, are not under ST or in delisting, and have been listed for
        60 sessions; the others carry no planted alpha. It does not foresee the regime switch, the crash, suspensions or
        delistings.
        """
        session = self._session(self._position(trade_date))
        expected = session.scores.expected_return(session.strength)
        return self._by_symbol(session.scores.rows, {"expected_return_10d": expected})

    def oracle_components(self, trade_date: dt.date) -> pd.DataFrame:
        """Columns symbol, linear, nonlinear and one per piece of :data:`alpha.PIECES`: parts of expected_return_10d, decimal.

        ``linear`` + ``nonlinear`` + ten country premiums is the oracle.
        """
        session = self._session(self._position(trade_date))
        parts = dict(zip(alpha.PIECES, session.scores.contributions(session.strength), strict=True))
        linear, nonlinear = (np.sum([parts[name] for name in names], axis=0) for names in (alpha.LINEAR, alpha.NONLINEAR))
        return self._by_symbol(session.scores.rows, {"linear": linear, "nonlinear": nonlinear, **parts})

    def iter_oracle(self, start: dt.date, end: dt.date) -> Iterator[tuple[dt.date, pd.DataFrame]]:
        """(trade date, oracle frame) of each session in [start, end]."""
        for day in self.calendar.between(start, end):
            yield as_date(day), self.oracle(as_date(day))

    def factor_returns(self, trade_date: dt.date) -> pd.Series:
        """Planted returns of the session, decimal: ``country``, the styles of :data:`styles.STYLES`, the 31 industries by name.

        A name's return is country + exposures @ styles + its industry + drift + specific return, before the price limit.
        """
        shared = self._session(self._position(trade_date)).shared
        return pd.Series(np.concatenate([[shared.country], shared.styles, shared.industries]),
                         index=["country", *styles.STYLES, *INDUSTRY_NAMES])

    def style_returns(self, trade_date: dt.date) -> pd.Series:
        """The styles' part of :meth:`factor_returns`."""
        return self.factor_returns(trade_date)[list(styles.STYLES)]

    def style_exposures(self, trade_date: dt.date) -> pd.DataFrame:
        """Columns symbol and the styles: exposures that earned this session's style returns, known at the close before."""
        session = self._session(self._position(trade_date))
        return self._by_symbol(session.rows, dict(zip(styles.STYLES, session.exposures.T, strict=True)))

    def simulate_future(self, trade_date: dt.date, n_sessions: int, draw_seed: int) -> pd.DataFrame:
        """Columns symbol, total_return: adjusted return over the next ``n_sessions`` under other draws than the market's own.

        Averaged over many ``draw_seed`` it shows what the oracle says. Names delisted on the way are left out.
        """
        t = self._position(trade_date)
        before = self._session(t)
        if self._fork is None or self._fork.t != t:
            self._fork = self._checkpoint(t // BLOCK * BLOCK).copy()
            while self._fork.t < t:
                self._dynamics.advance(self._fork)
        state = self._fork.copy()
        growth = np.full(len(self.population), np.nan)
        growth[before.rows] = 1.0
        for _ in range(n_sessions):
            session = self._dynamics.advance(state, draw_seed)
            growth[session.rows] *= session.close / session.pre_close
        rows = before.rows[np.isin(before.rows, session.rows)]
        return self._by_symbol(rows, {"total_return": growth[rows] - 1.0})

    # ---- inside -------------------------------------------------------------------------------------------------------

    def _find_switch(self) -> int:
        spec = self.spec
        if not spec.has_regime_switch:
            return len(self._sessions) + 10**6
        if spec.regime_switch is None:
            return BURN_IN + int(0.85 * len(self._calendar))
        return int(np.searchsorted(self._sessions, np.datetime64(spec.regime_switch, "D")))

    def _position(self, trade_date: dt.date) -> int:
        return BURN_IN + self._calendar.index(trade_date)

    def _checkpoint(self, block: int) -> State:
        """The state before session ``block``, found from the nearest earlier one; saves those on the way."""
        at = block
        while at > 0 and at not in self._checkpoints:
            at -= BLOCK
        state = self._checkpoints[at].copy() if at in self._checkpoints else self._dynamics.initial()
        while state.t + 1 < block:
            if (state.t + 1) % BLOCK == 0:
                self._checkpoints.setdefault(state.t + 1, state.copy())
            self._dynamics.advance(state)
        self._checkpoints.setdefault(block, state)
        return self._checkpoints[block]

    def _session(self, t: int) -> Session:
        block = t // BLOCK * BLOCK
        if block not in self._blocks:
            state = self._checkpoint(block).copy()
            self._blocks[block] = [self._dynamics.advance(state) for _ in range(min(BLOCK, self._n_sessions - block))]
            if state.t + 1 < self._n_sessions:
                self._checkpoints.setdefault(state.t + 1, state)
            while len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(block)
        return self._blocks[block][t - block]

    def _bars_of(self, t: int) -> Bars:
        if self._bars is None or self._bars[0] != t:
            self._bars = (t, build_bars(self.spec.seed, self._session(t), self.spec.bar_minutes))
        return self._bars[1]

    def _frames(self, t: int, names: Sequence[str]) -> dict[str, pd.DataFrame]:
        unknown = [name for name in names if name not in TABLES]
        if unknown:
            raise MissingData(sentence(f"no table '{unknown[0]}'", where="simulated market",
                                       expected=f"one of {', '.join(TABLES)}"))
        session = self._session(t)
        view = View(self._symbols, self.population, session, self._sessions[t], np.argsort(self._rank[session.rows]))
        make: dict[str, Callable[[], pd.DataFrame]] = {
            "daily_bars": lambda: view.daily_bars(self._bars_of(t)),
            "intraday_bars": lambda: view.intraday_bars(self._bars_of(t), self.spec.bar_minutes),
            "security_status": view.security_status,
            "index_weights": view.index_weights,
            "index_bars": lambda: view.index_bars(self._bars_of(t)),
            "fundamentals": lambda: self._fundamentals.frame(t, self._symbols),
        }
        return {name: make[name]() for name in names}

    def _by_symbol(self, rows: npt.NDArray[np.int64], columns: dict[str, npt.NDArray[np.float64]]) -> pd.DataFrame:
        order = np.argsort(self._rank[rows])
        return pd.DataFrame({"symbol": self._symbols.take(rows[order]), **{k: v[order] for k, v in columns.items()}})
