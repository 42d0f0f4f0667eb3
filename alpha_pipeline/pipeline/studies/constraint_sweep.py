"""Study ``constraint_sweep``: one portfolio under other limits, as one table. RISKCONTROL, figures 11, 23, 24, 30, 31, 33 to 36.

Settings: ``base``: the portfolio that is varied; ``also``: further base portfolios (another benchmark); ``stretch``: two days, first/last, of the
last two columns (default: the last quarter of the sample). Variants are the experiment's portfolios named ``<base>_<variant>``
(a small form's suffix comes last).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.size_profile import MOMENTS, constituent_share, size_moments, small_cap_shares
from alpha_pipeline.diagnostics.sub_period import parse_stretch, performance_row
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments import published_riskcontrol as said
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.market.schema import INDICES
from alpha_pipeline.pipeline.backtests import read_backtest
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, styles_of
from alpha_pipeline.pipeline.studies.stored_inputs import caps_at, dated, names_in, portfolio_named, rebalances_of, setting, with_dates
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.studies.top_layers import rebased
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

GROUPS = (
    ("constituents", "Share of constituents", "figures 23, 24"), ("nlsize", "Nonlinear size", "figures 30, 31"),
    ("moment2", "Second moment of size", "figures 33, 34"), ("moment3", "Third moment of size", "figures 35, 36"),
)


def variants_of(experiment: ExperimentSpec, base: str) -> dict[str, str]:
    """Variant → portfolio, the base portfolio (variant: the index's name) first."""
    benchmark = portfolio_named(experiment, base).benchmark
    own = {said.CSI500: "csi500", said.CSI1000: "csi1000"}.get(benchmark, INDICES[benchmark])
    groups = "|".join(group for group, _, _ in GROUPS)
    named = ((re.fullmatch(rf"(.+)_((?:{groups})_\d+)(.*)", p.name), p.name) for p in experiment.variants)
    return {own: base} | {found[2]: name for found, name in named if found and found[1] + found[3] == base}


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``sweep`` (one row per variant: performance, small-cap and constituent shares, moments), ``excess_nav`` (trade_date, one column per
    variant), ``moments`` (trade_date, of the base portfolio and its benchmark) and ``shares`` (trade_date, of the base portfolio)."""
    panels = work.panels
    stretch = parse_stretch(setting(study, "stretch"))
    base = setting(study, "base")
    chosen = variants_of(experiment, base)
    for other in names_in(study, "also"):
        own = next(iter(variants_of(experiment, other)))
        chosen[own if own not in chosen else other] = other
    rows, navs, over_time = [], {}, {}
    for variant, portfolio in chosen.items():
        daily = read_backtest(work, portfolio)[1]["daily"]
        daily = daily[(daily["trade_date"] >= pd.Timestamp(start)) & (daily["trade_date"] <= pd.Timestamp(end))]
        profile = size_profile(work, panels, portfolio, start, end)
        mean = profile.drop(columns="trade_date").mean()
        excess = daily["portfolio_return"].to_numpy() - daily["benchmark_return"].to_numpy()
        navs[variant] = pd.Series(np.cumprod(1.0 + excess), index=pd.DatetimeIndex(daily["trade_date"]))
        rows.append({"variant": variant, "portfolio": portfolio, **performance_row(daily, stretch), **mean.to_dict()})
        if portfolio == base:
            over_time = {"profile": profile}
    nav = pd.DataFrame(navs)
    first, last = stretch or ("", "")
    return {"sweep": pd.DataFrame(rows), "excess_nav": nav.rename_axis("trade_date").reset_index(), **over_time,
            "stretch": pd.DataFrame({"first": [first], "last": [last]})}


def size_profile(work: Workspace, panels: MarketPanels, portfolio: str, start: str, end: str) -> pd.DataFrame:
    """Per rebalance: trade_date, smallest_10/20/30, constituent_share, and moments m1, m2, m3 of size, portfolio and benchmark."""
    rebalances = rebalances_of(work, panels, portfolio, start, end)
    sizes = styles_of(work, panels, [r.session for r in rebalances], ("size",))[:, :, 0]
    rows = []
    for r, size in zip(rebalances, sizes, strict=True):
        cap, universe = caps_at(panels, r.session)
        moments = size_moments(r.target, r.benchmark, size)
        rows.append({
            **dict(zip(said.SMALL_CAP_COLUMNS, small_cap_shares(r.target, cap, universe), strict=True)),
            "constituent_share": constituent_share(r.target, r.benchmark),
            **{f"m{m}_{side}": moments[at, k] for at, m in enumerate(MOMENTS) for k, side in enumerate(("portfolio", "benchmark"))},
        })
    return pd.concat([dated([r.session for r in rebalances]).rename("trade_date"), pd.DataFrame(rows)], axis=1)


def sweep_columns(sweep: pd.DataFrame) -> list[str]:
    """Columns of the performance tables in the report's order; years as the sample has them."""
    years = sorted(c for c in sweep.columns if c.startswith("excess_") and c.removeprefix("excess_").isdigit())
    return ["annual_excess", "information_ratio", "excess_max_drawdown", "calmar", *years, "last_quarter_excess", "last_quarter_drawdown"]


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """Per group of limits: performance and small-cap shares beside the published ones; then NAVs in the stretch, moments and shares over time."""
    sweep = frames["sweep"]
    columns = sweep_columns(sweep)
    first, last = frames["stretch"].iloc[0]
    stretch = f"{first} … {last}" if first else "the last quarter of the sample"
    how = dict.fromkeys(columns, "percent1") | {"information_ratio": "number", "calmar": "number"}
    conventions = (f"Excess: compounded daily differences; years may be partial; the last two columns are about {stretch}, published 2024Q1. "
                   "0.15 % one-way cost.")
    is_base = ~sweep["variant"].str.startswith(tuple(f"{group}_" for group, _, _ in GROUPS))
    base_row = sweep[is_base]
    shown: list[Exhibit] = [_performance("base", "Enhanced portfolios", base_row, columns, how, conventions, "figure 11")]
    for group, title, figure in GROUPS:
        rows = sweep[sweep["variant"].str.startswith(f"{group}_")]
        if rows.empty:
            continue
        rows = pd.concat([base_row.iloc[:1], rows])
        shown.append(_performance(group, f"{title}: performance", rows, columns, how, conventions, figure))
        shares = ["mean constituent share", *said.SMALL_CAP_COLUMNS]
        ours = rows.rename(columns={"constituent_share": "mean constituent share"})[["variant", *shares]]
        shown.append(TableExhibit(
            f"{group}_shares", f"{title}: weight in constituents and in the smallest names", ours, dict.fromkeys(shares, "percent1"),
            "Mean over rebalances of the target's weight; smallest 10, 20, 30 % of all tradable A-shares by capitalization.",
            _published_shares(ours["variant"].tolist()), figure))
    inside = rebased(frames["excess_nav"], first, last) if first else with_dates(frames["excess_nav"]).tail(60)
    title = f"Excess NAV, {stretch if first else 'last 60 sessions'}"
    shown.append(PictureExhibit("nav", title, "One line per variant.", "lines", inside, "figure 24"))
    profile = with_dates(frames["profile"])
    for m in MOMENTS:
        pair = profile[[f"m{m}_portfolio", f"m{m}_benchmark"]].set_axis(["portfolio", "benchmark"], axis=1)
        shown.append(PictureExhibit(f"moment_{m}", f"Moment {m} of size", "Σ w (s − benchmark's size)^m at each rebalance.", "lines", pair,
                                    "figure 32"))
    shown.append(PictureExhibit("small_caps", "Weight in the smallest names", "Target at each rebalance.", "lines",
                                profile[list(said.SMALL_CAP_COLUMNS)], "figure 31"))
    return shown


def _performance(
    key: str, title: str, rows: pd.DataFrame, columns: list[str], how: dict[str, str], conventions: str, figure: str
) -> TableExhibit:
    variants = rows["variant"].tolist()
    known = said.PERFORMANCE[said.PERFORMANCE["variant"].isin(variants)].reindex(columns=["variant", *columns])
    notes = [slip.footnote for slip in said.SLIPS if set(slip.rows) & set(variants)]
    return TableExhibit(key, title, rows[["variant", *columns]], how, conventions, known, figure, notes)


def _published_shares(variants: list[str]) -> pd.DataFrame:
    shares = said.SMALL_CAPS.merge(said.CONSTITUENT_SHARE, on="variant", how="outer").rename(
        columns={"mean_constituent_share": "mean constituent share"})
    return shares[shares["variant"].isin(variants)][["variant", "mean constituent share", *said.SMALL_CAP_COLUMNS]]


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    portfolios = [*variants_of(experiment, setting(study, "base")).values(), *names_in(study, "also")]
    return [*(f"portfolios/{name}/{kind}" for name in portfolios for kind in ("weights", "backtest")), EXPOSURES]


STUDY = Study("What the limits do", run, exhibits, needs)
