"""Recurrent layers that are fast on a CPU: a fused kernel where numba is installed, plain torch elsewhere, the same numbers.

``gru.py`` is the layer; ``backend.py`` says which path runs; ``reference.py`` is the GRU in readable torch.
The kernel, bottom up: ``lanes.py`` (registers), ``activations.py``, ``tiles.py``, ``gru_kernel.py``, ``gru_packing.py``,
``threads.py``, ``fused.py``.
"""

from alpha_pipeline.models.recurrent.backend import active_backend
from alpha_pipeline.models.recurrent.gru import GRU
from alpha_pipeline.models.recurrent.lstm import LSTM

__all__ = ["GRU", "LSTM", "active_backend"]
