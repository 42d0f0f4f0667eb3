"""All characteristics by name: what each needs, and one call that computes any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from alpha_pipeline.errors import MissingData, sentence, unknown_name
from alpha_pipeline.features.characteristics import order_flow as flow
from alpha_pipeline.features.characteristics import price_volume as price
from alpha_pipeline.features.characteristics.bars import FLOW_COLUMNS, HALF_HOUR, SESSION_MINUTES, Bars, FloatArray

Family = Literal["price_volume", "order_flow"]


@dataclass(frozen=True)
class Characteristic:
    """One characteristic.

    Attributes
    ----------
    name : its field in a panel. function : the formula, documented there. family : ``price_volume`` or ``order_flow``.
    columns : optional columns of ``intraday_bars`` that it needs.
    min_bars : fewest bars it means anything on, counted in ``part``: the whole row, or the half hour after the open or before the close.
        With fewer it is absent: NaN for every stock.
    part : ``row``, or the half hour that it looks at (a whole day only, and bars that divide 30 minutes).
    """

    name: str
    function: Callable[[Bars], FloatArray]
    family: Family
    columns: tuple[str, ...]
    min_bars: int
    part: Literal["row", "half_hour"] = "row"

    def exists_for(self, minutes: int, n_bars: int) -> bool:
        """Whether rows of ``n_bars`` bars of ``minutes`` are enough."""
        if self.part == "row":
            return n_bars >= self.min_bars
        return n_bars * minutes == SESSION_MINUTES and HALF_HOUR % minutes == 0 and HALF_HOUR // minutes >= self.min_bars

    @property
    def doc(self) -> str:
        """First line of the function's documentation: formula, unit, sign, what is undefined."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


def _price(function: Callable[[Bars], FloatArray], min_bars: int = 1, part: Literal["row", "half_hour"] = "row") -> Characteristic:
    return Characteristic(function.__name__, function, "price_volume", (), min_bars, part)


def _flow(function: Callable[[Bars], FloatArray], columns: tuple[str, ...], min_bars: int = 1,
          part: Literal["row", "half_hour"] = "row") -> Characteristic:
    return Characteristic(function.__name__, function, "order_flow", columns, min_bars, part)


_SIDES = ("buy_amount", "sell_amount")

CHARACTERISTICS: dict[str, Characteristic] = {
    c.name: c
    for c in (
        _price(price.intraday_return),
        _price(price.opening_return, 1, "half_hour"),
        _price(price.closing_return, 1, "half_hour"),
        _price(price.overnight_return),
        _price(price.improved_reversal, 1, "half_hour"),
        _price(price.realized_variance),
        _price(price.upside_variance_share, 2),
        _price(price.realized_skewness, 3),
        _price(price.realized_kurtosis, 3),
        _price(price.closing_skewness, 3, "half_hour"),
        _price(price.max_drawdown),
        _price(price.vwap_deviation),
        _price(price.price_volume_correlation, 3),
        _price(price.size_volume_correlation, 3),
        _price(price.opening_volume_share, 1, "half_hour"),
        _price(price.closing_volume_share, 1, "half_hour"),
        _price(price.volume_share),
        _price(price.volume_concentration, 2),
        _price(price.amihud),
        _price(price.top_volume_turnover, 3),
        _price(price.top_volume_return, 3),
        _price(price.peak_volume_return, 2),
        _price(price.trend_strength, 2),
        _price(price.return_autocorrelation, 3),
        _price(price.variance_ratio, 2 * price.VARIANCE_RATIO_BARS),
        _price(price.high_low_range),
        _price(price.close_position),
        _price(price.jump_share, 3),
        _flow(flow.net_buying, _SIDES),
        _flow(flow.net_buying_strength, _SIDES, 2),
        _flow(flow.opening_net_buying, _SIDES, 1, "half_hour"),
        _flow(flow.opening_net_buying_strength, _SIDES, 3, "half_hour"),
        _flow(flow.closing_net_buying, _SIDES, 1, "half_hour"),
        _flow(flow.large_net_buying, FLOW_COLUMNS, 8),
        _flow(flow.large_net_buying_strength, FLOW_COLUMNS, 8),
        _flow(flow.opening_large_net_buying, FLOW_COLUMNS, 2, "half_hour"),
        _flow(flow.opening_large_net_buying_strength, FLOW_COLUMNS, 3, "half_hour"),
        _flow(flow.outflow_trade_size, ("trade_count",), 2),
        _flow(flow.large_push_return, ("trade_count",), 3),
        _flow(flow.large_amount_share, ("trade_count",), 8),
    )
}


def characteristic(name: str) -> Characteristic:
    """The registered characteristic. Raises :class:`UnknownName` with the known names."""
    if name not in CHARACTERISTICS:
        raise unknown_name("characteristic", name, tuple(CHARACTERISTICS))
    return CHARACTERISTICS[name]


def absent(names: Sequence[str], minutes: int, n_bars: int) -> list[str]:
    """Those of the names that rows of ``n_bars`` bars of ``minutes`` are too few for.

    >>> absent(["closing_skewness", "jump_share"], 15, 16)
    ['closing_skewness']
    """
    return [name for name in names if not characteristic(name).exists_for(minutes, n_bars)]


def compute(names: Sequence[str], bars: Bars) -> FloatArray:
    """(F, N) float64 in the order of ``names``; NaN where a characteristic is undefined for a row, and for all rows where it is absent.

    Raises :class:`MissingData` when one needs order-flow columns that the bars lack.
    """
    out = np.full((len(names), len(bars.close)), np.nan)
    for at, name in enumerate(names):
        c = characteristic(name)
        lacking = [column for column in c.columns if getattr(bars, column) is None]
        if lacking:
            raise MissingData(sentence(f"characteristic '{name}' needs {', '.join(lacking)}", where="intraday_bars",
                                       next_step="Leave it out, or take a source that has these columns."))
        if c.exists_for(bars.minutes, bars.n_bars):
            out[at] = c.function(bars)
    return out
