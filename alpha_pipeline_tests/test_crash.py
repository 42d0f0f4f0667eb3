"""A process that is killed outright loses no more than the piece it was working on, and nobody ever reads half of anything.

One store is filled by one process after another. All but the last are killed with SIGKILL, by their own hand so that the moment is exact: before
the n-th file operation below a folder, in the middle of a row of a panel, before the n-th step of an optimizer, on entering a stage of training.
The numbers are drawn from a seed. After each death, and before the next process starts, everything that can be read is compared with the store of
the undisturbed run; in the end everything is there and the same.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import torch

from alpha_pipeline.assets import runner
from alpha_pipeline.assets.runner import Step
from alpha_pipeline.definitions import build_definitions
from alpha_pipeline.errors import CorruptPartition, MissingData
from alpha_pipeline.pipeline import factors, ingest, panels, training
from alpha_pipeline.pipeline.ingest import ORDER
from alpha_pipeline.pipeline.session import plan_run
from alpha_pipeline.pipeline.workspace import Workspace
from alpha_pipeline.resources.market import MarketResource
from alpha_pipeline.training.fit import STATE_FILE
from alpha_pipeline.training.stage_loop import StageLoop
from alpha_pipeline.training.tensor_file import read_tensors
from alpha_pipeline_tests.altered import copy_until, differing, fingerprints, panel_names, panel_prints, up_to
from alpha_pipeline_tests.conftest import CI_MARKET, TINY, TINY_MODEL, Run

INGESTED_BEFORE = "2023-05-31"  # raw tables up to here are taken over, to save time; everything computed from them is made here
END = "2023-07-21"
PERIOD = "2023H2"
WEIGHTS = f"portfolios/{TINY.portfolios[0].name}/weights"
ASSETS = (*ORDER, "universe", "daily_panel", "intraday_15m_panel", f"labels/{TINY_MODEL.label.name}", "models/tiny/training_set",
          "models/tiny/checkpoint", "models/tiny/scores", "signals/tiny/factor", WEIGHTS)
FILE_OPERATIONS = 4  # of one partition: open and rename the data, open and rename the manifest that makes them valid
ROWS_PER_COMMIT = 64
STEPS_PER_EPOCH = 2 * 9  # two members, side by side, on nine training dates


@dataclass(frozen=True)
class Death:
    """When a process dies: before the ``count``-th event of a kind. ``below`` narrows file operations to a folder of the store."""

    name: str
    kind: str
    count: int
    below: str = ""


_DRAW = np.random.default_rng(20230601)
DEATHS = (
    Death("ingestion, early", "file operation", int(_DRAW.integers(1, 200)), "lake"),
    Death("ingestion, later", "file operation", int(_DRAW.integers(200, 500)), "lake"),
    Death("ingestion, manifest not yet renamed", "file operation", FILE_OPERATIONS * int(_DRAW.integers(10, 50)), "lake"),
    Death("universe, half a row", "half a row", int(_DRAW.integers(ROWS_PER_COMMIT + 2, 2 * ROWS_PER_COMMIT)), "panels"),
    Death("a later panel, half a row", "half a row", int(_DRAW.integers(170, 300)), "panels"),
    Death("training, inside the second epoch", "optimizer step", STEPS_PER_EPOCH + int(_DRAW.integers(2, STEPS_PER_EPOCH))),
    Death("training, between two stages", "stage", 2),
    Death("training, inside the second stage", "optimizer step", STEPS_PER_EPOCH + int(_DRAW.integers(2, STEPS_PER_EPOCH))),
    Death("checkpoint not yet valid", "file operation", 1, f"models/tiny/{PERIOD}/manifest.json"),
    Death("scores", "file operation", int(_DRAW.integers(5, 50)), "lake/models/tiny/scores"),
    Death("weights", "file operation", int(_DRAW.integers(5, 12)), "lake/portfolios"),
)


# -------------------------------------------------------------------------------------------------------------- inside the process that dies


def chain(root: str, death: Death | None) -> None:
    """Everything from raw tables to weights, each step skipping what is there; the last one through Dagster."""
    if death is not None:
        _arm(Path(root), death)
    resource = MarketResource(market=CI_MARKET, root=root)
    work = resource.workspace()
    plan = plan_run(TINY, work.calendar, end=END)
    ingest.ingest(work, plan.history, ORDER)
    for extend in (panels.extend_status, panels.extend_daily, panels.extend_intraday):
        extend(work, plan.history)
    panels.extend_labels(work, plan.history, TINY_MODEL.label)
    training.make_training_set(work, TINY_MODEL, PERIOD)
    training.train(work, TINY_MODEL, PERIOD, "cpu")
    training.score(work, TINY_MODEL, plan.scored, "cpu")
    factors.make_factors(work, TINY.signals[0], plan.scored)
    with dg.DagsterInstance.ephemeral() as instance:
        defs = build_definitions(CI_MARKET, [TINY], resource)
        runner.execute(defs, instance, Step("Rebalance", (WEIGHTS,), plan.weeks[0], plan.weeks[-1]))


def _arm(root: Path, death: Death) -> None:
    if death.kind == "optimizer step":
        _count_calls(torch.optim.Adam, "step", death.count)
    elif death.kind == "stage":
        _count_calls(StageLoop, "run", death.count)
    else:
        sys.addaudithook(_file_hook(f"{root}/{death.below}", death.count, half_a_row=death.kind == "half a row"))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _count_calls(owner: type, method: str, count: int) -> None:
    honest: Callable[..., Any] = getattr(owner, method)
    seen = [0]

    def counted(*args: Any, **named: Any) -> Any:
        seen[0] += 1
        if seen[0] == count:
            _die()
        return honest(*args, **named)

    setattr(owner, method, counted)


def _file_hook(below: str, count: int, *, half_a_row: bool) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that dies before the ``count``-th time a file is opened for writing, renamed or removed below a path.

    ``half_a_row``: only data files of panels count, and the dying process leaves bytes of an unfinished row at the end of the file.
    """
    seen = [0]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if seen[0] >= count:
            return  # writing the unfinished row opens the file once more
        if event == "open":
            if not int(args[2]) & (os.O_WRONLY | os.O_RDWR):
                return
            path = str(args[0])
        elif event in ("os.rename", "os.remove"):
            path = str(args[1] if event == "os.rename" else args[0])
        else:
            return
        if path.startswith(below) and (path.endswith(".bin") or not half_a_row):
            seen[0] += 1
            if seen[0] == count:
                if half_a_row:
                    with open(path, "ab") as file:
                        file.write(b"\x7f" * 200)
                _die()

    return hook


# -------------------------------------------------------------------------------------------------------------------- outside, looking on


@dataclass(frozen=True)
class Found:
    """The store between a death and the next process: how the process ended, what is wrong, and how much is there."""

    exit_code: int | None
    problems: list[str]
    n_partitions: dict[str, int]
    n_rows: dict[str, int]
    epochs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


def inspect(work: Workspace, undisturbed: Workspace, exit_code: int | None) -> Found:
    """Read everything that the store says is there. Each partition, row and checkpoint is whole and what the undisturbed run has."""
    problems = []
    store = work.store
    for table in store.tables():
        for key in store.keys(table):
            manifest, expected = store.manifest(table, key), undisturbed.store.manifest(table, key)
            store.read(table, key, manifest.columns[:1])  # all its bytes are verified: raises when they are not those of its manifest
            if manifest.content != expected.content:
                problems.append(f"{table} {key} differs")
    opened, reference = work.panels, undisturbed.panels
    for name in panel_names(work):
        panel = opened.by_name(name)
        problems += [f"panel {name} {date} does not match its checksum" for date in panel.verify()]
        found, rows = panel_prints(panel), panel_prints(reference.by_name(name))
        problems += [f"panel {name} {date} differs" for date in found if found[date] != rows[date]]
    with contextlib.suppress(MissingData):  # none yet; a broken one raises CorruptPartition
        training.load(work, TINY_MODEL, PERIOD)
    epochs: dict[int, list[dict[str, Any]]] = {}
    for folder in (Path(work.root) / "models" / "tiny" / PERIOD).glob("work-*"):
        if (folder / STATE_FILE).exists():
            epochs = {int(seed): facts["history"] for seed, facts in read_tensors(folder / STATE_FILE)[1]["members"].items()}
        for seed in TINY_MODEL.seeds:
            if (folder / f"member_{seed}.safetensors").exists():
                epochs[seed] = read_tensors(folder / f"member_{seed}.safetensors")[1]["history"]
    return Found(exit_code, problems, {table: len(store.keys(table)) for table in store.tables()},
                 {name: len(opened.by_name(name).rows) for name in panel_names(work)}, epochs)


@dataclass(frozen=True)
class Story:
    """What was found after each death, and the finished store."""

    start: Found
    found: dict[str, Found]
    end: Found
    work: Workspace


@pytest.fixture(scope="module")
def story(ci_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Every death of the list on one store, then a process that is left alone."""
    root = copy_until(ci_run.work, tmp_path_factory.mktemp("crash") / "market", ORDER, INGESTED_BEFORE, with_panels=False)
    # a server that has imported everything and run nothing: each process starts from it, new, without importing for seconds
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def run(death: Death | None) -> Found:
        process = context.Process(target=chain, args=(str(root), death))
        process.start()
        process.join(timeout=240)
        if process.is_alive():
            process.kill()
            process.join()
            pytest.fail(f"the process did not end: {death}")
        return inspect(Workspace(ci_run.work.market, str(root), ci_run.work.source), ci_run.work, process.exitcode)

    start = inspect(Workspace(ci_run.work.market, str(root), ci_run.work.source), ci_run.work, None)
    found = {death.name: run(death) for death in DEATHS}
    return Story(start, found, run(None), Workspace(ci_run.work.market, str(root), ci_run.work.source))


class TestAfterEachDeath:
    @pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.name)
    def test_it_was_killed(self, story, death):
        assert story.found[death.name].exit_code == -signal.SIGKILL

    @pytest.mark.parametrize("death", DEATHS, ids=lambda death: death.name)
    def test_everything_readable_is_whole_and_undisturbed(self, story, death):
        assert story.found[death.name].problems == []

    def test_ingestion_keeps_every_partition_it_had_committed(self, story):
        before = story.start
        for death in DEATHS[:3]:
            after = story.found[death.name]
            gained = sum(after.n_partitions.values()) - sum(before.n_partitions.values())
            assert gained == (death.count - 1) // FILE_OPERATIONS
            before = after

    def test_a_panel_keeps_its_last_commit(self, story):
        assert story.found["universe, half a row"].n_rows == {"status": ROWS_PER_COMMIT}
        later = story.found["a later panel, half a row"].n_rows
        assert later["status"] > 2 * ROWS_PER_COMMIT  # finished in this life
        assert later["daily"] == ROWS_PER_COMMIT

    def test_training_keeps_finished_epochs_of_all_members(self, story):
        found = {death.name: story.found[death.name].epochs for death in DEATHS[5:9]}
        done = {name: {seed: [(row["stage"], row["epoch"]) for row in rows] for seed, rows in epochs.items()} for name, epochs in found.items()}
        first_stage, both = [("daily", 1), ("daily", 2)], [("daily", 1), ("daily", 2), ("increment", 1), ("increment", 2)]
        assert list(done.values()) == [{0: rows, 1: rows} for rows in (first_stage[:1], first_stage, both[:3], both)]

    def test_finished_epochs_are_not_trained_again(self, story):
        """Their seconds, measured while they were trained, are still those of the process that died."""
        histories = training.load(story.work, TINY_MODEL, PERIOD).histories
        for death in DEATHS[5:9]:
            for seed, rows in story.found[death.name].epochs.items():
                assert [row["seconds"] for row in rows] == [row.seconds for row in histories[seed]][: len(rows)]

    def test_no_checkpoint_before_its_manifest(self, story):
        assert not any("checkpoint" in problem for problem in story.found["checkpoint not yet valid"].problems)
        assert "models/tiny/scores" not in story.found["checkpoint not yet valid"].n_partitions

    def test_scores_and_weights_keep_what_was_committed(self, story):
        for death, table in ((DEATHS[9], "models/tiny/scores"), (DEATHS[10], WEIGHTS)):
            assert story.found[death.name].n_partitions[table] == (death.count - 1) // FILE_OPERATIONS


class TestInTheEnd:
    def test_the_last_process_finished(self, story):
        assert (story.end.exit_code, story.end.problems) == (0, [])

    @pytest.mark.parametrize("asset", ASSETS)
    def test_the_result_is_that_of_the_undisturbed_run(self, ci_run, story, asset):
        assert differing(fingerprints(story.work, asset), up_to(fingerprints(ci_run.work, asset), END)) == []

    def test_kept_training_states_are_gone(self, story):
        assert not list((Path(story.work.root) / "models" / "tiny" / PERIOD).glob("work-*"))


class TestInspection:
    """The instrument: a store with half of something in it is found out."""

    def test_a_cut_off_file_a_flipped_byte_and_a_torn_row(self, story, ci_run, tmp_path):
        shutil.copytree(story.work.root, tmp_path / "market")
        work = Workspace(story.work.market, str(tmp_path / "market"), story.work.source)
        with open(tmp_path / "market" / "panels" / next(p.name for p in (tmp_path / "market" / "panels").glob("daily.*.bin")), "r+b") as file:
            file.seek(100_000)
            file.write(b"\x7f" * 8)
        assert any("daily" in problem and "checksum" in problem for problem in inspect(work, ci_run.work, None).problems)
        stored = work.store.manifest("daily_bars", END)
        path = tmp_path / "market" / "lake" / "daily_bars" / stored.file
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(CorruptPartition, match="do not match the manifest"):
            inspect(work, ci_run.work, None)
