"""The one training of all networks: stages in order, Adam, early stop, best weights restored, resumable after every epoch.

The members of an ensemble train together, in one pass over the data: the windows of a batch are built once. Initial weights come
from the seed; the order of dates and all other random numbers of an epoch come from (stage, epoch) and are the same for all members.
On the CPU a member has the same bits alone, in any company, and whether or not it was interrupted; only the seconds in the history
differ. Where members are stacked (``members="stacked"``, and ``"auto"`` on CUDA) they agree with that to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from alpha_pipeline.digest import digest
from alpha_pipeline.errors import InvalidSpec, ManifestMismatch, NotEnoughData, sentence
from alpha_pipeline.models.contract import NetworkConfig
from alpha_pipeline.training.batches import SampleSet
from alpha_pipeline.training.device import memory_advice
from alpha_pipeline.training.members import warn_of_slow_precision
from alpha_pipeline.training.memory import check_memory, memory_needed
from alpha_pipeline.training.objective import check_combination
from alpha_pipeline.training.resume import (
    MemberResult,
    TrainingState,
    cpu_copy,
    load_result,
    load_states,
    save_result,
    save_states,
)
from alpha_pipeline.training.spec import TrainingSpec
from alpha_pipeline.training.stage_loop import OnEpoch, StageLoop

__all__ = ["Members", "OnEpoch", "TrainingSpec", "train_model"]

Members = Literal["auto", "one_by_one", "stacked"]
STATE_FILE = "ensemble.state.safetensors"


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
    members: Members = "auto",
) -> list[MemberResult]:
    """All members of an ensemble, trained together, in the order of ``seeds``.

    ``work_folder`` keeps finished members and one state of those in progress; call again with the same arguments after a crash and
    nothing finished is repeated. Name the folder after everything the data depend on: the bars are not compared.
    ``on_epoch(seed, row)`` is called after an epoch of the ensemble has been saved, for each member in it.
    ``members``: ``stacked`` needs a network that ``torch.func.vmap`` can take, else a warning is logged and they go ``one_by_one``;
    ``auto`` is ``stacked`` on CUDA and ``one_by_one`` elsewhere. Like the device, this is no part of what a checkpoint must match:
    the numbers agree to rounding. But an interrupted training goes on only in the way it began.

    Raises
    ------
    NotEnoughData : no validation samples; or too little memory, before anything is trained where that can be told.
    InvalidSpec : seeds repeat, or settings that cannot work together. ManifestMismatch : the folder belongs to another training.
    BadInput : the loss is not finite.
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
    has_exposures = samples_train.exposures is not None and samples_valid.exposures is not None
    check_combination(training_spec, network_config, has_exposures=has_exposures)
    warn_of_slow_precision(training_spec, device)
    is_stacked = members == "stacked" or (members == "auto" and device.type == "cuda")
    fingerprint = {
        "network": digest(network_config),
        "training": digest(training_spec),
        "device": device.type,
        "members": "stacked" if is_stacked else "one_by_one",
        "training samples": samples_train.digest(),
        "validation samples": samples_valid.digest(),
    }
    state_path = work_folder / STATE_FILE
    done = {seed: load_result(path, {**fingerprint, "seed": str(seed)}) for seed in seeds if (path := _result_path(work_folder, seed)).exists()}
    missing = [seed for seed in seeds if seed not in done]
    groups = [missing]
    if state_path.exists():
        started = load_states(state_path, fingerprint)
        if not set(started) <= set(seeds):
            raise ManifestMismatch(sentence("kept training has other seeds", where=str(state_path), got=sorted(started), expected=list(seeds),
                                            next_step=f"Finish it with its own seeds, or delete {work_folder} to start over."))
        groups = [[seed for seed in seeds if seed in started], [seed for seed in missing if seed not in started]]
    for group in groups:
        if group:
            done |= _train_together(network_config, samples_train, samples_valid, training_spec, group, work_folder, device, fingerprint,
                                    on_epoch, is_stacked)
    return [done[seed] for seed in seeds]


def _train_together(network_config: NetworkConfig, train: SampleSet, valid: SampleSet, spec: TrainingSpec, seeds: Sequence[int],
                    work_folder: Path, device: torch.device, fingerprint: dict[str, str], on_epoch: OnEpoch | None,
                    stacked: bool) -> dict[int, MemberResult]:
    """Train these members, from their state if there is one, and leave their results, by seed."""
    advice = (
        "Train on fewer stocks at a time (batch_mode='shuffled' with a smaller batch_size, or dates_per_batch=1), "
        f"{'members one by one, ' if stacked and len(seeds) > 1 else ''}leave the panel in host memory, or use a device with more."
    )
    with memory_advice(f"training seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} on {device}", advice):
        networks = {seed: network_config.build(torch.Generator().manual_seed(seed)).to(device) for seed in seeds}
        need = memory_needed(networks[seeds[0]], train, spec, len(seeds), device, stacked=stacked)
        check_memory(need, device, advice=advice)
        state_path = work_folder / STATE_FILE
        if state_path.exists():
            states = load_states(state_path, fingerprint)
        else:
            states = {seed: TrainingState(stage=0, epoch=0, weights=cpu_copy(networks[seed].state_dict())) for seed in seeds}
        begun = {state.stage for state in states.values()}
        assert len(begun) == 1, "all members finish a stage before the next one begins"
        for number in range(begun.pop(), len(network_config.stages())):
            StageLoop(number, networks, train, valid, spec, device, stacked=stacked).run(
                states, lambda: save_states(state_path, states, fingerprint), on_epoch
            )
    results = {seed: MemberResult(seed, state.weights, tuple(state.history), state.best_epochs, state.best_metrics)
               for seed, state in states.items()}
    for seed, result in results.items():
        save_result(_result_path(work_folder, seed), result, {**fingerprint, "seed": str(seed)})
    state_path.unlink(missing_ok=True)
    return results


def _result_path(work_folder: Path, seed: int) -> Path:
    return work_folder / f"member_{seed}.safetensors"
