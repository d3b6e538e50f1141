"""Functions of jax.nn that a jaxpr holds only as their primitives, found by comparing.

The function is traced for the type at hand, and the steps of the network must be the same,
primitive by primitive, parameter by parameter, number by number; so what is found is that function,
in this version of JAX and any other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Callable

import jax
import numpy as np

from .jax_flat import Const, Flat, Ref, flatten
from .jax_values import Value

SLOPE = 0.3125
"""The slope in the pattern of leaky_relu: a place for any number."""


def stable_softmax(x, axis):
    """The softmax that many write by hand."""
    e = jax.numpy.exp(x - jax.numpy.max(x, axis, keepdims=True))
    return e / jax.numpy.sum(e, axis, keepdims=True)


PLAIN = [
    ("gelu", {"approximate": "tanh"}, functools.partial(jax.nn.gelu, approximate=True)),
    ("gelu", {"approximate": "none"}, functools.partial(jax.nn.gelu, approximate=False)),
    ("silu", {}, jax.nn.silu), ("mish", {}, jax.nn.mish),
    ("leaky_relu", {"negative_slope": None},
     functools.partial(jax.nn.leaky_relu, negative_slope=SLOPE)),
    ("hard_swish", {}, jax.nn.hard_silu), ("hard_sigmoid", {}, jax.nn.hard_sigmoid),
    ("relu6", {}, jax.nn.relu6), ("selu", {}, jax.nn.selu),
    ("elu", {"alpha": None}, functools.partial(jax.nn.elu, alpha=SLOPE)),
    ("elu", {"alpha": 1.0}, jax.nn.elu),
    ("softplus", {"beta": 1.0, "threshold": None}, jax.nn.softplus),
]
"""(operation, parameters, function): of those that start alike the longer ones come first."""

ALONG = [("softmax", jax.nn.softmax), ("softmax", stable_softmax),
         ("log_softmax", jax.nn.log_softmax)]
"""(operation, function along an axis)"""


@functools.cache
def _first(function) -> str:
    """The primitive with which a pattern starts."""
    spec = jax.ShapeDtypeStruct((2, 3), "float32")
    return flatten(jax.make_jaxpr(function)(spec)).steps[0].primitive


@functools.cache
def starts() -> dict[str, list[tuple]]:
    """The patterns by the primitive they start with: each "plain" or "along", and its row."""
    found: dict[str, list[tuple]] = {}
    for row in PLAIN:
        found.setdefault(_first(row[2]), []).append(("plain", row))
    for op, function in ALONG:
        first = _first(functools.partial(function, axis=1))
        found.setdefault(first, []).append(("along", (op, function)))
    return found


def starting(primitive: str, rank: int) -> list[tuple]:
    """The candidates that start with a primitive."""
    rows = []
    for kind, row in starts().get(primitive, ()):
        if kind == "plain":
            rows.append(row)
        else:
            rows += [(row[0], {"axis": axis}, functools.partial(row[1], axis=axis))
                     for axis in range(rank)]
    return rows


@dataclass
class Found:
    """`count` steps that are the operation `op` from `x` to `y`.

    `function` is JAX's own, None where a number of the steps decides what it does.
    """

    op: str
    params: dict
    x: Ref
    y: Ref
    count: int
    function: Callable | None


class Finder:
    """Finds patterns in the steps of one network."""

    def __init__(self, flat: Flat):
        self.flat = flat
        self.uses = {}
        for step in flat.steps:
            for value in step.inputs:
                self.uses[id(value)] = self.uses.get(id(value), 0) + 1
        for value in flat.outputs:
            self.uses[id(value)] = self.uses.get(id(value), 0) + 1
        self._traced = {}

    def at(self, n: int) -> "Found | None":
        """The pattern that starts at step `n`, or None."""
        first = self.flat.steps[n].primitive
        if first not in starts():
            return None
        for x in dict.fromkeys(v for v in self.flat.steps[n].inputs if isinstance(v, Ref)):
            for op, params, function, pattern in self._patterns(first, x.aval):
                match = self._match(pattern, n, x)
                if match:
                    if "slope" in match:
                        params, function = {key: match["slope"] for key in params}, None
                    size = len(pattern.steps)
                    y = self.flat.steps[n + size - 1].outputs[0]
                    return Found(op, params, x, y, size, function)
        return None

    def _patterns(self, first: str, aval) -> list:
        key = (first, aval.shape, aval.dtype)
        if key not in self._traced:
            spec = jax.ShapeDtypeStruct(aval.shape, aval.dtype)
            found = [] if aval.dtype.kind != "f" else [
                (op, params, function, _traced(function, spec))
                for op, params, function in starting(first, len(aval.shape))]
            self._traced[key] = [row for row in found if row[3] is not None]
        return self._traced[key]

    def _match(self, pattern: Flat, n: int, x) -> dict | None:
        """What stands for what if the pattern's steps are those at `n`, applied to `x`."""
        steps = self.flat.steps[n:n + len(pattern.steps)]
        if len(steps) < len(pattern.steps):
            return None
        same = {id(pattern.inputs[0]): x}
        for mine, theirs in zip(pattern.steps, steps):
            if not _same_step(mine, theirs, same):
                return None
        inner = [output for step in steps[:-1] for output in step.outputs]
        inside = sum(id(v) in {id(o) for o in inner} for step in steps for v in step.inputs)
        return same if sum(self.uses.get(id(o), 0) for o in inner) == inside else None


def _traced(function, spec) -> "Flat | None":
    """The steps of a function; None where it is not defined for every size that may come."""
    try:
        return flatten(jax.make_jaxpr(function)(spec))
    except jax.errors.InconclusiveDimensionOperation:
        return None


def _same_step(mine, theirs, same: dict) -> bool:
    """Whether two steps are one, given which values are the same so far; adds their outputs."""
    if mine.primitive != theirs.primitive or len(mine.inputs) != len(theirs.inputs) \
            or [o.aval.shape for o in mine.outputs] != [o.aval.shape for o in theirs.outputs]:
        return False
    if any(not _same_param(value, theirs.params.get(key)) for key, value in mine.params.items()):
        return False
    orders = [theirs.inputs]
    if mine.primitive in ("add", "mul", "max"):
        orders.append(theirs.inputs[::-1])
    for order in orders:
        found = dict(same)
        if all(_same_value(a, b, found) for a, b in zip(mine.inputs, order)):
            same.update(found)
            same.update((id(a), b) for a, b in zip(mine.outputs, theirs.outputs))
            return True
    return False


def _same_param(mine, theirs) -> bool:
    return type(mine) is type(theirs) and (mine is theirs or mine == theirs)


def _same_value(mine, theirs, same: dict) -> bool:
    if isinstance(mine, Ref):
        return same.get(id(mine)) is theirs
    if not isinstance(theirs, Const) or np.shape(mine.array) != np.shape(theirs.array):
        return False
    if np.shape(mine.array) == () and float(mine.array) == SLOPE:
        same["slope"] = float(theirs.array)
        return True
    return bool(np.all(np.asarray(mine.array) == np.asarray(theirs.array)))


def pattern(walk, step, found: Found):
    """The node of a pattern: along an axis it wants the network's order, else it keeps what is."""
    if "axis" not in found.params:
        return walk.elementwise(step, found.op, found.x, found.y, found.params)
    value = walk.full(found.x, step)
    order = value.any_order()
    params = {"axis": order.index(found.params["axis"])}
    name = walk.node(step, found.op, [walk.laid(value, step, order)], params)
    return Value(tuple(value.shape), {order: name})
