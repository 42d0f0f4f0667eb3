"""Bars of several sessions put together: row *t* is the block of the n sessions that end at *t*.

==========  ==================================================================
open        of the first session
high, low   the highest and the lowest
close       of the last session
vwap        Σ vwap · volume / Σ volume; the block's close where nothing traded
volume      sum
==========  ==================================================================

Blocks overlap: every date has its own, so that a window of weeks can end on any date. A window then reads every n-th row.

Sums run in float64 over the n sessions one after the other, oldest first, and never over more: a block has the same bits however
much history was there before it. The result is float32; the rounding of vwap and volume shows in a standardized window as 1e-7 over
the cross-sectional spread of the ratio.

Shape letters: D dates, S stocks, P fields of the panel, F bar fields.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alpha_pipeline.features.tensors import BAR_FIELDS

FloatArray = npt.NDArray[np.float32]

_DATES_AT_ONCE = 32  # what is held beside input and result: a few arrays of so many dates
_OPEN, _HIGH, _LOW, _CLOSE, _VWAP, _VOLUME = (BAR_FIELDS.index(name) for name in ("open", "high", "low", "close", "vwap", "volume"))


def rolling_blocks(panel_DPS: FloatArray, at: Sequence[int], n_days: int) -> FloatArray:
    """(D, F, S) float32: the block of the ``n_days`` sessions up to each date; NaN on the first n_days − 1.

    ``at`` is where each of ``BAR_FIELDS`` stands along P; the result has them in their own order. Suspended days carry their price at
    volume 0 and count like others. What a missing bar (NaN) leaves of a block means nothing; its stock has no window there.
    Known at the close of *t*.
    """
    n_dates, _, n_stocks = panel_DPS.shape
    blocks = np.empty((n_dates, len(BAR_FIELDS), n_stocks), dtype=np.float32)
    blocks[: n_days - 1] = np.nan
    for start in range(n_days - 1, n_dates, _DATES_AT_ONCE):
        stop = min(start + _DATES_AT_ONCE, n_dates)
        days = [panel_DPS[start - back : stop - back] for back in range(n_days - 1, -1, -1)]  # oldest first
        out = blocks[start:stop]
        out[:, _OPEN], out[:, _CLOSE] = days[0][:, at[_OPEN]], days[-1][:, at[_CLOSE]]
        out[:, _HIGH], out[:, _LOW] = days[0][:, at[_HIGH]], days[0][:, at[_LOW]]
        paid, shares = np.zeros((stop - start, n_stocks)), np.zeros((stop - start, n_stocks))
        for day in days:
            np.maximum(out[:, _HIGH], day[:, at[_HIGH]], out=out[:, _HIGH])
            np.minimum(out[:, _LOW], day[:, at[_LOW]], out=out[:, _LOW])
            volume = day[:, at[_VOLUME]].astype(np.float64)
            shares += volume
            paid += volume * day[:, at[_VWAP]]
        out[:, _VWAP] = np.divide(paid, shares, out=out[:, _CLOSE].astype(np.float64), where=shares > 0)
        out[:, _VOLUME] = shares
    return blocks
