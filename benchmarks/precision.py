"""What bfloat16 does to RankIC: the same networks trained in float32, in bfloat16, and in float32 from other seeds.

    python -m benchmarks.precision --root build/recovery
    python -m benchmarks.precision --root build/recovery --only gru_daily --seeds 1 --recurrent reference --patient

Terms are those of ``benchmarks.recovery_zoo`` (market ``simulated``, 2022H1 out of sample, every 10th date), three seeds a network. The
effect of precision is judged beside that of chance: the third training differs from the first by its seeds alone. Differences are of daily
RankIC, on the names all signals score, with Newey-West errors of 10 lags.

The numbers are a CPU's: torch rounds in its matrix products and convolutions where a GPU would under autocast. The fused kernels of GRU and
LSTM, like Triton's, stay in float32 throughout, so precision touches the other layers alone; with ``reference`` (many times slower) the gates
are products like any other, as with cuDNN on a GPU. Speed is not measured here: a CPU is slower in bfloat16.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from alpha_pipeline.diagnostics.paired import paired_difference
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.markets import MarketConfig
from alpha_pipeline.models.recurrent.backend import BACKENDS, SWITCH, active_backend
from alpha_pipeline.progress import listening
from alpha_pipeline.training.periods import WalkForward
from alpha_pipeline.training.spec import TrainingSpec
from benchmarks import recovery_zoo
from benchmarks.recovery import ProgressLines
from benchmarks.recovery_tables import OVERLAP

NETWORKS = ("gru_daily", "alphanet_v2")
FLOAT32, BFLOAT16, OTHER_SEEDS = "float32", "bfloat16", "other seeds"


def variants(names: Sequence[str], *, walk: WalkForward = recovery_zoo.WALK, n_seeds: int = 3, is_patient: bool = False,
             training: TrainingSpec | None = None) -> dict[str, ModelSpec]:
    """``<network> <variant>`` → model, three for each network; kept apart by the path of recurrent layers, which no checkpoint records."""
    path = "" if active_backend("cpu") == "fused" else f"_{active_backend('cpu')}"
    found = {}
    for name in names:
        zoo = recovery_zoo.MODELS_BY_NAME[name]
        used = replace(training or zoo.training, **recovery_zoo.PATIENT) if is_patient else training or zoo.training
        model = replace(zoo, walk=walk, seeds=tuple(range(n_seeds)), training=used)
        found[f"{name} {FLOAT32}"] = replace(model, name=f"precision_{name}{path}_float32")
        found[f"{name} {BFLOAT16}"] = replace(model, name=f"precision_{name}{path}_bfloat16", training=replace(model.training, precision="bfloat16"))
        found[f"{name} {OTHER_SEEDS}"] = replace(model, name=f"precision_{name}{path}_seeds", seeds=tuple(range(n_seeds, 2 * n_seeds)))
    return found


def run(root: Path, models: Mapping[str, ModelSpec], market: MarketConfig | None = None, period: str = recovery_zoo.PERIOD) -> pd.DataFrame:
    """One row per network: RankIC in float32 and bfloat16, and both differences with their errors."""
    rank_ics = recovery_zoo.run(root, models, market, period).rank_ics
    rows = {}
    for name in dict.fromkeys(key.split(" ")[0] for key in models):
        base, rough, other = (rank_ics[f"{name} {variant}"] for variant in (FLOAT32, BFLOAT16, OTHER_SEEDS))
        change, chance = (paired_difference(series, base, lags=OVERLAP) for series in (rough, other))
        rows[name] = {"float32": change.second, "bfloat16": change.first, "bfloat16 less float32": change.difference,
                      "s.e.": change.standard_error, "other seeds less these": chance.difference, "s.e. ": chance.standard_error}
    return pd.DataFrame(rows).T


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("build/recovery"), help="scratch folder, about 2 GB")
    parser.add_argument("--only", nargs="+", choices=list(recovery_zoo.MODELS_BY_NAME), default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3, help="members of each ensemble")
    parser.add_argument("--patient", action="store_true", help="patience 30 and up to 120 epochs")
    parser.add_argument("--recurrent", choices=BACKENDS, help="path of the recurrent layers; by default the quickest")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.recurrent:
        os.environ[SWITCH] = options.recurrent
    print(f"recurrent layers: {active_backend('cpu')}")
    with listening(ProgressLines()):
        table = run(options.root, variants(options.only, n_seeds=options.seeds, is_patient=options.patient))
    print(table.to_string(float_format="{:.4f}".format))


if __name__ == "__main__":
    main()
