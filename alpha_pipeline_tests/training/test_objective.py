"""Weighted and neutralized losses, and settings that cannot work together."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from alpha_pipeline.cross_section import residualize
from alpha_pipeline.errors import InvalidSpec, NotEnoughData
from alpha_pipeline.models.gru_daily import GruDaily
from alpha_pipeline.training.losses import mse, negative_ic
from alpha_pipeline.training.objective import Objective, Target, check_combination, orthonormal_basis, residual
from alpha_pipeline.training.spec import TrainingSpec

N = 60


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exposures() -> torch.Tensor:
    """Two styles and three industries; the industries add up to the constant, and one column repeats another."""
    styles = numbers(N, 2, seed=1).float()
    industry = torch.nn.functional.one_hot(torch.arange(N) % 3, 3).float()
    return torch.cat([styles, industry, 4 * styles[:, :1], torch.zeros(N, 1)], dim=1)


def target(objective: Objective, y: torch.Tensor) -> Target:
    return objective.target(y, y > y.median(), exposures())


class TestExamples:
    def test_residual_equals_a_regression(self) -> None:
        y, factors = numbers(N), numbers(N, 3, seed=2)
        basis = orthonormal_basis(exposures())
        assert basis.shape == (N, 5)  # constant, two styles, two of three industries
        columns = np.column_stack([np.ones(N), exposures().double().numpy()])
        np.testing.assert_allclose(residual(y, basis), residualize(y.numpy(), columns), atol=1e-7)
        for k in range(3):
            np.testing.assert_allclose(residual(factors, basis)[:, k], residual(factors[:, k], basis), atol=1e-12)

    def test_top_half_weighs_double(self) -> None:
        x, y = numbers(N), numbers(N, seed=3)
        weight = 1.0 + (y > np.median(y)).double()
        for name, loss in (("mse", mse), ("negative_ic", negative_ic)):
            objective = Objective(TrainingSpec(loss=name, top_half_weight=2.0))
            assert objective(x, target(objective, y)).item() == pytest.approx(loss(x, y, weight).item())

    def test_plain_is_the_loss_itself(self) -> None:
        x, y = numbers(N), numbers(N, seed=3)
        objective = Objective(TrainingSpec())
        assert objective(x, target(objective, y)).item() == negative_ic(x, y).item()

    def test_halves_are_per_date(self, market: Any) -> None:
        samples = market.samples(range(11, 16))
        (mixed,) = samples.shuffled(("daily",), torch.device("cpu"), batch_size=10**6, generator=np.random.default_rng(0))
        for date in samples.dates:
            own = mixed.date_index == date
            label, is_top = mixed.label.numpy()[own], mixed.is_top_half.numpy()[own]
            assert is_top.sum() == len(label) // 2
            assert label[is_top].min() > label[~is_top].max()


class TestProperties:
    def test_basis_is_orthonormal_to_the_last_digits(self) -> None:
        basis = orthonormal_basis(torch.cat([exposures(), 1e-4 * numbers(N, 1).float() + exposures()[:, :1]], dim=1))
        assert basis.shape[1] == 6
        np.testing.assert_allclose(basis.t() @ basis, np.eye(6), atol=1e-13)

    @pytest.mark.parametrize("changes", [{"loss": "mse"}, {}, {"top_half_weight": 2.0}, {"loss": "factor_ic"}], ids=str)
    def test_gradient_of_the_neutralized_loss(self, changes: dict[str, Any]) -> None:
        objective = Objective(TrainingSpec(neutralize=True, **changes))
        x = numbers(N, 3) if changes.get("loss") == "factor_ic" else numbers(N)
        found = target(objective, numbers(N, seed=3))
        assert torch.autograd.gradcheck(lambda p: objective(p, found), (x.requires_grad_(True),))

    def test_the_neutralized_loss_does_not_see_exposures(self) -> None:
        objective = Objective(TrainingSpec(loss="mse", neutralize=True))
        x, found = numbers(N), target(objective, numbers(N, seed=3))
        moved = x + 7.0 + exposures().double() @ numbers(7, seed=4)
        assert objective(moved, found).item() == pytest.approx(objective(x, found).item(), abs=1e-6)

    def test_float32_output_keeps_its_dtype(self) -> None:
        assert residual(numbers(N).float(), orthonormal_basis(exposures())).dtype == torch.float32


@dataclasses.dataclass(frozen=True)
class Unit(GruDaily):
    """A factor unit on paper."""

    needs: bool = False
    cross: bool = False
    n_factors = 4  # type: ignore[assignment]

    @property
    def is_cross_sectional(self) -> bool:
        return self.cross

    @property
    def needs_exposures(self) -> bool:
        return self.needs


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "config", "message"),
        [
            ({"loss": "mse"}, GruDaily(), "loss 'mse' sees the level of the scores"),
            ({"loss": "factor_ic"}, GruDaily(), "loss 'factor_ic' needs a network with two factors"),
            ({"batch_mode": "shuffled"}, Unit(cross=True), "compares the stocks of one date"),
            ({"neutralize": True}, GruDaily(), "the model has no exposures"),
            ({}, Unit(needs=True), "this network reads exposures"),
        ],
    )
    def test_refused(self, settings: dict[str, Any], config: Any, message: str) -> None:
        with pytest.raises(InvalidSpec, match=message):
            check_combination(TrainingSpec(**settings), config, has_exposures=False)

    def test_allowed(self) -> None:
        check_combination(TrainingSpec(loss="mse"), GruDaily(learn_shift=True), has_exposures=False)
        check_combination(TrainingSpec(loss="mse", neutralize=True), GruDaily(), has_exposures=True)
        check_combination(TrainingSpec(loss="mse"), Unit(), has_exposures=False)
        check_combination(TrainingSpec(loss="factor_ic"), Unit(cross=True, needs=True), has_exposures=True)

    def test_neutralize_needs_whole_dates(self) -> None:
        with pytest.raises(InvalidSpec, match="neutralize needs whole dates"):
            TrainingSpec(neutralize=True, batch_mode="shuffled")

    def test_too_few_stocks_for_the_exposures(self) -> None:
        objective = Objective(TrainingSpec(neutralize=True))
        with pytest.raises(NotEnoughData, match="too few stocks to neutralize .got 6 stocks"):
            objective.target(numbers(6), numbers(6) > 0, numbers(6, 5, seed=1).float())
