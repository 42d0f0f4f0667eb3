"""What the tests of the recurrent layers share: layers and data from seeds, and torch's own layers in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alpha_pipeline.models.recurrent import GRU, LSTM, active_backend

CELLS = ["gru", "lstm"]

fused_only = pytest.mark.skipif(active_backend("cpu") != "fused", reason="numba, the optional extra 'fast', is not installed")


def make(cell: str, n_fields: int, n_hidden: int, seed: int = 0) -> GRU | LSTM:
    return (GRU if cell == "gru" else LSTM)(n_fields, n_hidden, generator=torch.Generator().manual_seed(seed))


def make_library(cell: str, n_fields: int, n_hidden: int) -> nn.GRU | nn.LSTM:
    return (nn.GRU if cell == "gru" else nn.LSTM)(n_fields, n_hidden)


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def oracle(layer: GRU | LSTM, x_TFN: Tensor, weight: Tensor, all_steps: bool) -> tuple[Tensor, list[Tensor]]:
    """States of torch's layer in float64, and the gradients of Σ weight·states: input first, then the parameters."""
    double = make_library(layer.cell, layer.n_fields, layer.n_hidden).double()
    double.load_state_dict({name: value.double() for name, value in layer.state_dict().items()})
    x = x_TFN.double().requires_grad_()
    states_TNH = double(x.transpose(1, 2))[0]
    states = states_TNH.transpose(1, 2) if all_steps else states_TNH[-1]
    gradients = torch.autograd.grad((states * weight.double()).sum(), [x, *double.parameters()])
    return states.detach(), list(gradients)


def ragged_oracle(layer: GRU | LSTM, x_TFN: Tensor, lengths_N: Tensor, weight: Tensor, all_steps: bool) -> tuple[Tensor, list[Tensor]]:
    """The same, each stock run alone on its own window of its last ``lengths_N`` steps; zero before it and for an empty one."""
    n_steps, _, n_stocks = x_TFN.shape
    states = torch.zeros(n_steps, layer.n_hidden, n_stocks) if all_steps else torch.zeros(n_stocks, layer.n_hidden)
    states, d_x = states.double(), torch.zeros_like(x_TFN).double()
    sums = [torch.zeros_like(p).double() for p in layer.parameters()]
    for n, length in enumerate(lengths_N.tolist()):
        if length == 0:
            continue
        window, stock = slice(n_steps - length, n_steps), slice(n, n + 1)
        where = (window, slice(None), stock) if all_steps else (stock,)
        states[where], (d_window, *gradients) = oracle(layer, x_TFN[window, :, stock], weight[where], all_steps)
        d_x[window, :, stock] = d_window
        sums = [a + b for a, b in zip(sums, gradients, strict=True)]
    return states, [d_x, *sums]


def assert_close(states: Tensor, gradients: list[Tensor] | tuple[Tensor, ...], expected: Tensor, expected_gradients: list[Tensor]) -> None:
    """The bars of a float32 kernel: 2e-6 absolute for states, 1e-5 relative (by norm) for gradients."""
    assert states.dtype == torch.float32
    assert (states.double() - expected).abs().max() < 2e-6
    # one hidden unit after a few steps can leave a gradient that is mostly cancellation: absolute floor beside the ratio
    for got, want in zip(gradients, expected_gradients, strict=True):
        difference = got.double() - want
        assert difference.norm() <= 1e-5 * want.norm() or difference.abs().max() < 1e-6
