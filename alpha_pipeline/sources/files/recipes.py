"""Named recipes: the only ways in which a column map derives a column. A TOML file names one; it holds no code.

Each recipe says which columns it may fill, which columns it needs, and, when it only approximates, how (``proxy``), which reaches
every report. All of them use rows known at the close of the date. Here are the base and the recipes for any table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from alpha_pipeline.sources.files.day import Day


class Recipe:
    """Base of all recipes; a subclass is a frozen dataclass whose fields are the keys allowed in the TOML table."""

    name: ClassVar[str]
    for_columns: ClassVar[tuple[str, ...]] = ()
    needs: tuple[str, ...] = ()

    def compute(self, day: Day, column: str) -> np.ndarray:
        """The column's values, one per row of ``day.frame``."""
        raise AssertionError(f"{type(self).__name__} computes nothing")

    def files(self) -> tuple[str, ...]:
        """Names of further files that it reads."""
        return ()

    def proxy(self) -> str:
        """How the value departs from the real one; empty when it does not."""
        return ""


@dataclass(frozen=True)
class Lookup(Recipe):
    """A column of another file on the same (date, symbol), compared with ``equals`` for flags; ``otherwise`` where
    that file has no row.
    """

    name = "lookup"
    for_columns = (
        "is_st",
        "is_delisting",
        "is_suspended",
        "limit_up",
        "limit_down",
        "total_shares",
        "float_shares",
        "free_float_shares",
        "pre_close",
        "amount",
        "vwap",
        "adj_factor",
    )
    file: str
    column: str
    otherwise: bool | float | None = None
    equals: int | str | bool | None = None

    def compute(self, day: Day, column: str) -> np.ndarray:
        found = day.lookup(self.file, self.column)
        absent = found.isna().to_numpy()
        if self.equals is not None:
            return np.where(absent, bool(self.otherwise), (found == self.equals).to_numpy(dtype=bool))
        values = found.to_numpy(dtype="float64", na_value=np.nan)
        return values if self.otherwise is None else np.where(absent, float(self.otherwise), values)

    def files(self) -> tuple[str, ...]:
        return (self.file,)

    def proxy(self) -> str:
        return "" if self.otherwise is None else f"{self.otherwise} for names and dates that '{self.file}' does not hold"


@dataclass(frozen=True)
class Constant(Recipe):
    """One value for every row, with the reason."""

    name = "constant"
    for_columns = ("is_st", "is_delisting", "is_suspended", "trade_status", "board", "industry", "adj_factor")
    value: bool | float | str
    reason: str

    def compute(self, day: Day, column: str) -> np.ndarray:
        return np.full(len(day.frame), self.value, dtype=object if isinstance(self.value, str) else None)

    def proxy(self) -> str:
        return f"always {self.value}: {self.reason}"


@dataclass(frozen=True)
class SameAs(Recipe):
    """A copy of another column, such as float_shares = total_shares, with the reason."""

    name = "same_as"
    for_columns = ("float_shares", "free_float_shares", "amount", "pre_close")
    column: str
    reason: str

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.column,)

    def compute(self, day: Day, column: str) -> np.ndarray:
        return day.number(self.column)

    def proxy(self) -> str:
        return f"{self.column}: {self.reason}"
