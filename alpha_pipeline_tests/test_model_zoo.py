"""What every network must do, whatever it is; a new network is covered as soon as it is listed."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest
import torch

import alpha_pipeline.models
from alpha_pipeline.models import NETWORKS, Network, NetworkConfig

N_STEPS = {"daily": 12, "intraday_15m": 21}
N_FIELDS = 6
SHARED_FILES = {"__init__", "contract", "head"}

# GRU(6 -> 30): 3 gates × 30 units × (6 inputs + 30 states + 2 biases) = 3,420. BN of k features: 2k. Linear(k -> 1): k + 1.
N_PARAMETERS = {
    "gru_daily": 3_420 + 60 + 31,  # 3,511
    "gru_intraday": 3_511,  # MULTIFREQ's GRU-15m, as torch counts it
    "gru_attention": 3_420 + (30 * 15 + 15) + 15 + 120 + 61,  # W and b, context vector, BN and Linear of 60: 4,081
    "gru_mixed": 2 * 3_420 + 120 + 61,  # 7,021
    "gru_incremental": 2 * 3_511,  # 7,022
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def build(name: str, seed: int = 0) -> Network:
    return NETWORKS[name]().build(torch.Generator().manual_seed(seed))


def inputs(names: tuple[str, ...], n_stocks: int = 9, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(N_STEPS[name], N_FIELDS, n_stocks, generator=generator) for name in names}


class TestExamples:
    def test_every_file_is_listed_under_its_own_name(self) -> None:
        files = {path.stem for path in Path(alpha_pipeline.models.__file__).parent.glob("*.py")} - SHARED_FILES
        assert files == set(NETWORKS)
        for name, config in NETWORKS.items():
            assert config.__module__ == f"alpha_pipeline.models.{name}"

    def test_every_file_names_its_source_and_status(self) -> None:
        for name in NETWORKS:
            text = importlib.import_module(f"alpha_pipeline.models.{name}").__doc__ or ""
            assert all(word in text for word in ("Source: ", "Deviations: ", "Status: ")), name

    def test_configurations_are_frozen_dataclasses(self) -> None:
        for config in NETWORKS.values():
            assert issubclass(config, NetworkConfig) and dataclasses.is_dataclass(config)
            with pytest.raises(dataclasses.FrozenInstanceError):
                config().n_hidden = 1  # type: ignore[attr-defined]

    @every_network
    def test_number_of_parameters(self, name: str) -> None:
        assert sum(p.numel() for p in build(name).parameters()) == N_PARAMETERS[name]


class TestProperties:
    @every_network
    def test_one_finite_score_per_stock(self, name: str) -> None:
        net = build(name)
        for mode in (True, False):
            net.train(mode)
            for n_stocks in (2, 9, 33):
                score = net(inputs(net.inputs, n_stocks))
                assert score.shape == (n_stocks,) and score.dtype == torch.float32 and score.isfinite().all()

    @every_network
    def test_every_trainable_parameter_gets_a_gradient_in_its_stage(self, name: str) -> None:
        net, learned = build(name), set()
        for stage in net.stages():
            net.enter(stage)
            net.train()
            net.zero_grad()
            score = net(inputs(stage.inputs))
            (score * torch.linspace(-1, 1, len(score))).sum().backward()
            trainable = {id(p) for p in net.trainable(stage)}
            for parameter_name, parameter in net.named_parameters():
                assert parameter.requires_grad == (id(parameter) in trainable)
                has_gradient = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
                assert has_gradient == (id(parameter) in trainable), (stage.name, parameter_name)
            learned |= trainable
        left_out = {".".join(n.split(".")[-2:]) for n, p in net.named_parameters() if id(p) not in learned}
        assert left_out == {"norm.bias", "linear.bias"}, "only the shifts of the scores are never trained"

    @every_network
    def test_every_setting_changes_something(self, name: str) -> None:
        """A configuration field that nothing reads is a lie."""
        plain = build(name)
        shapes = {n: (p.shape, p.requires_grad) for n, p in plain.named_parameters()}
        for field in dataclasses.fields(NETWORKS[name]):
            default = field.default
            assert isinstance(default, int)
            value = not default if isinstance(default, bool) else default + 1
            changed = dataclasses.replace(NETWORKS[name](), **{field.name: value})
            other = {n: (p.shape, p.requires_grad) for n, p in changed.build(torch.Generator().manual_seed(0)).named_parameters()}
            assert other != shapes, field.name

    @every_network
    def test_weights_depend_on_the_seed_alone(self, name: str) -> None:
        torch.manual_seed(123)
        state = torch.get_rng_state()
        first = build(name, seed=5).state_dict()
        assert torch.equal(torch.get_rng_state(), state), "building a network must not advance the global random state"
        torch.manual_seed(321)
        second, other = build(name, seed=5).state_dict(), build(name, seed=6).state_dict()
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert any(not torch.equal(first[key], other[key]) for key in first)

    @every_network
    def test_eval_is_deterministic_and_independent_of_the_other_stocks(self, name: str) -> None:
        net = build(name)
        net.train()(inputs(net.inputs, seed=3))  # gives the batch norms statistics of their own
        net.eval()
        x = inputs(net.inputs, 40)
        score = net(x)
        assert torch.equal(net(x), score)
        alone = net({key: value[:, :, 17:18] for key, value in x.items()})
        assert torch.allclose(alone, score[17:18], rtol=0, atol=1e-6)
        x_other = {key: torch.cat([value[:, :, :18], 5 * value[:, :, 18:]], dim=2) for key, value in x.items()}
        changed = net(x_other)
        assert torch.allclose(changed[:18], score[:18], rtol=0, atol=1e-6)
        assert not torch.allclose(changed[18:], score[18:], rtol=0, atol=1e-3)

    @every_network
    def test_eval_leaves_the_network_unchanged(self, name: str) -> None:
        net = build(name).eval()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        net(inputs(net.inputs))
        assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())

    @every_network
    def test_saved_and_loaded_weights_give_the_same_scores(self, name: str) -> None:
        net = build(name)
        net.train()(inputs(net.inputs, seed=3))
        loaded = build(name, seed=99)
        loaded.load_state_dict({key: value.clone() for key, value in net.state_dict().items()})
        x = inputs(net.inputs)
        assert torch.equal(loaded.eval()(x), net.eval()(x))

    @every_network
    def test_inputs_are_not_modified(self, name: str) -> None:
        net = build(name)
        x = inputs(net.inputs)
        copies = {key: value.clone() for key, value in x.items()}
        net.train()(x).sum().backward()
        assert all(torch.equal(copies[key], x[key]) for key in x)

    @every_network
    def test_all_parameters_are_reproducible_after_training(self, name: str) -> None:
        """Two runs from one seed end in the same bits."""
        ends = []
        for _ in range(2):
            net = build(name, seed=4)
            for stage in net.stages():
                net.enter(stage)
                net.train()
                optimizer = torch.optim.Adam(net.trainable(stage), lr=0.01)
                for seed in range(2):
                    optimizer.zero_grad()
                    score = net(inputs(stage.inputs, seed=seed))
                    (score * torch.linspace(-1, 1, len(score))).sum().backward()
                    optimizer.step()
            ends.append(net.state_dict())
        assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
