"""Turns the steps of a traced network into the nodes of a graph.

What has no word in the vocabulary is noted under its module and primitive, and the walk goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import numpy as np

from ..graph import Builder, Node
from .jax_flat import COMPUTED, Const, Ref, Step, flatten
from .jax_modules import Trace
from .jax_patterns import Finder, pattern
from .jax_sizes import Inexpressible, Sized, names_in, size
from .jax_values import Order, Value, step_between, straight

SUPPORTED = ["the layers of linen and nnx, planetbridging.composed.flax_, and JAX's primitives for "
             "arithmetic, comparisons, exp and log, sin and cos, powers, roots, rounding, "
             "products, convolutions, pools, reductions, cumsum, shapes, slices, gather, scatter "
             "with known places, pad and select, loops of a known length, and what is composed of "
             "these"]

INT_KINDS = "iu"


class Broken(Exception):
    """A value that depends on something that was refused already."""


@dataclass
class Tap:
    """How the network's own run shows a tensor of the graph: the array of `ref` after `moves`.

    Each move is ("transpose", order) or ("reshape", shape).
    """

    ref: Ref
    moves: tuple = ()

    def then(self, kind: str, how) -> "Tap":
        return Tap(self.ref, (*self.moves, (kind, tuple(how))))


class Walk:
    """Emits the nodes of one trace into `builder`."""

    def __init__(self, builder: Builder, trace: Trace):
        self.builder = builder
        self.root = trace.root
        self.specs = trace.specs
        self.opened = trace.opened
        weights = [held(builder, *weight) for weight in zip(trace.sources, trace.weights)]
        self.flat = flatten(trace.jaxpr, weights, trace.sources)
        self.sized = Sized(self.flat, names_in(trace.specs))
        self.uses = self._count_uses()
        self.values: dict[int, Value] = {}
        self.sums: dict[int, Callable] = {}
        self.summed: dict[int, Step] = {}
        self.taps: dict[str, Tap] = {}
        self.functions: dict[int, tuple[Callable, Ref]] = {}
        self.first_names: dict[str, list[str]] = {}
        self.broken: set[int] = set()
        self.refused: dict[tuple[str, str], list[str]] = {}
        self.made: list[Const] = []

    def declare(self, names: list[str]) -> None:
        """The inputs of the network, to be called `names`."""
        for ref, name in zip(self.flat.inputs, names):
            shape = [size(dim) for dim in ref.aval.shape]
            name = self.builder.input(name, self.input_dtype(ref), shape)
            self.values[id(ref)] = Value.plain(name, ref.aval.shape)
            self.taps[name] = Tap(ref)

    def run(self) -> list[str]:
        """Emit everything; the names of the outputs."""
        finder, n = Finder(self.flat), 0
        while n < len(self.flat.steps):
            step, found = self.flat.steps[n], finder.at(n)
            n += found.count if found else 1
            if found:
                self._found(step, found)
            elif not is_mask(step) and not all(map(self.sized.knows, step.outputs)):
                self._attempt(step, step.outputs, lambda: self._primitive(step))
        outputs = [self._output(ref) for ref in self.flat.outputs]
        for (path, cls), reasons in self.refused.items():
            self.builder.refuse(path or "the model", cls, ", ".join(dict.fromkeys(reasons)))
        return outputs

    def _count_uses(self) -> dict[int, int]:
        uses: dict[int, int] = {}
        for value in [v for step in self.flat.steps for v in step.inputs] + self.flat.outputs:
            uses[id(value)] = uses.get(id(value), 0) + 1
        return uses

    def used(self, ref) -> bool:
        """Whether anything needs a value."""
        return id(ref) in self.uses

    def input_dtype(self, ref) -> str:
        """int64 for integers, unless the network does nothing but turn them into floats."""
        kind = ref.aval.dtype.kind
        users = [step for step in self.flat.steps if any(item is ref for item in step.inputs)]
        floats = [step for step in users if takes_floats(step, ref)]
        if kind == "b" or (kind in INT_KINDS and (len(floats) < len(users) or not users)):
            return "bool" if kind == "b" else "int64"
        return "float32"

    def _attempt(self, step: Step, outputs, emit) -> None:
        """Emit what has a word, unless what it needs was refused; what has none is named anyhow."""
        if unknown(step):
            self._refuse(step, outputs, unknown(step))
        elif any(id(item) in self.broken for item in step.inputs):
            self.broken.update(id(ref) for ref in outputs)
        else:
            self._emit(step, outputs, emit)

    def _emit(self, step: Step, outputs, emit) -> None:
        try:
            self._keep(outputs, emit())
        except Inexpressible as reason:
            self._refuse(step, outputs, str(reason))
        except Broken:
            self.broken.update(id(ref) for ref in outputs)

    def _demand(self, step: Step) -> None:
        """Emit a step that was left until something needs it."""
        self._attempt(step, step.outputs, lambda: self._primitive(step))
        if any(id(ref) in self.broken for ref in step.outputs):
            raise Broken

    def _keep(self, outputs, made) -> None:
        """Note what stands for the outputs of a step, and how taps find it."""
        for ref, value in zip(outputs, made if isinstance(made, list) else [made]):
            if value is None:
                continue
            self.values[id(ref)] = value
            if tuple(value.shape) == tuple(ref.aval.shape):
                for order, name in value.tensors.items():
                    self.taps.setdefault(name, Tap(ref).then("transpose", order))

    def _refuse(self, step: Step, outputs, what: str) -> None:
        """Note a step under its module; what depends on it is broken, and the walk goes on."""
        path, cls = step.scope or ("", "")
        self.refused.setdefault((path, cls or self.root), []).append(what)
        self.broken.update(id(ref) for ref in outputs)

    def _found(self, step: Step, found) -> None:
        if id(found.x) in self.broken:
            self.broken.add(id(found.y))
        else:
            self._emit(step, [found.y], lambda: self._pattern(step, found))

    def _output(self, ref) -> str:
        """The name of a tensor that the network returns as a whole."""
        step = Step("output", {}, [ref], [])
        made = []
        self._attempt(step, [], lambda: made.append(self.name(ref, step)) or [])
        return made[0] if made else ""

    def _pattern(self, step: Step, found) -> Value:
        check(step, [found.y.aval])
        if found.function is not None:
            self.functions[id(found.y)] = found.function, found.x
        return pattern(self, step, found)

    def _primitive(self, step: Step):
        from .jax_steps import PRIMITIVES

        check(step, [ref.aval for ref in step.outputs])
        return PRIMITIVES[step.primitive](self, step)

    def path(self, step: Step, suffix: str) -> str:
        """A name for a node of a step: its module's path and what it does."""
        path = step.scope[0].replace("/", ".") if step.scope else ""
        return f"{path}.{suffix}" if path and suffix else path or suffix

    def node(self, step: Step, op: str, inputs: list, params=None, suffix: str = "") -> str:
        """Append a node without weights; the name of its tensor."""
        return self.builder.node(self.path(step, suffix or op), op, inputs, params)

    def layer(self, name: str, op: str, inputs: list, params: dict, tensors: list,
              outputs=()) -> None:
        """Append the node of a layer, whose name is reserved already."""
        self.builder.graph.nodes.append(Node(name, op, inputs, params, tensors, list(outputs)))
        self.first_names[name] = list(outputs) or [name]

    def elementwise(self, step: Step, op: str, x, y: Ref, params=None) -> Value:
        """A function of each element: it leaves the order of axes, and what is spread, as it is."""
        value = self.value(x, step)
        order = value.any_order()
        return Value(tuple(value.shape),
                     {order: self.node(step, op, [self.laid(value, step, order)], params)})

    def value(self, item, step: Step) -> Value:
        """An operand of an operation that broadcasts."""
        if id(item) in self.broken:
            raise Broken
        if id(item) not in self.values and isinstance(item, Const):
            self.values[id(item)] = self._constant(item)
        elif id(item) not in self.values and id(item) not in self.sums:
            self._demand(self.sized.producers[id(item)])
        if id(item) in self.sums:
            self._keep([item], self.sums.pop(id(item))())
        return self.values[id(item)]

    def _constant(self, item: Const) -> Value:
        array = np.asarray(item.array)
        check_dtype(array.dtype)
        if array.dtype.kind in INT_KINDS:
            array = array.astype(np.int64)
        return Value.held(array, item.source, id(item))

    def number(self, number, dtype) -> Const:
        """A constant that the network does not hold, kept so that its identity stays its own."""
        self.made.append(Const(np.asarray(number, dtype)))
        return self.made[-1]

    def full(self, item, step: Step) -> Value:
        """An operand of any other operation: it must have the size that the jaxpr says."""
        value = self.value(item, step)
        if isinstance(item, Ref) and tuple(value.shape) != tuple(item.aval.shape):
            value = self.expanded(value, step, item.aval.shape)
            self._keep([item], value)
        return value

    def expanded(self, value: Value, step: Step, shape) -> Value:
        """A value spread over a larger shape, in the order of axes that it has."""
        order = value.any_order() if len(value.shape) == len(shape) else straight(len(shape))
        x = self.laid(value, step, value.any_order())
        params = {"shape": [size(shape[axis]) for axis in order]}
        return Value(tuple(shape), {order: self.node(step, "expand", [x], params)})

    def name(self, item, step: Step, order: Order | None = None) -> str:
        """The tensor that holds a whole operand, in an order of axes, by default the network's."""
        value = self.full(item, step)
        return self.laid(value, step, order or straight(len(value.shape)))

    def laid(self, value: Value, step: Step, order: Order) -> str:
        """The tensor that holds a value in an order of axes, made if there is none."""
        if order in value.tensors:
            return value.tensors[order]
        if value.array is not None:
            wanted = source_name(value.source) or self.path(step, "constant")
            value.tensors[order] = self.builder.constant(
                wanted, value.array.transpose(order), source=value.source, key=(value.key, order))
        else:
            old = value.any_order()
            name = self.node(step, "transpose", [value.tensors[old]],
                             {"perm": step_between(old, order)})
            self._tap_after(value.tensors[old], name, "transpose", step_between(old, order))
            value.tensors[order] = name
        return value.tensors[order]

    def reshape(self, step: Step, x: Value, shape, suffix: str = "reshape") -> Value:
        """The elements of a value, in the network's order, in another shape."""
        if tuple(x.shape) == tuple(shape):
            return x
        if x.array is not None and all(isinstance(dim, int) for dim in shape):
            return x.reshaped(tuple(shape))
        old = self.laid(x, step, straight(len(x.shape)))
        name = self.node(step, "reshape", [old], {"shape": [size(dim) for dim in shape]}, suffix)
        self._tap_after(old, name, "reshape", shape)
        return Value.plain(name, shape)

    def _tap_after(self, old: str, new: str, kind: str, how) -> None:
        if old in self.taps:
            self.taps[new] = self.taps[old].then(kind, how)

    def tap_as(self, name: str, ref: Ref, shape) -> None:
        """Say that a tensor is the array of `ref` in another shape."""
        self.taps[name] = Tap(ref).then("reshape", shape)


def unknown(step: Step) -> str:
    """What a step does that has no word, whatever it is given; "" if there may be one."""
    from .jax_steps import PRIMITIVES

    if step.primitive not in PRIMITIVES and step.primitive != "output":
        return step.primitive
    return ", ".join(step.params["layer"].problems) if "layer" in step.params else ""


def is_mask(step: Step) -> bool:
    """Whether a step makes a mask of masks, which an attention layer looks through: it is emitted
    when something else needs it."""
    if step.primitive == "convert_element_type":
        item = step.inputs[0]
        made = [step.outputs[0].aval] + ([item.aval] if isinstance(item, Ref) else [])
        return any(aval.dtype.kind == "b" for aval in made)
    return step.primitive in ("and", "or", "not")


def takes_floats(step: Step, ref: Ref) -> bool:
    """Whether a step turns integers into floats, or is a layer that does so first of all."""
    if "layer" in step.params:
        layer = step.params["layer"]
        role = dict(zip([id(item) for item in step.inputs], layer.data)).get(id(ref))
        return layer.op != "embedding" and role not in ("lengths", "mask")
    return step.primitive == "convert_element_type" and step.outputs[0].aval.dtype.kind == "f"


def check(step: Step, avals) -> None:
    """Refuse a step that makes values of a type that the stream does not compute in."""
    from .jax_steps import MOVES

    for aval in avals:
        check_dtype(aval.dtype)
        if narrow(aval.dtype) and step.primitive not in MOVES:
            raise Inexpressible(f"{step.primitive} on {aval.dtype} values, which wrap around")


def check_dtype(dtype) -> None:
    """Refuse a type that no tensor of the stream has, naming it."""
    if getattr(dtype, "kind", "O") not in "biu" and str(dtype) not in ("float32", "float64"):
        raise Inexpressible(f"works on {dtype} values")


def narrow(dtype) -> bool:
    """Whether integers of a type wrap around where the stream's int64 does not."""
    return dtype.kind in INT_KINDS and str(dtype) not in ("int32", "int64")


def held(builder: Builder, source: str, weight):
    """A weight in NumPy's form, by its own memory, and noted; keys of random numbers have none."""
    if not isinstance(weight.dtype, np.dtype):
        return weight
    array = np.asarray(weight)
    builder.origin(source, array)
    return array


def source_name(source: str) -> str:
    """A weight's path as a node name, without the collection in front; "" for computed ones."""
    return "" if source.startswith(COMPUTED) else source.removeprefix("params/").replace("/", ".")
