"""The published MULTIFREQ tables as held: spot values read off the report, the report's own arithmetic, completeness."""

from __future__ import annotations

import math

import pytest

from alpha_pipeline.errors import UnknownName
from alpha_pipeline.experiments.published_multifreq import CNI2000, CSI300, CSI500, CSI1000
from alpha_pipeline.experiments.published_multifreq import MULTIFREQ_PUBLISHED as REPORT
from alpha_pipeline.reporting.published import PublishedBenchmark, PublishedFactorTest, PublishedPortfolio, published_key

UNIVERSES = (CSI300, CSI500, CSI1000, "all")
MODELS = ("gru_15m", "gru_15m_attention", "mixed", "incremental")


class TestExamples:
    def test_holds_these_figures(self) -> None:
        assert REPORT.figures() == {4, 5, 15, 24, 33, 36, 37, 40, 41, 44, 45, 48, 49}

    def test_factor_test_rows(self) -> None:
        row = REPORT.factor_test("all", "incremental")
        assert row is not None
        assert (row.rank_ic_mean, row.rank_ic_std, row.icir, row.ic_positive_share) == (0.1022, 0.0771, 1.33, 0.9085)
        assert (row.top_annual_excess, row.top_ir, row.top_monthly_win_rate, row.top_turnover_two_sided) == (
            0.3636,
            5.95,
            0.9474,
            1.0525,
        )
        attention = REPORT.factor_test(CSI500, "gru_15m_attention")
        assert attention is not None
        assert (attention.figures, attention.top_annual_excess, attention.top_ir) == ((15,), 0.1058, 1.40)

    def test_portfolio_rows(self) -> None:
        row = REPORT.portfolio(published_key(CSI1000, 0.50))
        assert row.figures == (4, 44)
        assert (row.annual_excess_return, row.information_ratio, row.calmar, row.mean_turnover_two_sided) == (
            0.3157,
            4.79,
            6.83,
            0.5142,
        )
        assert dict(row.yearly_return)[2021] == 0.6192
        benchmark = REPORT.benchmark(CNI2000)
        assert benchmark is not None
        assert (benchmark.annual_return, dict(benchmark.yearly_return)[2018]) == (-0.0221, -0.3377)

    def test_correlation_is_symmetric_with_a_blank_diagonal(self) -> None:
        table = REPORT.correlation
        assert table is not None
        assert table.value("mixed", "incremental") == table.value("incremental", "mixed") == 0.7302
        assert table.value("mixed", "mixed") is None

    def test_slips_are_marked_and_not_used(self) -> None:
        mixed = REPORT.factor_test("all", "mixed")
        assert mixed is not None
        assert (mixed.rank_ic_mean, mixed.top_annual_excess) == (0.0839, 0.3000)  # the abstract says 8.58% and 30.12%
        assert [s.key for s in REPORT.slips_of("all/mixed")] == ["mixed_all_a"]
        assert [s.key for s in REPORT.slips_of(published_key(CSI300, 0.30))] == ["csi300_ir"]
        assert "1.21 to 1.40" in REPORT.slips_of(published_key(CSI300, 0.30))[0].footnote


class TestProperties:
    def test_every_row_is_there(self) -> None:
        assert {(r.universe, r.model) for r in REPORT.factor_tests} == {(u, m) for u in UNIVERSES for m in MODELS}
        assert {(p.benchmark, p.turnover_limit) for p in REPORT.portfolios} == {
            (b, x) for b in (CSI300, CSI500, CSI1000, CNI2000) for x in (0.3, 0.4, 0.5)
        }
        assert all(len(p.yearly_return) == 7 for p in REPORT.portfolios)
        assert all(len(b.yearly_return) == 7 for b in REPORT.benchmarks)
        assert REPORT.correlation is not None
        assert len(REPORT.correlation.pairs) == 6

    @pytest.mark.parametrize("row", REPORT.factor_tests, ids=lambda r: f"{r.universe}-{r.model}")
    def test_icir_is_mean_over_std(self, row: PublishedFactorTest) -> None:
        assert row.icir == pytest.approx(row.rank_ic_mean / row.rank_ic_std, abs=0.006)

    @pytest.mark.parametrize("row", REPORT.factor_tests, ids=lambda r: f"{r.universe}-{r.model}")
    def test_shares_are_whole_counts(self, row: PublishedFactorTest) -> None:
        """A misread digit would not be a share of 307 weeks (306 for the incremental model) or of 76 months."""
        weeks = 306 if row.model == "incremental" else 307
        assert min(abs(row.ic_positive_share - k / weeks) for k in range(weeks + 1)) < 0.00006
        assert min(abs(row.top_monthly_win_rate - k / 76) for k in range(77)) < 0.00006

    @pytest.mark.parametrize("row", REPORT.portfolios, ids=lambda r: r.key)
    def test_ratios_follow_from_the_other_columns(self, row: PublishedPortfolio) -> None:
        assert row.sharpe == pytest.approx(row.annual_return / row.annual_volatility, abs=0.006)
        assert row.information_ratio == pytest.approx(row.annual_excess_return / row.tracking_error, abs=0.011)
        assert row.calmar == pytest.approx(row.annual_excess_return / row.excess_max_drawdown, abs=0.02)
        assert min(abs(row.monthly_win_rate - k / 75) for k in range(76)) < 0.00006

    @pytest.mark.parametrize("row", REPORT.portfolios, ids=lambda r: r.key)
    def test_excess_agrees_with_returns_and_volatilities(self, row: PublishedPortfolio) -> None:
        """g(excess) = g(R_p) - g(R_b) + (var_p - var_b) / 2 - TE^2 / 2 with g = log(1 + x), to rounding."""
        bench = REPORT.benchmark(row.benchmark)
        assert bench is not None
        right = math.log1p(row.annual_return) - math.log1p(bench.annual_return)
        right += (row.annual_volatility**2 - bench.annual_volatility**2) / 2 - row.tracking_error**2 / 2
        assert math.expm1(right) == pytest.approx(row.annual_excess_return, abs=0.0005)

    @pytest.mark.parametrize("row", [*REPORT.portfolios, *REPORT.benchmarks], ids=lambda r: r.benchmark)
    def test_years_compound_to_the_annual_return(self, row: PublishedPortfolio | PublishedBenchmark) -> None:
        growth = math.prod(1 + r for _, r in row.yearly_return) ** (252 / 1534) - 1
        assert growth == pytest.approx(row.annual_return, abs=0.01)


class TestErrors:
    def test_unknown_portfolio_lists_the_known(self) -> None:
        with pytest.raises(UnknownName, match="unknown published portfolio of MULTIFREQ '000300.SH@35'.*000300.SH@30"):
            REPORT.portfolio("000300.SH@35")
