"""Recovery of planted alpha: how much of what a simulated market hides does the incremental network find, out of sample?

    python -m benchmarks.recovery --root build/recovery                 # 800 stocks, four years, 3 seeds: an hour or more
    python -m benchmarks.recovery --root build/recovery --no-control    # without the control on permuted labels

Market ``simulated``; models of 2022H1 and 2022H2 trained on everything from 2019 on (expanding), with the published settings:
every 5th date, 4:1 split, −IC, learning rate 1e-3, at most 100 epochs a stage, patience 10, three seeds. Beside it: its members,
its daily branch alone, the product's linear blend, the blend of six published price-volume factors (equal weights, or weights
fitted on the model's own training and validation dates), and the oracle, the market's conditional expected return. The control
is the same model on labels permuted within each date; ``benchmarks.recovery_control`` says why one such control misses its bar more
often than not, and repeats it.

Bars: the ensemble's 10-day RankIC is at least half of the oracle's and above the best linear blend's; the control's lies within
2.5 standard errors of zero. RankIC on every session overlaps nine tenths of its neighbor's, so its standard error is Newey-West
with 10 lags. All signals are compared on the names that all of them score, and only on those tradable on the next session. The
rank correlation of a score with the oracle says the same without the noise of the returns.

The market's planted regime switch (spring 2023: alpha decays, small caps crash) lies after both half-years: this measures how
much of a signal that is there the network finds, not how it survives the signal's end.

Everything lies below ``--root`` and is found again when the command is repeated: a run that was killed continues.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from alpha_pipeline.errors import AlphaPipelineError
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.experiments.multifreq import INCREMENTAL, LINEAR_BLEND, ORACLE, signal_of
from alpha_pipeline.factors.ic import rank_ic
from alpha_pipeline.features.labels import forward_returns, standardize_labels
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.market.universe import has_flag, tradable_next_day
from alpha_pipeline.markets import MarketConfig, load_market
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.factors import factor_table, make_factors, read_scores
from alpha_pipeline.pipeline.ingest import ingest
from alpha_pipeline.pipeline.panels import extend_daily, extend_intraday, extend_labels, extend_status
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.progress import listening
from alpha_pipeline.training.ensemble import ensemble_score
from alpha_pipeline.training.periods import WalkForward, period_named, period_of
from alpha_pipeline.training.predict import trained_networks
from benchmarks.linear_factors import NAMES, blend, published_factors, standardized, trained_weights
from benchmarks.recovery_tables import (
    CONTROL,
    DAILY_BRANCH,
    ENSEMBLE,
    EQUAL,
    FITTED,
    OVERLAP,
    PRODUCT_BLEND,
    THE_ORACLE,
    figures_table,
    learning_curves,
    piece_correlations,
    published_tests,
    verdicts,
)

FloatArray = npt.NDArray[np.float64]

MODEL = replace(INCREMENTAL, name="recovery_incremental", walk=WalkForward(train_start=dt.date(2019, 1, 1)))
PERIODS = ("2022H1", "2022H2")
RAW_TABLES = ("security_status", "daily_bars", "intraday_bars", "index_weights")


def control_of(model: ModelSpec) -> ModelSpec:
    """The same model on labels permuted within each date."""
    return replace(model, name=f"{model.name}_shuffled", label_shuffle_seed=1)


@dataclass(frozen=True)
class Measured:
    """What a run found: RankIC series by signal on the out-of-sample sessions, and the tables that are printed."""

    dates: list[str]
    rank_ics: dict[str, FloatArray]
    figures: pd.DataFrame
    verdicts: list[str]
    pieces: pd.DataFrame
    tests: pd.DataFrame
    curves: pd.DataFrame
    weights: pd.DataFrame
    n_names: float


class Clock:
    """Seconds of each step the first time it did something, kept beside the data so that a resumed run still knows them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}

    def run(self, name: str, action: Callable[[], Any]) -> Any:
        """The result of ``action``; its seconds are added to the step's when it took more than a look at what is there."""
        began = time.perf_counter()
        result = action()
        took = time.perf_counter() - began
        if name not in self.seconds or took > self.seconds[name]:
            self.seconds[name] = round(took, 1)
            self.path.write_text(json.dumps(self.seconds, indent=1))
        print(f"{time.strftime('%H:%M:%S')}  {name}: {took:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)
        return result


class ProgressLines:
    """Prints a line of progress now and then, for a log file."""

    def __init__(self) -> None:
        self._last = 0.0

    def update(self, label: str, done: int, total: int | None, note: str) -> None:
        if time.monotonic() - self._last > 60:
            self._last = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')}    {label} {done}/{total} {note}", flush=True)


def prepare(work: Workspace, clock: Clock, model: ModelSpec, periods: Sequence[str]) -> list[str]:
    """Raw tables and panels up to the sessions on which the last labels are known; the sessions' keys."""
    last = work.calendar.last_before(period_named(max(periods)).end + dt.timedelta(days=1))
    keys = work.session_keys(end=work.calendar.offset(last, model.label.label_end_offset + 1))
    clock.run("market and ingest", lambda: ingest(work, keys, RAW_TABLES))
    clock.run(
        "panels",
        lambda: (
            [extend(work, keys) for extend in (extend_status, extend_daily, extend_intraday)]
            + [extend_labels(work, keys, model.label)]
        ),
    )
    return keys


def fit(work: Workspace, clock: Clock, model: ModelSpec, periods: Sequence[str]) -> None:
    """Train the model of each period, or find it trained."""
    for period in periods:
        training.make_training_set(work, model, period)
        clock.run(f"train {model.name} {period}", lambda p=period: training.train(work, model, p, "cpu"))  # type: ignore[misc]


def measure(work: Workspace, model: ModelSpec, control: ModelSpec | None, periods: Sequence[str], clock: Clock) -> Measured:
    """Scores, factors and RankIC of every signal on all sessions of the periods, from trained models."""
    spans = [period_named(name) for name in periods]
    dates = [key for key in work.session_keys() if any(span.start.isoformat() <= key <= span.end.isoformat() for span in spans)]
    scored = [model, *([control] if control else [])]
    for spec in scored:
        clock.run(f"scores {spec.name}", lambda s=spec: training.score(work, s, dates, "cpu"))  # type: ignore[misc]
    signals = {ENSEMBLE: signal_of(model), PRODUCT_BLEND: LINEAR_BLEND, THE_ORACLE: ORACLE}
    for signal in signals.values():
        clock.run(f"factors {signal.name}", lambda s=signal: make_factors(work, s, dates))  # type: ignore[misc]
    panels = work.panels
    scores = {name: read_scores(work, panels, factor_table(signal.name), dates, "score") for name, signal in signals.items()}
    for seed in model.seeds:
        scores[f"incremental, seed {seed}"] = read_scores(
            work, panels, training.scores_table(model.name), dates, f"member_{seed}"
        )
    scores[DAILY_BRANCH] = clock.run(
        "daily branch", lambda: daily_branch_scores(work, model, dates, np.isfinite(scores[ENSEMBLE]))
    )
    blends, weights = fitted_and_equal_blends(work, model, periods, dates)
    scores |= blends
    if control is not None:
        scores[CONTROL] = read_scores(work, panels, training.scores_table(control.name), dates, "score")
    rank_ics, n_names = rank_ic_series(work, model, dates, scores)
    figures = figures_table(rank_ics, THE_ORACLE)
    figures["correlation with oracle"] = [float(np.nanmean(rank_ic(values, scores[THE_ORACLE]))) for values in scores.values()]
    before = _before_switch(work, dates)
    if before is not None:
        for title, chosen in (("mean before the regime switch", before[0]), ("mean after", before[1])):
            figures[title] = [float(np.nanmean(series[chosen])) for series in rank_ics.values()]
    tests = clock.run("factor tests", lambda: published_tests(work, signals, dates))
    return Measured(
        dates,
        rank_ics,
        figures,
        verdicts(rank_ics),
        piece_correlations(work, dates, scores),
        tests,
        learning_curves(work, scored, periods),
        weights,
        n_names,
    )


def daily_branch_scores(work: Workspace, model: ModelSpec, dates: Sequence[str], scored: npt.NDArray[np.bool_]) -> FloatArray:
    """(n_dates, n_stocks): the ensemble of ŷ₁, what stage 1 alone says, of the names ``scored`` by the whole network."""
    panels = work.panels
    tensor = TENSORS["daily"]
    result = np.full((len(dates), len(panels.axis)), np.nan)
    rows = [panels.daily.index(key) for key in dates]
    start, stop = max(0, rows[0] - tensor.n_days + 1), rows[-1] + 1
    suspended = has_flag(panels.status.field("flags", start, stop), "suspended")
    windows = Windows(tensor, panels.daily.values[start:stop], suspended, panels.daily.spec.fields)
    networks: dict[str, Any] = {}
    for at, key in enumerate(dates):
        period = period_of(key).name
        if period not in networks:
            networks[period] = trained_networks(
                training.network_config(model), training.load(work, model, period).weights, torch.device("cpu")
            )
        columns = np.flatnonzero(scored[at])
        x_TFN = windows.window(rows[at] - start, columns)
        members = np.stack([network.frozen_output({"daily": x_TFN}).numpy() for network in networks[period]])
        result[at, columns] = ensemble_score(members)
    return result


def fitted_and_equal_blends(
    work: Workspace, model: ModelSpec, periods: Sequence[str], dates: Sequence[str]
) -> tuple[dict[str, FloatArray], pd.DataFrame]:
    """Equal-weight and fitted blend of the published factors on ``dates``, and the fitted weights by period.

    A period's weights come from the dates that trained and validated its network; none of their labels reaches into the period.
    """
    panels = work.panels
    universe = panels.universe(model.universe)
    standard = standardized(published_factors(panels), universe)
    tradable = tradable_next_day(panels.status.field("flags"))
    labels = standardize_labels(forward_returns(panels.daily.field("close"), model.label), universe & tradable)
    rows = np.array([panels.daily.index(key) for key in dates])
    out = {
        EQUAL: blend(standard, np.full(len(NAMES), 1 / len(NAMES)))[rows],
        FITTED: np.full((len(dates), len(panels.axis)), np.nan),
    }
    weights = {}
    for name in periods:
        plan = training.training_plan(work, model, name)
        weights[name] = trained_weights(standard, labels, np.sort(np.concatenate([plan.train_indices, plan.valid_indices])))
        inside = np.array([period_of(key).name == name for key in dates])
        out[FITTED][inside] = blend(standard[:, rows[inside]], weights[name])
    return out, pd.DataFrame(weights, index=list(NAMES)).T


def rank_ic_series(
    work: Workspace, model: ModelSpec, dates: Sequence[str], scores: Mapping[str, FloatArray]
) -> tuple[dict[str, FloatArray], float]:
    """RankIC of each signal with the 10-day return by date, on the names that all signals score; NaN where it is not over."""
    panels = work.panels
    rows = [panels.daily.index(key) for key in dates]
    forward = forward_returns(panels.daily.field("close"), model.label)[rows]
    mask = (panels.universe(model.universe) & tradable_next_day(panels.status.field("flags")))[rows]
    mask &= np.all([np.isfinite(values) for values in scores.values()], axis=0)
    return {name: rank_ic(values, forward, mask=mask) for name, values in scores.items()}, float(
        mask.sum(axis=1)[:-OVERLAP].mean()
    )


def _before_switch(work: Workspace, dates: Sequence[str]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]] | None:
    """Masks of the dates whose label ends before the regime switch, and of those from the switch on; None if one would be empty."""
    switch = getattr(work.source, "regime_switch", None)
    last_clean = None if switch is None else work.calendar.offset(switch, -OVERLAP - 1)
    if (
        switch is None
        or last_clean is None
        or not (dates[0] <= last_clean.isoformat() and switch.isoformat() <= dates[-OVERLAP - 1])
    ):
        return None
    keys = np.array(dates)
    return keys <= last_clean.isoformat(), keys >= switch.isoformat()


def print_measured(found: Measured, clock: Clock) -> None:
    """All tables."""
    print(f"\n10-day RankIC, {found.dates[0]} … {found.dates[-1]}, not neutralized, {found.n_names:.0f} names a date")
    shown = found.figures.drop(columns=["every 10th", "s.e. (10th)", "ICIR (10th)"])
    print(shown.to_string(float_format="{:.4f}".format))
    print("\nOn every 10th session (labels do not overlap)")
    print(found.figures[["every 10th", "s.e. (10th)", "ICIR (10th)"]].to_string(float_format="{:.4f}".format))
    print("\nBars")
    for line in found.verdicts:
        print("  " + line)
    for title, frame in (
        ("Mean correlation with the planted pieces", found.pieces),
        ("The product's single-factor test", found.tests),
        ("Training", found.curves),
        ("Fitted weights of the six factors", found.weights),
    ):
        print(f"\n{title}")
        print(frame.to_string(float_format="{:.4f}".format))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\nSeconds: {json.dumps(clock.seconds)}\npeak memory of this process {peak:.2f} GiB, {torch.get_num_threads()} threads, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def run(root: Path, market: MarketConfig, model: ModelSpec, periods: Sequence[str], *, with_control: bool) -> Measured:
    """Prepare, train, measure; safe to repeat. The control is trained last, after the figures without it are printed."""
    work = Workspace(market, str(root / market.name))
    root.mkdir(parents=True, exist_ok=True)
    clock = Clock(root / "seconds.json")
    prepare(work, clock, model, periods)
    fit(work, clock, model, periods)
    control = control_of(model) if with_control else None
    if control is not None:
        print_measured(measure(work, model, None, periods, clock), clock)
        fit(work, clock, control, periods)
    found = measure(work, model, control, periods, clock)
    found.figures.to_csv(root / "figures.csv")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("build/recovery"), help="scratch folder, about 2 GB")
    parser.add_argument("--market", default="simulated")
    parser.add_argument("--periods", nargs="+", default=list(PERIODS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-control", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with listening(ProgressLines()):
        try:
            found = run(options.root, load_market(options.market), MODEL, options.periods, with_control=not options.no_control)
        except AlphaPipelineError as error:
            print(error)
            return 1
    clock = Clock(options.root / "seconds.json")
    print_measured(found, clock)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
