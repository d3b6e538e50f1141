"""Loom itself (PyPI welvet): an .entity, as an unmodified Loom reads it."""

from __future__ import annotations

import numpy as np

from .. import witness
from ..graph import BridgeError, bind_inputs

PACKAGE = "welvet"
MODULES = ("welvet",)
READS = "an .entity"
MAGIC = b"ENTITY"
"""What an .entity begins with."""

SETTINGS = ("CPU, its own threads, its own arithmetic; a sample at a time, so the output is [samples, values], "
            f"${witness.ENVIRONMENT} may name the Python that has welvet")


def run(model: str, inputs: dict, threads: int = 1, spec: str = "") -> dict[str, np.ndarray]:
    """Each sample of the first axis in a network of its own: a network keeps keys and values."""
    with open(model, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BridgeError(f"{model}: loom runs {READS}, which this is not: loom-import makes one of it")
    x = bind_inputs(["x"], inputs)["x"]
    if not x.ndim or not len(x):
        raise BridgeError(f"input is {list(x.shape)}, expected at least one sample")
    said = witness.ask(model, [sample[None] for sample in x])
    if said.death or len(said.outputs) != len(x):
        raise BridgeError(f"{model}: welvet answers {len(said.outputs)} of {len(x)} samples: {said.death}")
    return {"y": np.stack(said.outputs).astype(np.float32)}
