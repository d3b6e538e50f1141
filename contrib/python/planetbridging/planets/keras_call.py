"""The calls that a traced Keras model is made of, and the values between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Callable

from .keras_shape import broadcast


def kind(dtype: str) -> str:
    """What a Keras dtype is in the graph: "float32", "int64" or "bool"."""
    return "bool" if dtype == "bool" else "int64" if "int" in dtype else "float32"


def any_dtype(handler):
    """Mark a handler as one that takes values of every dtype."""
    handler.any_dtype = True
    return handler


def any_mode(handler):
    """Mark a handler as one of a layer that Keras records as trained, and that runs otherwise."""
    handler.any_mode = True
    return handler


def takes_mask(handler):
    """Mark a handler as one that does with a mask what its layer does, which may be nothing."""
    handler.takes_mask = True
    return handler


def written(function):
    """The handler of an operation that `function` writes down in `keras.ops`: it takes the
    operation and its arguments."""
    @any_dtype
    def handler(call):
        return call.traced(partial(function, call.operation), *call.args, **call.kwargs)
    return handler


@dataclass
class Value:
    """A tensor of the graph: its name, its sizes, its dtype in Keras.

    `broken`: an operation that was refused would have made it, so nothing depends on what it is.
    `mask`, where one travels with the tensor, gives the mask's value; `lost`: by the time that the
    tensor is used Keras has taken the mask away.  `bare` is the value before zeros of `pads`, (low,
    high) for each inner axis, came around it: a convolution can put them there itself.
    """

    name: str
    shape: tuple
    dtype: str
    broken: bool = False
    mask: Callable[[], Value] | None = None
    lost: bool = False
    bare: Value | None = None
    pads: tuple = ()

    @property
    def nodes_dtype(self) -> str:
        """The dtype of what is made of this value in the graph: float, whatever the width."""
        return self.dtype if "float" in self.dtype else "float32"


@dataclass(frozen=True)
class Slot:
    """A weight of a node: the live variable, its part, and what the part's axes are.

    `take` picks the part out of the variable's array; `part` names it, so that a layer that is
    called twice is tied part by part.  Without a variable there is no slot.
    """

    name: str
    variable: object
    axes: str
    take: object = None
    part: object = None


@dataclass
class Call:
    """One call of an operation: where it stands, its arguments with `Value`s in them, and the
    symbolic tensors that it makes."""

    tracer: object
    path: str
    operation: object
    args: list
    kwargs: dict
    symbols: list

    def refuse(self, what: str) -> Value:
        """Note that this call cannot be expressed; its value goes on as a broken one."""
        self.tracer.builder.refuse(self.path or "the model", type(self.operation).__name__, what)
        return self.broken()

    def broken(self):
        """Stand-ins for the values that this call would have had."""
        made = [Value("", _free(t.shape), t.dtype, True) for t in self.symbols]
        return made[0] if len(made) == 1 else made

    def part(self, operation, name: str) -> "Call":
        """The call of a layer inside this call's, as the table's handlers want it."""
        path = f"{self.path}.{name}" if self.path else name
        return replace(self, operation=operation, path=path)

    def argument(self, position: int, name: str, default=None):
        """An argument by its place or its name."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)

    def tensors(self) -> list[Value]:
        """All values among the arguments, in order."""
        flat = self.tracer.keras.tree.flatten([self.args, self.kwargs])
        return [item for item in flat if isinstance(item, Value)]

    def node(self, op: str, inputs: list[Value], shape, params=None, suffix: str = "",
             dtype: str = "") -> Value:
        """Append a node named for this call; its dtype is the first input's unless said."""
        names = [value.name for value in inputs]
        name = self.tracer.builder.node(self.path + suffix, op, names, params)
        return self.made(name, inputs, shape, dtype)

    def made(self, name: str, inputs: list[Value], shape, dtype: str = "") -> Value:
        """The value that a composition called `name` in the graph; see `node`."""
        broken = any(value.broken for value in inputs)
        return Value(name, tuple(shape), dtype or inputs[0].dtype, broken)

    def cast(self, x: Value, dtype: str, suffix: str = ".cast") -> Value:
        """The value in another dtype, by a node where the graph tells the two apart."""
        if x.dtype == dtype:
            return x
        if kind(x.dtype) == kind(dtype):
            return replace(x, dtype=dtype, mask=None)
        return self.node("cast", [x], x.shape, {"to": kind(dtype)}, suffix, dtype)

    def value(self, item, dtype: str) -> Value:
        """An operand as a value of this dtype: a value, a variable, an array or a number."""
        return self.cast(self.tracer.value(item, dtype, self.path), dtype)

    def common(self, *items) -> str:
        """The dtype in which Keras computes with these operands."""
        kinds = [getattr(item, "dtype", type(item)) for item in items]
        return self.tracer.keras.backend.result_type(*kinds)

    def weighted(self, op: str, inputs, shape, params, slots, suffix: str = "") -> Value:
        """Append a node with weights; an input may be None."""
        return self.several(op, inputs, [(suffix, shape)], params, slots, suffix)[0]

    def several(self, op: str, inputs, outputs, params, slots, suffix: str = "") -> list[Value]:
        """Append a node with weights that makes a tensor for each (suffix, shape) of `outputs`."""
        builder = self.tracer.builder
        name = builder.unique(self.path + suffix)
        names = [name if end == suffix else builder.unique(self.path + end) for end, _ in outputs]
        tensors = [self._tensor(name, slot) for slot in slots if slot.variable is not None]
        known = [value for value in inputs if value is not None]
        builder.put(name, op, [value and value.name for value in inputs], params, tensors, names)
        broken = any(value.broken for value in known)
        return [Value(made, tuple(shape), known[0].nodes_dtype, broken)
                for made, (_, shape) in zip(names, outputs)]

    def _tensor(self, node: str, slot: Slot):
        array = self.tracer.array(slot.variable)
        return self.tracer.builder.tensor(
            node, slot.name, slot.take(array) if slot.take else array,
            key=(id(slot.variable), slot.axes, slot.part), axes=list(slot.axes) or None,
            source=getattr(slot.variable, "path", ""))

    def unary(self, op: str, x: Value, params=None, suffix: str = "") -> Value:
        """A node that keeps its input's shape."""
        return self.node(op, [x], x.shape, params, suffix)

    def transpose(self, x: Value, perm, suffix: str = "") -> Value:
        """The value with its axes in another order, which may be the same."""
        perm = [int(axis) % len(x.shape) for axis in perm]
        return self.node("transpose", [x], [x.shape[axis] for axis in perm], {"perm": perm}, suffix)

    def binary(self, op: str, left, right, suffix: str = "", dtype: str = "") -> Value:
        """A node of two operands, each a value, a variable, an array or a number.

        `dtype` is the result's where it is not that of the operands.
        """
        wanted = self.common(left, right)
        left, right = self.value(left, wanted), self.value(right, wanted)
        shape = broadcast(left.shape, right.shape)
        return self.node(op, [left, right], shape, suffix=suffix, dtype=dtype)

    def is_linear(self, function) -> bool:
        """Whether an activation does nothing."""
        return function is None or function is self.tracer.keras.activations.linear

    def activate(self, x: Value, function, suffix: str = "") -> Value:
        """Apply an activation, any layer or function, named for the layer that carries it."""
        if self.is_linear(function):
            return x
        return self.traced(function, x, suffix=suffix)

    def traced(self, function, *args, suffix: str = "", **kwargs):
        """What a function of keras.ops makes of these arguments; its value has this call's name."""
        made = self.tracer.expand(function, args, kwargs, self.path, only=self.path + suffix)
        return self.broken() if made is None else made


def _free(shape) -> tuple:
    return tuple(("batch" if axis == 0 else None) if size is None else size
                 for axis, size in enumerate(shape))
