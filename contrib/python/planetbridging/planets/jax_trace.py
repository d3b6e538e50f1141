"""Turns the steps of a traced network into the nodes of a graph.

What has no word in the vocabulary is noted under its module and primitive, and the walk goes on.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass

import numpy as np

from ..graph import Builder
from .jax_flat import Const, Ref, Step, flatten
from .jax_modules import Trace
from .jax_patterns import Finder

SUPPORTED = ["linen.Dense", "nnx.Linear", "products with a weight", "relu", "tanh", "sigmoid",
             "silu", "gelu", "leaky_relu", "softmax", "+ - * /", "concatenate", "reshape",
             "squeeze", "and what is composed of these"]

UNARY = {"tanh": "tanh", "logistic": "sigmoid"}
BINARY = {"add": "add", "add_any": "add", "sub": "sub", "mul": "mul", "div": "div"}


class Inexpressible(Exception):
    """A step that has no word in the vocabulary, in words."""


@dataclass
class Value:
    """A tensor of the graph.

    `shape` is its own; the jaxpr may see it spread over a larger one, which only operations that
    broadcast can take.
    """

    name: str
    shape: tuple


class Walk:
    """Emits the nodes of one trace into `builder`."""

    def __init__(self, builder: Builder, trace: Trace):
        self.builder = builder
        self.root = trace.root
        self.flat = flatten(trace.jaxpr, trace.weights, trace.sources)
        self.values: dict[int, Value] = {}
        self.broken: set[int] = set()
        self.refused: dict[tuple[str, str], list[str]] = {}
        self.made: list[Const] = []

    def run(self, names: list[str]) -> list[str]:
        """Emit everything for inputs called `names`; the names of the outputs."""
        for ref, name in zip(self.flat.inputs, names):
            self.values[id(ref)] = Value(name, ref.aval.shape)
        finder, n = Finder(self.flat), 0
        while n < len(self.flat.steps):
            step, found = self.flat.steps[n], finder.at(n)
            if found:
                self._attempt(step, [found.x], [found.y], lambda: self._pattern(step, found))
            elif step.primitive in PRIMITIVES:
                self._attempt(step, step.inputs, step.outputs, lambda: self._primitive(step))
            else:
                self._refuse(step, step.primitive)
            n += found.count if found else 1
        outputs = [self._output(ref) for ref in self.flat.outputs]
        for (path, cls), reasons in self.refused.items():
            self.builder.refuse(path or "the model", cls, ", ".join(dict.fromkeys(reasons)))
        return outputs

    def _attempt(self, step: Step, inputs, outputs, emit) -> None:
        """Emit what has a word, unless what it needs was refused."""
        if any(id(item) in self.broken for item in inputs):
            self.broken.update(id(ref) for ref in outputs)
            return
        try:
            self.values[id(outputs[0])] = emit()
        except Inexpressible as reason:
            self._refuse(step, str(reason))
            self.broken.update(id(ref) for ref in outputs)

    def _refuse(self, step: Step, what: str) -> None:
        """Note a step under its module; what depends on it is broken, and the walk goes on."""
        self.refused.setdefault(step.scope or ("", self.root), []).append(what)
        self.broken.update(id(ref) for ref in step.outputs)

    def _output(self, ref) -> str:
        """The name of a tensor that the network returns as a whole."""
        step = Step("output", {}, [ref], [])
        self._attempt(step, [ref], [ref], lambda: self.full(ref, step))
        return "" if id(ref) in self.broken else self.values[id(ref)].name

    def _pattern(self, step: Step, found) -> Value:
        check_float(found.y.aval)
        x = self.full(found.x, step)
        return self.node(step, found.op, [x], found.y.aval.shape, found.params)

    def _primitive(self, step: Step) -> Value:
        for ref in step.outputs:
            check_float(ref.aval)
        return PRIMITIVES[step.primitive](self, step)

    def path(self, step: Step, suffix: str) -> str:
        """A name for a node of a step: its module's path and what it does."""
        path = step.scope[0] if step.scope else ""
        return f"{path}.{suffix}" if path and suffix else path or suffix

    def node(self, step: Step, op: str, inputs: list[Value], shape, params=None) -> Value:
        name = self.builder.node(self.path(step, op), op, [v.name for v in inputs], params)
        return Value(name, tuple(shape))

    def value(self, item, step: Step) -> Value:
        """An operand of an operation that broadcasts."""
        if id(item) in self.values:
            return self.values[id(item)]
        assert isinstance(item, Const)
        array = np.asarray(item.array)
        check_float(array)
        wanted = source_name(item.source) if item.source else self.path(step, "constant")
        name = self.builder.constant(wanted, array, source=item.source, key=id(item))
        self.values[id(item)] = Value(name, array.shape)
        return self.values[id(item)]

    def number(self, number, dtype) -> Const:
        """A constant that the network does not hold, kept so that its identity stays its own."""
        self.made.append(Const(np.asarray(number, dtype)))
        return self.made[-1]

    def full(self, item, step: Step) -> Value:
        """An operand of any other operation: it must have the size that the jaxpr says."""
        value = self.value(item, step)
        if isinstance(item, Ref) and tuple(value.shape) != tuple(item.aval.shape):
            raise Inexpressible(
                f"broadcast_in_dim of {sizes(value.shape)} to {sizes(item.aval.shape)}")
        return value

    def reshape(self, step: Step, x: Value, shape, suffix: str = "reshape") -> Value:
        if tuple(x.shape) == tuple(shape):
            return x
        name = self.builder.node(self.path(step, suffix), "reshape", [x.name],
                                 {"shape": [size(dim) for dim in shape]})
        return Value(name, tuple(shape))


def _unary(op: str):
    def emit(walk: Walk, step: Step) -> Value:
        return walk.node(step, op, [walk.full(step.inputs[0], step)], step.outputs[0].aval.shape)
    return emit


def _binary(op: str):
    def emit(walk: Walk, step: Step) -> Value:
        return _combine(walk, step, op, *step.inputs)
    return emit


def _combine(walk: Walk, step: Step, op: str, left, right) -> Value:
    """A node of two operands; what they lack of the result's size, later operations spread."""
    left, right = walk.value(left, step), walk.value(right, step)
    rank = max(len(left.shape), len(right.shape))
    pairs = zip(*[(1,) * (rank - len(v.shape)) + tuple(v.shape) for v in (left, right)])
    return walk.node(step, op, [left, right], [b if a == 1 else a for a, b in pairs])


def _max(walk: Walk, step: Step) -> Value:
    """The maximum with zero is relu; no other has a word."""
    for x, zero in (step.inputs, step.inputs[::-1]):
        if isinstance(zero, Const) and isinstance(x, Ref) and not np.any(np.asarray(zero.array)):
            return walk.node(step, "relu", [walk.full(x, step)], x.aval.shape)
    raise Inexpressible("max with anything but 0")


def _negate(walk: Walk, step: Step) -> Value:
    return _combine(walk, step, "mul", step.inputs[0], walk.number(-1, step.outputs[0].aval.dtype))


def _square(walk: Walk, step: Step) -> Value:
    if step.params.get("y", 2) != 2:
        raise Inexpressible(f"integer_pow with exponent {step.params['y']}")
    return _combine(walk, step, "mul", step.inputs[0], step.inputs[0])


def _concatenate(walk: Walk, step: Step) -> Value:
    parts = [walk.full(item, step) for item in step.inputs]
    axis = int(step.params["dimension"])
    return walk.node(step, "concat", parts, step.outputs[0].aval.shape, {"axis": axis})


def _reshape(walk: Walk, step: Step) -> Value:
    if step.primitive == "reshape" and step.params.get("dimensions") is not None:
        raise Inexpressible("reshape that transposes")
    return walk.reshape(step, walk.full(step.inputs[0], step), step.outputs[0].aval.shape)


def _broadcast(walk: Walk, step: Step) -> Value:
    """New axes of size 1 are a reshape; the spreading itself is left to those who use the value."""
    value, shape = walk.value(step.inputs[0], step), step.outputs[0].aval.shape
    axes = step.params["broadcast_dimensions"]
    if not value.shape:
        return value
    if len(axes) != len(value.shape):
        raise Inexpressible("broadcast_in_dim of a broadcast value")
    aligned = [1] * len(shape)
    for axis, extent in zip(axes, value.shape):
        aligned[axis] = extent
    return walk.reshape(step, value, aligned)


def _dense(walk: Walk, step: Step) -> Value:
    """A dense layer of Flax, kept whole."""
    x, kernel, *bias = step.inputs
    weights = [kernel, *bias]
    if not all(isinstance(w, Const) for w in weights):
        raise Inexpressible("dense with a kernel or bias that depends on the inputs")
    arrays = [np.asarray(w.array) for w in weights] + [None]
    sources = [w.source for w in weights] + [""]
    keys = [id(w) for w in weights] + [None]
    name = walk.builder.dense(step.params["path"] or walk.root.lower(), walk.full(x, step).name,
                              *arrays[:2], axes=("i", "o"), keys=keys[:2], sources=sources[:2])
    return Value(name, step.outputs[0].aval.shape)


def _product(walk: Walk, step: Step) -> Value:
    """A product with a weight: the last axes of the value with any axes of the weight."""
    (inner, outer), batch = step.params["dimension_numbers"]
    x, weight = step.inputs
    if not isinstance(x, Ref) or not isinstance(weight, Const) or any(batch):
        raise Inexpressible("dot_general of two values, or of a weight from the left")
    rank = len(x.aval.shape)
    if tuple(inner) != tuple(range(rank - len(inner), rank)):
        raise Inexpressible("dot_general over other axes than the last")
    array = np.asarray(weight.array)
    free = [axis for axis in range(array.ndim) if axis not in outer]
    made = step.outputs[0].aval.shape
    lead, sizes_in = x.aval.shape[:rank - len(inner)], [array.shape[axis] for axis in outer]
    value = walk.reshape(step, walk.full(x, step), lead + (math.prod(sizes_in),), "dense.in")
    axes, key = ("i", "o"), (id(weight), tuple(outer))
    if array.ndim == 2 and len(free) == 1:
        axes = ("i", "o") if tuple(outer) == (0,) else ("o", "i")
    else:
        array = array.transpose(*outer, *free).reshape(math.prod(sizes_in), -1)
    name = walk.builder.dense(walk.path(step, "dense"), value.name, array, axes=axes,
                              keys=(key, None), sources=(weight.source, ""))
    flat = Value(name, lead + (array.shape[axes.index("o")],))
    return walk.reshape(step, flat, made, "dense.out")


PRIMITIVES = {
    "planetbridging_dense": _dense, "dot_general": _product, "max": _max, "neg": _negate,
    "integer_pow": _square, "square": _square, "concatenate": _concatenate, "reshape": _reshape,
    "squeeze": _reshape, "expand_dims": _reshape, "broadcast_in_dim": _broadcast,
    **{name: _unary(op) for name, op in UNARY.items()},
    **{name: _binary(op) for name, op in BINARY.items()},
}


def check_float(typed) -> None:
    """Refuse a value that is no float32 (or wider), naming what it is."""
    if str(typed.dtype) not in ("float32", "float64"):
        raise Inexpressible(f"works on {typed.dtype} values")


def source_name(source: str) -> str:
    """A weight's path as a node name, without the collection in front."""
    return source.removeprefix("params/").replace("/", ".")


def sizes(shape) -> str:
    return "[" + ", ".join(str(size(dim)) for dim in shape) + "]"


def size(dim) -> int | str:
    """A size as the stream says it: "4*batch", "batch//2"."""
    if isinstance(dim, int):
        return dim
    text = re.sub(r"(\w+)\^(\d+)", lambda m: "*".join([m[1]] * int(m[2])), str(dim))
    tree = _Floor().visit(ast.parse(text, mode="eval"))
    if any(isinstance(node, ast.Call) for node in ast.walk(tree)):
        raise Inexpressible(f"a size of {dim}")
    return ast.unparse(tree).replace(" ", "")


class _Floor(ast.NodeTransformer):
    """JAX's floordiv(a, b) as a // b."""

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "floordiv":
            return ast.BinOp(node.args[0], ast.FloorDiv(), node.args[1])
        return node
