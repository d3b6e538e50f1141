"""The primitives of JAX that have a word in the stream, each a function of the walk and a step."""

from __future__ import annotations

import math

import numpy as np

from . import jax_windows
from .jax_flat import Const, Ref, Step
from .jax_layers import emit_layer
from .jax_sizes import Inexpressible, size
from .jax_values import Value, straight

UNARY = {"tanh": "tanh", "logistic": "sigmoid"}
BINARY = {"add": "add", "add_any": "add", "sub": "sub", "mul": "mul"}


def _unary(op: str):
    def emit(walk, step: Step) -> Value:
        return walk.elementwise(step, op, step.inputs[0], step.outputs[0])
    return emit


def _binary(op: str):
    def emit(walk, step: Step) -> Value:
        return combine(walk, step, op, *step.inputs)
    return emit


def combine(walk, step: Step, op: str, left, right) -> Value:
    """A node of two operands; what they lack of the result's size, later operations spread."""
    values = [walk.value(left, step), walk.value(right, step)]
    rank = max(len(v.shape) for v in values)
    pairs = zip(*[(1,) * (rank - len(v.shape)) + tuple(v.shape) for v in values])
    order = _common_order(values)
    names = [v.tensors[order] if order in v.tensors else
             walk.laid(v, step, straight(len(v.shape))) for v in values]
    return Value(tuple(b if a == 1 else a for a, b in pairs),
                 {order: walk.node(step, op, names)})


def _common_order(values) -> tuple:
    """An order of axes that both operands have, numbers aside; the network's own if none."""
    rank = max(len(v.shape) for v in values)
    whole = [v for v in values if v.shape]
    if whole and all(len(v.shape) == rank for v in whole):
        shared = [o for o in whole[0].tensors if all(o in v.tensors for v in whole)]
        if shared and straight(rank) not in shared:
            return shared[0]
    return straight(rank)


def _div(walk, step: Step) -> Value:
    """A division; of a sum by the number of its elements, a mean."""
    left, right = step.inputs
    if id(left) in walk.sums:
        return jax_windows.mean(walk, step, walk.sums[id(left)], right)
    return combine(walk, step, "div", left, right)


def _max(walk, step: Step) -> Value:
    """The maximum with zero is relu; no other has a word."""
    for x, zero in (step.inputs, step.inputs[::-1]):
        if isinstance(zero, Const) and isinstance(x, Ref) and not np.any(np.asarray(zero.array)):
            return walk.elementwise(step, "relu", x, x)
    raise Inexpressible("max with anything but 0")


def _negate(walk, step: Step) -> Value:
    return combine(walk, step, "mul", step.inputs[0], walk.number(-1, step.outputs[0].aval.dtype))


def _square(walk, step: Step) -> Value:
    if step.params.get("y", 2) != 2:
        raise Inexpressible(f"integer_pow with exponent {step.params['y']}")
    return combine(walk, step, "mul", step.inputs[0], step.inputs[0])


def _concatenate(walk, step: Step) -> Value:
    """Parts joined along an axis, in an order of axes that all have, if there is one."""
    values, shape = [walk.full(item, step) for item in step.inputs], step.outputs[0].aval.shape
    order = _common_order(values)
    params = {"axis": order.index(int(step.params["dimension"]))}
    parts = [walk.laid(value, step, order) for value in values]
    return Value(tuple(shape), {order: walk.node(step, "concat", parts, params)})


def _stack(walk, step: Step) -> Value:
    """Parts with a new axis of size 1, along which they are joined."""
    axis, parts = int(step.params["axis"]), []
    for item in step.inputs:
        value = walk.full(item, step)
        wide = (*value.shape[:axis], 1, *value.shape[axis:])
        parts.append(walk.laid(walk.reshape(step, value, wide), step, straight(len(wide))))
    return Value.plain(walk.node(step, "concat", parts, {"axis": axis}), step.outputs[0].aval.shape)


def _split(walk, step: Step) -> list:
    axis, start, made = int(step.params["axis"]), 0, []
    for ref, extent in zip(step.outputs, step.params["sizes"]):
        bounds = {axis: (start, start + extent, 1)}
        made.append(cut(walk, step, step.inputs[0], bounds) if walk.used(ref) else None)
        start = start + extent
    return made


def _slice(walk, step: Step) -> Value:
    p = step.params
    steps = p["strides"] or (1,) * len(p["start_indices"])
    bounds = enumerate(zip(p["start_indices"], p["limit_indices"], steps))
    return cut(walk, step, step.inputs[0], dict(bounds))


def cut(walk, step: Step, item, bounds: dict) -> Value:
    """The elements of an operand from start to stop by steps, by axis."""
    value = walk.full(item, step)
    shape, kept = list(value.shape), {}
    for axis, (start, stop, by) in bounds.items():
        if not (by == 1 and _same(start, 0) and _same(stop, value.shape[axis])):
            kept[axis] = (start, stop, by)
            shape[axis] = -(-(stop - start) // by)
    if not kept:
        return value
    params = {"axes": list(kept), "starts": [size(s) for s, _, _ in kept.values()],
              "stops": [size(s) for _, s, _ in kept.values()],
              "steps": [int(s) for _, _, s in kept.values()]}
    return Value.plain(walk.node(step, "slice", [walk.name(item, step)], params), shape)


def _same(a, b) -> bool:
    return str(a) == str(b)


def _gather(walk, step: Step) -> Value:
    """Indexing with numbers: JAX says slices of an array with symbolic sizes in this way."""
    item, indices = step.inputs
    how, extents = step.params["dimension_numbers"], step.params["slice_sizes"]
    if not isinstance(item, (Ref, Const)) or not walk.sized.knows(indices) \
            or how.operand_batching_dims:
        raise Inexpressible("gather with indices that are computed")
    shape = indices.aval.shape if isinstance(indices, Ref) else np.shape(indices.array)
    axes, made = how.start_index_map, step.outputs[0].aval.shape
    if len(shape) == 1:
        starts = walk.sized.dims(indices)
        bounds = {a: (start, start + extents[a], 1) for a, start in zip(axes, starts)}
        return _cut_as(walk, step, item, bounds, made)
    return _pick(walk, step, item, indices, axes, how, extents, made)


def _cut_as(walk, step: Step, item, bounds: dict, shape) -> Value:
    """A slice without the axes along which it has one element."""
    value = cut(walk, step, item, bounds)
    name = walk.laid(value, step, straight(len(value.shape)))
    if name not in walk.taps:
        walk.tap_as(name, step.outputs[0], value.shape)
    return walk.reshape(step, value, shape)


def _pick(walk, step, item, indices, axes, how, extents, made) -> Value:
    """A slice with a step, or elements along one axis, and plain slices along others."""
    given = np.asarray(indices.array) if isinstance(indices, Const) else np.zeros((0, 0))
    along = how.collapsed_slice_dims
    if given.ndim != 2 or not len(given) or len(along) != 1 \
            or tuple(how.offset_dims) != tuple(a for a in range(len(made)) if a != along[0]):
        raise Inexpressible("gather along several axes")
    axis, column = int(along[0]), tuple(axes).index(along[0])
    others = {a: n for n, a in enumerate(axes) if n != column}
    if (given[:, list(others.values())] != given[0, list(others.values())]).any():
        raise Inexpressible("gather along several axes")
    rest = {a: (int(given[0, n]), int(given[0, n]) + extents[a], 1) for a, n in others.items()}
    places = given[:, column].astype(np.int64)
    by = int(places[1] - places[0]) if len(places) > 1 else 1
    if by >= 1 and (np.diff(places) == by).all():
        bounds = {axis: (int(places[0]), int(places[-1]) + 1, by), **rest}
        return _cut_as(walk, step, item, bounds, made)
    value = cut(walk, step, item, rest)
    x = walk.laid(value, step, straight(len(value.shape)))
    ids = walk.name(walk.number(places, np.int64), step)
    return Value.plain(walk.node(step, "gather", [x, ids], {"axis": axis}), made)


def _take(walk, step: Step) -> Value:
    """jax.numpy.take: outside the axis it gives NaN, the stream refuses the index."""
    inputs = [walk.name(item, step) for item in step.inputs]
    params = {"axis": int(step.params["axis"])}
    return Value.plain(walk.node(step, "gather", inputs, params), step.outputs[0].aval.shape)


def _convert(walk, step: Step) -> Value:
    """Integers that the network only ever takes as floats come as floats."""
    item, new = step.inputs[0], step.outputs[0].aval.dtype
    if any(item is ref for ref in walk.flat.inputs) and walk.input_dtype(item) == "float32":
        return walk.value(item, step)
    old = item.aval.dtype if isinstance(item, Ref) else np.asarray(item.array).dtype
    if old.kind in "iu" and new.kind in "iu":
        return walk.value(item, step)
    raise Inexpressible(f"a conversion of {old} to {new}")


def _reshape(walk, step: Step) -> Value | None:
    if step.primitive == "reshape" and step.params.get("dimensions") is not None:
        raise Inexpressible("reshape that transposes")
    if jax_windows.is_kept_sum(walk, step):
        return None
    return walk.reshape(step, walk.full(step.inputs[0], step), step.outputs[0].aval.shape)


def _transpose(walk, step: Step) -> Value:
    return walk.full(step.inputs[0], step).transposed(step.params["permutation"])


def _broadcast(walk, step: Step) -> Value | None:
    """New axes of size 1 are a reshape; the spreading itself is left to those who use the value."""
    if jax_windows.is_kept_sum(walk, step):
        return None
    value, shape = walk.value(step.inputs[0], step), step.outputs[0].aval.shape
    axes = step.params["broadcast_dimensions"]
    if not value.shape:
        return value
    if len(axes) != len(value.shape):
        raise Inexpressible("broadcast_in_dim of a broadcast value")
    aligned = [1] * len(shape)
    for axis, extent in zip(axes, value.shape):
        aligned[axis] = extent
    return walk.reshape(step, value, aligned)


def _product(walk, step: Step) -> Value:
    """A product with a weight: the last axes of the value with any axes of the weight."""
    (inner, outer), batch = step.params["dimension_numbers"]
    x, weight = step.inputs
    if not isinstance(x, Ref) or not isinstance(weight, Const) or any(batch):
        raise Inexpressible("dot_general of two values, or of a weight from the left")
    rank = len(x.aval.shape)
    if tuple(inner) != tuple(range(rank - len(inner), rank)):
        raise Inexpressible("dot_general over other axes than the last")
    array = np.asarray(weight.array)
    free = [axis for axis in range(array.ndim) if axis not in outer]
    lead, sizes_in = x.aval.shape[:rank - len(inner)], [array.shape[axis] for axis in outer]
    value = walk.reshape(step, walk.full(x, step), lead + (math.prod(sizes_in),), "dense.in")
    axes, key = ("i", "o"), (id(weight), tuple(outer))
    if array.ndim == 2 and len(free) == 1:
        axes = ("i", "o") if tuple(outer) == (0,) else ("o", "i")
    else:
        array = array.transpose(*outer, *free).reshape(math.prod(sizes_in), -1)
    name = walk.builder.dense(walk.path(step, "dense"),
                              walk.laid(value, step, straight(len(value.shape))), array, axes=axes,
                              keys=(key, None), sources=(weight.source, ""))
    flat = Value.plain(name, lead + (array.shape[axes.index("o")],))
    walk.tap_as(name, step.outputs[0], flat.shape)
    return walk.reshape(step, flat, step.outputs[0].aval.shape, "dense.out")


PRIMITIVES = {
    "planetbridging_leaf": emit_layer, "dot_general": _product, "max": _max, "neg": _negate,
    "integer_pow": _square, "square": _square, "concatenate": _concatenate, "stack": _stack,
    "split": _split, "slice": _slice, "gather": _gather, "take": _take, "reshape": _reshape,
    "squeeze": _reshape, "expand_dims": _reshape, "transpose": _transpose,
    "broadcast_in_dim": _broadcast, "convert_element_type": _convert, "div": _div,
    **jax_windows.PRIMITIVES,
    **{name: _unary(op) for name, op in UNARY.items()},
    **{name: _binary(op) for name, op in BINARY.items()},
}

ANY_DTYPE = {"slice", "split", "gather", "take", "reshape", "squeeze", "expand_dims", "transpose",
             "broadcast_in_dim", "concatenate", "stack", "convert_element_type"}
"""What moves elements and computes nothing: integers and truth values too."""
