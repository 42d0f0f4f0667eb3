"""Scores of trade dates from trained members. One window is in memory at a time, however long the range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alpha_pipeline.errors import InvalidSpec, Misaligned, MissingData, sentence
from alpha_pipeline.features.windows import BoolArray, IntArray, Windows, common_columns
from alpha_pipeline.models.contract import Network, NetworkConfig
from alpha_pipeline.training.device import memory_advice
from alpha_pipeline.training.ensemble import ensemble_score
from alpha_pipeline.training.exposures import Exposures, present
from alpha_pipeline.training.losses import score_of

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DateScores:
    """Scores of one date, known at its close.

    ``score`` (S,) float32: the ensemble, NaN for stocks without a complete window. ``members`` (M, S) float32: the members' own
    predictions. ``excluded``: stocks of the universe without a score, by ``"tensor: reason"``. ``factors`` (M, S, K) float32: of
    factor units (``config.n_factors`` > 1) the members' factors as they leave the network, whose combination is the prediction;
    None for networks with one output, and NaN where there is no score.
    """

    date_index: int
    score: FloatArray
    members: FloatArray
    excluded: dict[str, int]
    factors: FloatArray | None = None

    @property
    def n_scored(self) -> int:
        return int(np.isfinite(self.score).sum())


def trained_networks(config: NetworkConfig, weights: Sequence[Mapping[str, Tensor]], device: torch.device) -> list[Network]:
    """Networks in eval mode on ``device`` with the given weights, one per member."""
    networks = []
    for member in weights:
        # the initial weights are replaced at once: their seed does not matter
        network = config.build(torch.Generator().manual_seed(0))
        network.load_state_dict(dict(member))
        networks.append(network.to(device).eval())
    return networks


def score_date(
    networks: Sequence[Network],
    windows: Mapping[str, Windows],
    universe_S: BoolArray,
    date_index: int,
    device: torch.device,
    exposures: Exposures | None = None,
) -> DateScores:
    """Scores of one date. Only rows up to ``date_index`` are read, and the universe of that date.

    The networks see the whole cross-section at once. Of factors, a member's prediction is their combined score. ``exposures`` are
    read by networks that need them: a stock without is left out and counted as "no exposures", and has helped, as in training, to
    standardize the windows of the others.

    Raises :class:`InvalidSpec` without a network, :class:`MissingData` for a tensor that the networks need and ``windows`` lacks,
    :class:`Misaligned` for a universe of another length, :class:`NotEnoughData` when the device's memory does not suffice.
    """
    used = _windows_of(networks, windows, universe_S)
    columns, excluded = common_columns(used, date_index, universe_S)
    kept: IntArray | None = None
    needs_exposures = networks[0].config.needs_exposures
    if needs_exposures:
        if exposures is None:
            raise MissingData(sentence("the networks need exposures", where="score_date", next_step="Name them in the model's 'exposures'."))
        kept = np.flatnonzero(exposures.known(date_index)[columns])
        excluded = {**excluded, "no exposures": len(columns) - len(kept)}
    scored = columns if kept is None else columns[kept]
    members = np.full((len(networks), len(universe_S)), np.nan, dtype=np.float32)
    n_factors = networks[0].config.n_factors
    factors = np.full((*members.shape, n_factors), np.nan, dtype=np.float32) if n_factors > 1 else None
    if len(scored) > 0:
        with (
            memory_advice(f"scoring date index {date_index} on {device}", "Score on the CPU, or leave the panel in host memory."),
            torch.no_grad(),
        ):
            inputs = {name: _window(window, date_index, columns, kept).to(device) for name, window in used.items()}
            if needs_exposures and exposures is not None:
                inputs["exposures"] = present(torch.from_numpy(exposures.of(date_index, scored)).to(device))
            for at, network in enumerate(networks):
                output = network.eval()(inputs)
                members[at, scored] = score_of(output).float().cpu().numpy()
                if factors is not None:
                    factors[at, scored] = output.float().cpu().numpy()
    return DateScores(date_index, ensemble_score(members).astype(np.float32), members, excluded, factors)


def score_dates(
    networks: Sequence[Network],
    windows: Mapping[str, Windows],
    universe_DS: BoolArray,
    dates: Sequence[int] | IntArray,
    device: torch.device,
    exposures: Exposures | None = None,
) -> Iterator[DateScores]:
    """Scores of many dates, one after another, as for :func:`score_date`."""
    for date_index in dates:
        yield score_date(networks, windows, universe_DS[int(date_index)], int(date_index), device, exposures)


def _window(windows: Windows, date_index: int, columns: IntArray, kept: IntArray | None) -> Tensor:
    """Windows standardized over ``columns``, of the positions ``kept`` of them (all, if None)."""
    if kept is None:
        return windows.window(date_index, columns)
    return windows.window(date_index, columns[kept], windows.statistics(date_index, columns).take(kept))


def _windows_of(networks: Sequence[Network], windows: Mapping[str, Windows], universe_S: BoolArray) -> dict[str, Windows]:
    if not networks:
        raise InvalidSpec(sentence("no network to score with", where="score_date"))
    names = networks[0].inputs
    missing = [name for name in names if name not in windows]
    if missing:
        raise MissingData(
            sentence(
                f"no windows of tensor {', '.join(missing)}",
                where="score_date",
                got=", ".join(windows) or "none",
                expected=", ".join(names),
            )
        )
    for name in names:
        if windows[name].n_stocks != len(universe_S):
            raise Misaligned(
                sentence(
                    f"universe and panel of '{name}' differ in stocks",
                    where="score_date",
                    got=len(universe_S),
                    expected=windows[name].n_stocks,
                )
            )
    return {name: windows[name] for name in names}
