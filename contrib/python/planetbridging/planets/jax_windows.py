"""Pools and means: windows that slide over axes, and sums that become means when divided.

A sum waits: divided by the number of its elements it is a mean, for all else it is emitted.
"""

from __future__ import annotations

import math

import numpy as np

from .jax_flat import Step
from .jax_reduce import axes_in, reduced, without
from .jax_sizes import Inexpressible, extent, extents
from .jax_values import Value, channels_first, last, straight

MOST = 3
"""Axes that a pool may have."""


def _spatial(step: Step, rank: int) -> list[int]:
    """The axes of a pool: all between the first and the last, as Flax has them, if these are as
    they would be without it and there are not too many; else those over which windows slide."""
    p = step.params
    moved = [a for a in range(rank) if (p["window_dimensions"][a], p["window_strides"][a],
                                        tuple(p["padding"][a])) != (1, 1, (0, 0))]
    between = list(range(1, rank - 1))
    axes = between if set(moved) <= set(between) and 1 <= len(between) <= MOST else moved
    if not 1 <= len(axes) <= MOST:
        raise Inexpressible(f"a pool over {len(axes)} axes")
    return axes


def _settings(step: Step, axes) -> dict:
    p = step.params
    if set(p["base_dilation"]) != {1}:
        raise Inexpressible("a pool with base_dilation")
    return {"kernel": [int(p["window_dimensions"][a]) for a in axes],
            "stride": [int(p["window_strides"][a]) for a in axes],
            "pad_low": [_number(p["padding"][a][0]) for a in axes],
            "pad_high": [_number(p["padding"][a][1]) for a in axes], "ceil": False}


def _number(pad) -> int:
    if not isinstance(pad, (int, np.integer)):
        raise Inexpressible("padding that depends on the size")
    return int(pad)


def _order(rank: int, axes) -> tuple:
    if list(axes) == list(range(rank - 1 - len(axes), rank - 1)):
        return channels_first(rank, len(axes))
    return last(rank, axes)


def _max_pool(walk, step: Step) -> Value:
    return _pooled(walk, step, step, "maxpool", lambda x: x)


def _min_pool(walk, step: Step) -> Value:
    """The negative of the greatest negative."""
    turned = _pooled(walk, step, step, "maxpool", lambda x: walk.node(step, "neg", [x]))
    (order, name), = turned.tensors.items()
    return Value(turned.shape, {order: walk.node(step, "neg", [name])})


def _pooled(walk, step: Step, windows: Step, op: str, before, **more) -> Value:
    """A pool of the windows of a step, over what `before` makes of its operand."""
    x, shape = windows.inputs[0], windows.outputs[0].aval.shape
    if x.aval.dtype.kind != "f":
        raise Inexpressible(f"{windows.primitive} of {x.aval.dtype} values")
    axes = _spatial(windows, len(shape))
    params = {**_settings(windows, axes), **more}
    if op == "maxpool":
        params["dilation"] = [int(windows.params["window_dilation"][a]) for a in axes]
    order = _order(len(shape), axes)
    tensor = before(walk.name(x, windows, order))
    return Value(tuple(shape), {order: walk.node(step, f"{op}{len(axes)}", [tensor], params)})


def _sum(walk, step: Step) -> None:
    """A sum waits for the division that makes it a mean."""
    if step.primitive == "reduce_sum":
        def emit():
            return reduced(walk, step, "sum", step.inputs[0], step.params["axes"])
    else:
        def emit():
            return _sum_pool(walk, step)
    wait(walk, step, step, emit)


def wait(walk, step: Step, summed: Step, emit) -> None:
    """Note a step whose result is a sum until something else than a division needs it."""
    walk.sums[id(step.outputs[0])] = emit
    walk.summed[id(step.outputs[0])] = summed


def _sum_pool(walk, step: Step) -> Value:
    """The mean of each window times its size."""
    if set(step.params["window_dilation"]) != {1}:
        raise Inexpressible("a sum over windows with window_dilation")
    mean = _pooled(walk, step, step, "avgpool", lambda x: x, count_pad=True)
    size = walk.number(math.prod(step.params["window_dimensions"]), step.outputs[0].aval.dtype)
    (order, name), = mean.tensors.items()
    return Value(mean.shape, {order: walk.node(step, "mul", [name, walk.name(size, step)])})


def keeps_waiting(walk, step: Step, emit) -> bool:
    """Whether a step only gives a sum that waits its summed axes back, with the size 1."""
    summed = walk.summed.get(id(step.inputs[0]))
    if summed is None or summed.primitive != "reduce_sum":
        return False
    before, after = ([dim for dim in shape if not _is_one(dim)] for shape in (
        summed.outputs[0].aval.shape, step.outputs[0].aval.shape))
    if before == after:
        wait(walk, step, summed, emit)
    return before == after


def _is_one(dim) -> bool:
    return isinstance(dim, int) and dim == 1


def mean(walk, step: Step, summed: Step, divisor) -> Value | None:
    """The mean that a sum and a division by `divisor` are; None if they are none."""
    if summed.primitive == "reduce_sum":
        x, axes = summed.inputs[0].aval.shape, sorted(summed.params["axes"])
        count = _is_count(walk, divisor, x, axes) and summed.inputs[0].aval.dtype.kind == "f"
        return _over(walk, step, summed, "mean") if count and axes else None
    if set(summed.params["window_dilation"]) != {1} or set(summed.params["base_dilation"]) != {1}:
        return None
    axes = _spatial(summed, len(summed.outputs[0].aval.shape))
    counted = _counts_padding(walk, summed, axes, _settings(summed, axes), divisor)
    if counted is None:
        return None
    return _pooled(walk, step, summed, "avgpool", lambda x: x, count_pad=counted)


def _counts_padding(walk, summed: Step, axes, params, divisor) -> bool | None:
    """Whether each window is divided by its size, or by the number of its elements inside; None if
    by neither."""
    size = math.prod(params["kernel"])
    if walk.sized.is_always(divisor, lambda shape, known: np.full(shape, size)):
        return True
    x = summed.inputs[0].aval.shape

    def inside(shape, known):
        if len(shape) != len(x):
            return np.nan
        counts = np.ones([1] * len(shape))
        for n, axis in enumerate(axes):
            along = _along(extents(x, known)[axis], *(params[key][n] for key in (
                "kernel", "stride", "pad_low", "pad_high")))
            counts = counts * along.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        return np.broadcast_to(counts, shape)
    return False if walk.sized.is_always(divisor, inside) else None


def _along(size: int, kernel: int, stride: int, low: int, high: int) -> np.ndarray:
    """How many elements of an axis each window has."""
    starts = np.arange((size + low + high - kernel) // stride + 1) * stride - low
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def _greatest(walk, step: Step) -> Value:
    return _over(walk, step, step, "max") if step.params["axes"] else \
        walk.value(step.inputs[0], step)


GLOBAL = {"mean": "global_avgpool", "max": "global_maxpool"}


def _over(walk, step: Step, summed: Step, op: str) -> Value:
    """A mean or a maximum over axes; over those behind a channel it is a global pool."""
    x = summed.inputs[0]
    shape, axes = x.aval.shape, sorted(summed.params["axes"])
    kept = tuple(1 if a in axes else dim for a, dim in enumerate(shape))
    value, result = walk.full(x, summed), tuple(step.outputs[0].aval.shape)
    if x.aval.dtype.kind == "f" and _is_behind_channel(value, axes):
        return _global(walk, step, value, axes, GLOBAL[op])
    order = value.any_order()
    params = {"axes": axes_in(order, axes), "keepdims": kept == result}
    name = walk.node(step, op, [walk.laid(value, step, order)], params)
    if kept == result:
        return Value(kept, {order: name})
    rest = tuple(dim for a, dim in enumerate(shape) if a not in axes)
    return walk.reshape(step, Value(rest, {without(order, axes): name}), result)


def _is_behind_channel(value: Value, axes) -> bool:
    rank = len(value.shape)
    return axes == list(range(1, rank - 1)) and len(axes) <= MOST and value.array is None \
        and straight(rank) not in value.tensors and channels_first(rank, rank - 2) in value.tensors


def _global(walk, step: Step, value: Value, axes, op: str) -> Value:
    """A global pool, whose axes stay with the size 1 until they are reshaped away."""
    order = channels_first(len(value.shape), len(axes))
    name = walk.node(step, op, [value.tensors[order]], {"spatial": len(axes)})
    kept = tuple(1 if a in axes else dim for a, dim in enumerate(value.shape))
    walk.tap_as(name, step.outputs[0], tuple(kept[a] for a in order))
    if kept == tuple(step.outputs[0].aval.shape):
        return Value(kept, {order: name})
    # The pooled axes, of size 1, may stand anywhere: the tensor is reshaped as it is laid.
    laid = Value.plain(name, [kept[a] for a in order])
    return walk.reshape(step, laid, step.outputs[0].aval.shape)


def _is_count(walk, divisor, shape, axes) -> bool:
    return walk.sized.is_always(divisor, lambda made, known: np.full(
        made, math.prod(extent(shape[a], known) for a in axes)))


PRIMITIVES = {"reduce_window_max": _max_pool, "reduce_window_min": _min_pool,
              "reduce_window_sum": _sum, "reduce_sum": _sum, "reduce_max": _greatest}
