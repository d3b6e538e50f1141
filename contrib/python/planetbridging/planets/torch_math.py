"""The ATen operations on single elements: arithmetic, comparisons, choices, activations."""

from __future__ import annotations

import math

import torch
from torch.fx import Node as FxNode

from .. import compositions
from .torch_dims import number, size_of
from .torch_trace import NARROW, NUMPY, Refused, Translator, dtype_of, kind

UNARY = {
    **{word: word for word in ("relu", "tanh", "sigmoid", "silu", "mish", "exp", "log", "log1p",
                               "expm1", "sin", "cos", "erf", "sqrt", "rsqrt", "reciprocal",
                               "floor", "ceil", "round", "relu6", "selu", "abs", "neg", "sign")},
    "hardswish": "hard_swish", "hardsigmoid": "hard_sigmoid", "special_erf": "erf",
    "special_expm1": "expm1",
}
WHOLE = {"abs", "neg", "sign"}
"""Words for integers too."""

KEPT = {"floor", "ceil", "round"}
"""What changes no integer."""


def unary(op: str):
    """A row for an operation of one tensor without parameters."""
    def handler(t: Translator, fx, x):
        values = x.meta["val"].dtype
        if kind(values) == "int64" and op in KEPT:
            return t.tensor(x, fx)
        if kind(values) == "bool" and op in WHOLE | KEPT or \
                not values.is_floating_point and kind(fx.meta["val"].dtype) != "float32" \
                and op not in WHOLE:
            raise Refused(f"{NUMPY.get(values, values)}")
        return t.node(fx, op, [t.operand(x, fx, fx.meta["val"].dtype)])
    return handler


def common_dtype(*operands):
    """The dtype in which torch computes with these operands: tensors and numbers."""
    known = [size_of(v) for v in operands]
    stand = [1 if isinstance(v, torch.SymInt) else 1.0 if isinstance(v, torch.SymFloat) else v
             for v in known]
    if not any(isinstance(v, torch.Tensor) for v in stand):
        raise Refused("no tensor")
    dtype = stand[0].dtype if len(stand) == 1 else torch.result_type(*stand[:2])
    for other in stand[2:]:
        dtype = torch.result_type(torch.empty(1, dtype=dtype), other)
    several = {v.dtype for v in stand if isinstance(v, torch.Tensor) and v.is_floating_point()}
    if torch.float64 in several and len(several) > 1:
        raise Refused(" and ".join(sorted(NUMPY.get(d, str(d)) for d in several)))
    return dtype


def operands(t: Translator, fx, *values, dtype=None) -> list[str]:
    """The names of operands, all in the dtype that torch computes in."""
    dtype = dtype or common_dtype(*values)
    return [t.operand(value, fx, dtype) for value in values]


def binary(op: str):
    """A row for a broadcasting operation of two tensors, or a tensor and a number."""
    def handler(t: Translator, fx, a, b, *, alpha=1):
        dtype = fx.meta["val"].dtype if op == "div" else common_dtype(a, b)
        if kind(dtype) == "bool":
            raise Refused("bool")
        common_dtype(a, b)
        left, right = operands(t, fx, a, b, dtype=dtype)
        if alpha != 1:
            factor = t.tensor(alpha, fx, dtype)
            right = t.builder.node(f"{t.wanted(fx)}.scaled", "mul", [right, factor])
        return t.node(fx, op, [left, right])
    return handler


def product(t: Translator, fx, a, b):
    """a * b; of truth values it is `and`."""
    if kind(common_dtype(a, b)) == "bool":
        return t.node(fx, "and", operands(t, fx, a, b))
    return binary("mul")(t, fx, a, b)


def total(t: Translator, fx, a, b, *, alpha=1):
    """a + alpha * b; of truth values it is `or`."""
    if kind(common_dtype(a, b)) == "bool" and alpha == 1:
        return t.node(fx, "or", operands(t, fx, a, b))
    return binary("add")(t, fx, a, b, alpha=alpha)


def rsub(t: Translator, fx, a, b, alpha=1):
    """b - alpha * a."""
    return binary("sub")(t, fx, b, a, alpha=alpha)


def power(t: Translator, fx, x, exponent=2):
    """x to a power; a square is a product, as torch computes it."""
    if exponent == 2:
        return binary("mul")(t, fx, x, x)
    if exponent == 1:
        return t.operand(x, fx, fx.meta["val"].dtype)
    words = {0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}
    if isinstance(exponent, (int, float)) and exponent in words:
        return t.node(fx, words[exponent], [t.operand(x, fx, fx.meta["val"].dtype)])
    if kind(fx.meta["val"].dtype) != "float32":
        raise Refused(f"integers and exponent {exponent}" if not isinstance(exponent, FxNode)
                      else "integers")
    return t.node(fx, "pow", operands(t, fx, x, exponent, dtype=fx.meta["val"].dtype))


def exp2(t: Translator, fx, x):
    """2 to the power of x."""
    return t.node(fx, "pow", operands(t, fx, 2.0, x, dtype=fx.meta["val"].dtype))


def log2(t: Translator, fx, x, base=2.0):
    """log(x) / log(base), the divisor in float64."""
    made = t.builder.node(f"{t.wanted(fx)}.log", "log", [t.operand(x, fx, fx.meta["val"].dtype)])
    return t.node(fx, "div", [made, t.tensor(math.log(base), fx, torch.float64)])


def log10(t: Translator, fx, x):
    return log2(t, fx, x, 10.0)


def tan(t: Translator, fx, x):
    """sin(x) / cos(x)."""
    name = t.operand(x, fx, fx.meta["val"].dtype)
    parts = [t.builder.node(f"{t.wanted(fx)}.{word}", word, [name]) for word in ("sin", "cos")]
    return t.node(fx, "div", parts)


def lerp(t: Translator, fx, a, b, weight):
    """a + weight (b - a), from the end that is nearer where the weight is a number."""
    wanted, dtype = t.wanted(fx), fx.meta["val"].dtype
    names = operands(t, fx, a, b, dtype=dtype)
    apart = t.builder.node(f"{wanted}.sub", "sub", names[::-1])
    near = isinstance(weight, (int, float)) and weight >= 0.5
    part = t.builder.node(f"{wanted}.mul", "mul",
                          [apart, t.operand(1 - weight if near else weight, fx, dtype)])
    return t.node(fx, "sub" if near else "add", [names[near], part])


def div_mode(t: Translator, fx, a, b, *, rounding_mode=None):
    """a / b, rounded down or toward zero."""
    if rounding_mode is None:
        return binary("div")(t, fx, a, b)
    if rounding_mode == "floor":
        return binary("floor_divide")(t, fx, a, b)
    dtype = common_dtype(a, b)
    if kind(dtype) != "float32":
        raise Refused(f"rounding_mode='trunc' of {NUMPY.get(dtype, dtype)}")
    ratio = t.builder.node(f"{t.wanted(fx)}.div", "div", operands(t, fx, a, b))
    return toward_zero(t, fx, ratio)


def trunc(t: Translator, fx, x):
    """x without what stands behind the point."""
    if kind(dtype_of(x)) == "int64":
        return t.tensor(x, fx)
    return toward_zero(t, fx, t.tensor(x, fx))


def toward_zero(t: Translator, fx, x: str) -> str:
    """sign(x) floor(|x|)"""
    wanted = t.wanted(fx)
    size = t.builder.node(f"{wanted}.floor", "floor", [t.builder.node(f"{wanted}.abs", "abs", [x])])
    return t.node(fx, "mul", [t.builder.node(f"{wanted}.sign", "sign", [x]), size])


def frac(t: Translator, fx, x):
    """x - trunc(x), which is exact: what fmod by 1 gives."""
    return fmod(t, fx, x, 1.0)


def fmod(t: Translator, fx, a, b):
    """The remainder with the sign of a: sign(a) (|a| mod |b|)."""
    wanted, names = t.wanted(fx), operands(t, fx, a, b)
    sizes = [t.builder.node(f"{wanted}.abs", "abs", [name]) for name in names]
    rest = t.builder.node(f"{wanted}.remainder", "remainder", sizes)
    return t.node(fx, "mul", [t.builder.node(f"{wanted}.sign", "sign", names[:1]), rest])


def comparison(op: str):
    """A row for a comparison of two tensors, or a tensor and a number."""
    def handler(t: Translator, fx, a, b):
        return t.node(fx, op, operands(t, fx, a, b))
    return handler


def logical(op: str):
    """A row for an operation on truth values; `not_equal` is the exclusive or."""
    def handler(t: Translator, fx, *values):
        name = str(fx.target)
        if "logical" not in name and any(kind(dtype_of(v)) != "bool" for v in values):
            raise Refused("bits of integers")
        return t.node(fx, op, operands(t, fx, *values, dtype=torch.bool))
    return handler


def truth(t: Translator, fx, x, word: str, number: float) -> str:
    """|x| compared with a number."""
    name = t.operand(x, fx, torch.float32)
    size = t.builder.node(f"{t.wanted(fx)}.abs", "abs", [name])
    return t.node(fx, word, [size, t.tensor(number, fx, torch.float32)])


def isnan(t: Translator, fx, x):
    """x != x"""
    return t.node(fx, "not_equal", [t.tensor(x, fx)] * 2)


def isinf(t: Translator, fx, x):
    return truth(t, fx, x, "equal", math.inf)


def isfinite(t: Translator, fx, x):
    return truth(t, fx, x, "less", math.inf)


def where(t: Translator, fx, condition, x, y):
    """x where the condition holds, else y; numbers are of the result's dtype."""
    dtype = fx.meta["val"].dtype
    names = [t.operand(condition, fx, torch.bool), *operands(t, fx, x, y, dtype=dtype)]
    return t.node(fx, "where", names)


def masked_fill(t: Translator, fx, x, mask, value):
    """x, but `value` where the mask is true."""
    return where(t, fx, mask, value, x)


def nan_to_num(t: Translator, fx, x, nan=None, posinf=None, neginf=None):
    """NaN and the infinities replaced by numbers."""
    wanted, name, most = t.wanted(fx), t.tensor(x, fx), torch.finfo(x.meta["val"].dtype).max

    def replaced(word: str, hit: str, value: float, name: str) -> str:
        parts = [hit, t.tensor(float(value), fx), name]
        return t.builder.node(wanted if word == "neginf" else f"{wanted}.{word}", "where", parts)
    hit = t.builder.node(f"{wanted}.is_nan", "not_equal", [name, name])
    name = replaced("nan", hit, nan or 0.0, name)
    for word, at, value in (("posinf", math.inf, posinf), ("neginf", -math.inf, neginf)):
        hit = t.builder.node(f"{wanted}.is_{word}", "equal", [name, t.tensor(at, fx)])
        name = replaced(word, hit, math.copysign(most, at) if value is None else value, name)
    return name


def clamp(t: Translator, fx, x, low=None, high=None):
    """x between bounds: numbers in one node, tensors and integers by maximum and minimum."""
    numbers = all(b is None or isinstance(b, (int, float)) for b in (low, high))
    dtype = fx.meta["val"].dtype
    if numbers and kind(dtype) == "float32":
        bounds = (None if b is None else float(b) for b in (low, high))
        low, high = (None if b is None or math.isinf(b) else b for b in bounds)
        return t.node(fx, "clip", [t.operand(x, fx, dtype)], {"min": low, "max": high})
    steps = [step for step in (("maximum", low), ("minimum", high)) if step[1] is not None]
    name = t.operand(x, fx, dtype)
    for word, bound in steps:
        parts = [name, t.operand(bound, fx, dtype)]
        name = t.node(fx, word, parts) if word == steps[-1][0] else \
            t.builder.node(f"{t.wanted(fx)}.{word}", word, parts)
    return name


def clamp_max(t: Translator, fx, x, high):
    return clamp(t, fx, x, None, high)


def hardtanh(t: Translator, fx, x, low=-1.0, high=1.0):
    return clamp(t, fx, x, low, high)


def threshold(t: Translator, fx, x, limit, value):
    """x where it is greater than the limit (or NaN), else `value`."""
    dtype = x.meta["val"].dtype
    small = t.builder.node(f"{t.wanted(fx)}.less_equal", "less_equal", operands(t, fx, x, limit))
    return t.node(fx, "where", [small, t.tensor(value, fx, dtype), t.tensor(x, fx)])


def gelu(t: Translator, fx, x, *, approximate="none"):
    return t.node(fx, "gelu", [t.tensor(x, fx)], {"approximate": approximate})


def leaky_relu(t: Translator, fx, x, negative_slope=0.01):
    return t.node(fx, "leaky_relu", [t.tensor(x, fx)], {"negative_slope": float(negative_slope)})


def rrelu(t: Translator, fx, x, lower=1 / 8, upper=1 / 3, training=False, generator=None):
    """In eval mode the slope is the middle of its range."""
    if training:
        raise Refused("training=True")
    return leaky_relu(t, fx, x, (lower + upper) / 2)


def elu(t: Translator, fx, x, alpha=1.0, scale=1.0, input_scale=1.0):
    if scale != 1 or input_scale != 1:
        raise Refused("scale or input_scale other than 1")
    return t.node(fx, "elu", [t.tensor(x, fx)], {"alpha": float(alpha)})


def celu(t: Translator, fx, x, alpha=1.0):
    return compositions.celu(t.builder, t.wanted(fx), t.tensor(x, fx), alpha)


def softplus(t: Translator, fx, x, beta=1.0, threshold=20.0):
    params = {"beta": float(beta), "threshold": float(threshold)}
    return t.node(fx, "softplus", [t.tensor(x, fx)], params)


def composed(function):
    """A row for a composition of one tensor."""
    def handler(t: Translator, fx, x):
        return function(t.builder, t.wanted(fx), t.tensor(x, fx))
    return handler


def glu(t: Translator, fx, x, axis=-1):
    """The first half times the sigmoid of the second."""
    extent = number(x.meta["val"].shape[axis], "an axis")
    axis %= x.meta["val"].ndim
    return compositions.glu(t.builder, t.wanted(fx), t.tensor(x, fx), axis, extent)


def prelu(t: Translator, fx, x, slope):
    """One slope for all, or one for each channel of axis 1."""
    rank, weight = x.meta["val"].ndim, t.held(slope)
    if weight is None:
        raise Refused("a slope that is computed")
    array, dtype = t.array(weight)
    shape = [1] * rank
    if array.size > 1:
        shape[1] = array.size
    name = t.builder.unique(t.wanted(fx))
    tensor = t.builder.tensor(name, "slope", array.reshape(shape), dtype=dtype,
                              key=("slope", weight.source, tuple(shape)),
                              source=t.source(weight.source))
    return t.builder.put(name, "prelu", [t.tensor(x, fx)], {"shape": shape}, [tensor])


def convert(t: Translator, fx, x, *rest, **named):
    """A conversion to another dtype, only where nothing is rounded and nothing wraps.

    A network that has weights of 16 bits computes in them, which `warn_precision` says.
    """
    before, after = x.meta["val"].dtype, fx.meta["val"].dtype
    own = {tensor.dtype for tensor in (*t.model.parameters(), *t.model.buffers())}
    if before is not after and (
            after in (torch.float16, torch.bfloat16) and after not in own and before.is_floating_point
            or after in NARROW and before is not torch.bool
            or kind(before) == kind(after) and torch.float64 in (before, after)):
        raise Refused(f"a conversion to {after}")
    if kind(before) == kind(after):
        return t.values.get(x.name)
    return t.node(fx, "cast", [t.tensor(x, fx)], {"to": kind(after)})


COMPARISONS = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
               "ge": "greater_equal"}
LOGICAL = {"and": "and", "or": "or", "xor": "not_equal"}

OPERATIONS = {
    **{f"aten.{name}.default": unary(word) for name, word in UNARY.items()},
    **{f"aten.{word}.{form}": handler for form in ("Tensor", "Scalar") for word, handler in (
        ("add", total), ("sub", binary("sub")), ("rsub", rsub), ("mul", product),
        ("div", binary("div")), ("remainder", binary("remainder")), ("fmod", fmod))},
    "aten.floor_divide.default": binary("floor_divide"),
    "aten.floor_divide.Scalar": binary("floor_divide"),
    "aten.div.Tensor_mode": div_mode,
    "aten.div.Scalar_mode": div_mode,
    "aten.remainder.Scalar_Tensor": binary("remainder"),
    "aten.square.default": power,
    "aten.pow.Tensor_Scalar": power,
    "aten.pow.Tensor_Tensor": power,
    "aten.pow.Scalar": power,
    "aten.exp2.default": exp2,
    "aten.log2.default": log2,
    "aten.log10.default": log10,
    "aten.tan.default": tan,
    "aten.lerp.Scalar": lerp,
    "aten.lerp.Tensor": lerp,
    "aten.trunc.default": trunc,
    "aten.frac.default": frac,
    "aten.maximum.default": binary("maximum"),
    "aten.minimum.default": binary("minimum"),
    "aten.max.other": binary("maximum"), "aten.min.other": binary("minimum"),
    **{f"aten.{name}.{form}": comparison(word) for name, word in COMPARISONS.items()
       for form in ("Tensor", "Scalar")},
    **{f"aten.{name}": logical(word) for which, word in LOGICAL.items()
       for name in (f"logical_{which}.default", f"__{which}__.Tensor", f"bitwise_{which}.Tensor",
                    f"__{which}__.Scalar", f"bitwise_{which}.Scalar")},
    "aten.logical_not.default": logical("not"),
    "aten.bitwise_not.default": logical("not"),
    "aten.isnan.default": isnan,
    "aten.isinf.default": isinf,
    "aten.isfinite.default": isfinite,
    "aten.nan_to_num.default": nan_to_num,
    **{f"aten.where.{form}": where for form in ("self", "ScalarOther", "ScalarSelf", "Scalar")},
    "aten.masked_fill.Scalar": masked_fill,
    "aten.masked_fill.Tensor": masked_fill,
    "aten.clamp.default": clamp,
    "aten.clamp.Tensor": clamp,
    "aten.clip.default": clamp,
    "aten.clip.Tensor": clamp,
    "aten.clamp_min.default": clamp,
    "aten.clamp_min.Tensor": clamp,
    "aten.clamp_max.default": clamp_max,
    "aten.clamp_max.Tensor": clamp_max,
    "aten.hardtanh.default": hardtanh,
    "aten.threshold.default": threshold,
    "aten.gelu.default": gelu,
    "aten.leaky_relu.default": leaky_relu,
    "aten.rrelu.default": rrelu,
    "aten.elu.default": elu,
    "aten.celu.default": celu,
    "aten.softplus.default": softplus,
    "aten.log_sigmoid.default": composed(compositions.log_sigmoid),
    "aten.glu.default": glu,
    "aten.prelu.default": prelu,
    "aten._to_copy.default": convert,
    "aten.type_as.default": convert,
}
