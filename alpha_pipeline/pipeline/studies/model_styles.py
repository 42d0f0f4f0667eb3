"""How much of each model's score is style: mean correlation with every style, and the share of the score that they explain together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from alpha_pipeline.cross_section import residualize
from alpha_pipeline.diagnostics.factor_exposure import style_correlations
from alpha_pipeline.diagnostics.paired import paired_difference
from alpha_pipeline.experiment import RISK_STYLES, ExperimentSpec, StudySpec
from alpha_pipeline.market.universe import UniverseSpec
from alpha_pipeline.pipeline.exposures import model_exposures
from alpha_pipeline.pipeline.factors import factor_table, read_scores
from alpha_pipeline.pipeline.risk_exposures import EXPOSURES
from alpha_pipeline.pipeline.studies.study import Frames, Study
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.exhibits import Exhibit, PictureExhibit, TableExhibit
from alpha_pipeline.reporting.published import PublishedReport

EXPLAINED = "explained"


def style_share(scores: np.ndarray, styles: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(D,) share of a score's cross-sectional variance that the styles explain together (R² of a regression with a constant).

    ``scores`` (D, S), ``styles`` (D, S, K), ``mask`` (D, S). Names with a NaN anywhere are left out; a date with no more names than styles, or a
    score without spread, is NaN. Known at the close of each date.
    """
    known = mask & np.isfinite(scores) & np.isfinite(styles).all(axis=2)
    design = np.concatenate([np.ones_like(styles[:, :, :1]), styles], axis=2)
    left = residualize(scores, design, mask=known)
    n = known.sum(axis=1)
    whole = _spread(np.where(known, scores, np.nan))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 1.0 - _spread(left) / whole
    return np.where((n > design.shape[2]) & (whole > 0), share, np.nan)


def _spread(values: np.ndarray) -> np.ndarray:
    n = np.maximum(np.isfinite(values).sum(axis=1), 1)
    mean = np.nansum(values, axis=1) / n
    return np.asarray(np.nansum((values - mean[:, None]) ** 2, axis=1) / n)


def _run(work: Workspace, experiment: ExperimentSpec, study: StudySpec, start: str, end: str) -> Frames:
    panels = work.panels
    first, stop = panels.daily.index(start), panels.daily.index(end) + 1
    rows = list(range(first, stop, int(dict(study.settings).get("every", 5))))
    days = [panels.daily.dates[row] for row in rows]
    found_styles = model_exposures(work, panels, (RISK_STYLES,), first, stop, [row - first for row in rows])
    names, styles = found_styles.names, found_styles.values.astype(np.float64)
    mask = panels.universe(UniverseSpec(), first, stop)[[row - first for row in rows]]
    frames = []
    for signal in experiment.signals:
        scores = read_scores(work, panels, factor_table(signal.name), days, "score")
        found = style_correlations(scores, days, {name: styles[:, :, k] for k, name in enumerate(names)}, mask=mask)
        frames.append(found.assign(**{EXPLAINED: style_share(scores, styles, mask)}, signal=signal.published or signal.name))
    return {"styles": pd.concat(frames, ignore_index=True)}


def _exhibits(frames: Frames, published: PublishedReport | None) -> Sequence[Exhibit]:
    daily = frames["styles"]
    names = [c for c in daily.columns if c not in ("trade_date", "signal", EXPLAINED)]
    labels = {key: shown for key, shown, _ in published.models} if published else {}
    order = list(dict.fromkeys(daily["signal"]))
    means = daily.groupby("signal")[[*names, EXPLAINED]].mean().reindex(order)
    table = means.rename(index=lambda s: labels.get(s, s)).rename_axis("score").reset_index().rename(columns={EXPLAINED: "explained together"})
    size = daily[names].abs().groupby(daily["signal"]).mean().mean(axis=1)
    table.insert(len(table.columns) - 1, "mean of |correlation|", size.reindex(order).to_numpy())
    formats = {c: "number3" for c in table.columns[1:-1]} | {table.columns[-1]: "percent1"}
    shares = daily.pivot(index="trade_date", columns="signal", values=EXPLAINED)[order].rename(columns=lambda s: labels.get(s, s))
    bars = means[names].T.rename(columns=lambda s: labels.get(s, s)).rename_axis(None)
    return [
        TableExhibit("styles", "Correlation with styles, mean over dates", table, formats,
                     "Cross-sectional correlation of the raw score, before any neutralization, with the standardized style; mean over the sampled "
                     "dates. Explained together: R² of the score on all styles of the market's risk model: ten, or six without company reports.",
                     notes=("The published report says that v2.2 has less of the styles and prints no numbers.",)),
        TableExhibit("style-differences", "Share that styles explain, against the first model", _differences(shares),
                     {name: "percent1" for name in ("explained", "first model's", "difference", "low", "high")} | {"n_dates": "integer"},
                     "Mean over the sampled dates of the R² on all styles; difference: paired by date; low, high: ± 1.96 Newey-West "
                     "standard errors."),
        PictureExhibit("style-bars", "Correlation with each style", "Mean over dates; a bar per model.", "bars", bars),
        PictureExhibit("style-share", "Share of the score that styles explain", "R² by date.", "lines", shares, percent=True),
    ]


def _differences(shares: pd.DataFrame) -> pd.DataFrame:
    """One row per score after the first: its mean share, the first one's, the paired difference with its 95 % interval; none without two dates."""
    first, *others = shares.columns
    found = {name: paired_difference(shares[name], shares[first]) for name in others if len(shares[[name, first]].dropna()) > 1}
    rows = [(name, d.first, d.second, d.difference, d.low, d.high, d.n_dates) for name, d in found.items()]
    return pd.DataFrame(rows, columns=["score", "explained", "first model's", "difference", "low", "high", "n_dates"])


STUDY = Study("Style exposures of the models", _run, _exhibits,
              needs=lambda experiment, study: [EXPOSURES, *(f"signals/{signal.name}/factor" for signal in experiment.signals)])
