"""Keras: a live module of the user's, with the weights of a file that loom-export wrote."""

from __future__ import annotations

import numpy as np

from . import live

PACKAGE = "tensorflow keras"
MODULES = ("tensorflow", "keras")
READS = live.READS
SETTINGS = "CPU, the backend's threads, inference mode"


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """The module of `spec`, loaded."""
    return live.run("keras", spec, model, inputs)
