"""An ensemble through ``torch.func.vmap`` over stacked parameters: equal to its members one by one, values and gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from alpha_pipeline.models.recurrent import backend
from alpha_pipeline_tests.models.recurrent.oracle import CELLS, fused_only, make, random


class TestProperties:
    @pytest.mark.parametrize("cell", CELLS)
    @pytest.mark.parametrize("own_input", [False, True])
    @pytest.mark.parametrize("ragged", [False, True])
    @pytest.mark.parametrize("path", ["reference", pytest.param("fused", marks=fused_only)])
    def test_members_together_equal_members_one_by_one(self, cell: str, own_input: bool, ragged: bool, path: str,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(backend.SWITCH, path)
        members = [make(cell, 4, 6, seed) for seed in range(3)]
        x = random(*((3, 12, 4, 9) if own_input else (12, 4, 9)))
        lengths_N = torch.arange(9) if ragged else None
        weight = random(3, 9, 6, seed=2)

        parameters, _ = stack_module_state(members)
        skeleton = copy.deepcopy(members[0]).to("meta")

        def member(own: dict[str, Tensor], x_TFN: Tensor) -> Tensor:
            return functional_call(skeleton, own, (x_TFN, False, lengths_N))

        states = torch.vmap(member, in_dims=(0, 0 if own_input else None))(parameters, x)
        (states * weight).sum().backward()
        for m, layer in enumerate(members):
            alone = layer(x[m] if own_input else x, lengths_N=lengths_N)
            (alone * weight[m]).sum().backward()
            assert torch.allclose(states[m], alone, rtol=0, atol=1e-6)
            for name, parameter in layer.named_parameters():
                got = parameters[name].grad
                assert got is not None and torch.allclose(got[m], parameter.grad, rtol=1e-5, atol=1e-5)

    @fused_only
    def test_without_gradients(self) -> None:
        members = [make("gru", 4, 6, seed) for seed in range(2)]
        (parameters, _), x = stack_module_state(members), random(12, 4, 9)
        with torch.no_grad():
            states = torch.vmap(lambda own: functional_call(members[0], own, (x,)))(parameters)
            assert all(torch.equal(states[m], layer(x)) for m, layer in enumerate(members))
