"""The ATen operations that move elements: shapes, orders, slices, indices, padding."""

from __future__ import annotations

import sys

import numpy as np
import torch

from .. import compositions
from .torch_dims import number, same_shape, same_size, size_of
from .torch_sizes import Sizes
from .torch_trace import Refused, Translator, Weight, dtype_of, kind


def reshape(t: Translator, fx, x, *sizes, **named):
    """Any operation that keeps the order of elements: the traced result has its shape."""
    return t.node(fx, "reshape", [t.tensor(x, fx)], {"shape": t.shape(fx)})


def squeeze(t: Translator, fx, x, *axes):
    """Axes of one gone; those whose extent follows the inputs stay, as for any extent but 1."""
    shape = x.meta["val"].shape
    looked_at = [axes[0]] if axes and isinstance(axes[0], int) else axes[0] if axes else range(len(shape))
    for axis in looked_at:
        if isinstance(shape[axis], torch.SymInt):
            t.assumed |= shape[axis].node.expr.free_symbols
    return reshape(t, fx, x)


def identity(t: Translator, fx, x, *rest, **named):
    """An operation that changes no value: the same tensor, without a node."""
    return t.values.get(x.name)


def transpose(t: Translator, fx, x, *axes):
    """Of a stored matrix only the names of its axes change; else a node."""
    rank = x.meta["val"].ndim
    perm = permutation(str(fx.target), rank, axes)
    weight = t.weight(x)
    if weight is not None and rank == 2:
        return weight if perm == [0, 1] else Weight(weight.source, not weight.transposed)
    if perm == list(range(rank)):
        return t.tensor(x, fx)
    return t.node(fx, "transpose", [t.tensor(x, fx)], {"perm": perm})


def permutation(target: str, rank: int, axes) -> list[int]:
    """The order of the axes that t, transpose, permute and numpy_T give."""
    perm = list(range(rank))
    if "permute" in target:
        return [axis % rank for axis in axes[0]]
    if "numpy_T" in target or "aten.t." in target:
        return perm[::-1]
    a, b = (axis % rank for axis in axes) if rank else (0, 0)
    if rank:
        perm[a], perm[b] = perm[b], perm[a]
    return perm


def concat(t: Translator, fx, tensors, axis=0):
    """Tensors behind one another, all in the result's dtype; empty ones of rank 1 count for nothing."""
    dtype, rank = fx.meta["val"].dtype, fx.meta["val"].ndim
    names = [t.operand(x, fx, dtype) for x in tensors if x.meta["val"].ndim == rank]
    return t.node(fx, "concat", names, {"axis": int(axis)})


def cut(t: Translator, fx, x, axis, start, stop, step=1, wanted=None) -> str:
    """A slice node over one axis; `start` and `stop` lie within it, as sizes."""
    starts, stops = t.dims([start, stop])
    params = {"axes": [axis], "starts": [starts], "stops": [stops], "steps": [step]}
    name = x if isinstance(x, str) else t.tensor(x, fx)
    return t.builder.node(wanted or t.wanted(fx), "slice", [name], params)


def bounds(x, made, axis: int, start, stop, step: int):
    """(start, stop) of a slice as sizes within the axis, as the trace clipped them."""
    extent = x.meta["val"].shape[axis]
    start, stop = size_of(start or 0), size_of(sys.maxsize if stop is None else stop)
    if isinstance(start, int) and start < 0:
        start = start + extent
    if isinstance(stop, int) and (stop < 0 or stop == sys.maxsize):
        stop = extent if stop == sys.maxsize else stop + extent
    elif step == 1:
        stop = start + made
    return start, stop


def slice_(t: Translator, fx, x, axis=0, start=None, stop=None, step=1):
    """x[start:stop:step]; what the trace clipped is clipped here, since a stream clips nothing."""
    shape, made = x.meta["val"].shape, fx.meta["val"].shape
    axis %= len(shape)
    if same_size(made[axis], shape[axis]) and step == 1:
        return t.values.get(x.name)
    return cut(t, fx, x, axis, *bounds(x, made[axis], axis, start, stop, step), step)


def select(t: Translator, fx, x, axis, index):
    """x[index] along one axis: a slice of one, and that axis gone."""
    shape = x.meta["val"].shape
    axis, index = axis % len(shape), size_of(index)
    if isinstance(index, int) and index < 0:
        index = index + shape[axis]
    one = cut(t, fx, x, axis, index, index + 1, wanted=f"{t.wanted(fx)}.slice")
    return t.node(fx, "reshape", [one], {"shape": t.shape(fx)})


def unbind(t: Translator, fx, x, axis=0):
    """One slice for each part that is used, without the axis."""
    axis %= x.meta["val"].ndim
    used = {user.args[1] for user in fx.users}
    names = []
    for n, part in enumerate(fx.meta["val"]):
        wanted = f"{t.wanted(fx)}.{n}"
        names.append(t.builder.node(wanted, "reshape", [cut(t, fx, x, axis, n, n + 1, 1,
                                                            f"{wanted}.slice")],
                                    {"shape": t.dims(part.shape)}) if n in used else None)
    return names


def split(t: Translator, fx, x, sizes, axis=0):
    """One slice for each part that is used."""
    parts = fx.meta["val"]
    axis %= x.meta["val"].ndim
    used = {user.args[1] for user in fx.users}
    names, start = [], 0
    for n, part in enumerate(parts):
        stop = start + part.shape[axis]
        names.append(cut(t, fx, x, axis, start, stop, wanted=f"{t.wanted(fx)}.{n}")
                     if n in used else None)
        start = stop
    return names


def stack(t: Translator, fx, tensors, axis=0):
    """Each tensor with an axis of one more, and their concat."""
    shape = list(fx.meta["val"].shape)
    axis %= len(shape)
    shape[axis] = 1
    parts = [t.builder.node(f"{t.wanted(fx)}.{n}", "reshape", [t.operand(x, fx, dtype_of(fx))],
                            {"shape": t.dims(shape)}) for n, x in enumerate(tensors)]
    return t.node(fx, "concat", parts, {"axis": axis})


def select_scatter(t: Translator, fx, x, part, axis=0, index=0):
    """x with `part` in place of x[index] along one axis."""
    shape = list(x.meta["val"].shape)
    axis, index = axis % len(shape), size_of(index)
    if isinstance(index, int) and index < 0:
        index = index + shape[axis]
    shape[axis] = 1
    name = t.builder.node(f"{t.wanted(fx)}.part", "reshape", [t.operand(part, fx, dtype_of(x))],
                          {"shape": t.dims(shape)})
    return between(t, fx, x, name, axis, index, index + 1)


def slice_scatter(t: Translator, fx, x, part, axis=0, start=None, stop=None, step=1):
    """x with `part` in place of x[start:stop] along one axis."""
    shape, made = x.meta["val"].shape, part.meta["val"].shape
    axis %= len(shape)
    name = t.operand(part, fx, dtype_of(x))
    if same_size(made[axis], shape[axis]):
        return name
    if step != 1:
        raise Refused(f"step {step}")
    return between(t, fx, x, name, axis, *bounds(x, made[axis], axis, start, stop, step))


def between(t: Translator, fx, x, part: str, axis: int, start, stop) -> str:
    """x before `start`, the part, x from `stop` on."""
    extent, wanted = x.meta["val"].shape[axis], t.wanted(fx)
    parts = [part]
    if not same_size(start, 0):
        parts.insert(0, cut(t, fx, x, axis, 0, start, wanted=f"{wanted}.before"))
    if not same_size(stop, extent):
        parts.append(cut(t, fx, x, axis, stop, extent, wanted=f"{wanted}.after"))
    return t.node(fx, "concat", parts, {"axis": axis})


def expand(t: Translator, fx, x, *rest, **named):
    """x repeated along axes of one, and along new axes in front."""
    if same_shape(x.meta["val"].shape, fx.meta["val"].shape):
        return t.values.get(x.name)
    return t.node(fx, "expand", [t.tensor(x, fx)], {"shape": t.shape(fx)})


def repeat(t: Translator, fx, x, repeats):
    """The whole of x several times along each axis."""
    return compositions.tile(t.builder, t.wanted(fx), t.tensor(x, fx), t.dims(repeats), t.shape(x))


def repeat_interleave(t: Translator, fx, x, repeats, axis=None, *, output_size=None):
    """Each element several times in a row; without an axis, of all elements."""
    repeats, name, shape = size_of(repeats), t.tensor(x, fx), t.shape(x)
    if axis is None:
        shape, axis = [compositions.times(*shape)], 0
        name = t.builder.node(f"{t.wanted(fx)}.flat", "reshape", [name], {"shape": shape})
    return compositions.repeat(t.builder, t.wanted(fx), name, t.dims([repeats])[0], axis, shape)


def roll(t: Translator, fx, x, shifts, axes=()):
    """Elements moved along axes, those past the end to the start; without axes, of all elements."""
    name, shape = t.tensor(x, fx), t.shape(x)
    shifts = [size_of(s) for s in (shifts if isinstance(shifts, (list, tuple)) else [shifts])]
    if not all(isinstance(s, int) for s in shifts):
        raise Refused("a shift that follows a size")
    rank = len(shape)
    if axes:
        return compositions.roll(t.builder, t.wanted(fx), name, shifts, [a % rank for a in axes], shape)
    flat = [compositions.times(*shape)]
    name = t.builder.node(f"{t.wanted(fx)}.flat", "reshape", [name], {"shape": flat})
    name = compositions.roll(t.builder, f"{t.wanted(fx)}.rolled", name, shifts, [0], flat)
    return t.node(fx, "reshape", [name], {"shape": shape})


def flip(t: Translator, fx, x, axes):
    rank = x.meta["val"].ndim
    axes = [axis % rank for axis in axes]
    return compositions.flip(t.builder, t.wanted(fx), t.tensor(x, fx), axes, t.shape(x)) \
        if axes else t.tensor(x, fx)


def diagonal(t: Translator, fx, x, offset=0, first=0, second=1):
    """x[..., i, i + offset] of two axes of known extent, as the last axis."""
    shape, rank = t.shape(x), x.meta["val"].ndim
    first, second = first % rank, second % rank
    for axis in (first, second):
        number(x.meta["val"].shape[axis], "an extent")
    rest = [axis for axis in range(rank) if axis not in (first, second)]
    wanted, columns = t.wanted(fx), shape[second]
    name = t.builder.node(f"{wanted}.turned", "transpose", [t.tensor(x, fx)],
                          {"perm": [*rest, first, second]})
    name = t.builder.node(f"{wanted}.flat", "reshape", [name],
                          {"shape": [*(shape[axis] for axis in rest), shape[first] * columns]})
    places = np.arange(fx.meta["val"].shape[-1], dtype=np.int64) * (columns + 1)
    at = t.builder.constant(f"{wanted}.index",
                            places + (offset if offset >= 0 else -offset * columns))
    return t.node(fx, "gather", [name, at], {"axis": len(rest)})


def index(t: Translator, fx, x, indices):
    """x[:, ids], x[i, j]: elements picked along one axis, or along axes side by side."""
    found = [(axis, ids) for axis, ids in enumerate(indices) if ids is not None]
    if any(kind(dtype_of(ids)) == "bool" for _, ids in found):
        raise Refused("a mask as an index: the result's size would follow its values")
    if len(found) == 1:
        return index_select(t, fx, x, *found[0])
    axes = [axis for axis, _ in found]
    if axes != list(range(axes[0], axes[0] + len(axes))):
        raise Refused("index tensors on axes apart from one another")
    names = [places(t, fx, x, axis, ids) for axis, ids in found]
    return compositions.index_many(t.builder, t.wanted(fx), t.tensor(x, fx), names, axes[0], t.shape(x))


def index_select(t: Translator, fx, x, axis, ids):
    """gather: ids of any rank, counted from 0; the runtime refuses others."""
    axis %= max(x.meta["val"].ndim, 1)
    shape, name = x.meta["val"].shape, places(t, fx, x, axis, ids)
    rest = fx.meta["val"].ndim - len(shape) + 1
    if "index_select" in str(fx.target) and rest != ids.meta["val"].ndim:
        name = t.builder.node(f"{t.wanted(fx)}.ids", "reshape", [name], {"shape": t.dims([fx.meta[
            "val"].shape[axis]])})
    return t.node(fx, "gather", [t.tensor(x, fx), name], {"axis": axis})


def places(t: Translator, fx, x, axis: int, ids) -> str:
    """Indices along an axis counted from 0; those that the code itself counts from the end turned."""
    known = t.values.get(ids.name)
    stored = t.held(ids) if isinstance(known, (Weight, Sizes)) else None
    if stored is None or not (t.array(stored)[0] < 0).any():
        return t.tensor(ids, fx)
    extent, wanted = t.shape(x)[axis], t.wanted(fx)
    array = t.array(stored)[0].astype(np.int64)
    if isinstance(extent, int):
        return t.builder.constant(f"{wanted}.index", np.where(array < 0, array + extent, array))
    size = t.builder.node(f"{wanted}.size", "size", [], {"of": [extent]})
    back = t.builder.constant(f"{wanted}.from_end", (array < 0).astype(np.int64))
    more = t.builder.node(f"{wanted}.more", "mul", [back, size])
    return t.builder.node(f"{wanted}.index", "add", [t.builder.constant(f"{wanted}.ids", array), more])


def gather(t: Translator, fx, x, axis, ids, *, sparse_grad=False):
    """out[i][j] = x[i][ids[i][j]]; where ids have less along other axes, so has x."""
    rank = x.meta["val"].ndim
    axis %= max(rank, 1)
    name, shapes = t.tensor(x, fx), [v.meta["val"].shape for v in (x, ids)]
    for at in range(rank):
        if at != axis and not same_size(shapes[0][at], shapes[1][at]):
            name = cut(t, fx, name, at, 0, shapes[1][at], wanted=f"{t.wanted(fx)}.{at}")
    return t.node(fx, "gather_elements", [name, places(t, fx, x, axis, ids)], {"axis": axis})


def take_along(t: Translator, fx, x, ids, axis):
    """gather, with axes of one spread where the other tensor has more."""
    axis %= x.meta["val"].ndim
    names = []
    for value, name in ((x, t.tensor(x, fx)), (ids, places(t, fx, x, axis, ids))):
        wide = list(fx.meta["val"].shape)
        wide[axis] = value.meta["val"].shape[axis]
        if not same_shape(wide, value.meta["val"].shape):
            name = t.builder.node(f"{t.wanted(fx)}.spread", "expand", [name], {"shape": t.dims(wide)})
        names.append(name)
    return t.node(fx, "gather_elements", names, {"axis": axis})


def meshgrid(t: Translator, fx, tensors, *, indexing="ij"):
    """Each row of numbers along its own axis, spread over the others."""
    names, count = [], len(tensors)
    for n, (x, part) in enumerate(zip(tensors, fx.meta["val"])):
        at = 1 - n if indexing == "xy" and n < 2 else n
        wanted, shape = f"{t.wanted(fx)}.{n}", [1] * count
        shape[at] = t.dims(part.shape)[at]
        row = t.builder.node(f"{wanted}.row", "reshape", [t.tensor(x, fx)], {"shape": shape})
        names.append(t.builder.node(wanted, "expand", [row], {"shape": t.dims(part.shape)}))
    return names


def copy(t: Translator, fx, x, values, *rest):
    """`values` in the shape and dtype of x."""
    name = t.operand(values, fx, dtype_of(x))
    if same_shape(values.meta["val"].shape, fx.meta["val"].shape):
        return name
    return t.node(fx, "expand", [name], {"shape": t.shape(fx)})


def index_put(t: Translator, fx, x, indices, values, accumulate=False):
    """x[mask] = number, or x[ids] = values with ids known from the code."""
    found = [(axis, ids) for axis, ids in enumerate(indices) if ids is not None]
    if accumulate or len(found) != 1:
        raise Refused("accumulate=True" if accumulate else "several index tensors")
    axis, ids = found[0]
    if kind(dtype_of(ids)) == "bool":
        return put_mask(t, fx, x, axis, ids, values)
    stored, shape = t.held(ids), t.shape(x)
    if stored is None or not isinstance(shape[axis], int) or ids.meta["val"].ndim != 1:
        raise Refused("indices that are computed, or of an axis whose extent follows the inputs")
    at = t.array(stored)[0]
    wide = [*shape[:axis], len(at), *shape[axis + 1:]]
    parts = t.builder.node(f"{t.wanted(fx)}.values", "expand", [t.operand(values, fx, dtype_of(x))],
                           {"shape": wide})
    return compositions.scatter_constant(t.builder, t.wanted(fx), t.tensor(x, fx), parts,
                                         np.where(at < 0, at + shape[axis], at), axis, shape[axis])


def index_fill(t: Translator, fx, x, axis, ids, value):
    """x, but `value` at places along one axis that are known from the code."""
    stored, rank = t.held(ids), x.meta["val"].ndim
    axis %= rank
    extent = number(x.meta["val"].shape[axis], "an extent")
    if stored is None:
        raise Refused("indices that are computed")
    mask = np.zeros([extent if at == axis else 1 for at in range(rank)], bool)
    np.moveaxis(mask, axis, 0)[t.array(stored)[0]] = True
    name = t.builder.constant(f"{t.wanted(fx)}.mask", mask)
    return t.node(fx, "where", [name, t.operand(value, fx, dtype_of(x)), t.tensor(x, fx)])


def put_mask(t: Translator, fx, x, axis: int, mask, values):
    """x, but one value where a mask of its first axes is true."""
    if axis or values.meta["val"].numel() != 1:
        raise Refused("a mask as an index and several values")
    rank = mask.meta["val"].ndim
    name = t.tensor(mask, fx)
    if rank < x.meta["val"].ndim:
        shape = [*t.shape(mask), *[1] * (x.meta["val"].ndim - rank)]
        name = t.builder.node(f"{t.wanted(fx)}.mask", "reshape", [name], {"shape": shape})
    value = t.operand(values, fx, dtype_of(x))
    if values.meta["val"].ndim:
        value = t.builder.node(f"{t.wanted(fx)}.value", "reshape", [value], {"shape": []})
    return t.node(fx, "where", [name, value, t.tensor(x, fx)])


def pad(t: Translator, fx, x, widths, mode="constant", value=None):
    """Places more at both ends of the last axes; below 0, places less."""
    rank, name, wanted = x.meta["val"].ndim, t.tensor(x, fx), t.wanted(fx)
    pairs = [(rank - 1 - n, *widths[2 * n:2 * n + 2]) for n in range(len(widths) // 2)]
    pairs = [(axis, size_of(low), size_of(high)) for axis, low, high in pairs]
    for axis, low, high in pairs:
        less = [-w if isinstance(w, int) and w < 0 else 0 for w in (low, high)]
        if any(less):
            stop = x.meta["val"].shape[axis] - less[1]
            name = cut(t, fx, name, axis, less[0], stop, wanted=f"{wanted}.{axis}")
    more = sorted((axis, *(0 if isinstance(w, int) and w < 0 else w for w in ends))
                  for axis, *ends in pairs if any(not same_size(w, 0) for w in ends))
    more = [entry for entry in more if any(not same_size(w, 0) for w in entry[1:])]
    if not more:
        return name
    params = {"axes": [axis for axis, _, _ in more], "low": t.dims([low for _, low, _ in more]),
              "high": t.dims([high for _, _, high in more]), "mode": mode, "value": float(value or 0)}
    return t.node(fx, "pad", [name], params)


def pixel_shuffle(t: Translator, fx, x, factor):
    number(x.meta["val"].shape[-3], "a number of channels")
    return compositions.pixel_shuffle(t.builder, t.wanted(fx), t.tensor(x, fx), factor, t.shape(x))


def pixel_unshuffle(t: Translator, fx, x, factor):
    """[..., C, H, W] to [..., C r r, H / r, W / r]."""
    shape = t.shape(x)
    for size in x.meta["val"].shape[-3:]:
        number(size, "an extent")
    return compositions.pixel_unshuffle(t.builder, t.wanted(fx), t.tensor(x, fx), factor, shape)


def getitem(t: Translator, fx, values, index):
    """One of several results; None where there is a problem noted already."""
    found = t.values.get(values.name)
    if isinstance(found, Sizes):
        found = t.values[values.name] = t.made(values)
    return found[index] if isinstance(found, (list, tuple)) else None


OPERATIONS = {
    **{f"aten.{word}": transpose for word in ("t.default", "transpose.int", "permute.default",
                                              "numpy_T.default")},
    **{f"aten.{word}.default": reshape for word in ("view", "_unsafe_view", "unsqueeze")},
    **{f"aten.squeeze.{form}": squeeze for form in ("default", "dim", "dims")},
    **{f"aten.{word}.default": identity for word in ("alias", "clone", "detach", "lift_fresh_copy")},
    "aten.cat.default": concat,
    "aten.stack.default": stack,
    "aten.slice.Tensor": slice_,
    "aten.select.int": select,
    "aten.unbind.int": unbind,
    "aten.split.Tensor": split,
    "aten.split_with_sizes.default": split,
    "aten.select_scatter.default": select_scatter,
    "aten.slice_scatter.default": slice_scatter,
    "aten.expand.default": expand,
    "aten.repeat.default": repeat,
    "aten.tile.default": repeat,
    "aten.repeat_interleave.self_int": repeat_interleave,
    "aten.roll.default": roll,
    "aten.flip.default": flip,
    "aten.diagonal.default": diagonal,
    "aten.index.Tensor": index,
    "aten.index_select.default": index_select,
    "aten.gather.default": gather,
    "aten.take_along_dim.default": take_along,
    "aten.meshgrid.default": meshgrid,
    "aten.meshgrid.indexing": meshgrid,
    "aten.copy.default": copy,
    "aten.index_fill.int_Scalar": index_fill,
    "aten.index_fill.int_Tensor": index_fill,
    "aten.index_put.default": index_put,
    "aten.pad.default": pad,
    "aten.pixel_shuffle.default": pixel_shuffle,
    "aten.pixel_unshuffle.default": pixel_unshuffle,
    "<built-in function getitem>": getitem,
}
