"""Reductions of JAX along axes: sums, extremes and their places, truth of any or all, running
sums."""

from __future__ import annotations

from ..compositions import any_or_all, argmin, flip
from .jax_flat import Step
from .jax_sizes import size
from .jax_values import Order, Value


def axes_in(order: Order, axes) -> list[int]:
    """Where the network's axes stand in a tensor of an order."""
    return sorted(order.index(axis) for axis in axes)


def without(order: Order, axes) -> Order:
    """The order of what is left when the axes are gone."""
    left = [axis for axis in order if axis not in axes]
    return tuple(sorted(left).index(axis) for axis in left)


def along(walk, step: Step, item, axes, emit) -> Value:
    """What `emit(wanted name, tensor, its axes)` makes of an operand without its axes."""
    value = walk.full(item, step)
    order = value.any_order()
    x, shape = walk.laid(value, step, order), item.aval.shape
    name = emit(x, axes_in(order, axes))
    kept = tuple(dim for axis, dim in enumerate(shape) if axis not in axes)
    return Value(kept, {without(order, axes): name})


def reduced(walk, step: Step, op: str, item, axes) -> Value:
    """A reduction that is one node; one along no axes hands its operand on."""
    if not axes:
        return walk.value(item, step)
    return along(walk, step, item, axes, lambda x, where: walk.node(
        step, op, [x], {"axes": where, "keepdims": False}))


def _extreme(op: str):
    def emit(walk, step: Step) -> Value:
        return reduced(walk, step, op, step.inputs[0], step.params["axes"])
    return emit


def _truth(word: str, every: bool):
    def emit(walk, step: Step) -> Value:
        return along(walk, step, step.inputs[0], step.params["axes"], lambda x, where: any_or_all(
            walk.builder, walk.path(step, word), x, where, False, every))
    return emit


def _argmax(walk, step: Step) -> Value:
    return along(walk, step, step.inputs[0], step.params["axes"], lambda x, where: walk.node(
        step, "argmax", [x], {"axis": where[0], "keepdims": False}))


def _argmin(walk, step: Step) -> Value:
    return along(walk, step, step.inputs[0], step.params["axes"], lambda x, where: argmin(
        walk.builder, walk.path(step, "argmin"), x, where[0], False))


def _cumsum(walk, step: Step) -> Value:
    """A running sum; a reverse one runs over the flipped axis and is turned back."""
    value = walk.full(step.inputs[0], step)
    order = value.any_order()
    x, axis = walk.laid(value, step, order), order.index(int(step.params["axis"]))
    shape = [size(value.shape[a]) for a in order]

    def turned(name: str) -> str:
        if not step.params["reverse"]:
            return name
        return flip(walk.builder, walk.path(step, "flip"), name, [axis], shape)
    name = turned(walk.node(step, "cumsum", [turned(x)], {"axis": axis}))
    return Value(tuple(value.shape), {order: name})


PRIMITIVES = {"reduce_max": _extreme("max"), "reduce_min": _extreme("min"),
              "reduce_and": _truth("all", True), "reduce_or": _truth("any", False),
              "argmax": _argmax, "argmin": _argmin, "cumsum": _cumsum}
