"""Trading costs as rates per side on a date: (buy, sell), decimals of the traded value."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from alpha_pipeline.errors import InvalidSpec, sentence
from alpha_pipeline.market.rules import stamp_duty


class Costs(Protocol):
    """Anything that knows the rates of a session."""

    def rates(self, trade_date: dt.date) -> tuple[float, float]:
        """(buy, sell) in decimals of the value traded on ``trade_date``."""
        ...


@dataclass(frozen=True)
class FlatCosts:
    """The same rates on every date.

    MULTIFREQ states 0.4 % two-sided, which is ``FlatCosts(0.002, 0.002)``; MULTIMODEL buys at 0.1 % and sells at 0.2 %;
    RISKCONTROL pays 0.15 % a side.

    >>> FlatCosts(buy=0.001, sell=0.002).rates(dt.date(2021, 3, 5))
    (0.001, 0.002)
    """

    buy: float
    sell: float

    def __post_init__(self) -> None:
        _check(buy=self.buy, sell=self.sell)

    def rates(self, trade_date: dt.date) -> tuple[float, float]:
        return self.buy, self.sell


@dataclass(frozen=True)
class DatedCosts:
    """Commission and slippage on both sides, and the stamp duty in force on sales (0.1 % until 2023-08-27, 0.05 % since).

    >>> DatedCosts(commission=0.0002, slippage=0.0).rates(dt.date(2023, 8, 28))
    (0.0002, 0.0007)
    """

    commission: float = 0.0002
    slippage: float = 0.0005

    def __post_init__(self) -> None:
        _check(commission=self.commission, slippage=self.slippage)

    def rates(self, trade_date: dt.date) -> tuple[float, float]:
        side = self.commission + self.slippage
        return side, side + stamp_duty(trade_date)


def _check(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0.0 <= rate < 0.1:
            raise InvalidSpec(
                sentence(
                    f"cost rate '{name}' out of range", got=rate, expected="a decimal in [0, 0.1)", next_step="0.2 % is 0.002."
                )
            )
