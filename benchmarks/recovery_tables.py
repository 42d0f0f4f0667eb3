"""The tables of the recovery benchmark: RankIC with errors, bars, planted pieces found, factor tests, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from alpha_pipeline.experiment import ModelSpec, SignalSpec
from alpha_pipeline.factors.factor_test import FactorTestSpec
from alpha_pipeline.factors.ic import newey_west_se, summarize_ic
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.factors import run_signal_test, stored_tests
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.training.resume import EpochRow

FloatArray = npt.NDArray[np.float64]

ENSEMBLE, DAILY_BRANCH = "incremental, ensemble", "daily branch alone (stage 1)"
PRODUCT_BLEND, EQUAL, FITTED = "linear blend of the product", "six factors, equal weights", "six factors, fitted weights"
THE_ORACLE, CONTROL = "oracle", "control: labels permuted within each date"
OVERLAP = 10  # sessions of the label
SHARE_BAR, CONTROL_BAR = 0.5, 2.5


def figures_table(rank_ics: Mapping[str, FloatArray], oracle: str) -> pd.DataFrame:
    """One row per signal: mean on every session with Newey-West error and interval, on every 10th, share of the oracle."""
    rows = []
    for name, series in rank_ics.items():
        known = series[np.isfinite(series)]
        error = newey_west_se(known, OVERLAP)
        mean = float(known.mean())
        sparse = summarize_ic(series[::OVERLAP])
        rows.append(
            {
                "signal": name,
                "RankIC": mean,
                "NW s.e.": error,
                "low": mean - 1.96 * error,
                "high": mean + 1.96 * error,
                "ICIR": mean / float(known.std(ddof=1)),
                "share of oracle": mean / float(np.nanmean(rank_ics[oracle])),
                "dates": len(known),
                "every 10th": sparse.mean,
                "s.e. (10th)": sparse.mean / sparse.t_newey_west,
                "ICIR (10th)": sparse.icir,
            }
        )
    return pd.DataFrame(rows).set_index("signal")


def verdicts(rank_ics: Mapping[str, FloatArray]) -> list[str]:
    """Each bar with the paired difference that decides it, its error, and whether it is met."""
    ours, oracle = rank_ics[ENSEMBLE], rank_ics[THE_ORACLE]
    blends = {name: rank_ics[name] for name in (PRODUCT_BLEND, EQUAL, FITTED)}
    best = max(blends, key=lambda name: float(np.nanmean(blends[name])))
    share = float(np.nanmean(ours) / np.nanmean(oracle))
    lines = [
        f"{'met' if share >= SHARE_BAR else 'MISSED'}: {share:.0%} of the oracle's RankIC (bar {SHARE_BAR:.0%}); "
        f"ours − half of the oracle's = {_difference(ours - SHARE_BAR * oracle)}",
        f"{'met' if np.nanmean(ours - blends[best]) > 0 else 'MISSED'}: above the best linear blend ({best}); "
        f"ours − its = {_difference(ours - blends[best])}",
    ]
    if CONTROL in rank_ics:
        known = rank_ics[CONTROL][np.isfinite(rank_ics[CONTROL])]
        distance = abs(known.mean()) / newey_west_se(known, OVERLAP)
        lines.append(
            f"{'met' if distance <= CONTROL_BAR else 'MISSED'}: the control lies {distance:.2f} standard errors from zero "
            f"(bar {CONTROL_BAR}); {_difference(known)}"
        )
    return lines


def _difference(series: FloatArray) -> str:
    known = series[np.isfinite(series)]
    error = newey_west_se(known, OVERLAP)
    return f"{known.mean():+.4f} ± {error:.4f} (95 %: {known.mean() - 1.96 * error:+.4f} … {known.mean() + 1.96 * error:+.4f})"


def piece_correlations(work: Workspace, dates: Sequence[str], scores: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Mean correlation of each signal with each planted piece over every 5th date: which part of the alpha a signal has found."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in scores}
    axis = work.panels.axis
    for at in range(0, len(dates), 5):
        parts = work.source.oracle_components(work.check_session(dates[at]))  # type: ignore[attr-defined]
        columns = axis.known_columns(parts["symbol"].tolist())
        pieces = parts.drop(columns=["symbol", "linear", "nonlinear"])
        for name, values in scores.items():
            rows[name].append(pieces.corrwith(pd.Series(values[at, columns], index=parts.index)).to_dict())
    return pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in rows.items()}).T


def published_tests(work: Workspace, signals: Mapping[str, SignalSpec], dates: Sequence[str]) -> pd.DataFrame:
    """The single-factor test as the product runs it, raw and neutral, every 10 sessions and weekly."""
    rows = []
    for every in (OVERLAP, "week"):
        for neutral in (False, True):
            for name, signal in signals.items():
                run_signal_test(work, signal, FactorTestSpec(every=every, neutral=neutral), ("all",), dates[0], dates[-1])  # type: ignore[arg-type]
                summary = stored_tests(work, signal.name)["all"]["summary"].iloc[0]
                rows.append(
                    {
                        "test": f"{'weekly' if every == 'week' else f'every {every}'}, {'neutral' if neutral else 'raw'}",
                        "signal": name,
                        "dates": int(summary["n_dates"]),
                        "RankIC": summary["rank_ic_mean"],
                        "ICIR": summary["icir"],
                        "t (NW)": summary["t_nw"],
                        "TOP excess a year": summary["top_annual_excess"],
                        "TOP IR": summary["top_ir"],
                        "TOP turnover, two-sided": summary["top_turnover_two_sided"],
                    }
                )
    return pd.DataFrame(rows).set_index(["test", "signal"])


def learning_curves(work: Workspace, models: Sequence[ModelSpec], periods: Sequence[str]) -> pd.DataFrame:
    """One row per model, period, seed and stage: epochs run, best epoch, its validation IC and RankIC, seconds an epoch."""
    rows = []
    for spec in models:
        for period in periods:
            checkpoint = training.load(work, spec, period)
            for seed, history in zip(checkpoint.manifest.seeds, checkpoint.histories, strict=True):
                for stage in dict.fromkeys(row.stage for row in history):
                    epochs: list[EpochRow] = [row for row in history if row.stage == stage]
                    best = max(epochs, key=lambda row: -np.inf if row.valid_ic is None else row.valid_ic)
                    rows.append(
                        {
                            "model": spec.name,
                            "period": period,
                            "seed": seed,
                            "stage": stage,
                            "epochs": len(epochs),
                            "best epoch": best.epoch,
                            "train loss": best.train_loss,
                            "valid IC": best.valid_ic,
                            "valid RankIC": best.valid_rank_ic,
                            "s/epoch": float(np.median([row.seconds for row in epochs])),
                            "train samples": checkpoint.manifest.n_samples["train"],
                        }
                    )
    return pd.DataFrame(rows).set_index(["model", "period", "seed", "stage"])
