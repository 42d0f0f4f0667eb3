"""Temporary files: what a killed writer leaves is removed, what a living one writes is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from alpha_pipeline import atomic
from alpha_pipeline.store import Store
from alpha_pipeline_tests.test_store import frame

KILLED_WRITER = """
import os, sys
from pathlib import Path
from alpha_pipeline.atomic import temporary_path
temporary_path(Path(sys.argv[1])).write_bytes(b"half")
os._exit(9)
"""


def leave_behind(path: Path) -> str:
    """Name of the file that a process which died while writing ``path`` left."""
    before = set(os.listdir(path.parent)) if path.parent.exists() else set()
    assert subprocess.run([sys.executable, "-c", KILLED_WRITER, str(path)], check=False).returncode == 9
    (left,) = set(os.listdir(path.parent)) - before
    return left


class TestExamples:
    def test_the_new_bytes_replace_the_old_ones(self, tmp_path: Path) -> None:
        path = tmp_path / "below" / "a.json"
        atomic.write_atomically(path, b"old")
        atomic.write_atomically(path, b"new")
        assert path.read_bytes() == b"new"
        assert os.listdir(path.parent) == ["a.json"]

    def test_what_a_killed_writer_left_goes_with_the_next_write(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        folder = tmp_path / "lake" / "t"
        left = leave_behind(folder / "2024-01-05.json")
        assert left.startswith(".2024-01-05.json.") and left.endswith(".tmp")
        store.write("t", "2024-01-08", frame(1.0))
        assert left not in os.listdir(folder)
        assert store.read("t", "2024-01-08").equals(frame(1.0))


class TestProperties:
    def test_files_of_the_living_of_other_machines_and_of_others_stay(self, tmp_path: Path) -> None:
        own = atomic.temporary_path(tmp_path / "a.json")
        parent = own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"))
        elsewhere = own.with_name(own.name.replace(atomic._MACHINE, "zzzzzz").replace(f"-{os.getpid()}-", "-999999999-"))
        foreign = tmp_path / ".editor.tmp"
        kept = [own, parent, elsewhere, foreign]
        for path in kept:
            path.write_bytes(b"half")
        dead = leave_behind(tmp_path / "a.json")
        assert atomic.remove_leftovers(tmp_path) == [dead]
        assert all(path.exists() for path in kept)

    def test_a_folder_is_looked_into_once(self, tmp_path: Path) -> None:
        atomic.write_atomically(tmp_path / "a.json", b"1")
        left = leave_behind(tmp_path / "a.json")
        atomic.write_atomically(tmp_path / "a.json", b"2")
        assert left in os.listdir(tmp_path)
        assert atomic.remove_leftovers(tmp_path) == [left]
