"""What the bedrocks' networks are put together with: layers in a row, and weights drawn as recorded."""

from __future__ import annotations

import numpy as np

from ..graph import BridgeError
from .facts import Model, check_first
from .network import Layer, Network, Weights, slots

SCALE = np.float32(0.02)
"""The reference's scale of every drawn weight."""


class Draws:
    """float32 normal values times 0.02, from a generator of their own."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        return self._rng.standard_normal(shape, dtype=np.float32) * SCALE


def weight_seed(model: Model) -> int:
    """42 and the code points of the model's id; BridgeError if the facts say otherwise."""
    seed = 42 + sum(map(ord, model.id))
    if model["weight_seed"] != seed:
        raise BridgeError(f"{model.id}: weight_seed is {model['weight_seed']}, expected {seed}")
    return seed


def checked(model: Model, found: dict[str, np.ndarray]) -> None:
    """BridgeError unless the arrays begin with the model's `weight_check`, which names them all."""
    for name, first in model["weight_check"].items():
        check_first(f"{model.id}: {name}", found[name], first)


def complete(network: Network, weights: Weights, counted: int | None = None) -> Weights:
    """`weights`, if they are just the slots of the network in their shapes; BridgeError if not.

    `counted` is the number of values that the facts record.
    """
    wanted = {f"{layer.name}.{slot}": shape for layer in network.layers
              for slot, shape in slots(layer).items()}
    found = {name: array.shape for name, array in weights.items()}
    if found != wanted:
        raise BridgeError(f"{network.id}: weights are {found}, expected {wanted}")
    total = sum(array.size for array in weights.values())
    if counted is not None and total != counted:
        raise BridgeError(f"{network.id}: {total} weights, expected {counted}")
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def chain(*steps: tuple) -> tuple[Layer, ...]:
    """Layers one after another from steps (name, op, params); the first reads "x", the last makes "y".

    An activation "linear" is no layer.
    """
    kept = [step for step in steps if step[1] != "linear"]
    layers, source = [], "x"
    for name, op, params in kept[:-1]:
        layers.append(Layer(name, op, (source,), params))
        source = name
    name, op, params = kept[-1]
    return (*layers, Layer(name, op, (source,), params, ("y",)))


def leading(array: np.ndarray, *sizes: int) -> np.ndarray:
    """The leading slice of every axis after the first, in float32."""
    return np.ascontiguousarray(array[(slice(None), *map(slice, sizes))], np.float32)
