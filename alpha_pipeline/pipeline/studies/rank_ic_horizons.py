"""RankIC of every signal over 5, 10 and 20 sessions, from the close of the score or from the one after it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alpha_pipeline.diagnostics.horizons import HORIZONS, horizon_name, rank_ic_series, summarize_horizons
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments.published_multimodel import RANK_IC
from alpha_pipeline.factors.periods import select_test_dates
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.factors import factor_table, load_range, read_scores
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

WEEK = 5  # sessions between two test dates, for the overlap of the windows


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    panels = work.panels
    data = load_range(panels, start, end)
    days = [str(day) for day in data.dates]
    rows = select_test_dates(data.dates, "week")
    mask = panels.universe(UniverseSpec(experiment.test_universes[0]), data.start, data.stop)
    series, summaries = [], []
    for signal in experiment.all_signals():
        scores = read_scores(work, panels, factor_table(signal.name), days, "score")
        found = rank_ic_series(scores, data.close, rows, mask=mask)
        shown = signal.published or signal.name
        series.append(found.assign(trade_date=data.dates[rows].astype("datetime64[s]"), signal=shown))
        summaries.append(summarize_horizons(found, WEEK).assign(signal=shown))
    return {"rank_ic": pd.concat(series, ignore_index=True), "summary": pd.concat(summaries, ignore_index=True)}


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    summary = frames["summary"]
    names = [horizon_name(h, g) for h, g in HORIZONS]
    labels = {key: shown for key, shown, _ in published.models} if published else {}

    def wide(table: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
        named = table.assign(column=[horizon_name(h, g) for h, g in zip(table["horizon"], table["gap"], strict=True)])
        found = named.pivot(index=key, columns="column", values=value).reindex(index=list(dict.fromkeys(table[key])), columns=names)
        return found.rename(index=lambda s: labels.get(s, s)).rename_axis("score", axis=0).rename_axis(None, axis=1).reset_index()

    said = RANK_IC if published is not None and published.system == "MULTIMODEL" else None
    days = int(summary["n_dates"].max())
    common = f"Raw score, weekly ({days} test dates), the experiment's first test universe; close to close, gap 1 starts a session after the score."
    return [
        TableExhibit("horizon-mean", "RankIC mean by horizon", wide(summary, "signal", "rank_ic_mean"), dict.fromkeys(names, "percent1"), common,
                     published=None if said is None else wide(said, "model", "rank_ic_mean"), figure="MULTIMODEL figures 6 and 12"),
        TableExhibit("horizon-icir", "ICIR by horizon", wide(summary, "signal", "icir"), dict.fromkeys(names, "number"),
                     f"Mean over standard deviation, not annualized. {common}",
                     published=None if said is None else wide(said, "model", "icir"), figure="MULTIMODEL figures 7 and 13"),
        TableExhibit("horizon-t", "t of the mean RankIC, Newey-West", wide(summary, "signal", "t_nw"), dict.fromkeys(names, "number"),
                     "Lags at least as many as the weekly windows overlap. No published counterpart."),
    ]


STUDY = Study("RankIC by horizon", _run, _exhibits,
                         needs=lambda experiment, study: [f"signals/{signal.name}/factor" for signal in experiment.all_signals()])
