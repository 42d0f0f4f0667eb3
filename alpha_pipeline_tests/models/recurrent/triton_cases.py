"""The Triton kernels against float64, in Triton's interpreter: ``test_triton.py`` runs this file in a process of its own, because
``TRITON_INTERPRET`` has to be set before triton is imported. The interpreter is slow, so that chunks are cut to 3 steps here; the
first sizes cross the tile of 16 stocks and the chunk."""

from __future__ import annotations

import copy
import os

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from alpha_pipeline.models.recurrent import active_backend, triton_recurrent
from alpha_pipeline_tests.models.recurrent.oracle import CELLS, assert_close, make, oracle, ragged_oracle, random

for_each_cell = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.environ["TRITON_INTERPRET"] == "1" and active_backend("cpu") == "triton"
    monkeypatch.setattr(triton_recurrent, "CHUNK", 3)


@for_each_cell
@pytest.mark.parametrize("size", [(4, 6, 30, 17), (1, 17, 33, 1)], ids=str)
@pytest.mark.parametrize("all_steps", [False, True])
def test_equals_torch_in_float64(cell: str, size: tuple[int, int, int, int], all_steps: bool) -> None:
    n_steps, n_fields, n_hidden, n_stocks = size
    layer, x = make(cell, n_fields, n_hidden), random(n_steps, n_fields, n_stocks).requires_grad_()
    states = layer(x, all_steps=all_steps)
    weight = random(*states.shape, seed=2)
    expected, expected_gradients = oracle(layer, x.detach(), weight, all_steps)
    assert_close(states, torch.autograd.grad(states, [x, *layer.parameters()], weight), expected, expected_gradients)


@for_each_cell
@pytest.mark.parametrize("all_steps", [False, True])
def test_ragged_equals_each_stock_alone_in_float64(cell: str, all_steps: bool) -> None:
    layer, x, weight = make(cell, 3, 5), random(4, 3, 5), random(*((4, 5, 5) if all_steps else (5, 5)), seed=2)
    lengths_N = torch.arange(5)
    expected, expected_gradients = ragged_oracle(layer, x, lengths_N, weight, all_steps)
    ignored = (torch.arange(4)[:, None] < 4 - lengths_N)[:, None]
    x = torch.where(ignored, float("nan"), x).requires_grad_()
    weight = torch.where(ignored, float("nan"), weight) if all_steps else weight
    states = layer(x, all_steps=all_steps, lengths_N=lengths_N)
    assert_close(states, torch.autograd.grad(states, [x, *layer.parameters()], weight), expected, expected_gradients)


def assert_same_as_one_by_one(states: Tensor, parameters: dict[str, Tensor], x: Tensor, lengths: Tensor | None, cell: str) -> None:
    """``states`` (M, N, H) of members with seeds 0 to M − 1: values, and gradients of Σ weight·states in parameters and x."""
    weight = random(*states.shape, seed=2)
    together = torch.autograd.grad(states, [*parameters.values(), x], weight)
    alone = []
    for m in range(len(states)):
        layer = make(cell, 3, 5, seed=m)
        own_x = (x if x.ndim == 3 else x[m]).detach().requires_grad_()
        own = layer(own_x, lengths_N=lengths if lengths is None or lengths.ndim == 1 else lengths[m])
        assert torch.equal(states[m], own)
        alone.append(torch.autograd.grad(own, [*layer.parameters(), own_x], weight[m]))
    for got, wants in zip(together, zip(*alone, strict=True), strict=True):
        stacked = torch.stack(wants)
        assert torch.allclose(got, stacked if got.shape == stacked.shape else stacked.sum(0), rtol=1e-6, atol=1e-6)


@for_each_cell
@pytest.mark.parametrize(("own_input", "lengths"), [(False, None), (True, torch.arange(4)), (False, torch.arange(12).view(3, 4) % 5)],
                         ids=["shared input", "own input, shared lengths", "own lengths"])
def test_vmap_is_one_launch_and_equals_members_one_by_one(cell: str, own_input: bool, lengths: Tensor | None,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    grids: list[tuple[int, int]] = []
    monkeypatch.setattr(triton_recurrent, "_grid", lambda n_stocks, n_members: grids.append((1, n_members)) or (1, n_members))
    x = random(*((3, 4, 3, 4) if own_input else (4, 3, 4))).requires_grad_()
    members = [make(cell, 3, 5, seed) for seed in range(3)]
    parameters, _ = stack_module_state(members)
    skeleton = copy.deepcopy(members[0]).to("meta")

    def member(own: dict[str, Tensor], x_TFN: Tensor, lengths_N: Tensor | None) -> Tensor:
        return functional_call(skeleton, own, (x_TFN, False, lengths_N))

    lengths_dim = 0 if lengths is not None and lengths.ndim == 2 else None
    states = torch.vmap(member, in_dims=(0, 0 if own_input else None, lengths_dim))(parameters, x, lengths)
    assert grids == [(1, 3)]
    assert_same_as_one_by_one(states, parameters, x, lengths, cell)


@for_each_cell
def test_members_in_front_without_vmap(cell: str) -> None:
    x = random(3, 3, 4).requires_grad_()
    parameters, _ = stack_module_state([make(cell, 3, 5, seed) for seed in range(2)])
    run = triton_recurrent.triton_gru if cell == "gru" else triton_recurrent.triton_lstm
    states = run(x, *parameters.values(), None, False)
    assert_same_as_one_by_one(states.transpose(1, 2), parameters, x, None, cell)


def test_same_weights_on_several_inputs() -> None:
    layer, x = make("gru", 3, 5), random(3, 2, 3, 2)
    states = torch.vmap(layer)(x)
    assert all(torch.equal(states[m], layer(x[m])) for m in range(3))


def test_inference_and_no_stock() -> None:
    layer, x = make("gru", 3, 5), random(4, 3, 2)
    with torch.no_grad():
        states = layer(x)
    assert torch.equal(states, layer(x).detach())
    empty = layer(torch.empty(5, 3, 0), all_steps=True)
    empty.sum().backward()
    assert empty.shape == (5, 5, 0) and layer.weight_hh_l0.grad is not None and not layer.weight_hh_l0.grad.any()
