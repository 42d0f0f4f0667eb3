"""Standardized feature windows, built on demand from a dense panel instead of being stored.

A window of 20 days × 16 bars repeats every bar twenty times over; the panel holds it once. For a date *d* a window is a view of
the panel's rows d − n_days + 1 … d, of which the columns of that date's stocks are gathered and standardized::

    u = x / divisor − 1        per (field, stock); the divisor is the window's last value or its mean; u = x for ``return``
    z = (u − mean) / std       per (step, field), over the gathered stocks, population std; 0 where std is 0

Characteristics (scale ``zscore``) may be negative and missing: u = (x − its mean) / its std over the window's values that are there,
z as above over the stocks that have u, clipped to ±3; and 0 for those that have none.

``return`` is made of the close and the close one row before. Tensors of levels are not standardized: prices are divided by the
adjustment factor of date *d*, ratios of fields are made of what was gathered, and every field is multiplied by a fixed unit.
Tensors whose steps are several days read every n-th row of a panel of rolling blocks, made once at construction.

Prices in the panel are multiplied by the *cumulative backward* adjustment factor. The reports adjust prices to the window's
last date, which multiplies all of a stock's prices in the window by one more number; the divisor cancels that number, so both
give the same ratios. Volume is in raw shares.

Everything known about date *d* comes from rows ≤ d, so a window is known at the close of *d*.

Shape letters: D dates, S stocks of the panel, T steps, F fields, N stocks of one cross-section, B rows of a mixed batch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alpha_pipeline.errors import BadInput, Misaligned, MissingData, NotEnoughData, sentence
from alpha_pipeline.features.blocks import rolling_blocks
from alpha_pipeline.features.eligibility import REASONS, reason_codes
from alpha_pipeline.features.panel_view import PanelView
from alpha_pipeline.features.scaling import Ratio, levels_, returns_
from alpha_pipeline.features.tensors import CLIP, RETURN, TensorSpec
from alpha_pipeline.machine_code import has_numba

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# The inputs are float32 and relative to their divisor: a spread below this is their rounding, not information.
_NO_SPREAD = 1e-6
_STEPS_AT_ONCE = 64  # how long a part of a window is worked on before the next, so that it stays in the cache
# Below this size torch works in the calling thread. On few cores that is as quick, and on a busy machine many times quicker than
# threads that wait for one another after each of the small operations.
_SERIAL_SIZE = 32768
_FEW_THREADS = 4


@dataclass(frozen=True, eq=False)
class WindowStatistics:
    """What turns the raw bars of one date's cross-section into standardized values; small, worth keeping between epochs.

    ``divisor`` (F, N) is float64, in the order of the columns it was asked for; None where it is the last bar itself. For ``zscore``
    it is 1 / std of the series as float32, NaN where one has fewer than two values or no spread. Their means are not kept: they take
    as much memory, and one pass over the window makes them. The rounding of a mean shifts its z-scores by at most 6e-8 · |mean| / std.
    ``scale`` = 1 / std and ``shift`` = −mean / std are (T, F) float32; both are 0 where there is no spread. Levels have neither: (0, 0).
    """

    divisor: Tensor | None
    scale: Tensor
    shift: Tensor

    def take(self, positions: IntArray) -> WindowStatistics:
        """The same statistics for a part of the columns, given by position; they go on to describe the whole cross-section."""
        if self.divisor is None:
            return self
        at = torch.from_numpy(positions).to(self.divisor.device)
        return WindowStatistics(self.divisor.index_select(1, at), self.scale, self.shift)

    @property
    def n_bytes(self) -> int:
        tensors = [t for t in (self.divisor, self.scale, self.shift) if t is not None]
        return sum(t.numel() * t.element_size() for t in tensors)


class Windows:
    """Lazy windows of one tensor.

    Parameters
    ----------
    spec : which days, steps and fields.
    values : (D, steps_per_day, panel fields, S) float32, an array or a memory map. NaN where a stock has no bar (not listed,
        gap in the data). On suspended days prices are filled forward and volume is 0. Fields are used in place; only for steps
        of several days a second array takes the place of theirs, of the same size.
    suspended : (D, S) True where the stock is suspended all day.
    panel_fields : names along the third axis of ``values``; by default exactly ``spec.panel_fields``.

    The constructor reads the panel once and keeps one byte per (date, stock): whether that stock has a window on that date, and
    if not, why. Asking is then a lookup.

    Raises
    ------
    Misaligned : shapes that do not fit. MissingData : a field that the panel lacks. BadInput : infinite or negative values.

    Source: MULTIFREQ, figures 7 and 11. Ours: the rules for suspended days and for a spread of 0, which the report does not
    mention.
    """

    def __init__(
        self, spec: TensorSpec, values: npt.NDArray[np.float32], suspended: BoolArray, panel_fields: Sequence[str] | None = None
    ) -> None:
        where = f"tensor '{spec.name}'"
        names = list(panel_fields or spec.panel_fields)
        _check_panel(spec, values, names, where)
        n_dates, _, _, n_stocks = values.shape
        if suspended.shape != (n_dates, n_stocks) or suspended.dtype != np.bool_:
            raise Misaligned(
                sentence(
                    "the suspension mask does not fit the panel",
                    where=where,
                    got=f"{suspended.shape} {suspended.dtype}",
                    expected=f"{(n_dates, n_stocks)} bool",
                )
            )
        self.spec = spec
        places = [names.index(name) for name in spec.panel_fields]
        self._code_DS = reason_codes(spec, values, places, suspended, where)
        at = [names.index(name) if name in spec.gathered else None for name in spec.fields]
        if spec.days_per_step > 1:
            values, at = rolling_blocks(values[:, 0], places, spec.days_per_step)[:, None], list(range(spec.n_fields))
        with warnings.catch_warnings():
            # torch warns that a read-only map could be written through the tensor; nothing here writes to it
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._panel = PanelView(
                torch.from_numpy(values),
                at,
                lagged=(spec.fields.index(RETURN), names.index("close")) if RETURN in spec.fields else None,
                extra=names.index("adj_factor") if spec.scale == "level" else None,
            )

    # ------------------------------------------------------------------ facts

    @property
    def n_dates(self) -> int:
        return int(self._panel.values.shape[0])

    @property
    def n_stocks(self) -> int:
        return int(self._panel.values.shape[3])

    @property
    def device(self) -> torch.device:
        return self._panel.values.device

    @property
    def panel_bytes(self) -> int:
        """What :meth:`to` will occupy on a device."""
        return self._panel.n_bytes

    @property
    def eligibility_bytes(self) -> int:
        return int(self._code_DS.nbytes)

    def to(self, device: torch.device | str, *, free_bytes: int | None = None) -> Windows:
        """The same windows over a copy of the panel on ``device``; itself if the panel is there already.

        ``free_bytes`` is asked of the device unless given. Raises :class:`NotEnoughData` (of memory) *before* anything is
        copied when the panel would take more than nine tenths of it.
        """
        target = torch.device(device)
        if target.type == self.device.type and target.index in (None, self.device.index):
            return self
        if free_bytes is None and target.type == "cuda":
            free_bytes = torch.cuda.mem_get_info(target)[0]
        if free_bytes is not None and self.panel_bytes > 0.9 * free_bytes:
            raise NotEnoughData(
                sentence(
                    f"the panel does not fit into the memory of {target}",
                    where=f"tensor '{self.spec.name}'",
                    got=f"{free_bytes / 2**30:.2f} GiB free",
                    expected=f"{self.panel_bytes / 0.9 / 2**30:.2f} GiB",
                    next_step="Leave the panel in host memory (windows are then copied one at a time), or take fewer dates.",
                )
            )
        moved = object.__new__(Windows)
        moved.spec, moved._code_DS, moved._panel = self.spec, self._code_DS, self._panel.to(target)
        return moved

    # ------------------------------------------------------------ eligibility

    def has_window(self, date_index: int) -> BoolArray:
        """(S,) True for stocks with a complete window on that date."""
        return np.equal(self._code_DS[self._checked(date_index)], 0)

    def eligible(self, date_index: int, universe_S: BoolArray) -> tuple[IntArray, dict[str, int]]:
        """Columns of the universe's stocks that have a window on that date, ascending, and how many lack one, by reason."""
        codes = self._code_DS[self._checked(date_index)][universe_S]
        counts = np.bincount(codes, minlength=len(REASONS) + 1)
        excluded = {reason: int(n) for reason, n in zip(REASONS, counts[1:], strict=True)}
        return np.flatnonzero(universe_S)[codes == 0], excluded

    # ---------------------------------------------------------------- windows

    def statistics(self, date_index: int, columns: IntArray) -> WindowStatistics:
        """Divisors, means and spreads of the cross-section ``columns``; sums run in float64."""
        assert len(columns) > 0, "no cross-section to standardize over: look at what eligible() returns first"
        raw_TPS, at = self._raw(date_index), torch.from_numpy(columns).to(self.device)
        if self.spec.scale == "level":
            nothing = torch.empty((0, 0), dtype=torch.float32, device=self.device)
            return WindowStatistics(None, nothing, nothing)
        # always the same parts for a number of columns: the order of a sum must not depend on the number of threads
        n_serial = _SERIAL_SIZE // (self.spec.n_fields * len(columns) + 1) if self.spec.scale == "zscore" else 0
        parts = _parts(self.spec.n_steps, n_serial if 4 <= n_serial < _STEPS_AT_ONCE else _STEPS_AT_ONCE)
        kept = None
        if self.spec.scale == "mean":
            kept = torch.zeros((self.spec.n_fields, len(columns)), dtype=torch.float64, device=self.device)
            for part in parts:
                kept += self._bars(raw_TPS, part, at).sum(dim=0, dtype=torch.float64)
            kept /= self.spec.n_steps
        if self.spec.scale == "zscore":
            mean, kept = self._moments(raw_TPS, at, parts)
            ratio = Ratio.of_moments(mean, kept)
        else:
            ratio = Ratio.to((self._last(raw_TPS, at) if kept is None else kept).double(), self.spec.fields)
        scale_TF = torch.zeros((self.spec.n_steps, self.spec.n_fields), dtype=torch.float32, device=self.device)
        shift_TF = torch.zeros_like(scale_TF)
        for part in parts:
            u_TFN = ratio.of_(self._bars(raw_TPS, part, at)).double()
            variance, mean = _known_moments(u_TFN, 2) if self.spec.scale == "zscore" else torch.var_mean(u_TFN, dim=2, correction=0)
            inverse = torch.where(variance > _NO_SPREAD**2, variance.rsqrt(), 0.0)
            scale_TF[part], shift_TF[part] = inverse.float(), (-mean * inverse).float()
        return WindowStatistics(kept, scale_TF, shift_TF)

    def window(
        self, date_index: int, columns: IntArray, statistics: WindowStatistics | None = None, *, memory: Tensor | None = None
    ) -> Tensor:
        """x_TFN float32 on the panel's device, finite, standardized over ``columns`` (levels: not standardized).

        ``columns`` must be eligible. With ``statistics`` (from this date, ``divisor`` in the order of ``columns``) nothing is
        estimated again, and ``columns`` may be a part of the cross-section that they describe. ``memory`` (float32, one axis, on
        the panel's device, at least T · F · N long) is where the result is put: asking the system for fresh memory takes longer
        than everything else here.
        """
        if statistics is None:
            statistics = self.statistics(date_index, columns)
        raw_TPS, at = self._raw(date_index), torch.from_numpy(columns).to(self.device)
        shape = (self.spec.n_steps, self.spec.n_fields, len(columns))
        if memory is None:
            memory = torch.empty(math.prod(shape), dtype=torch.float32, device=self.device)
        x_TFN = memory[: math.prod(shape)].view(shape)
        # part by part, so that the numbers are still in the cache from the gather to the last operation
        parts, field_parts = self._parts(len(columns))
        is_in_one_pass = self.device.type == "cpu" and has_numba()
        if self.spec.scale == "level":
            factor_N = self._panel.extra(date_index, at)
            if is_in_one_pass:
                from alpha_pipeline.features.window_kernel import level_window

                return level_window(raw_TPS, columns, self.spec, self._panel, factor_N, x_TFN)
            for part in parts:
                levels_(self._bars(raw_TPS, part, at, out=x_TFN[part]), self.spec, factor_N)
            return x_TFN
        if self.spec.scale == "zscore":
            if is_in_one_pass:
                from alpha_pipeline.features.window_kernel import standardized_scores

                return standardized_scores(raw_TPS, columns, self._panel, _divisor(statistics), statistics.scale, statistics.shift, CLIP, x_TFN)
            total, count = self._sums(raw_TPS, at, parts)
            ratio = Ratio.of_moments((total / count).float(), _divisor(statistics))
        else:
            ratio = Ratio.to((self._last(raw_TPS, at) if self.spec.scale == "last" else _divisor(statistics)).double(), self.spec.fields)
            if is_in_one_pass:
                return self._fill(raw_TPS, columns, ratio, statistics, x_TFN)
        ratios = [(fields, ratio.part(fields)) for fields in field_parts]
        for part in parts:
            bars_TFN = self._bars(raw_TPS, part, at, out=x_TFN[part])
            for fields, ratio in ratios:
                u = ratio.of_(bars_TFN[:, fields])
                u.mul_(statistics.scale[part, fields, None]).add_(statistics.shift[part, fields, None])
                self._finish_(u)
        return x_TFN

    def rows(
        self, date_index_B: IntArray, columns_B: IntArray, statistics: Mapping[int, WindowStatistics], position_B: IntArray
    ) -> Tensor:
        """x_TFB: one window per (date, stock) pair, the same numbers as :meth:`window` gives, without building whole
        cross-sections.

        ``statistics`` by date index; ``position_B`` is each pair's position along ``divisor`` of its date.
        """
        spec, device = self.spec, self.device
        back = np.arange(spec.days_per_step - spec.n_days, 1, spec.days_per_step)  # from the date to the day each step ends on
        columns = torch.from_numpy(columns_B).to(device)
        x_TFB = self._panel.gather_pairs(torch.from_numpy(date_index_B[None, :] + back[:, None]).to(device), columns)
        if RETURN in spec.fields:
            returns_(x_TFB, spec)
        if spec.scale == "level":
            factor_B = self._panel.extra(torch.from_numpy(date_index_B).to(device), columns)
            return levels_(x_TFB, spec, factor_B)
        dates, which_B = np.unique(date_index_B, return_inverse=True)
        which = torch.from_numpy(which_B).to(device)
        if spec.scale == "last":
            divisor_FB = x_TFB[-1].double()
        else:
            dtype = torch.float32 if spec.scale == "zscore" else torch.float64
            divisor_FB = torch.empty((spec.n_fields, len(columns_B)), dtype=dtype, device=device)
            for at, date in enumerate(dates.tolist()):
                own = np.flatnonzero(which_B == at)
                divisor_FB[:, torch.from_numpy(own).to(device)] = _divisor(statistics[date])[
                    :, torch.from_numpy(position_B[own]).to(device)
                ]
        if spec.scale == "zscore":
            total, count = _known_sums(x_TFB)
            ratio = Ratio.of_moments((total / count).float(), divisor_FB)
        else:
            ratio = Ratio.to(divisor_FB, spec.fields)
        u_TFB = ratio.of_(x_TFB)
        scale_TFB = torch.stack([statistics[date].scale for date in dates.tolist()], dim=2).index_select(2, which)
        shift_TFB = torch.stack([statistics[date].shift for date in dates.tolist()], dim=2).index_select(2, which)
        return self._finish_(u_TFB.mul_(scale_TFB).add_(shift_TFB))

    # --------------------------------------------------------------- plumbing

    def _fill(self, raw_TPS: Tensor, columns: IntArray, ratio: Ratio, statistics: WindowStatistics, x_TFN: Tensor) -> Tensor:
        """What the loop over parts of :meth:`window` does, in one pass and to the same bits."""
        from alpha_pipeline.features.window_kernel import standardized_window

        fields, places, lagged = self.spec.fields, self._panel.places, self._panel.lagged
        close, volume = (places[fields.index(name)] if name in fields else -1 for name in ("close", "volume"))
        standardized_window(raw_TPS, 0 if lagged is None else 1, columns, [-1 if place is None else place for place in places],
                            -1 if close is None else close, -1 if volume is None else volume, -1 if lagged is None else lagged[1],
                            ratio.anchor, ratio.inverse, ratio.minus_rest, statistics.scale, statistics.shift, x_TFN)
        return x_TFN

    def _raw(self, date_index: int) -> Tensor:
        """Panel rows (T, P, S) of the window's steps, one more ahead with ``return``; a view. Only rows up to ``date_index`` are in it."""
        first = self._checked(date_index) - self.spec.n_days + 1
        assert first >= 0, f"no window of {self.spec.n_days} days ends at date {date_index}: ask eligible() first"
        return self._panel.steps(slice(first + self.spec.days_per_step - 1, date_index + 1, self.spec.days_per_step))

    def _bars(self, raw_TPS: Tensor, part: slice, at_N: Tensor, out: Tensor | None = None) -> Tensor:
        """Bars (T, F, N) of a part of the steps, with their returns; ratios are not made yet."""
        bars_TFN = self._panel.gather(raw_TPS, part, at_N, out=out)
        return returns_(bars_TFN, self.spec) if RETURN in self.spec.fields else bars_TFN

    def _finish_(self, z: Tensor) -> Tensor:
        return z.clamp_(-CLIP, CLIP).nan_to_num_(nan=0.0) if self.spec.scale == "zscore" else z

    def _sums(self, raw_TPS: Tensor, at_N: Tensor, parts: Sequence[slice]) -> tuple[Tensor, Tensor]:
        """(F, N) float64: sum and number of each series' values that are there."""
        total, count = torch.zeros((2, self.spec.n_fields, len(at_N)), dtype=torch.float64, device=self.device)
        for part in parts:
            part_total, part_count = _known_sums(self._bars(raw_TPS, part, at_N))
            total += part_total
            count += part_count
        return total, count

    def _moments(self, raw_TPS: Tensor, at_N: Tensor, parts: Sequence[slice]) -> tuple[Tensor, Tensor]:
        """(F, N) float32 each: mean and 1 / std of each series over the window's values that are there; sums run in float64."""
        total, count = self._sums(raw_TPS, at_N, parts)
        squares, deviations = torch.zeros((2, self.spec.n_fields, len(at_N)), dtype=torch.float64, device=self.device)
        mean = total / count
        for part in parts:
            x_TFN = self._bars(raw_TPS, part, at_N).double()
            squares += x_TFN.square().nansum(dim=0)
            deviations += (x_TFN - mean).square_().nansum(dim=0)
        has_spread = (count > 1) & (deviations > _NO_SPREAD**2 * squares)
        return mean.float(), torch.where(has_spread, (deviations / count).rsqrt(), torch.nan).float()

    def _last(self, raw_TPS: Tensor, at_N: Tensor) -> Tensor:
        """(F, N): the bars of the last step."""
        return self._bars(raw_TPS, slice(self.spec.n_steps - 1, None), at_N)[0]

    def _parts(self, n_stocks: int) -> tuple[list[slice], list[slice]]:
        """Steps, and fields, that are worked on together."""
        n_steps, n_fields = self.spec.n_steps, self.spec.n_fields
        if self.device.type != "cpu":
            return [slice(0, n_steps)], [slice(0, n_fields)]  # each part would cost a launch
        n_series = _SERIAL_SIZE // (n_stocks + 1)  # (step, field) pairs that the calling thread works on alone
        if n_series == 0 or torch.get_num_threads() > _FEW_THREADS:
            return _parts(n_steps, _STEPS_AT_ONCE), [slice(0, n_fields)]
        together = self._panel.n_side_by_side if self.spec.scale == "level" else n_fields  # levels are made field by field
        return _parts(n_steps, max(1, n_series // together)), _parts(n_fields, n_series)

    def _checked(self, date_index: int) -> int:
        assert 0 <= date_index < self.n_dates, f"date index {date_index} outside the panel of {self.n_dates} dates"
        return date_index


def common_columns(windows: Mapping[str, Windows], date_index: int, universe_S: BoolArray) -> tuple[IntArray, dict[str, int]]:
    """Columns that have a window in *every* tensor on that date, and how many lack one, counted by ``"tensor: reason"``.

    A stock counts once, under the first tensor (in the order of the mapping) that leaves it out.
    """
    remaining = universe_S.copy()
    excluded: dict[str, int] = {}
    for name, tensor in windows.items():
        _, reasons = tensor.eligible(date_index, remaining)
        excluded |= {f"{name}: {reason}": n for reason, n in reasons.items()}
        remaining &= tensor.has_window(date_index)
    return np.flatnonzero(remaining), excluded


def _parts(n: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, n, size)]


def _known_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sum in float64, and number, along the first axis of the values that are not NaN."""
    return x.nansum(dim=0, dtype=torch.float64), (~x.isnan()).sum(dim=0)


def _known_moments(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """(variance, mean) along ``dim`` of the values that are not NaN; 0 where there are none."""
    known = ~x.isnan()
    count = known.sum(dim=dim)
    mean = x.nansum(dim=dim) / count.clamp(min=1)
    variance = (x - mean.unsqueeze(dim)).square_().nansum(dim=dim) / count.clamp(min=1)
    return variance, mean


def _divisor(statistics: WindowStatistics) -> Tensor:
    assert statistics.divisor is not None
    return statistics.divisor


def _check_panel(spec: TensorSpec, values: npt.NDArray[np.float32], names: Sequence[str], where: str) -> None:
    missing = [name for name in spec.panel_fields if name not in names]
    if missing:
        raise MissingData(
            sentence(
                f"panel '{spec.panel}' lacks {', '.join(missing)}",
                where=where,
                got=", ".join(names),
                next_step="Build the panel with these fields, or leave them out of the tensor.",
            )
        )
    if values.ndim != 4 or values.shape[1:3] != (spec.steps_per_day, len(names)):
        raise Misaligned(
            sentence(
                "the panel has the wrong shape",
                where=where,
                got=values.shape,
                expected=f"(dates, {spec.steps_per_day} steps, {len(names)} fields, stocks)",
            )
        )
    if values.dtype != np.float32:
        raise BadInput(sentence("the panel is not float32", where=where, got=values.dtype, expected="float32"))
