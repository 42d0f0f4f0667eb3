"""Study ``top_layers``: first layers of factors side by side, as scored and freed of styles. RISKCONTROL, figures 19 and 20.

Settings: ``signal``; ``others``: further signals, shown as scored (the same composite on other labels); ``n_layers`` and ``every``;
``stretch``: two days, first/last, shown from a base of 1 (default: the last quarter).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.sub_period import last_quarter, parse_stretch
from alpha_pipeline.diagnostics.top_layers import top_layers
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.factors.neutralize import neutralize
from alpha_pipeline.pipeline.factors import load_range
from alpha_pipeline.pipeline.studies.factor_profile import recent_factors
from alpha_pipeline.pipeline.studies.stored_inputs import names_in, pool_of, scores_of, setting, signal_days, signal_named, with_dates
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

N_LAYERS, EVERY = 10, 10


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``relative`` (trade_date, NAV of each first layer over the pool), ``summary``, and ``stretch`` (first, last)."""
    signal = signal_named(experiment, setting(study, "signal"))
    panels = work.panels
    days = signal_days(work, signal.name, start, end)
    data = load_range(panels, days[0], days[-1])
    pool = pool_of(panels, signal.universe, days)
    scores = scores_of(work, panels, signal.name, days)
    recent = recent_factors(panels, days)
    tested = {signal.name: scores}
    tested["neutralized"] = neutralize(scores, data.industry, data.log_cap, mask=pool, extra=list(recent.values())).values
    none = np.where(np.isnan(data.log_cap), np.nan, 0.0)  # a constant regressor: industries alone
    tested["small size"] = -neutralize(data.log_cap, data.industry, none, mask=pool).values
    for name, shown in (("momentum_10d", "reversal"), ("volatility_10d", "low volatility"), ("liquidity_10d", "low liquidity")):
        tested[shown] = -neutralize(recent[name], data.industry, data.log_cap, mask=pool).values
    for other in names_in(study, "others"):
        tested[other] = scores_of(work, panels, signal_named(experiment, other).name, days)
    found = top_layers(tested, data.dates, data.close, data.vwap, pool & data.tradable_next,
                       n_layers=int(setting(study, "n_layers", str(N_LAYERS))), every=int(setting(study, "every", str(EVERY))))
    first, last = parse_stretch(setting(study, "stretch")) or last_quarter(found.relative["trade_date"])
    return {"relative": found.relative, "summary": found.summary, "stretch": pd.DataFrame({"first": [first], "last": [last]})}


def rebased(frame: pd.DataFrame, first: str, last: str) -> pd.DataFrame:
    """Net asset values within [first, last], 1 at the close before; dates as index."""
    values = with_dates(frame)
    before = values[values.index < pd.Timestamp(first)]
    inside = values[(values.index >= pd.Timestamp(first)) & (values.index <= pd.Timestamp(last))]
    return inside / (before.iloc[-1] if len(before) else 1.0)


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """Table of the first layers, their relative values over the whole range and over the stretch."""
    summary = frames["summary"]
    first, last = frames["stretch"].iloc[0]
    inside = rebased(frames["relative"], first, last)
    fall = (1.0 - inside / np.maximum(inside.cummax(), 1.0)).max()
    table = summary.rename(columns={"top_annual_excess": "annual excess", "top_ir": "IR", "top_max_drawdown": "max drawdown",
                                    "worst_start": "peak", "worst_end": "trough"})
    table["drawdown in stretch"] = fall.reindex(table["factor"]).to_numpy()
    how = {"annual excess": "percent", "IR": "number", "max drawdown": "percent", "peak": "text", "trough": "text", "drawdown in stretch": "percent"}
    return [
        TableExhibit("top_layers", "First layers", table, how,
                     f"First of ten equal-weight layers against the pool, every ten sessions at the next vwap, no cost; stretch: {first} … {last}. "
                     "“neutralized”: the composite freed of industry, size and the three 10-day factors; size freed of industry; "
                     "reversal, low volatility and low liquidity freed of industry and size.", figure="figures 19, 20"),
        PictureExhibit("relative", "First layers over the pool", "Compounded daily differences.", "lines", with_dates(frames["relative"]),
                       "figure 19"),
        PictureExhibit("stretch", f"First layers, {first} … {last}", "The same, from 1.", "lines", inside, "figures 19, 20"),
    ]


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [f"signals/{name}/factor" for name in (setting(study, "signal"), *names_in(study, "others"))]


STUDY = Study("Does the factor fall with its styles?", run, exhibits, needs)
