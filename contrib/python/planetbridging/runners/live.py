"""What live modules of all planets have in common: build, load the weights back, run."""

from __future__ import annotations

import numpy as np

from .. import loading, planets, spec

READS = "a .safetensors that loom-export -f safetensors wrote of the same module"


def run(planet: str, words: str, model: str, inputs: dict) -> dict[str, np.ndarray]:
    """The outputs of the module that `words` (pkg.mod:build) names with the weights in the file `model`."""
    _, obj = spec.resolve(words, planet)
    obj = loading.load(obj, model, example=inputs, planet=planet)
    with planets.ONE_AT_A_TIME:
        return planets.native(planet, obj, inputs)
