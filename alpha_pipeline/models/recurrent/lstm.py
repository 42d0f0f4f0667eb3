"""One layer of long short-term memory over (steps, fields, stocks)."""

from __future__ import annotations

from typing import ClassVar

from alpha_pipeline.models.recurrent.layer import RecurrentLayer


class LSTM(RecurrentLayer):
    """LSTM from zero h and c; equations, parameter names and shapes are those of ``nn.LSTM`` with one layer.

    The states returned are h; c stays inside. Arguments, path and result: see
    :class:`~alpha_pipeline.models.recurrent.layer.RecurrentLayer`.
    """

    cell: ClassVar[str] = "lstm"
    n_gates: ClassVar[int] = 4
