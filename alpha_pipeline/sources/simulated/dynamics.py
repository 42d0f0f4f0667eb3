"""One session of the market: from the state at the last close to prices, volumes and the state at this close.

A return is  country + styles + industry + drift + specific shock.  The specific part has GARCH variance and skewed, fat-tailed
shocks; the limit cuts what lies beyond, and the drift is raised by what the limit is going to cut off on average, so that the
expected return stays the planted one. All draws of session t come from the streams of t.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from alpha_pipeline.market.rules import FREE, limit_cents, limit_percent
from alpha_pipeline.market.schema import BOARDS
from alpha_pipeline.sources.simulated import indices, shocks, styles
from alpha_pipeline.sources.simulated.alpha import MIN_LISTED_DAYS, Filters, Scores, scores
from alpha_pipeline.sources.simulated.corporate import Schedule, reference_price
from alpha_pipeline.sources.simulated.population import DELISTING_SESSIONS, Population
from alpha_pipeline.sources.simulated.spec import SimulatedMarketSpec, Stream, stream

F = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
B = npt.NDArray[np.bool_]

_LAST_SHOCK, _LAST_VARIANCE = 0.18, 0.78  # GARCH(1,1) of the specific return
_HEAT = 0.6  # a name in fashion is traded more and moves more
_DECAY_MOMENTUM, _DECAY_CAP = 0.985, 0.98
_MIN_LOTS = 480  # a traded name trades at least two lots a minute
_YOUNG = 20  # sessions after listing that the turnover filters forget
_UNLOCKS = {243: 1.8, 729: 2.1}  # lock-ups end after one and three years: growth of the float, from 25 % to 45 % to 94 %
_NO_CEILING = 10**9


@dataclass
class State:
    """Everything that session t + 1 needs, at the close of t. Arrays have shape (n_names,); prices in cents."""

    t: int
    close: I64
    adj_factor: F
    total_shares: F
    float_shares: F
    variance: F
    turn_state: F
    closing_state: F
    momentum: F
    cap: F
    suspended_left: I64
    suspended_for: I64
    overhang: F
    filters: Filters
    country_variance: float
    turn_common: float
    members: B
    level: F
    level_total: F
    drift: F

    def copy(self) -> State:
        """A state that does not share memory with this one."""
        values = [getattr(self, f.name) for f in fields(self)]
        return State(*(v.copy() if hasattr(v, "copy") else v for v in values))


@dataclass(frozen=True)
class Session:
    """What happened on session ``t`` to the listed names ``rows``; arrays (n_listed,), prices in cents, volume in lots of 100.

    ``raw_close`` is the close before the limit cut it (not rounded); ``ten`` the close of 10:00; ``closing_share`` the share of
    the volume after 14:30; ``sigma`` the day's specific volatility (decimal); limits are 0 on a session without one.
    """

    t: int
    rows: I64
    pre_close: I64
    open: I64
    ten: I64
    close: I64
    raw_close: F
    limit_up: I64
    limit_down: I64
    is_one_price: B
    is_suspended: B
    is_st: B
    is_delisting: B
    listed_days: I64
    lots: I64
    closing_share: F
    sigma: F
    adj_factor: F
    total_shares: F
    float_shares: F
    free_float_shares: F
    index: indices.IndexDay
    scores: Scores
    strength: float
    shared: styles.SharedReturns
    exposures: F


class Dynamics:
    """The laws of motion. ``switch_index`` is the first session of the weak-alpha regime; beyond the calendar there is none."""

    def __init__(self, spec: SimulatedMarketSpec, population: Population, schedule: Schedule,
                 sessions: npt.NDArray[np.datetime64], start_index: int, switch_index: int,
                 review_indices: frozenset[int]) -> None:
        self.spec, self.population, self.schedule, self.sessions = spec, population, schedule, sessions
        self.start_index, self.switch_index = start_index, switch_index
        self.review_indices = review_indices | {0, start_index}
        self._book = population.book_to_price * population.price * population.total_shares

    def strength(self, t: int) -> float:
        """Strength of the alpha in force after the close of ``t``."""
        return self.spec.alpha_scale * (self.spec.alpha_after_switch if t + 1 >= self.switch_index else 1.0)

    def initial(self) -> State:
        """The state before the burn-in."""
        p = self.population
        n = len(p)
        return State(
            t=-1, close=np.rint(p.price * 100.0).astype(np.int64), adj_factor=np.ones(n), total_shares=p.total_shares.copy(),
            float_shares=_round_lots(p.total_shares * p.float_ratio), variance=p.base_vol**2, turn_state=np.zeros(n),
            closing_state=np.zeros(n), momentum=np.zeros(n), cap=p.price * p.total_shares,
            suspended_left=np.zeros(n, dtype=np.int64), suspended_for=np.zeros(n, dtype=np.int64), overhang=p.overhang.copy(),
            filters=Filters.start(p.base_vol, p.base_turn), country_variance=styles.COUNTRY_VOL**2, turn_common=0.0,
            members=np.zeros((len(indices.CODES), n), dtype=bool), level=indices.BASE_LEVELS.copy(),
            level_total=indices.BASE_LEVELS.copy(), drift=np.zeros(n),
        )

    def advance(self, state: State, draw_seed: int | None = None) -> Session:
        """Move ``state`` one session on, in place, and return what happened.

        ``draw_seed`` replaces the market's own draws of the day by others; it serves to average over possible futures.
        """
        t = state.t = state.t + 1
        p, seed = self.population, self.spec.seed if draw_seed is None else draw_seed
        n = p.count_listed(t)
        rows = np.flatnonzero(p.delist_index[:n] > t)
        rng = stream(seed, Stream.DAY, t)
        z, u = rng.standard_normal((n, 6))[rows], rng.random((n, 3))[rows]
        shock = shocks.shape(rng.standard_t(shocks.TAIL, size=n)[rows])
        is_seasoned = p.list_index[rows] == 0
        listed_days = np.where(is_seasoned, np.maximum(p.listed_before[rows] + t - self.start_index + 1, MIN_LISTED_DAYS + 1),
                               t - p.list_index[rows] + 1)
        is_st = (p.st_start[rows] <= t) & (t < p.st_end[rows])
        is_delisting = t >= p.delist_index[rows] - DELISTING_SESSIONS
        may_stop = (listed_days > _YOUNG) & ~is_delisting & (t > self.start_index)
        is_suspended = _suspensions(state, rows, u, may_stop, is_st)
        on = np.flatnonzero(~is_suspended)

        last_close = state.close[rows]
        pre_close, split = self._ex_rights(state, t, rows, last_close)
        for age, growth in _UNLOCKS.items():
            unlocked = rows[(listed_days == age) & ~is_seasoned]
            state.float_shares[unlocked] = _round_lots(state.float_shares[unlocked] * growth)
        up_percent, down_percent = self._limit_percent(t, rows, is_st, listed_days)
        limit_up, limit_down = limit_cents(pre_close, up_percent, down_percent)
        is_free = up_percent == FREE
        ceiling, floor = np.where(is_free, _NO_CEILING, limit_up), np.where(is_free, 1, limit_down)
        room_up = np.where(is_free, 9.0, limit_up / pre_close - 1.0)
        room_down = np.where(is_free, 0.99, 1.0 - limit_down / pre_close)

        shared = styles.draw(seed, t, state.country_variance, t - self.switch_index)
        loads = self._exposures(state, t, rows)
        premium = np.where(is_suspended, 0.0, state.overhang[rows])
        known = (shared.country + loads @ shared.styles + shared.industries[p.industry[rows]] + state.drift[rows]
                 + np.expm1(premium) - np.where(p.delist_index[rows] - t <= DELISTING_SESSIONS + 40, 0.006, 0.0))
        # News piles up while a name is suspended; new names are wild.
        sigma = np.sqrt(state.variance[rows] * (1.0 + np.minimum(state.suspended_for[rows], 60) / 8.0))
        sigma *= np.exp(_HEAT * state.turn_state[rows])
        sigma = np.where(listed_days <= 5, np.maximum(sigma, 0.045), sigma)
        raw = known + sigma * shock
        raw += np.where(listed_days >= MIN_LISTED_DAYS, shocks.cut_off(known, sigma, room_up, room_down), 0.0)
        raw = np.maximum(raw, -0.6)

        raw_close = pre_close * (1.0 + raw)
        close = np.where(is_suspended, pre_close, np.clip(np.rint(raw_close).astype(np.int64), floor, ceiling))
        is_queued = (raw > 1.2 * room_up) | (raw < -1.2 * room_down)
        is_one_price = (is_queued & ~is_free & ~is_suspended & (u[:, 2] < np.where(premium > 0.02, 0.9, 0.3))
                        & ((close == limit_up) | (close == limit_down)))
        is_flat = is_one_price | is_suspended
        overnight = 0.155 * raw + 0.39 * sigma * z[:, 0] + np.where(premium > 0.02, 0.6 * np.expm1(premium), 0.0)
        opening = np.clip(np.rint(pre_close * (1.0 + np.maximum(overnight, -0.5))).astype(np.int64), floor, ceiling)
        opening = np.where(is_flat, close, opening)
        half_way = 0.5 * np.log(np.maximum(raw_close, 1.0) / opening) + 0.45 * sigma * z[:, 1]
        ten = np.clip(np.rint(opening * np.exp(half_way)).astype(np.int64), floor, ceiling)
        ten = np.where(is_flat, close, ten)

        lots, turn = self._volume(state, rows, shock, z, shared.volume_news, listed_days, is_one_price, is_suspended)
        state.closing_state[rows] = 0.97 * state.closing_state[rows] + 0.2431 * z[:, 4]  # stationary variance 1
        closing_share = np.clip(0.137 * np.exp(0.14 * state.closing_state[rows] + 0.26 * z[:, 5]), 0.03, 0.45)

        eligible = ~is_suspended & (listed_days >= MIN_LISTED_DAYS) & ~is_st & ~is_delisting
        simple = close / pre_close - 1.0
        excess = simple - (simple[eligible].mean() if eligible.any() else 0.0)
        state.filters.update(
            rows[on], listed_days[on] <= _YOUNG, excess[on], turn[on], np.log(closing_share[on]),
            (ten[on] / opening[on] - 1.0) - (close[on] / ten[on] - 1.0))
        index_day = self._index_day(
            state, t, rows, last_close / split, close * split / last_close - 1.0, simple,
            (listed_days >= indices.MIN_LISTED_DAYS) & ~is_st & ~is_delisting)
        state.country_variance = shared.next_country_variance
        left_over = np.where((raw > room_up) & (listed_days <= 30), np.maximum(premium - np.log1p(simple), 0.0), 0.0)
        _close_books(state, p.base_vol[rows] ** 2, rows, on, close, excess, shock, left_over, is_suspended)
        today = scores(state.filters, rows[eligible])
        state.drift[:] = 0.0
        state.drift[today.rows] = today.drift(self.strength(t))
        return Session(
            t=t, rows=rows, pre_close=pre_close, open=opening, ten=ten, close=close, raw_close=raw_close,
            limit_up=np.where(is_free, 0, limit_up), limit_down=np.where(is_free, 0, limit_down), is_one_price=is_one_price,
            is_suspended=is_suspended, is_st=is_st, is_delisting=is_delisting, listed_days=listed_days, lots=lots,
            closing_share=closing_share, sigma=sigma, adj_factor=state.adj_factor[rows], total_shares=state.total_shares[rows],
            float_shares=state.float_shares[rows], free_float_shares=self._free_float(state, rows), index=index_day, scores=today,
            strength=self.strength(t), shared=shared, exposures=loads,
        )

    def _ex_rights(self, state: State, t: int, rows: I64, last_close: I64) -> tuple[I64, F]:
        """Reference prices in cents and the split ratio 1 + transfer; books today's events into shares and factors."""
        pre_close, split = last_close.copy(), np.ones(len(rows))
        event = self.schedule.on(t)
        if event is None:
            return pre_close, split
        is_listed = np.isin(event.rows, rows)
        who, at = event.rows[is_listed], np.searchsorted(rows, event.rows[is_listed])
        cash = np.rint(last_close[at] * event.cash_yield[is_listed]).astype(np.int64)
        transfer = event.transfer[is_listed]
        pre_close[at] = reference_price(last_close[at], cash, transfer)
        split[at] = 1.0 + transfer
        state.adj_factor[who] *= last_close[at] / pre_close[at]
        state.total_shares[who] = _round_lots(state.total_shares[who] * split[at])
        state.float_shares[who] = _round_lots(state.float_shares[who] * split[at])
        return pre_close, split

    def _limit_percent(self, t: int, rows: I64, is_st: B, listed_days: I64) -> tuple[I64, I64]:
        """Limits in percent from a small table of board x ST x first sessions, so that the rules are asked once a day."""
        boards = np.array(BOARDS, dtype=object)[:, None, None]
        up, down = limit_percent(self.sessions[t: t + 1], boards, np.array([False, True])[:, None], np.arange(1, 7))
        at = (self.population.board[rows], is_st.astype(np.int64), np.minimum(listed_days, 6) - 1)
        return up[at], down[at]

    def _exposures(self, state: State, t: int, rows: I64) -> F:
        cap = state.close[rows] * state.total_shares[rows] / 100.0
        book = self._book[rows] * np.exp(0.07 * (t - self.start_index) / 243.0)
        return styles.exposures(cap, self.population.beta[rows], state.momentum[rows], state.filters.variance[rows],
                                state.filters.turn_medium[rows], book)

    def _volume(self, state: State, rows: I64, shock: F, z: F, news: float, listed_days: I64, is_one_price: B,
                is_suspended: B) -> tuple[I64, F]:
        """Lots traded and turnover (decimal of float shares); volume follows volatility, the day's shock, and the crowd."""
        p = self.population
        state.turn_common = 0.96 * state.turn_common + 0.06 * news
        state.turn_state[rows] = 0.96 * state.turn_state[rows] + 0.13 * z[:, 2]
        log_turn = (np.log(p.base_turn[rows]) + state.turn_common + state.turn_state[rows] + 0.15 * z[:, 3]
                    + 0.5 * np.log(state.variance[rows] / p.base_vol[rows] ** 2)
                    + 0.45 * (np.minimum(np.abs(shock), 4.0) - 0.70)
                    + np.where(p.list_index[rows] == 0, 0.0, 3.4 * np.exp(-(listed_days - 1) / 9.0))
                    - np.where(is_one_price, 2.0, 0.0))
        turn = np.minimum(np.exp(log_turn), 0.8)
        lots = np.maximum(np.rint(turn * state.float_shares[rows] / 100.0), _MIN_LOTS).astype(np.int64)
        lots = np.where(is_suspended, 0, lots)
        return lots, lots * 100.0 / state.float_shares[rows]

    def _free_float(self, state: State, rows: I64) -> F:
        return _round_lots(state.float_shares[rows] * self.population.free_ratio[rows])

    def _index_day(self, state: State, t: int, rows: I64, price: F, price_return: F, total_return: F,
                   eligible: B) -> indices.IndexDay:
        if t in self.review_indices:
            members = indices.review(state.members[:, rows], state.cap[rows], eligible, self.spec.n_stocks)
            state.members[:] = False
            state.members[:, rows] = members
        if t == self.start_index:
            state.level, state.level_total = indices.BASE_LEVELS.copy(), indices.BASE_LEVELS.copy()
        day = indices.session_of_indices(state.members[:, rows], price * self._free_float(state, rows), price_return,
                                         total_return, state.level, state.level_total)
        state.level, state.level_total = day.level, day.level_total
        return day


def _suspensions(state: State, rows: I64, u: F, may_stop: B, is_st: B) -> B:
    """Who is suspended today. A new spell lasts about eight sessions and is likelier for ST names."""
    left = state.suspended_left[rows]
    begins = (left == 0) & may_stop & (u[:, 0] < np.where(is_st, 0.002, 0.0005))
    length = np.ceil(np.log(np.maximum(u[:, 1], 1e-12)) / np.log(1.0 - 1.0 / 8.0)).astype(np.int64)
    left = np.where(begins, np.maximum(length, 1), left)
    state.suspended_left[rows] = np.maximum(left - 1, 0)
    return left > 0


def _close_books(state: State, base_variance: F, rows: I64, on: I64, close: I64, excess: F, shock: F, left_over: F,
                 is_suspended: B) -> None:
    """Carry the day's outcome into the state; ``on`` are the positions that traded."""
    state.close[rows] = close
    state.suspended_for[rows] = np.where(is_suspended, state.suspended_for[rows] + 1, 0)
    state.cap[rows] = _DECAY_CAP * state.cap[rows] + (1 - _DECAY_CAP) * close * state.total_shares[rows] / 100.0
    who, variance = rows[on], state.variance[rows[on]]
    square = np.minimum(shock[on] ** 2, shocks.LARGEST_SQUARE) / shocks.mean_bounded_square()
    state.variance[who] = ((1 - _LAST_SHOCK - _LAST_VARIANCE) * base_variance[on]
                           + variance * (_LAST_VARIANCE + _LAST_SHOCK * square))
    state.momentum[who] = _DECAY_MOMENTUM * state.momentum[who] + np.clip(excess[on], -0.2, 0.2)
    state.overhang[who] = left_over[on]


def _round_lots(shares: F) -> F:
    return np.round(shares / 100.0) * 100.0
