"""What one of our own fixtures is: a network, its sizes, and the planets that have it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...graph import Input
from ..network import Layer, Network, Weights
from . import drawing

PLANETS = ("pytorch", "tensorflow", "jax", "nnx", "sklearn")
"""In the order of tables; jax is linen."""

THREE = ("pytorch", "tensorflow", "jax")


@dataclass(frozen=True)
class Case:
    """A network with weights and inputs drawn for it.

    `runs` are the sizes behind the names in the inputs' shapes, one dict for each run.  `rows` are
    scales by which the rows of float inputs are multiplied in turn.
    """

    network: Network
    runs: tuple[dict[str, int], ...]
    planets: tuple[str, ...] = THREE
    rows: tuple[float, ...] = (1.0,)

    @property
    def id(self) -> str:
        return self.network.id

    @property
    def kind(self) -> str:
        return self.network.kind

    def weights(self) -> Weights:
        return drawing.weights(self.network)

    def inputs(self, run: int) -> dict[str, np.ndarray]:
        """Arrays by input name in canonical layout."""
        return {item.name: self._drawn(item, run) for item in self.network.inputs}

    def _drawn(self, item: Input, run: int) -> np.ndarray:
        name = f"{self.id} {run} {item.name}"
        shape = tuple(n if isinstance(n, int) else self.runs[run][n] for n in item.shape)
        if item.dtype == "bool":
            return drawing.seen(name, shape)
        if item.dtype == "int64":
            return drawing.tokens(name, shape, self._vocabulary(item.name))
        return drawing.normal(name, shape) * self._scales(shape)

    def _vocabulary(self, name: str) -> int:
        """The least table that ids of this input are looked up in."""
        return min(layer.params["vocab_size"] for layer in self.network.layers
                   if layer.op == "embedding" and name in layer.inputs)

    def _scales(self, shape) -> np.ndarray:
        """One of `rows` for each row of the last axis, in turn."""
        count = int(np.prod(shape[:-1]))
        return np.resize(np.array(self.rows, np.float32), count).reshape(*shape[:-1], 1)

    def digest(self) -> str:
        """SHA-256 of everything drawn."""
        drawn = {f"{n} {name}": a for n in range(len(self.runs)) for name, a in self.inputs(n).items()}
        return drawing.digest({**self.weights(), **drawn})


def on_planet(case: Case, planet: str, run: int) -> tuple[Network, dict[str, np.ndarray]]:
    """(network, inputs) with masks of the planet's own polarity and fill."""
    masked = [layer for layer in case.network.layers
              if layer.op == "attention" and layer.params["mask"] == "keep"]
    inputs = case.inputs(run)
    if not masked:
        return case.network, inputs
    torch = planet == "pytorch"
    own = {"mask": "hide", "fill": "-inf"} if torch else {"mask": "keep", "fill": "least"}
    changed = {layer.name: replace(layer, params={**layer.params, **own}) for layer in masked}
    layers = tuple(changed.get(layer.name, layer) for layer in case.network.layers)
    for layer in masked if torch else ():
        inputs[layer.inputs[3]] = ~inputs[layer.inputs[3]]
    return replace(case.network, layers=layers), inputs


def chain(name: str, kind: str, inputs, *steps: tuple) -> Network:
    """Steps (name, operation, parameters) in a row from the first input to "y"."""
    layers, at = [], inputs[0].name
    for n, (own, op, params) in enumerate(steps):
        last = n == len(steps) - 1
        layers.append(Layer(own, op, (at,), params, ("y",) if last else ()))
        at = layers[-1].outputs[0]
    return Network(name, kind, tuple(inputs), tuple(layers), ("y",))
