"""How much memory a training will need, told before it starts; and whether the panels go to the device or stay on the host.

What a backward pass keeps is measured, not guessed: one forward pass over a few stocks, counting the tensors that autograd saves,
scaled to the largest batch. It is an estimate: workspaces of libraries and fragmentation come on top, hence the margin.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from alpha_pipeline.errors import NotEnoughData, sentence
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.models.contract import Network
from alpha_pipeline.training.batches import SampleSet
from alpha_pipeline.training.spec import TrainingSpec

logger = logging.getLogger("alpha_pipeline.training")

_PROBE_STOCKS = 32
_PROBE_CROSS_SECTION = 512  # a network that compares stocks needs more of them: some for every factor and exposure
_MARGIN = 0.9  # share of the free memory that is planned with
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes: ``windows`` of the largest batch, ``activations`` that its backward pass keeps, ``members``: weights, gradients, Adam."""

    windows: int
    activations: int
    members: int

    @property
    def total(self) -> int:
        return self.windows + self.activations + self.members


def memory_needed(network: Network, samples: SampleSet, spec: TrainingSpec, n_members: int, device: torch.device, *, stacked: bool) -> MemoryNeed:
    """What training these members takes on ``device``, panels not included.

    One by one, only one member's activations exist at a time; stacked, all of them. ``network`` itself is not touched.
    """
    n_stocks = min(spec.batch_size, samples.n_samples) if spec.batch_mode == "shuffled" else samples.largest_batch(spec.dates_per_batch)
    n_probe = min(n_stocks, _PROBE_CROSS_SECTION) if network.config.is_cross_sectional else _PROBE_STOCKS
    windows = activations = 0
    for stage in network.stages():
        steps = {name: samples.windows[name].spec for name in stage.inputs}
        windows = max(windows, sum(4 * tensor.n_steps * tensor.n_fields for tensor in steps.values()) * n_stocks)
        inputs = {name: torch.randn(tensor.n_steps, tensor.n_fields, n_probe, generator=_generator()).to(device)
                  for name, tensor in steps.items()}
        if network.config.needs_exposures and samples.exposures is not None:
            inputs["exposures"] = torch.randn(n_probe, len(samples.exposures.names), generator=_generator()).to(device)
        probe = copy.deepcopy(network).to(device)
        probe.enter(stage)
        activations = max(activations, _saved_bytes(probe.train(), inputs, device))
    scale = math.ceil(n_stocks / n_probe) * (n_members if stacked else 1)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    return MemoryNeed(windows, activations * scale, 4 * weights * n_members)


def check_memory(need: MemoryNeed, device: torch.device, *, free_bytes: int | None = None, advice: str = "") -> None:
    """Raise :class:`NotEnoughData` when it does not fit. ``free_bytes`` is asked of the device; where nobody knows it, all fits."""
    free = free_memory(device) if free_bytes is None else free_bytes
    if free is not None and need.total > _MARGIN * free:
        parts = ", ".join(f"{name} {_gib(getattr(need, name))}" for name in ("windows", "activations", "members"))
        raise NotEnoughData(sentence(f"training will not fit into the memory of {device}", where="train_model", got=f"{_gib(free)} free",
                                     expected=f"{_gib(need.total / _MARGIN)}: {parts}, and a margin", next_step=advice))


def free_memory(device: torch.device) -> int | None:
    """Free bytes of a CUDA device, or available bytes of the host; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if not _MEMINFO.exists():
        return None
    found = [line.split()[1] for line in _MEMINFO.read_text().splitlines() if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def placed(windows: Mapping[str, Windows], device: torch.device, reserved: int, *, free_bytes: int | None = None) -> dict[str, Windows]:
    """The windows over panels on ``device``; a panel that would not leave ``reserved`` bytes stays on the host, and the log says so.

    Windows of a panel on the host are copied to the device batch by batch: slower, and the same numbers.
    """
    free = free_memory(device) if free_bytes is None else free_bytes
    result = {}
    for name, tensor in windows.items():
        fits = free is None or tensor.panel_bytes + reserved <= _MARGIN * free
        if tensor.device.type == device.type or not fits:
            if not fits and device.type != "cpu":
                logger.warning("the panel of '%s' (%s) stays in host memory: %s of %s are free, %s of them are for training", name,
                               _gib(tensor.panel_bytes), _gib(free or 0), device, _gib(reserved))
            result[name] = tensor
            continue
        result[name] = tensor.to(device, free_bytes=free)
        free = None if free is None else free - tensor.panel_bytes
    return result


def _saved_bytes(network: Network, inputs: dict[str, Tensor], device: torch.device) -> int:
    """Bytes that autograd keeps for the backward pass of one call, inputs and parameters not included."""
    known = {tensor.untyped_storage().data_ptr() for tensor in (*inputs.values(), *network.parameters())}
    saved: dict[int, Tensor] = {}  # holding the tensors keeps their addresses from being used again

    def pack(tensor: Tensor) -> Tensor:
        saved.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        network(inputs)
    return sum(tensor.untyped_storage().nbytes() for address, tensor in saved.items() if address not in known)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.2f} GiB"
