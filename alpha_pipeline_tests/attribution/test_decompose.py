"""Attribution: one day by hand, sums to 1e-10, linking, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.attribution.decompose import attribute, linking_factors
from alpha_pipeline.errors import BadInput, Misaligned, NotEnoughData

NAN = np.nan


def case(n_days: int = 300, n_stocks: int = 25) -> dict:
    rng = np.random.default_rng(0)
    weights, benchmark = rng.dirichlet(np.ones(n_stocks), n_days), rng.dirichlet(np.ones(n_stocks), n_days)
    returns = 0.02 * rng.normal(size=(n_days, n_stocks))
    cost = rng.uniform(0, 0.001, n_days)
    return {
        "dates": np.arange("2023-06-01", "2026-01-01", dtype="datetime64[D]")[:n_days],
        "weights": 0.98 * weights, "benchmark_weights": benchmark, "stock_returns": returns,
        "style_exposures": rng.normal(size=(n_days, n_stocks, 2)), "industry": rng.integers(-1, 3, size=(n_days, n_stocks)),
        "factor_returns": 0.01 * rng.normal(size=(n_days, 6)),
        "style_names": ("size", "beta"), "industry_names": ("a", "b", "c"),
        "portfolio_return": (0.98 * weights * returns).sum(axis=1) + 0.001 * rng.normal(size=n_days) - cost,
        "benchmark_return": (benchmark * returns).sum(axis=1) + 0.0005 * rng.normal(size=n_days), "cost": cost,
    }


def parts(daily):
    return [c for c in daily if c not in ("trade_date", "industry_total", "style_total", "active_return")]


class TestExamples:
    def test_one_day_by_hand(self):
        """Two stocks in industries a and b; 70 % / 20 % and 10 % cash against 50 % / 50 %."""
        result = attribute(
            ["2024-01-02"], np.array([[0.7, 0.2]]), np.array([[0.5, 0.5]]), np.array([[0.03, -0.01]]),
            np.array([[[1.0], [-1.0]]]), np.array([[0, 1]]), np.array([[0.01, 0.005, -0.005, 0.002]]),
            style_names=("size",), industry_names=("a", "b"), portfolio_return=np.array([0.0200]),
            benchmark_return=np.array([0.0095]), cost=np.array([0.0010]))
        day = result.daily.iloc[0]
        assert day["country"] == pytest.approx(-0.1 * 0.01)  # 10 % cash is a short position in the market
        assert day["industry:a"] == pytest.approx(0.2 * 0.005) and day["industry:b"] == pytest.approx(-0.3 * -0.005)
        assert day["style:size"] == pytest.approx((0.2 + 0.3) * 0.002)
        # specific returns: 0.03 - 0.017 = 0.013 and -0.01 - 0.003 = -0.013
        assert day["specific"] == pytest.approx(0.2 * 0.013 + 0.3 * 0.013)
        # gross 0.021 against 0.7 * 0.03 - 0.2 * 0.01 = 0.019 from the holdings of the close before
        assert day["trading"] == pytest.approx(0.002) and day["cost"] == -0.001
        assert day["benchmark_gap"] == pytest.approx(0.01 - 0.0095) and day["active_return"] == pytest.approx(0.0105)
        assert day["industry_total"] == pytest.approx(0.0025) and day["style_total"] == pytest.approx(0.001)
        exposure = result.exposures.set_index("factor")["mean_active_exposure"]
        assert exposure.to_dict() == pytest.approx({"country": -0.1, "a": 0.2, "b": -0.3, "size": 0.5})

    def test_uncovered_stock_is_specific_and_reported(self):
        c = case(1)
        c["industry"][:] = 0
        c["industry"][0, 3] = -1
        c["style_exposures"][0, 4, 0] = NAN
        result = attribute(**c)
        active = (c["weights"] - c["benchmark_weights"])[0]
        assert result.coverage["n_uncovered"].tolist() == [2]
        assert result.coverage["uncovered_active_weight"][0] == pytest.approx(abs(active[3]) + abs(active[4]))
        covered = np.delete(active, [3, 4])
        assert result.daily["country"][0] == pytest.approx(covered.sum() * c["factor_returns"][0, 0])

    def test_factor_that_dropped_out_explains_nothing(self):
        c = case(3)
        c["factor_returns"][1, 4] = NAN  # the style size: its gaps then do not matter either
        c["style_exposures"][1, :, 0] = NAN
        c["factor_returns"][2, :] = NAN  # no regression that day
        result = attribute(**c)
        assert result.daily["style:size"][1] == 0 and result.daily["style:beta"][1] != 0
        held = ((c["weights"] - c["benchmark_weights"])[2] * c["stock_returns"][2]).sum()
        assert result.daily["specific"][2] == pytest.approx(held) and result.coverage["n_uncovered"][2] == 25

    def test_linking_of_two_days(self):
        a = np.array([0.10, -0.05])
        big_k = np.log(1.045) / 0.045
        assert linking_factors(a) == pytest.approx([np.log(1.1) / 0.1 / big_k, np.log(0.95) / -0.05 / big_k])
        assert linking_factors([0.0, 0.0]).tolist() == [1.0, 1.0]


class TestProperties:
    def test_each_day_adds_up(self):
        c = case()
        daily = attribute(**c).daily
        active = c["portfolio_return"] - c["benchmark_return"]
        assert daily[parts(daily)].sum(axis=1).to_numpy() == pytest.approx(active, abs=1e-12)
        industries = daily[["industry:a", "industry:b", "industry:c"]].sum(axis=1)
        assert daily["industry_total"].to_numpy() == pytest.approx(industries.to_numpy(), abs=1e-15)

    def test_linked_contributions_add_up_to_the_excess_nav(self):
        c = case()
        summary = attribute(**c).summary.set_index("component")
        excess = np.prod(1 + c["portfolio_return"] - c["benchmark_return"]) - 1
        own = summary[~summary["kind"].isin(["subtotal", "total"])]
        assert own["cumulative"].sum() == pytest.approx(excess, abs=1e-10)
        assert summary.loc["active_return", "cumulative"] == pytest.approx(excess, abs=1e-10)
        assert own["annualized"].sum() == pytest.approx((1 + excess) ** (252 / 300) - 1, abs=1e-10)

    def test_each_year_adds_up_to_its_own_excess(self):
        c = case()
        by_year = attribute(**c).by_year
        active, years = c["portfolio_return"] - c["benchmark_return"], c["dates"].astype("datetime64[Y]").astype(int) + 1970
        assert sorted(by_year["year"].unique()) == [2023, 2024]
        for year in (2023, 2024):
            own = by_year[(by_year["year"] == year) & ~by_year["kind"].isin(["subtotal", "total"])]
            assert own["contribution"].sum() == pytest.approx(np.prod(1 + active[years == year]) - 1, abs=1e-10)

    def test_benchmark_portfolio_has_no_active_part(self):
        c = case(5)
        c |= {"weights": c["benchmark_weights"], "cost": np.zeros(5)}
        c["portfolio_return"] = c["benchmark_return"] = (c["weights"] * c["stock_returns"]).sum(axis=1)
        daily = attribute(**c).daily
        assert daily.drop(columns="trade_date").to_numpy() == pytest.approx(0, abs=1e-16)
        assert attribute(**c).summary["annualized"].to_numpy() == pytest.approx(0, abs=1e-13)

    def test_order_of_stocks_does_not_matter_and_arguments_stay(self):
        c = case(20)
        expected = attribute(**c).summary
        p = np.random.default_rng(1).permutation(25)
        moved = c | {k: c[k][:, p] for k in ("weights", "benchmark_weights", "stock_returns", "style_exposures", "industry")}
        copies = {k: np.copy(v) for k, v in c.items()}
        got = attribute(**moved).summary
        assert got["cumulative"].to_numpy() == pytest.approx(expected["cumulative"].to_numpy(), abs=1e-14)
        attribute(**c)
        assert all(np.array_equal(c[k], copies[k]) for k in c)


class TestErrors:
    @pytest.mark.parametrize(("change", "error", "message"), [
        ({"weights": np.full((3, 25), NAN)}, BadInput, "attribute 2023-06-01: weights holds NaN"),
        ({"cost": np.array([0.0, -0.01, 0.0])}, BadInput, r"attribute 2023-06-02: negative cost \(got -0.01"),
        ({"benchmark_return": np.array([0.0, 0.0, 2.0])}, BadInput, "attribute 2023-06-03: an active return of -100 %"),
        ({"cost": np.zeros(2)}, Misaligned, r"cost does not fit \(got \(2,\), expected \(3,\)\)"),
        ({"industry_names": ("a", "b", "c", "d")}, Misaligned, "factor_returns does not fit"),
        ({"industry": np.full((3, 25), 3)}, Misaligned, r"more industry codes than names \(got 3, expected <= 2\)"),
    ])
    def test_inputs(self, change, error, message):
        with pytest.raises(error, match=message):
            attribute(**case(3) | change)

    def test_held_stock_without_a_return(self):
        c = case(3)
        c["stock_returns"][1, 7] = NAN
        with pytest.raises(BadInput, match="attribute 2023-06-02 column 7: a held stock has no return"):
            attribute(**c)
        c["weights"][1, 7] = c["benchmark_weights"][1, 7] = 0.0
        attribute(**c)  # not held: its return is not needed

    def test_no_day(self):
        c = case(3)
        arrays = {k: v[:0] for k, v in c.items() if k not in ("style_names", "industry_names")}
        with pytest.raises(NotEnoughData, match="no day to attribute"):
            attribute(**c | arrays)
