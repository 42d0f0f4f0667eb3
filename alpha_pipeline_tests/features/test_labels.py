"""Forward returns, the moment they are known, and their standardization."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, UnknownName
from alpha_pipeline.features.labels import (
    ForwardReturn,
    by_formation,
    forward_returns,
    label_named,
    realized_labels,
    standardize_labels,
)

SPECS = [ForwardReturn(), ForwardReturn(3, 1), ForwardReturn(1, entry="next_open"), ForwardReturn(5, 2, "next_vwap")]


def prices(seed: int = 0, n_dates: int = 25, n_stocks: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 10 * np.exp(rng.normal(0, 0.02, (n_dates, n_stocks)).cumsum(axis=0))
    return close, close * np.exp(rng.normal(0, 0.01, close.shape))


def entry_of(spec: ForwardReturn, other: np.ndarray) -> np.ndarray | None:
    return None if spec.entry == "close" else other


class TestExamples:
    def test_close_to_close(self) -> None:
        close = np.array([[10.0], [11.0], [12.0], [15.0]])
        np.testing.assert_allclose(forward_returns(close, ForwardReturn(2)).ravel(), [0.2, 15 / 11 - 1, np.nan, np.nan])
        np.testing.assert_allclose(forward_returns(close, ForwardReturn(2, 1)).ravel(), [15 / 11 - 1, np.nan, np.nan, np.nan])

    def test_entry_at_the_next_open(self) -> None:
        close, opens = np.array([[10.0], [11.0], [12.0]]), np.array([[1.0], [10.0], [11.5]])
        got = forward_returns(close, ForwardReturn(2, entry="next_open"), entry_DS=opens)
        np.testing.assert_allclose(got.ravel(), [0.2, np.nan, np.nan])

    def test_realized_row_is_the_label_that_has_just_become_known(self) -> None:
        close = np.array([[10.0], [11.0], [12.0], [15.0]])
        np.testing.assert_allclose(realized_labels(close, ForwardReturn(2, 1)).ravel(), [np.nan, np.nan, np.nan, 15 / 11 - 1])

    def test_names(self) -> None:
        assert [spec.name for spec in SPECS] == ["r10", "r3_lag1", "r1_next_open", "r5_lag2_next_vwap"]
        assert [label_named(spec.name) for spec in SPECS] == SPECS
        assert ForwardReturn(10, 1).label_end_offset == 11

    def test_a_missing_price_is_a_missing_label(self) -> None:
        close = np.array([[10.0, 10.0], [np.nan, 11.0], [12.0, np.nan]])
        np.testing.assert_allclose(forward_returns(close, ForwardReturn(1)), [[np.nan, 0.1], [np.nan, np.nan], [np.nan, np.nan]])

    def test_data_shorter_than_the_label(self) -> None:
        close, _ = prices(n_dates=5)
        for function in (forward_returns, realized_labels):
            assert np.isnan(function(close, ForwardReturn(10))).all()
        assert np.isnan(by_formation(close, ForwardReturn(10))).all()


class TestProperties:
    @pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
    def test_equals_pandas(self, spec: ForwardReturn) -> None:
        close, other = prices()
        frame, entries = pd.DataFrame(close), pd.DataFrame(close if spec.entry == "close" else other)
        begin = spec.lag + (spec.entry != "close")
        expected = frame.shift(-spec.label_end_offset) / entries.shift(-begin) - 1
        np.testing.assert_allclose(forward_returns(close, spec, entry_DS=entry_of(spec, other)), expected.to_numpy())

    @pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
    def test_realized_labels_do_not_look_ahead(self, spec: ForwardReturn) -> None:
        close, other = prices()
        whole = realized_labels(close, spec, entry_DS=entry_of(spec, other))
        for n_known in (1, 12, 24):
            cut = realized_labels(close[:n_known], spec, entry_DS=entry_of(spec, other[:n_known]))
            np.testing.assert_array_equal(whole[:n_known], cut)

    @pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
    def test_both_indexings_agree(self, spec: ForwardReturn) -> None:
        close, other = prices()
        formed = forward_returns(close, spec, entry_DS=entry_of(spec, other))
        np.testing.assert_array_equal(by_formation(realized_labels(close, spec, entry_DS=entry_of(spec, other)), spec), formed)

    def test_standardized_over_the_mask_only(self) -> None:
        rng = np.random.default_rng(3)
        raw, mask = rng.normal(0.01, 0.1, (6, 60)), rng.random((6, 60)) < 0.7
        raw[:, 0], mask[:, 0] = 50.0, False  # outside the mask: must not matter
        raw[:, 1], mask[:, 1] = 5.0, True  # inside: pulled in to the bound
        raw[2, 5] = np.nan
        got = standardize_labels(raw, mask)
        for row in range(6):
            used = mask[row] & ~np.isnan(raw[row])
            values = raw[row, used]
            bound = 3 * 1.4826 * stats.median_abs_deviation(values)
            expected = stats.zscore(np.clip(values, np.median(values) - bound, np.median(values) + bound))
            np.testing.assert_allclose(got[row, used], expected, atol=1e-10)
            assert np.isnan(got[row, ~used]).all()

    def test_a_row_without_spread_is_zero(self) -> None:
        got = standardize_labels(np.full((1, 5), 0.3), np.ones((1, 5), dtype=bool))
        assert got.tolist() == [[0.0] * 5]


class TestErrors:
    def test_settings(self) -> None:
        with pytest.raises(InvalidSpec, match="horizon must be positive"):
            ForwardReturn(0)
        with pytest.raises(InvalidSpec, match="lag must not be negative"):
            ForwardReturn(lag=-1)
        with pytest.raises(InvalidSpec, match="unknown entry price"):
            ForwardReturn(entry="vwap")  # type: ignore[arg-type]
        for name in ("r", "r0", "r10_lag0", "x10", "r05"):
            with pytest.raises(UnknownName, match=f"unknown label '{name}'"):
                label_named(name)

    def test_entry_prices_given_exactly_when_needed(self) -> None:
        close, other = prices()
        with pytest.raises(InvalidSpec, match="'r10_next_open' enters at the open"):
            forward_returns(close, ForwardReturn(entry="next_open"))
        with pytest.raises(InvalidSpec, match="'r10' enters at the close"):
            forward_returns(close, ForwardReturn(), entry_DS=other)

    def test_bad_prices(self) -> None:
        close, other = prices()
        with pytest.raises(Misaligned, match="differ in shape"):
            forward_returns(close, ForwardReturn(entry="next_vwap"), entry_DS=other[:3])
        with pytest.raises(Misaligned, match="wrong shape"):
            forward_returns(close[0], ForwardReturn())
        close[4, 2] = 0.0
        with pytest.raises(BadInput, match="date index 4, column 2: close price"):
            forward_returns(close, ForwardReturn())
