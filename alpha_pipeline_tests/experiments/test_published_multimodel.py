"""MULTIMODEL's tables: cells read off the report by eye, and figures that must agree with each other."""

from __future__ import annotations

import numpy as np
import pytest

from alpha_pipeline.experiments.published_multimodel import (
    AVERAGED_CORRELATION,
    GROUPS,
    MULTIMODEL_PUBLISHED,
    N_RUNS,
    RANK_IC,
    SINGLE_RUN_CORRELATION,
    TOP_TURNOVER,
)
from alpha_pipeline.experiments.published_multimodel_portfolios import EITHER, ENHANCED, TOP_N
from alpha_pipeline.factors.averaging import averaged_correlation, averaged_ic


def rank_ic(model: str, horizon: int, gap: int, column: str = "rank_ic_mean") -> float:
    return float(RANK_IC.set_index(["model", "horizon", "gap"]).loc[(model, horizon, gap), column])


class TestExamples:
    def test_scores(self):
        assert rank_ic("restcn", 10, 0) == 0.157 and rank_ic("rct_v1", 20, 1) == 0.155 and rank_ic("transformer", 20, 0, "icir") == 1.81
        groups = GROUPS.set_index(["model", "since", "group"])["annual_hedged"]
        assert groups["rct_v1", 2017, 1] == 0.457 and groups["transformer", 2020, 20] == -0.595 and groups["rnn_v0", 2017, 18] == -0.258
        assert TOP_TURNOVER.set_index(["model", "since"]).loc[("lstm", 2020), "turnover_one_sided"] == 0.61
        assert MULTIMODEL_PUBLISHED.correlation is not None and MULTIMODEL_PUBLISHED.correlation.value("transformer", "lstm") == 0.894

    def test_portfolios(self):
        top = TOP_N.set_index(["n_names", "basis", "delta", "metric"])
        assert top.loc[(100, "relative", 0.20, "return"), "2018"] == 0.521 and top.loc[(300, "absolute", 1.00, "max_drawdown"), "annual"] == 0.24
        enhanced = ENHANCED.set_index(["figure", "basis", "delta", "metric"])
        assert enhanced.loc[(20, "hedged", 0.50, "return"), "annual"] == 0.206
        assert enhanced.loc[(21, "absolute", 0.10, "volatility"), ["2020", EITHER]].tolist() == [0.262, 0.157]
        assert enhanced.loc[(0, "hedged", 0.30, "max_drawdown"), "2021"] == 0.069

    def test_sizes(self):
        assert len(RANK_IC) == 9 * 6 and len(GROUPS) == 18 * 20 and len(TOP_N) == 2 * 2 * 7 * 2 and len(ENHANCED) == 4 * 2 * 4 * 3 + 4 * 3
        assert not ENHANCED.drop(columns=["2021", "2022", EITHER]).isna().any(axis=None) and not TOP_N.isna().any(axis=None)


class TestProperties:
    def test_identity_takes_figure_10_into_figure_11(self):
        found = averaged_correlation(SINGLE_RUN_CORRELATION, N_RUNS)
        assert np.abs(found - AVERAGED_CORRELATION.to_numpy()).max() < 0.002

    def test_formula_of_the_combined_ic(self):
        """Five models with 16 % and a mutual correlation of 91.7 % promise 16.6 %; RCTv1 has 16.5 %."""
        models = list(AVERAGED_CORRELATION.columns)
        mean = float(np.mean([rank_ic(m, 10, 0) for m in models]))
        rho = float(AVERAGED_CORRELATION.to_numpy()[np.triu_indices(5, 1)].mean())
        assert averaged_ic(mean, rho, 5) == pytest.approx(rank_ic("rct_v1", 10, 0), abs=0.002)

    def test_correlations_are_symmetric(self):
        for table in (SINGLE_RUN_CORRELATION, AVERAGED_CORRELATION):
            assert (table.to_numpy() == table.to_numpy().T).all()

    def test_groups_fall(self):
        for _, values in GROUPS.groupby(["model", "since"])["annual_hedged"]:
            assert np.corrcoef(values, range(20))[0, 1] < -0.9

    def test_the_slip(self):
        """GRU and LSTM have the same returns in figure 8, and RCTv0's in figure 14 but for one."""
        wide = GROUPS[GROUPS["since"] == 2017].pivot(index="group", columns="model", values="annual_hedged")
        assert (wide["gru"] == wide["lstm"]).all() and wide.index[wide["gru"] != wide["rct_v0"]].tolist() == [18]
        assert [s.key for s in MULTIMODEL_PUBLISHED.slips_of("gru")] == ["gru_is_lstm"]

    def test_the_year_of_a_last_number_differs_from_row_to_row(self):
        """Page one repeats a part of figure 19 in full: that is why the last column of figures 18 to 21 has two years."""
        keys = ["delta", "metric"]
        short = ENHANCED[(ENHANCED["figure"] == 19) & (ENHANCED["basis"] == "hedged")].set_index(keys)
        whole = ENHANCED[ENHANCED["figure"] == 0].set_index(keys)
        assert (short[["annual", "2017", "2018", "2019", "2020"]] == whole[["annual", "2017", "2018", "2019", "2020"]]).all(axis=None)
        is_2021, is_2022 = (short[EITHER] == whole[year] for year in ("2021", "2022"))
        assert (is_2021 | is_2022).all() and not is_2021.all() and not is_2022.all()

    def test_years_compound_to_the_annual_return(self):
        """TOP N prints all years: 5.41 of them from 2017 to June 2022, within rounding of the six printed ones."""
        for row in TOP_N[TOP_N["metric"] == "return"].itertuples():
            grown = np.prod([1 + getattr(row, f"_{k}") for k in range(8, 14)])
            assert grown ** (1 / 5.25) - 1 == pytest.approx(row.annual, abs=0.012)
