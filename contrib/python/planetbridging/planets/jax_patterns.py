"""Functions of jax.nn that a jaxpr holds only as their primitives, found by comparing.

The function is traced for the type at hand, and the steps of the network must be the same,
primitive by primitive, parameter by parameter, number by number; so what is found is that function,
in this version of JAX and any other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import numpy as np

from .jax_flat import Const, Flat, Ref, flatten

SLOPE = 0.3125
"""The slope in the pattern of leaky_relu: a place for any number."""


def stable_softmax(x, axis):
    """The softmax that many write by hand."""
    e = jax.numpy.exp(x - jax.numpy.max(x, axis, keepdims=True))
    return e / jax.numpy.sum(e, axis, keepdims=True)


def candidates(rank: int) -> list[tuple]:
    """(operation, parameters, function) for values of a rank."""
    found = [("gelu", {"approximate": "tanh"}, functools.partial(jax.nn.gelu, approximate=True)),
             ("gelu", {"approximate": "none"}, functools.partial(jax.nn.gelu, approximate=False)),
             ("silu", {}, jax.nn.silu),
             ("leaky_relu", {"negative_slope": None}, functools.partial(jax.nn.leaky_relu,
                                                                        negative_slope=SLOPE))]
    for axis in range(rank):
        for function in (jax.nn.softmax, stable_softmax):
            found.append(("softmax", {"axis": axis}, functools.partial(function, axis=axis)))
    return found


@functools.cache
def starts() -> frozenset[str]:
    """The primitives with which patterns start."""
    spec = jax.ShapeDtypeStruct((2, 3), "float32")
    return frozenset(flatten(jax.make_jaxpr(function)(spec)).steps[0].primitive
                     for _, _, function in candidates(2))


@dataclass
class Found:
    """`count` steps that are the operation `op` from `x` to `y`."""

    op: str
    params: dict
    x: Ref
    y: Ref
    count: int


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
        if self.flat.steps[n].primitive not in starts():
            return None
        for x in dict.fromkeys(v for v in self.flat.steps[n].inputs if isinstance(v, Ref)):
            for op, params, pattern in self._patterns(x.aval):
                match = self._match(pattern, n, x)
                if match:
                    slope = match.get("slope")
                    params = {k: slope if v is None else v for k, v in params.items()}
                    size = len(pattern.steps)
                    return Found(op, params, x, self.flat.steps[n + size - 1].outputs[0], size)
        return None

    def _patterns(self, aval) -> list:
        key = (aval.shape, aval.dtype)
        if key not in self._traced:
            spec = jax.ShapeDtypeStruct(aval.shape, aval.dtype)
            found = [] if aval.dtype.kind != "f" else [
                (op, params, _traced(function, spec))
                for op, params, function in candidates(len(aval.shape))]
            self._traced[key] = [row for row in found if row[2] is not None]
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
