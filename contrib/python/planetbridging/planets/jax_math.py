"""Arithmetic of JAX in the stream's words: functions of each element, of two, and of more.

Integers of JAX are int32 as a rule and wrap around; the stream's are int64 and an overflow is
refused, so that the two differ where JAX has lost the number.
"""

from __future__ import annotations

import numpy as np

from . import jax_windows
from .jax_flat import Const, Ref, Step
from .jax_sizes import Inexpressible
from .jax_values import Value, straight

SAME_NAME = ("exp", "log", "log1p", "expm1", "sin", "cos", "tanh", "erf", "sqrt", "rsqrt", "abs",
             "neg", "sign", "floor", "ceil")
UNARY = {**{name: name for name in SAME_NAME}, "logistic": "sigmoid"}
BINARY = {"add": "add", "add_any": "add", "sub": "sub", "mul": "mul"}
COMPARED = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
            "ge": "greater_equal"}

NEAREST_EVEN = 1
"""lax.RoundingMethod.TO_NEAREST_EVEN"""


def dtype_of(item) -> np.dtype:
    return item.aval.dtype if isinstance(item, Ref) else np.asarray(item.array).dtype


def kind_of(item) -> str:
    return dtype_of(item).kind


def _unary(op: str):
    def emit(walk, step: Step) -> Value:
        return walk.elementwise(step, op, step.inputs[0], step.outputs[0])
    return emit


def _binary(op: str):
    def emit(walk, step: Step) -> Value:
        return combine(walk, step, op, *step.inputs)
    return emit


def combine(walk, step: Step, op: str, *items) -> Value:
    """A node of operands; what they lack of the result's size, later operations spread."""
    return joined(walk, step, op, [walk.value(item, step) for item in items])


def joined(walk, step: Step, op: str, values: list[Value], suffix: str = "") -> Value:
    """`combine` for values."""
    rank = max(len(v.shape) for v in values)
    shape = (1,) * rank
    for v in values:
        pairs = zip(shape, (1,) * (rank - len(v.shape)) + tuple(v.shape))
        shape = tuple(b if isinstance(a, int) and a == 1 else a for a, b in pairs)
    order = common_order(values, shape)
    names = [walk.laid(v, step, order if len(v.shape) == rank else straight(len(v.shape)))
             for v in values]
    return Value(shape, {order: walk.node(step, op, names, suffix=suffix)})


def common_order(values: list[Value], shape) -> tuple:
    """An order of axes that all large operands have, the network's own if possible."""
    rank = len(shape)
    whole = [v for v in values if len(v.shape) == rank and v.array is None]
    large = [v for v in whole if tuple(v.shape) == tuple(shape)] or whole
    if any(len(v.shape) not in (0, rank) for v in values) or not large:
        return straight(rank)
    shared = [order for order in large[0].tensors if all(order in v.tensors for v in large)]
    return straight(rank) if straight(rank) in shared or not shared else shared[0]


def _with_number(walk, step: Step, op: str, item, number, dtype, first: bool = False) -> Value:
    """An operation of an operand and a number."""
    pair = [item, walk.number(number, dtype)]
    return combine(walk, step, op, *(pair[::-1] if first else pair))


def _div(walk, step: Step) -> Value:
    """A division; of a sum by the number of its elements, a mean; of integers, toward zero."""
    left, right = step.inputs
    if id(left) in walk.summed:
        mean = jax_windows.mean(walk, step, walk.summed[id(left)], right)
        if mean is not None:
            return mean
    if kind_of(left) == "f":
        return combine(walk, step, "div", left, right)
    sizes = joined(walk, step, "floor_divide", _sizes(walk, step))
    signs = [walk.elementwise(step, "sign", item, item) for item in (left, right)]
    return joined(walk, step, "mul", [sizes, joined(walk, step, "mul", signs)])


def _rem(walk, step: Step) -> Value:
    """The remainder of a division toward zero, which has the sign of what is divided."""
    size = joined(walk, step, "remainder", _sizes(walk, step))
    sign = walk.elementwise(step, "sign", step.inputs[0], step.inputs[0])
    return joined(walk, step, "mul", [sign, size])


def _sizes(walk, step: Step) -> list[Value]:
    return [walk.elementwise(step, "abs", item, item) for item in step.inputs]


def _max(walk, step: Step) -> Value:
    """The maximum; that with zero is relu."""
    for x, zero in (step.inputs, step.inputs[::-1]):
        if kind_of(zero) == "f" and isinstance(zero, Const) and isinstance(x, Ref) \
                and not np.any(np.asarray(zero.array)):
            return walk.elementwise(step, "relu", x, x)
    return combine(walk, step, "maximum", *step.inputs)


def _min(walk, step: Step) -> Value:
    """The minimum; that of a maximum, both with numbers, keeps a value between them."""
    for x, high in (step.inputs, step.inputs[::-1]):
        below = walk.sized.producers.get(id(x))
        if below is None or below.primitive != "max" or not _is_number(high):
            continue
        for inner, low in (below.inputs, below.inputs[::-1]):
            if _is_number(low) and isinstance(inner, Ref):
                return walk.elementwise(step, "clip", inner, step.outputs[0], {
                    "min": float(low.array), "max": float(high.array)})
    return combine(walk, step, "minimum", *step.inputs)


def _is_number(item) -> bool:
    return isinstance(item, Const) and np.shape(item.array) == () and kind_of(item) == "f"


def _power(walk, step: Step) -> Value:
    """A power of whole exponent: a square is a product, as are all powers of integers."""
    x, y = step.inputs[0], int(step.params.get("y", 2))
    if y == 2:
        return combine(walk, step, "mul", x, x)
    if kind_of(x) == "f":
        if y == -1:
            return walk.elementwise(step, "reciprocal", x, x)
        return _with_number(walk, step, "pow", x, y, dtype_of(x))
    if y < 1:
        raise Inexpressible(f"integer_pow of integers with exponent {y}")
    made = base = walk.value(x, step)
    for _ in range(y - 1):
        made = joined(walk, step, "mul", [made, base])
    return made


def _pow(walk, step: Step) -> Value:
    base, exponent = step.inputs
    if kind_of(base) != "f":
        raise Inexpressible("pow of integers")
    if kind_of(exponent) == "f":
        return combine(walk, step, "pow", base, exponent)
    return joined(walk, step, "pow", [walk.value(base, step), cast(walk, step, exponent, "f")])


def _exp2(walk, step: Step) -> Value:
    return _with_number(walk, step, "pow", step.inputs[0], 2, dtype_of(step.inputs[0]), first=True)


def _round(walk, step: Step) -> Value:
    """To the nearest; halves to the even one, or away from zero: floor, and 1 more from 1/2 on."""
    x, dtype = step.inputs[0], dtype_of(step.inputs[0])
    if int(step.params["rounding_method"]) == NEAREST_EVEN:
        return walk.elementwise(step, "round", x, step.outputs[0])
    size = joined(walk, step, "abs", [walk.value(x, step)])
    whole = joined(walk, step, "floor", [size])
    half, one, zero = (walk.value(walk.number(n, dtype), step) for n in (0.5, 1, 0))
    above = joined(walk, step, "greater_equal", [joined(walk, step, "sub", [size, whole]), half])
    more = joined(walk, step, "where", [above, one, zero])
    sign = joined(walk, step, "sign", [walk.value(x, step)])
    return joined(walk, step, "mul", [sign, joined(walk, step, "add", [whole, more])])


def _is_finite(walk, step: Step) -> Value:
    x = step.inputs[0]
    size = walk.elementwise(step, "abs", x, x)
    endless = walk.value(walk.number(np.inf, dtype_of(x)), step)
    return joined(walk, step, "less", [size, endless])


def _clamp(walk, step: Step) -> Value:
    """lax.clamp(low, x, high)."""
    low, x, high = step.inputs
    bounds = [low, high]
    if kind_of(x) == "f" and all(isinstance(b, Const) and np.size(b.array) == 1 for b in bounds):
        params = dict(zip(("min", "max"), (float(np.reshape(b.array, ())) for b in bounds)))
        return walk.elementwise(step, "clip", x, step.outputs[0], params)
    above = combine(walk, step, "maximum", x, low)
    return joined(walk, step, "minimum", [above, walk.value(high, step)])


def _compared(op: str):
    def emit(walk, step: Step) -> Value:
        if kind_of(step.inputs[0]) != "b":
            return combine(walk, step, op, *step.inputs)
        return joined(walk, step, op, [cast(walk, step, item, "i") for item in step.inputs])
    return emit


def _logical(op: str):
    def emit(walk, step: Step) -> Value:
        if kind_of(step.outputs[0]) != "b":
            raise Inexpressible(f"{step.primitive} of the bits of integers")
        if op == "not":
            return walk.elementwise(step, op, step.inputs[0], step.outputs[0])
        if op == "xor":
            items = [cast(walk, step, item, "i") for item in step.inputs]
            return joined(walk, step, "not_equal", items)
        return combine(walk, step, op, *step.inputs)
    return emit


def _select(walk, step: Step) -> Value:
    """select_n(which, cases...): the case of that number, for a truth value 0 and 1."""
    which, *cases = step.inputs
    if kind_of(which) == "b":
        values = [walk.value(item, step) for item in (which, *cases[::-1])]
        return joined(walk, step, "where", values)
    made = walk.value(cases[-1], step)
    for n in range(len(cases) - 2, -1, -1):
        here = _with_number(walk, step, "equal", which, n, dtype_of(which))
        made = joined(walk, step, "where", [here, walk.value(cases[n], step), made])
    return made


STREAM = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}
"""The stream's type for a kind of NumPy's."""


def cast(walk, step: Step, item, kind: str) -> Value:
    """An operand as numbers or truth values of a kind."""
    if kind_of(item) == kind:
        return walk.value(item, step)
    if isinstance(item, Const):
        wide = np.asarray(item.array).astype({"f": np.float32, "i": np.int64, "b": bool}[kind])
        return walk.value(walk.number(wide, wide.dtype), step)
    value = walk.value(item, step)
    order = value.any_order()
    name = walk.node(step, "cast", [walk.laid(value, step, order)], {"to": STREAM[kind]})
    return Value(tuple(value.shape), {order: name})


def _convert(walk, step: Step) -> Value:
    """Integers that the network only ever takes as floats come as floats."""
    from .jax_trace import narrow

    item, new = step.inputs[0], step.outputs[0].aval.dtype
    old = dtype_of(item)
    if old.kind in "iu" and new.kind == "f" and any(item is ref for ref in walk.flat.inputs) \
            and walk.input_dtype(item) == "float32":
        return walk.value(item, step)
    if narrow(new) and old.kind != "b" and not np.can_cast(old, new):
        raise Inexpressible(f"a conversion of {old} to {new}")
    same = STREAM.get(old.kind) == STREAM.get(new.kind)
    return walk.value(item, step) if same else cast(walk, step, item, new.kind.replace("u", "i"))


PRIMITIVES = {
    "max": _max, "min": _min, "integer_pow": _power, "square": _power, "pow": _pow, "exp2": _exp2,
    "div": _div, "rem": _rem, "round": _round, "is_finite": _is_finite, "clamp": _clamp,
    "select_n": _select, "convert_element_type": _convert,
    **{name: _unary(op) for name, op in UNARY.items()},
    **{name: _binary(op) for name, op in BINARY.items()},
    **{name: _compared(op) for name, op in COMPARED.items()},
    **{name: _logical(name) for name in ("and", "or", "xor", "not")},
}
