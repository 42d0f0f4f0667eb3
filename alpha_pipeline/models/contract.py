"""What every network promises, and what the one training loop may rely on.

A network is a ``torch.nn.Module`` that maps named feature tensors to one score per stock, or to K factors per stock (a factor
unit, ``config.n_factors`` = K). It knows nothing of dates, files, losses or optimizers. Shape letters used throughout the
package: T steps (oldest first), F fields, N stocks, H hidden units, K factors, E exposures.

The training loop needs no knowledge of any particular network::

    net = config.build(torch.Generator().manual_seed(seed))
    for stage in net.stages():                       # most networks have the single stage "all"
        net.enter(stage)                             # sets requires_grad, and what net.train() switches on
        optimizer = Adam(net.trainable(stage))
        net.train()
        ... inputs: {name: x_TFN for name in stage.inputs}
        score_N = net(inputs)
        net.eval()
        ... validation scores of this stage: net(inputs)
    # after the last stage, or after load_state_dict on a freshly built network: the finished score
    score_N = net.eval()(inputs)

Where a stage leaves a part of the network untouched, that part's output depends on the stock's own input alone and may be kept::

    kept_N = net.frozen_output({name: ... for name in stage.inputs})     # None if the stage has no such part
    score_N = net({name: ... for name in stage.inputs_when_cached}, frozen=kept_N)

Most networks treat each stock alone in ``eval()`` mode. One that compares the stocks of a date with one another, such as the
orthogonal layer, says so with ``config.is_cross_sectional``: the loop then calls it with the whole cross-section of one date, in
training, validation and scoring. If ``config.needs_exposures``, ``inputs["exposures"]`` (N, E) holds the stocks' standardized
exposures (industries as dummies), finite and without a constant.

Two rules follow from the loss of the reports, −IC, which does not see the level of the scores:

* The parameters that only shift all scores alike (bias of the last layer and of the batch norm before it) have a true gradient
  of zero; Adam divides rounding noise by its own size and lets them walk. They stay in the module, so that parameter counts are
  the published ones, but :meth:`Network.trainable` leaves them out and their ``requires_grad`` is False, unless the
  configuration says ``learn_shift=True``, which a loss that sees the level (MSE) needs.
* In ``train()`` mode the batch norm uses the statistics of the batch, so a batch needs at least two stocks; in ``eval()`` mode it
  uses running statistics and a stock's score does not depend on the other stocks of the call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, sentence, unknown_name
from alpha_pipeline.features.tensors import tensor_spec
from alpha_pipeline.models.head import ScoreHead


@dataclass(frozen=True)
class Stage:
    """A part of the training that runs to convergence before the next one starts.

    Attributes
    ----------
    name
        Unique within the network; appears in training curves and checkpoints.
    inputs
        Names of the tensors that ``net(inputs)`` and ``net.frozen_output(inputs)`` read in this stage.
    inputs_when_cached
        Names of the tensors that ``net(inputs, frozen=...)`` reads; equal to ``inputs`` where nothing can be cached.
    """

    name: str
    inputs: tuple[str, ...]
    inputs_when_cached: tuple[str, ...]


@dataclass(frozen=True)
class NetworkConfig(ABC):
    """Settings of one network; a subclass is a frozen dataclass and the only way to build that network."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the finished network reads, e.g. ``("daily", "intraday_15m")``."""

    @property
    def n_factors(self) -> int:
        """0 for a score (N,); K for a factor unit, whose output is (N, K)."""
        return 0

    @property
    def is_cross_sectional(self) -> bool:
        """Whether the output of a stock depends on the other stocks of the call in ``eval()`` mode."""
        return False

    @property
    def needs_exposures(self) -> bool:
        """Whether ``inputs["exposures"]`` must be given."""
        return False

    @abstractmethod
    def create(self, generator: torch.Generator) -> Network:
        """The bare module with its initial weights; callers use :meth:`build`."""

    def build(self, generator: torch.Generator) -> Network:
        """A new network on the CPU in its last stage, ready for ``load_state_dict`` and scoring.

        The weights depend on ``generator`` alone; the global random state is neither read nor advanced.
        """
        network = self.create(generator)
        network.enter(self.stages()[-1])
        return network

    def stages(self) -> tuple[Stage, ...]:
        """The stages in training order; by default one, ``"all"``."""
        return (Stage("all", self.inputs, self.inputs),)


class Network(nn.Module, ABC):
    """Base of all networks. A subclass builds its modules in ``__init__`` and implements :meth:`forward`.

    The current stage is not part of ``state_dict``: a loop that resumes calls :meth:`enter` before it goes on.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.stage = config.stages()[-1]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the finished network reads."""
        return self.config.inputs

    def stages(self) -> tuple[Stage, ...]:
        """The stages in training order."""
        return self.config.stages()

    @abstractmethod
    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """Score, or factors, of every stock in the current stage.

        Parameters
        ----------
        inputs
            Tensor name -> x_TFN, float32, steps oldest first, standardized and finite. Names beyond those needed are ignored.
            A NaN in a stock's window makes that stock's score NaN (in ``train()`` mode, through the batch norm, everybody's).
        frozen
            What :meth:`frozen_output` gave for the same stocks; only in a stage that has a frozen part.

        Returns
        -------
        Tensor
            (N,), or (N, K) for a factor unit; no unit; only the order and the relative distances carry meaning. Known when the
            last step is.

        Raises
        ------
        MissingData
            A tensor that the stage needs is not in ``inputs``.
        Misaligned
            A tensor is not (T, F, N) with the configured number of fields, or the tensors disagree on N.
        NotEnoughData
            Fewer than two stocks in ``train()`` mode.
        """

    def frozen_output(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """What the current stage's frozen part adds to the score, (N,), without gradient; None if the stage has no such part.

        It is the same in every epoch and for every composition of the batch, so the loop may compute it once per sample.
        """
        return None

    def trained_modules(self, stage: Stage) -> tuple[nn.Module, ...]:
        """Direct children that learn in ``stage``; the others keep parameters *and* batch-norm statistics. By default all."""
        return tuple(self.children())

    def trainable(self, stage: Stage) -> list[nn.Parameter]:
        """The parameters to hand to the optimizer in ``stage``, in a fixed order."""
        self._check_stage(stage)
        fixed = {id(p) for module in self.modules() if isinstance(module, ScoreHead) for p in module.fixed_parameters()}
        return [p for module in self.trained_modules(stage) for p in module.parameters() if id(p) not in fixed]

    def enter(self, stage: Stage) -> None:
        """Make ``stage`` the current one: set ``requires_grad`` of every parameter and the mode of every module."""
        learning = {id(p) for p in self.trainable(stage)}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in learning)
            if id(parameter) not in learning:
                parameter.grad = None
        self.stage = stage
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """As in torch, except that the parts that do not learn in the current stage stay in ``eval()`` mode."""
        super().train(False)
        if mode:
            self.training = True
            for module in self.trained_modules(self.stage):
                module.train()
        return self

    def _check_stage(self, stage: Stage) -> None:
        if stage not in self.stages():
            raise InvalidSpec(sentence("stage does not belong to this network", where=type(self).__name__, got=stage.name,
                                       expected=f"one of {', '.join(s.name for s in self.stages())}",
                                       next_step="Take the stages from net.stages()."))


def fields_of(tensor: str, n_fields: int | None) -> int:
    """``n_fields``, or where it is None those of the registered tensor of that name. Raises UnknownName for a tensor that is not registered."""
    return tensor_spec(tensor).n_fields if n_fields is None else n_fields


def read_inputs(inputs: Mapping[str, Tensor], n_fields: Mapping[str, int], where: str, n_steps: int | None = None) -> list[Tensor]:
    """The tensors named in ``n_fields`` (name -> expected number of fields), in that order, after checking their shapes.

    ``n_steps`` is for networks that have weights per step and can read no other length.

    Raises
    ------
    MissingData, Misaligned
        As listed at :meth:`Network.forward`.
    """
    tensors = []
    for name, fields in n_fields.items():
        if name not in inputs:
            raise MissingData(sentence(f"the network needs the tensor '{name}'", where=where,
                                       got=", ".join(inputs) or "no tensor", next_step="Add it to the model's features."))
        x_TFN = inputs[name]
        if x_TFN.ndim != 3 or x_TFN.shape[0] < 1 or x_TFN.shape[1] != fields:
            raise Misaligned(sentence(f"tensor '{name}' has the wrong shape", where=where, got=tuple(x_TFN.shape),
                                      expected=f"(steps, {fields} fields, stocks)",
                                      next_step="Check the feature specification, or set n_fields of the network."))
        if n_steps is not None and x_TFN.shape[0] != n_steps:
            raise Misaligned(sentence(f"tensor '{name}' has the wrong length", where=where, got=f"{x_TFN.shape[0]} steps",
                                      expected=n_steps, next_step="Check the feature specification, or set n_steps of the network."))
        tensors.append(x_TFN)
    if len({x_TFN.shape[2] for x_TFN in tensors}) > 1:
        raise Misaligned(sentence("the tensors differ in their number of stocks", where=where,
                                  got=", ".join(f"{name} {x.shape[2]}" for name, x in zip(n_fields, tensors, strict=True)),
                                  expected="the same stocks in the same order", next_step="Build them for one universe."))
    return tensors


def network_config(name: str, registry: Mapping[str, type[NetworkConfig]]) -> type[NetworkConfig]:
    """The configuration class registered under ``name``.

    Raises
    ------
    UnknownName
        With the known names and the nearest of them.
    """
    if name not in registry:
        raise unknown_name("network", name, tuple(registry))
    return registry[name]
