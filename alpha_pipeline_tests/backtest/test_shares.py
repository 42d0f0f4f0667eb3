"""The backtest in shares: lots, fees and corporate actions by hand, then identities and agreement with the weights engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alpha_pipeline.backtest import FlatCosts, MarketPrices, ShareMarket, ShareRules, ShareState, run_backtest, run_share_backtest
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, MissingData
from alpha_pipeline_tests.backtest.helpers_market import random_market, session_dates, weekly_targets

FREE = ShareRules(commission=0.0, minimum_commission=0.0, has_stamp_duty=False)
MAIN, STAR, BSE = "600000.SH", "688001.SH", "920001.BJ"


def market(close, trade=None, symbols=(MAIN,), factor=None, first="2021-03-01", **more) -> ShareMarket:
    """From adjusted prices (D, S); everything traded unless a mask says otherwise."""
    close = np.array(close, dtype=float)
    masks = {n: np.array(more.pop(n, np.full(close.shape, n == "traded"))) for n in ("traded", "one_price_up", "one_price_down")}
    prices = MarketPrices(session_dates(len(close), first), tuple(symbols), close, close if trade is None else np.array(trade, dtype=float), **masks)
    extra = {name: np.array(value, dtype=float) for name, value in more.items()}
    return ShareMarket(prices, np.ones(close.shape) if factor is None else np.array(factor, dtype=float), **extra)


def run(shares_market, targets, initial, rules=FREE):
    n = len(shares_market.prices.dates)
    targets = {k: np.array(v, dtype=float) for k, v in targets.items()}
    return run_share_backtest(targets, shares_market, 0, n - 1, rules, np.zeros(n), initial)


def holding(shares, cash, price) -> ShareState:
    shares = np.array(shares, dtype=float)
    return ShareState(shares, cash, float(shares @ np.array(price, dtype=float)) + cash)


class TestExamples:
    @pytest.mark.parametrize(
        ("symbol", "cash", "bought"),
        # 10 CNY a share. MAIN: hundreds. STAR: from 200 on single shares. BSE: from 100 on single shares.
        [(MAIN, 2570.0, 200), (MAIN, 990.0, 0), (STAR, 2570.0, 257), (STAR, 1990.0, 0), (BSE, 1570.0, 157), (BSE, 990.0, 0)],
    )
    def test_lots_of_each_board(self, symbol, cash, bought):
        result = run(market([[10.0], [10.0]], symbols=(symbol,)), {0: [1.0]}, ShareState.of_cash(1, cash))
        assert result.final.shares.tolist() == [bought]
        assert result.final.cash == pytest.approx(cash - 10.0 * bought)

    def test_fees_by_hand(self):
        """10,000 CNY at 10: 900 shares, because 1,000 leave nothing for the fee. Commission max(5, 0.02 % · 9,000 = 1.8) = 5."""
        rules = ShareRules(commission=0.0002)
        result = run(market([[10.0], [10.0]]), {0: [1.0]}, ShareState.of_cash(1, 10_000.0), rules)
        assert result.final.shares.tolist() == [900.0]
        assert result.final.cash == pytest.approx(10_000 - 9_000 - 5)
        assert result.costs == {"commission": 5.0, "stamp_duty": 0.0, "slippage": 0.0, "impact": 0.0}

    @pytest.mark.parametrize(("first", "duty"), [("2023-08-24", 0.001), ("2023-08-25", 0.0005)])
    def test_stamp_duty_is_dated_and_on_sales_only(self, first, duty):
        """Sold on the second session: Friday 2023-08-25 still pays 0.1 %, Monday 2023-08-28 pays 0.05 %."""
        rules = ShareRules(commission=0.0, minimum_commission=0.0)
        result = run(market([[10.0], [10.0]], first=first), {0: [0.0]}, holding([1000], 0.0, [10.0]), rules)
        assert result.costs["stamp_duty"] == pytest.approx(10_000 * duty)
        assert result.final.cash == pytest.approx(10_000 * (1 - duty))

    def test_odd_lot_is_sold_whole_or_not_at_all(self):
        """150 shares: an exit sells all of them; a wish for half of them is 75 shares, below a lot; for 120 it is one lot."""
        flat = market([[10.0], [10.0]])
        state = holding([150], 0.0, [10.0])
        assert run(flat, {0: [0.0]}, state).final.shares.tolist() == [0.0]
        assert run(flat, {0: [0.5]}, state).final.shares.tolist() == [150.0]
        assert run(flat, {0: [0.2]}, state).final.shares.tolist() == [50.0]

    def test_dividend_is_paid_in_cash(self):
        """1 CNY on a price of 10: the factor rises by 10/9, the raw price opens at 9. 100 shares bring 100 CNY, NAV stays."""
        result = run(market([[10.0], [10.0]], factor=[[1.0], [10 / 9]]), {}, holding([100], 0.0, [10.0]))
        assert result.dividends == pytest.approx(100.0)
        assert result.final.cash == pytest.approx(100.0)
        assert result.final.nav == pytest.approx(1000.0)

    def test_split_and_dividend_together(self):
        """Five bonus shares and 3 CNY on ten: reference price (10 − 0.3) / 1.5, factor 10 / that. 100 shares → 150 and 30 CNY."""
        reference = 9.7 / 1.5
        result = run(market([[10.0], [10.0]], factor=[[1.0], [10 / reference]], split_ratio=[[1.0], [1.5]]), {}, holding([100], 0.0, [10.0]))
        assert result.final.shares.tolist() == [150.0]
        assert result.final.cash == pytest.approx(30.0)
        assert result.final.nav == pytest.approx(1000.0)

    def test_fraction_of_a_share_is_paid_out(self):
        """Ratio 1.25 on 101 shares is 126.25: a quarter of a share at 8 CNY."""
        result = run(market([[10.0], [10.0]], factor=[[1.0], [1.25]], split_ratio=[[1.0], [1.25]]), {}, holding([101], 0.0, [10.0]))
        assert result.final.shares.tolist() == [126.0]
        assert result.final.cash == pytest.approx(0.25 * 8.0)

    def test_split_while_suspended(self):
        """The share has no price on the ex-date: 125 shares at the reference price of 8, then 9.6 when it trades again."""
        factor, split = [[1.0], [1.25], [1.25]], [[1.0], [1.25], [1.0]]
        halted = market([[10.0], [np.nan], [12.0]], factor=factor, split_ratio=split, traded=[[True], [False], [True]])
        halted = ShareMarket(replace(halted.prices, listed=np.ones((3, 1), dtype=bool)), halted.factor, halted.split_ratio)
        result = run(halted, {}, holding([100], 0.0, [10.0]))
        assert result.tables.daily["nav"].tolist() == pytest.approx([1000.0, 125 * 9.6])

    def test_suspended_and_one_price_names_are_not_traded(self):
        flat = np.full((2, 3), 10.0)
        masks = {"traded": [[True] * 3, [False, True, True]], "one_price_down": [[False] * 3, [False, True, False]]}
        names = (MAIN, "600001.SH", "600002.SH")
        result = run(market(flat, symbols=names, **masks), {0: [0.0, 0.0, 1.0]}, holding([100, 100, 0], 1000.0, [10.0] * 3))
        assert result.final.shares.tolist() == [100.0, 100.0, 100.0]
        assert result.tables.daily["unfilled_sell"].iloc[0] == pytest.approx(2000 / 3000)

    @pytest.mark.parametrize(("unfilled", "shares"), [("redistribute", [0.0, 600.0, 400.0]), ("cash", [0.0, 300.0, 200.0])])
    def test_unfilled_purchases(self, unfilled, shares):
        rules = ShareRules(commission=0.0, minimum_commission=0.0, has_stamp_duty=False, unfilled=unfilled)
        names = (MAIN, "600001.SH", "600002.SH")
        flat = market(np.full((2, 3), 10.0), symbols=names, one_price_up=[[False] * 3, [True, False, False]])
        assert run(flat, {0: [0.5, 0.3, 0.2]}, ShareState.of_cash(3, 10_000.0), rules).final.shares.tolist() == shares

    def test_participation_cap_and_impact(self):
        """10 % of 5,000 shares: 500 of the 1,000 wished. Impact 1 · 2 % · √(500 / 5,000) of 5,000 CNY = 31.62."""
        rules = ShareRules(commission=0.0, minimum_commission=0.0, has_stamp_duty=False, max_participation=0.1, impact=1.0)
        deep = market([[10.0], [10.0]], volume=[[5000.0], [5000.0]], volatility=[[0.02], [0.02]])
        result = run(deep, {0: [1.0]}, ShareState.of_cash(1, 10_000.0), rules)
        assert result.final.shares.tolist() == [500.0]
        assert result.costs["impact"] == pytest.approx(0.02 * 0.1**0.5 * 5000)
        assert result.tables.daily["unfilled_buy"].iloc[0] == pytest.approx(0.5)

    def test_signal_trades_on_the_next_session_and_what_is_bought_is_sold_no_earlier_than_the_next(self):
        result = run(market([[10.0], [10.0], [11.0]]), {0: [1.0], 1: [0.0]}, ShareState.of_cash(1, 1000.0))
        assert result.final.shares.tolist() == [0.0]
        assert result.tables.trades["trade_date"].dt.date.astype(str).tolist() == ["2021-03-02", "2021-03-03"]
        assert result.final.cash == pytest.approx(1100.0)


def real_like(seed: int, n_dates: int = 60, n_stocks: int = 40) -> ShareMarket:
    """The random market with raw prices from 2 to 100 CNY, dividends and splits."""
    rng = np.random.default_rng(seed)
    prices = random_market(seed, n_dates, n_stocks)
    factor = np.cumprod(np.where(rng.random((n_dates, n_stocks)) < 0.01, 1.0 + rng.uniform(0.0, 0.03, (n_dates, n_stocks)), 1.0), axis=0)
    split = np.where(rng.random((n_dates, n_stocks)) < 0.003, 1.5, 1.0)
    split[0] = 1.0
    return ShareMarket(prices, factor * np.cumprod(split, axis=0) / rng.uniform(0.5, 3.0, n_stocks), split)


class TestProperties:
    @pytest.mark.parametrize("seed", range(6))
    def test_agrees_with_the_weights_engine_on_large_assets(self, seed):
        """Ten billion CNY, the same rates, no minimum: NAV within 2e-5 without dividends, which the weights engine reinvests."""
        base = real_like(seed)
        same = ShareMarket(base.prices, base.split_ratio.cumprod(axis=0), base.split_ratio)
        n, targets = 60, weekly_targets(seed, 60, 40)
        rules = ShareRules(commission=0.002, minimum_commission=0.0, has_stamp_duty=False)
        shares = run_share_backtest(targets, same, 0, n - 1, rules, np.zeros(n), ShareState.of_cash(40, 1e10))
        weights = run_backtest(targets, base.prices, 0, n - 1, FlatCosts(0.002, 0.002), np.zeros(n))
        assert np.abs(shares.tables.daily["nav"].to_numpy() / 1e10 / weights.daily["nav"].to_numpy() - 1).max() < 2e-5
        assert shares.tables.daily["turnover_two_sided"].to_numpy() == pytest.approx(weights.daily["turnover_two_sided"].to_numpy(), abs=2e-5)

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("cash", [2e5, 1e8])
    def test_accounting_identity(self, seed, cash):
        """ΔNAV = Σ shares · (price moves) + dividends − costs, recomputed from the tables; lots are whole and cash is never negative."""
        shares_market = real_like(seed)
        result = run_share_backtest(weekly_targets(seed, 60, 40), shares_market, 0, 59, ShareRules(), np.zeros(60), ShareState.of_cash(40, cash))
        daily = result.tables.daily
        steps = daily["return_held"] + daily["return_traded"] - daily["cost"]
        assert daily["portfolio_return"].to_numpy() == pytest.approx(steps.to_numpy(), abs=1e-10)
        assert np.array_equal(result.final.shares, np.floor(result.final.shares))
        assert daily["cash"].min() >= -1e-10
        before = np.concatenate([[cash], daily["nav"].to_numpy()[:-1]])
        assert float((daily["cost"].to_numpy() * before).sum()) == pytest.approx(sum(result.costs.values()))

    def test_small_accounts_lose_more_to_fees_and_rounding(self):
        shares_market, targets = real_like(3), weekly_targets(3, 60, 40)
        navs = [
            run_share_backtest(targets, shares_market, 0, 59, ShareRules(), np.zeros(60), ShareState.of_cash(40, cash)).final.nav / cash
            for cash in (1e5, 1e7, 1e9)
        ]
        assert navs[0] < navs[1]
        assert navs[1] == pytest.approx(navs[2], abs=2e-3)


class TestErrors:
    def test_bad_settings(self):
        for settings in ({"commission": 0.2}, {"max_participation": 0.0}, {"impact": -1.0}):
            with pytest.raises(InvalidSpec, match="out of range"):
                ShareRules(**settings)
        with pytest.raises(InvalidSpec, match="starts with money"):
            ShareState.of_cash(1, 0.0)

    def test_missing_volume_is_named(self):
        with pytest.raises(MissingData, match="volume is missing for 1 names to be traded"):
            run(market([[10.0], [10.0]]), {0: [1.0]}, ShareState.of_cash(1, 1e4), ShareRules(max_participation=0.1))

    def test_shapes_and_factors(self):
        with pytest.raises(Misaligned, match="factor has another shape"):
            market([[10.0], [10.0]], factor=[[1.0]])
        with pytest.raises(BadInput, match="factor is not positive"):
            market([[10.0], [10.0]], factor=[[1.0], [0.0]])
        with pytest.raises(InvalidSpec, match="session outside the backtest"):
            run(market([[10.0], [10.0]]), {7: [1.0]}, ShareState.of_cash(1, 1e4))
