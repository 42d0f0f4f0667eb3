"""All members of an ensemble in one forward and one backward pass: weights stacked along a first axis, ``torch.func.vmap`` over it.

Used on CUDA, where three small networks take hardly longer than one. Not on the CPU: the fused kernels have no rule for vmap, and
plain torch operations gain nothing. The numbers equal those of :class:`~alpha_pipeline.training.members.OneByOne` to rounding, not
to the bit. Letters: M members, N stocks, K factors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from alpha_pipeline.models.contract import Network, Stage
from alpha_pipeline.training.batches import Batch
from alpha_pipeline.training.members import Moments, precision
from alpha_pipeline.training.objective import Objective, Target
from alpha_pipeline.training.resume import TrainingState, Weights
from alpha_pipeline.training.spec import TrainingSpec


class Stacked:
    """Members as slices of the same tensors; Adam works element by element, the gradient norm is clipped per member."""

    name = "stacked"

    def __init__(self, networks: Sequence[Network], states: Sequence[TrainingState], stage: Stage, spec: TrainingSpec,
                 device: torch.device) -> None:
        self._spec, self._device, self._objective = spec, device, Objective(spec)
        self._network = networks[0]  # lends its code; its own weights are not used
        learning = {id(p) for p in self._network.trainable(stage)}
        by_id = {id(p): name for name, p in self._network.named_parameters()}
        # the order of the parameters is that of the member's own optimizer, so that either executor can continue the other's state
        self._names = [by_id[id(p)] for p in self._network.trainable(stage)]
        parameters, self._rest = stack_module_state([network.eval() for network in networks])
        self._trained = {name: parameters[name].detach().clone().requires_grad_() for name in self._names}
        self._rest |= {name: parameters[name].detach().clone() for name, p in self._network.named_parameters() if id(p) not in learning}
        moments: Moments = {at: {} for at in states[0].optimizer}
        for at, own in states[0].optimizer.items():
            for name in own:
                tensors = [state.optimizer[at][name] for state in states]
                moments[at][name] = tensors[0] if name == "step" else torch.stack(tensors)
        self._optimizer = self._adam(moments)

    def train(self, batch: Batch, targets: Sequence[Target], frozen: Sequence[Tensor] | None) -> list[float]:
        losses_M = self._losses(batch, targets, frozen)
        values: list[float] = losses_M.tolist()
        self._optimizer.zero_grad()
        losses_M.sum().backward()  # a member's loss depends on its own slice alone
        if self._spec.grad_clip is not None:
            self._clip(self._spec.grad_clip)
        self._optimizer.step()
        return values

    def check(self, batch: Batch, targets: Sequence[Target], frozen: Sequence[Tensor] | None) -> str:
        """Why this network cannot be trained stacked, or an empty text; nothing is changed."""
        kept = self._rest
        self._rest = {name: tensor.clone() for name, tensor in kept.items()}
        try:
            self._losses(batch, targets, frozen).sum().backward()
            self.outputs(batch, frozen)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            return str(error).splitlines()[0]
        finally:
            self._rest = kept
            self._optimizer.zero_grad()
        return ""

    def outputs(self, batch: Batch, frozen: Sequence[Tensor] | None) -> list[Tensor]:
        self._network.eval()
        with torch.no_grad():
            return list(self._forward(batch, frozen))

    def keep(self, positions: Sequence[int]) -> None:
        at = torch.tensor(list(positions), device=self._device)
        moments: Moments = {
            number: {name: tensor if name == "step" else tensor[at] for name, tensor in own.items()}
            for number, own in self._optimizer.state_dict()["state"].items()
        }
        self._trained = {name: tensor.detach()[at].requires_grad_() for name, tensor in self._trained.items()}
        self._rest = {name: tensor[at] for name, tensor in self._rest.items()}
        self._optimizer = self._adam(moments)

    def state(self, position: int) -> tuple[Weights, Moments]:
        everything = {**self._trained, **self._rest}
        weights = {name: everything[name][position].detach().cpu().clone() for name in self._network.state_dict()}
        moments = {
            number: {name: (tensor if name == "step" else tensor[position]).detach().cpu().clone() for name, tensor in own.items()}
            for number, own in self._optimizer.state_dict()["state"].items()
        }
        return weights, moments

    def _adam(self, moments: Moments) -> torch.optim.Adam:
        optimizer = torch.optim.Adam([self._trained[name] for name in self._names], lr=self._spec.lr)
        if moments:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
        return optimizer

    def _losses(self, batch: Batch, targets: Sequence[Target], frozen: Sequence[Tensor] | None) -> Tensor:
        """(M,) mean over the dates of the batch, in train mode."""
        self._network.train()
        outputs = self._forward(batch, frozen)

        def loss(output: Tensor) -> Tensor:
            return torch.stack([self._objective(output[part], target) for part, target in zip(batch.parts, targets, strict=True)]).mean()

        losses: Tensor = vmap(loss)(outputs)
        return losses

    def _forward(self, batch: Batch, frozen: Sequence[Tensor] | None) -> Tensor:
        """(M, N) or (M, N, K). Batch-norm statistics are updated in place, in the stacked buffers."""
        outputs = []
        with precision(self._spec, self._device):
            for part, inputs in batch.calls(self._network.config):
                if frozen is None:
                    def call(trained: Weights, rest: Weights, inputs: dict[str, Tensor] = inputs) -> Tensor:
                        return functional_call(self._network, {**trained, **rest}, (inputs,))

                    outputs.append(vmap(call, randomness="same")(self._trained, self._rest))
                else:
                    at = torch.from_numpy(batch.samples[part]).to(self._device)
                    own = torch.stack([kept[at] for kept in frozen])

                    def call_with(trained: Weights, rest: Weights, kept: Tensor, inputs: dict[str, Tensor] = inputs) -> Tensor:
                        return functional_call(self._network, {**trained, **rest}, (inputs,), {"frozen": kept})

                    outputs.append(vmap(call_with, randomness="same")(self._trained, self._rest, own))
        output: Tensor = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)
        return output.float() if output.dtype == torch.bfloat16 else output

    def _clip(self, limit: float) -> None:
        """As ``clip_grad_norm_``, per member."""
        gradients = [tensor.grad for tensor in self._trained.values() if tensor.grad is not None]
        norm_M = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        factor_M = (limit / (norm_M + 1e-6)).clamp(max=1.0)
        for g in gradients:
            g.mul_(factor_M.view(-1, *(1 for _ in g.shape[1:])))
