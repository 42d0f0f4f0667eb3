"""The only Definitions: assets, checks, resources, jobs and schedules of one market, named by ``$ALPHA_PIPELINE_MARKET``."""

import os
from collections.abc import Sequence

import dagster as dg

from alpha_pipeline.assets.combinations import combination_assets
from alpha_pipeline.assets.features import feature_assets
from alpha_pipeline.assets.jobs import daily_job, retrain_job, weekly_job
from alpha_pipeline.assets.market import market_assets
from alpha_pipeline.assets.partitions import market_axes
from alpha_pipeline.assets.portfolios import portfolio_assets
from alpha_pipeline.assets.reports import index_asset, report_asset
from alpha_pipeline.assets.risk import RISK_ASSETS, risk_assets, risk_check_assets
from alpha_pipeline.assets.schedules import schedules
from alpha_pipeline.assets.signals import signal_assets
from alpha_pipeline.assets.stored_checks import checks_job, stored_check_assets
from alpha_pipeline.assets.studies import study_asset
from alpha_pipeline.assets.training import model_assets
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.experiments import EXPERIMENTS, experiment
from alpha_pipeline.experiments.select import characteristic_panels, shared_parts
from alpha_pipeline.markets import DEFAULT_MARKET, MARKET_VARIABLE, MarketConfig, load_market, open_source
from alpha_pipeline.pipeline.combinations.plan import resolved
from alpha_pipeline.pipeline.ingest import ORDER
from alpha_pipeline.resources.compute import ComputeResource
from alpha_pipeline.resources.market import MarketResource


def listed_experiments(market: MarketConfig) -> tuple[ExperimentSpec, ...]:
    """The experiments that a market's graph holds; raises :class:`UnknownName` for one that does not exist."""
    return tuple(experiment(name) for name in market.experiments) or tuple(EXPERIMENTS.values())


def build_definitions(market: str, experiments: Sequence[ExperimentSpec] | None = None, resource: MarketResource | None = None) -> dg.Definitions:
    """The graph of one market: its tables, and of ``experiments`` (by default those the market lists, or else all) what the market can carry."""
    config = load_market(market)
    source = open_source(config)
    described = source.describe()
    axes = market_axes(config, source.calendar)
    parts = shared_parts(listed_experiments(config) if experiments is None else tuple(experiments), described)
    tables = tuple(t for t in ORDER if t in described.tables)
    characteristics = characteristic_panels(parts.experiments, described)
    combinations = resolved(parts.combinations, parts.models)
    features = feature_assets(axes, tables, parts.labels, characteristics)
    feature_names = [key.to_user_string() for asset in features for key in asset.keys]
    daily = daily_job(tables, [*feature_names, *RISK_ASSETS], parts.experiments)
    weekly = weekly_job(parts.experiments)
    retrain = retrain_job(parts.experiments)
    panels = ["status", "daily", *(["intraday_15m"] if "intraday_bars" in tables else []), *characteristics]
    checks = checks_job([*tables, "universe", *(f"{name}_panel" for name in panels if name != "status")])
    return dg.Definitions(
        assets=[
            market_assets(axes, described), *features, *risk_assets(axes, tables),
            *(asset for model in parts.models for asset in model_assets(axes, model, tables)),
            *(asset for combination in combinations.values() for asset in combination_assets(axes, combination, tables, characteristics)),
            *(asset for signal, test, universes in parts.signals for asset in signal_assets(axes, signal, test, universes)),
            *(asset for portfolio in parts.portfolios for asset in portfolio_assets(axes, portfolio)),
            *(study_asset(spec, study) for spec in parts.experiments for study in spec.studies),
            *(report_asset(spec) for spec in parts.experiments), *([index_asset(parts.experiments)] if parts.experiments else []),
        ],
        asset_checks=[*stored_check_assets(axes, tables, panels), *risk_check_assets()],
        jobs=[job for job in (daily, weekly, retrain, checks) if job is not None],
        schedules=schedules(source.calendar, daily, weekly, retrain, {model.name: model.walk.anchors for model in parts.models},
                            [combination.name for combination in parts.combinations if combination.is_fitted], parts.portfolios),
        resources={"market": resource or MarketResource(market=market), "compute": ComputeResource()},
        executor=dg.in_process_executor,
    )


defs = build_definitions(os.environ.get(MARKET_VARIABLE, DEFAULT_MARKET))
