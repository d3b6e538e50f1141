"""Indexing of JAX: slices at known places, rows by computed places, elements along an axis.

JAX gives NaN, or the nearest element, for a place outside (as its mode says); the stream's gather
refuses such a place, naming it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jax.lax import GatherScatterMode

from ..compositions import index_many
from .jax_flat import Const, Ref, Step
from .jax_math import joined
from .jax_moves import cut, cut_value
from .jax_products import product_name
from .jax_sizes import Inexpressible, size
from .jax_values import Value, straight


def shape_of(item) -> tuple:
    return tuple(item.aval.shape) if isinstance(item, Ref) else np.shape(item.array)


def _gather(walk, step: Step) -> Value:
    """Indexing: JAX also says slices of an array with symbolic sizes in this way."""
    item, indices = step.inputs
    how, extents = step.params["dimension_numbers"], step.params["slice_sizes"]
    if walk.sized.knows(indices) and not how.operand_batching_dims:
        bounds = _start(walk, item, indices, how, extents) if len(shape_of(indices)) == 1 \
            else _stride(indices, how, extents)
        if bounds is not None:
            return _in_shape(walk, step, cut(walk, step, item, bounds))
    rows = _rows(walk, step)
    made = _embedding(walk, step, rows) if _is_table(step, rows) else _gathered(walk, step, rows)
    return _in_shape(walk, step, made)


def _start(walk, item, indices, how, extents) -> dict | None:
    """(start, stop, step) by axis for one place, a number or an expression of sizes."""
    try:
        starts = walk.sized.dims(indices)
    except Inexpressible:
        return None
    shape, bounds = shape_of(item), {a: (0, extent, 1) for a, extent in enumerate(extents)}
    for axis, start in zip(how.start_index_map, starts):
        start = clamped(start, shape[axis], extents[axis])
        bounds[axis] = (start, start + extents[axis], 1)
    return bounds


def clamped(start, extent, part):
    """A start such that a slice of `part` elements stays inside, as JAX has it, where all three are
    numbers."""
    if all(isinstance(number, int) for number in (start, extent, part)):
        return min(max(start, 0), extent - part)
    return start


def _stride(indices, how, extents) -> dict | None:
    """(start, stop, step) by axis for places that count up along one axis."""
    given = np.asarray(indices.array) if isinstance(indices, Const) else np.zeros((0, 0))
    along = tuple(how.collapsed_slice_dims)
    if given.ndim != 2 or not len(given) or len(along) != 1 \
            or tuple(how.offset_dims) != tuple(a for a in range(len(extents)) if a != along[0]):
        return None
    column = tuple(how.start_index_map).index(along[0])
    others = {int(a): n for n, a in enumerate(how.start_index_map) if n != column}
    by = int(given[1, column] - given[0, column]) if len(given) > 1 else 1
    steps = np.diff(given, axis=0)
    if by < 1 or (steps[:, column] != by).any() or (np.delete(steps, column, 1) != 0).any():
        return None
    bounds = {a: (0, extent, 1) for a, extent in enumerate(extents)}
    bounds |= {a: (int(given[0, n]), int(given[0, n]) + extents[a], 1) for a, n in others.items()}
    return bounds | {int(along[0]): (int(given[0, column]), int(given[-1, column]) + 1, by)}


def _in_shape(walk, step: Step, value: Value) -> Value:
    """What an indexing takes, with or without the axes along which that is one element."""
    if len(value.shape) == len(step.outputs[0].aval.shape):
        return value
    name = walk.laid(value, step, straight(len(value.shape)))
    if name not in walk.taps:
        walk.tap_as(name, step.outputs[0], value.shape)
    return walk.reshape(step, value, step.outputs[0].aval.shape)


@dataclass
class Rows:
    """An indexing taken apart: for each sample along `batch` axes, rows at the places along `axes`.

    `value` is the operand as [batch..., axes..., rest...]; `places` a value of int64 for each of
    `axes`, of the indices' own shape `shape` without the last axis.  Of the result, `made` without
    the axes of windows of one row, the axes `offsets` are those of `rest`.
    """

    value: Value
    batch: int
    axes: list[int]
    places: list[Value]
    shape: tuple
    made: tuple
    offsets: list[int]


def _rows(walk, step: Step) -> Rows:
    item, indices = step.inputs
    how, extents = step.params["dimension_numbers"], step.params["slice_sizes"]
    shape, batch = shape_of(item), [int(a) for a in how.operand_batching_dims]
    whole = [str(extent) == str(size) for extent, size in zip(extents, shape)]
    columns = {int(a): n for n, a in enumerate(how.start_index_map)
               if not (whole[a] and step.params["mode"] == GatherScatterMode.CLIP)}
    axes = list(columns)
    gone = {int(a) for a in how.collapsed_slice_dims}
    if any(extents[a] != 1 if a in axes else not whole[a] for a in range(len(shape))
           if a not in batch and a not in gone):
        raise Inexpressible("gather of windows at computed places")
    rest = [a for a in range(len(shape)) if a not in (*batch, *axes)]
    # Axes of one element that are gone without an index stay as the last ones.
    rest = [a for a in rest if a not in gone] + [a for a in rest if a in gone]
    value = walk.full(item, step).transposed([*batch, *axes, *rest])
    places = [_place(walk, step, indices, n, shape[axis]) for axis, n in columns.items()]
    windows = [a for a in range(len(shape)) if a not in batch and a not in gone]
    ones = [int(o) for a, o in zip(windows, how.offset_dims) if a in axes]
    kept = [a for a in range(len(step.outputs[0].aval.shape)) if a not in ones]
    return Rows(value, len(batch), axes, places, shape_of(indices)[:-1],
                tuple(step.outputs[0].aval.shape[a] for a in kept),
                [kept.index(int(o)) for o in how.offset_dims if int(o) not in ones])


def _place(walk, step: Step, indices, n: int, extent) -> Value:
    """Column `n` of the places, within the axis where JAX moves it there."""
    whole = walk.full(indices, step)
    lead = len(whole.shape) - 1
    one = cut_value(walk, step, whole, {lead: (n, n + 1, 1)}) if whole.array is None else \
        Value.held(whole.array[..., n:n + 1], whole.source, (whole.key, n))
    column = walk.reshape(step, one, one.shape[:-1])
    if step.params["mode"] != GatherScatterMode.CLIP:
        return column
    least = walk.value(walk.number(0, np.int64), step)
    return joined(walk, step, "minimum", [joined(walk, step, "maximum", [column, least]),
                                          _less(walk, step, extent, 1)])


def _less(walk, step: Step, extent, less: int) -> Value:
    """extent - less"""
    if isinstance(extent, int):
        return walk.value(walk.number(extent - int(less), np.int64), step)
    return Value.plain(walk.node(step, "size", [], {"of": [size(extent - int(less))]}), ())


def _gathered(walk, step: Step, rows: Rows) -> Value:
    """The rows in the network's order of axes."""
    made = _by_sample(walk, step, rows) if rows.batch else _by_place(walk, step, rows)
    lead = iter(range(len(rows.shape)))
    inside = iter(range(len(rows.shape), len(rows.made)))
    return made.transposed([next(inside if a in rows.offsets else lead)
                            for a in range(len(rows.made))])


def _by_place(walk, step: Step, rows: Rows) -> Value:
    """[places..., rest...]: the axes of places are one axis, then its rows are taken."""
    x = walk.laid(rows.value, step, straight(len(rows.value.shape)))
    places = [walk.laid(place, step, straight(len(place.shape))) for place in rows.places]
    rest = rows.value.shape[len(rows.axes):]
    if len(places) == 1:
        name = walk.node(step, "gather", [x, places[0]], {"axis": 0})
    else:
        name = index_many(walk.builder, walk.path(step, "gather"), x, places, 0,
                          [size(dim) for dim in rows.value.shape])
    return _without_ones(walk, step, rows, Value.plain(name, (*rows.shape, *rest)))


def _without_ones(walk, step: Step, rows: Rows, made: Value) -> Value:
    """The rows without axes of one element that the network does not keep."""
    return walk.reshape(step, made, made.shape[:len(rows.made)])


def _by_sample(walk, step: Step, rows: Rows) -> Value:
    """[places..., rest...] with axes of the places that stand with axes of the operand."""
    if len(rows.axes) != 1:
        raise Inexpressible("gather along several axes within samples")
    how, n = step.params["dimension_numbers"], rows.batch
    lead = [int(axis) for axis in how.start_indices_batching_dims]
    free = [axis for axis in range(len(rows.shape)) if axis not in lead]
    shape, rest = rows.value.shape, rows.value.shape[n + 1:]
    wide = math.prod(rest)
    places = rows.places[0].transposed([*lead, *free])
    count = math.prod(rows.shape[axis] for axis in free)
    batch = [rows.shape[axis] for axis in lead]
    places = walk.reshape(step, places, (*batch, count, 1), "places")
    if not isinstance(wide, int) or wide != 1:
        places = walk.expanded(places, step, (*batch, count, wide))
    x = walk.reshape(step, rows.value, (*shape[:n + 1], wide), "rows")
    names = [walk.laid(v, step, straight(n + 2)) for v in (x, places)]
    name = walk.node(step, "gather_elements", names, {"axis": n})
    order = [*lead, *free]
    made = walk.reshape(step, Value.plain(name, (*batch, count, wide)),
                        (*(rows.shape[a] for a in order), *rest), "gathered")
    made = _without_ones(walk, step, rows, made)
    return made.transposed([*(order.index(a) for a in range(len(order))),
                            *range(len(order), len(made.shape))])


def _is_table(step: Step, rows: Rows) -> bool:
    """Whether rows of a weight are taken, which is what an embedding does."""
    table = step.inputs[0]
    return isinstance(table, Const) and bool(table.source) and np.ndim(table.array) == 2 \
        and isinstance(step.inputs[1], Ref) and np.asarray(table.array).dtype.kind != "i" \
        and not rows.batch and rows.axes == [0] and len(rows.value.shape) == 2 \
        and rows.offsets == [len(rows.shape)]


def _embedding(walk, step: Step, rows: Rows) -> Value:
    """Rows of a table; ids below 0 that JAX counts from the end are given as they come."""
    table, count = step.inputs[0], np.shape(step.inputs[0].array)[0]
    ids = _counted_from_end(walk, step.inputs[1], count)
    wrap = ids is not None and tuple(ids.aval.shape) == rows.shape
    value = walk.full(ids, step) if wrap else rows.places[0]
    outside = "nan" if step.params["mode"] == GatherScatterMode.FILL_OR_DROP else "error"
    return table_node(walk, step, table, value, outside, wrap)


def table_node(walk, step: Step, table: Const, ids: Value, outside: str, wrap: bool) -> Value:
    array = np.asarray(table.array)
    name = walk.builder.unique(product_name(walk, step, table, "embedding"))
    x = walk.laid(ids, step, straight(len(ids.shape)))
    tensor = walk.builder.tensor(name, "table", array, key=(id(table), "vd"), axes=["v", "d"],
                                 source=table.source)
    walk.layer(name, "embedding", [x], {"vocab_size": array.shape[0], "outside": outside,
                                        "embedding_dim": array.shape[1], "wrap": wrap}, [tensor])
    return Value.plain(name, (*ids.shape, array.shape[1]))


def _counted_from_end(walk, places, count: int):
    """The ids of which `places` are select(ids < 0, ids + count, ids), or None."""
    made = walk.sized.producers.get(id(places))
    while made is not None and made.primitive in ("broadcast_in_dim", "reshape", "expand_dims"):
        made = walk.sized.producers.get(id(made.inputs[0]))
    if made is None or made.primitive != "select_n":
        return None
    below, ids, more = made.inputs
    tests = [walk.sized.producers.get(id(item)) for item in (below, more)]
    same = [test is not None and test.primitive == name and test.inputs[0] is ids
            and isinstance(test.inputs[1], Const) and np.all(np.asarray(test.inputs[1].array) == n)
            for test, name, n in zip(tests, ("lt", "add"), (0, count))]
    return ids if all(same) and isinstance(ids, Ref) else None


def _take(walk, step: Step) -> Value:
    """jax.numpy.take: outside the axis it gives NaN, the stream refuses the index."""
    table, ids = step.inputs
    axis = int(step.params["axis"])
    if isinstance(table, Const) and table.source and axis == 0 and np.ndim(table.array) == 2 \
            and np.asarray(table.array).dtype.kind != "i":
        return table_node(walk, step, table, walk.full(ids, step), "nan", True)
    inputs = [walk.name(item, step) for item in step.inputs]
    return Value.plain(walk.node(step, "gather", inputs, {"axis": axis}),
                       step.outputs[0].aval.shape)


def _dynamic_slice(walk, step: Step) -> Value:
    """Slices whose starts are numbers, or the rows from a computed start on, moved inside."""
    item, *starts = step.inputs
    shape, extents = item.aval.shape if isinstance(item, Ref) else np.shape(item.array), \
        step.params["slice_sizes"]
    value = walk.full(item, step)
    for axis, (start, extent) in enumerate(zip(starts, extents)):
        if str(extent) == str(shape[axis]):
            continue
        if isinstance(start, Const) and isinstance(shape[axis], int):
            first = clamped(int(start.array), shape[axis], extent)
            value = cut_value(walk, step, value, {axis: (first, first + extent, 1)})
        else:
            value = _window(walk, step, value, axis, start, extent)
    return value


def _window(walk, step: Step, value: Value, axis: int, start, extent) -> Value:
    """`extent` elements along an axis from a computed start, which is moved inside as in JAX."""
    if not isinstance(extent, (int, np.integer)):
        raise Inexpressible("dynamic_slice of a size that changes")
    least = walk.value(walk.number(0, np.int64), step)
    most = _less(walk, step, value.shape[axis], extent)
    first = joined(walk, step, "minimum", [
        joined(walk, step, "maximum", [walk.value(start, step), least]), most])
    places = joined(walk, step, "add", [first, walk.value(walk.number(
        np.arange(extent), np.int64), step)])
    order = value.any_order()
    names = [walk.laid(value, step, order), walk.laid(places, step, (0,))]
    name = walk.node(step, "gather", names, {"axis": order.index(axis)})
    return Value((*value.shape[:axis], extent, *value.shape[axis + 1:]), {order: name})


PRIMITIVES = {"gather": _gather, "take": _take, "dynamic_slice": _dynamic_slice}
