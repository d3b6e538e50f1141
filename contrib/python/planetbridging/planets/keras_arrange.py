"""What Keras does to the places of elements beyond moving axes: pads, rolls, picks, resizes.

Rows by the class of an operation of `keras.ops`, and by the class of a layer.  All but resizing
work on integers and truth values too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import compositions
from . import keras_shape, layout
from .keras_call import Value, any_dtype, any_mode, kind, takes_mask, written
from .keras_products import to_shape

MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    found = {name: written(function) for name, function in _written_down(keras.ops).items()}
    return found | {
        "Pad": pad, "BroadcastTo": broadcast_to, "Tile": tile, "Repeat": repeat, "Roll": roll,
        "TakeAlongAxis": take_along_axis, "OneHot": one_hot, "Ravel": ravel, "Tril": triangle,
        "Triu": triangle, "Resize": resize, "DepthToSpace": depth_to_space,
        "SpaceToDepth": space_to_depth,
    }


def rows(keras) -> dict:
    """Handlers by the class of a layer."""
    layers = keras.layers
    found = {layers.RepeatVector: repeat_vector, layers.Resizing: resizing,
             layers.CenterCrop: center_crop}
    for n in (1, 2, 3):
        found[getattr(layers, f"ZeroPadding{n}D")] = zero_padding
        found[getattr(layers, f"Cropping{n}D")] = cropping
        found[getattr(layers, f"UpSampling{n}D")] = up_sampling
    return found


def inner_axes(rank: int, data_format: str) -> list[int]:
    """The axes between the batch and the channels, or behind both."""
    return list(range(rank))[slice(1, -1) if data_format == "channels_last" else slice(2, None)]


@any_dtype
def zero_padding(call):
    """A pad node, which a convolution behind it may take the place of."""
    layer, x = call.operation, call.args[0]
    pads = layer.padding if isinstance(layer.padding[0], (tuple, list)) else [layer.padding]
    axes = inner_axes(len(x.shape), getattr(layer, "data_format", "channels_last"))
    made = padded(call, x, axes, pads, "constant", 0.0)
    if axes[0] != 1:
        return made
    before = x.pads or ((0, 0),) * len(pads)
    both = tuple((a + low, b + high) for (a, b), (low, high) in zip(before, pads))
    return replace(made, bare=x.bare or x, pads=both)


def padded(call, x: Value, axes, pads, mode: str, value: float, suffix: str = "") -> Value:
    """A pad node of (low, high) elements around each of `axes`."""
    shape = list(x.shape)
    for axis, (low, high) in zip(axes, pads):
        shape[axis] = keras_shape.plus(shape[axis], low + high)
    params = {"axes": list(axes), "low": [int(p[0]) for p in pads],
              "high": [int(p[1]) for p in pads], "mode": mode, "value": value}
    return call.node("pad", [x], shape, params, suffix)


@any_dtype
def pad(call):
    """Modes as NumPy calls them; its "symmetric", which repeats the edge, has no word."""
    x, operation = call.args[0], call.operation
    value = call.argument(1, "constant_values")
    if operation.mode not in MODES:
        return call.refuse(f"keras.ops.pad with mode={operation.mode!r}")
    if isinstance(value, Value):
        return call.refuse("keras.ops.pad with a value of the network")
    widths = np.broadcast_to(np.asarray(operation.pad_width), (len(x.shape), 2)).tolist()
    real = [(axis, pair) for axis, pair in enumerate(widths) if any(pair)]
    if not real:
        return x
    return padded(call, x, *zip(*real), MODES[operation.mode], float(value or 0))


@any_dtype
def broadcast_to(call):
    x = call.args[0]
    given, lead = call.operation.shape, len(call.operation.shape) - len(x.shape)
    shape = [x.shape[n - lead] if size in (None, -1) and n >= lead else size
             for n, size in enumerate(given)]
    if None in shape or -1 in shape:
        return call.refuse("a broadcast to a size that is not known")
    return call.node("expand", [x], shape, {"shape": [int(n) if not isinstance(n, str) else n
                                                      for n in shape]})


@any_dtype
def tile(call):
    x, repeats = call.args[0], call.operation.repeats
    repeats = [repeats] if isinstance(repeats, int) else [int(n) for n in repeats]
    shape = [1] * (len(repeats) - len(x.shape)) + list(x.shape)
    counts = [1] * (len(shape) - len(repeats)) + repeats
    name = compositions.tile(call.tracer.builder, call.path, x.name, counts, shape)
    return call.made(name, [x], [compositions.times(*pair) for pair in zip(counts, shape)])


@any_dtype
def repeat(call):
    """Each element a number of times; numbers of their own are places to gather from."""
    x, operation = call.args[0], call.operation
    axis, many = operation.axis, np.asarray(operation.repeats)
    if axis is None:
        x = to_shape(call, x, [keras_shape.product(x.shape)], ".flat")
        axis = 0
    axis %= len(x.shape)
    if many.size == 1:
        return repeated(call, x, int(many.reshape(())), axis)
    at = np.repeat(np.arange(many.size), many)
    index = call.value(at, "int64")
    shape = (*x.shape[:axis], len(at), *x.shape[axis + 1:])
    return call.node("gather", [x, index], shape, {"axis": axis})


def repeated(call, x: Value, many: int, axis: int, suffix: str = "") -> Value:
    name = compositions.repeat(call.tracer.builder, call.path + suffix, x.name, many, axis,
                               list(x.shape))
    shape = list(x.shape)
    shape[axis] = compositions.times(shape[axis], many)
    return call.made(name, [x], shape)


@any_dtype
def roll(call):
    x, operation = call.args[0], call.operation
    many, axis = operation.shift, operation.axis
    if axis is None:
        return call.refuse("keras.ops.roll without an axis")
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [many] * len(axes) if isinstance(many, int) else list(many)
    axes = [a % len(x.shape) for a in axes]
    name = compositions.roll(call.tracer.builder, call.path, x.name, shifts, axes, list(x.shape))
    return call.made(name, [x], x.shape)


@any_dtype
def take_along_axis(call):
    """Axes but the picked one broadcast; places counted from the end are turned."""
    x, index = call.args[:2]
    axis = call.operation.axis
    if axis is None:
        return call.refuse("keras.ops.take_along_axis without an axis")
    x = call.value(x, call.symbols[0].dtype)
    axis %= len(x.shape)
    index = from_start(call, call.value(index, "int64"), x.shape[axis])
    if index is None:
        return call.refuse("indices along an axis whose size is not known")
    shape = [index.shape[axis] if n == axis else keras_shape.broadcast((a,), (b,))[0]
             for n, (a, b) in enumerate(zip(x.shape, index.shape))]
    wide = [size if n == axis else shape[n] for n, size in enumerate(x.shape)]
    if None in shape or None in wide:
        return call.refuse("indices of a size that is not known")
    both = [v if list(v.shape) == to else call.node("expand", [v], to, {"shape": to}, end)
            for v, to, end in ((x, wide, ".wide"), (index, shape, ".index"))]
    return call.node("gather_elements", both, shape, {"axis": axis})


def from_start(call, index: Value, size) -> Value | None:
    """Indices with those below 0 counted from the end; None if the end is not known."""
    if size is None:
        return None
    builder = call.tracer.builder
    end = call.value(size, "int64") if isinstance(size, int) else \
        Value(builder.node(call.path + ".size", "size", [], {"of": [size]}), (), "int64")
    below = call.node("less", [index, call.value(0, "int64")], index.shape, None, ".below", "bool")
    turned = call.node("add", [index, end], index.shape, None, ".turned")
    return call.node("where", [below, turned, index], index.shape, None, ".from_start", "int64")


@any_dtype
def one_hot(call):
    """A 1 for each id; an id outside gives zeros."""
    x, operation = call.args[0], call.operation
    if operation.sparse:
        return call.refuse("a sparse one_hot")
    ids, classes = call.cast(x, "int64", ".whole"), int(operation.num_classes)
    dtype = call.symbols[0].dtype
    axis = operation.axis % (len(x.shape) + 1)
    last = axis == len(x.shape) and kind(dtype) == "float32"
    path = call.path + ("" if last else ".last")
    name = compositions.one_hot(call.tracer.builder, path, ids.name, classes)
    made = call.made(name, [ids], (*x.shape, classes), "float32")
    if kind(dtype) != "float32":
        made = call.cast(made, dtype, "" if axis == len(x.shape) else ".kind")
    if axis == len(x.shape):
        return replace(made, dtype=dtype)
    rank = len(made.shape)
    perm = list(range(rank - 1))
    perm.insert(axis, rank - 1)
    return call.transpose(replace(made, dtype=dtype), perm)


@any_dtype
def ravel(call):
    x = call.args[0]
    return to_shape(call, x, [keras_shape.product(x.shape)])


@any_dtype
def triangle(call):
    """What is within the triangle of the last two axes, zero elsewhere."""
    x = call.args[0]
    zero = call.value(0, x.dtype)
    name = compositions.tri(call.tracer.builder, call.path, x.name, zero.name, list(x.shape),
                            int(call.operation.k), type(call.operation).__name__ == "Tril")
    return call.made(name, [x], x.shape)


@takes_mask
@any_dtype
def repeat_vector(call):
    x, many = call.args[0], call.operation.n
    shape = [x.shape[0], many, x.shape[1]]
    row = call.node("unsqueeze", [x], (x.shape[0], 1, x.shape[1]), {"axes": [1]}, ".row")
    return call.node("expand", [row], shape, {"shape": shape})


@any_dtype
def cropping(call):
    """A slice of the inner axes."""
    layer, x = call.operation, call.args[0]
    crops = layer.cropping if isinstance(layer.cropping[0], (tuple, list)) else [layer.cropping]
    axes = inner_axes(len(x.shape), getattr(layer, "data_format", "channels_last"))
    return _cropped(call, x, [(a, *crop) for a, crop in zip(axes, crops) if any(crop)])


def _cropped(call, x: Value, crops) -> Value:
    """`crops` are (axis, low, high)."""
    if not crops:
        return x
    shape = list(x.shape)
    for axis, low, high in crops:
        shape[axis] = keras_shape.plus(shape[axis], -low - high)
    params = {"axes": [a for a, _, _ in crops], "starts": [int(low) for _, low, _ in crops],
              "stops": [keras_shape.plus(x.shape[a], -high) for a, _, high in crops],
              "steps": [1] * len(crops)}
    return call.node("slice", [x], shape, params)


@any_mode
@any_dtype
def center_crop(call):
    layer, x = call.operation, call.args[0]
    axes = inner_axes(4, layer.data_format) if len(x.shape) == 4 else \
        [a - 1 for a in inner_axes(4, layer.data_format)]
    crops, x = [], call.cast(x, call.symbols[0].dtype)
    for axis, wanted in zip(axes, (layer.height, layer.width)):
        size = x.shape[axis]
        if not isinstance(size, int) or size < wanted:
            return call.refuse("a crop of an image that is smaller, or whose size is free")
        low = (size - wanted) // 2
        crops.append((axis, low, size - wanted - low))
    return _cropped(call, x, [crop for crop in crops if any(crop[1:])])


def up_sampling(call):
    """Each element a number of times along each inner axis, or in between by a line."""
    layer, x = call.operation, call.args[0]
    data_format = getattr(layer, "data_format", None) or "channels_last"
    axes = inner_axes(len(x.shape), data_format)
    factors = [layer.size] if isinstance(layer.size, int) else list(layer.size)
    mode = getattr(layer, "interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        return call.refuse(f"interpolation={mode!r}")
    sizes = [compositions.times(x.shape[a], f) for a, f in zip(axes, factors)]
    return resized(call, x, sizes, mode, "asymmetric" if mode == "nearest" else "half_pixel",
                   data_format)


def resized(call, x: Value, sizes, mode: str, places: str, data_format: str,
            suffix: str = "") -> Value:
    """A resize node of the inner axes, which come last for it."""
    rank = len(x.shape)
    last = data_format == "channels_last"
    turned = call.transpose(x, layout.channels_first(rank), suffix + ".in") if last else x
    if last:
        call.tracer.is_turned(turned, x, layout.channels_first(rank))
    params = {"mode": "linear" if mode == "bilinear" else mode, "size": list(sizes),
              "coordinates": places}
    made = call.node("resize", [turned], (*turned.shape[:2], *sizes), params,
                     suffix + ".resize" if last else suffix)
    if not last:
        return made
    back = call.transpose(made, layout.channels_last(rank), suffix)
    call.tracer.is_turned(made, back, layout.channels_first(rank))
    return back


def resize(call):
    """keras.ops.image.resize, nearest or linear between the middles of elements."""
    operation, x = call.operation, call.args[0]
    odd = [name for name in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
           if getattr(operation, name)]
    return _resize(call, x, operation.size, operation.interpolation, odd, operation.data_format)


@any_mode
@any_dtype
def resizing(call):
    layer, x = call.operation, call.args[0]
    odd = [name for name in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
           if getattr(layer, name)]
    x = call.cast(x, call.symbols[0].dtype)
    size = layer.height, layer.width
    return _resize(call, x, size, layer.interpolation, odd, layer.data_format)


def _resize(call, x: Value, size, mode: str, odd: list[str], data_format: str):
    if odd:
        return call.refuse(f"{odd[0]}=True")
    if mode not in ("nearest", "bilinear"):
        return call.refuse(f"interpolation={mode!r}")
    if len(x.shape) != 4:
        return call.refuse("one image without a batch")
    data_format = data_format or call.tracer.keras.config.image_data_format()
    return resized(call, x, [int(n) for n in size], mode, "half_pixel", data_format)


def _unfit(call) -> str:
    """What forbids to turn an image's blocks into channels, or back."""
    if call.operation.data_format != "channels_last":
        return f"data_format={call.operation.data_format!r}"
    free = not all(isinstance(size, int) for size in call.args[0].shape[1:3])
    return "an image whose size is free" if free else ""


def depth_to_space(call):
    """Channels become blocks of elements: the place in the block counts before the rest."""
    ops, x, block = call.tracer.keras.ops, call.args[0], call.operation.block_size
    if _unfit(call):
        return call.refuse(_unfit(call))
    _, high, wide, channels = x.shape
    left = channels // block ** 2

    def shuffled(v):
        v = ops.reshape(v, (-1, high, wide, block, block, left))
        v = ops.transpose(v, (0, 1, 3, 2, 4, 5))
        return ops.reshape(v, (-1, high * block, wide * block, left))

    return call.traced(shuffled, x)


def space_to_depth(call):
    """Blocks of elements become channels."""
    ops, x, block = call.tracer.keras.ops, call.args[0], call.operation.block_size
    if _unfit(call):
        return call.refuse(_unfit(call))
    _, high, wide, channels = x.shape

    def gathered(v):
        v = ops.reshape(v, (-1, high // block, block, wide // block, block, channels))
        v = ops.transpose(v, (0, 1, 3, 2, 4, 5))
        return ops.reshape(v, (-1, high // block, wide // block, channels * block ** 2))

    return call.traced(gathered, x)


def _written_down(ops) -> dict:
    """Functions of an operation and its arguments, by the name of its class."""
    def parts(x, axis):
        return [ops.squeeze(part, axis) for part in ops.split(x, x.shape[axis], axis=axis)]

    return {
        "Unstack": lambda op, x: parts(x, op.axis),
        "ArraySplit": lambda op, x: _split_unevenly(ops, x, op.indices_or_sections, op.axis),
        "Hstack": lambda _, xs: ops.concatenate(xs, axis=0 if len(xs[0].shape) == 1 else 1),
        "Vstack": lambda _, xs: ops.concatenate(
            [ops.expand_dims(x, 0) if len(x.shape) == 1 else x for x in xs], axis=0),
        "Dstack": lambda _, xs: ops.concatenate(
            [ops.expand_dims(x, -1) if len(x.shape) == 2 else x for x in xs], axis=2),
        "Append": lambda op, x, y: ops.concatenate([x, y], axis=op.axis),
        "Hsplit": lambda op, x: ops.split(x, op.indices_or_sections, 0 if len(x.shape) == 1 else 1),
        "Vsplit": lambda op, x: ops.split(x, op.indices_or_sections, 0),
        "Dsplit": lambda op, x: ops.split(x, op.indices_or_sections, 2),
        "Fliplr": lambda _, x: ops.flip(x, 1), "Flipud": lambda _, x: ops.flip(x, 0),
        "SliceUpdate": lambda _, x, starts, y: _slice_update(ops, x, starts, y),
    }


def _split_unevenly(ops, x, where, axis: int):
    if not isinstance(where, int):
        return ops.split(x, where, axis)
    size = x.shape[axis]
    short, more = divmod(size, where)
    ends = np.cumsum([short + (n < more) for n in range(where)])[:-1]
    return ops.split(x, [int(end) for end in ends], axis)


def _slice_update(ops, x, starts, y):
    """x with y in the place that starts at `starts`, between what stays of one axis."""
    axes = [a for a, (big, small) in enumerate(zip(x.shape, y.shape)) if big != small]
    if len(axes) != 1:
        raise ValueError("a slice_update along several axes")
    axis = axes[0]
    start, stop = int(starts[axis]), int(starts[axis]) + y.shape[axis]
    before, after = [slice(None)] * len(x.shape), [slice(None)] * len(x.shape)
    before[axis], after[axis] = slice(0, start), slice(stop, None)
    parts = [x[tuple(before)]] * (start > 0) + [y] + [x[tuple(after)]] * (stop < x.shape[axis])
    return ops.concatenate(parts, axis=axis)
