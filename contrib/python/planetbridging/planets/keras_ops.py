"""What each Keras layer and operation becomes in a graph, by its class.

The classes of `keras.ops` are not public; a call of the public function on a symbolic tensor shows
which one stands behind it.
"""

from __future__ import annotations

import functools
import math

from . import keras_attention, keras_conv, keras_move, keras_norms, keras_recurrent, keras_shape
from .keras_call import Slot, Value
from .keras_move import any_dtype

IDENTITY_LAYERS = ("Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
                   "SpatialDropout3D", "GaussianDropout", "GaussianNoise", "AlphaDropout",
                   "ActivityRegularization")
MERGE_LAYERS = {"Add": "add", "Subtract": "sub", "Multiply": "mul"}
UNARY_OPS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "silu": "silu"}
BINARY_OPS = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div",
              "true_divide": "div"}


def supported() -> list[str]:
    """For messages: the layers, activations and operations that can be expressed."""
    return ["Dense", "EinsumDense", "Conv", "DepthwiseConv", "SeparableConv", "MaxPooling",
            "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling",
            "ZeroPadding before a convolution", "SimpleRNN", "LSTM", "RNN", "Bidirectional", "MultiHeadAttention",
            "GroupQueryAttention", "LayerNormalization", "RMSNormalization", "Embedding",
            "Activation", "ReLU", "LeakyReLU", "Softmax", *MERGE_LAYERS, "Concatenate",
            "Flatten", "Reshape", "Permute", *IDENTITY_LAYERS[:2],
            "the activations linear, relu, tanh, sigmoid, silu, gelu, leaky_relu, softmax",
            "keras.ops add, subtract, multiply, divide, negative, square, matmul with a weight, "
            "concatenate, stack, split, slice, take, transpose, reshape, expand_dims, squeeze",
            "the layers of planetbridging.composed.keras_", "and what is composed of these"]


@functools.cache
def table(keras) -> dict:
    """Handlers by class; a handler takes a `Call` and returns its value."""
    layers, ops = keras.layers, keras.ops
    x, weight = keras.KerasTensor((None, 1, 2)), keras.KerasTensor((2, 2))

    def behind(function, *args):
        return type(function(*args)._keras_history.operation)

    handlers = {
        layers.Dense: dense, layers.EinsumDense: einsum_dense,
        layers.Activation: activation, layers.ReLU: relu,
        behind(keras.activations.relu, x): relu,
        layers.LeakyReLU: leaky_relu, behind(ops.leaky_relu, x): leaky_relu,
        layers.Softmax: softmax, behind(ops.softmax, x): softmax, behind(ops.gelu, x): gelu,
        layers.Concatenate: concatenate, behind(ops.concatenate, [x, x]): concatenate,
        layers.Flatten: flatten, layers.Reshape: reshape_layer,
        behind(ops.reshape, x, (-1,)): reshape, behind(ops.expand_dims, x, 1): by_shape,
        behind(ops.squeeze, x, 1): by_shape,
        behind(ops.matmul, x, weight): matmul, behind(ops.dot, x, weight): matmul,
        behind(ops.negative, x): lambda call: call.binary("mul", call.args[0], -1.0),
        behind(ops.square, x): lambda call: call.binary("mul", call.args[0], call.args[0]),
        behind(ops.cast, x, "float32"): cast,
        behind(ops.stop_gradient, x): identity, behind(ops.copy, x): identity,
        behind(ops.convert_to_tensor, x): cast,
    }
    for rows in (keras_conv, keras_attention, keras_norms):
        handlers.update(rows.rows(keras))
    for rows in (keras_recurrent, keras_move):
        handlers.update(rows.rows(keras, behind))
    for name in IDENTITY_LAYERS:
        handlers[getattr(layers, name)] = identity
    for name, op in MERGE_LAYERS.items():
        handlers[getattr(layers, name)] = _merge(op)
    for name, op in UNARY_OPS.items():
        handlers[behind(getattr(ops, name), x)] = _unary(op)
    for name, op in BINARY_OPS.items():
        handlers[behind(getattr(ops, name), x, x)] = _binary(op)
    return handlers


@any_dtype
@keras_conv.takes_zeros
def identity(call):
    """Layers that do nothing at inference: the value itself, no node."""
    return call.args[0]


@any_dtype
def cast(call):
    x, wanted = call.args[0], call.operation.dtype
    if wanted in (None, x.dtype) or (x.dtype, wanted) == ("int32", "int64"):
        return x
    return call.refuse(f"keras.ops.cast from {x.dtype} to {wanted}")


def dense(call):
    """The kernel as a node "dense", the activation as one that has the layer's name."""
    layer, x = call.operation, call.args[0]
    if not layer.built:
        return call.refuse("has no weights yet")
    fused = not call.is_linear(layer.activation)
    made = project(call, x, layer.kernel, layer.bias, ".dense" if fused else "")
    return call.activate(made, layer.activation)


def project(call, x, kernel, bias=None, suffix: str = ""):
    """x times a kernel [in, out], plus a bias."""
    tracer = call.tracer
    arrays = [None if v is None else tracer.keras.ops.convert_to_numpy(v) for v in (kernel, bias)]
    name = tracer.builder.dense(
        call.path + suffix, x.name, *arrays, axes=("i", "o"), keys=(_key(kernel), _key(bias)),
        sources=(getattr(kernel, "path", ""), getattr(bias, "path", "")))
    return Value(name, x.shape[:-1] + (arrays[0].shape[1],), x.nodes_dtype, x.broken)


def einsum_dense(call):
    """A dense node where the equation sums over the last axes of the value and puts all others of
    the kernel in their place; else the refusal of the equation."""
    layer, x = call.operation, call.args[0]
    given, kernel, out = layer.equation.replace("->", ",").split(",")
    summed = [letter for letter in kernel if letter in given]
    count = len(summed)
    rest = given[:-count] if count else given
    whole = layer.bias is None or layer.bias.shape == layer.kernel.shape[count:]
    if not count or list(given[-count:]) != summed or kernel[:count] != given[-count:] or \
            out != rest + kernel[count:] or not whole or "." in given:
        return call.refuse(f"the equation {layer.equation}")
    return _einsum_node(call, layer, x, count)


def _einsum_node(call, layer, x, count: int):
    """`count` last axes of the value are summed over: one, or made one."""
    sizes = [int(size) for size in layer.kernel.shape]
    ins, outs = math.prod(sizes[:count]), math.prod(sizes[count:])
    lead, fused = x.shape[:-count], not call.is_linear(layer.activation)
    if count > 1:
        x = to_shape(call, x, (*lead, ins), ".in")
    many = len(sizes) > count + 1
    params = {"in_features": ins, "out_features": outs, "bias": layer.bias is not None}
    slots = [Slot("weight", layer.kernel, "io", lambda a: a.reshape(ins, outs)),
             Slot("bias", layer.bias, "o", lambda a: a.reshape(outs))]
    suffix = ".dense" if many or fused else ""
    made = call.weighted("dense", [x], (*lead, outs), params, slots, suffix)
    if many:
        made = to_shape(call, made, (*lead, *sizes[count:]), ".heads" if fused else "")
    return call.activate(made, layer.activation)


def matmul(call):
    """A product with a weight; one of two values has no word in the vocabulary."""
    x, kernel = call.args
    if not isinstance(x, Value) or isinstance(kernel, Value):
        return call.refuse("keras.ops.matmul of two values, or of a weight from the left")
    if len(kernel.shape) != 2 or not x.shape:
        return call.refuse(f"keras.ops.matmul with a weight of rank {len(kernel.shape)}")
    return project(call, x, kernel)


def activation(call):
    return call.activate(call.args[0], call.operation.activation)


def relu(call):
    """Plain or leaky; a maximum or a threshold has no word."""
    op, x = call.operation, call.args[0]
    if op.max_value is not None or op.threshold:
        return call.refuse(f"relu with max_value={op.max_value}, threshold={op.threshold}")
    if op.negative_slope:
        return leaky_relu(call)
    return call.unary("relu", x)


def leaky_relu(call):
    slope = float(call.operation.negative_slope)
    return call.unary("leaky_relu", call.args[0], {"negative_slope": slope})


def softmax(call):
    axis = call.operation.axis
    if isinstance(axis, (list, tuple)):
        axis = axis[0] if len(axis) == 1 else None
    if axis is None:
        return call.refuse(f"softmax over the axes {call.operation.axis}")
    return call.unary("softmax", call.args[0], {"axis": int(axis)})


def gelu(call):
    kind = "tanh" if call.operation.approximate else "none"
    return call.unary("gelu", call.args[0], {"approximate": kind})


@any_dtype
def concatenate(call):
    values = [call.tracer.value(v, call.symbols[0].dtype, call.path) for v in call.args[0]]
    axis = int(call.operation.axis)
    return call.node("concat", values, keras_shape.concat([v.shape for v in values], axis),
                     {"axis": axis})


@any_dtype
def flatten(call):
    x = call.args[0]
    if call.operation.data_format == "channels_first" and len(x.shape) > 2:
        return call.refuse("flatten of channels_first data, which transposes it")
    return to_shape(call, x, (x.shape[0], keras_shape.product(x.shape[1:])))


@any_dtype
def reshape_layer(call):
    x = call.args[0]
    target = keras_shape.reshape(x.shape[1:], call.operation.target_shape)
    return to_shape(call, x, None if target is None else (x.shape[0], *target))


@any_dtype
def reshape(call):
    x = call.args[0]
    return to_shape(call, x, keras_shape.reshape(x.shape, call.operation.newshape))


@any_dtype
def by_shape(call):
    """Axes of size 1 come or go: a reshape to the known sizes."""
    x, symbol = call.args[0], call.symbols[0]
    sizes = [size for size in x.shape if not isinstance(size, int)]
    shape = [sizes.pop(0) if size is None and sizes else size for size in symbol.shape]
    return to_shape(call, x, shape)


def to_shape(call, x, shape, suffix: str = ""):
    """A reshape, or the refusal of one whose sizes nobody can say."""
    if shape is None or None in shape:
        return call.broken() if x.broken else call.refuse("reshape to a size that is not known")
    return call.node("reshape", [x], shape, {"shape": list(shape)}, suffix)


def _unary(op: str):
    return lambda call: call.unary(op, call.args[0])


def _binary(op: str):
    def handler(call):
        return _combine(call, op, *call.args)
    return handler


def _combine(call, op: str, left, right, suffix: str = ""):
    if op == "add" and _added_along_wrong_axis(call, left, right):
        return call.refuse("an add that Keras on TensorFlow does along the last axis, "
                           "not along the operand's own")
    return call.binary(op, left, right, suffix)


def _merge(op: str):
    """A chain of binary nodes; Keras gives a tensor of lower rank new axes behind the batch."""
    def handler(call):
        rank = max(len(v.shape) for v in call.args[0])
        first, *others = [_behind_batch(call, v, rank) for v in call.args[0]]
        for n, other in enumerate(others):
            last = n == len(others) - 1
            first = _combine(call, op, first, other, "" if last else f".{n}")
        return first
    return handler


def _behind_batch(call, x, rank: int):
    if len(x.shape) == rank:
        return x
    shape = x.shape[:1] + (1,) * (rank - len(x.shape)) + x.shape[1:]
    return to_shape(call, x, shape, ".reshape")


def _added_along_wrong_axis(call, left, right) -> bool:
    """Keras 3.15 on TensorFlow takes an operand with one long axis for a bias: of the last axis if
    that is as long, else of the second."""
    shape, sizes = getattr(left, "shape", ()), getattr(right, "shape", ())
    if call.tracer.keras.backend.backend() != "tensorflow" or len(shape) < 2:
        return False
    long = [axis - len(sizes) for axis, size in enumerate(sizes) if size != 1]
    if len(long) != 1 or sizes[long[0]] not in (shape[1], shape[-1]):
        return False
    return long[0] != (-1 if sizes[long[0]] == shape[-1] else 1 - len(shape))


def _key(weight):
    return id(weight) if hasattr(weight, "path") else None
