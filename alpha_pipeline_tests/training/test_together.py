"""Members that train together: the same bits as alone, stopping on their own, resumed as one, and stacked to rounding."""

from __future__ import annotations

import dataclasses
import logging
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from alpha_pipeline.errors import ManifestMismatch, NotEnoughData
from alpha_pipeline.features.tensors import TensorSpec
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.models.contract import Network, NetworkConfig
from alpha_pipeline.models.gru_daily import GruDaily
from alpha_pipeline.models.head import linear_layer
from alpha_pipeline.training.batches import SampleSet
from alpha_pipeline.training.exposures import Exposures
from alpha_pipeline.training.fit import STATE_FILE, TrainingSpec, train_model
from alpha_pipeline.training.members import forward
from alpha_pipeline.training.resume import MemberResult
from alpha_pipeline_tests.training.test_fit import CPU, SPEC, StopError, same, train

LONG = TrainingSpec(max_epochs=9, patience=2, lr=0.1)


def exposures_of(market: Any) -> Exposures:
    """Two styles and an industry that splits the market; one stock without."""
    rng = np.random.default_rng(7)
    values = rng.normal(size=(*market.universe.shape, 4)).astype(np.float32)
    values[:, :, 2] = np.arange(market.universe.shape[1]) % 2
    values[:, :, 3] = 1 - values[:, :, 2]
    values[:, 8, 0] = np.nan
    return Exposures(values, ("size", "beta", "industry_a", "industry_b"))


class Factors(Network):
    """First step of each field -> K factors, minus their mean over the date: a factor unit that compares stocks."""

    def __init__(self, config: FactorsConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.linear = linear_layer(2, 3, generator)
        self.seen: list[tuple[int, int]] = []

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        factors_NK = self.linear(inputs["daily"][0].T)
        self.seen.append(tuple(inputs["exposures"].shape))  # type: ignore[arg-type]
        return factors_NK - factors_NK.mean(dim=0) + 0 * inputs["exposures"].sum()


@dataclass(frozen=True)
class FactorsConfig(NetworkConfig):
    inputs: ClassVar[tuple[str, ...]] = ("daily",)
    n_factors: ClassVar[int] = 3
    is_cross_sectional: ClassVar[bool] = True
    needs_exposures: ClassVar[bool] = True

    def create(self, generator: torch.Generator) -> Network:
        return Factors(self, generator)


def train_exposed(market: Any, config: Any, folder: Path, spec: TrainingSpec, **settings: Any) -> list[MemberResult]:
    parts = [SampleSet(market.windows, market.universe, market.labels, dates, exposures=exposures_of(market))
             for dates in (range(3, 25), range(25, 38))]
    return train_model(config, *parts, spec, (0, 1), folder, CPU, **settings)


def gru_market() -> list[SampleSet]:
    """60 stocks with daily windows of 8 sessions and 6 fields; labels follow the last move."""
    rng = np.random.default_rng(3)
    fields = ("open", "high", "low", "close", "vwap", "volume")
    values = np.exp(rng.normal(0, 0.02, (30, 1, 6, 60)).cumsum(axis=0)).astype(np.float32)
    spec = TensorSpec("daily", "daily", n_days=8, steps_per_day=1, fields=fields, scale="last")
    windows = {"daily": Windows(spec, values, np.zeros((30, 60), dtype=bool), fields)}
    labels = np.full((30, 60), np.nan)
    labels[1:] = -np.log(values[1:, 0, 3] / values[:-1, 0, 3]) * 50 + rng.normal(0, 0.3, (29, 60))
    return [SampleSet(windows, np.ones((30, 60), dtype=bool), labels, dates) for dates in (range(8, 22), range(22, 30))]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where numba is not installed."""
    monkeypatch.setitem(sys.modules, "numba", None)


def differences(a: MemberResult, b: MemberResult) -> float:
    return max(float((a.weights[name].double() - b.weights[name].double()).abs().max()) for name in a.weights)


class TestSameBits:
    @pytest.mark.parametrize("changes", [{}, {"dates_per_batch": 3}, {"batch_mode": "shuffled", "batch_size": 100}], ids=str)
    def test_as_alone(self, market: Any, tiny: Any, two_stage: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
        """With dropout and with two stages; members stop at different epochs."""
        spec = dataclasses.replace(LONG, **changes)
        for name, config in (("tiny", tiny), ("two", two_stage)):
            together = train(market, config, tmp_path / name, spec, seeds=(0, 1, 5))
            for member in together:
                (alone,) = train(market, config, tmp_path / f"{name}{member.seed}", spec, seeds=(member.seed,))
                assert same(member, alone)
        assert len({len(member.history) for member in together}) > 1, "otherwise nobody left the pass early"

    def test_the_seed_decides_the_weights_and_nothing_else(self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        orders: list[list[int]] = []
        honest = SampleSet.cross_sections

        def watched(self: SampleSet, *args: Any, **named: Any) -> Any:
            if named.get("order") is not None:
                orders.append(named["order"].tolist())
            return honest(self, *args, **named)

        monkeypatch.setattr(SampleSet, "cross_sections", watched)
        train(market, tiny, tmp_path / "a", seeds=(0, 1, 2))
        assert len(orders) == SPEC.max_epochs, "one pass over the data per epoch, whatever the number of members"
        train(market, tiny, tmp_path / "b", seeds=(9,))
        assert orders[:3] == orders[3:]
        assert orders[0] != orders[1]


class TestResumed:
    @pytest.mark.parametrize("crash_at", [1, 2, 3, 5, 8])
    def test_a_crash_changes_nothing(self, market: Any, two_stage: Any, tmp_path: Path, crash_at: int) -> None:
        undisturbed = train(market, two_stage, tmp_path / "undisturbed", LONG, seeds=(0, 1, 5))
        n_told = 0

        def crash(seed: int, row: Any) -> None:
            nonlocal n_told
            n_told += 1
            if n_told == crash_at:
                raise StopError

        with pytest.raises(StopError):
            train(market, two_stage, tmp_path / "crashed", LONG, seeds=(0, 1, 5), on_epoch=crash)
        assert [path.name for path in (tmp_path / "crashed").iterdir()] == [STATE_FILE]
        resumed = train(market, two_stage, tmp_path / "crashed", LONG, seeds=(0, 1, 5))
        assert all(same(a, b) for a, b in zip(resumed, undisturbed, strict=True))

    def test_a_killed_process_changes_nothing(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        """Killed between the steps of two members in the second epoch."""
        undisturbed = train(market, tiny, tmp_path / "undisturbed", seeds=(0, 1, 2))
        script = textwrap.dedent(f"""
            import os, pathlib, signal, torch
            from alpha_pipeline_tests.training.conftest import TinyConfig, make_market
            from alpha_pipeline.training.fit import TrainingSpec, train_model
            torch.set_num_threads({torch.get_num_threads()})
            market, honest, n_steps = make_market(), torch.optim.Adam.step, 0
            def step(self, *args):
                global n_steps
                n_steps += 1
                if n_steps == 3 * 22 + 3 * 10 + 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                return honest(self, *args)
            torch.optim.Adam.step = step
            train_model(TinyConfig(), market.samples(range(3, 25)), market.samples(range(25, 38)),
                        TrainingSpec(max_epochs=3, patience=2, lr=0.02), (0, 1, 2), pathlib.Path({str(tmp_path / "killed")!r}),
                        torch.device("cpu"))
        """)
        done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert [path.name for path in (tmp_path / "killed").iterdir()] == [STATE_FILE]
        told: list[tuple[int, int]] = []
        resumed = train(market, tiny, tmp_path / "killed", seeds=(0, 1, 2), on_epoch=lambda seed, row: told.append((seed, row.epoch)))
        assert all(same(a, b) for a, b in zip(resumed, undisturbed, strict=True))
        assert told == [(seed, epoch) for epoch in (2, 3) for seed in (0, 1, 2)]

    def test_more_seeds_than_before(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        def crash(seed: int, row: Any) -> None:
            raise StopError

        with pytest.raises(StopError):
            train(market, tiny, tmp_path / "a", seeds=(0, 1), on_epoch=crash)
        with pytest.raises(ManifestMismatch, match=r"kept training has other seeds .got \[0, 1\], expected \[1\]"):
            train(market, tiny, tmp_path / "a", seeds=(1,))
        more = train(market, tiny, tmp_path / "a", seeds=(2, 1, 0))
        assert [member.seed for member in more] == [2, 1, 0]
        assert all(same(a, b) for a, b in zip(more, train(market, tiny, tmp_path / "b", seeds=(2, 1, 0)), strict=True))


class TestStacked:
    @pytest.mark.parametrize("changes", [{}, {"dates_per_batch": 2, "grad_clip": 0.05}, {"batch_mode": "shuffled", "batch_size": 300}], ids=str)
    def test_gru_equals_one_by_one_to_rounding(self, reference: None, tmp_path: Path, caplog: Any, changes: dict[str, Any]) -> None:
        """Weights, batch-norm statistics, curves, and the epoch at which each member stops."""
        spec = TrainingSpec(max_epochs=5, patience=2, lr=0.01, **changes)
        config, samples = GruDaily(n_hidden=8), gru_market()
        with caplog.at_level(logging.INFO, "alpha_pipeline.training"):
            stacked = train_model(config, *samples, spec, (0, 1, 2), tmp_path / "stacked", CPU, members="stacked")
        assert "3 members train stacked" in caplog.text
        plain = train_model(config, *samples, spec, (0, 1, 2), tmp_path / "plain", CPU)
        for a, b in zip(stacked, plain, strict=True):
            assert a.best_epochs == b.best_epochs
            assert differences(a, b) < 2e-5
            assert a.weights["head.norm.num_batches_tracked"] == b.weights["head.norm.num_batches_tracked"]
            np.testing.assert_allclose([row.valid_ic for row in a.history], [row.valid_ic for row in b.history], atol=1e-4)

    def test_dropout_stages_and_resuming(self, market: Any, tiny: Any, two_stage: Any, tmp_path: Path) -> None:
        for name, config in (("tiny", tiny), ("two", two_stage)):
            plain = train(market, config, tmp_path / name, LONG, seeds=(0, 1, 5))
            folder, samples = tmp_path / f"{name}_stacked", [market.samples(range(3, 25)), market.samples(range(25, 38))]
            told = []

            def crash(seed: int, row: Any, told: list[int] = told) -> None:
                told.append(seed)
                if len(told) == 7:
                    raise StopError

            with pytest.raises(StopError):
                train_model(config, *samples, LONG, (0, 1, 5), folder, CPU, members="stacked", on_epoch=crash)
            with pytest.raises(ManifestMismatch, match="differs in 'members'"):
                train_model(config, *samples, LONG, (0, 1, 5), folder, CPU)
            stacked = train_model(config, *samples, LONG, (0, 1, 5), folder, CPU, members="stacked")
            for a, b in zip(stacked, plain, strict=True):
                assert a.best_epochs == b.best_epochs
                assert differences(a, b) < 1e-4

    def test_factors_of_a_date_with_exposures(self, market: Any, tmp_path: Path) -> None:
        spec = dataclasses.replace(SPEC, loss="factor_ic", neutralize=True, dates_per_batch=2)
        plain = train_exposed(market, FactorsConfig(), tmp_path / "plain", spec)
        stacked = train_exposed(market, FactorsConfig(), tmp_path / "stacked", spec, members="stacked")
        for a, b in zip(stacked, plain, strict=True):
            assert differences(a, b) < 1e-4

    def test_a_network_without_a_vmap_rule_falls_back_and_says_so(self, tmp_path: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        fused = pytest.importorskip("alpha_pipeline.models.recurrent.fused", exc_type=ImportError)
        monkeypatch.delattr(fused._Fused, "vmap")
        spec = TrainingSpec(max_epochs=1)
        stacked = train_model(GruDaily(), *gru_market(), spec, (0, 1), tmp_path / "stacked", CPU, members="stacked")
        assert "members train one by one: this network cannot be stacked on cpu" in caplog.text
        plain = train_model(GruDaily(), *gru_market(), spec, (0, 1), tmp_path / "plain", CPU)
        assert all(same(a, b) for a, b in zip(stacked, plain, strict=True))

    def test_out_of_memory_says_to_go_one_by_one(self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

        monkeypatch.setattr("alpha_pipeline.training.stacked.Stacked._losses", fail)
        with pytest.raises(NotEnoughData, match="training seeds 0, 1 on cpu: out of memory .*members one by one"):
            train_model(tiny, market.samples(range(3, 25)), market.samples(range(25, 38)), SPEC, (0, 1), tmp_path, CPU, members="stacked")


class TestPrecision:
    def test_bfloat16_changes_the_forward_pass_alone(self, market: Any, tiny: Any) -> None:
        network = tiny.build(torch.Generator().manual_seed(0)).eval()
        (batch,) = market.samples(range(12, 13)).cross_sections(("daily",), CPU)
        half = dataclasses.replace(SPEC, precision="bfloat16")
        exact, rough = (forward(network, batch, None, spec, CPU) for spec in (SPEC, half))
        assert rough.dtype == torch.float32
        assert 0 < float((exact - rough).abs().max().detach()) < 0.05
        rough.sum().backward()
        assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}

    @pytest.mark.parametrize(("precision", "n_warnings"), [("float32", 0), ("bfloat16", 1)])
    def test_a_cpu_says_that_bfloat16_is_slower_there(self, market: Any, tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture,
                                                      precision: str, n_warnings: int) -> None:
        spec = dataclasses.replace(SPEC, precision=precision, max_epochs=1)
        train_model(tiny, market.samples(range(3, 25)), market.samples(range(25, 38)), spec, (0,), tmp_path, CPU)
        assert sum("on a CPU it is slower" in message for message in caplog.messages) == n_warnings


class TestExposed:
    def test_samples_without_exposures_are_left_out_and_counted(self, market: Any) -> None:
        plain = market.samples(range(11, 16))
        found = SampleSet(market.windows, market.universe, market.labels, range(11, 16), exposures=exposures_of(market))
        n_lost = int(market.universe[11:16, 8].sum())
        assert found.excluded["no exposures"] == plain.n_samples - found.n_samples == n_lost > 0
        assert found.digest() != plain.digest()
        (batch,) = SampleSet(market.windows, market.universe, market.labels, [12], exposures=exposures_of(market)).cross_sections(("daily",), CPU)
        np.testing.assert_array_equal(batch.exposures, exposures_of(market).of(12, batch.columns))

    def test_a_cross_sectional_network_is_called_once_per_date(self, market: Any, tmp_path: Path) -> None:
        """And never sees a column that is 0 for the whole date."""
        samples = SampleSet(market.windows, market.universe, market.labels, range(11, 16), exposures=exposures_of(market))
        (batch,) = samples.cross_sections(("daily",), CPU, dates_per_batch=5)
        batch.exposures[batch.parts[1], 3] = 0.0
        calls = batch.calls(FactorsConfig())
        assert [part for part, _ in calls] == list(batch.parts)
        assert [inputs["exposures"].shape[1] for _, inputs in calls] == [4, 3, 4, 4, 4]
        for part, inputs in calls:
            assert torch.equal(inputs["daily"], batch.inputs["daily"][:, :, part])

    @pytest.mark.parametrize("loss", ["factor_ic", "negative_ic", "mse"])
    def test_every_loss_trains_a_factor_unit(self, market: Any, tmp_path: Path, loss: str) -> None:
        spec = TrainingSpec(loss=loss, max_epochs=6, lr=0.02, neutralize=loss != "mse", top_half_weight=2.0)
        for member in train_exposed(market, FactorsConfig(), tmp_path, spec):
            assert member.history[-1].train_loss < member.history[0].train_loss
            assert member.best_metrics["all"] > 0.2
