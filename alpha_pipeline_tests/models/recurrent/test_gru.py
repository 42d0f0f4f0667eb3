"""The recurrent layer against ``torch.nn.GRU`` in float64: values, gradients, awkward sizes, threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alpha_pipeline.models.recurrent import GRU, active_backend
from alpha_pipeline.models.recurrent.reference import library_gru, reference_gru

# (steps, fields, hidden, stocks): one step; one stock; not a multiple of the chunk of 10; of the tile of 32; of any block
SIZES = [(1, 6, 30, 5), (10, 6, 30, 32), (23, 6, 30, 1), (40, 6, 30, 100), (21, 3, 17, 33), (11, 1, 1, 70), (7, 15, 30, 31)]

fused_only = pytest.mark.skipif(active_backend("cpu") != "fused", reason="numba, the optional extra 'fast', is not installed")


def make(n_fields: int, n_hidden: int, seed: int = 0) -> GRU:
    return GRU(n_fields, n_hidden, generator=torch.Generator().manual_seed(seed))


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def oracle(gru: GRU, x_TFN: Tensor, weight: Tensor, all_steps: bool) -> tuple[Tensor, list[Tensor]]:
    """States of ``nn.GRU`` in float64, and the gradients of Σ weight·states: input first, then the parameters."""
    double = nn.GRU(gru.n_fields, gru.n_hidden).double()
    double.load_state_dict({name: value.double() for name, value in gru.state_dict().items()})
    x = x_TFN.double().requires_grad_()
    states_TNH = double(x.transpose(1, 2))[0]
    states = states_TNH.transpose(1, 2) if all_steps else states_TNH[-1]
    gradients = torch.autograd.grad((states * weight.double()).sum(), [x, *double.parameters()])
    return states.detach(), list(gradients)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b).norm() / b.norm().clamp_min(1e-12))


class TestExamples:
    def test_one_unit_one_step_by_hand(self) -> None:
        """All weights 0, biases 0 except the input's n-gate 1: n = tanh(1), z = 1/2, so h' = tanh(1) / 2."""
        gru = make(1, 1)
        with torch.no_grad():
            for parameter in gru.parameters():
                parameter.zero_()
            gru.bias_ih_l0[2] = 1.0
        assert gru(torch.zeros(1, 1, 1)).item() == pytest.approx(0.7615941559557649 / 2, abs=1e-6)
        # a second step: h'' = h'/2 + tanh(1)/2
        assert gru(torch.zeros(2, 1, 1)).item() == pytest.approx(0.7615941559557649 * 0.75, abs=1e-6)

    def test_initial_weights_are_those_of_torch_from_the_same_seed(self) -> None:
        torch.manual_seed(11)
        theirs = nn.GRU(6, 30).state_dict()
        ours = make(6, 30, seed=11).state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    def test_last_state_is_the_last_of_all_states(self) -> None:
        gru, x = make(6, 30), random(13, 6, 40)
        assert torch.equal(gru(x, all_steps=True)[-1].t(), gru(x))


class TestProperties:
    @pytest.mark.parametrize("all_steps", [False, True])
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_equals_torch_in_float64(self, size: tuple[int, int, int, int], all_steps: bool) -> None:
        n_steps, n_fields, n_hidden, n_stocks = size
        gru, x = make(n_fields, n_hidden), random(n_steps, n_fields, n_stocks)
        x.requires_grad_()
        states = gru(x, all_steps=all_steps)
        weight = random(*states.shape, seed=2)
        expected, expected_gradients = oracle(gru, x.detach(), weight, all_steps)
        gradients = torch.autograd.grad((states * weight).sum(), [x, *gru.parameters()])
        assert states.dtype == torch.float32
        assert (states.double() - expected).abs().max() < 2e-6
        # one hidden unit after a few steps can leave a gradient that is mostly cancellation: absolute floor beside the ratio
        for got, want in zip(gradients, expected_gradients, strict=True):
            assert relative(got, want) < 1e-5 or (got.double() - want).abs().max() < 1e-6

    @pytest.mark.parametrize("all_steps", [False, True])
    @pytest.mark.parametrize("path", [reference_gru, library_gru])
    def test_the_other_paths_equal_torch_in_float64(self, path, all_steps: bool) -> None:  # type: ignore[no-untyped-def]
        gru, x = make(6, 17), random(12, 6, 9)
        states = path(x.double(), *(p.double() for p in gru.parameters()), all_steps)
        states = states if all_steps else states.t()
        expected, _ = oracle(gru, x, torch.ones(states.shape), all_steps)
        assert torch.allclose(states, expected, rtol=0, atol=1e-13)

    def test_gradients_of_the_reference_path_in_float64(self) -> None:
        gru, x = make(2, 3).double(), random(4, 2, 3).double().requires_grad_()

        def last_state(x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
            return reference_gru(x, w_ih, w_hh, b_ih, b_hh, all_steps=False)

        assert torch.autograd.gradcheck(last_state, (x, *gru.parameters()))

    def test_float64_input_stays_float64(self) -> None:
        gru, x = make(6, 30).double(), random(5, 6, 4).double()
        expected, _ = oracle(gru.float(), x.float(), torch.ones(4, 30), False)
        assert gru.double()(x).dtype == torch.float64
        assert torch.allclose(gru.double()(x), expected, atol=1e-6)

    def test_bitwise_equal_for_any_number_of_threads(self) -> None:
        gru, x, before = make(6, 30), random(25, 6, 333), torch.get_num_threads()
        weight, results = random(333, 30, seed=2), []
        try:
            for n_threads in (1, 2, 3, 4, 1):
                torch.set_num_threads(n_threads)
                gru.zero_grad()
                states = gru(x)
                (states * weight).sum().backward()
                results.append([states.detach(), *(p.grad for p in gru.parameters() if p.grad is not None)])
        finally:
            torch.set_num_threads(before)
        assert len(results[0]) == 5
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))

    def test_inference_gives_the_same_bits_as_training(self) -> None:
        gru, x = make(6, 30), random(25, 6, 50)
        trained = gru(x)
        with torch.no_grad():
            assert torch.equal(gru(x), trained.detach())

    def test_stocks_do_not_touch_each_other(self) -> None:
        """Position in the tile, width of the tile and a neighbor's NaN change nothing; the NaN stays NaN."""

        def same(a: Tensor, b: Tensor) -> bool:
            # torch's matrix product, in the reference path, rounds differently for different numbers of columns
            return torch.equal(a, b) if active_backend("cpu") == "fused" else torch.allclose(a, b, rtol=0, atol=1e-6)

        gru, x = make(6, 30), random(25, 6, 70)
        together = gru(x).detach()
        assert same(gru(x[:, :, 41:42]).detach(), together[41:42])
        assert same(gru(x.flip(2)).detach().flip(0), together)
        x[3, 2, 40] = float("nan")
        spoiled = gru(x).detach()
        assert spoiled[40].isnan().all()
        others = torch.arange(70) != 40
        assert same(spoiled[others], together[others])

    def test_later_steps_do_not_change_earlier_states(self) -> None:
        gru, x = make(6, 30), random(25, 6, 10)
        assert torch.equal(gru(x, all_steps=True)[:12], gru(x[:12], all_steps=True))

    @pytest.mark.parametrize("value", [-50.0, 50.0, 3e38])
    def test_extreme_inputs_saturate(self, value: float) -> None:
        gru = make(6, 30)
        with torch.no_grad():
            gru.weight_ih_l0.sign_()
        x = torch.full((15, 6, 33), value)
        states = gru(x)
        states.sum().backward()
        assert states.isfinite().all() and states.abs().max() <= 1.0
        if abs(value) < 1e3:  # beyond, the weight gradient itself leaves float32
            assert all(p.grad is not None and p.grad.isfinite().all() for p in gru.parameters())

    def test_calls_of_different_sizes_share_buffers_safely(self) -> None:
        gru = make(6, 30)
        small, large = random(12, 6, 3), random(31, 6, 95)
        alone = [gru(small), gru(large, all_steps=True)]
        other = make(3, 17)
        for _ in range(2):
            again = [gru(small), gru(large, all_steps=True)]
            other(random(5, 3, 40)).sum().backward()
            again[1].sum().backward()
            assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))

    def test_input_that_is_not_contiguous(self) -> None:
        gru, x = make(6, 30), random(40, 20, 6)
        x_TFN = x.transpose(1, 2)[:20]
        assert torch.equal(gru(x_TFN), gru(x_TFN.contiguous()))

    def test_no_stock(self) -> None:
        gru = make(6, 30)
        assert gru(torch.empty(5, 6, 0)).shape == (0, 30)
        assert gru(torch.empty(5, 6, 0), all_steps=True).shape == (5, 30, 0)

    @fused_only
    def test_a_backward_keeps_one_state_in_ten(self) -> None:
        """What autograd holds besides input and weights: ceil(T / 10) states of H × N."""
        gru, x = make(6, 30), random(45, 6, 64)
        sizes: list[torch.Size] = []

        def note(tensor: Tensor) -> Tensor:
            sizes.append(tensor.shape)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            gru(x)
        assert sum(s.numel() for s in sizes) == x.numel() + sum(p.numel() for p in gru.parameters()) + 5 * 30 * 64

    @fused_only
    def test_weights_changed_between_forward_and_backward_are_noticed(self) -> None:
        gru = make(6, 30)
        loss = gru(random(5, 6, 4)).sum()
        with torch.no_grad():
            gru.weight_hh_l0.mul_(2.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


class TestErrors:
    @pytest.mark.parametrize("shape", [(5, 7, 4), (6, 4), (0, 6, 4)])
    def test_wrong_shape_is_a_bug_of_the_caller(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(AssertionError):
            make(6, 30)(torch.zeros(shape))
