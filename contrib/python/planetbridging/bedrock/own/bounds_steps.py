"""Bounds of single steps, reductions and moves: what networks outside the bedrocks are made of."""

from __future__ import annotations

import numpy as np

from .bounded import FUNCTION, TINY, U, Bounded, exact, increasing, products


def falling(function, x: Bounded, units: float = FUNCTION) -> Bounded:
    """A function that never increases."""
    made = increasing(lambda v: -function(v), x, units)
    return Bounded(-made.v, made.e)


def steep(function, slope: float, units: float = FUNCTION):
    """A function whose values differ by at most `slope` times what its arguments differ by."""
    def rule(p, w, x):
        v = function(x.v)
        return Bounded(v, slope * x.e + units * U * (np.abs(v) + slope * x.e) + units * TINY)
    return rule


def rising(function, units: float = FUNCTION):
    return lambda p, w, x: increasing(function, x, units)


def clipped(p, w, x):
    low, high = (np.float32(p[k]) if p[k] is not None else s * np.inf for k, s in (("min", -1), ("max", 1)))
    return Bounded(np.clip(x.v, low, high), x.e)


def softplus(p, w, x):
    """log(1 + e^(beta x)) / beta, or x itself above the threshold, where both differ by less than a unit."""
    def function(v):
        return np.logaddexp(0, v * p["beta"]) / p["beta"]
    made = increasing(function, x, FUNCTION + 4)
    if p["threshold"] is None:
        return made
    over = x.v * p["beta"] > p["threshold"]
    return Bounded(made.v, np.where(over, x.e + np.abs(made.v - x.v) + U * np.abs(made.v), made.e))


def elu(p, w, x):
    return increasing(lambda v: np.where(v > 0, v, p["alpha"] * np.expm1(np.minimum(v, 0))), x, FUNCTION + 2)


def selu(p, w, x):
    scale, alpha = 1.0507009873554804934, 1.6732632423543772848
    return increasing(lambda v: scale * np.where(v > 0, v, alpha * np.expm1(np.minimum(v, 0))), x, FUNCTION + 3)


def prelu(p, w, x):
    below = x * w["slope"]
    return chosen(x.v > 0, x, below)


def power(p, w, x, y):
    """x^y for x > 0 or whole y, y without an error: by the slope at the greater magnitude."""
    v = np.power(x.v, y.v)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.abs(y.v) * np.maximum(np.power(x.most, y.v - 1),
                                         np.power(np.maximum(np.abs(x.v) - x.e, 0), y.v - 1))
    spread = np.where(x.e == 0, 0, slope * x.e)
    return Bounded(v, spread + FUNCTION * U * (np.abs(v) + spread) + TINY)


def chosen(condition, x: Bounded, y: Bounded) -> Bounded:
    return Bounded(np.where(condition, x.v, y.v), np.where(condition, x.e, y.e))


def either(function):
    """The lesser or greater of two: as far off as either may be."""
    return lambda p, w, x, y: Bounded(function(x.v, y.v), np.maximum(x.e, y.e))


def decided(function):
    """True or false: taken to be what exact values decide."""
    return lambda p, w, *xs: exact(function(*(x.v for x in xs)))


def axes_of(p) -> tuple[int, ...]:
    return tuple(p["axes"])


def count(p, x: Bounded) -> int:
    return int(np.prod([x.v.shape[axis] for axis in axes_of(p)]))


def summed(p, w, x, part=1.0):
    def contract(a, b):
        return (a * b).sum(axis=axes_of(p), keepdims=p["keepdims"])
    return products(contract, x, exact(part), count(p, x))


def extreme(function):
    def rule(p, w, x):
        kept = {"axis": axes_of(p), "keepdims": p["keepdims"]}
        return Bounded(function(x.v, **kept), x.e.max(**kept))
    return rule


def argmax(p, w, x):
    return exact(np.argmax(x.v, axis=p["axis"], keepdims=p["keepdims"]))


def cumsum(p, w, x):
    size = np.cumsum(x.most, p["axis"])
    return Bounded(np.cumsum(x.v, p["axis"]),
                   np.cumsum(x.e, p["axis"]) + x.v.shape[p["axis"]] * U * size)


def matmul(p, w, x, y):
    return products(np.matmul, x, y, x.v.shape[-1])


def log_softmax(p, w, x):
    """x less the greatest, less the logarithm of the sum of powers."""
    lower = x - exact(x.v.max(axis=p["axis"], keepdims=True))
    powers = increasing(np.exp, lower)
    total = summed({"axes": [p["axis"]], "keepdims": True}, {}, powers)
    return lower - increasing(np.log, total)


def batchnorm(p, w, x):
    """torch, Keras: x times a factor, plus what mean and beta make of it; Flax: scaled, then moved."""
    def along(slot, rest):
        shape = [1] * x.v.ndim
        shape[p["axis"]] = -1
        return w[slot].map(lambda a: a.reshape(shape)) if slot in w else exact(rest)
    mean, var = along("mean", 0.0), along("var", 1.0)
    root = falling(lambda v: 1 / np.sqrt(np.maximum(v, 0) + p["eps"]), var, FUNCTION + 2)
    factor, beta = root * along("gamma", 1.0), along("beta", 0.0)
    if p["planet"] == "jax":
        return (x - mean) * factor + beta
    return x * factor + (beta - mean * factor)


def moved(function):
    """What changes no value: both parts move alike."""
    return lambda p, w, *xs: Bounded(function(p, *(x.v for x in xs)), function(p, *(x.e for x in xs)))


def picked(function):
    """What an index moves: the last input is whole numbers."""
    def rule(p, w, x, ids):
        at = np.rint(ids.v).astype(np.int64)
        return x.map(lambda a: function(a, at, p["axis"]))
    return rule


def padded(p, x):
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    width = [(0, 0)] * x.ndim
    for axis, low, high in zip(p["axes"], p["low"], p["high"]):
        width[axis] = (low, high)
    return np.pad(x, width, mode[p["mode"]])


def pad(p, w, x):
    made = moved(padded)(p, w, x)
    if p["mode"] == "constant" and p["value"] != 0:
        inside = padded(p, np.ones_like(x.v)) > 0
        made.v = np.where(inside, made.v, p["value"])
    return made


def split(p, w, x):
    at = np.cumsum(p["sizes"])[:-1]
    return tuple(Bounded(v, e) for v, e in zip(np.split(x.v, at, p["axis"]), np.split(x.e, at, p["axis"])))


def cast(p, w, x):
    if p["to"] == "float32":
        return x
    return exact(np.trunc(x.v) if p["to"] == "int64" else x.v != 0)


STEPS = {
    "relu6": lambda p, w, x: Bounded(np.clip(x.v, 0, 6), x.e), "clip": clipped,
    "hard_sigmoid": steep(lambda v: np.clip(v + 3, 0, 6) / 6, 1 / 6, 4),
    "hard_swish": steep(lambda v: v * np.clip(v + 3, 0, 6) / 6, 1.5, 5),
    "mish": steep(lambda v: v * np.tanh(np.logaddexp(0, v)), 1.1),
    "elu": elu, "selu": selu, "softplus": softplus, "prelu": prelu, "log_softmax": log_softmax,
    "exp": rising(np.exp), "log": rising(np.log), "log1p": rising(np.log1p), "expm1": rising(np.expm1),
    "sqrt": rising(np.sqrt), "sin": steep(np.sin, 1.0), "cos": steep(np.cos, 1.0),
    "rsqrt": lambda p, w, x: falling(lambda v: 1 / np.sqrt(np.maximum(v, 0)), x, FUNCTION + 2),
    "reciprocal": lambda p, w, x: exact(1.0) / x, "abs": steep(np.abs, 1.0, 0),
    "neg": lambda p, w, x: Bounded(-x.v, x.e), "sign": decided(np.sign), "not": decided(np.logical_not),
    "floor": decided(np.floor), "ceil": decided(np.ceil), "round": decided(np.rint),
    "pow": power, "minimum": either(np.minimum), "maximum": either(np.maximum),
    "floor_divide": decided(np.floor_divide), "remainder": decided(np.remainder),
    "equal": decided(np.equal), "not_equal": decided(np.not_equal), "less": decided(np.less),
    "less_equal": decided(np.less_equal), "greater": decided(np.greater),
    "greater_equal": decided(np.greater_equal), "and": decided(np.logical_and),
    "or": decided(np.logical_or), "where": lambda p, w, c, x, y: chosen(c.v != 0, x, y), "cast": cast,
    "sum": summed, "mean": lambda p, w, x: summed(p, w, x, 1 / count(p, x)), "max": extreme(np.max),
    "min": extreme(np.min), "argmax": argmax, "cumsum": cumsum, "matmul": matmul, "batchnorm": batchnorm,
    "arange": lambda p, w: exact(np.arange(p["start"][0], p["stop"][0], p["step"])),
    "size": lambda p, w: exact(float(p["of"][0])),
    "concat": moved(lambda p, *xs: np.concatenate(xs, p["axis"])),
    "expand": moved(lambda p, x: np.broadcast_to(x, p["shape"])),
    "squeeze": moved(lambda p, x: np.squeeze(x, tuple(p["axes"]))),
    "unsqueeze": moved(lambda p, x: np.expand_dims(x, tuple(p["axes"]))),
    "pad": pad, "split": split, "gather": picked(np.take), "gather_elements": picked(np.take_along_axis),
}
