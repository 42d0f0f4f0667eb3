"""Groups ``portfolios``, ``backtests`` and ``attribution``: weekly weights and what they changed, what they earned, and from what."""

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, DateRange, frame_table, range_keys, running, step_metadata
from alpha_pipeline.assets.partitions import Axes
from alpha_pipeline.experiment import PortfolioSpec
from alpha_pipeline.pipeline import backtests, changes, portfolios
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES
from alpha_pipeline.pipeline.risk_inputs import risk_tables
from alpha_pipeline.pipeline.risk_model import FACTOR_RETURNS, SPECIFIC
from alpha_pipeline.pipeline.robustness import deflated_sharpe
from alpha_pipeline.pipeline.workspace import CODE_VERSION, Workspace
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.risk.panel_factors import panel_factor

_STYLES = {"compact": "price-volume styles", "full": "the styles of the stored risk model",
           "efficient": "the styles of the stored risk model (regressions weighted by 1/specific variance)"}
_READ_BY_ATTRIBUTION = {"compact": (), "full": (EXPOSURES, FACTOR_RETURNS), "efficient": (EXPOSURES, SPECIFIC)}


def portfolio_assets(axes: Axes, spec: PortfolioSpec) -> list[dg.AssetsDefinition]:
    """weights, backtest and attribution of one portfolio."""
    prefix = ["portfolios", spec.name]
    weights_key = dg.AssetKey([*prefix, "weights"])
    previous_week = dg.AssetDep(weights_key, partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))
    both_weeks = dg.AssetDep(weights_key, partition_mapping=dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=0, allow_nonexistent_upstream_partitions=True))
    inputs = [*risk_tables(spec), *(f"{panel_factor(name).panel}_panel" for name in spec.panel_factors)]
    limits = ", ".join(str(constraint) for constraint in spec.optimizer.constraints)
    rule = f"Maximal expected return within: {limits}." if limits else f"Equal weight: {spec.optimizer}."

    @dg.asset(name="weights", key_prefix=prefix, group_name="portfolios", owners=OWNERS, kinds={spec.optimizer.solver}, code_version=CODE_VERSION,
              tags={"benchmark": spec.benchmark}, partitions_def=axes.weeks, backfill_policy=SINGLE_RUN,
              deps=[dg.AssetKey(["signals", spec.signal, "factor"]), "index_weights", "daily_panel", "universe", previous_week,
                    *(dg.AssetKey(name.split("/")) for name in dict.fromkeys(inputs) if name != "daily_panel")],
              description=f"Target weights against {spec.benchmark}, decided at the close of the week's last session and traded on the next. "
                          f"{rule} Starts from the holdings its previous week left.")
    def weights(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(portfolios.rebalance(market.workspace(), spec, range_keys(context))))

    @dg.asset(name="backtest", key_prefix=prefix, group_name="backtests", owners=OWNERS, kinds={"pandas"}, code_version=CODE_VERSION,
              deps=[dg.AssetDep(weights_key, partition_mapping=dg.AllPartitionMapping()),
                    dg.AssetDep("daily_panel", partition_mapping=dg.AllPartitionMapping()),
                    dg.AssetDep("index_bars", partition_mapping=dg.AllPartitionMapping())],
              description=f"Daily backtest of the weekly weights: signals of t trade at the vwap of t+1, {spec.costs}, "
                          f"unfilled orders: {spec.unfilled}; suspended and one-price limit names cannot be traded.")
    def backtest(context: dg.AssetExecutionContext, config: DateRange, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work = market.workspace()
            manifest = backtests.run_portfolio_backtest(work, spec, config.start, config.end)
            metadata = _backtest_metadata(work.store.read_bundle(manifest.table), manifest.meta)
            deflated = deflated_sharpe(work, [spec.name])[spec.name]
            metadata |= {"deflated Sharpe": deflated.probability, "trials so far": deflated.n_trials}
            return dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata=metadata)

    @dg.asset(name="attribution", key_prefix=prefix, group_name="attribution", owners=OWNERS, kinds={"pandas"}, code_version=CODE_VERSION,
              deps=[backtest, *(dg.AssetDep(dg.AssetKey(name.split("/")), partition_mapping=dg.AllPartitionMapping()) for name in
                                ("index_weights", *_READ_BY_ATTRIBUTION[spec.attribution]))],
              description=f"Daily active return split into country, industries, {_STYLES[spec.attribution]}, specific, trading and cost; adds up "
                          "each day and, linked, over the range.")
    def attribution(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work = market.workspace()
            manifest = backtests.run_attribution(work, spec)
            metadata = _attribution_metadata(work.store.read_bundle(manifest.table), manifest.meta)
            return dg.MaterializeResult(data_version=dg.DataVersion(manifest.content), metadata=metadata)

    @dg.asset(name="changes", key_prefix=prefix, group_name="portfolios", owners=OWNERS, kinds={"pandas"}, code_version=CODE_VERSION,
              partitions_def=axes.weeks, backfill_policy=SINGLE_RUN, deps=[both_weeks, "daily_panel", "universe"],
              description="What each rebalance changed, name by name, with the reason (alpha, constraint, restriction, index change), what bound, "
                          "and how the week before turned out against its expectation. The newest week has a page.")
    def weekly_changes(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            work = market.workspace()
            report = changes.make_changes(work, spec, range_keys(context))
            return dg.MaterializeResult(metadata=step_metadata(report) | _changes_metadata(work, spec.name))

    return [weights, weekly_changes, backtest, attribution]


def _changes_metadata(work: Workspace, portfolio: str) -> dict:
    """The newest week's largest trades, and where its page lies."""
    stored = work.store.bundle(changes.page_name(portfolio))
    if stored is None:
        return {}
    newest = changes.read_changes(work, portfolio, stored.meta["week"])
    return {"page": dg.MetadataValue.path(work.store.bundle_path(changes.page_name(portfolio), changes.PAGE)), "newest rebalance": newest.session,
            "trades": frame_table(newest.table[newest.table["reason"] != "held"].drop(columns="trade_date"), max_rows=15)}


def _backtest_metadata(frames: dict, meta: dict) -> dict:
    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import excess_nav_plot

    axes = excess_nav_plot({"excess NAV": frames["daily"]})
    summary = meta["summary"]
    return {
        "excess NAV": dg.MetadataValue.md(thumbnail_markdown(axes, alt="excess NAV")), "summary": frame_table(frames["summary"].T.reset_index()),
        "intervals": frame_table(frames["intervals"]), "drawdowns": frame_table(frames["drawdowns"]),
        "annualized excess return": summary["annualized_excess_return"], "information ratio": summary["information_ratio"],
        "range": f"{meta['start']} … {meta['end']}", "conventions": dg.MetadataValue.json(meta["conventions"]),
    }


def _attribution_metadata(frames: dict, meta: dict) -> dict:
    from alpha_pipeline.pipeline.reports import attribution_frames
    from alpha_pipeline.reporting.images import thumbnail_markdown
    from alpha_pipeline.reporting.plots import attribution_bars_plot

    shown = attribution_frames(frames)
    return {
        "attribution": dg.MetadataValue.md(thumbnail_markdown(attribution_bars_plot(shown.summary), alt="attribution")),
        "summary": frame_table(shown.summary), "mean R²": meta["mean_r_squared"], "range": f"{meta['start']} … {meta['end']}",
    }
