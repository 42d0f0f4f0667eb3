"""What a network sees of a stock: number of days, steps per day, fields, and how each series is scaled.

A tensor has shape (T, F, N): T = ``n_days`` × ``steps_per_day`` steps (oldest first), F fields, N stocks. It is cut lazily out
of a dense panel by :class:`alpha_pipeline.features.windows.Windows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name

PRICE_FIELDS = ("open", "high", "low", "close", "vwap")
BAR_FIELDS = (*PRICE_FIELDS, "volume")

Scale = Literal["last", "mean"]


@dataclass(frozen=True)
class TensorSpec:
    """Settings of one feature tensor.

    Attributes
    ----------
    name : how networks ask for it.
    panel : name of the dense panel it is cut from.
    n_days : length of the window in sessions, the date itself included.
    steps_per_day : bars per session in that panel.
    fields : in the order of the F axis. Ratios to a divisor are taken, so every field must be ≥ 0.
    scale : each (field, stock) series is divided by its ``last`` value or by its ``mean`` over the window.
    max_suspended_share : a stock suspended on more than this share of the window's days is left out.

    Raises
    ------
    InvalidSpec : a setting outside its range.

    >>> INTRADAY_15M.n_steps
    320
    """

    name: str
    panel: str
    n_days: int
    steps_per_day: int
    fields: tuple[str, ...]
    scale: Scale
    max_suspended_share: float = 0.2

    def __post_init__(self) -> None:
        where = f"tensor '{self.name}'"
        for setting in ("n_days", "steps_per_day"):
            if getattr(self, setting) < 1:
                raise InvalidSpec(
                    sentence(f"{setting} must be positive", where=where, got=getattr(self, setting), expected=">= 1")
                )
        if not self.fields or len(set(self.fields)) != len(self.fields):
            raise InvalidSpec(sentence("fields must be named once each", where=where, got=self.fields))
        if self.scale not in ("last", "mean"):
            raise InvalidSpec(sentence("unknown scale", where=where, got=self.scale, expected="'last' or 'mean'"))
        if not 0 <= self.max_suspended_share <= 1:
            raise InvalidSpec(
                sentence("max_suspended_share is a share", where=where, got=self.max_suspended_share, expected="0 … 1")
            )

    @property
    def n_steps(self) -> int:
        """T, the length of the time axis."""
        return self.n_days * self.steps_per_day

    @property
    def n_fields(self) -> int:
        """F."""
        return len(self.fields)


DAILY = TensorSpec("daily", panel="daily", n_days=40, steps_per_day=1, fields=BAR_FIELDS, scale="last")
"""40 daily bars divided by the window's last value. Source: MULTIFREQ, table of settings of the mixed model."""

INTRADAY_15M = TensorSpec("intraday_15m", panel="intraday_15m", n_days=20, steps_per_day=16, fields=BAR_FIELDS, scale="mean")
"""20 days of sixteen 15-minute bars divided by the window's mean. Source: MULTIFREQ, figure 7."""

TENSORS: dict[str, TensorSpec] = {spec.name: spec for spec in (DAILY, INTRADAY_15M)}


def tensor_spec(name: str) -> TensorSpec:
    """The registered tensor of that name. Raises :class:`UnknownName` with the known names."""
    if name not in TENSORS:
        raise unknown_name("tensor", name, tuple(TENSORS))
    return TENSORS[name]
