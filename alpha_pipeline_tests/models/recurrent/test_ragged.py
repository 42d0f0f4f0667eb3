"""Windows of different length in one batch: each stock as if run alone on its own last steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alpha_pipeline.models.recurrent import active_backend, reference
from alpha_pipeline_tests.models.recurrent.oracle import CELLS, assert_close, fused_only, make, oracle, ragged_oracle, random

for_each_cell = pytest.mark.parametrize("cell", CELLS)


def some_lengths(n_steps: int, n_stocks: int) -> Tensor:
    """0 and ``n_steps`` among them, the rest in between."""
    lengths_N = torch.randint(1, n_steps + 1, (n_stocks,), generator=torch.Generator().manual_seed(3))
    lengths_N[0], lengths_N[1] = 0, n_steps
    return lengths_N


class TestExamples:
    @for_each_cell
    def test_lengths_of_all_steps_change_nothing(self, cell: str) -> None:
        layer, x = make(cell, 6, 30), random(13, 6, 40)
        assert torch.equal(layer(x, lengths_N=torch.full((40,), 13)), layer(x))

    @for_each_cell
    def test_a_short_stock_is_the_same_stock_in_a_short_batch(self, cell: str) -> None:
        """The first 8 of 13 steps do not count: the states after them are those of a batch of 5 steps."""
        layer, x = make(cell, 6, 30), random(13, 6, 40)
        states = layer(x, all_steps=True, lengths_N=torch.full((40,), 5))
        assert torch.equal(states[:8], torch.zeros(8, 30, 40))
        assert torch.equal(states[8:], layer(x[8:], all_steps=True))

    @for_each_cell
    def test_a_stock_without_steps_has_a_zero_state(self, cell: str) -> None:
        assert torch.equal(make(cell, 6, 30)(random(4, 6, 2), lengths_N=torch.tensor([0, 0])), torch.zeros(2, 30))


class TestProperties:
    @for_each_cell
    @pytest.mark.parametrize("all_steps", [False, True])
    @pytest.mark.parametrize("size", [(23, 6, 30, 70), (11, 3, 17, 33), (10, 6, 30, 2)], ids=str)
    def test_equals_each_stock_alone_in_float64(self, cell: str, size: tuple[int, int, int, int], all_steps: bool) -> None:
        n_steps, n_fields, n_hidden, n_stocks = size
        layer, lengths_N = make(cell, n_fields, n_hidden), some_lengths(n_steps, n_stocks)
        x, weight = random(n_steps, n_fields, n_stocks), random(*((n_steps, n_hidden, n_stocks) if all_steps else (n_stocks, n_hidden)))
        expected, expected_gradients = ragged_oracle(layer, x, lengths_N, weight, all_steps)
        ignored = torch.arange(n_steps)[:, None] < n_steps - lengths_N
        x = torch.where(ignored[:, None], float("nan"), x).requires_grad_()
        if all_steps:  # a gradient of an ignored state, were it NaN, must stop there too
            weight = torch.where(ignored[:, None], float("nan"), weight)
        states = layer(x, all_steps=all_steps, lengths_N=lengths_N)
        gradients = torch.autograd.grad(states, [x, *layer.parameters()], weight)
        assert_close(states, gradients, expected, expected_gradients)

    @for_each_cell
    @pytest.mark.parametrize("all_steps", [False, True])
    def test_the_reference_path_too(self, cell: str, all_steps: bool) -> None:
        layer, lengths_N = make(cell, 4, 5), some_lengths(9, 8)
        x, weight = random(9, 4, 8), random(*((9, 5, 8) if all_steps else (8, 5)))
        expected, expected_gradients = ragged_oracle(layer, x, lengths_N, weight, all_steps)
        x = torch.where(torch.arange(9)[:, None, None] < 9 - lengths_N, float("nan"), x).double().requires_grad_()
        parameters = [p.detach().double().requires_grad_() for p in layer.parameters()]
        states = getattr(reference, f"reference_{cell}")(x, *parameters, lengths_N, all_steps)
        states = states if all_steps else states.t()
        gradients = torch.autograd.grad(states, [x, *parameters], weight.double())
        for got, want in zip([states, *gradients], [expected, *expected_gradients], strict=True):
            assert torch.allclose(got, want, rtol=0, atol=1e-13)

    @for_each_cell
    def test_bitwise_equal_for_any_number_of_threads(self, cell: str) -> None:
        layer, x, lengths_N, before = make(cell, 6, 30), random(25, 6, 333), some_lengths(25, 333), torch.get_num_threads()
        results = []
        try:
            for n_threads in (1, 2, 3):
                torch.set_num_threads(n_threads)
                states = layer(x, lengths_N=lengths_N)
                results.append([states.detach(), *torch.autograd.grad(states.sum(), list(layer.parameters()))])
        finally:
            torch.set_num_threads(before)
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))

    @for_each_cell
    def test_a_neighbor_of_another_length_changes_nothing(self, cell: str) -> None:
        layer, x = make(cell, 6, 30), random(12, 6, 40)
        lengths_N = torch.full((40,), 12)
        together = layer(x, lengths_N=lengths_N).detach()
        lengths_N[7] = 4
        changed = layer(x, lengths_N=lengths_N).detach()
        others = torch.arange(40) != 7
        assert torch.equal(changed[others], together[others])
        assert torch.allclose(changed[7].double(), oracle(layer, x[8:, :, 7:8], torch.ones(1, 30), False)[0][0], atol=2e-6)

    def test_cudnn_hands_ragged_batches_to_the_reference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from alpha_pipeline.models.recurrent import backend

        monkeypatch.setattr(backend, "_is_installed", lambda package: False)
        assert active_backend("cuda") == "cudnn"
        assert active_backend("cuda", ragged=True) == "reference"


class TestErrors:
    @pytest.mark.parametrize("lengths_N", [torch.tensor([1, 2, 3]), torch.tensor([1.0, 2.0]), torch.tensor([1, 2], dtype=torch.int32)])
    def test_wrong_shape_or_type_is_a_bug_of_the_caller(self, lengths_N: Tensor) -> None:
        with pytest.raises(AssertionError):
            make("gru", 2, 3)(torch.zeros(5, 2, 2), lengths_N=lengths_N)

    @fused_only
    @pytest.mark.parametrize("length", [-1, 6])
    def test_lengths_outside_the_window_are_a_bug_of_the_caller(self, length: int) -> None:
        with pytest.raises(AssertionError, match=r"lengths outside 0 \.\. 5"):
            make("gru", 2, 3)(torch.zeros(5, 2, 2), lengths_N=torch.tensor([5, length]))
