"""What a model's spec means on a market: its sessions, panels, windows, labels and network. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.features.labels import by_formation, neutral_labels, standardize_labels
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.market.universe import tradable_next_day
from alpha_pipeline.pipeline.exposures import HISTORY_DAYS, model_exposures
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.training.periods import TrainingPlan

if TYPE_CHECKING:
    from alpha_pipeline.features.windows import Windows
    from alpha_pipeline.models import NetworkConfig


def min_history(spec: ModelSpec) -> int:
    """Sessions that the longest of the model's windows reads."""
    return max(TENSORS[name].n_rows for name in spec.tensors)


def data_history(spec: ModelSpec) -> int:
    """Sessions, its own included, of which a sample can depend: windows, and exposures if the model or its label has any."""
    return max(min_history(spec), HISTORY_DAYS if spec.has_exposures else 1)


def panel_names(spec: ModelSpec) -> list[str]:
    """Panels that training reads."""
    exposed = ["daily"] if spec.has_exposures and "daily" not in spec.panels() else []
    return [*spec.panels(), *exposed, "status", f"label_{spec.label.name}"]


def training_plan(work: Workspace, spec: ModelSpec, period: str) -> TrainingPlan:
    """Exact sessions of a period: sampled, split and purged."""
    return spec.walk.plan(spec.walk.period_named(period), work.calendar, min_history=min_history(spec))


@dataclass(frozen=True)
class SampleData:
    """Universe and standardized labels by formation date, rows from ``offset`` of the panels."""

    universe: np.ndarray
    labels: np.ndarray
    offset: int


def sample_data(work: Workspace, panels: MarketPanels, spec: ModelSpec, start: int, stop: int, dates: Sequence[int]) -> SampleData:
    """Labels use rows before ``stop`` only. Names that cannot be traded on the session after formation carry no label: the reports' sample
    filter, which never touches features or the universe they are standardized over.

    ``dates`` : indices into rows [start, stop) of the dates that are sampled. A label that is freed of exposures (``label_neutral``) exists on
    these alone; the first of them must have ``data_history`` rows.
    """
    universe = panels.universe(spec.universe, start, stop)
    label_panel = panels.label(spec.label.name)
    realized = label_panel.field("return", start, stop)
    labelled = universe & tradable_next_day(panels.status.field("flags", start, stop))
    formed = by_formation(realized, spec.label)
    if not spec.label_neutral:
        return SampleData(universe, standardize_labels(formed, labelled), start)
    exposures = model_exposures(work, panels, spec.label_neutral, start, stop, dates)
    labels = np.full(formed.shape, np.nan)
    for at in sorted(set(dates)):
        columns = np.flatnonzero(labelled[at] & exposures.known(at))
        labels[at, columns] = neutral_labels(formed[at, columns], exposures.of(at, columns))
    return SampleData(universe, labels, start)


def windows_of(panels: MarketPanels, spec: ModelSpec, start: int, stop: int) -> dict[str, Windows]:
    """Lazy windows over panel rows [start, stop), one per tensor."""
    from alpha_pipeline.features.windows import Windows
    from alpha_pipeline.market.universe import has_flag

    suspended = has_flag(panels.status.field("flags", start, stop), "suspended")
    windows: dict[str, Windows] = {}
    for name in spec.tensors:
        tensor = TENSORS[name]
        panel = panels.by_name(tensor.panel)
        windows[name] = Windows(tensor, panel.values[start:stop], suspended, panel.spec.fields)
    return windows


def network_config(spec: ModelSpec) -> NetworkConfig:
    """The configuration of the model's network; raises when the spec's tensors are not the network's inputs, or when its settings cannot work
    together."""
    from alpha_pipeline.models import NETWORKS
    from alpha_pipeline.models import network_config as named
    from alpha_pipeline.training.objective import check_combination

    kind = named(spec.network, NETWORKS)
    known = [f.name for f in fields(kind)]
    for name, _ in spec.settings:
        if name not in known:
            raise unknown_name(f"setting of network '{spec.network}'", name, known)
    config = kind(**dict(spec.settings))
    check_combination(spec.training, config, has_exposures=bool(spec.exposures))
    if set(config.inputs) != set(spec.tensors):
        raise InvalidSpec(sentence("the network reads other tensors", where=f"model '{spec.name}'", got=", ".join(spec.tensors),
                                   expected=", ".join(config.inputs)))
    return config
