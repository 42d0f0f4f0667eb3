"""Many controls: the daily network on labels permuted within each date, once for each of several permutations.

    python -m benchmarks.recovery_control --root build/recovery [--draws 12]

A network trained on noise is not zero: it is some fixed function of its inputs, drawn at random. On one test year its RankIC is
that function's, and a function that happens to lean on a planted piece earns or loses steadily. The Newey-West error of one
control knows how the RankIC varies from date to date, not how it varies from one noise to the next, so it is too small to judge
one draw by. Here the draw is repeated: what must be zero, unless labels leak, is the mean over draws, judged by their spread.

Market ``simulated``, 2022H1, the settings of ``benchmarks.recovery``, one seed for each permutation; the store of that benchmark is used
if it is there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from alpha_pipeline.errors import AlphaPipelineError
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.experiments.multifreq import GRU_DAILY, ORACLE
from alpha_pipeline.factors.ic import newey_west_se, rank_ic
from alpha_pipeline.markets import MarketConfig, load_market
from alpha_pipeline.pipeline import training
from alpha_pipeline.pipeline.factors import factor_table, make_factors, read_scores
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.progress import listening
from alpha_pipeline.training.periods import period_named
from alpha_pipeline.training.spec import TrainingSpec
from benchmarks.recovery import MODEL, Clock, ProgressLines, prepare, rank_ic_series
from benchmarks.recovery_tables import CONTROL_BAR, OVERLAP

PERIOD = "2022H1"


def run(root: Path, draws: int, market: MarketConfig | None = None, model: ModelSpec = MODEL, period: str = PERIOD,
        spec: TrainingSpec = GRU_DAILY.training) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per permutation: RankIC, its Newey-West error and distance from zero, correlation with the oracle; and RankICs by date."""
    config = market or load_market("simulated")
    work = Workspace(config, str(root / config.name))
    root.mkdir(parents=True, exist_ok=True)
    clock = Clock(root / "control_seconds.json")
    prepare(work, clock, model, [period])
    span = period_named(period)
    dates = [key for key in work.session_keys() if span.start.isoformat() <= key <= span.end.isoformat()]
    make_factors(work, ORACLE, dates)
    scores = {}
    for draw in range(1, draws + 1):
        control = replace(GRU_DAILY, name=f"control_{draw}", walk=model.walk, training=spec, label_shuffle_seed=draw, seeds=(draw,))
        training.make_training_set(work, control, period)
        clock.run(f"train {control.name}", lambda m=control: training.train(work, m, period, "cpu"))  # type: ignore[misc]
        training.score(work, control, dates, "cpu")
        scores[f"permutation {draw}"] = read_scores(work, work.panels, training.scores_table(control.name), dates, "score")
    oracle = read_scores(work, work.panels, factor_table(ORACLE.name), dates, "score")
    rank_ics, _ = rank_ic_series(work, model, dates, {**scores, "oracle": oracle})
    rows = {}
    for name, values in scores.items():
        known = rank_ics[name][np.isfinite(rank_ics[name])]
        error = newey_west_se(known, OVERLAP)
        rows[name] = {"RankIC": known.mean(), "NW s.e.": error, "RankIC / NW s.e.": known.mean() / error,
                      "correlation with oracle": float(np.nanmean(rank_ic(values, oracle)))}
    return pd.DataFrame(rows).T, pd.DataFrame({name: rank_ics[name] for name in scores}, index=pd.Index(dates, name="trade_date"))


def mean_over_permutations(series: pd.DataFrame) -> dict[str, float]:
    """The RankIC of each date averaged over the permutations: its mean, Newey-West error and their ratio.

    This error treats the permutations as given: it says how the mean of these networks varies with the dates, not how it would vary with
    other permutations, which the spread of their means says.
    """
    known = series.dropna().mean(axis=1).to_numpy()
    error = newey_west_se(known, min(OVERLAP, len(known) - 1))
    return {"RankIC": float(known.mean()), "NW s.e.": error, "RankIC / NW s.e.": float(known.mean()) / error}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("build/recovery"), help="scratch folder, about 2 GB")
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with listening(ProgressLines()):
        try:
            found, series = run(options.root, options.draws)
        except AlphaPipelineError as error:
            print(error)
            return 1
    print(f"\n10-day RankIC in {PERIOD} of the daily network trained on permuted labels, load {os.getloadavg()[0]:.1f}")
    print(found.to_string(float_format="{:+.4f}".format))
    values = found["RankIC"]
    mean, spread = values.mean(), values.std(ddof=1)
    error = spread / np.sqrt(len(values))
    together = mean_over_permutations(series)
    print(f"mean over permutations of each date's RankIC: {together['RankIC']:+.4f}, Newey-West error {together['NW s.e.']:.4f}, "
          f"ratio {together['RankIC / NW s.e.']:+.2f}")
    beyond = int((found["RankIC / NW s.e."].abs() > CONTROL_BAR).sum())
    print(f"mean {mean:+.4f}, spread from one permutation to the next {spread:.4f}, so its standard error is {error:.4f}: "
          f"{abs(mean) / error:.2f} standard errors from zero")
    print(f"{beyond} of {len(values)} lie beyond {CONTROL_BAR} of their own Newey-West errors; "
          f"RankIC follows the correlation with the oracle at {np.corrcoef(values, found['correlation with oracle'])[0, 1]:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
