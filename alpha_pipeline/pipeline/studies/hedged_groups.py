"""Twenty groups of every signal against the equal-weight universe, since the start and over the last part of the range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.hedged_groups import group_name, hedged_groups
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments.published_multimodel import GROUPS, TOP_TURNOVER
from alpha_pipeline.factors.layers import layer_returns
from alpha_pipeline.factors.periods import select_test_dates
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.factors import factor_table, load_range, read_scores
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

WHOLE, LAST = "start", "last part"
_PUBLISHED_SINCE = {WHOLE: 2017, LAST: 2020}
TURNOVER = "Top, turnover a week"


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Setting ``since``: first day of the last part; without it, or outside the range, the second half of the range."""
    panels = work.panels
    data = load_range(panels, start, end)
    days = [str(day) for day in data.dates]
    since = str(dict(study.settings).get("since", ""))
    since = since if start < since <= days[-2] else days[len(days) // 2]
    rows = select_test_dates(data.dates, "week")
    pool = panels.universe(UniverseSpec(experiment.test_universes[0]), data.start, data.stop) & data.tradable_next
    parts = []
    for signal in experiment.all_signals():
        scores = read_scores(work, panels, factor_table(signal.name), days, "score")
        layers = layer_returns(scores, data.close, data.vwap, rows, n_layers=experiment.test.n_layers, mask=pool)
        for part, first in ((WHOLE, ""), (LAST, since)):
            found = hedged_groups(layers, data.dates, first)
            parts.append(found.assign(signal=signal.published or signal.name, part=part, since=first or str(data.dates[layers.start])))
    return {"groups": pd.concat(parts, ignore_index=True)}


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    groups = frames["groups"]
    labels = {key: shown for key, shown, _ in published.models} if published else {}
    has_published = published is not None and published.system == "MULTIMODEL"
    exhibits: list[Exhibit] = []
    for part, year in _PUBLISHED_SINCE.items():
        ours = groups[groups["part"] == part]
        n_groups = int(ours["group"].max())
        table = _columns(ours.rename(columns={"signal": "score"}), ours[ours["group"] == 1].set_index("signal")["turnover_one_sided"], n_groups)
        said = _published(year).reindex(columns=table.columns) if has_published and n_groups == GROUPS["group"].max() else None
        first, key = ours["since"].iloc[0], part.replace(" ", "-")
        lines = table.iloc[:n_groups, 1:].rename(columns=lambda s: labels.get(s, s)).set_axis(range(1, n_groups + 1))
        table, said = (None if t is None else t.rename(columns=lambda s: labels.get(s, s)) for t in (table, said))
        assert table is not None
        exhibits.append(TableExhibit(
            f"groups-{key}", f"Annual hedged return of {n_groups} groups since {first}", table, dict.fromkeys(table.columns[1:], "percent1"),
            "Raw score, weekly, next session's vwap, no cost; daily return of the group minus that of the equal-weight pool, compounded. Last row: "
            "one-sided turnover of the top group, mean a week.", published=said,
            figure=f"MULTIMODEL figures {'8 and 14' if year == 2017 else '9 and 15'}, since {year}"))
        exhibits.append(PictureExhibit(f"groups-{key}-lines", f"Hedged return by group since {first}", "Group 1 has the highest scores.", "lines",
                                       lines, percent=True, x_label="group"))
    return exhibits


def _columns(table: pd.DataFrame, turnover: pd.Series, n_groups: int) -> pd.DataFrame:
    """The report's layout: a row per group and one for the top group's turnover, a column per score."""
    order = list(dict.fromkeys(table["score"]))
    found = table.pivot(index="group", columns="score", values="annual_hedged")[order].rename_axis(None, axis=1)
    found.loc[n_groups + 1] = turnover[order].to_numpy(dtype=np.float64)
    found.insert(0, "group", [*(group_name(k, n_groups) for k in range(1, n_groups + 1)), TURNOVER])
    return found.reset_index(drop=True)


def _published(since: int) -> pd.DataFrame:
    said = GROUPS[GROUPS["since"] == since].rename(columns={"model": "score"})
    return _columns(said, TOP_TURNOVER[TOP_TURNOVER["since"] == since].set_index("model")["turnover_one_sided"], 20)


STUDY = Study("Groups against the universe", _run, _exhibits,
                      needs=lambda experiment, study: [f"signals/{signal.name}/factor" for signal in experiment.all_signals()])
