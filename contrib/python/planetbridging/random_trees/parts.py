"""What a step of a tree may be: for which values, on which planets, and the value that it makes.

A row's function draws the parameters; it gives None where the value has no room for the operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from .dice import Dice
from .spec import Extent, Value

WIDTHS = (4, 6, 8, 12)
TORCH, KERAS, JAX = "pytorch", "keras", "jax"
ALL = (TORCH, KERAS, JAX)


@dataclass(frozen=True)
class Row:
    """`kinds` are initials of values; `still` keeps the extents, `keeps` the width as well; `built` is
    a child of the module."""

    kinds: str
    make: Callable
    still: bool = False
    keeps: bool = False
    built: bool = False
    planets: tuple[str, ...] = ALL
    weight: int = 1

    def takes(self, planet: str, value: Value, still: bool) -> bool:
        return planet in self.planets and value.kind[0] in self.kinds and (self.still or not still)


def divisors(*numbers: int) -> list[int]:
    return [n for n in range(1, min(numbers) + 1) if all(number % n == 0 for number in numbers)]


def same(dice, v, at):
    return {}, v


def dense(dice: Dice, v: Value, at):
    wide = dice.one(WIDTHS)
    return {"wide": wide, "bias": dice.chance(4, 5)}, v.of(wide)


def conv(dice: Dice, v: Value, at):
    """A convolution that keeps the extents: an odd kernel with half of it as padding."""
    wide = dice.one(WIDTHS)
    kernel = [dice.one((1, 3, 5)) if v.kind == "sequence" else dice.one((1, 3)) for _ in v.extents]
    dilation = [dice.one((1, 1, 2)) for _ in v.extents]
    padding = dice.one(("same", "half", "causal") if v.kind == "sequence" else ("same", "half"))
    if padding == "causal" and at.planet == TORCH:
        padding = "half"
    if padding == "half" and at.planet == KERAS:
        padding = "same"
    return _conv(dice, v, wide, kernel, [1] * len(kernel), dilation, padding), v.of(wide)


def _conv(dice, v, wide, kernel, stride, dilation, padding) -> dict:
    return {"wide": wide, "kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding,
            "groups": dice.one(divisors(v.wide, wide)), "bias": dice.chance(3, 4)}


def depthwise(dice: Dice, v: Value, at):
    times = dice.one((1, 1, 2)) if v.wide <= 8 else 1
    params = {"wide": v.wide * times, "kernel": [3] * len(v.extents), "stride": [1] * len(v.extents),
              "dilation": [1] * len(v.extents), "padding": "same", "groups": v.wide, "times": times,
              "bias": dice.chance(3, 4)}
    return params, v.of(v.wide * times)


def separable(dice: Dice, v: Value, at):
    wide = dice.one(WIDTHS)
    return {"wide": wide, "kernel": [3] * len(v.extents), "padding": "same"}, v.of(wide)


def strided(dice: Dice, v: Value, at):
    """A convolution that makes the extents smaller."""
    if v.least < 4:
        return None
    wide, n = dice.one(WIDTHS), len(v.extents)
    kernel = [dice.one((2, 3)) for _ in range(n)]
    if at.planet == KERAS:
        stride = [dice.one((1, 2))] * n
        dilation = [1] * n
    else:
        stride = [dice.one((1, 2)) for _ in range(n)]
        dilation = [dice.one((1, 1, 2)) if v.least > 6 else 1 for _ in range(n)]
    padding = "same" if even_pads(at, *stride) and dice.chance(1, 2) else "valid"
    params = _conv(dice, v, wide, kernel, stride, dilation, padding)
    return params, v.of(wide).over(*map(windows(padding), v.extents, kernel, stride, dilation))


def even_pads(at, *stride: int) -> bool:
    """Whether "same" is a number of rows: with a stride it depends on the extent, which must not change.

    PyTorch's convolutions and pools have no such padding where there is a stride.
    """
    return at.planet != TORCH and (not at.free or max(stride) == 1)


def windows(padding: str):
    """The extent behind windows of a kernel, a stride and a dilation."""
    def made(extent: Extent, kernel: int, stride: int, dilation: int = 1) -> Extent:
        reach = (kernel - 1) * dilation
        if padding == "same":
            return extent if stride == 1 else extent.more(-1).made(f"by{stride}", lambda n: n // stride + 1)
        inner = extent.more(-reach)
        return inner if stride == 1 else inner.more(-1).made(f"by{stride}", lambda n: n // stride + 1)
    return made


def transposed(dice: Dice, v: Value, at):
    """A transposed convolution; the extents grow."""
    if max(n for e in v.extents for n in e.sizes) > 11:
        return None
    wide, n = dice.one(WIDTHS), len(v.extents)
    kernel, stride = dice.one((2, 3, 4)), dice.one((1, 2))
    padding = "valid" if at.planet == TORCH else dice.one(("valid", "same"))
    groups = dice.one(divisors(v.wide, wide)) if at.planet == TORCH else 1
    params = {"wide": wide, "kernel": [kernel] * n, "stride": [stride] * n, "padding": padding,
              "groups": groups, "bias": dice.chance(3, 4)}
    more = max(kernel - stride, 0) if padding == "valid" else 0
    if at.planet == TORCH:
        params["out"] = dice.below(stride)
        params["pad"] = dice.below(2)
        more = kernel - stride - 2 * params["pad"] + params["out"]
    return params, v.of(wide).each(lambda e: _times(e, stride).more(more))


def _times(extent: Extent, by: int) -> Extent:
    return extent if by == 1 else extent.made(f"times{by}", lambda n: n * by)


def norm(dice: Dice, v: Value, at):
    return {"eps": dice.one((1e-3, 1e-5, 1e-6)), "scale": dice.chance(4, 5), "offset": dice.chance(4, 5)}, v


def grouped(dice: Dice, v: Value, at):
    groups = dice.one([n for n in divisors(v.wide) if n < v.wide])
    return {**norm(dice, v, at)[0], "groups": groups}, v


def instance(dice: Dice, v: Value, at):
    """Too few values to a channel would make a norm of noise."""
    few = [e.sizes for e in v.extents]
    return norm(dice, v, at) if all(len(e) and min(e) >= 4 for e in few) else None


def pool(dice: Dice, v: Value, at):
    if v.least < 4:
        return None
    n, kernel = len(v.extents), dice.one((2, 3))
    stride = dice.one((1, 2))
    padding = dice.one(("valid", "same")) if even_pads(at, stride) else "valid"
    params = {"kernel": [kernel] * n, "stride": [stride] * n, "padding": padding}
    made = windows(padding)
    return params, v.each(lambda e: made(e, kernel, stride))


def padded_pool(dice: Dice, v: Value, at):
    """A pool of kernel 3 and padding 1, which keeps the extents; averages may count the padding."""
    return {"kernel": [3] * len(v.extents), "count": dice.chance(1, 2)}, v


def whole(dice: Dice, v: Value, at):
    return {}, Value("vector", v.wide)


def recurrent(dice: Dice, v: Value, at):
    hidden, both = dice.one((4, 6)), dice.chance(1, 3)
    layers = dice.one((1, 1, 2)) if at.planet == TORCH else 1
    params = {"hidden": hidden, "both": both, "layers": layers, "bias": dice.chance(4, 5),
              "activation": dice.one(("tanh", "relu")), "after": dice.chance(1, 2),
              "back": not both and at.planet != TORCH and dice.chance(1, 4)}
    return params, v.of(hidden * (2 if both else 1))


def last_state(dice: Dice, v: Value, at):
    params, out = recurrent(dice, v, at)
    return {**params, "layers": 1, "last": True}, Value("vector", out.wide)


def attention(dice: Dice, v: Value, at):
    heads = dice.one([n for n in (1, 2) if v.wide % n == 0])
    return {"heads": heads, "causal": dice.chance(1, 2)}, v


def by_hand(dice: Dice, v: Value, at):
    return {"causal": dice.chance(1, 2)}, v


def activation(*names: str):
    def make(dice: Dice, v: Value, at):
        return {"name": dice.one(names)}, v
    return make


def feature_halves(dice: Dice, v: Value, at):
    return ({}, v.of(v.wide // 2)) if v.wide % 2 == 0 and v.wide > 4 else None


def even(dice: Dice, v: Value, at):
    return ({}, v) if v.wide % 2 == 0 else None


def shuffled(dice: Dice, v: Value, at):
    """Keras' Reshape knows one extent that is free."""
    return None if at.planet == KERAS and at.free and v.kind == "image" else even(dice, v, at)


def fewer_features(dice: Dice, v: Value, at):
    if v.wide < 6:
        return None
    first = dice.between(1, 2)
    return {"first": first}, v.of(v.wide - first)


def padding(*modes: str):
    """Rows at both ends; JAX would fix the extents to reflect them or take them from the other end."""
    def make(dice: Dice, v: Value, at):
        if v.least < 3:
            return None
        low, high = dice.between(1, 2), dice.between(0, 2)
        able = [mode for mode in modes
                if mode in ("constant", "replicate") or at.planet != JAX or not at.free]
        return {"mode": dice.one(able), "low": low, "high": high}, v.each(lambda e: e.more(low + high))
    return make


def cropped(dice: Dice, v: Value, at):
    low = dice.between(1, 2)
    return ({"low": low}, v.each(lambda e: e.more(-low))) if v.least > 4 else None


def every_other(dice: Dice, v: Value, at):
    if v.least < 4:
        return None
    return {}, v.each(lambda e: e.more(-1).made("by2", lambda n: n // 2 + 1))


def permuted(dice: Dice, v: Value, at):
    order = list(range(v.wide))
    for n in range(v.wide - 1, 0, -1):
        k = dice.below(n + 1)
        order[n], order[k] = order[k], order[n]
    return {"order": order}, v


def picked(dice: Dice, v: Value, at):
    return {"order": [dice.below(v.wide) for _ in range(6)]}, v.of(6)


def rolled(dice: Dice, v: Value, at):
    """Along the places, or the features where JAX would fix the extents."""
    places = bool(v.extents) and not (at.planet == JAX and at.free)
    return {"by": dice.between(1, 2), "places": places}, v


def doubled(dice: Dice, v: Value, at):
    return ({}, v.of(2 * v.wide)) if v.wide <= 6 else None


def resized(dice: Dice, v: Value, at):
    if max(n for e in v.extents for n in e.sizes) > 11:
        return None
    return {"mode": dice.one(("nearest", "linear"))}, v.each(lambda e: _times(e, 2))


def patches(dice: Dice, v: Value, at):
    """[b, h, w, c] as [b, h w, c]."""
    one, other = v.extents
    sizes = tuple(a * b for a, b in zip(one.sizes, other.sizes))
    extent = Extent(f"({one.base}{one.plus:+d})*({other.base}{other.plus:+d})", 0, sizes)
    return {}, Value("sequence", v.wide, (extent,))


def flat(dice: Dice, v: Value, at):
    """[b, ..., c] as [b, f], which needs sizes that do not change."""
    wide = v.wide
    for extent in v.extents:
        wide *= extent.sizes[0]
    return ({}, Value("vector", wide)) if not at.free and wide < 500 else None


def steps(dice: Dice, v: Value, at):
    """A vector as a sequence of two features a step, or four."""
    size = dice.one((2, 4))
    if v.wide % size or v.wide // size < 3:
        return None
    return {"size": size}, Value("sequence", size, (Extent(str(v.wide // size), 0, (v.wide // size,) * 2),))


def mixing(dice: Dice, v: Value, at):
    """A dense layer over the steps, which needs a length that does not change."""
    if at.free:
        return None
    count = v.extents[0].sizes[0]
    return {"count": count, "bias": dice.chance(1, 2)}, v


def reducing(*names: str):
    def make(dice: Dice, v: Value, at):
        axes = ("features", "places") if v.extents else ("features",)
        return {"name": dice.one(names), "axis": dice.one(axes)}, v
    return make


def spread(dice: Dice, v: Value, at):
    return ({}, v.of(2 * v.wide)) if v.wide <= 8 else None


MATHS = ("exp", "log", "log1p", "expm1", "sin", "cos", "erf", "sqrt", "rsqrt", "reciprocal", "pow", "square",
         "clip", "abs", "wave", "wave_up", "nearest", "modulo", "whole_parts", "signed", "masked", "where",
         "least", "greatest", "unary_minus", "div", "both", "either", "cast", "dropout")

ACTIVATIONS = {
    TORCH: ("ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "GELU", "GELUTanh", "SiLU", "Mish", "Sigmoid", "Tanh",
            "Hardsigmoid", "Hardswish", "Hardtanh", "Softplus", "Softsign", "LogSigmoid", "Softmax",
            "LogSoftmax", "Tanhshrink"),
    KERAS: ("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "gelu_tanh", "silu", "mish", "sigmoid",
            "tanh", "hard_sigmoid", "hard_silu", "hard_tanh", "softplus", "softsign", "log_sigmoid", "softmax",
            "log_softmax", "tanh_shrink"),
    JAX: ("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "gelu_erf", "silu", "mish", "sigmoid",
          "tanh", "hard_sigmoid", "hard_swish", "hard_tanh", "softplus", "soft_sign", "log_sigmoid",
          "softmax", "log_softmax"),
}


def own_activation(dice: Dice, v: Value, at):
    return {"name": dice.one(ACTIVATIONS[at.planet])}, v


def _keeping(kinds, make, **more) -> Row:
    return Row(kinds, make, still=True, keeps=True, **more)


ROWS = {
    "dense": Row("sv", dense, still=True, built=True, weight=5),
    "conv": Row("is", conv, still=True, built=True, weight=4),
    "depthwise": Row("is", depthwise, still=True, built=True, weight=2),
    "separable": Row("is", separable, still=True, built=True, planets=(KERAS,)),
    "strided": Row("is", strided, built=True, weight=3),
    "transposed": Row("is", transposed, built=True, weight=2),
    "batchnorm": _keeping("isv", norm, built=True, weight=2),
    "layernorm": _keeping("sv", norm, built=True, weight=2),
    "rmsnorm": _keeping("sv", norm, built=True),
    "groupnorm": _keeping("i", grouped, built=True, weight=2),
    "instancenorm": _keeping("is", instance, built=True),
    "prelu": _keeping("isv", same, built=True),
    "rnn": Row("s", recurrent, still=True, built=True),
    "lstm": Row("s", recurrent, still=True, built=True),
    "gru": Row("s", recurrent, still=True, built=True),
    "rnn_last": Row("s", last_state, built=True),
    "lstm_last": Row("s", last_state, built=True),
    "gru_last": Row("s", last_state, built=True),
    "attention": _keeping("s", attention, built=True, weight=2),
    "activation": _keeping("isv", own_activation, weight=4),
    "math": _keeping("isv", activation(*MATHS), weight=4),
    "maxpool": Row("is", pool, built=True),
    "avgpool": Row("is", pool, built=True),
    "maxpool_padded": _keeping("is", padded_pool, built=True, planets=(TORCH, JAX)),
    "avgpool_padded": _keeping("is", padded_pool, built=True, planets=(TORCH, JAX)),
    "global_maxpool": Row("is", whole),
    "global_avgpool": Row("is", whole),
    "last_step": Row("s", whole),
    "hand_attention": _keeping("s", by_hand),
    "sdpa": _keeping("s", attention, planets=(TORCH,)),
    "glu": Row("isv", feature_halves, still=True),
    "swap_halves": _keeping("isv", even),
    "shuffle": _keeping("isv", shuffled),
    "fewer_features": Row("isv", fewer_features, still=True),
    "pad": Row("is", padding("constant", "reflect", "replicate", "circular"), planets=(TORCH, JAX)),
    "pad_keras": Row("is", padding("constant", "reflect"), planets=(KERAS,)),
    "crop": Row("is", cropped),
    "every_other": Row("is", every_other),
    "permuted": _keeping("isv", permuted),
    "picked": Row("isv", picked, still=True),
    "flip": _keeping("is", same),
    "roll": _keeping("isv", rolled),
    "stack": Row("isv", doubled, still=True),
    "resize": Row("i", resized, planets=(TORCH, KERAS)),
    "patches": Row("i", patches, weight=2),
    "flat": Row("is", flat, weight=3),
    "steps": Row("v", steps, weight=2),
    "mixing": _keeping("s", mixing, built=True),
    "reduce": _keeping("isv", reducing("sum", "mean", "max", "min", "softmax", "log_softmax", "cumsum", "argmax",
                                       "l2"), weight=2),
    "spread": Row("is", spread, still=True),
    "positions": _keeping("s", same, planets=(TORCH, JAX)),
}
"""Every operation with one input.  Keras writes `positions` into the graph as a constant of one
length, so it is not asked for it."""

FIXED = ("flat", "mixing")
"""What has room only where the extents do not change."""

SHAREABLE = ("dense", "conv", "depthwise", "batchnorm", "layernorm", "prelu", "attention", "gru", "lstm", "rnn")
