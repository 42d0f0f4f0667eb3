"""Losses against scipy, and what happens at the edge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from alpha_pipeline.errors import UnknownName
from alpha_pipeline.training.losses import LOSSES, Loss, loss_named, mse, negative_ic
from alpha_pipeline.training.validation import correlation, validate


def pair(n: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=generator, dtype=torch.float64), torch.randn(n, generator=generator, dtype=torch.float64)


class TestExamples:
    def test_equals_scipy(self) -> None:
        x, y = pair()
        assert negative_ic(x, y).item() == pytest.approx(-stats.pearsonr(x, y).statistic, abs=1e-10)
        assert mse(x, y).item() == pytest.approx(((x - y) ** 2).mean().item())

    def test_a_weight_of_two_is_a_stock_counted_twice(self) -> None:
        x, y = pair(6)
        weight, twice = torch.tensor([2.0, 1, 1, 1, 2, 1], dtype=torch.float64), [0, 0, 1, 2, 3, 4, 4, 5]
        for loss in LOSSES.values():
            assert loss(x, y, weight).item() == pytest.approx(loss(x[twice], y[twice]).item(), abs=1e-9)

    def test_validation_means_over_dates(self) -> None:
        pairs = [pair(20, 1), pair(30, 2), (torch.ones(5, dtype=torch.float64), pair(5)[1])]
        found = validate(pairs, negative_ic)
        assert found.ic is not None
        assert found.ic == pytest.approx(np.mean([stats.pearsonr(*p).statistic for p in pairs[:2]]))
        assert found.rank_ic == pytest.approx(np.mean([stats.spearmanr(*p).statistic for p in pairs[:2]]))
        assert found.loss == pytest.approx(-found.ic * 2 / 3, abs=1e-6)  # the date without an IC has a loss of 0
        assert validate(pairs[2:], negative_ic).ic is None
        assert correlation(np.array([1.0, np.nan]), np.array([1.0, 2.0])) is None


class TestProperties:
    def test_ic_sees_neither_level_nor_size(self) -> None:
        x, y = pair()
        assert negative_ic(1e-2 * x + 7, y).item() == pytest.approx(negative_ic(x, y).item(), abs=1e-7)

    @pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
    def test_gradients(self, loss: Loss) -> None:
        x, y = pair(7)
        assert torch.autograd.gradcheck(lambda p: loss(p, y), (x.requires_grad_(True),))

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
