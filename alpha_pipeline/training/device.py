"""Where training runs, and what to do when its memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from alpha_pipeline.errors import NotEnoughData, sentence


def choose_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def memory_advice(where: str, advice: str) -> Iterator[None]:
    """Turn running out of memory inside the block into :class:`NotEnoughData` with ``advice``; other errors pass."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(where, advice, error) from error
    except RuntimeError as error:
        # the CPU allocator of torch has no exception class of its own
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise _out_of_memory(where, advice, error) from error


def _out_of_memory(where: str, advice: str, error: BaseException) -> NotEnoughData:
    lines = str(error).splitlines()
    return NotEnoughData(
        sentence("out of memory", where=where, got=lines[0] if lines else type(error).__name__, next_step=advice)
    )
