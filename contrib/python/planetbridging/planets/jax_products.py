"""Products of JAX: dot_general with a weight or of two values, and convolutions of any layout."""

from __future__ import annotations

import math

import numpy as np

from .jax_flat import Const, Ref, Step
from .jax_moves import cut_value
from .jax_sizes import Inexpressible
from .jax_values import Value

MOST = 3
"""Axes that a kernel may have."""


def _product(walk, step: Step) -> Value:
    """A product with a weight is a dense layer, of two values a matmul."""
    (left, right), (batch, _) = step.params["dimension_numbers"]
    a, b = step.inputs
    if step.outputs[0].aval.dtype.kind != "f":
        raise Inexpressible(f"dot_general of {step.outputs[0].aval.dtype} values")
    if not batch and isinstance(b, Const) and left:
        return _dense(walk, step, a, left, b, right)
    if not batch and isinstance(a, Const) and left:
        made = _dense(walk, step, b, right, a, left)
        rank, free = len(made.shape), len(b.aval.shape) - len(right)
        # JAX puts the axes of the left operand first.
        return made.transposed((*range(free, rank), *range(free)))
    return _matmul(walk, step)


def _shape(item) -> tuple:
    return tuple(item.aval.shape) if isinstance(item, Ref) else np.shape(item.array)


def _dense(walk, step: Step, x, inner, weight: Const, outer) -> Value:
    """A dense node: axes `inner` of x, brought to the end, with axes `outer` of the weight."""
    array, shape = np.asarray(weight.array), x.aval.shape
    free = [axis for axis in range(array.ndim) if axis not in outer]
    lead = [axis for axis in range(len(shape)) if axis not in inner]
    order = (*lead, *inner)
    value = _grouped(walk, step, walk.full(x, step), [[a] for a in lead] + [list(inner)],
                     "dense.in")
    axes, key = ("i", "o"), (id(weight), tuple(outer))
    if array.ndim == 2 and len(free) == 1:
        axes = ("i", "o") if tuple(outer) == (0,) else ("o", "i")
    else:
        array = array.transpose(*outer, *free).reshape(math.prod(shape[a] for a in inner), -1)
    name = walk.builder.dense(product_name(walk, step, weight, "dense"), value, array, axes=axes,
                              keys=(key, None), sources=(weight.source, ""))
    flat = Value.plain(name, [*(shape[a] for a in lead), array.shape[axes.index("o")]])
    result = [*(shape[a] for a in order[:len(lead)]), *(weight.array.shape[a] for a in free)]
    if tuple(result) == tuple(step.outputs[0].aval.shape):
        walk.tap_as(name, step.outputs[0], flat.shape)
    return walk.reshape(step, flat, result, "dense.out")


def product_name(walk, step: Step, weight: Const, word: str) -> str:
    """What to call a product outside of Flax's modules: what its weight belongs to."""
    from .jax_trace import source_name

    owner = source_name(weight.source).rpartition(".")[0]
    return walk.path(step, word) if not owner or (step.scope and step.scope[1]) else owner


def _grouped(walk, step: Step, value: Value, groups: list[list[int]], suffix: str) -> str:
    """The tensor whose axes are the products of groups of a value's axes."""
    turned = value.transposed([axis for group in groups for axis in group])
    shape = [math.prod(value.shape[axis] for axis in group) for group in groups]
    made = walk.reshape(step, turned, shape, suffix)
    return walk.laid(made, step, tuple(range(len(shape))))


def _matmul(walk, step: Step) -> Value:
    """Two values: axes that stay with each other first, then rows, sums, columns."""
    (left, right), (batch_a, batch_b) = step.params["dimension_numbers"]
    (a, b), shapes = step.inputs, [_shape(item) for item in step.inputs]
    rows, columns = ([axis for axis in range(len(shape)) if axis not in (*inner, *batch)]
                     for shape, inner, batch in zip(shapes, (left, right), (batch_a, batch_b)))
    x = _grouped(walk, step, walk.full(a, step), [*([n] for n in batch_a), rows, list(left)],
                 "matmul.left")
    y = _grouped(walk, step, walk.full(b, step), [*([n] for n in batch_b), list(right), columns],
                 "matmul.right")
    name = walk.node(step, "matmul", [x, y])
    made = [shapes[0][axis] for axis in batch_a] + [
        math.prod(shape[axis] for axis in axes) for shape, axes in zip(shapes, (rows, columns))]
    walk.tap_as(name, step.outputs[0], made)
    return walk.reshape(step, Value.plain(name, made), step.outputs[0].aval.shape, "matmul.out")


def _conv(walk, step: Step) -> Value:
    """lax.conv_general_dilated: a convolution, or (where the input has gaps) a transposed one."""
    p, (x, kernel) = step.params, step.inputs
    n = len(p["window_strides"])
    if not isinstance(kernel, Const):
        raise Inexpressible("conv_general_dilated with a kernel that depends on the inputs")
    if not 1 <= n <= MOST or int(p["batch_group_count"]) != 1:
        raise Inexpressible(f"conv_general_dilated over {n} axes"
                            if n > MOST or n == 0 else "conv_general_dilated with batch groups")
    if not all(isinstance(pad, int) for pair in p["padding"] for pad in pair):
        raise Inexpressible("padding SAME with a stride, which depends on the size")
    numbers = p["dimension_numbers"]
    value = walk.full(x, step).transposed(numbers.lhs_spec)
    weight = np.asarray(kernel.array).transpose(numbers.rhs_spec)
    op = _transposed if set(p["lhs_dilation"]) != {1} else _plain
    made = op(walk, step, value, weight)
    # The axes of what was made are batch, channel, places; the network's own stand elsewhere.
    back = [tuple(numbers.out_spec).index(axis) for axis in range(n + 2)]
    return made.transposed(back)


def _plain(walk, step: Step, value: Value, weight) -> Value:
    """A convolution; padding below 0 takes places away before."""
    p, n = step.params, weight.ndim - 2
    less = {a + 2: (max(-low, 0), value.shape[a + 2] - max(-high, 0), 1)
            for a, (low, high) in enumerate(p["padding"])}
    if any(pad < 0 for pair in p["padding"] for pad in pair):
        value = cut_value(walk, step, value, less)
    params = {"stride": _ints(p["window_strides"]), "dilation": _ints(p["rhs_dilation"]),
              "pad_low": [max(int(low), 0) for low, _ in p["padding"]],
              "pad_high": [max(int(high), 0) for _, high in p["padding"]]}
    return _kernel_node(walk, step, f"conv{n}", value, weight, params, _out_shape(step))


def _ints(values) -> list[int]:
    return [int(value) for value in values]


def _out_shape(step: Step) -> list:
    """The result's shape as batch, channel, places."""
    return [step.outputs[0].aval.shape[a] for a in step.params["dimension_numbers"].out_spec]


def _kernel_node(walk, step: Step, op: str, value: Value, weight, params: dict, shape) -> Value:
    kernel = step.inputs[1]
    rank = weight.ndim
    order = tuple(range(rank))
    x = walk.laid(value, step, order)
    groups = int(step.params["feature_group_count"])
    name = walk.builder.unique(product_name(walk, step, kernel, op))
    axes = "fc" + "dhw"[5 - rank:] if rank > 3 else "fcw"
    tensor = walk.builder.tensor(name, "weight", weight, key=(id(kernel), op), axes=list(axes),
                                 source=kernel.source)
    params = {"in_channels": weight.shape[1] * groups, "out_channels": weight.shape[0],
              "groups": groups, "kernel": list(weight.shape[2:]), "bias": False, **params}
    walk.layer(name, op, [x], params, [tensor])
    return Value(tuple(shape), {order: name})


def _transposed(walk, step: Step, value: Value, weight) -> Value:
    """Gaps in the input: a transposed convolution of the flipped kernel, all of it where the
    strides are not 1, of which then some places stay."""
    p, n = step.params, weight.ndim - 2
    flipped = np.flip(weight, tuple(range(2, n + 2)))
    wide = [(k - 1) * d for k, d in zip(weight.shape[2:], p["rhs_dilation"])]
    params = {"stride": _ints(p["lhs_dilation"]), "dilation": _ints(p["rhs_dilation"]),
              "pad_low": [int(w - low) for w, (low, _) in zip(wide, p["padding"])],
              "pad_high": [int(w - high) for w, (_, high) in zip(wide, p["padding"])]}
    shape = _out_shape(step)
    places = [(dim - 1) * s + w + 1 - low - high for dim, s, w, low, high in zip(
        value.shape[2:], p["lhs_dilation"], wide, params["pad_low"], params["pad_high"])]
    made = _kernel_node(walk, step, f"convtranspose{n}", value, flipped, params,
                        [*shape[:2], *places])
    stride = {a + 2: (0, places[a], int(s)) for a, s in enumerate(p["window_strides"])}
    return cut_value(walk, step, made, stride)


PRIMITIVES = {"dot_general": _product, "conv_general_dilated": _conv}
