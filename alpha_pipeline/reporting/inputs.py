"""What a report is made of: plain frames and dicts, checked on arrival so that a misspelt column fails here and not as a blank
page.

Conventions of all frames: returns, ICs, turnover and weights are decimals (``0.093`` = 9.30%); ``trade_date`` is a column; layer
1 is the one with the highest factor values; turnover is two-sided, the sum of absolute differences between new and drifted
weights. Every number describes the past: nothing here feeds back into a score or a weight. Any part may be left empty; then say
why in ``missing_sections`` under the name of the section (:data:`SECTIONS`), and the page prints that sentence instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import pandas as pd

from alpha_pipeline.errors import BadInput, sentence, unknown_name
from alpha_pipeline.reporting.exhibits import StudySection
from alpha_pipeline.reporting.published import PublishedReport

SECTIONS = ("factor_tests", "layers", "correlation", "training", "portfolios", "attribution", "rebalances")

SUMMARY_COLUMNS = (
    "n_dates",
    "rank_ic_mean",
    "rank_ic_std",
    "icir",
    "ic_positive_share",
    "t_nw",
    "top_annual_excess",
    "top_ir",
    "top_monthly_win_rate",
    "top_turnover_two_sided",
    "long_short_annual",
    "long_short_sharpe",
    "autocorrelation",
    "mean_n_stocks",
)
PORTFOLIO_SUMMARY = (
    "annual_return",
    "annual_volatility",
    "sharpe",
    "max_drawdown",
    "annual_excess_return",
    "tracking_error",
    "excess_max_drawdown",
    "information_ratio",
    "calmar",
    "monthly_win_rate",
    "mean_turnover_two_sided",
    "benchmark_annual_return",
    "benchmark_annual_volatility",
    "benchmark_sharpe",
    "benchmark_max_drawdown",
)
_PORTFOLIO_FRAMES = {
    "daily": (
        "trade_date",
        "portfolio_return",
        "benchmark_return",
        "excess_return",
        "nav",
        "excess_nav",
        "turnover_two_sided",
        "cost",
        "cash",
    ),
    "yearly": ("year", "portfolio_return", "benchmark_return", "excess_return"),
    "rebalances": ("trade_date", "status", "turnover_two_sided", "relaxations", "binding", "n_names"),
}
ATTRIBUTION_FIXED = ("country", "industry", "specific", "trading", "cost", "active_return")


class _RequiredProvenance(TypedDict):
    market: str
    is_simulated: bool


class Provenance(_RequiredProvenance, total=False):
    """Where the numbers come from. ``market`` and ``is_simulated`` are required: a report never guesses whether its data are
    real.

    ``summary`` one sentence; ``source_notes`` sentences; ``proxies`` and ``missing`` map a table or field to what stands in for
    it, or to why it is absent; ``seeds`` of the ensembles; ``spec_digests`` and ``library_versions`` name -> text;
    ``first_date`` and ``last_date`` (ISO) of the tests.
    """

    summary: str
    source_notes: Sequence[str]
    proxies: Mapping[str, str]
    missing: Mapping[str, str]
    data_hash: str
    code_version: str
    seeds: Sequence[int]
    spec_digests: Mapping[str, str]
    first_date: str
    last_date: str
    library_versions: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class FactorTest:
    """One score tested in one universe. ``summary`` has one row; frames that were not computed are ``None``.

    ``ic`` [trade_date, rank_ic, ic, n_stocks] one row per test date; ``layers_daily`` [trade_date, base, L1 … Ln] daily returns,
    L1 the top; ``layers_summary`` [layer, annual_return, annual_excess, ir, monthly_win_rate, turnover_two_sided].
    Raises ``BadInput`` when a column is absent or ``summary`` has not exactly one row.
    """

    summary: pd.DataFrame
    ic: pd.DataFrame | None = None
    layers_daily: pd.DataFrame | None = None
    layers_summary: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        _need(self.summary, "factor test summary", SUMMARY_COLUMNS)
        if len(self.summary) != 1:
            raise BadInput(sentence("a factor test summary has one row", got=len(self.summary), expected=1))
        _need(self.ic, "factor test ic", ("trade_date", "rank_ic", "ic", "n_stocks"))
        _need(self.layers_daily, "factor test layers_daily", ("trade_date", "base", "L1"))
        _need(
            self.layers_summary,
            "factor test layers_summary",
            ("layer", "annual_return", "annual_excess", "ir", "monthly_win_rate", "turnover_two_sided"),
        )

    def value(self, name: str) -> float:
        """One number of the summary row."""
        return float(self.summary[name].iloc[0])


@dataclass(frozen=True, eq=False)
class PortfolioReport:
    """One backtested portfolio.

    ``daily`` one row per session: returns, ``nav`` and ``excess_nav`` start near 1, ``turnover_two_sided`` is 0 on days without
    a trade, ``cost`` and ``cash`` are shares of the NAV. ``summary`` holds every key of :data:`PORTFOLIO_SUMMARY` (more are
    allowed and not printed). ``yearly`` one row per calendar year, first and last may be partial. ``rebalances`` one row per
    rebalance; ``relaxations`` and ``binding`` list constraints, parted by ``;`` and empty when there was none. ``settings`` is
    printed as it is; its ``max_turnover_two_sided`` names the row. ``published_key`` refers to a row of the published tables
    (``000300.SH@30``); amounts after ``=`` or in brackets are left out when constraints are counted.
    Raises ``BadInput`` when a column or a summary key is absent.
    """

    benchmark: str
    settings: Mapping[str, object]
    daily: pd.DataFrame
    summary: Mapping[str, float]
    yearly: pd.DataFrame
    rebalances: pd.DataFrame
    published_key: str | None = None

    def __post_init__(self) -> None:
        for name, columns in _PORTFOLIO_FRAMES.items():
            _need(getattr(self, name), f"portfolio {name}", columns)
        absent = [k for k in PORTFOLIO_SUMMARY if k not in self.summary]
        if absent:
            raise BadInput(
                sentence(
                    f"portfolio summary lacks {', '.join(absent)}",
                    got=sorted(self.summary),
                    expected="every metric; NaN if undefined",
                )
            )

    @property
    def turnover_limit(self) -> float | None:
        """The limit on two-sided turnover per rebalance, a decimal; ``None`` when the settings name none."""
        limit = self.settings.get("max_turnover_two_sided")
        return float(limit) if isinstance(limit, int | float) else None


@dataclass(frozen=True, eq=False)
class Attribution:
    """Where a portfolio's active return came from.

    ``daily`` [trade_date, country, industry, one column per style, specific, trading, cost, active_return], components adding
    up to ``active_return``; ``summary`` [component, cumulative, annualized]; ``exposures`` [factor, mean_active_exposure] in
    standard deviations (styles) or weight (industries). Raises ``BadInput`` when a column is absent.
    """

    daily: pd.DataFrame
    summary: pd.DataFrame
    exposures: pd.DataFrame

    def __post_init__(self) -> None:
        _need(self.daily, "attribution daily", ("trade_date", *ATTRIBUTION_FIXED))
        _need(self.summary, "attribution summary", ("component", "cumulative", "annualized"))
        _need(self.exposures, "attribution exposures", ("factor", "mean_active_exposure"))

    @property
    def styles(self) -> list[str]:
        """Names of the style columns, in the order of ``daily``."""
        return [str(c) for c in self.daily.columns if c not in ("trade_date", *ATTRIBUTION_FIXED)]


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """Everything one report shows.

    ``factor_tests`` and ``comparisons`` are keyed by (universe, signal); comparisons are other scores on the same dates:
    ``oracle`` (the simulated market's own expected returns, an upper bound), ``linear blend``, …  ``correlation`` is square,
    models on both axes. ``training`` is keyed by (model, period, seed): [stage, epoch, train_loss, valid_ic, valid_rank_ic,
    seconds]. ``attributions`` are keyed like ``portfolios``. ``labels`` gives display names of signals, universes and benchmarks
    where the published report has none. ``headline`` is the (universe, signal) shown first; without it, the first signal of the
    last universe in the order given. ``studies`` are sections of their own, each after the
    section it names. ``other_losses`` are models whose loss is not −IC: their training line is no IC. ``layer_cost`` is the one-way cost that the
    layers bear, a decimal. Raises ``BadInput`` or ``UnknownName`` for a part that does not hold together.
    """

    experiment: str
    title: str
    system: str
    description: str
    provenance: Provenance
    conventions: Sequence[str] = ()
    factor_tests: Mapping[tuple[str, str], FactorTest] = field(default_factory=dict)
    comparisons: Mapping[tuple[str, str], FactorTest] = field(default_factory=dict)
    correlation: pd.DataFrame | None = None
    training: Mapping[tuple[str, str, int], pd.DataFrame] = field(default_factory=dict)
    portfolios: Mapping[str, PortfolioReport] = field(default_factory=dict)
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    published: PublishedReport | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    headline: tuple[str, str] | None = None
    missing_sections: Mapping[str, str] = field(default_factory=dict)
    studies: Sequence[StudySection] = ()
    other_losses: frozenset[str] = frozenset()
    layer_cost: float = 0.0

    def __post_init__(self) -> None:
        for key in ("market", "is_simulated"):
            if key not in self.provenance:
                raise BadInput(
                    sentence(
                        f"provenance lacks '{key}'",
                        where=self.experiment,
                        next_step="A report must say whether its data are real.",
                    )
                )
        for key in self.provenance:
            if key not in Provenance.__annotations__:
                raise unknown_name("provenance entry", key, list(Provenance.__annotations__))
        for name in self.missing_sections:
            if name not in SECTIONS:
                raise unknown_name("section", name, SECTIONS)
        for study in self.studies:
            if study.after not in SECTIONS:
                raise unknown_name("section", study.after, SECTIONS)
        for training_key, frame in self.training.items():
            _need(frame, f"training {training_key}", ("stage", "epoch", "train_loss", "valid_ic", "valid_rank_ic", "seconds"))
        if self.correlation is not None and list(self.correlation.index) != list(self.correlation.columns):
            raise BadInput(
                sentence(
                    "correlation must have the same models on both axes",
                    where=self.experiment,
                    got=f"{list(self.correlation.index)} x {list(self.correlation.columns)}",
                )
            )
        for name in self.attributions:
            if name not in self.portfolios:
                raise unknown_name("portfolio with an attribution", name, list(self.portfolios))
        for name, portfolio in self.portfolios.items():
            if portfolio.published_key is not None:
                if self.published is None:
                    raise BadInput(
                        sentence(
                            f"refers to published row {portfolio.published_key} but no published tables are given", where=name
                        )
                    )
                self.published.portfolio(portfolio.published_key)
        if self.headline is not None and self.headline not in self.factor_tests:
            raise unknown_name("headline factor test", "/".join(self.headline), ["/".join(k) for k in self.factor_tests])

    @property
    def universes(self) -> list[str]:
        """Universes with a test, in the order given."""
        return list(dict.fromkeys(u for u, _ in self.factor_tests))

    @property
    def signals(self) -> list[str]:
        """Signals with a test, in the order given."""
        return list(dict.fromkeys(s for _, s in self.factor_tests))

    @property
    def headline_key(self) -> tuple[str, str] | None:
        """The (universe, signal) to show first; chosen by the experiment, never by the best result."""
        if self.headline is not None or not self.factor_tests:
            return self.headline
        last = self.universes[-1]
        return next(key for key in self.factor_tests if key[0] == last)

    def label(self, name: str) -> str:
        """Display name of a signal, universe or benchmark: from ``labels``, else the published report's, else itself."""
        if name in self.labels:
            return self.labels[name]
        if self.published is not None:
            for key, english, _ in (*self.published.models, *self.published.universes):
                if key == name:
                    return english
        return name

    def why_missing(self, section: str) -> str:
        """The sentence to print for an empty section."""
        assert section in SECTIONS, section
        return self.missing_sections.get(section, "Not part of this run: nothing was handed to the report for this section.")


def _need(frame: pd.DataFrame | None, what: str, columns: Sequence[str]) -> None:
    if frame is None:
        return
    absent = [c for c in columns if c not in frame.columns]
    if absent:
        raise BadInput(sentence(f"{what} lacks {', '.join(absent)}", got=[str(c) for c in frame.columns], expected=list(columns)))
