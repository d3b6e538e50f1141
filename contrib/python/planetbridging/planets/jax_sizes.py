"""What depends on sizes alone: symbolic extents, and the steps that compute from them.

Such values (a triangular mask, the number of elements of a mean) are no tensors of a graph: they
are recognised by computing them for several sizes and comparing.
"""

from __future__ import annotations

import ast
import operator
import re

import jax
import numpy as np
from jax import export
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun

from .jax_flat import Const, Flat, Ref
from .signature import reach

FUNCTIONS = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max, "min": min,
             "__builtins__": {}}
ROUNDS = 3
"""For how many choices of small sizes a value is compared."""

BOUNDS = ("shape", "start_indices", "limit_indices", "padding_config", "slice_sizes")
"""Parameters of a step whose numbers may be the length at which a value changes."""


class Inexpressible(Exception):
    """A step that has no word in the vocabulary, in words."""


def size(dim) -> int | str:
    """A size as the stream says it: "4*batch", "batch//2"."""
    if not export.is_symbolic_dim(dim):
        return int(dim)
    tree = _Floor().visit(ast.parse(_python(dim), mode="eval"))
    if any(isinstance(node, ast.Call) for node in ast.walk(tree)):
        raise Inexpressible(f"a size of {dim}")
    return ast.unparse(tree).replace(" ", "")


def sizes(shape) -> str:
    return "[" + ", ".join(str(size(dim)) for dim in shape) + "]"


def extent(dim, known: dict[str, int]) -> int:
    """The number that a size is when the names in it are `known`."""
    if not export.is_symbolic_dim(dim):
        return int(dim)
    return int(eval(_python(dim), dict(FUNCTIONS), known))  # noqa: S307: JAX's own text of a size


def extents(shape, known: dict[str, int]) -> tuple[int, ...]:
    return tuple(extent(dim, known) for dim in shape)


def _python(dim) -> str:
    return re.sub(r"(\w+)\^(\d+)", lambda m: "*".join([m[1]] * int(m[2])), str(dim))


class _Floor(ast.NodeTransformer):
    """JAX's floordiv(a, b) as a // b, and max(a, 0) as a: no tensor has a size below zero, so where
    a is negative the stream's size is refused."""

    def visit_Call(self, node):
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "floordiv":
            return ast.BinOp(node.args[0], ast.FloorDiv(), node.args[1])
        others = [a for a in node.args if getattr(a, "value", None) != 0]
        return others[0] if name == "max" and len(others) == 1 else node


def names_in(specs) -> list[str]:
    """The names of sizes in the shapes of a network's inputs."""
    found = [name for spec in specs for dim in spec.shape if export.is_symbolic_dim(dim)
             for name in re.findall(r"[a-z]\w*", str(dim))]
    return list(dict.fromkeys(found))


def compute(step, arguments: list, known: dict[str, int], wide: bool = False) -> list:
    """What a step makes of arrays, with the symbolic sizes in its parameters known.

    With `wide` a step that says float32 makes float64.
    """
    if step.primitive == "dim_as_value":
        dim = step.params["dim"]
        return [np.asarray(extent(dim, known), step.outputs[0].aval.dtype)]
    if step.primitive == "take":
        return [jax.numpy.take(*arguments, axis=step.params["axis"])]
    made = step.bind.bind(*_alike(arguments), **{key: _numbers(value, known, wide)
                                         for key, value in step.params.items()})
    return list(made) if step.bind.multiple_results else [made]


def _alike(arguments: list) -> list:
    """Floats of one width: conversions between widths are not among the steps."""
    widths = {a.dtype for a in arguments if np.dtype(a.dtype).kind == "f"}
    if len(widths) < 2:
        return arguments
    wide = max(widths, key=lambda dtype: dtype.itemsize)
    return [a.astype(wide) if a.dtype in widths else a for a in arguments]


def _numbers(value, known: dict[str, int], wide: bool):
    """A parameter with numbers for the sizes in it, and float64 for float32 if `wide`."""
    if export.is_symbolic_dim(value):
        return extent(value, known)
    if type(value) in (tuple, list):
        return type(value)(_numbers(item, known, wide) for item in value)
    if wide and isinstance(value, np.dtype):
        return _wide(value)
    return _wide_jaxpr(value) if wide and isinstance(value, Jaxpr) else value


def _wide(dtype) -> np.dtype:
    return np.dtype(np.float64) if dtype == np.float32 else dtype


def _wide_jaxpr(jaxpr: Jaxpr) -> Jaxpr:
    """What a scatter does with two elements, in float64."""
    specs = [jax.ShapeDtypeStruct(var.aval.shape, _wide(var.aval.dtype)) for var in jaxpr.invars]
    return jax.make_jaxpr(jaxpr_as_fun(ClosedJaxpr(jaxpr, ())))(*specs).jaxpr


def _integers(value) -> list[int]:
    """The whole numbers in a parameter, however deep."""
    if isinstance(value, (tuple, list)):
        return [n for item in value for n in _integers(item)]
    return [abs(value)] if type(value) is int else []


class Sized:
    """The values of a network that depend on sizes alone."""

    def __init__(self, flat: Flat, names: list[str]):
        self.producers = {id(output): step for step in flat.steps for output in step.outputs}
        self.names = names
        self._known: set[int] = set()
        for step in flat.steps:
            if all(self.knows(value) for value in step.inputs):
                self._known.update(id(output) for output in step.outputs)

    def knows(self, value) -> bool:
        return isinstance(value, Const) or id(value) in self._known

    def value(self, value, known: dict[str, int]) -> np.ndarray:
        """The array that a value is for these sizes."""
        if isinstance(value, Const):
            return np.asarray(value.array)
        step = self.producers[id(value)]
        made = compute(step, [self.value(item, known) for item in step.inputs], known)
        return np.asarray(made[[id(o) for o in step.outputs].index(id(value))])

    def is_always(self, value, expected) -> bool:
        """Whether a value is `expected(its shape, the sizes)` for every choice of the sizes."""
        if not self.knows(value):
            return False
        shape = value.aval.shape if isinstance(value, Ref) else np.shape(value.array)
        rounds = self._rounds(value)
        for known in rounds:
            found = self.value(value, known)
            if not np.array_equal(found, expected(extents(shape, known), known)):
                return False
        return bool(rounds)

    def _rounds(self, value) -> list[dict[str, int]]:
        """Choices of the sizes: a few small ones, then each in turn as far as it may matter."""
        small = [{name: 5 + 2 * n + turn for n, name in enumerate(self.names)}
                 for turn in range(ROUNDS)]
        far = reach(self._numbers_behind(value))
        return [] if far is None else small + [{**small[0], name: far} for name in self.names]

    def _numbers_behind(self, value) -> list[float]:
        """The greatest numbers in the constants that a value is computed from, and the greatest
        bound of a slice or a padding."""
        found, bounds, todo, seen = [], [0], [value], set()
        while todo:
            item = todo.pop()
            if isinstance(item, Const):
                array = np.abs(np.asarray(item.array, float))
                found.append(float(array[np.isfinite(array)].max(initial=0)))
            elif id(item) not in seen:
                seen.add(id(item))
                step = self.producers[id(item)]
                bounds += [n for key in BOUNDS for n in _integers(step.params.get(key))]
                todo += step.inputs
        return [*found, max(bounds)]

    def is_causal(self, mask) -> bool:
        """Whether a mask lets each query see itself and what is before it, in every matrix."""
        def lower(shape, known):
            square = len(shape) >= 2 and shape[-1] == shape[-2]
            return np.broadcast_to(np.tri(shape[-1]), shape) if square else np.nan
        return self.is_always(mask, lower)

    def is_zero(self, value) -> bool:
        return self.is_always(value, lambda shape, known: np.zeros(shape))

    def dims(self, value) -> list:
        """The sizes that a value of integers, of rank 0 or 1, holds as expressions."""
        if isinstance(value, Const):
            return [int(item) for item in np.asarray(value.array).reshape(-1)]
        step = self.producers.get(id(value))
        if step is not None and step.primitive == "dim_as_value":
            return [step.params["dim"]]
        if step is not None and step.primitive in ("convert_element_type", "broadcast_in_dim",
                                                   "reshape", "squeeze", "concatenate"):
            return [dim for item in step.inputs for dim in self.dims(item)]
        raise Inexpressible("indices that are computed")
