"""PyTorch: a live module of the user's, with the weights of a file that loom-export wrote."""

from __future__ import annotations

import numpy as np

from . import live

PACKAGE = "torch safetensors"
MODULES = ("torch",)
READS = live.READS
SETTINGS = "CPU, 1 thread (--threads), the module's own dtype, eval mode, no gradients"


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """The module of `spec`, loaded."""
    import torch

    torch.set_num_threads(threads)
    return live.run("pytorch", spec, model, inputs)
