"""Multi-frequency incremental network: learn from daily bars first, then what the 15-minute bars add.

    stage 1, "daily"      x₁ (40, 6, N)  -> GRU₁ -> BN -> FC₁ -> ŷ₁            loss on ŷ₁
    stage 2, "increment"  x₂ (320, 6, N) -> GRU₂ -> BN -> FC₂ -> ŷ₂            loss on ŷ₁ + ŷ₂, the daily branch frozen
    score = ŷ₁ + ŷ₂

Source: MULTIFREQ, figures 12 to 14. Loss there: −IC; stage 1 converged near epoch 9, stage 2 near epoch 40.
Deviations: the report freezes "the parameters" of the daily branch; we also keep its batch norm at its running statistics, so
that ŷ₁ is the same function in stage 2, in validation and in use.
Status: shapes, gradients, freezing and parameter count tested; the published RankIC (10.22 %, all A shares) not reproduced.

Letters: T steps, F fields, N stocks, H hidden units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from alpha_pipeline.errors import Misaligned, sentence
from alpha_pipeline.models.contract import Network, NetworkConfig, Stage, read_inputs
from alpha_pipeline.models.head import ScoreHead
from alpha_pipeline.models.recurrent import GRU

DAILY = Stage("daily", inputs=("daily",), inputs_when_cached=("daily",))
INCREMENT = Stage("increment", inputs=("daily", "intraday_15m"), inputs_when_cached=("intraday_15m",))


@dataclass(frozen=True)
class GruIncremental(NetworkConfig):
    """Settings; the defaults are the report's.

    Attributes
    ----------
    n_daily_fields, n_intraday_fields
        Fields per bar of either input.
    n_hidden
        Units of each GRU.
    learn_shift
        Whether the level of the scores is trained; see :mod:`alpha_pipeline.models.contract`.
    """

    n_daily_fields: int = 6
    n_intraday_fields: int = 6
    n_hidden: int = 30
    learn_shift: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("daily", "intraday_15m")

    def create(self, generator: torch.Generator) -> Network:
        return GruIncrementalNetwork(self, generator)

    def stages(self) -> tuple[Stage, ...]:
        return (DAILY, INCREMENT)


class Branch(nn.Module):
    """GRU -> last state -> BN -> Linear: x (T, F, N) -> ŷ (N,)."""

    def __init__(self, n_fields: int, n_hidden: int, *, learn_shift: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.gru = GRU(n_fields, n_hidden, generator=generator)
        self.head = ScoreHead(n_hidden, learn_shift=learn_shift, generator=generator)

    def forward(self, x_TFN: Tensor) -> Tensor:
        return self.head(self.gru(x_TFN))


class GruIncrementalNetwork(Network):
    """Two branches whose outputs are added; each learns in its own stage."""

    def __init__(self, config: GruIncremental, generator: torch.Generator) -> None:
        super().__init__(config)
        self.daily = Branch(config.n_daily_fields, config.n_hidden, learn_shift=config.learn_shift, generator=generator)
        self.increment = Branch(config.n_intraday_fields, config.n_hidden, learn_shift=config.learn_shift, generator=generator)

    def trained_modules(self, stage: Stage) -> tuple[nn.Module, ...]:
        """One branch per stage."""
        return (self.daily,) if stage == DAILY else (self.increment,)

    def forward(self, inputs: Mapping[str, Tensor], frozen: Tensor | None = None) -> Tensor:
        """ŷ₁ in stage ``daily``; ŷ₁ + ŷ₂ in stage ``increment``, where ``frozen`` may stand for ŷ₁."""
        fields = {"daily": self.daily.gru.n_fields, "intraday_15m": self.increment.gru.n_fields}
        if self.stage == DAILY:
            assert frozen is None, "nothing is frozen in the first stage"
            (daily_TFN,) = read_inputs(inputs, {"daily": fields["daily"]}, "gru_incremental")
            return self.daily(daily_TFN)
        if frozen is None:
            read_inputs(inputs, fields, "gru_incremental")  # both, so that a difference in N is found before any work
            frozen = self.frozen_output(inputs)
        (intraday_TFN,) = read_inputs(inputs, {"intraday_15m": fields["intraday_15m"]}, "gru_incremental")
        assert frozen is not None
        if frozen.shape != intraday_TFN.shape[2:]:
            raise Misaligned(sentence("the kept output of the daily branch is not of these stocks", where="gru_incremental",
                                      got=tuple(frozen.shape), expected=tuple(intraday_TFN.shape[2:]),
                                      next_step="Pass what frozen_output gave for the same stocks."))
        return frozen + self.increment(intraday_TFN)

    def frozen_output(self, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """ŷ₁ of the finished daily branch; None while that branch is being trained."""
        if self.stage == DAILY:
            return None
        (daily_TFN,) = read_inputs(inputs, {"daily": self.daily.gru.n_fields}, "gru_incremental")
        with torch.no_grad():
            y1_N: Tensor = self.daily(daily_TFN)
        return y1_N
