"""Where tables, results and checkpoints live: partitions that are either the old version or the new one.

Layout below the root of one market (a local folder or any fsspec URL)::

    lake/<table>/<key>.json              manifest: the commit point of a partition
    lake/<table>/<key>.<hash>.parquet    the bytes the manifest names
    quarantine/<table>/<key>.…           a partition that failed its checks, kept for inspection
    results/<name>/bundle.json           manifest of a bundle of frames (a backtest, a factor test, …)
    results/<name>/<hash>/<frame>.parquet

A data file carries the hash of its content in its name, so a new version never touches the old one; replacing the manifest
(one rename) is what makes it valid, and the superseded file is removed afterwards. A reader therefore sees the old or the new
version, whenever the writer is killed; the temporary file it leaves goes with a later write (``atomic.py``). Bytes are verified against
the manifest on every read.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from alpha_pipeline.atomic import write_atomically
from alpha_pipeline.digest import combine, content_hash
from alpha_pipeline.errors import CorruptPartition, MissingData, sentence


@dataclass(frozen=True)
class Manifest:
    """What makes a partition valid.

    ``content`` is the hash of the stored bytes; ``source`` a hash of everything the partition was computed from (inputs, settings),
    empty for raw data. ``file`` is relative to the manifest's folder.
    """

    table: str
    key: str
    file: str
    content: str
    source: str
    rows: int
    columns: tuple[str, ...]
    meta: dict[str, Any] = field(default_factory=dict)


class Store:
    """Atomic partitions and bundles below one root."""

    def __init__(self, root: str | Path) -> None:
        self.fs, self.root = url_to_fs(str(root))
        self.root = self.root.rstrip("/")
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def local_folder(self, name: str) -> Path:
        """A folder on this machine below the root; a cache folder when the root is remote (panels and training state need one)."""
        if self.is_local:
            folder = Path(self.root) / name
        else:
            cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "alpha_pipeline"
            folder = cache / content_hash(f"{self.fs.protocol}{self.root}".encode())[:12] / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # ----------------------------------------------------------------- folders

    def publish_folder(self, name: str, commit_file: str) -> None:
        """Copy a local folder (checkpoints) to a remote root, ``commit_file`` last; nothing to do where the root is local."""
        if self.is_local:
            return
        folder = self.local_folder(name)
        files = sorted((f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".")), key=lambda f: f.name == commit_file)
        for file in files:
            self.fs.pipe_file(f"{self.root}/{name}/{file.name}", file.read_bytes())

    def fetch_folder(self, name: str) -> Path:
        """The local copy of a published folder, brought up to date from a remote root."""
        folder = self.local_folder(name)
        if not self.is_local and self.fs.isdir(f"{self.root}/{name}"):
            for path in self.fs.ls(f"{self.root}/{name}", detail=False):
                local = folder / str(path).rsplit("/", 1)[-1]
                data = self.fs.cat_file(path)
                if not local.exists() or local.read_bytes() != data:
                    local.write_bytes(data)
        return folder

    # ------------------------------------------------------------------ tables

    def write(self, table: str, key: str, frame: pd.DataFrame, *, source: str = "", meta: Mapping[str, Any] | None = None) -> Manifest:
        """Replace one partition atomically and return its manifest."""
        return self._commit_table("lake", table, key, frame, source, dict(meta or {}))

    def read(self, table: str, key: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One partition, verified. Raises :class:`MissingData` when it was never written, :class:`CorruptPartition` when bytes differ."""
        manifest = self.manifest(table, key)
        if manifest is None:
            raise MissingData(sentence(
                f"partition {key} of '{table}' does not exist", where=self.root,
                next_step=f"Materialize '{table}' for {key} first.",
            ))
        data = self._verified(f"{self._folder('lake', table)}/{manifest.file}", manifest.content, f"{table} {key}")
        return pq.read_table(io.BytesIO(data), columns=list(columns) if columns is not None else None).to_pandas()

    def manifest(self, table: str, key: str) -> Manifest | None:
        """Manifest of a partition, or None."""
        return self._load_manifest(f"{self._folder('lake', table)}/{key}.json")

    def keys(self, table: str) -> list[str]:
        """Keys of all valid partitions of a table, sorted."""
        folder = self._folder("lake", table)
        if not self.fs.isdir(folder):
            return []
        names = (str(path).rsplit("/", 1)[-1] for path in self.fs.ls(folder, detail=False, refresh=True))
        return sorted(name[:-5] for name in names if name.endswith(".json") and not name.startswith("."))

    def tables(self) -> list[str]:
        """Names of all tables that have a valid partition."""
        top = f"{self.root}/lake"
        if not self.fs.isdir(top):
            return []
        found = {str(path)[len(top) + 1:].rsplit("/", 1)[0] for path in self.fs.find(top) if str(path).endswith(".json")}
        return sorted(found)

    def is_current(self, table: str, key: str, source: str) -> bool:
        """Whether the partition exists and was computed from exactly these inputs."""
        manifest = self.manifest(table, key)
        return manifest is not None and manifest.source == source

    def data_files(self, table: str) -> list[str]:
        """Paths of the valid parquet files of a table, in key order (for DuckDB)."""
        folder = self._folder("lake", table)
        manifests = (self.manifest(table, key) for key in self.keys(table))
        return [f"{folder}/{m.file}" for m in manifests if m is not None]

    def quarantine(self, table: str, key: str, frame: pd.DataFrame, reasons: Sequence[Mapping[str, Any]]) -> str:
        """Keep a partition that failed its checks for inspection; the good one stays where it is. Returns the folder."""
        self._commit_table("quarantine", table, key, frame, "", {"reasons": [dict(r) for r in reasons]})
        return self._folder("quarantine", table)

    def quarantined(self, table: str, key: str) -> dict[str, Any] | None:
        """The reasons recorded with a quarantined partition, or None."""
        manifest = self._load_manifest(f"{self._folder('quarantine', table)}/{key}.json")
        return None if manifest is None else manifest.meta

    def release(self, table: str, key: str) -> None:
        """Drop a quarantined partition: a good version has arrived."""
        self._remove_partition(self._folder("quarantine", table), key)

    # ----------------------------------------------------------------- bundles

    def write_bundle(self, name: str, frames: Mapping[str, pd.DataFrame], *, source: str = "", meta: Mapping[str, Any] | None = None,
                     files: Mapping[str, bytes] | None = None) -> Manifest:
        """Replace a named set of frames (and small files) atomically, all of them or none."""
        blobs = {f"{frame_name}.parquet": _parquet(frame) for frame_name, frame in frames.items()} | dict(files or {})
        content = combine(f"{file}:{content_hash(blob)}" for file, blob in sorted(blobs.items()))
        folder = f"{self.root}/results/{name}"
        for file, blob in blobs.items():
            self._put(f"{folder}/{content[:16]}/{file}", blob)
        hashes = {file: content_hash(blob) for file, blob in blobs.items()}
        manifest = Manifest(name, "bundle", content[:16], content, source, sum(len(f) for f in frames.values()), tuple(sorted(blobs)),
                            {"files": hashes, **dict(meta or {})})
        previous = self._load_manifest(f"{folder}/bundle.json")
        self._put(f"{folder}/bundle.json", _json(manifest))
        if previous is not None and previous.file != manifest.file and self.fs.isdir(f"{folder}/{previous.file}"):
            self.fs.rm(f"{folder}/{previous.file}", recursive=True)
        return manifest

    def bundle(self, name: str) -> Manifest | None:
        """Manifest of a bundle, or None."""
        return self._load_manifest(f"{self.root}/results/{name}/bundle.json")

    def bundles(self, prefix: str = "") -> list[str]:
        """Names of all valid bundles that start with ``prefix``."""
        top = f"{self.root}/results"
        if not self.fs.isdir(top):
            return []
        names = (str(path)[len(top) + 1: -len("/bundle.json")] for path in self.fs.find(top) if str(path).endswith("/bundle.json"))
        return sorted(name for name in names if name.startswith(prefix))

    def read_bundle(self, name: str) -> dict[str, pd.DataFrame]:
        """All frames of a bundle, verified."""
        manifest = self._require_bundle(name)
        frames = [file.removesuffix(".parquet") for file in manifest.columns if file.endswith(".parquet")]
        return {frame: self.read_bundle_frame(name, frame) for frame in frames}

    def read_bundle_frame(self, name: str, frame: str) -> pd.DataFrame:
        """One frame of a bundle, verified."""
        return pq.read_table(io.BytesIO(self.read_bundle_file(name, f"{frame}.parquet"))).to_pandas()

    def read_bundle_file(self, name: str, file: str) -> bytes:
        """The verified bytes of one file of a bundle."""
        manifest = self._require_bundle(name)
        expected = manifest.meta["files"].get(file)
        if expected is None:
            raise MissingData(sentence(f"bundle '{name}' has no file '{file}'", expected=", ".join(manifest.columns)))
        return self._verified(f"{self.root}/results/{name}/{manifest.file}/{file}", expected, f"{name}/{file}")

    def bundle_path(self, name: str, file: str) -> str:
        """Where a file of a bundle lies, for people who want to open it."""
        return f"{self.root}/results/{name}/{self._require_bundle(name).file}/{file}"

    def _require_bundle(self, name: str) -> Manifest:
        manifest = self.bundle(name)
        if manifest is None:
            raise MissingData(sentence(f"result '{name}' does not exist", where=self.root, next_step=f"Materialize '{name}' first."))
        return manifest

    # ---------------------------------------------------------------- plumbing

    def _folder(self, area: str, table: str) -> str:
        return f"{self.root}/{area}/{table}"

    def _commit_table(self, area: str, table: str, key: str, frame: pd.DataFrame, source: str, meta: dict[str, Any]) -> Manifest:
        data = _parquet(frame)
        content = content_hash(data)
        folder = self._folder(area, table)
        manifest = Manifest(table, key, f"{key}.{content[:12]}.parquet", content, source, len(frame), tuple(map(str, frame.columns)), meta)
        previous = self._load_manifest(f"{folder}/{key}.json")
        self._put(f"{folder}/{manifest.file}", data)
        self._put(f"{folder}/{key}.json", _json(manifest))
        if previous is not None and previous.file != manifest.file and self.fs.exists(f"{folder}/{previous.file}"):
            self.fs.rm_file(f"{folder}/{previous.file}")
        return manifest

    def _remove_partition(self, folder: str, key: str) -> None:
        manifest = self._load_manifest(f"{folder}/{key}.json")
        if manifest is not None:
            self.fs.rm_file(f"{folder}/{key}.json")
            self.fs.rm_file(f"{folder}/{manifest.file}")

    def _put(self, path: str, data: bytes) -> None:
        if not self.is_local:
            self.fs.pipe_file(path, data)  # a put to an object store is atomic
            return
        write_atomically(Path(path), data)

    def _load_manifest(self, path: str) -> Manifest | None:
        try:
            text = Path(path).read_bytes() if self.is_local else self.fs.cat_file(path)
        except FileNotFoundError:
            return None
        try:
            raw = json.loads(text)
            return Manifest(**{**raw, "columns": tuple(raw["columns"])})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CorruptPartition(sentence(f"unreadable manifest: {error}", where=path,
                                            next_step="Delete this file and materialize the partition again.")) from error

    def _verified(self, path: str, expected: str, where: str) -> bytes:
        try:
            data = Path(path).read_bytes() if self.is_local else self.fs.cat_file(path)
        except FileNotFoundError as error:
            raise CorruptPartition(sentence("the data file named by the manifest is gone", where=where, expected=path,
                                            next_step="Materialize the partition again (a raw table with --refresh).")) from error
        got = content_hash(data)
        if got != expected:
            raise CorruptPartition(sentence("the bytes on disk do not match the manifest", where=where, got=f"hash {got[:12]}, {len(data)} bytes",
                                            expected=f"hash {expected[:12]}",
                                            next_step="Materialize the partition again (a raw table with --refresh)."))
        return data


def _parquet(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd", compression_level=1)
    return sink.getvalue()


def _json(manifest: Manifest) -> bytes:
    return json.dumps(asdict(manifest), ensure_ascii=False, sort_keys=True).encode()
