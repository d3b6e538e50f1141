"""Between the canonical layout of activations and a planet's own, by what its builder says."""

from __future__ import annotations

import numpy as np

from ..graph import BridgeError
from .network import Built


def outputs_like(built: Built, native: dict[str, np.ndarray], canonical: dict[str, np.ndarray]) -> dict:
    """Arrays in canonical layout as the planet would lay out its outputs, of which `native` are some.

    What `built.to_canonical` does with the places of `native`'s values is undone.
    """
    places = {name: np.arange(array.size).reshape(array.shape) for name, array in native.items()}
    moved = built.to_canonical(places)
    made = {}
    for name, (wanted, values) in zip(native, canonical.items()):
        if moved[name].shape != values.shape:
            raise BridgeError(f"{wanted} has shape {list(values.shape)}, the planet's output "
                              f"{list(moved[name].shape)} in canonical layout")
        array = np.empty(native[name].shape, values.dtype)
        array.reshape(-1)[moved[name].ravel()] = values.ravel()
        made[name] = array
    return made
