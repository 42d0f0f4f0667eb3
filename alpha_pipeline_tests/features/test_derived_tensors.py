"""The tensors ``weekly``, ``rawbar`` and ``alphanet`` against explicit computations, stock by stock, in pandas and float64."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alpha_pipeline.errors import BadInput, InvalidSpec, MissingData
from alpha_pipeline.features.blocks import rolling_blocks
from alpha_pipeline.features.tensors import ALPHANET, BAR_FIELDS, LEVEL_UNITS, RAWBAR, TENSORS, WEEKLY, TensorSpec
from alpha_pipeline.features.windows import Windows
from alpha_pipeline_tests.features.helpers_expanded import (
    LEVELS,
    PANEL,
    RAW,
    SPECS,
    WEEKS,
    at,
    expanded,
    make_panel,
    should_have_window,
    spoil,
    suspend,
)

every_tensor = pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)


class TestExamples:
    def test_registered(self) -> None:
        assert list(TENSORS)[:5] == ["daily", "intraday_15m", "weekly", "rawbar", "alphanet"]
        assert (WEEKLY.n_days, WEEKLY.n_steps, WEEKLY.days_per_step, WEEKLY.scale) == (200, 40, 5, "last")
        assert (RAWBAR.n_steps, RAWBAR.fields) == (30, ("open", "high", "low", "close", "vwap", "volume", "return", "turn"))
        assert (ALPHANET.n_steps, ALPHANET.n_fields) == (30, 15)
        assert ALPHANET.fields == (
            "return", "open", "close", "high", "low", "volume", "vwap", "turn", "free_turn",
            "close/free_turn", "open/turn", "volume/low", "vwap/high", "low/high", "vwap/close",
        )  # fmt: skip
        assert all(set(TENSORS[name].panel_fields) <= set(PANEL) for name in ("weekly", "rawbar", "alphanet"))

    def test_a_week_by_hand(self) -> None:
        bars = np.array([[3, 4, 2, 3, 3, 100], [3, 9, 3, 8, 6, 300], [8, 8, 1, 4, 5, 0]], dtype=np.float32)[:, :, None]
        blocks = rolling_blocks(bars, range(6), 2)
        assert np.isnan(blocks[0]).all()
        assert blocks[1:, :, 0].tolist() == [[3, 9, 2, 8, 5.25, 400], [3, 9, 1, 4, 6, 300]]

    def test_a_week_without_trades_has_its_close_as_vwap(self) -> None:
        bars = np.array([[3, 3, 3, 3, 2.5, 0], [3, 3, 3, 3.5, 2.5, 0]], dtype=np.float32)[:, :, None]
        assert rolling_blocks(bars, range(6), 2)[1, :, 0].tolist() == [3, 3, 3, 3.5, 3.5, 0]

    def test_weeks_end_at_the_date_itself(self) -> None:
        values, suspended = make_panel(21, 3)
        for date in (19, 20):
            close = values[date - 15 : date + 1 : 5, 0, at("close")].astype(np.float64)
            ratio = close / close[-1]
            expected = (ratio - ratio.mean(axis=1, keepdims=True))[:3] / ratio.std(axis=1, keepdims=True)[:3]
            x = Windows(WEEKS, values, suspended, PANEL).window(date, np.arange(3))
            np.testing.assert_allclose(x[:3, 3].numpy(), expected, atol=1e-5)
            assert x[3, 3].tolist() == [0, 0, 0]

    def test_return_is_standardized_but_not_divided(self) -> None:
        spec = dataclasses.replace(RAW, n_days=1, fields=("close", "volume", "return"))
        values = np.array([[[100, 100, 100], [1, 1, 1]], [[101, 100, 99], [1, 1, 1]]], dtype=np.float32)[:, None]
        x = Windows(spec, values, np.zeros((2, 3), dtype=bool), ("close", "volume")).window(1, np.arange(3))
        np.testing.assert_allclose(x[0].numpy(), [[0] * 3, [0] * 3, [np.sqrt(1.5), 0, -np.sqrt(1.5)]], rtol=1e-6)

    def test_a_day_without_volume_returns_zero(self) -> None:
        """The flat bar of a suspended day is a rounded price times a factor: not always exactly the last close."""
        values, suspended = make_panel(8, 3)
        suspend(values, suspended, slice(4, 5), 1)
        values[4, 0, at("close"), 1] *= 1.0001
        x = Windows(LEVELS, values, suspended, PANEL).window(7, np.arange(3))
        assert x[2, 0, 1] == 0
        np.testing.assert_allclose(x[3, 0, 1], 10 * (values[5, 0, at("close"), 1] / values[4, 0, at("close"), 1] - 1), rtol=1e-4)

    def test_levels_by_hand(self) -> None:
        spec = dataclasses.replace(LEVELS, n_days=1)
        day = dict.fromkeys(PANEL, np.nan) | {
            "open": 24.0, "high": 30.0, "low": 20.0, "close": 25.0, "vwap": 27.0, "volume": 2e6, "turn": 0.01, "free_turn": 0.02,
            "adj_factor": 2.0,
        }  # fmt: skip
        before = day | {"close": 20.0}
        values = np.array([list(before.values()), list(day.values())], dtype=np.float32).reshape(2, 1, -1, 1)
        x = Windows(spec, values, np.zeros((2, 1), dtype=bool), PANEL).window(1, np.arange(1))
        expected = [2.5, 1.2, 1.25, 1.5, 1.0, 0.2, 1.35, 1.0, 2.0, 0.625, 1.2, 0.2, 0.9, 2 / 3, 1.08]
        np.testing.assert_allclose(x[0, :, 0].numpy(), expected, rtol=1e-6)

    def test_ratios_over_no_turnover_are_zero(self) -> None:
        values, suspended = make_panel(8, 4)
        suspend(values, suspended, slice(7, 8), 1)
        windows = Windows(LEVELS, values, suspended, PANEL)
        columns, _ = windows.eligible(7, np.ones(4, dtype=bool))
        assert columns.tolist() == [0, 1, 2, 3]  # suspended today: nothing is divided by today's volume
        last = dict(zip(LEVELS.fields, windows.window(7, columns)[-1, :, 1].tolist(), strict=True))
        assert [last[name] for name in ("return", "volume", "turn", "close/free_turn", "open/turn", "volume/low")] == [0] * 6
        assert last["vwap/close"] == last["low/high"] == 1

    def test_the_first_return_needs_the_close_before_it(self) -> None:
        values, suspended = make_panel(9, 2)
        values[:2, ..., 0] = np.nan  # first bar on date 2: six bars on date 7, six returns on date 8
        for spec in (RAW, LEVELS):
            windows = Windows(spec, values, suspended, PANEL)
            assert windows.eligible(7, np.ones(2, dtype=bool)) == (
                pytest.approx([1]), {"short history": 1, "missing bar": 0, "suspended too long": 0, "zero divisor": 0})
            assert windows.eligible(8, np.ones(2, dtype=bool))[0].tolist() == [0, 1]
            assert windows.eligible(5, np.ones(2, dtype=bool))[1]["short history"] == 2
            assert spec.n_rows == spec.n_days + 1

    def test_a_gap_before_the_window_takes_its_first_return(self) -> None:
        values, suspended = make_panel(9, 2)
        values[2, ..., 0] = np.nan
        for spec in (RAW, LEVELS):
            windows = Windows(spec, values, suspended, PANEL)
            columns, excluded = windows.eligible(8, np.ones(2, dtype=bool))
            assert (columns.tolist(), excluded["missing bar"]) == ([1], 1)

    def test_suspended_days_are_counted_among_the_days_not_the_weeks(self) -> None:
        values, suspended = make_panel(22, 3)
        suspend(values, suspended, slice(3, 7), 0)  # 4 of 20 days are allowed
        suspend(values, suspended, slice(3, 8), 1)
        suspend(values, suspended, slice(17, 20), 2)  # its last week still traded on two days
        windows = Windows(WEEKS, values, suspended, PANEL)
        columns, excluded = windows.eligible(19, np.ones(3, dtype=bool))
        assert columns.tolist() == [0, 2]
        assert excluded["suspended too long"] == 1

    def test_a_week_without_volume_at_the_end_is_a_zero_divisor(self) -> None:
        values, suspended = make_panel(25, 2)
        values[20:, 0, at("volume"), 0] = 0  # traded, says the source, and yet nothing
        assert Windows(dataclasses.replace(WEEKS, max_suspended_share=1.0), values, suspended, PANEL).eligible(24, np.ones(2, dtype=bool)) == (
            pytest.approx([1]), {"short history": 0, "missing bar": 0, "suspended too long": 0, "zero divisor": 1})

    @pytest.mark.parametrize("name", ["low", "adj_factor"])
    def test_a_zero_price_or_factor_leaves_a_stock_out_of_the_levels(self, name: str) -> None:
        values, suspended = make_panel(8, 3)
        values[4, 0, at(name), 1] = 0
        columns, excluded = Windows(LEVELS, values, suspended, PANEL).eligible(7, np.ones(3, dtype=bool))
        assert (columns.tolist(), excluded["zero divisor"]) == ([0, 2], 1)


class TestProperties:
    @every_tensor
    @given(seed=st.integers(0, 10_000), n_stocks=st.integers(20, 40))
    @settings(max_examples=8, deadline=None, derandomize=True)
    def test_equals_the_expanded_computation(self, spec: TensorSpec, seed: int, n_stocks: int) -> None:
        n_dates = spec.n_days + 4
        values, suspended = make_panel(n_dates, n_stocks, seed)
        spoil(values, suspended, seed, spec.n_days)
        windows = Windows(spec, values, suspended, PANEL)
        universe = np.random.default_rng(seed).random((n_dates, n_stocks)) < 0.8
        for date in range(n_dates):
            columns, excluded = windows.eligible(date, universe[date])
            assert columns.tolist() == [s for s in np.flatnonzero(universe[date]) if should_have_window(spec, values, suspended, date, s)]
            assert len(columns) + sum(excluded.values()) == universe[date].sum()
            if len(columns) > 1:
                x = windows.window(date, columns)
                assert x.shape == (spec.n_steps, spec.n_fields, len(columns))
                assert bool(torch.isfinite(x).all())
                np.testing.assert_allclose(x.numpy(), expanded(spec, values, date, columns), atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("name", ["weekly", "rawbar", "alphanet"])
    def test_equals_the_expanded_computation_at_full_length(self, name: str) -> None:
        spec = TENSORS[name]
        values, suspended = make_panel(spec.n_days + 2, 25, 3)
        spoil(values, suspended, 1, spec.n_days)
        columns, _ = (windows := Windows(spec, values, suspended, PANEL)).eligible(spec.n_days, np.ones(25, dtype=bool))
        assert len(columns) > 5
        np.testing.assert_allclose(
            windows.window(spec.n_days, columns).numpy(), expanded(spec, values, spec.n_days, columns), atol=1e-5, rtol=1e-5)

    @every_tensor
    def test_kept_statistics_and_mixed_rows_give_the_same_bits(self, spec: TensorSpec) -> None:
        n = spec.n_days
        values, suspended = make_panel(n + 4, 30)
        for stock in (2, 8):
            suspend(values, suspended, slice(n, n + 1), stock)
        windows = Windows(spec, values, suspended, PANEL)
        columns = np.array([1, 2, 5, 8, 13, 21, 29])
        statistics = {date: windows.statistics(date, columns) for date in (n + 1, n + 2, n + 3)}
        whole = {date: windows.window(date, columns) for date in statistics}
        part = np.array([5, 0, 3])
        memory = torch.full((spec.n_steps * spec.n_fields * 30,), torch.nan)
        for date, kept in statistics.items():
            assert torch.equal(windows.window(date, columns, kept, memory=memory), whole[date])
            assert torch.equal(windows.window(date, columns[part], kept.take(part)), whole[date][:, :, part])
        dates, positions = np.array([n + 3, n + 1, n + 3, n + 2]), np.array([0, 3, 6, 1])
        mixed = windows.rows(dates, columns[positions], statistics, positions)
        for i, (date, position) in enumerate(zip(dates.tolist(), positions.tolist(), strict=True)):
            assert torch.equal(mixed[:, :, i], whole[date][:, :, position])

    @every_tensor
    def test_later_rows_do_not_matter(self, spec: TensorSpec) -> None:
        n_dates, known = spec.n_days + 8, spec.n_days + 3
        values, suspended = make_panel(n_dates, 20)
        spoil(values, suspended, 4, spec.n_days)
        before = Windows(spec, values, suspended, PANEL)
        rng = np.random.default_rng(5)
        changed, changed_suspended = values.copy(), suspended.copy()
        changed[known:] = rng.uniform(1, 100, changed[known:].shape)
        changed[known:, ..., :7] = np.nan
        changed_suspended[known:] = rng.random(changed_suspended[known:].shape) < 0.5
        after = Windows(spec, changed, changed_suspended, PANEL)
        n_compared = 0
        for date in range(known):
            columns, excluded = before.eligible(date, np.ones(20, dtype=bool))
            new_columns, new_excluded = after.eligible(date, np.ones(20, dtype=bool))
            assert (columns.tolist(), excluded) == (new_columns.tolist(), new_excluded)
            if len(columns):
                n_compared += 1
                assert torch.equal(before.window(date, columns), after.window(date, columns))
        assert n_compared >= 2

    @every_tensor
    def test_earlier_history_does_not_matter(self, spec: TensorSpec) -> None:
        """One date scored on its own, from exactly its rows, and the same date out of a long range: the same bits."""
        values, suspended = make_panel(spec.n_days + 40, 20)
        spoil(values, suspended, 6, spec.n_days)
        whole = Windows(spec, values, suspended, PANEL)
        for date in (spec.n_days, spec.n_days + 17, spec.n_days + 39):
            own = slice(date - spec.n_rows + 1, date + 1)
            alone = Windows(spec, values[own], suspended[own], PANEL)
            columns, _ = whole.eligible(date, np.ones(20, dtype=bool))
            assert len(columns) > 1
            assert alone.eligible(spec.n_rows - 1, np.ones(20, dtype=bool))[0].tolist() == columns.tolist()
            assert torch.equal(alone.window(spec.n_rows - 1, columns), whole.window(date, columns))

    @every_tensor
    def test_number_of_threads_does_not_matter(self, spec: TensorSpec) -> None:
        windows = Windows(spec, *make_panel(spec.n_days + 1, 3000), PANEL)
        threads = torch.get_num_threads()
        results = []
        for n in (1, 2, 6):
            torch.set_num_threads(n)
            results.append(windows.window(spec.n_days, np.arange(3000)))
        torch.set_num_threads(threads)
        assert torch.equal(results[0], results[1])
        assert torch.equal(results[0], results[2])

    @pytest.mark.parametrize("spec", [WEEKS, RAW], ids=lambda s: s.name)
    def test_the_factor_cancels(self, spec: TensorSpec) -> None:
        values, suspended = make_panel(spec.n_days + 1, 20)
        rescaled = values.copy()
        rescaled[:, :, :5] *= np.random.default_rng(2).uniform(0.1, 9, 20).astype(np.float32)
        a, b = (Windows(spec, v, suspended, PANEL).window(spec.n_days, np.arange(20)) for v in (values, rescaled))
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)

    def test_the_last_level_is_the_raw_price_of_the_day(self) -> None:
        values, suspended = make_panel(8, 10)
        x = Windows(LEVELS, values, suspended, PANEL).window(7, np.arange(10))
        raw = values[7, 0, at("close")] / values[7, 0, at("adj_factor")]
        np.testing.assert_allclose(x[-1, LEVELS.fields.index("close")].numpy(), raw * 0.1, rtol=1e-6)

    def test_a_stocks_levels_do_not_depend_on_the_others(self) -> None:
        windows = Windows(LEVELS, *make_panel(8, 10), PANEL)
        assert torch.equal(windows.window(7, np.arange(10))[:, :, [3]], windows.window(7, np.array([3])))

    def test_levels_are_of_the_order_of_one(self) -> None:
        values, suspended = make_panel(8, 200)
        size = Windows(LEVELS, values, suspended, PANEL).window(7, np.arange(200)).abs().median(dim=2).values
        assert bool(((size > 0.01) & (size < 20)).all())
        assert set(LEVEL_UNITS) == set(ALPHANET.fields)

    @every_tensor
    def test_reads_the_panel_in_place_and_leaves_it(self, spec: TensorSpec, tmp_path: Path) -> None:
        values, suspended = make_panel(spec.n_days + 1, 10)
        padded = np.concatenate([values, np.full((*values.shape[:3], 4), np.nan, dtype=np.float32)], axis=3)
        padded.tofile(tmp_path / "panel.bin")
        mapped = np.memmap(tmp_path / "panel.bin", dtype=np.float32, mode="r", shape=padded.shape)[..., :10]
        kept = values.copy()
        in_memory, on_disk = Windows(spec, values, suspended, PANEL), Windows(spec, mapped, suspended, PANEL)
        assert torch.equal(in_memory.window(spec.n_days, np.arange(10)), on_disk.window(spec.n_days, np.arange(10)))
        assert in_memory.panel_bytes == (spec.n_days + 1) * len(spec.panel_fields) * 10 * 4
        statistics = {spec.n_days: in_memory.statistics(spec.n_days, np.arange(10))}
        in_memory.rows(np.array([spec.n_days]), np.array([4]), statistics, np.array([4]))
        np.testing.assert_array_equal(values, kept)

    @every_tensor
    def test_a_copy_has_the_needed_fields_only(self, spec: TensorSpec) -> None:
        windows = Windows(spec, *make_panel(spec.n_days + 1, 10), PANEL)
        moved = windows.to("meta", free_bytes=2 * windows.panel_bytes)
        assert (moved.device.type, moved.panel_bytes) == ("meta", windows.panel_bytes)
        copy = windows._panel.to(torch.device("cpu"))
        assert copy.values.shape[2] == len(spec.panel_fields)
        columns = torch.arange(10)
        first, second = (
            p.gather(p.steps(slice(1, 5)), slice(0, 4), columns, torch.zeros(4, spec.n_fields, 10)) for p in (windows._panel, copy))
        assert torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))


class TestErrors:
    def test_weeks_are_whole_and_made_of_daily_bars(self) -> None:
        with pytest.raises(InvalidSpec, match="not made of whole steps.*21 days.*multiple of 5"):
            dataclasses.replace(WEEKS, n_days=21)
        with pytest.raises(InvalidSpec, match="days_per_step must be positive"):
            dataclasses.replace(WEEKS, days_per_step=0)
        for other in ({"fields": ("close",)}, {"steps_per_day": 2}, {"fields": (*BAR_FIELDS, "turn")}):
            with pytest.raises(InvalidSpec, match="only scaled daily bars are put together"):
                dataclasses.replace(WEEKS, **other)

    def test_ratios(self) -> None:
        with pytest.raises(InvalidSpec, match="only levels have ratios"):
            dataclasses.replace(RAW, fields=("close", "vwap", "vwap/close"))
        with pytest.raises(InvalidSpec, match="made of fields of its own tensor.*vwap/close.*close"):
            dataclasses.replace(LEVELS, fields=("close", "vwap/close"))
        with pytest.raises(InvalidSpec, match="levels without a unit.*amount"):
            dataclasses.replace(LEVELS, fields=("close", "amount"))

    def test_a_return_is_made_of_daily_closes(self) -> None:
        for other in ({"fields": ("volume", "return")}, {"fields": ("close", "return")}, {"steps_per_day": 2}):
            with pytest.raises(InvalidSpec, match="'return' is made of daily closes and volumes"):
                dataclasses.replace(RAW, **other)

    def test_a_negative_value_of_a_panel_field(self) -> None:
        values, suspended = make_panel(8, 4)
        values[3, 0, at("turn"), 2] = -1.5
        for spec in (RAW, LEVELS):
            with pytest.raises(BadInput, match="date index 3, column 2: negative or infinite turn"):
                Windows(spec, values, suspended, PANEL)

    def test_a_panel_without_the_factor(self) -> None:
        values, suspended = make_panel(8, 4)
        without = [i for i, name in enumerate(PANEL) if name != "adj_factor"]
        with pytest.raises(MissingData, match="panel 'daily' lacks adj_factor"):
            Windows(LEVELS, values[:, :, without], suspended, [PANEL[i] for i in without])
