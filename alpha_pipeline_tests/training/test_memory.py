"""Memory told before a training, and where the panels go."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from alpha_pipeline.errors import NotEnoughData
from alpha_pipeline.models.attention_rnn import AttentionRnn
from alpha_pipeline.training import memory
from alpha_pipeline.training.fit import train_model
from alpha_pipeline.training.memory import MemoryNeed, check_memory, free_memory, memory_needed, placed
from alpha_pipeline_tests.training.test_fit import CPU, SPEC, train

GIB = 2**30


def network(config: Any) -> Any:
    return config.build(torch.Generator().manual_seed(0))


class TestNeed:
    def test_windows_and_members_by_hand(self, market: Any, two_stage: Any) -> None:
        samples = market.samples(range(11, 16))
        need = memory_needed(network(two_stage), samples, SPEC, 3, CPU, stacked=False)
        n_stocks = max(part.stop - part.start for batch in samples.cross_sections(("daily",), CPU) for part in batch.parts)
        assert need.windows == n_stocks * 4 * (4 * 2 + 2 * 3 * 2)  # both tensors, float32
        weights = sum(t.numel() * t.element_size() for t in network(two_stage).state_dict().values())
        assert need.members == 3 * 4 * weights
        assert need.total == need.windows + need.activations + need.members

    def test_activations_follow_the_batch_and_the_members(self, market: Any, tiny: Any) -> None:
        """The tanh keeps its 4 outputs, so at least 16 bytes per stock."""
        samples = market.samples(range(3, 25))
        one = memory_needed(network(tiny), samples, SPEC, 1, CPU, stacked=True).activations
        assert one >= 16 * samples.largest_batch(1)
        assert memory_needed(network(tiny), samples, SPEC, 3, CPU, stacked=True).activations == 3 * one
        assert memory_needed(network(tiny), samples, SPEC, 3, CPU, stacked=False).activations == one
        several = dataclasses.replace(SPEC, dates_per_batch=22)
        assert memory_needed(network(tiny), samples, several, 1, CPU, stacked=False).activations > 10 * one

    def test_a_network_that_compares_stocks_is_tried_on_a_whole_cross_section(self, market: Any) -> None:
        """Few stocks do not suffice for its factors: the default wants 96, and is told so only where the data have fewer."""
        samples = market.samples(range(11, 16))
        config = AttentionRnn(tensor="daily", n_fields=samples.windows["daily"].spec.n_fields, n_outputs=samples.largest_batch(1) // 3)
        assert config.is_cross_sectional
        assert memory_needed(network(config), samples, SPEC, 1, CPU, stacked=False).activations > 0

    def test_leaves_network_and_random_numbers_alone(self, market: Any, tiny: Any) -> None:
        net, before = network(tiny), torch.get_rng_state()
        weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        memory_needed(net, market.samples(range(11, 16)), SPEC, 1, CPU, stacked=False)
        assert all(torch.equal(tensor, weights[name]) for name, tensor in net.state_dict().items())
        assert torch.equal(torch.get_rng_state(), before)


class TestRefused:
    def test_with_numbers_and_advice(self) -> None:
        need = MemoryNeed(windows=GIB, activations=7 * GIB, members=GIB)
        check_memory(need, CPU, free_bytes=11 * GIB)
        with pytest.raises(NotEnoughData, match=r"will not fit into the memory of cpu \(got 9.00 GiB free, expected 10.00 GiB: windows 1.00 GiB, "
                                                r"activations 7.00 GiB, members 1.00 GiB, and a margin\). Buy more"):
            check_memory(need, CPU, free_bytes=9 * GIB, advice="Buy more.")

    def test_before_anything_is_trained(self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
        with pytest.raises(NotEnoughData, match="will not fit .*dates_per_batch=1.*members one by one"):
            train_model(tiny, market.samples(range(3, 25)), market.samples(range(25, 38)), SPEC, (0, 1), tmp_path, CPU, members="stacked")
        assert not list(tmp_path.iterdir())

    def test_where_nobody_knows_everything_fits(self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "absent")
        assert free_memory(CPU) is None
        assert train(market, tiny, tmp_path / "work")

    def test_the_host_tells(self) -> None:
        assert (free_memory(CPU) or GIB) > 10**6


class TestPlaced:
    """The meta device stands in for a GPU."""

    def test_a_panel_that_does_not_fit_stays_and_the_log_says_so(self, market: Any, caplog: Any) -> None:
        day, bar = (market.windows[name].panel_bytes for name in ("daily", "intraday_15m"))
        assert bar > day
        there = torch.device("meta")
        found = placed(market.windows, there, reserved=100, free_bytes=int((day + 200) / 0.9))
        assert (found["daily"].device.type, found["intraday_15m"].device.type) == ("meta", "cpu")
        assert "the panel of 'intraday_15m'" in caplog.text
        assert "stays in host memory" in caplog.text
        everything = placed(market.windows, there, reserved=0, free_bytes=100 * (day + bar))
        assert {windows.device.type for windows in everything.values()} == {"meta"}

    def test_on_the_host_nothing_moves(self, market: Any) -> None:
        assert placed(market.windows, CPU, 0) == market.windows
