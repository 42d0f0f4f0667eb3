"""Lazy windows against an independent, expanded float64 computation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, MissingData, NotEnoughData, UnknownName
from alpha_pipeline.features import windows as windows_module
from alpha_pipeline.features.characteristics.panels import CHARACTERISTIC_PANELS
from alpha_pipeline.features.rows import PANELS
from alpha_pipeline.features.tensors import BAR_FIELDS, DAILY, INTRADAY_15M, TENSORS, TensorSpec, tensor_spec
from alpha_pipeline.features.windows import REASONS, Windows, common_columns
from alpha_pipeline.machine_code import has_numba

DAY = TensorSpec("day", "daily", n_days=4, steps_per_day=1, fields=BAR_FIELDS, scale="last", max_suspended_share=0.25)
BAR = TensorSpec("bar", "intraday_15m", n_days=3, steps_per_day=4, fields=BAR_FIELDS, scale="mean", max_suspended_share=0.34)


def make_panel(spec: TensorSpec, n_dates: int, n_stocks: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A panel of plausible bars: prices around a random walk with very different levels, integer volumes."""
    rng = np.random.default_rng(seed)
    steps = spec.steps_per_day
    moves = rng.normal(0, 0.02 / np.sqrt(steps), (n_dates * steps, n_stocks)).cumsum(axis=0)
    close = np.exp(moves).reshape(n_dates, steps, n_stocks) * 10 ** rng.uniform(0, 4, n_stocks)
    values = np.empty((n_dates, steps, 6, n_stocks), dtype=np.float32)
    for at, noise in enumerate((0.004, 0.006, 0.006, 0.0, 0.002)):
        values[:, :, at] = close * np.exp(rng.normal(0, noise, close.shape))
    values[:, :, 5] = np.round(rng.lognormal(10, 1, close.shape))
    return values, np.zeros((n_dates, n_stocks), dtype=bool)


def suspend(values: np.ndarray, suspended: np.ndarray, days: slice | list[int], stock: int) -> None:
    suspended[days, stock] = True
    first = days.start if isinstance(days, slice) else min(days)
    values[days, :, :5, stock] = values[first - 1, -1, 3, stock]
    values[days, :, 5, stock] = 0


def expanded(spec: TensorSpec, values: np.ndarray, date: int, columns: np.ndarray) -> np.ndarray:
    """(T, F, N) by pandas in float64: one frame per field, scale each column, then z-score each row."""
    out = []
    for field in range(len(spec.fields)):
        block = values[date - spec.n_days + 1 : date + 1, :, field].astype(np.float64).reshape(spec.n_steps, -1)
        frame = pd.DataFrame(block).iloc[:, columns]
        ratio = frame / (frame.iloc[-1] if spec.scale == "last" else frame.mean())
        std = ratio.std(axis=1, ddof=0)
        z = ratio.sub(ratio.mean(axis=1), axis=0).div(std.where(std > 1e-9), axis=0)
        out.append(z.fillna(0.0).to_numpy())
    return np.stack(out, axis=1)


class TestExamples:
    def test_by_hand(self) -> None:
        spec = TensorSpec("t", "p", n_days=2, steps_per_day=1, fields=("close",), scale="last")
        values = np.array([[10.0, 20.0, 30.0], [20.0, 20.0, 20.0]], dtype=np.float32).reshape(2, 1, 1, 3)
        x = Windows(spec, values, np.zeros((2, 3), dtype=bool)).window(1, np.arange(3))
        # ratios 0.5, 1, 1.5 on the first day (mean 1, population std 0.5·√(2/3)); 1, 1, 1 on the last
        np.testing.assert_allclose(x[0, 0].numpy(), [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)
        assert x[1, 0].tolist() == [0, 0, 0]

    def test_reasons_one_stock_each(self) -> None:
        values, suspended = make_panel(DAY, 8, 8)
        values[:5, ..., 1] = np.nan  # listed on date 5: the window of date 7 (dates 4 … 7) starts before
        values[6, ..., 2] = np.nan  # a gap
        suspend(values, suspended, [5, 6], 3)  # 2 of 4 days > 25 %
        suspend(values, suspended, [5], 4)  # 1 of 4 days is allowed
        suspend(values, suspended, [7], 5)  # suspended today: volume 0 is the divisor
        values[6, 0, 0, 6] = 0  # a price of 0
        values[:, ..., 7] = np.nan  # never traded
        columns, excluded = Windows(DAY, values, suspended).eligible(7, np.ones(8, dtype=bool))
        assert columns.tolist() == [0, 4]
        assert excluded == {"short history": 2, "missing bar": 1, "suspended too long": 1, "zero divisor": 2}

    def test_mean_needs_some_volume_in_the_window_only(self) -> None:
        values, suspended = make_panel(BAR, 5, 3)
        values[4, :, 5, 0] = 0  # no volume today, but on the days before
        values[2:, :, 5, 1] = 0  # none in the whole window
        columns, excluded = Windows(BAR, values, suspended).eligible(4, np.ones(3, dtype=bool))
        assert columns.tolist() == [0, 2]
        assert excluded["zero divisor"] == 1

    def test_every_divisor_counts_for_itself(self) -> None:
        spec = TensorSpec("t", "p", n_days=2, steps_per_day=1, fields=("close", "volume", "amount"), scale="mean")
        values = np.ones((2, 1, 3, 2), dtype=np.float32)
        values[0, 0, 1, 0] = values[1, 0, 2, 0] = 0  # volume on one day and amount on the other: both means are positive
        values[:, 0, 2, 1] = 0
        assert Windows(spec, values, np.zeros((2, 2), dtype=bool)).eligible(1, np.ones(2, dtype=bool))[0].tolist() == [0]

    def test_no_window_before_enough_dates(self) -> None:
        windows = Windows(DAY, *make_panel(DAY, 6, 5))
        assert windows.eligible(2, np.ones(5, dtype=bool)) == (
            pytest.approx(np.array([])),
            {**dict.fromkeys(REASONS, 0), "short history": 5},
        )
        assert len(windows.eligible(3, np.ones(5, dtype=bool))[0]) == 5
        short = Windows(DAY, *make_panel(DAY, 2, 5))
        assert short.eligible(1, np.ones(5, dtype=bool))[1]["short history"] == 5

    def test_common_columns_counts_each_stock_once(self) -> None:
        day_values, suspended = make_panel(DAY, 6, 5)
        bar_values, _ = make_panel(BAR, 6, 5)
        day_values[4, ..., 1] = bar_values[4, ..., 1] = np.nan  # missing in both: counted for the first tensor
        bar_values[5, ..., 2] = np.nan
        windows = {"day": Windows(DAY, day_values, suspended), "bar": Windows(BAR, bar_values, suspended)}
        universe = np.array([True, True, True, True, False])
        columns, excluded = common_columns(windows, 5, universe)
        assert columns.tolist() == [0, 3]
        assert {k: n for k, n in excluded.items() if n} == {"day: missing bar": 1, "bar: missing bar": 1}
        assert universe.tolist() == [True, True, True, True, False]

    def test_registered_tensors(self) -> None:
        assert (DAILY.n_steps, DAILY.scale, INTRADAY_15M.n_steps, INTRADAY_15M.scale) == (40, "last", 320, "mean")
        assert tensor_spec("daily") is TENSORS["daily"]


class TestProperties:
    @pytest.mark.parametrize("spec", [DAY, BAR], ids=lambda s: s.name)
    @given(seed=st.integers(0, 10_000), n_stocks=st.integers(20, 60))
    @settings(max_examples=25, deadline=None, derandomize=True)
    def test_equals_the_expanded_computation(self, spec: TensorSpec, seed: int, n_stocks: int) -> None:
        values, suspended = make_panel(spec, 9, n_stocks, seed)
        rng = np.random.default_rng(seed)
        for stock in range(n_stocks):
            if rng.random() < 0.3:
                suspend(values, suspended, [int(rng.integers(1, 9))], stock)
            if rng.random() < 0.2:
                values[int(rng.integers(0, 9)), ..., stock] = np.nan
            if rng.random() < 0.1:
                values[: int(rng.integers(1, 9)), ..., stock] = np.nan
        windows = Windows(spec, values, suspended)
        for date in range(spec.n_days - 1, 9):
            universe = rng.random(n_stocks) < 0.8
            columns, excluded = windows.eligible(date, universe)
            assert len(columns) + sum(excluded.values()) == universe.sum()
            if len(columns):
                x = windows.window(date, columns)
                assert x.shape == (spec.n_steps, 6, len(columns))
                assert bool(torch.isfinite(x).all())
                np.testing.assert_allclose(x.numpy(), expanded(spec, values, date, columns), atol=1e-5, rtol=1e-5)

    def test_accurate_for_a_calm_market(self) -> None:
        """A spread of a tenth of a percent between stocks is 1e-4 of what float32 division would leave of it."""
        values, suspended = make_panel(BAR, 3, 30)
        close = 1000 * (1 + 1e-3 * np.random.default_rng(1).normal(size=(3, 4, 1, 30)))
        values[:, :, :5] = close.astype(np.float32)
        windows = Windows(BAR, values, suspended)
        np.testing.assert_allclose(windows.window(2, np.arange(30)).numpy(), expanded(BAR, values, 2, np.arange(30)), atol=1e-5)

    def test_a_step_where_nobody_trades_is_zero_and_finite(self) -> None:
        values, suspended = make_panel(BAR, 3, 50)
        values[1, 2:, 5] = 0  # the exchange closes early
        x = Windows(BAR, values, suspended).window(2, np.arange(50))
        assert bool((x[6:8, 5] == 0).all())
        assert bool((x[:6, 5] != 0).all())

    @pytest.mark.parametrize("spec", [DAY, BAR], ids=lambda s: s.name)
    def test_later_rows_do_not_matter(self, spec: TensorSpec) -> None:
        values, suspended = make_panel(spec, 10, 20)
        values[3, ..., 4] = np.nan
        before = Windows(spec, values, suspended)
        rng = np.random.default_rng(5)
        changed, changed_suspended = values.copy(), suspended.copy()
        changed[6:] = rng.uniform(1, 100, changed[6:].shape)
        changed[6:, ..., :7] = np.nan
        changed_suspended[6:] = rng.random(changed_suspended[6:].shape) < 0.5
        after = Windows(spec, changed, changed_suspended)
        for date in range(6):
            columns, excluded = before.eligible(date, np.ones(20, dtype=bool))
            new_columns, new_excluded = after.eligible(date, np.ones(20, dtype=bool))
            assert columns.tolist() == new_columns.tolist()
            assert excluded == new_excluded
            if len(columns):
                assert torch.equal(before.window(date, columns), after.window(date, columns))

    @pytest.mark.parametrize("spec", [DAY, BAR], ids=lambda s: s.name)
    def test_a_common_scale_of_a_stock_cancels(self, spec: TensorSpec) -> None:
        """Prices adjusted backward and prices adjusted to the window's last date differ by a factor per stock."""
        values, suspended = make_panel(spec, 6, 20)
        rescaled = values.copy()
        rescaled[:, :, :5] *= np.random.default_rng(2).uniform(0.1, 9, 20).astype(np.float32)
        columns = np.arange(20)
        a, b = (Windows(spec, v, suspended).window(5, columns) for v in (values, rescaled))
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)

    @pytest.mark.parametrize("spec", [DAY, BAR], ids=lambda s: s.name)
    def test_kept_statistics_and_mixed_rows_give_the_same_bits(self, spec: TensorSpec) -> None:
        values, suspended = make_panel(spec, 8, 30)
        windows = Windows(spec, values, suspended)
        columns = np.array([1, 2, 5, 8, 13, 21, 29])
        statistics = {date: windows.statistics(date, columns) for date in (4, 6, 7)}
        whole = {date: windows.window(date, columns) for date in statistics}
        part = np.array([5, 0, 3])
        for date, kept in statistics.items():
            assert torch.equal(windows.window(date, columns, kept), whole[date])
            assert torch.equal(windows.window(date, columns[part], kept.take(part)), whole[date][:, :, part])
        dates, positions = np.array([7, 4, 7, 6]), np.array([0, 3, 6, 1])
        mixed = windows.rows(dates, columns[positions], statistics, positions)
        for at, (date, position) in enumerate(zip(dates.tolist(), positions.tolist(), strict=True)):
            assert torch.equal(mixed[:, :, at], whole[date][:, :, position])

    def test_order_of_columns_only_permutes(self) -> None:
        windows = Windows(BAR, *make_panel(BAR, 4, 30))
        order = np.random.default_rng(0).permutation(30)
        torch.testing.assert_close(windows.window(3, np.arange(30))[:, :, order], windows.window(3, order), atol=1e-6, rtol=1e-6)

    def test_number_of_threads_does_not_matter(self) -> None:
        windows = Windows(BAR, *make_panel(BAR, 4, 3000))
        threads = torch.get_num_threads()
        results = []
        for n in (1, 2, 6):
            torch.set_num_threads(n)
            results.append(windows.window(3, np.arange(3000)))
        torch.set_num_threads(threads)
        assert torch.equal(results[0], results[1])
        assert torch.equal(results[0], results[2])

    @pytest.mark.skipif(not has_numba(), reason="numba, the optional extra 'fast', is not installed")
    @pytest.mark.parametrize("name", ["daily", "intraday_15m", "weekly", "rawbar", "alphanet", "mschars", "chars_30m"])
    def test_the_kernel_gives_the_numbers_of_torch(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        spec, rng = TENSORS[name], np.random.default_rng(4)
        fields = {**PANELS, **CHARACTERISTIC_PANELS}[spec.panel].fields
        values = rng.lognormal(2, 0.3, (spec.n_rows + 2, spec.steps_per_day, len(fields), 60)).astype(np.float32)
        if spec.scale == "zscore":
            values[rng.random(values.shape) < 0.1] = np.nan
            values[:, :, 1, 4] = np.nan  # a series that nobody knows
        else:
            values[-3, :, fields.index("volume"), ::7] = 0  # the return of such a day is 0
            if "turn" in fields:
                values[-3, :, fields.index("turn"), ::7] = 0  # and so is a ratio to its turnover
        monkeypatch.setattr("alpha_pipeline.features.window_kernel._PER_THREAD", 500)  # a short window on several threads
        windows = Windows(spec, values, np.zeros((len(values), 60), dtype=bool), fields)
        scattered, side_by_side = np.array([3, 4, 58, 0, 17, 31, 35]), np.r_[2:30, 33:59]
        kernel = [windows.window(len(values) - 1, columns) for columns in (scattered, side_by_side)]
        monkeypatch.setattr(windows_module, "has_numba", lambda: False)
        # equal bits where both multiply and add in one rounding, as on every processor with fused multiply-add
        for got, columns in zip(kernel, (scattered, side_by_side), strict=True):
            torch.testing.assert_close(got, windows.window(len(values) - 1, columns), rtol=0, atol=2e-6)

    def test_does_not_change_its_arguments(self) -> None:
        values, suspended = make_panel(DAY, 6, 10)
        kept = values.copy()
        windows = Windows(DAY, values, suspended)
        windows.window(5, np.arange(10))
        windows.rows(
            np.array([5, 4]), np.array([1, 2]), {d: windows.statistics(d, np.arange(10)) for d in (4, 5)}, np.array([1, 2])
        )
        np.testing.assert_array_equal(values, kept)

    def test_reads_a_wider_panel_and_a_memory_map_in_place(self, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
        values, suspended = make_panel(DAY, 6, 10)
        wide = np.concatenate([values, np.full((6, 1, 3, 10), -7, dtype=np.float32)], axis=2)
        padded = np.concatenate([wide, np.full((*wide.shape[:3], 4), np.nan, dtype=np.float32)], axis=3)
        padded.tofile(tmp_path / "panel.bin")
        mapped = np.memmap(tmp_path / "panel.bin", dtype=np.float32, mode="r", shape=padded.shape)[..., :10]
        names = (*BAR_FIELDS, "amount", "turn", "adj_factor")
        from_map = Windows(DAY, mapped, suspended, names)
        assert torch.equal(from_map.window(5, np.arange(10)), Windows(DAY, values, suspended).window(5, np.arange(10)))
        assert not recwarn.list
        some = dataclasses.replace(DAY, fields=("volume", "close"))
        x = Windows(some, mapped, suspended, names).window(5, np.arange(10))
        torch.testing.assert_close(x, from_map.window(5, np.arange(10))[:, [5, 3]])


class TestErrors:
    def test_settings(self) -> None:
        with pytest.raises(InvalidSpec, match="tensor 'day': n_days must be positive"):
            dataclasses.replace(DAY, n_days=0)
        with pytest.raises(InvalidSpec, match="unknown scale"):
            dataclasses.replace(DAY, scale="first")  # type: ignore[arg-type]
        with pytest.raises(InvalidSpec, match="max_suspended_share is a share"):
            dataclasses.replace(DAY, max_suspended_share=20)
        with pytest.raises(InvalidSpec, match="named once each"):
            dataclasses.replace(DAY, fields=("close", "close"))
        with pytest.raises(UnknownName, match="Did you mean 'daily'"):
            tensor_spec("dialy")

    def test_shapes_and_fields(self) -> None:
        values, suspended = make_panel(DAY, 5, 4)
        with pytest.raises(Misaligned, match=r"the panel has the wrong shape .*4 steps, 6 fields"):
            Windows(BAR, values, suspended)
        with pytest.raises(Misaligned, match="suspension mask"):
            Windows(DAY, values, suspended[:3])
        with pytest.raises(MissingData, match="lacks volume"):
            Windows(DAY, values[:, :, :5], suspended, BAR_FIELDS[:5])
        with pytest.raises(BadInput, match="not float32"):
            Windows(DAY, values.astype(np.float64), suspended)

    @pytest.mark.parametrize("bad", [-1.0, np.inf])
    def test_impossible_values_are_named(self, bad: float) -> None:
        values, suspended = make_panel(DAY, 5, 4)
        values[2, 0, 5, 3] = bad
        with pytest.raises(BadInput, match="date index 2, column 3: negative or infinite volume"):
            Windows(DAY, values, suspended)

    def test_memory_is_checked_before_the_copy(self) -> None:
        windows = Windows(DAY, *make_panel(DAY, 5, 4))
        assert windows.to("cpu") is windows
        with pytest.raises(NotEnoughData, match="does not fit into the memory of meta .*GiB free"):
            windows.to("meta", free_bytes=windows.panel_bytes)
        assert windows.to("meta", free_bytes=2 * windows.panel_bytes).device.type == "meta"
