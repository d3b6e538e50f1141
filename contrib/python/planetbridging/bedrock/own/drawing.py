"""Weights and inputs drawn from a written seed, with the same bits wherever they are drawn.

The numbers come from SHAKE-128 of the seed and a name: no generator of a library, which a version
may change, and one multiplication in float32, which rounds alike everywhere.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

from ..network import Network, Weights, slots

SEED = 20261126
GAIN = 1.25
"""By how much weights exceed the size at which a sum of products has the variance of its input."""


def integers(name: str, count: int) -> np.ndarray:
    """`count` numbers 0 to 2^23 - 1, which `name` and the seed settle."""
    data = hashlib.shake_128(f"{SEED} {name}".encode()).digest(4 * count)
    return (np.frombuffer(data, "<u4") >> 9).astype(np.int64)


def uniform(name: str, shape, scale: float = 1.0) -> np.ndarray:
    """float32 values between -scale and scale, none of them zero."""
    found = (2 * integers(name, math.prod(shape)) + 1 - (1 << 23)) / (1 << 23)
    return (found.astype(np.float32) * np.float32(scale)).reshape(shape)


def normal(name: str, shape) -> np.ndarray:
    """float32 values of variance 1 that lie within 3, sums of three uniform ones."""
    parts = [uniform(f"{name} {n}", shape) for n in range(3)]
    return parts[0] + parts[1] + parts[2]


def tokens(name: str, shape, vocabulary: int) -> np.ndarray:
    """int64 ids in which every row of the vocabulary occurs, if there is room for it."""
    count = math.prod(shape)
    found = np.resize(np.arange(vocabulary), count)
    return found[np.argsort(integers(name, count), kind="stable")].reshape(shape)


def seen(name: str, shape) -> np.ndarray:
    """A bool mask, about two in three True; the first key is always seen, the last never."""
    found = (integers(name, math.prod(shape)) % 3 > 0).reshape(shape)
    found[..., 0], found[..., -1] = True, False
    return found


def weights(network: Network) -> Weights:
    """Every slot of a network, at a scale that keeps the values of variance 1 on their way."""
    return {f"{layer.name}.{slot}": weight(f"{network.id} {layer.name}.{slot}", slot, shape)
            for layer in network.layers for slot, shape in slots(layer).items()}


def weight(name: str, slot: str, shape) -> np.ndarray:
    if slot == "gamma":
        return np.float32(1) + uniform(name, shape, 0.5)
    if slot == "table":
        return normal(name, shape)
    if len(shape) == 1:
        return uniform(name, shape, 0.75)
    return uniform(name, shape, GAIN * math.sqrt(3 / math.prod(shape[1:])))


def digest(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of arrays with their names, types and shapes."""
    total = hashlib.sha256()
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        total.update(f"{name} {array.dtype.name} {list(array.shape)}\n".encode() + plain.tobytes())
    return total.hexdigest()
