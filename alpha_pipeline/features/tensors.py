"""What a network sees of a stock: number of days, steps per day or days per step, fields, and how each series is scaled.

A tensor has shape (T, F, N): T = ``n_days`` × ``steps_per_day`` / ``days_per_step`` steps (oldest first), F fields, N stocks. It
is cut lazily out of a dense panel by :class:`alpha_pipeline.features.windows.Windows`.

A field is the name of a field of that panel, or made when the window is: ``return``, or a ratio of two of the tensor's own fields,
written ``close/free_turn``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alpha_pipeline.errors import InvalidSpec, sentence, unknown_name
from alpha_pipeline.features.characteristics import panels as chars
from alpha_pipeline.features.panel import PanelSpec

PRICE_FIELDS = ("open", "high", "low", "close", "vwap")
BAR_FIELDS = (*PRICE_FIELDS, "volume")
POSITIVE_FIELDS = (*PRICE_FIELDS, "adj_factor")
"""Never 0 where there is a bar: a stock for which one of them is 0 has no window."""
RETURN = "return"
"""Close over the previous session's close minus 1, adjusted, decimal; 0 on a day without volume (suspended), whose flat bar may
differ from the last close by the rounding of a price. Not in the panel: a row then depends on its own date alone, and a corrected
date leaves the rows after it as they are. No scale divides it: it is a ratio already, and its last value may be 0 or negative."""

Scale = Literal["last", "mean", "level", "zscore"]
CLIP = 3.0
"""Values of a ``zscore`` tensor end at ±3."""

LEVEL_UNITS = {
    RETURN: 10.0,  # 10 %, the main board's price limit: a usual day is 0.2
    **dict.fromkeys(PRICE_FIELDS, 0.1),  # 10 CNY, about the median price of an A-share
    "volume": 1e-7,  # 10 million shares, about the median day of an A-share
    "turn": 100.0,  # percent of the float shares: a usual day is 1 to 2
    "free_turn": 100.0,  # percent of the free float: 2 to 4
    "close/free_turn": 1e-3,  # 10 CNY / 2 % = 500
    "open/turn": 1e-3,  # 10 CNY / 1 % = 1,000
    "volume/low": 1e-6,  # 10 million shares / 10 CNY = a million
    "vwap/high": 1.0,
    "low/high": 1.0,
    "vwap/close": 1.0,
}
"""What each field of a ``level`` tensor is multiplied by, from panel units (CNY, shares, decimals). Chosen once from round
figures of the market so that usual values are of the order of 1, and never estimated: a value depends on its own stock alone."""


@dataclass(frozen=True)
class TensorSpec:
    """Settings of one feature tensor.

    Attributes
    ----------
    name : how networks ask for it.
    panel : name of the dense panel it is cut from.
    n_days : length of the window in sessions, the date itself included.
    steps_per_day : bars per session in that panel.
    fields : in the order of the F axis. Panel values must be ≥ 0; only ``return`` and fields of a ``zscore`` may be negative.
    scale : each (field, stock) series is divided by its ``last`` value or by its ``mean`` over the window, ``return`` by
        nothing, and then standardized over the cross-section; or it stays a ``level`` in fixed units (``LEVEL_UNITS``), prices
        adjusted to the window's last date, with no standardization of any kind; or it becomes its ``zscore`` within the window, is
        standardized over the cross-section and clipped to ±3, and what is missing (a suspended day, a value that the day's bars
        do not define, a series that is the same throughout) counts in neither and ends as 0.
    max_suspended_share : a stock suspended on more than this share of the window's days is left out; of a ``zscore`` also one
        without any value on more than this share.
    days_per_step : sessions that make one step. More than one: the bars of that many sessions, counted back from the date
        itself, are put together to one (:mod:`alpha_pipeline.features.blocks`).

    Raises
    ------
    InvalidSpec : a setting outside its range.

    >>> INTRADAY_15M.n_steps
    320
    >>> WEEKLY.n_days, WEEKLY.n_steps
    (200, 40)
    """

    name: str
    panel: str
    n_days: int
    steps_per_day: int
    fields: tuple[str, ...]
    scale: Scale
    max_suspended_share: float = 0.2
    days_per_step: int = 1

    def __post_init__(self) -> None:
        where = f"tensor '{self.name}'"
        for setting in ("n_days", "steps_per_day", "days_per_step"):
            if getattr(self, setting) < 1:
                raise InvalidSpec(
                    sentence(f"{setting} must be positive", where=where, got=getattr(self, setting), expected=">= 1")
                )
        if not self.fields or len(set(self.fields)) != len(self.fields):
            raise InvalidSpec(sentence("fields must be named once each", where=where, got=self.fields))
        if self.scale not in ("last", "mean", "level", "zscore"):
            raise InvalidSpec(sentence("unknown scale", where=where, got=self.scale, expected="'last', 'mean', 'level' or 'zscore'"))
        if not 0 <= self.max_suspended_share <= 1:
            raise InvalidSpec(
                sentence("max_suspended_share is a share", where=where, got=self.max_suspended_share, expected="0 … 1")
            )
        self._check_derived(where)
        self._check_blocks(where)

    def _check_derived(self, where: str) -> None:
        if RETURN in self.fields and self.scale == "zscore":
            raise InvalidSpec(sentence(f"'{RETURN}' is no characteristic", where=where, expected="fields that stand in the panel"))
        if RETURN in self.fields and not ({"close", "volume"} <= set(self.fields) and self.steps_per_day == 1):
            raise InvalidSpec(sentence(f"'{RETURN}' is made of daily closes and volumes", where=where, got=self.fields,
                                       expected="close and volume among the fields, 1 step per day"))
        if self.ratios and self.scale != "level":
            raise InvalidSpec(sentence("only levels have ratios of fields", where=where, got=self.ratios, expected="scale 'level'"))
        lacking = [name for name in self.ratios if not set(name.split("/", 1)) <= {*self.gathered, RETURN}]
        if lacking:
            raise InvalidSpec(sentence("a ratio is made of fields of its own tensor", where=where, got=lacking, expected=self.gathered))
        unknown = [name for name in self.fields if self.scale == "level" and name not in LEVEL_UNITS]
        if unknown:
            raise InvalidSpec(sentence("levels without a unit", where=where, got=unknown, expected=", ".join(LEVEL_UNITS)))

    def _check_blocks(self, where: str) -> None:
        if self.days_per_step == 1:
            return
        if self.n_days % self.days_per_step:
            raise InvalidSpec(sentence("the window is not made of whole steps", where=where, got=f"{self.n_days} days",
                                       expected=f"a multiple of {self.days_per_step}"))
        if self.steps_per_day != 1 or self.fields != BAR_FIELDS or self.scale not in ("last", "mean"):
            raise InvalidSpec(sentence("only scaled daily bars are put together to longer ones", where=where,
                                       got=f"{self.steps_per_day} steps per day of {', '.join(self.fields)}, scale '{self.scale}'",
                                       expected=f"1 step per day of {', '.join(BAR_FIELDS)}, scale 'last' or 'mean'"))

    @property
    def n_steps(self) -> int:
        """T, the length of the time axis."""
        return self.n_days * self.steps_per_day // self.days_per_step

    @property
    def n_rows(self) -> int:
        """Sessions that a window reads: ``n_days``, and with ``return`` the one before them."""
        return self.n_days + (RETURN in self.fields)

    @property
    def n_fields(self) -> int:
        """F."""
        return len(self.fields)

    @property
    def gathered(self) -> tuple[str, ...]:
        """Those of ``fields`` that stand in the panel."""
        return tuple(name for name in self.fields if "/" not in name and name != RETURN)

    @property
    def ratios(self) -> tuple[str, ...]:
        """Those of ``fields`` that are one field over another."""
        return tuple(name for name in self.fields if "/" in name)

    @property
    def panel_fields(self) -> tuple[str, ...]:
        """What the panel must have: the gathered fields, and for levels the factor that adjusts prices to the last date."""
        return (*self.gathered, "adj_factor") if self.scale == "level" else self.gathered


DAILY = TensorSpec("daily", panel="daily", n_days=40, steps_per_day=1, fields=BAR_FIELDS, scale="last")
"""40 daily bars divided by the window's last value. Source: MULTIFREQ, table of settings of the mixed model."""

INTRADAY_15M = TensorSpec("intraday_15m", panel="intraday_15m", n_days=20, steps_per_day=16, fields=BAR_FIELDS, scale="mean")
"""20 days of sixteen 15-minute bars divided by the window's mean. Source: MULTIFREQ, figure 7."""

WEEKLY = TensorSpec("weekly", panel="daily", n_days=200, steps_per_day=1, fields=BAR_FIELDS, scale="last", days_per_step=5)
"""40 weekly bars divided by the window's last value. A week is a block of 5 sessions that ends at *t*, the one before it ends at
*t* − 5, and so on: never a calendar week, whose bar would be incomplete on most dates. Source: RISKCONTROL, weekly branch."""

RAWBAR = TensorSpec("rawbar", panel="daily", n_days=30, steps_per_day=1, fields=(*BAR_FIELDS, RETURN, "turn"), scale="last")
"""30 daily bars with the day's return and turnover. Bars and turnover are divided by the window's last value, as in ``daily``. The
return (close over the previous session's close, adjusted, minus 1; decimal) is left undivided (ours: the report does not say;
its last value may be 0 or negative). The first return of the window needs the close before it, so a stock has its first window
with its 31st bar. Source: MULTIMODEL, tensor of raw bars."""

ALPHANET = TensorSpec(
    "alphanet", panel="daily", n_days=30, steps_per_day=1, scale="level",
    fields=(
        RETURN, "open", "close", "high", "low", "volume", "vwap", "turn", "free_turn",
        "close/free_turn", "open/turn", "volume/low", "vwap/high", "low/high", "vwap/close",
    ),
)
"""30 days of the report's nine bar fields (its ``return1`` is our ``return``) and six ratios, as levels: neither divided nor
standardized, the network's batch norm does that. Prices are adjusted to the window's last date. On a day without turnover
(suspended) ``close/free_turn`` and ``open/turn`` are 0 (ours). Source: ALPHANET, table of the input features; the units are ours."""



def _of_characteristics(panel: PanelSpec, n_days: int) -> TensorSpec:
    return TensorSpec(panel.name, panel=panel.name, n_days=n_days, steps_per_day=panel.steps, fields=panel.fields, scale="zscore")


MSCHARS = _of_characteristics(chars.MSCHARS, 30)
"""30 days of the price-volume characteristics of each day's bars. Source: MULTIMODEL, data set mschars; the list of fields is ours."""

L2CHARS = _of_characteristics(chars.L2CHARS, 30)
"""30 days of the order-flow characteristics of each day's bars. Source: MULTIMODEL, data set l2chars; the list of fields is ours."""

CHARS_30M = _of_characteristics(chars.CHARS_30M, 20)
"""20 days of eight half hours. Source: ATTENTION (intraday series of high-frequency characteristics); the list of fields is ours."""

CHARS_10M = _of_characteristics(chars.CHARS_10M, 20)
"""20 days of twenty-four 10-minute steps. Source: as ``chars_30m``."""

TENSORS: dict[str, TensorSpec] = {
    spec.name: spec for spec in (DAILY, INTRADAY_15M, WEEKLY, RAWBAR, ALPHANET, MSCHARS, L2CHARS, CHARS_30M, CHARS_10M)
}


def tensor_spec(name: str) -> TensorSpec:
    """The registered tensor of that name. Raises :class:`UnknownName` with the known names."""
    if name not in TENSORS:
        raise unknown_name("tensor", name, tuple(TENSORS))
    return TENSORS[name]
