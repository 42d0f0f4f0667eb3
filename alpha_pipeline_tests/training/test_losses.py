"""Losses against scipy, and what happens at the edge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from alpha_pipeline.errors import UnknownName
from alpha_pipeline.training.losses import LOSSES, Loss, factor_ic, loss_named, mse, negative_ic, score_of
from alpha_pipeline.training.validation import Validation, ValidationDates, correlation


def pair(n: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=generator, dtype=torch.float64), torch.randn(n, generator=generator, dtype=torch.float64)


def factors(n: int = 40, k: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed + 100), dtype=torch.float64)


def output_for(name: str, n: int) -> torch.Tensor:
    """What a network gives that is trained with this loss: scores, or factors."""
    return factors(n) if name == "factor_ic" else pair(n)[0]


def means(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> Validation:
    dates = ValidationDates()
    for score, label in pairs:
        dates.add(score, label, negative_ic(score, label))
    return dates.means()


class TestExamples:
    def test_equals_scipy(self) -> None:
        x, y = pair()
        assert negative_ic(x, y).item() == pytest.approx(-stats.pearsonr(x, y).statistic, abs=1e-10)
        assert mse(x, y).item() == pytest.approx(((x - y) ** 2).mean().item())

    def test_a_weight_of_two_is_a_stock_counted_twice(self) -> None:
        y = pair(6)[1]
        weight, twice = torch.tensor([2.0, 1, 1, 1, 2, 1], dtype=torch.float64), [0, 0, 1, 2, 3, 4, 4, 5]
        for name, loss in LOSSES.items():
            x = output_for(name, 6)
            assert loss(x, y, weight).item() == pytest.approx(loss(x[twice], y[twice]).item(), abs=1e-9)

    def test_validation_means_over_dates(self) -> None:
        pairs = [pair(20, 1), pair(30, 2), (torch.ones(5, dtype=torch.float64), pair(5)[1])]
        found = means(pairs)
        assert found.ic is not None
        assert found.ic == pytest.approx(np.mean([stats.pearsonr(*p).statistic for p in pairs[:2]]))
        assert found.rank_ic == pytest.approx(np.mean([stats.spearmanr(*p).statistic for p in pairs[:2]]))
        assert found.loss == pytest.approx(-found.ic * 2 / 3, abs=1e-6)  # the date without an IC has a loss of 0
        assert means(pairs[2:]).ic is None
        assert correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0])) is None

    def test_factor_ic_by_hand(self) -> None:
        f, y = factors(), pair()[1]
        ics = [stats.pearsonr(f[:, k], y).statistic for k in range(3)]
        combined = stats.pearsonr(stats.zscore(f.numpy()).sum(axis=1), y).statistic
        squares = [np.corrcoef(f.numpy().T)[i, j] ** 2 for i, j in ((0, 1), (0, 2), (1, 2))]
        expected = -(np.mean(ics) + combined) / 2 + 0.4 * np.mean(squares)
        assert factor_ic(f, y, correlation_penalty=0.4).item() == pytest.approx(expected, abs=1e-9)

    def test_factors_become_a_score(self) -> None:
        f, y = factors(), pair()[1]
        np.testing.assert_allclose(score_of(f), stats.zscore(f.numpy()).mean(axis=1), atol=1e-9)
        assert score_of(y) is y
        silent = torch.cat([f, torch.full((40, 1), 3.0, dtype=torch.float64)], dim=1)  # a factor without opinion counts as 0
        np.testing.assert_allclose(score_of(silent), score_of(f) * 3 / 4, atol=1e-9)
        for loss in (negative_ic, mse):
            assert loss(f, y).item() == loss(score_of(f), y).item()


class TestProperties:
    def test_ic_sees_neither_level_nor_size(self) -> None:
        x, y = pair()
        assert negative_ic(1e-2 * x + 7, y).item() == pytest.approx(negative_ic(x, y).item(), abs=1e-7)

    @pytest.mark.parametrize(("name", "loss"), LOSSES.items(), ids=LOSSES)
    def test_gradients(self, name: str, loss: Loss) -> None:
        y = pair(7)[1]
        for x in (output_for(name, 7), factors(7)):
            assert torch.autograd.gradcheck(lambda p: loss(p, y), (x.requires_grad_(True),))

    def test_a_penalty_pushes_factors_apart(self) -> None:
        """Two equal factors have a gradient of the penalty of zero; a tiny difference grows."""
        y = pair()[1]
        start = torch.stack([y, y + 1e-2 * factors(40, 1)[:, 0]], dim=1)
        found = {}
        for penalty in (0.0, 2.0):
            f = start.clone().requires_grad_(True)
            optimizer = torch.optim.Adam([f], lr=0.05)
            for _ in range(60):
                optimizer.zero_grad()
                factor_ic(f, y, correlation_penalty=penalty).backward()
                optimizer.step()
            found[penalty] = float(np.corrcoef(f.detach().numpy().T)[0, 1])
        assert found[0.0] > 0.95 > 0.6 > found[2.0]

    def test_equal_scores_give_zero_and_a_finite_gradient_towards_the_labels(self) -> None:
        _, y = pair()
        x = torch.full_like(y, 0.3, requires_grad=True)
        value = negative_ic(x, y)
        value.backward()
        assert value.item() == pytest.approx(0, abs=1e-6)
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()
        assert stats.pearsonr(-x.grad, y).statistic > 0.999


class TestErrors:
    def test_unknown_name(self) -> None:
        with pytest.raises(UnknownName, match="unknown loss 'negativ_ic'.*Did you mean 'negative_ic'"):
            loss_named("negativ_ic")
