"""What Keras does to move values about: transposes, slices, splits, stacks, picking by index.

These work on integers and truth values too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import compositions
from . import keras_shape
from .keras_arrange import from_start
from .keras_call import Value, any_dtype, takes_mask

INTEGERS = (int, np.integer)


@dataclass(frozen=True)
class Cut:
    """A range of one axis: its bounds, as a size or an expression, its step, how much it leaves."""

    start: int | str
    stop: int | str
    step: int
    left: int | str


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    return {"Transpose": transpose, "Swapaxes": swapaxes, "Moveaxis": moveaxis, "GetItem": getitem,
            "Slice": slice_, "Split": split, "Stack": stack, "Take": take}


@takes_mask
@any_dtype
def permute(call):
    return call.transpose(call.args[0], [0, *call.operation.dims])


@any_dtype
def transpose(call):
    x, axes = call.args[0], call.operation.axes
    return call.transpose(x, range(len(x.shape))[::-1] if axes is None else axes)


@any_dtype
def swapaxes(call):
    x, operation = call.args[0], call.operation
    perm = list(range(len(x.shape)))
    a, b = operation.axis1, operation.axis2
    perm[a], perm[b] = perm[b], perm[a]
    return call.transpose(x, perm)


@any_dtype
def moveaxis(call):
    x, operation = call.args[0], call.operation
    rank = len(x.shape)
    sources, targets = _axes(operation.source, rank), _axes(operation.destination, rank)
    rest = iter(axis for axis in range(rank) if axis not in sources)
    places = dict(zip(targets, sources))
    return call.transpose(x, [places[a] if a in places else next(rest) for a in range(rank)])


def _axes(given, rank: int) -> list[int]:
    return [axis % rank for axis in (given if isinstance(given, (list, tuple)) else [given])]


@any_dtype
def getitem(call):
    """Indexing as in Python: integers and new axes by a reshape behind the slice."""
    x, key = call.args[0], call.args[1]
    key = list(key) if isinstance(key, (list, tuple)) else [key]
    if not all(item is None or item is Ellipsis or isinstance(item, (*INTEGERS, slice))
               for item in key):
        return call.refuse("an index that is neither a number nor a slice")
    key = _spread(key, len(x.shape))
    cuts = [cut(item, size) for item, size in zip((i for i in key if i is not None), x.shape)]
    problems = [found for found in cuts if isinstance(found, str)]
    if problems:
        return call.refuse(problems[0])
    return _taken(call, x, cuts, _shape_of(key, iter(cuts)))


def _shape_of(key: list, cuts) -> list:
    """What an index leaves: a new axis is one of 1, a number takes its axis away."""
    shape = []
    for item in key:
        left = 1 if item is None else next(cuts).left
        if item is None or isinstance(item, slice):
            shape.append(left)
    return shape


def _spread(key: list, rank: int) -> list:
    """The key with its ellipsis, said or not, as slices of everything."""
    if Ellipsis not in key:
        key = [*key, Ellipsis]
    at = key.index(Ellipsis)
    missing = rank - sum(item is not None for item in key) + 1
    return key[:at] + [slice(None)] * missing + key[at + 1:]


def cut(item, size) -> Cut | str:
    """What an index or slice takes of an axis, or what is wrong with it.

    A size that is free counts as long enough; the runtime refuses a slice that goes past the end.
    """
    if size is None:
        return "a slice of an axis whose size is not known"
    if not isinstance(item, slice):
        return Cut(_place(item, size), keras_shape.plus(_place(item, size), 1), 1, 1)
    step = 1 if item.step is None else item.step
    if not all(isinstance(n, (*INTEGERS, type(None))) for n in (item.start, item.stop, step)):
        return "a slice whose bounds are values"
    if step < 1:
        return f"a slice with the step {step}"
    if isinstance(size, int):
        start, stop, step = item.indices(size)
        return Cut(start, max(start, stop), step, len(range(start, stop, step)))
    return _open_cut(item, size, int(step))


def _open_cut(item: slice, size: str, step: int) -> Cut | str:
    """A slice of an axis whose size is an expression."""
    start = 0 if item.start is None else int(item.start)
    stop = None if item.stop is None else int(item.stop)
    from_end = stop is None or stop < 0
    if (start < 0) and not from_end:
        return "a slice from a place counted from the end to one counted from the beginning"
    many = (stop or 0) - start
    if (start < 0) == from_end:
        left = max(0, -(-many // step))
    else:
        left = keras_shape.plus(size, many + step - 1)
        left = left if step == 1 else f"({left}//{step})"
    return Cut(_place(start, size), size if stop is None else _place(stop, size), step, left)


def _place(index, size):
    """An index counted from the end as one from the beginning."""
    return int(index) if index >= 0 else keras_shape.plus(size, int(index))


def _taken(call, x: Value, cuts: list[Cut], shape) -> Value:
    """The slices of all axes, then a reshape where axes come or go."""
    real = {axis: c for axis, c in enumerate(cuts)
            if (c.start, c.step) != (0, 1) or c.left != x.shape[axis]}
    whole = [c.left for c in cuts]
    gone = whole != list(shape)
    made = x
    if real:
        params = {"axes": list(real), "starts": [c.start for c in real.values()],
                  "stops": [c.stop for c in real.values()],
                  "steps": [c.step for c in real.values()]}
        made = call.node("slice", [x], whole, params, ".slice" if gone else "")
    return call.node("reshape", [made], shape, {"shape": list(shape)}) if gone else made


@any_dtype
def slice_(call):
    x, starts, sizes = call.args[0], call.args[1], call.operation.shape
    if any(isinstance(n, Value) for n in starts):
        return call.refuse("a slice whose bounds are values")
    ends = [None if size == -1 else int(start) + size for start, size in zip(starts, sizes)]
    cuts = [cut(slice(int(start), end), size) for start, end, size in zip(starts, ends, x.shape)]
    return _taken(call, x, cuts, [c.left for c in cuts])


@any_dtype
def split(call):
    """A slice for each part."""
    x, operation = call.args[0], call.operation
    axis, where = operation.axis % len(x.shape), operation.indices_or_sections
    size = x.shape[axis]
    if isinstance(where, int):
        if not isinstance(size, int):
            return call.refuse("a split of an axis whose size is free")
        where = range(size // where, size, size // where)
    ends = [0, *(int(index) for index in where), None]
    made = []
    for n, (start, stop) in enumerate(zip(ends, ends[1:])):
        cuts = [cut(slice(start, stop) if a == axis else slice(None), s)
                for a, s in enumerate(x.shape)]
        part = call.part(operation, str(n))
        if any(isinstance(c, str) for c in cuts):
            return call.refuse("a split of a value whose sizes are not known")
        made.append(_taken(part, x, cuts, [c.left for c in cuts]))
    return made


@any_dtype
def stack(call):
    values = [call.value(v, call.symbols[0].dtype) for v in call.args[0]]
    axis = call.operation.axis % (len(values[0].shape) + 1)
    name = compositions.stack(call.tracer.builder, call.path, [v.name for v in values], axis)
    shape = values[0].shape
    return call.made(name, values, (*shape[:axis], len(values), *shape[axis:]))


@any_dtype
def take(call):
    """Rows by index; an index counted from the end is turned where it is written down."""
    data, indices, axis = call.args[0], call.args[1], call.operation.axis
    data = call.value(data, call.symbols[0].dtype)
    if axis is None:
        size = keras_shape.product(data.shape)
        data, axis = call.node("reshape", [data], [size], {"shape": [size]}, ".flat"), 0
    axis = axis % len(data.shape)
    if isinstance(indices, Value):
        indices = from_start(call, call.value(indices, "int64"), data.shape[axis])
    else:
        indices = _constant_indices(call, np.asarray(indices), data.shape[axis])
    if indices is None:
        return call.refuse("indices counted from the end of an axis whose size is free")
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1:])
    return call.node("gather", [data, indices], shape, {"axis": axis})


def _constant_indices(call, array: np.ndarray, size) -> Value | None:
    if (array < 0).any():
        if not isinstance(size, int):
            return None
        array = np.where(array < 0, array + size, array)
    array = array.astype(np.int64)
    return Value(call.tracer.builder.constant(call.path + ".indices", array), array.shape, "int64")
