"""What the steps without weights compute, in the functions of any framework.

`n` is a framework: exp, where, sum(x, axes, keepdims) and so on by NumPy's names, with `n.feature(kind)`
the axis of the features and `n.places(kind)` the axes between it and the batch.  Where a function jumps
(floor, sign, argmax), what stands here is continuous: a rounding before it must not change the result.
"""

from __future__ import annotations


def triangle(n, x, y):
    """The distance of x to the nearer of y and y + 1, where y is the next whole number below it."""
    return n.minimum(x - y, 1.0 - (x - y)) * 3.0


def small(n, x):
    """x where rounding it is small beside a whole number."""
    return n.clip(x, -3.0, 3.0)


MATHS = {
    "exp": lambda n, x: n.exp(n.minimum(x, 1.0)),
    "log": lambda n, x: n.log(n.abs(x) + 0.5) + x,
    "log1p": lambda n, x: n.log1p(n.abs(x)) - 0.5 * x,
    "expm1": lambda n, x: n.expm1(n.clip(x, -2.0, 1.0)),
    "sin": lambda n, x: n.sin(2.0 * x),
    "cos": lambda n, x: n.cos(x + 0.5),
    "erf": lambda n, x: n.erf(x),
    "sqrt": lambda n, x: n.sqrt(n.abs(x) + 0.25) - 0.5 * x,
    "rsqrt": lambda n, x: x * n.rsqrt(n.abs(x) + 1.0),
    "reciprocal": lambda n, x: x * n.reciprocal(1.0 + n.abs(x)) * 2.0,
    "pow": lambda n, x: n.power(n.abs(small(n, x)) + 0.5, 1.5) - x,
    "square": lambda n, x: n.square(n.clip(x, -1.5, 1.5)) - 0.5 * x,
    "clip": lambda n, x: n.clip(x, -0.75, 1.25),
    "abs": lambda n, x: n.abs(x) - 0.5,
    "wave": lambda n, x: triangle(n, small(n, x), n.floor(small(n, x))),
    "wave_up": lambda n, x: triangle(n, small(n, x), n.ceil(small(n, x)) - 1.0) - 0.25 * x,
    "nearest": lambda n, x: n.abs(small(n, x) - n.round(small(n, x))) * 3.0,
    "modulo": lambda n, x: n.abs(n.remainder(small(n, x), 1.5) - 0.75) * 2.0,
    "whole_parts": lambda n, x: n.abs(small(n, x) - n.floor_divide(small(n, x), 0.75) * 0.75 - 0.375) * 4.0,
    "signed": lambda n, x: n.sign(x) * n.minimum(n.abs(x), 1.0) + 0.5 * x,
    "masked": lambda n, x: n.where(x < -0.5, n.full(x, -0.5), x),
    "where": lambda n, x: n.where(x >= 0.0, small(n, x) * x * 0.5, 0.75 * x),
    "least": lambda n, x: n.minimum(x, 0.5 - 0.5 * x),
    "greatest": lambda n, x: n.maximum(x, 0.25 * x - 0.1),
    "unary_minus": lambda n, x: 0.5 - x,
    "div": lambda n, x: x / (1.0 + n.square(n.clip(x, -2.0, 2.0))) * 2.0,
    "both": lambda n, x: n.where(n.both(x > -1.0, x < 1.0), x, n.clip(x, -1.0, 1.0)),
    "either": lambda n, x: n.where(n.either(x < -1.0, n.opposite(x <= 1.0)), n.clip(x, -1.0, 1.0), x),
    "cast": lambda n, x: n.floats(x > 0.0, x) * x - 0.25 * x,
    "dropout": lambda n, x: n.dropout(x),
}


def reduced(n, x, kind, name: str, axis: str):
    """x beside what a reduction makes of it along the features or the places, spread over it again."""
    axes = (n.feature(kind),) if axis == "features" else tuple(n.places(kind))
    if name in ("softmax", "log_softmax", "cumsum"):
        made = getattr(n, name)(x, axes[-1])
        return {"softmax": 4.0 * made + 0.25 * x, "log_softmax": 0.5 * made, "cumsum": 0.25 * made + 0.5 * x}[name]
    if name == "l2":
        return 2.0 * x / n.sqrt(n.sum(x * x, axes, True) + 0.5)
    if name == "argmax":
        return x - n.take_along(x, n.argmax(x, axes[-1]), axes[-1])
    made = getattr(n, name)(x, axes, True)
    return x - (0.25 if name == "sum" else 1.0) * made


def hand_attention(n, x, causal: bool):
    """A softmax of products between all steps, without weights."""
    scores = n.matmul(x, n.transpose(x, (0, 2, 1))) * 0.5
    if causal:
        scores = n.where(n.lower(x), scores, n.full(scores, -1e9))
    return 0.5 * x + n.matmul(n.softmax(scores, 2), x)


def swap_halves(n, x, axis: int):
    one, other = n.split(x, 2, axis)
    return n.concat([other, n.sigmoid(one)], axis)


def glu(n, x, axis: int):
    one, other = n.split(x, 2, axis)
    return one * n.sigmoid(other) * 1.5


def shuffle(n, x, kind: str, wide: int):
    """Features 0, k, 1, k + 1 ... of 2 k."""
    if n.feature(kind) == 1 and kind != "vector":
        return n.image_shuffle(x, wide)
    ends = tuple(n.extent(x, axis) for axis in n.places(kind))
    split = n.reshape(x, (*ends, 2, wide // 2))
    last = len(ends) + 1
    turned = n.transpose(split, (*range(last), last + 1, last))
    return n.reshape(turned, (*ends, wide))


def spread(n, x, kind: str):
    """The mean over the places beside x, for every place."""
    mean = n.mean(x, tuple(n.places(kind)), True)
    return n.concat([x, n.expand(mean, x)], n.feature(kind))


def cut(n, x, kind: str, low: int | None = None, step: int | None = None):
    """Each axis of places from `low` on, or every `step`th."""
    for axis in n.places(kind):
        x = x[(slice(None),) * axis + (slice(low, None, step),)]
    return x


def features_from(n, x, kind: str, first: int):
    return x[(slice(None),) * (n.feature(kind) % (len(n.places(kind)) + 2)) + (slice(first, None),)]


def stacked(n, x, kind: str):
    """Features of x and of a function of x in turn."""
    return n.concat([x, n.tanh(x)], n.feature(kind))


def joined(n, op: str, one, other, kind: str):
    """What two values of one shape become."""
    return {
        "add": lambda: one + other, "sub": lambda: one - other, "mul": lambda: one * n.sigmoid(other) * 1.5,
        "concat": lambda: n.concat([one, other], n.feature(kind)),
        "maximum": lambda: n.maximum(one, other), "minimum": lambda: n.minimum(one, other),
        "gate": lambda: one * n.tanh(other) + other, "choose": lambda: n.where(one > other, one, 0.5 * (one + other)),
        "div": lambda: one / (1.0 + n.abs(other)),
    }[op]()


JOINS = ("add", "sub", "mul", "concat", "maximum", "minimum", "gate", "choose", "div")


def computed(n, step, xs):
    """What a step without a part makes of the tensors `xs`; None if it is not one of these."""
    x, kind, p = xs[0], step.given.kind, step.params
    if step.op in JOINS:
        return joined(n, step.op, *xs, kind)
    table = {
        "math": lambda: MATHS[p["name"]](n, x),
        "activation": lambda: n.activation(p["name"], x, kind),
        "reduce": lambda: reduced(n, x, kind, **p),
        "add_vector": lambda: x + n.beside(xs[1], kind),
        "global_maxpool": lambda: n.max(x, tuple(n.places(kind)), False),
        "global_avgpool": lambda: 3.0 * n.mean(x, tuple(n.places(kind)), False),
        "last_step": lambda: x[:, -1],
        "hand_attention": lambda: hand_attention(n, x, p["causal"]),
        "glu": lambda: glu(n, x, n.feature(kind)),
        "swap_halves": lambda: swap_halves(n, x, n.feature(kind)),
        "shuffle": lambda: shuffle(n, x, kind, step.given.wide),
        "fewer_features": lambda: features_from(n, x, kind, p["first"]),
        "crop": lambda: cut(n, x, kind, low=p["low"]),
        "every_other": lambda: cut(n, x, kind, step=2),
        "pad": lambda: n.pad(x, n.places(kind), p["low"], p["high"], p["mode"]),
        "pad_keras": lambda: n.pad(x, n.places(kind), p["low"], p["high"], p["mode"]),
        "permuted": lambda: n.take(x, p["order"], n.feature(kind)),
        "picked": lambda: n.take(x, p["order"], n.feature(kind)),
        "flip": lambda: n.flip(x, n.places(kind)[0]),
        "roll": lambda: n.roll(x, p["by"], n.places(kind)[0] if p["places"] else n.feature(kind)),
        "stack": lambda: stacked(n, x, kind),
        "spread": lambda: spread(n, x, kind),
        "steps": lambda: n.reshape(x, (-1, p["size"])),
        "flat": lambda: n.reshape(x, (-1,)),
        "patches": lambda: n.patches(x, step.given.wide),
    }
    return table[step.op]() if step.op in table else None
