"""The parts under the recurrent layer: choice of the path, groups and threads, packing of weights, activations, kept code."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from alpha_pipeline.errors import InvalidSpec
from alpha_pipeline.models.recurrent import GRU, active_backend, backend, threads

has_numba = active_backend("cpu") == "fused"
if has_numba:
    from alpha_pipeline.models.recurrent.fused import fused_gru
fused_only = pytest.mark.skipif(not has_numba, reason="numba, the optional extra 'fast', is not installed")


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extra: ``import numba`` fails."""
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(backend, "_announced", set())


class TestExamples:
    def test_choice_of_the_path(self) -> None:
        on_cuda = "triton" if importlib.util.find_spec("triton") else "cudnn"
        assert active_backend("cuda") == active_backend(torch.device("cuda", 1)) == on_cuda
        assert active_backend("cuda", torch.float64) == "cudnn"
        assert active_backend("cuda", torch.float64, ragged=True) == "reference"
        assert active_backend("cpu", torch.float64) == "reference"
        assert active_backend("meta") == "reference"

    def test_groups_cover_all_tiles_in_order(self) -> None:
        assert threads.groups_of_tiles(0) == []
        assert threads.groups_of_tiles(2) == [(0, 1), (1, 2)]
        groups = threads.groups_of_tiles(157)  # 5,000 stocks in tiles of 32
        assert len(groups) == 64
        assert [end for _, end in groups[:-1]] == [first for first, _ in groups[1:]]
        assert (groups[0][0], groups[-1][1]) == (0, 157)
        assert {end - first for first, end in groups} == {2, 3}


class TestProperties:
    def test_without_numba_the_numbers_are_the_same(self, no_numba: None) -> None:
        gru = GRU(6, 30, generator=torch.Generator().manual_seed(0))
        x = torch.randn(23, 6, 40, generator=torch.Generator().manual_seed(1))
        slow = gru(x)
        slow.sum().backward()
        slow_gradients = [p.grad.clone() for p in gru.parameters() if p.grad is not None]
        assert active_backend("cpu") == "reference"
        if has_numba:
            gru.zero_grad()
            fast = fused_gru(x, *gru.parameters(), lengths_N=None, all_steps=False).t()
            fast.sum().backward()
            assert torch.allclose(slow, fast, atol=2e-6)
            for p, expected in zip(gru.parameters(), slow_gradients, strict=True):
                assert p.grad is not None and torch.allclose(p.grad, expected, rtol=1e-4, atol=1e-4)

    def test_every_group_runs_once_whatever_the_threads(self) -> None:
        before = torch.get_num_threads()
        try:
            for n_threads in (1, 2, 5, 3):
                torch.set_num_threads(n_threads)
                done: list[int] = []
                threads.run_groups(done.append, 37)
                assert sorted(done) == list(range(37))
        finally:
            torch.set_num_threads(before)

    def test_own_is_per_thread_and_keeps_the_newest_key(self) -> None:
        first = threads.own("a", lambda: [0])
        assert threads.own("a", lambda: [0]) is first
        assert threads.own("b", lambda: [1]) == [1]
        assert threads.own("a", lambda: [0]) is not first
        mine, seen = threads.own("a", lambda: [0]), []
        thread = threading.Thread(target=lambda: seen.append(threads.own("a", lambda: [0])))
        thread.start()
        thread.join()
        assert seen[0] is not mine

    @pytest.mark.parametrize(("given", "expected"), [(None, "passive"), ("active", "active")])
    def test_idle_openmp_threads_sleep_unless_the_user_says_otherwise(self, given: str | None, expected: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
        if given:
            environment["OMP_WAIT_POLICY"] = given
        command = "import os, sys, alpha_pipeline; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected, "False"]

    @fused_only
    def test_packing_is_undone_by_unpacking(self) -> None:
        """A gradient laid out like the weights comes back as torch's weights (the bias of n apart, which has two homes)."""
        from alpha_pipeline.models.recurrent import packing

        rng = np.random.default_rng(0)
        n_fields, n_hidden = 5, 13
        w_ih, w_hh = rng.normal(size=(39, 5)).astype(np.float32), rng.normal(size=(39, 13)).astype(np.float32)
        p = packing.plan(packing.GRU, 3, n_fields, n_hidden, 8)
        rows = p.sizes.n_rows
        h, x, b = (np.zeros(s, np.float32) for s in ((3, rows, n_hidden), (3, rows, n_fields), (4, rows)))
        h[:, :n_hidden], x[:, :n_hidden] = w_hh.reshape(3, 13, 13)[[2, 0, 1]], w_ih.reshape(3, 13, 5)
        b[:, :n_hidden] = np.arange(4)[:, None]
        got = packing.unpack_gradients(p, h.ravel(), x.ravel(), b.ravel())
        assert np.array_equal(got[0], w_ih) and np.array_equal(got[1], w_hh)
        assert got[2].reshape(3, 13)[:, 0].tolist() == [1, 2, 3] and got[3].reshape(3, 13)[:, 0].tolist() == [1, 2, 0]

    @fused_only
    def test_packing_of_an_lstm_keeps_the_order_of_the_gates(self) -> None:
        from alpha_pipeline.models.recurrent import packing

        rng = np.random.default_rng(0)
        p = packing.plan(packing.LSTM, 3, 5, 13, 8)
        rows = p.sizes.n_rows
        w_ih, w_hh = rng.normal(size=(52, 5)).astype(np.float32), rng.normal(size=(52, 13)).astype(np.float32)
        h, x, b = (np.zeros(s, np.float32) for s in ((4, rows, 13), (4, rows, 5), (4, rows)))
        h[:, :13], x[:, :13], b[:, :13] = w_hh.reshape(4, 13, 13), w_ih.reshape(4, 13, 5), np.arange(4)[:, None]
        got = packing.unpack_gradients(p, h.ravel(), x.ravel(), b.ravel())
        assert np.array_equal(got[0], w_ih) and np.array_equal(got[1], w_hh)
        assert np.array_equal(got[2], np.repeat(np.arange(4), 13)) and np.array_equal(got[3], got[2])

    @fused_only
    @pytest.mark.parametrize("which", ["sigmoid", "tanh"])
    def test_activations_against_float64(self, which: str) -> None:
        from numba import njit

        from alpha_pipeline.models.recurrent import activations
        from alpha_pipeline.models.recurrent.lanes import LANES, load, store

        function = getattr(activations, which)

        @njit
        def apply(x: np.ndarray, out: np.ndarray) -> None:
            for i in range(0, x.size, LANES):
                store(out, i, function(load(x, i)))

        special = np.array([np.inf, -np.inf, np.nan, 0.0] + [0.0] * 12)
        x = np.concatenate([np.linspace(-100, 100, 1 << 14), np.linspace(-1, 1, 1 << 14), np.logspace(-30, 0, 1 << 10), special])
        x = x.astype(np.float32)
        got = np.empty_like(x)
        apply(x, got)
        wide = x.astype(np.float64)
        want = np.tanh(wide) if which == "tanh" else 1 / (1 + np.exp(-np.clip(wide, -700, 700)))
        assert np.nanmax(np.abs(got - want)) < 3e-7
        assert np.array_equal(np.isnan(got), np.isnan(x))
        near = (np.abs(wide) < 15) & (np.abs(want) > 1e-30)
        assert np.max(np.abs(got - want)[near] / np.abs(want)[near]) < 5e-7

    @fused_only
    def test_kept_code_is_stamped_with_the_whole_folder(self, tmp_path: Path) -> None:
        """A change in a file that a kernel inlines must discard the kept machine code."""
        from alpha_pipeline.models.recurrent.lanes import source_stamp

        (tmp_path / "kernel.py").write_text("import part")
        (tmp_path / "part.py").write_text("a = 1")
        before = source_stamp(tmp_path)
        assert source_stamp(tmp_path) == before
        (tmp_path / "part.py").write_text("a = 2")
        assert source_stamp(tmp_path) != before


class TestErrors:
    def test_a_path_can_be_forced_where_it_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(backend.SWITCH, "reference")
        assert active_backend("cpu") == active_backend("cuda") == "reference"
        monkeypatch.setenv(backend.SWITCH, "cudnn")
        with pytest.raises(InvalidSpec, match=r"cpu with lengths: \$ALPHA_PIPELINE_RECURRENT .*got cudnn, expected .*reference"):
            active_backend("cpu", ragged=True)
        monkeypatch.setenv(backend.SWITCH, "quick")
        with pytest.raises(InvalidSpec, match="got quick"):
            active_backend("cpu")

    def test_a_missing_numba_is_announced_once(self, no_numba: None, caplog: pytest.LogCaptureFixture) -> None:
        gru = GRU(2, 3, generator=torch.Generator().manual_seed(0))
        with caplog.at_level(logging.INFO, logger="alpha_pipeline.models.recurrent"):
            gru(torch.zeros(2, 2, 4))
            gru(torch.zeros(2, 2, 4))
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "recurrent layers use the reference path: numba cannot be imported" in record.getMessage()
        assert "install the extra 'fast'" in record.getMessage()

    @fused_only
    def test_the_fused_path_is_announced_once(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(backend, "_announced", set())
        gru = GRU(6, 30, generator=torch.Generator().manual_seed(0))
        with caplog.at_level(logging.INFO, logger="alpha_pipeline.models.recurrent"):
            gru(torch.zeros(2, 6, 4))
            gru(torch.zeros(2, 6, 4))
        (record,) = caplog.records
        assert record.levelno == logging.INFO and "use the fused path" in record.getMessage()

    def test_an_exception_in_a_group_reaches_the_caller(self) -> None:
        def fail(group: int) -> None:
            raise ValueError(f"group {group}")

        with pytest.raises(ValueError, match="group"):
            threads.run_groups(fail, 5)
