"""The recurrent layers against ``torch.nn.GRU`` and ``torch.nn.LSTM`` in float64: values, gradients, awkward sizes, threads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from alpha_pipeline.models.recurrent import active_backend, reference
from alpha_pipeline_tests.models.recurrent.oracle import CELLS, assert_close, fused_only, make, make_library, oracle, random

# (steps, fields, hidden, stocks): one step; one stock; not a multiple of the chunk of 10; of the tile of 32; of any block
SIZES = [(1, 6, 30, 5), (10, 6, 30, 32), (23, 6, 30, 1), (40, 6, 30, 100), (21, 3, 17, 33), (11, 1, 1, 70), (7, 15, 30, 31),
         (12, 16, 8, 64), (13, 6, 32, 45), (11, 6, 64, 40), (5, 2, 37, 9)]

for_each_cell = pytest.mark.parametrize("cell", CELLS)


class TestExamples:
    def test_one_unit_one_step_by_hand(self) -> None:
        """All weights 0, biases 0 except the input's n-gate 1: n = tanh(1), z = 1/2, so h' = tanh(1) / 2."""
        gru = make("gru", 1, 1)
        with torch.no_grad():
            for parameter in gru.parameters():
                parameter.zero_()
            gru.bias_ih_l0[2] = 1.0
        assert gru(torch.zeros(1, 1, 1)).item() == pytest.approx(0.7615941559557649 / 2, abs=1e-6)
        # a second step: h'' = h'/2 + tanh(1)/2
        assert gru(torch.zeros(2, 1, 1)).item() == pytest.approx(0.7615941559557649 * 0.75, abs=1e-6)

    def test_one_lstm_unit_by_hand(self) -> None:
        """All weights 0, biases 0 except the input's g-gate 1: i = f = o = 1/2, so c' = tanh(1)/2, c'' = tanh(1)·3/4."""
        lstm = make("lstm", 1, 1)
        with torch.no_grad():
            for parameter in lstm.parameters():
                parameter.zero_()
            lstm.bias_ih_l0[2] = 1.0
        states = lstm(torch.zeros(2, 1, 1), all_steps=True).flatten().tolist()
        expected = [math.tanh(math.tanh(1) / 2) / 2, math.tanh(math.tanh(1) * 0.75) / 2]
        assert states == pytest.approx(expected, abs=1e-6)

    @for_each_cell
    def test_initial_weights_are_those_of_torch_from_the_same_seed(self, cell: str) -> None:
        torch.manual_seed(11)
        theirs = make_library(cell, 6, 30).state_dict()
        ours = make(cell, 6, 30, seed=11).state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)

    @for_each_cell
    def test_last_state_is_the_last_of_all_states(self, cell: str) -> None:
        layer, x = make(cell, 6, 30), random(13, 6, 40)
        assert torch.equal(layer(x, all_steps=True)[-1].t(), layer(x))


class TestProperties:
    @for_each_cell
    @pytest.mark.parametrize("all_steps", [False, True])
    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_equals_torch_in_float64(self, cell: str, size: tuple[int, int, int, int], all_steps: bool) -> None:
        n_steps, n_fields, n_hidden, n_stocks = size
        layer, x = make(cell, n_fields, n_hidden), random(n_steps, n_fields, n_stocks)
        x.requires_grad_()
        states = layer(x, all_steps=all_steps)
        weight = random(*states.shape, seed=2)
        expected, expected_gradients = oracle(layer, x.detach(), weight, all_steps)
        gradients = torch.autograd.grad((states * weight).sum(), [x, *layer.parameters()])
        assert_close(states, gradients, expected, expected_gradients)

    @for_each_cell
    @pytest.mark.parametrize("all_steps", [False, True])
    @pytest.mark.parametrize("path", ["reference", "library"])
    def test_the_other_paths_equal_torch_in_float64(self, cell: str, path: str, all_steps: bool) -> None:
        layer, x = make(cell, 6, 17), random(12, 6, 9)
        states = getattr(reference, f"{path}_{cell}")(x.double(), *(p.double() for p in layer.parameters()), None, all_steps)
        states = states if all_steps else states.t()
        expected, _ = oracle(layer, x, torch.ones(states.shape), all_steps)
        assert torch.allclose(states, expected, rtol=0, atol=1e-13)

    @for_each_cell
    def test_gradients_of_the_reference_path_in_float64(self, cell: str) -> None:
        layer, x = make(cell, 2, 3).double(), random(4, 2, 3).double().requires_grad_()

        def last_state(*tensors: Tensor) -> Tensor:
            states: Tensor = getattr(reference, f"reference_{cell}")(*tensors, None, all_steps=False)
            return states

        assert torch.autograd.gradcheck(last_state, (x, *layer.parameters()))

    @for_each_cell
    def test_float64_input_stays_float64(self, cell: str) -> None:
        layer, x = make(cell, 6, 30).double(), random(5, 6, 4).double()
        expected, _ = oracle(layer.float(), x.float(), torch.ones(4, 30), False)
        assert layer.double()(x).dtype == torch.float64
        assert torch.allclose(layer.double()(x), expected, atol=1e-6)

    @for_each_cell
    def test_bitwise_equal_for_any_number_of_threads(self, cell: str) -> None:
        layer, x, before = make(cell, 6, 30), random(25, 6, 333), torch.get_num_threads()
        weight, results = random(333, 30, seed=2), []
        try:
            for n_threads in (1, 2, 3, 4, 1):
                torch.set_num_threads(n_threads)
                layer.zero_grad()
                states = layer(x)
                (states * weight).sum().backward()
                results.append([states.detach(), *(p.grad for p in layer.parameters() if p.grad is not None)])
        finally:
            torch.set_num_threads(before)
        assert len(results[0]) == 5
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))

    @for_each_cell
    def test_inference_gives_the_same_bits_as_training(self, cell: str) -> None:
        layer, x = make(cell, 6, 30), random(25, 6, 50)
        trained = layer(x)
        with torch.no_grad():
            assert torch.equal(layer(x), trained.detach())

    @for_each_cell
    def test_stocks_do_not_touch_each_other(self, cell: str) -> None:
        """Position in the tile, width of the tile and a neighbor's NaN change nothing; the NaN stays NaN."""

        def same(a: Tensor, b: Tensor) -> bool:
            # torch's matrix product, in the reference path, rounds differently for different numbers of columns
            return torch.equal(a, b) if active_backend("cpu") == "fused" else torch.allclose(a, b, rtol=0, atol=1e-6)

        layer, x = make(cell, 6, 30), random(25, 6, 70)
        together = layer(x).detach()
        assert same(layer(x[:, :, 41:42]).detach(), together[41:42])
        assert same(layer(x.flip(2)).detach().flip(0), together)
        x[3, 2, 40] = float("nan")
        spoiled = layer(x).detach()
        assert spoiled[40].isnan().all()
        others = torch.arange(70) != 40
        assert same(spoiled[others], together[others])

    @for_each_cell
    def test_later_steps_do_not_change_earlier_states(self, cell: str) -> None:
        layer, x = make(cell, 6, 30), random(25, 6, 10)
        assert torch.equal(layer(x, all_steps=True)[:12], layer(x[:12], all_steps=True))

    @for_each_cell
    @pytest.mark.parametrize("value", [-50.0, 50.0, 3e38])
    def test_extreme_inputs_saturate(self, cell: str, value: float) -> None:
        layer = make(cell, 6, 30)
        with torch.no_grad():
            layer.weight_ih_l0.sign_()
        x = torch.full((15, 6, 33), value)
        states = layer(x)
        states.sum().backward()
        assert states.isfinite().all() and states.abs().max() <= 1.0
        if abs(value) < 1e3:  # beyond, the weight gradient itself leaves float32
            assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())

    @for_each_cell
    def test_calls_of_different_sizes_share_buffers_safely(self, cell: str) -> None:
        layer = make(cell, 6, 30)
        small, large = random(12, 6, 3), random(31, 6, 95)
        alone = [layer(small), layer(large, all_steps=True)]
        other = make(cell, 3, 17)
        for _ in range(2):
            again = [layer(small), layer(large, all_steps=True)]
            other(random(5, 3, 40)).sum().backward()
            again[1].sum().backward()
            assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True))

    @for_each_cell
    def test_input_that_is_not_contiguous(self, cell: str) -> None:
        layer, x = make(cell, 6, 30), random(40, 20, 6)
        x_TFN = x.transpose(1, 2)[:20]
        assert torch.equal(layer(x_TFN), layer(x_TFN.contiguous()))

    @for_each_cell
    def test_no_stock(self, cell: str) -> None:
        layer = make(cell, 6, 30)
        assert layer(torch.empty(5, 6, 0)).shape == (0, 30)
        assert layer(torch.empty(5, 6, 0), all_steps=True).shape == (5, 30, 0)

    @for_each_cell
    @fused_only
    def test_a_backward_keeps_one_state_in_ten(self, cell: str) -> None:
        """What autograd holds besides input and weights: ceil(T / 10) states of H × N, for an LSTM as many c."""
        layer, x = make(cell, 6, 30), random(45, 6, 64)
        n_kept = 30 * 64 * (2 if cell == "lstm" else 1)
        sizes: list[torch.Size] = []

        def note(tensor: Tensor) -> Tensor:
            sizes.append(tensor.shape)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            layer(x)
        assert sum(s.numel() for s in sizes) == x.numel() + sum(p.numel() for p in layer.parameters()) + 5 * n_kept

    @for_each_cell
    @fused_only
    def test_weights_changed_between_forward_and_backward_are_noticed(self, cell: str) -> None:
        layer = make(cell, 6, 30)
        loss = layer(random(5, 6, 4)).sum()
        with torch.no_grad():
            layer.weight_hh_l0.mul_(2.0)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


class TestErrors:
    @for_each_cell
    @pytest.mark.parametrize("shape", [(5, 7, 4), (6, 4), (0, 6, 4)])
    def test_wrong_shape_is_a_bug_of_the_caller(self, cell: str, shape: tuple[int, ...]) -> None:
        with pytest.raises(AssertionError):
            make(cell, 6, 30)(torch.zeros(shape))
