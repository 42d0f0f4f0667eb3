"""What a model's spec means on a market: its sessions, panels, windows, labels and network. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from alpha_pipeline.cross_section import residualize, winsorize_mad, zscore
from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.experiment import ModelSpec
from alpha_pipeline.features.labels import by_formation, standardize_labels
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.market.universe import tradable_next_day
from alpha_pipeline.pipeline.exposures import HISTORY_DAYS, exposures_of
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.training.periods import TrainingPlan, period_named

if TYPE_CHECKING:
    from alpha_pipeline.features.windows import Windows
    from alpha_pipeline.models import NetworkConfig


def min_history(spec: ModelSpec) -> int:
    """Sessions that the longest of the model's windows reads."""
    return max(TENSORS[name].n_rows for name in spec.tensors)


def data_history(spec: ModelSpec) -> int:
    """Sessions, its own included, of which a sample's inputs and label can depend: windows, and exposures if the model or its label has any."""
    return max(min_history(spec), HISTORY_DAYS if spec.exposures or spec.label_neutral else 1)


def panel_names(spec: ModelSpec) -> list[str]:
    """Panels that training reads."""
    exposed = ["daily"] if (spec.exposures or spec.label_neutral) and "daily" not in spec.panels() else []
    return [*spec.panels(), *exposed, "status", f"label_{spec.label.name}"]


def training_plan(work: Workspace, spec: ModelSpec, period: str) -> TrainingPlan:
    """Exact sessions of a period: sampled, split and purged."""
    return spec.walk.plan(period_named(period), work.calendar, min_history=min_history(spec))


@dataclass(frozen=True)
class SampleData:
    """Universe and standardized labels by formation date, rows from ``offset`` of the panels."""

    universe: np.ndarray
    labels: np.ndarray
    offset: int


def sample_data(panels: MarketPanels, spec: ModelSpec, start: int, stop: int, days: Sequence[int]) -> SampleData:
    """Labels use rows before ``stop`` only. Names that cannot be traded on the session after formation carry no label: the reports' sample
    filter, which never touches features or the universe they are standardized over. ``days``: the formation dates, as rows from ``start``, that
    must have labels; with ``label_neutral`` no other row has any."""
    universe = panels.universe(spec.universe, start, stop)
    label_panel = panels.label(spec.label.name)
    realized = label_panel.field("return", start, stop)
    tradable = tradable_next_day(panels.status.field("flags", start, stop))
    formed, mask = by_formation(realized, spec.label), universe & tradable
    labels = neutral_labels(panels, spec.label_neutral, formed, mask, start, stop, days) if spec.label_neutral else standardize_labels(formed, mask)
    return SampleData(universe, labels, start)


def neutral_labels(panels: MarketPanels, names: Sequence[str], formed_DS: np.ndarray, mask_DS: np.ndarray, start: int, stop: int,
                   days: Sequence[int]) -> np.ndarray:
    """(D, S) labels of the rows ``days`` winsorized at 3 MAD, freed of the exposures ``names`` by a regression with a constant over the stocks of the mask, z-scored.

    Exposures are those known at the close of the formation date; the regression of a date uses that date alone. A stock without one of them has no
    label; the first of the days needs ``HISTORY_DAYS`` − 1 rows before it, or all that there are. Source: RISKCONTROL (industry and size; with three price-volume styles), ATTENTION (risk-adjusted).
    """
    result = np.full(formed_DS.shape, np.nan)
    dates = sorted(days)
    exposures = exposures_of(panels, names, start, stop, dates)
    raw = winsorize_mad(formed_DS[dates], mask=mask_DS[dates])
    for row, at in enumerate(dates):
        # of the stocks that count alone: what lists later must not change how numbers are summed
        kept = np.flatnonzero(np.isfinite(raw[row]) & np.isfinite(exposures.values[row]).all(axis=1))
        if len(kept):
            design = np.column_stack([np.ones(len(kept)), exposures.values[row, kept].astype(np.float64)])
            design = design[:, (design != 0).any(axis=0)]  # without the industries that list later, for the same reason
            result[at, kept] = zscore(residualize(raw[row, kept], design))
    return result


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


def network_config(spec: ModelSpec, device: str = "cuda") -> NetworkConfig:
    """The configuration of the model's network; raises when the spec's tensors are not the network's inputs, or when its settings cannot work
    together (on this type of device)."""
    from alpha_pipeline.models import NETWORKS
    from alpha_pipeline.models import network_config as named
    from alpha_pipeline.training.objective import check_combination

    kind = named(spec.network, NETWORKS)
    known = [f.name for f in fields(kind)]
    for name, _ in spec.settings:
        if name not in known:
            raise unknown_name(f"setting of network '{spec.network}'", name, known)
    config = kind(**dict(spec.settings))
    check_combination(spec.training, config, has_exposures=bool(spec.exposures), device_type=device)
    if set(config.inputs) != set(spec.tensors):
        raise InvalidSpec(sentence("the network reads other tensors", where=f"model '{spec.name}'", got=", ".join(spec.tensors),
                                   expected=", ".join(config.inputs)))
    return config
