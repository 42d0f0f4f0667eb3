"""Pictures of the README and the experiment pages, drawn from stored results.

    python benchmarks/pictures.py demo --market demo --output docs/images/demo.png

Two panels: cumulative RankIC of the first signal and the comparisons in the first universe, and the excess NAV of the portfolios.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alpha_pipeline.experiments import experiment
from alpha_pipeline.experiments.select import for_source
from alpha_pipeline.markets import load_market
from alpha_pipeline.pipeline.reports import load_report_inputs
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.reporting.plots import cumulative_rank_ic_plot, excess_nav_plot


def draw(work: Workspace, name: str) -> Figure:
    """The figure of one experiment on one market."""
    spec = for_source(experiment(name), work.source.describe())
    inputs = load_report_inputs(work, spec)
    universe = "all" if "all" in inputs.universes else inputs.universes[0]
    ours = {inputs.label(s): inputs.factor_tests[universe, s].ic for s in inputs.signals if (universe, s) in inputs.factor_tests}
    others = {inputs.label(s): test.ic for (u, s), test in inputs.comparisons.items() if u == universe}
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    cumulative_rank_ic_plot({k: v for k, v in (ours | others).items() if v is not None}, left, dashed=tuple(others))
    excess_nav_plot({inputs.label(k): p.daily for k, p in inputs.portfolios.items()}, right)
    kind = "simulated market" if inputs.provenance["is_simulated"] else "real data"
    left.set_title(f"Cumulative weekly RankIC, {inputs.label(universe)} ({kind})", fontsize=10, loc="left")
    right.set_title(f"Excess NAV after costs ({kind})", fontsize=10, loc="left")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--market", default="demo")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(Workspace(load_market(options.market)), options.experiment).savefig(options.output, dpi=110)
    print(options.output, f"{options.output.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
