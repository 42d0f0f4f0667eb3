"""What is run: one file per published system, values only. :data:`EXPERIMENTS` is the one list."""

from __future__ import annotations

from alpha_pipeline.errors import unknown_name
from alpha_pipeline.experiment import ExperimentSpec
from alpha_pipeline.experiments import alphanet, attention, demo, multifreq, multimodel, recent, riskcontrol, small

_ALL: tuple[ExperimentSpec, ...] = (
    demo.DEMO, multifreq.MULTIFREQ, multifreq.MULTIFREQ_DAILY, multifreq.MULTIFREQ_RECENT, alphanet.ALPHANET, multimodel.MULTIMODEL,
    riskcontrol.RISKCONTROL, attention.ATTENTION, small.MULTIFREQ_SMALL, small.ALPHANET_SMALL, small.MULTIMODEL_SMALL, small.RISKCONTROL_SMALL,
    small.ATTENTION_SMALL, recent.ALPHANET_RECENT, recent.MULTIMODEL_RECENT, recent.RISKCONTROL_RECENT, recent.ATTENTION_RECENT,
)
EXPERIMENTS: dict[str, ExperimentSpec] = {spec.name: spec.validate() for spec in _ALL}
assert len(EXPERIMENTS) == len(_ALL), "two experiments have the same name"


def experiment(name: str) -> ExperimentSpec:
    """The experiment of that name; raises :class:`UnknownName` with the known ones."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, list(EXPERIMENTS))
    return EXPERIMENTS[name]
