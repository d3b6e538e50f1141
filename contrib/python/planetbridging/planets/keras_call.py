"""The calls that a traced Keras model is made of, and the values between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .keras_shape import broadcast


@dataclass
class Value:
    """A tensor of the graph: its name, its sizes, its dtype in Keras.

    `broken`: an operation that was refused would have made it, so nothing depends on what it is.
    `masked` names the layer whose mask travels with the tensor, if one does.
    `pads` are zeros around its inner axes, (low, high) each, that a ZeroPadding layer (`padded_by`:
    its path and class) adds and that no node has added yet; `shape` counts them.
    """

    name: str
    shape: tuple
    dtype: str
    broken: bool = False
    masked: str = ""
    pads: tuple = ()
    padded_by: tuple = ()

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

    def node(self, op: str, inputs: list[Value], shape, params=None, suffix: str = "") -> Value:
        """Append a node named for this call."""
        names = [value.name for value in inputs]
        name = self.tracer.builder.node(self.path + suffix, op, names, params)
        return Value(name, tuple(shape), inputs[0].dtype, any(value.broken for value in inputs))

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
        array = self.tracer.keras.ops.convert_to_numpy(slot.variable)
        return self.tracer.builder.tensor(
            node, slot.name, slot.take(array) if slot.take else array,
            key=(id(slot.variable), slot.axes, slot.part), axes=list(slot.axes),
            source=getattr(slot.variable, "path", ""))

    def unary(self, op: str, x: Value, params=None, suffix: str = "") -> Value:
        """A node that keeps its input's shape."""
        return self.node(op, [x], x.shape, params, suffix)

    def transpose(self, x: Value, perm, suffix: str = "") -> Value:
        """The value with its axes in another order, which may be the same."""
        perm = [int(axis) % len(x.shape) for axis in perm]
        return self.node("transpose", [x], [x.shape[axis] for axis in perm], {"perm": perm}, suffix)

    def binary(self, op: str, left, right, suffix: str = "") -> Value:
        """A node of two operands, each a value, a variable, an array or a number."""
        dtype = next((v.dtype for v in (left, right) if isinstance(v, Value)), "float32")
        left, right = (self.tracer.value(v, dtype, self.path) for v in (left, right))
        return self.node(op, [left, right], broadcast(left.shape, right.shape), suffix=suffix)

    def is_linear(self, function) -> bool:
        """Whether an activation does nothing."""
        return function is None or function is self.tracer.keras.activations.linear

    def activate(self, x: Value, function, suffix: str = "") -> Value:
        """Apply an activation, any layer or function, named for the layer that carries it."""
        if self.is_linear(function):
            return x
        made = self.tracer.expand(function, [x], {}, self.path, only=self.path + suffix)
        return self.broken() if made is None else made


def _free(shape) -> tuple:
    return tuple(("batch" if axis == 0 else None) if size is None else size
                 for axis, size in enumerate(shape))
