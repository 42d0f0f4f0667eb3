"""Study ``style_timing``: active styles at rebalances against the style returns that follow. RISKCONTROL, figures 27 to 29.

Settings: ``portfolios``: names, the first one drawn; ``labels``: how each is called in the table (the published signals' names).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.style_timing import active_exposures, following_returns, style_timing, timing_summary
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments.published_riskcontrol import (
    SIZE_TAIL_GAINS,
    SIZE_TAIL_LOSSES,
    SIZE_TIMING_WITHOUT_OUTLIERS,
    STYLE_TIMING,
)
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, styles_of
from alpha_pipeline.pipeline.risk_model import FACTOR_RETURNS
from alpha_pipeline.pipeline.studies.stored_inputs import factor_returns_of, names_in, portfolio_named, rebalances_of
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

STYLES = {"size": "size", "momentum": "momentum", "volatility": "resvol", "liquidity": "liquidity"}
"""The report's four styles and the risk model's names; its residual volatility is called volatility here."""
SIGNALS = {"composite": "Composite", "day_gru": "Day GRU", "week_gru": "Week GRU"}
"""Names of the published rows."""


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frame ``timing``: portfolio, style, trade_date, active_exposure, style_return (NaN where the data end), outlier."""
    panels = work.panels
    days = [day for day in panels.daily.dates if start <= day <= end]
    names = list(STYLES.values())
    returns = factor_returns_of(work, days, names)
    labels = names_in(study, "labels") or names_in(study, "portfolios")
    parts = []
    for portfolio, label in zip(names_in(study, "portfolios"), labels, strict=True):
        rebalances = rebalances_of(work, panels, portfolio_named(experiment, portfolio).name, start, end)
        sessions = [r.session for r in rebalances]
        exposures = styles_of(work, panels, sessions, names)
        active = active_exposures([r.target for r in rebalances], [r.benchmark for r in rebalances], exposures)
        following = following_returns(returns, [days.index(session) for session in sessions])
        for k, style in enumerate(STYLES):
            found = style_timing(np.array(sessions, dtype="datetime64[D]"), active[:, k], following[:, k])
            parts.append(found.assign(portfolio=label, style=style)[["portfolio", "style", *found.columns]])
    return {"timing": pd.concat(parts, ignore_index=True)}


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """Correlations by portfolio and style, the size outliers by date, scatter and active size over time of the first portfolio."""
    timing = frames["timing"]
    labels = list(dict.fromkeys(timing["portfolio"]))
    # a style without history has no rebalance, and its row says so
    summaries = {(label, style): timing_summary(timing[(timing["portfolio"] == label) & (timing["style"] == style)])
                 for label in labels for style in STYLES}
    table = pd.DataFrame([{"signal": label, **{style: summaries[label, style]["correlation"] for style in STYLES}} for label in labels])
    first = timing[timing["portfolio"] == labels[0]]
    size = first[first["style"] == "size"]
    tails = pd.DataFrame([
        {"style": style, "rebalances": s["n_rebalances"], "correlation": s["correlation"], "without tail losses": s["correlation_without_losses"],
         "mean exposure": s["mean_exposure"], "tail losses": s["tail_losses"] or "none", "tail gains": s["tail_gains"] or "none"}
        for style in STYLES for s in [summaries[labels[0], style]]
    ])
    tails_said = pd.DataFrame([["size", np.nan, 0.21, SIZE_TIMING_WITHOUT_OUTLIERS, np.nan, ", ".join(SIZE_TAIL_LOSSES),
                                ", ".join(SIZE_TAIL_GAINS)]], columns=tails.columns)
    how = {"rebalances": "integer", "correlation": "number", "without tail losses": "number", "mean exposure": "number", "tail losses": "text",
           "tail gains": "text"}
    points = pd.DataFrame({"x": size["active_exposure"], "y": size["style_return"],
                           "label": np.where(size["outlier"] != "", size["trade_date"].astype(str).str[:10], "")}).reset_index(drop=True)
    over_time = first.pivot(index="trade_date", columns="style", values="active_exposure")[["size"]]
    over_time.index = pd.DatetimeIndex(over_time.index)
    return [
        PictureExhibit("scatter", "Active size against the size factor's next five sessions", "One point per rebalance; outliers are named.",
                       "scatter", points, "figure 27", x_label="active size, standard deviations", y_label="size factor, 5 sessions"),
        TableExhibit("correlations", "Correlation of active styles with the returns that follow", table, dict.fromkeys(STYLES, "number"),
                     "Active exposure of the target at each rebalance against the style's compounded return of the next five sessions.",
                     STYLE_TIMING.assign(signal=STYLE_TIMING["signal"].map(SIGNALS)), "figure 28"),
        TableExhibit("tails", "Outliers", tails, how,
                     "A rebalance is an outlier where the style's return lies beyond median ± 2.5 robust standard deviations of all rebalances "
                     "(ours; the report names its five by eye): a tail loss against the exposure, a tail gain with it.", tails_said, "figure 27"),
        PictureExhibit("active_size", "Active size at rebalances", "Σ (w − benchmark) · size.", "lines", over_time, "figure 29"),
    ]


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [*(f"portfolios/{name}/weights" for name in names_in(study, "portfolios")), EXPOSURES, FACTOR_RETURNS]


STUDY = Study("Do style bets pay?", run, exhibits, needs)
