"""One layer of gated recurrent units over (steps, fields, stocks)."""

from __future__ import annotations

from typing import ClassVar

from alpha_pipeline.models.recurrent.layer import RecurrentLayer


class GRU(RecurrentLayer):
    """GRU from a zero state; equations, parameter names and shapes are those of ``nn.GRU`` with one layer.

    Arguments, path and result: see :class:`~alpha_pipeline.models.recurrent.layer.RecurrentLayer`.
    """

    cell: ClassVar[str] = "gru"
    n_gates: ClassVar[int] = 3
