"""The shape in which a published research report's tables are kept, so that they can be printed beside ours.

Values live with the experiment that reproduces them (``alpha_pipeline.experiments``); here are only the types and the look-ups.
A column that a report does not print is NaN, and a table of a shape of its own is a frame beside the report (see ``published_multimodel``).
Everything is as printed: decimals of returns keep the digits of the report (``0.0930`` is 9.30%), turnover is two-sided unless a
field says otherwise, and a figure that a report prints twice carries both numbers. A number that the report itself contradicts
is a :class:`KnownSlip`: it is marked where it is shown and never used as a target.
"""

from __future__ import annotations

from dataclasses import dataclass

from alpha_pipeline.errors import unknown_name


@dataclass(frozen=True)
class PublishedFactorTest:
    """One row of a factor-test table: a model in a universe."""

    figures: tuple[int, ...]
    universe: str
    model: str
    rank_ic_mean: float
    rank_ic_std: float
    icir: float
    ic_positive_share: float
    top_annual_excess: float
    top_ir: float
    top_monthly_win_rate: float
    top_turnover_two_sided: float


@dataclass(frozen=True)
class PublishedLayers:
    """Annual excess return of a model's layers, the highest scores first, and the first layer minus the last, compounded daily."""

    figure: int
    universe: str
    model: str
    annual_excess: tuple[float, ...]
    long_short_annual: float
    long_short_sharpe: float


@dataclass(frozen=True)
class PublishedPortfolio:
    """One row of a portfolio table: a benchmark at a limit on two-sided turnover per rebalance, with its yearly returns.

    ``model`` is set where a report compares models at one limit.
    """

    figures: tuple[int, ...]
    benchmark: str
    turnover_limit: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    max_drawdown: float
    annual_excess_return: float
    tracking_error: float
    excess_max_drawdown: float
    information_ratio: float
    calmar: float
    monthly_win_rate: float
    mean_turnover_two_sided: float
    yearly_figures: tuple[int, ...]
    yearly_return: tuple[tuple[int, float], ...]
    model: str = ""

    @property
    def key(self) -> str:
        """The name under which a portfolio of ours refers to this row: ``000300.SH@30`` for a limit of 30%."""
        return published_key(self.benchmark, self.turnover_limit, self.model)


@dataclass(frozen=True)
class PublishedBenchmark:
    """The benchmark's own row of a portfolio table."""

    figures: tuple[int, ...]
    benchmark: str
    annual_return: float
    annual_volatility: float
    sharpe: float
    max_drawdown: float
    yearly_figures: tuple[int, ...]
    yearly_return: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class PublishedCorrelation:
    """A symmetric matrix of model correlations; the diagonal is blank in the report and absent here."""

    figure: int
    models: tuple[str, ...]
    pairs: tuple[tuple[str, str, float], ...]

    def value(self, first: str, second: str) -> float | None:
        """Correlation of two models as printed, whatever their order; ``None`` on the diagonal and for models not in the
        table.
        """
        for a, b, rho in self.pairs:
            if {a, b} == {first, second} and first != second:
                return rho
        return None


@dataclass(frozen=True)
class KnownSlip:
    """A place where the report contradicts its own tables, or prints one number in the place of another.

    ``rows`` are the keys of the rows to which the footnote belongs; ``against`` says whose numbers speak against it, ``shown`` what stands in
    our copy of the table.
    """

    key: str
    where: str
    printed: str
    tables_say: str
    rows: tuple[str, ...]
    shown: str = "The tables are shown here."
    against: str = "its own tables say"

    @property
    def footnote(self) -> str:
        return (
            f"Known slip in the published report: {self.where} prints {self.printed}; {self.against} {self.tables_say}. "
            f"{self.shown}"
        )


@dataclass(frozen=True)
class PublishedReport:
    """All tables of one published report.

    ``n_seeds`` is 0 where the report does not say how many. ``models`` and ``universes`` hold (identifier, English name, name as printed) in the
    report's order.
    """

    system: str
    title: str
    publisher: str
    first_date: str
    last_date: str
    n_seeds: int
    models: tuple[tuple[str, str, str], ...]
    universes: tuple[tuple[str, str, str], ...]
    factor_tests: tuple[PublishedFactorTest, ...]
    correlation: PublishedCorrelation | None
    portfolios: tuple[PublishedPortfolio, ...]
    benchmarks: tuple[PublishedBenchmark, ...]
    slips: tuple[KnownSlip, ...]
    layers: tuple[PublishedLayers, ...] = ()

    def layers_of(self, universe: str, model: str) -> PublishedLayers | None:
        """The layers of a model in a universe; ``None`` when the report prints none."""
        return next((r for r in self.layers if (r.universe, r.model) == (universe, model)), None)

    def factor_test(self, universe: str, model: str) -> PublishedFactorTest | None:
        """The row of a model in a universe; ``None`` when the report has no such row."""
        return next((r for r in self.factor_tests if (r.universe, r.model) == (universe, model)), None)

    def portfolio(self, key: str) -> PublishedPortfolio:
        """The portfolio row with that :attr:`PublishedPortfolio.key`. Raises ``UnknownName`` when there is none."""
        for row in self.portfolios:
            if row.key == key:
                return row
        raise unknown_name(f"published portfolio of {self.system}", key, [r.key for r in self.portfolios])

    def benchmark(self, benchmark: str) -> PublishedBenchmark | None:
        """The benchmark's own row; ``None`` when the report has no such benchmark."""
        return next((r for r in self.benchmarks if r.benchmark == benchmark), None)

    def slips_of(self, row: str) -> list[KnownSlip]:
        """Known slips that concern a row: ``universe/model``, ``benchmark@limit`` or ``benchmark``."""
        return [s for s in self.slips if row in s.rows]

    def figures(self) -> set[int]:
        """Numbers of all figures whose values are held here."""
        held = {f for r in self.factor_tests for f in r.figures} | {r.figure for r in self.layers}
        held |= {f for p in self.portfolios for f in p.figures + p.yearly_figures}
        held |= {f for b in self.benchmarks for f in b.figures + b.yearly_figures}
        return held | ({self.correlation.figure} if self.correlation else set())


def published_key(benchmark: str, turnover_limit: float, model: str = "") -> str:
    """Name of a published portfolio row; the limit is two-sided turnover per rebalance, a decimal.

    >>> published_key("000300.SH", 0.30), published_key("000905.SH", 0.30, "alphanet_v2")
    ('000300.SH@30', 'alphanet_v2/000905.SH@30')
    """
    return f"{model}/" * bool(model) + f"{benchmark}@{round(turnover_limit * 100)}"
