"""Study ``weekly_factors``: ATTENTION's table of factors, one row per (frequency, target, network). ATTENTION, tables 1 to 6, figures 7 to 22.

All signals of the experiment are shown. ``SignalSpec.published`` names the published row as ``<network>_<frequency>_<target>``; a signal
without one stands under its own name. Setting: ``since``: first day of the pictures of long portfolios (the report: 2021-09-01).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.weekly_factor import factor_memory, weekly_row, weekly_series, yearly_long_excess
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments.published_attention import FACTOR_COLUMNS, FACTORS
from alpha_pipeline.factors.periods import period_returns, select_test_dates
from alpha_pipeline.pipeline.factors import load_range
from alpha_pipeline.pipeline.studies.stored_inputs import pool_of, scores_of, setting, signal_days
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

COLUMNS = {
    "ic_mean": "IC", "icir_annualized": "ICIR, annualized", "ic_win_rate": "IC > 0", "long_excess": "long", "short_excess": "short",
    "long_short": "long-short", "autocorrelation": "autocorrelation", "top_turnover_one_sided": "turnover of top 10 %",
}
FORMATS = {"IC": "number3", "ICIR, annualized": "number", "IC > 0": "percent1", "long": "percent", "short": "percent", "long-short": "percent",
           "autocorrelation": "number", "turnover of top 10 %": "percent1"}


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``table`` (signal and the published columns), ``weeks`` (signal, trade_date, weekly numbers), ``years`` (signal, year, long_excess)."""
    panels = work.panels
    rows, weeks, years = [], [], []
    for signal in experiment.signals:
        days = signal_days(work, signal.name, start, end)
        data = load_range(panels, days[0], days[-1])
        tests = select_test_dates(data.dates, "week")
        pool = pool_of(panels, signal.universe, days)[tests] & data.tradable_next[tests]
        factor = scores_of(work, panels, signal.name, days)[tests]
        returns = period_returns(data.close, data.vwap, tests, "next_vwap")
        name = signal.published or signal.name
        found = weekly_series(factor, returns, data.dates[tests], pool)
        rows.append({"signal": name, **weekly_row(found, factor_memory(factor, pool) if len(tests) > 1 else np.zeros(0))})
        weeks.append(found.assign(signal=name))
        years.append(yearly_long_excess(found).assign(signal=name))
    setting_since = pd.DataFrame({"since": [setting(study, "since")]})
    return {"table": pd.DataFrame(rows), "weeks": pd.concat(weeks, ignore_index=True), "years": pd.concat(years, ignore_index=True),
            "since": setting_since}


def published_rows(signals: Sequence[str]) -> pd.DataFrame:
    """The published rows of the signals, in their order, with ``signal`` and the columns of our table."""
    table = FACTORS.assign(signal=FACTORS["network"] + "_" + FACTORS["frequency"] + "_" + FACTORS["target"]).set_index("signal")
    return table.loc[[name for name in signals if name in table.index], list(FACTOR_COLUMNS)].reset_index().rename(columns=COLUMNS)


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """The table per target and frequency beside the published rows; yearly long excess; long portfolios over the market."""
    table = frames["table"].rename(columns=COLUMNS)
    signals = table["signal"].tolist()
    shown: list[Exhibit] = [TableExhibit(
        "table", "Weekly selection", table, FORMATS,
        "Weekly, from the next session's vwap to that of the week after, no cost, factor as scored. IC: Pearson; annualized ICIR: mean / std · "
        "√52; long and short: top and bottom 10 % minus the pool; turnover: share of the top names replaced (one-sided).",
        published_rows(signals), "tables 1 to 6")]
    years = frames["years"].pivot(index="year", columns="signal", values="long_excess").reindex(columns=signals)
    years.index = years.index.astype(str)
    by_year = years.T.rename_axis("signal").reset_index()
    by_year.columns = [str(c) for c in by_year.columns]
    shown.append(TableExhibit("yearly", "Long excess by year", by_year, dict.fromkeys(by_year.columns[1:], "percent"),
                              "Sum of the year's weekly excess of the top 10 %; first and last year may be partial. Published as pictures only.",
                              figure="figures 7, 10, 13, 14, 17, 18"))
    weeks = frames["weeks"]
    since = str(frames["since"]["since"].iloc[0])
    recent = weeks[weeks["trade_date"] >= pd.Timestamp(since)] if since else weeks
    long = recent.pivot(index="trade_date", columns="signal", values="long_excess").reindex(columns=signals)
    long.index = pd.DatetimeIndex(long.index)
    shown.append(PictureExhibit("long", f"Long portfolios over the market{f', since {since}' if since else ''}", "Compounded weekly excess.", "lines",
                                (1.0 + long.fillna(0.0)).cumprod(), "figures 9, 12, 15, 16, 19 to 22"))
    shown.append(PictureExhibit("years", "Long excess by year", "Sum of weekly excess.", "bars", years, "figures 17, 18", percent=True))
    return shown


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [f"signals/{signal.name}/factor" for signal in experiment.signals]


STUDY = Study("Weekly selection of the deep factors", run, exhibits, needs)
