"""What each Keras layer and operation becomes in a graph.

Layers by their class; operations of `keras.ops` by the name of theirs, which is not public:
`tests/test_keras_refused.py` pins that the names are those of the functions.
"""

from __future__ import annotations

import functools
import inspect

import numpy as np

from . import (
    keras_arrange,
    keras_attention,
    keras_conv,
    keras_move,
    keras_norms,
    keras_pointwise,
    keras_pool,
    keras_products,
    keras_recurrent,
    keras_reduce,
    keras_shape,
)
from .keras_call import any_dtype, any_mode, takes_mask
from .keras_products import to_shape

IDENTITY_LAYERS = ("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
                   "SpatialDropout3D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
                   "ActivityRegularization")
RANDOM_LAYERS = ("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
                 "RandomContrast", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
                 "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective",
                 "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
                 "RandomShear", "RandomTranslation", "RandomZoom")
"""Layers that change images while a network is trained; Keras records them as if it were."""

MERGE_LAYERS = {"Add": "add", "Subtract": "sub", "Multiply": "mul", "Maximum": "maximum",
                "Minimum": "minimum", "Average": "add"}
PARTS = (keras_pointwise, keras_reduce, keras_move, keras_arrange, keras_products, keras_recurrent,
         keras_conv)


def supported() -> list[str]:
    """For messages: the layers, activations and operations that can be expressed."""
    return ["Dense", "EinsumDense", "Conv", "DepthwiseConv", "SeparableConv", "ConvTranspose",
            "pooling and global pooling", "ZeroPadding", "Cropping", "UpSampling", "Resizing",
            "BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
            "UnitNormalization", "Normalization", "Rescaling", "SimpleRNN", "LSTM", "GRU", "RNN",
            "Bidirectional", "TimeDistributed", "MultiHeadAttention", "GroupQueryAttention",
            "Attention", "AdditiveAttention", "Embedding", "Masking", "activations", *MERGE_LAYERS,
            "Concatenate", "Dot", "Flatten", "Reshape", "Permute", "RepeatVector", "Lambda",
            *IDENTITY_LAYERS[:2],
            "keras.ops of arithmetic, comparison, reduction, products and places",
            "the layers of planetbridging.composed.keras_", "and what is composed of these"]


@functools.cache
def operations(keras) -> dict:
    """Handlers of operations by the name of their class; a handler takes a `Call`."""
    found = {}
    for part in PARTS:
        found.update(part.operations(keras))
    return found | {"Concatenate": concatenate, "Reshape": reshape, "ExpandDims": expand_dims,
                    "Squeeze": squeeze}


@functools.cache
def layers_of(keras) -> dict:
    """Handlers of layers by their class."""
    layers = keras.layers
    handlers = {
        layers.Activation: activation, layers.ReLU: keras_pointwise.relu,
        layers.LeakyReLU: keras_pointwise.leaky_relu, layers.ELU: keras_pointwise.elu,
        layers.PReLU: keras_pointwise.prelu,
        layers.Softmax: softmax, layers.Concatenate: concatenate, layers.Flatten: flatten,
        layers.Reshape: reshape_layer, layers.Permute: keras_move.permute,
        layers.Rescaling: rescaling,
        layers.Dot: dot,
    }
    for part in (keras_arrange, keras_attention, keras_conv, keras_norms, keras_pool,
                 keras_products, keras_recurrent):
        handlers.update(part.rows(keras))
    for name in IDENTITY_LAYERS:
        handlers[getattr(layers, name)] = identity
    for name in RANDOM_LAYERS:
        if hasattr(layers, name):
            handlers[getattr(layers, name)] = any_mode(as_floats)
    for name, op in MERGE_LAYERS.items():
        handlers[getattr(layers, name)] = _merge(op, name == "Average")
    return handlers


def written_activations(keras) -> list[tuple]:
    """Activations of Keras that symbolic tensors cannot run, each with one that they can."""
    known, ops = keras.activations, keras.ops
    return [(known.hard_silu, ops.hard_silu), (known.sparsemax, ops.sparsemax),
            (known.mish, inspect.getmodule(known.mish).Mish())]


@takes_mask
@any_dtype
def identity(call):
    """Layers that do nothing at inference: the value itself, no node."""
    return call.args[0]


@any_dtype
def as_floats(call):
    """Layers that make floats of an image and do nothing else at inference."""
    return call.cast(call.args[0], call.symbols[0].dtype)


def activation(call):
    return call.activate(call.args[0], call.operation.activation)


@takes_mask
def softmax(call):
    """The layer; where its mask is false, a score of -1e9 before and 0 behind, as Keras has it."""
    mask, ops = call.argument(1, "mask"), call.tracer.keras.ops
    if mask is None:
        return keras_pointwise.softmax(call)
    if getattr(mask, "dtype", "") != "bool":
        return call.refuse(f"a mask of {getattr(mask, 'dtype', type(mask).__name__)}")
    axis = call.operation.axis
    axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    if isinstance(axis, tuple) and len(axis) > 1:
        return call.refuse("a mask for a softmax over several axes")
    axis = axis[0] if isinstance(axis, tuple) else axis
    return call.traced(lambda x, seen: ops.where(
        seen, ops.softmax(ops.where(seen, x, -1e9), axis=axis), 0.0), call.args[0], mask)


@any_dtype
def concatenate(call):
    values = [call.value(v, call.symbols[0].dtype) for v in call.args[0]]
    axis = int(call.operation.axis)
    return call.node("concat", values, keras_shape.concat([v.shape for v in values], axis),
                     {"axis": axis})


@any_dtype
def flatten(call):
    x = call.args[0]
    if call.operation.data_format == "channels_first" and len(x.shape) > 2:
        return call.refuse("flatten of channels_first data, which transposes it")
    if len(x.shape) == 1:
        return to_shape(call, x, (x.shape[0], 1))
    return to_shape(call, x, (x.shape[0], keras_shape.product(x.shape[1:])))


@any_dtype
def reshape_layer(call):
    x = call.args[0]
    target = keras_shape.reshape(x.shape[1:], call.operation.target_shape)
    return to_shape(call, x, None if target is None else (x.shape[0], *target))


@any_dtype
def reshape(call):
    """A reshape; open sizes of the target are those of the value, where it has as many."""
    x, target = call.args[0], call.operation.newshape
    target = [target] if isinstance(target, int) else list(target)
    return to_shape(call, x, keras_shape.reshape(x.shape, target))


@any_dtype
def expand_dims(call):
    x, axes = call.args[0], call.operation.axis
    axes = [axes] if isinstance(axes, int) else list(axes)
    rank = len(x.shape) + len(axes)
    axes, rest = {axis % rank for axis in axes}, iter(x.shape)
    return to_shape(call, x, [1 if n in axes else next(rest) for n in range(rank)])


@any_dtype
def squeeze(call):
    x, axes = call.args[0], call.operation.axis
    if axes is None:
        axes = [n for n, size in enumerate(x.shape) if size == 1]
    axes = {axis % len(x.shape) for axis in ([axes] if isinstance(axes, int) else axes)}
    return to_shape(call, x, [size for n, size in enumerate(x.shape) if n not in axes])


@any_dtype
def rescaling(call):
    """x * scale + offset; whole numbers, as of an image, are made floats before."""
    layer = call.operation
    x = call.cast(call.args[0], call.symbols[0].dtype)
    if call.tracer.keras.config.image_data_format() == "channels_first":
        return call.refuse("image_data_format channels_first")
    scale, offset = (item if isinstance(item, (int, float)) else np.asarray(item, np.float32)
                     for item in (layer.scale, layer.offset))
    return call.binary("add", call.binary("mul", x, scale, ".scaled"), offset)


def dot(call):
    """Over one axis of each value and the batch: a composition by an equation."""
    layer, ops = call.operation, call.tracer.keras.ops
    x, y = call.args[0]
    axes = [layer.axes, layer.axes] if isinstance(layer.axes, int) else list(layer.axes)
    a, b = (axis % len(v.shape) for axis, v in zip(axes, (x, y)))
    left, right = list("abcdefgh"[:len(x.shape)]), list("aijklmno"[:len(y.shape)])
    right[b] = left[a]
    out = [c for n, c in enumerate(left) if n != a]
    out += [c for n, c in enumerate(right) if n not in (0, b)]
    equation = f"{''.join(left)},{''.join(right)}->{''.join(out)}"

    def product(x, y):
        if layer.normalize:
            x, y = ops.normalize(x, axis=a), ops.normalize(y, axis=b)
        made = ops.einsum(equation, x, y)
        return ops.expand_dims(made, 1) if len(out) == 1 else made

    return call.traced(product, x, y)


def _merge(op: str, mean: bool):
    """A chain of binary nodes; Keras gives a tensor of lower rank new axes behind the batch."""
    def handler(call):
        values = call.args[0]
        rank = max(len(v.shape) for v in values)
        first, *others = [_behind_batch(call, v, rank) for v in values]
        for n, other in enumerate(others):
            whole = n == len(others) - 1 and not mean
            first = keras_pointwise.combine(call, op, first, other, "" if whole else f".{n}")
        return call.binary("div", first, float(len(values))) if mean else first
    return any_dtype(handler)


def _behind_batch(call, x, rank: int):
    if len(x.shape) == rank:
        return x
    shape = x.shape[:1] + (1,) * (rank - len(x.shape)) + x.shape[1:]
    return to_shape(call, x, shape, ".reshape")
