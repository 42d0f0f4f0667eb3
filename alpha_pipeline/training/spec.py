"""Settings of the training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name

LOSS_NAMES = ("negative_ic", "mse")
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
        for setting in ("lr", "grad_clip"):
            value = getattr(self, setting)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidSpec(
                    sentence(f"{setting} must be positive and finite", where="TrainingSpec", got=value, expected="> 0")
                )
        for setting, known in (("batch_mode", ("cross_section", "shuffled")), ("metric", ("ic", "rank_ic", "loss"))):
            if getattr(self, setting) not in known:
                raise InvalidSpec(
                    sentence(
                        f"unknown {setting}",
                        where="TrainingSpec",
                        got=getattr(self, setting),
                        expected=f"one of {', '.join(known)}",
                    )
                )
