"""What Keras needs to trace the call of a layer that it only ever runs on arrays.

Arithmetic of variables with symbolic tensors: `self.scale * x` is given to the backend, and fails.
While a call is traced the operators of variables take the way of `keras.ops` for symbolic operands,
for which they did nothing but fail before.  And operations that bear one name, as a layer "add" and
a plus beside it: a `keras.Function` refuses them.
"""

from __future__ import annotations

import contextlib
import threading

OPERATORS = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
             "floordiv": "floor_divide", "mod": "mod", "pow": "power", "matmul": "matmul",
             "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
             "eq": "equal", "ne": "not_equal"}

_lock = threading.RLock()
_depth = 0


@contextlib.contextmanager
def symbolic(keras):
    """The operators of variables take symbolic operands within."""
    global _depth
    owner = next(cls for cls in keras.Variable.__mro__ if "__mul__" in vars(cls))
    with _lock:
        first = _depth == 0
        _depth += 1
        kept = {name: vars(owner)[name] for name in map("__{}__".format, OPERATORS)
                if name in vars(owner)} if first else {}
        for name, plain in kept.items():
            setattr(owner, name, _either(keras, plain, getattr(keras.ops, OPERATORS[name[2:-2]])))
        try:
            yield
        finally:
            _depth -= 1
            for name, plain in kept.items():
                setattr(owner, name, plain)


def names_of(variables) -> dict[int, str]:
    """A name for each variable by its id: its path, behind which a number stands if another has it."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for variable in variables:
        if id(variable) not in names:
            name, count = variable.path, 1
            while name in taken:
                count += 1
                name = f"{variable.path}_{count}"
            taken.add(name)
            names[id(variable)] = name
    return names


def function(keras, symbols, outputs):
    """A `keras.Function`, in which operations may bear one name."""
    taken, renamed = set(), []
    for operation in _operations(keras.tree.flatten(outputs)):
        if operation.name in taken:
            renamed.append((operation, operation.name))
            operation.name = f"{operation.name}/{id(operation)}"
        taken.add(operation.name)
    try:
        return keras.Function(symbols, outputs)
    finally:
        for operation, name in renamed:
            operation.name = name


def _operations(tensors) -> list:
    """All operations that symbolic tensors come from."""
    found, seen, stack = {}, set(), list(tensors)
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen or not hasattr(tensor, "_keras_history"):
            continue
        seen.add(id(tensor))
        operation, index, _ = tensor._keras_history
        found[id(operation)] = operation
        stack += operation._inbound_nodes[index].input_tensors
    return list(found.values())


def _either(keras, plain, written):
    """An operator that is `written` for a symbolic operand, and `plain` for all others."""
    def operator(self, other):
        return written(self, other) if isinstance(other, keras.KerasTensor) else plain(self, other)
    return operator
