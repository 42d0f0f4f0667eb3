"""What every network must do, whatever it is; a new network is covered as soon as it is listed."""

from __future__ import annotations

import dataclasses
import importlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

import alpha_pipeline.models
from alpha_pipeline.errors import AlphaPipelineError
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.models import NETWORKS, Network, NetworkConfig
from alpha_pipeline.models.alphanet_v2 import AlphaNetV2
from alpha_pipeline.models.attention_residual import AttentionResidual
from alpha_pipeline.models.attention_rnn import AttentionRnn
from alpha_pipeline.models.attention_self import AttentionSelf
from alpha_pipeline.models.factor_gru import FactorGru
from alpha_pipeline.models.factor_transformer import FactorTransformer
from alpha_pipeline.models.gru_daily import GruDaily

N_STEPS = {"daily": 12, "intraday_15m": 21, "alphanet": 30, "rawbar": 30, "mschars": 30, "l2chars": 30, "chars_30m": 21, "chars_10m": 24}
N_FIELDS = {name: tensor.n_fields for name, tensor in TENSORS.items()}
N_EXPOSURES = 4
SHARED_FILES = {"__init__", "contract", "head", "operators", "operators_kernel", "pair_coverage", "attention", "convolution", "intraday",
                "orthogonal"}

# GRU(6 -> 30): 3 gates × 30 units × (6 inputs + 30 states + 2 biases) = 3,420; an LSTM has 4 gates. BN of k features: 2k.
# Linear(k -> m): (k + 1) m, without bias k m. A factor unit ends in Linear(k -> 32) without bias and a BN without parameters.
ENCODER = 4 * 32 * 32 + (32 * 64 + 64) + (64 * 32 + 32)  # query, key, value, mix; two layers of the feed-forward network
MLP_AND_HEAD = (32 * 64 + 64) + 64 * 32 + 2 * 32 + 33
RNN_32 = 3 * 32 * (16 + 32 + 2)  # 16 characteristics of a half hour
N_PARAMETERS = {
    "gru_daily": 3_420 + 60 + 31,  # 3,511
    "gru_intraday": 3_511,  # MULTIFREQ's GRU-15m, as torch counts it
    "gru_attention": 3_420 + (30 * 15 + 15) + 15 + 120 + 61,  # W and b, context vector, BN and Linear of 60: 4,081
    "gru_mixed": 2 * 3_420 + 120 + 61,  # 7,021
    "gru_incremental": 2 * 3_511,  # 7,022
    "alphanet_v1": 540 + 1_620 + (1_620 * 30 + 30) + 60 + 31,  # 270 features × 3 steps and 3 · 270 pooled: 50,881
    "alphanet_v2": 540 + 36_240 + 60 + 31,  # LSTM: 4 · 30 · (270 + 30 + 2); 36,871
    "alphanet_v2.1": 232 + 17_760 + 60 + 31,  # 2 · 28 + 4 · 15 = 116 features; LSTM: 4 · 30 · (116 + 30 + 2); 18,083
    "alphanet_v3": 2 * (540 + 3 * 30 * (270 + 30 + 2)) + 120 + 61,  # 55,621
    "factor_gru": 3 * 30 * (8 + 30 + 2) + 30 * 32,  # 4,560
    "factor_agru": 3_600 + (30 * 15 + 15) + 15 + 60 * 32,  # 6,000
    "factor_lstm": 4 * 30 * (8 + 30 + 2) + 30 * 32,  # 5,760
    "factor_restcn": (
        (8 * 64 * 3 + 8 * 64 + 64) + 5 * 64 * 64 * 3 + 6 * 128  # first convolution and shortcut, the other five, six BNs
        + 8 * (64 * 64 * 3 + 64 + 64)  # 4 blocks × 2: directions, lengths, biases
        + 64 * 32
    ),  # 165,696
    "factor_transformer": 4 + (10 * 32 + 32) + 2 * ENCODER + 3 * 64 + 32 + 30 + 64 * 32,  # time, embedding, norms (last without bias)
    "factor_gru, l2chars": 3 * 30 * (12 + 30 + 2) + 30 * 32,  # 4,920
    "gru_daily, mschars": 3 * 30 * (27 + 30 + 2) + 60 + 31,  # 5,401
    "attention_rnn, 10 minutes": 3 * 32 * (12 + 32 + 2) + MLP_AND_HEAD,
    "attention_rnn": RNN_32 + MLP_AND_HEAD,
    "attention_self": RNN_32 + 3 * 32 * 32 + MLP_AND_HEAD,
    "attention_residual": RNN_32 + 3 * 32 * 32 + 64 + MLP_AND_HEAD,
}
CONFIGS: dict[str, NetworkConfig] = {name: config() for name, config in NETWORKS.items()} | {
    "alphanet_v2.1": AlphaNetV2(n_sampled_fields=8),
    "attention_rnn, 10 minutes": AttentionRnn(tensor="chars_10m"),
    "factor_gru, l2chars": FactorGru(tensor="l2chars"),
    "factor_transformer, mschars": FactorTransformer(tensor="mschars"),
    "gru_daily, mschars": GruDaily(tensor="mschars"),
    "attention_rnn, neutral, lstm": AttentionRnn(rnn="lstm", neutralize=True),
    "attention_rnn, plain": AttentionRnn(orthogonal=False),
    "attention_self, plain": AttentionSelf(orthogonal=False, learn_shift=True),
    "attention_residual, plain": AttentionResidual(orthogonal=False),
}
every_network = pytest.mark.parametrize("name", CONFIGS)


def build(name: str, seed: int = 0) -> Network:
    return CONFIGS[name].build(torch.Generator().manual_seed(seed))


def enough(net: Network) -> int:
    """Stocks for a training batch: the orthogonal layer needs three for each of its 32 factors, and one for each exposure."""
    return 101 if net.config.is_cross_sectional else 9


def inputs(net: Network, n_stocks: int | None = None, seed: int = 1, names: tuple[str, ...] | None = None) -> dict[str, torch.Tensor]:
    """Random tensors of one date, exposures too if the network asks for them."""
    generator, n_stocks = torch.Generator().manual_seed(seed), n_stocks or enough(net)
    x = {name: torch.randn(N_STEPS[name], N_FIELDS[name], n_stocks, generator=generator) for name in names or net.inputs}
    if net.config.needs_exposures:
        x["exposures"] = torch.randn(n_stocks, N_EXPOSURES, generator=generator)
    return x


def of_stocks(x: dict[str, torch.Tensor], stocks: slice) -> dict[str, torch.Tensor]:
    return {key: value[:, :, stocks] for key, value in x.items()}


def objective(score: torch.Tensor) -> torch.Tensor:
    """A number whose gradient differs from score to score."""
    return (score * torch.linspace(-1, 2, score.numel(), dtype=score.dtype).reshape(score.shape)).sum()


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

    @pytest.mark.parametrize("name", N_PARAMETERS)
    def test_number_of_parameters(self, name: str) -> None:
        assert sum(p.numel() for p in build(name).parameters()) == N_PARAMETERS[name]

    def test_every_network_is_counted(self) -> None:
        assert set(NETWORKS) <= set(N_PARAMETERS)

    def test_lstm_parameters_of_the_report(self) -> None:
        for name, published in {"alphanet_v2": 36_240, "alphanet_v2.1": 17_760}.items():
            assert sum(p.numel() for n, p in build(name).named_parameters() if n.startswith("lstm.")) == published


class TestProperties:
    @every_network
    def test_one_finite_score_per_stock(self, name: str) -> None:
        net = build(name)
        for mode in (True, False):
            net.train(mode)
            for n_stocks in (2, 9, 33) if not net.config.is_cross_sectional else (101, 130):
                score = net(inputs(net, n_stocks))
                shape = (n_stocks, net.config.n_factors) if net.config.n_factors else (n_stocks,)
                assert score.shape == shape and score.dtype == torch.float32 and score.isfinite().all()

    @every_network
    def test_every_trainable_parameter_gets_a_gradient_in_its_stage(self, name: str) -> None:
        net, learned = build(name), set()
        for stage in net.stages():
            net.enter(stage)
            net.train()
            net.zero_grad()
            objective(net(inputs(net, names=stage.inputs))).backward()
            trainable = {id(p) for p in net.trainable(stage)}
            for parameter_name, parameter in net.named_parameters():
                assert parameter.requires_grad == (id(parameter) in trainable)
                has_gradient = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
                assert has_gradient == (id(parameter) in trainable), (stage.name, parameter_name)
            learned |= trainable
        left_out = {".".join(n.split(".")[-2:]) for n, p in net.named_parameters() if id(p) not in learned}
        learns_shift = net.config.n_factors > 0 or getattr(net.config, "learn_shift", False)
        expected = set() if learns_shift else {"norm.bias", "linear.bias"}
        assert left_out == expected, "only the shifts of the scores are never trained"

    @every_network
    def test_no_trained_parameter_has_a_true_gradient_of_zero(self, name: str) -> None:
        """In float64 rounding noise is below 1e-12 of the largest gradient; Adam would turn it into a random walk."""
        net = build(name).double()
        net.train()
        objective(net({key: value.double() for key, value in inputs(net).items()})).backward()
        sizes = {n: float(p.grad.abs().max()) for n, p in net.named_parameters() if p.grad is not None}
        assert min(sizes.values()) > 1e-9 * max(sizes.values()), min(sizes, key=lambda n: sizes[n])

    @pytest.mark.parametrize("name", NETWORKS)
    def test_every_setting_changes_something(self, name: str) -> None:
        """A configuration field that nothing reads is a lie."""
        x = inputs(build(name))
        for field in dataclasses.fields(NETWORKS[name]):
            assert behavior(name, {field.name: changed(field)}, x) != behavior(name, {}, x), field.name

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
        net.train()(inputs(net, seed=3))  # gives the batch norms statistics of their own
        net.eval()
        x = inputs(net, 40)
        score = net(x)
        assert torch.equal(net(x), score)
        x_other = {key: value if value.ndim == 2 else torch.cat([value[:, :, :18], 5 * value[:, :, 18:]], 2) for key, value in x.items()}
        other = net(x_other)
        assert not torch.allclose(other[18:], score[18:], rtol=0, atol=1e-3)
        if net.config.is_cross_sectional:
            assert not torch.allclose(other[:18], score[:18], rtol=0, atol=1e-3), "it says that it compares stocks"
        else:
            assert torch.allclose(other[:18], score[:18], rtol=0, atol=1e-6)
            assert torch.allclose(net(of_stocks(x, slice(17, 18))), score[17:18], rtol=0, atol=1e-6)

    @every_network
    def test_order_of_the_stocks_does_not_matter(self, name: str) -> None:
        net = build(name).eval()
        x = inputs(net)
        order = torch.randperm(enough(net), generator=torch.Generator().manual_seed(2))
        mixed = {key: value[order] if value.ndim == 2 else value[:, :, order] for key, value in x.items()}
        assert torch.allclose(net(mixed), net(x)[order], rtol=0, atol=1e-5)

    @every_network
    def test_members_run_together_as_they_run_alone(self, name: str) -> None:
        """Stacked weights under vmap equal one call per member: the plain torch path, which float64 takes, in both modes."""
        nets = [build(name, seed).double() for seed in range(3)]
        x = {key: value.double() for key, value in inputs(nets[0]).items()}
        for mode in (True, False):
            for net in nets:
                net.train(mode)
            parameters, buffers = torch.func.stack_module_state(nets)  # type: ignore[arg-type]
            base = deepcopy(nets[0])

            def call(p: dict[str, torch.Tensor], b: dict[str, torch.Tensor], base: Network = base) -> Any:
                return torch.func.functional_call(base, (p, b), (x,))

            together = torch.vmap(call)(parameters, buffers)
            alone = torch.stack([net(x) for net in nets])
            assert torch.allclose(together, alone, rtol=1e-9, atol=1e-9)
            learned = [n for n, p in base.named_parameters() if p.requires_grad]
            stacked = torch.autograd.grad(objective(together), [parameters[n] for n in learned])
            single = torch.autograd.grad(objective(alone), [net.get_parameter(n) for n in learned for net in nets])
            for i, gradient in enumerate(stacked):
                assert torch.allclose(gradient, torch.stack(single[3 * i : 3 * i + 3]), rtol=1e-6, atol=1e-9), learned[i]

    @every_network
    def test_eval_leaves_the_network_unchanged(self, name: str) -> None:
        net = build(name).eval()
        before = {key: value.clone() for key, value in net.state_dict().items()}
        net(inputs(net))
        assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())

    @every_network
    def test_saved_and_loaded_weights_give_the_same_scores(self, name: str) -> None:
        net = build(name)
        net.train()(inputs(net, seed=3))
        loaded = build(name, seed=99)
        loaded.load_state_dict({key: value.clone() for key, value in net.state_dict().items()})
        x = inputs(net)
        assert torch.equal(loaded.eval()(x), net.eval()(x))

    @every_network
    def test_inputs_are_not_modified(self, name: str) -> None:
        net = build(name)
        x = inputs(net)
        copies = {key: value.clone() for key, value in x.items()}
        objective(net.train()(x)).backward()
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
                    objective(net(inputs(net, seed=seed, names=stage.inputs))).backward()
                    optimizer.step()
            ends.append(net.state_dict())
        assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def changed(field: dataclasses.Field[Any]) -> Any:
    """Another value of a setting."""
    default = field.default
    if field.name == "n_fields" and default is None:
        return 5
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return {"tensor": "weekly", "rnn": "lstm"}[field.name]
    assert isinstance(default, int)
    return {"n_sampled_fields": 8, "n_heads": 2, "kernel": 5, "n_width": 40, "pooling": 2}.get(field.name, default + 1)


def behavior(name: str, settings: dict[str, Any], x: dict[str, torch.Tensor]) -> list[Any]:
    """All that a setting can change: input names, promises, weights, what is trained, the scores of ``x``; or that it is refused."""
    facts: list[Any] = []
    try:
        config = dataclasses.replace(CONFIGS[name], **settings)
        facts += [config.inputs, config.n_factors, config.is_cross_sectional, config.needs_exposures]
        net = config.build(torch.Generator().manual_seed(0)).eval()
        facts += [(n, p.shape, p.requires_grad) for n, p in net.named_parameters()]
        return [*facts, net(x).tolist()]
    except AlphaPipelineError as error:
        return [*facts, type(error)]


@pytest.mark.parametrize("name", ["gru_daily", "gru_intraday", "gru_incremental", "alphanet_v2"])
def test_bitwise_the_same_on_any_number_of_threads(name: str) -> None:
    """Of the networks that the README promises it of; torch's own matrix products round differently in the others."""
    found = []
    kept = torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            net = build(name).train()
            score = net(inputs(net, 3_000))
            objective(score).backward()
            found.append([score.detach(), *(p.grad for p in net.parameters() if p.grad is not None)])
    finally:
        torch.set_num_threads(kept)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
