"""One other Python process with its own hash seed and import order, asked once for what several tests compare with."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from typing import Any

_PROGRAM = """
import json, sys
from alpha_pipeline.definitions import defs
from alpha_pipeline.experiments import EXPERIMENTS
facts = {
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
    "experiments": {name: spec.digest() for name, spec in EXPERIMENTS.items()},
    "models": {model.name: model.training_digest() for spec in EXPERIMENTS.values() for model in spec.models},
    "portfolios": {portfolio.name: portfolio.digest() for spec in EXPERIMENTS.values() for portfolio in spec.portfolios},
    "n_assets": len(defs.resolve_asset_graph().get_all_asset_keys()),
}
print(json.dumps(facts))
"""


@functools.cache
def facts_of_another_process() -> dict[str, Any]:
    """Modules that loading the definitions imports, and digests of every experiment, model and portfolio."""
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "TZ": "America/New_York"}
    environment.pop("ALPHA_PIPELINE_MARKET", None)
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])
