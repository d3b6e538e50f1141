"""What a row of the table of ordinary networks is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from ..bedrock.own import drawing

PLANETS = ("pytorch", "tensorflow", "jax")
"""In the order of tables."""

MODULES = {"pytorch": ("torch_rows", "redraw_torch"), "tensorflow": ("keras_rows", "redraw_keras"),
           "jax": ("flax_rows", "redraw_flax")}
"""(the module with a planet's ROWS, the one that draws a network's weights anew)."""


@dataclass(frozen=True)
class Spec:
    """One input of one run: `shape` in the planet's layout.

    float32 is normal of unit variance, int64 ids are below `high`, and a "mask" [samples, length] is
    int64: 0 for the padding of each sample but the first, which stands on the left where `left`.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    high: int = 0
    left: bool = False

    def drawn(self, name: str) -> np.ndarray:
        """The values that `name` and the seed settle."""
        if self.dtype == "float32":
            return drawing.normal(name, self.shape)
        if self.dtype == "int64":
            return drawing.integers(name, prod(self.shape)).reshape(self.shape) % self.high
        samples, length = self.shape
        hidden = np.arange(samples)[:, None] % length
        places = np.arange(length)[None]
        seen = places >= hidden if self.left else places < length - hidden
        return seen.astype(np.int64)


@dataclass(frozen=True)
class Row:
    """A network and the inputs it is run on.

    `source` says what a user would type, `packages` whose versions decide it, `build` returns the live
    network (JAX: what `planetbridging.emit` takes) in eval mode.  `runs` are at least two, of other
    batch and, where it is free, length; names are the network's own.  `trained`: the weights stay.
    """

    id: str
    planet: str
    source: str
    packages: tuple[str, ...]
    build: Callable[[], object]
    runs: tuple[dict[str, Spec], ...]
    trained: bool = False

    def inputs(self, run: int) -> dict[str, np.ndarray]:
        """Arrays by input name."""
        return {name: spec.drawn(f"{self.id} {run} {name}") for name, spec in self.runs[run].items()}

    @property
    def name(self) -> str:
        return f"{self.planet}/{self.id}"
