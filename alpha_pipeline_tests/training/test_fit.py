"""The training loop: reproducible, resumable to the bit, honest about failure."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from alpha_pipeline import progress
from alpha_pipeline.errors import BadInput, InvalidSpec, ManifestMismatch, NotEnoughData, UnknownName
from alpha_pipeline.training.checkpoint import weights_hash
from alpha_pipeline.training.fit import STATE_FILE, TrainingSpec, train_model
from alpha_pipeline.training.losses import LOSSES
from alpha_pipeline.training.resume import MemberResult

CPU = torch.device("cpu")
SPEC = TrainingSpec(max_epochs=3, patience=2, lr=0.02)


class StopError(Exception):
    """A crash in the middle of a training."""


def train(
    market: Any, config: Any, folder: Path, spec: TrainingSpec = SPEC, seeds: tuple[int, ...] = (0,), on_epoch: Any = None
) -> list[MemberResult]:
    return train_model(
        config, market.samples(range(3, 25)), market.samples(range(25, 38)), spec, seeds, folder, CPU, on_epoch=on_epoch
    )


def timeless(member: MemberResult) -> list[Any]:
    return [dataclasses.replace(row, seconds=0.0, samples_per_second=0.0) for row in member.history]


def same(a: MemberResult, b: MemberResult) -> bool:
    return (
        weights_hash([a.weights]) == weights_hash([b.weights]) and timeless(a) == timeless(b) and a.best_epochs == b.best_epochs
    )


class TestExamples:
    def test_learns(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        (member,) = train(market, tiny, tmp_path, TrainingSpec(max_epochs=12, lr=0.02))
        assert member.best_metrics["all"] > 0.6 > -member.history[0].train_loss
        assert member.history[-1].train_loss < member.history[0].train_loss

    def test_history_and_progress(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        seen, told = [], []
        listener = type("Listener", (), {"update": lambda self, *words: told.append(words)})()
        with progress.listening(listener):
            (member,) = train(market, tiny, tmp_path, on_epoch=lambda seed, row: seen.append((seed, row)))
        assert [row.epoch for _, row in seen] == [1, 2, 3]
        assert tuple(row for _, row in seen) == member.history
        assert member.history[0].stage == "all"
        assert member.history[0].lr == 0.02
        assert member.history[0].samples_per_second > 0
        assert told[0][:3] == ("train seed 0 all", 1, 3)
        assert "valid IC" in told[0][3]
        assert "best epoch" in told[0][3]

    def test_stops_early_and_returns_the_best_epoch(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        """With a learning rate this high, the best epoch comes early and the later ones differ from it."""
        (member,) = train(market, tiny, tmp_path, TrainingSpec(max_epochs=60, patience=3, lr=0.5))
        best = max(member.history, key=lambda row: row.valid_ic or -1.0)
        assert member.best_epochs["all"] == best.epoch
        assert member.best_metrics["all"] == best.valid_ic
        assert len(member.history) == best.epoch + 3 < 60
        (short,) = train(market, tiny, tmp_path / "short", TrainingSpec(max_epochs=best.epoch, patience=60, lr=0.5))
        assert weights_hash([short.weights]) == weights_hash([member.weights])

    def test_loss_as_metric_keeps_its_sign(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        (member,) = train(market, tiny, tmp_path, dataclasses.replace(SPEC, metric="loss"))
        assert member.best_metrics["all"] == min(row.valid_loss for row in member.history)

    def test_stages_in_order_with_the_first_frozen(self, market: Any, two_stage: Any, built: Any, tmp_path: Path) -> None:
        (member,) = train(market, two_stage, tmp_path)
        assert [row.stage for row in member.history] == ["first"] * 3 + ["second"] * 3
        assert list(member.best_epochs) == ["first", "second"]
        n_samples = sum(market.samples(dates).n_samples for dates in (range(3, 25), range(25, 38)))
        assert built[0].n_frozen_stocks == n_samples  # once per sample, whatever the number of epochs
        (alone,) = train(market, two_stage, tmp_path / "alone", dataclasses.replace(SPEC, max_epochs=member.best_epochs["first"]))
        for name, tensor in member.weights.items():
            if name.startswith("first."):
                assert torch.equal(tensor, alone.weights[name])
        assert member.best_metrics["second"] > member.best_metrics["first"]


class TestProperties:
    @pytest.mark.parametrize(
        "changes", [{}, {"batch_mode": "shuffled", "batch_size": 100}, {"dates_per_batch": 3}, {"grad_clip": None}]
    )
    def test_reproducible_and_each_setting_matters(self, market: Any, tiny: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
        spec = dataclasses.replace(SPEC, **changes)
        torch.manual_seed(1)
        (a,) = train(market, tiny, tmp_path / "a", spec)
        torch.manual_seed(2)
        (b,) = train(market, tiny, tmp_path / "b", spec)
        assert same(a, b)
        if changes:
            (plain,) = train(market, tiny, tmp_path / "plain")
            assert not same(a, plain)

    def test_leaves_the_global_random_state_alone(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        before = torch.random.get_rng_state()
        train(market, tiny, tmp_path)
        assert torch.equal(before, torch.random.get_rng_state())

    def test_a_seed_does_not_depend_on_its_ensemble(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        zero, one = train(market, tiny, tmp_path / "both", seeds=(0, 1))
        (alone,) = train(market, tiny, tmp_path / "alone", seeds=(1,))
        assert same(one, alone)
        assert not same(zero, one)

    @pytest.mark.parametrize("crash_at", [1, 2, 3, 4, 6])
    @pytest.mark.parametrize("mode", ["cross_section", "shuffled"])
    def test_a_crash_changes_nothing(self, market: Any, two_stage: Any, tmp_path: Path, crash_at: int, mode: str) -> None:
        spec = dataclasses.replace(SPEC, batch_mode="shuffled" if mode == "shuffled" else "cross_section", batch_size=150)
        (undisturbed,) = train(market, two_stage, tmp_path / "undisturbed", spec)
        n_epochs = 0

        def crash(seed: int, row: Any) -> None:
            nonlocal n_epochs
            n_epochs += 1
            if n_epochs == crash_at:
                raise StopError

        with pytest.raises(StopError):
            train(market, two_stage, tmp_path / "crashed", spec, on_epoch=crash)
        torch.manual_seed(99)
        (resumed,) = train(market, two_stage, tmp_path / "crashed", spec, on_epoch=crash)
        assert same(resumed, undisturbed)
        assert n_epochs == 6  # no epoch was repeated

    def test_a_crash_with_dropout_changes_nothing(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        (undisturbed,) = train(market, tiny, tmp_path / "undisturbed")

        def crash(seed: int, row: Any) -> None:
            raise StopError

        for _ in range(3):
            with pytest.raises(StopError):
                train(market, tiny, tmp_path / "crashed", on_epoch=crash)
        (resumed,) = train(market, tiny, tmp_path / "crashed")
        assert same(resumed, undisturbed)

    def test_a_killed_process_changes_nothing(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        (undisturbed,) = train(market, tiny, tmp_path / "undisturbed")
        script = textwrap.dedent(f"""
            import importlib.util, os, pathlib, signal, sys, torch
            spec = importlib.util.spec_from_file_location("tiny_market", {str(Path(__file__).with_name("conftest.py"))!r})
            market_module = importlib.util.module_from_spec(spec)
            sys.modules["tiny_market"] = market_module
            spec.loader.exec_module(market_module)
            from alpha_pipeline.training.fit import TrainingSpec, train_model
            torch.set_num_threads({torch.get_num_threads()})
            market = market_module.make_market()
            def kill(seed, row):
                if row.epoch == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
            train_model(market_module.TinyConfig(), market.samples(range(3, 25)), market.samples(range(25, 38)),
                        TrainingSpec(max_epochs=3, patience=2, lr=0.02), (0,), pathlib.Path({str(tmp_path / "killed")!r}),
                        torch.device("cpu"), on_epoch=kill)
        """)
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert [p.name for p in (tmp_path / "killed").iterdir()] == [STATE_FILE]
        epochs = []
        (resumed,) = train(market, tiny, tmp_path / "killed", on_epoch=lambda seed, row: epochs.append(row.epoch))
        assert same(resumed, undisturbed)
        assert epochs == [3]

    def test_finished_members_are_kept(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        first = train(market, tiny, tmp_path, seeds=(0, 1))
        trained = []
        again = train(market, tiny, tmp_path, seeds=(0, 1, 2), on_epoch=lambda seed, row: trained.append(seed))
        assert set(trained) == {2}
        assert all(same(a, b) for a, b in zip(first, again, strict=False))
        assert sorted(p.name for p in tmp_path.iterdir()) == [f"member_{seed}.safetensors" for seed in range(3)]


class TestErrors:
    def test_no_validation(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        with pytest.raises(NotEnoughData, match="no validation samples"):
            train_model(tiny, market.samples(range(3, 25)), None, SPEC, (0,), tmp_path, CPU)

    def test_seeds(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        for seeds in ((), (1, 1), (-1,)):
            with pytest.raises(InvalidSpec, match="seeds must be distinct"):
                train(market, tiny, tmp_path, seeds=seeds)

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("lr", 0.0),
            ("lr", float("nan")),
            ("max_epochs", 0),
            ("patience", 0),
            ("dates_per_batch", 0),
            ("batch_size", 1),
            ("grad_clip", -1.0),
            ("metric", "icir"),
            ("batch_mode", "random"),
            ("top_half_weight", 0.0),
            ("correlation_penalty", -0.1),
            ("precision", "float16"),
        ],
    )
    def test_settings(self, setting: str, value: Any) -> None:
        with pytest.raises(InvalidSpec, match=setting):
            dataclasses.replace(SPEC, **{setting: value})
        with pytest.raises(UnknownName, match="unknown loss"):
            dataclasses.replace(SPEC, loss="ic")

    def test_a_folder_of_another_training(self, market: Any, tiny: Any, tmp_path: Path) -> None:
        train(market, tiny, tmp_path)
        with pytest.raises(ManifestMismatch, match="kept training differs in 'training'"):
            train(market, tiny, tmp_path, dataclasses.replace(SPEC, lr=0.1))
        with pytest.raises(ManifestMismatch, match="kept training differs in 'network'"):
            train(market, dataclasses.replace(tiny, dropout=0.5), tmp_path)
        market.labels[10] *= -1
        with pytest.raises(ManifestMismatch, match="kept training differs in 'training samples'"):
            train(market, tiny, tmp_path)

    def test_a_loss_that_is_not_finite(self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(LOSSES, "mse", lambda prediction, label, weight=None: prediction.sum() * float("nan"))
        with pytest.raises(BadInput, match=r"seed 0, stage 'all', epoch 1, date index \d+: the loss is not finite \(got nan"):
            train(market, tiny, tmp_path, dataclasses.replace(SPEC, loss="mse"))

    def test_scores_without_spread_never_pass_for_a_model(
        self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torch.nn.BatchNorm1d.forward", lambda self, x: x * 0 + self.weight * 0)
        with pytest.raises(BadInput, match="no epoch gave a defined validation ic"):
            train(market, tiny, tmp_path)

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
            MemoryError(),
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            ),
        ],
    )
    def test_out_of_memory_says_what_to_do(
        self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        def fail(*arguments: Any, **settings: Any) -> None:
            raise error

        monkeypatch.setitem(LOSSES, "mse", fail)  # type: ignore[arg-type]
        with pytest.raises(NotEnoughData, match="training seed 0 on cpu: out of memory .*Train on fewer stocks at a time"):
            train(market, tiny, tmp_path, dataclasses.replace(SPEC, loss="mse"))

    def test_other_runtime_errors_pass(self, market: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: Any, **settings: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setitem(LOSSES, "mse", fail)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="a bug"):
            train(market, tiny, tmp_path, dataclasses.replace(SPEC, loss="mse"))
