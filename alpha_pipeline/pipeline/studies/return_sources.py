"""Study ``return_sources``: what the active return came from, over time and by stage. RISKCONTROL, figures 25 and 26.

Settings: ``portfolio``; ``stages``: first days of the stages after the first, with commas (the report: 2021-07-01, 2023-07-01).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.attribution.decompose import linking_factors
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.pipeline.backtests import attribution_name
from alpha_pipeline.pipeline.studies.stored_inputs import names_in, portfolio_named, setting, with_dates
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport
from alpha_pipeline.returns import DAYS_PER_YEAR

SHOWN = ("style:size", "style:momentum", "style:resvol", "style:volatility", "style:liquidity", "style_total", "industry_total", "specific",
         "trading", "cost", "active_return")


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``daily`` (trade_date, contributions) and ``stages`` (stage, one column per component, annualized)."""
    portfolio = portfolio_named(experiment, setting(study, "portfolio"))
    daily = work.store.read_bundle(attribution_name(portfolio.name))["daily"]
    daily = daily[(daily["trade_date"] >= pd.Timestamp(start)) & (daily["trade_date"] <= pd.Timestamp(end))]
    columns = [name for name in SHOWN if name in daily.columns]
    kept = daily[["trade_date", *columns]].reset_index(drop=True)
    return {"daily": kept, "stages": by_stage(kept, names_in(study, "stages"))}


def by_stage(daily: pd.DataFrame, starts: Sequence[str]) -> pd.DataFrame:
    """One row per stage and one for all: linked contributions × 252 / days; they add up to the stage's excess return × 252 / days.

    ``starts`` : first days of the stages after the first; one beyond the data makes no stage.
    """
    days = pd.DatetimeIndex(daily["trade_date"])
    edges = [days.min(), *[pd.Timestamp(day) for day in starts if days.min() < pd.Timestamp(day) <= days.max()], days.max() + pd.Timedelta(days=1)]
    columns = [name for name in daily.columns if name != "trade_date"]
    rows = []
    for first, stop in [*zip(edges[:-1], edges[1:], strict=True), (edges[0], edges[-1])]:
        inside = np.asarray((days >= first) & (days < stop))
        part = daily.loc[inside, columns].to_numpy(dtype=np.float64)
        linked = linking_factors(part[:, columns.index("active_return")]) @ part
        rows.append([f"{days[inside].min().date()} … {days[inside].max().date()}", *(linked * DAYS_PER_YEAR / inside.sum())])
    return pd.DataFrame(rows, columns=["stage", *columns])


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """Cumulated contributions of styles and residual, and the table by stage. The report's two figures carry no numbers."""
    daily, stages = frames["daily"], frames["stages"]
    drawn = [name for name in daily.columns if name.startswith("style:") or name == "specific"]
    cumulated = with_dates(daily)[drawn].cumsum()
    columns = [name for name in stages.columns if name != "stage"]
    return [
        PictureExhibit("cumulative", "Where the active return came from", "Sums of daily contributions; specific is the report's residual.", "lines",
                       cumulated, "figure 25", percent=True),
        TableExhibit("stages", "Contributions by stage", stages, dict.fromkeys(columns, "percent"),
                     "Linked within the stage, × 252 / days; styles, industries, specific, trading and cost add up to the active return (country and "
                     "benchmark gap apart).", figure="figure 26"),
    ]


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [attribution_name(setting(study, "portfolio"))]


STUDY = Study("Where the return came from", run, exhibits, needs)
