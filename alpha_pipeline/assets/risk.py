"""Group ``risk``: style exposures, factor and specific returns, covariance, specific risk. By trade date, known at its close.

They belong to the market, not to an experiment: one risk model serves all portfolios on it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from alpha_pipeline.assets.common import OWNERS, SINGLE_RUN, range_keys, running, step_metadata
from alpha_pipeline.assets.partitions import Axes
from alpha_pipeline.pipeline import risk_checks as checks
from alpha_pipeline.pipeline import risk_exposures, risk_model
from alpha_pipeline.pipeline.workspace import CODE_VERSION, Workspace
from alpha_pipeline.resources.market import MarketResource

GROUP, PREFIX = "risk", "risk"
RISK_ASSETS = (risk_exposures.EXPOSURES, risk_model.FACTOR_RETURNS, risk_model.SPECIFIC_RETURNS, risk_model.COVARIANCE, risk_model.SPECIFIC)
_STYLES = {
    True: "ten CNE5 styles (size, beta, momentum, residual volatility, non-linear size, liquidity, book to price, earnings yield, growth, leverage)",
    False: "six price-volume styles of CNE5 (size, beta, momentum, residual volatility, non-linear size, liquidity), because the source has no "
           "company reports",
}


def risk_assets(axes: Axes, tables: tuple[str, ...]) -> list[dg.AssetsDefinition]:
    """The risk model of a market: five assets, three of them forecasts or their inputs from the returns before."""
    common: dict[str, Any] = {"group_name": GROUP, "owners": OWNERS, "kinds": {"numpy"}, "code_version": CODE_VERSION,
                              "partitions_def": axes.trade_dates}
    has_reports = "fundamentals" in tables
    session_before = dg.AssetDep(dg.AssetKey([PREFIX, "exposures"]), partition_mapping=dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True))

    @dg.asset(name="exposures", key_prefix=PREFIX, deps=["universe", "daily_panel", *(["fundamentals"] if has_reports else [])],
              backfill_policy=SINGLE_RUN, **common,
              description=f"Standardized exposures of every listed name to {_STYLES[has_reports]}, with its industry and market value.")
    def exposures(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(risk_exposures.make_exposures(market.workspace(), range_keys(context))))

    returns_common = {name: value for name, value in common.items() if name != "partitions_def"}

    @dg.multi_asset(
        name="risk__returns", partitions_def=axes.trade_dates, backfill_policy=SINGLE_RUN,
        specs=[
            dg.AssetSpec([PREFIX, "factor_returns"], deps=[session_before, "daily_panel"], partitions_def=axes.trade_dates, **returns_common,
                         description="Returns of country, industries and styles on the date: regression of stock returns on the exposures of the "
                                     "session before, weighted by √cap, industries adding up to nothing. R² and condition number in the manifest."),
            dg.AssetSpec([PREFIX, "specific_returns"], deps=[session_before, "daily_panel"], partitions_def=axes.trade_dates, **returns_common,
                         description="What the factor returns of the date leave of every name's return."),
        ],
    )
    def returns(context: dg.AssetExecutionContext, market: MarketResource) -> Iterator[dg.MaterializeResult]:
        with running(context):
            report = risk_model.make_factor_returns(market.workspace(), range_keys(context))
            for name in ("factor_returns", "specific_returns"):
                yield dg.MaterializeResult(asset_key=[PREFIX, name], metadata=step_metadata(report))

    @dg.asset(name="covariance", key_prefix=PREFIX, deps=[dg.AssetKey([PREFIX, "factor_returns"])], backfill_policy=SINGLE_RUN, **common,
              description="Forecast covariance of the factor returns per session: volatilities with half-life 84, correlations with 504, two "
                          "Newey–West lags, an eigenvalue floor. Empty until factors have 60 returns.")
    def covariance(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(risk_model.make_covariance(market.workspace(), range_keys(context))))

    @dg.asset(name="specific", key_prefix=PREFIX, deps=[dg.AssetKey([PREFIX, "specific_returns"]), exposures], backfill_policy=SINGLE_RUN, **common,
              description="Forecast specific volatility of every name per session: half-life 84, drawn towards the mean of its size decile.")
    def specific(context: dg.AssetExecutionContext, market: MarketResource) -> dg.MaterializeResult:
        with running(context):
            return dg.MaterializeResult(metadata=step_metadata(risk_model.make_specific(market.workspace(), range_keys(context))))

    return [exposures, returns, covariance, specific]


def risk_check_assets() -> list[dg.AssetChecksDefinition]:
    """Checks on the stored risk model; they read the newest dates and never block."""
    return [
        _check(risk_model.FACTOR_RETURNS, "r_squared_in_range", checks.check_r_squared,
               f"The mean R² of the newest regressions lies within {checks.R_SQUARED_RANGE}."),
        _check(risk_model.FACTOR_RETURNS, "regression_is_well_conditioned", checks.check_condition,
               f"No condition number of the newest regressions exceeds {checks.MAX_CONDITION:.0f}."),
        _check(risk_model.FACTOR_RETURNS, "factor_portfolios_are_pure", checks.check_purity,
               "Portfolios rebuilt from the stored exposures have exactly the exposures they should have and earn the stored returns."),
        _check(risk_model.COVARIANCE, "positive_definite", checks.check_positive_definite, "The newest covariance has no negative eigenvalue."),
        _check(risk_model.COVARIANCE, "bias_statistic", checks.check_bias,
               f"Forecast volatilities had the right size over the last year: median bias statistic within {checks.BIAS_RANGE}.",
               dg.AssetCheckSeverity.WARN),
    ]


def _check(asset: str, name: str, run: Callable[[Workspace], checks.RiskCheck], description: str,
           severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=dg.AssetKey(asset.split("/")), name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext, market: MarketResource) -> dg.AssetCheckResult:
        with running(context):
            found = run(market.workspace())
            return dg.AssetCheckResult(passed=found.passed, severity=severity, description=found.sentence, metadata=dict(found.facts))

    return check
