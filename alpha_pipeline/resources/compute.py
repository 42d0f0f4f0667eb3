"""Where training runs."""

from typing import Literal

import dagster as dg


class ComputeResource(dg.ConfigurableResource):
    """``device``: "auto" (CUDA when there is one, else CPU), "cpu" or "cuda"; ``threads``: 0 leaves torch's default.

    ``members``: how an ensemble trains, "auto" (stacked on CUDA), "one_by_one" or "stacked".
    """

    device: str = "auto"
    threads: int = 0
    members: Literal["auto", "one_by_one", "stacked"] = "auto"

    def torch_device(self) -> str:
        """The device's name after resolving "auto"."""
        import torch

        from alpha_pipeline.training.device import choose_device

        if self.threads:
            torch.set_num_threads(self.threads)
        return str(choose_device()) if self.device == "auto" else self.device
