"""The tensors of characteristics against an explicit computation in float64, and what is missing in a window."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from alpha_pipeline.errors import BadInput, InvalidSpec
from alpha_pipeline.features.tensors import CHARS_10M, CHARS_30M, L2CHARS, MSCHARS, TENSORS, TensorSpec
from alpha_pipeline.features.windows import Windows

DAYS = dataclasses.replace(MSCHARS, n_days=5, fields=MSCHARS.fields[:6])
STEPS = dataclasses.replace(CHARS_30M, n_days=5, fields=CHARS_30M.fields[:4])
every_tensor = pytest.mark.parametrize("spec", [DAYS, STEPS], ids=lambda s: s.name)


def make_panel(spec: TensorSpec, n_dates: int, n_stocks: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values of very different sizes and of either sign; gaps of every kind when ``seed`` is not 0."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(-7, 3, (len(spec.fields), 1))
    center = rng.normal(0, 3, (len(spec.fields), n_stocks))
    values = ((center + rng.standard_t(3, (n_dates, spec.steps_per_day, len(spec.fields), n_stocks))) * size).astype(np.float32)
    suspended = np.zeros((n_dates, n_stocks), dtype=bool)
    if not seed:
        return values, suspended
    values[rng.random(values.shape) < 0.03] = np.nan  # not defined by the day's bars
    values[:, :, 0, : n_stocks // 5] = 0.1  # a characteristic that never moves
    values[:, :, 1, n_stocks // 6] = np.nan  # one that is never defined
    for stock in range(n_stocks):
        if rng.random() < 0.4:
            first = int(rng.integers(0, n_dates))
            days = slice(first, first + int(rng.integers(1, 3)))
            suspended[days, stock] = rng.random() < 0.7
            values[days, ..., stock] = np.nan
        if rng.random() < 0.15:
            values[: int(rng.integers(1, n_dates)), ..., stock] = np.nan
    return values, suspended


def windows_of(spec: TensorSpec, values: np.ndarray, suspended: np.ndarray) -> Windows:
    return Windows(spec, values, suspended, spec.fields)


def expanded(spec: TensorSpec, values: np.ndarray, date: int, columns: np.ndarray) -> np.ndarray:
    """(T, F, N): z-score of each series over what is there, then of each (step, field) over who is there, ±3, and 0 for the rest."""
    x = values[date - spec.n_days + 1 : date + 1, ..., columns].astype(np.float64)
    x = x.reshape(-1, *x.shape[2:])
    out = np.zeros_like(x)
    u = np.full_like(x, np.nan)
    for f in range(x.shape[1]):
        for n in range(x.shape[2]):
            there = ~np.isnan(x[:, f, n])
            series = x[there, f, n]
            if len(series) > 1 and series.std() > 1e-6 * np.sqrt((series**2).mean()):
                u[there, f, n] = (series - series.mean()) / series.std()
    for t in range(x.shape[0]):
        for f in range(x.shape[1]):
            there = ~np.isnan(u[t, f])
            if there.any() and u[t, f, there].std() > 1e-6:
                z = (u[t, f, there] - u[t, f, there].mean()) / u[t, f, there].std()
                out[t, f, there] = np.clip(z, -3, 3)
    return out


class TestExamples:
    def test_registered(self) -> None:
        assert list(TENSORS)[5:9] == ["mschars", "l2chars", "chars_30m", "chars_10m"]
        assert [(s.n_days, s.n_steps, s.n_fields, s.n_rows) for s in (MSCHARS, L2CHARS, CHARS_30M, CHARS_10M)] == [
            (30, 30, 27, 30), (30, 30, 12, 30), (20, 160, 16, 20), (20, 480, 12, 20)]
        assert all(s.scale == "zscore" and s.panel == s.name and s.panel_fields == s.fields for s in (MSCHARS, L2CHARS, CHARS_30M, CHARS_10M))

    def test_three_days_by_hand(self) -> None:
        spec = dataclasses.replace(MSCHARS, n_days=3, fields=("amihud",), max_suspended_share=0.4)
        # series: (−1, 0, 1), (1, 0, −1), (missing, −1, 1) → z within: ±√1.5 for the first two, ±1 for the third
        values = np.array([[1.0, 5.0, np.nan], [2.0, 4.0, 7.0], [3.0, 3.0, 9.0]], dtype=np.float32)[:, None, None, :]
        windows = windows_of(spec, values, np.zeros((3, 3), dtype=bool))
        columns, excluded = windows.eligible(2, np.ones(3, dtype=bool))
        assert (columns.tolist(), set(excluded.values())) == ([0, 1, 2], {0})
        x = windows.window(2, columns)[:, 0].numpy()
        np.testing.assert_allclose(x[0], [-1, 1, 0], atol=1e-6)  # two of three are there: ±√1.5 around 0, one is missing
        middle = np.array([0, 0, -1.0])
        np.testing.assert_allclose(x[1], (middle - middle.mean()) / middle.std(), atol=1e-6)
        last = np.array([np.sqrt(1.5), -np.sqrt(1.5), 1.0])
        np.testing.assert_allclose(x[2], (last - last.mean()) / last.std(), atol=1e-6)

    def test_values_end_at_three(self) -> None:
        values, suspended = make_panel(DAYS, 5, 60)
        values[:, 0, 2] = np.linspace(-1, 1, 5)[:, None]
        values[2, 0, 2, 4] = 1e6
        x = windows_of(DAYS, values, suspended).window(4, np.arange(60))
        assert float(x.max()) == 3.0

    def test_a_field_that_is_absent_is_zero(self) -> None:
        values, suspended = make_panel(DAYS, 5, 30)
        values[:, :, 3] = np.nan
        windows = windows_of(DAYS, values, suspended)
        assert windows.eligible(4, np.ones(30, dtype=bool))[0].tolist() == list(range(30))
        x = windows.window(4, np.arange(30))
        assert not x[:, 3].any() and x[:, 2].any()

    def test_why_a_stock_has_no_window(self) -> None:
        values, suspended = make_panel(STEPS, 9, 6)
        values[4:6, ..., 0] = np.nan  # no bars on two of five days
        values[4:5, ..., 1] = np.nan  # on one: allowed
        values[5:7, ..., 2], suspended[5:7, 2] = np.nan, True
        values[5:6, ..., 3], suspended[5:6, 3] = np.nan, True
        values[:6, ..., 4] = np.nan  # listed within the window
        values[6, 0, :, 5] = np.nan  # one step of one day
        columns, excluded = windows_of(STEPS, values, suspended).eligible(8, np.ones(6, dtype=bool))
        assert columns.tolist() == [1, 3, 5]
        assert excluded == {"short history": 2, "missing bar": 0, "suspended too long": 1, "zero divisor": 0}
        columns, excluded = windows_of(STEPS, values, suspended).eligible(7, np.ones(6, dtype=bool))
        assert excluded == {"short history": 1, "missing bar": 1, "suspended too long": 1, "zero divisor": 0}


class TestProperties:
    @every_tensor
    @pytest.mark.parametrize("seed", range(5))
    def test_equals_the_expanded_computation(self, spec: TensorSpec, seed: int) -> None:
        n_dates, n_stocks = 9, 40
        values, suspended = make_panel(spec, n_dates, n_stocks, seed)
        windows = windows_of(spec, values, suspended)
        universe = np.random.default_rng(seed).random((n_dates, n_stocks)) < 0.8
        n_compared = 0
        for date in range(n_dates):
            columns, excluded = windows.eligible(date, universe[date])
            assert len(columns) + sum(excluded.values()) == universe[date].sum()
            if date < spec.n_days - 1:
                assert len(columns) == 0
                continue
            there = ~np.isnan(values[date - spec.n_days + 1 : date + 1]).all(axis=(1, 2))
            assert columns.tolist() == np.flatnonzero(universe[date] & (there.sum(axis=0) >= 0.8 * spec.n_days - 1e-9)).tolist()
            x = windows.window(date, columns)
            assert bool(torch.isfinite(x).all())
            np.testing.assert_allclose(x.numpy(), expanded(spec, values, date, columns), atol=1e-5)
            n_compared += 1
        assert n_compared == 5

    def test_equals_the_expanded_computation_at_full_length(self) -> None:
        for spec in (MSCHARS, CHARS_10M):
            values, suspended = make_panel(spec, spec.n_days + 1, 12, 3)
            windows = windows_of(spec, values, suspended)
            columns, _ = windows.eligible(spec.n_days, np.ones(12, dtype=bool))
            assert len(columns) > 4
            np.testing.assert_allclose(windows.window(spec.n_days, columns).numpy(), expanded(spec, values, spec.n_days, columns), atol=1e-5)

    @every_tensor
    def test_kept_statistics_and_mixed_rows_give_the_same_bits(self, spec: TensorSpec) -> None:
        windows = windows_of(spec, *make_panel(spec, 9, 40, 2))
        eligible = [windows.has_window(date) for date in (6, 7, 8)]
        columns = np.flatnonzero(np.logical_and.reduce(eligible))[:9]
        assert len(columns) == 9
        statistics = {date: windows.statistics(date, columns) for date in (6, 7, 8)}
        whole = {date: windows.window(date, columns) for date in statistics}
        part = np.array([5, 0, 3])
        memory = torch.full((spec.n_steps * spec.n_fields * 40,), torch.nan)
        for date, kept in statistics.items():
            assert kept.n_bytes == 4 * (spec.n_fields * 9 + 2 * spec.n_steps * spec.n_fields)  # 1 / std of the series; scale and shift
            assert torch.equal(windows.window(date, columns, kept, memory=memory), whole[date])
            assert torch.equal(windows.window(date, columns[part], kept.take(part)), whole[date][:, :, part])
        dates, positions = np.array([8, 6, 8, 7]), np.array([0, 3, 6, 1])
        mixed = windows.rows(dates, columns[positions], statistics, positions)
        for i, (date, position) in enumerate(zip(dates.tolist(), positions.tolist(), strict=True)):
            assert torch.equal(mixed[:, :, i], whole[date][:, :, position])

    @every_tensor
    def test_rows_outside_the_window_do_not_matter(self, spec: TensorSpec) -> None:
        """Neither later nor earlier ones: one date from exactly its rows gives the same stocks, reasons and bits."""
        values, suspended = make_panel(spec, 14, 40, 4)
        whole = windows_of(spec, values, suspended)
        everyone = np.ones(40, dtype=bool)
        for date in (5, 8, 13):
            own = slice(date - spec.n_days + 1, date + 1)
            alone = windows_of(spec, values[own], suspended[own])
            columns, excluded = whole.eligible(date, everyone)
            again, again_excluded = alone.eligible(spec.n_days - 1, everyone)
            assert (columns.tolist(), excluded) == (again.tolist(), again_excluded)
            assert torch.equal(alone.window(spec.n_days - 1, columns), whole.window(date, columns))

    def test_number_of_threads_does_not_matter(self) -> None:
        threads = torch.get_num_threads()
        for n_stocks in (200, 3000):
            windows = windows_of(STEPS, *make_panel(STEPS, 5, n_stocks, 1))
            columns, _ = windows.eligible(4, np.ones(n_stocks, dtype=bool))
            results = []
            for n in (1, 2, 6):
                torch.set_num_threads(n)
                results.append(windows.window(4, columns))
            torch.set_num_threads(threads)
            assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])

    def test_the_size_of_a_field_does_not_matter(self) -> None:
        values, suspended = make_panel(STEPS, 5, 30)
        a, b = (windows_of(STEPS, v, suspended).window(4, np.arange(30)) for v in (values, values * np.float32(1024)))
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


class TestErrors:
    def test_infinite_values(self) -> None:
        values, suspended = make_panel(DAYS, 6, 4)
        values[3, 0, 2, 1] = np.inf
        with pytest.raises(BadInput, match=f"date index 3, column 1: infinite {DAYS.fields[2]}"):
            windows_of(DAYS, values, suspended)

    def test_a_return_is_no_characteristic(self) -> None:
        with pytest.raises(InvalidSpec, match="'return' is no characteristic"):
            dataclasses.replace(DAYS, fields=("close", "volume", "return"))

    def test_days_are_not_put_together(self) -> None:
        with pytest.raises(InvalidSpec, match="only scaled daily bars are put together"):
            dataclasses.replace(DAYS, days_per_step=5)
