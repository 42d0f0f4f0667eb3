"""Steps ``models/<name>/training_set``, ``checkpoint`` and ``scores``: which sessions train, the trained ensemble, its scores by date."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from alpha_pipeline.digest import combine
from alpha_pipeline.errors import InvalidSpec, ManifestMismatch, MissingData, sentence
from alpha_pipeline.experiment import RISK_STYLES, ModelSpec
from alpha_pipeline.features.market_panels import MarketPanels
from alpha_pipeline.features.tensors import TENSORS
from alpha_pipeline.pipeline.exposures import model_exposures, risk_style_contents
from alpha_pipeline.pipeline.panels import panel_data_version
from alpha_pipeline.pipeline.samples import data_history, min_history, network_config, panel_names, sample_data, training_plan, windows_of
from alpha_pipeline.pipeline.workspace import CODE_VERSION, StepReport, Workspace
from alpha_pipeline.progress import track
from alpha_pipeline.store import Manifest

if TYPE_CHECKING:
    from alpha_pipeline.training.checkpoint import Checkpoint
    from alpha_pipeline.training.fit import Members, OnEpoch


def training_set_table(model: str) -> str:
    return f"models/{model}/training_set"


def scores_table(model: str) -> str:
    return f"models/{model}/scores"


def factors_table(model: str) -> str:
    """Table of the factors of a factor unit: trade_date, symbol, and one float32 column ``f<seed>_<k>`` per seed and factor."""
    return f"models/{model}/factors"


def checkpoint_name(model: str, period: str) -> str:
    """Folder of a checkpoint below the market's root."""
    return f"models/{model}/{period}"


def spec_digest(spec: ModelSpec) -> str:
    """What a checkpoint must have been trained with: the spec and the version of the numbers."""
    return combine([CODE_VERSION, spec.training_digest()])


def make_training_set(work: Workspace, spec: ModelSpec, period: str) -> Manifest:
    """Manifest of what a period trains on: one row per session with its part and number of labelled stocks, and one hash of all data seen.

    The data are those known at the close of the last session before the period; nothing later is read.
    """
    panels = work.panels
    plan = training_plan(work, spec, period)
    last = str(plan.last_known)
    missing = [name for name in panel_names(spec) if last not in set(panels.by_name(name).dates)]
    if missing:
        raise MissingData(sentence(f"panels {', '.join(missing)} do not reach {last}", where=f"{training_set_table(spec.name)} {period}",
                                   next_step=f"Materialize the panels up to {last} first."))
    first_row = int(min(plan.train_indices[0], plan.valid_indices[0])) - data_history(spec) + 1
    first = work.calendar.keys()[max(0, first_row)]
    version = _data_version(work, panels, spec, first, last, sorted(map(str, (*plan.train_dates, *plan.valid_dates))))
    begin = panels.status.index(first)
    sampled = [panels.status.index(str(day)) - begin for day in (*plan.train_dates, *plan.valid_dates)]
    data = sample_data(work, panels, spec, begin, panels.status.index(last) + 1, sampled)
    rows = []
    for part, days in (("train", plan.train_dates), ("valid", plan.valid_dates)):
        for day in days:
            at = panels.status.index(str(day)) - data.offset
            rows.append({"trade_date": pd.Timestamp(day).as_unit("s"), "part": part, "n_labelled": int(np.isfinite(data.labels[at]).sum())})
    frame = pd.DataFrame(rows).sort_values("trade_date", ignore_index=True)
    meta = {"data_version": version, "spec_digest": spec_digest(spec), "period": period, "first": first, "last_known": last,
            "train_range": list(plan.train_range), "valid_range": list(plan.valid_range), "n_sampled": plan.n_sampled, "n_purged": plan.n_purged}
    return work.store.write(training_set_table(spec.name), period, frame, source=combine([spec_digest(spec), version]), meta=meta)


def _data_version(work: Workspace, panels: MarketPanels, spec: ModelSpec, first: str, last: str, sampled: Sequence[str]) -> str:
    """One hash of all data behind a period's samples; ``sampled`` dates in order."""
    version = panel_data_version(panels, panel_names(spec), first, last)
    return combine([version, *risk_style_contents(work, sampled)]) if spec.reads_risk_styles else version


def train(work: Workspace, spec: ModelSpec, period: str, device: str, on_epoch: OnEpoch | None = None,
          members: Members = "auto") -> tuple[Checkpoint, bool]:
    """The period's checkpoint and whether it was trained now (False: the stored one is current).

    ``members``: how the ensemble is trained, see :func:`~alpha_pipeline.training.fit.train_model`; like the device, not part of what is stored.
    An interrupted training continues from its last epoch. Raises :class:`InvalidSpec` when another process is training the same period.
    """
    import torch

    from alpha_pipeline.training.batches import SampleSet
    from alpha_pipeline.training.checkpoint import make_manifest, save_checkpoint
    from alpha_pipeline.training.fit import train_model
    from alpha_pipeline.training.memory import memory_needed, placed

    manifest = _training_set(work, spec, period)
    stored = _stored_checkpoint(work, spec, period, manifest)
    if stored is not None:
        return stored, False
    folder = work.store.local_folder(checkpoint_name(spec.name, period))
    with _lease(folder, spec.name, period):
        panels = work.panels
        start, stop = panels.status.index(manifest.meta["first"]), panels.status.index(manifest.meta["last_known"]) + 1
        windows = windows_of(panels, spec, start, stop)
        frame = work.store.read(training_set_table(spec.name), period)
        indices = {part: [panels.status.index(str(day.date())) - start for day in frame.loc[frame["part"] == part, "trade_date"]]
                   for part in ("train", "valid")}
        data = sample_data(work, panels, spec, start, stop, [*indices["train"], *indices["valid"]])
        exposures = None
        if spec.exposures:
            exposures = model_exposures(work, panels, spec.exposures, start, stop, [*indices["train"], *indices["valid"]])
        parts = {part: SampleSet(windows, data.universe, data.labels, days, label_shuffle_seed=spec.label_shuffle_seed, exposures=exposures)
                 for part, days in indices.items()}
        work_folder = folder / f"work-{combine([manifest.source, device])[:12]}"
        target = torch.device(device)
        config = network_config(spec)
        if target.type != "cpu":
            network = config.build(torch.Generator().manual_seed(spec.seeds[0]))
            need = memory_needed(network, parts["train"], spec.training, len(spec.seeds), target, stacked=members != "one_by_one")
            windows = placed(windows, target, need.total)
            for samples in parts.values():
                samples.use(windows)
        trained = train_model(config, parts["train"], parts["valid"], spec.training, spec.seeds, work_folder, target, on_epoch=on_epoch,
                              members=members)
        facts = make_manifest(
            trained, spec_digest=spec_digest(spec), data_version=manifest.meta["data_version"], period=period,
            train_range=tuple(manifest.meta["train_range"]), valid_range=tuple(manifest.meta["valid_range"]),
            n_samples={part: samples.n_samples for part, samples in parts.items()},
        )
        save_checkpoint(folder, trained, facts)
        work.store.publish_folder(checkpoint_name(spec.name, period), "manifest.json")
        for old in folder.glob("work-*"):
            shutil.rmtree(old)
    return load(work, spec, period), True


def _training_set(work: Workspace, spec: ModelSpec, period: str) -> Manifest:
    manifest = work.store.manifest(training_set_table(spec.name), period)
    if manifest is None:
        raise MissingData(sentence(f"no training set for {period}", where=f"model '{spec.name}'",
                                   next_step=f"Materialize '{training_set_table(spec.name)}' for {period} first."))
    if manifest.meta["spec_digest"] != spec_digest(spec):
        raise ManifestMismatch(sentence("the training set was made for another spec", where=f"model '{spec.name}' {period}",
                                        got=manifest.meta["spec_digest"][:12], expected=spec_digest(spec)[:12],
                                        next_step=f"Materialize '{training_set_table(spec.name)}' for {period} again."))
    return manifest


def _stored_checkpoint(work: Workspace, spec: ModelSpec, period: str, training_set: Manifest) -> Checkpoint | None:
    """The stored checkpoint if it was trained on exactly this spec and data."""
    from alpha_pipeline.training.checkpoint import load_checkpoint

    try:
        return load_checkpoint(work.store.fetch_folder(checkpoint_name(spec.name, period)),
                               {"spec_digest": spec_digest(spec), "period": period, "data_version": training_set.meta["data_version"]})
    except (MissingData, ManifestMismatch):
        return None


@contextmanager
def _lease(folder: Path, model: str, period: str) -> Iterator[None]:
    """Keeps a second trainer out; the operating system releases it when the process dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lease", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InvalidSpec(sentence("another process is training this period", where=f"model '{model}' {period}",
                                   next_step="Wait for it, or stop it and start again: it continues from its last epoch.")) from error
    try:
        yield
    finally:
        lock.release()


def load(work: Workspace, spec: ModelSpec, period: str) -> Checkpoint:
    """The stored checkpoint of a period; refused when it belongs to another spec or period."""
    from alpha_pipeline.training.checkpoint import load_checkpoint

    folder = work.store.fetch_folder(checkpoint_name(spec.name, period))
    return load_checkpoint(folder, {"spec_digest": spec_digest(spec), "period": period})


def training_data_unchanged(work: Workspace, spec: ModelSpec, period: str) -> tuple[bool, str]:
    """Whether the data a checkpoint was trained on are still the data in the panels, and a sentence."""
    checkpoint = load(work, spec, period)
    manifest = _training_set(work, spec, period)
    days = work.store.read(training_set_table(spec.name), period, ["trade_date"])["trade_date"]
    now = _data_version(work, work.panels, spec, manifest.meta["first"], manifest.meta["last_known"], [str(day.date()) for day in days])
    if now == checkpoint.manifest.data_version:
        return True, f"data version {now[:12]} as at training"
    return False, f"data version is {now[:12]}, the checkpoint saw {checkpoint.manifest.data_version[:12]}: train {period} again"


def history_frame(checkpoint: Checkpoint) -> pd.DataFrame:
    """Training curves of all members: seed, stage, epoch, losses, validation IC and RankIC, seconds."""
    rows = [{"seed": seed, **vars(row)} for seed, history in zip(checkpoint.manifest.seeds, checkpoint.histories, strict=True) for row in history]
    return pd.DataFrame(rows).astype({"valid_ic": "float64", "valid_rank_ic": "float64"})


def score(work: Workspace, spec: ModelSpec, keys: Sequence[str], device: str) -> StepReport:
    """Scores of the dates ``keys``, each by the model of its half-year: the ensemble and every member.

    Known at the close of each date; streams through the dates, with only the rows of the windows in memory. The factors of a factor unit come
    from the same pass. They are stored first, and the scores, which name the bytes of the factors in their ``meta``, are what makes both valid:
    a run that is killed in between does the date again.
    """
    report = StepReport()
    panels = work.panels
    todo: dict[str, list[tuple[str, str]]] = {}
    checkpoints: dict[str, Checkpoint] = {}
    for key in keys:
        period = spec.walk.period_of(key).name
        if period not in checkpoints:
            checkpoints[period] = load(work, spec, period)
        source = _score_source(work, panels, spec, key, checkpoints[period].checkpoint_hash)
        if _is_current(work, spec, key, source):
            report.reused.append(key)
        else:
            todo.setdefault(period, []).append((key, source))
    for period, items in todo.items():
        _score_period(work, panels, spec, items, checkpoints[period], device, report)
    report.facts["checkpoints"] = ", ".join(f"{period}:{checkpoint.checkpoint_hash[:8]}" for period, checkpoint in checkpoints.items())
    return report


def _is_current(work: Workspace, spec: ModelSpec, key: str, source: str) -> bool:
    """Whether the date's scores, and for a factor unit the factors they belong to, were computed from exactly these inputs."""
    if not work.store.is_current(scores_table(spec.name), key, source):
        return False
    if network_config(spec).n_factors < 2:
        return True
    stored, factors = (work.store.manifest(table(spec.name), key) for table in (scores_table, factors_table))
    return stored is not None and factors is not None and factors.content == stored.meta.get("factors")


def _score_period(work: Workspace, panels: MarketPanels, spec: ModelSpec, items: Sequence[tuple[str, str]], checkpoint: Checkpoint, device: str,
                  report: StepReport) -> None:
    import torch

    from alpha_pipeline.training.memory import placed
    from alpha_pipeline.training.predict import score_dates, trained_networks

    rows = [panels.status.index(key) for key, _ in items]
    config = network_config(spec)
    start, stop = max(0, rows[0] - (data_history(spec) if config.needs_exposures else min_history(spec)) + 1), rows[-1] + 1
    indices = [row - start for row in rows]
    windows = placed(windows_of(panels, spec, start, stop), torch.device(device), 0)
    universe = panels.universe(spec.universe, start, stop)
    exposures = model_exposures(work, panels, spec.exposures, start, stop, indices) if config.needs_exposures else None
    networks = trained_networks(config, checkpoint.weights, torch.device(device))
    scores = score_dates(networks, windows, universe, indices, torch.device(device), exposures)
    for (key, source), result in zip(items, track(scores, f"scores {spec.name}", len(items)), strict=True):
        keep = np.flatnonzero(np.isfinite(result.score))
        columns: dict[str, Any] = {
            "trade_date": pd.Timestamp(key).as_unit("s"), "symbol": [panels.axis.symbols[i] for i in keep],
            "score": result.score[keep].astype(np.float64),
        }
        for seed, member in zip(checkpoint.manifest.seeds, result.members, strict=True):
            columns[f"member_{seed}"] = member[keep]
        meta = {}
        if result.factors is not None:
            frame = _factor_frame(columns, checkpoint.manifest.seeds, result.factors[:, keep])
            meta["factors"] = work.store.write(factors_table(spec.name), key, frame, source=source).content
        work.store.write(scores_table(spec.name), key, pd.DataFrame(columns), source=source, meta=meta)
        report.computed.append(key)
        report.rows += len(keep)
        report.exclude(result.excluded)


def _factor_frame(columns: dict[str, Any], seeds: Sequence[int], factors_MSK: np.ndarray) -> pd.DataFrame:
    """One row per scored stock, one column per seed and factor."""
    values = {f"f{seed}_{k}": factors_MSK[at, :, k] for at, seed in enumerate(seeds) for k in range(factors_MSK.shape[2])}
    return pd.DataFrame({name: columns[name] for name in ("trade_date", "symbol")} | values)


def _score_source(work: Workspace, panels: MarketPanels, spec: ModelSpec, key: str, checkpoint_hash: str) -> str:
    parts = [CODE_VERSION, checkpoint_hash]
    for name in spec.tensors:
        panel = panels.by_name(TENSORS[name].panel)
        at = panel.index(key)
        parts += [row.checksum for row in panel.rows[max(0, at - TENSORS[name].n_rows + 1): at + 1]]
    # a network that needs exposures reads the history behind them, of prices and of status
    needs_exposures = bool(spec.exposures) and network_config(spec).needs_exposures
    status = panels.status
    at = status.index(key)
    parts += [row.checksum for row in status.rows[max(0, at - (data_history(spec) if needs_exposures else min_history(spec)) + 1): at + 1]]
    if needs_exposures:
        at = panels.daily.index(key)
        parts += [row.checksum for row in panels.daily.rows[max(0, at - data_history(spec) + 1): at + 1]]
        if RISK_STYLES in spec.exposures:
            parts += risk_style_contents(work, [key])
    return combine(parts)
