"""A market of 30 stocks whose labels can be learned from the windows, and two networks that train in milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alpha_pipeline.features.labels import standardize_labels
from alpha_pipeline.features.tensors import TensorSpec
from alpha_pipeline.features.windows import Windows
from alpha_pipeline.models.contract import Network, NetworkConfig, Stage
from alpha_pipeline.models.head import ScoreHead, linear_layer
from alpha_pipeline.training.batches import SampleSet

N_DATES, N_STOCKS = 40, 30
FIELDS = ("close", "volume")
DAY = TensorSpec("daily", "daily", n_days=4, steps_per_day=1, fields=FIELDS, scale="last")
BAR = TensorSpec("intraday_15m", "intraday_15m", n_days=2, steps_per_day=3, fields=FIELDS, scale="mean")


@dataclass
class Market:
    windows: dict[str, Windows]
    universe: np.ndarray
    labels: np.ndarray

    def samples(self, dates: range, **settings: int) -> SampleSet:
        return SampleSet(self.windows, self.universe, self.labels, dates, **settings)  # type: ignore[arg-type]


def make_market(seed: int = 0) -> Market:
    rng = np.random.default_rng(seed)
    panels = {}
    for spec in (DAY, BAR):
        values = np.empty((N_DATES, spec.steps_per_day, 2, N_STOCKS), dtype=np.float32)
        steps = rng.normal(0, 0.02, (N_DATES * spec.steps_per_day, N_STOCKS)).cumsum(axis=0)
        values[:, :, 0] = 10 * np.exp(steps).reshape(N_DATES, spec.steps_per_day, N_STOCKS)
        values[:, :, 1] = rng.lognormal(8, 0.5, values[:, :, 1].shape)
        panels[spec.name] = values
    suspended = np.zeros((N_DATES, N_STOCKS), dtype=bool)
    suspended[9, 3] = suspended[10, 3] = True
    universe = rng.random((N_DATES, N_STOCKS)) < 0.95
    day, bar = panels["daily"][:, 0], panels["intraday_15m"][:, -1]
    universe[:, 5] = True
    reversal = np.full((N_DATES, N_STOCKS), np.nan)
    reversal[3:] = -(day[3:, 0] / day[:-3, 0] - 1)  # what the daily tensor shows …
    raw = 10 * reversal - 0.4 * np.log(bar[:, 1]) + rng.normal(0, 0.3, reversal.shape)  # … and what the last bar's volume adds
    raw[:, 5] = np.nan  # one stock never has a label
    windows = {spec.name: Windows(spec, panels[spec.name], suspended, FIELDS) for spec in (DAY, BAR)}
    return Market(windows, universe, standardize_labels(raw, universe & np.isfinite(raw)))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small lose more to waiting for threads than they gain, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def market() -> Market:
    return make_market()


class TinyNetwork(Network):
    """Mean and last step of each field -> dropout -> score."""

    def __init__(self, config: TinyConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = linear_layer(4, 4, generator)
        self.head = ScoreHead(4, learn_shift=False, generator=generator)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        x_TFN = inputs["daily"]
        features = torch.cat([x_TFN[0], x_TFN.mean(dim=0)]).T
        return self.head(self.dropout(torch.tanh(self.hidden(features))))


@dataclass(frozen=True)
class TinyConfig(NetworkConfig):
    dropout: float = 0.2
    inputs: ClassVar[tuple[str, ...]] = ("daily",)

    def create(self, generator: torch.Generator) -> Network:
        return TinyNetwork(self, generator)


FIRST = Stage("first", ("daily",), ("daily",))
SECOND = Stage("second", ("daily", "intraday_15m"), ("intraday_15m",))


class TwoStageNetwork(Network):
    """Learns from the daily tensor, then what the bars add; counts how often the frozen branch is asked."""

    def __init__(self, config: TwoStageConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        self.first = ScoreHead(2, learn_shift=False, generator=generator)
        self.second = ScoreHead(2, learn_shift=False, generator=generator)
        self.n_frozen_stocks = 0

    def trained_modules(self, stage: Stage) -> tuple[nn.Module, ...]:
        return (self.first,) if stage == FIRST else (self.second,)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        if self.stage == FIRST:
            return self.first(inputs["daily"][0].T)
        kept = self.frozen_output(inputs) if frozen is None else frozen
        return kept + self.second(inputs["intraday_15m"][-1].T)

    def frozen_output(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        if self.stage == FIRST:
            return None
        self.n_frozen_stocks += inputs["daily"].shape[2]
        with torch.no_grad():
            return self.first(inputs["daily"][0].T)


@dataclass(frozen=True)
class TwoStageConfig(NetworkConfig):
    inputs: ClassVar[tuple[str, ...]] = ("daily", "intraday_15m")

    def create(self, generator: torch.Generator) -> Network:
        network = TwoStageNetwork(self, generator)
        BUILT.append(network)
        return network

    def stages(self) -> tuple[Stage, ...]:
        return FIRST, SECOND


BUILT: list[TwoStageNetwork] = []


@pytest.fixture
def tiny() -> TinyConfig:
    return TinyConfig()


@pytest.fixture
def two_stage() -> TwoStageConfig:
    BUILT.clear()
    return TwoStageConfig()


@pytest.fixture
def built() -> list[TwoStageNetwork]:
    """The two-stage networks built so far, in order."""
    return BUILT
