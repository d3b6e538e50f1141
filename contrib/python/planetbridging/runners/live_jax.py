"""JAX and Flax: a live module of the user's, with the weights of a file that loom-export wrote."""

from __future__ import annotations

import numpy as np

from . import live

PACKAGE = "jax flax"
MODULES = ("jax", "flax")
READS = live.READS
SETTINGS = "CPU, XLA's threads, products in full precision, inference mode"


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """The module of `spec`, loaded."""
    return live.run("jax", spec, model, inputs)
