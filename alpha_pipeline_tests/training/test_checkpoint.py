"""Checkpoints: the same after a round trip, whole after a crash, refused where they do not belong."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from alpha_pipeline.errors import CorruptPartition, ManifestMismatch, MissingData, UnknownName
from alpha_pipeline.training import tensor_file
from alpha_pipeline.training.checkpoint import Manifest, load_checkpoint, make_manifest, save_checkpoint, weights_hash
from alpha_pipeline.training.resume import EpochRow, MemberResult
from alpha_pipeline.training.tensor_file import read_tensors, write_tensors


def member(seed: int, value: float = 0.0) -> MemberResult:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        "b": torch.randn(3, 2, generator=generator) + value,
        "a": torch.tensor(seed),
        "view": torch.arange(12.0).reshape(3, 4).T,
    }
    row = EpochRow("all", 1, -0.1, -0.05, 0.05, None, 1e-3, 1.5, 1000.0)
    return MemberResult(seed, weights, (row,), {"all": 1}, {"all": 0.05})


def manifest(members: list[MemberResult], **changes: Any) -> Manifest:
    plain = make_manifest(
        members,
        spec_digest="abc",
        data_version="v1",
        period="2017H1",
        train_range=("2013-01-04", "2016-03-01"),
        valid_range=("2016-04-01", "2016-12-01"),
        n_samples={"training": 10, "validation": 4},
    )
    return dataclasses.replace(plain, **changes)


def save(folder: Path, *members: MemberResult) -> str:
    return save_checkpoint(folder, list(members), manifest(list(members)))


class TestExamples:
    def test_round_trip(self, tmp_path: Path) -> None:
        members = [member(3), member(1)]
        saved = save(tmp_path, *members)
        loaded = load_checkpoint(
            tmp_path, {"spec_digest": "abc", "period": "2017H1", "seeds": (3, 1), "train_range": ["2013-01-04", "2016-03-01"]}
        )
        assert loaded.checkpoint_hash == saved
        assert loaded.manifest == manifest(members)
        assert loaded.histories == [m.history for m in members]
        for got, original in zip(loaded.weights, members, strict=True):
            assert got.keys() == original.weights.keys()
            assert all(
                torch.equal(got[name], tensor) and got[name].dtype == tensor.dtype for name, tensor in original.weights.items()
            )

    def test_manifest_says_what_it_is(self, tmp_path: Path) -> None:
        save(tmp_path, member(0))
        facts = json.loads((tmp_path / "manifest.json").read_text())["manifest"]
        assert facts["best_epochs"] == {"0": {"all": 1}}
        assert facts["metrics"] == {"0": {"all": 0.05}}
        assert facts["seeds"] == [0]
        assert set(facts["library_versions"]) == {"python", "torch", "numpy", "safetensors"}
        assert facts["code_version"]

    def test_nothing_is_pickled(self, tmp_path: Path) -> None:
        save(tmp_path, member(0))
        assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


class TestProperties:
    def test_hash_is_of_the_weights_only(self, tmp_path: Path) -> None:
        slow = dataclasses.replace(member(0), history=(dataclasses.replace(member(0).history[0], seconds=99.0),))
        assert save(tmp_path / "a", member(0)) == save(tmp_path / "b", slow) != save(tmp_path / "c", member(0, 1e-6))
        assert weights_hash([member(0).weights, member(1).weights]) != weights_hash([member(1).weights, member(0).weights])

    def test_replacing_leaves_nothing_behind(self, tmp_path: Path) -> None:
        save(tmp_path, member(0), member(1))
        saved = save(tmp_path, member(0, 1.0))
        assert load_checkpoint(tmp_path).checkpoint_hash == saved
        assert len(list(tmp_path.iterdir())) == 3

    @pytest.mark.parametrize("at", [1, 2, 3, 4])
    def test_a_writer_that_dies_leaves_the_old_or_the_new_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
    ) -> None:
        """Four renames make a checkpoint of two members; dying before any of them keeps the old one."""
        old = save(tmp_path, member(0), member(1))
        real, n_renames = os.replace, 0

        def die(source: Path, target: Path) -> None:
            nonlocal n_renames
            n_renames += 1
            if n_renames == at:
                raise KeyboardInterrupt
            real(source, target)

        monkeypatch.setattr(tensor_file.os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, member(0, 1.0), member(1, 1.0))
        assert load_checkpoint(tmp_path).checkpoint_hash == old

    def test_equal_tensors_give_equal_bytes(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            write_tensors(tmp_path / name, member(0).weights, {"x": 1, "y": [None, 0.1]})
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        assert read_tensors(tmp_path / "a")[1] == {"x": 1, "y": [None, 0.1]}


class TestErrors:
    @pytest.mark.parametrize(
        ("field", "value"), [("spec_digest", "xyz"), ("data_version", "v2"), ("period", "2017H2"), ("seeds", (1, 0))]
    )
    def test_a_mismatch_names_the_field_and_both_values(self, tmp_path: Path, field: str, value: Any) -> None:
        members = [member(0), member(1)]
        save(tmp_path, *members)
        got = getattr(manifest(members), field)
        with pytest.raises(ManifestMismatch) as error:
            load_checkpoint(tmp_path, {field: value})
        assert f"the checkpoint's {field} differs (got {got}, expected {value})" in str(error.value)

    def test_unknown_field(self, tmp_path: Path) -> None:
        save(tmp_path, member(0))
        with pytest.raises(UnknownName, match="manifest field 'spec_digset'.*Did you mean 'spec_digest'"):
            load_checkpoint(tmp_path, {"spec_digset": "abc"})

    def test_no_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(MissingData, match="no checkpoint"):
            load_checkpoint(tmp_path)

    @pytest.mark.parametrize("which", ["member_", "history."])
    def test_changed_or_missing_bytes(self, tmp_path: Path, which: str) -> None:
        save(tmp_path, member(0))
        (path,) = (p for p in tmp_path.iterdir() if p.name.startswith(which))
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        with pytest.raises(CorruptPartition, match=f"{which}.*file does not match the manifest"):
            load_checkpoint(tmp_path)
        path.unlink()
        with pytest.raises(CorruptPartition, match="got no file"):
            load_checkpoint(tmp_path)

    def test_a_manifest_that_was_edited(self, tmp_path: Path) -> None:
        save(tmp_path, member(0))
        path = tmp_path / "manifest.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({**facts, "checkpoint_hash": "0"}))
        with pytest.raises(CorruptPartition, match="weights do not match the manifest"):
            load_checkpoint(tmp_path)
        path.write_text(json.dumps({"files": {}}))
        with pytest.raises(CorruptPartition, match="lacks checkpoint_hash, manifest"):
            load_checkpoint(tmp_path)
        path.write_text("{")
        with pytest.raises(CorruptPartition, match="unreadable manifest"):
            load_checkpoint(tmp_path)

    def test_a_file_cut_short(self, tmp_path: Path) -> None:
        write_tensors(tmp_path / "state", {"a": torch.ones(100)}, {})
        (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:-50])
        with pytest.raises(CorruptPartition, match="unreadable tensor file"):
            read_tensors(tmp_path / "state")
