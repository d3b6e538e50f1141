"""The float64 formulas of operations without a window, a step or a head: numbers, shapes, indices.

Each takes (parameters, weights by slot, *inputs); dimensions are integers by then.
"""

from __future__ import annotations

import math

import numpy as np

ERF = np.vectorize(math.erf, otypes=[float])
SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
INTEGERS = -2**63, 2**63 - 1


def sigmoid(x):
    return np.where(x >= 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def elu(alpha, x):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def softplus(p, w, x):
    y = np.logaddexp(0, x * p["beta"]) / p["beta"]
    return y if p["threshold"] is None else np.where(x * p["beta"] > p["threshold"], x, y)


def clip(p, w, x):
    low, high = (np.nan if p[k] is None else p[k] for k in ("min", "max"))
    x = np.where(x < low, low, x)
    return np.where(x > high, high, x)


def prelu(p, w, x):
    assert list(w["slope"].shape) == p["shape"]
    assert np.broadcast_shapes(w["slope"].shape, x.shape) == x.shape
    return np.where(x < 0, x * w["slope"], x)


def log_softmax(p, w, x):
    centred = x - x.max(p["axis"], keepdims=True)
    return centred - np.log(np.exp(centred).sum(p["axis"], keepdims=True))


def cast(p, w, x):
    kind = {"float32": float, "int64": np.int64, "bool": bool}[p["to"]]
    if x.dtype == float and kind is np.int64:
        assert np.isfinite(x).all() and (np.abs(x) < 2.0**63).all()
    return x.astype(kind)


def whole(function):
    """An operation on integers that must not overflow, on Python's own; on floats as it is."""
    def apply(p, w, *xs):
        if xs[0].dtype != np.int64:
            return function(*xs)
        exact = function(*(x.astype(object) for x in np.broadcast_arrays(*xs)))
        assert all(INTEGERS[0] <= v <= INTEGERS[1] for v in np.ravel(exact))
        return np.asarray(exact).astype(np.int64)
    return apply


def equal_kinds(function):
    def apply(p, w, a, b):
        assert a.dtype == b.dtype
        return function(a, b)
    return apply


def where(p, w, condition, x, y):
    assert condition.dtype == bool and x.dtype == y.dtype
    return np.where(condition, x, y)


def reduced(function):
    def apply(p, w, x):
        axes = tuple(a % x.ndim for a in p["axes"])
        assert axes and len(set(axes)) == len(axes)
        return np.asarray(function(x, axis=axes, keepdims=p["keepdims"]))
    return apply


def argmax(p, w, x):
    return np.asarray(np.argmax(x, p["axis"], keepdims=p["keepdims"])).astype(np.int64)


def pad(p, w, x):
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    width = [(0, 0)] * x.ndim
    for axis, low, high in zip(p["axes"], p["low"], p["high"]):
        width[axis] = (low, high)
        limit = {"reflect": x.shape[axis] - 1, "circular": x.shape[axis]}.get(p["mode"], math.inf)
        assert max(low, high) <= limit
    more = {"constant_values": x.dtype.type(p["value"])} if p["mode"] == "constant" else {}
    return np.pad(x, width, mode[p["mode"]], **more)


def squeeze(p, w, x):
    return np.squeeze(x, tuple(p["axes"]))


def split(p, w, x):
    assert sum(p["sizes"]) == x.shape[p["axis"]]
    return np.split(x, np.cumsum(p["sizes"])[:-1], p["axis"])


def inside(index, extent):
    assert index.dtype == np.int64 and (index >= 0).all() and (index < extent).all()
    return index


def gather(p, w, data, indices):
    return np.take(data, inside(indices, data.shape[p["axis"]]), p["axis"])


def gather_elements(p, w, data, indices):
    axis = p["axis"] % data.ndim
    assert all(a == b for n, (a, b) in enumerate(zip(data.shape, indices.shape)) if n != axis)
    return np.take_along_axis(data, inside(indices, data.shape[axis]), axis)


def flatten(p, w, x):
    start, end = (a % max(x.ndim, 1) for a in (p["start"], p["end"]))
    assert start <= end
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:])


def cut(p, w, x):
    """slice: nothing is clipped."""
    at = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(*(p[key] for key in ("axes", "starts", "stops", "steps"))):
        assert 0 <= start <= stop <= x.shape[axis] and step >= 1, (p, x.shape)
        at[axis] = slice(start, stop, step)
    return x[tuple(at)]


def place(p, out, size, o):
    """Where in the input the output element `o` lies, along one axis."""
    if p["coordinates"] == "align_corners":
        return np.where(out > 1, o * (size - 1) / max(out - 1, 1), 0)
    if p["coordinates"] == "asymmetric":
        return o * size / out
    return (2 * o + 1) * size / (2 * out) - (0.5 if p["mode"] == "linear" else 0)


def resize(p, w, x):
    for axis, out in enumerate(p["size"], x.ndim - len(p["size"])):
        size = x.shape[axis]
        at = np.clip(place(p, out, size, np.arange(out)), 0, size - 1)
        low = np.floor(at + 1e-12).astype(int)
        if p["mode"] == "nearest":
            x = np.take(x, low, axis)
            continue
        t = (at - low).reshape(-1, *[1] * (x.ndim - 1 - axis))
        x = np.take(x, low, axis) * (1 - t) + np.take(x, np.minimum(low + 1, size - 1), axis) * t
    return x


ELEMENTARY = {
    "linear": lambda p, w, x: x,
    "relu": lambda p, w, x: np.maximum(x, 0),
    "relu2": lambda p, w, x: np.maximum(x, 0) ** 2,
    "relu6": lambda p, w, x: np.clip(x, 0, 6),
    "tanh": lambda p, w, x: np.tanh(x),
    "sigmoid": lambda p, w, x: sigmoid(x),
    "silu": lambda p, w, x: x * sigmoid(x),
    "mish": lambda p, w, x: x * np.tanh(np.logaddexp(0, x)),
    "leaky_relu": lambda p, w, x: np.where(x > 0, x, x * p["negative_slope"]),
    "exp": lambda p, w, x: np.exp(x),
    "log": lambda p, w, x: np.log(x),
    "log1p": lambda p, w, x: np.log1p(x),
    "expm1": lambda p, w, x: np.expm1(x),
    "sin": lambda p, w, x: np.sin(x),
    "cos": lambda p, w, x: np.cos(x),
    "erf": lambda p, w, x: ERF(x),
    "sqrt": lambda p, w, x: np.sqrt(x),
    "rsqrt": lambda p, w, x: 1 / np.sqrt(x),
    "reciprocal": lambda p, w, x: 1 / x,
    "floor": lambda p, w, x: np.floor(x),
    "ceil": lambda p, w, x: np.ceil(x),
    "round": lambda p, w, x: np.rint(x),
    "hard_sigmoid": lambda p, w, x: np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda p, w, x: x * np.clip(x + 3, 0, 6) / 6,
    "selu": lambda p, w, x: SELU[0] * elu(SELU[1], x),
    "elu": lambda p, w, x: elu(p["alpha"], x),
    "softplus": softplus,
    "clip": clip,
    "prelu": prelu,
    "abs": whole(abs),
    "neg": whole(lambda x: -x),
    "sign": lambda p, w, x: np.sign(x),
    "not": lambda p, w, x: ~x,
    "log_softmax": log_softmax,
    "cast": cast,
    "add": whole(lambda a, b: a + b),
    "sub": whole(lambda a, b: a - b),
    "mul": whole(lambda a, b: a * b),
    "div": whole(lambda a, b: a / b if a.dtype == float else a // b),
    "pow": lambda p, w, a, b: np.power(a, b),
    "minimum": equal_kinds(np.minimum),
    "maximum": equal_kinds(np.maximum),
    "floor_divide": equal_kinds(np.floor_divide),
    "remainder": equal_kinds(np.remainder),
    "equal": equal_kinds(np.equal),
    "not_equal": equal_kinds(np.not_equal),
    "less": equal_kinds(np.less),
    "less_equal": equal_kinds(np.less_equal),
    "greater": equal_kinds(np.greater),
    "greater_equal": equal_kinds(np.greater_equal),
    "and": lambda p, w, a, b: a & b,
    "or": lambda p, w, a, b: a | b,
    "where": where,
    "sum": reduced(np.sum),
    "mean": reduced(np.mean),
    "max": reduced(np.max),
    "min": reduced(np.min),
    "argmax": argmax,
    "cumsum": lambda p, w, x: np.cumsum(x, p["axis"]),
    "residual": lambda p, w, x, skip=None: x if skip is None else x + skip,
    "concat": lambda p, w, *xs: np.concatenate(xs, p["axis"]),
    "flatten": flatten,
    "reshape": lambda p, w, x: x.reshape(p["shape"]),
    "slice": cut,
    "transpose": lambda p, w, x: x.transpose(p["perm"]),
    "pad": pad,
    "expand": lambda p, w, x: np.broadcast_to(x, p["shape"]),
    "squeeze": squeeze,
    "unsqueeze": lambda p, w, x: np.expand_dims(x, tuple(p["axes"])),
    "split": split,
    "gather": gather,
    "gather_elements": gather_elements,
    "arange": lambda p, w: np.arange(p["start"][0], p["stop"][0], p["step"], dtype=np.int64),
    "size": lambda p, w: np.int64(p["of"][0])[()].reshape(()),
    "resize": resize,
    "matmul": lambda p, w, x, y: x @ y,
}
