"""Study ``yearly_enhancement``: excess of the enhanced portfolios by year. ATTENTION, table 7 and figures 24, 25.

Settings: ``portfolios``: names; ``labels``: ``<deviation in percent>/<model>`` of each, as in the published table; ``since``: first day of the
pictures of excess values (the report: 2021-09-01).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline import returns as series
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments.published_attention import ENHANCED, PORTFOLIO_MODELS, SLIPS
from alpha_pipeline.pipeline.backtests import read_backtest
from alpha_pipeline.pipeline.studies.stored_inputs import names_in, portfolio_named, setting, with_dates
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

WHOLE = "all"


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``yearly`` (label, one column per year, all = annualized), ``excess_nav`` (trade_date, one column per label) and ``since``."""
    rows, navs = [], {}
    for name, label in zip(names_in(study, "portfolios"), names_in(study, "labels"), strict=True):
        daily = read_backtest(work, portfolio_named(experiment, name).name)[1]["daily"]
        daily = daily[(daily["trade_date"] >= pd.Timestamp(start)) & (daily["trade_date"] <= pd.Timestamp(end))]
        rows.append({"label": label, **yearly_excess(daily)})
        excess = series.excess_nav(daily["portfolio_return"], daily["benchmark_return"])
        navs[label] = pd.Series(excess, index=pd.DatetimeIndex(daily["trade_date"]))
    return {"yearly": pd.DataFrame(rows), "excess_nav": pd.DataFrame(navs).rename_axis("trade_date").reset_index(),
            "since": pd.DataFrame({"since": [setting(study, "since")]})}


def yearly_excess(daily: pd.DataFrame) -> dict[str, float]:
    """Compounded daily differences of each calendar year (first and last may be partial) and ``all``, annualized over the whole range."""
    portfolio, benchmark = daily["portfolio_return"].to_numpy(dtype=np.float64), daily["benchmark_return"].to_numpy(dtype=np.float64)
    years = series.yearly_excess_returns(portfolio, benchmark, pd.DatetimeIndex(daily["trade_date"]).to_numpy())
    return {**{str(year): value for year, value in years.items()}, WHOLE: series.annualized_excess_return(portfolio, benchmark)}


def published_rows(labels: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Published rows of the labels that the report has, with ours' columns; a year the report lacks is empty."""
    rows = []
    for label in labels:
        deviation, _, model = label.partition("/")
        if model in PORTFOLIO_MODELS:
            said = ENHANCED[ENHANCED["deviation_percent"] == int(deviation)].set_index("period")[model]
            rows.append([label, *[float(said.get(column, np.nan)) for column in columns]])
    return pd.DataFrame(rows, columns=["label", *columns])


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """Table 7, ours beside the published rows, the same by model as it is for all published years, and excess values."""
    yearly = frames["yearly"]
    years = [*sorted(c for c in yearly.columns if c.isdigit()), WHOLE]
    labels = yearly["label"].tolist()
    notes = [slip.footnote for slip in SLIPS]
    since = str(frames["since"]["since"].iloc[0])
    nav = with_dates(frames["excess_nav"])
    if since:
        before = nav[nav.index < pd.Timestamp(since)]
        nav = nav[nav.index >= pd.Timestamp(since)] / (before.iloc[-1] if len(before) else 1.0)
    shown: list[Exhibit] = [
        TableExhibit("yearly", "Excess by year", yearly[["label", *years]], dict.fromkeys(years, "percent1"),
                     "Rows are deviation in percent / model. Compounded daily differences; all: annualized; first and last year may be partial. "
                     "0.3 % cost.",
                     published_rows(labels, years), "table 7", notes),
    ]
    for deviation in sorted({label.partition("/")[0] for label in labels}):
        chosen = [label for label in labels if label.startswith(f"{deviation}/")]
        shown.append(PictureExhibit(f"nav_{deviation}", f"Excess NAV, deviation {deviation} %", f"Since {since}, from 1." if since else "From 1.",
                                    "lines", nav[chosen], "figures 24, 25"))
    return shown


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [f"portfolios/{name}/backtest" for name in names_in(study, "portfolios")]


STUDY = Study("Enhanced portfolios by year", run, exhibits, needs)
