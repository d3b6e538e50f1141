"""What Keras does along axes: sums, means, greatest elements, running sums, norms, statistics.

Rows by the class of an operation of `keras.ops`.
"""

from __future__ import annotations

from .. import compositions
from . import keras_shape
from .keras_call import Value, any_dtype, kind, written

NODES = {"Sum": "sum", "Mean": "mean", "Max": "max", "Amax": "max", "Min": "min", "Amin": "min"}
LONGEST_PRODUCT = 64
"""The most elements along the axis of a product, which is a chain of nodes."""


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    found = {name: _reduction(op) for name, op in NODES.items()}
    found |= {name: written(function) for name, function in _written_down(keras.ops).items()}
    return found | {
        "Any": _truth(False), "All": _truth(True), "Argmax": argmax, "Argmin": argmax,
        "Cumsum": cumsum, "Var": variance, "Std": variance, "Logsumexp": logsumexp, "Prod": prod,
    }


def _axes(given, rank: int) -> list[int]:
    """The axes of an operation, counted from the first; all of them for None."""
    if given is None:
        return list(range(rank))
    given = given if isinstance(given, (list, tuple)) else [given]
    return [int(axis) % rank for axis in given]


def _left(x: Value, axes: list[int], keepdims: bool) -> tuple:
    """The shape that a reduction leaves."""
    return tuple(1 if n in axes else size for n, size in enumerate(x.shape)
                 if keepdims or n not in axes)


def reduce(call, op: str, x: Value, axes: list[int], keepdims: bool, suffix: str = "") -> Value:
    """A node that reduces; over no axes the value itself."""
    if not axes:
        return x
    return call.node(op, [x], _left(x, axes, keepdims), {"axes": axes, "keepdims": keepdims},
                     suffix)


def _reduction(op: str):
    @any_dtype
    def handler(call):
        operation, dtype = call.operation, call.symbols[0].dtype
        if getattr(operation, "initial", None) is not None:
            return call.refuse(f"keras.ops.{op} with initial={operation.initial}")
        if kind(dtype) == "bool":
            return call.refuse(f"works on {dtype} values")
        x = call.cast(call.args[0], dtype)
        axes = _axes(operation.axis, len(x.shape))
        return reduce(call, op, x, axes, bool(operation.keepdims))
    return handler


def _truth(every: bool):
    @any_dtype
    def handler(call):
        x = call.cast(call.args[0], "bool", ".true")
        axes, keepdims = _axes(call.operation.axis, len(x.shape)), bool(call.operation.keepdims)
        name = compositions.any_or_all(call.tracer.builder, call.path, x.name, axes, keepdims,
                                       every)
        return call.made(name, [x], _left(x, axes, keepdims), "bool")
    return handler


@any_dtype
def argmax(call):
    """The first of the greatest, or least; without an axis of all elements in a row."""
    operation, x = call.operation, call.args[0]
    axis, keepdims = operation.axis, bool(operation.keepdims)
    if kind(x.dtype) == "bool":
        x = call.cast(x, "int64", ".number")
    whole = tuple(1 for _ in x.shape) if keepdims else ()
    if axis is None:
        x = call.node("reshape", [x], [keras_shape.product(x.shape)],
                      {"shape": [keras_shape.product(x.shape)]}, ".flat")
        axis, keep = 0, False
    else:
        axis, keep = axis % len(x.shape), keepdims
        whole = _left(x, [axis], keepdims)
    least = type(operation).__name__ == "Argmin"
    if least:
        x = call.unary("neg", x, suffix=".neg")
    again = operation.axis is None and keepdims
    made = call.node("argmax", [x], _left(x, [axis], keep), {"axis": axis, "keepdims": keep},
                     ".at" if again else "", call.symbols[0].dtype)
    return call.node("reshape", [made], whole, {"shape": list(whole)}) if again else made


@any_dtype
def cumsum(call):
    operation = call.operation
    x = call.cast(call.args[0], call.symbols[0].dtype)
    axis = operation.axis
    if axis is None:
        size = keras_shape.product(x.shape)
        x = call.node("reshape", [x], [size], {"shape": [size]}, ".flat")
        axis = 0
    return call.unary("cumsum", x, {"axis": axis % len(x.shape)})


@any_dtype
def variance(call):
    """The mean of squares around the mean; the root of it for Std."""
    operation = call.operation
    x = call.cast(call.args[0], call.symbols[0].dtype)
    axes, keepdims = _axes(operation.axis, len(x.shape)), bool(operation.keepdims)
    root = type(operation).__name__ == "Std"
    name = compositions.variance(call.tracer.builder, call.path + (".var" if root else ""), x.name,
                                 axes, keepdims, list(x.shape))
    made = call.made(name, [x], _left(x, axes, keepdims))
    return call.unary("sqrt", made) if root else made


def logsumexp(call):
    x, operation = call.args[0], call.operation
    axes, keepdims = _axes(operation.axis, len(x.shape)), bool(operation.keepdims)
    name = compositions.logsumexp(call.tracer.builder, call.path, x.name, axes, keepdims)
    return call.made(name, [x], _left(x, axes, keepdims))


@any_dtype
def prod(call):
    """A chain of products along a short axis."""
    operation = call.operation
    x = call.cast(call.args[0], call.symbols[0].dtype)
    axes = _axes(operation.axis, len(x.shape))
    size = x.shape[axes[0]]
    if len(axes) != 1 or not isinstance(size, int) or not 0 < size <= LONGEST_PRODUCT:
        return call.refuse("a product along several axes, or a long one, or one whose size is free")
    axis, ops = axes[0], call.tracer.keras.ops

    def chain(x):
        parts = ops.split(x, size, axis=axis)
        made = parts[0]
        for part in parts[1:]:
            made = made * part
        return made if operation.keepdims else ops.squeeze(made, axis)

    return call.traced(chain, x)


def _written_down(ops) -> dict:
    """Functions of an operation and its arguments, by the name of its class."""
    return {
        "Moments": lambda op, x: (ops.mean(x, op.axes, op.keepdims),
                                  ops.var(x, op.axes, op.keepdims)),
        "Normalize": lambda op, x: _normalized(ops, op, x),
        "Norm": lambda op, x: _norm(ops, x, op.ord, op.axis, op.keepdims),
        "Average": lambda op, x, weights=None: _average(ops, op, x, weights),
        "Ptp": lambda op, x: ops.max(x, op.axis, op.keepdims) - ops.min(x, op.axis, op.keepdims),
        "CountNonzero": lambda op, x: ops.sum(ops.cast(ops.not_equal(x, 0), "int32"), op.axis),
        "Nansum": lambda op, x: ops.sum(ops.where(ops.isnan(x), 0.0, x), op.axis, op.keepdims),
        "Logaddexp2": lambda _, x, y: ops.log2(ops.exp2(x) + ops.exp2(y)),
        "Diff": lambda op, x: _difference(ops, x, op.n, op.axis),
    }


def _normalized(ops, op, x):
    """x over its norm; of order 2 as Keras on TensorFlow does it, by the root's reciprocal."""
    eps = 1e-7 if op.epsilon is None else op.epsilon
    if op.order != 2:
        return x / ops.maximum(ops.norm(x, op.order, op.axis, keepdims=True), eps)
    total = ops.sum(ops.square(x), op.axis, keepdims=True)
    return x * ops.minimum(ops.rsqrt(total), 1.0 / eps)


def _norm(ops, x, order, axis, keepdims: bool):
    single = isinstance(axis, int) or axis is not None and len(axis) == 1
    if order is None or order == "fro" or order == 2 and single:
        return ops.sqrt(ops.sum(ops.square(x), axis, keepdims))
    if order == 1 and single:
        return ops.sum(ops.abs(x), axis, keepdims)
    if order == float("inf") and single:
        return ops.max(ops.abs(x), axis, keepdims)
    if not single or order == 0 or not isinstance(order, (int, float)):
        raise ValueError(f"a norm of the order {order}")
    return ops.power(ops.sum(ops.power(ops.abs(x), float(order)), axis, keepdims), 1.0 / order)


def _average(ops, op, x, weights):
    if weights is None:
        return ops.mean(x, op.axis)
    if len(weights.shape) != len(x.shape):
        shape = [1] * len(x.shape)
        shape[op.axis] = -1
        weights = ops.reshape(weights, shape)
    weights = weights + ops.zeros_like(x)
    return ops.sum(x * weights, op.axis) / ops.sum(weights, op.axis)


def _difference(ops, x, times: int, axis: int):
    for _ in range(times):
        ahead = [slice(None)] * len(x.shape)
        behind = list(ahead)
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        x = x[tuple(ahead)] - x[tuple(behind)]
    return x
