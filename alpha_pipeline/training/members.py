"""The members of an ensemble in one stage, trained side by side on the same batches: each with a step of its own.

:class:`Executor` is what the loop needs; :class:`OneByOne` here is the plain one, :mod:`~alpha_pipeline.training.stacked` the one
for GPUs. With :class:`OneByOne` a member gets the same bits as if it were trained alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor

from alpha_pipeline.models.contract import Network, Stage
from alpha_pipeline.training.batches import Batch, SampleSet
from alpha_pipeline.training.objective import Objective, Target
from alpha_pipeline.training.resume import TrainingState, Weights, cpu_copy
from alpha_pipeline.training.spec import TrainingSpec

logger = logging.getLogger("alpha_pipeline.training")

Moments = dict[int, dict[str, Tensor]]


class Executor(Protocol):
    """Members in a fixed order. ``frozen``: output of the stage's frozen part per member and sample, or None."""

    def train(self, batch: Batch, targets: Sequence[Target], frozen: Sequence[Tensor] | None) -> list[float]:
        """One optimizer step of every member; the losses before it."""
        ...

    def outputs(self, batch: Batch, frozen: Sequence[Tensor] | None) -> list[Tensor]:
        """What each member says of a batch in eval mode, (N,) or (N, K) each, without gradients."""
        ...

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with these members only."""
        ...

    def state(self, position: int) -> tuple[Weights, Moments]:
        """CPU copies of a member's weights and of Adam's tensors by parameter number."""
        ...


class OneByOne:
    """Each member does its own forward pass, backward pass and step, on windows that were built once."""

    name = "one_by_one"

    def __init__(self, networks: Sequence[Network], states: Sequence[TrainingState], stage: Stage, spec: TrainingSpec,
                 device: torch.device) -> None:
        self._spec, self._device, self._objective = spec, device, Objective(spec)
        self._networks = list(networks)
        self._parameters = [network.trainable(stage) for network in networks]
        self._optimizers = []
        for parameters, state in zip(self._parameters, states, strict=True):
            optimizer = torch.optim.Adam(parameters, lr=spec.lr)
            if state.optimizer:
                optimizer.load_state_dict({**optimizer.state_dict(), "state": state.optimizer})
            self._optimizers.append(optimizer)

    def train(self, batch: Batch, targets: Sequence[Target], frozen: Sequence[Tensor] | None) -> list[float]:
        draws = _RandomState(self._device) if len(self._networks) > 1 else None
        values = []
        for at, (network, optimizer) in enumerate(zip(self._networks, self._optimizers, strict=True)):
            if draws is not None:
                draws.restore()  # every member draws what it would draw alone
            network.train()
            output = forward(network, batch, None if frozen is None else frozen[at], self._spec, self._device)
            loss = torch.stack([self._objective(output[part], target) for part, target in zip(batch.parts, targets, strict=True)]).mean()
            values.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            if self._spec.grad_clip is not None:
                torch.nn.utils.clip_grad_norm_(self._parameters[at], self._spec.grad_clip)
            optimizer.step()
        return values

    def outputs(self, batch: Batch, frozen: Sequence[Tensor] | None) -> list[Tensor]:
        with torch.no_grad():
            return [forward(network.eval(), batch, None if frozen is None else frozen[at], self._spec, self._device)
                    for at, network in enumerate(self._networks)]

    def keep(self, positions: Sequence[int]) -> None:
        self._networks = [self._networks[at] for at in positions]
        self._parameters = [self._parameters[at] for at in positions]
        self._optimizers = [self._optimizers[at] for at in positions]

    def state(self, position: int) -> tuple[Weights, Moments]:
        moments = self._optimizers[position].state_dict()["state"]
        return cpu_copy(self._networks[position].state_dict()), {at: cpu_copy(tensors) for at, tensors in moments.items()}


class _RandomState:
    """The state of torch's generators when this was made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state(device) if self._device is not None else None

    def restore(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._device is not None and self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)


def forward(network: Network, batch: Batch, frozen: Tensor | None, spec: TrainingSpec, device: torch.device) -> Tensor:
    """Output (N,) or (N, K) of a whole batch; a network that compares stocks is called once per date."""
    outputs = []
    with precision(spec, device):
        for part, inputs in batch.calls(network.config):
            if frozen is None:
                outputs.append(network(inputs))
            else:
                outputs.append(network(inputs, frozen=frozen[torch.from_numpy(batch.samples[part]).to(device)]))
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return output.float() if output.dtype == torch.bfloat16 else output


def warn_of_slow_precision(spec: TrainingSpec, device: torch.device) -> None:
    """Say once per training that ``bfloat16`` costs time on a CPU instead of saving it."""
    if spec.precision == "bfloat16" and device.type == "cpu":
        logger.warning("precision 'bfloat16' saves time on CUDA only: on a CPU it is slower than 'float32' and shows its effect on the scores")


def precision(spec: TrainingSpec, device: torch.device) -> AbstractContextManager[object]:
    """The block in which forward passes run: autocast for ``bfloat16``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=spec.precision == "bfloat16")


def frozen_outputs(networks: Sequence[Network], stage: Stage, samples: SampleSet, device: torch.device) -> list[Tensor] | None:
    """Output of the stage's frozen part, (n_samples,) per member, computed once per stage; None if there is no such part."""
    kept: list[list[Tensor]] = [[] for _ in networks]
    with torch.no_grad():
        for batch in samples.cross_sections(stage.inputs, device, reuse_memory=True):
            for network, own in zip(networks, kept, strict=True):
                for _, inputs in batch.calls(network.config):
                    output = network.eval().frozen_output(inputs)
                    if output is None:
                        return None
                    own.append(output)
    return [torch.cat(own) for own in kept]
