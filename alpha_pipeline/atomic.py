"""Files that are either the old version or the new one: written beside their place under a temporary name, then renamed.

A writer that is killed in between leaves its temporary file behind. Its name says which process of which machine wrote it, so that a later
writer to the same folder can tell what nobody will finish: files of processes of this machine that no longer run. Files of other machines
(a shared folder) are left alone, as are those of a process whose number was given to another one since; they go when that one ends.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import uuid
from pathlib import Path

_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_NAME = re.compile(rf"^\..+\.{_MACHINE}-(\d+)-[0-9a-f]{{8}}\.tmp$")
_swept: set[str] = set()  # folders that this process has looked into


def temporary_path(path: Path) -> Path:
    """Where to write what ``os.replace`` then moves to ``path``: a new hidden name in the same folder, which is made if need be.

    The first call for a folder in a process removes what dead writers left there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = str(path.parent.resolve())
    if folder not in _swept:
        _swept.add(folder)
        remove_leftovers(path.parent)
    return path.with_name(f".{path.name}.{_MACHINE}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``; readers see the old bytes or the new ones."""
    temporary = temporary_path(path)
    temporary.write_bytes(data)
    os.replace(temporary, path)


def remove_leftovers(folder: Path) -> list[str]:
    """Delete the temporary files of dead processes of this machine in ``folder`` (not below it); their names."""
    removed = []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(".tmp")]
    for name in sorted(names):
        found = _NAME.match(name)
        if found is not None and not _is_alive(int(found.group(1))):
            (folder / name).unlink(missing_ok=True)  # another writer may be removing it too
            removed.append(name)
    return removed


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 asks nothing elsewhere
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # somebody else's, or no number of a process at all
    return True
