"""Step ``reports/<experiment>``: stored results become one page, the published figures beside ours."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

import pandas as pd

from alpha_pipeline import __version__
from alpha_pipeline.backtest.metrics import annualized_return, annualized_volatility, max_drawdown, ratio
from alpha_pipeline.digest import combine
from alpha_pipeline.errors import MissingData
from alpha_pipeline.experiment import ExperimentSpec, ModelSpec, PortfolioSpec
from alpha_pipeline.experiments.contents import CONTENTS
from alpha_pipeline.experiments.published_alphanet import ALPHANET_PUBLISHED
from alpha_pipeline.experiments.published_attention import ATTENTION_PUBLISHED
from alpha_pipeline.experiments.published_multifreq import MULTIFREQ_PUBLISHED
from alpha_pipeline.experiments.published_multimodel import MULTIMODEL_PUBLISHED
from alpha_pipeline.experiments.published_riskcontrol import RISKCONTROL_PUBLISHED
from alpha_pipeline.factors.correlation import score_correlation
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.schema import INDICES
from alpha_pipeline.market.universe import UNIVERSE_NAMES
from alpha_pipeline.pipeline.backtests import attribution_name, read_backtest
from alpha_pipeline.pipeline.changes import newest_week, read_changes
from alpha_pipeline.pipeline.factors import factor_table, read_scores, stored_tests
from alpha_pipeline.pipeline.robustness import deflated_sharpe
from alpha_pipeline.pipeline.studies import study_kind
from alpha_pipeline.pipeline.studies.study import study_section
from alpha_pipeline.pipeline.training import history_frame, load, spec_digest
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.portfolio.enhanced_index import constraint_key
from alpha_pipeline.reporting.changes_page import changes_exhibits
from alpha_pipeline.reporting.contents import missing_items
from alpha_pipeline.reporting.exhibits import StudySection
from alpha_pipeline.reporting.html import render_report
from alpha_pipeline.reporting.inputs import Attribution, FactorTest, PortfolioReport, Provenance, ReportInputs
from alpha_pipeline.reporting.robustness import Robustness, robustness_section
from alpha_pipeline.store import Manifest

PUBLISHED = {
    "MULTIFREQ": MULTIFREQ_PUBLISHED, "ALPHANET": ALPHANET_PUBLISHED, "MULTIMODEL": MULTIMODEL_PUBLISHED, "RISKCONTROL": RISKCONTROL_PUBLISHED,
    "ATTENTION": ATTENTION_PUBLISHED,
}
_N_TRADES = 12  # of the newest rebalance, in the report; the portfolio's own page has more
_LIBRARIES = ("torch", "numpy", "pandas", "pyarrow", "highspy", "dagster")


def report_name(experiment: str) -> str:
    """Name of the bundle a report is stored as, and of its asset."""
    return f"reports/{experiment}"


def write_report(work: Workspace, spec: ExperimentSpec) -> Manifest:
    """Render the experiment's page from what is stored and store it as the bundle ``reports/<experiment>``.

    ``meta["gaps"]`` names the tables and figures of the published report that are missing or empty; none for a part of a system.
    """
    inputs = load_report_inputs(work, spec)
    page = render_report(inputs).encode()
    source = combine([spec.digest(), inputs.provenance.get("data_hash", ""), __version__])
    meta = {"title": spec.title, "gaps": missing_items(inputs, CONTENTS.get(spec.name, ()))}
    return work.store.write_bundle(report_name(spec.name), {}, source=source, meta=meta, files={"report.html": page})


def headline(work: Workspace, spec: ExperimentSpec) -> str:
    """One line for the asset's page: RankIC of the first signal in the first universe, and the portfolios' excess returns."""
    tests = stored_tests(work, spec.signals[0].name)
    universe, frames = next(iter(tests.items()))
    parts = [f"RankIC {frames['summary']['rank_ic_mean'].iloc[0]:.2%} ({spec.signals[0].name}, {UNIVERSE_NAMES[universe]})"]
    for portfolio in spec.portfolios:
        summary = read_backtest(work, portfolio.name)[0].meta["summary"]
        parts.append(f"{portfolio.name} excess {summary['annualized_excess_return']:.2%} a year, IR {summary['information_ratio']:.2f}")
    return "; ".join(parts)


def load_report_inputs(work: Workspace, spec: ExperimentSpec, *, is_brief: bool = False) -> ReportInputs:
    """Everything the page shows, from the store alone; a part that is not there is named with the reason.

    ``is_brief``: tests and portfolios only, for pages over several experiments.
    """
    missing: dict[str, str] = {}
    tests: dict[tuple[str, str], FactorTest] = {}
    comparisons: dict[tuple[str, str], FactorTest] = {}
    conventions: list[str] = []
    baselines = {"linear_blend": "linear blend", "oracle": "oracle (true expected return)"}
    labels = dict(UNIVERSE_NAMES) | baselines | {s.name: baselines[s.baseline] for s in spec.all_signals() if s.baseline}
    dates: list[str] = []
    for signal in spec.all_signals():
        target = comparisons if signal in spec.comparisons else tests
        shown = signal.published or signal.name
        try:
            stored = stored_tests(work, signal.name)
        except MissingData as error:
            missing["factor_tests"] = missing["layers"] = str(error)
            continue
        manifest = work.store.bundle(f"signals/{signal.name}/factor_test")
        assert manifest is not None
        dates += [manifest.meta["start"], manifest.meta["end"]]
        conventions = [f"{name}: {text}" for name, text in manifest.meta["conventions"].items() if name != "spec"]
        for universe in spec.test_universes:
            if universe in stored:
                frames = stored[universe]
                target[universe, shown] = FactorTest(frames["summary"], frames["ic"], frames["layers_daily"], frames["layers_summary"])
    published = PUBLISHED.get(spec.system)
    portfolios: dict[str, PortfolioReport] = {}
    attributions: dict[str, Attribution] = {}
    for portfolio in spec.portfolios:
        try:
            portfolios[portfolio.name] = _portfolio(work, portfolio, published is not None and bool(published.portfolios))
            if not is_brief:
                attributions[portfolio.name] = attribution_frames(work.store.read_bundle(attribution_name(portfolio.name)))
        except MissingData as error:
            missing.setdefault("portfolios", str(error))
            missing.setdefault("attribution", str(error))
    if not spec.portfolios:
        missing |= {name: "This experiment builds no portfolio." for name in ("portfolios", "attribution", "rebalances")}
    if portfolios:
        first = spec.portfolios[0].name
        conventions += [f"portfolio {name}: {text}" for name, text in read_backtest(work, first)[0].meta["conventions"].items()]
    if len(spec.signals) < 2:
        missing["correlation"] = "One model only: there is nothing to correlate it with."
    return ReportInputs(
        experiment=spec.name, title=spec.title, system=spec.system, description=spec.description, provenance=_provenance(work, spec, dates),
        conventions=conventions, factor_tests=tests, comparisons=comparisons, correlation=None if is_brief else _correlation(work, spec, dates),
        training={} if is_brief else _training(work, spec), portfolios=portfolios, attributions=attributions, published=published, labels=labels,
        headline=next(iter(tests), None), missing_sections=missing, layer_cost=spec.test.cost_one_way,
        other_losses=frozenset(_shown(spec, m) for m in spec.models if m.training.loss != "negative_ic"),
        studies=[] if is_brief else [
            *_robustness(work, portfolios), *_newest_changes(work, spec),
            *(study_section(work, study_kind(study.kind), spec, study, published) for study in spec.studies)],
    )


def _robustness(work: Workspace, portfolios: Mapping[str, PortfolioReport]) -> list[StudySection]:
    """How much of the portfolios to believe; nothing where none has a backtest."""
    if not portfolios:
        return []
    deflated = deflated_sharpe(work, list(portfolios))
    found = {name: Robustness(read_backtest(work, name)[1], deflated[name].probability, deflated[name].n_trials) for name in portfolios}
    first = {p.benchmark: name for name, p in reversed(list(portfolios.items()))}
    return [robustness_section(found, tuple(name for name in portfolios if name in first.values()))]


def _newest_changes(work: Workspace, spec: ExperimentSpec) -> list[StudySection]:
    """What the newest rebalance of the first portfolio changed, within the backtest's range; nothing for an experiment without portfolios."""
    if not spec.portfolios:
        return []
    key, title, portfolio = "changes", "Newest rebalance", spec.portfolios[0].name
    try:
        found = read_changes(work, portfolio, newest_week(work, portfolio, read_backtest(work, portfolio)[0].meta["end"]))
    except MissingData as error:
        return [StudySection(key, title, "rebalances", why_missing=str(error))]
    return [StudySection(key, title, "rebalances", changes_exhibits(found, _N_TRADES))]


def _provenance(work: Workspace, spec: ExperimentSpec, dates: list[str]) -> Provenance:
    described = work.source.describe()
    results = [m for signal in spec.all_signals() if (m := work.store.bundle(f"signals/{signal.name}/factor_test")) is not None]
    facts = Provenance(
        market=work.market.name, is_simulated=described.is_simulated, summary=described.summary, source_notes=list(described.notes),
        proxies=dict(described.proxies), missing=dict(described.missing), data_hash=combine(m.source for m in results)[:16], code_version=__version__,
        seeds=sorted({seed for model in spec.models for seed in model.seeds}), spec_digests={m.name: spec_digest(m)[:12] for m in spec.models},
        library_versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
    )
    if dates:
        facts["first_date"], facts["last_date"] = min(dates), max(dates)
    return facts


def _correlation(work: Workspace, spec: ExperimentSpec, dates: list[str]) -> pd.DataFrame | None:
    """Mean daily cross-sectional correlation of the models' scores; None for fewer than two."""
    if len(spec.signals) < 2 or not dates:
        return None
    panels: MarketPanels = work.panels
    days = [d for d in panels.daily.dates if min(dates) <= d <= max(dates)]
    scores = {s.published or s.name: read_scores(work, panels, factor_table(s.name), days, "score") for s in spec.signals}
    return score_correlation(scores)


def _shown(spec: ExperimentSpec, model: ModelSpec) -> str:
    """The name a model has on the page: that of its signal."""
    return next((s.published or s.name for s in spec.signals if s.model == model.name), model.name)


def _training(work: Workspace, spec: ExperimentSpec) -> dict[tuple[str, str, int], pd.DataFrame]:
    curves: dict[tuple[str, str, int], pd.DataFrame] = {}
    for model in spec.models:
        shown = _shown(spec, model)
        for period in work.store.keys(f"models/{model.name}/training_set"):
            try:
                checkpoint = load(work, model, period)
            except MissingData:
                continue  # its training set exists, its checkpoint does not: there is no curve to show
            for seed, curve in history_frame(checkpoint).groupby("seed"):
                curves[shown, period, int(str(seed))] = curve.drop(columns="seed").reset_index(drop=True)
    return curves


def _portfolio(work: Workspace, spec: PortfolioSpec, has_published: bool) -> PortfolioReport:
    manifest, frames = read_backtest(work, spec.name)
    summary = dict(manifest.meta["summary"])
    benchmark = frames["daily"]["benchmark_return"].to_numpy()
    shown = {name.replace("annualized", "annual"): value for name, value in summary.items()} | {
        "benchmark_sharpe": ratio(annualized_return(benchmark), annualized_volatility(benchmark)), "benchmark_max_drawdown": max_drawdown(benchmark),
    }
    limits = {constraint_key(c): c for c in spec.optimizer.constraints}
    turnover = limits.get("turnover")
    settings: dict[str, object] = {"benchmark": INDICES.get(spec.benchmark, spec.benchmark), "signal": spec.signal, "solver": spec.optimizer.solver}
    settings |= {name: str(c) for name, c in limits.items()}
    plain = PortfolioSpec(spec.name, spec.signal, spec.optimizer)
    for option in ("trade_price", "every_n_sessions", "mode", "capital", "benchmark_level", "attribution"):  # where they are not as usual
        if getattr(spec, option) != getattr(plain, option):
            settings[option] = getattr(spec, option)
    if spec.left_out:
        settings["limits left out"] = "; ".join(spec.left_out)
    if turnover is not None:
        limit = float(getattr(turnover, "limit"))  # noqa: B009
        settings["max_turnover_two_sided"] = limit * (1.0 if getattr(turnover, "sided", "two") == "two" else 2.0)
    return PortfolioReport(
        benchmark=spec.benchmark, settings=settings, daily=frames["daily"], summary=shown, yearly=frames["yearly"], rebalances=frames["rebalances"],
        published_key=spec.published if spec.published and has_published else None,
    )


def attribution_frames(frames: dict[str, pd.DataFrame]) -> Attribution:
    """The stored attribution in the report's columns: industries as one, styles by their own names."""
    daily = frames["daily"]
    styles = [c for c in daily.columns if c.startswith("style:")]
    shown = daily[["trade_date", "country", "industry_total", *styles, "specific", "trading", "benchmark_gap", "cost", "active_return"]]
    shown = shown.rename(columns={"industry_total": "industry", **{c: c.removeprefix("style:") for c in styles}})
    summary = frames["summary"]
    kept = summary[(summary["kind"] != "industry") & (summary["component"] != "style_total")].copy()
    kept["component"] = kept["component"].replace({"industry_total": "industry"}).str.removeprefix("style:")
    return Attribution(shown, kept[["component", "cumulative", "annualized"]].reset_index(drop=True), frames["exposures"])
