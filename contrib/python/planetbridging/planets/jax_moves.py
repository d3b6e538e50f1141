"""Primitives of JAX that move elements and compute nothing: shapes, parts, joins, padding."""

from __future__ import annotations

import numpy as np

from ..compositions import flip, tile
from . import jax_windows
from .jax_flat import Const, Step
from .jax_math import STREAM, common_order, kind_of
from .jax_sizes import Inexpressible, size
from .jax_values import Value, straight


def _concatenate(walk, step: Step) -> Value:
    """Parts joined along an axis, in an order of axes that all have, if there is one."""
    values, shape = [walk.full(item, step) for item in step.inputs], step.outputs[0].aval.shape
    axis = int(step.params["dimension"])
    order = common_order(values, [d if a != axis else None for a, d in enumerate(shape)])
    parts = [walk.laid(value, step, order) for value in values]
    return Value(tuple(shape), {order: walk.node(step, "concat", parts,
                                                 {"axis": order.index(axis)})})


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
    return cut_value(walk, step, walk.full(item, step), bounds)


def cut_value(walk, step: Step, value: Value, bounds: dict) -> Value:
    """`cut` for a value: in the order of axes that it has."""
    shape, kept = list(value.shape), {}
    for axis, (start, stop, by) in bounds.items():
        if not (by == 1 and _same(start, 0) and _same(stop, value.shape[axis])):
            kept[axis] = (start, stop, by)
            shape[axis] = -(-(stop - start) // by)
    if not kept:
        return value
    order = value.any_order()
    params = {"axes": [order.index(axis) for axis in kept],
              "starts": [size(s) for s, _, _ in kept.values()],
              "stops": [size(s) for _, s, _ in kept.values()],
              "steps": [int(s) for _, _, s in kept.values()]}
    return Value(tuple(shape),
                 {order: walk.node(step, "slice", [walk.laid(value, step, order)], params)})


def _same(a, b) -> bool:
    return str(a) == str(b)


def _reshape(walk, step: Step) -> Value | None:
    if step.primitive == "reshape" and step.params.get("dimensions") is not None:
        raise Inexpressible("reshape that transposes")

    def emit():
        return walk.reshape(step, walk.full(step.inputs[0], step), step.outputs[0].aval.shape)
    return None if jax_windows.keeps_waiting(walk, step, emit) else emit()


def _transpose(walk, step: Step) -> Value:
    return walk.full(step.inputs[0], step).transposed(step.params["permutation"])


def _broadcast(walk, step: Step) -> Value | None:
    """New axes of size 1 are a reshape; the spreading itself is left to those who use the value."""
    def emit():
        return _spread(walk, step)
    return None if jax_windows.keeps_waiting(walk, step, emit) else emit()


def _spread(walk, step: Step) -> Value:
    value, shape = walk.value(step.inputs[0], step), step.outputs[0].aval.shape
    axes = [int(axis) for axis in step.params["broadcast_dimensions"]]
    if not value.shape:
        return value
    if len(axes) != len(value.shape):
        value = walk.full(step.inputs[0], step)
    aligned = [1] * len(shape)
    for axis, extent in zip(axes, value.shape):
        aligned[axis] = extent
    if axes == sorted(axes):
        new = [axis for axis in range(len(shape)) if axis not in axes]
        return with_axes(walk, step, value, new, aligned)
    return walk.reshape(step, value, aligned)


def with_axes(walk, step: Step, value: Value, new: list[int], shape) -> Value:
    """A value with new axes of size 1 at places of the result, in the order of axes that it has."""
    if not new or value.array is not None or straight(len(value.shape)) in value.tensors:
        return walk.reshape(step, value, shape)
    old = [a for a in range(len(shape)) if a not in new]
    order = value.any_order()
    wide = tuple(new) + tuple(old[a] for a in order)
    name = walk.node(step, "unsqueeze", [value.tensors[order]], {"axes": list(range(len(new)))})
    return Value(tuple(shape), {wide: name})


def _iota(walk, step: Step) -> Value:
    """Counting along an axis; along the others it is spread."""
    shape, axis = step.outputs[0].aval.shape, int(step.params["dimension"])
    params = {"start": [0], "stop": [size(shape[axis])], "step": 1}
    name = walk.node(step, "arange", [], params)
    if kind_of(step.outputs[0]) == "f":
        name = walk.node(step, "cast", [name], {"to": STREAM["f"]})
    alone = [dim if a == axis else 1 for a, dim in enumerate(shape)]
    return walk.reshape(step, Value.plain(name, [shape[axis]]), alone)


def _dimension(walk, step: Step) -> Value:
    """A size as a value."""
    name = walk.node(step, "size", [], {"of": [size(step.params["dim"])]})
    return Value.plain(name, ())


def _reverse(walk, step: Step) -> Value:
    value = walk.full(step.inputs[0], step)
    order = value.any_order()
    axes = [order.index(int(axis)) for axis in step.params["dimensions"]]
    if not axes:
        return value
    name = flip(walk.builder, walk.path(step, "flip"), walk.laid(value, step, order), axes,
                [size(value.shape[a]) for a in order])
    return Value(tuple(value.shape), {order: name})


def _tile(walk, step: Step) -> Value:
    """The whole operand several times along each axis."""
    value = walk.full(step.inputs[0], step)
    x = walk.laid(value, step, straight(len(value.shape)))
    name = tile(walk.builder, walk.path(step, "tile"), x, [size(n) for n in step.params["reps"]],
                [size(dim) for dim in value.shape])
    return Value.plain(name, step.outputs[0].aval.shape)


def _pad(walk, step: Step) -> Value:
    """lax.pad: places of one value around and between the elements, or (below 0) elements less."""
    item, filling = step.inputs
    config = dict(enumerate(step.params["padding_config"]))
    if not all(isinstance(p, (int, np.integer)) for pads in config.values() for p in pads):
        raise Inexpressible("pad by a size that changes")
    if not isinstance(filling, Const):
        raise Inexpressible("pad with a value that is computed")
    value = walk.full(item, step)
    for axis, (_, _, inner) in config.items():
        value = _apart(walk, step, value, axis, int(inner), float(filling.array))
    more = {axis: tuple(int(max(p, 0)) for p in pair[:2]) for axis, pair in config.items()}
    less = {axis: tuple(int(max(-p, 0)) for p in pair[:2]) for axis, pair in config.items()}
    value = padded(walk, step, value, more, "constant", float(filling.array))
    return cut_value(walk, step, value, {
        axis: (low, value.shape[axis] - high, 1) for axis, (low, high) in less.items()})


def _apart(walk, step: Step, value: Value, axis: int, inner: int, filling: float) -> Value:
    """`inner` places between the elements along an axis: behind each, then without the last."""
    if not inner:
        return value
    shape = value.shape
    wide = (*shape[:axis + 1], 1, *shape[axis + 1:])
    value = padded(walk, step, walk.reshape(step, value, wide), {axis + 1: (0, inner)}, "constant",
                   filling)
    count = shape[axis] * (inner + 1)
    value = walk.reshape(step, value, (*shape[:axis], count, *shape[axis + 1:]))
    return cut_value(walk, step, value, {axis: (0, count - inner, 1)})


def padded(walk, step: Step, value: Value, pads: dict, mode: str, filling: float = 0.0) -> Value:
    """A value with (low, high) places more along axes."""
    pads = {axis: pair for axis, pair in pads.items() if pair != (0, 0)}
    if not pads:
        return value
    order = value.any_order()
    params = {"axes": [order.index(axis) for axis in pads],
              "low": [size(low) for low, _ in pads.values()],
              "high": [size(high) for _, high in pads.values()], "mode": mode, "value": filling}
    shape = [dim + sum(pads.get(axis, ())) for axis, dim in enumerate(value.shape)]
    return Value(tuple(shape), {order: walk.node(step, "pad", [walk.laid(value, step, order)],
                                                 params)})


PRIMITIVES = {
    "concatenate": _concatenate, "stack": _stack, "split": _split, "slice": _slice,
    "reshape": _reshape, "squeeze": _reshape, "expand_dims": _reshape, "transpose": _transpose,
    "broadcast_in_dim": _broadcast, "iota": _iota, "dim_as_value": _dimension, "rev": _reverse,
    "pad": _pad, "tile": _tile,
}
