"""Samples of a training or validation part, and how they are cut into batches.

A sample is one (date, stock) pair. Its features are standardized over *all* stocks of the universe that have a window on that
date, exactly as at scoring time; only then are stocks without a label left out. A missing label therefore never changes another
stock's input.

Memory: the panel, plus per date the standardization statistics (15 kB and 8 bytes per field and stock for the 15-minute
tensor), plus the windows of one batch. Windows are built per batch and never kept.

Shape letters: D dates, S stocks of the panel, T steps, F fields, N stocks of a batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alpha_pipeline.digest import combine, content_hash, digest
from alpha_pipeline.errors import InvalidSpec, Misaligned, NotEnoughData, sentence
from alpha_pipeline.features.windows import BoolArray, IntArray, Windows, WindowStatistics, common_columns
from alpha_pipeline.models.contract import NetworkConfig
from alpha_pipeline.training.exposures import Exposures, present


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that go through the network together.

    ``date_index``, ``columns`` and ``samples`` (number of the sample in its set) are (N,). ``parts`` are the slices over which
    the loss is computed and then averaged: one per date, or the whole batch where dates are mixed. ``inputs`` maps tensor names
    to x_TFN. ``is_top_half`` (N,) bool: the label is above the median of the samples of its date. ``exposures`` (N, E), finite,
    or None.
    """

    date_index: IntArray
    columns: IntArray
    samples: IntArray
    parts: tuple[slice, ...]
    inputs: dict[str, Tensor]
    label: Tensor
    is_top_half: Tensor
    exposures: Tensor | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def calls(self, config: NetworkConfig) -> list[tuple[slice, dict[str, Tensor]]]:
        """How the network is to be called: (stocks, inputs), once for the batch or, if it compares stocks, once per date."""
        wanted = self.parts if config.is_cross_sectional else (slice(0, len(self)),)
        calls = []
        for part in wanted:
            inputs = self.inputs if len(wanted) == 1 else {name: x_TFN[:, :, part] for name, x_TFN in self.inputs.items()}
            if config.needs_exposures:
                assert self.exposures is not None, "check_combination comes first"
                inputs = {**inputs, "exposures": present(self.exposures[part])}
            calls.append((part, inputs))
        return calls


@dataclass(frozen=True, eq=False)
class _Date:
    """One date of the set: its whole cross-section, and the numbers of its samples."""

    index: int
    eligible: IntArray
    samples: slice


class SampleSet:
    """The samples of a list of dates.

    Parameters
    ----------
    windows : by tensor name; a sample has a window in each of them.
    universe_DS : stocks that may be samples, by formation date. For training it may use the next session (tradable next day): a
        filter of samples, never an input.
    labels_DS : standardized labels by *formation* date, NaN where unknown.
    dates : indices into the date axis; each once.
    min_stocks : a date with fewer samples is dropped and counted.
    label_shuffle_seed : permute the labels among the stocks of each date, the control experiment that must find nothing.
    exposures : of all dates and stocks; a sample without all of them is left out and counted as "no exposures".

    Raises
    ------
    Misaligned : axes differ. InvalidSpec : repeated dates, no tensor. NotEnoughData : no date is left, with the counts.
    """

    def __init__(
        self,
        windows: Mapping[str, Windows],
        universe_DS: BoolArray,
        labels_DS: npt.NDArray[np.floating],
        dates: Sequence[int] | IntArray,
        *,
        min_stocks: int = 10,
        label_shuffle_seed: int | None = None,
        exposures: Exposures | None = None,
    ) -> None:
        _check_axes(windows, universe_DS, labels_DS, exposures)
        if min_stocks < 2:
            raise InvalidSpec(
                sentence("a correlation needs two stocks", where="SampleSet", got=f"min_stocks {min_stocks}", expected=">= 2")
            )
        wanted = [int(d) for d in dates]
        if len(set(wanted)) != len(wanted):
            raise InvalidSpec(
                sentence("a date is listed twice", where="SampleSet", got=f"{len(wanted) - len(set(wanted))} repetitions")
            )
        self.windows = dict(windows)
        self.exposures = exposures
        self.excluded: dict[str, int] = {}
        self.n_dropped_dates = 0
        self._statistics: dict[tuple[str, int], WindowStatistics] = {}
        self._dates: list[_Date] = []
        excluded: Counter[str] = Counter()
        positions: list[IntArray] = []
        labels: list[npt.NDArray[np.float32]] = []
        n = 0
        for d in wanted:
            eligible, reasons = common_columns(self.windows, d, universe_DS[d])
            has_label = np.isfinite(labels_DS[d, eligible])
            excluded.update({**reasons, "no label": int((~has_label).sum())})
            if exposures is not None:
                is_known = exposures.known(d)[eligible]
                excluded["no exposures"] += int((has_label & ~is_known).sum())
                has_label &= is_known
            position = np.flatnonzero(has_label)
            if len(position) < min_stocks:
                self.n_dropped_dates += 1
                excluded["too few stocks on the date"] += len(position)
                continue
            label = labels_DS[d, eligible[position]].astype(np.float32)
            if label_shuffle_seed is not None:
                label = np.random.default_rng([label_shuffle_seed, d]).permutation(label)
            positions.append(position)
            labels.append(label)
            self._dates.append(_Date(d, eligible, slice(n, n + len(position))))
            n += len(position)
        self.n_samples = n
        self.excluded = dict(excluded)
        if not self._dates:
            raise NotEnoughData(
                sentence(
                    f"none of {len(wanted)} dates has {min_stocks} samples",
                    where="SampleSet",
                    got=", ".join(f"{reason}: {n}" for reason, n in self.excluded.items() if n) or "no stock in the universe",
                    next_step="Check the universe, the labels and the length of the windows, or lower min_stocks.",
                )
            )
        # one entry per sample: position among the eligible stocks of its date, column of the panel, label
        self._position = np.concatenate(positions)
        self._column = np.concatenate([date.eligible[at] for date, at in zip(self._dates, positions, strict=True)])
        self._label = np.concatenate(labels)
        self._is_top_half = np.concatenate([label > np.partition(label, (len(label) - 1) // 2)[(len(label) - 1) // 2] for label in labels])

    @property
    def dates(self) -> list[int]:
        """Date indices that are left, in the given order."""
        return [date.index for date in self._dates]

    def use(self, windows: Mapping[str, Windows]) -> None:
        """Go on with the same windows on another device."""
        self.windows = dict(windows)
        self._statistics.clear()

    def digest(self) -> str:
        """Hash of dates, stocks, labels and tensor specs: what two trainings must share to be the same one.

        The bars themselves are not hashed; their version belongs to the name of the working folder.
        """
        specs = digest([window.spec for window in self.windows.values()])
        starts = np.array([date.samples.start for date in self._dates])
        eligible = [date.eligible for date in self._dates]
        return combine(
            [
                specs,
                *([self.exposures.digest()] if self.exposures is not None else []),
                *(
                    content_hash(part.tobytes())
                    for part in (np.array(self.dates), starts, np.concatenate(eligible), self._column, self._label)
                ),
            ]
        )

    def cross_sections(
        self,
        tensors: Sequence[str],
        device: torch.device,
        *,
        dates_per_batch: int = 1,
        order: IntArray | None = None,
        reuse_memory: bool = False,
    ) -> Iterator[Batch]:
        """Batches of ``dates_per_batch`` whole dates, the last one possibly fewer; ``order`` permutes 0 … number of dates − 1.

        With ``reuse_memory`` the inputs of a batch are overwritten by the next one: for loops that are done with a batch when
        they ask for another, backward pass included.
        """
        memory = self._memory(tensors, dates_per_batch) if reuse_memory else {}
        positions = np.arange(len(self._dates)) if order is None else order
        for start in range(0, len(positions), dates_per_batch):
            chosen = [self._dates[at] for at in positions[start : start + dates_per_batch]]
            sizes = [date.samples.stop - date.samples.start for date in chosen]
            ends = np.cumsum(sizes).tolist()
            samples = np.concatenate([np.arange(date.samples.start, date.samples.stop) for date in chosen])
            date_index = np.repeat([date.index for date in chosen], sizes)
            yield Batch(
                date_index=date_index,
                columns=self._column[samples],
                samples=samples,
                parts=tuple(slice(low, high) for low, high in zip([0, *ends[:-1]], ends, strict=True)),
                inputs={
                    name: _joined([self._window(name, date, device, memory.get((name, i))) for i, date in enumerate(chosen)])
                    for name in tensors
                },
                label=torch.from_numpy(self._label[samples]).to(device),
                is_top_half=torch.from_numpy(self._is_top_half[samples]).to(device),
                exposures=self._exposures_of(date_index, self._column[samples], device),
            )

    def shuffled(
        self, tensors: Sequence[str], device: torch.device, *, batch_size: int, generator: np.random.Generator
    ) -> Iterator[Batch]:
        """Batches of about ``batch_size`` samples drawn from all dates, each sample once.

        Only the windows of one batch are in memory: each is gathered stock by stock, which reads the panel in scattered pieces
        and is several times slower than whole dates. Sizes differ by at most one, so that no tiny batch upsets the batch norm.
        """
        order = generator.permutation(self.n_samples)
        starts = np.array([date.samples.start for date in self._dates])
        for samples in np.array_split(order, -(-self.n_samples // batch_size)):
            which = np.searchsorted(starts, samples, side="right") - 1
            date_index, columns, position = np.array(self.dates)[which], self._column[samples], self._position[samples]
            inputs = {}
            for name in tensors:
                kept = {self._dates[w].index: self._kept(name, self._dates[w]) for w in np.unique(which).tolist()}
                inputs[name] = self.windows[name].rows(date_index, columns, kept, position).to(device)
            label = torch.from_numpy(self._label[samples]).to(device)
            is_top_half = torch.from_numpy(self._is_top_half[samples]).to(device)
            yield Batch(date_index, columns, samples, (slice(0, len(samples)),), inputs, label, is_top_half,
                        self._exposures_of(date_index, columns, device))

    def largest_batch(self, dates_per_batch: int) -> int:
        """Stocks of the largest batch of so many whole dates."""
        sizes = sorted((date.samples.stop - date.samples.start for date in self._dates), reverse=True)
        return sum(sizes[:dates_per_batch])

    def _exposures_of(self, date_index: IntArray, columns: IntArray, device: torch.device) -> Tensor | None:
        return None if self.exposures is None else torch.from_numpy(self.exposures.of(date_index, columns)).to(device)

    def _window(self, name: str, date: _Date, device: torch.device, memory: Tensor | None) -> Tensor:
        statistics = self._kept(name, date).take(self._position[date.samples])
        return self.windows[name].window(date.index, self._column[date.samples], statistics, memory=memory).to(device)

    def _memory(self, tensors: Sequence[str], n_dates: int) -> dict[tuple[str, int], Tensor]:
        """Room for the largest cross-section, by tensor and place in the batch."""
        largest = self.largest_batch(1)
        sizes = {name: self.windows[name].spec.n_steps * self.windows[name].spec.n_fields * largest for name in tensors}
        return {(name, i): torch.empty(sizes[name], device=self.windows[name].device) for name in tensors for i in range(n_dates)}

    def _kept(self, name: str, date: _Date) -> WindowStatistics:
        """Statistics of the whole eligible cross-section, estimated once and kept for all later epochs."""
        key = (name, date.index)
        if key not in self._statistics:
            self._statistics[key] = self.windows[name].statistics(date.index, date.eligible)
        return self._statistics[key]


def _joined(windows: list[Tensor]) -> Tensor:
    return windows[0] if len(windows) == 1 else torch.cat(windows, dim=2)


def _check_axes(
    windows: Mapping[str, Windows], universe_DS: BoolArray, labels_DS: npt.NDArray[np.floating], exposures: Exposures | None
) -> None:
    if not windows:
        raise InvalidSpec(sentence("no tensor", where="SampleSet", next_step="Pass the windows of at least one tensor."))
    expected = {name: (window.n_dates, window.n_stocks) for name, window in windows.items()}
    shapes = {**expected, "universe": universe_DS.shape, "labels": labels_DS.shape}
    if exposures is not None:
        shapes["exposures"] = exposures.shape
    if len(set(shapes.values())) > 1:
        raise Misaligned(
            sentence(
                "the (dates, stocks) axes differ",
                where="SampleSet",
                got=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
                expected="one shape",
                next_step="Cut all of them to the same dates and stocks.",
            )
        )
