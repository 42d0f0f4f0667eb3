"""The one training loop: stages in order, Adam, early stop, best weights restored, resumable after every epoch.

Reproducible by construction: initial weights come from the seed, the order of dates and all other random numbers of an epoch from
(seed, stage, epoch). Two trainings with the same arguments on the same kind of device give the same bits, whether or not they
were interrupted; only the seconds in the history differ.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alpha_pipeline import progress
from alpha_pipeline.digest import digest
from alpha_pipeline.errors import BadInput, InvalidSpec, NotEnoughData, sentence
from alpha_pipeline.models.contract import Network, NetworkConfig, Stage
from alpha_pipeline.training.batches import Batch, SampleSet
from alpha_pipeline.training.device import memory_advice
from alpha_pipeline.training.losses import loss_named
from alpha_pipeline.training.resume import (
    EpochRow,
    MemberResult,
    TrainingState,
    cpu_copy,
    load_result,
    load_state,
    optimizer_tensors,
    save_result,
    save_state,
)
from alpha_pipeline.training.spec import TrainingSpec
from alpha_pipeline.training.validation import Validation, validate

__all__ = ["OnEpoch", "TrainingSpec", "train_member", "train_model"]

OnEpoch = Callable[[int, EpochRow], None]


def train_model(
    network_config: NetworkConfig,
    samples_train: SampleSet,
    samples_valid: SampleSet | None,
    training_spec: TrainingSpec,
    seeds: Sequence[int],
    work_folder: Path,
    device: torch.device,
    *,
    on_epoch: OnEpoch | None = None,
) -> list[MemberResult]:
    """All members of an ensemble, one after another, in the order of ``seeds``.

    ``work_folder`` keeps finished members and the state of the one in progress; call again with the same arguments after a
    crash and nothing finished is repeated. Name the folder after everything the data depend on: the bars are not compared.
    ``on_epoch(seed, row)`` is called after an epoch has been saved.

    Raises
    ------
    NotEnoughData : no validation samples, or out of memory. InvalidSpec : seeds repeat. ManifestMismatch : the folder belongs to
    another training. BadInput : the loss is not finite.
    """
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise InvalidSpec(
            sentence("seeds must be distinct and not negative", where="train_model", got=list(seeds), expected="e.g. 0, 1, 2")
        )
    if samples_valid is None:
        raise NotEnoughData(
            sentence(
                "no validation samples",
                where="train_model",
                got="None",
                next_step="Without them there is no best epoch to stop at; choose a train_share below 1.",
            )
        )
    return [
        train_member(network_config, samples_train, samples_valid, training_spec, seed, work_folder, device, on_epoch=on_epoch)
        for seed in seeds
    ]


def train_member(
    network_config: NetworkConfig,
    samples_train: SampleSet,
    samples_valid: SampleSet,
    training_spec: TrainingSpec,
    seed: int,
    work_folder: Path,
    device: torch.device,
    *,
    on_epoch: OnEpoch | None = None,
) -> MemberResult:
    """One member; see :func:`train_model`."""
    fingerprint = {
        "network": digest(network_config),
        "training": digest(training_spec),
        "seed": str(seed),
        "device": device.type,
        "training samples": samples_train.digest(),
        "validation samples": samples_valid.digest(),
    }
    result_path = work_folder / f"member_{seed}.safetensors"
    state_path = work_folder / f"member_{seed}.state.safetensors"
    if result_path.exists():
        return load_result(result_path, fingerprint)
    network = network_config.build(torch.Generator().manual_seed(seed)).to(device)
    if state_path.exists():
        state = load_state(state_path, fingerprint)
    else:
        state = TrainingState(stage=0, epoch=0, weights=cpu_copy(network.state_dict()))
    advice = (
        "Train on fewer stocks at a time (batch_mode='shuffled' with a smaller batch_size, or dates_per_batch=1), "
        "leave the panel in host memory, or use a device with more."
    )
    with memory_advice(f"training seed {seed} on {device}", advice):
        for stage in network.stages()[state.stage :]:
            _StageLoop(network, stage, samples_train, samples_valid, training_spec, seed, device).run(
                state, lambda: save_state(state_path, state, fingerprint), on_epoch
            )
    result = MemberResult(seed, state.weights, tuple(state.history), state.best_epochs, state.best_metrics)
    save_result(result_path, result, fingerprint)
    state_path.unlink(missing_ok=True)
    return result


class _StageLoop:
    """One stage of one member. After :meth:`run` the state stands at the beginning of the next stage with the best weights of
    this one."""

    def __init__(
        self,
        network: Network,
        stage: Stage,
        train: SampleSet,
        valid: SampleSet,
        spec: TrainingSpec,
        seed: int,
        device: torch.device,
    ) -> None:
        self.network, self.stage, self.train, self.valid, self.spec, self.seed, self.device = (
            network,
            stage,
            train,
            valid,
            spec,
            seed,
            device,
        )
        self.loss = loss_named(spec.loss)
        self.where = f"training seed {seed}, stage '{stage.name}'"

    def run(self, state: TrainingState, save: Callable[[], None], on_epoch: OnEpoch | None) -> None:
        network, spec = self.network, self.spec
        network.load_state_dict(state.weights)
        network.enter(self.stage)
        parameters = network.trainable(self.stage)
        optimizer = torch.optim.Adam(parameters, lr=spec.lr)
        if state.optimizer:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state.optimizer})
        frozen_train, frozen_valid = self._frozen(self.train), self._frozen(self.valid)
        while state.epoch < spec.max_epochs and state.epoch - state.best_epoch < spec.patience:
            start = time.perf_counter()
            state.epoch += 1
            train_loss = self._epoch(state, optimizer, parameters, frozen_train)
            seconds = time.perf_counter() - start
            found = validate(self.scores(self.valid, frozen_valid), self.loss)
            row = EpochRow(
                self.stage.name,
                state.epoch,
                train_loss,
                found.loss,
                found.ic,
                found.rank_ic,
                spec.lr,
                seconds,
                self.train.n_samples / seconds,
            )
            metric = _metric(found, spec.metric)
            if metric is not None and (state.best_metric is None or metric > state.best_metric):
                state.best_metric, state.best_epoch, state.best_weights = metric, state.epoch, cpu_copy(network.state_dict())
            state.weights, state.optimizer = cpu_copy(network.state_dict()), optimizer_tensors(optimizer)
            state.history.append(row)
            save()
            progress.step(f"train seed {self.seed} {self.stage.name}", state.epoch, spec.max_epochs, _note(row, state.best_epoch))
            if on_epoch is not None:
                on_epoch(self.seed, row)
        if state.best_weights is None or state.best_metric is None:
            raise BadInput(
                sentence(
                    f"no epoch gave a defined validation {spec.metric}",
                    where=self.where,
                    got=f"{state.epoch} epochs, all undefined",
                    expected="scores that differ between stocks",
                    next_step="Look at the features and labels of the validation dates.",
                )
            )
        network.load_state_dict(state.best_weights)
        state.best_epochs[self.stage.name] = state.best_epoch
        state.best_metrics[self.stage.name] = -state.best_metric if spec.metric == "loss" else state.best_metric
        state.weights, state.optimizer, state.best_weights = state.best_weights, {}, None
        state.stage, state.epoch, state.best_epoch, state.best_metric = state.stage + 1, 0, 0, None

    def _epoch(
        self, state: TrainingState, optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], frozen: Tensor | None
    ) -> float:
        """One pass over the training samples; the mean loss."""
        total, n_parts = 0.0, 0
        sequence = np.random.SeedSequence([self.seed, state.stage, state.epoch])
        self.network.train()
        # dropout draws from torch's global generator: seed it for this epoch, and leave the caller's as it was
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            for batch in self._training_batches(np.random.default_rng(sequence), frozen is not None):
                score_N = self._score(batch, frozen)
                loss = torch.stack([self.loss(score_N[part], batch.label[part]) for part in batch.parts]).mean()
                value = loss.item()
                if not math.isfinite(value):
                    raise BadInput(
                        sentence(
                            "the loss is not finite",
                            where=f"{self.where}, epoch {state.epoch}, date index {batch.date_index[0]}",
                            got=value,
                            next_step="Check this date's features and labels, or lower lr; the state before this epoch is kept.",
                        )
                    )
                optimizer.zero_grad()
                loss.backward()
                if self.spec.grad_clip is not None:
                    torch.nn.utils.clip_grad_norm_(parameters, self.spec.grad_clip)
                optimizer.step()
                total, n_parts = total + value * len(batch.parts), n_parts + len(batch.parts)
        return total / n_parts

    def _training_batches(self, generator: np.random.Generator, is_cached: bool) -> Iterator[Batch]:
        tensors = self.stage.inputs_when_cached if is_cached else self.stage.inputs
        if self.spec.batch_mode == "shuffled":
            return self.train.shuffled(tensors, self.device, batch_size=self.spec.batch_size, generator=generator)
        order = generator.permutation(len(self.train.dates))
        return self.train.cross_sections(
            tensors, self.device, dates_per_batch=self.spec.dates_per_batch, order=order, reuse_memory=True
        )

    def scores(self, samples: SampleSet, frozen: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """(score, label) of each date, in eval mode; every date and every stock counts."""
        self.network.eval()
        with torch.no_grad():
            tensors = self.stage.inputs if frozen is None else self.stage.inputs_when_cached
            for batch in samples.cross_sections(tensors, self.device, reuse_memory=True):
                yield self._score(batch, frozen), batch.label

    def _score(self, batch: Batch, frozen: Tensor | None) -> Tensor:
        if frozen is None:
            score: Tensor = self.network(batch.inputs)
        else:
            score = self.network(batch.inputs, frozen=frozen[torch.from_numpy(batch.samples).to(self.device)])
        return score

    def _frozen(self, samples: SampleSet) -> Tensor | None:
        """Output of the stage's frozen part, (n_samples,), computed once per stage; None if there is no such part."""
        kept = []
        self.network.eval()
        with torch.no_grad():
            for batch in samples.cross_sections(self.stage.inputs, self.device, reuse_memory=True):
                output = self.network.frozen_output(batch.inputs)
                if output is None:
                    return None
                kept.append(output)
        return torch.cat(kept)


def _metric(found: Validation, name: str) -> float | None:
    """Larger is better; None where undefined."""
    if name == "loss":
        return -found.loss if math.isfinite(found.loss) else None
    return found.ic if name == "ic" else found.rank_ic


def _note(row: EpochRow, best_epoch: int) -> str:
    ic, rank_ic = ("undefined" if x is None else f"{x:+.4f}" for x in (row.valid_ic, row.valid_rank_ic))
    speed = f"{row.samples_per_second:,.0f} samples/s"
    return f"loss {row.train_loss:+.4f}, valid IC {ic}, RankIC {rank_ic}, best epoch {best_epoch}, {speed}"
