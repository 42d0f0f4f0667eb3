"""Self-attention over the steps in one pass, against the same thing written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alpha_pipeline.models.attention import SelfAttention
from alpha_pipeline.models.recurrent import active_backend

pytestmark = pytest.mark.skipif(active_backend("cpu") != "fused", reason="numba, the optional extra 'fast', is not installed")

# steps below, at and over a tile; units that fill blocks and ones that do not; one stock, and more than a register holds
SHAPES = ((1, 3, 2), (7, 5, 1), (32, 8, 3), (45, 30, 19))


def states(n_steps: int, n_hidden: int, n_stocks: int, seed: int = 0) -> Tensor:
    return torch.tanh(torch.randn(n_steps, n_hidden, n_stocks, generator=torch.Generator().manual_seed(seed)))


def layers(n_hidden: int, scale: float = 2.0) -> tuple[SelfAttention, nn.LayerNorm]:
    """Weights large enough for the attention to be far from even."""
    attention, norm = SelfAttention(n_hidden, 1, generator=torch.Generator().manual_seed(1)), nn.LayerNorm(n_hidden)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.mul_(scale)
        norm.weight.copy_(torch.linspace(0.5, 1.5, n_hidden))
        norm.bias.copy_(torch.linspace(-1.0, 1.0, n_hidden))
    return attention, norm


def written_out(attention: SelfAttention, z_THN: Tensor) -> Tensor:
    """What each step gathers (N, T, H), with the weights in full."""
    z_NTH = z_THN.permute(2, 0, 1)
    q, k, v = (z_NTH @ layer.weight.t() for layer in (attention.query, attention.key, attention.value))
    return torch.softmax(q @ k.transpose(1, 2) / z_NTH.shape[-1] ** 0.5, -1) @ v


def summary(attention: SelfAttention, norm: nn.LayerNorm, z_THN: Tensor, residual: bool, fused: bool) -> Tensor:
    if fused:
        return attention.mean_of_normalized_sums(z_THN, norm) if residual else attention.mean_over_steps(z_THN)
    gathered = written_out(attention, z_THN)
    return (norm(z_THN.permute(2, 0, 1) + gathered) if residual else gathered).mean(1)


class TestExamples:
    def test_with_equal_keys_every_step_gathers_the_mean(self) -> None:
        attention, _ = layers(4)
        with torch.no_grad():
            attention.key.weight.zero_()
            attention.value.weight.copy_(torch.eye(4))
        z = states(9, 4, 3)
        torch.testing.assert_close(attention.mean_over_steps(z), z.mean(0).t(), rtol=0, atol=1e-6)


class TestProperties:
    @pytest.mark.parametrize("residual", [False, True])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_values_and_gradients_are_those_of_the_formula(self, shape: tuple[int, int, int], residual: bool) -> None:
        results = []
        for dtype, fused in ((torch.float32, True), (torch.float64, False)):
            attention, norm = layers(shape[1])
            attention, norm = attention.to(dtype), norm.to(dtype)
            z = states(*shape).to(dtype).requires_grad_()
            y = summary(attention, norm, z, residual, fused)
            (y * torch.cos(torch.arange(y.numel(), dtype=dtype)).view_as(y)).sum().backward()
            weights = [*attention.parameters(), *(norm.parameters() if residual else ())]
            results.append([y.detach(), z.grad, *(p.grad for p in weights)])
        for ours, exact in zip(*results, strict=True):
            np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-5 * max(1.0, float(exact.abs().max())))

    @pytest.mark.parametrize("residual", [False, True])
    def test_the_path_without_numba_gives_the_same(self, residual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        attention, norm = layers(6)
        z = states(20, 6, 5)
        fused = summary(attention, norm, z, residual, True)
        monkeypatch.setenv("ALPHA_PIPELINE_RECURRENT", "reference")
        torch.testing.assert_close(summary(attention, norm, z, residual, True), fused, rtol=0, atol=2e-6)

    @pytest.mark.parametrize("residual", [False, True])
    def test_bitwise_the_same_on_any_number_of_threads_and_beside_any_stocks(self, residual: bool) -> None:
        kept = torch.get_num_threads()
        results = []
        try:
            for n_threads in (1, 3):
                torch.set_num_threads(n_threads)
                attention, norm = layers(6)
                z = states(20, 6, 70).requires_grad_()
                y = summary(attention, norm, z, residual, True)
                y.square().sum().backward()
                results.append([y.detach(), *(p.grad for p in (z, *attention.parameters()) if p.grad is not None)])
        finally:
            torch.set_num_threads(kept)
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
        attention, norm = layers(6)
        alone = summary(attention, norm, states(20, 6, 70)[:, :, 33:34], residual, True)
        torch.testing.assert_close(alone[0], results[0][0][33], rtol=0, atol=1e-7)  # the maps after the kernel are torch's

    def test_large_products_do_not_overflow(self) -> None:
        attention, norm = layers(8, scale=200.0)
        y = summary(attention, norm, states(12, 8, 4), False, True)
        exact = summary(attention.double(), norm.double(), states(12, 8, 4).double(), False, False)
        np.testing.assert_allclose(y.detach(), exact.detach(), rtol=1e-3, atol=1e-2)  # products of thousands, to seven digits

    def test_a_nan_stays_within_its_stock(self) -> None:
        attention, norm = layers(6)
        z = states(20, 6, 5)
        clean = summary(attention, norm, z, True, True)
        z[3, 2, 1] = float("nan")
        y = summary(attention, norm, z, True, True)
        assert y[1].isnan().all()
        others = [0, 2, 3, 4]
        assert torch.equal(y[others], clean[others])

    def test_members_of_an_ensemble_one_by_one(self) -> None:
        modules = [SelfAttention(6, 1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
        z = states(11, 6, 5)
        parameters, buffers = torch.func.stack_module_state(modules)

        def run(p: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
            result: Tensor = torch.func.functional_call(_Mean(modules[0]), ({f"of.{k}": v for k, v in p.items()}, b), (z,))
            return result

        together = torch.func.vmap(run)(parameters, buffers)
        for member, module in zip(together, modules, strict=True):
            torch.testing.assert_close(member, module.mean_over_steps(z), rtol=0, atol=1e-6)


class _Mean(nn.Module):
    def __init__(self, of: SelfAttention) -> None:
        super().__init__()
        self.of = of

    def forward(self, z_THN: Tensor) -> Tensor:
        return self.of.mean_over_steps(z_THN)
