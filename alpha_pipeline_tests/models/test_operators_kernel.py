"""AlphaNet's operators in the kernel against the torch operations, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from alpha_pipeline.errors import Misaligned
from alpha_pipeline.models import operators as ops

pytestmark = pytest.mark.skipif(not ops.has_numba(), reason="numba, the optional extra 'fast', is not installed")

N_STEPS, N_FIELDS, N_STOCKS = 23, 6, 131  # two whole groups of 64 stocks and three stocks more


def prices() -> Tensor:
    """With a window that does not move, one that begins at zero, and one that lacks a value."""
    x = 10 + torch.randn(N_STEPS, N_FIELDS, N_STOCKS, generator=torch.Generator().manual_seed(0))
    x[:, 1, 3] = 3.1
    x[:, 2, 129] = 0.0
    x[13, 3, 70] = 0.0
    return x


def layer(window: int = 7, stride: int = 4, n_sampled_fields: int = 0, std_ddof: int = 0, cov_ddof: int = 1,
          seed: int = 1) -> ops.FeatureExtraction:
    return ops.FeatureExtraction(N_FIELDS, window, stride, generator=torch.Generator().manual_seed(seed), std_ddof=std_ddof,
                                 n_sampled_fields=n_sampled_fields, cov_ddof=cov_ddof)


def features_and_gradient(extract: ops.FeatureExtraction, x: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient is that of a sum with random weights."""
    leaf = x.clone().requires_grad_()
    features = extract(leaf)
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(x.dtype)
    (gradient,) = torch.autograd.grad((features * weights).sum(), leaf)
    return features.detach(), gradient


class TestProperties:
    @pytest.mark.parametrize("settings", [
        {}, {"window": 10, "stride": 10}, {"window": 3, "stride": 5}, {"n_sampled_fields": 3}, {"std_ddof": 1, "cov_ddof": 0},
    ])
    def test_equals_torch_in_double_precision(self, settings: dict[str, int]) -> None:
        extract, x = layer(**settings), prices()
        expected, expected_gradient = features_and_gradient(extract, x.double())  # the kernel takes single precision only
        features, gradient = features_and_gradient(extract, x)
        assert features.dtype == torch.float32
        assert torch.allclose(features.double(), expected, rtol=2e-5, atol=5e-6)
        assert torch.allclose(gradient.double(), expected_gradient, rtol=2e-4, atol=2e-4)

    def test_equals_torch_in_single_precision(self, monkeypatch: pytest.MonkeyPatch) -> None:
        extract, x = layer(), prices()
        features, gradient = features_and_gradient(extract, x)
        monkeypatch.setattr(ops, "has_numba", lambda: False)
        expected, expected_gradient = features_and_gradient(extract, x)
        assert torch.allclose(features, expected, rtol=2e-5, atol=5e-6)
        assert torch.allclose(gradient, expected_gradient, rtol=2e-4, atol=2e-4)

    def test_constant_window_gives_zero(self) -> None:
        features, gradient = features_and_gradient(layer(), prices())
        corr, _, std, zscore, *_ = features[:, :, 3].split([15, 15, 6, 6, 6, 6], dim=1)
        pairs_of_it = (ops.pair_index(N_FIELDS) == 1).any(0)
        assert (corr[:, pairs_of_it] == 0).all() and (corr[:, ~pairs_of_it] != 0).all()
        assert (std[:, 1] == 0).all() and (zscore[:, 1] == 0).all()
        assert features.isfinite().all() and gradient.isfinite().all()

    def test_nan_stays_in_its_windows_field_and_stock(self) -> None:
        x, clean = prices(), layer()(prices())
        x[7, 2, 66] = torch.nan
        features = layer()(x)
        changed = features.isnan()
        assert changed.any() and not changed[:, :, torch.arange(N_STOCKS) != 66].any()
        pairs_of_it = (ops.pair_index(N_FIELDS) == 2).any(0)
        assert changed[1, :15, 66].tolist() == pairs_of_it.tolist()
        assert not changed[[0, 2, 3, 4]].any()  # step 7 is in the second window alone, steps 4 to 10
        assert torch.equal(features[~changed], clean[~changed])

    def test_same_bits_on_any_number_of_threads(self) -> None:
        n_threads = torch.get_num_threads()
        results = []
        try:
            for n in (1, 2, 3):
                torch.set_num_threads(n)
                results.append(features_and_gradient(layer(), prices()))
        finally:
            torch.set_num_threads(n_threads)
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))

    @pytest.mark.parametrize("own_input", [False, True])
    def test_members_together_equal_members_one_by_one(self, own_input: bool) -> None:
        members = [layer(n_sampled_fields=3, seed=seed) for seed in range(3)]
        assert len({tuple(member.sampled_fields.tolist()) for member in members}) > 1
        x = torch.stack([prices() + m for m in range(3)]) if own_input else prices()
        x.requires_grad_()
        _, buffers = stack_module_state(members)

        def member(own: dict[str, Tensor], x_TFN: Tensor) -> Tensor:
            features: Tensor = functional_call(members[0], own, (x_TFN,))
            return features

        together = torch.vmap(member, in_dims=(0, 0 if own_input else None))(buffers, x)
        alone = torch.stack([extract(x[m] if own_input else x) for m, extract in enumerate(members)])
        assert torch.equal(together, alone)
        gradients = [torch.autograd.grad(features.square().sum(), x)[0] for features in (together, alone)]
        assert torch.allclose(*gradients, rtol=1e-5, atol=1e-3)

    def test_input_that_is_not_contiguous(self) -> None:
        x = prices()
        assert torch.equal(layer()(x.transpose(0, 2).contiguous().transpose(0, 2)), layer()(x))


class TestErrors:
    def test_too_short(self) -> None:
        with pytest.raises(Misaligned, match="shorter than one window"):
            layer()(torch.zeros(5, N_FIELDS, 3))
