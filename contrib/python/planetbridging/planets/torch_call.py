"""One call of a module that a trace has as one call, and how its weights become slots.

Weights come from the live module's attributes.
"""

from __future__ import annotations

from .torch_trace import NUMPY, Refused, Translator, stored


class Call:
    """One call of a leaf: its module, its arguments and how its parts are named."""

    def __init__(self, t: Translator, fx, path: str, module, xs, flags: dict):
        self.t, self.fx, self.path, self.module = t, fx, path, module
        self.args, self.flags = xs, flags
        self.name = path or type(module).__name__.lower()
        self.used = {user.args[1] for user in fx.users}

    def refused(self, operation: str) -> Refused:
        return Refused(operation, (self.path or "the model", type(self.module).__name__, operation))

    def tensor(self, n: int) -> str | None:
        """The name of an argument, None where it is absent."""
        given = n < len(self.args) and self.args[n] is not None
        return self.t.tensor(self.args[n], self.fx) if given else None

    def shape(self, n: int):
        """The traced shape of an argument."""
        return self.args[n].meta["val"].shape

    def add(self, suffix: str, op: str, inputs, params) -> str:
        """A node called after the module, with a suffix unless it makes the module's result."""
        return self.t.builder.node(self.name + suffix, op, inputs, params)

    def reshape(self, suffix: str, x: str, shape) -> str:
        return self.add(suffix, "reshape", [x], {"shape": self.t.dims(shape)})

    def source(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def weights(self, node: str, parts) -> list:
        """Tensors of the node from (slot, attribute, first row, end row or None, axes)."""
        return [self.weight(node, *part) for part in parts]

    def weight(self, node: str, slot: str, attribute: str, first, end, axes: str):
        """Rows of the live module's weight; the same rows of the same weight travel once."""
        value = self.module
        for word in attribute.split("."):
            value = getattr(value, word)
        self.t.alive.append(value)    # its id stands for it as long as the graph is built
        array, dtype = stored(value)
        if dtype != NUMPY.get(self.value_dtype()):
            raise self.refused(f"values of {NUMPY.get(self.value_dtype())} and a weight of {dtype}")
        if end is not None:
            array = array[first:end]
        key = ("leaf", id(value), first, end, len(axes))
        return self.t.builder.tensor(node, slot, array, key=key, dtype=dtype, axes=list(axes),
                                     source=self.t.source(self.source(attribute)))

    def value_dtype(self):
        """The dtype of the first result, which is that of the layer's values."""
        return self.fx.meta["val"][0].dtype
