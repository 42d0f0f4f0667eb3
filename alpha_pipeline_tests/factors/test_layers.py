"""Layers: by hand, against a day-by-day simulation, and their refusals."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, NotEnoughData
from alpha_pipeline.factors.layers import layer_labels, layer_returns

NAN = np.nan


def prices(seed: int = 0, n_dates: int = 18, n_stocks: int = 23):
    rng = np.random.default_rng(seed)
    close = 10 * np.exp(np.cumsum(0.03 * rng.normal(size=(n_dates, n_stocks)), axis=0))
    vwap = close * np.exp(0.01 * rng.normal(size=close.shape))
    return rng.normal(size=close.shape), close, vwap


def day_by_day(factor, close, vwap, tests, n_layers, cost):
    """The same test told session by session: weights drift, are sold at vwap, bought at vwap."""
    weights, rows, turnovers = None, [], []
    for day in range(tests[0] + 1, len(close)):
        growth = np.ones(n_layers + 1)
        if weights is not None:
            at = vwap[day] if day - 1 in tests else close[day]
            stock = at / close[day - 1]
            growth = stock @ weights
            weights = weights * stock[:, None] / growth
        if day - 1 in tests:
            labels = layer_labels(factor[day - 1], n_layers)
            new = np.column_stack([np.full(len(labels), 1 / len(labels)), *((labels == k) / (labels == k).sum()
                                                                            for k in range(1, n_layers + 1))])
            traded = np.abs(new - (0 if weights is None else weights)).sum(axis=0)
            turnovers.append(traded)
            paid = traded * cost * (np.arange(n_layers + 1) > 0)
            stock = close[day] / vwap[day]
            later = stock @ new
            growth = growth * (1 - paid) * later
            weights = new * stock[:, None] / later
        rows.append(growth - 1)
    return np.array(rows), np.array(turnovers)


class TestExamples:
    def test_labels_start_with_the_highest_values(self):
        assert layer_labels([0.5, NAN, 0.9, 0.1, 0.7, 0.3], 2).tolist() == [1, 0, 1, 2, 1, 2]

    def test_remainder_goes_to_the_first_layers(self):
        assert np.bincount(layer_labels(np.arange(11.0), 4))[1:].tolist() == [3, 3, 3, 2]

    def test_ties_are_split_by_position(self):
        assert layer_labels([1.0, 1.0, 1.0, 1.0], 2).tolist() == [1, 1, 2, 2]

    def test_two_stocks_by_hand(self):
        """Stock 0 leads on day 0, stock 1 on day 2; day 1 and day 3 trade."""
        factor = np.array([[2.0, 1], [NAN, NAN], [1, 2], [NAN, NAN]])
        close = np.array([[10.0, 10], [11, 10], [12, 9], [12, 9]])
        vwap = np.array([[10.0, 10], [10, 10], [11, 10], [15, 6]])
        result = layer_returns(factor, close, vwap, [0, 2], n_layers=2)
        assert result.start == 1
        # base day 1: half in each bought at 10; day 2: value 1.05 -> (1.2 + 0.9) / 2
        assert result.returns[:2, 0] == pytest.approx([0.05, 0.0])
        # layer 1 holds stock 0: 10 -> 11 -> 12; on day 3 sold at 15, stock 1 bought at 6 and closes at 9
        assert result.returns[:, 1] == pytest.approx([0.10, 12 / 11 - 1, 15 / 12 * 9 / 6 - 1])
        assert result.returns[:, 2] == pytest.approx([0.0, -0.10, 6 / 9 * 12 / 15 - 1])
        # base drifted to 1.5 : 0.6 at vwap, back to one half each: 2 * |15/21 - 1/2|
        assert result.turnover == pytest.approx(np.array([[1, 1, 1], [2 * (15 / 21 - 0.5), 2, 2]]))

    def test_cost_is_taken_on_both_sides_and_never_from_the_base(self):
        factor = np.array([[2.0, 1], [NAN, NAN], [1, 2], [NAN, NAN]])
        flat = np.full((4, 2), 10.0)
        result = layer_returns(factor, flat, flat, [0, 2], n_layers=2, cost_one_way=0.002)
        assert result.returns[:, 0].tolist() == [0, 0, 0]
        assert result.returns[:, 1] == pytest.approx([-0.002, 0, -0.004])

    def test_delisted_name_leaves_at_its_last_price(self):
        factor = np.array([[2.0, 1], [NAN, NAN], [NAN, NAN], [1, 2], [NAN, NAN]])
        close = np.array([[10.0, 10], [10, 10], [8, 10], [NAN, 10], [10, 10]])
        vwap = np.array([[10.0, 10], [10, 10], [8, 10], [NAN, 10], [NAN, 10]])
        result = layer_returns(factor, close, vwap, [0], n_layers=2)
        assert result.returns[:, 1] == pytest.approx([0, -0.2, 0, 0.25])
        assert result.counts["n_filled_closes"].tolist() == [1]

    def test_names_without_a_vwap_or_a_factor_are_counted(self):
        factor = np.array([[4.0, 3, 2, NAN], [NAN] * 4])
        close = np.full((2, 4), 10.0)
        vwap = close.copy()
        vwap[1, 0] = NAN
        counts = layer_returns(factor, close, vwap, [0], n_layers=2).counts.iloc[0]
        assert (counts.n_pool, counts.n_ranked, counts.n_no_factor, counts.n_no_vwap) == (3, 2, 1, 1)

    def test_base_holds_names_without_a_factor(self):
        factor = np.array([[3.0, 2, NAN], [NAN] * 3])
        close = np.array([[10.0, 10, 10], [10, 10, 13]])
        vwap = np.full((2, 3), 10.0)
        assert layer_returns(factor, close, vwap, [0], n_layers=2).returns[0] == pytest.approx([0.1, 0, 0])


class TestSecondImplementation:
    @pytest.mark.parametrize("cost", [0.0, 0.002])
    def test_day_by_day_simulation(self, cost):
        factor, close, vwap = prices()
        tests = [1, 5, 6, 11, 16]  # 5 and 6: a holding period of one session
        got = layer_returns(factor, close, vwap, tests, n_layers=5, cost_one_way=cost)
        returns, turnover = day_by_day(factor, close, vwap, tests, 5, cost)
        assert got.returns == pytest.approx(returns, abs=1e-13) and got.turnover == pytest.approx(turnover, abs=1e-13)


class TestProperties:
    def test_layers_of_equal_size_average_to_the_base_on_the_first_day(self):
        factor, close, vwap = prices(n_stocks=20)
        first = layer_returns(factor, close, vwap, [0], n_layers=5).returns[0]
        assert first[1:].mean() == pytest.approx(first[0])

    def test_values_between_test_dates_are_never_read(self):
        factor, close, vwap = prices()
        expected = layer_returns(factor, close, vwap, [2, 7], n_layers=4)
        factor[[0, 1, 3, 4, 5, 6, 8, 9]] = 1e9
        assert np.array_equal(layer_returns(factor, close, vwap, [2, 7], n_layers=4).returns, expected.returns)

    def test_prices_after_a_day_do_not_reach_it(self):
        factor, close, vwap = prices()
        expected = layer_returns(factor, close, vwap, [2, 7, 12], n_layers=4).returns
        close[11:] *= 1.5
        vwap[11:] *= 0.5
        assert np.array_equal(layer_returns(factor, close, vwap, [2, 7, 12], n_layers=4).returns[:8], expected[:8])

    def test_reversed_factor_reverses_the_layers(self):
        factor, close, vwap = prices(n_stocks=20)
        up, down = (layer_returns(s * factor, close, vwap, [0, 5], n_layers=5).returns for s in (1, -1))
        assert up[:, 1:] == pytest.approx(down[:, :0:-1])

    def test_order_of_stocks_does_not_matter(self):
        factor, close, vwap = prices()
        shuffled = np.random.default_rng(1).permutation(23)
        a = layer_returns(factor, close, vwap, [0, 5], n_layers=5)
        b = layer_returns(factor[:, shuffled], close[:, shuffled], vwap[:, shuffled], [0, 5], n_layers=5)
        assert a.returns == pytest.approx(b.returns) and a.turnover == pytest.approx(b.turnover)

    def test_a_test_date_on_the_last_row_trades_nothing(self):
        factor, close, vwap = prices()
        expected = layer_returns(factor, close, vwap, [0]).returns
        assert np.array_equal(layer_returns(factor, close, vwap, [0, 17]).returns, expected)


class TestErrors:
    def test_labels(self):
        with pytest.raises(InvalidSpec, match=r"number of layers \(got 1, expected >= 2\)"):
            layer_labels([1.0, 2.0], 1)
        with pytest.raises(NotEnoughData, match=r"fewer names than layers \(got 1, expected >= 2\)"):
            layer_labels([1.0, NAN], 2)

    def test_date_with_too_few_names_is_named(self):
        factor, close, vwap = prices()
        factor[5, 3:] = NAN
        with pytest.raises(NotEnoughData, match="layer_returns, row 5: .*fewer names than layers"):
            layer_returns(factor, close, vwap, [0, 5])

    def test_inputs(self):
        factor, close, vwap = prices()
        with pytest.raises(Misaligned, match="vwap does not fit the factor"):
            layer_returns(factor, close, vwap[1:], [0])
        with pytest.raises(BadInput, match="close holds prices that are not positive"):
            layer_returns(factor, np.where(close > 12, 0, close), vwap, [0])
        with pytest.raises(InvalidSpec, match="test dates must be increasing rows"):
            layer_returns(factor, close, vwap, [5, 5])
        with pytest.raises(InvalidSpec, match="test dates must be increasing rows"):
            layer_returns(factor, close, vwap, [18])
        with pytest.raises(InvalidSpec, match="one-way cost"):
            layer_returns(factor, close, vwap, [0], cost_one_way=-0.1)
        with pytest.raises(NotEnoughData, match="no test date has a next session"):
            layer_returns(factor, close, vwap, [17])
