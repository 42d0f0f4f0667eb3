"""Group ``features``: universe, panels, labels. All partitioned by trade date and known at its close."""

from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, range_keys, running, step_metadata
from alpha_pipeline.assets.partitions import Axes
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS
from alpha_pipeline.features.labels import ForwardReturn
from alpha_pipeline.pipeline import panels as steps
from alpha_pipeline.pipeline.workspace import CODE_VERSION
from alpha_pipeline.resources.market import MarketResource

GROUP = "features"


def feature_assets(
    axes: Axes, tables: tuple[str, ...], labels: tuple[ForwardReturn, ...], characteristics: tuple[str, ...] = ()
) -> list[dg.AssetsDefinition]:
    """The panels that a market's tables allow: the 15-minute one only where there are intraday bars.

    ``characteristics``: panels of characteristics that the experiments read; like labels, others are not built.
    """
    common: dict[str, Any] = {
        "partitions_def": axes.trade_dates, "group_name": GROUP, "owners": OWNERS, "backfill_policy": SINGLE_RUN,
        "kinds": {"numpy"}, "code_version": CODE_VERSION,
    }

    @dg.asset(deps=[t for t in ("security_status", "daily_bars", "index_weights") if t in tables], **common,
              description="Status of every stock and date: flags (ST, suspended, limit, one-price limit), industry, sessions since listing, "
                          "index membership. Universes are masks over it. Known at the close.")
    def universe(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(steps.extend_status(market.workspace(), range_keys(context))))

    @dg.asset(deps=["daily_bars", "security_status"], **common,
              description="Dense memory-mapped panel of backward-adjusted daily prices, volume, amount, turnover and capitalization, "
                          "one row per trade date. Suspended names carry their last close at volume 0.")
    def daily_panel(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(steps.extend_daily(market.workspace(), range_keys(context))))

    assets = [universe, daily_panel]
    if "intraday_bars" in tables:

        @dg.asset(deps=["intraday_bars", "daily_panel", "universe"], **common,
                  description="Dense memory-mapped panel of sixteen adjusted 15-minute bars a day, aggregated from the finest bars the source has.")
        def intraday_15m_panel(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
            with running(context):
                return dg.MaterializeResult(metadata=step_metadata(steps.extend_intraday(market.workspace(), range_keys(context))))

        assets.append(intraday_15m_panel)
    return [*assets, *(_characteristics_asset(name, common) for name in characteristics), *(_label_asset(spec, common) for spec in labels)]


def _characteristics_asset(name: str, common: dict[str, Any]) -> dg.AssetsDefinition:
    spec = CHARACTERISTIC_PANELS[name]

    @dg.asset(name=f"{name}_panel", deps=["intraday_bars", "daily_bars", "security_status", "universe"], **common,
              description=f"Dense memory-mapped panel of {len(spec.fields)} intraday characteristics, {spec.steps} a day, computed from the bars "
                          "the source has; missing (NaN) for names that did not trade. Known at the close.")
    def panel(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(steps.extend_characteristics(market.workspace(), range_keys(context), name)))

    return panel


def _label_asset(spec: ForwardReturn, common: dict[str, Any]) -> dg.AssetsDefinition:
    @dg.asset(name=spec.name, key_prefix="labels", deps=["daily_panel"], **common,
              description=f"Label {spec.name}: {spec.horizon}-session return, entry lag {spec.lag}. Partition t holds the returns whose window "
                          "ENDS at t, so it is known at the close of t and can never leak into an earlier date.")
    def label(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(steps.extend_labels(market.workspace(), range_keys(context), spec)))

    return label
