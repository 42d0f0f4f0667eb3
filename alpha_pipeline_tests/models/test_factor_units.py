"""What is particular about the factor units and AlphaNet's drawn fields; the rest is in test_model_zoo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from alpha_pipeline.errors import InvalidSpec, Misaligned
from alpha_pipeline.models.alphanet_v1 import AlphaNetV1
from alpha_pipeline.models.alphanet_v2 import AlphaNetV2, AlphaNetV2Network
from alpha_pipeline.models.attention import SelfAttention
from alpha_pipeline.models.convolution import Convolution
from alpha_pipeline.models.factor_restcn import FactorRestcn, FactorRestcnNetwork
from alpha_pipeline.models.factor_transformer import FactorTransformer, Time2Vec
from alpha_pipeline.models.head import FactorHead
from alpha_pipeline.models.pair_coverage import PUBLISHED, coverage_table, expected_coverage, simulated_coverage


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def restcn(**settings: int) -> FactorRestcnNetwork:
    net = FactorRestcn(**settings).build(generator()).double().eval()  # type: ignore[arg-type]
    assert isinstance(net, FactorRestcnNetwork)
    return net


def days_seen(net: nn.Module, n_days: int) -> list[bool]:
    """Whether the output of the last day has a gradient with respect to each day of the input (N, C, T)."""
    x = torch.randn(4, 8, n_days, generator=generator(1), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[:, :, -1].sum(), x)
    return gradient.abs().amax((0, 1)).gt(0).tolist()


def drawn(seed: int) -> AlphaNetV2Network:
    net = AlphaNetV2(n_sampled_fields=8).build(generator(seed))
    assert isinstance(net, AlphaNetV2Network)
    return net


class TestExamples:
    def test_causal_convolution_by_hand(self) -> None:
        c = Convolution(1, 1, 3, 2, is_causal=True, bias=False, generator=generator())
        with torch.no_grad():
            c.direction.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))  # four days ago, two days ago, today
        assert c(torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]])).flatten().tolist() == [100, 200, 310, 420, 531]

    def test_centered_convolution_is_torchs(self) -> None:
        c, library = Convolution(3, 5, 3, generator=generator()), nn.Conv1d(3, 5, 3, padding=1)
        library.load_state_dict({"weight": c.direction, "bias": c.bias})
        x = torch.randn(2, 3, 9, generator=generator(1))
        assert torch.allclose(c(x), library(x), atol=1e-6)

    def test_weight_norm_is_torchs(self) -> None:
        c = Convolution(3, 5, 3, is_weight_normed=True, generator=generator())
        assert c.length is not None
        library = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 5, 3, padding=1))
        with torch.no_grad():
            c.length.mul_(torch.arange(1, 6)[:, None, None])
        library.load_state_dict({"bias": c.bias, "parametrizations.weight.original0": c.length,
                                 "parametrizations.weight.original1": c.direction})
        x = torch.randn(2, 3, 9, generator=generator(1))
        assert torch.allclose(c(x), library(x), atol=1e-6)

    @pytest.mark.parametrize("n_heads", (1, 4))
    def test_self_attention_is_torchs(self, n_heads: int) -> None:
        ours = SelfAttention(8, n_heads, generator=generator())
        library = nn.MultiheadAttention(8, n_heads, bias=False, batch_first=True)
        mix = torch.eye(8) if ours.mix is None else ours.mix.weight
        library.load_state_dict({"in_proj_weight": torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]),
                                 "out_proj.weight": mix})
        z = torch.randn(3, 6, 8, generator=generator(1))
        assert torch.allclose(ours(z), library(z, z, z)[0], atol=1e-6)

    def test_time2vec(self) -> None:
        t = Time2Vec(generator=generator())
        (w0, w1), (p0, p1) = t.frequency.tolist(), t.phase.tolist()
        assert t(torch.tensor([-0.5])).flatten().tolist() == pytest.approx([-0.5 * w0 + p0, np.sin(-0.5 * w1 + p1)])

    def test_coverage_of_pairs(self) -> None:
        table = coverage_table()
        assert [line.n_drawn for line in table] == [6, 7, 8, 9, 10, 11]
        for line in table:
            assert line.published is not None
            assert line.closed_form == pytest.approx(line.published, abs=0.002)  # worst: 89.26 % against 89.42 % for 7
            assert line.simulated == pytest.approx(line.closed_form, abs=0.002)
        assert expected_coverage(8) == pytest.approx(1 - (77 / 105) ** 10)


class TestProperties:
    def test_factors_have_mean_0_and_variance_1_over_a_training_batch(self) -> None:
        y = FactorHead(5, 3, generator=generator())(torch.randn(50, 5, generator=generator(1)))
        assert torch.allclose(y.mean(0), torch.zeros(3), atol=1e-6)
        assert torch.allclose(y.var(0, correction=0), torch.ones(3), atol=1e-3)

    def test_tcn_sees_61_days_and_with_three_dilations_29(self) -> None:
        wide = restcn(n_residual_blocks=0)  # the TCN takes the fields themselves
        assert days_seen(wide.tcn, 70) == [False] * 9 + [True] * 61
        assert days_seen(restcn(n_residual_blocks=0, n_dilations=3).tcn, 30) == [False] + [True] * 29

    def test_factors_react_to_every_one_of_the_30_days(self) -> None:
        net = restcn()
        x = torch.randn(30, 8, 5, generator=generator(1), dtype=torch.float64)
        y = net({"rawbar": x})
        for day in range(30):
            moved = x.clone()
            moved[day] += 0.5
            assert (net({"rawbar": moved}) - y).abs().max() > 1e-9, day

    def test_tcn_is_causal(self) -> None:
        """A later day leaves the outputs of earlier days as they are; the residual blocks in front look one day ahead per convolution."""
        net = restcn()
        x = torch.randn(2, 64, 30, generator=generator(1), dtype=torch.float64)
        moved = x.clone()
        moved[:, :, 20] += 1
        is_equal = (net.tcn(moved) == net.tcn(x)).all(1).all(0)
        assert is_equal[:20].all() and not is_equal[20]
        y = torch.randn(2, 8, 30, generator=generator(1), dtype=torch.float64)
        moved = y.clone()
        moved[:, :, 20] += 1
        is_equal = (net.residual(moved) == net.residual(y)).all(1).all(0)
        assert is_equal[:14].all() and not is_equal[14] and is_equal[27:].all()  # 6 convolutions, one day to each side

    def test_transformer_knows_the_order_of_days(self) -> None:
        net = FactorTransformer().build(generator()).eval()
        x = torch.randn(30, 8, 4, generator=generator(1))
        shuffled = torch.cat([x[torch.randperm(29, generator=generator(2))], x[29:]])
        assert not torch.allclose(net({"rawbar": x}), net({"rawbar": shuffled}), atol=1e-3)

    def test_drawn_fields_belong_to_the_seed_and_to_the_weights(self) -> None:
        first, again, other = drawn(1), drawn(1), drawn(2)
        assert torch.equal(first.extract.sampled_fields, again.extract.sampled_fields)
        assert not torch.equal(first.extract.sampled_fields, other.extract.sampled_fields)
        assert "extract.sampled_fields" in first.state_dict()
        other.load_state_dict(first.state_dict())
        assert torch.equal(first.extract.sampled_fields, other.extract.sampled_fields)

    def test_all_members_together_cover_what_the_report_says(self) -> None:
        pairs = {(i, j) for seed in range(10) for fields in [drawn(seed).extract.sampled_fields.tolist()]
                 for i in fields for j in fields if i < j}
        assert 0.85 < len(pairs) / 105 <= 1  # 95.5 % on average

    def test_simulation_is_reproducible(self) -> None:
        assert simulated_coverage(8, n_runs=50) == simulated_coverage(8, n_runs=50)
        assert simulated_coverage(8, n_runs=50) != simulated_coverage(8, n_runs=50, seed=1)
        assert simulated_coverage(15, n_runs=2) == 1 == expected_coverage(15)
        assert all(line.published is None for line in coverage_table(n_members=3, n_runs=10))
        assert set(PUBLISHED) == {6, 7, 8, 9, 10, 11}


class TestErrors:
    def test_other_number_of_days(self) -> None:
        with pytest.raises(Misaligned, match=r"factor_transformer: tensor 'rawbar' has the wrong length \(got 20 steps, expected 30\)"):
            FactorTransformer().build(generator())({"rawbar": torch.zeros(20, 8, 3)})

    def test_settings(self) -> None:
        with pytest.raises(InvalidSpec, match="32 units, 5 heads"):
            FactorTransformer(n_heads=5).build(generator())
        with pytest.raises(InvalidSpec, match="got kernel 4, 4 dilations"):
            FactorRestcn(kernel=4)
        with pytest.raises(InvalidSpec, match="got pooling 4, expected 2 to 3 windows"):
            AlphaNetV1(pooling=4)
