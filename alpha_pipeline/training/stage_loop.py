"""One stage of an ensemble: epochs in lock-step, one pass over the data for all members, each stopping on its own."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from alpha_pipeline import progress
from alpha_pipeline.errors import BadInput, sentence
from alpha_pipeline.models.contract import Network
from alpha_pipeline.training.batches import Batch, SampleSet
from alpha_pipeline.training.losses import score_of
from alpha_pipeline.training.members import Executor, OneByOne, frozen_outputs
from alpha_pipeline.training.objective import Objective, Target
from alpha_pipeline.training.resume import EpochRow, TrainingState, cpu_copy
from alpha_pipeline.training.spec import TrainingSpec
from alpha_pipeline.training.stacked import Stacked
from alpha_pipeline.training.validation import Validation, ValidationDates

OnEpoch = Callable[[int, EpochRow], None]
logger = logging.getLogger("alpha_pipeline.training")


class StageLoop:
    """One stage. After :meth:`run` every member's state stands at the beginning of the next stage, with its best weights of this one."""

    def __init__(self, number: int, networks: Mapping[int, Network], train: SampleSet, valid: SampleSet, spec: TrainingSpec,
                 device: torch.device, *, stacked: bool) -> None:
        self.number, self.networks, self.train, self.valid, self.spec, self.device = number, networks, train, valid, spec, device
        self.stage = next(iter(networks.values())).stages()[number]
        self.objective = Objective(spec)
        self.stacked = stacked

    def run(self, states: Mapping[int, TrainingState], save: Callable[[], None], on_epoch: OnEpoch | None) -> None:
        """``states`` by seed; ``save`` is called after every epoch of the ensemble, then ``on_epoch(seed, row)`` for each member in it."""
        active = [seed for seed in states if not self._is_finished(states[seed])]
        if active:
            networks = [self.networks[seed] for seed in active]
            for seed, network in zip(active, networks, strict=True):
                network.load_state_dict(states[seed].weights)
                network.enter(self.stage)
            frozen = {name: frozen_outputs(networks, self.stage, samples, self.device)
                      for name, samples in (("train", self.train), ("valid", self.valid))}
            executor = self._executor(networks, [states[seed] for seed in active], frozen["train"])
        while active:
            self._epoch(active, states, executor, frozen)
            save()
            for seed in active:
                row = states[seed].history[-1]
                progress.step(f"train seed {seed} {self.stage.name}", row.epoch, self.spec.max_epochs, _note(row, states[seed].best_epoch))
                if on_epoch is not None:
                    on_epoch(seed, row)
            staying = [at for at, seed in enumerate(active) if not self._is_finished(states[seed])]
            if len(staying) < len(active):
                active = [active[at] for at in staying]
                if active:
                    executor.keep(staying)
                    frozen = {name: None if kept is None else [kept[at] for at in staying] for name, kept in frozen.items()}
        for seed, state in states.items():
            self._advance(seed, state)

    def _executor(self, networks: Sequence[Network], states: Sequence[TrainingState], frozen: Sequence[Tensor] | None) -> Executor:
        if self.stacked:
            executor = Stacked(networks, states, self.stage, self.spec, self.device)
            with self._random_numbers(np.random.SeedSequence([self.number, 0])):
                batch = next(iter(self._training_batches(np.random.default_rng(0), frozen is not None)))
                problem = executor.check(batch, self._targets(batch), frozen)
            if not problem:
                logger.info("%d members train stacked", len(networks))
                return executor
            logger.warning("members train one by one: this network cannot be stacked on %s (%s)", self.device, problem)
        return OneByOne(networks, states, self.stage, self.spec, self.device)

    def _is_finished(self, state: TrainingState) -> bool:
        return state.epoch >= self.spec.max_epochs or state.epoch - state.best_epoch >= self.spec.patience

    def _epoch(self, active: Sequence[int], states: Mapping[int, TrainingState], executor: Executor,
               frozen: Mapping[str, Sequence[Tensor] | None]) -> None:
        """One epoch of the active members: training pass, validation, states brought up to date."""
        epoch = states[active[0]].epoch + 1
        assert all(states[seed].epoch == epoch - 1 for seed in active), "members of one pass stand at the same epoch"
        start = time.perf_counter()
        train_losses = self._pass(active, epoch, executor, frozen["train"])
        seconds = (time.perf_counter() - start) / len(active)
        for at, (seed, found) in enumerate(zip(active, self._validate(len(active), executor, frozen["valid"]), strict=True)):
            state = states[seed]
            state.epoch = epoch
            state.weights, state.optimizer = executor.state(at)
            state.history.append(EpochRow(self.stage.name, epoch, train_losses[at], found.loss, found.ic, found.rank_ic, self.spec.lr,
                                          seconds, self.train.n_samples / seconds))
            metric = _metric(found, self.spec.metric)
            if metric is not None and (state.best_metric is None or metric > state.best_metric):
                state.best_metric, state.best_epoch, state.best_weights = metric, epoch, cpu_copy(state.weights)

    def _pass(self, active: Sequence[int], epoch: int, executor: Executor, frozen: Sequence[Tensor] | None) -> list[float]:
        """One pass over the training samples; the mean loss by member."""
        totals, n_parts = [0.0] * len(active), 0
        sequence = np.random.SeedSequence([self.number, epoch])
        with self._random_numbers(sequence):
            for batch in self._training_batches(np.random.default_rng(sequence), frozen is not None):
                values = executor.train(batch, self._targets(batch), frozen)
                for at, value in enumerate(values):
                    if not math.isfinite(value):
                        where = f"training seed {active[at]}, stage '{self.stage.name}', epoch {epoch}, date index {batch.date_index[0]}"
                        raise BadInput(sentence(
                            "the loss is not finite", where=where, got=value,
                            next_step="Check this date's features and labels, or lower lr; the state before this epoch is kept."))
                    totals[at] += value * len(batch.parts)
                n_parts += len(batch.parts)
        return [total / n_parts for total in totals]

    @contextmanager
    def _random_numbers(self, sequence: np.random.SeedSequence) -> Iterator[None]:
        """Dropout draws from torch's global generator: it is seeded inside the block, and the caller's is left as it was."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1)))
            yield

    def _training_batches(self, generator: np.random.Generator, is_cached: bool) -> Iterator[Batch]:
        tensors = self.stage.inputs_when_cached if is_cached else self.stage.inputs
        if self.spec.batch_mode == "shuffled":
            return self.train.shuffled(tensors, self.device, batch_size=self.spec.batch_size, generator=generator)
        order = generator.permutation(len(self.train.dates))
        return self.train.cross_sections(tensors, self.device, dates_per_batch=self.spec.dates_per_batch, order=order, reuse_memory=True)

    def _targets(self, batch: Batch) -> list[Target]:
        return [self.objective.target(batch.label[part], batch.is_top_half[part], None if batch.exposures is None else batch.exposures[part])
                for part in batch.parts]

    def _validate(self, n_members: int, executor: Executor, frozen: Sequence[Tensor] | None) -> list[Validation]:
        """Each member on the validation dates, in eval mode; every date and every stock counts."""
        dates = [ValidationDates() for _ in range(n_members)]
        tensors = self.stage.inputs if frozen is None else self.stage.inputs_when_cached
        for batch in self.valid.cross_sections(tensors, self.device, reuse_memory=True):
            (target,) = self._targets(batch)
            for own, output in zip(dates, executor.outputs(batch, frozen), strict=True):
                own.add(score_of(self.objective.seen(output, target)), batch.label, self.objective(output, target))
        return [own.means() for own in dates]

    def _advance(self, seed: int, state: TrainingState) -> None:
        """Close the stage for a member: best weights, and the position of the next stage."""
        if state.best_weights is None or state.best_metric is None:
            raise BadInput(sentence(
                f"no epoch gave a defined validation {self.spec.metric}", where=f"training seed {seed}, stage '{self.stage.name}'",
                got=f"{state.epoch} epochs, all undefined", expected="scores that differ between stocks",
                next_step="Look at the features and labels of the validation dates."))
        state.best_epochs[self.stage.name] = state.best_epoch
        state.best_metrics[self.stage.name] = -state.best_metric if self.spec.metric == "loss" else state.best_metric
        state.weights, state.optimizer, state.best_weights = state.best_weights, {}, None
        state.stage, state.epoch, state.best_epoch, state.best_metric = state.stage + 1, 0, 0, None


def _metric(found: Validation, name: str) -> float | None:
    """Larger is better; None where undefined."""
    if name == "loss":
        return -found.loss if math.isfinite(found.loss) else None
    return found.ic if name == "ic" else found.rank_ic


def _note(row: EpochRow, best_epoch: int) -> str:
    ic, rank_ic = ("undefined" if x is None else f"{x:+.4f}" for x in (row.valid_ic, row.valid_rank_ic))
    speed = f"{row.samples_per_second:,.0f} samples/s"
    return f"loss {row.train_loss:+.4f}, valid IC {ic}, RankIC {rank_ic}, best epoch {best_epoch}, {speed}"
