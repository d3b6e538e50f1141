"""Pools and means: windows that slide over axes, and sums that become means when divided."""

from __future__ import annotations

import math

import numpy as np

from .jax_flat import Step
from .jax_sizes import Inexpressible, extent, extents
from .jax_values import Value, channels_first, last

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
    x, shape = step.inputs[0], step.outputs[0].aval.shape
    axes = _spatial(step, len(shape))
    order = _order(len(shape), axes)
    params = _settings(step, axes)
    params["dilation"] = [int(step.params["window_dilation"][a]) for a in axes]
    name = walk.node(step, f"maxpool{len(axes)}", [walk.name(x, step, order)], params)
    return Value(tuple(shape), {order: name})


def _sum(walk, step: Step) -> None:
    """A sum waits for the division that makes it a mean."""
    walk.sums[id(step.outputs[0])] = step


def is_kept_sum(walk, step: Step) -> bool:
    """Whether a step gives a sum that waits its summed axes back, with the size 1; it waits on."""
    summed = walk.sums.get(id(step.inputs[0]))
    if summed is None or summed.primitive != "reduce_sum":
        return False
    before, after = ([dim for dim in shape if not _is_one(dim)] for shape in (
        summed.outputs[0].aval.shape, step.outputs[0].aval.shape))
    if before == after:
        walk.sums[id(step.outputs[0])] = summed
    return before == after


def _is_one(dim) -> bool:
    return isinstance(dim, int) and dim == 1


def mean(walk, step: Step, summed: Step, divisor) -> Value:
    """The mean that a sum and a division by `divisor` are."""
    if summed.primitive == "reduce_sum":
        return _global(walk, step, summed, "global_avgpool", divisor)
    x, shape = summed.inputs[0], summed.outputs[0].aval.shape
    axes = _spatial(summed, len(shape))
    if set(summed.params["window_dilation"]) != {1}:
        raise Inexpressible("an average pool with window_dilation")
    params = _settings(summed, axes)
    params["count_pad"] = _counts_padding(walk, summed, axes, params, divisor)
    order = _order(len(shape), axes)
    name = walk.node(step, f"avgpool{len(axes)}", [walk.name(x, summed, order)], params)
    return Value(tuple(shape), {order: name})


def _counts_padding(walk, summed: Step, axes, params, divisor) -> bool:
    """Whether each window is divided by its size, or by the number of its elements inside."""
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
    if walk.sized.is_always(divisor, inside):
        return False
    raise Inexpressible("a sum over windows that is divided by something else than their size")


def _along(size: int, kernel: int, stride: int, low: int, high: int) -> np.ndarray:
    """How many elements of an axis each window has."""
    starts = np.arange((size + low + high - kernel) // stride + 1) * stride - low
    return np.minimum(starts + kernel, size) - np.maximum(starts, 0)


def _global_max(walk, step: Step) -> Value:
    return _global(walk, step, step, "global_maxpool", None)


def _global(walk, step: Step, reduced: Step, op: str, divisor) -> Value:
    """A mean or a maximum over axes, which the graph keeps with the size 1 until it is reshaped."""
    x = reduced.inputs[0]
    shape, axes = x.aval.shape, sorted(reduced.params["axes"])
    if 0 in axes or not 1 <= len(axes) <= MOST:
        raise Inexpressible(reduced.primitive)
    if divisor is not None and not _is_count(walk, divisor, shape, axes):
        raise Inexpressible("reduce_sum that is divided by something else than the number of its "
                            "elements")
    order = _order(len(shape), axes)
    name = walk.node(step, op, [walk.name(x, reduced, order)], {"spatial": len(axes)})
    kept = tuple(1 if a in axes else dim for a, dim in enumerate(shape))
    pooled = Value(kept, {order: name})
    walk.tap_as(name, step.outputs[0], tuple(kept[a] for a in order))
    if kept == tuple(step.outputs[0].aval.shape):
        return pooled
    # The pooled axes, of size 1, may stand anywhere: the tensor is reshaped as it is laid.
    laid = Value.plain(name, [kept[a] for a in order])
    return walk.reshape(step, laid, step.outputs[0].aval.shape)


def _is_count(walk, divisor, shape, axes) -> bool:
    return walk.sized.is_always(divisor, lambda made, known: np.full(
        made, math.prod(extent(shape[a], known) for a in axes)))


PRIMITIVES = {"reduce_window_max": _max_pool, "reduce_window_sum": _sum, "reduce_sum": _sum,
              "reduce_max": _global_max}
