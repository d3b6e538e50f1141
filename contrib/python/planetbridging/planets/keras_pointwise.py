"""What Keras does to each element by itself: activations, arithmetic, comparisons, choices.

Rows by the class of an operation of `keras.ops`.  An operation that the graph has no word for is
written down in `keras.ops` that it has words for, and traced.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from .. import compositions
from .keras_call import Slot, Value, any_dtype, kind, written
from .keras_shape import broadcast

SAME = {"Tanh": "tanh", "Sigmoid": "sigmoid", "Silu": "silu", "Mish": "mish", "Relu": "relu", "Relu6": "relu6",
        "Selu": "selu", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_swish", "Exp": "exp",
        "Log": "log", "Log1p": "log1p", "Expm1": "expm1", "Sin": "sin", "Cos": "cos", "Erf": "erf",
        "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Reciprocal": "reciprocal", "Floor": "floor",
        "Ceil": "ceil", "Fabs": "abs"}
"""Operations of one float that are one node; integers are made floats before."""

WHOLE = {"Abs": "abs", "Absolute": "abs", "Negative": "neg", "Sign": "sign"}
"""Operations of one number that keep it an integer."""

ARITHMETIC = {"Add": "add", "Subtract": "sub", "Multiply": "mul", "Divide": "div",
              "TrueDivide": "div", "Power": "pow", "Maximum": "maximum", "Minimum": "minimum",
              "FloorDivide": "floor_divide", "Mod": "remainder"}
COMPARISONS = {"Equal": "equal", "NotEqual": "not_equal", "Less": "less",
               "LessEqual": "less_equal", "Greater": "greater", "GreaterEqual": "greater_equal"}
NARROW = ("uint8", "uint16", "uint32", "int8", "int16")
"""Integers that wrap around where the graph's do not."""


def operations(keras) -> dict:
    """Handlers by the name of an operation's class."""
    found = {name: _unary(op) for name, op in SAME.items()}
    found |= {name: _unary(op) for name, op in WHOLE.items()}
    found |= {name: _arithmetic(op) for name, op in ARITHMETIC.items()}
    found |= {name: _comparison(op) for name, op in COMPARISONS.items()}
    found |= {name: written(function) for name, function in _written_down(keras.ops).items()}
    return found | {
        "ReLU": relu, "LeakyRelu": leaky_relu, "Gelu": gelu, "Elu": elu, "Softplus": softplus,
        "Softmax": softmax, "LogSoftmax": log_softmax, "Celu": celu, "Glu": glu,
        "HardTanh": hard_tanh, "Softsign": _composed(compositions.softsign),
        "LogSigmoid": _composed(compositions.log_sigmoid), "Round": round_, "Clip": clip,
        "Where": where, "Cast": cast, "ConvertToTensor": cast, "Array": cast,
        "LogicalNot": logical_not, "LogicalAnd": _logical("and"), "LogicalOr": _logical("or"),
        "LogicalXor": _logical("not_equal"), "Square": square,
        **dict.fromkeys(("StopGradient", "Copy"), any_dtype(lambda call: call.args[0])),
        **dict.fromkeys(("OnesLike", "ZerosLike", "FullLike"), filled_like),
    }


def _unary(op: str):
    @any_dtype
    def handler(call):
        return call.unary(op, call.cast(call.args[0], call.symbols[0].dtype))
    return handler


def _composed(function):
    @any_dtype
    def handler(call):
        x = call.cast(call.args[0], call.symbols[0].dtype)
        return call.made(function(call.tracer.builder, call.path, x.name), [x], x.shape)
    return handler


def relu(call):
    """Of the layer and the operation: a slope, a maximum and a threshold by where and minimum."""
    op, ops = call.operation, call.tracer.keras.ops
    threshold, top = getattr(op, "threshold", 0), getattr(op, "max_value", None)
    slope = getattr(op, "negative_slope", 0) or 0
    if not threshold and top is None:
        return leaky_relu(call) if slope else call.unary("relu", call.args[0])
    if not threshold and not slope:
        return call.unary("relu6", call.args[0]) if top == 6 else \
            call.unary("clip", call.args[0], {"min": 0.0, "max": float(top)})

    def bent(x):
        y = ops.where(x >= threshold, x, slope * (x - threshold))
        return ops.where(x >= threshold, y if top is None else ops.minimum(y, top), y)

    return call.traced(bent, call.args[0])


def leaky_relu(call):
    slope = float(call.operation.negative_slope)
    return call.unary("leaky_relu", call.args[0], {"negative_slope": slope})


def prelu(call):
    """The slopes of all elements, or of those axes that do not share them."""
    slopes = call.operation.alpha
    shape = [int(size) for size in slopes.shape]
    slot = Slot("slope", slopes, "")
    return call.weighted("prelu", [call.args[0]], call.args[0].shape, {"shape": shape}, [slot])


def gelu(call):
    kind_of = "tanh" if call.operation.approximate else "none"
    return call.unary("gelu", call.args[0], {"approximate": kind_of})


def elu(call):
    return call.unary("elu", call.args[0], {"alpha": float(call.operation.alpha)})


def softplus(call):
    return call.unary("softplus", call.args[0], {"beta": 1.0, "threshold": None})


def softmax(call):
    """Along one axis a node; along several what Keras does, e^(x - logsumexp(x))."""
    axis, ops = call.operation.axis, call.tracer.keras.ops
    axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
    if isinstance(axis, int):
        return call.unary("softmax", call.args[0], {"axis": axis})
    return call.traced(lambda x: ops.exp(x - ops.logsumexp(x, axis=axis, keepdims=True)),
                       call.args[0])


def log_softmax(call):
    axis = call.operation.axis
    if not isinstance(axis, int):
        return call.refuse(f"log_softmax over the axes {axis}")
    return call.unary("log_softmax", call.args[0], {"axis": axis})


def celu(call):
    x, builder = call.args[0], call.tracer.builder
    name = compositions.celu(builder, call.path, x.name, float(call.operation.alpha))
    return call.made(name, [x], x.shape)


def hard_tanh(call):
    return call.unary("clip", call.args[0], {"min": -1.0, "max": 1.0})


def glu(call):
    x, axis = call.args[0], call.operation.axis % len(call.args[0].shape)
    extent = x.shape[axis]
    if not isinstance(extent, int):
        return call.refuse("glu along an axis whose size is free")
    name = compositions.glu(call.tracer.builder, call.path, x.name, axis, extent)
    return call.made(name, [x], (*x.shape[:axis], extent // 2, *x.shape[axis + 1:]))


def round_(call):
    """To the nearest, halves to even; decimals as Keras does: times, and over, a power of ten."""
    decimals, ops = call.operation.decimals, call.tracer.keras.ops
    if not decimals:
        return call.unary("round", call.args[0])
    if decimals < 0:
        return call.refuse(f"round with decimals={decimals}")
    return call.traced(lambda x: ops.round(x * 10.0 ** decimals) / 10.0 ** decimals, call.args[0])


@any_dtype
def clip(call):
    """Bounds that are numbers are parameters; tensors, and integers, take minimum and maximum."""
    x, op, ops = call.args[0], call.operation, call.tracer.keras.ops
    bounds = [op.x_min, op.x_max]
    numbers = all(item is None or isinstance(item, (int, float)) for item in bounds)
    if numbers and kind(x.dtype) == "float32":
        low, high = (None if item is None else float(item) for item in bounds)
        return call.unary("clip", x, {"min": low, "max": high})
    return call.traced(lambda x, low, high: ops.minimum(ops.maximum(x, low), high), x, *bounds)


@any_dtype
def where(call):
    """A choice; the condition is made a truth value where it is none."""
    condition, left, right = (call.argument(n, name) for n, name in
                              enumerate(("condition", "x1", "x2")))
    if left is None or right is None:
        return call.refuse("keras.ops.where without values to choose from")
    dtype = call.symbols[0].dtype
    condition = call.value(condition, "bool")
    values = [call.value(item, dtype) for item in (left, right)]
    shape = broadcast(condition.shape, *(v.shape for v in values))
    return call.node("where", [condition, *values], shape, dtype=dtype)


@any_dtype
def cast(call):
    """Between floats of 32 and 64 bits, integers and truth values; not to a narrower number."""
    x, wanted = call.args[0], call.operation.dtype or call.symbols[0].dtype
    if x.dtype != wanted and wanted in ("float16", "bfloat16", *NARROW):
        return call.refuse(f"keras.ops.cast from {x.dtype} to {wanted}")
    return call.cast(x, wanted, "")


@any_dtype
def logical_not(call):
    return call.unary("not", call.cast(call.args[0], "bool"))


def _logical(op: str):
    @any_dtype
    def handler(call):
        left, right = (call.value(item, "bool") for item in call.args)
        return call.node(op, [left, right], broadcast(left.shape, right.shape), dtype="bool")
    return handler


@any_dtype
def square(call):
    x = call.cast(call.args[0], call.symbols[0].dtype)
    return call.node("mul", [x, x], x.shape)


@any_dtype
def filled_like(call):
    """One number everywhere: a constant as large as the value."""
    x, dtype = call.args[0], call.symbols[0].dtype
    name = type(call.operation).__name__
    filling = call.argument(1, "fill_value") if name == "FullLike" else float(name == "OnesLike")
    filling = call.value(filling, dtype)
    if None in x.shape:
        return call.refuse("a filled value whose size is not known")
    return call.node("expand", [filling], x.shape, {"shape": list(x.shape)}, dtype=dtype)


def _arithmetic(op: str):
    @any_dtype
    def handler(call):
        return combine(call, op, *call.args)
    return handler


def combine(call, op: str, left, right, suffix: str = "") -> Value:
    """A node of two operands, in the dtype that Keras gives the result."""
    dtype = call.symbols[0].dtype
    if dtype in NARROW or dtype == "bool":
        return call.refuse(f"works on {dtype} values")
    if op == "pow" and kind(dtype) != "float32":
        return call.refuse(f"a power of {dtype} values")
    if op == "add" and _added_along_wrong_axis(call, left, right):
        return call.refuse("an add that Keras on TensorFlow does along the last axis, "
                           "not along the operand's own")
    left, right = call.value(left, dtype), call.value(right, dtype)
    return call.node(op, [left, right], broadcast(left.shape, right.shape), suffix=suffix)


def _comparison(op: str):
    @any_dtype
    def handler(call):
        return call.binary(op, *call.args, dtype="bool")
    return handler


def _added_along_wrong_axis(call, left, right) -> bool:
    """Keras 3.15 on TensorFlow takes an operand with one long axis for a bias: of the last axis if
    that is as long, else of the second."""
    shape, sizes = getattr(left, "shape", ()), getattr(right, "shape", ())
    if call.tracer.keras.backend.backend() != "tensorflow" or len(shape) < 2:
        return False
    long = [axis - len(sizes) for axis, size in enumerate(sizes) if size != 1]
    if len(long) != 1 or sizes[long[0]] not in (shape[1], shape[-1]):
        return False
    return long[0] != (-1 if sizes[long[0]] == shape[-1] else 1 - len(shape))


def _written_down(ops) -> dict:
    """Functions of an operation and its arguments, by the name of its class."""
    found = {**_activations(ops), **_of_two(ops)}
    for name, function in _of_one(ops).items():
        found[name] = partial(_without_operation, function)
    return found


def _without_operation(function, _, *args):
    return function(*args)


def _activations(ops) -> dict:
    """What an operation's own numbers steer, but for `sparse_plus` and the like."""
    return {
        "SoftShrink": lambda op, x: ops.where(
            x > op.threshold, x - op.threshold,
            ops.where(x < -op.threshold, x + op.threshold, 0.0)),
        "HardShrink": lambda op, x: ops.where(ops.abs(x) > op.threshold, x, 0.0),
        "Threshold": lambda op, x: ops.where(x > op.threshold, x, op.default_value),
        "Squareplus": lambda op, x: (x + ops.sqrt(x * x + op.b)) / 2.0,
        "Sparsemax": lambda op, x: _sparsemax(ops, x, op.axis),
        "SparsePlus": lambda _, x: ops.where(
            x <= -1.0, 0.0, ops.where(x < 1.0, 0.25 * ops.square(x + 1.0), x)),
        "SparseSigmoid": lambda _, x: ops.clip(0.5 * (x + 1.0), 0.0, 1.0),
        "TanhShrink": lambda _, x: x - ops.tanh(x),
        "NanToNum": lambda op, x: ops.where(ops.isnan(x), op.nan, ops.clip(x, *_finite(op))),
    }


def _of_one(ops) -> dict:
    """Functions of one value."""
    return {
        "Log2": lambda x: ops.log(x) / math.log(2), "Log10": lambda x: ops.log(x) / math.log(10),
        "Exp2": lambda x: ops.power(2.0, x), "Tan": lambda x: ops.sin(x) / ops.cos(x),
        "Sinh": lambda x: (ops.expm1(x) - ops.expm1(-x)) / 2.0,
        "Cosh": lambda x: (ops.exp(x) + ops.exp(-x)) / 2.0, "Erfc": lambda x: 1.0 - ops.erf(x),
        "Trunc": lambda x: ops.sign(x) * ops.floor(ops.abs(x)),
        "Cbrt": lambda x: ops.sign(x) * ops.power(ops.abs(x), 1.0 / 3.0),
        "Deg2rad": lambda x: x * (math.pi / 180.0), "Rad2deg": lambda x: x * (180.0 / math.pi),
        "Isnan": lambda x: ops.not_equal(x, x),
        "Isinf": lambda x: ops.equal(ops.abs(x), np.inf),
        "Isposinf": lambda x: ops.equal(x, np.inf), "Isneginf": lambda x: ops.equal(x, -np.inf),
        "Isfinite": lambda x: ops.less(ops.abs(x), np.inf),
    }


def _of_two(ops) -> dict:
    """Functions of two values, behind the operation."""
    def but_nan(choose):
        return lambda _, x, y: ops.where(ops.isnan(x), y, ops.where(ops.isnan(y), x, choose(x, y)))

    return {
        "DivideNoNan": lambda _, x, y: ops.where(
            ops.equal(y, 0), 0.0, x / ops.where(ops.equal(y, 0), 1.0, y)),
        "Hypot": lambda _, x, y: ops.sqrt(ops.square(x) + ops.square(y)),
        "Heaviside": lambda _, x, y: ops.where(x < 0, 0.0, ops.where(x > 0, 1.0, y)),
        "Fmax": but_nan(ops.maximum), "Fmin": but_nan(ops.minimum),
        "Logaddexp": lambda _, x, y: ops.maximum(x, y) + ops.log1p(ops.exp(-ops.abs(x - y))),
    }


def _finite(op) -> tuple[float, float]:
    """The bounds that infinite numbers become."""
    most = float(np.finfo(np.float32).max)
    return (-most if op.neginf is None else op.neginf, most if op.posinf is None else op.posinf)


def _sparsemax(ops, x, axis: int):
    """What Keras computes, without sorting: an element's rank counts those that are greater, and
    equal ones before it; with the elements it sums those of no higher rank.

    Keras 3.15 takes the sum of all those sums for the last one's, so that more than one element
    left makes no projection on the simplex; this does the same.
    """
    x = ops.moveaxis(x, axis, -1)
    size = x.shape[-1]
    if size is None:
        raise ValueError("sparsemax along an axis whose size is free")
    other, own = ops.expand_dims(x, -2), ops.expand_dims(x, -1)
    first = np.tri(size, dtype=bool)
    above = ops.logical_or(ops.greater(other, own), ops.logical_and(ops.equal(other, own), first))
    above = ops.cast(above, x.dtype)
    sums, rank = ops.sum(above * other, -1), ops.sum(above, -1)
    support = x - (sums - 1.0) / rank > 0.0
    count = ops.sum(ops.cast(support, x.dtype), -1, keepdims=True)
    total = ops.sum(ops.where(support, sums, 0.0), -1, keepdims=True)
    return ops.moveaxis(ops.maximum(x - (total - 1.0) / count, 0.0), -1, axis)
