"""Study ``factor_profile``: what a composite factor is exposed to over time, and how crowded it is. RISKCONTROL, figures 16 to 18, 21, 22."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.diagnostics.factor_exposure import crowding, extreme_means, style_correlations
from alpha_pipeline.experiment import ExperimentSpec, StudySpec
from alpha_pipeline.experiments.published_riskcontrol import FACTOR_CORRELATION, LOWEST_SIZE_CORRELATION, SIZE_EXPOSURE
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.pipeline.exposures import style_inputs
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES, styles_of
from alpha_pipeline.pipeline.studies.stored_inputs import dated, pool_of, scores_of, setting, signal_days, signal_named, with_dates
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport
from alpha_pipeline.risk.styles import PRICE_VOLUME_10D

_HISTORY = 10  # sessions before the first day: ten returns end with it, and the oldest needs the close before
STYLES = ("size", "beta", "momentum", "resvol", "nlsize", "liquidity")


def run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    """Frames ``correlations`` (trade_date, one column per style), ``extremes`` (trade_date, top_5, bottom_5, crowding) and ``stretch``."""
    signal = signal_named(experiment, setting(study, "signal"))
    panels = work.panels
    days = signal_days(work, signal.name, start, end)
    scores, pool = scores_of(work, panels, signal.name, days), pool_of(panels, signal.universe, days)
    styles = styles_of(work, panels, days, STYLES)
    recent = recent_factors(panels, days)
    named = {name: styles[:, :, k] for k, name in enumerate(STYLES)} | recent
    top, bottom = extreme_means(scores, styles[:, :, 0], mask=pool)
    return {
        "correlations": style_correlations(scores, dated(days).to_numpy(), named, mask=pool),
        "extremes": pd.DataFrame({"trade_date": dated(days), "top_5": top, "bottom_5": bottom,
                                  "crowding": crowding(scores, np.exp(recent["liquidity_10d"]), mask=pool)}),
    }


def recent_factors(panels: MarketPanels, days: Sequence[str]) -> dict[str, np.ndarray]:
    """The 10-day price-volume factors of days that follow one another, each (n_days, n_symbols); history before the first day is read."""
    first, stop = panels.daily.index(days[0]), panels.daily.index(days[-1]) + 1
    begin = max(0, first - _HISTORY)
    inputs = style_inputs(panels, begin, stop)
    return {name: factor(inputs)[first - begin:] for name, factor in PRICE_VOLUME_10D.items()}


def exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    """Table of mean correlations and of the lowest size correlation, pictures over time, crowding."""
    correlations, extremes = frames["correlations"], frames["extremes"]
    shown = with_dates(correlations)
    lowest = shown["size"].idxmin() if shown["size"].notna().any() else pd.NaT
    table = pd.DataFrame({
        "style": shown.columns, "mean": shown.mean().to_numpy(), "lowest": shown.min().to_numpy(), "highest": shown.max().to_numpy(),
        "date of lowest": ["–" if shown[c].isna().all() else str(shown[c].idxmin().date()) for c in shown.columns],
    })
    said = pd.DataFrame({
        "style": FACTOR_CORRELATION["style"], "mean": FACTOR_CORRELATION["mean_correlation"],
        "lowest": [LOWEST_SIZE_CORRELATION[1], *[np.nan] * (len(FACTOR_CORRELATION) - 1)], "highest": np.nan,
        "date of lowest": [LOWEST_SIZE_CORRELATION[0], *["–"] * (len(FACTOR_CORRELATION) - 1)],
    })
    sides = pd.DataFrame({"group": ["top_5", "bottom_5"], "mean size exposure": [extremes["top_5"].mean(), extremes["bottom_5"].mean()]})
    sides_said = SIZE_EXPOSURE.set_axis(["group", "mean size exposure"], axis=1)
    how = {"mean": "number3", "lowest": "number3", "highest": "number3", "date of lowest": "text"}
    recent = [name for name in PRICE_VOLUME_10D if name in shown]
    return [
        TableExhibit("correlations", "Correlation of the factor with styles", table, how,
                     "Pearson over the universe of each date, factor as scored; mean, lowest and highest over dates.", said, "figures 16, 17"),
        PictureExhibit("size", "Correlation with size", f"Lowest on {str(lowest)[:10]}.", "lines", shown[["size"]], "figure 16"),
        PictureExhibit("price_volume", "Correlation with 10-day factors", "Momentum, volatility and liquidity of ten sessions.", "lines",
                       shown[recent], "figure 17"),
        TableExhibit("sides", "Size of the long and the short side", sides, {"mean size exposure": "number"},
                     "Mean size exposure (standard deviations) of the top and bottom 5 % of names by factor, mean over dates.", sides_said,
                     "figure 18"),
        PictureExhibit("sides_over_time", "Size of the top and bottom 5 %", "Mean size exposure of the two sides.", "lines",
                       with_dates(extremes)[["top_5", "bottom_5"]], "figure 18"),
        PictureExhibit("crowding", "Crowding", "Mean 10-day turnover of the top 5 % over that of the bottom 5 %.", "lines",
                       with_dates(extremes)[["crowding"]], "figures 21, 22"),
    ]


def needs(experiment: ExperimentSpec, study: StudySpec) -> list[str]:
    return [f"signals/{setting(study, 'signal')}/factor", EXPOSURES, "daily_panel"]


STUDY = Study("What the factor is exposed to", run, exhibits, needs)
