"""Stages, the batch norm's rules and the messages that every network shares."""

from __future__ import annotations

import pytest
import torch

from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, NotEnoughData, UnknownName
from alpha_pipeline.models import NETWORKS, Network, Stage, network_config
from alpha_pipeline.models.attention import ContextAttention
from alpha_pipeline.models.gru_daily import GruDaily
from alpha_pipeline.models.gru_incremental import DAILY, INCREMENT, GruIncremental, GruIncrementalNetwork
from alpha_pipeline.models.head import ScoreHead


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(n_stocks: int = 7, seed: int = 1) -> dict[str, torch.Tensor]:
    g = generator(seed)
    return {"daily": torch.randn(12, 6, n_stocks, generator=g), "intraday_15m": torch.randn(21, 6, n_stocks, generator=g)}


def incremental() -> GruIncrementalNetwork:
    net = GruIncremental().build(generator())
    assert isinstance(net, GruIncrementalNetwork)
    return net


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and batch-norm statistics."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def train_two_steps(net: Network, stage: Stage) -> None:
    net.enter(stage)
    net.train()
    optimizer = torch.optim.Adam(net.trainable(stage), lr=0.01)
    for seed in (1, 2):
        optimizer.zero_grad()
        y = net(inputs(seed=seed))
        (y * torch.linspace(-1, 1, len(y))).sum().backward()
        optimizer.step()


class TestExamples:
    def test_head_normalizes_over_the_stocks_then_adds_up(self) -> None:
        head = ScoreHead(1, learn_shift=False, generator=generator())
        with torch.no_grad():
            head.linear.weight.fill_(2.0)
            head.linear.bias.fill_(0.5)
        z = torch.tensor([[1.0], [3.0]])  # mean 2, standard deviation 1: normalized to -1 and +1
        assert head(z).tolist() == pytest.approx([-1.5, 2.5], abs=1e-4)
        # eval: running mean 0.1·2, running variance 0.9 + 0.1·2 (n − 1 in the denominator, as torch keeps it)
        assert head.eval()(z).tolist() == pytest.approx([0.5 + 2 * (v - 0.2) / 1.1**0.5 for v in (1.0, 3.0)], abs=1e-4)

    def test_stages_of_the_incremental_network(self) -> None:
        assert [s.name for s in GruIncremental().stages()] == ["daily", "increment"]
        assert DAILY.inputs == ("daily",)
        assert (INCREMENT.inputs, INCREMENT.inputs_when_cached) == (("daily", "intraday_15m"), ("intraday_15m",))

    def test_score_is_the_sum_of_both_branches(self) -> None:
        net, x = incremental().eval(), inputs()
        assert torch.equal(net(x), net.daily(x["daily"]) + net.increment(x["intraday_15m"]))

    def test_first_stage_reads_daily_bars_only(self) -> None:
        net, x = incremental(), inputs()
        net.enter(DAILY)
        net.eval()
        assert torch.equal(net({"daily": x["daily"]}), net.daily(x["daily"]))
        assert net.frozen_output(x) is None

    def test_learn_shift_frees_the_two_biases(self) -> None:
        fixed, free = GruDaily().build(generator()), GruDaily(learn_shift=True).build(generator())
        assert {n for n, p in fixed.named_parameters() if not p.requires_grad} == {"head.norm.bias", "head.linear.bias"}
        assert all(p.requires_grad for p in free.parameters())

    def test_attention_weights_of_equal_states_are_equal(self) -> None:
        attention = ContextAttention(4, 2, generator=generator())
        z = torch.ones(5, 4, 3)
        assert torch.allclose(attention.weights(z), torch.full((5, 3), 0.2))
        assert torch.allclose(attention(z), torch.ones(3, 4))

    def test_attention_by_the_formula(self) -> None:
        attention = ContextAttention(3, 2, generator=generator())
        z = torch.randn(4, 3, 1, generator=generator(1))
        w, b, v = attention.project.weight, attention.project.bias, attention.context_A
        exponents = torch.stack([torch.exp(v @ torch.tanh(w @ z[i, :, 0] + b)) for i in range(4)])
        expected = torch.stack([exponents[i] / exponents.sum() * z[i, :, 0] for i in range(4)]).sum(0)
        assert torch.allclose(attention(z)[0], expected, atol=1e-6)


class TestProperties:
    def test_each_stage_changes_its_own_branch_only(self) -> None:
        """Parameters *and* batch-norm statistics, although the whole network is in train() mode."""
        net = incremental()
        daily, increment = snapshot(net.daily), snapshot(net.increment)
        train_two_steps(net, DAILY)
        assert not same(daily, snapshot(net.daily))
        assert same(increment, snapshot(net.increment))
        daily = snapshot(net.daily)
        train_two_steps(net, INCREMENT)
        assert same(daily, snapshot(net.daily))
        assert not same(increment, snapshot(net.increment))
        assert not torch.equal(increment["head.norm.running_mean"], snapshot(net.increment)["head.norm.running_mean"])

    def test_frozen_branch_stays_in_eval_mode(self) -> None:
        net = incremental()
        net.enter(INCREMENT)
        net.train()
        assert net.training and net.increment.training and net.increment.head.norm.training
        assert not net.daily.training and not net.daily.head.norm.training
        net.enter(DAILY)  # entering re-applies the mode that is on
        assert net.daily.head.norm.training and not net.increment.training
        net.eval()
        assert not any(module.training for module in net.modules())

    def test_cached_output_gives_the_same_score_and_gradients(self) -> None:
        net, x = incremental(), inputs()
        train_two_steps(net, DAILY)
        net.enter(INCREMENT)
        net.train()
        kept = net.frozen_output(x)
        assert kept is not None and not kept.requires_grad
        weight = torch.linspace(-1, 1, 7)
        parameters = net.trainable(INCREMENT)
        plain: torch.Tensor = net(x)
        cached: torch.Tensor = net({"intraday_15m": x["intraday_15m"]}, frozen=kept)
        assert torch.equal(plain, cached)
        for a, b in zip(torch.autograd.grad((plain * weight).sum(), parameters),
                        torch.autograd.grad((cached * weight).sum(), parameters), strict=True):
            assert torch.equal(a, b)

    def test_frozen_output_does_not_depend_on_the_batch(self) -> None:
        net, x = incremental(), inputs()
        train_two_steps(net, DAILY)
        net.enter(INCREMENT)
        net.train()
        whole = net.frozen_output(x)
        part = net.frozen_output({"daily": x["daily"][:, :, 2:4]})
        assert whole is not None and part is not None
        assert torch.allclose(whole[2:4], part, rtol=0, atol=1e-6)

    def test_entering_a_stage_drops_old_gradients(self) -> None:
        net = incremental()
        train_two_steps(net, DAILY)
        net.enter(INCREMENT)
        assert all(p.grad is None for p in net.daily.parameters())

    def test_fixed_biases_have_no_true_gradient_under_ic(self) -> None:
        """The reason why they are fixed: in float64 the gradient of −IC is rounding noise."""
        net = GruDaily(learn_shift=True).build(generator()).double().train()
        y = net({"daily": inputs()["daily"].double()})
        label = torch.linspace(-1, 1, 7, dtype=torch.float64)
        centered = y - y.mean()
        (-(centered * label).sum() / centered.norm()).backward()
        gradients = {name: p.grad for name, p in net.named_parameters()}
        for name, gradient in gradients.items():
            assert gradient is not None
            assert (gradient.abs().max() < 1e-14) == (name in ("head.norm.bias", "head.linear.bias")), name


class TestErrors:
    def test_missing_tensor(self) -> None:
        with pytest.raises(MissingData, match=r"gru_incremental: the network needs the tensor 'intraday_15m' \(got daily\)"):
            incremental()({"daily": inputs()["daily"]})

    def test_wrong_number_of_fields(self) -> None:
        with pytest.raises(Misaligned, match=r"'daily' has the wrong shape \(got \(40, 5, 3\), expected \(steps, 6 fields"):
            GruDaily().build(generator())({"daily": torch.zeros(40, 5, 3)})

    def test_different_stocks(self) -> None:
        with pytest.raises(Misaligned, match="daily 7, intraday_15m 6"):
            incremental()({"daily": inputs()["daily"], "intraday_15m": inputs(6)["intraday_15m"]})

    def test_cached_output_of_other_stocks(self) -> None:
        with pytest.raises(Misaligned, match=r"not of these stocks \(got \(3,\), expected \(7,\)\)"):
            incremental()(inputs(), frozen=torch.zeros(3))

    def test_one_stock_cannot_train_a_batch_norm(self) -> None:
        net = GruDaily().build(generator())
        with pytest.raises(NotEnoughData, match=r"got 1 stocks, expected at least 2"):
            net.train()({"daily": inputs(1)["daily"]})
        assert net.eval()({"daily": inputs(1)["daily"]}).shape == (1,)

    def test_foreign_stage(self) -> None:
        with pytest.raises(InvalidSpec, match="got all, expected one of daily, increment"):
            incremental().enter(Stage("all", ("daily",), ("daily",)))

    def test_unknown_network(self) -> None:
        assert network_config("gru_daily", NETWORKS) is GruDaily
        with pytest.raises(UnknownName, match="Did you mean 'gru_intraday'?"):
            network_config("gru_intrday", NETWORKS)
