"""The planted alpha: rebuilt from bars alone, strong enough, and truly the expected return."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from alpha_pipeline.sources.simulated import SimulatedMarket, SimulatedMarketSpec, alpha, shocks

SPEC = SimulatedMarketSpec(n_stocks=250, start=dt.date(2021, 1, 4), end=dt.date(2022, 12, 30), seed=7, has_regime_switch=False)


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    return SimulatedMarket(SPEC)


class TestExamples:
    def test_wave_weights_are_orthogonal_to_those_of_reversal(self) -> None:
        lags = np.arange(400)
        wave = np.real(alpha.WAVE_PHASE * alpha.WAVE**lags)
        assert wave @ alpha.DECAY_REVERSAL**lags == pytest.approx(0.0, abs=1e-9)
        assert wave[0] < 0 < wave[12]  # against the last days, with the two to four weeks before

    def test_gain_of_a_decay_is_the_sum_of_ten_powers(self) -> None:
        assert alpha.GAINS["opening_return"] == pytest.approx(sum(0.93**h for h in range(10)))

    def test_zscore_by_hand(self) -> None:
        np.testing.assert_allclose(alpha.zscore(np.array([1.0, 2.0, 3.0])), [-1.5**0.5, 0.0, 1.5**0.5])
        assert alpha.zscore(np.full(3, 2.0)).tolist() == [0.0, 0.0, 0.0]


class TestProperties:
    def test_pieces_follow_from_bars_by_the_published_formula(self, market: SimulatedMarket) -> None:
        # A second implementation: from the tables alone, after as many days as the slowest of the tested filters needs.
        days = market.calendar.sessions[:200]
        wide: dict[str, dict[np.datetime64, pd.Series]] = {name: {} for name in ("x", "c", "o")}
        for day in days:
            frames = market.read_day(day.astype(dt.date), ("daily_bars", "security_status", "intraday_bars"))
            bars = frames["daily_bars"].set_index("symbol").join(
                frames["security_status"].set_index("symbol").drop(columns="trade_date"))
            bars = bars[~bars["is_suspended"]]
            eligible = (bars["listed_days"] >= 60) & ~bars["is_st"] & ~bars["is_delisting"]
            simple = bars["close"] / bars["pre_close"] - 1.0
            wide["x"][day] = (simple - simple[eligible].mean()).clip(-0.1, 0.1)
            inner = frames["intraday_bars"]
            volume = inner["volume"].to_numpy().reshape(-1, 16)
            close = inner["close"].to_numpy().reshape(-1, 16)
            names = inner["symbol"].to_numpy().reshape(-1, 16)[:, 0]
            first = inner["open"].to_numpy().reshape(-1, 16)[:, 0]
            wide["c"][day] = pd.Series(np.log(volume[:, -2:].sum(axis=1) / volume.sum(axis=1)), names)
            wide["o"][day] = pd.Series((close[:, 1] / first - 1.0) - (close[:, -1] / close[:, 1] - 1.0), names)
        x, c, o = (pd.DataFrame(wide[name]).T for name in ("x", "c", "o"))
        pieces = market.oracle_components(days[-1].astype(dt.date)).set_index("symbol")
        filters: dict[str, dict[str, complex]] = {"R": {}, "Z": {}, "C": {}, "O": {}}
        for name in pieces.index:
            moves = x[name].dropna().to_numpy()[::-1]
            lags = np.arange(len(moves))
            filters["R"][name] = moves @ alpha.DECAY_REVERSAL**lags
            filters["Z"][name] = np.real(alpha.WAVE_PHASE * (moves @ alpha.WAVE**lags))
            filters["C"][name] = c[name].dropna().to_numpy()[::-1] @ alpha.DECAY_CLOSING**lags * (1 - alpha.DECAY_CLOSING)
            filters["O"][name] = o[name].dropna().to_numpy()[::-1] @ alpha.DECAY_OPENING**lags * (1 - alpha.DECAY_OPENING)
        rebuilt = pd.DataFrame(filters)
        expected = {"reversal": -rebuilt["R"], "slow_wave": rebuilt["Z"], "closing_share": -rebuilt["C"],
                    "opening_return": rebuilt["O"]}
        for piece, values in expected.items():
            assert np.corrcoef(alpha.zscore(values.to_numpy(dtype=float)), pieces[piece])[0, 1] > 0.999, piece

    def test_components_add_up(self, market: SimulatedMarket) -> None:
        day = dt.date(2021, 8, 2)
        parts, total = market.oracle_components(day), market.oracle(day)
        both = parts["linear"] + parts["nonlinear"]
        np.testing.assert_allclose(both + 10 * alpha.COUNTRY_PREMIUM, total["expected_return_10d"])
        np.testing.assert_allclose(parts[list(alpha.PIECES)].sum(axis=1), both)
        share = parts["nonlinear"].var() / both.var()
        assert 0.1 < share < 0.5

    def test_oracle_does_not_know_tomorrow(self) -> None:
        day, spec = dt.date(2021, 5, 10), SimulatedMarketSpec(n_stocks=60, end=dt.date(2021, 5, 10), has_regime_switch=False)
        longer = SimulatedMarketSpec(n_stocks=60, end=dt.date(2021, 12, 31), has_regime_switch=False)
        pd.testing.assert_frame_equal(SimulatedMarket(spec).oracle(day), SimulatedMarket(longer).oracle(day))

    def test_rank_ic_of_the_oracle(self, market: SimulatedMarket) -> None:
        sessions = market.calendar.sessions
        wide = {}
        for day in sessions[::10]:
            frame = market.read_day(day.astype(dt.date), ["daily_bars"])["daily_bars"].set_index("symbol")
            wide[day] = frame["close"] * frame["adj_factor"]
        growth = pd.DataFrame(wide).T
        future = growth.shift(-1) / growth - 1.0
        ics = []
        for day in sessions[:-10:10]:
            oracle = market.oracle(day.astype(dt.date)).set_index("symbol")["expected_return_10d"]
            both = pd.concat([oracle, future.loc[day]], axis=1).dropna()
            ics.append(spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic)
        assert 0.11 < np.mean(ics) < 0.19
        assert np.std(ics) < 0.12

    def test_average_of_many_futures_is_the_oracle(self) -> None:
        market = SimulatedMarket(SimulatedMarketSpec(n_stocks=300, end=dt.date(2021, 12, 31), has_regime_switch=False))
        day = dt.date(2021, 4, 1)
        oracle = market.oracle(day).set_index("symbol")["expected_return_10d"]
        futures = [market.simulate_future(day, 10, seed).set_index("symbol")["total_return"].reindex(oracle.index)
                   for seed in range(150)]
        average = sum((f - f.mean() for f in futures[1:]), start=futures[0] - futures[0].mean()) / len(futures)
        slope = np.polyfit(oracle, average, 1)[0]
        # Standard error of the slope: 0.07 / sqrt(150 futures) / sqrt(300 names) / 0.01 = 0.035; the range is four of them.
        assert 0.84 < slope < 1.16
        assert np.corrcoef(oracle, average)[0, 1] > 0.75

    def test_no_alpha_when_switched_off(self) -> None:
        market = SimulatedMarket(SimulatedMarketSpec(n_stocks=40, end=dt.date(2021, 3, 31), alpha_scale=0.0))
        assert np.ptp(market.oracle(dt.date(2021, 3, 1))["expected_return_10d"]) == 0.0

    def test_shock_has_mean_zero_and_variance_one(self) -> None:
        draws = shocks.shape(np.random.default_rng(0).standard_t(shocks.TAIL, size=2_000_000))
        assert draws.mean() == pytest.approx(0.0, abs=0.004)
        assert draws.var() == pytest.approx(1.0, rel=0.05)

    def test_limit_leaves_the_expected_return_alone(self) -> None:
        draws = shocks.shape(np.random.default_rng(1).standard_t(shocks.TAIL, size=2_000_000))
        known, sigma, room = np.array([0.01]), np.array([0.05]), np.array([0.1])
        raised = known + shocks.cut_off(known, sigma, room, room)
        cut = np.clip(raised + sigma * draws, -room, room).mean()
        uncorrected = np.clip(known + sigma * draws, -room, room).mean()
        assert abs(cut - known[0]) < 0.25 * abs(uncorrected - known[0])
        assert abs(cut - known[0]) < 0.0005

    def test_factor_returns_explain_returns(self, market: SimulatedMarket) -> None:
        day = dt.date(2021, 9, 1)
        frames = market.read_day(day, ("daily_bars", "security_status"))
        truth, loads = market.factor_returns(day), market.style_exposures(day).set_index("symbol")
        bars = frames["daily_bars"].set_index("symbol")
        industry = frames["security_status"].set_index("symbol")["industry"]
        shared = truth["country"] + loads @ market.style_returns(day)[loads.columns] + truth[industry].to_numpy()
        returns = bars["close"] / bars["pre_close"] - 1.0
        assert np.corrcoef(shared, returns)[0, 1] > 0.25
        assert abs((returns - shared).median()) < 0.005
