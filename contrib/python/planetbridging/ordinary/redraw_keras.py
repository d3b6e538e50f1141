"""A live Keras network whose weights are drawn anew, at a scale that keeps its values near 1."""

from __future__ import annotations

import math

import keras
import numpy as np

from ..bedrock.own import drawing

BATCHES = 2
"""Batches from which running statistics are taken."""

TABLES = ("embeddings", "table")
OFFSETS = ("bias", "beta")

RECURRENT = 2.0
"""By how much kernels of recurrent layers exceed others: their gates make values small."""


def redraw(model: keras.Model, name: str, inputs: dict[str, np.ndarray]) -> keras.Model:
    """Draw every weight by its path, then take running statistics from seeded batches.

    `inputs` are one batch, which says shapes; the batches are drawn for the purpose.
    """
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            value = drawn(f"{name} {variable.path}", variable.name, tuple(variable.shape), layer)
            variable.assign(value)
    settle(model, name, inputs)
    return model


def drawn(name: str, slot: str, shape: tuple[int, ...], layer: keras.Layer) -> np.ndarray:
    """One weight: norms' scales around 1, biases and offsets around 0, tables of unit variance.

    A kernel gets the size at which a sum of its products has unit variance.
    """
    if slot == "gamma":
        return np.float32(1) + drawing.uniform(name, shape, 0.25)
    if slot in OFFSETS:
        return drawing.uniform(name, shape, 0.25)
    if slot in TABLES:
        return drawing.normal(name, shape)
    gain = drawing.GAIN * (RECURRENT if hasattr(layer, "recurrent_kernel") else 1)
    return drawing.uniform(name, shape, gain * math.sqrt(3 / terms(slot, shape, layer)))


def terms(slot: str, shape: tuple[int, ...], layer: keras.Layer) -> int:
    """How many products stand in a sum that a kernel makes."""
    layers = keras.layers
    if isinstance(layer, layers.EinsumDense):
        kernel, out = layer.equation.split(",")[1].split("->")
        return math.prod(size for axis, size in zip(kernel, shape) if axis not in out)
    depthwise = isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D))
    if depthwise or slot == "depthwise_kernel":  # [k..., channel, filters of each]
        return math.prod(shape[:-2])
    return math.prod(shape[:-1])


def settle(model: keras.Model, name: str, inputs: dict[str, np.ndarray]) -> None:
    """Batch norms take the mean and variance of what reaches them in BATCHES seeded batches."""
    norms = [layer for layer in model._flatten_layers()
             if isinstance(layer, keras.layers.BatchNormalization)]
    kept = [norm.momentum for norm in norms]
    for batch in range(BATCHES if norms else 0):
        for norm in norms:
            norm.momentum = batch / (batch + 1)  # so that the last batch makes it their mean
        given = [drawing.normal(f"{name} batch {batch} {key}", (16, *x.shape[1:]))
                 for key, x in inputs.items()]
        model(given if len(given) > 1 else given[0], training=True)
    for norm, momentum in zip(norms, kept):
        norm.momentum = momentum
