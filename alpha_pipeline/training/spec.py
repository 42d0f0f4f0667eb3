"""Settings of the training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name

LOSS_NAMES = ("negative_ic", "mse", "factor_ic")
"""Names of the registered losses. They stand here and not only in ``losses.LOSSES`` so that a spec is checked without importing torch."""


@dataclass(frozen=True)
class TrainingSpec:
    """Settings of the loop.

    Attributes
    ----------
    loss : name of a registered loss.
    lr : learning rate of Adam (ALPHANET: 1e-4).
    max_epochs, patience : per stage; a stage ends after ``patience`` epochs without a better validation metric.
    batch_mode : ``cross_section``: whole dates; ``shuffled``: samples of all dates mixed.
    dates_per_batch : for ``cross_section``; the loss is computed per date and averaged.
    batch_size : for ``shuffled``.
    grad_clip : largest gradient norm; None for no limit. Ours.
    metric : on the validation dates, computed per date and averaged: ``ic``, ``rank_ic``, or ``loss`` (smaller is better).
    top_half_weight : weight in the loss of the stocks whose label is above the median of their date; the others have 1.
        ALPHANET v2.3: 2.
    neutralize : take the loss of what is left of the output after a regression on [1, exposures], per date; validation metrics see
        the same residual. ALPHANET v2.2. The exposures are the model's (``ModelSpec.exposures``).
    correlation_penalty : of ``factor_ic``: price of the mean squared correlation between two factors, in units of IC. Ours.
    precision : of the forward pass: ``float32``, or ``bfloat16`` (autocast), for CUDA; a CPU is slower in it. Weights, losses and Adam stay in
        float32. docs/benchmarks.md has its effect on RankIC; its speed on a GPU was not measured.

    Source: MULTIFREQ, figure 7 (−IC, 1e-3, 100 epochs, patience 10, Adam, a batch of 5,000, about one cross-section).
    """

    loss: str = "negative_ic"
    lr: float = 1e-3
    max_epochs: int = 100
    patience: int = 10
    batch_mode: Literal["cross_section", "shuffled"] = "cross_section"
    dates_per_batch: int = 1
    batch_size: int = 5000
    grad_clip: float | None = 1.0
    metric: Literal["ic", "rank_ic", "loss"] = "ic"
    top_half_weight: float = 1.0
    neutralize: bool = False
    correlation_penalty: float = 0.1
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if self.loss not in LOSS_NAMES:
            raise unknown_name("loss", self.loss, LOSS_NAMES)
        for setting in ("max_epochs", "patience", "dates_per_batch"):
            if getattr(self, setting) < 1:
                raise InvalidSpec(
                    sentence(f"{setting} must be positive", where="TrainingSpec", got=getattr(self, setting), expected=">= 1")
                )
        if self.batch_size < 2:
            raise InvalidSpec(sentence("batch_size is too small", where="TrainingSpec", got=self.batch_size, expected=">= 2"))
        for setting in ("lr", "grad_clip", "top_half_weight"):
            value = getattr(self, setting)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidSpec(
                    sentence(f"{setting} must be positive and finite", where="TrainingSpec", got=value, expected="> 0")
                )
        if not (self.correlation_penalty >= 0 and math.isfinite(self.correlation_penalty)):
            raise InvalidSpec(sentence("correlation_penalty must be finite and not negative", where="TrainingSpec",
                                       got=self.correlation_penalty, expected=">= 0"))
        choices = (("batch_mode", ("cross_section", "shuffled")), ("metric", ("ic", "rank_ic", "loss")), ("precision", ("float32", "bfloat16")))
        for setting, known in choices:
            if getattr(self, setting) not in known:
                raise InvalidSpec(
                    sentence(
                        f"unknown {setting}",
                        where="TrainingSpec",
                        got=getattr(self, setting),
                        expected=f"one of {', '.join(known)}",
                    )
                )
        if self.neutralize and self.batch_mode == "shuffled":
            raise InvalidSpec(sentence("neutralize needs whole dates: the regression is one per date", where="TrainingSpec",
                                       got="batch_mode 'shuffled'", expected="'cross_section'"))
