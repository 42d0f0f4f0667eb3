"""What the networks are trained to predict: forward returns, the date on which each becomes known, and its standardization.

Two ways of indexing the same number, never to be confused:

* **by formation**: row *t* is the return of a sample formed at the close of *t*. It lies in the future of *t*.
* **by realization**: row *t* is the return that has just become known at the close of *t*; its sample was formed at *t* − offset.
  Labels are stored like this, because nothing in row *t* then depends on anything after *t*.

Shape letters: D dates, S stocks. Returns are decimals. NaN is a missing label: the window reaches beyond the data, or a price at
either end is missing (not listed yet, delisted, gap). A missing label is never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from alpha_pipeline.cross_section import residualize, winsorize_mad, zscore
from alpha_pipeline.errors import BadInput, InvalidSpec, Misaligned, UnknownName, sentence

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Entry = Literal["close", "next_open", "next_vwap"]


@dataclass(frozen=True)
class ForwardReturn:
    """A forward return, by formation date *t*; all prices adjusted.

    ============  ====================================================
    entry         return
    ============  ====================================================
    ``close``     close[t + lag + horizon] / close[t + lag] − 1
    ``next_open`` close[t + lag + horizon] / open[t + lag + 1] − 1
    ``next_vwap`` close[t + lag + horizon] / vwap[t + lag + 1] − 1
    ============  ====================================================

    Every variant ends at the close of t + horizon + lag; the entry price only moves the beginning, so purging is the same for
    all.

    Source: MULTIFREQ figure 7 and ALPHANET (``ForwardReturn()``, "r10"), MULTIMODEL (``lag=1``), ATTENTION (``horizon=5``,
    next vwap). The excess over the universe mean, which ATTENTION takes, disappears in the standardization per date.

    >>> ForwardReturn().name, ForwardReturn(lag=1).name, ForwardReturn(5, entry="next_vwap").name
    ('r10', 'r10_lag1', 'r5_next_vwap')
    """

    horizon: int = 10
    lag: int = 0
    entry: Entry = "close"

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InvalidSpec(
                sentence("horizon must be positive", where="ForwardReturn", got=self.horizon, expected=">= 1 session")
            )
        if self.lag < 0:
            raise InvalidSpec(sentence("lag must not be negative", where="ForwardReturn", got=self.lag, expected=">= 0 sessions"))
        if self.entry not in ("close", "next_open", "next_vwap"):
            raise InvalidSpec(
                sentence(
                    "unknown entry price", where="ForwardReturn", got=self.entry, expected="'close', 'next_open' or 'next_vwap'"
                )
            )

    @property
    def name(self) -> str:
        """``r<horizon>`` with ``_lag<lag>`` and ``_<entry>`` where they differ from the default."""
        lag = f"_lag{self.lag}" if self.lag else ""
        return f"r{self.horizon}{lag}" + ("" if self.entry == "close" else f"_{self.entry}")

    @property
    def label_end_offset(self) -> int:
        """Sessions between the formation of a sample and the close at which its label is known: horizon + lag."""
        return self.horizon + self.lag

    @property
    def entry_field(self) -> str:
        """The daily field that holds the entry price."""
        return self.entry.removeprefix("next_")


def label_named(name: str) -> ForwardReturn:
    """The label of a name, the inverse of :attr:`ForwardReturn.name`. Raises :class:`UnknownName`.

    >>> label_named("r5_lag1_next_open")
    ForwardReturn(horizon=5, lag=1, entry='next_open')
    """
    found = re.fullmatch(r"r(\d+)(?:_lag(\d+))?(?:_(next_open|next_vwap))?", name)
    label = None if found is None else _label(int(found[1]), int(found[2] or 0), found[3] or "close")
    if label is None or label.name != name:
        raise UnknownName(sentence(f"unknown label '{name}'", expected="r10, r10_lag1, r5_next_vwap, …"))
    return label


def _label(horizon: int, lag: int, entry: str) -> ForwardReturn | None:
    if horizon < 1:
        return None
    if entry == "next_open":
        return ForwardReturn(horizon, lag, "next_open")
    return ForwardReturn(horizon, lag, "next_vwap" if entry == "next_vwap" else "close")


def forward_returns(close_DS: npt.ArrayLike, spec: ForwardReturn, *, entry_DS: npt.ArrayLike | None = None) -> FloatArray:
    """(D, S) forward return of every formation date. Row *t* is known at the close of t + ``spec.label_end_offset``.

    Parameters
    ----------
    close_DS : adjusted closes.
    entry_DS : adjusted opens or vwaps (``spec.entry_field``); for ``entry="close"`` it is not needed.

    On suspended days the panel carries the last close, so a stock suspended at the end is valued at its last price.

    Raises
    ------
    InvalidSpec : the entry price is missing or superfluous. Misaligned : shapes differ. BadInput : a price ≤ 0 or infinite.

    >>> forward_returns([[10.0], [11.0], [12.1]], ForwardReturn(horizon=1)).ravel().round(4).tolist()
    [0.1, 0.1, nan]
    """
    close = _prices(close_DS, "close")
    if (entry_DS is None) != (spec.entry == "close"):
        raise InvalidSpec(
            sentence(
                f"label '{spec.name}' enters at the {spec.entry_field}",
                got="no entry prices" if entry_DS is None else "other entry prices",
                next_step=f"Pass entry_DS only, and always, for an entry other than the close; here it is '{spec.entry}'.",
            )
        )
    entry, entry_at = (close, spec.lag) if entry_DS is None else (_prices(entry_DS, spec.entry_field), spec.lag + 1)
    if entry.shape != close.shape:
        raise Misaligned(sentence(f"closes and {spec.entry_field}s differ in shape", got=entry.shape, expected=close.shape))
    result = np.full(close.shape, np.nan)
    n = len(close) - spec.label_end_offset
    if n > 0:
        result[:n] = close[spec.label_end_offset :] / entry[entry_at : entry_at + n] - 1.0
    return result


def realized_labels(close_DS: npt.ArrayLike, spec: ForwardReturn, *, entry_DS: npt.ArrayLike | None = None) -> FloatArray:
    """(D, S) by realization: row *t* is the return of the sample formed at t − ``spec.label_end_offset``, known at the close of
    *t*.

    The first ``label_end_offset`` rows are NaN. Arguments and errors as for :func:`forward_returns`.

    >>> realized_labels([[10.0], [11.0], [12.1]], ForwardReturn(horizon=1)).ravel().round(4).tolist()
    [nan, 0.1, 0.1]
    """
    formed = forward_returns(close_DS, spec, entry_DS=entry_DS)
    offset = min(spec.label_end_offset, len(formed))
    result = np.full(formed.shape, np.nan)
    result[offset:] = formed[: len(formed) - offset]
    return result


def by_formation(realized_DS: npt.NDArray[np.floating], spec: ForwardReturn) -> FloatArray:
    """(D, S) stored labels moved back to the dates on which their samples were formed.

    The last ``label_end_offset`` rows are NaN. Cut ``realized_DS`` at the last session that may be known *before* calling this,
    and no later information can enter.

    >>> by_formation(np.array([[np.nan], [0.1], [0.2]]), ForwardReturn(horizon=1)).ravel().tolist()
    [0.1, 0.2, nan]
    """
    offset = min(spec.label_end_offset, len(realized_DS))
    result = np.full(realized_DS.shape, np.nan)
    result[: len(result) - offset] = realized_DS[offset:]
    return result


def standardize_labels(raw_DS: npt.ArrayLike, mask_DS: BoolArray) -> FloatArray:
    """(D, S) labels winsorized at median ± 3 · 1.4826 · MAD and z-scored, date by date over the stocks in the mask; NaN
    elsewhere.

    Each row uses that row alone, so it is known when its raw row is. A row without spread becomes 0.
    Source: MULTIFREQ, figure 7 (z-score). Ours: the winsorization, so that one resumption after a long halt does not set the
    scale.
    """
    return zscore(winsorize_mad(raw_DS, n_mad=3.0, mask=mask_DS))


def neutral_labels(raw_S: npt.ArrayLike, exposures_SE: npt.NDArray[np.floating]) -> FloatArray:
    """(S,) labels of one date: winsorized, the residual of a regression on [1, exposures], z-scored; NaN where the return is unknown.

    ``raw_S`` : realized returns of the stocks that have all exposures. ``exposures_SE`` : (S, E), known at the formation date; columns of
    zeros (industries that none of these stocks is in) do no harm. Where the exposures explain the returns completely, all labels are 0.

    Source: RISKCONTROL, label neutralization (industry and size; three 10-day factors more); ATTENTION, risk-adjusted return.

    >>> neutral_labels([0.01, 0.03, 0.06, 0.08], np.array([[0.0], [0.0], [1.0], [1.0]])).round(4).tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    returns = winsorize_mad(raw_S, n_mad=3.0)
    columns = exposures_SE[:, (exposures_SE != 0).any(axis=0)].astype(np.float64)
    residual = residualize(returns, np.column_stack([np.ones(len(columns)), columns]))
    left = np.nanmax(np.abs(residual), initial=0.0)
    return zscore(np.where(np.isnan(residual), np.nan, 0.0) if left <= 1e-12 * np.nanmax(np.abs(returns), initial=1e-300) else residual)


def _prices(values: npt.ArrayLike, name: str) -> FloatArray:
    prices = np.asarray(values, dtype=np.float64)
    if prices.ndim != 2:
        raise Misaligned(sentence(f"{name} prices have the wrong shape", got=prices.shape, expected="(dates, stocks)"))
    bad = np.argwhere((prices <= 0) | np.isinf(prices))
    if len(bad):
        row, column = bad[0]
        raise BadInput(
            sentence(
                f"{name} price is not positive and finite",
                where=f"date index {row}, column {column}",
                got=float(prices[row, column]),
                expected="> 0, NaN where missing",
            )
        )
    return prices
