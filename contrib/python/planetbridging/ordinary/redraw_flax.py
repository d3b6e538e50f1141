"""A live Flax network whose weights are drawn anew, at a scale that keeps its values near 1."""

from __future__ import annotations

import math

import jax
import numpy as np
from flax import linen, nnx

from ..bedrock.own import drawing
from ..planets.jax_ import key_path

BATCHES = 2
"""Batches from which running statistics are taken."""

RECURRENT = 2.0
"""By how much kernels of recurrent layers exceed others: their gates make values small."""

GATES = {f"{of}{gate}" for of in "ih" for gate in ("i", "f", "g", "o", "r", "z", "n")}
"""What linen calls the dense layers inside a cell."""


def redraw(network, name: str, inputs: dict[str, np.ndarray]):
    """Draw every parameter by its path, then take running statistics from seeded batches.

    `network` is (linen module, variables) or an nnx module.  `inputs` are one batch, which says
    shapes; the batches are drawn for the purpose.
    """
    if isinstance(network, nnx.Module):
        state = nnx.state(network, nnx.Param)
        nnx.replace_by_pure_dict(state, tree_drawn(nnx.to_pure_dict(state), name))
        nnx.update(network, state)
        return network
    module, variables = network
    return module, settled(module, {**variables, "params": tree_drawn(variables["params"], name)},
                           name, inputs)


def tree_drawn(tree, name: str):
    """The same tree of parameters, each drawn by its path."""
    def leaf(path, array):
        keys = [str(key) for key in key_path(path)]
        return drawn(f"{name} {'/'.join(keys)}", keys, tuple(array.shape))
    return jax.tree_util.tree_map_with_path(leaf, tree)


def drawn(name: str, keys: list[str], shape: tuple[int, ...]) -> np.ndarray:
    """One parameter: norms' scales around 1, biases around 0, tables of unit variance.

    A kernel gets the size at which a sum of its products has unit variance.
    """
    owner, slot = keys[-2:] if len(keys) > 1 else ("", keys[-1])
    if slot == "scale":
        return np.float32(1) + drawing.uniform(name, shape, 0.25)
    if slot == "bias":
        return drawing.uniform(name, shape, 0.25)
    if slot != "kernel":
        return drawing.normal(name, shape)
    heads = owner in ("query", "key", "value") and len(shape) == 3  # [d, heads, e]
    terms = shape[0] if heads else math.prod(shape[:-1])
    gain = drawing.GAIN * (RECURRENT if owner in GATES else 1)
    return drawing.uniform(name, shape, gain * math.sqrt(3 / terms))


def settled(module: linen.Module, variables: dict, name: str, inputs: dict[str, np.ndarray]) -> dict:
    """The variables, batch norms' statistics being those of BATCHES seeded batches."""
    for batch in range(BATCHES if "batch_stats" in variables else 0):
        given = {key: drawing.normal(f"{name} batch {batch} {key}", (16, *x.shape[1:]))
                 for key, x in inputs.items()}
        learning = module.clone(momentum=batch / (batch + 1))  # so that the last makes it their mean
        _, found = learning.apply(variables, **given, train=True, mutable=["batch_stats"])
        variables = {**variables, **found}
    return variables
