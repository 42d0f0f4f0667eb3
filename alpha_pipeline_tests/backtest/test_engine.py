"""The daily engine: a portfolio computed by hand, every trading rule, and the identities that hold on any market."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.backtest import DatedCosts, FlatCosts, MarketPrices, PortfolioState, advance, run_backtest, step_day
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, MissingData, UnknownName
from alpha_pipeline_tests.backtest.helpers_market import hand_market, random_market, session_dates, weekly_targets

FREE = FlatCosts(0.0, 0.0)


def held(weights, cash: float = 0.0) -> PortfolioState:
    return PortfolioState(np.array(weights, dtype=float), cash, 1.0)


class TestExamples:
    def test_three_days_by_hand(self):
        """Buy A and B at 50 % on day 1, hold on day 2, move all into B on day 3 (buy 0.1 %, sell 0.2 %).

        Day 1: A 10 → 11 after the purchase: 1.05.   Day 2: B 20 → 22: 0.55 + 0.55 = 1.10.
        Day 3: A 11 → 12.1 until the trade: 0.605 of A sold, 0.605·0.998 / 1.001 of B bought, B 22 → 24.2 after it.
        """
        market = hand_market(
            close=[[10, 20], [11, 20], [11, 22], [12.1, 24.2]],
            trade=[[10, 20], [10, 20], [11, 21], [12.1, 22]],
        )
        targets = {0: np.array([0.5, 0.5]), 2: np.array([0.0, 1.0])}
        benchmark = np.array([0.0, 0.04, 0.03, 0.10])
        first = run_backtest({0: targets[0]}, market, 0, 2, FREE, benchmark)
        assert first.daily["nav"].tolist() == pytest.approx([1.05, 1.10], abs=1e-14)
        assert first.final.weights == pytest.approx([0.5, 0.5], abs=1e-14)

        second = run_backtest({2: targets[2]}, market, 2, 3, FlatCosts(0.001, 0.002), benchmark, initial=first.final)
        bought = 0.605 * 0.998 / 1.001
        cost = 0.605 * 0.002 + bought * 0.001
        day = second.daily.iloc[0]
        assert day["nav"] == pytest.approx((0.55 + bought) * 1.1, abs=1e-14)
        assert day["cost"] == pytest.approx(cost / 1.10, abs=1e-14)
        assert day["return_held"] == pytest.approx(0.055 / 1.10, abs=1e-14)
        assert day["return_traded"] == pytest.approx((0.55 + bought) * 0.1 / 1.10, abs=1e-14)
        assert day["turnover_two_sided"] == pytest.approx((0.605 + bought) / 1.155, abs=1e-14)
        assert day["excess_return"] == pytest.approx(day["portfolio_return"] - 0.10, abs=1e-14)
        assert abs(day["cash"]) < 1e-15
        assert second.holdings[["symbol", "weight_open", "weight_traded", "weight"]].to_numpy().tolist() == [
            ["A", pytest.approx(0.5), 0.0, 0.0],
            ["B", pytest.approx(0.5), pytest.approx(1.0), pytest.approx(1.0)],
        ]

    def test_excess_nav_compounds_daily_differences(self):
        market = hand_market(close=[[10], [11], [11.55]], trade=[[10], [10], [11]])
        daily = run_backtest({0: np.array([1.0])}, market, 0, 2, FREE, np.array([0.0, 0.04, 0.06])).daily
        assert daily["excess_nav"].tolist() == pytest.approx([1.06, 1.06 * 0.99], abs=1e-14)

    def test_signal_trades_on_the_next_session_not_on_its_own(self):
        """The price doubles on the signal day and halves after the next day's trade: only the latter is earned."""
        market = hand_market(close=[[10], [20], [10]], trade=[[10], [15], [20]])
        assert run_backtest({1: np.array([1.0])}, market, 0, 2, FREE, np.zeros(3)).daily["nav"].tolist() == [1.0, 0.5]

    def test_suspended_names_are_neither_bought_nor_sold(self):
        """A (held) and C (wanted) are suspended: A keeps its value, B gets what C could not take, up to the cash there is."""
        market = hand_market(close=[[10, 10, 10], [10, 10, 10]], traded=[[True] * 3, [False, True, False]])
        _, day = step_day(held([0.4, 0.2, 0.0], 0.4), market.day(1), np.array([0.0, 0.5, 0.5]), FREE)
        assert day.trades.tolist() == pytest.approx([0.0, 0.4, 0.0])
        assert day.unfilled_buy.tolist() == pytest.approx([0.0, 0.0, 0.5])
        assert day.unfilled_sell.tolist() == pytest.approx([0.4, 0.0, 0.0])

    @pytest.mark.parametrize(
        ("unfilled", "bought", "cash"), [("redistribute", [0.0, 0.6, 0.4], 0.0), ("cash", [0.0, 0.3, 0.2], 0.5)]
    )
    def test_one_price_limit_up_is_not_bought(self, unfilled, bought, cash):
        """A wanted at 50 %: its weight goes 3:2 to B and C, or stays in cash."""
        market = hand_market(close=np.full((2, 3), 10.0), one_price_up=[[False] * 3, [True, False, False]])
        state, day = step_day(PortfolioState.empty(3), market.day(1), np.array([0.5, 0.3, 0.2]), FREE, unfilled)
        assert day.trades.tolist() == pytest.approx(bought)
        assert state.cash == pytest.approx(cash, abs=1e-15)

    def test_one_price_limit_up_can_be_sold(self):
        market = hand_market(close=np.full((2, 2), 10.0), one_price_up=[[False] * 2, [True, False]])
        state, _ = step_day(held([1.0, 0.0]), market.day(1), np.array([0.0, 1.0]), FREE)
        assert state.weights.tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("unfilled", ["redistribute", "cash"])
    def test_one_price_limit_down_is_not_sold_and_purchases_shrink(self, unfilled):
        """A 50 % cannot be sold; 20 % cash and B's 30 % pay for only 50 % of the 100 % wanted in C and D, pro rata 3:1."""
        market = hand_market(close=np.full((2, 4), 10.0), one_price_down=[[False] * 4, [True, False, False, False]])
        state, day = step_day(held([0.5, 0.3, 0.0, 0.0], 0.2), market.day(1), np.array([0.0, 0.0, 0.75, 0.25]), FREE, unfilled)
        assert day.trades.tolist() == pytest.approx([0.0, -0.3, 0.375, 0.125])
        assert state.weights[0] == 0.5
        assert state.cash == pytest.approx(0.0, abs=1e-15)

    def test_one_price_limit_down_can_be_bought(self):
        market = hand_market(close=np.full((2, 1), 10.0), one_price_down=[[False], [True]])
        assert step_day(PortfolioState.empty(1), market.day(1), np.array([1.0]), FREE)[0].weights.tolist() == [1.0]

    def test_partial_target_leaves_cash(self):
        market = hand_market(close=np.full((2, 1), 10.0))
        state, _ = step_day(PortfolioState.empty(1), market.day(1), np.array([0.9]), FlatCosts(0.01, 0.01))
        assert state.cash == pytest.approx(0.1 / (0.1 + 0.9 / 1.01), abs=1e-14)

    def test_delisted_name_leaves_at_its_last_price(self):
        market = hand_market(
            close=[[10, 10], [12, 10], [np.nan, 10], [np.nan, 11]],
            traded=[[True, True], [True, True], [False, True], [False, True]],
        )
        result = run_backtest({}, market, 0, 3, FREE, np.zeros(4), initial=held([0.5, 0.5]))
        assert result.daily["nav"].tolist() == pytest.approx([1.1, 1.1, 1.15])
        assert result.daily["cash"].tolist() == pytest.approx([0.0, 0.6 / 1.1, 0.6 / 1.15])
        assert result.trades[["symbol", "reason"]].to_numpy().tolist() == [["A", "delisted"]]
        assert result.trades["trade"].tolist() == pytest.approx([-0.6 / 1.1])

    def test_suspension_without_a_price_jumps_on_resumption(self):
        """No close while suspended: valued at the last one, the whole move is earned on the day trading resumes."""
        market = hand_market(close=[[10], [np.nan], [13]], traded=[[True], [False], [True]], listed=[[True]] * 3)
        assert run_backtest({}, market, 0, 2, FREE, np.zeros(3), initial=held([1.0])).daily["nav"].tolist() == [
            1.0,
            pytest.approx(1.3),
        ]

    def test_dated_costs_follow_the_stamp_duty(self):
        """Selling everything the day before and the day of the cut of 2023-08-28: 0.1 % and 0.05 % above the commission."""
        for first, duty in (("2023-08-24", 0.001), ("2023-08-25", 0.0005)):
            flat = hand_market(close=[[10.0], [10.0]])
            market = MarketPrices(
                session_dates(2, first),
                flat.symbols,
                flat.adj_close,
                flat.adj_trade,
                flat.traded,
                flat.one_price_up,
                flat.one_price_down,
            )
            _, day = step_day(held([1.0]), market.day(1), np.array([0.0]), DatedCosts(commission=0.0002, slippage=0.0))
            assert day.cost == pytest.approx(0.0002 + duty, abs=1e-15)

    def test_target_at_the_end_is_pending(self):
        market = hand_market(close=np.full((3, 1), 10.0))
        result = run_backtest({0: np.array([1.0]), 2: np.array([0.5])}, market, 0, 2, FREE, np.zeros(3))
        assert result.pending == (2,)
        assert result.daily["is_rebalance"].tolist() == [False, False]


class TestProperties:
    @pytest.mark.parametrize("unfilled", ["redistribute", "cash"])
    @pytest.mark.parametrize("seed", range(3))
    def test_accounts_add_up_on_every_day(self, seed, unfilled):
        """ΔNAV = holdings' profit − costs, recomputed from the tables and prices alone."""
        market = random_market(seed)
        costs = FlatCosts(0.001, 0.002)
        result = run_backtest(weekly_targets(seed, 60, 40), market, 0, 59, costs, np.zeros(60), unfilled)
        nav = np.concatenate([[1.0], result.daily["nav"]])
        close, trade = market.known_close, market.adj_trade
        column = {symbol: i for i, symbol in enumerate(market.symbols)}
        by_day = dict(tuple(result.holdings.groupby("trade_date")))
        for row, day in result.daily.iterrows():
            d = row + 1
            table = by_day[day["trade_date"]]
            stock = table["symbol"].map(column).to_numpy()
            opened, traded = table["weight_open"].to_numpy() * nav[row], table["weight_traded"].to_numpy()
            at_trade = np.where(market.traded[d, stock], trade[d, stock], close[d - 1, stock])
            gone = ~market.listed[d, stock]
            at_trade, at_close = (
                np.where(gone, close[d - 1, stock], at_trade),
                np.where(gone, close[d - 1, stock], close[d, stock]),
            )
            if np.isnan(traded).all():
                profit = (opened * (at_close / close[d - 1, stock] - 1.0)).sum()
            else:
                before = opened * (at_trade / close[d - 1, stock])
                nav_after = nav[row] + (before - opened).sum() - day["cost"] * nav[row]
                # What a suspended name's own close does is part of the second leg.
                profit = (before - opened).sum() + nav_after * (traded * (at_close / at_trade - 1.0)).sum()
            assert nav[row + 1] - nav[row] == pytest.approx(profit - day["cost"] * nav[row], abs=1e-10)
            assert day["portfolio_return"] == pytest.approx(day["return_held"] + day["return_traded"] - day["cost"], abs=1e-12)

    def test_weekly_chain_and_one_run_give_the_same_bits(self):
        """What the weekly rebalance does (advance from its own previous state) against one long backtest."""
        market, targets, costs = random_market(7), weekly_targets(7, 60, 40), DatedCosts()
        long = run_backtest(targets, market, 0, 59, costs, np.zeros(60))
        state, navs = PortfolioState.empty(40), []
        marks = [*sorted(targets), 59]
        for start, end in zip(marks, marks[1:], strict=False):
            # State goes through storage between weeks: plain float64 numbers.
            state = PortfolioState(np.array(state.weights.tolist()), float(repr(state.cash)), float(repr(state.nav)))
            state, days = advance(state, market, start, end, targets[start], costs)
            navs += [s.nav for s, _ in days]
        assert navs == long.daily["nav"].tolist()
        assert np.array_equal(state.weights, long.final.weights)
        assert state.cash == long.final.cash

    def test_later_sessions_change_nothing_before(self):
        """No look-ahead: prices after t altered or absent, results up to t have the same bits."""
        market, targets = random_market(3), weekly_targets(3, 60, 40)
        full = run_backtest(targets, market, 0, 59, FREE, np.zeros(60)).daily
        fields = ("adj_close", "adj_trade", "traded", "one_price_up", "one_price_down", "listed")
        short = MarketPrices(market.dates[:31], market.symbols, *(getattr(market, name)[:31] for name in fields))
        until = {index: target for index, target in targets.items() if index < 30}
        part = run_backtest(until, short, 0, 30, FREE, np.zeros(31)).daily
        assert part["nav"].tolist() == full["nav"].tolist()[:30]

    @pytest.mark.parametrize("unfilled", ["redistribute", "cash"])
    def test_restrictions_are_never_broken_and_cash_never_spent_twice(self, unfilled):
        market = random_market(11)
        result = run_backtest(weekly_targets(11, 60, 40), market, 0, 59, FlatCosts(0.002, 0.002), np.zeros(60), unfilled)
        position = {symbol: i for i, symbol in enumerate(market.symbols)}
        row = {date: i for i, date in enumerate(market.dates.astype("datetime64[s]"))}
        made = result.trades[result.trades["reason"] == "target"]
        d, s = [row[np.datetime64(t, "s")] for t in made["trade_date"]], made["symbol"].map(position).to_numpy()
        change = made["trade"].to_numpy()
        assert not change[~market.traded[d, s]].any()
        assert (change[market.one_price_up[d, s]] <= 0.0).all()
        assert (change[market.one_price_down[d, s]] >= 0.0).all()
        assert (made["unfilled"] != 0.0).any(), "the market must restrict something for this test to mean anything"
        assert result.daily["cash"].min() > -1e-12
        assert result.holdings["weight"].min() >= 0.0

    def test_holding_without_trades_earns_the_weighted_return(self):
        """A second computation: cumulated prices times initial weights."""
        rng = np.random.default_rng(0)
        close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, (20, 5)), axis=0))
        weights = np.full(5, 0.2)
        result = run_backtest({}, hand_market(close), 0, 19, FREE, np.zeros(20), initial=held(weights))
        assert result.daily["nav"].to_numpy() == pytest.approx((close[1:] / close[0]) @ weights, rel=1e-12)

    def test_higher_costs_never_help(self):
        market, targets = random_market(5), weekly_targets(5, 60, 40)
        navs = [
            run_backtest(targets, market, 0, 59, FlatCosts(rate, rate), np.zeros(60)).final.nav for rate in (0.0, 0.001, 0.003)
        ]
        assert navs == sorted(navs, reverse=True)
        assert navs[0] > navs[2]

    def test_targets_and_states_are_not_changed(self):
        market, target = random_market(2), weekly_targets(2, 60, 40)[0]
        state = PortfolioState.empty(40)
        copy = target.copy()
        run_backtest({0: target}, market, 0, 10, FREE, np.zeros(60), initial=state)
        assert np.array_equal(target, copy)
        assert not state.weights.any()


class TestErrors:
    MARKET = hand_market(close=np.full((3, 2), 10.0))

    @pytest.mark.parametrize(
        ("target", "error", "message"),
        [
            ([0.5], Misaligned, "2021-03-02: target weights do not match the market's symbols"),
            ([0.5, np.nan], BadInput, "2021-03-02: target weights are missing .got 1 not finite"),
            ([1.1, -0.1], BadInput, "target weight is negative .got -0.1"),
            ([0.8, 0.3], BadInput, "target weights exceed the portfolio .got 1.1"),
        ],
    )
    def test_bad_targets(self, target, error, message):
        with pytest.raises(error, match=message):
            run_backtest({0: np.array(target)}, self.MARKET, 0, 2, FREE, np.zeros(3))

    def test_unknown_rule_for_unfilled_weight(self):
        with pytest.raises(UnknownName, match="unknown rule for unfilled weight 'carry'"):
            run_backtest({0: np.array([0.5, 0.5])}, self.MARKET, 0, 2, FREE, np.zeros(3), "carry")

    def test_target_outside_the_backtest(self):
        with pytest.raises(InvalidSpec, match="target outside the backtest .got session 0, expected a session from 1 to 2"):
            run_backtest({0: np.array([0.5, 0.5])}, self.MARKET, 1, 2, FREE, np.zeros(3))

    def test_missing_benchmark(self):
        with pytest.raises(MissingData, match="2021-03-03: benchmark return is missing"):
            run_backtest({}, self.MARKET, 0, 2, FREE, np.array([np.nan, 0.0, np.nan]))
        with pytest.raises(Misaligned, match="benchmark_returns do not match the dates"):
            run_backtest({}, self.MARKET, 0, 2, FREE, np.zeros(2))

    def test_sessions_out_of_range(self):
        with pytest.raises(InvalidSpec, match="sessions out of range"):
            advance(PortfolioState.empty(2), self.MARKET, 0, 3, None, FREE)
        with pytest.raises(InvalidSpec, match="2021-03-03: a target needs a later session"):
            advance(PortfolioState.empty(2), self.MARKET, 2, 2, np.array([0.5, 0.5]), FREE)
        with pytest.raises(Misaligned, match="state does not match"):
            advance(PortfolioState.empty(3), self.MARKET, 0, 2, None, FREE)

    def test_held_name_without_any_price(self):
        market = hand_market(close=[[np.nan, 10], [10, 10]], traded=[[False, True], [True, True]], listed=[[True, True]] * 2)
        with pytest.raises(MissingData, match="2021-03-02: no close is known for held A"):
            step_day(held([0.5, 0.5]), market.day(1), None, FREE, symbols=market.symbols)

    def test_traded_without_a_price(self):
        with pytest.raises(BadInput, match="2021-03-02 B: adj_trade is not positive where traded is True, 1 times"):
            hand_market(close=np.full((2, 2), 10.0), trade=[[10, 10], [10, np.nan]])

    def test_shapes(self):
        with pytest.raises(Misaligned, match="adj_trade has another shape"):
            hand_market(close=np.full((2, 2), 10.0), trade=[[10, 10]])

    def test_costs_in_percent(self):
        with pytest.raises(InvalidSpec, match=r"cost rate 'buy' out of range .got 0.2.*0.2 % is 0.002"):
            FlatCosts(0.2, 0.2)
        with pytest.raises(InvalidSpec, match="no stamp-duty rule"):
            DatedCosts().rates(np.datetime64("2005-01-04").item())
