"""The orthogonal layer: against scipy and numpy, its gradient, degenerate columns, messages."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, NotEnoughData
from alpha_pipeline.models.attention_rnn import AttentionRnn
from alpha_pipeline.models.intraday import IntradayNetwork
from alpha_pipeline.models.orthogonal import inverse_square_root, orthogonal_factors


def columns(n_stocks: int = 60, n_factors: int = 5, seed: int = 0) -> torch.Tensor:
    """Correlated columns with means."""
    g = torch.Generator().manual_seed(seed)
    h = torch.randn(n_stocks, n_factors, generator=g, dtype=torch.float64)
    return 1 + h @ (torch.eye(n_factors) + 0.5 * torch.rand(n_factors, n_factors, generator=g)).double()


def exposures(n_stocks: int = 60, seed: int = 3) -> torch.Tensor:
    """All dummies of three industries, whose sum is the constant, and a style."""
    g = torch.Generator().manual_seed(seed)
    industry = torch.arange(n_stocks) % 3
    return torch.cat([torch.eye(3)[industry], torch.randn(n_stocks, 1, generator=g)], dim=1)


def network(**settings: object) -> IntradayNetwork:
    net = AttentionRnn(**settings).build(torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert isinstance(net, IntradayNetwork)
    return net


class TestExamples:
    def test_equals_scipy(self) -> None:
        h, a = columns(), exposures()
        design = np.column_stack([np.ones(60), a.numpy()[:, 1:]])  # without the redundant dummy
        residual = h.numpy() - design @ np.linalg.lstsq(design, h.numpy(), rcond=None)[0]
        expected = residual @ scipy.linalg.inv(scipy.linalg.sqrtm(residual.T @ residual / 60))
        np.testing.assert_allclose(orthogonal_factors(h, a).numpy(), expected, rtol=1e-8, atol=1e-8)

    def test_one_column_is_standardized(self) -> None:
        h = torch.tensor([[1.0], [2.0], [3.0]])
        assert orthogonal_factors(h).flatten().tolist() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5])


class TestProperties:
    def test_factors_are_orthogonal_to_each_other_and_to_the_exposures(self) -> None:
        z, a = orthogonal_factors(columns().float(), exposures()), exposures()
        assert z.dtype == torch.float32
        assert torch.allclose(z.T @ z / 60, torch.eye(5), atol=1e-5)
        assert torch.allclose(a.T @ z / 60, torch.zeros(4, 5), atol=1e-5)
        assert torch.allclose(z.mean(0), torch.zeros(5), atol=1e-6)

    def test_network_gives_32_orthogonal_factors(self) -> None:
        x = {"chars_30m": torch.randn(9, 16, 120, generator=torch.Generator().manual_seed(1)), "exposures": exposures(120)}
        for net in (network(), network(neutralize=True)):
            z = net.factors(x).detach()
            assert torch.allclose(z.T @ z / 120, torch.eye(32), atol=1e-4)
            is_neutral = bool((exposures(120).T @ z / 120).abs().max() < 1e-4)
            assert is_neutral == net.config.needs_exposures

    def test_gradient(self) -> None:
        h = columns(12, 3).requires_grad_()
        assert torch.autograd.gradcheck(orthogonal_factors, (h,))
        assert torch.autograd.gradcheck(lambda h: orthogonal_factors(h, exposures(12)), (h,))

    def test_gradient_of_equal_eigenvalues(self) -> None:
        """Where the gradient through eigenvectors is infinite."""
        g = torch.Generator().manual_seed(0)
        weights = torch.randn(4, 4, generator=g, dtype=torch.float64)
        root = torch.zeros(4, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda b: inverse_square_root(2 * torch.eye(4, dtype=torch.float64) + b + b.T), (root,))
        (gradient,) = torch.autograd.grad((inverse_square_root(torch.eye(4) + root) * weights).sum(), root)
        assert torch.allclose(gradient, -weights / 2)  # (1 + x)^(−1/2) is 1 − x / 2

    def test_degenerate_columns_stay_finite(self) -> None:
        h = columns()
        h[:, 1] = 7.0  # does not vary
        h[:, 3] = h[:, 2]  # says the same twice
        h.requires_grad_()
        z = orthogonal_factors(h)
        assert z.isfinite().all() and z[:, 1].abs().max() < 1e-12
        assert torch.allclose(z[:, 2], z[:, 3])
        gram = (z.T @ z / 60).detach()
        assert torch.allclose(gram @ gram, gram, atol=1e-8) and torch.linalg.matrix_rank(gram) == 3
        (gradient,) = torch.autograd.grad((z * torch.randn(60, 5, generator=torch.Generator().manual_seed(1))).sum(), h)
        assert gradient.isfinite().all()

    def test_nothing_varies(self) -> None:
        h = torch.ones(10, 3, requires_grad=True)
        z = orthogonal_factors(h)
        z.sum().backward()
        assert (z == 0).all() and h.grad is not None and h.grad.isfinite().all()

    def test_a_column_that_the_exposures_explain_vanishes(self) -> None:
        h, a = columns(), exposures()
        h[:, 0] = 3 * a[:, 3].double() + a[:, 0]
        assert orthogonal_factors(h, a)[:, 0].abs().max() < 1e-6

    def test_order_of_columns_does_not_matter(self) -> None:
        h, order = columns(), torch.tensor([3, 1, 4, 0, 2])
        assert torch.allclose(orthogonal_factors(h[:, order]), orthogonal_factors(h)[:, order], atol=1e-10)


class TestErrors:
    def test_too_few_stocks(self) -> None:
        x = {"chars_30m": torch.randn(9, 16, 95)}
        with pytest.raises(NotEnoughData, match=r"attention_rnn: too few stocks for 32 orthogonal factors \(got 95 stocks, expected at least 96\)"):
            network().train()(x)
        network().eval()(x)
        with pytest.raises(NotEnoughData, match=r"got 33 stocks, expected at least 34"):
            network().eval()({"chars_30m": x["chars_30m"][:, :, :33]})

    def test_exposures(self) -> None:
        x = {"chars_30m": torch.randn(9, 16, 120)}
        with pytest.raises(MissingData, match="needs the stocks' exposures"):
            network(neutralize=True)(x)
        with pytest.raises(Misaligned, match=r"not of these stocks \(got \(60, 4\), expected \(120, exposures\)\)"):
            network(neutralize=True)({**x, "exposures": exposures(60)})

    def test_settings(self) -> None:
        with pytest.raises(InvalidSpec, match="neutralize is a part of the orthogonal layer"):
            AttentionRnn(orthogonal=False, neutralize=True)
        with pytest.raises(Exception, match="unknown recurrent layer 'gro'.*Did you mean 'gru'"):
            AttentionRnn(rnn="gro")
