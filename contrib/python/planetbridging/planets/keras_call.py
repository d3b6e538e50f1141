"""The calls that a traced Keras model is made of, and the values between them."""

from __future__ import annotations

from dataclasses import dataclass

from .keras_shape import broadcast


@dataclass
class Value:
    """A tensor of the graph: its name, its sizes, its dtype in Keras.

    `broken`: an operation that was refused would have made it, so nothing depends on what it is.
    """

    name: str
    shape: tuple
    dtype: str
    broken: bool = False


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

    def tensors(self) -> list[Value]:
        """All values among the arguments, in order."""
        flat = self.tracer.keras.tree.flatten([self.args, self.kwargs])
        return [item for item in flat if isinstance(item, Value)]

    def node(self, op: str, inputs: list[Value], shape, params=None, suffix: str = "") -> Value:
        """Append a node named for this call."""
        names = [value.name for value in inputs]
        name = self.tracer.builder.node(self.path + suffix, op, names, params)
        return Value(name, tuple(shape), inputs[0].dtype, any(value.broken for value in inputs))

    def unary(self, op: str, x: Value, params=None) -> Value:
        """A node that keeps its input's shape."""
        return self.node(op, [x], x.shape, params)

    def binary(self, op: str, left, right, suffix: str = "") -> Value:
        """A node of two operands, each a value, a variable, an array or a number."""
        dtype = next((v.dtype for v in (left, right) if isinstance(v, Value)), "float32")
        left, right = (self.tracer.value(v, dtype, self.path) for v in (left, right))
        return self.node(op, [left, right], broadcast(left.shape, right.shape), suffix=suffix)


def _free(shape) -> tuple:
    return tuple(("batch" if axis == 0 else None) if size is None else size
                 for axis, size in enumerate(shape))
