"""Recurrent layers that are fast on a CPU: a fused kernel where numba is installed, plain torch elsewhere, the same numbers.

``gru.py`` and ``lstm.py`` are the layers, ``layer.py`` what they share; ``backend.py`` says which path runs; ``reference.py`` is
both cells in readable torch.

The CPU kernel, bottom up: ``lanes.py`` (registers), ``activations.py``, ``tiles.py``, ``buffers.py``, the cells ``gru_cell.py`` and
``lstm_cell.py``, ``kernel.py``, ``packing.py``, ``threads.py``, ``fused.py``. On the same registers, self-attention
over the states of a layer: ``attention_kernel.py``, ``fused_attention.py``. The GPU kernels: ``triton_*.py``.
"""

from alpha_pipeline.models.recurrent.backend import active_backend
from alpha_pipeline.models.recurrent.gru import GRU
from alpha_pipeline.models.recurrent.lstm import LSTM

__all__ = ["GRU", "LSTM", "active_backend"]
