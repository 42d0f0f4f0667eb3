"""What the loop minimizes: a loss on the output of a network, or on its residual, with weights; and what it refuses to combine.

    loss of a date = loss(output − projection of the output on [1, exposures], label, weight)        the projection only with ``neutralize``

The projection is an orthonormal basis of the exposures, computed in float64 once per date and the same for all members, so its
gradient is a second projection: exact, and indifferent to redundant exposures.

Source: ALPHANET v2.2 (residual) and v2.3 (weights). Letters: N stocks, E exposures, K factors, R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from alpha_pipeline.errors import InvalidSpec, NotEnoughData, sentence
from alpha_pipeline.models.contract import NetworkConfig
from alpha_pipeline.training.losses import factor_ic, loss_named, score_of
from alpha_pipeline.training.spec import TrainingSpec

_RANK_TOLERANCE = 1e-10  # of the squared singular values of exposures scaled to equal length; they are float32, rounded at 1e-7


@dataclass(frozen=True, eq=False)
class Target:
    """What the outputs of one date are held against: ``label`` (N,), ``weight`` (N,) or None, ``basis`` (N, R) float64 or None."""

    label: Tensor
    weight: Tensor | None
    basis: Tensor | None


class Objective:
    """The loss of a :class:`TrainingSpec`, bound to its settings."""

    def __init__(self, spec: TrainingSpec) -> None:
        self._loss: Callable[[Tensor, Tensor, Tensor | None], Tensor] = (
            partial(factor_ic, correlation_penalty=spec.correlation_penalty) if spec.loss == "factor_ic" else loss_named(spec.loss)
        )
        self._sees_factors = spec.loss == "factor_ic"
        self._spec = spec

    def target(self, label: Tensor, is_top_half: Tensor, exposures: Tensor | None) -> Target:
        """Everything about a date that does not depend on a member: (N,), (N,) bool, (N, E).

        Raises :class:`NotEnoughData` when the date has too few stocks for its exposures.
        """
        weight = basis = None
        if self._spec.top_half_weight != 1.0:
            weight = torch.where(is_top_half, self._spec.top_half_weight, 1.0).to(label.dtype)
        if self._spec.neutralize:
            assert exposures is not None, "check_combination comes first"
            basis = orthonormal_basis(exposures)
            if basis.shape[1] >= len(label) - 1:
                raise NotEnoughData(sentence("a date has too few stocks to neutralize", where="training", got=f"{len(label)} stocks",
                                             expected=f"more than {basis.shape[1] + 1} ({basis.shape[1]} independent exposures)",
                                             next_step="Raise min_stocks, or take fewer exposures."))
        return Target(label, weight, basis)

    def seen(self, output: Tensor, target: Target) -> Tensor:
        """The part of an output that the loss sees: (N,), or (N, K) for a loss of factors."""
        if not self._sees_factors:
            output = score_of(output)
        return output if target.basis is None else residual(output, target.basis)

    def __call__(self, output: Tensor, target: Target) -> Tensor:
        """The loss of one date, a scalar. ``output``: (N,) or (N, K)."""
        return self._loss(self.seen(output, target), target.label, target.weight)


def orthonormal_basis(exposures: Tensor) -> Tensor:
    """(N, R) float64, orthonormal columns that span [1, exposures]; redundant and empty columns do no harm.

    >>> dummies = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])   # they add up to the constant
    >>> orthonormal_basis(dummies).shape
    torch.Size([3, 2])
    """
    columns = torch.cat([torch.ones_like(exposures[:, :1]), exposures], dim=1).double()
    length = columns.norm(dim=0)
    columns = columns / torch.where(length > 0, length, 1.0)
    squares, directions = torch.linalg.eigh(columns.t() @ columns)
    used = squares > _RANK_TOLERANCE * squares[-1]
    rough = columns @ (directions[:, used] * squares[used].rsqrt())
    # normal equations lose half of the digits: a second pass (Cholesky QR) restores them
    factor = torch.linalg.cholesky(rough.t() @ rough)
    return torch.linalg.solve_triangular(factor, rough.t(), upper=False).t()


def residual(output: Tensor, basis: Tensor) -> Tensor:
    """What is left of (N,) or (N, K) after the regression on the columns of ``basis``; computed in float64, of the dtype of ``output``."""
    y = output.double()
    return (y - basis @ (basis.t() @ y)).to(output.dtype)


def check_combination(spec: TrainingSpec, config: NetworkConfig, *, has_exposures: bool) -> None:
    """Refuse settings that cannot work together, before anything is trained. Raises :class:`InvalidSpec`."""
    where = type(config).__name__
    problems: Mapping[str, tuple[bool, str]] = {
        "loss 'mse' sees the level of the scores, which this network does not learn": (
            spec.loss == "mse" and not spec.neutralize and config.n_factors == 0 and getattr(config, "learn_shift", True) is False,
            "Set learn_shift=True of the network, or neutralize=True, which takes the level away.",
        ),
        "loss 'factor_ic' needs a network with two factors or more": (
            spec.loss == "factor_ic" and config.n_factors < 2, "Choose a factor unit, or the loss 'negative_ic'."),
        "this network compares the stocks of one date, which shuffled batches mix": (
            config.is_cross_sectional and spec.batch_mode == "shuffled", "Set batch_mode='cross_section'."),
        "the loss is to be neutralized, and the model has no exposures": (
            spec.neutralize and not has_exposures, "Name them in the model's 'exposures'."),
        "this network reads exposures, and the model has none": (
            config.needs_exposures and not has_exposures, "Name them in the model's 'exposures'."),
    }
    for what, (is_wrong, advice) in problems.items():
        if is_wrong:
            raise InvalidSpec(sentence(what, where=f"network {where}", next_step=advice))
